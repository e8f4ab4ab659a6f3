"""The instruction-set level: forced by the environment, and the same bits at each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planish._core import simd_level, simd_levels

SUPPORT = Path(__file__).parents[1] / "support"


def run(*arguments, **environment):
    """Run Python with the tests' modules at hand."""
    paths = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def digests(**environment):
    result = run(str(SUPPORT / "every_result.py"), **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


def test_the_environment_forces_a_level():
    assert simd_levels()[0] == "baseline"
    for name in simd_levels():
        result = run("-W", "error", "-c", "import planish; print(planish._core.simd_level())", PLANISH_LEVEL=name)
        assert (result.stdout.strip(), result.returncode) == (name, 0), result.stderr


@pytest.mark.parametrize("name", ["sse9", "AVX2", "x" * 1000])
def test_a_level_that_is_none_is_warned_of(name):
    best = simd_levels()[-1]
    result = run("-c", "import planish; print(planish._core.simd_level())", PLANISH_LEVEL=name)
    assert (result.stdout.strip(), result.returncode) == (best, 0)
    assert f"is not a level of this CPU; it has {', '.join(simd_levels())}; planish uses {best}" in result.stderr
    assert len(result.stderr) < 2000


def test_an_empty_name_is_none():
    assert run("-W", "error", "-c", "import planish", PLANISH_LEVEL="").returncode == 0


def test_force_names_what_is_accepted():
    with pytest.raises(ValueError, match="force=mmx is not a level of this CPU; it has baseline"):
        simd_level("mmx")


def test_the_same_bits_at_every_level_with_any_number_of_threads():
    expected = digests(PLANISH_LEVEL="baseline", PLANISH_NUM_THREADS="1")
    assert len(expected) > 1000
    for level in simd_levels()[1:] or ["baseline"]:
        found = digests(PLANISH_LEVEL=level, PLANISH_NUM_THREADS="3")
        assert found.keys() == expected.keys()
        assert [name for name in expected if found[name] != expected[name]] == []

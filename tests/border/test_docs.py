"""The code in the README, in docstrings and in the examples runs and says what it shows."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import planish
import planish._core
import planish.layers
import planish.stats
import pytest

pytestmark = pytest.mark.dependencies

ROOT = Path(__file__).parents[2]


def documented():
    modules = [
        planish,
        planish.stats,
        *(importlib.import_module(found.name) for found in pkgutil.walk_packages(planish.__path__, "planish.")),
    ]
    found = {}
    for module in modules:
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__):
            found[test.name] = test
    # The finder skips what is compiled.
    finder = doctest.DocTestParser()
    for name in ("Moments", "Extrema", "Quantiles"):
        cls = getattr(planish.stats, name)
        for member, value in [
            (name, cls),
            *((f"{name}.{m}", getattr(cls, m)) for m in dir(cls) if not m.startswith("_")),
        ]:
            if ">>>" in (inspect.getdoc(value) or ""):
                found[member] = finder.get_doctest(inspect.getdoc(value), {}, member, None, None)
    for name in ("set_num_threads", "get_num_threads"):
        found[name] = finder.get_doctest(inspect.getdoc(getattr(planish, name)), {}, name, None, None)
    return [test for test in found.values() if test.examples]


@pytest.mark.parametrize("test", documented(), ids=lambda test: test.name)
def test_docstring(test):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    with np.printoptions(legacy=False):
        result = runner.run(test)
    assert result.attempted > 0
    assert result.failed == 0


def test_every_class_has_an_example_that_ran():
    names = {test.name.split(".")[-1] for test in documented()}
    assert {"Moments", "Extrema", "merge", "from_stats"} <= names
    assert {name for name in planish.__all__ if name not in ("layers", "stats", "get_num_threads")} <= names
    assert {name for name in planish.layers.__all__ if name != "Gradients"} <= names


@pytest.mark.parametrize(
    "path", [Path("README.md"), *(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))]
)
def test_code_of_documents(path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)
    assert blocks
    space = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)


#: What an example is about, beside planish.
NEEDS = {"torch_loader.py": "torch", "hugging_face.py": "datasets"}


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_example(script):
    if script in NEEDS:
        pytest.importorskip(NEEDS[script])
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script], capture_output=True, text=True, timeout=290, check=False
    )
    assert done.returncode == 0, done.stderr

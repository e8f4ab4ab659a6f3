"""`planish apply`."""

import json
import subprocess
import sys

import numpy as np
import planish
import pytest
from command import ENVIRONMENT, run

pytestmark = pytest.mark.dependencies

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_apply(tmp_path, dtype, monkeypatch):
    monkeypatch.setattr("planish.cli.apply._BATCH", 1000)
    batch = rng.integers(0, 256, (50, 7, 6, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", batch)
    run("stats", tmp_path / "x.npy", "--save", tmp_path / "s.json")
    run("apply", tmp_path / "s.json", tmp_path / "x.npy", tmp_path / "y.npy", "--dtype", dtype)
    y = np.load(tmp_path / "y.npy")
    saved = json.loads((tmp_path / "s.json").read_text())
    expected = planish.ImageNormalizer(saved["mean"], saved["std"], layout="NHWC->NHWC", dtype=dtype)(batch)
    assert np.array_equal(y, expected)
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", "s.json", "y.npy"}


def test_apply_channels_first(tmp_path):
    table = rng.normal(3, 2, (4, 1000))
    np.save(tmp_path / "x.npy", table)
    run("stats", tmp_path / "x.npy", "--channel-axis", 0, "--save", tmp_path / "s.json")
    run("apply", tmp_path / "s.json", tmp_path / "x.npy", tmp_path / "y.npy", "--dtype", "float64")
    expected = (table - table.mean(axis=1, keepdims=True)) / table.std(axis=1, keepdims=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-13)


def test_apply_to_one_axis(tmp_path):
    line = rng.normal(3, 2, 1000)
    np.save(tmp_path / "x.npy", line)
    run("stats", tmp_path / "x.npy", "--save", tmp_path / "s.json")
    run("apply", tmp_path / "s.json", tmp_path / "x.npy", tmp_path / "y.npy", "--dtype", "float64")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), (line - line.mean()) / line.std(), atol=1e-13)


def test_apply_to_what_does_not_fit(tmp_path):
    np.save(tmp_path / "x.npy", rng.normal(size=(10, 3)))
    np.save(tmp_path / "other.npy", rng.normal(size=(10, 4)))
    np.save(tmp_path / "words.npy", np.array([["a", "b", "c"]]))
    (tmp_path / "text.npy").write_text("no array")
    good = tmp_path / "s.json"
    run("stats", tmp_path / "x.npy", "--save", good)
    np.savez(tmp_path / "archive.npz", x=np.zeros((3, 3)))
    (tmp_path / "empty.npy").write_bytes(b"")
    for source in ("other.npy", "words.npy", "text.npy", "archive.npz", "empty.npy"):
        output = run("apply", good, tmp_path / source, tmp_path / "y.npy", code=1).output
        assert "Error: " in output
        assert "pickle" not in output
    assert "itself" in run("apply", good, tmp_path / "x.npy", tmp_path / "x.npy", code=1).output
    saved = json.loads(good.read_text())
    for change in (
        {"mean": [1, 2]},
        {"mean": "x"},
        {"std": [0, 1, -1]},
        {"std": [float("nan")] * 3},
        {"channel_axis": "last"},
        {"planish stats": 2},
        {"kind": 1},
    ):
        bad = tmp_path / "bad.json"
        bad.write_text(json.dumps({**saved, **change}))
        assert "bad.json" in run("apply", bad, tmp_path / "x.npy", tmp_path / "y.npy", code=1).output.replace("\n", "")
    bad.write_text("{")
    run("apply", bad, tmp_path / "x.npy", tmp_path / "y.npy", code=1)
    assert not (tmp_path / "y.npy").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_the_command_needs(tmp_path):
    code = "import sys; sys.modules['rich'] = None\nfrom planish.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "planish[cli]" in result.stderr

"""Types, as a user's type checker sees them; and signatures, as people do."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import planish
import pytest

ROOT = Path(__file__).parents[2]
USE = "tests/support/typed_use.py"


def run(*command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy():
    pytest.importorskip("mypy")
    run("mypy", "--strict", "--warn-unused-ignores", USE)


def test_pyright(tmp_path):
    """By way of basedpyright, which brings all that it needs."""
    pytest.importorskip("basedpyright")
    config = tmp_path / "pyrightconfig.json"
    settings = {
        "include": [str(ROOT / USE)],
        "extraPaths": [str(ROOT / "python")],
        "typeCheckingMode": "standard",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "enableTypeIgnoreComments": False,
    }
    config.write_text(json.dumps(settings))
    run("basedpyright", "--project", str(config), "--pythonpath", sys.executable)


def public():
    """Give all public classes, functions and methods of ours, with their names."""
    for module in (planish, planish.stats, planish.layers):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for attribute in dir(value):
                    method = getattr(value, attribute)
                    # What scikit-learn makes (set_fit_request) is its own.
                    if callable(method) and attribute[0] != "_" and not attribute.endswith("_request"):
                        yield f"{module.__name__}.{name}.{attribute}", method


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_name_types_as_they_are_written(name):
    signature = str(inspect.signature(PUBLIC[name]))
    for expansion in ("Union", "Optional", "numpy.", "_Supports", "_Nested", "Sequence[Sequence", "typing."):
        assert expansion not in signature


def test_signatures_show_array_like():
    assert "X: 'ArrayLike'" in str(inspect.signature(planish.StandardScaler.fit))
    assert "dtype: 'DTypeLike | None' = None" in str(inspect.signature(planish.StandardScaler))
    assert "out: 'NDArray[Any] | None' = None" in str(inspect.signature(planish.MinMaxScaler.transform))

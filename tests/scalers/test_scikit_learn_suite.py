"""scikit-learn's own tests of its scalers, with planish's in their place. See docs/scikit-learn.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.preprocessing.tests.test_data as theirs
from scikit_learn_swap import CLASSES, FUNCTIONS

pytestmark = pytest.mark.dependencies

#: Tests that planish fails on purpose, each with its reason in the documentation.
DELIBERATE = {"test_standard_scaler_numerical_stability"}
if "Input contains infinity" in Path(theirs.__file__).read_text():
    # Before it named the argument in this message.
    DELIBERATE.add("test_scale_input_finiteness_validation")
SUPPORT = Path(__file__).parents[1] / "support"
DOCUMENT = Path(__file__).parents[2] / "docs" / "scikit-learn.md"


@pytest.fixture(scope="module")
def outcome():
    """Outcome of each test: a list of "outcome name" for every case of it."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "sklearn.preprocessing.tests.test_data"]
    # The suite's own configuration: neither our warnings filter nor our root apply to it.
    options = ["-p", "scikit_learn_swap", "-c", "/dev/null", "-W", "default", "-p", "no:cacheprovider", "-q", "-rA"]
    done = subprocess.run([*command, *options], cwd=SUPPORT, capture_output=True, text=True, timeout=600)
    lines = re.findall(r"^(PASSED|FAILED|ERROR) \S*?::(\w+)", done.stdout, re.MULTILINE)
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    return lines


def test_the_suite_passes(outcome):
    failed = {name for result, name in outcome if result != "PASSED"}
    assert failed == DELIBERATE
    assert sum(result == "PASSED" for result, _ in outcome) > 300


def test_deliberate_differences_are_documented(outcome):
    text = DOCUMENT.read_text()
    for name in DELIBERATE:
        assert f"`{name}`" in text


def test_every_class_and_function_is_exercised():
    source = Path(theirs.__file__).read_text()
    for thing in CLASSES + FUNCTIONS:
        assert len(re.findall(rf"\b{thing.__name__}\(", source)) > 1
        assert thing.__module__.startswith("planish.")

"""The command line, called as a user does."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import planish
from click.testing import CliRunner
from planish.cli.commands import planish as command

COMMAND = [sys.executable, "-c", "from planish.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(planish.__file__).parents[1])}


def run(*arguments, code=0):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def stats(*arguments, code=0):
    return json.loads(run("stats", "--json", *arguments, code=code).stdout)


def close(result, pixels):
    """Compare with NumPy's statistics of pixels (in shares of the largest) by channels."""
    assert result["count"] == [len(pixels)] * pixels.shape[1]
    np.testing.assert_allclose(result["mean"], pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result["std"], pixels.std(axis=0), rtol=1e-12)

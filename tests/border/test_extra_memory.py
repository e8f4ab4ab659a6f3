"""Statistics, layers and maps take memory for channels and tiles, whatever weights, masks, strides and infinities."""

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[1] / "support" / "memory_cases.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("part", "dtype"), [(p, d) for p in ("statistics", "scalers", "layers") for d in ("float32", "float64")]
)
def test_extra_memory_is_that_of_channels_and_tiles(part, dtype):
    done = subprocess.run([sys.executable, CASES, part, dtype], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""An array larger than memory through saved statistics."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from planish import _core
from planish._core import Moments
from planish.cli.sources import NotReadableError, largest, native, open_array

#: Elements that are mapped at a time.
_BATCH = 1 << 22


def load(path: Path) -> dict[str, Any]:
    """Read what `planish stats --save` wrote; a ValueError says what is wrong with it."""
    try:
        saved = json.loads(path.read_text())
        version, axis = saved["planish stats"], saved["channel_axis"]
        mean, std = (np.array(saved[key], np.float64) for key in ("mean", "std"))
        count = np.array(saved.get("count", np.ones_like(mean)), np.float64)
        kind = saved["kind"]
    except Exception:  # a damaged file can be anything
        raise ValueError(f"{path} holds no statistics of planish, or is damaged") from None
    if version != 1:
        raise ValueError(f"{path} is of version {version}; this planish reads 1")
    whole = mean.ndim == 1 and mean.shape == std.shape == count.shape
    if not isinstance(axis, int) or not whole or kind not in ("pixels", "table"):
        raise ValueError(f"{path} holds no statistics of planish, or is damaged")
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
        raise ValueError(f"{path} has a mean or standard deviation that is no finite number")
    # By the rule of the scalers: what is but rounding is divided by one.
    counts = np.where(np.isfinite(count), np.maximum(count, 1), 1)
    scale = np.asarray(Moments.from_stats(counts, mean, np.minimum(std, 1e150) ** 2).scale)
    divisor = np.where((scale == 1) & (std != 1), 1.0, std)
    return {"mean": mean, "divisor": divisor, "constant": divisor != std, "channel_axis": axis, "kind": kind}


def apply(saved: dict[str, Any], source: Path, target: Path, dtype: str, step: Callable[[int, int], None]) -> None:
    """Write ``(x * scale - mean) / std`` of the array in `source` to `target`, which is whole or not there.

    `step` is told how many of how many positions of the first axis are done.
    """
    try:
        array = open_array(source)
    except NotReadableError as error:
        raise ValueError(f"{source}: {error}") from None
    axis, channels = saved["channel_axis"], len(saved["mean"])
    shape = array.shape
    if array.ndim == 1 and channels == 1:
        array = array[:, None]
    if array.ndim < 2 or not -array.ndim <= axis < array.ndim or array.shape[axis] != channels:
        raise ValueError(
            f"{source} has shape {array.shape}; the statistics are of {channels} channel(s) along axis {axis}"
        )
    target = target.resolve()
    if not target.parent.is_dir():
        raise ValueError(f"{target} cannot be written: there is no folder {target.parent}")
    if target.exists() and (not target.is_file() or target.samefile(source)):
        raise ValueError(f"{target} is the input itself or no regular file; another file takes the result")
    unit = largest(array.dtype) if saved["kind"] == "pixels" else 1.0
    shift, divisor = saved["mean"] * unit, np.where(saved["constant"], 1.0, saved["divisor"] * unit)
    along = 1 if axis % array.ndim == 0 else 0
    length = array.shape[along]
    rows = max(1, _BATCH * length // max(array.size, 1))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.dtype(dtype), shape=shape)
        _allocate(temporary)
        results = np.asarray(out).reshape(array.shape)
        for first in range(0, length, rows):
            part = (slice(None),) * along + (slice(first, first + rows),)
            _core.affine(native(array[part]), shift, divisor, None, True, axis, dtype, results[part], True, True)
            step(min(first + rows, length), length)
        out.flush()
        del out, results
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise ValueError(f"{target} cannot be written: {error.strerror or error}") from None
        raise


def _allocate(path: Path) -> None:
    """Have the disk hold all of a file: to write to memory for which it has no place is a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)

"""An array larger than memory through saved statistics."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from planish import _core
from planish.cli.sources import NotReadableError, largest, native, open_array
from planish.files.saving import read, refusal
from planish.files.surveys import CLASS, Survey, from_json

#: Elements that are mapped at a time.
_BATCH = 1 << 22


def load(path: Path) -> Survey:
    """Read what `planish stats --save` wrote; a ValueError says what is wrong with it."""
    with refusal(f"{path} cannot be applied"):
        document = read(str(path))
        if document.get("class") != CLASS:
            raise ValueError("it holds no statistics of planish stats")
        return from_json(document)


def apply(saved: Survey, source: Path, target: Path, dtype: str, step: Callable[[int, int], None]) -> None:
    """Write ``(x * scale - mean) / std`` of the array in `source` to `target`, which is whole or not there.

    `step` is told how many of how many positions of the first axis are done.
    """
    try:
        array = open_array(source)
    except NotReadableError as error:
        raise ValueError(f"{source}: {error}") from None
    axis, channels = saved.channel_axis, len(saved.channels)
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
    unit = largest(array.dtype) if saved.kind == "pixels" else 1.0
    divisor = saved.divisor()
    shift, divisor = saved.mean * unit, np.where(divisor != saved.std, 1.0, divisor * unit)
    along = 1 if axis % array.ndim == 0 else 0
    length = array.shape[along]
    rows = max(1, _BATCH * length // max(array.size, 1))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.dtype(dtype), shape=shape)
        _allocate(temporary)
        results = np.asarray(out).reshape(array.shape)
        standardized = _core.Map.affine(shift, divisor, None, True, axis, dtype)
        for first in range(0, length, rows):
            part = (slice(None),) * along + (slice(first, first + rows),)
            standardized(native(array[part]), results[part], True, True)
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

"""Where maps that go through NumPy write: the rules that the core has for its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish._blocks import by_stride


def is_same(X: NDArray[Any], result: NDArray[Any]) -> bool:
    """Whether every element of `result` lies where that of `X` does."""
    steps = zip(X.shape, X.strides, result.strides, strict=True)
    return (
        X.dtype.itemsize == result.dtype.itemsize
        and X.ctypes.data == result.ctypes.data
        and all(length < 2 or a == b for length, a, b in steps)
    )


def check_target(name: str, target: Any, X: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Check that the result can be written to `target`."""
    if not isinstance(target, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array; got {type(target).__name__}")
    if target.dtype != dtype:
        raise TypeError(f"{name} has dtype {target.dtype}; the result has dtype {dtype}")
    if target.shape != X.shape:
        raise ValueError(f"{name} has shape {target.shape}; the result has shape {X.shape}")
    if not target.flags.writeable:
        raise ValueError(f"{name} is read-only; a writeable array is accepted")
    extent = target.itemsize
    for axis in reversed(by_stride(target)):
        if target.shape[axis] > 1:
            step = abs(target.strides[axis])
            if step < extent:
                raise ValueError(
                    f"{name} has several elements in the same memory; an array without such overlaps is accepted"
                )
            extent += step * (target.shape[axis] - 1)
    if is_same(X, target):
        return
    try:
        shared = np.shares_memory(X, target, max_work=1_000_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        shared = True
    if shared:
        raise ValueError(
            f"{name} overlaps the input and would overwrite elements before they are read; an array of other memory, "
            "or the input itself where it has the dtype of the result, is accepted"
        )

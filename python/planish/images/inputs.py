"""What `ImageNormalizer` is given: images from any library, and parameters."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish._border import as_array, reals, shown


def constants(name: str, values: ArrayLike | None) -> NDArray[np.float64] | None:
    """Check constants of channels."""
    if values is None:
        return None
    try:
        array = reals(name, values)
    except TypeError as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        raise ValueError(f"{name} must be a number or a regular array of numbers; got {shown(values)}") from None
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers; got {shown(array.tolist())}")
    return array


def pixel_scale(scale: Any) -> Any:
    """Check what pixels are multiplied by."""
    if isinstance(scale, str):
        if scale != "auto":
            raise ValueError(f"scale={shown(scale)} must be 'auto' or a number")
        return scale
    if isinstance(scale, bool) or not isinstance(scale, int | float | np.integer | np.floating):
        raise TypeError(f"scale={shown(scale)} must be 'auto' or a number")
    try:
        factor = float(scale)
    except OverflowError:
        factor = np.inf
    if not (np.isfinite(factor) and factor >= np.finfo(np.float64).tiny):
        raise ValueError(f"scale={factor} must be positive, finite and a normal number")
    return factor


def limits(clip: Any) -> tuple[float, float] | None:
    """Check the least and the largest result."""
    if clip is None:
        return None
    try:
        low, high = map(float, clip)
    except (TypeError, ValueError):
        raise ValueError(f"clip={shown(clip)} must be None or the least and the largest result") from None
    if not low < high:
        raise ValueError(f"clip={shown(clip)} must have its least result first")
    return low, high


def largest(dtype: np.dtype[Any]) -> float:
    """Give what `scale='auto'` divides pixels of a dtype by."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def images(X: Any) -> Iterator[list[tuple[str, NDArray[Any]]]]:
    """Give the images of whatever `fit` is given, with their names: as many at a time as there are anyway."""
    if isinstance(X, memoryview) or _is_array(X):
        yield [("X", array("X", X))]
        return
    if not isinstance(X, Iterable) or isinstance(X, str | bytes | dict):
        raise TypeError(f"X must be an image, a batch or an iterable of images; got {type(X).__name__}")
    named = ((f"X[{index}]", image) for index, image in enumerate(X))
    if isinstance(X, list | tuple):
        yield [(name, array(name, image)) for name, image in named]
        return
    for name, image in named:
        # One by one: a generator may use the memory of an image again for the next.
        yield [(name, array(name, image))]


def other_layout(image: tuple[int, ...], axis: int, number: int, *, back: bool = False) -> str:
    """Say what to do about an image whose channels, of that `number`, seem to be where `axis` does not say."""
    if len(image) != 3 or image[axis] == number or number not in (image[0], image[-1]):
        return ""
    where, order = ("first", "NCHW") if image[0] == number else ("last", "NHWC")
    layouts = [f"{a}->{order}" if back else f"{order}->{a}" for a in ("NCHW", "NHWC")]
    return f"; channels that come {where} take layout={' or '.join(map(repr, layouts))}"


def _is_array(X: Any) -> bool:
    return any(hasattr(X, name) for name in ("__array__", "__array_interface__", "__dlpack__"))


def array(name: str, image: Any) -> NDArray[Any]:
    """Take an image from any library, without copying where that can be done."""
    if type(image) is np.ndarray:
        return image
    if isinstance(image, str | bytes | os.PathLike):
        raise TypeError(f"{name} is a {type(image).__name__}; an image that has been read is an array")
    return as_array(name, image)

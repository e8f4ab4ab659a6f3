"""Constants of channels: those that are known beforehand, and which channels are constant."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from planish._border import axes_of, quoted, reals, shown

#: A range that is less than this part of the values may come of rounding alone.
_ROUNDING = float(10 * np.finfo(np.float64).eps)
#: The smallest range that `float64` holds with all its digits.
_SMALLEST = float(np.finfo(np.float64).tiny)


def constants(channel_axis: int | tuple[int, ...] | None, **values: ArrayLike | None) -> list[Any]:
    """Check known constants, one for each channel: real, finite and of one shape, which suits `channel_axis`."""
    given = {name: reals(name, value) for name, value in values.items() if value is not None}
    for name, array in given.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite; got {quoted(array)}")
        if isinstance(channel_axis, int):
            given[name] = np.atleast_1d(array)
    axes = len(axes_of(channel_axis))
    shapes = {array.shape for array in given.values()}
    if len(shapes) > 1:
        raise ValueError(
            " and ".join(f"{name} has shape {a.shape}" for name, a in given.items()) + "; equal shapes are accepted"
        )
    if any(len(shape) != axes for shape in shapes):
        names = " and ".join(given)
        raise ValueError(
            f"{names} must have one axis for each of channel_axis={shown(channel_axis)}; got shape {shapes.pop()}"
        )
    return [given.get(name) for name in values]


def warn_of_empty_channels(values: Any) -> None:
    """Warn as NumPy does where a channel has no number, for which `values` is NaN."""
    if np.isnan(values).any():
        warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=3)


def is_constant(low: Any, high: Any) -> Any:
    """Tell which channels are constant: those between whose values there is nothing but rounding in double precision.

    The one rule for all that scales by a range, or by a distance from zero, whatever the dtype: ten steps of float64
    beside the values make no difference, nor does what float64 holds with fewer digits than usual. (The standard
    deviation has a bound of the same kind, which counts the samples as well, in the core.)
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        extent = np.subtract(high, low, dtype=np.float64)
        bound = _ROUNDING * np.maximum(np.abs(low), np.abs(high), dtype=np.float64)
    return (extent <= bound) | (extent < _SMALLEST)


def divisors(low: Any, high: Any) -> Any:
    """Give what to divide by: the range of each channel, or one where it is constant."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(is_constant(low, high), 1.0, np.subtract(high, low, dtype=np.float64))[()]

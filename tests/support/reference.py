"""Oracles: NumPy in float64 on a copy, and exact rational arithmetic."""

from fractions import Fraction

import numpy as np


def kept_axes(ndim, channel_axis):
    if channel_axis is None:
        return ()
    axes = channel_axis if isinstance(channel_axis, tuple) else (channel_axis,)
    return tuple(sorted(axis % ndim for axis in axes))


def reduced_axes(ndim, channel_axis):
    kept = kept_axes(ndim, channel_axis)
    return tuple(axis for axis in range(ndim) if axis not in kept)


def columns(x, channel_axis):
    """`x` as float64, one column for each channel, with the shape of the kept axes."""
    x = np.asarray(x).astype(np.float64)
    kept = kept_axes(x.ndim, channel_axis)
    shape = tuple(x.shape[axis] for axis in kept)
    table = np.moveaxis(x, kept, range(x.ndim - len(kept), x.ndim)) if kept else x
    return table.reshape(-1, int(np.prod(shape, dtype=int))), shape


def two_pass(x, channel_axis):
    """Count, mean and variance by two passes in float64; NaN left out."""
    table, shape = columns(x, channel_axis)
    number = ~np.isnan(table)
    count = number.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.where(number, table, 0).sum(axis=0) / count
        var = np.where(number, (table - mean) ** 2, 0).sum(axis=0) / count
    return count.reshape(shape), mean.reshape(shape), var.reshape(shape)


def exact(values, weights=None):
    """Exact mean and variance of real numbers, as fractions."""
    values = [Fraction(float(value)) for value in np.asarray(values).ravel()]
    weights = [Fraction(1)] * len(values) if weights is None else [Fraction(float(w)) for w in weights]
    total = sum(weights)
    mean = sum(w * v for v, w in zip(values, weights, strict=True)) / total
    var = sum(w * (v - mean) ** 2 for v, w in zip(values, weights, strict=True)) / total
    return mean, var


def ulps(actual, expected, dtype):
    """Distance of `actual` (an array of `dtype`) from exact fractions, in units of its last place."""
    info = np.finfo(dtype)
    worst = 0.0
    for a, e in zip(np.asarray(actual).ravel(), expected, strict=True):
        size = abs(float(e))
        exponent = max(np.frexp(size)[1] - 1, info.minexp) if size else info.minexp
        ulp = Fraction(2) ** int(exponent) * Fraction(float(info.eps))
        worst = max(worst, float(abs(Fraction(float(a)) - e) / ulp))
    return worst

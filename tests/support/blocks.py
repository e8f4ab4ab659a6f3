"""What a median of means is, from NumPy."""

import numpy as np
from reference import reduced_axes

EPS = np.finfo(np.float64).eps


def oracle(x, n_blocks, channel_axis, weights=None):
    """Count, mean and variance: samples i, i + k, i + 2 k... of each block by two passes in float64, and medians."""
    x = np.asarray(x).astype(np.float64)
    axes = reduced_axes(x.ndim, channel_axis)
    weights = np.ones(x.shape) if weights is None else weights
    weights = np.where(np.isnan(x), 0, weights)
    blocks = np.arange(x.shape[axes[0]]) % n_blocks
    count, means, variances = 0, [], []
    for block in range(n_blocks):
        part, w = (np.compress(blocks == block, a, axis=axes[0]) for a in (np.nan_to_num(x), weights))
        total = w.sum(axis=axes)
        with np.errstate(invalid="ignore"):
            mean = (w * part).sum(axis=axes) / total
            var = (w * (part - np.expand_dims(mean, axes)) ** 2).sum(axis=axes) / total
        count = count + total
        means.append(np.where(total == 0, np.nan, mean))
        variances.append(np.where(total == 0, np.nan, var))
    means, variances = np.ma.masked_invalid(means), np.ma.masked_invalid(variances)
    return count, *(np.ma.median(values, axis=0) for values in (means, variances))


def assert_same(statistics, x, weights=None):
    count, mean, var = oracle(x, statistics.n_blocks, statistics.channel_axis, weights)
    size = np.abs(np.asarray(x).astype(np.float64))
    bound = 64 * EPS * (np.nanmax(size) if np.isfinite(size).any() else 1.0)
    np.testing.assert_allclose(statistics.count, count, rtol=1e-13)
    np.testing.assert_allclose(statistics.mean, np.ma.filled(mean, np.nan), rtol=64 * EPS, atol=bound)
    np.testing.assert_allclose(statistics.var, np.ma.filled(var, np.nan), rtol=1e-11, atol=bound**2)
    np.testing.assert_array_equal(statistics.std, np.sqrt(statistics.var))
    assert np.shape(statistics.mean) == np.shape(count)

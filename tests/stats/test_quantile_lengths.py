"""Sketches of streams of every length around the sizes of blocks, at every error that may be asked for."""

from functools import cache

import numpy as np
import pytest
from planish import RobustScaler
from planish.stats import Quantiles

#: What blocks, tiles, groups of rows and columns are cut by.
SIZES = [1, 8, 32, 64, 256, 512, 1024, 2048, 4096, 1 << 13, 1 << 15, 1 << 16]
LENGTHS = sorted({size + more for size in SIZES for more in (-33, -2, -1, 0, 1, 2, 33) if size + more > 0})
ERRORS = [1e-7, 1e-5, 1e-3, 0.002, 0.01, 0.03, 0.1, 0.2, 0.25, 0.3, 0.4, 0.49, np.nextafter(0.5, 0)]
Q = np.linspace(0, 1, 41)


@cache
def shuffled(length, columns=None):
    """0, 1, 2, ... in another order, in each of the columns if there are any."""
    if columns is None:
        return np.random.default_rng(length).permutation(length)
    return np.random.default_rng(length).permuted(np.tile(np.arange(length, dtype="f8"), (columns, 1)), axis=1).T


def check(quantiles, length, error):
    """`quantiles` are of 0, 1, 2, ... in any order: each is its own rank."""
    assert (quantiles[0], quantiles[-1]) == (0, length - 1)
    # The error is four standard deviations of what random streams show; twice that is out of reach.
    assert np.abs(quantiles - Q * (length - 1)).max() <= 2 * error * length + 1


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u2"])
def test_every_length(error, dtype):
    for length in LENGTHS:
        if dtype == "u2" and length > 1 << 16:
            continue
        x = shuffled(length).astype(dtype)
        whole = Quantiles(Q, channel_axis=None, rank_error=error).update(x)
        assert whole.count == length
        check(whole.quantiles, length, 0 if dtype == "u2" else error)
        # Parts, of which the last may be a single element.
        parts = Quantiles(Q, channel_axis=None, rank_error=error)
        for part in (x[: length // 2], x[length // 2 : -1], x[-1:]):
            parts.update(part)
        assert parts.count == length
        check(parts.quantiles, length, 0 if dtype == "u2" else error)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 65])
def test_every_length_of_several_columns(error, columns):
    for length in (1, 2, 31, 32, 33, 63, 64, 65, 127, 129, 4095, 4096, 4097, 4129):
        x = shuffled(length, columns)
        for table in (x, np.ascontiguousarray(x)):
            found = Quantiles(Q, rank_error=error).update(table).quantiles
            for column in found.T:
                check(column, length, error)


@pytest.mark.parametrize("error", [0.2, 0.45])
@pytest.mark.parametrize("length", [1 << 20, (1 << 20) + 1, (1 << 20) + 33, 1_015_807, 1_015_808, 1_015_809])
def test_long_streams_that_leave_a_few_elements(error, length):
    x = np.random.default_rng(0).permutation(length).astype("f8")
    quantiles = Quantiles(Q, channel_axis=None, rank_error=error).update(x)
    assert quantiles.count == length
    check(quantiles.quantiles, length, error)


def test_robust_scaler_of_a_block_and_a_little_more():
    longest = np.random.default_rng(5).standard_normal(4096 * 3200 + 2, dtype=np.float32)
    for more in (-1, 0, 1, 2):
        x = longest[: 4096 * 3200 + more]
        scaler = RobustScaler().partial_fit(x[:, None])
        middle = np.count_nonzero(x < scaler.center_[0]) / len(x)
        assert abs(middle - 0.5) <= 2 * 0.002

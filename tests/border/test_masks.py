"""Masks: every accumulator and scaler against NumPy's masked arrays."""

import itertools

import numpy as np
import planish
import pytest
import scipy.sparse
from arrays import DTYPES, arrays, channel_axes
from hypothesis import given
from hypothesis import strategies as st
from planish import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

pytestmark = pytest.mark.numeric

rng = np.random.default_rng(0)
SCALERS = [StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()]


def reduced(x, channel_axis):
    axes = () if channel_axis is None else (channel_axis,) if isinstance(channel_axis, int) else channel_axis
    return tuple(set(range(x.ndim)) - {axis % x.ndim for axis in axes})


@st.composite
def masks(draw, shape):
    """A mask of the shape, or one that broadcasts to it."""
    shape = tuple(1 if draw(st.integers(0, 3)) == 0 else length for length in shape)
    mask = np.random.default_rng(draw(st.integers(0, 99))).random(shape) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    if mask.ndim > 1 and draw(st.booleans()):
        mask = np.asfortranarray(mask)
    return mask[draw(st.integers(0, mask.ndim)) * (slice(None, None, -1),)] if mask.ndim else mask


@given(st.data())
def test_any_array_any_mask_any_channels(data):
    x = data.draw(arrays(nan=False))
    channel_axis, mask = data.draw(channel_axes(x.ndim)), data.draw(masks(x.shape))
    axes, wide = reduced(x, channel_axis), x.astype(np.float64)
    masked = np.ma.array(wide, mask=~np.broadcast_to(mask, x.shape))
    if not axes:
        masked, axes = masked[None], (0,)
    moments, extrema = Moments(channel_axis).update(x, mask=mask), Extrema(channel_axis).update(x, mask=mask)
    np.testing.assert_array_equal(moments.count, masked.count(axis=axes))
    np.testing.assert_array_equal(extrema.count, masked.count(axis=axes))
    scale = np.abs(wide).max(initial=0)
    np.testing.assert_allclose(
        moments.mean, np.ma.filled(masked.mean(axis=axes), np.nan), rtol=1e-12, atol=1e-12 * scale
    )
    np.testing.assert_allclose(moments.std, np.ma.filled(masked.std(axis=axes), np.nan), rtol=1e-6, atol=1e-7 * scale)
    np.testing.assert_array_equal(extrema.min, np.ma.filled(masked.min(axis=axes), np.nan))
    np.testing.assert_array_equal(extrema.max, np.ma.filled(masked.max(axis=axes), np.nan))


@pytest.mark.parametrize(
    ("where", "dtype"),
    [
        *(("elements", dtype) for dtype in DTYPES),
        # How a mask is spread over elements does not depend on what these are.
        *itertools.product(["samples", "features", "all"], [np.dtype("u1"), np.dtype("f4"), np.dtype("f8")]),
    ],
)
def test_large_arrays(dtype, where):
    """In many tiles, on several threads, to the last digits."""
    x = (rng.random((30_000, 20)) * 200).astype(dtype)
    shape = {"elements": x.shape, "samples": (len(x), 1), "features": (20,), "all": ()}[where]
    mask = rng.random(shape) < 0.6
    states = []
    for threads in (1, 3):
        with planish.num_threads(threads):
            states.append([A().update(x, mask=mask) for A in (Moments, Extrema, Quantiles)])
    assert states[0] == states[1]
    moments, extrema, quantiles = states[0]
    chosen = np.broadcast_to(mask, x.shape)
    for channel in range(20):
        numbers = x[chosen[:, channel], channel].astype(np.float64)
        assert moments.count[channel] == extrema.count[channel] == quantiles.count[channel] == len(numbers)
        if len(numbers):
            np.testing.assert_allclose(moments.mean[channel], numbers.mean(), rtol=1e-14)
            np.testing.assert_allclose(moments.var[channel], numbers.var(), rtol=1e-13)
            assert (extrema.min[channel], extrema.max[channel]) == (numbers.min(), numbers.max())
            numbers = np.sort(numbers)
            ranks = np.searchsorted(numbers, quantiles.quantiles[:, channel]) / len(numbers)
            last = np.searchsorted(numbers, quantiles.quantiles[:, channel], "right") / len(numbers)
            assert (ranks - 0.002 <= [0.25, 0.5, 0.75]).all()
            assert (last + 0.002 >= [0.25, 0.5, 0.75]).all()


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_scalers_fit_what_counts(scaler):
    x = rng.normal(size=(500, 4))
    mask = rng.random(x.shape) < 0.7
    spoiled = np.where(mask, x, np.inf)
    missing = np.where(mask, x, np.nan)
    expected = type(scaler)().fit(missing)
    for way in ("fit", "partial_fit"):
        ours = getattr(type(scaler)(), way)(spoiled, mask=mask)
        for name, value in vars(expected).items():
            if name.endswith("_") and not name.startswith("_"):
                np.testing.assert_allclose(getattr(ours, name), value, rtol=1e-15, err_msg=name)
    halves = type(scaler)().partial_fit(spoiled[:200], mask=mask[:200]).partial_fit(spoiled[200:], mask=mask[200:])
    np.testing.assert_allclose(halves.scale_, expected.scale_, rtol=1e-12)


def test_weights_and_mask_together():
    x, weights, mask = rng.normal(size=(300, 3)), rng.random(300), rng.random((300, 3)) < 0.5
    expected = Moments().update(x, weights=weights[:, None] * mask)
    ours = Moments().update(x, weights, mask)
    np.testing.assert_allclose(ours.count, expected.count, rtol=1e-14)
    np.testing.assert_allclose(ours.var, expected.var, rtol=1e-13)
    scaler = StandardScaler().fit(x, sample_weight=weights, mask=mask)
    np.testing.assert_allclose(scaler.mean_, expected.mean, rtol=1e-13, atol=1e-15)


def test_medians_of_means():
    x, mask = rng.normal(size=(203, 4, 3)), rng.random((203, 4, 1)) < 0.6
    spoiled, missing = np.where(mask, x, np.inf), np.where(mask, x, np.nan)
    for axis in (-1, (1, 2), None):
        ours, expected = MedianOfMeans(5, axis), MedianOfMeans(5, axis)
        for start in range(0, 203, 50):
            ours.update(spoiled[start : start + 50], mask=mask[start : start + 50])
            expected.update(missing[start : start + 50])
        np.testing.assert_array_equal(ours.count, expected.count)
        np.testing.assert_allclose(ours.mean, expected.mean, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(ours.var, expected.var, rtol=1e-13)
    fitted = StandardScaler(n_blocks=5).fit(spoiled, mask=mask)
    np.testing.assert_allclose(fitted.var_, StandardScaler(n_blocks=5).fit(missing).var_, rtol=1e-13)


def test_nan_and_mask_together():
    x = rng.normal(size=(100, 2))
    x[::3] = np.nan
    assert (Moments().update(x, mask=np.arange(100)[:, None] % 2 == 0).count == 33).all()


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (np.ones((5, 3), bool), ValueError, r"mask has shape \(5, 3\).*\(5, 2\)"),
        (np.ones(5, bool), ValueError, r"mask has shape \(5,\)"),
        (np.ones((5, 2)), TypeError, "mask has dtype float64"),
        (np.ones((5, 2), int), TypeError, "mask has dtype int64"),
        ("yes", TypeError, "mask has dtype"),
        ([[True], [True, False]], ValueError, "inhomogeneous"),
    ],
)
def test_bad_masks(scaler, mask, error, words):
    x = rng.normal(size=(5, 2))
    fitted = type(scaler)().partial_fit(x)
    before = fitted.scale_.copy()
    with pytest.raises(error, match=words):
        fitted.partial_fit(x, mask=mask)
    np.testing.assert_array_equal(fitted.scale_, before)
    for accumulator in (Moments(), Extrema(), Quantiles(), MedianOfMeans(2)):
        with pytest.raises(error, match=words):
            accumulator.update(x, mask=mask)


def test_what_takes_no_mask():
    x = np.eye(3)
    with pytest.raises(ValueError, match="dense"):
        StandardScaler(with_mean=False).fit(scipy.sparse.csr_array(x), mask=x > 0)
    with pytest.raises(ValueError, match="dense"):
        RobustScaler(with_centering=False).fit(scipy.sparse.csc_array(x), mask=x > 0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.uint16, np.int16])
def test_quantiles_of_small_integers_are_exact(dtype):
    info = None if dtype is bool else np.iinfo(dtype)
    x = rng.random((100_000, 3)) < 0.3 if info is None else rng.integers(info.min, info.max, (100_000, 3), dtype)
    mask = rng.random(x.shape) < 0.7
    q = [0.0, 0.1, 0.5, 0.9, 1.0]
    found = Quantiles(q).update(x[:40_000], mask=mask[:40_000]).update(x[40_000:], mask=mask[40_000:])
    found.update(x)
    for channel in range(3):
        values = np.concatenate([x[mask[:, channel], channel], x[:, channel]]).astype(np.float64)
        np.testing.assert_array_equal(found.quantiles[:, channel], np.quantile(values, q))

import pickle
from fractions import Fraction

import numpy as np
import planish
import pytest
from arrays import DTYPES, arrays, channel_axes, fill
from hypothesis import given, settings
from hypothesis import strategies as st
from planish.stats import Moments
from reference import exact, reduced_axes, two_pass

EPS = np.finfo(np.float64).eps


def assert_moments(moments, x, channel_axis):
    count, mean, var = two_pass(x, channel_axis)
    np.testing.assert_array_equal(moments.count, count)
    # Both sides round: by a few units of the last place of what they add up.
    size = np.abs(np.asarray(x).astype(np.float64))
    bound = 64 * EPS * (np.nanmax(size) if np.isfinite(size).any() else 1.0)
    np.testing.assert_allclose(moments.mean, mean, rtol=64 * EPS, atol=bound)
    np.testing.assert_allclose(moments.var, var, rtol=1e-12, atol=bound**2)
    assert np.shape(moments.mean) == count.shape


@pytest.mark.numeric
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_array_any_channels(data):
    x = data.draw(arrays())
    channel_axis = data.draw(channel_axes(x.ndim))
    before = x.tobytes()
    assert_moments(Moments(channel_axis).update(x), x, channel_axis)
    assert x.tobytes() == before


@pytest.mark.numeric
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_weights(data):
    x = data.draw(arrays())
    channel_axis = data.draw(channel_axes(x.ndim))
    weights = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 4, x.shape) / 2
    moments = Moments(channel_axis).update(x, weights)
    table = x.astype(np.float64)
    number = ~np.isnan(table) & (weights > 0)
    axes = reduced_axes(x.ndim, channel_axis)
    w = np.where(number, weights, 0)
    total = w.sum(axis=axes)
    with np.errstate(invalid="ignore"):
        mean = (w * np.where(number, table, 0)).sum(axis=axes) / total
        shift = np.expand_dims(mean, axes)
        var = (w * np.where(number, table - shift, 0) ** 2).sum(axis=axes) / total
    size = np.abs(np.where(number, table, 0)).max()
    np.testing.assert_allclose(moments.count, total)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-13, atol=64 * EPS * size)
    np.testing.assert_allclose(moments.var, var, rtol=1e-11, atol=(64 * EPS * size) ** 2)


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "channel_axis"),
    [
        ((5000, 3), -1),
        ((300, 64), -1),
        ((64, 300), 0),
        ((3, 40_000), 0),
        ((2, 3, 40, 41), 1),
        ((2, 40, 41, 3), -1),
        ((30, 5, 6, 3), (1, 2, 3)),
        ((70_000,), None),
        ((12, 5000), -1),
        ((50, 16, 7, 7), 1),
        ((1, 33), -1),
        ((33, 1), -1),
    ],
)
def test_usual_shapes(dtype, shape, channel_axis):
    x = fill(shape, dtype, 5)
    assert_moments(Moments(channel_axis).update(x), x, channel_axis)
    flipped = np.flip(x, reduced_axes(x.ndim, channel_axis))
    assert_moments(Moments(channel_axis).update(flipped), x, channel_axis)


@pytest.mark.numeric
def test_hundred_thousand_channels():
    x = np.random.default_rng(0).normal(size=(7, 100_000)).astype(np.float32)
    assert_moments(Moments().update(x), x, -1)
    assert_moments(Moments(0).update(x.T.copy()), x.T, 0)


@pytest.mark.numeric
def test_ten_million_rows_of_three():
    x = np.tile(np.array([[1, 2, 250], [3, 2, 255]], np.uint8), (5_000_000, 1))
    moments = Moments().update(x)
    np.testing.assert_array_equal(moments.count, 10_000_000)
    np.testing.assert_array_equal(moments.mean, [2, 2, 252.5])
    np.testing.assert_array_equal(moments.var, [1, 0, 6.25])


@pytest.mark.numeric
@pytest.mark.parametrize("offset", [0.0, 1e5, 1e12, -1e12])
@pytest.mark.parametrize("axis_order", ["C", "F"])
def test_exact_rational_reference(offset, axis_order):
    x = np.random.default_rng(3).normal(size=(3001, 3)) + offset
    x = np.asarray(x, order=axis_order)
    moments = Moments().update(x)
    for channel in range(3):
        mean, var = exact(x[:, channel])
        # The rounding of the result, and that of one deviation: a two-pass sum of n rounds n times.
        assert abs(float(moments.mean[channel]) - mean) <= EPS / 2 * (abs(mean) + Fraction(float(var) ** 0.5))
        assert abs(float(moments.var[channel]) - var) <= 4 * EPS * var


@pytest.mark.parametrize("offset", [0.0, 1e12])
def test_a_hundred_thousand_batches_lose_nothing(offset):
    x = np.random.default_rng(4).normal(size=100_000) + offset
    streamed, merged = Moments(None), Moments(None)
    for value in x:
        streamed.update(value.reshape(1))
        merged += Moments(None).update(value.reshape(1))
    mean, var = exact(x)
    for moments in (streamed, merged):
        assert moments.count == 100_000
        assert abs(float(moments.mean) - mean) <= EPS * abs(mean)
        assert abs(float(moments.var) - var) <= 4 * EPS * var


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "?"])
def test_integers_are_exact_and_split_as_you_like(dtype):
    rng = np.random.default_rng(6)
    x = rng.integers(0, 2**32, size=(4099, 5), dtype=np.uint64).astype(np.dtype(dtype))
    whole = Moments().update(x)
    pieces = Moments()
    for piece in np.array_split(rng.permutation(x), 37):
        pieces.update(piece)
    assert pieces == whole
    for channel in range(5):
        mean, var = exact(x[:, channel])
        assert abs(float(whole.mean[channel]) - mean) <= EPS / 2 * abs(mean)
        assert abs(float(whole.var[channel]) - var) <= EPS * var


@pytest.mark.numeric
@pytest.mark.parametrize("layout", ["C", "F", "nchw", "gather"])
def test_threads_change_no_bit(layout):
    x = np.random.default_rng(7).normal(size=(2000, 257)).astype(np.float32)
    x[np.random.default_rng(8).random(x.shape) < 0.01] = np.nan
    axis = -1
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "nchw":
        x, axis = x.reshape(50, 8, 5, 257), 1
    elif layout == "gather":
        x = x[:, ::2]
    results = []
    for threads in (1, 2, 3, 8):
        with planish.num_threads(threads):
            results.append(Moments(axis).update(x))
    assert all(result == results[0] for result in results)


@pytest.mark.numeric
def test_simd_levels_change_no_bit():
    from planish._core import simd_level

    x = np.random.default_rng(9).normal(size=(3000, 31)).astype(np.float32)
    best = simd_level()
    results = []
    for level in ("baseline", "avx2", "avx512"):
        try:
            simd_level(level)
        except ValueError:
            continue
        results.append(Moments().update(x))
    simd_level(best)
    assert results
    assert all(result == results[0] for result in results)


@pytest.mark.numeric
def test_nan_is_skipped_and_all_nan_is_nan():
    x = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan]])
    moments = Moments().update(x)
    np.testing.assert_array_equal(moments.count, [2, 1, 0])
    np.testing.assert_array_equal(moments.mean, [1.5, 5, np.nan])
    np.testing.assert_array_equal(moments.var, [0.25, 0, np.nan])
    np.testing.assert_array_equal(Moments(ddof=1).update(x).var, [0.5, np.nan, np.nan])


@pytest.mark.numeric
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_infinity_is_refused_and_nothing_changes(dtype, value):
    moments = Moments().update(np.ones((4, 3)))
    before = pickle.dumps(moments)
    x = np.ones((1000, 3), dtype)
    x[777, 1] = value
    x[5, 1] = np.nan
    with pytest.raises(ValueError, match="infinity"):
        moments.update(x)
    with pytest.raises(ValueError, match="infinity"):
        moments.update(x, np.ones(1000))
    assert pickle.dumps(moments) == before


@pytest.mark.numeric
def test_empty_arrays_and_the_identity():
    some = Moments().update(np.arange(6.0).reshape(2, 3))
    assert (Moments() + some) == some == (some + Moments())
    assert Moments().count == 0
    empty = Moments().update(np.empty((0, 3)))
    np.testing.assert_array_equal(empty.count, [0, 0, 0])
    np.testing.assert_array_equal(empty.mean, [np.nan] * 3)
    np.testing.assert_array_equal((empty + some).mean, some.mean)
    assert Moments().update(np.empty((3, 0))).mean.shape == (0,)
    assert np.isnan(Moments(None).update(np.empty((0, 4))).mean)


@pytest.mark.numeric
def test_scalars_for_one_channel():
    moments = Moments(None).update(np.arange(5))
    assert isinstance(moments.mean, np.float64)
    assert isinstance(moments.count, np.int64)
    assert (moments.mean, moments.var, moments.std) == (2.0, 2.0, np.sqrt(2.0))
    assert Moments(0).update(np.arange(5)).mean.tolist() == [0, 1, 2, 3, 4]


def test_pickle_goes_on_where_it_was():
    rng = np.random.default_rng(1)
    a, b, ints = rng.normal(size=(50, 2)), rng.normal(size=(9, 2)), rng.integers(0, 9, (7, 2), dtype=np.uint8)
    moments = Moments(ddof=1).update(a).update(ints)
    copy = pickle.loads(pickle.dumps(moments))
    assert copy == moments
    assert copy.ddof == 1
    assert copy.update(b) == moments.update(b)
    with pytest.raises(ValueError, match="version"):
        Moments().__setstate__({"version": 99})
    state, empty = moments.__getstate__(), Moments().__getstate__()
    negative, far, long = (state["sums"].copy() for _ in range(3))
    negative[0, 6] = 2**64 - 5  # the first limb of the count
    far[0, 0] = 2**63
    long[0, 1] = 2**40
    for bad in (
        {**state, "sums": state["sums"][:1]},
        {**state, "sums": state["sums"][:, :-1]},
        {**state, "sums": negative},
        {**state, "sums": far},
        {**state, "sums": long},
        {**state, "sums": np.zeros_like(negative) + np.uint64(7)},
        {**state, "sums": state["sums"].astype("f8")},
        {**state, "sums": "none"},
        {**state, "shape": [-1]},
        {**state, "version": -1},
        {**empty, "shape": [4]},
        {**empty, "shape": []},
        {**empty, "shape": [2**40, 2**40]},
        {},
    ):
        with pytest.raises(ValueError, match="saved state"):
            Moments().__setstate__(bad)


@pytest.mark.numeric
def test_from_stats_goes_on():
    x, y = np.random.default_rng(2).normal(size=(2, 40, 3))
    known = Moments.from_stats(40, x.mean(0), x.var(0))
    both = Moments().update(np.concatenate([x, y]))
    np.testing.assert_allclose(known.update(y).var, both.var, rtol=1e-13)
    for bad in [(0, [1.0], [1.0]), (1, [1.0], [-1.0]), (1, [np.nan], [1.0]), (1, [1.0], [1.0, 2.0])]:
        with pytest.raises(ValueError, match="count|mean|var"):
            Moments.from_stats(*bad)


@pytest.mark.numeric
def test_lists_and_array_likes():
    class Like:
        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0], [3.0]])

    class Capsule:
        def __init__(self):
            self.array = np.array([[1.0], [3.0]])

        def __dlpack__(self, **kwargs):
            return self.array.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    for x in ([[1], [3]], Like(), Capsule()):
        assert Moments().update(x).mean == [2.0]


@pytest.mark.parametrize(
    "x",
    [
        np.ones((2, 2), complex),
        np.array([[1, "a"]], object),
        np.array([["a"]]),
        np.array([["2020-01-01"]], "M8[D]"),
        np.ones((2, 2), ">f8"),
        np.ones((2, 2), np.longdouble),
        np.zeros(3, [("a", "f4")]),
    ],
    ids=["complex", "object", "str", "datetime", "big-endian", "longdouble", "record"],
)
def test_wrong_dtypes(x):
    with pytest.raises(TypeError, match="^x has dtype"):
        Moments().update(x)


@pytest.mark.parametrize(
    ("channel_axis", "error", "match"),
    [
        (2, ValueError, r"channel_axis=2 is out of range for an array of 2"),
        (-3, ValueError, "channel_axis=-3 is out of range"),
        ((0, -2), ValueError, r"channel_axis=\(0, -2\) names an axis twice"),
        ("rows", TypeError, "channel_axis must be an int"),
        (1.5, TypeError, "channel_axis must be an int"),
        (True, TypeError, "channel_axis must be an int"),
        (([1],), TypeError, "channel_axis must be an int"),
    ],
)
def test_wrong_axes(channel_axis, error, match):
    with pytest.raises(error, match=match):
        Moments(channel_axis).update(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        (np.ones(3), ValueError),
        (np.ones((4, 1)), ValueError),
        (np.array([1.0, -1, 1, 1]), ValueError),
        (np.array([1.0, np.nan, 1, 1]), ValueError),
        (np.array([1.0, np.inf, 1, 1]), ValueError),
        (np.array(["a"] * 4), ValueError),
        (np.ones(4, complex), TypeError),
    ],
    ids=["short", "2-D", "negative", "nan", "inf", "str", "complex"],
)
def test_wrong_weights(weights, error):
    moments = Moments()
    with pytest.raises(error):
        moments.update(np.ones((4, 2)), weights)
    assert moments == Moments()


@pytest.mark.numeric
def test_weights_need_a_sample_axis():
    with pytest.raises(ValueError, match="axis 0, which channel_axis keeps"):
        Moments(0).update(np.ones((4, 2)), np.ones(4))


def test_other_channels_are_refused():
    moments = Moments().update(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"x has channels of shape \(4,\)"):
        moments.update(np.ones((2, 4)))
    with pytest.raises(ValueError, match="other has channels of shape"):
        moments.merge(Moments().update(np.ones((2, 4))))
    with pytest.raises(TypeError):
        moments + 1
    with pytest.raises(ValueError, match="ddof"):
        Moments(ddof=-1)

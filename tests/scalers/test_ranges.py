"""What `MinMaxScaler` promises of the fitted data: the ends of the range are met exactly, and nothing passes them."""

import ml_dtypes
import numpy as np
import pytest
import sklearn.preprocessing
from planish import GroupedScaler, MinMaxScaler, minmax_scale

FLOATS = [np.dtype(t) for t in ("f2", ml_dtypes.bfloat16, "f4", "f8")]
INTEGERS = [np.dtype(t) for t in ("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")]
RANGES = [
    *((0, 1), (-1, 1), (-1, 0), (0, 255), (0, 0.1), (0.1, 0.3), (-0.3, 0.1), (-0.7, -0.1), (5, 6), (1000, 1000.5)),
    *((-1e-30, 1e-20), (1e-280, 2e-280), (-1e300, 1e300), (-3, 1e-20), (-1e-20, 3), (1e10, 1e10 + 1)),
    # Ties between two numbers of 16 or 32 bits, rounded up and down.
    *((0, 3001), (0, 3003), (-3001, 0), (1, 257), (-259, 5), (0, 1 + 2**-24), (-1, 1 + 3 * 2**-24), (0, 1 + 2**-11)),
    *((0, 1 + 2**-11 + 2**-40), (0, 1 + 2**-11 - 2**-40), (-(1 + 2**-8 + 2**-30), 0.5)),
]


def samples(dtype, seed=0):
    """Channels of many kinds, each with many values near its ends."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.random((50, 4)) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, (200, 6), dtype, endpoint=True)
    columns = [
        rng.normal(size=200),
        rng.normal(1e3, 1, 200),
        rng.uniform(-3, -0.7, 200),
        rng.uniform(0, 1, 200) ** 9,
        rng.normal(0, 1e-3, 200),
        rng.choice([0.1, 0.7, 0.3], 200),
        rng.normal(0, 1e4, 200),
    ]
    x = np.stack(columns, axis=1).astype(dtype)
    # Neighbours of the ends, on the inner side.
    for end, inner in ((x.argmax(0), -1), (x.argmin(0), 1)):
        for j, i in enumerate(end):
            step = np.nextafter(x[i, j], np.array(inner * np.inf, dtype)) if dtype.kind == "f" else x[i, j]
            x[(i + 1) % 200, j] = step
    return x


def rounded(value, dtype):
    """Round a number to `dtype` once; casts to bfloat16 go by way of float32."""
    if dtype.name == "bfloat16":
        mantissa, exponent = np.frexp(np.float64(value))
        value = np.ldexp(np.rint(mantissa * 2**8), exponent - 8)
    return np.array(value).astype(dtype)


def assert_within(y, x, feature_range, axis=0):
    """The ends are met where the data have theirs; results ascend with the data."""
    a, b = (rounded(end, y.dtype) for end in feature_range)
    assert (y.min(axis) == a).all()
    assert ((y.max(axis) == b) | (x.min(axis) == x.max(axis))).all()
    order = np.argsort(x, axis, kind="stable")
    ascending = np.take_along_axis(y, order, axis).astype(np.float64)
    ascending = np.moveaxis(ascending, axis, 0)
    assert (ascending[1:] >= ascending[:-1]).all()


@pytest.mark.parametrize("feature_range", RANGES, ids=str)
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=lambda dtype: dtype.name)
@pytest.mark.filterwarnings("ignore:overflow")
def test_ends_are_met(dtype, feature_range):
    x = samples(dtype)
    scaler = MinMaxScaler(feature_range).fit(x)
    assert_within(scaler.transform(x), x, feature_range)
    for result in FLOATS:
        y = MinMaxScaler(feature_range, dtype=result).fit_transform(x)
        assert y.dtype == result
        assert_within(y, x, feature_range)
        clipped = MinMaxScaler(feature_range, dtype=result, clip=True).fit_transform(x)
        assert clipped.tobytes() == y.tobytes()


@pytest.mark.parametrize("feature_range", RANGES, ids=str)
def test_ways_to_the_same_map(feature_range):
    x = samples(np.dtype("f8"), 3)
    fitted = MinMaxScaler(feature_range).fit(x)
    y = fitted.transform(x)
    apart = MinMaxScaler(feature_range).fit(x[:77]).merge(MinMaxScaler(feature_range).fit(x[77:]))
    streamed = MinMaxScaler(feature_range).partial_fit(x[:9]).partial_fit(x[9:])
    known = MinMaxScaler.from_stats(x.min(0), x.max(0), feature_range=feature_range)
    theirs = sklearn.preprocessing.MinMaxScaler(feature_range=feature_range).fit(x)
    for scaler in (apart, streamed, known, MinMaxScaler.from_sklearn(theirs)):
        assert scaler.transform(x).tobytes() == y.tobytes()
    # Wherever the axis and the memory are.
    rows = MinMaxScaler(feature_range, channel_axis=0).fit_transform(x.T)
    assert rows.T.tobytes() == y.tobytes()
    for axis, data in ((0, x), (1, x.T)):
        assert_within(minmax_scale(data, feature_range, axis=axis), data, feature_range, axis)
    assert_within(minmax_scale(x[:, 0], feature_range), x[:, 0], feature_range)
    whole = MinMaxScaler(feature_range, channel_axis=None).fit_transform(x)
    assert_within(whole.ravel(), x.ravel(), feature_range)
    wide = np.asfortranarray(np.repeat(x, 2, axis=1))[:, ::2]
    assert MinMaxScaler(feature_range).fit_transform(wide).tobytes() == y.tobytes()
    out = np.empty_like(x)
    assert fitted.transform(x, out=out) is out
    assert out.tobytes() == y.tobytes()
    there = x.copy()
    assert MinMaxScaler(feature_range, copy=False).fit_transform(there) is there
    assert there.tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype("u1")], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("feature_range", [(0, 1), (-1, 0), (-0.3, 0.1), (0, 3001)], ids=str)
def test_groups(feature_range, dtype):
    x = samples(dtype, 5)
    labels = np.arange(len(x)) % 7
    labels[:20] = 8
    scaler = GroupedScaler(MinMaxScaler(feature_range)).fit(x, groups=labels)
    y = scaler.transform(x, groups=labels)
    for label in scaler.groups_.tolist():
        part = labels == label
        assert_within(y[part], x[part], feature_range)
        assert scaler.scalers_[label].transform(x[part]).tobytes() == y[part].tobytes()


@pytest.mark.parametrize("feature_range", RANGES, ids=str)
def test_inverse_meets_the_data(feature_range):
    x = samples(np.dtype("f8"), 7)
    scaler = MinMaxScaler(feature_range).fit(x)
    a, b = feature_range
    back = scaler.inverse_transform(np.array([[a] * 7, [b] * 7], dtype=np.float64))
    # To a hundred bits of the range of the data.
    for found, end in zip(back, (x.min(0), x.max(0)), strict=True):
        assert (np.abs(found - end) <= 2.0**-100 * np.ptp(x, axis=0)).all()


def test_what_was_not_fitted_goes_beyond_the_range():
    scaler = MinMaxScaler((-1, 1)).fit([[0.0], [10.0]])
    np.testing.assert_array_equal(scaler.transform([[-10.0], [20.0], [15.0]]), [[-3.0], [3.0], [2.0]])
    clipped = MinMaxScaler((-1, 1), clip=True).fit([[0.0], [10.0]])
    np.testing.assert_array_equal(clipped.transform([[-10.0], [20.0], [2.5]]), [[-1.0], [1.0], [-0.5]])


def test_constants_go_to_the_lower_end():
    for feature_range in RANGES:
        y = MinMaxScaler(feature_range).fit_transform(np.full((3, 2), 7.25))
        np.testing.assert_array_equal(y, np.full((3, 2), feature_range[0], np.float64))


@pytest.mark.parametrize("seed", range(30))
def test_any_range(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        a, b = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-20, 20, 2))
        x = rng.normal(rng.normal() * 10.0 ** rng.integers(-3, 12), 10.0 ** rng.integers(-3, 6), (40, 3))
        assert_within(MinMaxScaler((a, b)).fit_transform(x), x, (a, b))
        half = x.astype(np.float32)
        assert_within(MinMaxScaler((a, b)).fit_transform(half), half, (a, b))

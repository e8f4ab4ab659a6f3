"""Logarithms: exact to the digits that are promised, of any array, and back."""

import pickle
import tracemalloc

import ml_dtypes
import numpy as np
import pandas as pd
import planish
import pytest
from arrays import FLOATS, arrays, channel_axes
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import LogScaler, StandardScaler, _blocks
from reference import kept_axes
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

BASES = ["e", 2, 10, 3, 7.3, 0.5, 1.01]
WIDE = np.longdouble
needs_wide = pytest.mark.skipif(np.finfo(WIDE).nmant < 60, reason="longdouble is no wider than float64 here")


def exact(x, scaler, offset=None, scale=None):
    """What `scaler` should give, in wider numbers, and the logarithm alone."""
    x = x.astype(np.float64).astype(WIDE)
    log = np.log1p(x) if scaler.log1p else np.log(x)
    if scaler.base != "e":
        log = log / np.log(WIDE(scaler.base))
    offset = scaler.offset if offset is None else offset
    scale = WIDE(scaler.scale if scale is None else scale)
    return (log - WIDE(offset)) / scale, log / scale


def spacing(x, dtype):
    """Unit in the last place of `dtype`."""
    info = ml_dtypes.finfo(dtype)
    return np.ldexp(WIDE(info.eps), np.maximum(np.frexp(np.abs(x))[1] - 1, int(info.minexp)))


def numbers(dtype, seed=0, size=50_000):
    x = np.exp(np.random.default_rng(seed).normal(0, 3, size))
    x[: size // 4] = 1 + np.random.default_rng(seed).normal(0, 0.1, size // 4)
    x = np.abs(x)[(x > 0) & (x < 1e4)].astype(dtype)
    return x[x > 0].reshape(-1, 1)


# --- numbers ---------------------------------------------------------------------------------------------------------


@needs_wide
@pytest.mark.parametrize("log1p", [False, True])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_digits(dtype, base, log1p):
    x = numbers(dtype)
    for offset, scale in [(0, 1), (0, 1.3), (0.7, 1), (-2.3, -1.9), (1e-3, 1e-3)]:
        scaler = LogScaler(base, offset, scale, log1p=log1p)
        y = scaler.transform(x)
        assert y.dtype == dtype
        expected, log = exact(x, scaler)
        error = np.abs(y.astype(np.float64).astype(WIDE) - expected)
        if dtype == np.float64:
            # The error of the logarithm, where the offset cancels it.
            ulps = error / spacing(np.maximum(abs(expected), abs(log)), dtype)
            assert ulps.max() <= (2 if base == "e" else 3)
        else:
            ulps = (error - 2 * spacing(log, np.float64)) / spacing(expected, dtype)
            assert ulps[abs(expected) < float(ml_dtypes.finfo(dtype).max)].max() <= 1


@needs_wide
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8"])
def test_integers_give_float64(dtype):
    x = np.arange(1, 128).astype(dtype)[:, None]
    y = LogScaler().transform(x)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, np.log(np.float64(x)), rtol=4e-16)
    assert LogScaler(dtype="float32").transform(x).dtype == np.float32


def test_powers_are_exact():
    powers = np.arange(-300, 301)
    np.testing.assert_array_equal(LogScaler(2).transform(2.0 ** powers[:, None])[:, 0], powers)
    decades = np.array([[10.0**n] for n in range(23)])
    np.testing.assert_array_equal(LogScaler(10).transform(decades)[:, 0], np.arange(23))
    np.testing.assert_array_equal(LogScaler(10).inverse_transform([[3.0], [-1.0]]), [[1000.0], [0.1]])
    np.testing.assert_array_equal(LogScaler(2).inverse_transform([[10.0]]), [[1024.0]])


def test_small_counts_keep_their_digits():
    x = np.array([[0.0, 1e-20, 1e-300]])
    np.testing.assert_array_equal(LogScaler(log1p=True).transform(x), x)
    np.testing.assert_array_equal(LogScaler(log1p=True).inverse_transform(x), x)


@pytest.mark.parametrize("log1p", [False, True])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_inverse(dtype, base, log1p):
    x = numbers(dtype, seed=1)
    scaler = LogScaler(base, 0.3, -1.7, log1p=log1p, dtype="float64")
    back = scaler.inverse_transform(scaler.transform(x))
    np.testing.assert_allclose(back, x.astype(np.float64), rtol=1e-13, atol=1e-14)
    rounded = clone(scaler).set_params(dtype=None).inverse_transform(x)
    assert rounded.dtype == dtype
    expected = scaler.inverse_transform(x)
    expected[expected > float(ml_dtypes.finfo(dtype).max)] = np.inf
    tiny = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    np.testing.assert_allclose(np.float64(rounded), expected, rtol=float(ml_dtypes.finfo(dtype).eps), atol=tiny)


def test_infinite_where_it_is_too_large():
    assert LogScaler().inverse_transform([[1000.0]]).item() == np.inf
    assert LogScaler().inverse_transform(np.float16([[12.0]])).item() == np.inf


@pytest.mark.parametrize("channel_axis", [-1, 1, -3, (1, 3), None, ()])
def test_channels(channel_axis):
    x = np.random.default_rng(2).random((3, 4, 5, 6)) + 0.1
    kept = kept_axes(4, channel_axis)
    shape = [x.shape[axis] for axis in kept]
    wide = [x.shape[axis] if axis in kept else 1 for axis in range(4)]
    rng = np.random.default_rng(3)
    offset, scale = rng.normal(size=shape), rng.random(size=shape) + 0.5
    expected = (np.log(x) - offset.reshape(wide)) / scale.reshape(wide)
    for a, b in [(offset, scale), (offset.tolist(), scale.tolist())]:
        scaler = LogScaler(offset=a, scale=b, channel_axis=channel_axis).fit(x)
        np.testing.assert_allclose(scaler.transform(x), expected, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(scaler.inverse_transform(expected), x, rtol=1e-13)
    mixed = LogScaler(offset=offset, scale=2, channel_axis=channel_axis).transform(x)
    np.testing.assert_allclose(mixed, (np.log(x) - offset.reshape(wide)) / 2, rtol=1e-13, atol=1e-14)


# --- arrays ----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_array(data):
    x = data.draw(arrays(min_dims=2))
    axis = data.draw(channel_axes(x.ndim))
    shape = [x.shape[a] for a in kept_axes(x.ndim, axis)]
    constants = np.random.default_rng(0).random((2, *shape)) + 0.5
    scaler = LogScaler(offset=constants[0], scale=constants[1], channel_axis=axis, log1p=True, invalid="nan")
    y = scaler.transform(x)
    assert y.dtype == (x.dtype if x.dtype in FLOATS else np.float64)
    wide = [x.shape[a] if a in kept_axes(x.ndim, axis) else 1 for a in range(x.ndim)]
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.log1p(x.astype(np.float64))
    expected[np.isneginf(expected)] = np.nan
    expected = (expected - constants[0].reshape(wide)) / constants[1].reshape(wide)
    rtol = float(ml_dtypes.finfo(y.dtype).eps) + 1e-14
    # Below the smallest normal number steps are even.
    atol = float(ml_dtypes.finfo(y.dtype).smallest_subnormal) + 1e-14
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=rtol, atol=atol)
    out = np.empty([2 * n for n in x.shape], y.dtype)[tuple(slice(None, None, -2) for _ in x.shape)]
    assert scaler.transform(x, out=out) is out
    assert out.tobytes() == y.tobytes()
    assert scaler.inverse_transform(y, out=out).tobytes() == scaler.inverse_transform(y).tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(400_000, 3), (3, 400_000), (2, 700, 700), (5, 1_000, 130, 3), (1_000_000, 1)])
@pytest.mark.parametrize("order", "CF")
def test_many_blocks_and_threads(shape, order, dtype):
    x = np.asarray(np.random.default_rng(4).random(shape) + 0.5, dtype, order=order)
    constants = np.random.default_rng(5).random((2, shape[-1])) + 1
    scaler = LogScaler(10, *constants)
    expected = (np.log10(x.astype("f8")) - constants[0]) / constants[1]
    results = []
    for threads in (1, 2, 5):
        with planish.num_threads(threads):
            results += [scaler.transform(x), scaler.transform(x[::-1])[::-1], scaler.transform(x.copy(), copy=False)]
            back = scaler.inverse_transform(results[-1])
    np.testing.assert_allclose(results[0], expected, rtol=1e-6 if dtype == "f4" else 1e-13, atol=1e-14)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    np.testing.assert_allclose(back, x, rtol=1e-5 if dtype == "f4" else 1e-13)


def test_blocks_cover_everything_once():
    rng = np.random.default_rng(6)
    for _ in range(200):
        shape = rng.integers(1, [2000, 200, 30][: rng.integers(1, 4)], endpoint=True)
        if np.prod(shape) > 3_000_000:
            continue
        x = np.zeros(shape, np.uint8).transpose(rng.permutation(len(shape)))
        sizes = []
        for index in _blocks.blocks(x):
            block = x[index]
            assert _blocks.shaped(_blocks.scratch(x), block).shape == block.shape
            sizes.append(block.size)
            block += 1
        assert (x == 1).all()
        assert max(sizes) <= _blocks.LARGEST
        assert len(sizes) <= 1 + 4 * x.size / _blocks.LARGEST


def test_in_place_and_out():
    x = np.random.default_rng(7).random((50, 4)) + 0.5
    expected = LogScaler(scale=2).transform(x)
    copy = x.copy()
    assert LogScaler(scale=2, copy=False).transform(copy) is copy
    np.testing.assert_array_equal(copy, expected)
    assert LogScaler(scale=2).inverse_transform(copy, copy=False) is copy
    np.testing.assert_allclose(copy, x, rtol=1e-14)
    view = x.copy()
    assert LogScaler(scale=2).transform(view, out=view[:]) is not view
    np.testing.assert_array_equal(view, expected)
    counts = np.arange(1, 9).reshape(2, 4)
    assert LogScaler(copy=False).transform(counts) is not counts
    fixed = x.copy()
    fixed.flags.writeable = False
    assert LogScaler(copy=False).transform(fixed) is not fixed
    for out, error, says in [
        (np.empty((50, 4), "f4"), TypeError, "out has dtype float32; the result has dtype float64"),
        (np.empty((5, 4)), ValueError, "out has shape"),
        ([1], TypeError, "out must be a NumPy array; got list"),
        (fixed, ValueError, "out is read-only"),
        (np.lib.stride_tricks.as_strided(np.empty(4), (50, 4), (0, 8)), ValueError, "several elements in the same"),
    ]:
        for call in (LogScaler().transform, LogScaler().inverse_transform):
            with pytest.raises(error, match=says):
                call(x, out=out)
    memory = np.ones((60, 4))
    with pytest.raises(ValueError, match="out overlaps the input"):
        LogScaler().transform(memory[:50], out=memory[1:51])


def test_memory_is_that_of_the_result():
    x = np.ones((1_000_000, 3), np.float32)
    out = np.empty_like(x)
    tracemalloc.start()
    try:
        LogScaler(10, [1, 2, 3], 2).transform(x, out=out)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


# --- what has no logarithm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 4), (60_000, 4), (2, 300, 500, 3)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", "bool"])
@pytest.mark.parametrize("log1p", [False, True])
def test_invalid_values(dtype, shape, log1p):
    x = np.ones(shape, dtype)
    if log1p and dtype in ("u1", "bool"):
        return
    places = [(1, *(n // 2 for n in shape[1:])), tuple(n - 1 for n in shape)]
    bad = -1 if log1p else 0
    x[places[0]] = x[places[1]] = bad
    if dtype == "f4":
        x[0, 0] = np.nan
    before = x.copy()
    for scaler in (LogScaler(log1p=log1p), LogScaler(log1p=log1p, copy=False)):
        for call in (scaler.transform, scaler.fit):
            with pytest.raises(ValueError, match="without a logarithm") as raised:
                call(x)
            text = str(raised.value)
            assert f"contains 2 number(s) without a logarithm, the first at {places[0]}: {before[places[0]]}" in text
            assert f"numbers above {bad} are accepted" in text
            np.testing.assert_array_equal(x, before)
    expected = np.full(shape, np.log1p(1.0) if log1p else 0.0)
    expected[places[0]] = expected[places[1]] = np.nan
    if dtype == "f4":
        expected[0, 0] = np.nan
    for copy in (True, False):
        y = LogScaler(log1p=log1p, invalid="nan").fit(x).transform(x.copy(), copy=copy)
        np.testing.assert_allclose(y, expected, rtol=1e-3)


def test_the_limits():
    x = np.array([[5e-324, np.nextafter(0, -1), -0.0, -5.0]])
    assert np.isnan(LogScaler(invalid="nan").transform(x)).tolist() == [[False, True, True, True]]
    x = np.array([[np.nextafter(-1, 0), -1.0, np.nextafter(-1, -2), -5.0]])
    assert np.isnan(LogScaler(invalid="nan", log1p=True).transform(x)).tolist() == [[False, True, True, True]]


@pytest.mark.parametrize("invalid", ["error", "nan"])
@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_infinity_is_an_error(dtype, bad, size, invalid):
    x = np.ones((size, 3), dtype)
    x[-1, 1] = bad
    before = x.copy()
    scaler = LogScaler(invalid=invalid, scale=2)
    for call in (scaler.fit, scaler.transform, scaler.inverse_transform):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            call(x)
    for call in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            call(x, copy=False)
        np.testing.assert_array_equal(x, before)


def test_infinity_where_scikit_learn_is_told_of_none():
    import sklearn

    with sklearn.config_context(assume_finite=True):
        assert LogScaler().transform([[np.inf]]).item() == np.inf
        assert np.isnan(LogScaler(invalid="nan").transform([[-np.inf]]))
        with pytest.raises(ValueError, match="without a logarithm"):
            LogScaler().transform([[-np.inf]])


# --- scikit-learn ----------------------------------------------------------------------------------------------------


@parametrize_with_checks([LogScaler(log1p=True), LogScaler(2, log1p=True, invalid="nan"), LogScaler(invalid="nan")])
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"base": 1}, "base must be"),
        ({"base": 0}, "base must be"),
        ({"base": -2.0}, "base must be"),
        ({"base": np.inf}, "base must be"),
        ({"base": np.nan}, "base must be"),
        ({"base": True}, "base must be"),
        ({"base": "2"}, "base"),
        ({"base": [2]}, "base"),
        ({"scale": 0}, "scale must not be zero"),
        ({"scale": [1, 0]}, "scale must not be zero"),
        ({"scale": 1e308, "base": 1e300}, "out of range"),
        ({"offset": np.nan}, "offset must be finite"),
        ({"offset": [1, 2, 3]}, r"X has channels of shape \(2,\); offset has shape \(3,\)"),
        ({"offset": [[1, 2]]}, "offset must have one axis"),
        ({"scale": [1, 2], "channel_axis": None}, "scale must have one axis"),
        ({"channel_axis": 2}, "out of range"),
        ({"channel_axis": (1, -1)}, "twice"),
        ({"dtype": "int8"}, "int8 is no dtype of results"),
    ],
)
def test_wrong_parameters(parameters, says):
    x = np.ones((3, 2))
    with pytest.raises((TypeError, ValueError), match=says):
        LogScaler(**parameters).transform(x)
    if "dtype" not in parameters:
        with pytest.raises((TypeError, ValueError), match=says):
            LogScaler(**parameters).fit(x)


@pytest.mark.parametrize("parameters", [{"invalid": "ignore"}, {"log1p": 1}, {"copy": "yes"}, {"offset": "x"}])
def test_parameters_are_checked_by_fit(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        LogScaler(**parameters).fit([[1.0]])


def test_in_a_pipeline():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(np.exp(rng.normal(size=(200, 2))), columns=["income", "age"])
    y = np.log(frame["income"]) * 3 - np.log(frame["age"])
    model = make_pipeline(LogScaler(10, [1, 2]), StandardScaler(), LinearRegression()).fit(frame, y)
    assert model.score(frame, y) > 1 - 1e-12
    scaler = LogScaler(10).set_output(transform="pandas").fit(frame)
    result = scaler.transform(frame)
    assert isinstance(result, pd.DataFrame)
    assert list(result.columns) == scaler.get_feature_names_out().tolist() == ["income", "age"]
    np.testing.assert_allclose(result, np.log10(frame), rtol=1e-14, atol=1e-15)
    assert type(scaler.transform(frame, out=np.empty((200, 2)))) is np.ndarray
    with pytest.raises(ValueError, match="feature names"):
        scaler.transform(frame[["age", "income"]])
    with pytest.raises(ValueError, match="X has 3 features, but LogScaler is expecting 2"):
        LogScaler().fit(np.ones((2, 2))).transform(np.ones((2, 3)))
    with pytest.raises(TypeError, match="[Ss]parse"):
        LogScaler().fit(csr_array(np.eye(2)))


@pytest.mark.parametrize("scaler", [LogScaler(), LogScaler(10, [1.0, 2.0], np.array([3.0, 4.0]), invalid="nan")])
def test_clone_pickle_and_repr(scaler):
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    expected = scaler.transform(x)
    for other in (clone(scaler), pickle.loads(pickle.dumps(scaler.fit(x)))):
        np.testing.assert_array_equal(other.transform(x), expected)
    assert repr(LogScaler(2, scale=3, log1p=True)) == "LogScaler(base=2, log1p=True, scale=3)"
    for call in (scaler.to_sklearn, lambda: LogScaler.from_sklearn(StandardScaler())):
        with pytest.raises(TypeError, match="scikit-learn has no LogScaler"):
            call()


@pytest.mark.parametrize("what", [[[1.0, 2.0]], np.float64([[1, 2]]).astype(">f8"), np.array([[1, 2]], object)])
def test_other_inputs(what):
    np.testing.assert_allclose(LogScaler().fit_transform(what), np.log([[1.0, 2.0]]))


def test_threads_end_with_an_error():
    x = np.ones((3_000_000, 1))
    x[2_000_000] = -1
    with planish.num_threads(4), pytest.raises(ValueError, match=r"first at \(2000000, 0\)"):
        LogScaler().transform(x)

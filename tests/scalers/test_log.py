"""Logarithms: exact to the digits that are promised, of any array, and back."""

import pickle
import tracemalloc
from functools import cache

import ml_dtypes
import mpmath
import numpy as np
import pandas as pd
import planish
import pytest
from arrays import FLOATS, arrays, channel_axes
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import LogScaler, StandardScaler
from reference import kept_axes
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

BASES = ["e", 2, 10, 3, 7.3, 0.5, 1.01]
mpmath.mp.prec = 200


@cache
def exact_logarithm(x, log1p=False):
    return mpmath.log1p(mpmath.mpf(x)) if log1p else mpmath.log(mpmath.mpf(x))


def exact(scaler, x, inverse=False):
    """What `scaler` should give for one number, to 200 bits."""
    unit = mpmath.mpf(1) if scaler.base == "e" else exact_logarithm(float(scaler.base))
    offset, scale = mpmath.mpf(float(scaler.offset)), mpmath.mpf(float(scaler.scale))
    if inverse:
        exponent = (mpmath.mpf(float(x)) * scale + offset) * unit
        return mpmath.expm1(exponent) if scaler.log1p else mpmath.exp(exponent)
    return (exact_logarithm(float(x), scaler.log1p) / unit - offset) / scale


def ulps(actual, expected, dtype):
    """Distances of `actual` from the exact results, in units of the last place of `dtype`."""
    info = ml_dtypes.finfo(dtype)
    distances = []
    for a, e in zip(np.float64(actual).ravel().tolist(), expected, strict=True):
        if abs(e) > float(info.max):
            assert abs(a) in (np.inf, float(info.max))
            continue
        exponent = max(int(mpmath.frexp(e)[1]) - 1, int(info.minexp)) if e else int(info.minexp)
        distances.append(float(abs(mpmath.mpf(a) - e) / mpmath.ldexp(float(info.eps), exponent)))
    return np.array(distances)


def some(x, base):
    """All numbers for the usual bases, and a third for others, which are other constants to the same kernels."""
    return x if base in ("e", 2, 10) else x[::3]


def numbers(dtype, seed=0, size=50_000):
    x = np.exp(np.random.default_rng(seed).normal(0, 3, size))
    x[: size // 4] = 1 + np.random.default_rng(seed).normal(0, 0.1, size // 4)
    x = np.abs(x)[(x > 0) & (x < 1e4)].astype(dtype)
    return x[x > 0].reshape(-1, 1)


# --- numbers ---------------------------------------------------------------------------------------------------------


def limits(dtype):
    """The most ulps that a result may be off, and the share of those that need not be correctly rounded."""
    return (1.0, 0.05) if dtype == np.float64 else (0.5 + 2**-10, 0.001)


def all_exponents(dtype, seed=5):
    """Numbers of all sizes, many near one."""
    info, rng = ml_dtypes.finfo(dtype), np.random.default_rng(seed)
    x = np.exp(rng.uniform(np.log(float(info.smallest_subnormal)), np.log(float(info.max)), 600))
    return np.concatenate([x, 1 + rng.normal(0, 0.05, 300), rng.uniform(0.5, 2, 300)]).astype(dtype)


@pytest.mark.numeric
@pytest.mark.parametrize("log1p", [False, True])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_digits(dtype, base, log1p):
    x = all_exponents(dtype)
    x = np.concatenate([x, -x[x < 1]]) if log1p else x[x > 0]
    x = some(x[np.isfinite(x)], base)
    # Offsets leave enough of the logarithms not to show what is lost in double precision.
    for offset, scale in [(0, 1), (0, 1.3), (-2000, -1.9), (1e-3, 1e-3)]:
        scaler = LogScaler(base, offset, scale, log1p=log1p)
        y = scaler.transform(x[:, None])
        assert y.dtype == dtype
        distances = ulps(y, [exact(scaler, number) for number in x], dtype)
        most, share = limits(dtype)
        assert distances.max() <= most
        assert (distances > 0.5).mean() <= share


@pytest.mark.numeric
@pytest.mark.parametrize("log1p", [False, True])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_digits_of_the_inverse(dtype, base, log1p):
    rng = np.random.default_rng(6)
    unit = 1.0 if base == "e" else abs(np.log(base))
    largest = np.log(float(ml_dtypes.finfo(dtype).max)) / unit
    z = np.concatenate([rng.uniform(-1.1, 1.1, 600) * largest, rng.normal(0, 1 / unit, 300)])
    z = np.concatenate([z, np.exp(rng.uniform(-30, 0, 200)), -np.exp(rng.uniform(-30, 0, 200))]).astype(dtype)
    z = some(z[np.isfinite(z)], base)
    for offset, scale in [(0, 1), (0.3, 0.7), (-1.5, -0.1), (30_000, 1)]:
        scaler = LogScaler(base, offset, scale, log1p=log1p)
        x = scaler.inverse_transform(z[:, None])
        assert x.dtype == dtype
        distances = ulps(x, [exact(scaler, number, inverse=True) for number in z], dtype)
        most, share = limits(dtype)
        if len(distances):
            assert distances.max() <= most
            assert (distances > 0.5).sum() <= max(1, share * len(distances))


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_offsets_that_cancel_the_logarithm(dtype):
    rng = np.random.default_rng(7)
    x = (1000 * (1 + rng.normal(0, 0.02, 500))).astype(dtype)[:, None]
    scaler = LogScaler(offset=float(np.log(1000)), scale=0.02)
    y = scaler.transform(x)
    expected = [exact(scaler, number) for number in x.ravel()]
    # An error of 2^-58 of the logarithm, 6.9, and half an ulp of the result.
    lost = [6.9 * 2**-58 / 0.02 / float(np.spacing(abs(float(e)))) if dtype == np.float64 else 2**-10 for e in expected]
    assert (ulps(y, expected, dtype) <= 0.5 + np.array(lost)).all()


@pytest.mark.numeric
def test_zero_keeps_its_sign():
    for scaler in (LogScaler(log1p=True), LogScaler(10, scale=2, log1p=True)):
        for dtype in FLOATS:
            x = np.array([[0.0, -0.0]], dtype)
            for y in (scaler.transform(x), scaler.inverse_transform(x)):
                np.testing.assert_array_equal(np.signbit(y), [[False, True]])


@pytest.mark.numeric
@pytest.mark.parametrize("log1p", [False, True])
@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype("u1"), np.dtype("i4")], ids=str)
def test_the_same_bits_in_every_order(dtype, log1p):
    rng = np.random.default_rng(8)
    x = np.exp(rng.normal(0, 3, (1013, 37))).clip(1, 120).astype(dtype)
    constants = rng.random((2, 37)) + 0.5
    scaler = LogScaler(10, *constants, log1p=log1p)
    expected = scaler.transform(x)
    for see, undo in [
        (lambda x: x[::-1], lambda y: y[::-1]),
        (np.asfortranarray, lambda y: y),
        (lambda x: np.repeat(x, 3, axis=0)[::3], lambda y: y),
        (lambda x: np.repeat(x, 2, axis=1)[:, ::2], lambda y: y),
    ]:
        assert undo(scaler.transform(see(x))).tobytes() == expected.tobytes()
    rows = np.concatenate([scaler.transform(x[i : i + 1]) for i in range(200)])
    assert rows.tobytes() == expected[:200].tobytes()
    cells = [LogScaler(10, *constants[:, j], log1p=log1p).transform(x[:50, j : j + 1]) for j in range(37)]
    assert np.concatenate(cells, axis=1).tobytes() == expected[:50].tobytes()


def test_masked_arrays():
    x = np.ma.masked_equal([[1.0, 10.0], [-999.0, 100.0]], -999.0)
    y = LogScaler(10).fit(x).transform(x)
    assert isinstance(y, np.ma.MaskedArray)
    assert y.tolist() == [[0.0, 1.0], [None, 2.0]]
    assert LogScaler(10).inverse_transform(y).tolist() == [[1.0, 10.0], [None, 100.0]]
    with pytest.raises(ValueError, match=r"contains 1 number\(s\) without a logarithm, the first at \(0, 1\)"):
        LogScaler().transform(np.ma.masked_equal([[-999.0, -1.0]], -999.0))


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8"])
def test_integers_give_float64(dtype):
    x = np.arange(1, 128).astype(dtype)[:, None]
    y = LogScaler().transform(x)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, np.log(np.float64(x)), rtol=4e-16)
    assert LogScaler(dtype="float32").transform(x).dtype == np.float32


@pytest.mark.numeric
def test_powers_are_exact():
    powers = np.arange(-300, 301)
    np.testing.assert_array_equal(LogScaler(2).transform(2.0 ** powers[:, None])[:, 0], powers)
    decades = np.array([[10.0**n] for n in range(23)])
    np.testing.assert_array_equal(LogScaler(10).transform(decades)[:, 0], np.arange(23))
    np.testing.assert_array_equal(LogScaler(10).inverse_transform([[3.0], [-1.0]]), [[1000.0], [0.1]])
    np.testing.assert_array_equal(LogScaler(2).inverse_transform([[10.0]]), [[1024.0]])


@pytest.mark.numeric
def test_small_counts_keep_their_digits():
    x = np.array([[0.0, 1e-20, 1e-300]])
    np.testing.assert_array_equal(LogScaler(log1p=True).transform(x), x)
    np.testing.assert_array_equal(LogScaler(log1p=True).inverse_transform(x), x)


@pytest.mark.numeric
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


@pytest.mark.numeric
def test_infinite_where_it_is_too_large():
    assert LogScaler().inverse_transform([[1000.0]]).item() == np.inf
    assert LogScaler().inverse_transform(np.float16([[12.0]])).item() == np.inf


@pytest.mark.numeric
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


@pytest.mark.numeric
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


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(150_000, 3), (3, 150_000), (2, 400, 400), (5, 400, 130, 3), (400_000, 1)])
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


@pytest.mark.numeric
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


@pytest.mark.numeric
def test_the_limits():
    x = np.array([[5e-324, np.nextafter(0, -1), -0.0, -5.0]])
    assert np.isnan(LogScaler(invalid="nan").transform(x)).tolist() == [[False, True, True, True]]
    x = np.array([[np.nextafter(-1, 0), -1.0, np.nextafter(-1, -2), -5.0]])
    assert np.isnan(LogScaler(invalid="nan", log1p=True).transform(x)).tolist() == [[False, True, True, True]]


@pytest.mark.numeric
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


@pytest.mark.dependencies
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

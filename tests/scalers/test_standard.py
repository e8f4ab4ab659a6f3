import pickle
import warnings

import ml_dtypes
import numpy as np
import pandas as pd
import planish
import polars as pl
import pytest
import sklearn
import sklearn.preprocessing
from arrays import FLOATS, arrays, channel_axes
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planish import StandardScaler
from planish.stats import Moments
from reference import reduced_axes, ulps
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

pytestmark = pytest.mark.numeric

EPS = np.finfo(np.float64).eps


def table(dtype=np.float64):
    return (np.random.default_rng(0).normal(3, [1, 20, 0.1, 0], size=(50, 4)) * 10).astype(dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1", "?", ">f8", "longdouble", "O"])
@pytest.mark.parametrize("with_mean", [True, False])
@pytest.mark.parametrize("with_std", [True, False])
def test_same_as_scikit_learn(dtype, with_mean, with_std):
    X = np.abs(table()).astype(dtype)
    ours = StandardScaler(with_mean=with_mean, with_std=with_std).fit(X)
    theirs = sklearn.preprocessing.StandardScaler(with_mean=with_mean, with_std=with_std).fit(X)
    for name in ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if b is None:
            assert a is None, name
        else:
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13, err_msg=name)
            # scikit-learn counts in float64 or int64, as it happens; here a count is an integer.
            if name != "n_samples_seen_":
                assert np.asarray(a).dtype == np.asarray(b).dtype, name
    y, z = ours.transform(X), theirs.transform(X)
    assert y.dtype == z.dtype
    tolerance = {2: 2e-2, 4: 2e-5}.get(z.dtype.itemsize, 1e-11)
    np.testing.assert_allclose(y.astype(float), z.astype(float), rtol=tolerance, atol=tolerance)
    back = ours.inverse_transform(y)
    np.testing.assert_allclose(back.astype(float), X.astype(float), rtol=tolerance, atol=30 * tolerance)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_dataframes_and_set_output(frame):
    X = frame({"a": [1.0, 2.0, 3.0], "b": [10, 20, 60]})
    ours, theirs = StandardScaler().fit(X), sklearn.preprocessing.StandardScaler().fit(X)
    assert ours.feature_names_in_.tolist() == ["a", "b"]
    assert ours.get_feature_names_out().tolist() == ["a", "b"]
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-14)
    kind = "pandas" if frame is pd.DataFrame else "polars"
    ours.set_output(transform=kind)
    result = ours.transform(X)
    assert isinstance(result, frame)
    assert list(result.columns) == ["a", "b"]
    assert isinstance(ours.fit_transform(X), frame)
    out = np.empty((3, 2))
    assert ours.transform(X, out=out) is out
    with sklearn.config_context(transform_output=kind):
        assert isinstance(StandardScaler().fit(X).transform(X), frame)
    with pytest.warns(UserWarning, match="valid feature names"):
        ours.transform(np.ones((1, 2)))
    with pytest.raises(ValueError, match="feature names"):
        ours.transform(frame({"b": [1.0], "a": [2.0]}))
    ours.fit(np.ones((3, 2)))
    assert not hasattr(ours, "feature_names_in_")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_transform_of_any_array(data):
    x = data.draw(arrays(min_dims=2))
    channel_axis = data.draw(channel_axes(x.ndim))
    scaler = StandardScaler(channel_axis=channel_axis).fit(x)
    y = scaler.transform(x)
    axes = reduced_axes(x.ndim, channel_axis)
    mean, scale = (np.expand_dims(np.asarray(v), axes) for v in (scaler.mean_, scaler.scale_))
    expected = (x.astype(np.float64) - mean) / scale
    assert y.dtype == (x.dtype if x.dtype in FLOATS else np.float64)
    assert y.shape == x.shape
    eps = float(ml_dtypes.finfo(y.dtype).eps)
    tiny = float(ml_dtypes.finfo(y.dtype).smallest_subnormal)
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=eps + 4 * EPS, atol=tiny)
    outs = {
        "C": np.empty(x.shape, y.dtype),
        "F": np.empty(x.shape, y.dtype, order="F"),
        "steps": np.empty([2 * n for n in x.shape], y.dtype)[tuple(slice(None, None, -2) for _ in x.shape)],
    }
    for out in outs.values():
        assert scaler.transform(x, out=out) is out
        assert out.tobytes() == y.tobytes()
    if x.flags.writeable and x.dtype in FLOATS and 0 not in x.strides:
        copy = x.copy(order="K")
        assert scaler.transform(copy, copy=False) is copy
        assert copy.tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_within_one_ulp_of_the_exact_value(dtype, offset):
    from fractions import Fraction

    if dtype == "f2" and offset:
        offset = 100.0
    x = (np.random.default_rng(1).normal(size=(2000, 3)) * [1, 0.3, 1.7] + offset).astype(dtype)
    scaler = StandardScaler().fit(x)
    for y, exact in [
        (scaler.transform(x), lambda v, m, s: (v - m) / s),
        (scaler.inverse_transform(x), lambda v, m, s: v * s + m),
    ]:
        for c in range(3):
            mean, scale = Fraction(float(scaler.mean_[c])), Fraction(float(scaler.scale_[c]))
            expected = [exact(Fraction(float(v)), mean, scale) for v in x[:, c]]
            assert ulps(y[:, c], expected, dtype) <= (0.5001 if dtype != "f2" else 0.51)


def test_large_outputs_go_past_the_cache_unchanged():
    rng = np.random.default_rng(2)
    # A little more than 32 MiB each, beyond which no cache is believed to keep an output.
    for dtype, shape in [("f4", (240_000, 37)), ("f8", (3, 1_450_000)), ("f2", (520_001, 33))]:
        x = rng.standard_normal(shape, np.float32).astype(dtype)
        assert x.nbytes > 32 << 20
        scaler = StandardScaler().fit(x)
        out = np.empty_like(x)
        words = f"u{x.itemsize}"
        assert np.array_equal(scaler.transform(x, out=out).view(words), scaler.transform(x).view(words))
        np.testing.assert_array_equal(out[:5], scaler.transform(x[:5]))
        flipped = np.empty_like(x)[::-1, ::-1]
        np.testing.assert_array_equal(scaler.transform(x, out=flipped), out)


def test_dtype_parameter():
    x = np.arange(12, dtype=np.uint8).reshape(4, 3)
    for dtype in ("float16", np.float32, "f8", ml_dtypes.bfloat16):
        y = StandardScaler(dtype=dtype).fit(x).transform(x)
        assert y.dtype == np.dtype(dtype)
        np.testing.assert_allclose(y.astype(float), StandardScaler().fit_transform(x), rtol=1e-2)
    with pytest.raises(TypeError, match="dtype=int32 is no dtype of results"):
        StandardScaler(dtype="int32").fit(x).transform(x)


@pytest.mark.parametrize("channel_axis", [-1, 1, (1, 2, 3), None, (0, 2)])
def test_channels_of_images(channel_axis):
    x = np.random.default_rng(3).integers(0, 255, (6, 5, 7, 3), dtype=np.uint8)
    scaler = StandardScaler(channel_axis=channel_axis).fit(x)
    axes = reduced_axes(4, channel_axis)
    np.testing.assert_allclose(scaler.mean_, x.mean(axis=axes), rtol=1e-14)
    np.testing.assert_allclose(scaler.var_, x.var(axis=axes), rtol=1e-13)
    assert scaler.n_features_in_ == np.size(scaler.mean_)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(x)), x, atol=1e-12)


def test_partial_fit_is_fit():
    x = np.random.default_rng(4).normal(7, 2, size=(100, 3))
    x[::9, 1] = np.nan
    whole, parts = StandardScaler().fit(x), StandardScaler()
    for piece in np.array_split(x, 13):
        parts.partial_fit(piece)
    np.testing.assert_allclose(parts.mean_, whole.mean_, rtol=2 * EPS)
    np.testing.assert_allclose(parts.scale_, whole.scale_, rtol=4 * EPS)
    np.testing.assert_array_equal(parts.n_samples_seen_, whole.n_samples_seen_)
    assert whole.n_samples_seen_.tolist() == [100, 88, 100]
    reference = sklearn.preprocessing.StandardScaler().fit(x)
    np.testing.assert_allclose(whole.transform(x), reference.transform(x), rtol=1e-12)


def test_merge_joins():
    x = np.random.default_rng(5).normal(size=(60, 2))
    whole = StandardScaler().fit(x)
    merged = StandardScaler()
    for piece in np.array_split(x, 4):
        assert merged.merge(StandardScaler().fit(piece)) is merged
    np.testing.assert_allclose(merged.var_, whole.var_, rtol=4 * EPS)
    assert merged.n_samples_seen_ == 60
    before = pickle.dumps(merged)
    assert merged.merge(StandardScaler()) is merged
    assert pickle.dumps(merged) == before
    with pytest.raises(ValueError, match="channels"):
        merged.merge(StandardScaler().fit(np.ones((2, 3))))
    with pytest.raises(TypeError, match="must be a planish.StandardScaler"):
        merged.merge(sklearn.preprocessing.StandardScaler())
    named = StandardScaler().fit(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    with pytest.raises(ValueError, match="features"):
        named.merge(StandardScaler().fit(pd.DataFrame({"b": [1.0], "a": [2.0]})))
    assert StandardScaler().merge(named).feature_names_in_.tolist() == ["a", "b"]


def test_from_stats():
    scaler = StandardScaler.from_stats([10.0, 0.0], [2.0, 0.0])
    np.testing.assert_array_equal(scaler.transform([[12.0, 5.0]]), [[1.0, 5.0]])
    assert StandardScaler.from_stats(20, 50, channel_axis=None).transform([[70]]).item() == 1.0
    assert StandardScaler.from_stats(std=[2.0]).transform([[8.0]]).item() == 4.0
    assert StandardScaler.from_stats(mean=[2.0]).transform([[8.0]]).item() == 6.0
    with pytest.raises(ValueError, match="n_samples"):
        scaler.partial_fit([[1.0, 2.0]])
    with pytest.raises(ValueError, match="n_samples"):
        StandardScaler().fit(np.ones((2, 2))).merge(scaler)
    x, y = np.random.default_rng(6).normal(size=(2, 30, 2))
    known = StandardScaler.from_stats(x.mean(0), x.std(0), n_samples=30).partial_fit(y)
    np.testing.assert_allclose(known.scale_, StandardScaler().fit(np.concatenate([x, y])).scale_, rtol=1e-14)
    for bad, error in [
        ({}, TypeError),
        ({"mean": ["a"]}, TypeError),
        ({"mean": [1.0], "std": [-1.0]}, ValueError),
        ({"mean": [1.0], "std": [1.0, 2.0]}, ValueError),
        ({"mean": [np.nan], "std": [1.0]}, ValueError),
        ({"mean": [1.0], "n_samples": 3}, ValueError),
        ({"mean": [1.0], "std": [1.0], "n_samples": -3}, ValueError),
        ({"mean": [1.0], "std": [1e200]}, ValueError),
        ({"mean": [[1.0]], "std": [[1.0]]}, ValueError),
    ]:
        with pytest.raises(error):
            StandardScaler.from_stats(**bad)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_weights_are_repetitions(data):
    x = data.draw(arrays(dtypes=FLOATS[1:3], min_dims=2, max_dims=3))
    assume(x.shape[0] > 1)
    weights = np.random.default_rng(0).integers(0, 4, x.shape[0])
    assume(weights.any())
    axis = x.ndim - 1
    weighted = StandardScaler(channel_axis=axis).fit(x, sample_weight=weights)
    repeated = StandardScaler(channel_axis=axis).fit(np.repeat(x, weights, axis=0))
    np.testing.assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(weighted.var_, repeated.var_, rtol=1e-10, atol=1e-14)


def test_sample_weight_as_scikit_learn():
    X, w = table(), np.random.default_rng(7).random(50)
    ours, theirs = (c().fit(X, sample_weight=w) for c in (StandardScaler, sklearn.preprocessing.StandardScaler))
    np.testing.assert_allclose(ours.scale_, theirs.scale_, rtol=1e-13)
    np.testing.assert_allclose(ours.n_samples_seen_, theirs.n_samples_seen_)
    for bad in (np.ones(3), -np.ones(50), np.full(50, np.nan), np.ones((50, 2))):
        with pytest.raises(ValueError, match="[Ss]ample.weight"):
            ours.fit(X, sample_weight=bad)


def test_pickle_clone_and_repr():
    X = table()
    scaler = StandardScaler(channel_axis=(1,), dtype="f4").fit(X)
    copy = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(copy.transform(X), scaler.transform(X))
    np.testing.assert_array_equal(copy.partial_fit(X).scale_, scaler.partial_fit(X).scale_)
    assert clone(scaler).get_params() == scaler.get_params()
    assert repr(scaler) == "StandardScaler(channel_axis=(1,), dtype='f4')"
    pipeline = make_pipeline(StandardScaler(), StandardScaler())
    np.testing.assert_allclose(pipeline.fit_transform(X)[:, :3].std(0), 1)


def test_read_only_memmap(tmp_path):
    x = np.random.default_rng(8).normal(size=(200, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    scaler = StandardScaler(copy=False).fit(mapped)
    y = scaler.transform(mapped)
    np.testing.assert_array_equal(np.asarray(y), StandardScaler().fit(x).transform(x))
    np.testing.assert_array_equal(mapped, x)


class TestErrors:
    def scaler(self):
        return StandardScaler().fit(np.random.default_rng(9).normal(size=(20, 3)))

    def test_not_fitted(self):
        for method in ("transform", "inverse_transform"):
            with pytest.raises(NotFittedError):
                getattr(StandardScaler(), method)(np.ones((2, 2)))

    def test_wrong_features(self):
        with pytest.raises(ValueError, match="X has 4 features, but StandardScaler is expecting 3 features"):
            self.scaler().transform(np.ones((2, 4)))
        with pytest.raises(ValueError, match=r"X has channels of shape \(4,\)"):
            self.scaler().transform(np.ones((2, 2, 4)))
        with pytest.raises(ValueError, match="expecting 3 features"):
            self.scaler().partial_fit(np.ones((2, 4)))
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            self.scaler().transform(np.ones(3))

    def test_infinity(self):
        x = np.ones((20, 3), np.float32)
        x[7, 2] = np.inf
        for call in (StandardScaler().fit, self.scaler().partial_fit, self.scaler().transform):
            with pytest.raises(ValueError, match="X contains infinity or a value too large for"):
                call(x)
        before = x.copy()
        with pytest.raises(ValueError, match="infinity"):
            self.scaler().transform(x, copy=False)
        np.testing.assert_array_equal(x, before)
        with sklearn.config_context(assume_finite=True):
            assert self.scaler().transform(x)[7, 2] == np.inf

    def test_a_failed_partial_fit_changes_nothing(self):
        scaler = self.scaler()
        before = pickle.dumps(scaler)
        bad_weights = {"sample_weight": [-1.0, 1.0]}
        for X, kwargs in [
            (np.full((2, 3), np.inf), {}),
            (np.ones((2, 5)), {}),
            (np.ones((2, 3)), bad_weights),
            (np.ones((2, 3), complex), {}),
            ([["a", "b", "c"]], {}),
            (np.empty((0, 3)), {}),
        ]:
            with pytest.raises((ValueError, TypeError)):
                scaler.partial_fit(X, **kwargs)
            assert pickle.dumps(scaler) == before

    @pytest.mark.parametrize(
        ("out", "error", "match"),
        [
            (np.empty((20, 4)), ValueError, r"out has shape \(20, 4\); the result has shape \(20, 3\)"),
            (np.empty((20, 3), "f4"), TypeError, "out has dtype float32; the result has dtype float64"),
            (np.empty((20, 3), "i8"), TypeError, "out has dtype int64"),
            (np.broadcast_to(np.empty(3), (20, 3)), ValueError, "read-only"),
            (np.lib.stride_tricks.as_strided(np.empty(40), (20, 3), (8, 8)), ValueError, "same memory"),
            ([[0.0]], TypeError, "out must be a NumPy array"),
        ],
    )
    def test_wrong_out(self, out, error, match):
        with pytest.raises(error, match=match):
            self.scaler().transform(np.ones((20, 3)), out=out)

    def test_overlapping_out(self):
        buffer = np.arange(66.0).reshape(22, 3)
        x, shifted = buffer[:20], buffer[1:21]
        before = buffer.copy()
        with pytest.raises(ValueError, match="out overlaps the input"):
            self.scaler().transform(x, out=shifted)
        with pytest.raises(ValueError, match="out overlaps the input"):
            self.scaler().transform(x, out=x[::-1])
        with pytest.raises(ValueError, match="out overlaps the input"):
            self.scaler().inverse_transform(x, out=shifted)
        np.testing.assert_array_equal(buffer, before)
        wide = np.arange(120.0).reshape(20, 6)
        expected = self.scaler().transform(wide[:, :3].copy())
        # Interleaved, but not the same elements: allowed.
        np.testing.assert_array_equal(self.scaler().transform(wide[:, :3], out=wide[:, 3:]), expected)

    def test_no_element(self):
        for axis, shape in [(-1, (3, 0, 4)), (None, (3, 4, 0)), (-1, (0, 3)), (-1, (3, 0))]:
            with pytest.raises(ValueError, match="Found array"):
                StandardScaler(channel_axis=axis).fit(np.empty(shape))

    def test_fitted_without(self):
        scaler = StandardScaler(with_std=False).fit(np.ones((2, 2))).set_params(with_std=True)
        for method in (scaler.transform, scaler.inverse_transform):
            with pytest.raises(ValueError, match="with_std=True, but this StandardScaler was fitted without"):
                method(np.ones((2, 2)))

    def test_other_axes(self):
        square = np.arange(16.0).reshape(4, 4)
        with pytest.raises(ValueError, match="channel_axis=0"):
            StandardScaler().fit(square).merge(StandardScaler(channel_axis=0).fit(square))

    def test_parameters(self):
        with pytest.raises(ValueError, match="with_mean"):
            StandardScaler(with_mean="yes").fit(np.ones((2, 2)))
        for axis, error in [(5, ValueError), ((0, 0), ValueError), ("a", TypeError)]:
            with pytest.raises(error, match="channel_axis"):
                StandardScaler(channel_axis=axis).fit(np.ones((2, 2)))


def test_the_statistics_are_those_of_moments():
    X = table()
    moments, scaler = Moments().update(X), StandardScaler().fit(X)
    np.testing.assert_array_equal(moments.mean, scaler.mean_)
    np.testing.assert_array_equal(moments.scale, scaler.scale_)
    assert scaler.scale_[3] == 1.0


def test_no_warnings_from_missing_columns():
    X = table()
    X[:, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaler = StandardScaler().fit(X)
        assert np.isnan(scaler.transform(X)[:, 0]).all()
    assert np.isnan(scaler.mean_[0])
    with planish.num_threads(1):
        assert scaler.n_samples_seen_.tolist() == [0, 50, 50, 50]

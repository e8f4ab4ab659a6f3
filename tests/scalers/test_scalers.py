"""What every scaler promises."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from reference import reduced_axes
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

pytestmark = pytest.mark.dependencies

EPS = np.finfo(np.float64).eps

SCALERS = [
    StandardScaler(),
    MinMaxScaler(),
    MinMaxScaler((-3, 5), clip=True),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    RobustScaler(),
    RobustScaler(with_centering=False, quantile_range=(10.0, 80.0), unit_variance=True),
    RobustScaler(with_scaling=False),
]
EVERYTHING = [*SCALERS, Normalizer(), Normalizer("l1"), Normalizer("max")]
STANDARD = [
    StandardScaler(with_mean=mean, with_std=std) for mean, std in [(False, True), (True, False), (False, False)]
]
STREAMING = [StandardScaler(), MinMaxScaler((-3, 5)), MaxAbsScaler()]


def names(values):
    return [str(value) for value in values]


def theirs(scaler):
    kind = getattr(sklearn.preprocessing, type(scaler).__name__)
    parameters = {k: v for k, v in scaler.get_params().items() if k in kind().get_params()}
    return kind(**parameters)


def expected_failures(scaler):
    """Checks that scikit-learn leaves out for its own StandardScaler, by name, before it asked the tag `sparse`."""
    if parse_version(sklearn.__version__) >= parse_version("1.7") or getattr(scaler, "with_mean", False) is False:
        return {}
    return {"check_sample_weight_equivalence_on_sparse_data": "a sparse matrix is never centred"}


def table(dtype="f8", rows=51):
    x = np.random.default_rng(0).normal(3, [1, 20, 0.1, 0], size=(rows, 4)) * 10
    return np.abs(x).astype(dtype)


def fitted(scaler):
    return {k: v for k, v in vars(scaler).items() if k.endswith("_") and not k.startswith("_")}


@parametrize_with_checks(
    [*EVERYTHING, RobustScaler(with_centering=False, with_scaling=False), *STANDARD],
    expected_failed_checks=expected_failures,
)
def test_check_estimator(estimator, check):
    check(estimator)


#: Scaler, dtype, and whether elements are missing: never among integers, nor for a Normalizer.
CASES = [
    pytest.param(scaler, dtype, missing, id=f"{scaler}-{dtype}-{missing}")
    for scaler in EVERYTHING
    for dtype in ("f2", "f4", "f8", "i8", "u1", "?", ">f8", "longdouble", "O")
    for missing in (False, True)
    if not missing or (dtype in ("f2", "f4", "f8", ">f8", "longdouble") and not isinstance(scaler, Normalizer))
]


@pytest.mark.numeric
@pytest.mark.parametrize(("scaler", "dtype", "missing"), CASES)
def test_same_as_scikit_learn(scaler, dtype, missing):
    x = table(dtype)
    if missing:
        x[::5, 1] = np.nan
    if dtype == "f2" and isinstance(scaler, Normalizer):
        x /= 64  # scikit-learn's sums of squares are float16, and overflow
    ours, reference = clone(scaler).fit(x), theirs(scaler).fit(x)
    # Sums in float16 overflow there.
    tolerance = {2: 4e-3, 4: 1e-6}.get(reference.transform(x).dtype.itemsize, 1e-12)
    a, b = fitted(ours), fitted(reference)
    assert a.keys() == b.keys()
    for name, value in b.items():
        if value is None:
            assert a[name] is None
            continue
        assert np.shape(a[name]) == np.shape(value), name
        if name != "n_samples_seen_":
            assert np.asarray(a[name]).dtype == np.asarray(value).dtype, name
        np.testing.assert_allclose(np.asarray(a[name], float), np.asarray(value, float), rtol=tolerance, err_msg=name)
    y, z = ours.transform(x), reference.transform(x)
    assert y.dtype == z.dtype
    largest = np.nanmax(np.abs(z.astype(float)))
    np.testing.assert_allclose(y.astype(float), z.astype(float), rtol=tolerance, atol=4 * tolerance * max(largest, 1))
    if not isinstance(scaler, Normalizer):
        back, expected = ours.inverse_transform(y), reference.inverse_transform(z)
        assert back.dtype == expected.dtype
        scale = np.nanmax(np.abs(expected.astype(float)))
        np.testing.assert_allclose(
            back.astype(float), expected.astype(float), rtol=tolerance, atol=4 * tolerance * scale
        )


@pytest.mark.parametrize("scaler", EVERYTHING, ids=names(EVERYTHING))
def test_same_tags_parameters_and_representation(scaler):
    ours, reference = scaler.__sklearn_tags__(), theirs(scaler).__sklearn_tags__()
    assert ours.input_tags == reference.input_tags
    assert ours.requires_fit == reference.requires_fit
    added = scaler.get_params().keys() - theirs(scaler).get_params().keys()
    if "clip" in added:  # came to scikit-learn's MaxAbsScaler after 1.6
        added, scaler = added - {"clip"}, clone(scaler).set_params(clip=False)
    assert added == {"channel_axis", "dtype"} | ({"n_blocks"} if isinstance(scaler, StandardScaler) else set())
    assert repr(scaler) == repr(theirs(scaler))
    assert type(scaler).__name__ in scaler._repr_html_()


@pytest.mark.parametrize("scaler", EVERYTHING, ids=names(EVERYTHING))
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_dataframes_and_set_output(scaler, frame):
    x = frame({"a": [1.0, 2.0, 3.0], "b": [10, 20, 60]})
    ours, reference = clone(scaler).fit(x), theirs(scaler).fit(x)
    assert ours.feature_names_in_.tolist() == ours.get_feature_names_out().tolist() == ["a", "b"]
    np.testing.assert_allclose(ours.transform(x), reference.transform(x), rtol=1e-13, atol=1e-13)
    kind = "pandas" if frame is pd.DataFrame else "polars"
    result = clone(ours).set_output(transform=kind).fit_transform(x)
    assert isinstance(result, frame)
    assert list(result.columns) == ["a", "b"]
    with sklearn.config_context(transform_output=kind):
        assert isinstance(ours.transform(x), frame)
    with pytest.warns(UserWarning, match="valid feature names"):
        ours.transform(np.ones((1, 2)))
    with pytest.raises(ValueError, match="feature names"):
        ours.transform(frame({"b": [1.0], "a": [2.0]}))
    with pytest.raises(ValueError, match=r"X has 1 features, but \w+ is expecting 2"):
        clone(ours).fit(np.ones((3, 2))).transform(np.ones((3, 1)))


@pytest.mark.parametrize("scaler", SCALERS, ids=names(SCALERS))
def test_errors(scaler):
    scaler = clone(scaler)
    with pytest.raises(NotFittedError):
        scaler.transform([[1.0]])
    for bad in (np.inf, -np.inf):
        x = table()
        x[3, 2] = bad
        with pytest.raises(ValueError, match="Input X contains infinity"):
            scaler.fit(x)
        with pytest.raises(ValueError, match="Input X contains infinity"):
            clone(scaler).fit(table()).transform(x)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        scaler.fit([1.0, 2.0])
    with pytest.raises(ValueError, match="0 sample"):
        scaler.fit(np.empty((0, 3)))
    scaler.fit(table())
    out = np.empty((51, 4), np.float32)
    with pytest.raises(TypeError, match="out has dtype float32; the result has dtype float64"):
        scaler.transform(table(), out=out)
    with pytest.raises(ValueError, match="out has shape"):
        scaler.transform(table(), out=np.empty((5, 4)))
    x = np.zeros((60, 4))
    with pytest.raises(ValueError, match="overlaps"):
        scaler.transform(x[:51], out=x[1:52])


@pytest.mark.parametrize("scaler", SCALERS, ids=names(SCALERS))
def test_an_empty_channel_warns_as_numpy_does(scaler):
    x = table()
    x[:, 1] = np.nan
    if isinstance(scaler, StandardScaler):
        assert np.isnan(clone(scaler).fit(x).mean_[1])
        return
    with pytest.warns(RuntimeWarning, match="All-NaN slice encountered"):
        ours = clone(scaler).fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = theirs(scaler).fit(x)
    for name, value in fitted(reference).items():
        if value is not None:
            np.testing.assert_allclose(fitted(ours)[name], value, rtol=1e-13)


@pytest.mark.numeric
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_array(data):
    x = data.draw(arrays(min_dims=2))
    channel_axis = data.draw(channel_axes(x.ndim))
    kind = data.draw(st.sampled_from([MinMaxScaler, MaxAbsScaler, RobustScaler]))
    axes = reduced_axes(x.ndim, channel_axis)
    wide = x.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        scaler = kind(channel_axis=channel_axis).fit(x)
        if kind is RobustScaler:
            quantiles = np.nanquantile(wide, [0.5, 0.25, 0.75], axis=axes)
            assert scaler.scale_.shape == quantiles.shape[1:]
            expected = np.where(quantiles[2] - quantiles[1] < 10 * EPS, 1, quantiles[2] - quantiles[1])
            # NumPy's interpolation is off by a few units in the last place of the elements between which it lies.
            near = 4 * EPS * np.nanmax(np.abs(wide), axis=axes)
            pairs = [(scaler.scale_, expected, near)]
            tolerance = 2.0**-7 if x.dtype.itemsize == 2 else 1e-6 if x.dtype == np.float32 else 0
            center = np.float64(scaler.center_)
            pairs.append((center, quantiles[0], near + tolerance * np.abs(center)))
            for ours, reference, bound in pairs:
                assert ((np.abs(ours - reference) <= bound) | (np.isnan(ours) & np.isnan(reference))).all()
        elif kind is MaxAbsScaler:
            np.testing.assert_array_equal(np.float64(scaler.max_abs_), np.nanmax(np.abs(wide), axis=axes))
        else:
            np.testing.assert_array_equal(np.float64(scaler.data_min_), np.nanmin(wide, axis=axes))
            np.testing.assert_array_equal(np.float64(scaler.data_max_), np.nanmax(wide, axis=axes))
    y = scaler.transform(x)
    assert y.dtype == (x.dtype if x.dtype in FLOATS else np.float64)
    assert y.shape == x.shape
    out = np.empty([2 * n for n in x.shape], y.dtype)[tuple(slice(None, None, -2) for _ in x.shape)]
    assert scaler.transform(x, out=out) is out
    assert out.tobytes() == y.tobytes()


@pytest.mark.parametrize("scaler", EVERYTHING, ids=names(EVERYTHING))
@pytest.mark.parametrize("shape", [(40_000, 7), (3, 90_001), (200, 5_001), (257, 64)])
def test_results_do_not_depend_on_threads_or_order(scaler, shape):
    x = np.random.default_rng(1).normal(size=shape).astype("f4")
    results = []
    for threads in (1, 2, 3, 8):
        with planish.num_threads(threads):
            for order in "CF":
                y = clone(scaler).fit(x).transform(np.asarray(x, order=order))
                results.append(y.tobytes())
    if isinstance(scaler, Normalizer):
        # A row that lies apart is summed in another order.
        assert len(set(results[::2])) == len(set(results[1::2])) == 1
    else:
        assert len(set(results)) == 1


@pytest.mark.parametrize("scaler", EVERYTHING, ids=names(EVERYTHING))
def test_output_dtype_and_in_place(scaler):
    x = table("f4")
    for dtype in ("float16", np.float32, "f8", ml_dtypes.bfloat16):
        y = clone(scaler).set_params(dtype=dtype).fit(x).transform(x)
        assert y.dtype == np.dtype(dtype)
    expected = clone(scaler).fit(x).transform(x)
    copy = x.copy()
    assert clone(scaler).set_params(copy=False).fit(copy).transform(copy) is copy
    np.testing.assert_array_equal(copy, expected)
    spoiled = x.copy()
    spoiled[-1, -1] = np.inf
    before = spoiled.copy()
    with pytest.raises(ValueError, match="infinity"):
        clone(scaler).fit(x).transform(spoiled, copy=False)
    np.testing.assert_array_equal(spoiled, before)


@pytest.mark.parametrize("scaler", STREAMING, ids=names(STREAMING))
def test_partial_fit_and_merge_are_fit(scaler):
    x = table(rows=200)
    x[::9, 1] = np.nan
    whole, parts, merged = clone(scaler).fit(x), clone(scaler), clone(scaler)
    for piece in np.array_split(x, 13):
        parts.partial_fit(piece)
        assert merged.merge(clone(scaler).fit(piece)) is merged
    for other in (parts, merged):
        assert fitted(other).keys() == fitted(whole).keys()
        for name, value in fitted(whole).items():
            np.testing.assert_allclose(fitted(other)[name], value, rtol=8 * EPS, err_msg=name)
        np.testing.assert_allclose(other.transform(x), whole.transform(x), rtol=1e-13, atol=1e-13)
    before = pickle.dumps(merged)
    assert merged.merge(clone(scaler)) is merged
    assert pickle.dumps(merged) == before
    with pytest.raises(ValueError, match="channels"):
        merged.merge(clone(scaler).fit(np.ones((2, 3))))
    with pytest.raises(TypeError, match="other must be a"):
        merged.merge(theirs(scaler))
    named = clone(scaler).fit(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    swapped = clone(scaler).fit(pd.DataFrame({"b": [1.0], "a": [2.0]}))
    with pytest.raises(ValueError, match="features"):
        named.merge(swapped)
    # float32 batches keep float32 attributes; a float64 batch widens them.
    if not isinstance(scaler, StandardScaler):
        mixed = clone(scaler).partial_fit(x.astype("f4"))
        assert mixed.scale_.dtype == np.float32
        assert mixed.partial_fit(x).scale_.dtype == np.float64


@pytest.mark.parametrize("scaler", EVERYTHING, ids=names(EVERYTHING))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_to_and_from_scikit_learn(scaler, dtype):
    x = pd.DataFrame(table(dtype), columns=list("abcd"))
    ours, reference = clone(scaler).fit(x), theirs(scaler).fit(x)
    if ours.get_params().get("clip") and "clip" not in reference.get_params():  # MaxAbsScaler's came after 1.6
        with pytest.raises(ValueError, match="has no clip"):
            ours.to_sklearn()
        return
    there, here = ours.to_sklearn(), type(scaler).from_sklearn(reference)
    assert type(there) is type(reference)
    assert fitted(there).keys() == fitted(reference).keys() == fitted(here).keys()
    tolerance = 1e-6 if dtype == "f4" else 1e-13
    expected = reference.transform(x)
    for moved in (there, here, pickle.loads(pickle.dumps(here)), type(scaler).from_sklearn(there)):
        np.testing.assert_allclose(moved.transform(x), expected, rtol=tolerance, atol=tolerance * 100)
        assert moved.feature_names_in_.tolist() == list("abcd")
    assert clone(here).get_params() == ours.get_params()
    if hasattr(reference, "partial_fit"):
        here.partial_fit(x), reference.partial_fit(x)
        for name in ("scale_", "n_samples_seen_"):
            np.testing.assert_allclose(fitted(here)[name], fitted(reference)[name], rtol=1e-6)
    with pytest.raises(TypeError, match=f"must be a sklearn.preprocessing.{type(scaler).__name__}"):
        type(scaler).from_sklearn(sklearn.preprocessing.Binarizer())
    for parameters in ({"dtype": "f4"}, {"channel_axis": 0}):
        with pytest.raises(ValueError, match=f"has no {next(iter(parameters))}"):
            clone(scaler).set_params(**parameters).to_sklearn()


def test_from_scikit_learn_with_missing_values_goes_on():
    x = table()
    x[::5, 1] = np.nan
    reference = sklearn.preprocessing.StandardScaler().fit(x)
    ours = StandardScaler.from_sklearn(reference).partial_fit(2 * x)
    np.testing.assert_allclose(ours.var_, reference.partial_fit(2 * x).var_, rtol=1e-12)


def test_from_stats():
    y = MinMaxScaler.from_stats([0.0, -1.0], [10.0, 1.0], feature_range=(-1, 1)).transform([[5.0, 1.0]])
    np.testing.assert_allclose(y, [[0.0, 1.0]], atol=1e-32)
    scaler = MinMaxScaler.from_stats([0.0], [1.0], n_samples=10).partial_fit([[4.0]])
    assert (scaler.data_max_[0], scaler.n_samples_seen_) == (4.0, 11)
    np.testing.assert_array_equal(MaxAbsScaler.from_stats([4.0, 0.0]).transform([[2.0, 3.0]]), [[0.5, 3.0]])
    np.testing.assert_array_equal(RobustScaler.from_stats([1.0], [4.0]).transform([[3.0]]), [[0.5]])
    for make in (
        lambda: MinMaxScaler.from_stats([1.0], [0.0]),
        lambda: MinMaxScaler.from_stats([1.0], [2.0, 3.0]),
        lambda: MinMaxScaler.from_stats([1.0], [2.0], n_samples=0),
        lambda: MinMaxScaler.from_stats([1.0], [2.0], feature_range=(1, 0)),
        lambda: MaxAbsScaler.from_stats([-1.0]),
        lambda: MaxAbsScaler.from_stats([np.nan]),
        lambda: RobustScaler.from_stats([1.0], [0.0]),
        lambda: RobustScaler.from_stats([[1.0]]),
    ):
        with pytest.raises(ValueError, match=r"must|shape"):
            make()
    with pytest.raises(TypeError, match="neither"):
        RobustScaler.from_stats()
    with pytest.raises(TypeError, match="real numbers"):
        MaxAbsScaler.from_stats(["a"])


def test_min_max_far_from_zero():
    x = 1e12 + np.random.default_rng(2).integers(0, 1000, size=(500, 3)) / 1024
    y = MinMaxScaler().fit_transform(x)
    exact = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    np.testing.assert_allclose(y, exact, rtol=2 * EPS)
    assert (y.min(), y.max()) == (0.0, 1.0)
    # Attributes that were replaced count.
    scaler = MinMaxScaler().fit([[0.0], [1.0]])
    scaler.scale_ = np.array([3.0])
    assert scaler.transform([[2.0]]).item() == 6.0
    scaler.scale_[0] = 4.0
    assert scaler.transform([[2.0]]).item() == 8.0
    assert scaler.inverse_transform([[8.0]]).item() == 2.0


def test_functions_are_the_scalers():
    x = table()
    for function, scaler in [
        (planish.scale, StandardScaler()),
        (planish.minmax_scale, MinMaxScaler()),
        (planish.maxabs_scale, MaxAbsScaler()),
        (planish.robust_scale, RobustScaler()),
    ]:
        reference = getattr(sklearn.preprocessing, function.__name__)
        np.testing.assert_allclose(function(x), scaler.fit_transform(x), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(function(x[:, 1]), reference(x[:, 1]), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(function(x[:, :3], axis=1), reference(x[:, :3], axis=1), rtol=1e-12, atol=1e-12)
        copy = x.copy()
        assert np.shares_memory(function(copy, copy=False), copy)
        np.testing.assert_array_equal(copy, function(x))
        with pytest.raises(ValueError, match="infinity"):
            function([[np.inf], [1.0]])
        with pytest.raises(ValueError, match="axis"):
            function(x, axis=2)


@pytest.mark.parametrize("cls", [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer])
def test_bad_parameters(cls):
    with pytest.raises(ValueError, match="copy"):
        cls(copy="yes").fit([[1.0]])
    bad = {"norm": "l3", "feature_range": [0, 1], "quantile_range": [1, 2], "with_mean": 3, "clip": 7}
    scaler = cls(**{k: v for k, v in bad.items() if k in cls().get_params()})
    with pytest.raises(ValueError, match=r"norm|feature_range|quantile_range|with_mean|clip"):
        scaler.fit([[1.0]])


@pytest.mark.parametrize("scaler", EVERYTHING, ids=names(EVERYTHING))
@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i4"])
def test_big_endian_frames(scaler, dtype):
    x = pd.DataFrame(np.array([[1, 2], [3, 5], [4, 9]], dtype=dtype))
    expected = clone(scaler).fit_transform(x.to_numpy().astype(dtype[1:]))
    np.testing.assert_allclose(clone(scaler).fit_transform(x), expected, rtol=1e-6)
    np.testing.assert_allclose(planish.scale(x), planish.scale(x.to_numpy()), rtol=1e-6)
    np.testing.assert_allclose(planish.normalize(x), planish.normalize(x.to_numpy()), rtol=1e-6)


@pytest.mark.parametrize("scaler", [StandardScaler(), Normalizer()], ids=str)
@pytest.mark.parametrize("bad", [{}, [[1j]], np.zeros((2, 2, 2)), [[1.0], [2.0, 3.0]], "text", None])
def test_what_is_no_table(scaler, bad):
    if isinstance(bad, np.ndarray):
        assert clone(scaler).fit(bad).transform(bad).shape == bad.shape  # images are welcome
        return
    with pytest.raises((TypeError, ValueError)) as ours:
        clone(scaler).fit(bad)
    with pytest.raises((TypeError, ValueError)) as reference:
        theirs(scaler).fit(bad)
    assert ours.type is reference.type


def test_strings_are_no_vectors():
    with pytest.raises(ValueError, match="not compatible with arrays of bytes/strings"):
        Normalizer().transform(np.array([["3", "4"]]))

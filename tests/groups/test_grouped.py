"""One scaler for each group: the same as scalers fitted on the rows of each group alone."""

import pickle
import tracemalloc

import ml_dtypes
import numpy as np
import pandas as pd
import planish
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from grouped import labels, table
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import GroupedScaler, MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer]
LEARNING = SCALERS[:-1]
EPS = np.finfo(np.float64).eps


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, tuple):
        for one, other in zip(a, b, strict=True):
            same(one, other)
    else:
        assert a == b


def same_statistics(ours, alone):
    """The same state, but for how its sums were rounded: as precise as one fitted alone, not the same bits."""
    known = {name: value for name, value in vars(alone).items() if name != "_few"}  # groups keep no rows
    assert vars(ours).keys() == known.keys()
    for name, value in known.items():
        mine = vars(ours)[name]
        if isinstance(alone, StandardScaler) and name == "mean_":
            np.testing.assert_allclose((mine - value) / alone.scale_, 0, atol=4 * EPS)
        elif isinstance(alone, StandardScaler) and name in ("var_", "scale_"):
            np.testing.assert_allclose(mine, value, rtol=16 * EPS, atol=EPS**2, strict=True)
        elif isinstance(alone, StandardScaler) and name == "_statistics":
            same(mine.count, value.count)
        else:
            same(mine, value)


def by_hand(scaler, X, groups):
    """Fit and transform each group alone."""
    fitted, result = {}, np.empty_like(X, dtype=scaler.fit_transform(X[:1]).dtype)
    for label in np.unique(groups).tolist():
        fitted[label] = clone(scaler).fit(X[groups == label])
        result[groups == label] = fitted[label].transform(X[groups == label])
    return fitted, result


#: Every dtype in a few groups; any number of groups and both orders, of which the dtypes know nothing.
ALONE = [*((dtype, 7, "shuffled") for dtype in ("f2", "f4", "f8", "i4", "u1"))]
ALONE += [("f4", groups, order) for groups in (1, 2, 150, 600) for order in ("shuffled", "sorted")]


@pytest.mark.parametrize("cls", SCALERS)
@pytest.mark.parametrize(("dtype", "groups", "order"), [*ALONE, ("f8", 7, "sorted")])
def test_same_as_each_group_alone(cls, dtype, groups, order):
    X, y = np.abs(table()).astype(dtype), labels(groups=groups)
    if order == "sorted":
        y = np.sort(y)
    scaler = GroupedScaler(cls()).fit(X, groups=y)
    fitted, expected = by_hand(cls(), X, y)
    assert scaler.groups_.tolist() == list(scaler.scalers_) == list(fitted)
    for label, alone in fitted.items():
        same_statistics(scaler.scalers_[label], alone)
    result = scaler.transform(X, groups=y)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(
        result.astype(np.float64),
        expected.astype(np.float64),
        rtol=2 * float(np.finfo(result.dtype).eps),
        atol=64 * EPS,
    )
    assert GroupedScaler(cls()).fit_transform(X, groups=y).tobytes() == result.tobytes()
    back = None if cls is Normalizer else scaler.inverse_transform(result, groups=y)
    for label, own in scaler.scalers_.items():
        # Maps are those of the group's own scaler, to the last bit.
        assert result[y == label].tobytes() == own.transform(X[y == label]).tobytes()
        if cls is not Normalizer:
            assert back[y == label].tobytes() == own.inverse_transform(result[y == label]).tobytes()


@pytest.mark.parametrize("kind", ["C", "F", "steps", "read-only"])
@pytest.mark.parametrize("rows", [300, 40_000])
def test_layouts_and_large_groups(kind, rows):
    X, y = table(rows), labels(rows, 5)
    y[: rows // 2] = 3  # one group that lies side by side for the most part
    view = {"C": X, "F": np.asfortranarray(X), "steps": np.repeat(X, 2, axis=1)[:, ::2], "read-only": X.copy()}[kind]
    view.flags.writeable = kind != "read-only"
    expected = GroupedScaler(StandardScaler()).fit_transform(X, groups=y)
    np.testing.assert_array_equal(GroupedScaler(StandardScaler()).fit_transform(view, groups=y), expected)
    frame = pd.DataFrame(X).groupby(y)
    scaler = GroupedScaler(StandardScaler()).fit(view, groups=y)
    np.testing.assert_allclose([s.mean_ for s in scaler.scalers_.values()], frame.mean(), rtol=1e-4)
    for label in range(5):
        alone = StandardScaler().fit(X[y == label].astype(np.float64))
        np.testing.assert_allclose(scaler.scalers_[label].mean_, alone.mean_, rtol=1e-13)
        np.testing.assert_allclose(scaler.scalers_[label].var_, alone.var_, rtol=1e-13)
        np.testing.assert_array_equal(
            expected[y == label], scaler.scalers_[label].transform(X[y == label]), strict=True
        )


def test_statistics_of_pandas():
    X, y = table(dtype=np.float64), labels()
    frame = pd.DataFrame(X).groupby(y)

    def learnt(scaler, name):
        fitted = GroupedScaler(scaler).fit(X, groups=y).scalers_
        return np.array([getattr(one, name) for one in fitted.values()])

    np.testing.assert_allclose(learnt(StandardScaler(), "mean_"), frame.mean(), rtol=1e-12)
    np.testing.assert_allclose(learnt(StandardScaler(), "scale_"), frame.std(ddof=0), rtol=1e-12)
    np.testing.assert_array_equal(learnt(MinMaxScaler(), "data_min_"), frame.min())
    np.testing.assert_array_equal(learnt(MinMaxScaler(), "data_max_"), frame.max())
    np.testing.assert_array_equal(learnt(MaxAbsScaler(), "max_abs_"), frame.agg(lambda column: column.abs().max()))
    np.testing.assert_allclose(learnt(RobustScaler(), "center_"), frame.median(), rtol=1e-12)
    ranges = frame.quantile(0.75) - frame.quantile(0.25)
    np.testing.assert_allclose(learnt(RobustScaler(), "scale_"), ranges, rtol=1e-12)


def test_missing_values_differ_by_group():
    X, y = table(), labels(groups=40)
    X[::11, 1] = np.nan
    X[y == 4, 2] = np.nan
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=y)
    fitted, expected = by_hand(StandardScaler(), X, y)
    for label, alone in fitted.items():
        same(scaler.scalers_[label].n_samples_seen_, alone.n_samples_seen_)
        np.testing.assert_array_equal(scaler.scalers_[label].mean_, alone.mean_)
    np.testing.assert_array_equal(scaler.transform(X, groups=y), expected)


KINDS = {
    "list of str": lambda y: [f"site {i}" for i in y],
    "str": lambda y: np.array([f"site {i}" for i in y]),
    "object": lambda y: np.array([f"site {i}" for i in y], dtype=object),
    "int8": lambda y: (y - 3).astype(np.int8),
    "uint64": lambda y: y.astype(np.uint64) + np.uint64(2**63),
    "wide int": lambda y: y * 10**12,
    "bool": lambda y: y > 3,
    "float": lambda y: y / 4,
    "dates": lambda y: (np.datetime64("2024-01-01") + y).astype("M8[us]"),
    "pandas int": lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
    "pandas Int64": lambda y: pd.Series(y, dtype="Int64"),
    "pandas str": lambda y: pd.Series([f"site {i}" for i in y]),
    "pandas categorical": lambda y: pd.Categorical([f"site {i}" for i in y], [f"site {i}" for i in range(20, -1, -1)]),
    "pandas series": lambda y: pd.Series([f"site {i}" for i in y], dtype="category"),
    "polars int": lambda y: pl.Series(y),
    "polars str": lambda y: pl.Series([f"site {i}" for i in y]),
    "polars categorical": lambda y: pl.Series([f"site {i}" for i in y], dtype=pl.Categorical),
    "polars enum": lambda y: pl.Series([f"site {i}" for i in y], dtype=pl.Enum([f"site {i}" for i in range(20)])),
    "pyarrow": lambda y: pa.array([f"site {i}" for i in y]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_labels(kind):
    X, y = table(), labels()
    groups = KINDS[kind](y)
    plain = np.asarray(groups).tolist() if hasattr(groups, "__array__") else groups
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=groups)
    assert scaler.groups_.tolist() == sorted(set(plain))
    assert list(scaler.scalers_) == scaler.groups_.tolist()
    codes = np.array([scaler.groups_.tolist().index(label) for label in plain])
    np.testing.assert_array_equal(
        scaler.transform(X, groups=groups), GroupedScaler(StandardScaler()).fit_transform(X, groups=codes)
    )
    some = groups[5:25] if kind != "pandas int" else groups.iloc[5:25]
    np.testing.assert_array_equal(scaler.transform(X[5:25], some), scaler.transform(X, groups)[5:25])


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ([None, "a", "b"], 1),
        ([1.0, np.nan, np.nan], 2),
        ([float("nan"), "a", float("nan")], 2),
        (pd.Categorical(["a", None, "b"]), 1),
        (pd.Series([1, None, 2], dtype="Int64"), 1),
        (pd.Series(["a", None, None], dtype="string"), 2),
        (pl.Series(["a", None, "b"]), 1),
        (pl.Series(["a", None, "b"], dtype=pl.Categorical), 1),
        (pl.Series([1, None, 2]), 1),
        (np.array(["2024-01-01", "NaT", "NaT"], dtype="M8[D]"), 2),
    ],
)
def test_missing_labels(groups, count):
    with pytest.raises(ValueError, match=f"{count} missing label"):
        GroupedScaler(StandardScaler()).fit(table(3), groups=groups)


def test_wrong_labels():
    X, y = table(), labels()
    for groups, match in [
        (None, "groups is missing"),
        (y[:-1], r"must have shape \(600,\), one label for each sample; got shape \(599,\)"),
        (np.stack([y, y], axis=1), r"got shape \(600, 2\)"),
        (3, r"got shape \(\)"),
        (["a", 1] * 300, "of one kind.* int, str"),
        ([["a"], "b"] * 300, "groups"),
    ]:
        with pytest.raises(ValueError, match=match):
            GroupedScaler(StandardScaler()).fit(X, groups=groups)


def test_unseen_groups():
    X, y = table(), labels(groups=3)
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=y)
    out = np.full(X.shape, 7, np.float32)
    with pytest.raises(ValueError, match="not fitted: 3, 4, 5, 6, 7 and 2 more; unseen='global'"):
        scaler.transform(X, groups=labels(groups=10), out=out)
    assert (out == 7).all()
    with pytest.raises(ValueError, match="not fitted: 'a';"):
        scaler.transform(X[:1], groups=["a"])
    with pytest.raises(ValueError, match="not fitted: 9;"):
        scaler.inverse_transform(X[:1], groups=[9])
    assert not hasattr(scaler, "global_scaler_")
    with pytest.raises(ValueError, match="was fitted without"):
        scaler.set_params(unseen="global").transform(X[:1], groups=[9])


@pytest.mark.parametrize("cls", SCALERS)
def test_unseen_groups_with_the_statistics_of_all(cls):
    X, y = table(), labels(groups=3)
    scaler = GroupedScaler(cls(), unseen="global").fit(X, groups=y)
    alone = cls().fit(X)
    for name in cls._learned:
        if not name.startswith("_"):
            np.testing.assert_allclose(getattr(scaler.global_scaler_, name), getattr(alone, name), rtol=1e-12)
    unseen = np.where(y == 2, 70, y)
    result = scaler.transform(X, groups=unseen)
    np.testing.assert_allclose(result[y == 2], alone.transform(X[y == 2]), rtol=1e-6)
    np.testing.assert_array_equal(result[y != 2], scaler.transform(X, groups=y)[y != 2])
    if cls is not Normalizer:
        parts = GroupedScaler(cls(), unseen="global")
        for part in np.array_split(np.arange(600), 3):
            parts.partial_fit(X[part], groups=y[part])
        for name in cls._learned:
            if not name.startswith("_"):
                value = getattr(parts.global_scaler_, name)
                np.testing.assert_allclose(value, getattr(alone, name), rtol=0.1 if cls is RobustScaler else 1e-12)


@pytest.mark.parametrize("cls", LEARNING)
def test_partial_fit_and_merge(cls):
    X, y = table(), labels(groups=60)
    y[:300] %= 20  # groups that come later
    whole = GroupedScaler(cls()).fit(X, groups=y, mergeable=True)
    parts, merged = GroupedScaler(cls()), GroupedScaler(cls())
    for part in np.array_split(np.arange(600), 5):
        assert parts.partial_fit(X[part], groups=y[part]) is parts
        other = GroupedScaler(cls()).partial_fit(X[part], groups=y[part])
        assert merged.merge(other) is merged
    for scaler in (parts, merged):
        assert scaler.groups_.tolist() == whole.groups_.tolist() == list(scaler.scalers_)
        for label, one in whole.scalers_.items():
            for name in cls._learned:
                if not name.startswith("_"):
                    value = getattr(scaler.scalers_[label], name)
                    np.testing.assert_allclose(value, getattr(one, name), rtol=1e-6, atol=1e-12)
    before = pickle.dumps(merged)
    merged.merge(GroupedScaler(cls()))
    assert pickle.dumps(merged) == before
    # What was fitted at once can go on, too.
    whole.partial_fit(X, groups=y).merge(parts)


def test_a_failure_changes_nothing():
    X, y = table(), labels()
    scaler = GroupedScaler(StandardScaler(), unseen="global").fit(X, groups=y)
    before = pickle.dumps(scaler)
    bad = X.copy()
    bad[500, 2] = np.inf
    other = GroupedScaler(StandardScaler(), unseen="global").fit(X[:, :3], groups=y)
    for call in (
        lambda: scaler.partial_fit(bad, groups=y),
        lambda: scaler.partial_fit(X[:, :3], groups=y),
        lambda: scaler.partial_fit(X, groups=y[1:]),
        lambda: scaler.partial_fit(X, groups=[f"{i}" for i in y]),
        lambda: scaler.partial_fit(X, groups=y, sample_weight=-np.ones(600)),
        lambda: scaler.merge(other),
        lambda: scaler.merge(GroupedScaler(StandardScaler()).fit(X, groups=y)),
        lambda: scaler.merge(GroupedScaler(MinMaxScaler()).fit(X, groups=y)),
        lambda: scaler.merge(StandardScaler().fit(X)),
    ):
        with pytest.raises((ValueError, TypeError)):
            call()
        assert pickle.dumps(scaler) == before


def test_quantiles_that_cannot_be_merged():
    X = np.random.default_rng(0).normal(size=(4000, 2))
    here = GroupedScaler(RobustScaler()).fit(X, groups=np.zeros(4000, int))
    there = GroupedScaler(RobustScaler()).fit(X, groups=np.ones(4000, int))
    assert here.merge(there).groups_.tolist() == [0, 1]
    with pytest.raises(ValueError, match="keeps nothing to merge or to go on from"):
        here.merge(there)
    with pytest.raises(ValueError, match="keeps nothing to merge or to go on from"):
        here.partial_fit(X, groups=np.zeros(4000, int))


def test_weights():
    X, y, w = table(), labels(groups=100), np.random.default_rng(3).integers(1, 4, 600)
    weighted = GroupedScaler(StandardScaler()).fit(X, groups=y, sample_weight=w)
    repeated = GroupedScaler(StandardScaler()).fit(np.repeat(X, w, axis=0), groups=np.repeat(y, w))
    for label, scaler in repeated.scalers_.items():
        np.testing.assert_allclose(weighted.scalers_[label].mean_, scaler.mean_, rtol=1e-12)
        np.testing.assert_allclose(weighted.scalers_[label].var_, scaler.var_, rtol=1e-9)
    with pytest.raises(TypeError, match="MinMaxScaler takes no sample_weight"):
        GroupedScaler(MinMaxScaler()).fit(X, groups=y, sample_weight=w)


@pytest.mark.parametrize("scaler", [StandardScaler(n_blocks=3), MinMaxScaler(clip=True, feature_range=(-1, 2))])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "f8"])
def test_parameters_of_the_scaler(scaler, dtype):
    X, y = table(dtype=np.float64), labels(groups=30)
    scaler = clone(scaler).set_params(dtype=dtype)
    # Each group has two rows and more for every block.
    groups = np.r_[y[:410], np.arange(90) % 30]
    result = GroupedScaler(scaler).fit(X[:500], groups=groups).transform(X, groups=y)
    fitted, _ = by_hand(scaler, X[:500], groups)
    assert result.dtype == np.dtype(dtype)
    for label, alone in fitted.items():
        assert result[y == label].tobytes() == alone.transform(X[y == label]).tobytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_rows_and_labels(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, columns = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 6))
    dtype = data.draw(st.sampled_from([np.float32, np.float64, np.float16, np.uint8, ml_dtypes.bfloat16]))
    X = np.abs(rng.normal(5, 3, size=(rows, columns))).astype(dtype)
    y = rng.integers(0, data.draw(st.integers(1, 70)), rows)
    cls = data.draw(st.sampled_from(LEARNING))
    _, expected = by_hand(cls(), X, y)
    scaler = GroupedScaler(cls()).fit(X, groups=y)
    assert scaler.transform(X, y).tobytes() == expected.tobytes()
    with planish.num_threads(3):
        assert scaler.transform(X, y).tobytes() == expected.tobytes()


@pytest.mark.parametrize("axis", [-1, 1, (1, 2, 3), (-1, 1), None])
@pytest.mark.parametrize("cls", SCALERS)
def test_pictures(axis, cls):
    if cls is Normalizer and axis is None:
        return
    X = np.random.default_rng(3).normal(size=(30, 4, 5, 3))
    y = labels(30, 9)
    _, expected = by_hand(cls(channel_axis=axis), X, y)
    scaler = GroupedScaler(cls(channel_axis=axis)).fit(X, groups=y)
    np.testing.assert_allclose(scaler.transform(X, groups=y), expected, rtol=1e-12, atol=1e-14)
    if cls is not Normalizer:
        assert scaler.n_features_in_ == scaler.scalers_[0].n_features_in_
        if axis is not None:
            with pytest.raises(ValueError, match="X has channels of shape"):
                scaler.transform(np.ones((30, 5, 6, 2)), groups=y)
    for bad in (0, (0, 1), -4):
        with pytest.raises(ValueError, match="axis of the samples"):
            GroupedScaler(cls(channel_axis=bad)).fit(X, groups=y)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory(order):
    X = np.asarray(np.random.default_rng(0).normal(size=(200_000, 32)).astype(np.float32), order=order)
    out = np.empty_like(X)
    y = np.random.default_rng(1).integers(0, 50, 200_000)
    for cls in SCALERS:
        scaler = GroupedScaler(cls()).fit(X[:1000], groups=y[:1000])
        tracemalloc.start()
        scaler.fit(X, groups=y)
        scaler.transform(X, groups=y, out=out)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The 25 MB of X are not copied; numbers of rows and codes take 16 bytes a row for a while.
        assert peak < 12e6, cls


def test_results_do_not_depend_on_threads():
    X = np.random.default_rng(0).normal(size=(200_000, 16)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 30, 200_000)
    results = []
    for threads in (1, 2, 5):
        with planish.num_threads(threads):
            scaler = GroupedScaler(StandardScaler()).fit(X, groups=y)
            results.append((scaler.transform(X, groups=y).tobytes(), scaler.scalers_[3].var_.tobytes()))
    assert results[0] == results[1] == results[2]


def test_more_groups_than_16_bits():
    X = np.random.default_rng(0).normal(size=(150_000, 2))
    y = np.random.default_rng(1).permutation(150_000) // 2
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=y)
    frame = pd.DataFrame(X).groupby(y)
    np.testing.assert_allclose([one.mean_ for one in scaler.scalers_.values()], frame.mean(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.abs(scaler.transform(X, groups=y)), 1, rtol=1e-6)


def test_pickle_clone_and_repr():
    X, y = table(), labels()
    scaler = GroupedScaler(StandardScaler(), unseen="global").fit(X, groups=y)
    copy = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(copy.transform(X, groups=y), scaler.transform(X, groups=y))
    np.testing.assert_array_equal(
        copy.partial_fit(X, groups=y).scalers_[2].var_, scaler.partial_fit(X, groups=y).scalers_[2].var_
    )
    assert not hasattr(clone(scaler), "scalers_")
    assert repr(scaler) == "GroupedScaler(scaler=StandardScaler(), unseen='global')"
    assert scaler.get_params()["scaler__with_mean"] is True
    scaler.set_params(scaler__with_mean=False).fit(X, groups=y)
    np.testing.assert_array_equal(scaler.scalers_[1].transform(X[y == 1]), scaler.transform(X, y)[y == 1])
    assert not hasattr(scaler.scaler, "mean_")


def test_errors():
    X, y = table(), labels()
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError):
            getattr(GroupedScaler(StandardScaler()), method)(X, groups=y)
    with pytest.raises(TypeError, match="scaler must be a scaler of planish"):
        GroupedScaler(sklearn.preprocessing.StandardScaler()).fit(X, groups=y)
    with pytest.raises(ValueError, match="unseen"):
        GroupedScaler(StandardScaler(), unseen="skip").fit(X, groups=y)
    with pytest.raises(ValueError, match="quantile range"):
        GroupedScaler(RobustScaler(quantile_range=(90, 10))).fit(X, groups=y)
    with pytest.raises(ValueError, match="X is sparse"):
        GroupedScaler(MaxAbsScaler()).fit(csr_array(X), groups=y)
    assert not hasattr(GroupedScaler(Normalizer()), "partial_fit")
    with pytest.raises(AttributeError, match="Normalizer has no inverse_transform"):
        GroupedScaler(Normalizer()).fit(X, groups=y).inverse_transform(X, groups=y)
    bad = X.copy()
    bad[3, 1] = np.inf
    for cls in SCALERS:
        with pytest.raises(ValueError, match="Input X contains infinity"):
            GroupedScaler(cls()).fit(bad, groups=y)
        with pytest.raises(ValueError, match="Input X contains infinity"):
            GroupedScaler(cls()).fit(X, groups=y).transform(bad, groups=y)
    with pytest.raises(ValueError, match="3 features"):
        GroupedScaler(StandardScaler()).fit(X, groups=y).transform(X[:, :3], groups=y)
    with pytest.raises(ValueError, match="Found array"):
        GroupedScaler(StandardScaler()).fit(X[:0], groups=y[:0])

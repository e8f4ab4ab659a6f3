"""Scalers taken over from scikit-learn: every class, every parameter, data of every kind, and what can be done then."""

import itertools
import pickle
import warnings

import numpy as np
import planish
import pytest
import sklearn.preprocessing

pytestmark = pytest.mark.dependencies

NAN = np.nan
RNG = np.random.default_rng(0)
TABLES = {
    "numbers": RNG.normal(3, 2, (20, 3)),
    "a column without numbers": np.column_stack([RNG.normal(size=20), np.full(20, NAN), RNG.normal(size=20)]),
    "no number": np.full((5, 3), NAN),
    "some missing": np.where(RNG.random((20, 3)) < 0.3, NAN, RNG.normal(size=(20, 3))),
    "constants": np.tile([1.5, 0.0, -1e10], (6, 1)),
    "one row": np.array([[1.0, -2.0, 0.0]]),
    "one row with a gap": np.array([[1.0, NAN, 0.0]]),
    "float32": RNG.normal(3, 2, (20, 3)).astype(np.float32),
    "float16": RNG.normal(3, 2, (20, 3)).astype(np.float16),
}
MORE = RNG.normal(-1, 3, (7, 3))
PARAMETERS = {
    "StandardScaler": {"with_mean": [True, False], "with_std": [True, False], "copy": [True, False]},
    "MinMaxScaler": {"feature_range": [(0, 1), (-1, 0.5), (2, 3)], "clip": [True, False]},
    "MaxAbsScaler": {"copy": [True, False]},
    "RobustScaler": {
        "with_centering": [True, False],
        "with_scaling": [True, False],
        "quantile_range": [(25.0, 75.0), (10.0, 80.0)],
        "unit_variance": [True, False],
    },
    "Normalizer": {"norm": ["l1", "l2", "max"]},
}


def cases():
    for name, parameters in PARAMETERS.items():
        for values in itertools.product(*parameters.values()):
            yield name, dict(zip(parameters, values, strict=True))


def assert_equal(ours, theirs, tolerance=1e-12):
    np.testing.assert_allclose(np.asarray(ours, np.float64), np.asarray(theirs, np.float64), tolerance, tolerance)


def assert_same_attributes(ours, theirs):
    for name, value in vars(theirs).items():
        if name.endswith("_") and not name.startswith("_"):
            own = getattr(ours, name)
            assert (own is None) == (value is None), name
            if value is not None:
                assert_equal(own, value)


@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Degrees of freedom", "ignore:Mean of empty", "ignore:invalid")
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("name", "parameters"), cases(), ids=str)
def test_taken_over(name, parameters, table):
    X = TABLES[table]
    if name == "Normalizer" and np.isnan(X).any():
        X = np.nan_to_num(X)
    theirs = getattr(sklearn.preprocessing, name)(**parameters).fit(X.copy())
    ours = getattr(planish, name).from_sklearn(theirs)
    assert ours.get_params().items() >= theirs.get_params().items()
    assert_same_attributes(ours, theirs)
    tolerance = 1e-12 if X.dtype == np.float64 else 20 * float(np.finfo(X.dtype).eps)
    for data in (X, MORE.astype(X.dtype)):
        expected = theirs.transform(data.copy())
        largest = max(1.0, float(np.nanmax(np.abs(expected), initial=0)))
        result = ours.transform(data.copy())
        assert result.dtype == expected.dtype
        assert_equal(result / largest, expected / largest, tolerance)
        if hasattr(theirs, "inverse_transform"):
            back, wanted = ours.inverse_transform(data.copy()), theirs.inverse_transform(data.copy())
            largest = max(1.0, float(np.nanmax(np.abs(wanted), initial=0)))
            assert_equal(back / largest, wanted / largest, tolerance)
    again = ours.to_sklearn()
    assert type(again) is type(theirs)
    assert_same_attributes(again, theirs)
    if not hasattr(theirs, "partial_fit"):
        return
    # Going on is as if all had come at once.
    together = getattr(planish, name)(**parameters).fit(X.copy())
    together.partial_fit(MORE)
    loaded = pickle.loads(pickle.dumps(ours))
    apart = getattr(planish, name)(**parameters).fit(MORE)
    merged = getattr(planish, name).from_sklearn(theirs).merge(apart)
    close = 1e-10 if X.dtype == np.float64 else 50 * float(np.finfo(X.dtype).eps)
    for scaler in (ours.partial_fit(MORE), loaded.partial_fit(MORE), merged):
        for attribute in ("mean_", "var_", "scale_", "data_min_", "data_max_", "max_abs_", "n_samples_seen_"):
            one, other = getattr(scaler, attribute, None), getattr(together, attribute, None)
            assert (one is None) == (other is None), attribute
            if one is not None:
                assert_equal(one, other, close)


def test_what_was_fitted_without_is_not_known():
    theirs = sklearn.preprocessing.StandardScaler(with_std=False).fit(TABLES["numbers"])
    ours = planish.StandardScaler.from_sklearn(theirs).set_params(with_std=True)
    with pytest.raises(ValueError, match="with_std=True.*fitted without"):
        ours.partial_fit(MORE)
    again = planish.StandardScaler.from_sklearn(theirs)
    assert_equal(again.partial_fit(MORE).mean_, np.vstack([TABLES["numbers"], MORE]).mean(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert planish.StandardScaler().fit(MORE).var_ is not None


def test_replaced_attributes_are_used():
    theirs = sklearn.preprocessing.MinMaxScaler().fit(TABLES["numbers"])
    theirs.scale_ = theirs.scale_ * 2
    ours = planish.MinMaxScaler.from_sklearn(theirs)
    assert_equal(ours.transform(MORE), theirs.transform(MORE))


@pytest.mark.parametrize("name", ["MinMaxScaler", "MaxAbsScaler"])
def test_columns_without_numbers_can_be_saved(name):
    x = np.array([[1.0, np.nan], [2.0, np.nan]])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        theirs = getattr(sklearn.preprocessing, name)().fit(x)
    ours = getattr(planish, name).from_sklearn(theirs)
    more = np.array([[4.0, 3.0]])
    for scaler in (planish.loads(planish.dumps(ours)), pickle.loads(pickle.dumps(ours))):
        np.testing.assert_array_equal(scaler.transform(x), ours.transform(x))
        expected = getattr(planish, name)().fit(np.concatenate([x, more]))
        np.testing.assert_array_equal(scaler.partial_fit(more).transform(more), expected.transform(more))
        planish.loads(planish.dumps(scaler + scaler))

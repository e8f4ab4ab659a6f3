"""What every scaler promises. The classes are found by their methods: a new one is tested by being there."""

import inspect
import itertools
import pickle
import re
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import planish
import pytest
from arrays import DTYPES, FLOATS
from contracts import BAD, REFUSALS, VIEWS, WAYS, of_planish, quietly, scalers, takes
from sklearn.base import BaseEstimator, clone

pytestmark = pytest.mark.dependencies

#: Arguments without which a class cannot be made. Nothing else is known here of any class.
REQUIRED = {"GroupedScaler": lambda: {"scaler": planish.StandardScaler()}}


class Inherited(planish.StandardScaler):
    """A class that is new to the contract."""


OWN = scalers(planish)
NEW = scalers(SimpleNamespace(__all__=["Inherited"], Inherited=Inherited))
CLASSES = OWN + NEW
#: To scikit-learn dates are numbers, and what has one dimension is no table.
BAD_X = {**{reason: x for reason, x in BAD.items() if reason != "dates"}, "one dimension": np.ones(6)}
#: Pictures, so that channels may be anything; positive, so that they have logarithms.
RNG = np.random.default_rng(0)
X, MORE = RNG.uniform(1, 9, (6, 5, 4, 3)), RNG.uniform(2, 30, (4, 5, 4, 3))

every_class = pytest.mark.parametrize("cls", CLASSES)
merging = pytest.mark.parametrize("cls", [cls for cls in CLASSES if hasattr(cls, "merge")])


def make(cls):
    """Make a scaler without a parameter, but for those that have no default."""
    names = [base.__name__ for base in cls.__mro__]
    return cls(**next((REQUIRED[name]() for name in names if name in REQUIRED), {}))


def call(scaler, method, x, **options):
    """Call a method with labels of groups, where it takes some."""
    function = getattr(scaler, method)
    if takes(function, "groups"):
        options["groups"] = np.arange(len(x)) % 2 if hasattr(x, "__len__") else None
    if takes(function, "mergeable"):
        options.setdefault("mergeable", True)
    return quietly(function, x, **options)


def fitted(cls, x=X):
    return call(make(cls), "fit", x)


def bits(scaler):
    return pickle.dumps(sorted((name, value) for name, value in vars(scaler).items() if name != "_lock"))


def results(scaler, x=X):
    """What a scaler makes of data, and what it has learnt."""
    learnt = {name: value for name, value in vars(scaler).items() if name[-1:] == "_" and name[:1] != "_"}
    arrays = {name: np.asarray(value) for name, value in learnt.items() if isinstance(value, np.ndarray | np.number)}
    arrays["transform"] = call(scaler, "transform", x)
    return {name: (value.dtype, value.shape, value.tobytes()) for name, value in arrays.items()}


def outcome(function, *args):
    """Give what a function gives, or its error: a scaler that knows nothing yet may refuse."""
    try:
        return function(*args)
    except ValueError as error:
        return error


def said(scaler):
    """Give the results of a scaler, or the words with which it refuses."""
    found = outcome(results, scaler)
    return str(found) if isinstance(found, Exception) else found


def assert_close(ours, theirs, x=X):
    """Compare what two scalers have learnt and what they make of data, whatever the order of sums."""
    a, b = (vars(one) for one in (ours, theirs))
    for name in b:
        assert name in a
        if name[-1:] == "_" and name[:1] != "_" and isinstance(b[name], np.ndarray) and b[name].dtype.kind == "f":
            np.testing.assert_allclose(a[name], b[name], rtol=1e-12, err_msg=name)
    a, b = (call(one, "transform", x) for one in (ours, theirs))
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=4 * ml_dtypes.finfo(a.dtype).eps, atol=1e-6 if a.dtype == "f4" else 1e-13)


def test_classes_are_found():
    names = {cls.__name__ for cls in OWN}
    assert {"GroupedScaler", "ImageNormalizer", "LogScaler", "MaxAbsScaler", "MinMaxScaler"} <= names
    assert {"Normalizer", "RobustScaler", "StandardScaler"} <= names
    assert [Inherited] == NEW
    assert all(map(of_planish, OWN))
    assert not of_planish(Inherited)
    # Whatever an estimator of planish is called, it is a scaler.
    exported = [getattr(planish, name) for name in planish.__all__]
    estimators = [cls for cls in exported if inspect.isclass(cls) and issubclass(cls, BaseEstimator)]
    assert set(estimators) <= set(OWN)


def test_a_class_that_breaks_its_word_is_found_out():
    class Forgetful(planish.StandardScaler):
        def merge(self, other):
            return self

    class Hasty(planish.StandardScaler):
        def fit(self, X, y=None):
            self.mean_ = None
            return super().fit(X)

    with pytest.raises(AssertionError):
        test_merging_is_fitting(Forgetful)
    with pytest.raises(AssertionError):
        test_bad_input_changes_nothing(Hasty, "text")


# --- copies and parameters -------------------------------------------------------------------------------------------


@every_class
@pytest.mark.parametrize("way", WAYS)
def test_copies_are_equal_and_go_on_apart(cls, way, tmp_path):
    if way == "skops" and not issubclass(cls, BaseEstimator):
        pytest.skip("not an estimator")
    for original in (make(cls), fitted(cls)):
        before = said(original)
        other = WAYS[way](original, tmp_path / "object.json")
        assert type(other) is cls
        assert repr(other) == repr(original)
        assert said(other) == said(original) == before
        more = "partial_fit" if hasattr(cls, "partial_fit") else "fit"
        call(other, more, MORE)
        assert said(original) == before
        call(original, more, MORE)
        assert results(other) == results(original)


@every_class
def test_parameters(cls):
    scaler = make(cls)
    assert cls.__name__ in repr(scaler)
    with pytest.raises(TypeError):
        cls(chanel_axis=-1)
    if not hasattr(cls, "get_params"):
        return
    parameters = scaler.get_params(deep=False)
    assert parameters.keys() == inspect.signature(cls).parameters.keys()
    for name, value in parameters.items():
        assert getattr(scaler, name) is value  # kept as it is
    assert scaler.set_params(**parameters) is scaler
    learnt = fitted(cls)
    copy = clone(learnt)
    assert type(copy) is cls
    assert repr(copy) == repr(scaler)
    assert said(copy) == said(scaler)
    with pytest.raises(ValueError, match="no_such_parameter"):
        scaler.set_params(no_such_parameter=1)


@every_class
def test_fitting(cls):
    scaler = make(cls)
    assert call(scaler, "fit", X) is scaler
    assert results(scaler) == results(fitted(cls))
    # Nothing is left of what was learnt before.
    assert results(call(fitted(cls, MORE), "fit", X)) == results(scaler)
    np.testing.assert_array_equal(call(make(cls), "fit_transform", X), call(scaler, "transform", X))
    if hasattr(cls, "partial_fit"):
        streamed = make(cls)
        assert call(streamed, "partial_fit", X) is streamed
        assert_close(streamed, scaler)
    # One that has learnt nothing refuses, if there is something to learn.
    new = said(make(cls))
    assert new == results(scaler) or isinstance(new, str)


# --- merging ---------------------------------------------------------------------------------------------------------


@merging
def test_empty_is_the_identity(cls):
    for ours in (make(cls), fitted(cls)):
        before = said(ours)
        for joined in (ours + make(cls), make(cls) + ours, make(cls).merge(ours), ours.merge(make(cls)), 0 + ours):
            assert type(joined) is cls
            assert said(joined) == before
        assert results(call(ours + make(cls), "partial_fit", MORE)) == results(call(ours, "partial_fit", MORE))


@merging
def test_merging_is_fitting(cls):
    pieces = [X[:2], X[2:], MORE]
    whole, parts, merged = fitted(cls, np.concatenate(pieces)), make(cls), make(cls)
    for piece in pieces:
        call(parts, "partial_fit", piece)
        assert merged.merge(fitted(cls, piece)) is merged
    for joined in (parts, merged, sum(fitted(cls, piece) for piece in pieces)):
        assert_close(joined, whole)


@merging
def test_sums_are_new_objects(cls):
    ours, theirs, nothing = fitted(cls), fitted(cls, MORE), make(cls)
    before = [bits(one) for one in (ours, theirs, nothing)]
    expected = results(ours + theirs)
    assert results(sum([ours, theirs])) == expected
    for one in (ours + theirs, ours + nothing, nothing + ours, sum([ours])):
        assert type(one) is cls
        assert one is not ours
        for value in list(vars(one).values()):
            if isinstance(value, np.ndarray) and value.dtype != object:
                value[...] = 0
        one.merge(theirs)
    assert [bits(one) for one in (ours, theirs, nothing)] == before
    total = ours
    total += theirs
    assert total is not ours
    assert results(total) == expected
    assert ours.merge(theirs) is ours
    assert results(ours) == expected
    for other in (1, 0.0, "0", None, [], np.zeros(3)):
        with pytest.raises(TypeError):
            theirs + other
        if other is not None and not isinstance(other, np.ndarray):
            with pytest.raises(TypeError):
                other + theirs
    assert bits(theirs) == before[1]


@merging
def test_partners_that_do_not_fit(cls):
    ours = fitted(cls)
    before = bits(ours)
    strangers = [other for other in CLASSES if not issubclass(other, cls) and not issubclass(cls, other)]
    for error, other in [
        *((TypeError, stranger) for stranger in [*map(make, strangers), 1, None, "x", X]),
        (ValueError, fitted(cls, np.ones((4, 5, 4, 2)))),
    ]:
        for join in (ours.merge, ours.__add__):
            try:
                joined = join(other)
            except error:
                joined = NotImplemented
            assert joined is NotImplemented
        assert bits(ours) == before


# --- input -----------------------------------------------------------------------------------------------------------


@every_class
@pytest.mark.parametrize("reason", BAD_X)
def test_bad_input_changes_nothing(cls, reason):
    new, learnt = make(cls), fitted(cls)
    for scaler, methods in ((new, ("fit", "partial_fit", "fit_transform")), (learnt, ("partial_fit", "transform"))):
        for method in methods:
            if not hasattr(scaler, method) or (reason == "other channels" and scaler is new):
                continue
            before = bits(scaler)
            if reason == "other channels" and not hasattr(cls, "partial_fit"):
                continue
            with pytest.raises(REFUSALS):
                call(scaler, method, BAD_X[reason])
            assert bits(scaler) == before
    if reason != "other channels":
        before = bits(learnt)
        for method in ("fit", "fit_transform"):
            with pytest.raises(REFUSALS):
                call(learnt, method, BAD_X[reason])
            assert bits(learnt) == before


@every_class
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_taken_or_changes_nothing(cls, bad):
    x = X.copy()
    x[2, 1, 3, 1] = bad
    for new, method in itertools.product((True, False), ("fit", "partial_fit", "fit_transform")):
        scaler = make(cls) if new else fitted(cls)
        if not hasattr(scaler, method):
            continue
        before = bits(scaler)
        error = outcome(call, scaler, method, x)
        if isinstance(error, Exception):
            assert re.search("infinity|NaN", str(error))
            assert bits(scaler) == before
            continue
        before = bits(scaler)
        try:
            y = call(scaler, "transform", x)
        except ValueError:
            continue
        finally:
            assert bits(scaler) == before
        # Nothing but the element itself is spoiled.
        assert (~np.isfinite(y)).sum() <= 1


def numbers(shape, dtype, seed):
    """Positive numbers, small enough for every dtype and for exact sums."""
    return np.random.default_rng(seed).integers(1, 100, shape).astype(dtype)


@every_class
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(cls, dtype):
    """Results are those of the same numbers in float64, rounded to the dtype of results."""
    x = numbers((6, 5, 4, 3), dtype, 1)
    before = x.copy()
    narrow, wide = fitted(cls, x), fitted(cls, x.astype(np.float64))
    y, z = call(narrow, "transform", x), call(wide, "transform", x.astype(np.float64))
    parameters = inspect.signature(cls).parameters
    wanted = parameters["dtype"].default if "dtype" in parameters else None
    assert y.dtype == np.dtype(wanted or (dtype if dtype in FLOATS else np.float64))
    assert y.shape == z.shape
    tolerance = 8 * float(ml_dtypes.finfo(y.dtype).eps)
    z = z.astype(np.float64)
    np.testing.assert_allclose(y.astype(np.float64), z, rtol=tolerance, atol=tolerance * max(1, np.abs(z).max()))
    assert x.tobytes() == before.tobytes()


@every_class
@pytest.mark.parametrize("view", VIEWS)
def test_views(cls, view):
    for dtype in ("u1", "f4", "f8"):
        x = numbers((6, 5, 4, 3), dtype, 2)
        seen = VIEWS[view](x)
        np.testing.assert_array_equal(seen, x)
        assert_close(fitted(cls, seen), fitted(cls, x), x)
        ours, expected = call(fitted(cls, x), "transform", seen), call(fitted(cls, x), "transform", x)
        np.testing.assert_allclose(ours, expected, rtol=1e-6 if ours.dtype == "f4" else 1e-14)
        np.testing.assert_array_equal(seen, x)


@every_class
def test_no_row_and_one_row(cls):
    row, none = X[:1], X[:0]
    y = call(fitted(cls, row), "transform", row)
    assert np.isfinite(y).all()
    for method, scaler in itertools.product(("fit", "partial_fit", "fit_transform"), (make(cls), fitted(cls))):
        before = bits(scaler)
        if hasattr(scaler, method):
            with pytest.raises(ValueError, match=r"0 sample|no pixel"):
                call(scaler, method, none)
            assert bits(scaler) == before


@every_class
def test_out(cls):
    scaler = fitted(cls)
    expected = call(scaler, "transform", X)
    for order in "CF":
        out = np.empty_like(expected, order=order)
        assert call(scaler, "transform", X, out=out) is out
        np.testing.assert_array_equal(out, expected)
    gaps = np.zeros((*expected.shape[:-1], 2 * expected.shape[-1]), expected.dtype)
    assert np.shares_memory(call(scaler, "transform", X, out=gaps[..., ::2]), gaps)
    np.testing.assert_array_equal(gaps[..., ::2], expected)
    assert not gaps[..., 1::2].any()
    locked = np.zeros_like(expected)
    locked.flags.writeable = False
    for bad in (np.zeros_like(expected[:-1]), expected.astype(np.int32) * 0, locked, [[0.0]]):
        with pytest.raises((TypeError, ValueError)):
            call(scaler, "transform", X, out=bad)
        assert not np.any(bad)


@every_class
def test_inverse(cls):
    scaler = fitted(cls)
    if not hasattr(cls, "inverse_transform"):
        return
    options = {"dtype": "float32"} if takes(cls.inverse_transform, "dtype") else {}
    y = call(scaler, "transform", X)
    back = call(scaler, "inverse_transform", y, **options)
    np.testing.assert_allclose(back, X, rtol=1e-5 if back.dtype == "f4" else 1e-12)

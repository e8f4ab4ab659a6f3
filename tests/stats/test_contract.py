"""What every accumulator promises. The classes are found by their methods: a new one is tested by being there."""

import inspect
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from arrays import DTYPES, FLOATS, fill
from contracts import BAD, REFUSALS, VIEWS, WAYS, accumulators, of_planish, quietly, takes
from planish import stats

pytestmark = pytest.mark.dependencies


class Inherited(stats.MedianOfMeans):
    """A class that is new to the contract."""


OWN = accumulators(stats)
NEW = accumulators(SimpleNamespace(__all__=["Inherited"], Inherited=Inherited))
CLASSES = OWN + NEW
AXES = [-1, None, (1, -1)]
RNG = np.random.default_rng(0)
X, MORE = RNG.normal(3, 2, (40, 2, 4)), RNG.normal(1, 5, (40, 2, 4))
TABLE = X[:, 0]

every_class = pytest.mark.parametrize("cls", CLASSES)


def properties(cls):
    names = [name for name, _ in inspect.getmembers(cls, inspect.isdatadescriptor) if not name.startswith("_")]
    return [name for name in names if name not in inspect.signature(cls).parameters]


def results(accumulator):
    """Everything that an accumulator says; nothing where it has seen nothing."""
    try:
        return {name: np.asarray(getattr(accumulator, name)) for name in properties(type(accumulator))}
    except ValueError:
        return {}


def bits(accumulator):
    values = results(accumulator)
    # Sums of a subclass are of its base.
    return repr(accumulator).partition("(")[2], {name: (value.dtype, value.tobytes()) for name, value in values.items()}


def parameters(accumulator):
    return {name: getattr(accumulator, name) for name in inspect.signature(type(accumulator)).parameters}


def assert_close(ours, theirs):
    ours, theirs = results(ours), results(theirs)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-12, atol=1e-14, err_msg=name)


def test_classes_are_found():
    assert {"Extrema", "MedianOfMeans", "Moments", "Quantiles"} <= {cls.__name__ for cls in OWN}
    assert [Inherited] == NEW
    assert all(map(of_planish, OWN))
    assert not of_planish(Inherited)


def test_a_class_that_breaks_its_word_is_found_out():
    class Forgetful(stats.MedianOfMeans):
        def merge(self, other):
            return self

    class Hasty(stats.MedianOfMeans):
        def update(self, x, *rest):
            super().update(x if isinstance(x, np.ndarray) and x.dtype == float else X)
            return super().update(x, *rest)

    with pytest.raises(AssertionError):
        test_merging_is_updating(Forgetful)
    with pytest.raises(AssertionError):
        test_bad_input_changes_nothing(Hasty, "text")


# --- copies ----------------------------------------------------------------------------------------------------------

STATES = {
    "empty": lambda empty: empty,
    "no rows": lambda empty: empty.update(np.empty((0, 2, 4))),
    "rows": lambda empty: empty.update(X),
    "NaN": lambda empty: empty.update(np.where(X < 3, np.nan, X)),
    "bytes": lambda empty: empty.update(fill((40, 2, 4), np.dtype("u1"), 3)),
    "both": lambda empty: empty.update(fill((40, 2, 4), np.dtype("i4"), 3)).update(X),
    "merged": lambda empty: empty.update(X).merge(type(empty)(**parameters(empty)).update(MORE)),
}


@every_class
@pytest.mark.parametrize("way", WAYS)
def test_copies_are_equal_and_go_on_apart(cls, way, tmp_path):
    for axis, state in [*((-1, state) for state in STATES), *((axis, "rows") for axis in AXES)]:
        original = STATES[state](cls(channel_axis=axis))
        before = bits(original)
        other = WAYS[way](original, tmp_path / "object.json")
        assert type(other) is cls
        assert parameters(other) == parameters(original)
        assert other == original
        assert bits(other) == bits(original) == before
        other.update(MORE)
        assert bits(original) == before
        assert other != original
        original.update(MORE)
        assert other == original
        assert bits(other) == bits(original)


# --- merging ---------------------------------------------------------------------------------------------------------


@every_class
@pytest.mark.parametrize("axis", AXES)
def test_empty_is_the_identity(cls, axis):
    for state in STATES.values():
        one, more = state(cls(channel_axis=axis)), state(cls(channel_axis=axis)).update(MORE)
        for joined in (
            state(cls(channel_axis=axis)).merge(cls(channel_axis=axis)),
            one + cls(channel_axis=axis),
            cls(channel_axis=axis) + one,
            cls(channel_axis=axis).merge(one),
            0 + one,
            sum([one]),
        ):
            assert joined == one
            assert bits(joined) == bits(one)
            assert bits(joined.update(MORE)) == bits(more)


@every_class
def test_merging_is_updating(cls):
    for axis in AXES:
        # Of each size a multiple of the blocks that samples are dealt to.
        pieces = np.split(np.concatenate([X, MORE]), [10, 40, 60])
        whole, merged = cls(channel_axis=axis), cls(channel_axis=axis)
        for piece in pieces:
            whole.update(piece)
            assert merged.merge(cls(channel_axis=axis).update(piece)) is merged
        assert_close(merged, whole)
        assert_close(sum(cls(channel_axis=axis).update(piece) for piece in pieces), whole)
        assert_close(whole, cls(channel_axis=axis).update(np.concatenate(pieces)))


@every_class
@pytest.mark.parametrize("axis", AXES)
def test_sums_are_new_objects(cls, axis):
    ours, theirs = cls(channel_axis=axis).update(X), cls(channel_axis=axis).update(MORE)
    nothing = cls(channel_axis=axis)
    before = [bits(one) for one in (ours, theirs, nothing)]
    joined = ours + theirs
    for one in (joined, ours + nothing, nothing + ours, sum([ours]), sum([ours, theirs])):
        assert isinstance(one, cls if of_planish(cls) else cls.__bases__)
        assert one is not ours
        one.merge(theirs)
        one.update(X)
    assert [bits(one) for one in (ours, theirs, nothing)] == before
    assert ours + theirs == ours + theirs
    total = ours
    total += theirs
    assert bits(total) == bits(cls(channel_axis=axis).update(X).merge(theirs))
    assert bits(theirs) == before[1]
    assert ours.merge(theirs) is ours
    for other in (1, 0.0, False, None, "0", X):
        with pytest.raises(TypeError):
            theirs + other
        if not isinstance(other, np.ndarray):
            with pytest.raises(TypeError):
                other + theirs
    assert theirs != 1
    assert bits(theirs) == before[1]


@every_class
def test_partners_that_do_not_fit(cls):
    ours = cls().update(X)
    before = bits(ours)
    strangers = [other().update(X) for other in CLASSES if not issubclass(other, cls) and not issubclass(cls, other)]
    for error, other in [
        *((TypeError, stranger) for stranger in [*strangers, 1, None, "x", X]),
        (ValueError, cls().update(np.ones((2, 7)))),
        (ValueError, cls(channel_axis=0).update(np.ones((5, 9)))),
        (ValueError, cls(channel_axis=None).update(X)),
    ]:
        with pytest.raises(error):
            ours.merge(other)
        with pytest.raises(error):
            ours + other
        assert bits(ours) == before


# --- input -----------------------------------------------------------------------------------------------------------


@every_class
@pytest.mark.parametrize("reason", BAD)
def test_bad_input_changes_nothing(cls, reason):
    for seen in (cls(), cls().update(np.ones((0, 3))), cls().update(TABLE[:, :3])):
        before = bits(seen)
        if reason == "other channels" and not before[1]:
            continue
        with pytest.raises(REFUSALS):
            seen.update(BAD[reason])
        assert bits(seen) == before


@every_class
def test_infinity_is_taken_or_changes_nothing(cls):
    for bad in (np.inf, -np.inf):
        x = X.copy()
        x[-1, 1, 1] = bad
        for seen in (cls(), cls().update(MORE)):
            before = bits(seen)
            try:
                seen.update(x)
            except ValueError:
                assert bits(seen) == before
            else:
                found = results(seen)
                assert (found["count"] == (160 if before[1] else 80)).all()
                assert not any(np.isnan(value).any() for value in found.values())


@every_class
def test_bad_parameters_and_options(cls):
    for axis in ("last", 1.5, (0, 0), [object()]):
        with pytest.raises((TypeError, ValueError)):
            cls(channel_axis=axis).update(X)
    with pytest.raises(TypeError):
        cls(chanel_axis=-1)
    seen = cls().update(X)
    before = bits(seen)
    for option, bad in [("mask", np.ones((3, 4), bool)), ("mask", np.ones((40, 4))), ("weights", -np.ones(40))]:
        if takes(cls.update, option):
            with pytest.raises((TypeError, ValueError)):
                seen.update(X, **{option: bad})
            assert bits(seen) == before


@every_class
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(cls, dtype):
    """Statistics are those of the same numbers in float64."""
    x = fill((40, 4), dtype, 5)
    if dtype.itemsize == 8 and dtype.kind in "iu":
        x %= 1 << 30  # numbers that float64 has
    for axis in (-1, None):
        narrow, wide = cls(channel_axis=axis).update(x), cls(channel_axis=axis).update(x.astype(np.float64))
        assert_close(narrow, wide)
        for name, value in results(narrow).items():
            assert value.dtype == (np.float64 if name != "count" else np.int64)
    if dtype.itemsize > 1 and dtype.kind in "iuf":
        before = bits(narrow)
        with pytest.raises(TypeError, match="native byte order"):
            narrow.update(x.astype(dtype.newbyteorder(">")))
        assert bits(narrow) == before


@every_class
@pytest.mark.parametrize("view", VIEWS)
def test_views(cls, view):
    for dtype, axis in itertools.product(("u1", "f4", "f8"), [*AXES, (-1, 0), 0]):
        x = fill((11, 6, 5), np.dtype(dtype), 6)
        seen = VIEWS[view](x)
        np.testing.assert_array_equal(seen, x)
        assert_close(cls(channel_axis=axis).update(seen), cls(channel_axis=axis).update(x.copy()))
        np.testing.assert_array_equal(seen, x)


@every_class
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nan_is_no_number(cls, dtype):
    x = TABLE.astype(dtype)
    x[::3, 1] = np.nan
    x[:, 2] = np.nan
    seen, clean = quietly(cls().update, x), cls().update(TABLE.astype(dtype))
    assert seen.count.tolist() == [40, 26, 0, 40]
    for name, value in results(seen).items():
        if name != "count":
            assert np.isnan(value[..., 2]).all()
            assert np.isfinite(value[..., [0, 1, 3]]).all()
        np.testing.assert_array_equal(value[..., [0, 3]], results(clean)[name][..., [0, 3]])
    # What has no number takes some later.
    assert np.isfinite(results(seen.update(TABLE))[properties(cls)[-1]]).all()


@every_class
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_row_and_one_row(cls, dtype):
    none = cls().update(np.empty((0, 4), dtype))
    assert none.count.tolist() == [0] * 4
    assert all(np.isnan(value).all() for name, value in results(none).items() if name != "count")
    with pytest.raises(ValueError, match="channels"):
        none.update(np.ones((2, 3)))
    row = fill((1, 4), dtype, 8)
    one = none.update(row)
    assert one.count.tolist() == [1] * 4
    assert one == cls().update(row)
    assert bits(one.update(np.empty((0, 4), dtype))) == bits(cls().update(row))
    no_channel = cls().update(np.empty((5, 0), dtype))
    assert no_channel.count.shape == (0,)


@every_class
def test_masks_and_weights_of_ones(cls):
    expected = cls().update(X)
    if takes(cls.update, "mask"):
        assert bits(cls().update(X, mask=np.ones(X.shape, bool))) == bits(expected)
        nothing = cls().update(X, mask=np.zeros(X.shape, bool))
        assert nothing.count.tolist() == [0] * 4
        assert_close(nothing.update(X), expected)
    if takes(cls.update, "weights"):
        assert_close(cls().update(X, weights=np.ones(40)), expected)

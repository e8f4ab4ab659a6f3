"""Statistics of groups of rows in the core, against the rows of each group alone."""

import ml_dtypes
import numpy as np
import planish
import pytest
from arrays import DTYPES, arrays, channel_axes, fill
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import GroupedScaler, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from planish.stats import Extrema, Moments

pytestmark = pytest.mark.numeric

EPS = np.finfo(np.float64).eps


def in_turn(x, codes, groups, axes, weights=None):
    """Moments and extrema of each group, by one accumulator for each."""
    moments = [
        Moments(axes).update(x[codes == group], None if weights is None else weights[codes == group])
        for group in range(groups)
    ]
    return moments, [Extrema(axes).update(x[codes == group]) for group in range(groups)]


def check(x, codes, groups, axes, weights=None):
    states = []
    for threads in (1, 3):
        with planish.num_threads(threads):
            states.append(Moments._of_groups("x", x, codes, groups, axes, weights))
    assert states[0] == states[1]
    moments, extrema = states[0], Extrema._of_groups("x", x, codes, groups, axes)
    assert moments.channel_axis == (0, *(axis + 1 for axis in sorted(axis % x.ndim for axis in axes)))
    one_by_one, bounds = in_turn(x, codes, groups, axes, weights)
    for group, (alone, limits) in enumerate(zip(one_by_one, bounds, strict=True)):
        # Counts are exact; of sums with weights no more is known than that each addition rounds once.
        few = 8 * EPS if weights is None else x.size * EPS
        np.testing.assert_allclose(moments.count[group], alone.count, rtol=0 if weights is None else few)
        np.testing.assert_allclose(moments.mean[group], alone.mean, rtol=few, atol=few * np.nan_to_num(alone.std).max())
        rounding = (4 * EPS * np.abs(alone.mean)) ** 2  # of data that are constant
        assert (np.abs(moments.var[group] - alone.var) <= 8 * few * alone.var + rounding)[alone.count > 0].all()
        np.testing.assert_array_equal(extrema.min[group], limits.min)
        np.testing.assert_array_equal(extrema.max[group], limits.max)
        np.testing.assert_array_equal(extrema.count[group], limits.count)


def codes_for(rows, groups, seed=0):
    codes = np.random.default_rng(seed).integers(0, groups, rows).astype(np.uint32)
    codes[:groups] = np.arange(groups)[:rows]
    return codes


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("groups", [1, 2, 9, 40])
@pytest.mark.parametrize("columns", [1, 3, 16, 37])
def test_tables(dtype, groups, columns):
    rows = 300 * groups + 1000
    check(fill((rows, columns), dtype, 1), codes_for(rows, groups), groups, (1,))


@pytest.mark.parametrize("order", ["shuffled", "sorted", "rare"])
def test_orders_of_groups(order):
    x, codes = fill((40_000, 5), np.dtype("f4"), 2), codes_for(40_000, 30)
    if order == "sorted":
        codes.sort()
    elif order == "rare":
        codes[codes != 7] = 3
    groups = int(codes.max()) + 1
    if order == "rare":
        codes[:groups] = np.arange(groups)
    check(x, codes, groups, (-1,))


def test_groups_far_apart():
    """Each has a pivot of its own: none loses digits to the others, nor to its first rows."""
    rng, codes = np.random.default_rng(3), codes_for(20_000, 20)
    x = rng.normal(size=(20_000, 4)) + 1e9 * codes[:, None]
    check(x, codes, 20, (1,))
    x[np.argsort(codes, kind="stable")[:8]] = -1e12  # what the pivot of the first group is made of
    check(x, codes, 20, (1,))
    drift = rng.normal(size=(20_000, 4)) + np.arange(20_000)[:, None] * 1e5
    check(drift, codes, 20, (1,))


def test_missing_numbers_and_overflows():
    x, codes = fill((9000, 3), np.dtype("f8"), 4), codes_for(9000, 12)
    x[codes == 2, 1] = np.nan
    x[::7, 0] = np.nan
    check(x, codes, 12, (1,))
    x = np.full((9000, 2), 1.0)
    x[codes == 5] = 1e200  # whose squares are infinite
    moments = Moments._of_groups("x", x, codes, 12, (1,))
    np.testing.assert_array_equal(moments.var, 0)
    x[codes == 5] *= np.where(np.arange(np.sum(codes == 5)) % 2, 1, -1)[:, None]
    moments = Moments._of_groups("x", x, codes, 12, (1,))
    assert np.isinf(moments.var[5]).all()
    assert (np.delete(moments.var, 5, axis=0) == 0).all()
    x[17] = np.inf
    for accumulator in (Moments, Extrema):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            accumulator._of_groups("Input X", x, codes, 12, (1,))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_array(data):
    x = data.draw(arrays())
    axes = data.draw(channel_axes(x.ndim))
    axes = tuple(axis for axis in np.atleast_1d(() if axes is None else axes).astype(int).tolist() if axis % x.ndim)
    groups = data.draw(st.integers(1, min(5, len(x))))
    weights = np.random.default_rng(5).random(len(x)) if data.draw(st.booleans()) else None
    check(x, codes_for(len(x), groups, data.draw(st.integers(0, 9))), groups, axes, weights)


@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, lambda x: x[::-1], lambda x: x[:, ::-1]])
@pytest.mark.parametrize("dtype", ["f4", ml_dtypes.bfloat16])
def test_layouts(make, dtype):
    check(make(fill((5000, 6), np.dtype(dtype), 6)), codes_for(5000, 4), 4, (1,))
    check(make(fill((600, 6, 5, 4), np.dtype(dtype), 7)), codes_for(600, 2), 2, (1, 3))


def test_codes_that_cannot_be():
    x = np.zeros((4, 2))
    for codes in ([0, 1, 2, 3], [0, 1, 2], [[0, 1, 2, 0]]):
        with pytest.raises((ValueError, TypeError)):
            Moments._of_groups("x", x, np.array(codes, np.uint32), 3, (1,))
    with pytest.raises(ValueError, match="code"):
        Moments._of_groups("x", x, np.zeros(4, np.uint32), 1, (0,))
    with pytest.raises(ValueError, match="weight"):
        Moments._of_groups("x", x, np.zeros(4, np.uint32), 1, (1,), np.ones(3))


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler(), StandardScaler(n_blocks=3)], ids=repr
)
@pytest.mark.parametrize("weighted", [False, True])
def test_masks(scaler, weighted):
    rng = np.random.default_rng(8)
    x, groups, mask = rng.normal(size=(600, 3)), codes_for(600, 4), rng.random((600, 3)) < 0.7
    more = {"sample_weight": rng.random(600)} if weighted and isinstance(scaler, StandardScaler) else {}
    spoiled, missing = np.where(mask, x, np.inf), np.where(mask, x, np.nan)
    expected = GroupedScaler(scaler).fit(missing, groups=groups, **more)
    ours = GroupedScaler(scaler, unseen="global").fit(spoiled, groups=groups, mask=mask, **more)
    halves = GroupedScaler(scaler).partial_fit(spoiled[:300], groups=groups[:300], mask=mask[:300])
    halves.partial_fit(spoiled[300:], groups=groups[300:], mask=mask[300:])
    for label in range(4):
        np.testing.assert_allclose(ours.scalers_[label].scale_, expected.scalers_[label].scale_, rtol=1e-13)
        if not more:
            np.testing.assert_allclose(halves.scalers_[label].scale_, expected.scalers_[label].scale_, rtol=1e-12)
    with pytest.raises(ValueError, match="does not broadcast"):
        GroupedScaler(scaler).fit(x, groups=groups, mask=mask[:, :2])
    with pytest.raises(TypeError, match="mask has dtype float64"):
        GroupedScaler(scaler).fit(x, groups=groups, mask=mask * 1.0)


def test_masks_that_a_scaler_does_not_take():
    with pytest.raises(TypeError, match="Normalizer takes no mask"):
        GroupedScaler(planish.Normalizer()).fit(np.eye(3), groups=[0, 0, 1], mask=np.eye(3) > 0)

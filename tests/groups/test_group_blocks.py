"""Groups whose statistics are medians over blocks: in one pass, the same as each group by itself."""

import itertools

import numpy as np
import pytest
from planish import GroupedScaler, StandardScaler


def data(groups, samples, channels=(3,)):
    rng = np.random.default_rng(4)
    codes = rng.integers(0, groups, samples)
    # Every group is there, one with as few samples as can be.
    codes[:groups] = np.arange(groups)
    return rng.normal(size=(samples, *channels)) + codes.reshape(-1, *(1 for _ in channels)), codes


def same(ours, theirs):
    for name in ("mean_", "var_", "scale_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(ours.n_samples_seen_, theirs.n_samples_seen_, rtol=1e-13)
    # The blocks, too: what comes next is dealt to the same ones.
    ours, theirs = ours._statistics, theirs._statistics
    assert ours._state.following == theirs._state.following
    np.testing.assert_allclose(ours._state.moments.count, theirs._state.moments.count, rtol=1e-13)
    np.testing.assert_allclose(ours._state.moments.mean, theirs._state.moments.mean, rtol=1e-13)
    np.testing.assert_allclose(ours._state.moments.var, theirs._state.moments.var, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("groups", "dtype", "channels"),
    [
        *itertools.product([7], ["float64", "float32", "uint8"], [(3,), (4, 2)]),
        (1200, "float32", (3,)),
        (1200, "float64", (4, 2)),
    ],
)
def test_groups_are_fitted_as_each_by_itself(channels, dtype, weighted, groups):
    x, codes = data(groups, 100 * groups, channels)
    x = (x * 10 + 40).astype(dtype)
    axes = tuple(range(1, x.ndim)) if len(channels) > 1 else -1
    weights = np.random.default_rng(1).random(len(x)) if weighted else None
    template = StandardScaler(n_blocks=5, channel_axis=axes)
    grouped = GroupedScaler(template)
    parts = slice(0, 43 * groups), slice(43 * groups, 60 * groups), slice(60 * groups, None)
    for part in parts:
        more = {} if weights is None else {"sample_weight": weights[part]}
        grouped.partial_fit(x[part], groups=codes[part], **more)
    for code in range(7):
        alone = StandardScaler(n_blocks=5, channel_axis=axes)
        for part in parts:
            rows = codes[part] == code
            if rows.any():
                more = {} if weights is None else {"sample_weight": weights[part][rows]}
                alone.partial_fit(x[part][rows], **more)
        same(grouped.scalers_[code], alone)


def test_very_many_groups():
    x, codes = data(20_000, 200_000)
    grouped = GroupedScaler(StandardScaler(n_blocks=4)).fit(x, groups=codes)
    # Alone, a group of too few rows is refused at once.
    enough = np.flatnonzero(np.bincount(codes) >= 2 * 4)
    for code in enough[[0, 1, 777, -1]]:
        same(grouped.scalers_[code], StandardScaler(n_blocks=4).fit(x[codes == code]))

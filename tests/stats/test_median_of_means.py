import copy
import pickle
import threading

import numpy as np
import planish
import pytest
from arrays import DTYPES, FLOATS, arrays, channel_axes, fill
from blocks import assert_same
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planish import StandardScaler
from planish.stats import MedianOfMeans, Moments
from planish.stats._dealing import split
from reference import kept_axes, reduced_axes

EPS = np.finfo(np.float64).eps


def assert_close(a, b):
    np.testing.assert_array_equal(a.count, b.count)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-15, atol=1e-15 * np.nanmax(np.append(a.std, 0)))
    np.testing.assert_allclose(a.var, b.var, rtol=4e-15, atol=1e-25)


@pytest.mark.numeric
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_array_any_channels(data):
    x = data.draw(arrays())
    channel_axis = data.draw(channel_axes(x.ndim))
    assume(reduced_axes(x.ndim, channel_axis))
    n_blocks = data.draw(st.integers(1, 12))
    before = x.tobytes()
    assert_same(MedianOfMeans(n_blocks, channel_axis).update(x), x)
    assert x.tobytes() == before


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_weights(data):
    x = data.draw(arrays())
    channel_axis = data.draw(channel_axes(x.ndim))
    assume(reduced_axes(x.ndim, channel_axis))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    statistics = MedianOfMeans(data.draw(st.integers(1, 7)), channel_axis)
    per_sample = 0 not in kept_axes(x.ndim, channel_axis) and data.draw(st.booleans())
    weights = rng.integers(0, 4, x.shape[:1] if per_sample else x.shape) / 2
    spread = weights.reshape(-1, *[1] * (x.ndim - 1)) if per_sample else weights
    assert_same(statistics.update(x, weights), x, np.broadcast_to(spread, x.shape))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "channel_axis"),
    [
        ((5003, 3), -1),
        ((64, 307), 0),
        ((21, 3, 20, 21), 1),
        ((21, 3, 20, 21), (0, 2)),
        ((2, 40, 41, 3), -1),
        ((31, 5, 6, 3), (3, -3, -2)),
        ((70_001,), None),
        ((203, 6, 7), None),
        ((3, 3000), -1),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_usual_shapes(dtype, shape, channel_axis, order):
    x = np.asarray(fill(shape, dtype, 5), order=order)
    assert_same(MedianOfMeans(10, channel_axis).update(x), x)
    assert_same(MedianOfMeans(3, channel_axis).update(x[::-1]), x[::-1])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_blocks_are_views(data):
    x = data.draw(arrays(min_dims=2))
    blocks = data.draw(st.integers(1, 5))
    x = x[: len(x) // blocks * blocks]
    view = split(x, blocks, 0)
    assert view.shape == (blocks, len(x) // blocks, *x.shape[1:])
    if x.size:
        assert np.shares_memory(view, x)
    for block in range(blocks):
        np.testing.assert_array_equal(view[block].astype(float), x[block::blocks].astype(float))


def test_one_block_is_moments():
    x = fill((501, 4), np.dtype("f4"), 1, nan=True)
    ours, theirs = MedianOfMeans(1).update(x), Moments().update(x)
    for name in ("count", "mean", "var", "std", "scale"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        assert getattr(ours, name).dtype == getattr(theirs, name).dtype
    one = MedianOfMeans(1, None).update(x)
    assert isinstance(one.mean, np.float64)
    assert isinstance(one.count, np.int64)
    assert isinstance(one.scale, np.float64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n_blocks", [1, 2, 7, 10])
def test_batches_of_any_size(dtype, n_blocks):
    x = fill((997, 5), dtype, 2, nan=True)
    weights = np.random.default_rng(3).random(997)
    whole, weighted = MedianOfMeans(n_blocks).update(x), MedianOfMeans(n_blocks).update(x, weights)
    # One by one only with one number of blocks: that takes a thousand calls.
    for cuts in ([1], [3, 4, 5, 500], range(1, 997 if n_blocks == 7 else 57), [10, 20, 23, 23, 990]):
        pieces, weighted_pieces = MedianOfMeans(n_blocks), MedianOfMeans(n_blocks)
        for piece, w in zip(np.split(x, cuts), np.split(weights, cuts), strict=True):
            pieces.update(piece)
            weighted_pieces.update(piece, w)
        assert_close(pieces, whole)
        if dtype.kind in "biu" and dtype.itemsize < 8:
            assert pieces == whole  # exactly
        atol = 1e-15 * weighted.std.max()
        np.testing.assert_allclose(weighted_pieces.mean, weighted.mean, rtol=1e-15, atol=atol)
        np.testing.assert_allclose(weighted_pieces.var, weighted.var, rtol=1e-13)


def test_other_dimensions_of_the_same_channels():
    images = fill((7, 11, 5, 3), np.dtype("u1"), 4)
    statistics = MedianOfMeans(4).update(images).update(images[0]).update(images[1].transpose(1, 0, 2))
    assert statistics.count.tolist() == [9 * 55] * 3


def test_chains_and_trees():
    x = fill((960, 3), np.dtype("f8"), 6)
    whole = MedianOfMeans(10).update(x)
    parts = [MedianOfMeans(10).update(part) for part in np.split(x, 8)]
    chain = MedianOfMeans(10)
    for part in parts:
        assert chain.merge(part) is chain
    tree = list(parts)
    while len(tree) > 1:
        tree = [a + b for a, b in zip(tree[::2], tree[1::2], strict=True)]
    backwards = MedianOfMeans(10)
    for part in reversed(parts):
        backwards += part
    for joined in (chain, tree[0], backwards):
        assert_close(joined, whole)
    assert [part.count[0] for part in parts] == [120] * 8


def test_dealing_goes_on_after_a_merge():
    x = np.arange(1, 20.0)

    def blocks_of(statistics):
        moments = statistics.__getstate__()["moments"]
        return (moments.count * np.nan_to_num(moments.mean)).tolist()

    here, there = MedianOfMeans(4, None).update(x[:6]), MedianOfMeans(4, None).update(x[6:13])
    both = here + there
    assert blocks_of(both) == [1 + 5 + 7 + 11, 2 + 6 + 8 + 12, 3 + 9 + 13, 4 + 10]
    assert blocks_of(there + here) == blocks_of(both)
    # 13 samples: the next goes to block 1.
    both.update([100.0])
    assert blocks_of(both) == [24, 128, 25, 14]
    # Parts of whole rounds are as good as batches.
    assert blocks_of(MedianOfMeans(4, None).update(x[:8]) + MedianOfMeans(4, None).update(x[8:])) == blocks_of(
        MedianOfMeans(4, None).update(x)
    )


def test_empty_is_the_identity():
    some = MedianOfMeans(3).update(np.arange(15.0).reshape(5, 3))
    empty = MedianOfMeans(3)
    assert empty + some == some == some + empty
    assert copy.copy(some).merge(empty) == some
    nothing = MedianOfMeans(3).update(np.empty((0, 3)))
    np.testing.assert_array_equal(nothing.count, [0, 0, 0])
    np.testing.assert_array_equal([nothing.mean, nothing.var, nothing.scale], np.full((3, 3), np.nan))
    np.testing.assert_array_equal((nothing + some).mean, some.mean)
    assert MedianOfMeans(3).update(np.empty((4, 0))).mean.shape == (0,)
    assert np.isnan(MedianOfMeans(3, None).update(np.empty((0, 4))).mean)


def test_blocks_without_an_element_do_not_vote():
    statistics = MedianOfMeans(5).update([[1.0, np.nan], [2.0, np.nan], [30.0, 7.0], [np.nan, np.nan]])
    assert statistics.count.tolist() == [3, 1]
    assert statistics.mean.tolist() == [2, 7]
    statistics = MedianOfMeans(4, None).update([1.0, 2.0, 3.0, 50.0], [1, 0, 1, 1])
    assert (statistics.mean, statistics.count) == (3, 3.0)
    # The sample of zero weight was dealt: this one goes to block 0.
    assert statistics.update([3.0]).mean == 3


def test_constant_channels_have_scale_one():
    rng = np.random.default_rng(7)
    x = np.stack([np.full(1000, 0.1), np.full(1000, 1e9 / 7), rng.normal(size=1000), np.zeros(1000)], axis=1)
    x[::2, 3] = 1e-30
    x[3] = 1e6
    statistics = MedianOfMeans(10).update(x)
    np.testing.assert_array_equal(statistics.scale[:2], [1, 1])
    np.testing.assert_array_equal(statistics.scale[2], statistics.std[2])
    assert statistics.std[1] < 1e-6
    # Variance zero of each block, though the blocks differ.
    assert MedianOfMeans(2, None).update([1.0, 2.0, 1.0, 2.0]).scale == 1


def poisoned(n_blocks, where):
    rng = np.random.default_rng(8)
    x = rng.normal([5, -3, 100], [1, 2, 10], size=(5000, 3)).astype(np.float32)
    clean = x.copy()
    hit = np.arange((n_blocks - 1) // 2)
    rows = hit if where == "one" else np.flatnonzero(np.isin(np.arange(len(x)) % n_blocks, hit))
    x[rows] = 1e9 * (1 + rng.random((len(rows), 3)))
    return clean, x


@pytest.mark.parametrize("n_blocks", [3, 10, 21])
@pytest.mark.parametrize("where", ["one", "all samples of the block"])
@pytest.mark.parametrize("fit", ["accumulator", "scaler"])
def test_poisoning(n_blocks, where, fit):
    clean, x = poisoned(n_blocks, where)
    truth = Moments().update(clean)
    if fit == "accumulator":
        plain, robust = Moments().update(x), MedianOfMeans(n_blocks).update(x)
        means, stds = (plain.mean, robust.mean), robust.std
    else:
        plain, robust = StandardScaler().fit(x), StandardScaler(n_blocks=n_blocks).fit(x)
        means, stds = (plain.mean_, robust.mean_), robust.scale_
    assert (np.abs(means[0] - truth.mean) > 1e4 * truth.std).all()
    assert (np.abs(means[1] - truth.mean) < 0.2 * truth.std).all()
    np.testing.assert_allclose(stds, truth.std, rtol=0.2)
    # The guarantee: within what the good blocks say.
    good = range((n_blocks - 1) // 2, n_blocks)
    good_means = np.array([Moments().update(clean[block::n_blocks]).mean for block in good])
    assert (means[1] >= good_means.min(axis=0)).all()
    assert (means[1] <= good_means.max(axis=0)).all()


def test_tens_of_standard_deviations():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(100_000, 4))
    clean = Moments().update(x)
    x[[17, 40_004, 70_000]] = 1e6
    shift = np.abs(Moments().update(x).mean - clean.mean) / clean.std
    assert (shift > 29).all()
    assert (np.abs(MedianOfMeans(10).update(x).mean - clean.mean) < 0.02 * clean.std).all()


def test_blocks_that_overflow_move_nothing():
    x = np.random.default_rng(10).normal(size=(1000, 2))
    x[[5, 15, 25, 6]] = [1.7e308, -1.7e308]
    statistics = MedianOfMeans(10).update(x)
    assert (np.abs(statistics.mean) < 0.5).all()
    np.testing.assert_allclose(statistics.scale, 1, rtol=0.2)
    assert MedianOfMeans(2, None).update([0.0, 0.0, 1e200, 1e200]).scale == 5e199


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("row", [0, 777, 1002])
def test_infinity_is_refused_and_nothing_changes(dtype, value, row):
    statistics = MedianOfMeans().update(np.ones((4, 3)))
    before = copy.copy(statistics)
    x = np.ones((1003, 3), dtype)
    x[row, 1] = value
    for weights in (None, np.ones(1003)):
        with pytest.raises(ValueError, match="x contains infinity"):
            statistics.update(x, weights)
        assert statistics == before


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        (np.ones(3), ValueError, r"weights have shape \(3,\); accepted are \(14,\), one .* or \(14, 2\)"),
        (np.ones((14, 1)), ValueError, "weights have shape"),
        (np.append(np.ones(13), -1), ValueError, "weights"),
        (np.append(np.nan, np.ones(13)), ValueError, "weights"),
        (np.append(np.ones(13), np.inf), ValueError, "weights"),
        (np.array(["a"] * 14), ValueError, "a"),
        (np.ones(14, complex), TypeError, "weights are complex"),
    ],
    ids=["short", "2-D", "negative", "nan", "inf", "str", "complex"],
)
def test_wrong_weights(weights, error, match):
    statistics = MedianOfMeans(4)
    with pytest.raises(error, match=match):
        statistics.update(np.ones((14, 2)), weights)
    assert statistics == MedianOfMeans(4)


def test_weights_need_a_sample_axis():
    with pytest.raises(ValueError, match="axis 0, which channel_axis=0 keeps"):
        MedianOfMeans(2, 0).update(np.ones((4, 2)), np.ones(4))


@pytest.mark.parametrize(
    ("x", "channel_axis"), [(1.0, None), (np.ones(3), 0), (np.ones((3, 2)), (1, 0)), (np.ones((3, 2)), (-1, -2))]
)
def test_no_axis_left(x, channel_axis):
    with pytest.raises(ValueError, match=r"keeps every axis of x, which has shape .* one axis must be left"):
        MedianOfMeans(2, channel_axis).update(x)


@pytest.mark.parametrize(
    ("channel_axis", "error", "match"),
    [
        (2, ValueError, r"channel_axis=2 is out of range for an array of 2"),
        (-3, ValueError, "channel_axis=-3 is out of range"),
        ((0, -2), ValueError, r"channel_axis=\(0, -2\) names an axis twice"),
        ("rows", TypeError, "channel_axis must be an int"),
        (True, TypeError, "channel_axis must be an int"),
    ],
)
def test_wrong_axes(channel_axis, error, match):
    with pytest.raises(error, match=match):
        MedianOfMeans(2, channel_axis).update(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("n_blocks", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError), ("3", TypeError)]
)
def test_wrong_number_of_blocks(n_blocks, error):
    with pytest.raises(error, match="n_blocks must be"):
        MedianOfMeans(n_blocks)
    assert MedianOfMeans(np.int64(3)).n_blocks == 3


@pytest.mark.parametrize(
    "x",
    [
        np.ones((2, 2), complex),
        np.array([["a"]]),
        np.ones((2, 2), ">f8"),
        np.empty((0, 2), complex),
    ],
    ids=["complex", "str", "big-endian", "empty complex"],
)
def test_wrong_dtypes(x):
    with pytest.raises(TypeError, match="^x has dtype"):
        MedianOfMeans(2).update(x)


def test_lists_and_array_likes():
    class Like:
        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0], [3.0]])

    class Capsule:
        def __dlpack__(self, **kwargs):
            return np.array([[1.0], [3.0]]).__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return np.ones(1).__dlpack_device__()

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("out of reach")

    for x in ([[1], [3]], Like(), Capsule()):
        assert MedianOfMeans(2).update(x).mean == [2.0]
    with pytest.raises(TypeError, match="x is a Broken that gives no array: out of reach"):
        MedianOfMeans(2).update(Broken())


def test_others_are_refused():
    statistics = MedianOfMeans(4).update(np.ones((2, 3)))
    before = copy.copy(statistics)
    with pytest.raises(ValueError, match=r"x has channels of shape \(4,\); the statistics so far .* \(3,\)"):
        statistics.update(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"other has channels of shape \(4,\)"):
        statistics.merge(MedianOfMeans(4).update(np.ones((2, 4))))
    with pytest.raises(ValueError, match="other has n_blocks=5; this one has n_blocks=4"):
        statistics += MedianOfMeans(5)
    with pytest.raises(TypeError, match="other must be a MedianOfMeans; got a Moments"):
        statistics.merge(Moments())
    with pytest.raises(TypeError):
        statistics + Moments()
    with pytest.raises(TypeError):
        statistics += 1
    assert statistics == before
    assert statistics != MedianOfMeans(4)
    assert MedianOfMeans(4) != MedianOfMeans(4, 0)
    assert MedianOfMeans(4) != 4
    with pytest.raises(TypeError, match="hash"):
        hash(statistics)
    shown = "count=[2, 2, 2], mean=[1.0, 1.0, 1.0], std=[0.0, 0.0, 0.0]"
    assert repr(statistics) == f"MedianOfMeans(n_blocks=4, channel_axis=-1, channels=3, {shown})"
    assert repr(MedianOfMeans(channel_axis=(0, 1))) == "MedianOfMeans(n_blocks=10, channel_axis=(0, 1), channels=0)"
    assert (statistics.n_blocks, statistics.channel_axis) == (4, -1)


def test_addition_changes_neither():
    a, b = (MedianOfMeans(3).update(fill((10, 2), np.dtype("f8"), seed)) for seed in (1, 2))
    before = pickle.dumps(a), pickle.dumps(b)
    total = a + b
    assert (pickle.dumps(a), pickle.dumps(b)) == before
    total.update(np.ones((2, 2)))
    assert (pickle.dumps(a), pickle.dumps(b)) == before
    assert a.merge(a).count.tolist() == [20, 20]


def test_pickle_goes_on_where_it_was():
    x = fill((57, 2), np.dtype("f8"), 1)
    statistics = MedianOfMeans(4, (1,)).update(x).update(fill((3, 2), np.dtype("u1"), 2))
    for twin in (pickle.loads(pickle.dumps(statistics)), copy.copy(statistics), copy.deepcopy(statistics)):
        assert twin == statistics
        twin.update(x)
        assert twin != statistics
        assert twin == pickle.loads(pickle.dumps(statistics)).update(x)
    assert pickle.loads(pickle.dumps(MedianOfMeans(4))) == MedianOfMeans(4)


def test_damaged_states():
    state = MedianOfMeans(4).update(np.ones((6, 2))).__getstate__()
    other = MedianOfMeans(3).update(np.ones((6, 2))).__getstate__()
    for bad in (
        {},
        {**state, "version": 99},
        {**state, "n_blocks": 0},
        {**state, "n_blocks": "many"},
        {**state, "channel_axis": "rows"},
        {**state, "channel_axis": None},
        {**state, "moments": other["moments"]},
        {**state, "moments": Moments().update(np.ones((4, 2)))},
        {**state, "moments": None},
        {**state, "next_block": 4},
        {**state, "next_block": -1},
        {**state, "next_block": 1.0},
        {**MedianOfMeans(4).__getstate__(), "next_block": 1},
    ):
        statistics = MedianOfMeans(2)
        with pytest.raises(ValueError, match="saved state"):
            statistics.__setstate__(bad)
        assert statistics == MedianOfMeans(2)


def test_threads_change_no_bit():
    x = fill((20_003, 37), np.dtype("f4"), 11, nan=True)
    results = []
    for number in (1, 2, 3, 8):
        with planish.num_threads(number):
            results.append(MedianOfMeans().update(x))
    assert all(result == results[0] for result in results)


def test_many_threads_at_once():
    x = fill((1003, 8), np.dtype("u1"), 12)
    shared = MedianOfMeans(10)

    def work():
        for _ in range(20):
            shared.update(x)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    expected = MedianOfMeans(10)
    for _ in range(160):
        expected.update(x)
    assert shared == expected

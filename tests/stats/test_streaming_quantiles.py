"""Streaming quantiles: errors in rank over many streams and seeds, exact counting, merging, saved states."""

import pickle

import numpy as np
import planish
import pytest
from arrays import DTYPES, arrays, channel_axes
from hypothesis import given
from hypothesis import strategies as st
from planish import RobustScaler
from planish.stats import Quantiles
from sklearn.exceptions import NotFittedError

rng = np.random.default_rng(0)
Q = np.linspace(0, 1, 41)


def stream(kind, n, channels):
    """Streams that sketches have failed on, every channel with other elements."""
    u = rng.random((n, channels))
    index = np.arange(n)[:, None] + u * 0.5
    return {
        "normal": lambda: rng.normal(size=(n, channels)),
        "sorted": lambda: index,
        "reversed": lambda: -index,
        "zigzag": lambda: np.where(np.arange(n)[:, None] % 2, index, -index),
        "clustered": lambda: (np.arange(n)[:, None] // 1000 % 17) * 1e6 + u,
        "heavy tails": lambda: 1 / u**3,
        "few values": lambda: np.floor(u * 5),
        "constant": lambda: np.full((n, channels), 7.5),
        "tiny differences": lambda: 1 + u * 1e-13,
    }[kind]()


def rank_errors(results, data):
    """How far each result of `Q` is from the ranks that it was asked for, as fractions; every channel."""
    ordered, n = np.sort(data, axis=0), len(data)
    errors = []
    for channel in range(data.shape[1]):
        wanted = Q * (n - 1)
        first = np.searchsorted(ordered[:, channel], results[:, channel], "left")
        last = np.searchsorted(ordered[:, channel], results[:, channel], "right") - 1
        # Between two elements a result has the rank of both.
        first, last = np.minimum(first, last), np.maximum(first, last)
        errors.append(np.maximum(0, np.maximum(first - wanted, wanted - last)) / n)
    return np.array(errors)


KINDS = [
    "normal",
    "sorted",
    "reversed",
    "zigzag",
    "clustered",
    "heavy tails",
    "few values",
    "constant",
    "tiny differences",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "batch"), [(200_000, 200_000), (100_000, 1000), (30_000, 77)])
def test_rank_error(kind, n, batch):
    data = stream(kind, n, 16)
    quantiles = Quantiles(Q)
    for start in range(0, n, batch):
        quantiles.update(data[start : start + batch])
    assert (quantiles.count == n).all()
    errors = rank_errors(quantiles.quantiles, data)
    assert errors.max() <= quantiles.rank_error
    # Four standard deviations of the error are promised.
    assert np.sqrt((errors**2).mean()) <= quantiles.rank_error / 4
    np.testing.assert_array_equal(quantiles.quantiles[[0, -1]], [data.min(axis=0), data.max(axis=0)])


@pytest.mark.parametrize("error", [0.05, 0.0005])
def test_other_errors(error):
    data = rng.normal(size=(100_000, 8))
    quantiles = Quantiles(Q, rank_error=error).update(data)
    assert rank_errors(quantiles.quantiles, data).max() <= error


@pytest.mark.parametrize("way", ["chain", "tree"])
@pytest.mark.parametrize("kind", ["normal", "sorted", "clustered"])
def test_merged_sketches_keep_the_error(kind, way):
    data = stream(kind, 128_000, 8)
    parts = [Quantiles(Q).update(part) for part in np.split(data, 128)]
    while len(parts) > 1:
        if way == "tree":
            parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
        else:
            parts[0] += parts.pop()
    assert (parts[0].count == len(data)).all()
    assert rank_errors(parts[0].quantiles, data).max() <= parts[0].rank_error


def test_memory():
    """At most 64 KB a channel at the default error, however long the stream."""
    quantiles = Quantiles()
    data = rng.normal(size=(200_000, 4)).astype(np.float32)
    for _ in range(20):
        quantiles.update(data)
        state = quantiles.__getstate__()
        assert sum(a.nbytes for a in state.values() if isinstance(a, np.ndarray)) <= 4 * 64 * 1024


@pytest.mark.parametrize("dtype", DTYPES)
def test_few_elements_are_exact(dtype):
    x = (rng.random((300, 5)) * 100).astype(dtype)
    quantiles = Quantiles(Q)
    for part in np.array_split(x, 7):
        quantiles.update(part)
    expected = np.quantile(x.astype(np.float64), Q, axis=0)
    np.testing.assert_allclose(quantiles.quantiles, expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["u1", "i1", "?", "u2", "i2"])
@pytest.mark.parametrize("shape", [(100_003,), (20_011, 3), (4001, 64), (50, 30, 40, 3)])
def test_small_integers_are_counted(dtype, shape):
    info = None if dtype == "?" else np.iinfo(dtype)
    x = rng.integers(0, 2, shape).astype(bool) if info is None else rng.integers(info.min, info.max + 1, shape, dtype)
    quantiles = Quantiles(Q, None if x.ndim == 1 else -1)
    for part in np.array_split(x, 3):
        quantiles.update(part)
    axes = None if x.ndim == 1 else tuple(range(x.ndim - 1))
    np.testing.assert_allclose(quantiles.quantiles, np.quantile(x.astype(np.float64), Q, axis=axes), rtol=1e-15)


def test_counts_and_sketches_join():
    bytes_, floats = rng.integers(0, 256, (50_000, 2), dtype=np.uint8), rng.normal(100, 50, (70_000, 2))
    quantiles = Quantiles(Q).update(bytes_).update(floats)
    assert rank_errors(quantiles.quantiles, np.concatenate([bytes_, floats])).max() <= 0.002


@pytest.mark.numeric
@given(st.data())
def test_any_array_any_channels(data):
    x = data.draw(arrays(nan=False))
    channel_axis = data.draw(channel_axes(x.ndim))
    axes = () if channel_axis is None else (channel_axis,) if isinstance(channel_axis, int) else channel_axis
    reduced = tuple(set(range(x.ndim)) - {axis % x.ndim for axis in axes})
    # With an error so small everything is kept.
    quantiles = Quantiles([0.1, 0.5], channel_axis, rank_error=1e-6).update(x)
    expected = np.quantile(x.astype(np.float64), [0.1, 0.5], axis=reduced) if reduced else np.stack([x, x])
    # NumPy's interpolation is off by a few units in the last place of the elements between which it lies.
    near = 4 * np.finfo(np.float64).eps * np.abs(x.astype(np.float64)).max()
    np.testing.assert_allclose(quantiles.quantiles, expected.astype(np.float64), rtol=0, atol=near)


def test_nothing_depends_on_threads():
    x = rng.normal(size=(300_000, 7)).astype(np.float32)
    states = []
    for threads in (1, 2, 5):
        with planish.num_threads(threads):
            states.append(Quantiles(Q).update(x))
    assert states[0] == states[1] == states[2]


def test_nan_is_left_out():
    x = rng.normal(size=(50_000, 3))
    x[rng.random(x.shape) < 0.3] = np.nan
    x[:, 2] = np.nan
    quantiles = Quantiles(Q).update(x)
    np.testing.assert_array_equal(quantiles.count, (~np.isnan(x)).sum(axis=0))
    for channel in (0, 1):
        numbers = x[~np.isnan(x[:, channel]), channel][:, None]
        assert rank_errors(quantiles.quantiles[:, [channel]], numbers).max() <= 0.002
    assert np.isnan(quantiles.quantiles[:, 2]).all()


def test_an_error_changes_nothing():
    quantiles = Quantiles().update(rng.normal(size=(10, 2)))
    before = pickle.dumps(quantiles)
    for wrong, words in [(np.array([[np.inf, 1.0]]), "infinity"), (np.ones((3, 4)), "channels")]:
        with pytest.raises(ValueError, match=words):
            quantiles.update(wrong)
    with pytest.raises(TypeError, match="dtype"):
        quantiles.update(np.array([["a", "b"]]))
    with pytest.raises(ValueError, match="rank_error"):
        quantiles.merge(Quantiles(rank_error=0.01))
    assert pickle.dumps(quantiles) == before


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"q": 1.5}, "q must be within"),
        ({"q": []}, "q must be a number"),
        ({"q": [[0.5]]}, "q must be a number"),
        ({"q": np.nan}, "q must be within"),
        ({"rank_error": 0}, "rank_error"),
        ({"rank_error": 0.6}, "rank_error"),
        ({"rank_error": np.nan}, "rank_error"),
    ],
)
def test_bad_parameters(parameters, words):
    with pytest.raises(ValueError, match=words):
        Quantiles(**parameters)


def test_states_that_are_saved_go_on_with_the_same_bits():
    for x in (rng.normal(size=(40_000, 3)), rng.integers(0, 256, (40_000, 3), dtype=np.uint8)):
        quantiles = Quantiles(0.5, rank_error=0.01).update(x)
        copy = pickle.loads(pickle.dumps(quantiles))
        assert copy == quantiles
        assert copy.update(x + 1) == quantiles.update(x + 1)
        assert copy.quantiles.shape == (3,)


@pytest.mark.parametrize("field", ["coins", "bounds", "levels", "items", "counts", "shape", "version"])
def test_damaged_states_are_refused(field):
    state = Quantiles().update(rng.normal(size=(5000, 2))).update(np.ones((3, 2), np.uint8)).__getstate__()
    wrong = {
        "coins": state["coins"][:1],
        "bounds": np.zeros((2, 2)),
        "levels": state["levels"] * np.uint64(3),
        "items": state["items"][:-1],
        "counts": -state["counts"],
        "shape": (5,),
        "version": 99,
    }
    with pytest.raises(ValueError, match="saved state"):
        Quantiles().__setstate__({**state, field: wrong[field]})


# --- RobustScaler ----------------------------------------------------------------------------------------------------


def test_robust_scaler_streams():
    x = rng.normal(3, 2, (60_000, 4)).astype(np.float32)
    exact, streamed, here, there = RobustScaler().fit(x), RobustScaler(), RobustScaler(), RobustScaler()
    for i, part in enumerate(np.array_split(x, 10)):
        streamed.partial_fit(part)
        (here if i < 4 else there).partial_fit(part)
    here.merge(there)
    for scaler in (streamed, here):
        # The density at the quartiles of a normal distribution is 0.318 / sigma.
        np.testing.assert_allclose(scaler.center_, exact.center_, atol=2 * 0.002 / 0.39 * 2)
        np.testing.assert_allclose(scaler.scale_, exact.scale_, atol=2 * 0.002 / 0.318 * 2)
        assert scaler.center_.dtype == np.float32
    assert pickle.loads(pickle.dumps(streamed)).partial_fit(x).scale_.shape == (4,)


def test_few_elements_stream_as_they_fit():
    x = rng.normal(size=(500, 3))
    exact, streamed = RobustScaler(unit_variance=True).fit(x), RobustScaler(unit_variance=True)
    for part in np.array_split(x, 6):
        streamed.partial_fit(part)
    np.testing.assert_array_equal(streamed.center_, exact.center_)
    np.testing.assert_array_equal(streamed.scale_, exact.scale_)


def test_mergeable_fits_stream_on():
    x = rng.normal(size=(800, 2))
    streamed = RobustScaler().fit(x, mergeable=True).partial_fit(2 * x)
    np.testing.assert_array_equal(streamed.center_, RobustScaler().fit(np.concatenate([x, 2 * x])).center_)
    joined = RobustScaler().fit(x, mergeable=True).merge(RobustScaler().fit(x + 1, mergeable=True))
    np.testing.assert_array_equal(joined.center_, RobustScaler().fit(np.concatenate([x, x + 1])).center_)


def test_a_whole_fit_has_no_stream():
    x = rng.normal(size=(1001, 2))
    with pytest.raises(ValueError, match="keeps nothing to merge or to go on from"):
        RobustScaler().fit(x).partial_fit(x)
    with pytest.raises(ValueError, match="keeps nothing to merge or to go on from"):
        RobustScaler().partial_fit(x).merge(RobustScaler().fit(x))
    with pytest.raises(NotFittedError):
        RobustScaler().merge(RobustScaler()).transform(x)
    streamed = RobustScaler().partial_fit(x).fit(x + 1)
    np.testing.assert_array_equal(streamed.center_, RobustScaler().fit(x + 1).center_)

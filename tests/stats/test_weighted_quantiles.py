"""`planish.stats.Quantiles` with weights."""

import pickle

import numpy as np
import planish
import pytest
from planish.stats import Quantiles

Q = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


def weighted_rank(x, weights, value):
    """The weight of what is below `value`, and of what is not above it, as a part of all."""
    total = weights.sum()
    return weights[x < value].sum() / total, weights[x <= value].sum() / total


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_whole_numbers_are_repetitions(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-100, 100, (300, 3)).astype(dtype)
    for weights in (rng.integers(0, 5, 300), np.full(300, 2), rng.integers(0, 2, 300) * 4):
        found = Quantiles(Q).update(x, weights)
        repeated = np.repeat(x, weights, axis=0).astype(np.float64)
        np.testing.assert_array_equal(found.quantiles, np.quantile(repeated, Q, axis=0))
        assert found.count.dtype == np.int64
        assert np.array_equal(found.count, [weights.sum()] * 3)


def test_weights_of_elements_and_masks():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 4, 3))
    weights, mask = rng.integers(0, 4, x.shape), rng.random(x.shape) < 0.7
    x[0, 0] = np.nan
    found = Quantiles(Q, channel_axis=1).update(x, weights, mask)
    turned = Quantiles(Q, channel_axis=1).update(
        np.asfortranarray(x), weights[::-1].astype(float)[::-1], np.asfortranarray(mask)
    )
    for channel in range(4):
        counts = np.where(mask & ~np.isnan(x), weights, 0)[:, channel].ravel()
        repeated = np.repeat(x[:, channel].ravel(), counts)
        np.testing.assert_array_equal(found.quantiles[:, channel], np.quantile(repeated, Q))
        assert found.count[channel] == counts.sum()
    np.testing.assert_array_equal(turned.quantiles, found.quantiles)


@pytest.mark.parametrize("kind", ["uniform", "heavy", "tiny", "huge"])
@pytest.mark.parametrize("batches", [1, 30])
def test_rank_error(kind, batches):
    rng = np.random.default_rng(2)
    n = 200_000
    x = rng.normal(size=n).astype(np.float32)
    weights = {
        "uniform": rng.random(n),
        "heavy": rng.pareto(2.5, n),
        "tiny": rng.random(n) * 1e-200,
        "huge": rng.random(n) * 1e200,
    }[kind]
    # What is weighed more is larger.
    weights *= np.where(x > 0.5, 3.0, 1.0)
    found = Quantiles([0.05, 0.25, 0.5, 0.75, 0.95], channel_axis=None)
    for part, weight in zip(np.array_split(x, batches), np.array_split(weights, batches), strict=True):
        found.update(part[:, None], weight)
    for q, value in zip(found.q, found.quantiles, strict=True):
        below, upto = weighted_rank(x, weights, value)
        assert below - 0.002 <= q <= upto + 0.002
    # Each weight is rounded to 2**-11 of the mean of its batch at most.
    assert found.count == pytest.approx(weights.sum(), rel=2.0**-11)


@pytest.mark.parametrize("spread", [2, 3])
def test_rank_error_of_very_different_weights(spread):
    # The few heavy elements must not be thinned as if there were as many of them as of the light ones.
    rng = np.random.default_rng(spread)
    q = np.linspace(0, 1, 101)
    for _ in range(5):
        x = rng.normal(size=400_000)
        weights = np.ceil(np.exp(spread * rng.normal(size=x.size)))
        found = Quantiles(q, channel_axis=None).update(x, weights=weights).quantiles
        order = np.argsort(x)
        ranks = np.r_[0, np.cumsum(weights[order])] / weights.sum()
        below, above = (ranks[np.searchsorted(x[order], found, side)] for side in ("left", "right"))
        assert np.max(np.maximum(below - q, q - above)) <= 0.002


@pytest.mark.parametrize("kept", [0.3, 0.02])
@pytest.mark.parametrize("together", [False, True])
def test_rank_error_where_most_are_missing(kept, together):
    rng = np.random.default_rng(7)
    q = np.linspace(0, 1, 101)
    for _ in range(3):
        x = rng.normal(size=3_000_000)
        here = np.arange(x.size) < kept * x.size if together else rng.random(x.size) < kept
        expected = np.sort(x[here])
        for quantiles in (
            Quantiles(q, channel_axis=None).update(x, mask=here),
            Quantiles(q, channel_axis=None).update(np.where(here, x, np.nan)),
        ):
            assert quantiles.count == expected.size
            below, above = (
                np.searchsorted(expected, quantiles.quantiles, side) / expected.size for side in ("left", "right")
            )
            assert np.max(np.maximum(below - q, q - above)) <= 0.002


def test_with_and_without_weights():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 400, 1))
    weights = rng.random(400) * 2
    one, two = Quantiles(Q).update(x), Quantiles(Q).update(y, weights)
    both, turned = one + two, two + one
    everything, shares = np.concatenate([x, y]).ravel(), np.concatenate([np.ones(400), weights])
    for quantiles in (both, turned, Quantiles(Q).update(x).update(y, weights), Quantiles(Q) + both):
        for q, value in zip(Q[1:-1], quantiles.quantiles[1:-1, 0], strict=True):
            below, upto = weighted_rank(everything, shares, value)
            assert below - 0.002 <= q <= upto + 0.002
        assert quantiles.count == pytest.approx(shares.sum(), rel=2.0**-11)
    assert both.quantiles[0, 0] == everything.min()
    assert both.quantiles[-1, 0] == everything.max()


def test_state(tmp_path):
    rng = np.random.default_rng(4)
    x, weights = rng.normal(size=(5000, 2)), rng.random(5000)
    found = Quantiles(Q).update(x, weights)
    planish.save(found, tmp_path / "q.json")
    for again in (pickle.loads(pickle.dumps(found)), planish.load(tmp_path / "q.json")):
        assert again == found
        assert again.update(x, weights) == found + Quantiles(Q).update(x, weights)
    text = (tmp_path / "q.json").read_text()
    (tmp_path / "q.json").write_text(text.replace('"unit": -', '"unit": -9999'))
    with pytest.raises(ValueError, match="unit"):
        planish.load(tmp_path / "q.json")


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(5)
    x, weights = rng.normal(size=(100_000, 5)), rng.random(100_000)
    with planish.num_threads(1):
        one = Quantiles(Q).update(x, weights)
    with planish.num_threads(3):
        assert Quantiles(Q).update(x, weights) == one


def test_nothing_counts():
    found = Quantiles(Q).update(np.ones((5, 2)), np.zeros(5))
    assert np.array_equal(found.count, [0, 0])
    assert np.isnan(found.quantiles).all()
    assert np.array_equal(found.update(np.ones((5, 2))).quantiles, np.ones((6, 2)))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (-np.ones(4), "weights must be finite and not negative"),
        (np.array([1, np.nan, 1, 1]), "weights must be finite and not negative"),
        (np.array([1, np.inf, 1, 1]), "weights must be finite and not negative"),
        (np.ones(3), "weights have shape"),
    ],
)
def test_bad_weights(weights, says):
    found = Quantiles(Q).update(np.ones((4, 2)))
    before = pickle.dumps(found)
    with pytest.raises(ValueError, match=says):
        found.update(np.ones((4, 2)), weights)
    assert pickle.dumps(found) == before


@pytest.mark.parametrize("weight", [5e-324, 1e-310, 1e-300, 0.1, 1e300, 1.7e308])
def test_weights_of_every_size(weight):
    x = np.arange(101.0)[:, None]
    found = Quantiles(0.5).update(x, np.full(101, weight))
    assert found.quantiles == 50
    if weight < 1e300:
        # Subnormal numbers have fewer digits.
        assert found.count == pytest.approx(101 * weight, rel=2.0**-11)


def test_weights_too_far_apart():
    found = Quantiles(Q).update(np.ones((4, 2)), np.full(4, 1e-100))
    before = pickle.dumps(found)
    with pytest.raises(ValueError, match="too far from those before"):
        found.update(np.ones((4, 2)), np.full(4, 1e100))
    assert pickle.dumps(found) == before

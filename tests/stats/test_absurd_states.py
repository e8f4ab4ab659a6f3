"""Saved states that no data can have: a ValueError, or a state with which everything can be done."""

import itertools

import numpy as np
import pytest
from planish import Normalizer, normalize
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

INTEGERS = [-(2**63), -(2**31), -1, 0, 1, 2**31 - 1, 2**31, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS = [*map(float, INTEGERS), np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324]
OTHERS = [None, "x", [], (1, 2), {}, np.zeros(3), 2**200, -(2**200), 1e300]


def examples():
    x = np.arange(24).reshape(8, 3)
    weights = np.arange(8) * 0.3
    for kind in (Moments, Extrema, Quantiles):
        for dtype in ("u1", "i4", "f8"):
            yield kind().update(x.astype(dtype))
    yield Moments().update(x.astype("f4")).update(x)
    yield Moments().update(x, weights=weights)
    yield Quantiles().update(x, weights=weights)
    yield Quantiles(rank_error=0.4, channel_axis=None).update(np.arange(5000.0))
    yield MedianOfMeans(2).update(x)


def absurd(value):
    """Values to put in the place of one of a saved state, and tables with such an element."""
    if isinstance(value, np.ndarray):
        candidates = NUMBERS if value.dtype.kind == "f" else INTEGERS
        for place, element in itertools.product(range(min(value.size, 12)), candidates):
            table = value.copy()
            if value.dtype.kind in "iu" and not np.iinfo(value.dtype).min <= element <= np.iinfo(value.dtype).max:
                continue
            table.flat[place] = element
            yield table
        yield value[:-1]
        yield np.concatenate([value, value])
        yield value.T
        yield value.astype("f4")
    elif isinstance(value, (list, tuple)):
        for place, number in itertools.product(range(len(value)), INTEGERS):
            yield [*value[:place], number, *value[place + 1 :]]
        yield [3] * 100
        yield [2**40, 0]
        yield [0, 2**62]
    yield from INTEGERS
    yield from OTHERS


def use(read, other):
    """Do all that can be done; counts that no integer holds are a ValueError of `merge`."""
    for pair in ((read, read), (read, other), (other, read)):
        try:
            joined = pair[0] + pair[1]
        except ValueError:
            continue
        assert np.all(joined.count >= 0)
    assert np.all(read.count >= 0)
    repr(read)
    for name in ("mean", "var", "std", "scale", "min", "max", "quantiles"):
        getattr(read, name, None)
    assert isinstance(read == other, bool)
    read.__getstate__()


@pytest.mark.parametrize("example", [*examples()], ids=repr)
def test_absurd_states(example):
    state = example.__getstate__()
    accepted = refused = 0
    for name in state:
        for value in absurd(state[name]):
            read = example + type(example)(**parameters(example))
            before = example + type(example)(**parameters(example))
            try:
                with np.errstate(all="ignore"):
                    read.__setstate__({**state, name: value})
            except (ValueError, TypeError):
                assert read == before
                refused += 1
                continue
            with np.errstate(all="ignore"):
                use(read, example)
            accepted += 1
    assert refused > accepted


def parameters(example):
    names = {Moments: ["channel_axis", "ddof"], Extrema: ["channel_axis"], MedianOfMeans: ["n_blocks", "channel_axis"]}
    names[Quantiles] = ["q", "channel_axis", "rank_error"]
    return {name: getattr(example, name) for name in names[type(example)]}


def test_a_unit_beyond_all_numbers():
    quantiles = Quantiles().update(np.arange(6.0))
    for unit in (-(2**31), 2**31 - 1, -1101, 1101, 2**31, -(2**63)):
        with pytest.raises(ValueError, match="unit"):
            quantiles.__setstate__({**quantiles.__getstate__(), "unit": unit})


@pytest.mark.parametrize("count", [0, -1, 2**63, 2**64, -(2**63), 2**200])
def test_counts_that_no_integer_holds(count):
    with pytest.raises(ValueError, match="count must be positive and at most"):
        Extrema.from_stats(count, [0.0], [1.0])


def test_counts_are_never_negative():
    most = Extrema.from_stats(2**63 - 1, [0.0], [1.0])
    assert most.count == 2**63 - 1
    with pytest.raises(ValueError, match="too large"):
        most.merge(Extrema.from_stats(1, [0.0], [1.0]))
    with pytest.raises(ValueError, match="too large"):
        most.update([[0.5]])
    assert most.count == 2**63 - 1


def test_weights_that_sum_to_infinity():
    heavy = Moments.from_stats(1.5e308, [0.0], [1.0])
    with pytest.raises(ValueError, match="too large"):
        heavy.merge(heavy + Moments())
    assert heavy.count == 1.5e308


def test_blocks_with_too_many_elements_together():
    blocks = MedianOfMeans(2, channel_axis=None).update(np.arange(4, dtype="i4"))
    state = blocks.__getstate__()
    moments = state["moments"].__getstate__()
    table = moments["sums"].copy()
    table[:, 6] = 2**62  # the only limb of each count
    moments["sums"] = table
    state["moments"].__setstate__(moments)
    with pytest.raises(ValueError, match="blocks"):
        MedianOfMeans(2, channel_axis=None).__setstate__(state)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(4, 6), (600, 5), (5, 600), (4, 3, 70), (3, 1000, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_normalizer_refuses_what_is_not_finite(norm, dtype, shape, order, bad):
    rng = np.random.default_rng(0)
    for number in range(1, len(shape)):
        for axes in itertools.combinations(range(len(shape)), number):
            x = np.array(rng.normal(size=shape), dtype, order=order)
            x[tuple(rng.integers(0, length) for length in shape)] = bad
            with pytest.raises(ValueError, match="NaN|infinity"):
                Normalizer(norm, channel_axis=axes).transform(x)
            if len(shape) == 2:
                for with_norm in (False, True):
                    with pytest.raises(ValueError, match="NaN|infinity"):
                        normalize(x, norm=norm, axis=axes[0], return_norm=with_norm)

"""Every way in which Python's libraries copy and store an object: pickle, copy, joblib, skops; and `sum`.

Here with parameters, and in groups; `test_contract.py` tries every class without.
"""

import copy
import warnings
from functools import partial

import numpy as np
import planish
import pytest
from contracts import WAYS
from planish.layers import BatchNorm
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

pytestmark = pytest.mark.dependencies

RNG = np.random.default_rng(0)
TABLE, MORE = RNG.normal(3, 2, (40, 3)), RNG.normal(1, 5, (24, 3))
IMAGES, MORE_IMAGES = (RNG.integers(0, 256, (n, 5, 4, 3), dtype=np.uint8) for n in (3, 2))
GROUPS, MORE_GROUPS = np.arange(40) % 3, np.arange(24) % 4

ACCUMULATORS = {
    "Moments with ddof": partial(Moments, ddof=1.5),
    "Moments of everything": partial(Moments, None),
    "Moments of two axes": partial(Moments, (0, -1)),
    "Extrema of everything": partial(Extrema, None),
    "Quantiles": partial(Quantiles, [0.1, 0.9], rank_error=0.01),
    "Quantiles of one q": partial(Quantiles, 0.5, None),
    "MedianOfMeans": partial(MedianOfMeans, 7),
}
SCALERS = {
    **{name: getattr(planish, name) for name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")},
    "StandardScaler with blocks": partial(planish.StandardScaler, n_blocks=5),
    "MinMaxScaler with a range": partial(planish.MinMaxScaler, (-1, 0.1)),
    "Normalizer": planish.Normalizer,
    "LogScaler": partial(planish.LogScaler, invalid="nan"),
}


def results(thing):
    """Everything that a thing says, as bytes."""
    names = ("count", "mean", "var", "std", "scale", "min", "max", "quantiles", "state")
    values = [getattr(thing, name) for name in names if hasattr(thing, name)]
    if hasattr(thing, "transform"):
        labels = {"groups": MORE_GROUPS % 3} if isinstance(thing, planish.GroupedScaler) else {}
        data = MORE_IMAGES if isinstance(thing, planish.ImageNormalizer) else MORE
        values.append(thing.transform(data, **labels))
    return [np.asarray(value).tobytes() for value in values if not isinstance(value, dict)]


def go_on(thing):
    if hasattr(thing, "update"):
        thing.update(MORE[:40] if thing.channel_axis != (0, -1) else TABLE)
    elif isinstance(thing, BatchNorm):
        thing(MORE)
    elif hasattr(thing, "partial_fit"):
        labels = {"groups": MORE_GROUPS} if isinstance(thing, planish.GroupedScaler) else {}
        thing.partial_fit(MORE_IMAGES if isinstance(thing, planish.ImageNormalizer) else MORE, **labels)


def batch_norm():
    norm = BatchNorm(3)
    norm(TABLE)
    return norm


MAKE = {
    **{name: lambda make=make: make().update(TABLE) for name, make in ACCUMULATORS.items()},
    **{f"empty {name}": make for name, make in ACCUMULATORS.items()},
    **{name: lambda make=make: make().fit(TABLE) for name, make in SCALERS.items() if isinstance(make, partial)},
    **{
        f"GroupedScaler of {name}": lambda make=make: planish.GroupedScaler(make(), unseen="global").fit(
            TABLE, groups=GROUPS, mergeable=True
        )
        for name, make in SCALERS.items()
        if name != "LogScaler"
    },
    "RobustScaler of few rows": lambda: planish.RobustScaler().fit(TABLE),
    "ImageNormalizer of bytes": lambda: planish.ImageNormalizer().fit(IMAGES),
    "BatchNorm": batch_norm,
}


@pytest.mark.parametrize("way", [way for way in WAYS if way != "save"])
@pytest.mark.parametrize("name", MAKE)
def test_copies_are_equal_and_go_on_apart(name, way, tmp_path):
    if (name, way) == ("BatchNorm", "skops"):
        pytest.skip("not an estimator")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        original = MAKE[name]()
        before = results(original) if not name.startswith("empty") else []
        other = WAYS[way](original, tmp_path)
        assert type(other) is type(original)
        assert repr(other) == repr(original)
        if hasattr(original, "update"):
            assert other == original
        if before:
            assert results(other) == before
        go_on(other)
        # Nothing is shared.
        if before:
            assert results(original) == before
        go_on(original)
        assert results(other) == results(original)


@pytest.mark.parametrize("name", ACCUMULATORS)
def test_sum(name):
    make = ACCUMULATORS[name]
    pieces = [make().update(part) for part in (TABLE[:7], TABLE[7:14], TABLE[14:21])]
    before = [copy.deepcopy(piece) for piece in pieces]
    total = sum(pieces)
    assert total == pieces[0] + pieces[1] + pieces[2]
    assert pieces == before
    assert sum([make(), make()]) == make()
    # One alone is not handed out itself.
    one = sum(pieces[:1])
    assert one == pieces[0]
    assert one is not pieces[0]
    for other in (1, 0.0, False, None, "0"):
        with pytest.raises(TypeError):
            other + pieces[0]
        with pytest.raises(TypeError):
            pieces[0] + other


@pytest.mark.parametrize("name", ["Moments with ddof", "Extrema of everything", "Quantiles"])
def test_a_damaged_state_is_refused(name):
    cls, arguments = ACCUMULATORS[name]().update(TABLE).__reduce__()
    *parameters, state = arguments
    assert cls(*arguments) == ACCUMULATORS[name]().update(TABLE)
    for key in state:
        if key not in ("ddof", "rank_error"):  # which have defaults
            with pytest.raises(ValueError, match="saved state"):
                cls(*parameters, {k: v for k, v in state.items() if k != key})
        damaged = "nonsense" if key != "shape" else [1, 2, 3]
        with pytest.raises((ValueError, TypeError)):
            cls(*parameters, state | {key: damaged})
    with pytest.raises(TypeError):
        cls(*parameters, 1)

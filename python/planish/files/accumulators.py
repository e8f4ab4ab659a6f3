"""The accumulators of `planish.stats` as JSON, and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import starmap
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planish._core import Extrema, Moments, Quantiles
from planish.files.values import (
    axes_from_json,
    axes_to_json,
    fields,
    number_from_json,
    number_of_axes,
    number_to_json,
    numbers_from_json,
    numbers_to_json,
    shape_from_json,
    truth,
    whole,
)
from planish.stats._median_of_means import MedianOfMeans

Json: TypeAlias = dict[str, Any]

#: Columns of the tables of `Moments`. Those of floats are sums of two doubles, of which the second is small.
_FLOATS = ("weight", "weight_low", "mean", "mean_low", "m2", "m2_low")
_INTEGERS = ("count", "sum", "sum_of_squares")
_HALF = 2**64 - 1
#: The largest square of an element that `Moments` counts among integers.
_LARGEST_SQUARE = (2**32 - 1) ** 2
#: What is below can be counted in 64 bits together with as much again.
_MOST = 2**62
#: Blocks of `MedianOfMeans`: a number that is only claimed takes memory with the first batch.
MOST_BLOCKS = 1_000_000


def moments_to_json(moments: Moments) -> Json:
    """Write everything that `Moments` has seen."""
    state = moments.__getstate__()
    floats, integers = state["floats"], state["integers"]
    return {
        "parameters": {
            "channel_axis": axes_to_json(moments.channel_axis),
            "ddof": number_to_json("ddof", moments.ddof),
        },
        "state": {
            "shape": state["shape"],
            "weighted": state["weighted"],
            "floats": _table(_FLOATS, map(numbers_to_json, floats.T)) if len(floats) else None,
            "integers": _table(_INTEGERS, _sums(integers)) if len(integers) else None,
        },
    }


def moments_from_json(document: Json) -> Moments:
    """Read `Moments`."""
    found = fields("Moments", document, ("parameters", "state"))
    parameters = fields("parameters of Moments", found["parameters"], ("channel_axis", "ddof"))
    saved = fields("state of Moments", found["state"], ("shape", "weighted", "floats", "integers"))
    axes = axes_from_json(parameters["channel_axis"])
    moments = Moments(axes, ddof=number_from_json("ddof", parameters["ddof"]))
    state = moments.__getstate__()
    state["shape"] = _shape(saved["shape"], axes)
    state["weighted"] = truth("weighted", saved["weighted"])
    if saved["floats"] is not None:
        lists = fields("floats", saved["floats"], _FLOATS)
        columns = _columns(lists, dict.fromkeys(_FLOATS, "float64"))
        for high, low in zip(columns[::2], columns[1::2], strict=True):
            if (np.isfinite(high) & ~(np.abs(low) <= np.abs(high))).any():
                raise ValueError("floats holds a number whose second part is larger than its first")
        if not state["weighted"] and (columns[0] >= _MOST).any():
            raise ValueError(f"floats must have counts below {_MOST}")
        state["floats"] = np.stack(columns, axis=1)
    if saved["integers"] is not None:
        state["integers"] = _halves(fields("integers", saved["integers"], _INTEGERS))
    moments.__setstate__(state)
    return moments


def extrema_to_json(extrema: Extrema) -> Json:
    """Write everything that `Extrema` has seen."""
    state = extrema.__getstate__()
    low, high = map(numbers_to_json, state["bounds"].T)
    return {
        "parameters": {"channel_axis": axes_to_json(extrema.channel_axis)},
        "state": {"shape": state["shape"], "count": numbers_to_json(state["count"]), "min": low, "max": high},
    }


def extrema_from_json(document: Json) -> Extrema:
    """Read `Extrema`."""
    found = fields("Extrema", document, ("parameters", "state"))
    axes = axes_from_json(fields("parameters of Extrema", found["parameters"], ("channel_axis",))["channel_axis"])
    saved = fields("state of Extrema", found["state"], ("shape", "count", "min", "max"))
    count, low, high = _columns(saved, {"count": "int64", "min": "float64", "max": "float64"})
    if (count < 0).any() or (count >= _MOST).any() or ((count == 0) & ((low != np.inf) | (high != -np.inf))).any():
        raise ValueError(f"count must be from 0 to {_MOST - 1}, and where it is 0, min must be inf and max -inf")
    extrema = Extrema(axes)
    state = extrema.__getstate__()
    state["shape"] = _shape(saved["shape"], axes)
    state["count"] = count.astype(np.uint64)[:, np.newaxis]
    state["bounds"] = np.stack([low, high], axis=1)
    extrema.__setstate__(state)
    return extrema


def medians_to_json(medians: MedianOfMeans) -> Json:
    """Write everything that `MedianOfMeans` has seen."""
    state = medians.__getstate__()
    return {
        "parameters": {"n_blocks": medians.n_blocks, "channel_axis": axes_to_json(medians.channel_axis)},
        "state": {"next_block": state["next_block"], "moments": moments_to_json(state["moments"])},
    }


def medians_from_json(document: Json) -> MedianOfMeans:
    """Read `MedianOfMeans`."""
    found = fields("MedianOfMeans", document, ("parameters", "state"))
    parameters = fields("parameters of MedianOfMeans", found["parameters"], ("n_blocks", "channel_axis"))
    saved = fields("state of MedianOfMeans", found["state"], ("next_block", "moments"))
    blocks = whole("n_blocks", parameters["n_blocks"], 1, MOST_BLOCKS)
    medians = MedianOfMeans(blocks, axes_from_json(parameters["channel_axis"]))
    state = medians.__getstate__()
    state["next_block"] = whole("next_block", saved["next_block"])
    state["moments"] = moments_from_json(saved["moments"])
    medians.__setstate__(state)
    count = np.asarray(state["moments"].count)
    if count.dtype.kind == "i" and count.ndim and (count.sum(axis=0, dtype=np.float64) >= _MOST).any():
        raise ValueError(f"the blocks must have counts below {_MOST}")
    return medians


#: Binary digits that doubles have before and after the point.
_DIGITS = 1100
#: Columns of the tables of `Quantiles`: what the levels of sketches hold, and how often integers have occurred.
_LEVELS = ("channel", "level", "items")
_COUNTS = ("channel", "value", "count")
_COINS = ("state", "sides", "paired")


def quantiles_to_json(quantiles: Quantiles) -> Json:
    """Write everything that `Quantiles` has seen."""
    state = quantiles.__getstate__()
    low, high = map(numbers_to_json, state["bounds"].T)
    q = quantiles.q
    return {
        "parameters": {
            "q": [number_to_json("q", value) for value in q] if isinstance(q, list) else number_to_json("q", q),
            "channel_axis": axes_to_json(quantiles.channel_axis),
            "rank_error": number_to_json("rank_error", quantiles.rank_error),
        },
        "state": {
            "shape": state["shape"],
            "unit": state["unit"],
            "min": low,
            "max": high,
            "levels": _table(_LEVELS, map(numbers_to_json, state["levels"].T)),
            "items": numbers_to_json(state["items"]),
            "counts": _table(_COUNTS, map(numbers_to_json, state["counts"].T)),
            "coins": _table(_COINS, map(numbers_to_json, state["coins"].T)),
        },
    }


def quantiles_from_json(document: Json) -> Quantiles:
    """Read `Quantiles`."""
    found = fields("Quantiles", document, ("parameters", "state"))
    parameters = fields("parameters of Quantiles", found["parameters"], ("q", "channel_axis", "rank_error"))
    names = ("shape", "min", "max", "levels", "items", "counts", "coins")
    saved = fields("state of Quantiles", found["state"], names, optional=("unit",))
    q, axes = parameters["q"], axes_from_json(parameters["channel_axis"])
    values = numbers_from_json("q", q, "float64").tolist() if isinstance(q, list) else number_from_json("q", q)
    quantiles = Quantiles(values, axes, rank_error=number_from_json("rank_error", parameters["rank_error"]))
    state = quantiles.__getstate__()
    state["shape"] = _shape(saved["shape"], axes)
    state["unit"] = whole("unit", saved.get("unit", 0), -_DIGITS, _DIGITS)
    state["bounds"] = np.stack(_columns(saved, {"min": "float64", "max": "float64"}), axis=1)
    state["items"] = numbers_from_json("items", saved["items"], "float64")[:, np.newaxis]
    for table, columns, dtype in (
        ("levels", _LEVELS, "uint64"),
        ("counts", _COUNTS, "int64"),
        ("coins", _COINS, "uint64"),
    ):
        lists = fields(table, saved[table], columns)
        state[table] = np.stack(_columns(lists, dict.fromkeys(columns, dtype)), axis=1)
    quantiles.__setstate__(state)
    return quantiles


#: How each accumulator is written and read.
ACCUMULATORS: dict[str, tuple[Callable[[Any], Json], Callable[[Json], Any]]] = {
    "Extrema": (extrema_to_json, extrema_from_json),
    "MedianOfMeans": (medians_to_json, medians_from_json),
    "Moments": (moments_to_json, moments_from_json),
    "Quantiles": (quantiles_to_json, quantiles_from_json),
}


def _shape(value: Any, channel_axis: int | tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Read the lengths of the kept axes; None where nothing has been seen."""
    if value is None:
        return None
    shape = shape_from_json("the state", value)
    if len(shape) != number_of_axes(channel_axis):
        raise ValueError(f"the state has shape {shape}, which does not suit channel_axis={channel_axis}")
    return shape


def _table(names: tuple[str, ...], columns: Any) -> Json:
    return dict(zip(names, columns, strict=True))


def _columns(lists: Json, dtypes: dict[str, str]) -> list[NDArray[Any]]:
    """Read columns of one length."""
    columns = [numbers_from_json(name, lists[name], dtype) for name, dtype in dtypes.items()]
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"{', '.join(dtypes)} must be of one length; got {', '.join(str(len(c)) for c in columns)}")
    return columns


def _sums(table: NDArray[np.uint64]) -> list[list[int]]:
    """Count, sum and sum of squares as whole numbers, of rows that have them in halves of 64 bits."""
    count, low, high, square_low, square_high = table.T
    signed = np.ascontiguousarray(high).view(np.int64)
    pairs = ((low, signed), (square_low, square_high))
    return [
        count.tolist(),
        *([(upper << 64) | lower for lower, upper in zip(a.tolist(), b.tolist(), strict=True)] for a, b in pairs),
    ]


def _halves(lists: Json) -> NDArray[np.uint64]:
    """Rows with sums in halves of 64 bits; only such as elements can have."""
    columns = [lists[name] for name in _INTEGERS]
    if not all(isinstance(column, list) and set(map(type, column)) <= {int} for column in columns):
        raise ValueError("integers must hold lists of integers")
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"{', '.join(_INTEGERS)} must be of one length")
    if not all(starmap(_possible, zip(*columns, strict=True))):
        raise ValueError("integers holds sums that no elements have")
    count, total, square = columns
    halves = [count, *([n >> shift & _HALF for n in column] for column in (total, square) for shift in (0, 64))]
    return np.array(halves, np.uint64).T.copy()


def _possible(count: int, total: int, square: int) -> bool:
    """Whether `count` integers can have these sums: none exceeds 32 bits, and by Cauchy and Schwarz."""
    if not (0 <= count < _MOST and abs(total) <= square <= count * _LARGEST_SQUARE):
        return False
    return total * total <= count * square

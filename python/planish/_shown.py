"""How accumulators show themselves: in a line, and as a table in notebooks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Channels that are shown, and quantiles of each.
_CHANNELS = 3
_QUANTILES = 5
#: The counts of no channels.
_NONE = np.empty(0, np.int64)


def text(accumulator: Any, parameters: str, names: Sequence[str]) -> str:
    """Write an accumulator as a call, with the statistics `names` of its first channels."""
    found = _found(accumulator, names)
    count = found.get("count", _NONE)
    parts = [f"{name}={_listed(values, count.ndim)}" for name, values in found.items()]
    return ", ".join([_call(accumulator, parameters, count.size), *parts]) + ")"


def html(accumulator: Any, parameters: str, names: Sequence[str]) -> str:
    """Write the same as a table: a row for each of the first channels, a column for each statistic."""
    from html import escape

    found = _found(accumulator, names)
    count = found.get("count", _NONE)
    columns: list[tuple[str, NDArray[Any]]] = []
    for name, values in found.items():
        if values.ndim == count.ndim:
            columns.append((name, values))
        else:
            columns += [(f"q={q:g}", values) for q, values in zip(accumulator.q, values[:_QUANTILES], strict=False)]
    rows = [["channel", *(name for name, _ in columns)]]
    for place in islice(np.ndindex(count.shape), _CHANNELS):
        rows.append([", ".join(map(str, place)) or "all", *(_number(values[place]) for _, values in columns)])
    if count.size > _CHANNELS:
        rows.append(["..."] * len(rows[0]))
    caption = escape(_call(accumulator, parameters, count.size)) + ")"
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(f"<tr><th>{place}</th><td>{'</td><td>'.join(cells)}</td></tr>" for place, *cells in rows[1:])
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _found(accumulator: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Look up the statistics; there are none before the first batch."""
    try:
        return {name: np.asarray(getattr(accumulator, name)) for name in names}
    except ValueError:
        return {}


def _call(accumulator: Any, parameters: str, channels: int) -> str:
    return f"{type(accumulator).__name__}({parameters}, channels={channels}"


def _listed(values: NDArray[Any], channel_axes: int) -> str:
    """Write the values of the first channels, for each quantile if there are several."""
    if values.ndim > channel_axes:
        return _cut([_listed(part, channel_axes) for part in values[:_QUANTILES]], len(values) > _QUANTILES)
    if values.ndim == 0:
        return _number(values)
    return _cut([_number(value) for value in values.flat[:_CHANNELS]], values.size > _CHANNELS)


def _cut(parts: list[str], more: bool) -> str:
    return f"[{', '.join([*parts, *(['...'] if more else [])])}]"


def _number(value: Any) -> str:
    """Write a number with as many digits as tell something."""
    number = value.item()
    return str(number if isinstance(number, int) else float(f"{number:.6g}"))

"""The description of `ImageNormalizer`."""

from __future__ import annotations

from reprlib import repr as brief
from typing import Any

import numpy as np

from planish._core import Moments
from planish.files import values
from planish.images import inputs
from planish.scalers._state import (
    Parameters,
    Part,
    State,
    Value,
    axes,
    number_or,
    per_channel,
    result_dtype,
    text,
    whole,
)
from planish.stats._state import form

#: What 'auto' divides pixels by.
_UNITS = {inputs.largest(np.dtype(name)) for name in ("float64", "uint8", "uint16", "uint32", "uint64")}


def _limits(name: str) -> Value:
    """Describe the parameter `clip`."""

    def write(field: str, value: Any) -> list[Any]:
        return [values.number_to_json(field, limit) for limit in value]

    def read(field: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"{field} must be null or a list of two numbers; got {brief(value)}")
        return tuple(values.number_from_json(field, limit) for limit in value)

    return Value(name, write, read, none=True)


class _ByUnit(Part):
    """The moments of pixels, by what those are divided by."""

    fields = ("statistics",)
    needed = True

    def write(self, value: Any) -> dict[str, Any]:
        """Write a list of them."""
        listed = [{"divided_by": unit, "moments": form(Moments).to_json(part)} for unit, part in value.items()]
        return {"statistics": listed}

    def read(self, found: dict[str, Any], owner: Any) -> dict[float, Moments]:
        """Read the list, of channels that the parameters of `owner` can have."""
        listed = found["statistics"]
        if not isinstance(listed, list) or len(listed) > len(_UNITS):
            raise ValueError(f"statistics must be a list of at most {len(_UNITS)}; got {brief(listed)}")
        units = _UNITS if owner.scale == "auto" else {1.0 / owner.scale}
        given = {constants.size for constants in (owner.mean, owner.std) if constants is not None}
        statistics: dict[float, Moments] = {}
        for part in listed:
            part = values.fields("statistics", part, ("divided_by", "moments"))
            unit = float(values.number_from_json("divided_by", part["divided_by"]))
            moments = form(Moments).from_json(Moments, part["moments"])
            if unit not in units or unit in statistics:
                raise ValueError(f"divided_by does not suit scale={owner.scale!r}; got {unit}")
            if moments.channel_axis != owner._axes or not given <= {1, moments.count.size} or not moments.count.size:
                raise ValueError("statistics have other channels than the parameters say")
            statistics[unit] = moments
        return statistics


GIVEN = Parameters(
    per_channel("mean", none=True, dtypes=("float64",)),
    per_channel("std", none=True, dtypes=("float64",)),
    number_or("scale", "auto"),
    text("layout"),
    text("normalization"),
    _limits("clip"),
    axes(compared="_axes"),
    result_dtype("_dtype"),
)

LEARNED = State(
    whole("n_pixels_seen_"),
    per_channel("mean_", none=True, dtypes=("float64",)),
    per_channel("std_", none=True, dtypes=("float64",)),
    per_channel("_divisor", field="divisor", none=True, dtypes=("float64",)),
    _ByUnit("_statistics"),
    always=True,
)

"""`ImageNormalizer` as JSON, and back."""

from reprlib import repr as brief
from typing import Any, TypeAlias

import numpy as np

from planish.files.accumulators import moments_from_json, moments_to_json
from planish.files.values import (
    array_from_json,
    array_to_json,
    axes_from_json,
    axes_to_json,
    fields,
    number_from_json,
    number_of_axes,
    number_to_json,
    output_dtype,
    whole,
)
from planish.images import inputs as inputs

Json: TypeAlias = dict[str, Any]

_PARAMETERS = ("mean", "std", "scale", "layout", "dtype", "normalization", "clip", "channel_axis")
_LEARNED = ("mean_", "std_", "_divisor")
#: What 'auto' divides pixels by.
_UNITS = {inputs.largest(np.dtype(name)) for name in ("float64", "uint8", "uint16", "uint32", "uint64")}


def images_to_json(normalizer: Any) -> Json:
    """Write the parameters of an `ImageNormalizer`, and what it has learnt."""
    given = {name: _array_to_json(name, getattr(normalizer, name)) for name in ("mean", "std")}
    scale, clip = normalizer.scale, normalizer.clip
    learnt = {name: _array_to_json(name, getattr(normalizer, name, None)) for name in _LEARNED}
    return {
        "parameters": {
            **given,
            "scale": scale if isinstance(scale, str) else number_to_json("scale", scale),
            "layout": normalizer.layout,
            "dtype": normalizer._dtype,
            "normalization": normalizer.normalization,
            "clip": None if clip is None else [number_to_json("clip", limit) for limit in clip],
            "channel_axis": axes_to_json(normalizer.channel_axis),
        },
        "state": {
            "n_pixels_seen_": number_to_json("n_pixels_seen_", normalizer.n_pixels_seen_),
            **learnt,
            "statistics": [
                {"divided_by": unit, "moments": moments_to_json(moments)}
                for unit, moments in normalizer._statistics.items()
            ],
        },
    }


def images_from_json(cls: Any, document: Json) -> Any:
    """Read an `ImageNormalizer`, which is one that works."""
    found = fields(f"an {cls.__name__}", document, ("parameters", "state"))
    normalizer = cls(**_parameters(fields("parameters", found["parameters"], _PARAMETERS)))
    axes = number_of_axes(normalizer._axes)
    for name in ("mean", "std"):
        value = getattr(normalizer, name)
        if value is not None and value.size > 1 and value.ndim != axes:
            raise ValueError(f"{name} has shape {value.shape}, which does not suit channel_axis={normalizer._axes}")
    state = fields("state", found["state"], ("n_pixels_seen_", *_LEARNED, "statistics"))
    _take_in(normalizer, state)
    for name in _LEARNED:
        value, computed = _array_from_json(name, state[name]), getattr(normalizer, name, None)
        shapes = [None if array is None else array.shape for array in (value, computed)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} does not have the shape of what was given or learnt")
        if value is not None:
            setattr(normalizer, name, value)
    return normalizer


def _parameters(values: Json) -> Json:
    clip, scale = values["clip"], values["scale"]
    for name in ("layout", "normalization"):
        if not isinstance(values[name], str):
            raise ValueError(f"{name} must be a string; got {brief(values[name])}")
    if clip is not None and (not isinstance(clip, list) or len(clip) != 2):
        raise ValueError(f"clip must be null or a list of two numbers; got {brief(clip)}")
    return {
        **{name: _array_from_json(name, values[name]) for name in ("mean", "std")},
        "scale": scale if isinstance(scale, str) else number_from_json("scale", scale),
        "layout": values["layout"],
        "dtype": output_dtype("dtype", values["dtype"]),
        "normalization": values["normalization"],
        "clip": None if clip is None else tuple(number_from_json("clip", limit) for limit in clip),
        "channel_axis": axes_from_json(values["channel_axis"]),
    }


def _take_in(normalizer: Any, state: Json) -> None:
    """Read the statistics, by what pixels are divided by."""
    pixels = whole("n_pixels_seen_", state["n_pixels_seen_"])
    listed = state["statistics"]
    if not isinstance(listed, list) or len(listed) > len(_UNITS) or bool(listed) != bool(pixels):
        raise ValueError("statistics must be a list, empty where n_pixels_seen_ is 0")
    units = _UNITS if normalizer.scale == "auto" else {1.0 / normalizer.scale}
    given = {constants.size for constants in (normalizer.mean, normalizer.std) if constants is not None}
    statistics = {}
    for part in listed:
        part = fields("statistics", part, ("divided_by", "moments"))
        unit, moments = float(number_from_json("divided_by", part["divided_by"])), moments_from_json(part["moments"])
        if unit not in units or unit in statistics:
            raise ValueError(f"divided_by does not suit scale={normalizer.scale!r}; got {unit}")
        if moments.channel_axis != normalizer._axes or not given <= {1, moments.count.size} or not moments.count.size:
            raise ValueError("statistics have other channels than the parameters say")
        statistics[unit] = moments
    if statistics:
        normalizer._take_in(statistics, pixels)


def _array_to_json(name: str, value: Any) -> Json | None:
    return None if value is None else array_to_json(name, value, ("float64",))


def _array_from_json(name: str, value: Any) -> Any:
    return None if value is None else array_from_json(name, value, ("float64",))

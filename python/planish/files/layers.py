"""`BatchNorm` as JSON, and back."""

from typing import Any

import numpy as np

from planish.files.values import (
    array_from_json,
    array_to_json,
    fields,
    number_from_json,
    number_to_json,
    truth,
    whole,
)

_PARAMETERS = ("eps", "momentum", "channel_axis", "training")
_ARRAYS = ("gamma", "beta", "running_mean", "running_var")
#: Axes of an array at most, and so the numbers of one.
_MOST_AXES = 64


def batch_norm_to_json(norm: Any) -> dict[str, Any]:
    """Write the parameters of a `BatchNorm`, and what it has learnt."""
    momentum = None if norm.momentum is None else number_to_json("momentum", norm.momentum)
    arrays = {name: getattr(norm, name) for name in _ARRAYS}
    return {
        "parameters": {
            "eps": number_to_json("eps", norm.eps),
            "momentum": momentum,
            "channel_axis": int(norm.channel_axis),
            "training": truth("training", norm.training),
        },
        "state": {
            "num_batches": whole("num_batches", norm.num_batches),
            **{
                name: None if value is None else array_to_json(name, np.asarray(value, dtype=np.float64), ("float64",))
                for name, value in arrays.items()
            },
        },
    }


def batch_norm_from_json(cls: Any, document: dict[str, Any]) -> Any:
    """Read a `BatchNorm`."""
    found = fields(f"a {cls.__name__}", document, ("parameters", "state"))
    given = fields("parameters", found["parameters"], _PARAMETERS)
    state = fields("state", found["state"], ("num_batches", *_ARRAYS))
    arrays = {
        name: None if state[name] is None else array_from_json(name, state[name], ("float64",)) for name in _ARRAYS
    }
    mean = arrays["running_mean"]
    if mean is None or mean.ndim != 1 or not mean.size:
        raise ValueError("running_mean must have one value for each channel")
    norm = cls(
        mean.size,
        eps=number_from_json("eps", given["eps"]),
        momentum=None if given["momentum"] is None else number_from_json("momentum", given["momentum"]),
        channel_axis=whole("channel_axis", given["channel_axis"], -_MOST_AXES, _MOST_AXES),
    )
    norm.state = {"num_batches": whole("num_batches", state["num_batches"]), **arrays}
    return norm.train(truth("training", given["training"]))

"""`GroupedScaler` as JSON, and back: the scaler of each group by its label."""

from collections.abc import Callable
from reprlib import repr as brief
from typing import Any, TypeAlias

import numpy as np

from planish.files.scalers import (
    books_to_json,
    parameters_to_json,
    restore,
    restore_books,
    scaler_from_json,
    scaler_to_json,
    state_to_json,
)
from planish.files.values import fields, number_from_json, number_to_json, shape_from_json, truth, whole
from planish.groups.labels import ascending

Json: TypeAlias = dict[str, Any]

_PARAMETERS = ("scaler", "groups", "unseen")
_STATE = ("labels", "scalers", "channels", "column", "n_features_in_")
#: What a state may have besides: not each has names, or statistics of all samples.
_OPTIONAL = ("global", "feature_names_in_", "columns", "set_output")


def grouped_to_json(grouped: Any) -> Json:
    """Write the parameters, and what was learnt of each group."""
    template = grouped.scaler
    state: Json = {}
    if "scalers_" in vars(grouped):
        known = grouped.scalers_
        parameters = parameters_to_json(template)
        for scaler in known.values():
            if type(scaler) is not type(template) or parameters_to_json(scaler) != parameters:
                raise ValueError("the scalers of its groups have other parameters than its scaler")
        state = {
            "labels": [_label_to_json(label) for label in known],
            "scalers": {_key(label): state_to_json(scaler) for label, scaler in known.items()},
            "channels": list(grouped._channels),
            "column": grouped._column,
        }
        if "global_scaler_" in vars(grouped):
            state["global"] = state_to_json(grouped.global_scaler_)
    return {
        "parameters": {
            "scaler": {"class": type(template).__name__, **scaler_to_json(template)},
            "groups": _column_name(grouped.groups),
            "unseen": grouped.unseen,
        },
        "state": {**state, **books_to_json(grouped)},
    }


def grouped_from_json(cls: Any, document: Json, class_of_scaler: Callable[[Any], Any]) -> Any:
    """Read a `GroupedScaler`, which is one that works. `class_of_scaler` is asked for a class by its name."""
    found = fields("a GroupedScaler", document, ("parameters", "state"))
    parameters = fields("parameters", found["parameters"], _PARAMETERS)
    inner = fields("scaler", parameters["scaler"], ("class", "parameters", "state"))
    kind = class_of_scaler(inner["class"])
    template = scaler_from_json(kind, {name: inner[name] for name in ("parameters", "state")})
    grouped = cls(template, _column_name(parameters["groups"]), parameters["unseen"])
    grouped._validate_params()
    state = fields("state", found["state"], (), (*_STATE, *_OPTIONAL))
    restore_books(grouped, state)
    if not state.keys() & set(_STATE):
        return grouped
    fields("state", state, _STATE, _OPTIONAL)
    labels = [_label_from_json(label) for label in _list("labels", state["labels"])]
    scalers = fields("scalers", state["scalers"], [_key(label) for label in labels])
    if not labels or len(scalers) < len(labels) or ascending(labels).tolist() != labels:
        raise ValueError("labels must be there, different and in ascending order")
    grouped._channels = shape_from_json("channels", state["channels"])
    column = state["column"]
    if (column is None) != (grouped.groups is None):
        raise ValueError(f"column is {brief(column)}, which does not suit groups={grouped.groups!r}")
    columns = getattr(grouped, "_columns", grouped.n_features_in_)
    number = columns if isinstance(columns, int) else len(columns)
    grouped._column = None if column is None else whole("column", column, high=number - 1)

    def read(part: Any) -> Any:
        scaler = scaler_from_json(kind, {"parameters": inner["parameters"], "state": {}})
        restore(scaler, part)
        if scaler._learned and not (scaler._is_fitted() and scaler.n_features_in_ == np.prod(grouped._channels)):
            raise ValueError(f"a scaler is not fitted on channels of shape {grouped._channels}")
        return scaler

    grouped.groups_ = ascending(labels)
    grouped.scalers_ = {label: read(scalers[_key(label)]) for label in labels}
    if "global" in state:
        grouped.global_scaler_ = read(state["global"])
    return grouped


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list; got {brief(value)}")
    return value


def _column_name(value: Any) -> Any:
    """Check the name or the position of a column."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return whole("groups", number_to_json("groups", value), -(2**31), 2**31)


def _label_to_json(label: Any) -> Any:
    if isinstance(label, bool | str):
        return label
    if isinstance(label, int | float):
        number = number_to_json("a label", label)
        return {"number": number} if isinstance(number, str) else number
    raise ValueError(f"labels can be saved that are strings, numbers or truth values; got {brief(label)}")


def _label_from_json(label: Any) -> Any:
    if isinstance(label, str):
        return label
    if isinstance(label, dict):
        label = fields("a label", label, ("number",))["number"]
    return truth("a label", label) if isinstance(label, bool) else number_from_json("a label", label)


def _key(label: Any) -> str:
    """Name a label as the key of an object."""
    return label if isinstance(label, str) else repr(label)

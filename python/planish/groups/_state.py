"""The description of `GroupedScaler`: the scaler of each group by its label."""

from __future__ import annotations

from reprlib import repr as brief
from typing import Any

from sklearn.base import clone

from planish.files import objects, values
from planish.groups.fits import twin
from planish.groups.labels import ascending
from planish.scalers._base import ArrayTransformer
from planish.scalers._state import Json, Parameters, Part, State, Value, text


def _write_template(name: str, value: Any) -> Json:
    return objects.to_json(value)


def _read_template(name: str, value: Any) -> Any:
    kind = values.fields(name, value, ("class", "parameters", "state"))["class"]
    cls = objects.find(kind)
    if cls is None or not issubclass(cls, ArrayTransformer):
        raise ValueError(f"its class {brief(kind)} is none of a scaler")
    return objects.from_json(value)


def _column_name(name: str, value: Any) -> Any:
    """Check the name or the position of a column."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return values.whole(name, values.number_to_json(name, value), -(2**31), 2**31)


class _Scalers(Part):
    """The scalers by label. As keys, labels are strings; what they are is in a list of their own."""

    fields = ("labels", "scalers")
    needed = True

    def write(self, value: dict[Any, Any]) -> Json:
        """Write labels, and what each scaler has learnt."""
        return {
            "labels": [_write_label(label) for label in value],
            "scalers": {_key(label): objects.state_to_json(scaler) for label, scaler in value.items()},
        }

    def read(self, found: Json, owner: Any) -> dict[Any, Any]:
        """Read scalers with the parameters of that of `owner`."""
        listed = found["labels"]
        if not isinstance(listed, list):
            raise ValueError(f"labels must be a list; got {brief(listed)}")
        labels = [_read_label(label) for label in listed]
        states = values.fields("scalers", found["scalers"], [_key(label) for label in labels])
        if not labels or len(states) < len(labels) or ascending(labels).tolist() != labels:
            raise ValueError("labels must be there, different and in ascending order")
        template = clone(owner.scaler)
        return {label: objects.take_in(twin(template), states[_key(label)]) for label in labels}


class _Overall(Part):
    """The scaler of all samples."""

    fields = ("global",)

    def write(self, value: Any) -> Json:
        """Write what it has learnt."""
        return {"global": objects.state_to_json(value)}

    def read(self, found: Json, owner: Any) -> Any:
        """Read a scaler with the parameters of that of `owner`."""
        return objects.take_in(clone(owner.scaler), found["global"])


def _write_label(label: Any) -> Any:
    if isinstance(label, bool | str):
        return label
    if isinstance(label, int | float):
        number = values.number_to_json("a label", label)
        return {"number": number} if isinstance(number, str) else number
    raise ValueError(f"labels can be saved that are strings, numbers or truth values; got {brief(label)}")


def _read_label(label: Any) -> Any:
    if isinstance(label, str):
        return label
    if isinstance(label, dict):
        label = values.fields("a label", label, ("number",))["number"]
    return values.truth("a label", label) if isinstance(label, bool) else values.number_from_json("a label", label)


def _key(label: Any) -> str:
    """Name a label as the key of an object."""
    return label if isinstance(label, str) else repr(label)


GIVEN = Parameters(
    Value("scaler", _write_template, _read_template), Value("groups", _column_name, _column_name), text("unseen")
)
LEARNED = State(
    Part("groups_"),
    _Scalers("scalers_"),
    Value("_channels", lambda _, value: list(value), values.shape_from_json, field="channels"),
    Value("_column", lambda _, value: value, values.whole, field="column", none=True),
    _Overall("global_scaler_"),
    columns=True,
)

"""One description of a class: what it is made with and what it learns, attribute by attribute.

A class has its `Parameters` in `_given` and its `State` in `_learned`. Whatever goes through the attributes of objects
walks these: resetting, comparing, merging, going to scikit-learn and back, groups that share out what was learnt of all
of them at once, and files. scikit-learn is not imported here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from reprlib import repr as brief
from typing import Any, TypeAlias

import numpy as np

from planish._border import result_dtype as name_of_dtype
from planish.files import values

Json: TypeAlias = dict[str, Any]
#: Writes a value as JSON, or reads it; told the name of the field for errors.
Codec: TypeAlias = Callable[[str, Any], Any]

#: What `set_output` may ask for.
_CONTAINERS = ("default", "pandas", "polars")


class Part:
    """An attribute. This base is one that no file has, since it is made of the others or may be lost."""

    #: The fields of a file that hold it.
    fields: tuple[str, ...] = ()
    #: Whether an object that has learnt something must have it.
    needed = False
    #: Whether objects that are merged must agree in it.
    shared = False

    def __init__(self, attribute: str, *, compared: str | None = None) -> None:
        self.attribute = attribute
        self.compared = compared or attribute

    def write(self, value: Any) -> Json:
        """Give the fields of a file."""
        return {}

    def read(self, found: Json, owner: Any) -> Any:
        """Read the value from the fields of a file, for `owner`, which has its parameters."""
        raise NotImplementedError

    def shape(self, value: Any) -> tuple[int, ...] | None:
        """Give the shape of the channels that a value describes, if it does."""
        return None

    def split(self, known: Mapping[str, Any], count: int) -> Any:
        """Share out what was learnt of so many groups, which are the first axis: give what each has of it."""
        return rows(known[self.attribute], count)


class Value(Part):
    """An attribute that one field of a file holds.

    `write` makes JSON of a value and `read` checks it and reads it; both are told the name of the field, for errors.
    The field has the name of the attribute unless another is given. `none` says whether the value may be None,
    `compared` which attribute is compared in its place, and `accepts` gives what a parameter may be, in the terms of
    scikit-learn's `_parameter_constraints`: nothing where something else checks that.
    """

    def __init__(
        self,
        attribute: str,
        write: Codec,
        read: Codec,
        *,
        field: str | None = None,
        none: bool = False,
        needed: bool = True,
        shared: bool = False,
        compared: str | None = None,
        accepts: Callable[[], list[Any]] = list,
    ) -> None:
        super().__init__(attribute, compared=compared)
        self.accepts = accepts
        self.field = field or attribute
        self.fields = (self.field,)
        self._codecs = write, read
        self._none = none
        self.needed = needed
        self.shared = shared

    def write(self, value: Any) -> Json:
        """Give the field."""
        return {self.field: None if value is None and self._none else self._codecs[0](self.field, value)}

    def read(self, found: Json, owner: Any) -> Any:
        """Read the field."""
        value = found[self.field]
        return None if value is None and self._none else self._codecs[1](self.field, value)


class Parameters:
    """What objects of a class are made with: a part for each argument, which is the name of its field."""

    def __init__(self, *parts: Value) -> None:
        self.parts = parts

    @property
    def shared(self) -> list[str]:
        """The names of those in which objects that are merged must agree."""
        return [part.attribute for part in self.parts if part.shared]

    def constraints(self) -> dict[str, list[Any]]:
        """Say what each may be, in scikit-learn's terms."""
        return {part.field: accepted for part in self.parts if (accepted := part.accepts())}

    def to_json(self, obj: Any) -> Json:
        """Write those of an object."""
        return _written(self.parts, {part.attribute: getattr(obj, part.attribute) for part in self.parts})

    def from_json(self, document: Any, what: str = "parameters") -> Json:
        """Read arguments by their names."""
        found = values.fields(what, document, [part.field for part in self.parts])
        return {part.field: part.read(found, None) for part in self.parts}

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two objects have equal ones."""
        return _same(self.parts, vars(one), vars(other))


class State:
    """What objects of a class learn: a part for each attribute.

    `columns` says whether they know the columns that they were fitted on, as scikit-learn's do, and `always` whether
    they have all of it from the start.
    """

    def __init__(self, *parts: Part, columns: bool = False, always: bool = False) -> None:
        self.parts = parts
        self._columns = COLUMNS if columns else ()
        self._always = always

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the attributes."""
        return (part.attribute for part in self.parts)

    def __len__(self) -> int:
        """Count the attributes: none where there is nothing to learn."""
        return len(self.parts)

    def reset(self, obj: Any) -> None:
        """Have an object forget what it has learnt."""
        for name in self:
            obj.__dict__.pop(name, None)

    def copy(self, source: Any, target: Any) -> None:
        """Copy what is public of it, and what is known of columns, from or to an object of scikit-learn."""
        known = vars(source)
        for part in (*self._columns, *self.parts):
            name = part.attribute
            if name in known and (not name.startswith("_") or name == OUTPUT):
                value = known[name]
                setattr(target, name, np.array(value) if isinstance(value, np.ndarray) else value)

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two objects have learnt the same."""
        return _same(self.parts, vars(one), vars(other))

    def shapes(self, known: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Give the shapes of the channels that attributes describe, by field."""
        found = ((part.fields, part.shape(known[part.attribute])) for part in self.parts if part.attribute in known)
        return {fields[0]: shape for fields, shape in found if shape is not None}

    def split(self, known: Mapping[str, Any], count: int) -> dict[str, Any]:
        """Share out what was learnt of so many groups: by attribute, what each group has of it."""
        return {part.attribute: part.split(known, count) for part in self.parts if part.attribute in known}

    def to_json(self, known: Mapping[str, Any]) -> Json:
        """Write attributes that are known."""
        return _written((*self._columns, *self.parts), known)

    def from_json(self, document: Any, owner: Any, what: str = "state") -> Json:
        """Read attributes by their names: all that are needed, or none."""
        names = {field: part for part in (*self._columns, *self.parts) for field in part.fields}
        if not self._always:
            values.fields(what, document, (), names)
        columns = {field for part in self._columns for field in part.fields}
        if self._always or document.keys() - columns:
            values.fields(what, document, [field for field, part in names.items() if part.needed], names)
        parts = dict.fromkeys(part for field, part in names.items() if field in document)
        return {part.attribute: part.read(document, owner) for part in parts}


def _written(parts: tuple[Part, ...], known: Mapping[str, Any]) -> Json:
    document: Json = {}
    for part in parts:
        if part.attribute in known:
            document |= part.write(known[part.attribute])
    return document


def _same(parts: tuple[Part, ...], one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def equal(a: Any, b: Any) -> bool:
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return np.array_equal(a, b, equal_nan=True)
        # An array is equal to no number, and None to nothing else.
        return a is b if a is None or isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b)

    return all(equal(one.get(part.compared), other.get(part.compared)) for part in parts)


def rows(value: Any, count: int) -> Any:
    """Give what each of so many groups has of a value, if it is an array along their axis; else each has it."""
    return value if isinstance(value, np.ndarray) else [value] * count


# --- parameters ------------------------------------------------------------------------------------------------------


def truth(name: str) -> Value:
    """Give a flag."""
    return Value(name, values.truth, values.truth, accepts=lambda: ["boolean"])


def text(name: str, *options: str) -> Value:
    """Give a string, one of some options if they are said."""
    return Value(name, values.text, values.text, accepts=lambda: _options(*options) if options else [])


def _options(*options: str) -> list[Any]:
    from sklearn.utils._param_validation import StrOptions

    return [StrOptions(set(options))]


def number(name: str, *, none: bool = False) -> Value:
    """Give a number."""
    return Value(name, values.number_to_json, values.number_from_json, none=none)


def whole(
    name: str, low: int = 0, high: int = 2**63 - 1, *, none: bool = False, shared: bool = False, needed: bool = True
) -> Value:
    """Give an integer."""

    def write(field: str, value: Any) -> int:
        return values.whole(field, values.number_to_json(field, value), low, high)

    def read(field: str, value: Any) -> int:
        return values.whole(field, value, low, high)

    def accepts() -> list[Any]:
        from sklearn.utils._param_validation import Interval

        return [Interval(Integral, low, None, closed="left"), *([None] if none else [])]

    return Value(name, write, read, none=none, shared=shared, needed=needed, accepts=accepts)


def number_or(name: str, word: str) -> Value:
    """Give a number, or a word in its place."""

    def write(field: str, value: Any) -> Any:
        return values.text(field, value) if isinstance(value, str) else values.number_to_json(field, value)

    def read(field: str, value: Any) -> Any:
        return value if value == word else values.number_from_json(field, value)

    return Value(name, write, read, accepts=lambda: [*_options(word), Real])


def pair(name: str, low: float = -math.inf, high: float = math.inf) -> Value:
    """Give a tuple of two finite numbers within limits, which ascend if there are any."""

    def write(field: str, value: Any) -> list[Any]:
        if not isinstance(value, tuple) or len(value) != 2:
            raise ValueError(f"{field} must be a tuple of two numbers; got {brief(value)}")
        return [values.number_to_json(field, part) for part in value]

    def read(field: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"{field} must be a list of two numbers; got {brief(value)}")
        found = tuple(values.number_from_json(field, part) for part in value)
        if not all(map(math.isfinite, found)):
            raise ValueError(f"{field} must be finite; got {found}")
        if math.isfinite(high) and not low <= found[0] <= found[1] <= high:
            raise ValueError(f"{field} must ascend within {low} and {high}; got {found}")
        return found

    return Value(name, write, read, accepts=lambda: [tuple])


def axes(*, shared: bool = False, compared: str | None = None) -> Value:
    """Give the parameter `channel_axis`."""
    write, read = values.axes_to_json, values.axes_from_json
    return Value("channel_axis", lambda _, v: write(v), lambda _, v: read(v), shared=shared, compared=compared)


def result_dtype(attribute: str = "dtype") -> Value:
    """Give the parameter `dtype`, by its name."""
    return Value(attribute, lambda _, value: name_of_dtype(value), values.output_dtype, field="dtype", none=True)


def constants(name: str) -> Value:
    """Give a number, or numbers for channels, which come back as an array."""

    def write(field: str, value: Any) -> Any:
        if isinstance(value, float | int | np.integer | np.floating):
            return values.number_to_json(field, value)
        return values.array_to_json(field, np.asarray(value), values.NUMBERS)

    def read(field: str, value: Any) -> Any:
        is_array = isinstance(value, dict)
        return (
            values.array_from_json(field, value, values.NUMBERS) if is_array else values.number_from_json(field, value)
        )

    return Value(name, write, read, accepts=lambda: [Real, "array-like"])


# --- what is learnt --------------------------------------------------------------------------------------------------


class _PerChannel(Value):
    def shape(self, value: Any) -> tuple[int, ...] | None:
        return None if value is None else np.shape(value)


def per_channel(
    name: str,
    *,
    field: str | None = None,
    none: bool = False,
    negative: bool = True,
    needed: bool = True,
    dtypes: tuple[str, ...] = values.FLOATS,
) -> Value:
    """Give a number for each channel."""

    def write(field: str, value: Any) -> Json:
        return values.array_to_json(field, value, dtypes)

    def read(field: str, value: Any) -> Any:
        array = values.array_from_json(field, value, dtypes)
        if not negative and (array < 0).any():
            raise ValueError(f"{field} must not be negative")
        return array

    return _PerChannel(name, write, read, field=field, none=none, needed=needed)


class _Samples(Value):
    def shape(self, value: Any) -> tuple[int, ...] | None:
        return np.shape(value) if np.ndim(value) > 0 else None

    def split(self, known: Mapping[str, Any], count: int) -> Any:
        samples = super().split(known, count)
        if not isinstance(samples, np.ndarray):
            return samples
        # One number for all channels where there is one.
        flat = samples.reshape(count, -1)
        same = (flat == flat[:, :1]).all(axis=1)
        return [n[0] if alike else part for n, alike, part in zip(flat, same, samples, strict=True)]


def samples(*, differ: bool = False) -> Value:
    """Give the number of samples, in `n_samples_seen_`: of each channel where they may `differ`."""

    def write(field: str, value: Any) -> Any:
        is_numpy = isinstance(value, np.ndarray | np.generic)
        return values.array_to_json(field, value, values.NUMBERS) if is_numpy else values.number_to_json(field, value)

    def read(field: str, value: Any) -> Any:
        is_array = isinstance(value, dict)
        found = values.array_from_json(field, value, values.NUMBERS) if is_array else values.whole(field, value)
        if not differ and (np.ndim(found) > 0 or not isinstance(found, int | np.integer)):
            raise ValueError(f"{field} must be one integer")
        if not (np.isfinite(found) & (np.asarray(found) >= 0)).all():
            raise ValueError(f"{field} must be finite and not negative")
        return found

    return _Samples("n_samples_seen_", write, read)


# --- columns ---------------------------------------------------------------------------------------------------------

#: Where scikit-learn keeps what `set_output` asks for.
OUTPUT = "_sklearn_output_config"


def _write_columns(name: str, value: Any) -> Any:
    return _write_names(name, value) if isinstance(value, np.ndarray) else int(value)


def _read_columns(name: str, value: Any) -> Any:
    return _read_names(name, value) if isinstance(value, list) else values.whole(name, value)


def _write_names(name: str, value: Any) -> list[str]:
    return [values.text(f"a name in {name}", part) for part in value]


def _read_names(name: str, value: Any) -> Any:
    if not isinstance(value, list) or set(map(type, value)) != {str}:
        raise ValueError(f"{name} must be a list of strings; got {brief(value)}")
    return np.array(value, dtype=object)


def _read_output(name: str, value: Any) -> Json:
    config = values.fields(name, value, (), ("transform",))
    if any(not isinstance(kind, str) or kind not in _CONTAINERS for kind in config.values()):
        raise ValueError(f"{name} must name one of {', '.join(_CONTAINERS)}; got {brief(config)}")
    return config


#: More columns than any table has; names are made of as many.
_MOST_COLUMNS = 2**31 - 1
#: What every estimator keeps, by scikit-learn's conventions; `_columns` are columns that are not the channels.
COLUMNS: tuple[Value, ...] = (
    whole("n_features_in_", 0, _MOST_COLUMNS),
    Value("feature_names_in_", _write_names, _read_names, needed=False),
    Value("_columns", _write_columns, _read_columns, field="columns", needed=False),
    Value(OUTPUT, lambda _, value: dict(value), _read_output, field="set_output", needed=False),
)

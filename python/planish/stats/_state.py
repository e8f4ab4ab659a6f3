"""The descriptions of the accumulators: what files have of the states that they pickle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planish._border import axes_of
from planish.files import values
from planish.scalers._state import Json, Parameters, Part, State, Value, axes, number, truth, whole
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles
from planish.stats._exact import from_text, is_count, is_possible, to_sums, to_table, to_text

#: Counts are below: what NumPy's integers can say.
_MOST = 2**63
#: What is below can be counted in 64 bits together with as much again.
_MOST_OF_BLOCKS = 2**62
#: Blocks of `MedianOfMeans`: a number that is only claimed takes memory with the first batch.
MOST_BLOCKS = 1_000_000
#: Binary digits that doubles have before and after the point.
_DIGITS = 1100


class Form(NamedTuple):
    """How the accumulators of a class are written and read."""

    given: Parameters
    learned: State
    #: Refuses what no data have.
    check: Callable[[Any, Json], None]

    def to_json(self, accumulator: Any) -> Json:
        """Write everything that an accumulator has seen."""
        state = self.learned.to_json(accumulator.__getstate__())
        return {"parameters": self.given.to_json(accumulator), "state": state}

    def from_json(self, cls: Any, document: Any) -> Any:
        """Read an accumulator."""
        name = cls.__name__
        found = values.fields(name, document, ("parameters", "state"))
        read = cls(**self.given.from_json(found["parameters"], f"parameters of {name}"))
        state = self.learned.from_json(found["state"], read, f"state of {name}")
        shape = state.get("shape")
        if shape is not None and len(shape) != len(axes_of(read.channel_axis)):
            raise ValueError(f"the state has shape {shape}, which does not suit channel_axis={read.channel_axis}")
        self.check(read, state)
        read.__setstate__({**read.__getstate__(), **state})
        return read


def form(cls: type) -> Form:
    """Look up the form of a class of accumulators."""
    if cls not in FORMS:
        names = ", ".join(known.__name__ for known in FORMS)
        raise ValueError(f"statistics of the class {cls.__name__} cannot be saved; those of {names} can")
    return FORMS[cls]


class Accumulator(Part):
    """An attribute that is an accumulator, of the class that `_empty` of its owner makes."""

    def __init__(self, attribute: str, field: str, *, needed: bool = False) -> None:
        super().__init__(attribute)
        self.fields = (field,)
        self.needed = needed

    def write(self, value: Any) -> Json:
        """Write all of it."""
        return {self.fields[0]: form(type(value)).to_json(value)}

    def read(self, found: Json, owner: Any) -> Any:
        """Read it."""
        cls = type(owner._empty())
        return form(cls).from_json(cls, found[self.fields[0]])

    def shape(self, value: Any) -> tuple[int, ...] | None:
        """Give the shape of its channels."""
        shape: tuple[int, ...] = np.shape(value.count)
        return shape


class _Columns(Part):
    """A table whose columns are lists: fields of their own, or of one field that holds them."""

    needed = True

    def __init__(
        self, attribute: str, names: tuple[str, ...], dtype: str, *, field: str = "", none: bool = False
    ) -> None:
        super().__init__(attribute)
        self._names, self._dtype, self._none = names, dtype, none
        self.fields = (field,) if field else names

    def write(self, value: Any) -> Json:
        own = self.fields == self._names
        lists: Any = None if self._none and not len(value) else self._lists(value)
        return lists if own else {self.fields[0]: lists}

    def read(self, found: Json, owner: Any) -> Any:
        lists = found if self.fields == self._names else found[self.fields[0]]
        if lists is None and self._none:
            return owner.__getstate__()[self.attribute]
        if lists is not found:
            values.fields(self.fields[0], lists, self._names)
        return self._table([lists[name] for name in self._names])

    def _lists(self, table: NDArray[Any]) -> Json:
        return dict(zip(self._names, map(values.numbers_to_json, table.T), strict=True))

    def _table(self, lists: list[Any]) -> NDArray[Any]:
        columns = [
            values.numbers_from_json(name, part, self._dtype) for name, part in zip(self._names, lists, strict=True)
        ]
        _check_lengths(self._names, columns)
        return np.stack(columns, axis=1)


class _Sums(Part):
    """Exact sums of each channel, in a table of the core: of weights (a count), of elements, of their squares."""

    needed = True
    fields = ("sums",)
    _names = ("count", "sum", "sum_of_squares")

    def write(self, value: Any) -> Json:
        kinds = to_sums(value) if len(value) else [[]] * len(self._names)
        return {"sums": {name: list(map(to_text, kind)) for name, kind in zip(self._names, kinds, strict=True)}}

    def read(self, found: Json, owner: Any) -> Any:
        lists = values.fields("sums", found["sums"], self._names)
        if not all(isinstance(lists[name], list) for name in self._names):
            raise ValueError("sums must hold lists of numbers")
        kinds = [[from_text(name, value) for value in lists[name]] for name in self._names]
        _check_lengths(self._names, kinds)
        return to_table(kinds)


def _check_lengths(names: tuple[str, ...], columns: list[Any]) -> None:
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"{', '.join(names)} must be of one length; got {', '.join(str(len(c)) for c in columns)}")


def _shape() -> Value:
    """Give the lengths of the kept axes; None where nothing has been seen."""
    return Value(
        "shape", lambda _, value: value, lambda _, value: values.shape_from_json("the state", value), none=True
    )


def _quantiles() -> Value:
    """Give the parameter `q`: a number, or a list of them."""

    def write(name: str, value: Any) -> Any:
        several = isinstance(value, list)
        return [values.number_to_json(name, q) for q in value] if several else values.number_to_json(name, value)

    def read(name: str, value: Any) -> Any:
        several = isinstance(value, list)
        return (
            values.numbers_from_json(name, value, "float64").tolist()
            if several
            else values.number_from_json(name, value)
        )

    return Value("q", write, read)


def _check_moments(moments: Moments, state: Json) -> None:
    kinds = to_sums(state["sums"]) if len(state["sums"]) else []
    for sums in zip(*kinds, strict=True):
        if not is_possible(*sums):
            raise ValueError("sums holds sums that no elements have")
        if not state["weighted"] and not is_count(sums[0], _MOST):
            raise ValueError(f"sums must have whole counts below {_MOST}")


def _check_extrema(extrema: Extrema, state: Json) -> None:
    (count,), (low, high) = state["count"].T, state["bounds"].T
    _check_lengths(("count", "min", "max"), [count, low, high])
    if (count < 0).any() or (count >= _MOST).any() or ((count == 0) & ((low != np.inf) | (high != -np.inf))).any():
        raise ValueError(f"count must be from 0 to {_MOST - 1}, and where it is 0, min must be inf and max -inf")
    state["count"] = state["count"].astype(np.uint64)


def _check_medians(medians: MedianOfMeans, state: Json) -> None:
    count = np.asarray(state["moments"].count)
    if count.dtype.kind == "i" and count.ndim and (count.sum(axis=0, dtype=np.float64) >= _MOST_OF_BLOCKS).any():
        raise ValueError(f"the blocks must have counts below {_MOST_OF_BLOCKS}")


#: How each accumulator is written and read.
FORMS: dict[type, Form] = {
    Extrema: Form(
        Parameters(axes()),
        State(
            _shape(),
            _Columns("count", ("count",), "int64"),
            _Columns("bounds", ("min", "max"), "float64"),
            always=True,
        ),
        _check_extrema,
    ),
    MedianOfMeans: Form(
        Parameters(whole("n_blocks", 1, MOST_BLOCKS), axes()),
        State(whole("next_block"), Accumulator("moments", "moments", needed=True), always=True),
        _check_medians,
    ),
    Moments: Form(
        Parameters(axes(), number("ddof")),
        State(
            _shape(),
            truth("weighted"),
            _Sums("sums"),
            always=True,
        ),
        _check_moments,
    ),
    Quantiles: Form(
        Parameters(_quantiles(), axes(), number("rank_error")),
        State(
            _shape(),
            whole("unit", -_DIGITS, _DIGITS),
            _Columns("bounds", ("min", "max"), "float64"),
            _Columns("levels", ("channel", "level", "items"), "uint64", field="levels"),
            _Columns("items", ("items",), "float64"),
            _Columns("counts", ("channel", "value", "count"), "int64", field="counts"),
            _Columns("coins", ("state", "sides", "paired"), "uint64", field="coins"),
            always=True,
        ),
        lambda quantiles, state: None,
    ),
}

"""Numbers and arrays as JSON, and back: every bit of them, and nothing that has not been checked.

What JSON has no word for is written as a string: ``"nan"``, ``"inf"``, ``"-inf"``. Arrays have a dtype, a shape and
their values in C order; a scalar of NumPy has a dtype and a value. Memory is only taken for values that are there,
whatever a shape claims.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORDS = {word: float(word) for word in ("nan", "-nan", "inf", "-inf")}
#: NumPy's limit.
_MOST_AXES = 64
#: What lengths of axes may come to where one of them is zero.
_LARGEST = 2**40
#: Names of dtypes by what they are for.
FLOATS = ("float64", "float32", "float16")
NUMBERS = (*FLOATS, *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


def fields(name: str, value: Any, names: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """Check that a JSON object has the fields `names`, perhaps the `optional` ones, and no other."""
    if not isinstance(value, dict):
        what = f" with {', '.join(names)}" if 0 < len(names) < 20 else ""
        raise ValueError(f"{name} must be an object{what}; got {brief(value)}")
    for field in names:
        if field not in value:
            raise ValueError(f"{name} has no {field}")
    known = {*names, *optional}
    for field in value:
        if field not in known:
            raise ValueError(f"{name} has the unknown field {brief(field)}")
    return value


def whole(name: str, value: Any, low: int = 0, high: int = 2**63 - 1) -> int:
    """Check an integer."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}; got {brief(value)}")
    return value


def truth(name: str, value: Any) -> bool:
    """Check true or false; also the way to write it."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be true or false; got {brief(value)}")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Check a string; also the way to write it."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string; got {brief(value)}")
    return str(value)


def output_dtype(name: str, value: Any) -> str:
    """Check the name of a dtype of results, before NumPy is asked what it means."""
    if not isinstance(value, str) or value not in (*FLOATS, "bfloat16"):
        raise ValueError(f"{name} must be one of {', '.join(FLOATS)}, bfloat16; got {brief(value)}")
    return value


# --- single numbers --------------------------------------------------------------------------------------------------


def number_to_json(name: str, value: Any) -> Any:
    """Write a number as it is: 0 is not 0.0."""
    if isinstance(value, np.integer | np.floating) and value.dtype.name in NUMBERS:
        value = value.item()
    if isinstance(value, float):
        return _float_to_json(float(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise ValueError(f"{name} must be a real number; got {brief(value)}")


def number_from_json(name: str, value: Any) -> int | float:
    """Read a number that a double can hold."""
    if type(value) is str and value in _WORDS:
        return _WORDS[value]
    if type(value) not in (int, float) or (type(value) is int and abs(value) >= 2**1000):
        raise ValueError(f"{name} must be a real number; got {brief(value)}")
    if not math.isfinite(value):
        # 1e999 was read as infinity.
        raise ValueError(f"{name} is out of the range of double precision")
    number: int | float = value
    return number


def _float_to_json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "-nan" if value != value and math.copysign(1, value) < 0 else str(value)


# --- lists of numbers ------------------------------------------------------------------------------------------------


def numbers_to_json(array: NDArray[Any]) -> list[Any]:
    """Write an array of integers or floats as a flat list, in C order."""
    values: list[Any] = array.reshape(-1).tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [_float_to_json(value) for value in values]
    return values


def numbers_from_json(name: str, values: Any, dtype: str) -> NDArray[Any]:
    """Read a flat list of numbers."""
    if not isinstance(values, list):
        raise ValueError(f"{name} must be a list of numbers; got {brief(values)}")
    types = set(map(type, values))
    if np.dtype(dtype).kind != "f":
        limits = np.iinfo(dtype)
        if not types <= {int} or (values and not limits.min <= min(values) <= max(values) <= limits.max):
            raise ValueError(f"{name} must hold integers that {dtype} can hold")
        return np.array(values, dtype)
    words = 0
    if str in types:
        words = sum(type(value) is str for value in values)
        values = [_WORDS.get(value, value) if type(value) is str else value for value in values]
    if not set(map(type, values)) <= {float, int}:
        raise ValueError(f"{name} must hold numbers; other than numbers, only {', '.join(_WORDS)} are accepted")
    try:
        doubles = np.array(values, np.float64)
    except OverflowError:
        raise ValueError(f"{name} holds an integer that float64 cannot hold") from None
    with np.errstate(over="ignore"):
        array = doubles.astype(dtype)
    if np.count_nonzero(~np.isfinite(array)) != words:
        raise ValueError(f"{name} holds a number that {dtype} cannot hold")
    return array


# --- arrays ----------------------------------------------------------------------------------------------------------


def array_to_json(name: str, value: Any, dtypes: Collection[str] = FLOATS) -> dict[str, Any]:
    """Write an array or a scalar of NumPy."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.name not in dtypes:
        raise ValueError(f"{name} must be a NumPy array of {', '.join(dtypes)}; got {brief(value)}")
    if isinstance(value, np.ndarray):
        shape = list(value.shape)
        return {"dtype": value.dtype.name, "shape": shape, "values": numbers_to_json(np.asarray(value))}
    return {"dtype": value.dtype.name, "value": number_to_json(name, value)}


def array_from_json(name: str, value: Any, dtypes: Collection[str] = FLOATS) -> Any:
    """Read an array, or a scalar of NumPy."""
    scalar = isinstance(value, dict) and "value" in value
    found = fields(name, value, ("dtype", "value") if scalar else ("dtype", "shape", "values"))
    dtype = found["dtype"]
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise ValueError(f"{name} must have one of the dtypes {', '.join(dtypes)}; got {brief(dtype)}")
    if scalar:
        return numbers_from_json(name, [found["value"]], dtype)[0]
    shape = shape_from_json(name, found["shape"])
    array = numbers_from_json(name, found["values"], dtype)
    if math.prod(shape) != array.size:
        raise ValueError(f"{name} has shape {brief(shape)}, but {array.size} values")
    return array.reshape(shape)


def shape_from_json(name: str, value: Any) -> tuple[int, ...]:
    """Read a shape that an array can have; whether the values are there is for the caller to check."""
    if not isinstance(value, list) or len(value) > _MOST_AXES:
        raise ValueError(f"{name} must have a shape of at most {_MOST_AXES} lengths; got {brief(value)}")
    shape = tuple(whole(f"a length of {name}", length, high=_LARGEST) for length in value)
    if math.prod(max(length, 1) for length in shape) > _LARGEST:
        raise ValueError(f"{name} has the shape {brief(shape)}, which is too large")
    return shape


# --- axes ------------------------------------------------------------------------------------------------------------


def axes_to_json(value: Any) -> Any:
    """Write a `channel_axis`."""
    axes = value if isinstance(value, tuple) else () if value is None else (value,)
    if any(isinstance(axis, bool) or not isinstance(axis, Integral) for axis in axes):
        raise ValueError(f"channel_axis must be an int, a tuple of ints or None; got {brief(value)}")
    listed = [int(axis) for axis in axes]
    return listed if isinstance(value, tuple) else listed[0] if listed else None


def axes_from_json(value: Any) -> int | tuple[int, ...] | None:
    """Read a `channel_axis`."""
    axes = value if isinstance(value, list) else [] if value is None else [value]
    checked = [whole("channel_axis", axis, -_MOST_AXES, _MOST_AXES - 1) for axis in axes[: _MOST_AXES + 1]]
    if len(set(checked)) < len(axes):
        raise ValueError(f"channel_axis must name axes once; got {brief(value)}")
    return tuple(checked) if isinstance(value, list) else checked[0] if checked else None

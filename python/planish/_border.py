"""Arrays of whatever a caller gives, and the masks that come along with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Characters of a caller's text or value that an error quotes.
_QUOTED = 200
#: Errors of the process, which are not those of an argument, whatever raises them (as are all that are no Exception).
GRAVE = (MemoryError, RecursionError)


def quoted(text: object, most: int = _QUOTED) -> str:
    """`text` for an error: its beginning, where it is long."""
    found = text if isinstance(text, str) else str(text)
    return found if len(found) <= most else f"{found[:most]}... ({len(found)} characters)"


def shown(value: object, most: int = _QUOTED) -> str:
    """`value` for an error, as Python writes it: the beginning, where that is long."""
    if isinstance(value, str | bytes) and len(value) > most:
        return f"{value[:most]!r}... ({len(value)} characters)"
    try:
        return quoted(repr(value), most)
    except GRAVE:
        raise
    except Exception:  # an integer of too many digits, or an object of the caller
        return f"a {type(value).__name__}"


def is_sparse(values: Any) -> bool:
    """Tell a sparse matrix; SciPy is not imported for that."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and bool(scipy.issparse(values))


def is_table(values: Any) -> bool:
    """Tell a table, or a column of one: pandas, polars, pyarrow and what is like them."""
    return any(hasattr(values, name) for name in ("iloc", "columns", "column_names", "to_pylist", "to_physical"))


def with_mask(values: Any) -> Any:
    """`values`, as a masked array where they bring a mask along: lists of masked rows, variables of a file."""
    if isinstance(values, np.ndarray) or is_sparse(values):
        return values
    if isinstance(values, list | tuple):
        return _stacked(values) if _holds_mask(values) else values
    if hasattr(values, "__array__") and not is_table(values):
        array = np.asanyarray(values)
        return array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
    return values


def as_array(name: str, values: Any) -> NDArray[Any]:
    """`values` as an array, without a copy where they are one or give one; a TypeError for a masked one."""
    if type(values) is np.ndarray:
        return values
    array = _taken(name, values)
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be ignored; plain arrays are accepted: give {name}.data, or "
            f"{name}.filled(np.nan) of floating-point numbers"
        )
    return np.asarray(array)


def unmasked(name: str, values: Any) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """`values` as an array of numbers, and which of its elements count: all, or those that no mask hides."""
    array = values if type(values) is np.ndarray else _taken(name, values)
    counts = None
    if isinstance(array, np.ma.MaskedArray):
        mask = np.ma.getmask(array)
        array = array.data
        # A structured mask belongs to a dtype that is not accepted.
        counts = None if mask is np.ma.nomask or mask.dtype != bool else np.logical_not(np.asarray(mask))
    array = np.asarray(array)
    return (_numbers(name, values, array) if array.dtype.kind == "O" else array), counts


def counting(name: str, values: Any) -> NDArray[Any]:
    """Give a mask, or weights, as an array in which what is masked does not count."""
    if type(values) is np.ndarray:
        return values
    if is_sparse(values):
        _taken(name, values)  # finds the words for it
    array = np.asanyarray(with_mask(values))
    return np.asarray(array.filled(0) if isinstance(array, np.ma.MaskedArray) else array)


def both(first: NDArray[np.bool_] | None, second: Any, shape: tuple[int, ...]) -> Any:
    """Combine two masks, of which either may be missing, of the elements that count of an array of `shape`."""
    if first is None or second is None:
        return second if first is None else first
    second = counting("mask", second)
    if second.dtype != bool:
        return second  # for those to refuse that take masks
    try:
        second = np.broadcast_to(second, shape)
    except ValueError:
        return second
    return first & second


def _taken(name: str, values: Any) -> NDArray[Any]:
    """`values` as an array, which may be masked."""
    if is_sparse(values):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required. Use '.toarray()' to convert to a dense "
            "numpy array."
        )
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        values = with_mask(values)
        return np.asanyarray(values)
    except GRAVE:
        raise
    except Exception as error:
        # What a library raises of its own (a tensor that takes part in a gradient, an unknown dtype) names no argument.
        raise TypeError(f"{name} is a {type(values).__name__} that gives no array: {quoted(error)}") from error


def _numbers(name: str, values: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Objects as float64: missing values are NaN."""
    try:
        if not hasattr(values, "iloc"):
            return array.astype(np.float64)
        found = np.empty(array.shape)
        for i, column in enumerate(_columns(values)) if array.ndim == 2 else [(..., values)]:
            found[..., i] = _column_numbers(column)
        return found
    except GRAVE:
        raise
    except Exception as error:
        raise TypeError(
            f"{name} has dtype object and elements that are no numbers: {unreadable(name, values) or quoted(error)}"
        ) from error


def unreadable(name: str, values: Any) -> str | None:
    """Say which column of a table holds no numbers; None where there is none, or no table."""
    names = _names(values)
    if names is None:
        values = np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "OSU":
            return None
        names = range(values.shape[1])
    for label, column in zip(names, _columns(values), strict=True):
        try:
            _column_numbers(column)
        except (TypeError, ValueError):
            array = np.asarray(column)
            found = array[0] if array.dtype.kind not in "OSU" else next(filter(_is_no_number, array.tolist()), None)
            return f"column {shown(label, 80)} of {name} holds {shown(found, 40)}; numbers are accepted"
    return None


def _names(values: Any) -> Any:
    """Name the columns of a table; None for what is none."""
    names = getattr(values, "column_names", None)  # pyarrow
    names = getattr(values, "columns", None) if names is None else names
    return None if names is None or isinstance(values, np.ndarray) else list(names)


def _columns(values: Any) -> Iterator[Any]:
    """Give the columns of a table, or of an array, one by one."""
    names = _names(values)
    if names is None:
        yield from values.T
    else:
        for i, name in enumerate(names):
            yield values.iloc[:, i] if hasattr(values, "iloc") else values[name]


def _column_numbers(column: Any) -> NDArray[np.float64]:
    """Give a column as float64."""
    if hasattr(column, "iloc") and str(column.dtype) != "category":  # of pandas, whose missing values are no numbers
        kind = getattr(column.dtype, "kind", "O")
        if kind not in "mMc":
            found: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
            return found
    array = np.asarray(column)
    # Dates, durations and complex numbers are not taken for real ones.
    return array.astype(np.float64, casting="unsafe" if array.dtype.kind in "OSU" else "same_kind")


def _is_no_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return value is not None and type(value).__name__ != "NAType"
    return False


def _holds_mask(values: Any) -> bool:
    """Tell whether nested lists hold a masked array, or a masked element."""
    kinds = set(map(type, values))
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        return True
    return any(issubclass(kind, list | tuple) for kind in kinds) and any(
        _holds_mask(value) for value in values if isinstance(value, list | tuple)
    )


def _stacked(values: Any) -> np.ma.MaskedArray[Any, Any]:
    """Nested lists as a masked array."""
    if not any(isinstance(value, list | tuple | np.ndarray) for value in values):
        # Elements, some of them masked.
        masked = [value is np.ma.masked for value in values]
        return np.ma.array([0 if gone else value for value, gone in zip(values, masked, strict=True)], mask=masked)
    rows = [_stacked(value) if isinstance(value, list | tuple) else np.ma.asanyarray(value) for value in values]
    return np.ma.stack(rows)

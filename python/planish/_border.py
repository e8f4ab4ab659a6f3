"""What a caller may give, once: arrays and tables, masks, axes, dtypes, and `out`.

The core reads most arrays as they are, and checks what it is given. Here is what it leaves to Python: to make an array
of anything else, and the rules for maps that are made of several calls of the core.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from planish import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    #: The axes that keep their own statistics.
    ChannelAxis = int | tuple[int, ...] | None

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


# --- dtypes ----------------------------------------------------------------------------------------------------------


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Give `array` in the byte order of this machine."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def floats(name: str, values: ArrayLike) -> NDArray[Any]:
    """Give floating-point elements as an array, without a copy where they are one."""
    found = as_array(name, values)
    dtype = found.dtype
    if not (dtype.kind == "f" and dtype.itemsize <= 8 and dtype.isnative) and dtype.name != "bfloat16":
        raise TypeError(
            f"{name} has dtype {dtype}; float16, bfloat16, float32 and float64 in native byte order are accepted"
        )
    return found


def reals(name: str, values: Any) -> NDArray[np.float64]:
    """Copy real numbers to float64."""
    array = as_array(name, values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}")
    return array.astype(np.float64)


def result_dtype(dtype: DTypeLike) -> str:
    """Name of a dtype of results."""
    try:
        name = dtype if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype).name
    except TypeError:
        name = shown(dtype)
    if dtype is None or name not in ("float16", "bfloat16", "float32", "float64"):
        name = "None" if dtype is None else name
        raise TypeError(
            f"dtype={quoted(name)} is no dtype of results; accepted are float16, bfloat16, float32 and float64"
        )
    return str(name)


# --- axes ------------------------------------------------------------------------------------------------------------


def axes_of(channel_axis: ChannelAxis) -> tuple[int, ...]:
    """List the axes that `channel_axis` names."""
    return () if channel_axis is None else channel_axis if isinstance(channel_axis, tuple) else (channel_axis,)


def kept_axes(shape: tuple[int, ...], channel_axis: ChannelAxis) -> tuple[int, ...]:
    """List the axes of an array that keep their own statistics, counted from the front, in ascending order."""
    _core.channel_shape(shape, channel_axis)  # which refuses those that are not there
    return tuple(sorted(axis % len(shape) for axis in axes_of(channel_axis)))


# --- masks -----------------------------------------------------------------------------------------------------------


def as_mask(mask: Any, X: NDArray[Any], name: str = "X") -> NDArray[np.bool_]:
    """Give a mask the shape of `X`, as the accumulators would."""
    array = counting("mask", mask)
    if array.dtype != bool:
        raise TypeError(f"mask has dtype {array.dtype}; truth values are accepted: True for the elements that count")
    try:
        return np.broadcast_to(array, X.shape)
    except ValueError:
        raise ValueError(
            f"mask has shape {array.shape}, which does not broadcast to that of {name}, {X.shape}"
        ) from None


def masked_like(X: Any, data: NDArray[Any]) -> Any:
    """Give `data` the mask of `X`, if that is a masked array."""
    if not isinstance(X, np.ma.MaskedArray):
        return data
    mask = np.ma.getmask(X)
    mask = mask if mask is np.ma.nomask else mask.copy()
    return np.ma.array(data, mask=mask, copy=False, hard_mask=X.hardmask)


def map_masked(X: Any, out: Any, assume_finite: bool, map_data: Callable[[Any, Any], NDArray[Any]]) -> Any:
    """Map the data of a masked array by a function of it and of `out`; what is masked stays so, and may be infinite."""
    data, target = np.asarray(X.data), None
    if out is not None:
        if not isinstance(out, np.ma.MaskedArray):
            kind = type(out).__name__
            raise TypeError(f"out must be a masked array, as X is, since it takes the mask of X; got {kind}")
        target = np.asarray(out.data)
    if not assume_finite:
        _core.Extrema(None)._update_as("Input X", X, False)
    result = map_data(data, target)
    if out is None:
        return X if result is data else masked_like(X, result)
    mask, hard = np.ma.getmaskarray(X), out.hardmask
    out.soften_mask()
    out.mask = mask
    if hard:
        out.harden_mask()
    return out


# --- out -------------------------------------------------------------------------------------------------------------


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *read: NDArray[Any]) -> None:
    """Refuse an `out` that does not fit, or overlaps one of the arrays that are read where it is not that array."""
    check_out_shape(out, shape)
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}; the result has dtype {dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    reach = out.itemsize
    for step, length in sorted((abs(step), length) for step, length in zip(out.strides, out.shape, strict=True)):
        if length > 1 and step < reach:
            raise ValueError("several elements of out lie in the same memory")
        reach += step * (length - 1)
    for array in read:
        if not is_same(out, array) and overlap(out, array):
            raise ValueError("out overlaps the input X and is not X itself; pass X, or memory of its own")


def check_out_shape(out: Any, shape: tuple[int, ...]) -> None:
    """Refuse an `out` that is no array, or one of another shape."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; the result has shape {shape}")


def is_same(out: NDArray[Any], X: NDArray[Any]) -> bool:
    """Tell whether two arrays of one shape are the same elements."""
    return (
        out.__array_interface__["data"][0] == X.__array_interface__["data"][0]
        and out.strides == X.strides
        and out.dtype == X.dtype
    )


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Tell whether arrays share an element; those whose strides make that hard to tell do."""
    try:
        return bool(np.shares_memory(a, b, max_work=100_000))  # type: ignore[arg-type]
    except (np.exceptions.TooHardError, RuntimeError):
        return True

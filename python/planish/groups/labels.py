"""Labels of groups: which there are, and which one each row has."""

from __future__ import annotations

from itertools import islice
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planish._border import quoted, shown

#: Labels that are there, in ascending order, and the position in them of each row's.
Coded: TypeAlias = tuple[NDArray[Any], NDArray[Any]]

#: A table of this many entries is cheaper than sorting, however few rows there are.
_SMALL_RANGE = 1 << 16
#: So many labels are named in an error.
_NAMED = 5


def encode(groups: Any, n_samples: int) -> Coded:
    """Find the labels that are there, and the code of each row's."""
    if groups is None:
        raise ValueError("groups is missing: one label for each sample is needed, as groups=labels")
    if isinstance(groups, np.ma.MaskedArray):
        _refuse_missing(int(np.count_nonzero(np.ma.getmaskarray(groups))))
        groups = groups.data
    labels, codes = _categories(groups) or _values(groups)
    if codes.ndim != 1 or len(codes) != n_samples:
        raise ValueError(f"groups must have shape ({n_samples},), one label for each sample; got shape {codes.shape}")
    return labels, codes


def ascending(labels: Any) -> NDArray[Any]:
    """Sort labels, all different, into an array that keeps their kind."""
    try:
        labels = sorted(labels)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
        raise ValueError(f"the labels of groups must be of one kind, which can be sorted; got {kinds}") from None
    types = set(map(type, labels))
    if len(types) == 1 and types <= {str, int, float, bool}:
        array = np.array(labels)
        # Integers beyond 64 bits, or on both sides of 2^63, and strings that end in zeros are not kept.
        if array.tolist() == labels and set(map(type, array.tolist())) == types:
            return array
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def some(labels: list[Any]) -> str:
    """Name a few of `labels`, and say how many more there are."""
    named = ", ".join(map(shown, islice(labels, _NAMED)))
    return f"{named} and {len(labels) - _NAMED} more" if len(labels) > _NAMED else named


def locate(X: Any, groups: str | int) -> int:
    """Find the position of the column of labels in a table."""
    columns = getattr(X, "column_names", None)  # pyarrow
    columns = getattr(X, "columns", None) if columns is None else columns
    if columns is None:
        raise TypeError(f"groups={shown(groups)} is a column of a DataFrame; X is a {type(X).__name__}")
    columns = list(columns)
    if isinstance(groups, Integral):
        position = int(groups)
        if not -len(columns) <= position < len(columns):
            raise ValueError(f"groups={position} is no column of X, which has {len(columns)}")
        return position % len(columns)
    if columns.count(groups) != 1:
        raise ValueError(f"groups={shown(groups)} must be one column of X; X has {columns.count(groups)} of it")
    return columns.index(groups)


def take_off(X: Any, position: int) -> tuple[Any, Any]:
    """Take a column off a table of pandas, polars or pyarrow."""
    if hasattr(X, "iloc"):
        rest = [i for i in range(X.shape[1]) if i != position]
        return X.iloc[:, rest], X.iloc[:, position]
    if hasattr(X, "column_names"):
        return X.remove_column(position), X.column(position).combine_chunks()
    name = X.columns[position]
    return X.drop(name), X[name]


def _categories(groups: Any) -> Coded | None:
    """Take the codes that a categorical of pandas or polars has; nothing, where it is none."""
    if hasattr(groups, "to_physical") and hasattr(groups, "cat") and _is_categorical(groups.dtype):  # polars
        _refuse_missing(int(groups.null_count()))
        present = groups.unique()
        names, physical = present.to_list(), present.to_physical().to_numpy()
        codes = groups.to_physical().to_numpy()
    else:
        series: Any = getattr(groups, "cat", groups) if _is_categorical(getattr(groups, "dtype", None)) else None
        if not hasattr(series, "categories") or not hasattr(series, "codes"):
            return None
        codes = np.asarray(series.codes)
        _refuse_missing(int(np.count_nonzero(codes < 0)))
        physical = np.unique(codes)
        names = _exact_dates(np.asarray(series.categories))[physical].tolist()
    labels = ascending(names)
    position = {label: i for i, label in enumerate(labels.tolist())}
    table = np.zeros(int(physical.max(initial=0)) + 1, np.intp)
    table[physical] = [position[name] for name in names]
    return labels, table[codes]


def _is_categorical(dtype: Any) -> bool:
    return any(name in str(dtype).lower() for name in ("categorical", "category", "enum"))


def _values(groups: Any) -> Coded:
    """Code labels that are no categorical."""
    try:
        array = np.asarray(groups)
    except ValueError:
        raise ValueError("groups must be one label for each sample; got lists of several lengths") from None
    if array.ndim != 1:
        return np.empty(0), np.empty(array.shape, np.intp)  # for the caller to refuse
    if isinstance(groups, list | tuple) and array.dtype.kind == "f" and any(map(_is_large, groups)):
        array = np.empty(len(groups), dtype=object)  # as which NumPy keeps them apart
        array[:] = groups
    if array.dtype.kind in "OSUTV":
        # NumPy makes strings of whatever stands beside strings.
        listed = isinstance(groups, list | tuple) and array.dtype.kind in "SU"
        # Objects are hashed, not sorted: there are fewer groups than rows.
        return _hashed(list(groups) if listed else array.tolist())
    if array.dtype.kind in "fc":
        _refuse_missing(int(np.count_nonzero(np.isnan(array))))
    elif array.dtype.kind in "mM":
        _refuse_missing(int(np.count_nonzero(np.isnat(array))))
        array = _exact_dates(array)
    elif array.dtype.kind in "iu" and array.size:
        low, high = int(array.min()), int(array.max())
        if high - low < max(_SMALL_RANGE, 2 * array.size) and -(2**62) < low <= high < 2**62:
            return _tabled(array, low, high)
    labels, codes = np.unique(array, return_inverse=True)
    return labels, codes


def _tabled(array: NDArray[Any], low: int, high: int) -> Coded:
    """Code integers of a small range, without sorting."""
    offsets = array.astype(np.intp, copy=False)
    if low != 0:
        offsets = offsets - low
    present = np.zeros(high - low + 1, bool)
    present[offsets] = True
    table = np.cumsum(present).astype(np.uint32) - np.uint32(1)
    return (np.flatnonzero(present) + low).astype(array.dtype), table[offsets]


def _hashed(values: list[Any]) -> Coded:
    """Code objects."""
    seen: dict[Any, int] = {}
    try:
        raw = np.fromiter((seen.setdefault(value, len(seen)) for value in values), np.intp, len(values))
    except TypeError as error:
        raise ValueError(f"the labels of groups must be hashable and of one kind: {quoted(error)}") from None
    gone = [code for value, code in seen.items() if _is_missing(value)]
    if gone:
        _refuse_missing(int(np.isin(raw, gone).sum()))
    # Strings of NumPy are strings.
    plain = {str(value) if isinstance(value, str) else value: code for value, code in seen.items()}
    labels = ascending(plain)
    table = np.empty(len(plain), np.intp)
    table[[plain[label] for label in labels.tolist()]] = np.arange(len(plain))
    return labels, table[raw]


def _is_large(value: Any) -> bool:
    """Tell an integer that a double may not hold."""
    return isinstance(value, Integral) and abs(int(value)) > 2**53


def _exact_dates(array: NDArray[Any]) -> NDArray[Any]:
    """Give dates and durations in microseconds, so that they are the same whatever unit they come in."""
    if array.dtype.kind not in "mM":
        return array
    dates = array.astype(f"{array.dtype.kind}8[us]")
    if (dates.astype(array.dtype) != array).any() or (dates != array).any():
        raise ValueError("dates and durations among the labels of groups must be whole microseconds")
    return dates


def _is_missing(value: Any) -> bool:
    try:
        return value is None or not bool(value == value)  # NaN and NaT are not equal to themselves
    except TypeError:  # the truth of pandas.NA is not known
        return True


def _refuse_missing(count: int) -> None:
    if count:
        raise ValueError(f"groups has {count} missing label(s) (None or NaN); every sample needs one")

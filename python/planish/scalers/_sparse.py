"""Sparse matrices at the boundary: SciPy's buffers for the core, and SciPy's matrices back."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy as shallow_copy
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from planish import _core

#: data, indices, indptr, the length of a segment (a row of CSR, a column of CSC), and whether segments are channels.
Parts: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any], int, bool]

_T = TypeVar("_T")


def parts(X: Any) -> Parts:
    """Take a CSR or CSC matrix apart; its columns are the channels."""
    by_segment = X.format == "csc"
    if len(X.indptr) != X.shape[1 if by_segment else 0] + 1:
        raise ValueError(f"X is a damaged sparse matrix: indptr has length {len(X.indptr)} for the shape {X.shape}")
    buffers = (np.require(array, requirements=["C", "A"]) for array in (X.data, X.indices, X.indptr))
    return (*buffers, X.shape[0] if by_segment else X.shape[1], by_segment)


def owned(X: Any) -> Any:
    """Make a matrix with the entries of `X` and with indices of its own, which no other thread changes."""
    result = shallow_copy(X)
    result.indices, result.indptr = X.indices.copy(), X.indptr.copy()
    return result


def canonical(X: Any) -> Any:
    """`X`, or a copy in which no element has several entries.

    SciPy trusts the buffers that it reads to find that out, so that they are looked at first: copies, which do not
    change.
    """
    own = owned(X)
    number = min(len(own.data), len(own.indices))
    if own.indptr[0] < 0 or own.indptr[-1] > number or (own.indptr[1:] < own.indptr[:-1]).any():
        raise ValueError("X is a damaged sparse matrix: indptr does not ascend within the entries")
    if number > 0 and not 0 <= own.indices.min() <= own.indices.max() < X.shape[0 if X.format == "csc" else 1]:
        raise ValueError("X is a damaged sparse matrix: an index is out of range")
    if own.has_canonical_format:
        return X
    own.data = own.data.copy()
    # What SciPy remembers of the entries may be older than they are.
    own.has_sorted_indices = own.has_canonical_format = False
    own.sum_duplicates()
    return own


def to_be_converted(X: Any) -> Any:
    """Make a copy of a matrix, whose indices are looked at: SciPy converts between formats without, and would crash."""
    X = X.copy()
    if X.format in ("csr", "csc", "bsr"):
        X.check_format(full_check=True)
    elif X.format == "coo":
        for indices, length in zip((X.row, X.col), X.shape, strict=True):
            if len(indices) and not 0 <= indices.min() <= indices.max() < length:
                raise ValueError("X is a damaged sparse matrix: an index is out of range")
    return X


def statistic(X: Any, compute: Callable[[Parts], _T]) -> _T:
    """Compute something of the columns of `X`. Only where several entries stand for one element is `X` copied."""
    try:
        return compute(parts(X))
    except _core.DuplicateEntriesError:
        X.has_canonical_format = False
        return compute(parts(canonical(X)))


def with_data(X: Any, data: NDArray[Any], *, copy: bool, own: Any = None) -> Any:
    """`X` with other entries: itself, if it need not be copied and can be written, or `own`, which was made of it."""
    if not copy and X.data.flags.writeable and X.data.dtype == data.dtype:
        X.data[...] = data
        return X
    result = owned(X) if own is None else own
    result.data = data
    return result

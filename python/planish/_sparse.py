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


def canonical(X: Any) -> Any:
    """`X`, or a copy in which no element has several entries.

    SciPy trusts the buffers that it reads to find that out, so that they are looked at first.
    """
    number = min(len(X.data), len(X.indices))
    if X.indptr[0] < 0 or X.indptr[-1] > number or (X.indptr[1:] < X.indptr[:-1]).any():
        raise ValueError("X is a damaged sparse matrix: indptr does not ascend within the entries")
    if X.has_canonical_format:
        return X
    if number > 0 and not 0 <= X.indices.min() <= X.indices.max() < X.shape[0 if X.format == "csc" else 1]:
        raise ValueError("X is a damaged sparse matrix: an index is out of range")
    X = X.copy()
    # What SciPy remembers of the entries may be older than they are.
    X.has_sorted_indices = X.has_canonical_format = False
    X.sum_duplicates()
    return X


def statistic(X: Any, compute: Callable[[Parts], _T]) -> _T:
    """Compute something of the columns of `X`. Only where several entries stand for one element is `X` copied."""
    try:
        return compute(parts(X))
    except _core.DuplicateEntriesError:
        X.has_canonical_format = False
        return compute(parts(canonical(X)))


def with_data(X: Any, data: NDArray[Any], *, copy: bool) -> Any:
    """`X` with other entries: itself, if it need not be copied and can be written."""
    if not copy and X.data.flags.writeable and X.data.dtype == data.dtype:
        X.data[...] = data
        return X
    result = shallow_copy(X)
    result.data, result.indices, result.indptr = data, X.indices.copy(), X.indptr.copy()
    return result

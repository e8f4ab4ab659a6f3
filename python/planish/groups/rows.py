"""The rows of each group, in whatever order they come.

Most statistics are the core's work, which takes the group of each row as it comes. For what is left, one stable
counting sort of row numbers puts the rows of a group side by side, groups of equal size next to each other. Rows are
then gathered in pieces that stay in the cache. Groups of equal size are taken together, as an array with one more axis:
what has its own statistics is again a choice of axes, and 100,000 small groups are a few hundred calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from planish import _border, _core
from planish._border import shown
from planish._threads import num_threads, spread

#: Bytes of rows that are gathered at a time.
PIECE_BYTES = 1 << 20
#: Rows of this many bytes that lie side by side are read where they are.
_WORTH_A_CALL = 1 << 16
#: Below this, threads cost more than they save.
_WORTH_THREADS = 8 << 20

#: Numbers of rows, or a slice where they lie side by side.
Index: TypeAlias = "NDArray[np.intp] | slice"


@dataclass(frozen=True, slots=True)
class Batch:
    """Groups of equal size; only one where it is large."""

    #: The codes of the groups.
    groups: NDArray[np.intp]
    #: The rows of each.
    size: int
    #: Their rows, group after group.
    index: Index


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Row numbers, groups of few rows first."""

    #: The codes of the groups in that order, and the rows of each.
    by_size: NDArray[np.intp]
    sizes: NDArray[np.intp]
    #: Where the rows of each end among all.
    ends: NDArray[np.intp]
    #: All row numbers.
    order: NDArray[np.intp]
    #: Whether those of a group are worth reading where they are.
    adjacent: NDArray[np.bool_]


class Rows:
    """The rows of an array by the code of their group.

    Parameters
    ----------
    codes : ndarray of int, of shape (n_samples,)
        The group of each row, from 0.
    n_groups : int
        Groups in all; each has a row.
    row_bytes : int
        Bytes of a row.
    """

    def __init__(self, codes: NDArray[Any], n_groups: int, row_bytes: int) -> None:
        self.codes = codes
        self.n_groups = n_groups
        self._row_bytes = row_bytes
        self._per_piece = max(1, PIECE_BYTES // max(row_bytes, 1))
        self._counts: NDArray[np.intp] | None = None
        self._known: _Sorted | None = None

    # Not `cached_property`, whose lock a process that was forked meanwhile would wait for (before Python 3.12).
    @property
    def sizes(self) -> NDArray[np.intp]:
        """Number of rows of each group."""
        if self._counts is None:
            self._counts = np.bincount(self.codes, minlength=self.n_groups)
        return self._counts

    @property
    def _sorted(self) -> _Sorted:
        if self._known is None:
            self._known = self._sort()
        return self._known

    def _sort(self) -> _Sorted:
        by_size = np.argsort(self.sizes, kind="stable")
        sizes = self.sizes[by_size]
        ends = np.cumsum(sizes)
        rank = np.empty(self.n_groups, np.intp)
        rank[by_size] = np.arange(self.n_groups)
        order = _counting_sort(rank, self.codes)
        first, last = order[ends - sizes], order[ends - 1]
        worth = max(2, -(-_WORTH_A_CALL // max(self._row_bytes, 1)))
        return _Sorted(by_size, sizes, ends, order, (last - first + 1 == sizes) & (sizes >= worth))

    def batches(self, most: int | None = None) -> Iterator[Batch]:
        """Go through all groups, at most `most` at a time."""
        rows = self._sorted
        starts = np.flatnonzero(np.diff(rows.sizes, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], self.n_groups], strict=True):
            size = int(rows.sizes[start])
            step = 1 if rows.adjacent[start:stop].any() else max(1, self._per_piece // size)
            step = min(step, most or step)
            for at in range(start, stop, step):
                end = min(at + step, stop)
                numbers = rows.order[rows.ends[at] - size : rows.ends[end - 1]]
                first = int(numbers[0])
                index: Index = slice(first, first + size) if rows.adjacent[at] else numbers
                yield Batch(rows.by_size[at:end], size, index)

    def pieces(self, index: Index) -> Iterator[Index]:
        """Cut the rows of a group where they have to be gathered."""
        if isinstance(index, slice):
            yield index
            return
        for at in range(0, len(index), self._per_piece):
            yield index[at : at + self._per_piece]

    def for_each(self, work: Callable[[Batch], Any], batches: Iterable[Batch]) -> list[Any]:
        """Do `work` for each batch, on several threads where gathering takes most of the time; results in order."""
        threads = _core.get_num_threads()
        # The work on small groups is mostly Python's, which one thread does as fast as two.
        rows = self._sorted
        gathered = int(rows.sizes[~rows.adjacent].sum()) * self._row_bytes
        small = gathered < self.n_groups * _WORTH_A_CALL
        if threads == 1 or gathered < _WORTH_THREADS or self.n_groups == 1 or small:
            return [work(batch) for batch in batches]

        def alone(batch: Batch) -> Any:
            with num_threads(1):
                return work(batch)

        # Large groups first, so that no thread is left with one in the end.
        return spread(alone, list(batches)[::-1], threads)[::-1]


def gather(X: NDArray[Any], index: Index) -> NDArray[Any]:
    """Copy the rows `index`, or give a view of them. `X` itself is not copied, whatever its order."""
    if isinstance(index, slice):
        return X[index]
    flags = X.flags
    # `take` copies what is not contiguous as a whole first.
    if flags.c_contiguous and flags.aligned:
        return X.take(index, axis=0)
    if flags.f_contiguous and flags.aligned:
        return X.T.take(index, axis=-1).T
    return X[index]


def kept_axes(X: NDArray[Any], scaler: Any) -> tuple[int, ...]:
    """List the axes that keep their own statistics in each group, in ascending order."""
    axes = _border.kept_axes(X.shape, scaler.channel_axis)
    if 0 in axes:
        raise ValueError(
            f"channel_axis={shown(scaler.channel_axis)} keeps the first axis of X, of shape {X.shape}; that is the "
            "axis of the samples, which the groups share out"
        )
    return axes


def kept_shape(X: NDArray[Any], scaler: Any) -> tuple[int, ...]:
    """Give the shape of the channels."""
    return tuple(X.shape[axis] for axis in kept_axes(X, scaler))


def refuse_sparse(X: Any) -> None:
    """Refuse a sparse matrix."""
    if issparse(X):
        raise ValueError("GroupedScaler takes a dense X; X is sparse")


def _counting_sort(rank: NDArray[np.intp], codes: NDArray[Any]) -> NDArray[np.intp]:
    """Sort row numbers by the rank of their code; NumPy sorts integers of 16 bits by counting."""
    low = rank.astype(np.uint16)[codes]
    order = np.argsort(low, kind="stable")
    if len(rank) > 1 << 16:
        high = (rank >> 16).astype(np.uint16)[codes]
        order = order[np.argsort(high[order], kind="stable")]
    return order

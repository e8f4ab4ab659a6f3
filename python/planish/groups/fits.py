"""Fits of many scalers at once, one for the rows of each group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish import _core
from planish.groups.rows import Batch, Rows, gather
from planish.scalers._base import attribute_dtype
from planish.scalers._streaming import StreamingScaler
from planish.scalers.maxabs import MaxAbsScaler
from planish.scalers.minmax import MinMaxScaler
from planish.scalers.robust import RobustScaler
from planish.scalers.standard import StandardScaler
from planish.stats import MedianOfMeans, Moments
from planish.stats._dealing import Dealt, taken_apart

#: Scalers whose statistics the core gathers of all groups at once.
_IN_CORE = (StandardScaler, MinMaxScaler, MaxAbsScaler)
#: Groups with blocks that are dealt one by one.
_FEW = 1000


#: What scalers do themselves; a subclass may do something else.
_OWN = {
    getattr(cls, name)
    for cls in (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
    for name in ("fit", "partial_fit")
}


def fits_itself(scaler: Any) -> bool:
    """Tell whether a scaler is fitted as those of planish are, by its accumulator."""
    cls = type(scaler)
    return isinstance(scaler, StreamingScaler) and {cls.fit, cls.partial_fit} <= _OWN


def twin(scaler: Any) -> Any:
    """Copy a scaler in its own state: what it has learnt is replaced by fits, never changed."""
    copy = object.__new__(type(scaler))
    copy.__dict__.update(scaler.__dict__)
    return copy


def merged(ours: Any, theirs: Any) -> Any:
    """Join the scalers of one group."""
    if not ours._learned:
        return ours
    if not hasattr(ours, "merge"):
        raise ValueError(f"both have statistics of the same group, and {type(ours).__name__} cannot merge")
    return twin(ours).merge(theirs)


class Fits:
    """Fits of groups of the rows of `X`.

    Parameters
    ----------
    X : ndarray
        The samples, along the first axis.
    axes : tuple of int
        The axes that keep their own statistics.
    weights : ndarray of shape (n_samples,) or None
        Weights of the samples.
    mask : ndarray of bool of the shape of `X`, or None
        Elements that count.
    exact : bool
        Whether a group is fitted as a whole where that is more exact than going on piece by piece.
    mergeable : bool
        Whether those that are keep what merging needs.
    """

    def __init__(
        self,
        X: NDArray[Any],
        axes: tuple[int, ...],
        weights: NDArray[Any] | None,
        mask: NDArray[Any] | None,
        exact: bool,
        mergeable: bool,
    ) -> None:
        self.X = X
        self.weights = weights
        self.mask = mask
        self.exact = exact
        self.mergeable = mergeable
        self.dtype = attribute_dtype(X)
        self.kept = axes
        #: Kept axes of groups that are stacked.
        self.axes = (0, *(axis + 1 for axis in axes))
        self.channels = int(np.prod([X.shape[axis] for axis in axes], dtype=np.intp))
        self.samples_of_row = X[0].size // self.channels

    def fit(self, scalers: Sequence[Any], rows: Rows) -> list[Any]:
        """Fit a copy of each of `scalers`, by the code of the group; those that are fitted go on."""
        if self._in_one_pass(scalers[0], rows):
            return self._fit_in_core(scalers, rows)
        fitted = list(scalers)

        def work(batch: Batch) -> list[Any]:
            those = [scalers[group] for group in batch.groups]
            # Where not all are new, each goes on from its own.
            if len(those) > 1 and self._can_stack(those):
                return self._fit_together(those, batch)
            size = batch.size
            parts = [
                batch.index if isinstance(batch.index, slice) else batch.index[i * size : (i + 1) * size]
                for i in range(len(those))
            ]
            return [self._fit_one(twin(one), part, rows) for one, part in zip(those, parts, strict=True)]

        batches = list(rows.batches())
        for batch, done in zip(batches, rows.for_each(work, batches), strict=True):
            for group, scaler in zip(batch.groups.tolist(), done, strict=True):
                fitted[group] = scaler
        return fitted

    def join(self, template: Any, scalers: Sequence[Any]) -> Any:
        """Make one scaler of those of all groups."""
        whole = twin(template)
        statistics = whole._empty()
        for scaler in scalers:
            statistics += scaler._statistics
        whole._statistics = statistics
        whole.n_features_in_ = self.channels
        whole._learn(statistics, len(self.X) * self.samples_of_row, self.dtype)
        return whole

    def _in_one_pass(self, scaler: Any, rows: Rows) -> bool:
        """Whether the core gathers the statistics of all groups, with the blocks of each."""
        if type(scaler) not in _IN_CORE or self.mask is not None:
            return False
        blocks = getattr(scaler, "n_blocks", None)
        # Few groups with blocks are dealt one by one: to the last bit as each would be alone.
        return blocks is None or (rows.n_groups > _FEW and blocks * rows.n_groups < 1 << 32)

    def _gather(self, scalers: Sequence[Any], rows: Rows) -> tuple[Any, Callable[[], list[Any]]]:
        """Gather the statistics of all groups in one pass; and a function that gives those of each."""
        more = () if self.weights is None else (self.weights,)
        first, empty = scalers[0], scalers[0]._empty()
        if isinstance(empty, MedianOfMeans):
            # Groups go on where their samples have ended.
            following = [one._statistics._state.following if hasattr(one, "_statistics") else 0 for one in scalers]
            dealt = Dealt(rows.codes, empty.n_blocks, np.array(following, np.intp))
            blocks = MedianOfMeans._of_groups("Input X", self.X, dealt, self.kept, *more)
            return blocks, lambda: blocks._apart(first._empty, dealt)
        codes = np.ascontiguousarray(rows.codes, np.uint32)
        whole = type(empty)._of_groups("Input X", self.X, codes, rows.n_groups, self.kept, *more)
        return whole, lambda: _accumulators(first, whole, rows.n_groups)

    def _fit_in_core(self, scalers: Sequence[Any], rows: Rows) -> list[Any]:
        """Fit groups in one pass over all rows."""
        for scaler in scalers:
            if scaler._is_fitted():
                scaler._check_streamable()
        whole, parts = self._gather(scalers, rows)
        # A StandardScaler counts elements itself.
        counted = isinstance(scalers[0], StandardScaler)
        samples = [0] * rows.n_groups if counted else (rows.sizes * self.samples_of_row).tolist()
        if not any(scaler._is_fitted() for scaler in scalers):
            stacked = self._stacked(scalers[0])
            stacked._statistics = whole
            stacked._learn(whole, 0, self.dtype)
            fitted = _split(stacked, list(scalers), self.channels, parts())
            if not counted:
                for scaler, number in zip(fitted, samples, strict=True):
                    scaler.n_samples_seen_ = number
            return fitted
        fitted = [twin(scaler) for scaler in scalers]
        for scaler, part, number in zip(fitted, parts(), samples, strict=True):
            statistics = scaler._empty()
            if scaler._is_fitted():
                statistics += scaler._statistics
            statistics += part
            scaler._statistics = statistics
            scaler.n_features_in_ = self.channels
            scaler._learn(statistics, number, self.dtype)
        return fitted

    def _stacked(self, scaler: Any) -> Any:
        """Make a scaler of many groups, which are one more axis that keeps its own statistics."""
        whole = twin(scaler)
        for name in ("n_features_in_", "feature_names_in_"):
            whole.__dict__.pop(name, None)
        whole.channel_axis = self.axes
        return whole

    def _can_stack(self, scalers: list[Any]) -> bool:
        return (
            type(scalers[0]) is RobustScaler
            and fits_itself(scalers[0])
            and self.exact
            and self.weights is None
            and self.mask is None
            and not any(one._is_fitted() for one in scalers)
        )

    def _fit_together(self, scalers: list[Any], batch: Batch) -> list[Any]:
        """Find the quantiles of groups of equal size at once."""
        stacked = gather(self.X, batch.index).reshape(len(scalers), batch.size, *self.X.shape[1:])
        whole = self._stacked(scalers[0])
        whole._take_over(_core.quantiles("Input X", stacked, whole._wanted(), self.axes), self.dtype)
        fitted = _split(whole, scalers, self.channels)
        if self.mergeable:
            for scaler, rows in zip(fitted, stacked, strict=True):
                scaler._statistics = scaler._empty()._update_as("Input X", rows)
        return fitted

    def _fit_one(self, scaler: Any, index: Any, rows: Rows) -> Any:
        X, weights = self.X, self.weights
        own = fits_itself(scaler)
        if own and self.exact and isinstance(scaler, RobustScaler):
            scaler._reset()
            mask = None if self.mask is None else gather(self.mask, index)
            return scaler._fit_exactly(gather(X, index), mask, self.mergeable)
        if not own:
            names = scaler.__dict__.pop("feature_names_in_", None)
            more: dict[str, Any] = {} if self.mask is None else {"mask": gather(self.mask, index)}
            if weights is not None:
                more["sample_weight"] = weights[index]
            (scaler.fit if self.exact else scaler.partial_fit)(gather(X, index), **more)
            if names is not None:
                scaler.feature_names_in_ = names
            return scaler
        statistics = scaler._empty()
        if scaler._is_fitted():
            scaler._check_streamable()
            statistics += scaler._statistics
        for piece in rows.pieces(index):
            mask = None if self.mask is None else gather(self.mask, piece)
            if weights is None:
                scaler._update(statistics, gather(X, piece), None, mask)
            else:  # which have been checked, and may all be zero for a group
                statistics._update_as("Input X", gather(X, piece), weights[piece], mask)
        samples = index.stop - index.start if isinstance(index, slice) else len(index)
        scaler._statistics = statistics
        scaler.n_features_in_ = self.channels
        scaler._learn(statistics, samples * self.samples_of_row, self.dtype)
        return scaler


def _split(whole: Any, scalers: list[Any], channels: int, statistics: list[Any] | None = None) -> list[Any]:
    """Give each of `scalers` its part of what `whole` has learnt of all, along the first of its axes."""
    parts = whole._learned.split(whole.__dict__, len(scalers))
    parts.pop("_statistics", None)
    if statistics is not None:
        parts["_statistics"] = statistics
    split = []
    for scaler, values in zip(scalers, zip(*parts.values(), strict=True), strict=True):
        part = twin(scaler)
        part.__dict__.update(zip(parts, values, strict=True))
        part.n_features_in_ = channels
        split.append(part)
    return split


def _accumulators(scaler: Any, whole: Any, count: int) -> list[Any]:
    """Take accumulators apart, along the first of their axes."""
    accumulators = []
    if isinstance(whole, Moments):
        for index in range(count):
            accumulator = scaler._empty()
            accumulator._take_part(whole, index)
            accumulators.append(accumulator)
        return accumulators
    state = whole.__getstate__()
    for own in taken_apart(state, count, state["shape"][1:]):
        accumulator = scaler._empty()
        accumulator.__setstate__(own)
        accumulators.append(accumulator)
    return accumulators

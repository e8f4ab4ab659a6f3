"""The base of the scalers whose statistics stream: `fit`, `partial_fit` and `merge` over an accumulator."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from planish._adding import Addable
from planish._atomic import all_or_nothing
from planish._border import quoted
from planish._mistakes import warn_of_channels_first
from planish.scalers._base import ChannelScaler, attribute_dtype
from planish.scalers._sparse import statistic
from planish.stats import Extrema


class StreamingScaler(Addable, ChannelScaler):
    """A scaler with an accumulator of `planish.stats` behind it."""

    #: The class of the accumulator.
    _accumulator: ClassVar[Any]
    _statistics: Any

    def _empty(self) -> Any:
        """Make an accumulator that has seen nothing."""
        return self._accumulator(self.channel_axis)

    def _learn(self, statistics: Any, samples: int, dtype: Any) -> None:
        """Take over `statistics` of `samples` elements a channel, in scikit-learn's terms."""
        raise NotImplementedError

    def _update(self, statistics: Any, X: Any, sample_weight: Any, mask: Any = None) -> None:
        """Take the batch `X` into `statistics`."""
        raise NotImplementedError

    def _reset(self) -> None:
        self._learned.reset(self)

    def _before(self) -> Any:
        """Give the statistics that a further batch goes on from."""
        self._check_streamable()
        return self._statistics

    def _fit_batch(self, X: Any, sample_weight: Any = None, mask: Any = None) -> Self:
        """Go on with a batch."""
        first = not self._is_fitted()
        before = None
        if first:
            self._check_parameters()
        else:
            before = self._before()
        X = self._validate(X, reset=first, formats=self._fit_formats)
        if first:
            warn_of_channels_first(self, X)
        check_mask(X, mask)
        statistics = self._empty()
        if not first:
            statistics += before
        self._update(statistics, X, sample_weight, mask)
        dtype = attribute_dtype(X)
        channels = X.shape[1] if issparse(X) else max(statistics.count.size, 1)
        self._statistics = statistics
        self.n_features_in_ = channels
        self._learn(statistics, math.prod(X.shape) // channels, dtype)
        return self

    @all_or_nothing
    def merge(self, other: Self) -> Self:
        """Change `self`: join a scaler that was fitted apart, as if its data had been given to this one.

        ``self + other`` makes a new scaler and changes neither; a task that may be retried is better off with that.

        Parameters
        ----------
        other : estimator
            Of the same class, fitted on the same channels; or not fitted, which changes nothing. It is not changed.

        Returns
        -------
        self : estimator
            This scaler, now fitted on the data of both.

        Raises
        ------
        TypeError
            If `other` is of another class.
        ValueError
            If the channels, their names or the parameters that say how data are summed up (`channel_axis`, `n_blocks`)
            differ, or one of the scalers was made of constants that say nothing of the number of samples.

        Examples
        --------
        >>> from planish import StandardScaler
        >>> here, there = StandardScaler().fit([[1.0], [2.0]]), StandardScaler().fit([[6.0]])
        >>> here.merge(there).mean_
        array([3.])
        """
        name = type(self).__name__
        if not isinstance(other, type(self)):
            raise TypeError(f"other must be a planish.{name}; got a {type(other).__module__}.{type(other).__name__}")
        if not other._is_fitted():
            return self
        other._check_streamable()
        for parameter in self._given.shared:
            ours, theirs = getattr(self, parameter), getattr(other, parameter)
            if theirs != ours:
                raise ValueError(f"other has {parameter}={theirs}; this scaler has {parameter}={ours}")
        names = getattr(other, "feature_names_in_", None)
        statistics, (samples, dtype) = self._empty(), other._seen()
        if self._is_fitted():
            self._check_streamable()
            ours = getattr(self, "feature_names_in_", None)
            if names is not None and ours is not None and not np.array_equal(names, ours):
                raise ValueError(
                    f"other was fitted on the features {quoted(list(names))}; this scaler on {quoted(list(ours))}"
                )
            statistics += self._statistics
        statistics += other._statistics
        if not self._is_fitted():
            self._adopt_columns(other)
        self._statistics = statistics
        self._learn(statistics, samples, dtype)
        return self

    def _seen(self) -> tuple[Any, Any]:
        """Give the number of samples, and the dtype of attributes that have that of the data."""
        return self.n_samples_seen_, np.dtype(np.float64)

    n_samples_seen_: Any

    def _is_fitted(self) -> bool:
        return "scale_" in self.__dict__

    def _check_streamable(self) -> None:
        if not hasattr(self, "_statistics"):
            raise ValueError(
                f"this {type(self).__name__} was made of constants that do not say of how many samples, so more data "
                "cannot be weighed against them; from_stats(..., n_samples=...) makes one that can go on"
            )

    def _take_in(self, known: dict[str, Any]) -> None:
        super()._take_in(known)
        if self._is_fitted():
            if "_statistics" in known:
                self._check_streamable()
            for affine in (self._forward, self._inverse):
                affine()  # a ValueError where a parameter asks for what was not learnt

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def given(*arguments: Any) -> tuple[Any, ...]:
    """Give the arguments that are not None: a subclass need not take those that nobody passes."""
    return tuple(argument for argument in arguments if argument is not None)


def given_as(**arguments: Any) -> dict[str, Any]:
    """Give the named arguments that are not None."""
    return {name: argument for name, argument in arguments.items() if argument is not None}


def check_mask(X: Any, mask: Any) -> None:
    """Refuse a mask for what has no place for it."""
    if mask is not None and issparse(X):
        raise ValueError("mask takes a dense X; X is sparse")


def update_extrema(statistics: Any, X: Any, mask: Any) -> None:
    """Take `X` into an `Extrema`, in the words of scikit-learn's errors."""
    if issparse(X):
        statistic(X, lambda matrix: statistics._update_sparse("Input X", matrix))
    else:
        statistics._update_as("Input X", X, False, mask)


def known_extrema(samples: Any, low: NDArray[Any], high: NDArray[Any], channel_axis: Any) -> Extrema:
    """Make an `Extrema` of what was learnt of `samples` elements of each channel; NaN where there was no number."""
    count = np.where(np.isnan(low), 0, max(int(samples), 1))
    nothing = count == 0
    bounds = np.stack([np.where(nothing, np.inf, low).ravel(), np.where(nothing, -np.inf, high).ravel()], axis=1)
    statistics = Extrema(channel_axis)
    statistics.__setstate__(
        {"version": 1, "shape": list(low.shape), "count": count.reshape(-1, 1).astype(np.uint64), "bounds": bounds}
    )
    return statistics


@contextmanager
def fit_callbacks(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Iterator[None]:
    """Call the callbacks that scikit-learn (1.9 and newer) has registered, around a fit of one task."""
    if not hasattr(estimator, "_skl_callbacks") and not hasattr(estimator, "_parent_callback_ctx"):
        yield
        return
    from sklearn.callback._callback_support import callback_management_context

    with callback_management_context(estimator):
        context = estimator._init_callback_context()
        metadata = {"sample_weight": sample_weight}
        context.call_on_fit_task_begin(estimator=estimator, X=X, y=y, metadata=metadata)
        yield
        context.call_on_fit_task_end(estimator=estimator, X=X, y=y, metadata=metadata, reconstruction_attributes={})

"""Unit largest magnitude."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from planish._atomic import all_or_nothing
from planish.scalers._base import Affine
from planish.scalers._constants import constants, divisors, warn_of_empty_channels
from planish.scalers._state import Parameters, State, axes, per_channel, result_dtype, samples, truth
from planish.scalers._streaming import StreamingScaler, given_as, known_extrema, update_extrema
from planish.scalers.minmax import _sample_count
from planish.stats import Extrema
from planish.stats._state import Accumulator


class MaxAbsScaler(StreamingScaler):
    """Scale channels by their largest magnitude.

    scikit-learn's `MaxAbsScaler` for arrays of any shape, dtype and strides, read in place: ``z = x / max(|x|)`` with
    the elements that share a channel. Zero stays zero, so that sparse matrices stay sparse.

    Parameters
    ----------
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    clip : bool, default=False
        Whether to limit results to the range from -1 to 1.
    channel_axis : int, tuple of int or None, default=-1
        The axis or axes that keep their own magnitude: -1 for the columns of a table and for NHWC images, -3 for NCHW,
        None for one magnitude of everything.
    dtype : dtype, default=None
        The dtype of results: float16, bfloat16, float32 or float64. None keeps that of floating-point input and makes
        float64 of integers.

    Attributes
    ----------
    max_abs_ : ndarray of the shape of the kept axes
        Largest magnitude of each channel, in the dtype of floating-point data, else float64.
    scale_ : ndarray of the shape of the kept axes
        What `transform` divides by: the largest magnitude, or 1 where that is zero.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of a DataFrame, where `fit` saw one whose names are all strings.
    n_samples_seen_ : int
        Elements of a channel, NaN and all.

    See Also
    --------
    planish.maxabs_scale : the same in one call.
    planish.stats.Extrema : the streaming accumulator behind `fit`.

    Notes
    -----
    NaN is skipped in `fit` and kept in `transform`; infinity is an error in both. `transform` is within one ulp of the
    exact value of ``x / scale_``.

    Examples
    --------
    >>> from planish import MaxAbsScaler
    >>> MaxAbsScaler().fit_transform([[1.0, -1.0, 2.0], [2.0, 0.0, 0.0], [0.0, 1.0, -1.0]])
    array([[ 0.5, -1. ,  1. ],
           [ 1. ,  0. ,  0. ],
           [ 0. ,  1. , -0.5]])
    """

    _given: ClassVar[Parameters] = Parameters(truth("copy"), truth("clip"), axes(shared=True), result_dtype())
    _learned: ClassVar[State] = State(
        samples(),
        per_channel("scale_"),
        per_channel("max_abs_", negative=False),
        Accumulator("_statistics", "statistics"),
        columns=True,
    )
    _fit_formats: ClassVar[tuple[str, ...]] = ("csr", "csc")
    _transform_formats: ClassVar[tuple[str, ...]] = ("csr", "csc")
    _accumulator: ClassVar[Any] = Extrema
    max_abs_: NDArray[Any]
    scale_: NDArray[Any]

    def __init__(
        self,
        *,
        copy: bool = True,
        clip: bool = False,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.copy = copy
        self.clip = clip
        self.channel_axis = channel_axis
        self.dtype = dtype

    @classmethod
    def from_stats(
        cls,
        max_abs: ArrayLike,
        *,
        n_samples: int | None = None,
        copy: bool = True,
        clip: bool = False,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Make a fitted scaler from known magnitudes.

        Parameters
        ----------
        max_abs : array-like of the shape of the kept axes
            Largest magnitude of each channel; zero marks a channel that is not scaled.
        n_samples : int, default=None
            Number of elements of each channel that the constants come from, if they are to count as such; the scaler
            can go on from here in any case.
        copy, clip, channel_axis, dtype
            As for the constructor.

        Returns
        -------
        MaxAbsScaler
            A fitted scaler.

        Raises
        ------
        TypeError
            If `max_abs` does not hold real numbers.
        ValueError
            If it has the wrong number of axes, or a value is negative or not finite.

        Examples
        --------
        >>> from planish import MaxAbsScaler
        >>> MaxAbsScaler.from_stats(32768, channel_axis=None).transform([[16384, -32768]])
        array([[ 0.5, -1. ]])
        """
        scaler = cls(copy=copy, clip=clip, channel_axis=channel_axis, dtype=dtype)
        scaler._check_dtype()
        (magnitude,) = constants(channel_axis, max_abs=max_abs)
        if (magnitude < 0).any():
            raise ValueError(f"max_abs must not be negative; got {magnitude}")
        samples = _sample_count(n_samples)
        scaler._statistics = Extrema.from_stats(max(samples, 1), -magnitude, magnitude, channel_axis)
        scaler.n_features_in_ = magnitude.size
        scaler._learn(scaler._statistics, samples, np.dtype(np.float64))
        return scaler

    @all_or_nothing
    def fit(self, X: ArrayLike, y: object = None, *, mask: ArrayLike | None = None) -> Self:
        """Compute the largest magnitude of each channel.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with `channel_axis`
            The data. Read where it lies, once.
        y : None
            Ignored.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : MaxAbsScaler
            The fitted scaler.

        Raises
        ------
        TypeError
            If `X` has a dtype that is neither accepted nor converted.
        ValueError
            If `X` is empty, of the wrong dimension or contains infinity.
        """
        self._reset()
        return self.partial_fit(X, y, **given_as(mask=mask))

    @all_or_nothing
    def partial_fit(self, X: ArrayLike, y: object = None, *, mask: ArrayLike | None = None) -> Self:
        """Go on with another batch: the result is that of all batches at once.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with the same channels
            The batch.
        y : None
            Ignored.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : MaxAbsScaler
            The fitted scaler.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, and if the channels are others than before. The scaler stays as it was.
        """
        return self._fit_batch(X, mask=mask)

    def _update(self, statistics: Extrema, X: Any, sample_weight: Any, mask: Any = None) -> None:
        update_extrema(statistics, X, mask)

    def _learn(self, statistics: Extrema, samples: int, dtype: Any) -> None:
        if "max_abs_" in self.__dict__:
            dtype = np.result_type(dtype, self.max_abs_)
        magnitude = np.maximum(np.abs(statistics.min), np.abs(statistics.max))
        warn_of_empty_channels(magnitude)
        self.max_abs_ = magnitude.astype(dtype)
        self.scale_ = divisors(0.0, magnitude).astype(dtype)
        self.n_samples_seen_ = self.__dict__.get("n_samples_seen_", 0) + samples

    def _seen(self) -> tuple[Any, Any]:
        return self.n_samples_seen_, self.max_abs_.dtype

    def _restore(self) -> None:
        if self._is_fitted():
            magnitude = np.asarray(self.max_abs_, np.float64)
            self._statistics = known_extrema(self.n_samples_seen_, -magnitude, magnitude, self.channel_axis)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _forward(self) -> Affine:
        return Affine(None, self.scale_, None, True)

    def _inverse(self) -> Affine:
        return Affine(None, self.scale_, None, False)

    def _limits(self) -> tuple[float, float] | None:
        return (-1.0, 1.0) if self.clip else None

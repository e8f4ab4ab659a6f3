"""Median and interquartile range."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse
from scipy.special import ndtri

from planish import _core
from planish._atomic import all_or_nothing
from planish._mistakes import warn_of_channels_first, warn_of_fractions
from planish.scalers._base import LEFT_OUT, Affine, attribute_dtype
from planish.scalers._constants import constants, is_constant, warn_of_empty_channels
from planish.scalers._sparse import statistic
from planish.scalers._state import Parameters, Part, State, axes, pair, per_channel, result_dtype, truth
from planish.scalers._streaming import StreamingScaler, check_mask
from planish.stats import Quantiles
from planish.stats._state import Accumulator

#: Rows of a fit that keeps, at no cost to speak of, what `partial_fit` goes on from.
_FEW = 1000


class RobustScaler(StreamingScaler):
    """Scale channels by statistics that outliers do not move.

    scikit-learn's `RobustScaler` for arrays of any shape, dtype and strides, read in place: ``z = (x - m) / r`` with
    the median `m` and the range `r` between two quantiles of the elements that share a channel. Sparse matrices are
    scaled, but not centred.

    Parameters
    ----------
    with_centering : bool, default=True
        Whether to subtract the median.
    with_scaling : bool, default=True
        Whether to divide by the quantile range.
    quantile_range : tuple of (float, float), default=(25.0, 75.0)
        The two quantiles, in percent.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    unit_variance : bool, default=False
        Whether to scale so that normally distributed channels get a variance of 1.
    channel_axis : int, tuple of int or None, default=-1
        The axis or axes that keep their own quantiles: -1 for the columns of a table and for NHWC images, -3 for NCHW,
        None for one median of everything.
    dtype : dtype, default=None
        The dtype of results: float16, bfloat16, float32 or float64. None keeps that of floating-point input and makes
        float64 of integers.

    Attributes
    ----------
    center_ : ndarray of the shape of the kept axes, or None
        Median of each channel, in the dtype of floating-point data, else float64. None without `with_centering`.
    scale_ : ndarray of float64, of the shape of the kept axes, or None
        Quantile range of each channel, or 1 where that is zero but for rounding. None without `with_scaling`. Infinite
        where it is beyond the largest double, which `transform` minds.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of a DataFrame, where `fit` saw one whose names are all strings.

    See Also
    --------
    planish.robust_scale : the same in one call.
    planish.stats.Quantiles : the streaming accumulator behind `partial_fit`.

    Notes
    -----
    NaN is skipped in `fit` and kept in `transform`; infinity is an error in both. Those of `fit` are exact; those
    of `partial_fit` may be off by 0.002 in rank (see `planish.stats.Quantiles`). Between order statistics they are
    interpolated linearly as `numpy.nanquantile` does. `fit` takes about two passes over the data: order statistics of a
    sample bracket those of the data, which are then among the few elements inside the brackets [1]_. Beside those,
    some percent of the data, nothing is copied or sorted.

    References
    ----------
    .. [1] R. W. Floyd, R. L. Rivest, "Expected time bounds for selection", Communications of the ACM 18 (1975),
       165-172.

    Examples
    --------
    >>> from planish import RobustScaler
    >>> RobustScaler().fit_transform([[1.0, -2.0, 2.0], [-2.0, 1.0, 3.0], [4.0, 1.0, -2.0]])
    array([[ 0. , -2. ,  0. ],
           [-1. ,  0. ,  0.4],
           [ 1. ,  0. , -1.6]])
    """

    _fit_formats: ClassVar[tuple[str, ...]] = ("csc",)
    _transform_formats: ClassVar[tuple[str, ...]] = ("csr", "csc")
    _given: ClassVar[Parameters] = Parameters(
        *map(truth, ("with_centering", "with_scaling")),
        pair("quantile_range", 0, 100),
        *map(truth, ("copy", "unit_variance")),
        axes(shared=True),
        result_dtype(),
    )
    _learned: ClassVar[State] = State(
        per_channel("center_", none=True),
        per_channel("scale_", none=True),
        per_channel("_half", field="half", needed=False),
        Accumulator("_statistics", "statistics"),
        Part("_few"),
        columns=True,
    )
    center_: NDArray[Any]
    scale_: NDArray[np.float64]

    def __init__(
        self,
        *,
        with_centering: bool = True,
        with_scaling: bool = True,
        quantile_range: tuple[float, float] = (25.0, 75.0),
        copy: bool = True,
        unit_variance: bool = False,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.with_centering = with_centering
        self.with_scaling = with_scaling
        self.quantile_range = quantile_range
        self.copy = copy
        self.unit_variance = unit_variance
        self.channel_axis = channel_axis
        self.dtype = dtype

    @classmethod
    def from_stats(
        cls,
        center: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        *,
        copy: bool = True,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Make a fitted scaler from known constants.

        Parameters
        ----------
        center : array-like of the shape of the kept axes, default=None
            Center of each channel. None leaves the center where it is (``with_centering=False``).
        scale : array-like of the shape of the kept axes, default=None
            Scale of each channel, positive. None leaves the scale as it is (``with_scaling=False``).
        copy, channel_axis, dtype
            As for the constructor.

        Returns
        -------
        RobustScaler
            A fitted scaler.

        Raises
        ------
        TypeError
            If both `center` and `scale` are missing, or one does not hold real numbers.
        ValueError
            If the shapes differ, a constant is not finite, or a scale is not positive.

        Examples
        --------
        >>> from planish import RobustScaler
        >>> age = RobustScaler.from_stats([20.0], [50.0])
        >>> age.transform([[45.0]])
        array([[0.5]])
        """
        if center is None and scale is None:
            raise TypeError("from_stats needs center or scale; got neither")
        scaler = cls(
            with_centering=center is not None,
            with_scaling=scale is not None,
            copy=copy,
            channel_axis=channel_axis,
            dtype=dtype,
        )
        scaler._check_dtype()
        middle, extent = constants(channel_axis, center=center, scale=scale)
        if extent is not None and (extent <= 0).any():
            raise ValueError(f"scale must be positive; got {extent}")
        scaler.n_features_in_ = (extent if middle is None else middle).size
        scaler.center_ = LEFT_OUT if middle is None else middle[()]
        scaler.scale_ = LEFT_OUT if extent is None else extent[()]
        return scaler

    @all_or_nothing
    def fit(self, X: ArrayLike, y: object = None, *, mask: ArrayLike | None = None, mergeable: bool = False) -> Self:
        """Compute median and quantile range of each channel.

        Exact quantiles cannot be merged: the scaler keeps nothing that `merge` and `partial_fit` could go on from,
        unless `mergeable` says so. (Of at most 1,000 rows, `partial_fit` goes on in any case.)

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with `channel_axis`
            The data. Read where it lies. A sparse matrix needs ``with_centering=False``.
        y : None
            Ignored.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.
        mergeable : bool, default=False
            Whether to read `X` once more, for what `merge` and `partial_fit` go on from: their results are then those
            of `partial_fit`. The quantiles of this fit are exact in any case. Dense `X` only.

        Returns
        -------
        self : RobustScaler
            The fitted scaler.

        Raises
        ------
        TypeError
            If `X` has a dtype that is neither accepted nor converted, or `dtype` is none of results.
        ValueError
            If `X` is empty, of the wrong dimension or contains infinity, or `quantile_range` is not within 0 and 100.

        Warns
        -----
        UserWarning
            If `quantile_range` looks like fractions, or `X` like pictures with their channels first (`channel_axis=-1`
            or -3, when given, says which is meant).
        """
        self._reset()
        self._check_parameters()
        array = self._validate(X, reset=True, formats=self._fit_formats)
        warn_of_channels_first(self, array)
        check_mask(array, mask)
        if mergeable and issparse(array):
            raise ValueError("mergeable=True takes a dense X; X is sparse")
        self._fit_exactly(array, mask, mergeable)
        if not mergeable and array.shape[0] <= _FEW and not issparse(array):
            self._few = self._empty()._update_as("Input X", array, mask=mask)
        return self

    def _fit_exactly(self, array: Any, mask: Any, mergeable: bool) -> Self:
        """Fit an array that has been checked."""
        wanted = self._wanted()
        if issparse(array):
            if self.with_centering:
                self._check_sparse_map(0, None)
            quantiles = statistic(array, lambda matrix: _core.sparse_quantiles("Input X", matrix, wanted))
        else:
            quantiles = _core.quantiles("Input X", array, wanted, self.channel_axis, mask)
        self.n_features_in_ = int(np.prod(quantiles.shape[1:]))
        if mergeable:
            self._statistics = self._empty()._update_as("Input X", array, mask=mask)
        self._take_over(quantiles, attribute_dtype(array))
        return self

    @all_or_nothing
    def partial_fit(self, X: ArrayLike, y: object = None, *, mask: ArrayLike | None = None) -> Self:
        """Go on with another batch, of a stream that need not fit into memory.

        Not to be called on one scaler from several threads at once: give each its own, and `merge` them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with the same channels
            The batch.
        y : None
            Ignored.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : RobustScaler
            The fitted scaler.

        Raises
        ------
        TypeError
            If `X` is sparse, or has a dtype that is neither accepted nor converted.
        ValueError
            As `fit` does, and if the channels are others than before, or the scaler was fitted by `fit` without
            `mergeable`. The scaler stays as it was.
        """
        self._fit_batch(X, mask=mask)
        self.__dict__.pop("_few", None)
        return self

    def _empty(self) -> Quantiles:
        return Quantiles(self._wanted(), self.channel_axis)

    def _before(self) -> Any:
        few = self.__dict__.get("_few")
        return super()._before() if few is None else few

    def _update(self, statistics: Quantiles, X: Any, sample_weight: Any, mask: Any = None) -> None:
        if issparse(X):
            raise TypeError("partial_fit takes a dense X; fit takes a sparse one")
        statistics._update_as("Input X", X, mask=mask)

    def _learn(self, statistics: Quantiles, samples: int, dtype: Any) -> None:
        self._take_over(statistics.quantiles, dtype)

    def _seen(self) -> tuple[Any, Any]:
        return 0, np.dtype(np.float64) if self.center_ is None else self.center_.dtype

    def _check_streamable(self) -> None:
        if not hasattr(self, "_statistics"):
            raise ValueError(
                f"this {type(self).__name__} has only the quantiles of from_stats, or of fit, which is exact and keeps "
                "nothing to merge or to go on from; fit(..., mergeable=True) and partial_fit keep that"
            )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_domains()
        warn_of_fractions(self.quantile_range)

    def _check_domains(self) -> None:
        self._wanted()

    def _wanted(self) -> list[float]:
        """List the quantiles that are to be known."""
        low, high = self.quantile_range
        if not 0 <= low <= high <= 100:
            raise ValueError(f"Invalid quantile range: {self.quantile_range}")
        return [0.5, low / 100, high / 100]

    def _take_over(self, quantiles: Any, dtype: Any) -> None:
        """Take over the quantiles that `_wanted` lists."""
        middle, low, high = quantiles
        if self.with_centering or self.with_scaling:
            warn_of_empty_channels(middle)
        self.center_ = middle.astype(dtype) if self.with_centering else LEFT_OUT
        self.scale_ = LEFT_OUT
        self.__dict__.pop("_half", None)
        if self.with_scaling:
            half = np.where(is_constant(low, high), 0.5, high / 2 - low / 2)[()]
            if self.unit_variance:
                _, below, above = self._wanted()
                half = half / (ndtri(above) - ndtri(below))
            with np.errstate(over="ignore"):
                self.scale_ = half * 2
            if np.isinf(self.scale_).any():
                self._half = half

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self.with_centering
        return tags

    def _check_sparse_map(self, shift: Any, offset: Any) -> None:
        if shift is not None or offset is not None:
            raise ValueError(
                "Cannot center sparse matrices: use `with_centering=False` instead. See docstring for motivation and "
                "alternatives."
            )

    def _scale(self) -> tuple[Any, Any]:
        """Give the scale, in two words where it is beyond the largest double: half of it each."""
        scale = self._asked("with_scaling", "scale_")
        if scale is None or "_half" not in self.__dict__:
            return scale, None
        beyond = np.isinf(scale)
        return np.where(beyond, self._half, scale), np.where(beyond, self._half, 0.0)

    def _forward(self) -> Affine:
        scale, rest = self._scale()
        return Affine(self._asked("with_centering", "center_"), scale, None, True, rest)

    def _inverse(self) -> Affine:
        scale, rest = self._scale()
        return Affine(None, scale, self._asked("with_centering", "center_"), False, rest)

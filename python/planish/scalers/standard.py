"""Zero mean and unit variance."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse

from planish import _core
from planish._atomic import all_or_nothing
from planish.scalers._base import LEFT_OUT, Affine, weights_of_samples
from planish.scalers._constants import constants
from planish.scalers._sparse import statistic
from planish.scalers._state import Parameters, Part, State, axes, per_channel, result_dtype, samples, truth, whole
from planish.scalers._streaming import StreamingScaler, fit_callbacks, given, given_as
from planish.stats import MedianOfMeans, Moments
from planish.stats._state import MOST_BLOCKS, Accumulator

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""


class StandardScaler(CallbackSupportMixin, StreamingScaler):
    """Standardize channels by removing the mean and scaling to unit variance.

    scikit-learn's `StandardScaler` for arrays of any shape, dtype and strides, read in place: ``z = (x - u) / s`` with
    the mean `u` and the standard deviation `s` of the elements that share a channel. Sparse matrices are scaled, but
    not centred.

    Parameters
    ----------
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.
    channel_axis : int, tuple of int or None, default=-1
        The axis or axes that keep their own statistics: -1 for the columns of a table and for NHWC images, -3 for NCHW,
        (-3, -2, -1) for the mean image of NHWC, None for one mean of everything.
    dtype : dtype, default=None
        The dtype of results: float16, bfloat16, float32 or float64. None keeps that of floating-point input and makes
        float64 of integers.
    n_blocks : int, default=None
        With a number, `fit` takes medians of the means and variances of that many blocks of samples, which a few
        spoiled samples cannot move: see `planish.stats.MedianOfMeans`. None takes mean and variance of all samples.

    Attributes
    ----------
    mean_ : ndarray of float64, of the shape of the kept axes, or None
        Mean of each channel. None if neither `with_mean` nor `with_std`.
    var_ : ndarray of float64, of the shape of the kept axes, or None
        Population variance (ddof=0) of each channel. None without `with_std`.
    scale_ : ndarray of float64, of the shape of the kept axes, or None
        Standard deviation of each channel; 1 where the channel is constant as far as double precision can tell.
        None without `with_std`.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of a DataFrame, where `fit` saw one whose names are all strings.
    n_samples_seen_ : int, or ndarray of the shape of the kept axes
        Elements of each channel, NaN left out; one number if it is the same for all. A sum of weights is a float.

    See Also
    --------
    planish.stats.Moments : the streaming accumulator behind `fit`.
    planish.stats.MedianOfMeans : the one with `n_blocks`.

    Notes
    -----
    NaN is skipped in `fit` and kept in `transform`; infinity is an error in both. `mean_` and `var_` are the exact
    values [1]_, rounded once, with weights as well: they do not depend on the order of the samples, on batches, merges,
    threads or the machine. `transform` is within one ulp of the exact value of ``(x - mean_) / scale_``.

    References
    ----------
    .. [1] U. Kulisch, "Computer arithmetic and validity", de Gruyter, 2008; J. Demmel, H. D. Nguyen, "Parallel
       reproducible summation", IEEE Transactions on Computers 64 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from planish import StandardScaler
    >>> table = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    >>> StandardScaler().fit(table).transform([[2, 2]])
    array([[3., 3.]])
    >>> images = np.zeros((8, 32, 32, 3), np.uint8)
    >>> images[..., 0] = 7
    >>> StandardScaler().fit(images).mean_
    array([7., 0., 0.])

    One spoiled sample, and a fit that it cannot move:

    >>> spoiled = np.tile([[1.0], [3.0]], (500, 1))
    >>> spoiled[123] = 1e9
    >>> StandardScaler(n_blocks=5).fit(spoiled).mean_
    array([2.])
    """

    _given: ClassVar[Parameters] = Parameters(
        *map(truth, ("copy", "with_mean", "with_std")),
        axes(shared=True),
        result_dtype(),
        whole("n_blocks", 1, MOST_BLOCKS, none=True, shared=True),
    )
    _learned: ClassVar[State] = State(
        samples(differ=True),
        per_channel("mean_", none=True),
        per_channel("var_", none=True, negative=False),
        per_channel("scale_", none=True),
        Accumulator("_statistics", "statistics"),
        *map(Part, ("_unknown", "_lacking")),
        columns=True,
    )
    _fit_formats: ClassVar[tuple[str, ...]] = ("csr", "csc")
    _transform_formats: ClassVar[tuple[str, ...]] = ("csr",)
    _accumulator: ClassVar[Any] = Moments
    _lacking: bool
    mean_: NDArray[np.float64]
    var_: NDArray[np.float64]
    scale_: NDArray[np.float64]

    def __init__(
        self,
        *,
        copy: bool = True,
        with_mean: bool = True,
        with_std: bool = True,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
        n_blocks: int | None = None,
    ) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std
        self.channel_axis = channel_axis
        self.dtype = dtype
        self.n_blocks = n_blocks

    @classmethod
    def from_stats(
        cls,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        *,
        n_samples: float | None = None,
        copy: bool = True,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Make a fitted scaler from known constants.

        Parameters
        ----------
        mean : array-like of the shape of the kept axes, default=None
            Mean of each channel. None leaves the mean where it is (``with_mean=False``).
        std : array-like of the shape of the kept axes, default=None
            Standard deviation of each channel; zero marks a constant channel, which is not scaled. None leaves
            the scale as it is (``with_std=False``).
        n_samples : float, default=None
            Number of elements of each channel that the constants come from. With it (and `mean` and `std`),
            `partial_fit` and `merge` can go on from here; not with `n_blocks`, since constants say nothing of blocks.
        copy, channel_axis, dtype
            As for the constructor.

        Returns
        -------
        StandardScaler
            A fitted scaler.

        Raises
        ------
        TypeError
            If both `mean` and `std` are missing, or one does not hold real numbers.
        ValueError
            If the shapes differ, a constant is not finite, or a standard deviation or `n_samples` is negative.

        Examples
        --------
        >>> from planish import StandardScaler
        >>> imagenet = StandardScaler.from_stats([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], dtype="float32")
        >>> imagenet.transform([[0.485, 0.68, 0.181]])
        array([[ 0.,  1., -1.]], dtype=float32)
        """
        if mean is None and std is None:
            raise TypeError("from_stats needs mean or std; got neither")
        scaler = cls(
            copy=copy,
            with_mean=mean is not None,
            with_std=std is not None,
            channel_axis=channel_axis,
            dtype=dtype,
        )
        scaler._check_dtype()
        center, spread = constants(channel_axis, mean=mean, std=std)
        center = np.zeros_like(spread) if center is None else center
        spread = np.zeros_like(center) if spread is None else spread
        if (spread < 0).any():
            raise ValueError(f"std must not be negative; got {spread}")
        with np.errstate(over="ignore"):
            variance = spread**2
        if not np.isfinite(variance).all():
            raise ValueError(f"std must have a finite square; got {spread}")
        if n_samples is not None:
            if mean is None or std is None:
                raise ValueError("n_samples needs both mean and std")
            scaler._statistics = Moments.from_stats(n_samples, center, variance, channel_axis)
            scaler.n_samples_seen_ = scaler._statistics.count.flat[0]
        else:
            scaler.n_samples_seen_ = np.int64(0)
        scaler.n_features_in_ = center.size
        scaler.mean_ = center[()]
        scaler.var_ = variance[()] if std is not None else LEFT_OUT
        scaler.scale_ = np.where(spread == 0, 1.0, spread)[()] if std is not None else LEFT_OUT
        return scaler

    @all_or_nothing
    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> Self:
        """Compute mean and standard deviation of each channel.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with `channel_axis`
            The data. Read where it lies, once. A sparse matrix needs ``with_mean=False`` and no `n_blocks`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples along the first axis; finite and not negative.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : StandardScaler
            The fitted scaler.

        Raises
        ------
        TypeError
            If `X` has a dtype that is neither accepted nor converted.
        ValueError
            If `X` is empty, of the wrong dimension or contains infinity, or the weights do not fit.
        """
        self._reset()
        self.partial_fit(X, y, *given(sample_weight), **given_as(mask=mask))
        if self.n_blocks is not None:
            self._check_blocks(to_scale=self.with_std and np.max(self.n_samples_seen_) > 1)
        if self.n_blocks is not None and self.with_std and "_lacking" not in self.__dict__:
            lacking = np.flatnonzero(self._statistics._lacks()[0])
            if lacking.size:
                more = " and more" if lacking.size > 5 else ""
                warnings.warn(
                    f"channels {lacking[:5].tolist()}{more} have fewer than 2 numbers in most of the "
                    f"{self.n_blocks} blocks, and are not scaled",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return self

    @all_or_nothing
    def partial_fit(
        self,
        X: ArrayLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> Self:
        """Go on with another batch: the result is that of all batches at once.

        Not to be called on one scaler from several threads at once: give each its own, and `merge` them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with the same channels
            The batch.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples along the first axis; finite and not negative.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : StandardScaler
            The fitted scaler.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, and if the channels are others than before. The scaler stays as it was.
        """
        with fit_callbacks(self, X, y, sample_weight):
            return self._fit_batch(X, sample_weight, mask)

    def _empty(self) -> Moments | MedianOfMeans:
        return Moments(self.channel_axis) if self.n_blocks is None else MedianOfMeans(self.n_blocks, self.channel_axis)

    def _check_streamable(self) -> None:
        super()._check_streamable()
        for parameter in self.__dict__.get("_unknown", ()):
            if getattr(self, parameter):
                raise ValueError(
                    f"{parameter}=True, but this {type(self).__name__} was taken over from one that was fitted "
                    "without; only a new fit can change that"
                )
        fitted = getattr(self._statistics, "n_blocks", None)
        if fitted != self.n_blocks:
            raise ValueError(
                f"n_blocks={self.n_blocks}, but this {type(self).__name__} has statistics of n_blocks={fitted}; only a "
                "new fit can change that"
            )

    def _update(self, statistics: Moments | MedianOfMeans, X: Any, sample_weight: Any, mask: Any = None) -> None:
        if sample_weight is not None:
            sample_weight = weights_of_samples(sample_weight, X)
        if not issparse(X):
            statistics._update_as("Input X", X, sample_weight, mask)
            return
        if not isinstance(statistics, Moments):
            raise ValueError(
                f"a sparse X cannot be dealt to blocks (n_blocks={self.n_blocks}); n_blocks=None takes a sparse X"
            )
        if self.with_mean:
            self._check_sparse_map(0, None)
        statistic(X, lambda matrix: statistics._update_sparse("Input X", matrix, sample_weight))

    def _learn(self, statistics: Moments | MedianOfMeans, samples: int, dtype: Any) -> None:
        self.n_samples_seen_, mean, var, scale = statistics._finish()
        used = self.with_mean or self.with_std
        self.mean_ = mean if used else LEFT_OUT
        self.var_ = var if self.with_std else LEFT_OUT
        self.scale_ = scale if self.with_std else LEFT_OUT
        if self.n_blocks is not None:
            self._note_blocks()

    def _restore(self) -> None:
        if not self._is_fitted() or not hasattr(self, "n_samples_seen_"):
            return
        # What was left out is not asked for as long as the parameters stay.
        both = (("with_mean", self.mean_), ("with_std", self.var_))
        if left_out := tuple(name for name, value in both if value is None and not getattr(self, name)):
            self._unknown = left_out
        nothing = np.zeros(self.n_features_in_)
        mean, var = (nothing if value is None else value for value in (self.mean_, self.var_))
        # Where the mean is not a number, there was none.
        counts = np.where(np.isnan(mean), 0.0, self.n_samples_seen_)
        if counts.any():
            self._statistics = Moments.from_stats(counts, mean, var, self.channel_axis)
        elif self.mean_ is None or np.isnan(mean).all():
            self._statistics = self._empty()
        # Else they are constants without a number of samples, and nothing to go on from.

    def _known(self) -> dict[str, Any]:
        # Statistics that were taken over in part are of no use without the knowledge of which.
        skipped = "_statistics" if "_unknown" in self.__dict__ else None
        return {name: value for name, value in vars(self).items() if name != skipped}

    def _take_in(self, known: dict[str, Any]) -> None:
        super()._take_in(known)
        self._note_blocks()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self.with_mean and self.n_blocks is None
        return tags

    def _note_blocks(self) -> None:
        """Note whether blocks are too small for a variance, and whether some are empty."""
        self.__dict__.pop("_lacking", None)
        statistics = self.__dict__.get("_statistics")
        if self.with_std and isinstance(statistics, MedianOfMeans):
            _, lacks, empty = statistics._lacks()
            if lacks:
                self._lacking = empty

    def _check_blocks(self, to_scale: bool = True) -> None:
        """Refuse to scale by blocks too small for a variance; where nothing is to be scaled yet, only empty ones."""
        if self.n_blocks is not None and "_lacking" in self.__dict__ and (to_scale or self._lacking):
            raise ValueError(
                f"n_blocks={self.n_blocks} needs at least 2 numbers of every channel in each block, which takes "
                f"{2 * self.n_blocks} rows; most blocks have fewer. Fit more rows, or set n_blocks lower"
            )

    def _ready(self) -> _core.Map | None:
        return None if self.n_blocks is not None else super()._ready()  # of blocks there may be too few

    def _forward(self) -> Affine:
        self._check_blocks()
        return Affine(self._asked("with_mean", "mean_"), self._asked("with_std", "scale_"), None, True)

    def _inverse(self) -> Affine:
        self._check_blocks()
        return Affine(None, self._asked("with_std", "scale_"), self._asked("with_mean", "mean_"), False)

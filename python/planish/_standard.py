"""Zero mean and unit variance."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn import get_config
from sklearn.utils.validation import _check_sample_weight

from planish._channels import Affine, ChannelScaler
from planish.stats import Moments


class StandardScaler(ChannelScaler):
    """Standardize channels by removing the mean and scaling to unit variance.

    scikit-learn's `StandardScaler` for arrays of any shape, dtype and strides, read in place: ``z = (x - u) / s`` with
    the mean `u` and the standard deviation `s` of the elements that share a channel.

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

    Notes
    -----
    NaN is skipped in `fit` and kept in `transform`; infinity is an error in both. Sums are kept in double precision
    around a pivot near the mean, exactly for integers of up to 32 bits, and joined by the formulas of Chan, Golub and
    LeVeque [1]_ in double-double arithmetic: mean and variance are no less accurate than those of two passes in
    float64, however far the mean is from zero and in however many pieces the data come. `transform` is within one
    ulp of the exact value of ``(x - mean_) / scale_``. Nothing depends on the number of threads.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37 (1983), 242-247.

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
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "copy": ["boolean"],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
    }

    def __init__(
        self,
        *,
        copy: bool = True,
        with_mean: bool = True,
        with_std: bool = True,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std
        self.channel_axis = channel_axis
        self.dtype = dtype

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
            `partial_fit` and `merge` can go on from here.
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
        center = _constants(mean if mean is not None else np.zeros_like(std, dtype=np.float64), "mean")
        spread = _constants(std if std is not None else np.zeros_like(center), "std")
        if isinstance(channel_axis, int):
            center, spread = np.atleast_1d(center), np.atleast_1d(spread)
        axes = 0 if channel_axis is None else 1 if isinstance(channel_axis, int) else len(channel_axis)
        if center.ndim != axes:
            raise ValueError(
                f"mean and std must have one axis for each of channel_axis={channel_axis}; got shape {center.shape}"
            )
        if center.shape != spread.shape:
            raise ValueError(f"mean has shape {center.shape} and std has shape {spread.shape}; they must be equal")
        if (spread < 0).any():
            raise ValueError(f"std must not be negative; got {spread}")
        with np.errstate(over="ignore"):
            variance = spread**2
        if not np.isfinite(variance).all():
            raise ValueError(f"std must have a finite square; got {spread}")
        if n_samples is not None:
            if mean is None or std is None:
                raise ValueError("n_samples needs both mean and std")
            scaler._moments = Moments.from_stats(n_samples, center, variance, channel_axis)
            scaler.n_samples_seen_ = scaler._moments.count.flat[0]
        else:
            scaler.n_samples_seen_ = np.int64(0)
        scaler.n_features_in_ = center.size
        scaler.mean_ = center[()]
        scaler.var_ = variance[()] if std is not None else None
        scaler.scale_ = np.where(spread == 0, 1.0, spread)[()] if std is not None else None
        return scaler

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Compute mean and standard deviation of each channel.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with `channel_axis`
            The data. Read where it lies, once.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples along the first axis; finite and not negative.

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
        for name in ("_moments", "mean_", "var_", "scale_", "n_samples_seen_"):
            self.__dict__.pop(name, None)
        return self.partial_fit(X, y, sample_weight)

    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
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

        Returns
        -------
        self : StandardScaler
            The fitted scaler.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, and if the channels are others than before. The scaler stays as it was.
        """
        first = not self._is_fitted()
        if first and not get_config()["skip_parameter_validation"]:
            self._validate_params()
        if not first:
            self._check_streamable()
        X = self._validate(X, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        moments = Moments(self.channel_axis)
        if not first:
            moments += self._moments
        return self._learn(moments._update_as("Input X", X, sample_weight))

    def merge(self, other: Self) -> Self:
        """Join a scaler that was fitted apart, as if its data had been given to this one.

        Parameters
        ----------
        other : StandardScaler
            Fitted on the same channels; or not fitted, which changes nothing. It is not changed.

        Returns
        -------
        self : StandardScaler
            This scaler, now fitted on the data of both.

        Raises
        ------
        TypeError
            If `other` is no StandardScaler.
        ValueError
            If the channels, their names or `channel_axis` differ, or one of the scalers was made of constants without
            `n_samples`.

        Examples
        --------
        >>> from planish import StandardScaler
        >>> here, there = StandardScaler().fit([[1.0], [2.0]]), StandardScaler().fit([[6.0]])
        >>> here.merge(there).mean_
        array([3.])
        """
        if not isinstance(other, StandardScaler):
            raise TypeError(f"other must be a StandardScaler; got {type(other).__name__}")
        if not other._is_fitted():
            return self
        other._check_streamable()
        if other.channel_axis != self.channel_axis:
            raise ValueError(
                f"other has channel_axis={other.channel_axis}; this scaler has channel_axis={self.channel_axis}"
            )
        names = getattr(other, "feature_names_in_", None)
        if not self._is_fitted():
            if names is not None:
                self.feature_names_in_ = names
            return self._learn(Moments(self.channel_axis) + other._moments)
        self._check_streamable()
        ours = getattr(self, "feature_names_in_", None)
        if names is not None and ours is not None and not np.array_equal(names, ours):
            raise ValueError(f"other was fitted on the features {list(names)}; this scaler on {list(ours)}")
        return self._learn(self._moments + other._moments)

    def _learn(self, moments: Moments) -> Self:
        """Take over the statistics, in scikit-learn's terms."""
        count = np.asarray(moments.count)
        same = count.size > 0 and count.min() == count.max()
        used = self.with_mean or self.with_std
        self._moments = moments
        self.n_features_in_ = count.size
        self.n_samples_seen_ = count.flat[0] if same else count
        self.mean_ = moments.mean if used else None
        self.var_ = moments.var if self.with_std else None
        self.scale_ = moments.scale if self.with_std else None
        return self

    def _is_fitted(self) -> bool:
        return hasattr(self, "scale_")

    def _check_streamable(self) -> None:
        if not hasattr(self, "_moments"):
            raise ValueError(
                "this StandardScaler was made of constants without n_samples, so more data cannot be weighed against "
                "them; from_stats(mean, std, n_samples=...) makes one that can go on"
            )

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags

    def _forward(self) -> Affine:
        return (self._fitted("with_mean", "mean_"), self._fitted("with_std", "scale_"), None, True)

    def _inverse(self) -> Affine:
        return (None, self._fitted("with_std", "scale_"), self._fitted("with_mean", "mean_"), False)

    def _fitted(self, parameter: str, attribute: str) -> Any:
        """Look up a fitted attribute, where a parameter asks for it."""
        if not getattr(self, parameter):
            return None
        value = getattr(self, attribute)
        if value is None:
            raise ValueError(f"{parameter}=True, but this StandardScaler was fitted without; fit it again")
        return value


def _constants(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Known constants as float64: real and finite."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {array}")
    return array

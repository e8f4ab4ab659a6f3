"""Logarithms."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from math import e, isfinite, log2
from numbers import Real
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from planish import _core
from planish._atomic import all_or_nothing
from planish._border import as_array, map_masked, shown
from planish.scalers._base import ArrayTransformer, Out, kept
from planish.scalers._constants import constants
from planish.scalers._state import Parameters, axes, number_or, result_dtype, text, truth
from planish.scalers._state import constants as constants_of_channels
from planish.stats import Extrema


class LogScaler(ArrayTransformer, contains=True):
    """Take logarithms, and move and scale them by given constants.

    ``z = (log(x) - offset) / scale`` for arrays of any shape, dtype and strides, with an `offset` and a `scale` for
    each channel or for all. For what spans decades: intensities, distances, concentrations, incomes, counts.

    Parameters
    ----------
    base : 'e' or float, default='e'
        The base of the logarithm: 2, 10 or any other number above zero but one; 'e' for the natural logarithm.
    offset : float or array-like of the shape of the kept axes, default=0.0
        What is subtracted from the logarithm.
    scale : float or array-like of the shape of the kept axes, default=1.0
        What is then divided by; not zero.
    log1p : bool, default=False
        Whether to take the logarithm of ``1 + x``, without loss where `x` is small: for counts, with their zeros.
    invalid : {'error', 'nan'}, default='error'
        What becomes of numbers that have no logarithm: zero and less, or -1 and less with `log1p`. They are a
        ValueError, or give NaN.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    channel_axis : int, tuple of int or None, default=-1
        The axis or axes that have their own `offset` and `scale`: -1 for the columns of a table and for NHWC images, -3
        for NCHW, None for one of each in all.
    dtype : dtype, default=None
        The dtype of results: float16, bfloat16, float32 or float64. None keeps that of floating-point input and makes
        float64 of integers.

    Attributes
    ----------
    n_features_in_ : int
        Number of features that `fit` saw.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of a DataFrame, where `fit` saw one whose names are all strings.

    See Also
    --------
    planish.StandardScaler : after a LogScaler in a pipeline, to learn offset and scale from the data.

    Notes
    -----
    There is nothing to learn: `fit` only checks the parameters and the data. NaN stays NaN; infinity is an error.

    Logarithm, offset and scale are one pass, rounded once. Results are within one ulp; those of at most 32 bits are
    correctly rounded, but for one in a thousand. They are the same bits whatever the memory order, the number of
    threads and the instruction set. Where `offset` cancels the logarithm, what is left has the error of the logarithm:
    2^-58 of it.

    Binary logarithms and powers of two are polynomials after a reduction by the exponent [1]_; other bases are a
    factor.

    References
    ----------
    .. [1] J.-M. Muller, "Elementary Functions: Algorithms and Implementation", third edition, Birkhaeuser, 2016.

    Examples
    --------
    >>> from planish import LogScaler
    >>> LogScaler(10).fit_transform([[1.0, 10.0], [100.0, 0.001]])
    array([[ 0.,  1.],
           [ 2., -3.]])
    >>> LogScaler(2, offset=[0, 10], scale=[1, 5]).transform([[8, 32768]])
    array([[3., 1.]])
    >>> LogScaler(invalid="nan").transform([[1.0, 0.0]])
    array([[ 0., nan]])
    """

    _given: ClassVar[Parameters] = Parameters(
        number_or("base", "e"),
        constants_of_channels("offset"),
        constants_of_channels("scale"),
        truth("log1p"),
        text("invalid", "error", "nan"),
        truth("copy"),
        axes(),
        result_dtype(),
    )
    _takes_masks: ClassVar[bool] = True

    def __init__(
        self,
        base: Literal["e"] | float = "e",
        offset: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        *,
        log1p: bool = False,
        invalid: Literal["error", "nan"] = "error",
        copy: bool = True,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.base = base
        self.offset = offset
        self.scale = scale
        self.log1p = log1p
        self.invalid = invalid
        self.copy = copy
        self.channel_axis = channel_axis
        self.dtype = dtype

    @all_or_nothing
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Check parameters and data; nothing is learnt.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with `channel_axis`
            Data such as `transform` will get.
        y : None
            Ignored.

        Returns
        -------
        self : LogScaler
            Itself.

        Raises
        ------
        TypeError
            If `X` is sparse, or `X`, `offset` or `scale` has a dtype that is neither accepted nor converted.
        ValueError
            If a parameter is outside its domain or does not have the channels of `X`; if `X` is empty or contains
            infinity, or, with ``invalid='error'``, a number that has no logarithm.
        """
        self._check_parameters()
        array = self._validate(X, reset=True, formats=())
        self._constants(_core.channel_shape(array.shape, self.channel_axis))
        self._check_values(array, False)
        return self

    @overload
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: Out) -> Out: ...
    @overload
    def transform(self, X: NDArray[Any], copy: bool | None = None, *, out: None = None) -> NDArray[Any]: ...
    @overload
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: None = None) -> Any: ...
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None) -> Any:
        """Take the logarithm of `X`, and move and scale it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with `channel_axis`
            The data. Read where it lies, whatever its dtype, strides or order.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned. Of the dtype of the result; `X` itself is allowed.

        Returns
        -------
        X_tr : ndarray of the shape of `X`
            The result: in `dtype`; if that is None, in that of a floating-point `X`, else in float64. A DataFrame if
            `set_output` says so and `out` is not given.

        Raises
        ------
        TypeError
            If `X` or `out` has a dtype that is not accepted.
        ValueError
            If `X` has other channels than `offset` or `scale`, contains infinity or, with ``invalid='error'``, a number
            that has no logarithm; or if `out` does not fit, is read-only or overlaps `X`. After such numbers, `out` is
            unspecified unless it is `X`, which then is unchanged.
        """
        prepared = kept(self)
        if prepared is not None:
            with suppress(_core.DomainError):  # for which there are words below
                result = prepared(self.__dict__, X, copy, out, get_config())
                if result is not None:
                    return result
        result = self._mapped(self._validate(X, reset=False, formats=()), copy, out, False)
        self._prepare(X)
        return result if out is not None else self._given_back(result, X)

    @overload
    def inverse_transform(self, X: ArrayLike, copy: bool | None = None, *, out: Out) -> Out: ...
    @overload
    def inverse_transform(self, X: NDArray[Any], copy: bool | None = None, *, out: None = None) -> NDArray[Any]: ...
    @overload
    def inverse_transform(self, X: ArrayLike, copy: bool | None = None, *, out: None = None) -> Any: ...
    def inverse_transform(self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None) -> Any:
        """Undo `transform`: ``base ** (z * scale + offset)``, less 1 with `log1p`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with `channel_axis`
            Data as `transform` gives it.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned.

        Returns
        -------
        X_original : ndarray of the shape of `X`
            The result, with the dtype rule of `transform`. What is too large for its dtype is infinity.

        Raises
        ------
        TypeError, ValueError
            As `transform` does; every number has an inverse.

        Examples
        --------
        >>> from planish import LogScaler
        >>> LogScaler(10).inverse_transform([[0.0, 2.0]])
        array([[  1., 100.]])
        """
        check_is_fitted(self)
        return self._mapped(self._validate(X, reset=False, formats=(), result=True), copy, out, True)

    def _ready(self) -> _core.Map | None:
        # Lists may change without becoming others.
        fixed = isinstance(self.offset, Real) and isinstance(self.scale, Real)
        return self._ready_for(False, self.invalid == "nan") if fixed else None

    def _ready_for(self, inverse: bool, outside: bool) -> _core.Map:
        """Make the map, or its inverse; with `outside`, numbers without a logarithm give NaN."""
        constants, axis, dtype = self._constants(), self.channel_axis, self.dtype
        return _core.Map.logarithm(*constants, bool(self.log1p), inverse, axis, dtype, outside)

    def _mapped(self, X: Any, copy: bool | None, out: Any, inverse: bool) -> Any:
        """Map `X`, or map it back."""
        finite, keep = get_config()["assume_finite"], bool(self.copy if copy is None else copy)
        if type(X) is not np.ndarray and isinstance(X, np.ma.MaskedArray):
            if not inverse:
                self._check_values(X, finite)
            ready = self._ready_for(inverse, outside=True)
            return map_masked(X, out, finite, lambda x, y: ready(x, y, keep, True))
        try:
            return self._ready_for(inverse, self.invalid == "nan")(X, out, keep, finite)
        except _core.DomainError:
            self._check_values(X, finite)
            raise ValueError("X has changed while it was read") from None

    def _check_values(self, X: NDArray[Any], assume_finite: bool) -> None:
        """Raise the error for infinity, or for numbers that have no logarithm and may not be there."""
        limit = self._limit()
        extrema = Extrema(None)._update_as("Input X", X, assume_finite)
        if self.invalid == "nan" or not extrema.count or extrema.min > limit:
            return
        number, first = 0, None
        rows = max(1, X.shape[0] * 1_000_000 // X.size)
        for start in range(0, X.shape[0], rows):
            found = np.ma.filled(X[start : start + rows] <= limit, False)
            if first is None and found.any():
                first = tuple(map(int, np.unravel_index(found.argmax(), found.shape)))
                first = (start + first[0], *first[1:])
            number += int(np.count_nonzero(found))
        # Where there are any, scikit-learn's words for them come first.
        negative = "Negative values in data passed to LogScaler: " if extrema.min < 0 else ""
        raise ValueError(
            f"{negative}Input X contains {number} number(s) without a logarithm, the first at {first}: {X[first]}; "
            f"numbers above {limit} are accepted, and all with invalid='nan'"
            + ("" if self.log1p else "; log1p=True takes zero too")
        )

    def _limit(self) -> int:
        """Give the number above which there are logarithms."""
        return -1 if self.log1p else 0

    def _constants(self, channels: tuple[int, ...] | None = None) -> tuple[float | None, Any, Any]:
        """Give base (None for e), offset and scale, checked: for channels of a shape, if it is given."""
        base = self._checked_base()
        if isinstance(self.offset, Real) and isinstance(self.scale, Real):
            return _numbers(base, float(self.offset), float(self.scale))
        offset, scale = (self._constant(name, channels) for name in ("offset", "scale"))
        return base, *_in_range(base, offset, scale)

    def _constant(self, name: str, channels: tuple[int, ...] | None = None) -> NDArray[np.float64]:
        """Give `offset` or `scale`: a number, or one for each channel."""
        value = as_array(name, getattr(self, name))
        array: NDArray[np.float64] = constants(None if value.ndim == 0 else self.channel_axis, **{name: value})[0]
        if channels is not None and value.ndim and array.shape != channels:
            raise ValueError(f"X has channels of shape {channels}; {name} has shape {array.shape}")
        return array

    def _check_domains(self) -> None:
        """Check what can be checked of the parameters without data."""
        offset, scale = (self._constant(name) for name in ("offset", "scale"))
        if offset.ndim and scale.ndim and offset.shape != scale.shape:
            shapes = sorted({offset.shape, scale.shape})
            raise ValueError(f"offset and scale have shapes {shapes}; equal shapes are accepted")
        _in_range(self._checked_base(), offset, scale)

    def _checked_base(self) -> float | None:
        base: Any = self.base
        if isinstance(base, str) and base == "e":
            return None
        if not isinstance(base, Real) or isinstance(base, bool) or not isfinite(base) or not 0 < float(base) != 1:
            raise ValueError(f"base must be 'e' or a finite number above zero other than 1; got {shown(base)}")
        return float(base)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = self.invalid == "error"
        tags.requires_fit = False
        return tags


def _in_range(base: float | None, offset: Any, scale: Any) -> tuple[Any, Any]:
    """Give `offset` and `scale`, which the core counts in binary logarithms: in that unit too they are in range."""
    unit = log2(e if base is None else base)
    with np.errstate(over="ignore", under="ignore"):
        if not np.all(scale * unit) or not np.isfinite(scale * unit).all() or not np.isfinite(offset * unit).all():
            name = "e" if base is None else base
            raise ValueError(f"scale must not be zero, nor it or offset be out of range for base={name}; got {scale}")
    return offset, scale


@lru_cache(maxsize=100)
def _numbers(base: float | None, offset: float, scale: float) -> tuple[float | None, float, float]:
    """Check constants that are the same for all channels."""
    _in_range(base, *constants(None, offset=offset, scale=scale))
    return base, offset, scale

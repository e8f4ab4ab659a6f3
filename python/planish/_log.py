"""Logarithms."""

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from functools import lru_cache, partial
from math import isfinite
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn import get_config
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from planish import _core
from planish._blocks import Index, each_block, scratch, shaped
from planish._channels import ArrayTransformer, constants
from planish._image_inputs import output_dtype
from planish._targets import check_target, is_same
from planish.stats import Extrema


class LogScaler(ArrayTransformer):
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

    Logarithms are NumPy's in float64, whatever the dtype of the data, and the rest of the map is rounded once: results
    in float16, bfloat16 and float32 are within one ulp of the exact value, those in float64 within two for natural
    logarithms and within three for other bases. Where `offset` cancels most of the logarithm, what is left has its
    error: an ulp or two, in float64, of what it was before.

    Blocks that fit the second-level cache take all steps at once, so that memory is read once and written once; large
    arrays are spread over threads. On one thread, float32 to the bases 'e' and 2 takes two to three times as long as
    NumPy's float32 functions, which are off by up to four ulp, and by far more where `offset` cancels the logarithm.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "base": [StrOptions({"e"}), Real],
        "offset": [Real, "array-like"],
        "scale": [Real, "array-like"],
        "log1p": ["boolean"],
        "invalid": [StrOptions({"error", "nan"})],
        "copy": ["boolean"],
    }

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
        self._steps(array)
        self._check_values(array, False)
        return self

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
        array = self._validate(X, reset=False, formats=())
        return self._map(array, bool(self.copy if copy is None else copy), out, get_config()["assume_finite"])

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
        array = self._as_array(X)
        finite, copy = get_config()["assume_finite"], bool(self.copy if copy is None else copy)
        steps, result = self._steps(array), self._result(array, copy, out)
        if not finite and (result is array or (out is not None and is_same(array, result))):
            Extrema(None)._update_as("Input X", array, False)
            finite = True
        direct = result.dtype == np.float64

        def work(indices: Iterator[Index]) -> None:
            memory = None if direct else scratch(result)
            with np.errstate(all="ignore"):
                for index in indices:
                    block, to = array[index], result[index]
                    powers = to if memory is None else shaped(memory, to)
                    offset, scale = steps.of(index)
                    _core.affine(block, None, scale, offset, False, steps.axis, "float64", powers, True, finite)
                    steps.exp(powers, out=powers)
                    if not direct:
                        _core.affine(powers, None, None, None, False, None, result.dtype, to, True, True)

        each_block(work, result)
        return result

    def _map(self, X: NDArray[Any], copy: bool, out: NDArray[Any] | None, assume_finite: bool) -> NDArray[Any]:
        if X.ndim == 2 and self.channel_axis == -1 and self.__dict__.get("n_features_in_", X.shape[1]) != X.shape[1]:
            raise ValueError  # the general way finds the words for it
        steps, result = self._steps(X), self._result(X, copy, out)
        in_place = result is X or (out is not None and is_same(X, result))
        if in_place:
            self._check_values(X, assume_finite)
        direct = result.dtype == np.float64
        mapped = not direct or steps.scale is not None

        def work(indices: Iterator[Index]) -> None:
            memory = None if direct else scratch(result)
            with np.errstate(all="ignore"):
                for index in indices:
                    block, to = X[index], result[index]
                    logs = to if memory is None else shaped(memory, to)
                    if block.dtype == np.float64:
                        steps.log(block, out=logs)
                    else:
                        np.copyto(logs, block)
                        steps.log(logs, out=logs)
                    if not np.isfinite(np.add.reduce(logs, axis=None)):
                        self._check_block(None if in_place else block, logs, assume_finite)
                    if mapped:
                        offset, scale = steps.of(index)
                        _core.affine(logs, offset, scale, None, True, steps.axis, result.dtype, to, True, True)

        try:
            each_block(work, result)
        except _RefusedError:
            self._check_values(X, assume_finite)
            raise ValueError("X has changed while it was read") from None
        return result

    def _check_block(self, block: NDArray[Any] | None, logs: NDArray[Any], assume_finite: bool) -> None:
        """Deal with logarithms that are not finite, of a `block` or of what has been checked already."""
        if block is not None and not assume_finite and block.dtype.kind not in "biu" and np.isinf(block).any():
            raise _RefusedError
        if self.invalid == "nan":
            logs[np.isneginf(logs)] = np.nan
        elif block is not None and (block <= self._limit()).any():
            raise _RefusedError

    def _check_values(self, X: NDArray[Any], assume_finite: bool) -> None:
        """Raise the error for infinity, or for numbers that have no logarithm and may not be there."""
        limit = self._limit()
        extrema = Extrema(None)._update_as("Input X", X, assume_finite)
        if self.invalid == "nan" or not extrema.count or extrema.min > limit:
            return
        number, first = 0, None
        rows = max(1, X.shape[0] * 1_000_000 // X.size)
        for start in range(0, X.shape[0], rows):
            found = X[start : start + rows] <= limit
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

    def _result(self, X: NDArray[Any], copy: bool, out: Any) -> NDArray[Any]:
        """Find where the result is written: `out`, `X` itself or a new array."""
        dtype = X.dtype if X.dtype.kind not in "biu" else np.dtype(np.float64)
        if self.dtype is not None:
            name = output_dtype(self.dtype)
            if name == "bfloat16":
                import ml_dtypes  # noqa: F401 (gives NumPy the name)
            dtype = np.dtype(name)
        if out is None and (copy or X.dtype != dtype or not X.flags.writeable):
            return np.empty_like(X, dtype)
        check_target("X" if out is None else "out", X if out is None else out, X, dtype)
        return X if out is None else out

    def _steps(self, X: NDArray[Any]) -> "_Steps":
        """Check the constants, and tell how `X` is mapped."""
        base = self._checked_base()
        if isinstance(self.offset, Real) and isinstance(self.scale, Real):
            steps = _plain_steps(base, float(self.offset), float(self.scale), bool(self.log1p))
            if self.channel_axis != -1:
                _kept(X.ndim, self.channel_axis)
            return steps
        kept = _kept(X.ndim, self.channel_axis)
        shape = [X.shape[axis] if axis in kept else 1 for axis in range(X.ndim)]
        offset, scale = (self._constant(name, X, kept).reshape(shape) for name in ("offset", "scale"))
        return _make_steps(base, offset, scale, bool(self.log1p), kept)

    def _check_constants(self) -> None:
        """Check what can be checked of the parameters without data."""
        shapes, checked = set(), []
        for name in ("offset", "scale"):
            value = np.asarray(getattr(self, name))
            shapes |= {value.shape} if value.ndim > 0 else set()
            checked += constants(None if value.ndim == 0 else self.channel_axis, **{name: value})
        if len(shapes) > 1:
            raise ValueError(f"offset and scale have shapes {sorted(shapes)}; equal shapes are accepted")
        _make_steps(self._checked_base(), checked[0], checked[1], bool(self.log1p), ())

    def _checked_base(self) -> str | float:
        base: Any = self.base
        if isinstance(base, str) and base == "e":
            return "e"
        if not isinstance(base, Real) or isinstance(base, bool) or not isfinite(base) or not 0 < float(base) != 1:
            raise ValueError(f"base must be 'e' or a finite number above zero other than 1; got {base!r}")
        return float(base)

    def _constant(self, name: str, X: NDArray[Any], kept: tuple[int, ...]) -> NDArray[np.float64]:
        """Give `offset` or `scale` for each channel of `X`."""
        value, shape = np.asarray(getattr(self, name)), tuple(X.shape[axis] for axis in kept)
        array: NDArray[np.float64] = constants(None if value.ndim == 0 else self.channel_axis, **{name: value})[0]
        if value.ndim > 0 and array.shape != shape:
            raise ValueError(f"X has channels of shape {shape}; {name} has shape {array.shape}")
        return np.broadcast_to(array, shape)

    @classmethod
    def _sklearn_class(cls) -> Any:
        raise TypeError("scikit-learn has no LogScaler")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = self.invalid == "error"
        tags.requires_fit = False
        return tags


class _RefusedError(Exception):
    """A block holds what is refused; the whole array is looked through for what to say."""


class _Steps(NamedTuple):
    """How an array is mapped: ``(log(x) - offset) / scale``, and back by `exp`."""

    log: Callable[..., Any]
    exp: Callable[..., Any]
    #: None if there is nothing to subtract nor to divide by; with as many axes as the array if there are channels.
    offset: Any
    scale: Any
    #: The axes of the channels, as the core takes them.
    axis: tuple[int, ...] | None

    def of(self, index: Index) -> tuple[Any, Any]:
        """Give offset and scale for a block."""
        if self.axis is None:
            return self.offset, self.scale
        place = tuple(part if axis in self.axis else slice(None) for axis, part in enumerate(index))
        return self.offset[place], self.scale[place]


def _make_steps(
    base: str | float, offset: NDArray[Any], scale: NDArray[Any], log1p: bool, kept: tuple[int, ...]
) -> _Steps:
    log, exp, unit = _functions(base, log1p)
    divisor = scale
    if unit is not None:
        with np.errstate(over="ignore", under="ignore"):
            offset, divisor = _product(offset, *unit), _product(scale, *unit)
    if not np.all(divisor) or not np.isfinite(divisor).all() or not np.isfinite(offset).all():
        raise ValueError(f"scale must not be zero, nor it or offset be out of range for base={base}; got {scale}")
    if not offset.any() and (divisor == 1).all():
        return _Steps(log, exp, None, None, None)
    return _Steps(log, exp, offset, divisor, kept or None)


@lru_cache(maxsize=100)
def _plain_steps(base: str | float, offset: float, scale: float, log1p: bool) -> _Steps:
    """Give the steps of maps with one offset and one scale."""
    shift, divisor = constants(None, offset=offset, scale=scale)
    return _make_steps(base, shift, divisor, log1p, ())


@lru_cache(maxsize=100)
def _functions(base: str | float, log1p: bool) -> tuple[Any, Any, tuple[float, float] | None]:
    """Choose the logarithm, its inverse, and what `offset` and `scale` are multiplied by: ln(base), in two parts."""
    if not log1p and base in (2, 10):
        return (np.log2, np.exp2, None) if base == 2 else (np.log10, partial(np.power, 10.0), None)
    functions = (np.log1p, np.expm1) if log1p else (np.log, np.exp)
    if base == "e":
        return (*functions, None)
    with localcontext(prec=50):
        exact = Decimal(base).ln()
        return (*functions, (float(exact), float(exact - Decimal(float(exact)))))


def _product(values: NDArray[np.float64], high: float, low: float) -> NDArray[np.float64]:
    """``values * (high + low)``, rounded once: the products of halves of the factors are exact (Dekker, 1971)."""
    mantissa, exponent = np.frexp(values)
    first, top = mantissa.astype(np.float32).astype(np.float64), float(np.float32(high))
    second, rest = mantissa - first, high - top
    product = first * top + (first * rest + second * top + (second * rest + mantissa * low))
    return np.asarray(np.ldexp(product, exponent))


def _kept(ndim: int, channel_axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """List the axes of the channels, in ascending order."""
    axes = channel_axis if isinstance(channel_axis, tuple) else () if channel_axis is None else (channel_axis,)
    if any(isinstance(axis, bool) or not isinstance(axis, Integral) for axis in axes):
        raise TypeError(f"channel_axis must be an int, a tuple of ints or None; got {channel_axis!r}")
    if any(not -ndim <= axis < ndim for axis in axes):
        raise ValueError(f"channel_axis={channel_axis} is out of range for an array of {ndim} dimension(s)")
    kept = sorted({int(axis) % ndim for axis in axes})
    if len(kept) < len(axes):
        raise ValueError(f"channel_axis={channel_axis} names an axis twice in an array of {ndim} dimension(s)")
    return tuple(kept)

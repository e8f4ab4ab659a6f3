"""The base of the scalers: where scikit-learn's conventions meet the engine.

A scaler is a choice of statistics and of an affine map made of them. This base turns what a caller passes into an array
that the core reads in place, keeps scikit-learn's books (feature names and counts, `set_output`), and applies the map.
"""

import warnings
from functools import wraps
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from planish import _core
from planish._sparse import parts, with_data

#: dtypes that the core reads as they are; anything else is converted to the first, as scikit-learn does.
_READ_AS_IS = (
    *(np.float64, np.float32, np.float16, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
)

#: A range that is less than this part of the values may come of rounding alone.
_ROUNDING = float(10 * np.finfo(np.float64).eps)
#: The smallest range that `float64` holds with all its digits.
_SMALLEST = float(np.finfo(np.float64).tiny)

#: Values of parameters that have been found valid, by class.
_VALID: set[Any] = set()


class Affine(NamedTuple):
    """An affine map, in the parameters of `_core.affine`; those that are None are left out."""

    shift: Any
    scale: Any
    offset: Any
    #: Whether to divide by the scale.
    divide: bool
    #: The second word of the scale.
    rest: Any = None
    #: What takes the place of both for results of fewer digits than float64.
    narrow: Any = None


def _fast_front(general: Any) -> Any:
    """Put a shortcut for plain arrays before `general`, the method as scikit-learn has wrapped it.

    Whatever is not a plain array, or is refused by the core, goes the general way, which validates with care and
    raises the error that scikit-learn would.
    """

    @wraps(general)
    def transform(self: Any, X: Any, copy: bool | None = None, *, out: Any = None) -> Any:
        state = self.__dict__
        if (
            type(X) is np.ndarray
            and X.ndim > 1
            and X.size
            and "feature_names_in_" not in state
            and "_sklearn_output_config" not in state
        ):
            config = get_config()
            if config["transform_output"] == "default":
                try:
                    return self._map(X, bool(self.copy if copy is None else copy), out, config["assume_finite"])
                except (AttributeError, TypeError, ValueError):
                    pass  # the general way finds the words for it
        # A caller's array is returned as it is, whatever `set_output` says.
        method = general if out is None else general.__wrapped__
        return method(self, X, copy, out=out)

    return transform


class ArrayTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Base of all that maps arrays element for element."""

    channel_axis: int | tuple[int, ...] | None
    dtype: DTypeLike | None
    copy: bool

    #: The sparse formats that `fit` and `transform` read as they are; others are converted to the first.
    _fit_formats: ClassVar[tuple[str, ...]] = ()
    _transform_formats: ClassVar[tuple[str, ...]] = ()
    #: Arrays of which dtypes are read as they are.
    _dtypes: ClassVar[tuple[Any, ...]] = _READ_AS_IS
    #: What others are converted to, in the words of `check_array`.
    _converted: ClassVar[Any] = _READ_AS_IS
    #: Attributes that `fit` learns, beside those that every scikit-learn estimator has.
    _learned: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "transform" in cls.__dict__:
            # After scikit-learn has wrapped the method for `set_output`: the shortcut saves what the wrapper costs.
            cls.transform = _fast_front(cls.transform)

    def _map(self, X: NDArray[Any], copy: bool, out: NDArray[Any] | None, assume_finite: bool) -> NDArray[Any]:
        """Transform a plain array in the core; an AttributeError if not fitted."""
        raise NotImplementedError

    def _validate(self, X: Any, *, reset: bool, formats: tuple[str, ...]) -> Any:
        """`X` as the core reads it, with scikit-learn's books kept of feature counts and names."""
        array = self._as_array(X, formats)
        state = self.__dict__
        if type(X) is np.ndarray and X.ndim == 2 and "feature_names_in_" not in state and self.channel_axis == -1:
            # What `validate_data` would do, without its search for column names.
            if reset:
                self.n_features_in_ = X.shape[1]
            if state.get("n_features_in_") == X.shape[1]:
                return array
        if self._is_table(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif reset and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return array

    def _as_array(self, X: Any, formats: tuple[str, ...] = ()) -> Any:
        """`X` as the core reads it: an array, or a sparse matrix. Infinities are left to the core, which meets them."""
        accepted = (_core.accepts(X) and X.dtype in self._dtypes) or _is_bfloat16(X)
        if accepted and X.ndim > 1 and X.size:
            return X
        table = self._is_table(X)
        if issparse(X) and self.channel_axis not in (-1, 1):
            raise ValueError(f"a sparse X has its channels along axis 1; got channel_axis={self.channel_axis}")
        if issparse(X) and X.format in ("csr", "csc", "bsr") and X.format not in formats:
            # SciPy converts without looking: an index out of range would crash the process.
            X.check_format(full_check=True)
        array = check_array(
            X,
            accept_sparse=formats or False,
            dtype=None if accepted else (np.float64, np.float32) if issparse(X) else self._converted,
            ensure_all_finite=False,
            ensure_2d=table,
            allow_nd=not table,
            estimator=self,
            input_name="X",
        )
        if issparse(array):
            return array
        array = native(array)
        if array.dtype not in self._dtypes and not _is_bfloat16(array):
            array = array.astype(np.float64)
        if array.size == 0:
            raise ValueError(f"Found array of shape {array.shape}, which has no element; at least one is required")
        return array

    def _check_parameters(self) -> None:
        """Check the parameters as scikit-learn does, where they have not been found valid before."""
        values = tuple((type(value), value) for value in map(self.__dict__.get, self._parameter_constraints))
        try:
            known, hashable = (type(self), values) in _VALID, True
        except TypeError:
            known = hashable = False
        if known or get_config()["skip_parameter_validation"]:
            return
        self._validate_params()
        if hashable and len(_VALID) < 1000:
            _VALID.add((type(self), values))

    def _is_table(self, X: Any) -> bool:
        """Whether `X` is what scikit-learn takes: samples by features."""
        return (self.channel_axis == -1 and getattr(X, "ndim", 2) <= 2) or issparse(X)

    def _sparse_result(self, X: Any, data: NDArray[Any], copy: bool | None, out: Any) -> Any:
        """`X` with the mapped entries `data`."""
        if out is not None:
            raise TypeError("out= takes the result of a dense X; X is sparse")
        if self.dtype is not None:
            data = data.astype(self.dtype, copy=False)
        return with_data(X, data, copy=bool(self.copy if copy is None else copy))

    @classmethod
    def _sklearn_class(cls) -> Any:
        """Look up scikit-learn's class of the same name."""
        import sklearn.preprocessing

        return getattr(sklearn.preprocessing, cls.__name__)

    @classmethod
    def from_sklearn(cls, scaler: Any) -> Self:
        """Take over a scaler of scikit-learn, fitted or not.

        Parameters
        ----------
        scaler : estimator
            An instance of the class of the same name in `sklearn.preprocessing`. It is not changed.

        Returns
        -------
        self : estimator
            With the same parameters and fitted attributes; its results are the same up to rounding.

        Raises
        ------
        TypeError
            If `scaler` is of another class.
        """
        theirs = cls._sklearn_class()
        if not isinstance(scaler, theirs):
            raise TypeError(f"scaler must be a sklearn.preprocessing.{cls.__name__}; got {type(scaler).__name__}")
        ours = cls(**{name: value for name, value in scaler.get_params(deep=False).items() if name in _names(cls)})
        _copy_fitted(scaler, ours)
        ours._restore()
        return ours

    def to_sklearn(self) -> Any:
        """Hand over to scikit-learn: for code that asks for its classes, such as converters to ONNX.

        Returns
        -------
        scaler : estimator
            An instance of the class of the same name in `sklearn.preprocessing`, with the same parameters and fitted
            attributes; its results are the same up to rounding.

        Raises
        ------
        ValueError
            If this one does what scikit-learn's cannot: `channel_axis` other than the columns of a table, `dtype`, or
            what the installed scikit-learn does not have yet.
        """
        theirs = self._sklearn_class()
        usual = type(self)().get_params(deep=False) | {"channel_axis": 1 if self.channel_axis == 1 else -1}
        parameters = self.get_params(deep=False)
        names = _names(theirs)
        for name in parameters.keys() - names:
            if parameters[name] != usual[name]:
                raise ValueError(
                    f"scikit-learn's {type(self).__name__} has no {name}; this one has {name}={parameters[name]!r}"
                )
        scaler = theirs(**{name: value for name, value in parameters.items() if name in names})
        _copy_fitted(self, scaler)
        return scaler

    def _restore(self) -> None:
        """Make what `partial_fit` goes on from of the fitted attributes, where that can be done."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags


class ChannelScaler(ArrayTransformer):
    """Base of the scalers: an affine map per channel, learnt by `fit`."""

    def _forward(self) -> Affine:
        """Give shift, scale and offset of `transform`, and whether it divides by the scale."""
        raise NotImplementedError

    def _inverse(self) -> Affine:
        """Give shift, scale and offset of `inverse_transform`, and whether it divides by the scale."""
        raise NotImplementedError

    def _limits(self) -> tuple[float, float] | None:
        """Give the least and the largest result of `transform`."""
        return None

    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None) -> Any:
        """Map `X` with the fitted statistics.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with the fitted channels
            The data. Read where it lies, whatever its dtype, strides or order. Sparse where `fit` takes it.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned. Of the dtype of the result; `X` itself is allowed.

        Returns
        -------
        X_tr : {ndarray, sparse matrix} of the shape of `X`
            The result: in the scaler's `dtype`; if that is None, in that of a floating-point `X`, else in float64.
            A DataFrame if `set_output` says so and `out` is not given.

        Raises
        ------
        NotFittedError
            If the scaler is not fitted.
        TypeError
            If `X` or `out` has a dtype that is not accepted.
        ValueError
            If `X` has other channels than were fitted or contains infinity, or `out` does not fit, is read-only or
            overlaps `X`. After an infinity, `out` is unspecified unless it is `X`, which then is unchanged.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, formats=self._transform_formats)
        return self._apply(self._forward(), X, copy, out, self._limits())

    def inverse_transform(self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None) -> Any:
        """Undo `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with the fitted channels
            Data as `transform` gives it.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned.

        Returns
        -------
        X_original : {ndarray, sparse matrix} of the shape of `X`
            The result, with the dtype rule of `transform`.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `transform` does.
        """
        check_is_fitted(self)
        return self._apply(self._inverse(), self._as_array(X, self._transform_formats), copy, out, None)

    def _map(self, X: NDArray[Any], copy: bool, out: NDArray[Any] | None, assume_finite: bool) -> NDArray[Any]:
        shift, scale, offset, divide, rest, narrow = self._forward()
        # With neither, nothing here says what was fitted.
        if shift is scale is None:
            raise AttributeError
        axis, limits = self.channel_axis, self._limits()
        return _core.affine(
            X, shift, scale, offset, divide, axis, self.dtype, out, copy, assume_finite, limits, rest, narrow
        )

    def _apply(self, affine: Affine, X: Any, copy: bool | None, out: Any, limits: tuple[float, float] | None) -> Any:
        shift, scale, offset, divide, rest, narrow = affine
        finite = get_config()["assume_finite"]
        if not issparse(X):
            copy = bool(self.copy if copy is None else copy)
            axis = self.channel_axis
            return _core.affine(
                X, shift, scale, offset, divide, axis, self.dtype, out, copy, finite, limits, rest, narrow
            )
        self._check_sparse_map(shift, offset)
        if scale is None:
            scale = np.ones(X.shape[1])
        return self._sparse_result(X, _core.sparse_scale(parts(X), scale, divide, limits, finite), copy, out)

    def _check_sparse_map(self, shift: Any, offset: Any) -> None:
        """Refuse to make zeros into something else."""
        if shift is not None or offset is not None:
            raise ValueError(
                "Cannot center sparse matrices: pass `with_mean=False` instead. See docstring for motivation and "
                "alternatives."
            )

    def _asked(self, parameter: str, attribute: str) -> Any:
        """Look up a fitted attribute, where a parameter asks for it."""
        if not getattr(self, parameter):
            return None
        value = getattr(self, attribute)
        if value is None:
            raise ValueError(f"{parameter}=True, but this {type(self).__name__} was fitted without; fit it again")
        return value


def constants(channel_axis: int | tuple[int, ...] | None, **values: ArrayLike | None) -> list[Any]:
    """Check known constants, one for each channel: real, finite and of one shape, which suits `channel_axis`."""
    given = {name: np.asarray(value) for name, value in values.items() if value is not None}
    for name, array in given.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}")
        given[name] = array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite; got {array}")
        if isinstance(channel_axis, int):
            given[name] = np.atleast_1d(array)
    axes = 0 if channel_axis is None else 1 if isinstance(channel_axis, int) else len(channel_axis)
    shapes = {array.shape for array in given.values()}
    if len(shapes) > 1:
        raise ValueError(
            " and ".join(f"{name} has shape {a.shape}" for name, a in given.items()) + "; equal shapes are accepted"
        )
    if any(len(shape) != axes for shape in shapes):
        names = " and ".join(given)
        raise ValueError(
            f"{names} must have one axis for each of channel_axis={channel_axis}; got shape {shapes.pop()}"
        )
    return [given.get(name) for name in values]


def warn_of_empty_channels(values: Any) -> None:
    """Warn as NumPy does where a channel has no number, for which `values` is NaN."""
    if np.isnan(values).any():
        warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=3)


def is_constant(low: Any, high: Any) -> Any:
    """Tell which channels are constant: those between whose values there is nothing but rounding in double precision.

    The one rule for all that scales by a range, or by a distance from zero, whatever the dtype: ten steps of float64
    beside the values make no difference, nor does what float64 holds with fewer digits than usual. (The standard
    deviation has a bound of the same kind, which counts the samples as well, in the core.)
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        extent = np.subtract(high, low, dtype=np.float64)
        bound = _ROUNDING * np.maximum(np.abs(low), np.abs(high), dtype=np.float64)
    return (extent <= bound) | (extent < _SMALLEST)


def divisors(low: Any, high: Any) -> Any:
    """Give what to divide by: the range of each channel, or one where it is constant."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(is_constant(low, high), 1.0, np.subtract(high, low, dtype=np.float64))[()]


def native(array: NDArray[Any]) -> NDArray[Any]:
    """`array` in the byte order of this machine."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def attribute_dtype(X: Any) -> Any:
    """Choose the dtype of fitted attributes that have that of the data: as scikit-learn converts them."""
    return X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)


def _is_bfloat16(X: Any) -> bool:
    return type(X) is np.ndarray and X.dtype.name == "bfloat16"


def _names(cls: Any) -> list[str]:
    return cls._get_param_names()  # type: ignore[no-any-return]


def _copy_fitted(source: Any, target: Any) -> None:
    """Copy what `fit` and `set_output` have set."""
    for name, value in vars(source).items():
        public = name.endswith("_") and not name.startswith("_")
        if public or name == "_sklearn_output_config":
            setattr(target, name, np.array(value) if isinstance(value, np.ndarray) else value)

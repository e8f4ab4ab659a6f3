"""The base of the scalers: where scikit-learn's conventions meet the engine.

A scaler is a choice of statistics and of an affine map made of them. This base turns what a caller passes into an array
that the core reads in place, keeps scikit-learn's books (feature names and counts, `set_output`), and applies the map.
"""

from __future__ import annotations

import math
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from planish import _core
from planish._border import axes_of, counting, map_masked, masked_like, native, quoted, shown, with_mask
from planish._core import accepts
from planish.scalers._exchange import ExchangeMixin, is_columns
from planish.scalers._sparse import owned, parts, with_data
from planish.scalers._state import Parameters, State
from planish.scalers._tables import ColumnsMixin, check_result_columns, checked, columns_named

#: dtypes that the core reads as they are; anything else is converted to the first, as scikit-learn does.
_READ_AS_IS = (
    *(np.float64, np.float32, np.float16, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
)

#: In place of a fitted array that parameters leave out. Type checkers take it for one: nobody has to ask first.
LEFT_OUT: Any = None

#: A caller's array, which is returned.
Out = TypeVar("Out", bound=NDArray[Any])
#: Values of parameters that have been found valid, by class.
_VALID: set[Any] = set()


class Affine(NamedTuple):
    """An affine map, in the parameters of `_core.Map.affine`; those that are None are left out."""

    shift: Any
    scale: Any
    offset: Any
    #: Whether to divide by the scale.
    divide: bool
    #: The second word of the scale.
    rest: Any = None
    #: What takes the place of both for results of fewer digits than float64.
    narrow: Any = None

    def ready(self, axis: Any, dtype: Any, limits: tuple[float, float] | None) -> _core.Map:
        """Make the map of arrays that have the parameters along `axis`."""
        shift, scale, offset, divide, rest, narrow = self
        return _core.Map.affine(shift, scale, offset, divide, axis, dtype, limits, rest, narrow)


#: The maps that are ready, by the identity of their scalers: they are made of the attributes, and none of them.
_READY: dict[int, tuple[weakref.ref[Any], _core.Prepared]] = {}


def kept(scaler: Any) -> _core.Prepared | None:
    """Look up the map that a scaler has ready."""
    found = _READY.get(id(scaler))
    return None if found is None else found[1]


def keep(scaler: Any, prepared: _core.Prepared | None) -> None:
    """Keep a map for a scaler as long as that lives."""
    identity = id(scaler)
    if prepared is None:
        _READY.pop(identity, None)
    else:
        _READY[identity] = weakref.ref(scaler, lambda _: _READY.pop(identity, None)), prepared


@cache
def _is_plain(cls: Any) -> bool:
    """Tell whether the attributes that a map is made of are those of the instance: no property of a subclass."""
    ordinary = cls.__getattribute__ is object.__getattribute__ and not hasattr(cls, "__getattr__")
    return ordinary and not any(hasattr(cls, name) for name in ("n_features_in_", *cls._made_of))


class ArrayTransformer(ExchangeMixin, ColumnsMixin, OneToOneFeatureMixin, BaseEstimator):
    """Base of all that maps arrays element for element."""

    channel_axis: int | tuple[int, ...] | None
    dtype: DTypeLike | None
    copy: bool
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    #: The sparse formats that `fit` and `transform` read as they are; others are converted to the first.
    _fit_formats: ClassVar[tuple[str, ...]] = ()
    _transform_formats: ClassVar[tuple[str, ...]] = ()
    #: Arrays of which dtypes are read as they are.
    _dtypes: ClassVar[tuple[Any, ...]] = _READ_AS_IS
    #: What others are converted to, in the words of `check_array`.
    _converted: ClassVar[Any] = _READ_AS_IS
    #: Whether masked arrays are taken, and their masks count.
    _takes_masks: ClassVar[bool] = False
    #: What a scaler is made with, and what `fit` learns.
    _given: ClassVar[Parameters]
    _learned: ClassVar[State] = State(columns=True)
    _parameter_constraints: ClassVar[dict[str, list[Any]]]

    #: The attributes that `transform` depends on.
    _made_of: ClassVar[list[str]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have scikit-learn check the parameters that are described."""
        if "_given" in cls.__dict__:
            cls._parameter_constraints = cls._given.constraints()
            public = [name for name in cls._learned if not name.startswith("_")]
            cls._made_of = [part.attribute for part in cls._given.parts] + public
        super().__init_subclass__(**kwargs)

    def _ready(self) -> _core.Map | None:
        """Make the map of `transform`; None where each call has something to find out."""
        return None

    def _prepare(self, X: Any) -> None:
        """Keep the map of `transform` that `X` went through, for others like it: a row then takes microseconds."""
        cls: Any = type(self)
        if type(X) is np.ndarray and is_columns(self.channel_axis) and _is_plain(cls):
            keep(self, _core.Prepared.of(self.__dict__, self._made_of, self._ready))

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note whether the default axis was asked for by name; `clone` passes on all parameters, and keeps the note."""
        scaler: Self = super().__new__(cls)
        scaler._note_axis(kwargs)
        return scaler

    def _note_axis(self, parameters: dict[str, Any]) -> None:
        if "channel_axis" in parameters:
            self.__dict__.pop("_axis_given", None)
            axis = parameters["channel_axis"]
            if isinstance(axis, int | np.integer) and axis == -1:
                self._axis_given = True

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            Parameters of the constructor.

        Returns
        -------
        self : estimator
            Itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        super().set_params(**params)
        self._note_axis(params)
        return self

    def __sklearn_clone__(self) -> Self:
        copy: Self = super().__sklearn_clone__()
        if "_axis_given" not in self.__dict__:
            copy.__dict__.pop("_axis_given", None)
        return copy

    if TYPE_CHECKING:  # what scikit-learn defines, without types

        @overload
        def fit_transform(self, X: NDArray[Any], y: object = None, **fit_params: Any) -> NDArray[Any]: ...
        @overload
        def fit_transform(self, X: ArrayLike, y: object = None, **fit_params: Any) -> Any: ...
        def fit_transform(self, X: ArrayLike, y: object = None, **fit_params: Any) -> Any: ...

    def _validate(self, X: Any, *, reset: bool, formats: tuple[str, ...], result: bool = False) -> Any:
        """`X` as the core reads it, with scikit-learn's books kept of feature counts and names.

        Where `X` is a `result` of `transform`, that it has no names is no reason to warn.
        """
        state = self.__dict__
        if (
            not reset
            and type(X) is np.ndarray
            and X.ndim == 2
            and self.channel_axis == -1
            and "feature_names_in_" not in state
            and state.get("n_features_in_", X.shape[1]) == X.shape[1]
            and X.size
            and X.dtype.type in self._dtypes
            and accepts(X)
        ):
            return X  # as the rest would, in less time
        array = self._as_array(X, formats)
        plain = result or "feature_names_in_" not in state
        if type(X) is np.ndarray and X.ndim == 2 and plain and self.channel_axis == -1:
            # What `validate_data` would do, without its search for column names.
            if reset:
                self.n_features_in_ = X.shape[1]
            if state.get("n_features_in_") == X.shape[1]:
                return array
        if self._is_table(X):
            if result:
                check_result_columns(self, X)
            else:
                validate_data(self, X, reset=reset, skip_check_array=True)
            if reset:
                self.__dict__.pop("_columns", None)
        elif reset:
            state.pop("feature_names_in_", None)
            self._remember_columns(X, array)
        return array

    def _as_array(self, X: Any, formats: tuple[str, ...] = ()) -> Any:
        """`X` as the core reads it: an array, or a sparse matrix. Infinities are left to the core, which meets them."""
        accepted = (accepts(X) and X.dtype in self._dtypes) or _is_bfloat16(X)
        if accepted and X.ndim > 1 and X.size:
            return X
        table = self._is_table(X)
        X = with_mask(X)
        if isinstance(X, np.ma.MaskedArray):
            return self._as_masked(X)
        if issparse(X) and not is_columns(self.channel_axis):
            raise ValueError(f"a sparse X has its channels along axis 1; got channel_axis={shown(self.channel_axis)}")
        array = checked(
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
            with columns_named(X):
                array = array.astype(np.float64)
        if array.size == 0:
            raise ValueError(f"Found array of shape {array.shape}, which has no element; at least one is required")
        return array

    def _as_masked(self, X: Any) -> Any:
        """`X` as a masked array whose data the core reads."""
        if not self._takes_masks:
            raise TypeError(
                f"X is a masked array, and {type(self).__name__} takes none; plain arrays are accepted, such as "
                "X.filled(np.nan) of floating-point numbers"
            )
        data = np.asarray(X.data)
        array = self._as_array(data)
        return X if array is data else masked_like(X, array)

    def _check_parameters(self) -> None:
        """Check the parameters as scikit-learn does, where they have not been found valid before."""
        self._check_dtype()
        values = tuple((type(value), value) for value in map(self.__dict__.get, self._parameter_constraints))
        try:
            known, hashable = (type(self), values) in _VALID, True
        except TypeError:
            known = hashable = False
        if known or get_config()["skip_parameter_validation"]:
            return
        try:
            self._validate_params()
        except ValueError as error:
            if len(str(error)) < 1000:
                raise
            raise type(error)(quoted(error)) from None
        if hashable and len(_VALID) < 1000:
            _VALID.add((type(self), values))

    def _check_dtype(self) -> None:
        """Refuse a dtype that results cannot have, in the words of `transform`."""
        if self.dtype is not None:
            _core.check_dtype(self.dtype)

    def _is_table(self, X: Any) -> bool:
        """Whether `X` is what scikit-learn takes: samples by features."""
        if self.channel_axis == -1:
            return bool(getattr(X, "ndim", 2) <= 2 or issparse(X))
        if not is_columns(self.channel_axis):
            return bool(issparse(X))
        # Of nested lists, only NumPy knows how many axes they have.
        axes: int = X.ndim if hasattr(X, "ndim") else len(getattr(X, "shape", ())) or np.ndim(X)
        return axes == 2

    def _sparse_result(self, X: Any, data: NDArray[Any], copy: bool | None, out: Any, own: Any = None) -> Any:
        """`X`, or `own`, which was made of it, with the mapped entries `data`."""
        if out is not None:
            raise TypeError("out= takes the result of a dense X; X is sparse")
        if self.dtype is not None:
            data = data.astype(self.dtype, copy=False)
        return with_data(X, data, copy=bool(self.copy if copy is None else copy), own=own)

    @classmethod
    def _made(cls, parameters: dict[str, Any]) -> Self:
        """Make one of the parameters that a file has, and refuse what they cannot be."""
        if parameters["channel_axis"] == -1:
            del parameters["channel_axis"]  # a file does not say whether the default was asked for
        scaler = cls(**parameters)
        # Not `_check_parameters`, which can be turned off.
        scaler._validate_params()
        scaler._check_domains()
        return scaler

    def _check_domains(self) -> None:
        """Refuse parameters that are of the right kind, and outside their domain."""

    def _known(self) -> dict[str, Any]:
        """Give the attributes that are worth saving."""
        return self.__dict__

    def _take_in(self, known: dict[str, Any]) -> None:
        """Take over what was learnt and saved, where all of it agrees."""
        self.__dict__.update(known)
        self._check_names()
        axis = self.channel_axis
        shapes = self._learned.shapes(known)
        first = next(iter(shapes.items()), None)
        for name, shape in shapes.items():
            if first is not None and shape != first[1]:
                raise ValueError(f"{name} has shape {shape} and {first[0]} has shape {first[1]}; they must be equal")
            if len(shape) != len(axes_of(axis)):
                raise ValueError(f"{name} has shape {shape}, which does not suit channel_axis={axis}")
            if self.n_features_in_ != math.prod(shape):
                raise ValueError(f"{name} has shape {shape}, but n_features_in_ is {self.n_features_in_}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags


class ChannelScaler(ArrayTransformer, contains=True):
    """Base of the scalers: an affine map per channel, learnt by `fit`."""

    _takes_masks: ClassVar[bool] = True

    def _forward(self) -> Affine:
        """Give shift, scale and offset of `transform`, and whether it divides by the scale."""
        raise NotImplementedError

    def _inverse(self) -> Affine:
        """Give shift, scale and offset of `inverse_transform`, and whether it divides by the scale."""
        raise NotImplementedError

    def _limits(self) -> tuple[float, float] | None:
        """Give the least and the largest result of `transform`."""
        return None

    def _ready(self) -> _core.Map | None:
        return self._forward().ready(self.channel_axis, self.dtype, self._limits())

    @overload
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: Out) -> Out: ...
    @overload
    def transform(self, X: NDArray[Any], copy: bool | None = None, *, out: None = None) -> NDArray[Any]: ...
    @overload
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: None = None) -> Any: ...
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
        prepared = kept(self)
        if prepared is not None:
            result = prepared(self.__dict__, X, copy, out, get_config())
            if result is not None:
                return result
        if "scale_" not in self.__dict__:
            check_is_fitted(self)
        array = self._validate(X, reset=False, formats=self._transform_formats)
        result = self._apply(self._forward(), array, copy, out, self._limits())
        self._prepare(X)
        return result if out is not None else self._given_back(result, X)

    @overload
    def inverse_transform(self, X: ArrayLike, copy: bool | None = None, *, out: Out) -> Out: ...
    @overload
    def inverse_transform(self, X: NDArray[Any], copy: bool | None = None, *, out: None = None) -> NDArray[Any]: ...
    @overload
    def inverse_transform(self, X: ArrayLike, copy: bool | None = None, *, out: None = None) -> Any: ...
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
        if "scale_" not in self.__dict__:
            check_is_fitted(self)
        X = self._validate(X, reset=False, formats=self._transform_formats, result=True)
        return self._apply(self._inverse(), X, copy, out, None)

    def _apply(self, affine: Affine, X: Any, copy: bool | None, out: Any, limits: tuple[float, float] | None) -> Any:
        finite = get_config()["assume_finite"]
        if type(X) is np.ndarray or not issparse(X):
            copy, ready = bool(self.copy if copy is None else copy), affine.ready(self.channel_axis, self.dtype, limits)
            if type(X) is not np.ndarray and isinstance(X, np.ma.MaskedArray):
                return map_masked(X, out, finite, lambda x, y: ready(x, y, copy, True))
            return ready(X, out, copy, finite)
        self._check_sparse_map(affine.shift, affine.offset)
        scale = np.ones(X.shape[1]) if affine.scale is None else affine.scale
        # The indices that are checked are those that the result has.
        own = owned(X) if (self.copy if copy is None else copy) else X
        data = _core.sparse_scale(parts(own), scale, affine.divide, limits, finite)
        return self._sparse_result(X, data, copy, out, None if own is X else own)

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


def weights_of_samples(sample_weight: Any, X: Any) -> NDArray[np.float64]:
    """Check weights of the samples of `X`: those that are masked are zero."""
    weights = counting("sample_weight", sample_weight)
    checked: NDArray[np.float64] = _check_sample_weight(weights, X, dtype=np.float64, ensure_non_negative=True)
    return checked


def attribute_dtype(X: Any) -> Any:
    """Choose the dtype of fitted attributes that have that of the data: as scikit-learn converts them."""
    return X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)


def _is_bfloat16(X: Any) -> bool:
    return type(X) is np.ndarray and X.dtype.name == "bfloat16"

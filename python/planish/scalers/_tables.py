"""Tables: scikit-learn's conventions for columns and their names, and masked arrays where it ignores masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.utils._set_output import _auto_wrap_is_configured, _get_container_adapter, _wrap_data_with_container
from sklearn.utils.validation import _check_n_features, _get_feature_names, check_array, validate_data

from planish._border import masked_like, quoted, unreadable, with_mask
from planish.scalers._sparse import to_be_converted


def checked(X: Any, **options: Any) -> Any:
    """`check_array`, which keeps the mask of a masked array and names a column that holds no numbers."""
    X = with_mask(X)
    if isinstance(X, np.ma.MaskedArray):
        return masked_like(X, check_array(np.asarray(X.data), **options))
    formats = options.get("accept_sparse")
    if issparse(X) and formats and formats is not True and X.format not in np.atleast_1d(formats):
        X = to_be_converted(X)
    with columns_named(X):
        return check_array(X, **options)


@contextmanager
def columns_named(X: Any) -> Iterator[None]:
    """Have errors about what is no number name its column."""
    try:
        yield
    except (TypeError, ValueError) as error:
        column = unreadable("X", X)
        if column is None:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{quoted(error, 1000)}\n{column}") from error


def check_result_columns(estimator: Any, X: Any) -> None:
    """Check the columns of a result of `transform`; that it has no names is no reason to warn."""
    if _get_feature_names(X) is None:
        _check_n_features(estimator, X, reset=False)
    else:
        validate_data(estimator, X, reset=False, skip_check_array=True)


def _heeds_out(method: Any) -> Any:
    """Put results of `method`, a `transform`, into what `set_output` asks for, except those in a caller's `out`."""

    @wraps(method)
    def transform(self: Any, X: Any, *args: Any, **options: Any) -> Any:
        result = method(self, X, *args, **options)
        return result if options.get("out") is not None else self._given_back(result, X)

    return transform


class ColumnsMixin(TransformerMixin):
    """A transformer that keeps the columns of tables, whatever its channels are."""

    #: The columns that `fit` saw, where they are not the channels: their names, or how many without names.
    _columns: Any

    def __init_subclass__(cls, contains: bool = False, **kwargs: Any) -> None:
        """Wrap `transform` for `set_output`, as scikit-learn does, unless it `contains` its results itself."""
        method = cls.__dict__.get("transform")
        super().__init_subclass__(**kwargs)
        if isinstance(method, FunctionType) and "out" in signature(method).parameters:
            # In place of scikit-learn's wrapper, which knows no `out`.
            cls.transform = method if contains else _heeds_out(method)

    def _given_back(self, result: Any, X: Any) -> Any:
        """Give `result`, made of `X`, in what `set_output` asks for, if it does."""
        if "_sklearn_output_config" in self.__dict__ or get_config()["transform_output"] != "default":
            return self._contained(result, X)
        return result

    def _contained(self, result: Any, X: Any) -> Any:
        """Put `result`, made of `X`, into the container that `set_output` asks for."""
        if isinstance(result, np.ma.MaskedArray):
            result = result.filled(np.nan)  # tables have no masks
        if "_columns" not in self.__dict__ or getattr(result, "ndim", 2) != 2 or isinstance(result, tuple):
            return _wrap_data_with_container("transform", result, X, self)
        adapter = _get_container_adapter("transform", self)
        if adapter is None or not _auto_wrap_is_configured(self):
            return result
        return adapter.create_container(result, X, columns=self._columns_of(X, result.shape[1]))

    def _columns_of(self, X: Any, number: int) -> Any:
        """Name the columns of the result for `X`, which need not be those of `fit`."""
        names = _get_feature_names(X)
        if names is not None:
            return self._kept_names(names)
        names = self.get_feature_names_out()
        return names if len(names) == number else _numbered(number)

    def _kept_names(self, names: NDArray[Any]) -> NDArray[Any]:
        """Give the names of the columns that are in the result."""
        return names

    def _remember_columns(self, X: Any, array: Any) -> None:
        """Keep the columns of `X`, which are not the channels; `array` is what was read of it."""
        self.__dict__.pop("_columns", None)
        if array.ndim == 2:
            names = _get_feature_names(X)
            self._columns = array.shape[1] if names is None else names

    def _adopt_columns(self, other: Any) -> None:
        """Take over what `other` knows of columns."""
        for name in ("n_features_in_", "feature_names_in_", "_columns"):
            if name in other.__dict__:
                setattr(self, name, other.__dict__[name])

    def _check_names(self) -> None:
        """Refuse names of another number of columns than there are."""
        names = self.__dict__.get("feature_names_in_")
        if names is not None and len(names) != self.__dict__.get("n_features_in_"):
            raise ValueError(f"feature_names_in_ has {len(names)} names; n_features_in_ must be equal to that")

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Name the columns of the result: those of the input.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of the input, where `fit` saw none; else they must be the same.

        Returns
        -------
        feature_names_out : ndarray of str
            The names.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If `input_features` are not those of `fit`.
        """
        if "_columns" not in self.__dict__:
            names: NDArray[Any] = super().get_feature_names_out(input_features)
            return names
        number = _number(self._columns)
        if input_features is None:
            return _numbered(number) if isinstance(self._columns, int) else np.array(self._columns, object)
        given = np.asarray(input_features, dtype=object)
        if given.shape != (number,):
            raise ValueError(
                f"input_features should have length equal to number of features ({number}), got {given.size}"
            )
        return given


def _number(columns: Any) -> int:
    return columns if isinstance(columns, int) else len(columns)


def _numbered(number: int) -> NDArray[Any]:
    """Name columns as scikit-learn does."""
    return np.array([f"x{i}" for i in range(number)], object)

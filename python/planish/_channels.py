"""The base of the scalers: where scikit-learn's conventions meet the engine.

A scaler is a choice of statistics and of an affine map made of them. This base turns what a caller passes into an array
that the core reads in place, keeps scikit-learn's books (feature names and counts, `set_output`), and applies the map.
"""

from functools import wraps
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from planish import _core

#: dtypes that the core reads as they are; anything else is converted to the first, as scikit-learn does.
_READ_AS_IS = (
    *(np.float64, np.float32, np.float16, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
)

#: Shift, scale and offset of a map, and whether to divide by the scale.
Affine: TypeAlias = tuple[Any, Any, Any, bool]


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
                    shift, scale, offset, divide = self._forward()
                    # With neither, nothing here says what was fitted.
                    if shift is scale is None:
                        raise AttributeError
                    return _core.affine(
                        X,
                        shift,
                        scale,
                        offset,
                        divide,
                        self.channel_axis,
                        self.dtype,
                        out,
                        bool(self.copy if copy is None else copy),
                        config["assume_finite"],
                    )
                except (AttributeError, TypeError, ValueError):
                    pass  # the general way finds the words for it
        # A caller's array is returned as it is, whatever `set_output` says.
        method = general if out is None else general.__wrapped__
        return method(self, X, copy, out=out)

    return transform


class ChannelScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Base of the scalers: an affine map per channel."""

    channel_axis: int | tuple[int, ...] | None
    dtype: DTypeLike | None
    copy: bool

    def _forward(self) -> Affine:
        """Give shift, scale and offset of `transform`, and whether it divides by the scale."""
        raise NotImplementedError

    def _inverse(self) -> Affine:
        """Give shift, scale and offset of `inverse_transform`, and whether it divides by the scale."""
        raise NotImplementedError

    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Map `X` with the fitted statistics.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with the fitted channels
            The data. Read where it lies, whatever its dtype, strides or order.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned. Of the dtype of the result; `X` itself is allowed.

        Returns
        -------
        X_tr : ndarray of the shape of `X`
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
        return self._apply(self._forward(), self._validate(X, reset=False), copy, out)

    def inverse_transform(
        self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Undo `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with the fitted channels
            Data as `transform` gives it.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned.

        Returns
        -------
        X_original : ndarray of the shape of `X`
            The result, with the dtype rule of `transform`.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `transform` does.
        """
        check_is_fitted(self)
        return self._apply(self._inverse(), self._as_array(X), copy, out)

    def _apply(self, affine: Affine, X: NDArray[Any], copy: bool | None, out: NDArray[Any] | None) -> NDArray[Any]:
        shift, scale, offset, divide = affine
        copy = bool(self.copy if copy is None else copy)
        finite = get_config()["assume_finite"]
        return _core.affine(X, shift, scale, offset, divide, self.channel_axis, self.dtype, out, copy, finite)

    def _validate(self, X: Any, *, reset: bool) -> NDArray[Any]:
        """`X` as an array that the core reads, with scikit-learn's books kept of feature counts and names."""
        array = self._as_array(X)
        if self._is_table(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif reset and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return array

    def _as_array(self, X: Any) -> NDArray[Any]:
        """`X` as an array that the core reads. Infinities are left to the core, which meets them anyway."""
        accepted = _core.accepts(X)
        if accepted and X.ndim > 1 and X.size:
            return X  # type: ignore[no-any-return]
        table = self._is_table(X)
        array = check_array(
            X,
            dtype=None if accepted else _READ_AS_IS,
            ensure_all_finite=False,
            ensure_2d=table,
            allow_nd=not table,
            estimator=self,
            input_name="X",
        )
        if array.size == 0:
            raise ValueError(f"Found array of shape {array.shape}, which has no element; at least one is required")
        return array  # type: ignore[no-any-return]

    def _is_table(self, X: Any) -> bool:
        """Whether `X` is what scikit-learn takes: samples by features."""
        return self.channel_axis == -1 and getattr(X, "ndim", 2) <= 2


# After scikit-learn has wrapped the method for `set_output`: the shortcut saves what the wrapper costs.
ChannelScaler.transform = _fast_front(ChannelScaler.transform)  # type: ignore[method-assign]

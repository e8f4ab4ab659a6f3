"""Unit length."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.utils.validation import check_array

from planish import _core
from planish._atomic import all_or_nothing
from planish._border import map_masked
from planish._mistakes import warn_of_channels_first
from planish.scalers._base import ArrayTransformer, Out, kept
from planish.scalers._sparse import canonical, owned, parts
from planish.scalers._state import Parameters, axes, result_dtype, text, truth
from planish.stats import Extrema

#: The length below which a vector of a dense array counts as zero: for every dtype that of float64 in scikit-learn.
SHORTEST = float(10 * np.finfo(np.float64).eps)
_FLOATS = (np.float64, np.float32, np.float16)


class Normalizer(ArrayTransformer, contains=True):
    """Scale every sample to unit length.

    scikit-learn's `Normalizer` for arrays of any shape and strides, read in place and written once: each vector along
    `channel_axis` is divided by its length. Zero vectors stay as they are.

    Parameters
    ----------
    norm : {'l1', 'l2', 'max'}, default='l2'
        The length: sum of magnitudes, root of the sum of squares, or largest magnitude.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    channel_axis : int or tuple of int, default=-1
        The axis or axes along which the vectors run: -1 for the rows of a table and for the pixels of NHWC images, -3
        for those of NCHW.
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
    planish.normalize : the same in one call.

    Notes
    -----
    There is nothing to learn: `fit` only checks the parameters. NaN and infinity are errors. Lengths are summed in
    double precision, with the rounding errors where the result is float64: results are within one ulp. Vectors whose
    squares leave the range of double precision are measured in another scale [1]_. As in scikit-learn, dense vectors
    shorter than ten times the machine epsilon of their dtype stay as they are.

    References
    ----------
    .. [1] J. L. Blue, "A portable Fortran program to find the Euclidean norm of a vector", ACM TOMS 4 (1978), 15-23.

    Examples
    --------
    >>> from planish import Normalizer
    >>> Normalizer().transform([[4.0, 1.0, 2.0, 2.0], [1.0, 3.0, 9.0, 3.0]])
    array([[0.8, 0.2, 0.4, 0.4],
           [0.1, 0.3, 0.9, 0.3]])
    """

    _given: ClassVar[Parameters] = Parameters(text("norm", "l1", "l2", "max"), truth("copy"), axes(), result_dtype())
    _fit_formats: ClassVar[tuple[str, ...]] = ("csr",)
    _transform_formats: ClassVar[tuple[str, ...]] = ("csr",)
    _takes_masks: ClassVar[bool] = True
    _dtypes: ClassVar[tuple[Any, ...]] = _FLOATS
    _converted: ClassVar[Any] = "numeric"

    def __init__(
        self,
        norm: Literal["l1", "l2", "max"] = "l2",
        *,
        copy: bool = True,
        channel_axis: int | tuple[int, ...] = -1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.norm = norm
        self.copy = copy
        self.channel_axis = channel_axis
        self.dtype = dtype

    @all_or_nothing
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Check the parameters; nothing is learnt.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with `channel_axis`
            Data such as `transform` will get.
        y : None
            Ignored.

        Returns
        -------
        self : Normalizer
            Itself.

        Raises
        ------
        ValueError
            If `norm` is none of the three, or `X` is empty or contains NaN or infinity.
        """
        self._check_parameters()
        array = self._validate(X, reset=True, formats=self._fit_formats)
        warn_of_channels_first(self, array)
        if isinstance(array, np.ma.MaskedArray):
            array = array.filled(0)
        extrema = None if issparse(array) else Extrema(None).update(array)
        if extrema is None or extrema.count != array.size or not np.isfinite([extrema.min, extrema.max]).all():
            self._check_finite(array)
        return self

    @overload
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: Out) -> Out: ...
    @overload
    def transform(self, X: NDArray[Any], copy: bool | None = None, *, out: None = None) -> NDArray[Any]: ...
    @overload
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: None = None) -> Any: ...
    def transform(self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None) -> Any:
        """Scale every vector of `X` to unit length.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or array of any shape with `channel_axis`
            The data. Read where it lies, whatever its strides or order; integers are converted to float64.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the normalizer's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned. Of the dtype of the result; `X` itself is allowed.

        Returns
        -------
        X_tr : {ndarray, sparse matrix} of the shape of `X`
            The result: in `dtype`; if that is None, in that of a floating-point `X`, else in float64.

        Raises
        ------
        TypeError
            If `X` or `out` has a dtype that is not accepted.
        ValueError
            If `X` contains NaN or infinity, or `out` does not fit, is read-only or overlaps `X`. After NaN or infinity,
            `out` is unspecified unless it is `X`, which then is unchanged.
        """
        prepared = kept(self)
        if prepared is not None:
            with suppress(ValueError):  # for which there are words below
                result = prepared(self.__dict__, X, copy, out, get_config())
                if result is not None:
                    return result
        result = self._normalized(X, copy, out)
        self._prepare(X)
        return result if out is not None else self._given_back(result, X)

    def _normalized(self, X: Any, copy: bool | None, out: Any) -> Any:
        array = self._validate(X, reset=False, formats=self._transform_formats)
        keep = bool(self.copy if copy is None else copy)
        try:
            if isinstance(array, np.ma.MaskedArray):
                # Nothing of a vector is where it is masked.
                return map_masked(array, out, True, lambda x, y: self._map(array.filled(0), keep, y))
            if type(array) is np.ndarray or not issparse(array):
                return self._map(array, keep, out)
            # What has been converted has been copied.
            keep = keep and array is X
            array = canonical(owned(array) if keep else array)
            data = _core.sparse_normalize(parts(array), self.norm)
        except ValueError:
            self._check_finite(array)
            raise
        return self._sparse_result(array, data, keep, out, array if keep else None)

    def _map(self, X: NDArray[Any], copy: bool, out: NDArray[Any] | None) -> NDArray[Any]:
        return self._ready()(X, out, copy)

    def _ready(self) -> _core.Map:
        return _core.Map.normalize(self.norm, self.channel_axis, SHORTEST, self.dtype)

    def _check_finite(self, X: Any) -> None:
        """Raise scikit-learn's error for NaN or infinity."""
        if isinstance(X, np.ma.MaskedArray):
            X = X.filled(0)
        if not issparse(X) and not _core.accepts(X):
            return
        if not issparse(X) and X.dtype.kind != "f":
            return
        table = self._is_table(X)
        check_array(
            X,
            accept_sparse=True,
            dtype=None,
            ensure_2d=table,
            allow_nd=not table,
            estimator=self,
            input_name="X",
        )

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.requires_fit = False
        return tags

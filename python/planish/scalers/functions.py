"""The functions beside the scalers: one call, nothing kept."""

from __future__ import annotations

from functools import wraps
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils._param_validation import InvalidParameterError, Options, StrOptions, validate_params
from sklearn.utils.validation import FLOAT_DTYPES

from planish import _core
from planish._border import map_masked, masked_like, native, quoted
from planish.scalers._sparse import canonical, parts, statistic, with_data
from planish.scalers._tables import checked
from planish.scalers.maxabs import MaxAbsScaler
from planish.scalers.minmax import MinMaxScaler
from planish.scalers.normalizer import SHORTEST
from planish.scalers.robust import RobustScaler
from planish.stats import Moments


def _validated(constraints: dict[str, Any], *, nested: bool) -> Any:
    """Have parameters checked as scikit-learn does; what an error quotes of them is cut."""
    validate = validate_params(constraints, prefer_skip_nested_validation=nested)

    def decorate(function: Any) -> Any:
        validated = validate(function)

        @wraps(validated)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return validated(*args, **kwargs)
            except InvalidParameterError as error:
                raise InvalidParameterError(quoted(error, 1000)) from None

        return call

    return decorate


_AXIS = [Options(Integral, {0, 1})]


def _fit_transform(scaler: Any, X: ArrayLike, axis: int, formats: tuple[str, ...] = ()) -> Any:
    """Fit and transform, along the given axis, data that may also have one dimension."""
    array: Any = checked(
        X,
        accept_sparse=formats or False,
        copy=False,
        ensure_2d=False,
        dtype=FLOAT_DTYPES,
        ensure_all_finite=False,
        input_name="X",
    )
    one = array.ndim == 1
    table = array.reshape(-1, 1) if one else array
    result = scaler.fit_transform(table) if axis == 0 else scaler.fit_transform(table.T).T
    return result.reshape(-1) if one else result


@_validated(
    {
        "X": ["array-like", "sparse matrix"],
        "axis": _AXIS,
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
        "copy": ["boolean"],
    },
    nested=True,
)
def scale(X: ArrayLike, *, axis: int = 0, with_mean: bool = True, with_std: bool = True, copy: bool = True) -> Any:
    """Standardize along one axis: zero mean and unit variance.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples,)
        The data.
    axis : {0, 1}, default=0
        0 standardizes each feature, 1 each sample.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.

    Returns
    -------
    X_tr : {ndarray, sparse matrix} of the shape of `X`
        The result.

    Raises
    ------
    ValueError
        If `X` contains infinity, or is sparse and to be centred or scaled along axis 1.

    See Also
    --------
    StandardScaler : for pipelines, streams and arrays of any shape.

    Examples
    --------
    >>> from planish import scale
    >>> scale([[-2.0, 1.0, 2.0], [-1.0, 0.0, 1.0]])
    array([[-1.,  1.,  1.],
           [ 1., -1., -1.]])
    """
    array: Any = checked(
        X,
        accept_sparse="csc",
        copy=copy,
        ensure_2d=False,
        dtype=FLOAT_DTYPES,
        ensure_all_finite=False,
        estimator="the scale function",
        input_name="X",
    )
    if issparse(array):
        if with_mean:
            raise ValueError(
                "Cannot center sparse matrices: pass `with_mean=False` instead See docstring for motivation and "
                "alternatives."
            )
        if axis != 0:
            raise ValueError(f"Can only scale sparse matrix on axis=0,  got axis={axis}")
        if not with_std:
            return array
        moments = statistic(array, lambda matrix: Moments()._update_sparse("Input X", matrix))
        return with_data(array, _core.sparse_scale(parts(array), moments.scale, True), copy=False)
    array = masked_like(array, native(np.asarray(array)))
    if axis >= array.ndim:
        raise np.exceptions.AxisError(axis, array.ndim)
    channel_axis = None if array.ndim == 1 else 1 - axis
    moments = Moments(channel_axis)._update_as("Input X", array)
    mean, deviations = moments.mean if with_mean else None, moments.scale if with_std else None

    def standardized(x: Any, finite: bool) -> Any:
        return _core.Map.affine(mean, deviations, None, True, channel_axis)(x, None, False, finite)

    if isinstance(array, np.ma.MaskedArray):
        return map_masked(array, None, True, lambda x, _: standardized(x, True))
    return standardized(array, False)


@_validated({"X": ["array-like"], "axis": _AXIS}, nested=False)
def minmax_scale(X: ArrayLike, feature_range: tuple[float, float] = (0, 1), *, axis: int = 0, copy: bool = True) -> Any:
    """Scale along one axis to a given range.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples,)
        The data.
    feature_range : tuple of (float, float), default=(0, 1)
        The range of results.
    axis : {0, 1}, default=0
        0 scales each feature, 1 each sample.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.

    Returns
    -------
    X_tr : ndarray of the shape of `X`
        The result.

    Raises
    ------
    ValueError
        If `X` contains infinity, or `feature_range` does not ascend.

    See Also
    --------
    MinMaxScaler : for pipelines, streams and arrays of any shape.

    Examples
    --------
    >>> from planish import minmax_scale
    >>> minmax_scale([[-2.0, 1.0, 2.0], [-1.0, 0.0, 1.0]])
    array([[0., 1., 1.],
           [1., 0., 0.]])
    """
    return _fit_transform(MinMaxScaler(feature_range, copy=copy), X, axis)


@_validated({"X": ["array-like", "sparse matrix"], "axis": _AXIS}, nested=False)
def maxabs_scale(X: ArrayLike, *, axis: int = 0, copy: bool = True) -> Any:
    """Scale along one axis by the largest magnitude.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples,)
        The data.
    axis : {0, 1}, default=0
        0 scales each feature, 1 each sample.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.

    Returns
    -------
    X_tr : {ndarray, sparse matrix} of the shape of `X`
        The result.

    Raises
    ------
    ValueError
        If `X` contains infinity.

    See Also
    --------
    MaxAbsScaler : for pipelines, streams and arrays of any shape.

    Examples
    --------
    >>> from planish import maxabs_scale
    >>> maxabs_scale([[-2.0, 1.0, 2.0], [-1.0, 0.0, 1.0]])
    array([[-1. ,  1. ,  1. ],
           [-0.5,  0. ,  0.5]])
    """
    return _fit_transform(MaxAbsScaler(copy=copy), X, axis, ("csr", "csc"))


@_validated({"X": ["array-like", "sparse matrix"], "axis": _AXIS}, nested=False)
def robust_scale(
    X: ArrayLike,
    *,
    axis: int = 0,
    with_centering: bool = True,
    with_scaling: bool = True,
    quantile_range: tuple[float, float] = (25.0, 75.0),
    copy: bool = True,
    unit_variance: bool = False,
) -> Any:
    """Scale along one axis by median and quantile range.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples,)
        The data.
    axis : {0, 1}, default=0
        0 scales each feature, 1 each sample.
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

    Returns
    -------
    X_tr : {ndarray, sparse matrix} of the shape of `X`
        The result.

    Raises
    ------
    ValueError
        If `X` contains infinity, `quantile_range` is not within 0 and 100, or a sparse `X` is to be centred.

    See Also
    --------
    RobustScaler : for pipelines and arrays of any shape.

    Examples
    --------
    >>> from planish import robust_scale
    >>> robust_scale([[-2.0, 1.0, 2.0], [-1.0, 0.0, 1.0]])
    array([[-1.,  1.,  1.],
           [ 1., -1., -1.]])
    """
    scaler = RobustScaler(
        with_centering=with_centering,
        with_scaling=with_scaling,
        quantile_range=quantile_range,
        unit_variance=unit_variance,
        copy=copy,
    )
    return _fit_transform(scaler, X, axis, ("csr", "csc"))


@_validated(
    {
        "X": ["array-like", "sparse matrix"],
        "norm": [StrOptions({"l1", "l2", "max"})],
        "axis": _AXIS,
        "copy": ["boolean"],
        "return_norm": ["boolean"],
    },
    nested=True,
)
def normalize(
    X: ArrayLike,
    norm: Literal["l1", "l2", "max"] = "l2",
    *,
    axis: int = 1,
    copy: bool = True,
    return_norm: bool = False,
) -> Any:
    """Scale vectors to unit length.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data.
    norm : {'l1', 'l2', 'max'}, default='l2'
        The length: sum of magnitudes, root of the sum of squares, or largest magnitude.
    axis : {0, 1}, default=1
        1 scales each sample, 0 each feature.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    return_norm : bool, default=False
        Whether to return the lengths, too.

    Returns
    -------
    X_tr : {ndarray, sparse matrix} of the shape of `X`
        The result. Zero vectors stay as they are.
    norms : ndarray of shape (n_samples,) or, along axis 0, (n_features,)
        The lengths, one for zero vectors of a dense `X`. Only with `return_norm`.

    Raises
    ------
    ValueError
        If `X` contains NaN or infinity.
    NotImplementedError
        If the l1 or l2 norms of a sparse `X` are to be returned.

    See Also
    --------
    Normalizer : for pipelines and arrays of any shape.

    Examples
    --------
    >>> from planish import normalize
    >>> normalize([[3.0, 4.0], [0.0, 2.0]])
    array([[0.6, 0.8],
           [0. , 1. ]])
    """

    def check(X: Any, *, finite: bool, copy: bool = False) -> Any:
        return checked(
            X,
            accept_sparse="csr" if axis == 1 else "csc",
            copy=copy,
            dtype=FLOAT_DTYPES,
            force_writeable=True,
            ensure_all_finite=finite,
            estimator="the normalize function",
        )

    array = check(X, finite=False, copy=copy)
    if isinstance(array, np.ma.MaskedArray):
        # Nothing of a vector is where it is masked.
        found = normalize(array.filled(0), norm, axis=axis, return_norm=return_norm)
        result, norms = found if return_norm else (found, None)
        return (masked_like(array, result), norms) if return_norm else masked_like(array, result)
    if not issparse(array):
        array = native(array)
    if issparse(array) and return_norm and norm != "max":
        check(array, finite=True)
        raise NotImplementedError("return_norm=True is not implemented for sparse matrices with norm 'l1' or norm 'l2'")
    try:
        if issparse(array):
            array = canonical(array)
            norms = _largest(array) if return_norm else None
            rows = array if axis == 1 else array.T
            result = with_data(array, _core.sparse_normalize(parts(rows), norm), copy=False)
        else:
            # Of vectors that may be overwritten.
            norms = _core.norms(array, norm, axis, SHORTEST).astype(array.dtype) if return_norm else None
            result = _core.Map.normalize(norm, axis, SHORTEST)(array, copy=False)
    except ValueError:
        check(array, finite=True)
        raise
    return (result, norms) if return_norm else result


def _largest(X: Any) -> Any:
    """Largest magnitude of each segment of a sparse matrix."""
    magnitudes = np.abs(X.data)
    starts = X.indptr[:-1]
    largest = np.zeros(len(starts), X.dtype)
    filled = np.diff(X.indptr) > 0
    largest[filled] = np.maximum.reduceat(magnitudes, starts[filled]) if filled.any() else 0
    return largest

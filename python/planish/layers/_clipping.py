"""Gradients that are kept from being too large."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish import _core
from planish._border import floats
from planish.layers._axes import listed, number


def adaptive_grad_clip(
    grad: ArrayLike,
    param: ArrayLike,
    clipping: float = 0.01,
    eps: float = 1e-3,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Limit the gradient of each unit to a part of the norm of its parameters [1]_.

    Parameters
    ----------
    grad : array-like of float16, bfloat16, float32 or float64, of shape (n_units, ...)
        Gradients of the weights of a linear or convolution layer, one unit (output) along the first axis; of one
        dimension (a bias, a gain) or none, all are one unit.
    param : array-like of the shape of `grad`
        The weights.
    clipping : float, default=0.01
        The largest ratio of the norms of gradient and weights.
    eps : float, default=1e-3
        Norms of weights count as this at least, so that what is zero can grow.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `grad`, which may be `grad` itself.

    Returns
    -------
    ndarray of the shape and dtype of `grad`
        Equation 3 of the paper: units of a smaller gradient as they were, the others in the same direction. What is
        infinite or not a number makes its unit zero and not a number, as in PyTorch.

    Raises
    ------
    TypeError
        If `grad` has another dtype.
    ValueError
        If the shapes differ, `clipping` or `eps` is not positive, or `out` does not fit.

    References
    ----------
    .. [1] A. Brock, S. De, S. L. Smith, K. Simonyan, "High-performance large-scale image recognition without
       normalization", ICML 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import adaptive_grad_clip
    >>> adaptive_grad_clip(np.array([[3.0, 4.0], [0.0, 0.1]]), np.array([[10.0, 0.0], [0.0, 20.0]]))
    array([[0.06, 0.08],
           [0.  , 0.1 ]])
    """
    grad, param = floats("grad", grad), floats("param", param)
    if grad.shape != param.shape:
        raise ValueError(f"grad has shape {grad.shape}; param has shape {param.shape}, and both must be the same")
    for name, value in (("clipping", clipping), ("eps", eps)):
        if not 0 < number(name, value) < np.inf:
            raise ValueError(f"{name} must be positive and finite; got {value}")
    kept = (0,) if grad.ndim > 1 else ()
    return _scaled(grad, clipping * np.maximum(_norms(param, kept), eps), kept, out)


def clip_by_norm(
    grad: ArrayLike,
    max_norm: float,
    *,
    axis: int | tuple[int, ...] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Limit the Euclidean norm of a gradient [1]_.

    Parameters
    ----------
    grad : array-like of float16, bfloat16, float32 or float64
        Any shape.
    max_norm : float
        The largest norm.
    axis : int, tuple of int or None, default=None
        The axes along which elements share a norm; None for all.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `grad`, which may be `grad` itself.

    Returns
    -------
    ndarray of the shape and dtype of `grad`
        What has a smaller norm as it was, the rest in the same direction. What is infinite or not a number makes the
        others zero and not a number, as in PyTorch.

    Raises
    ------
    TypeError
        If `grad` has another dtype.
    ValueError
        If `max_norm` is not positive, `axis` is out of range, or `out` does not fit.

    References
    ----------
    .. [1] R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013,
       algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import clip_by_norm
    >>> clip_by_norm(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    grad = floats("grad", grad)
    if not 0 < number("max_norm", max_norm) < np.inf:
        raise ValueError(f"max_norm must be positive and finite; got {max_norm}")
    shared = range(grad.ndim) if axis is None else listed(axis, grad.ndim)
    kept = tuple(index for index in range(grad.ndim) if index not in shared)
    return _scaled(grad, np.asarray(max_norm, dtype=np.float64), kept, out)


def _norms(values: NDArray[Any], kept: tuple[int, ...]) -> NDArray[np.float64]:
    """Euclidean norms along the axes that are not kept."""
    shared = tuple(axis for axis in range(values.ndim) if axis not in kept)
    norms: NDArray[np.float64] = np.asarray(_core.norms(values, "l2", shared))
    if np.isnan(norms).any():  # of what is infinite, too
        norms = np.where(np.isnan(norms) & ~np.isnan(values).any(axis=shared), np.inf, norms)
    return norms


def _scaled(grad: NDArray[Any], limit: NDArray[np.float64], kept: tuple[int, ...], out: Any) -> NDArray[Any]:
    """Give `grad` with norms of `limit` at most."""
    norms = _norms(grad, kept)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A norm that is not a number, or infinite, is not hidden.
        factor = np.where(norms <= limit, 1.0, limit / norms)
    return _core.Map.affine(None, factor, None, False, kept)(grad, out, True, True)

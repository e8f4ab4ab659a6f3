"""Normalisation layers, backward.

Each function takes the gradient of what the layer gave, and what the layer was given; nothing needs to be kept between
the two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish import _core
from planish._border import floats
from planish.layers._axes import (
    Form,
    Parameter,
    batch,
    epsilon,
    grouped,
    instance,
    listed,
    parameters,
    reshaped,
    trailing,
)
from planish.layers._forward import known, values_of_each


class Gradients(NamedTuple):
    """Gradients with respect to the input and the parameters of a layer."""

    #: Of the shape and dtype of the input.
    dx: NDArray[Any]
    #: Of the shape of gamma (for all samples where none was given); None where the layer has no gamma.
    dgamma: NDArray[np.float64] | None
    #: Likewise of beta.
    dbeta: NDArray[np.float64] | None


def standardize_backward(
    dy: ArrayLike,
    x: ArrayLike,
    axis: int | tuple[int, ...] | None,
    *,
    eps: float = 0.0,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `standardize`.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `standardize` gave.
    x : array-like of float16, bfloat16, float32 or float64
        What it was given.
    axis : int, tuple of int or None
        As it was given.
    eps : float, default=0.0
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, apart from `x` and `dy`.

    Returns
    -------
    Gradients
        `dx`; there are no parameters.

    Raises
    ------
    TypeError, ValueError
        As `standardize`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import standardize_backward
    >>> standardize_backward(np.array([1.0, 0.0, 0.0]), np.array([1.0, 2.0, 4.0]), axis=0).dx.round(3)
    array([ 0.229, -0.344,  0.115])
    """
    x = floats("x", x)
    axes = tuple(range(x.ndim)) if axis is None else listed(axis, x.ndim)
    return Gradients(_core.layer_gradient(dy, x, axes, (), None, epsilon(eps), True, None, None, out)[0], None, None)


def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: Parameter = None,
    *,
    axis: int | tuple[int, ...] = -1,
    eps: float = 1e-5,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `layer_norm`.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `layer_norm` gave.
    x : array-like of float16, bfloat16, float32 or float64, of shape (..., *normalized)
        What it was given.
    gamma : array-like of shape (*normalized,) or (n_samples, *normalized), or callable, default=None
        As it was given.
    axis : int or tuple of int, default=-1
        As it was given.
    eps : float, default=1e-5
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, apart from `x` and `dy`.

    Returns
    -------
    Gradients
        `dx`, `dgamma` and `dbeta`.

    Raises
    ------
    TypeError, ValueError
        As `layer_norm`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import layer_norm_backward
    >>> gradients = layer_norm_backward(np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 4.0]]))
    >>> gradients.dbeta
    array([1., 0., 0.])
    """
    return _differentiate(dy, x, trailing(x, axis), gamma, eps, True, out)


def rms_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: Parameter = None,
    *,
    axis: int | tuple[int, ...] = -1,
    eps: float = 1e-5,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `rms_norm`.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `rms_norm` gave.
    x : array-like of float16, bfloat16, float32 or float64, of shape (..., *normalized)
        What it was given.
    gamma : array-like of shape (*normalized,) or (n_samples, *normalized), or callable, default=None
        As it was given.
    axis : int or tuple of int, default=-1
        As it was given.
    eps : float, default=1e-5
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, apart from `x` and `dy`.

    Returns
    -------
    Gradients
        `dx` and `dgamma`; there is no beta.

    Raises
    ------
    TypeError, ValueError
        As `rms_norm`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import rms_norm_backward
    >>> rms_norm_backward(np.array([[1.0, 0.0]]), np.array([[1.0, 7.0]]), eps=0.0).dgamma
    array([0.2, 0. ])
    """
    return _differentiate(dy, x, trailing(x, axis), gamma, eps, False, out)._replace(dbeta=None)


def instance_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: Parameter = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `instance_norm`.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `instance_norm` gave.
    x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, n_channels, *positions)
        What it was given.
    gamma : array-like of shape (n_channels,) or (n_samples, n_channels), or callable, default=None
        As it was given.
    eps : float, default=1e-5
        As it was given.
    channel_axis : int, default=1
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, apart from `x` and `dy`.

    Returns
    -------
    Gradients
        `dx`, `dgamma` and `dbeta`.

    Raises
    ------
    TypeError, ValueError
        As `instance_norm`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import instance_norm_backward
    >>> x = np.array([[[1.0, 2.0, 4.0]]])
    >>> instance_norm_backward(np.ones_like(x), x).dbeta
    array([3.])
    """
    return _differentiate(dy, x, instance(x, channel_axis), gamma, eps, True, out)


def group_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    num_groups: int,
    gamma: Parameter = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `group_norm`.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `group_norm` gave.
    x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, n_channels, *positions)
        What it was given.
    num_groups : int
        As it was given.
    gamma : array-like of shape (n_channels,) or (n_samples, n_channels), or callable, default=None
        As it was given.
    eps : float, default=1e-5
        As it was given.
    channel_axis : int, default=1
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, apart from `x` and `dy`.

    Returns
    -------
    Gradients
        `dx`, `dgamma` and `dbeta`.

    Raises
    ------
    TypeError, ValueError
        As `group_norm`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import group_norm_backward
    >>> x = np.array([[1.0, 3.0, 2.0, 6.0]])
    >>> group_norm_backward(np.ones_like(x), x, 2).dbeta
    array([1., 1., 1., 1.])
    """
    return _differentiate(dy, x, grouped(x, num_groups, channel_axis), gamma, eps, True, out)


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: Parameter = None,
    *,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    training: bool = True,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `batch_norm`.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `batch_norm` gave.
    x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, n_channels, *positions)
        What it was given.
    gamma : array-like of shape (n_channels,) or (n_samples, n_channels), or callable, default=None
        As it was given.
    running_mean, running_var : array-like of shape (n_channels,), default=None
        What was normalised with where it was not the statistics of the batch; in training they are ignored.
    training : bool, default=True
        As it was given. Otherwise mean and variance are constants.
    eps : float, default=1e-5
        As it was given.
    channel_axis : int, default=1
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, apart from `x` and `dy`.

    Returns
    -------
    Gradients
        `dx`, `dgamma` and `dbeta`.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import batch_norm_backward
    >>> x = np.array([[1.0, 2.0], [3.0, 6.0]])
    >>> batch_norm_backward(np.ones_like(x), x).dbeta
    array([2., 2.])
    """
    form = batch(x, channel_axis)
    if training:
        values_of_each(form)
    mean, var = (None, None) if training else known(running_mean, running_var, form.shape)
    return _differentiate(dy, x, form, gamma, eps, True, out, mean, var)


def _differentiate(
    dy: ArrayLike,
    x: ArrayLike,
    form: Form,
    gamma: Parameter,
    eps: float,
    centred: bool,
    out: Any,
    mean: Any = None,
    var: Any = None,
) -> Gradients:
    own, values, _ = parameters(form, x, gamma, None)
    dy = gradient_of(dy, form, np.shape(x))
    dx, dgamma, dbeta = _core.layer_gradient(
        dy.reshape(form.x.shape),
        form.x,
        form.shared,
        own,
        values,
        epsilon(eps),
        centred,
        mean,
        var,
        reshaped(out, x, form),
    )
    shape = form.shape if own == form.own else (form.x.shape[0], *form.shape)
    return Gradients(dx.reshape(np.shape(x)) if out is None else out, dgamma.reshape(shape), dbeta.reshape(shape))


def gradient_of(dy: ArrayLike, form: Form, shape: tuple[int, ...]) -> NDArray[Any]:
    """Check that `dy` has the dtype of the input, and its shape."""
    found = floats("dy", dy)
    if found.dtype != form.x.dtype:
        raise TypeError(f"dy has dtype {found.dtype}; x has dtype {form.x.dtype}, and both must be the same")
    if found.shape != shape:
        raise ValueError(f"dy has shape {found.shape}; x has shape {shape}, and both must be the same")
    return found

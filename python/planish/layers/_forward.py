"""Normalisation layers, forward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish import _core
from planish._border import as_array, floats, overlap
from planish.layers._axes import (
    Form,
    Parameter,
    batch,
    epsilon,
    grouped,
    instance,
    listed,
    number,
    parameters,
    reshaped,
    trailing,
)


def standardize(
    x: ArrayLike, axis: int | tuple[int, ...] | None, *, eps: float = 0.0, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Subtract the mean along some axes and divide by the standard deviation: what all layers are made of.

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64
        Any shape and any strides; read where it lies.
    axis : int, tuple of int or None
        The axes along which elements share a mean and a variance; None for all.
    eps : float, default=0.0
        Added to the variance.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``(x - mean) / sqrt(var + eps)``, with the biased variance; zero where elements are all the same. It is `out` if
        that is given.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` another than `x`.
    ValueError
        If `axis` is out of range, or `out` has another shape, is read-only or overlaps `x` in part.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import standardize
    >>> standardize(np.array([[1.0, 3.0], [2.0, 6.0]]), axis=1)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    x = floats("x", x)
    axes = tuple(range(x.ndim)) if axis is None else listed(axis, x.ndim)
    return _core.layer(x, axes, (), None, None, epsilon(eps), True, out)[0]


def layer_norm(
    x: ArrayLike,
    gamma: Parameter = None,
    beta: Parameter = None,
    *,
    axis: int | tuple[int, ...] = -1,
    eps: float = 1e-5,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Normalise each sample over its last axes [1]_.

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64, of shape (..., *normalized)
        Any strides; read where it lies.
    gamma, beta : array-like of shape (*normalized,) or (n_samples, *normalized), or callable, default=None
        Factors and summands, for all samples or for each along the first axis (adaptive); or a function of `x` that
        gives them. None for one and zero.
    axis : int or tuple of int, default=-1
        The last axis, or the last axes, which share a mean and a variance.
    eps : float, default=1e-5
        Added to the variance.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``(x - mean) / sqrt(var + eps) * gamma + beta``, with the biased variance. Statistics are of float64.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` another than `x`.
    ValueError
        If `axis` is none of the last axes, gamma or beta has another shape, or `out` does not fit.

    References
    ----------
    .. [1] J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import layer_norm
    >>> layer_norm(np.array([[1.0, 3.0], [2.0, 6.0]]), gamma=[1.0, 2.0], eps=0.0)
    array([[-1.,  2.],
           [-1.,  2.]])
    """
    return _over_last(x, gamma, beta, axis, eps, True, out)


def rms_norm(
    x: ArrayLike,
    gamma: Parameter = None,
    *,
    axis: int | tuple[int, ...] = -1,
    eps: float = 1e-5,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Divide each sample by the root of the mean square over its last axes [1]_.

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64, of shape (..., *normalized)
        Any strides; read where it lies.
    gamma : array-like of shape (*normalized,) or (n_samples, *normalized), or callable, default=None
        Factors, as for `layer_norm`.
    axis : int or tuple of int, default=-1
        The last axis, or the last axes, which share a mean square.
    eps : float, default=1e-5
        Added to the mean square.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``x / sqrt(mean(x**2) + eps) * gamma``.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` another than `x`.
    ValueError
        If `axis` is none of the last axes, gamma has another shape, or `out` does not fit.

    References
    ----------
    .. [1] B. Zhang, R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import rms_norm
    >>> rms_norm(np.array([[1.0, 7.0]]), eps=0.0)
    array([[0.2, 1.4]])
    """
    return _over_last(x, gamma, None, axis, eps, False, out)


def _over_last(
    x: ArrayLike,
    gamma: Parameter,
    beta: Parameter,
    axis: int | tuple[int, ...],
    eps: float,
    centred: bool,
    out: NDArray[Any] | None,
) -> NDArray[Any]:
    if type(eps) is not float:
        eps = epsilon(eps)
    if type(axis) is int and axis == -1 and type(x) is np.ndarray and x.ndim and _is_row(gamma) and _is_row(beta):
        # The usual call, without detours: a row takes as long as they do.
        return _core.layer(x, -1, -1, gamma, beta, eps, centred, out)[0]
    form = trailing(x, axis)
    own, first, second = parameters(form, x, gamma, beta)
    return _core.layer(form.x, form.shared, own, first, second, eps, centred, out)[0]


def _is_row(parameter: Any) -> bool:
    return parameter is None or (type(parameter) is np.ndarray and parameter.ndim == 1)


def instance_norm(
    x: ArrayLike,
    gamma: Parameter = None,
    beta: Parameter = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Normalise each channel of each sample over its positions [1]_.

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, n_channels, *positions)
        Any strides; read where it lies. Channels may lie along another axis than the second.
    gamma, beta : array-like of shape (n_channels,) or (n_samples, n_channels), or callable, default=None
        Factors and summands, for all samples or for each (adaptive [2]_); or a function of `x` that gives them.
    eps : float, default=1e-5
        Added to the variance.
    channel_axis : int, default=1
        The axis of the channels.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``(x - mean) / sqrt(var + eps) * gamma + beta``, with the biased variance.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` another than `x`.
    ValueError
        If `x` has fewer than three dimensions, gamma or beta has another shape, or `out` does not fit.

    References
    ----------
    .. [1] D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", arXiv:1607.08022, 2016.
    .. [2] X. Huang, S. Belongie, "Arbitrary style transfer in real-time with adaptive instance normalization", ICCV
       2017.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import instance_norm
    >>> instance_norm(np.array([[[1.0, 3.0], [2.0, 6.0]]]), beta=[0.0, 1.0], eps=0.0)
    array([[[-1.,  1.],
            [ 0.,  2.]]])
    """
    form = instance(x, channel_axis)
    own, first, second = parameters(form, x, gamma, beta)
    return _core.layer(form.x, form.shared, own, first, second, epsilon(eps), True, out)[0]


def group_norm(
    x: ArrayLike,
    num_groups: int,
    gamma: Parameter = None,
    beta: Parameter = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Normalise groups of channels of each sample [1]_.

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, n_channels, *positions)
        Any strides; read where it lies. Channels may lie along another axis than the second.
    num_groups : int
        Groups of neighbouring channels; it divides their number.
    gamma, beta : array-like of shape (n_channels,) or (n_samples, n_channels), or callable, default=None
        Factors and summands, for all samples or for each (adaptive); or a function of `x` that gives them.
    eps : float, default=1e-5
        Added to the variance.
    channel_axis : int, default=1
        The axis of the channels.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``(x - mean) / sqrt(var + eps) * gamma + beta``, with the biased variance of a group and parameters of each
        channel.

    Raises
    ------
    TypeError
        If `x` has another dtype, or `out` another than `x`.
    ValueError
        If `num_groups` does not divide the channels, gamma or beta has another shape, or `out` does not fit.

    References
    ----------
    .. [1] Y. Wu, K. He, "Group normalization", ECCV 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import group_norm
    >>> group_norm(np.array([[1.0, 3.0, 2.0, 6.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    form = grouped(x, num_groups, channel_axis)
    own, first, second = parameters(form, x, gamma, beta)
    y = _core.layer(form.x, form.shared, own, first, second, epsilon(eps), True, reshaped(out, x, form))[0]
    return y.reshape(np.shape(x)) if out is None else out


def batch_norm(
    x: ArrayLike,
    gamma: Parameter = None,
    beta: Parameter = None,
    *,
    running_mean: NDArray[Any] | None = None,
    running_var: NDArray[Any] | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Normalise each channel over all samples and positions [1]_.

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, n_channels, *positions)
        Any strides; read where it lies. Channels may lie along another axis than the second.
    gamma, beta : array-like of shape (n_channels,) or (n_samples, n_channels), or callable, default=None
        Factors and summands, for all samples or for each; or a function of `x` that gives them.
    running_mean, running_var : ndarray of shape (n_channels,), default=None
        In training they are moved towards the mean and the unbiased variance of this batch, in place; else they are
        what is normalised with.
    training : bool, default=True
        Whether to normalise with the statistics of this batch.
    momentum : float, default=0.1
        How far the running statistics move: ``running = (1 - momentum) * running + momentum * batch``.
    eps : float, default=1e-5
        Added to the variance.
    channel_axis : int, default=1
        The axis of the channels.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``(x - mean) / sqrt(var + eps) * gamma + beta``, in training with the biased variance of the batch.

    Raises
    ------
    TypeError
        If `x` has another dtype, `out` another than `x`, or running statistics to be moved are no arrays of floats.
    ValueError
        If there is only one value of each channel in training, one or both of the running statistics are missing, they
        overlap each other or another argument in training, gamma or beta has another shape, or `out` does not fit.

    References
    ----------
    .. [1] S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import batch_norm
    >>> mean, var = np.zeros(2), np.ones(2)
    >>> batch_norm(np.array([[1.0, 2.0], [3.0, 6.0]]), running_mean=mean, running_var=var, eps=0.0)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> mean, var
    (array([0.2, 0.4]), array([1.1, 1.7]))
    """
    eps, form = epsilon(eps), batch(x, channel_axis)
    own, first, second = parameters(form, x, gamma, beta)
    if (running_mean is None) != (running_var is None):
        missing = "running_mean" if running_mean is None else "running_var"
        raise ValueError(f"{missing} is missing; both running statistics are given or none")
    if not training:
        return _with_known(form, running_mean, running_var, own, first, second, eps, out)
    values = values_of_each(form)
    if running_mean is not None:
        if not 0 <= number("momentum", momentum) <= 1:
            raise ValueError(f"momentum must be within 0 and 1; got {momentum}")
        check_running(running_mean, running_var, form.shape)
        check_apart(running_mean, running_var, x=x, gamma=gamma, beta=beta, out=out)
    y, mean, var = _core.layer(form.x, form.shared, own, first, second, eps, True, out, running_mean is not None)
    if running_mean is not None and values > 1:
        move(running_mean, mean, momentum)
        move(running_var, var * (values / (values - 1)), momentum)
    return y


def values_of_each(form: Form) -> int:
    """Count the values of each channel in training: one has no variance."""
    values = form.x.size // max(form.shape[0], 1)
    if values == 1:
        raise ValueError(
            f"training needs more than one value of each channel; x has shape {form.x.shape}. With training=False "
            "running statistics take the place of this batch's"
        )
    return values


def check_running(mean: Any, var: Any, shape: tuple[int, ...]) -> None:
    """Check that running statistics can be moved."""
    for name, values in (("running_mean", mean), ("running_var", var)):
        # bfloat16 is of kind V.
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fV":
            raise TypeError(f"{name} is changed in place and must be an array of floats; got {values!r:.80}")
        if values.shape != shape:
            raise ValueError(f"{name} has shape {values.shape}; it must have shape {shape}, one value for each channel")
        if not values.flags.writeable:
            raise ValueError(f"{name} is read-only; training changes it in place")


def check_apart(mean: Any, var: Any, **others: Any) -> None:
    """Check that running statistics, which are changed last, can be moved without changing anything else."""
    pairs = [("running_var", mean, "running_mean", var)]
    for name, other in others.items():
        if isinstance(other, np.ndarray):
            pairs += [(name, mean, "running_mean", other), (name, var, "running_var", other)]
    for name, first, running, second in pairs:
        if overlap(first, second):
            raise ValueError(f"{name} overlaps {running}, which training changes in place; give each memory of its own")


def move(running: Any, batch_value: Any, momentum: float) -> None:
    """Move running statistics towards those of a batch, in place."""
    running[...] = (1 - momentum) * running.astype(np.float64) + momentum * batch_value


def known(mean: Any, var: Any, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check running statistics that are to be normalised with."""
    if mean is None or var is None:
        raise ValueError("training=False normalises with running_mean and running_var; both are missing")
    values = []
    for name, given in (("running_mean", mean), ("running_var", var)):
        value = as_array(name, given)
        if value.dtype.kind not in "biufV":
            raise TypeError(f"{name} must hold real numbers; got dtype {value.dtype}")
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape}; it must have shape {shape}, one value for each channel")
        values.append(value.astype(np.float64))
    if (values[1] < 0).any():
        raise ValueError(f"running_var must not be negative; got {values[1].min()}")
    return values[0], values[1]


def _with_known(
    form: Form, mean: Any, var: Any, own: tuple[int, ...], gamma: Any, beta: Any, eps: float, out: Any
) -> NDArray[Any]:
    """Map with constants: no statistics to take."""
    shift, spread = known(mean, var, form.shape)
    with np.errstate(invalid="ignore"):
        # As everywhere: what does not vary is not divided.
        scale = 1 / np.sqrt(np.where(spread + eps == 0, 1.0, spread + eps))
    if gamma is not None:
        scale = scale * gamma
    if beta is not None or gamma is not None:
        shape = tuple(form.x.shape[axis] for axis in own)
        shift, scale = (np.ascontiguousarray(np.broadcast_to(value, shape)) for value in (shift, scale))
    return _core.Map.affine(shift, scale, beta, False, own)(form.x, out, True, True)

"""Layers in double precision, written down as their formulas are."""

import numpy as np


def normalized(x, axes, eps, centred=True):
    """``(x - mean) / sqrt(var + eps)`` over `axes`."""
    x = np.asarray(x, dtype=np.float64)
    mean = x.mean(axes, keepdims=True) if centred else 0.0
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + eps)


def along(values, axis, ndim):
    """Values of one axis, ready to be broadcast; of two dimensions those of each sample."""
    values = np.asarray(values, dtype=np.float64)
    shape = [1] * ndim
    shape[axis] = values.shape[-1]
    if values.ndim == 2:
        shape[0] = values.shape[0]
    return values.reshape(shape)


def batch(x, gamma, beta, eps=1e-5, axis=1):
    axis %= x.ndim
    axes = tuple(i for i in range(x.ndim) if i != axis)
    return normalized(x, axes, eps) * along(gamma, axis, x.ndim) + along(beta, axis, x.ndim)


def layer(x, gamma, beta, eps=1e-5, axes=(-1,)):
    return normalized(x, axes, eps) * np.asarray(gamma, np.float64) + np.asarray(beta, np.float64)


def rms(x, gamma, eps=1e-5, axes=(-1,)):
    return normalized(x, axes, eps, centred=False) * np.asarray(gamma, np.float64)


def instance(x, gamma, beta, eps=1e-5, axis=1):
    axis %= x.ndim
    axes = tuple(i for i in range(1, x.ndim) if i != axis)
    return normalized(x, axes, eps) * along(gamma, axis, x.ndim) + along(beta, axis, x.ndim)


def group(x, num_groups, gamma, beta, eps=1e-5, axis=1):
    moved = np.moveaxis(np.asarray(x, dtype=np.float64), axis, 1)
    split = moved.reshape(len(moved), num_groups, -1)
    y = np.moveaxis(normalized(split, (2,), eps).reshape(moved.shape), 1, axis)
    return y * along(gamma, axis % x.ndim, x.ndim) + along(beta, axis % x.ndim, x.ndim)

"""AdaNorm, forward and backward: in double precision, some samples at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish import _core
from planish._border import check_out
from planish.layers._axes import Form, epsilon, number, trailing
from planish.layers._gradients import Gradients, gradient_of

#: Elements that are taken at once.
_AT_ONCE = 1 << 15


def ada_norm(
    x: ArrayLike,
    *,
    axis: int | tuple[int, ...] = -1,
    scale: float = 1.0,
    k: float = 0.1,
    eps: float = 1e-5,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Layer normalisation whose gain depends on the normalised value itself (AdaNorm [1]_).

    Parameters
    ----------
    x : array-like of float16, bfloat16, float32 or float64, of shape (..., *normalized)
        Any strides; read where it lies.
    axis : int or tuple of int, default=-1
        The last axis, or the last axes, which share a mean and a variance.
    scale : float, default=1.0
        The constant ``C`` of the paper.
    k : float, default=0.1
        How much the gain falls with the value; the paper takes a tenth.
    eps : float, default=1e-5
        Added to the variance.
    out : ndarray, default=None
        Where to write: of the shape and dtype of `x`, which may be `x` itself.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        ``scale * (1 - k * y) * y`` with ``y = (x - mean) / sqrt(var + eps)`` (equation 11 of the paper).

    Raises
    ------
    TypeError
        If `x` has another dtype, `out` another than `x`, or `scale` or `k` is no number.
    ValueError
        If `axis` is none of the last axes, `scale` or `k` is not finite, or `out` does not fit.

    References
    ----------
    .. [1] J. Xu, X. Sun, Z. Zhang, G. Zhao, J. Lin, "Understanding and improving layer normalization", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import ada_norm
    >>> ada_norm(np.array([1.0, 3.0]), k=0.25, eps=0.0)
    array([-1.25,  0.75])
    """
    form = trailing(x, axis)
    result = np.empty_like(form.x) if out is None else out
    check_out(result, form.x.shape, form.x.dtype, form.x)
    for part, y, gain in _parts(form, scale, k, eps):
        result[part] = y * gain
    return result


def ada_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    axis: int | tuple[int, ...] = -1,
    scale: float = 1.0,
    k: float = 0.1,
    eps: float = 1e-5,
    out: NDArray[Any] | None = None,
) -> Gradients:
    """Differentiate `ada_norm`, whose gain is taken for a constant, as its authors do.

    Parameters
    ----------
    dy : array-like of the shape and dtype of `x`
        The gradient of what `ada_norm` gave.
    x : array-like of float16, bfloat16, float32 or float64, of shape (..., *normalized)
        What it was given.
    axis : int or tuple of int, default=-1
        As it was given.
    scale, k : float, default=1.0 and 0.1
        As they were given.
    eps : float, default=1e-5
        As it was given.
    out : ndarray, default=None
        Where to write `dx`: of the shape and dtype of `x`, which may be `x` or `dy` itself.

    Returns
    -------
    Gradients
        `dx`; there are no parameters.

    Raises
    ------
    TypeError, ValueError
        As `ada_norm`, and if `dy` does not have the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import ada_norm_backward
    >>> ada_norm_backward(np.array([1.0, 0.0, 0.0]), np.array([1.0, 2.0, 4.0]), k=0.0, eps=0.0).dx.round(3)
    array([ 0.229, -0.344,  0.115])
    """
    form = trailing(x, axis)
    dy = gradient_of(dy, form, form.x.shape)
    result = np.empty_like(form.x) if out is None else out
    check_out(result, form.x.shape, form.x.dtype, form.x, dy)
    for part, _, gain in _parts(form, scale, k, eps):
        gain *= dy[part]
        x_part = form.x[part].astype(np.float64)
        result[part] = _core.layer_gradient(gain, x_part, form.shared, (), None, eps, True)[0]
    return Gradients(result, None, None)


def _parts(
    form: Form, scale: float, k: float, eps: float
) -> Iterator[tuple[Any, NDArray[np.float64], NDArray[np.float64]]]:
    """Give the normalised input and its gain, some samples at a time."""
    scale, k, eps = number("scale", scale), number("k", k), epsilon(eps)
    for name, value in (("scale", scale), ("k", k)):
        if not np.isfinite(value):
            raise ValueError(f"{name} must be finite; got {value}")
    has_samples = form.x.ndim > len(form.shared)
    step = max(1, _AT_ONCE * len(form.x) // max(form.x.size, 1)) if has_samples else 1
    for first in range(0, len(form.x) if has_samples else 1, step):
        part: Any = slice(first, first + step) if has_samples else ...
        y = form.x[part].astype(np.float64)
        y = _core.layer(y, form.shared, (), None, None, eps, True, y)[0]
        yield part, y, scale - (scale * k) * y

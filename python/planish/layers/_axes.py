"""What the layers are made of: the axes that share a statistic, and those that gamma and beta have values along."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish._border import as_array, check_out_shape, floats, shown

#: Gamma or beta: values, what gives them of the input, or nothing.
Parameter: TypeAlias = ArrayLike | Callable[[Any], ArrayLike] | None


class Form(NamedTuple):
    """The input of a layer and the axes of its statistics."""

    #: The input; with the axis of its channels split in two where these come in groups.
    x: NDArray[Any]
    #: The axes along which elements share a statistic.
    shared: tuple[int, ...]
    #: The axes along which gamma and beta have values.
    own: tuple[int, ...]
    #: The shape in which callers give them.
    shape: tuple[int, ...]
    #: Whether they may also be given for each sample, along the first axis.
    per_sample: bool


def number(name: str, value: Any) -> float:
    """Check a real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number; got {value!r:.80}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be finite; got an integer beyond float64") from None


def epsilon(value: Any) -> float:
    """Check what is added to variances."""
    found = number("eps", value)
    if not 0 <= found < np.inf:
        raise ValueError(f"eps must be finite and not negative; got {value}")
    return found


def is_index(value: Any) -> bool:
    """Say whether `value` is an integer, and no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _channel(x: NDArray[Any], channel_axis: int, least: int, layer: str) -> int:
    """Check the axis of the channels, and count it from the front."""
    if x.ndim < least:
        raise ValueError(f"{layer} takes arrays of at least {least} dimensions; x has shape {x.shape}")
    if not is_index(channel_axis):
        raise TypeError(f"channel_axis must be an int; got {channel_axis!r:.80}")
    if not -x.ndim <= channel_axis < x.ndim:
        raise ValueError(f"channel_axis={channel_axis} is out of range for x of shape {x.shape}")
    return int(channel_axis) % x.ndim


def batch(x: ArrayLike, channel_axis: int) -> Form:
    """Let all axes but the channels' share a statistic."""
    x = floats("x", x)
    channel = _channel(x, channel_axis, 2, "batch_norm")
    shared = tuple(axis for axis in range(x.ndim) if axis != channel)
    return Form(x, shared, (channel,), (x.shape[channel],), channel != 0)


def instance(x: ArrayLike, channel_axis: int) -> Form:
    """Let all axes but the samples' and the channels' share a statistic."""
    x = floats("x", x)
    channel = _channel(x, channel_axis, 3, "instance_norm")
    if channel == 0:
        raise ValueError(f"channel_axis={channel_axis} is the axis of the samples, the first, of x of shape {x.shape}")
    return Form(x, tuple(axis for axis in range(1, x.ndim) if axis != channel), (channel,), (x.shape[channel],), True)


def grouped(x: ArrayLike, num_groups: int, channel_axis: int) -> Form:
    """Let the channels of a group share a statistic, in each sample, with all that lies behind them."""
    x = floats("x", x)
    channel = _channel(x, channel_axis, 2, "group_norm")
    if channel == 0:
        raise ValueError(f"channel_axis={channel_axis} is the axis of the samples, the first, of x of shape {x.shape}")
    channels = x.shape[channel]
    if not is_index(num_groups):
        raise TypeError(f"num_groups must be an int; got {num_groups!r:.80}")
    if num_groups < 1 or channels % num_groups != 0:
        raise ValueError(f"num_groups must divide the {channels} channels of x of shape {x.shape}; got {num_groups}")
    split = (*x.shape[:channel], int(num_groups), channels // int(num_groups), *x.shape[channel + 1 :])
    shared = tuple(axis for axis in range(1, len(split)) if axis != channel)
    return Form(x.reshape(split), shared, (channel, channel + 1), (channels,), True)


def trailing(x: ArrayLike, axis: int | tuple[int, ...]) -> Form:
    """Let the last axes share a statistic, each of their elements with parameters."""
    x = floats("x", x)
    ndim = x.ndim
    if type(axis) is int and axis == -1 and ndim > 0:
        last: tuple[int, ...] = (ndim - 1,)
    else:
        last = listed(axis, ndim)
        if last != tuple(range(ndim - len(last), ndim)) or not last:
            raise ValueError(
                f"axis must be one or several of the last axes, such as -1 or (-2, -1); got {shown(axis)} for x of "
                f"shape {x.shape} (standardize takes any axes)"
            )
    return Form(x, last, last, x.shape[last[0] :], last[0] > 0)


def listed(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Give axes in ascending order, counted from the front."""
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not all(map(is_index, axes)):
        raise TypeError(f"axis must be an int or a tuple of ints; got {axis!r:.80}")
    if any(not -ndim <= index < ndim for index in axes):
        raise ValueError(f"axis={shown(axis)} is out of range for an array of {ndim} dimension(s)")
    found = tuple(sorted(int(index) % ndim for index in axes))
    if len(set(found)) < len(found):
        raise ValueError(f"axis={shown(axis)} names an axis twice in an array of {ndim} dimension(s)")
    return found


def parameters(
    form: Form, x: ArrayLike, gamma: Parameter, beta: Parameter
) -> tuple[tuple[int, ...], NDArray[Any] | None, NDArray[Any] | None]:
    """Give gamma and beta along the same axes, and these axes."""
    if gamma is None and beta is None:
        return form.own, None, None
    first, second = _values("gamma", gamma, form, x), _values("beta", beta, form, x)
    if (first is None or first.shape == form.shape) and (second is None or second.shape == form.shape):
        if len(form.own) == len(form.shape):
            return form.own, first, second
        own, shape, whole = form.own, form.x.shape[form.own[0] : form.own[-1] + 1], form.shape
    else:
        # What is given for all samples holds for each.
        samples = form.x.shape[0]
        own, whole = (0, *form.own), (samples, *form.shape)
        shape = (samples, *(form.x.shape[axis] for axis in form.own))
    first, second = (
        None if value is None else np.broadcast_to(value, whole).reshape(shape) for value in (first, second)
    )
    return own, first, second


def _values(name: str, value: Parameter, form: Form, x: ArrayLike) -> NDArray[Any] | None:
    if value is None:
        return None
    values = as_array(name, value(as_array("x", x)) if callable(value) else value)
    if values.shape != form.shape and not (form.per_sample and values.shape == (form.x.shape[0], *form.shape)):
        if values.dtype.kind not in "biufV":
            raise TypeError(f"{name} must hold real numbers; got dtype {values.dtype}")
        accepted = f"{form.shape}" + (
            f", or {(form.x.shape[0], *form.shape)} for each sample" if form.per_sample else ""
        )
        raise ValueError(f"{name} has shape {values.shape}; x has shape {np.shape(x)}, and accepted are {accepted}")
    return values


def reshaped(out: Any, x: ArrayLike, form: Form) -> Any:
    """Give `out` in the shape of the form: the same memory."""
    if out is None or form.x.shape == np.shape(x):
        return out
    check_out_shape(out, np.shape(x))
    return out.reshape(form.x.shape)

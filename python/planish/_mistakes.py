"""Warnings of what is allowed, and hardly ever meant."""

import sys
import warnings
from typing import Any

#: Numbers of channels that pictures have, and lengths that are more than any of them.
_CHANNELS = (1, 3, 4)
_LONG = 5
#: More than any pixel of pictures of 0 to 1.
_BRIGHT = 10.0


def warn(message: str) -> None:
    """Warn at the line of the caller's code that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("planish", "sklearn"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def warn_of_channels_first(scaler: Any, X: Any) -> None:
    """Warn of pictures with their channels first, unless an axis was asked for."""
    if X.ndim in (3, 4) and scaler.channel_axis == -1 and "_axis_given" not in scaler.__dict__:
        warn_of_shape("X", X.shape)


def warn_of_shape(name: str, shape: tuple[int, ...]) -> None:
    """Warn of pictures with their channels first, whose columns of pixels are channels by default."""
    if shape[-3] in _CHANNELS and min(shape[-2:]) >= _LONG:
        warn(
            f"{name} has shape {shape}, which looks like pictures with their {shape[-3]} channel(s) before height and "
            f"width, but each of the {shape[-1]} positions along the last axis is a channel by default; "
            "channel_axis=-3 takes the channels of such pictures, channel_axis=-1 says that the last axis is meant"
        )


def warn_of_fractions(quantile_range: tuple[float, float]) -> None:
    """Warn of quantiles that are given as fractions where percent are meant."""
    low, high = quantile_range
    if 0 < high <= 1:
        warn(
            f"quantile_range={quantile_range} is in percent: a range from {low} % to {high} % of the data; "
            f"{(100.0 * low, 100.0 * high)} would be that between the quantiles {low} and {high}"
        )


def looks_like_bytes(image: Any) -> bool:
    """Tell whether pixels that are floats go to 255 rather than to 1, by some of them."""
    some = image[tuple(slice(None, None, max(1, length // 8)) for length in image.shape)]
    return bool((some > _BRIGHT).any() and not (some < 0).any())

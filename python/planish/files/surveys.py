"""What `planish stats` has found: a document of its own, from which `planish apply` maps and `load` makes a scaler."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish._core import Moments
from planish.files.values import fields, number_from_json, numbers_from_json, text, truth, whole

#: What stands for the class of such a document.
CLASS = "survey"
_KINDS = ("pixels", "table")
_FIELDS = ("class", "kind", "channels", "channel_axis", "count", "mean", "std")
#: Fields that nothing is made of, or that format 1 may lack.
_MORE = ("max_pixel_value", "files", "failed", "complete")


@dataclass(frozen=True)
class Survey:
    """Mean and standard deviation of the channels of a data set."""

    #: Pixels, which were divided by the largest that their dtype has, or a table, whose channels are columns.
    kind: str
    channels: list[str]
    channel_axis: int
    count: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    #: What pixels were divided by; 1 for those that were taken as they are.
    largest: float

    def divisor(self) -> NDArray[np.float64]:
        """Give what to divide by: by the rule of the scalers, one where a channel is constant."""
        scale = np.asarray(
            Moments.from_stats(np.maximum(self.count, 1), self.mean, np.minimum(self.std, 1e150) ** 2).scale
        )
        return np.where((scale == 1) & (self.std != 1), 1.0, self.std)


def from_json(document: Any) -> Survey:
    """Read a survey; a ValueError says what is wrong with it."""
    found = fields("a survey", document, _FIELDS, (*_FIELDS, *_MORE))
    kind, names = text("kind", found["kind"]), found["channels"]
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}; got {brief(kind)}")
    if not isinstance(names, list) or not names or set(map(type, names)) != {str}:
        raise ValueError(f"channels must be a list of names; got {brief(names)}")
    count, mean, std = (_numbers(name, found[name], len(names)) for name in ("count", "mean", "std"))
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
        raise ValueError("it has a mean or standard deviation that is no finite number")
    if not (np.isfinite(count) & (count >= 0)).all():
        raise ValueError("count must be finite and not negative")
    axis = whole("channel_axis", found["channel_axis"], -64, 63)
    largest = float(number_from_json("max_pixel_value", found.get("max_pixel_value", 1.0)))
    if not 1 <= largest < np.inf:
        raise ValueError(f"max_pixel_value must be finite and at least 1; got {largest}")
    truth("complete", found.get("complete", True))
    return Survey(kind, names, axis, count, mean, std, largest)


def _numbers(name: str, value: Any, length: int) -> NDArray[np.float64]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{name} must be a list of {length} number(s), one for each of channels; got {brief(value)}")
    return numbers_from_json(name, ["nan" if number is None else number for number in value], "float64")


def scaler(survey: Survey) -> Any:
    """Make a fitted scaler: an `ImageNormalizer` of pixels that were divided, else a `StandardScaler`."""
    import planish

    if survey.largest != 1:
        layout = {-1: "NHWC->NCHW", -3: "NCHW->NCHW"}.get(survey.channel_axis)
        if layout is None:
            raise ValueError(
                f"it has statistics of pixels along axis {survey.channel_axis}, for which there is no scaler; "
                "planish apply takes them"
            )
        return planish.ImageNormalizer(survey.mean, survey.divisor(), layout=layout)  # type: ignore[arg-type]
    made = planish.StandardScaler(channel_axis=survey.channel_axis)
    made.mean_, made.var_, made.scale_ = survey.mean, survey.std**2, survey.divisor()
    made.n_features_in_ = len(survey.channels)
    made.n_samples_seen_ = survey.count if np.ptp(survey.count) else survey.count.astype(np.int64)[0]
    if survey.kind == "table":
        made.feature_names_in_ = np.array(survey.channels, dtype=object)
    made._restore()
    return made

"""Streaming statistics and per-channel normalisation over NumPy buffers.

One import away from scikit-learn's scalers: change ``sklearn.preprocessing`` to ``planish``. The names below are loaded
when they are first used, so that ``import planish`` costs next to nothing and scikit-learn is imported only with the
first scaler.

========================================= ===========================================================
`StandardScaler`, `MinMaxScaler`,         scikit-learn's scalers, per channel of arrays of any shape
`MaxAbsScaler`, `RobustScaler`,
`Normalizer`
`GroupedScaler`                           one of these for each device, site or subject
`scale`, `minmax_scale`, `maxabs_scale`,  the same in one call
`robust_scale`, `normalize`
`LogScaler`                               logarithms of any base, moved and scaled by given constants
`ImageNormalizer`                         pictures: from decoded pixels to network input in one pass
`planish.stats`                           streaming accumulators: `Moments`, `Extrema`, `Quantiles`, `MedianOfMeans`
`save`, `load`, `dumps`, `loads`          all of these in files, or strings, of JSON
`planish.layers`                          normalisation layers of deep learning, forward and backward
`set_num_threads`, `get_num_threads`,     how many threads large arrays are spread over
`num_threads`
========================================= ===========================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING

from planish._core import get_num_threads, set_num_threads
from planish._names import no_attribute
from planish._threads import num_threads

if TYPE_CHECKING:
    from planish import layers, stats
    from planish.files.saving import dumps, load, loads, save
    from planish.groups.grouped import GroupedScaler
    from planish.images.normalizer import ImageNormalizer
    from planish.scalers.functions import maxabs_scale, minmax_scale, normalize, robust_scale, scale
    from planish.scalers.log import LogScaler
    from planish.scalers.maxabs import MaxAbsScaler
    from planish.scalers.minmax import MinMaxScaler
    from planish.scalers.normalizer import Normalizer
    from planish.scalers.robust import RobustScaler
    from planish.scalers.standard import StandardScaler

__version__ = "0.1.0"

__all__ = [
    "GroupedScaler",
    "ImageNormalizer",
    "LogScaler",
    "MaxAbsScaler",
    "MinMaxScaler",
    "Normalizer",
    "RobustScaler",
    "StandardScaler",
    "dumps",
    "get_num_threads",
    "layers",
    "load",
    "loads",
    "maxabs_scale",
    "minmax_scale",
    "normalize",
    "num_threads",
    "robust_scale",
    "save",
    "scale",
    "set_num_threads",
    "stats",
]

_LAZY = {
    "StandardScaler": "planish.scalers.standard",
    "MinMaxScaler": "planish.scalers.minmax",
    "MaxAbsScaler": "planish.scalers.maxabs",
    "RobustScaler": "planish.scalers.robust",
    "Normalizer": "planish.scalers.normalizer",
    "LogScaler": "planish.scalers.log",
    "GroupedScaler": "planish.groups.grouped",
    "ImageNormalizer": "planish.images.normalizer",
    **dict.fromkeys(("dumps", "load", "loads", "save"), "planish.files.saving"),
    **dict.fromkeys(
        ("maxabs_scale", "minmax_scale", "normalize", "robust_scale", "scale"), "planish.scalers.functions"
    ),
}


def __getattr__(name: str) -> object:
    if name in ("layers", "stats"):
        return import_module(f"planish.{name}")
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise no_attribute("planish", __all__, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Streaming statistics per channel.

Accumulators take in arrays batch by batch (`update`), join with others (`merge`, ``+``, ``+=``) and have their finished
values as properties. They pickle. An empty accumulator is the identity of `merge`.
"""

from planish._core import Extrema, Moments, Quantiles
from planish._names import no_attribute
from planish.stats._median_of_means import MedianOfMeans

__all__ = ["Extrema", "MedianOfMeans", "Moments", "Quantiles"]


def __getattr__(name: str) -> object:
    raise no_attribute("planish.stats", __all__, name)


def __dir__() -> list[str]:
    return __all__

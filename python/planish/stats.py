"""Streaming statistics per channel.

Accumulators take in arrays batch by batch (`update`), join with others (`merge`, ``+``, ``+=``) and have their finished
values as properties. They pickle. An empty accumulator is the identity of `merge`.
"""

from planish._core import Extrema, Moments, Quantiles
from planish._median_of_means import MedianOfMeans

__all__ = ["Extrema", "MedianOfMeans", "Moments", "Quantiles"]

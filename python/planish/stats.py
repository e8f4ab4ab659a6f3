"""Streaming statistics per channel.

Accumulators take in arrays batch by batch (`update`), join with others (`merge`, ``+``, ``+=``) and have their finished
values as properties. They pickle. An empty accumulator is the identity of `merge`.
"""

from planish._core import Extrema, Moments

__all__ = ["Extrema", "Moments"]

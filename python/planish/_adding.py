"""Sums of objects that merge."""

from copy import deepcopy
from typing import Any, Self


class Addable:
    """What has `merge`, which changes it: `+` gives a new object."""

    merge: Any

    def __add__(self, other: Self) -> Self:
        if not isinstance(other, Addable):
            return NotImplemented
        joined: Self = deepcopy(self).merge(other)
        return joined

    def __radd__(self, other: int) -> Self:
        """Add to the zero that `sum` starts from."""
        if type(other) is not int or other != 0:
            return NotImplemented
        return deepcopy(self)

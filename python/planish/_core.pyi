"""The compiled core."""

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from typing_extensions import Self

type ChannelAxis = int | tuple[int, ...] | None

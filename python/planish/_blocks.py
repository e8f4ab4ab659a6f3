"""Blocks of an array that fit the second-level cache, in the order of memory, shared out to threads.

For maps that go through NumPy: its functions release the interpreter, so that threads of Python do.
"""

from collections.abc import Callable, Iterator
from itertools import product
from math import ceil
from threading import Lock, Thread
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planish._core import get_num_threads

Index: TypeAlias = tuple[slice, ...]

#: Elements of the largest block: it, its logarithms in float64 and the results are in the cache together.
LARGEST = 16_384
#: Elements that are worth another thread.
_SHARE = 16 * LARGEST


def by_stride(array: NDArray[Any]) -> list[int]:
    """List the axes, the one with the longest steps first."""
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def blocks(array: NDArray[Any]) -> Iterator[Index]:
    """Cut an array into blocks of all its axes: whole axes of short steps, a part of one, single places of the rest."""
    if array.size <= LARGEST:
        yield (slice(None),) * array.ndim
        return
    order = by_stride(array)
    inner = 1
    while inner * array.shape[order[-1]] <= LARGEST:
        inner *= array.shape[order.pop()]
    cut = order.pop()
    length = array.shape[cut]
    step = ceil(length / ceil(length / (LARGEST // inner)))  # parts of about equal size
    index = [slice(None)] * array.ndim
    for place in product(*(range(array.shape[axis]) for axis in order)):
        for axis, start in zip(order, place, strict=True):
            index[axis] = slice(start, start + 1)
        for start in range(0, length, step):
            index[cut] = slice(start, start + step)
            yield tuple(index)


def scratch(array: NDArray[Any]) -> NDArray[np.float64]:
    """Make memory for the largest of the `blocks` of `array`."""
    return np.empty(min(array.size, LARGEST))


def shaped(memory: NDArray[np.float64], block: NDArray[Any]) -> NDArray[np.float64]:
    """View `memory` in the shape of a block, with its order of axes."""
    order = by_stride(block)
    view = memory[: block.size].reshape([block.shape[axis] for axis in order])
    return view.transpose(np.argsort(order))


class _Shared:
    """Blocks that several threads take from."""

    def __init__(self, source: Iterator[Index]) -> None:
        self._source = source
        self._lock = Lock()
        self.errors: list[BaseException] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Index:
        with self._lock:
            if self.errors:
                raise StopIteration
            return next(self._source)


def each_block(work: Callable[[Iterator[Index]], None], array: NDArray[Any]) -> None:
    """Call `work` with the blocks of `array`, in several threads with some of the blocks each if there are many."""
    threads = min(get_num_threads(), array.size // _SHARE)
    if threads < 2:
        work(blocks(array))
        return
    shared = _Shared(blocks(array))

    def run() -> None:
        try:
            work(shared)
        except BaseException as error:
            shared.errors.append(error)

    helpers = []
    try:
        for _ in range(threads - 1):
            helper = Thread(target=run, daemon=True)
            try:
                helper.start()
            except RuntimeError:  # no more threads, as while the interpreter ends: this one does it
                break
            helpers.append(helper)
        run()
    finally:
        for helper in helpers:
            helper.join()
    if shared.errors:
        raise shared.errors[0]

"""Samples dealt to blocks in turn, and their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from planish._border import counting, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class Dealt:
    """Samples of groups, dealt to the blocks of each.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        The group of each sample.
    n_blocks : int
        Blocks of each group.
    first : ndarray of shape (n_groups,)
        The block of each group to go on with.
    """

    def __init__(self, codes: NDArray[Any], n_blocks: int, first: NDArray[np.intp]) -> None:
        self.n_blocks, self.first = n_blocks, first
        self.sizes = np.bincount(codes, minlength=len(first))
        order = np.argsort(codes, kind="stable")
        # How many of its group have come before each sample.
        before = np.empty(len(codes), np.intp)
        before[order] = np.arange(len(codes)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        #: The block and the group of each sample, blocks first.
        self.codes = ((before + first[codes]) % n_blocks * len(first) + codes).astype(np.uint32)


def taken_apart(state: dict[str, Any], groups: int, shape: Sequence[int], blocks: int = 1) -> Iterator[dict[str, Any]]:
    """Take apart the state of an accumulator of groups, which may have blocks: one of channels of `shape` for each."""
    # One row for each channel of each block; none where there is nothing to say.
    tables = {
        name: np.moveaxis(value.reshape(blocks, groups, -1, value.shape[1]), 1, 0).reshape(groups, -1, value.shape[1])
        if value.size
        else [value] * groups
        for name, value in state.items()
        if isinstance(value, np.ndarray)
    }
    for rows in zip(*tables.values(), strict=True):
        yield {**state, "shape": shape, **dict(zip(tables, rows, strict=True))}


def split(array: NDArray[Any], blocks: int, channel_axes: int) -> NDArray[Any]:
    """View an array of samples in rounds over `blocks`: blocks first, then the channels, the rounds, and the rest."""
    # To split one axis in two never takes a copy, whatever the strides.
    rounds = array.reshape(len(array) // blocks, blocks, *array.shape[1:])
    return np.moveaxis(rounds, 0, 1 + channel_axes)


def weights_of_elements(
    weights: Any, x: NDArray[Any], first_is_kept: bool, channel_axis: int | tuple[int, ...] | None
) -> NDArray[np.float64]:
    """Weights with the shape of `x`: those of samples are repeated by a stride of zero."""
    array = counting("weights", weights)
    if array.dtype.kind == "c":
        raise TypeError("weights are complex; real weights are accepted")
    array = np.asarray(array, np.float64)
    if array.shape == x.shape:
        return array
    if array.shape != x.shape[:1]:
        raise ValueError(
            f"weights have shape {array.shape}; accepted are {x.shape[:1]}, one for each sample, or {x.shape}, one for "
            "each element"
        )
    if first_is_kept:
        raise ValueError(
            "weights of shape (n_samples,) weigh the samples along axis 0, which "
            f"channel_axis={shown(channel_axis)} keeps; weights of the shape of x are accepted"
        )
    samples: NDArray[np.float64] = np.broadcast_to(array.reshape(-1, *(1,) * (x.ndim - 1)), x.shape)
    return samples

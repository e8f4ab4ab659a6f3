"""Mean and variance that a few spoiled samples cannot move: medians over blocks of samples.

The blocks are channels to one inner `Moments`: its first kept axis. The sample axis is split in two, rounds and blocks,
which is a view whatever the strides, so that all blocks are read in one pass.
"""

from __future__ import annotations

from operator import index
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from planish._border import as_mask, axes_of, both, kept_axes, quoted, shown, unmasked
from planish._core import Moments
from planish._mistakes import warn_of_shape
from planish._shown import html, text
from planish.stats._dealing import Dealt, split, taken_apart, weights_of_elements

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

#: Version of the pickled state.
_VERSION = 1
#: Between these, a variance has all its digits.
_SQUARES = 1e-290, 1e290
#: The statistics that stand for the others.
_SHOWN = ("count", "mean", "std")


class _State(NamedTuple):
    """What was seen; replaced as a whole, so that readers need no lock."""

    #: The blocks.
    moments: Moments
    #: The block that is next.
    following: int
    #: Lengths of the kept axes; None if no batch was seen.
    channels: tuple[int, ...] | None


class _Noting:
    """Notes whether axes were given. A base, so that the signature is that of `__init__`."""

    _axis_given: bool

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        made = super().__new__(cls)
        made._axis_given = len(args) > 1 or "channel_axis" in kwargs
        return made


class MedianOfMeans(_Noting):
    """Mean and variance of every channel that spoiled samples cannot move, streamed.

    Samples are dealt to blocks in turn. Each block has its own mean and variance; the results are the medians of those.
    While fewer than half of the blocks hold a spoiled sample, however far off, the results lie within what the other
    blocks say.

    Parameters
    ----------
    n_blocks : int, default=10
        Number of blocks. ``(n_blocks - 1) // 2`` spoiled samples can do no harm, wherever they are. With 1 the
        results are those of `Moments`.
    channel_axis : int, tuple of int or None, default=-1
        The axis or axes that keep their own statistics; None for one mean of everything.

    Attributes
    ----------
    count : ndarray of int64 (float64 with weights), of the shape of the kept axes
        Elements of each channel in all blocks, NaN left out, or the sum of their weights; 0 before the first batch.
    mean, var : ndarray of float64, of the shape of the kept axes
        Medians of the blocks' means and of their population variances; NaN where no element was seen, a ValueError
        before the first batch.
    std : ndarray of float64, of the shape of the kept axes
        Square root of `var`.
    scale : ndarray of float64, of the shape of the kept axes
        `std`, with 1 for channels that are constant as far as double precision can tell.

    See Also
    --------
    Moments : mean and variance of all elements, without blocks.

    Notes
    -----
    The method is that of Nemirovsky and Yudin [1]_; for its error with heavy tails see the survey of Lugosi and
    Mendelson [2]_.

    *Dealing.* A sample is a position along the first axis that `channel_axis` does not keep. Sample `i` goes to block
    ``i % n_blocks``, and `update` goes on where the one before it left off: batches of any sizes give the blocks that
    one batch would. A sample counts in the dealing even where it is NaN or has zero weight. A block without an element
    in a channel does not vote there, nor one whose sums overflowed.

    *Merging.* Block `b` joins block `b`. After it, dealing goes on as if the samples of both had come one after the
    other: at block ``(n + m) % n_blocks`` for `n` and `m` samples. Parts should have many more than `n_blocks` samples:
    each of them starts at block 0.

    *Choosing the blocks.* More blocks bear more spoiled samples, but each has less data. The variance within a block of
    `m` elements is on average ``(m - 1) / m`` of the population's, and the median of skewed data lies beside the mean:
    give each block a hundred samples or more. Samples that are near in time fall into different blocks, so a burst of
    `n_blocks` bad ones in a row reaches every block.

    The state takes `n_blocks` times the memory of that of `Moments`. The numbers of a block are those of `Moments`,
    with all that is said there of precision, integers and threads. Several threads may call `update` at the same time:
    their batches are then dealt in the order in which they are finished.

    References
    ----------
    .. [1] A. S. Nemirovsky, D. B. Yudin, "Problem complexity and method efficiency in optimization", Wiley, 1983.
    .. [2] G. Lugosi, S. Mendelson, "Mean estimation and regression under heavy-tailed distributions: a survey",
       Foundations of Computational Mathematics 19 (2019), 1145-1190.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.stats import MedianOfMeans, Moments
    >>> x = np.tile([[1.0], [3.0]], (500, 1))
    >>> x[123] = 1e9
    >>> Moments().update(x).mean
    array([1000001.997])
    >>> MedianOfMeans(5).update(x).mean
    array([2.])
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, n_blocks: int = 10, channel_axis: int | tuple[int, ...] | None = -1) -> None:
        if isinstance(n_blocks, (bool, np.bool_)) or not hasattr(n_blocks, "__index__"):
            raise TypeError(f"n_blocks must be an int; got {shown(n_blocks)}")
        if index(n_blocks) < 1:
            raise ValueError(f"n_blocks must be at least 1; got {n_blocks}")
        self._begin(index(n_blocks), Moments(channel_axis).channel_axis)

    def _begin(self, n_blocks: int, channel_axis: int | tuple[int, ...] | None) -> None:
        self._n_blocks = n_blocks
        self._axes = channel_axis
        self._lock = Lock()
        self._state = _State(self._empty(), 0, None)

    def _empty(self) -> Moments:
        """Nothing seen yet: the first axes of what it is given are blocks and channels."""
        return Moments(tuple(range(1 + len(axes_of(self._axes)))))

    def update(self, x: ArrayLike, weights: ArrayLike | None = None, mask: ArrayLike | None = None) -> Self:
        """Take in a batch.

        Parameters
        ----------
        x : array-like
            Any shape and any strides; read where it lies. NaN is left out.
        weights : array-like of shape (n_samples,) or of the shape of `x`, default=None
            Weights of the samples (along the first axis) or of the elements; finite and not negative.
        mask : array-like of bool, default=None
            True for the elements that count; of a shape that broadcasts to that of `x`.

        Returns
        -------
        self : MedianOfMeans
            Itself.

        Raises
        ------
        TypeError
            If `x` has a dtype that is not accepted.
        ValueError
            If `x` contains infinity, has other channels than before or no axis that is not kept, or the weights or the
            mask do not fit. The state stays as it was.
        """
        return self._update_as("x", x, weights, mask)

    def _update_as(
        self, name: str, x: ArrayLike, weights: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Self:
        """`update`, with the name that error messages are to use for `x`."""
        array, own = unmasked(name, x)
        mask = both(own, mask, array.shape)
        kept = kept_axes(array.shape, self._axes)
        channels = tuple(array.shape[axis] for axis in kept)
        self._check_channels(name, channels)
        if not self._axis_given and array.ndim in (3, 4) and self._state.channels is None:
            warn_of_shape(name, array.shape)
        reduced = [axis for axis in range(array.ndim) if axis not in kept]
        if not reduced:
            raise ValueError(
                f"channel_axis={shown(self._axes)} keeps every axis of {name}, which has shape {array.shape}; one axis "
                "must be left, along which samples are dealt to blocks"
            )
        order = (reduced[0], *kept, *reduced[1:])
        if weights is not None:
            weights = weights_of_elements(weights, array, 0 in kept, self._axes)
        if mask is not None:
            mask = as_mask(mask, array, "x")
        arrays = [None if each is None else each.transpose(order) for each in (array, weights, mask)]
        batch, samples = self._deal(name, arrays, len(kept)), array.shape[order[0]]
        with self._lock:
            self._check_channels(name, channels)
            first = self._state.following
            self._join(self._shifted(batch, first) if first else batch, samples, channels)
        return self

    def _join(self, moments: Moments, samples: int, channels: tuple[int, ...]) -> None:
        """Take over blocks, with the lock held."""
        state = self._state
        joined = _countable(state.moments + moments)
        self._state = _State(joined, (state.following + samples) % self._n_blocks, channels)

    def _deal(self, name: str, arrays: list[NDArray[Any] | None], channel_axes: int) -> Moments:
        """Deal an array, its weights and its mask, samples first, then channels, from block 0 on."""

        def part(start: int, stop: int, blocks: int) -> list[Any]:
            return [None if each is None else split(each[start:stop], blocks, channel_axes) for each in arrays]

        samples = len(arrays[0])  # type: ignore[arg-type]
        rest = samples % self._n_blocks
        batch = self._empty()
        if rest < samples or samples == 0:
            batch._update_as(name, *part(0, samples - rest, self._n_blocks))
        if rest:
            batch += self._shifted(self._empty()._update_as(name, *part(samples - rest, samples, rest)), 0)
        return batch

    @classmethod
    def _of_groups(
        cls,
        name: str,
        x: NDArray[Any],
        dealt: Dealt,
        kept: tuple[int, ...],
        *weights: NDArray[Any],
    ) -> MedianOfMeans:
        """Deal the samples of groups, along the first axis, in one pass; groups are the first axis of the channels."""
        groups, n_blocks = len(dealt.sizes), dealt.n_blocks
        moments = Moments._of_groups(name, x, dealt.codes, n_blocks * groups, kept, *weights)
        whole = cls(n_blocks, (0, *(axis + 1 for axis in kept)))
        state = moments.__getstate__()
        channels = (groups, *state["shape"][1:])
        blocks = whole._empty()
        blocks.__setstate__({**state, "shape": (n_blocks, *channels)})
        whole._state = _State(blocks, 0, channels)
        return whole

    def _apart(self, empty: Callable[[], MedianOfMeans], dealt: Dealt) -> list[MedianOfMeans]:
        """Take groups apart: give each statistics of its own, to be joined to those that its samples go on from."""
        state = self._state.moments.__getstate__()
        n_blocks, groups, *channels = state["shape"]
        following = (dealt.sizes % n_blocks).tolist()
        states, parts = taken_apart(state, groups, (n_blocks, *channels), n_blocks), []
        for next_block, own in zip(following, states, strict=True):
            part = empty()
            blocks = part._empty()
            blocks.__setstate__(own)
            part._state = _State(blocks, next_block, tuple(channels))
            parts.append(part)
        return parts

    def _shifted(self, moments: Moments, first: int) -> Moments:
        """Give the blocks of `moments`, which may be fewer than all, numbers from `first` on, round the circle."""
        state = moments.__getstate__()
        number, *channels = state["shape"]
        state["shape"] = (self._n_blocks, *channels)
        table = state["sums"]
        if len(table):
            # Rows are in the order of blocks. Zeros are those of what has seen nothing.
            blocks = np.zeros((self._n_blocks, len(table) // number, table.shape[1]), table.dtype)
            blocks[:number] = table.reshape(number, *blocks.shape[1:])
            state["sums"] = np.roll(blocks, first, axis=0).reshape(-1, table.shape[1])
        shifted = self._empty()
        shifted.__setstate__(state)
        return shifted

    def _check_channels(self, name: str, channels: tuple[int, ...]) -> None:
        ours = self._state.channels
        if ours is not None and ours != channels:
            raise ValueError(
                f"{name} has channels of shape {channels}; the statistics so far have channels of shape {ours}"
            )

    def merge(self, other: MedianOfMeans) -> Self:
        """Change `self`: join statistics that were gathered apart, block by block.

        Parameters
        ----------
        other : MedianOfMeans
            With as many blocks and with channels of the same shape, or empty. It is not changed.

        Returns
        -------
        self : MedianOfMeans
            Itself.

        Raises
        ------
        TypeError
            If `other` is something else.
        ValueError
            If the number of blocks or the channels differ. The state stays as it was.

        Examples
        --------
        >>> from planish.stats import MedianOfMeans
        >>> here = MedianOfMeans(3, channel_axis=None).update([1.0, 2.0, 3.0])
        >>> there = MedianOfMeans(3, channel_axis=None).update([5.0, 4.0, 99.0])
        >>> here.merge(there).mean
        np.float64(3.0)
        """
        if not isinstance(other, MedianOfMeans):
            raise TypeError(f"other must be a MedianOfMeans; got a {type(other).__name__}")
        if other._n_blocks != self._n_blocks:
            raise ValueError(f"other has n_blocks={other._n_blocks}; this one has n_blocks={self._n_blocks}")
        theirs = other._state
        if theirs.channels is not None:
            with self._lock:
                self._check_channels("other", theirs.channels)
                self._join(theirs.moments, theirs.following, theirs.channels)
        return self

    def __add__(self, other: object) -> MedianOfMeans:
        if not isinstance(other, MedianOfMeans):
            return NotImplemented
        result = MedianOfMeans(self._n_blocks, self._axes)
        result._state, result._axis_given = self._state, self._axis_given
        return result.merge(other)

    def __radd__(self, zero: object) -> MedianOfMeans:
        # What `sum` starts from.
        return MedianOfMeans(self._n_blocks, self._axes) + self if type(zero) is int and zero == 0 else NotImplemented

    def __iadd__(self, other: object) -> Self:
        if not isinstance(other, MedianOfMeans):
            return NotImplemented
        return self.merge(other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MedianOfMeans):
            return NotImplemented
        return (self._n_blocks, self._axes, self._state) == (other._n_blocks, other._axes, other._state)

    def __repr__(self) -> str:
        return text(self, self._parameters(), _SHOWN)

    def _repr_html_(self) -> str:
        return html(self, self._parameters(), _SHOWN)

    def _parameters(self) -> str:
        return f"n_blocks={self._n_blocks}, channel_axis={self._axes}"

    def __getstate__(self) -> dict[str, Any]:
        state = self._state
        return {
            "version": _VERSION,
            "n_blocks": self._n_blocks,
            "channel_axis": self._axes,
            "moments": state.moments,
            "next_block": state.following,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        names = ("version", "n_blocks", "channel_axis", "moments", "next_block")
        missing = [name for name in names if name not in state]
        if missing:
            raise ValueError(f"the saved state has no {missing[0]!r}")
        version, n_blocks, channel_axis, moments, following = (state[name] for name in names)
        if version != _VERSION:
            raise ValueError(f"the saved state has version {version}; this planish reads {_VERSION}")
        try:
            read = MedianOfMeans(n_blocks, channel_axis)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the saved state is damaged: {quoted(error)}") from error
        if not isinstance(moments, Moments) or moments.channel_axis != read._empty().channel_axis or moments.ddof:
            raise ValueError("the saved state has no valid moments")
        shape = moments.__getstate__()["shape"]
        if shape is not None and (len(shape), shape[0]) != (1 + len(axes_of(read._axes)), read._n_blocks):
            raise ValueError("the saved state has moments of other blocks or channels")
        if type(following) is not int or not 0 <= following < (1 if shape is None else read._n_blocks):
            raise ValueError("the saved state has no valid next block")
        self._begin(read._n_blocks, read._axes)
        moments = _countable(moments + self._empty())
        self._axis_given = True
        self._state = _State(moments, following, None if shape is None else tuple(shape[1:]))

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self._n_blocks

    @property
    def channel_axis(self) -> int | tuple[int, ...] | None:
        """The axis or axes that keep their own statistics."""
        return self._axes

    def _lacks(self) -> tuple[NDArray[np.bool_], bool, bool]:
        """Tell which channels lack a variance for want of numbers in blocks, whether all do, and of empty blocks.

        A block with a single number has no variance. Where the means of all blocks are equal, the channel is constant.
        """
        state = self._state
        if state.channels is None:
            return np.zeros(0, bool), False, False
        means, var, counts = state.moments.mean, state.moments.var, np.asarray(state.moments.count)
        with np.errstate(invalid="ignore"):
            differ = np.fmax.reduce(means, axis=0) > np.fmin.reduce(means, axis=0)
        lacking = np.asarray((_median(var) == 0) & differ)
        empty = (counts.reshape(len(counts), -1) == 0).all(axis=1).any()
        return lacking, bool(lacking.any() and (lacking == differ).all()), bool(empty)

    @property
    def count(self) -> NDArray[Any]:
        """Number of elements, or sum of their weights, of each channel."""
        state = self._state
        return state.moments.count if state.channels is None else state.moments.count.sum(axis=0)

    def _finish(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        count = self.count
        same = count.size > 0 and (count == count.flat[0]).all()
        return count.flat[0] if same else count, self.mean, self.var, self.scale

    @property
    def mean(self) -> NDArray[np.float64]:
        """Median over the blocks of the mean of each channel."""
        state = self._state
        return state.moments.mean if state.channels is None else _median(state.moments.mean)

    @property
    def var(self) -> NDArray[np.float64]:
        """Median over the blocks of the population variance of each channel."""
        state = self._state
        return state.moments.var if state.channels is None else _median(state.moments.var)

    @property
    def std(self) -> NDArray[np.float64]:
        """Square root of the variance of each channel; it may be in range where the variance is not."""
        state = self._state
        return state.moments.std if state.channels is None else _deviation(state.moments.var, state.moments.std)

    @property
    def scale(self) -> NDArray[np.float64]:
        """What a scaler divides each channel by."""
        moments, _, channels = self._state
        if channels is None:
            return moments.scale
        # A block whose variance is mere rounding has none: by the rule of `Moments`, which says so with a scale of 1.
        constant = (moments.scale == 1) & (moments.std != 1)
        std = _deviation(np.where(constant, 0.0, moments.var), np.where(constant, 0.0, moments.std))
        return np.where(std == 0, 1.0, std)[()]


def _countable(moments: Moments) -> Moments:
    """`moments`, if NumPy's integers can hold the counts of all blocks together."""
    counts = moments.count
    # Sums of doubles are off by less than what a block less would make, and do not wrap around.
    if counts.size and counts.dtype.kind == "i" and counts.sum(axis=0, dtype=np.float64).max() >= 2.0**63:
        raise ValueError("the blocks have more than 2**63 - 1 elements of one channel together")
    return moments


def _deviation(var: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root of the median over the blocks of `var`, in units of the largest `std` where that is out of range."""
    median = np.asarray(_median(var))
    found = np.sqrt(median)
    beyond = ~((median > _SQUARES[0]) & (median < _SQUARES[1]) | np.isnan(median))
    if beyond.any():
        unit = np.fmax.reduce(std, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.sqrt(_median((std / unit) ** 2)) * unit
        found = np.where(beyond, np.where(unit == 0, 0.0, scaled), found)
    return found[()]


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median along the first axis, NaN left out; NaN where nothing else is."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    votes = np.count_nonzero(~np.isnan(values), axis=0)

    def at(position: Any) -> Any:
        return np.take_along_axis(ordered, np.asarray(position)[np.newaxis], axis=0)[0]

    low, high = at(np.maximum(votes - 1, 0) // 2), at(votes // 2)
    with np.errstate(invalid="ignore"):
        # Halves do not overflow.
        median: NDArray[np.float64] = np.where(low == high, low, low / 2 + high / 2)
    return median[()]

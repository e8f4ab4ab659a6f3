"""A given range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse

from planish import _core
from planish._atomic import all_or_nothing
from planish.files.values import fields
from planish.scalers._base import Affine
from planish.scalers._constants import constants, is_constant, warn_of_empty_channels
from planish.scalers._state import (
    Parameters,
    Part,
    State,
    axes,
    pair,
    per_channel,
    result_dtype,
    rows,
    samples,
    truth,
)
from planish.scalers._streaming import StreamingScaler, given_as, known_extrema, update_extrema
from planish.stats import Extrema
from planish.stats._state import Accumulator


class _Maps(Part):
    """The maps from end to end, and the attributes as bytes to which they belong."""

    fields = ("exact",)
    #: The parameters of the map, in files.
    _parts = tuple(
        per_channel(name, none=name in ("end", "rest", "narrow"))
        for name in ("low", "divisor", "end", "rest", "narrow")
    )

    def write(self, value: Any) -> dict[str, Any]:
        """Write the parameters of the map."""
        _, (shift, scale, offset, _, rest, narrow), _ = value
        document: dict[str, Any] = {}
        for part, parameter in zip(self._parts, (shift, scale, offset, rest, narrow), strict=True):
            document |= part.write(parameter)
        return {"exact": document}

    def read(self, found: dict[str, Any], owner: Any) -> Any:
        """Read the parameters of the map, of which `_use_maps` makes it."""
        exact = fields("exact", found["exact"], [part.field for part in self._parts])
        return [part.read(exact, owner) for part in self._parts]

    def shape(self, value: Any) -> tuple[int, ...] | None:
        """Give the shape of the parameters."""
        forward = value[1]
        shapes = {np.shape(part) for part in (forward.shift, *forward[1:3], *forward[4:]) if part is not None}
        if len(shapes) > 1:
            raise ValueError(f"exact has shapes {sorted(shapes)}; they must be equal")
        shape: tuple[int, ...] = shapes.pop()
        return shape

    def split(self, known: Mapping[str, Any], count: int) -> Any:
        """Share out the maps, and the attributes to which they belong."""
        attributes, *maps = (
            zip(*(rows(part, count) for part in parts), strict=True)
            for parts in ((known["min_"], known["scale_"]), *known["_exact"][1:])
        )
        return [
            ((low.tobytes(), scale.tobytes()), Affine(*forward), Affine(*inverse))
            for (low, scale), forward, inverse in zip(attributes, *maps, strict=True)
        ]


class MinMaxScaler(StreamingScaler):
    """Scale channels to a given range.

    scikit-learn's `MinMaxScaler` for arrays of any shape, dtype and strides, read in place:
    ``z = (x - min) / (max - min) * (b - a) + a`` with the extrema of the elements that share a channel and the
    range from `a` to `b`.

    Parameters
    ----------
    feature_range : tuple of (float, float), default=(0, 1)
        The range of results for the data that was fitted.
    copy : bool, default=True
        False maps writeable floating-point arrays in place.
    clip : bool, default=False
        Whether to limit results to `feature_range`.
    channel_axis : int, tuple of int or None, default=-1
        The axis or axes that keep their own extrema: -1 for the columns of a table and for NHWC images, -3 for NCHW,
        None for one range of everything.
    dtype : dtype, default=None
        The dtype of results: float16, bfloat16, float32 or float64. None keeps that of floating-point input and makes
        float64 of integers.

    Attributes
    ----------
    min_ : ndarray of the shape of the kept axes
        What `transform` adds in the end: ``a - data_min_ * scale_``.
    scale_ : ndarray of the shape of the kept axes
        Results per unit of the data: ``(b - a) / data_range_``.
    data_min_, data_max_ : ndarray of the shape of the kept axes
        Extrema of each channel. These and the other attributes have the dtype of floating-point data, else float64.
    data_range_ : ndarray of the shape of the kept axes
        ``data_max_ - data_min_``.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of a DataFrame, where `fit` saw one whose names are all strings.
    n_samples_seen_ : int
        Elements of a channel, NaN and all.

    See Also
    --------
    planish.minmax_scale : the same in one call.
    planish.stats.Extrema : the streaming accumulator behind `fit`.

    Notes
    -----
    NaN is skipped in `fit` and kept in `transform`; infinity is an error in both. `transform` subtracts an end of the
    range of the data first: it is within one ulp, minimum and maximum are mapped to exactly `a` and `b` (as the dtype
    of the result rounds them), and nothing between them leaves the range, however far the data are from zero. A channel
    is constant, and moved to `a` without being scaled, where its range is no more than ten steps of double precision
    beside its values. Where `min_` or `scale_` have been replaced, they are used as scikit-learn would.

    Examples
    --------
    >>> from planish import MinMaxScaler
    >>> table = [[-1, 2], [-0.5, 6], [0, 10], [1, 18]]
    >>> scaler = MinMaxScaler().fit(table)
    >>> scaler.data_max_
    array([ 1., 18.])
    >>> scaler.transform([[2, 2]])
    array([[1.5, 0. ]])
    """

    _given: ClassVar[Parameters] = Parameters(
        pair("feature_range"), truth("copy"), truth("clip"), axes(shared=True), result_dtype()
    )
    _learned: ClassVar[State] = State(
        samples(),
        *map(per_channel, ("min_", "scale_", "data_min_", "data_max_")),
        per_channel("data_range_", negative=False),
        _Maps("_exact"),
        Accumulator("_statistics", "statistics"),
        columns=True,
    )
    _accumulator: ClassVar[Any] = Extrema
    data_min_: NDArray[Any]
    data_max_: NDArray[Any]
    data_range_: NDArray[Any]
    min_: NDArray[Any]
    scale_: NDArray[Any]
    _exact: tuple[tuple[bytes, bytes], Affine, Affine]

    def __init__(
        self,
        feature_range: tuple[float, float] = (0, 1),
        *,
        copy: bool = True,
        clip: bool = False,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.feature_range = feature_range
        self.copy = copy
        self.clip = clip
        self.channel_axis = channel_axis
        self.dtype = dtype

    @classmethod
    def from_stats(
        cls,
        data_min: ArrayLike,
        data_max: ArrayLike,
        *,
        feature_range: tuple[float, float] = (0, 1),
        n_samples: int | None = None,
        copy: bool = True,
        clip: bool = False,
        channel_axis: int | tuple[int, ...] | None = -1,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Make a fitted scaler from a known range.

        Parameters
        ----------
        data_min, data_max : array-like of the shape of the kept axes
            Smallest and largest value of each channel.
        n_samples : int, default=None
            Number of elements of each channel that the constants come from, if they are to count as such; the scaler
            can go on from here in any case.
        feature_range, copy, clip, channel_axis, dtype
            As for the constructor.

        Returns
        -------
        MinMaxScaler
            A fitted scaler.

        Raises
        ------
        TypeError
            If the constants are not real numbers.
        ValueError
            If the shapes differ, a constant is not finite, or a minimum is above its maximum.

        Examples
        --------
        >>> from planish import MinMaxScaler
        >>> lidar = MinMaxScaler.from_stats(0.0, 120.0, channel_axis=None, clip=True)
        >>> lidar.transform([[30.0, 150.0]])
        array([[0.25, 1.  ]])
        """
        scaler = cls(feature_range, copy=copy, clip=clip, channel_axis=channel_axis, dtype=dtype)
        scaler._check_domains()
        scaler._check_dtype()
        low, high = constants(channel_axis, data_min=data_min, data_max=data_max)
        if (low > high).any():
            raise ValueError(f"data_min must not be above data_max; got {low} and {high}")
        samples = _sample_count(n_samples)
        scaler._statistics = Extrema.from_stats(max(samples, 1), low, high, channel_axis)
        scaler.n_features_in_ = low.size
        scaler._learn(scaler._statistics, samples, np.dtype(np.float64))
        return scaler

    @all_or_nothing
    def fit(self, X: ArrayLike, y: object = None, *, mask: ArrayLike | None = None) -> Self:
        """Compute minimum and maximum of each channel.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with `channel_axis`
            The data. Read where it lies, once.
        y : None
            Ignored.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : MinMaxScaler
            The fitted scaler.

        Raises
        ------
        TypeError
            If `X` is sparse, or has a dtype that is neither accepted nor converted.
        ValueError
            If `X` is empty, of the wrong dimension or contains infinity, or `feature_range` does not ascend.
        """
        self._reset()
        return self.partial_fit(X, y, **given_as(mask=mask))

    @all_or_nothing
    def partial_fit(self, X: ArrayLike, y: object = None, *, mask: ArrayLike | None = None) -> Self:
        """Go on with another batch: the result is that of all batches at once.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with the same channels
            The batch.
        y : None
            Ignored.
        mask : array-like of bool, default=None
            True for the elements that count: others (no data, padding, background) are left out. Of a shape that
            broadcasts to that of `X`.

        Returns
        -------
        self : MinMaxScaler
            The fitted scaler.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, and if the channels are others than before. The scaler stays as it was.
        """
        if not self._is_fitted():
            self._check_parameters()
        self._check_domains()
        if issparse(X):
            raise TypeError("MinMaxScaler does not support sparse input. Consider using MaxAbsScaler instead.")
        return self._fit_batch(X, mask=mask)

    def _check_domains(self) -> None:
        if self.feature_range[0] >= self.feature_range[1]:
            raise ValueError(
                f"Minimum of desired feature range must be smaller than maximum. Got {self.feature_range}."
            )

    def _update(self, statistics: Extrema, X: Any, sample_weight: Any, mask: Any = None) -> None:
        update_extrema(statistics, X, mask)

    def _learn(self, statistics: Extrema, samples: int, dtype: Any) -> None:
        if "data_min_" in self.__dict__:
            dtype = np.result_type(dtype, self.data_min_)
        low, high = statistics.min, statistics.max
        maps, slope, intercept = _range_maps(low, high, self.feature_range)
        warn_of_empty_channels(low)
        with np.errstate(over="ignore", invalid="ignore"):
            self.data_min_, self.data_max_ = low.astype(dtype), high.astype(dtype)
            self.data_range_ = (high - low).astype(dtype)
            self.scale_, self.min_ = slope.astype(dtype), intercept.astype(dtype)
        self.n_samples_seen_ = self.__dict__.get("n_samples_seen_", 0) + samples
        self._use_maps(*maps)

    def _use_maps(self, shift: Any, divisor: Any, offset: Any, rest: Any = None, narrow: Any = None) -> None:
        """Map by these parameters as long as nobody replaces `min_` or `scale_`."""
        forward, inverse = (
            Affine(shift, divisor, offset, True, rest, narrow),
            Affine(offset, divisor, shift, False, rest),
        )
        self._exact = (self._attributes(), forward, inverse)

    def _seen(self) -> tuple[Any, Any]:
        return self.n_samples_seen_, self.data_min_.dtype

    def _restore(self) -> None:
        if not self._is_fitted():
            return
        low, high = (np.asarray(values, np.float64) for values in (self.data_min_, self.data_max_))
        self._statistics = known_extrema(self.n_samples_seen_, low, high, self.channel_axis)
        try:
            maps, *ours = _range_maps(low, high, self.feature_range)
        except ValueError:
            return
        # Attributes that are other than rounding explains have been replaced, or are of another rule.
        step = 8 * np.finfo(self.scale_.dtype).eps
        bounds = step * np.abs(ours[0]), step * (np.abs(low * ours[0]) + max(map(abs, self.feature_range)))
        pairs = zip((self.scale_, self.min_), ours, bounds, strict=True)
        if all(np.all((np.abs(theirs - own) <= bound) | np.isnan(own)) for theirs, own, bound in pairs):
            self._use_maps(*maps)

    def _known(self) -> dict[str, Any]:
        # The maps are of no use where an attribute has been replaced.
        skipped = "_exact" if "_exact" in self.__dict__ and self._exact[0] != self._attributes() else None
        return {name: value for name, value in vars(self).items() if name != skipped}

    def _take_in(self, known: dict[str, Any]) -> None:
        if "_exact" in known:
            self.__dict__.update(known)
            self._use_maps(*known["_exact"])
            known = {**known, "_exact": self._exact}
        super()._take_in(known)

    def _attributes(self) -> tuple[bytes, bytes]:
        return self.min_.tobytes(), self.scale_.tobytes()

    def _maps(self) -> tuple[Affine, Affine]:
        """Give the map and its inverse: from end to end, unless `min_` or `scale_` are no longer what `fit` made."""
        if "_exact" in self.__dict__ and self._exact[0] == self._attributes():
            return self._exact[1:]
        return Affine(None, self.scale_, self.min_, False), Affine(self.min_, self.scale_, None, True)

    def _forward(self) -> Affine:
        return self._maps()[0]

    def _inverse(self) -> Affine:
        return self._maps()[1]

    def _limits(self) -> tuple[float, float] | None:
        return (float(self.feature_range[0]), float(self.feature_range[1])) if self.clip else None


def _range_maps(low: Any, high: Any, feature_range: tuple[float, float]) -> tuple[list[Any], Any, Any]:
    """Give the parameters of the map from the range of each channel to `feature_range`, its slope and its intercept."""
    a, b = map(float, feature_range)
    try:
        maps = _core.range_maps(low, high, is_constant(low, high), a, b)
    except ValueError as error:
        raise ValueError(f"feature_range={feature_range} does not suit the data: {error}") from None
    *maps, slope, intercept = maps
    return maps, slope, intercept


def _sample_count(n_samples: int | None) -> int:
    """Check the number of samples that constants come from; zero where it is not known."""
    if n_samples is None:
        return 0
    if n_samples != int(n_samples) or n_samples < 1:
        raise ValueError(f"n_samples must be a positive whole number; got {n_samples}")
    return int(n_samples)

"""From decoded pixels to network input in one pass.

One class, whose documentation is half of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from planish import _core
from planish._adding import Addable
from planish._atomic import all_or_nothing
from planish._border import axes_of, result_dtype, shown
from planish._core import Moments
from planish._mistakes import looks_like_bytes, warn
from planish.images import inputs
from planish.images._state import GIVEN, LEARNED
from planish.scalers._state import Parameters, State

Layout: TypeAlias = Literal["NHWC->NCHW", "NHWC->NHWC", "NCHW->NCHW", "NCHW->NHWC"]
Normalization: TypeAlias = Literal["standard", "image", "image_per_channel", "min_max", "min_max_per_channel"]

#: The axis of the channels in images of each layout.
_CHANNELS = {"NHWC": -1, "NCHW": -3}
#: What each way to normalise an image by itself is made of, and whether per channel.
_STATISTICS: dict[str, tuple[str | None, bool]] = {
    "standard": (None, True),
    "image": ("std", False),
    "image_per_channel": ("std", True),
    "min_max": ("range", False),
    "min_max_per_channel": ("range", True),
}
#: Added to the standard deviation or range of an image, in pixels: what albumentations adds.
_EPSILON = 1e-4
#: The data set whose constants most published models were trained with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ImageNormalizer(Addable):
    """Cast, scale, subtract, divide, transpose and stack images in one pass.

    ``(pixel * scale - mean) / std`` for each channel, from the pixels that a decoder gives to what a network takes. An
    instance is a function of one image, of a batch, or of a list of images, which it stacks: it serves as `transform`
    and in `collate_fn` of a data loader. Views cost nothing: crops, mirrored images and swapped channels are read where
    they lie.

    Parameters
    ----------
    mean : float or array-like, default=None
        Mean of the scaled pixels: one for all channels, one for each, or of the shape of the axes `channel_axis`. None
        is learnt by `fit`.
    std : float or array-like, default=None
        Standard deviation of the scaled pixels, likewise. None is learnt by `fit`.
    scale : 'auto' or float, default='auto'
        What pixels are multiplied by first. 'auto' divides unsigned integers by the maximum of their dtype (255 for
        uint8, 65535 for uint16) and leaves signed integers and floats as they are, so that `mean` and `std` are
        torchvision's.
    layout : {'NHWC->NCHW', 'NHWC->NHWC', 'NCHW->NCHW', 'NCHW->NHWC'}, default='NHWC->NCHW'
        Order of the axes of a batch before and after; a single image has no N.
    dtype : dtype, default='float32'
        The dtype of results: float16, bfloat16 (of the package ml_dtypes), float32 or float64.
    normalization : str, default='standard'
        'standard' uses `mean` and `std`. The others take the statistics of each image itself, as albumentations has
        them: 'image' its mean and standard deviation, 'image_per_channel' those of each channel, 'min_max' and
        'min_max_per_channel' minimum and range. 1e-4 (of unscaled pixels) is added to what is divided by; `scale` is
        not used. albumentations also limits results: ``clip=(-20, 20)``.
    clip : (float, float), default=None
        The least and the largest result.
    channel_axis : int or tuple of int, default=None
        The axes of an image, counted from the end, that have constants of their own. None is the axis of the channels;
        (-3, -2, -1) makes a mean image.

    Attributes
    ----------
    mean_ : ndarray of float64, of the shape of the kept axes, or ()
        Mean of the scaled pixels.
    std_ : ndarray of float64, of the shape of the kept axes, or ()
        Standard deviation of the scaled pixels (of the population).
    n_pixels_seen_ : int
        Number of pixels that `fit` and `partial_fit` have seen, those with NaN included.

    Notes
    -----
    Pixels are summed exactly; images may differ in size and dtype. NaN is left out
    of statistics and stays NaN in results; infinity is an error in `fit`. Results are within one ulp, in `dtype`, of
    what the constants in units of pixels give exactly: those are `mean` and `std` over the scale, rounded to double
    precision. `mean_` and `std_` describe all pixels of the data set: they are not means of the means and of the
    standard deviations of images. Channels that are constant are divided by one.

    Examples
    --------
    >>> import numpy as np
    >>> from planish import ImageNormalizer
    >>> image = np.full((224, 224, 3), 128, np.uint8)
    >>> normalize = ImageNormalizer.imagenet()
    >>> normalize(image).shape
    (3, 224, 224)
    >>> normalize([image, image[:, ::-1]])[:, :, 0, 0].round(3)
    array([[0.074, 0.205, 0.426],
           [0.074, 0.205, 0.426]], dtype=float32)
    >>> learnt = ImageNormalizer().fit(np.array([[[[0, 51]], [[255, 153]]]], np.uint8))
    >>> learnt.mean_, learnt.std_
    (array([0.5, 0.4]), array([0.5, 0.2]))
    """

    _given: ClassVar[Parameters] = GIVEN
    _learned: ClassVar[State] = LEARNED
    mean_: NDArray[np.float64]
    std_: NDArray[np.float64]
    n_pixels_seen_: int
    _looks = 0

    def __init__(
        self,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        *,
        scale: Literal["auto"] | float = "auto",
        layout: Layout = "NHWC->NCHW",
        dtype: DTypeLike = "float32",
        normalization: Normalization = "standard",
        clip: tuple[float, float] | None = None,
        channel_axis: int | tuple[int, ...] | None = None,
    ) -> None:
        self.mean = inputs.constants("mean", mean)
        self.std = inputs.constants("std", std)
        if self.std is not None and not (self.std > 0).all():
            raise ValueError(f"std must be positive; got {shown(self.std.tolist())}")
        if self.mean is not None and self.std is not None:
            shapes = {a.shape for a in (self.mean, self.std) if a.size > 1}
            if len(shapes) > 1:
                raise ValueError(
                    f"mean has shape {self.mean.shape}, std has shape {self.std.shape}; they must be equal"
                )
        self.scale = inputs.pixel_scale(scale)
        sides = str(layout).split("->")
        if len(sides) != 2 or not set(sides) <= set(_CHANNELS):
            names = ", ".join(f"{a}->{b}" for a in _CHANNELS for b in _CHANNELS)
            raise ValueError(f"layout={shown(layout)} is none of {names}")
        self.layout = layout
        self._source, self._target = (_CHANNELS[side] for side in sides)
        self.dtype = dtype
        self._dtype = result_dtype(dtype)
        if not isinstance(normalization, str) or normalization not in _STATISTICS:
            raise ValueError(f"normalization={shown(normalization)} is none of {', '.join(map(repr, _STATISTICS))}")
        self.normalization = normalization
        self.clip = inputs.limits(clip)
        self.channel_axis = channel_axis
        self._axes = self._source if channel_axis is None else channel_axis
        axes = axes_of(self._axes)
        if not all(isinstance(axis, int) and -3 <= axis < 0 for axis in axes) or len(set(axes)) < len(axes):
            raise ValueError(
                f"channel_axis={shown(channel_axis)} must name axes of an image, counted from the end: -1, -2 or -3"
            )
        for name, constant in (("mean", self.mean), ("std", self.std)):
            if constant is not None and constant.ndim not in (0, len(axes)) and constant.size > 1:
                raise ValueError(
                    f"{name} has shape {constant.shape}; accepted are a number, or an array of {len(axes)} axis or "
                    f"axes: one number for each position along channel_axis={self._axes}"
                )
        #: How many more pictures of floats are looked at: whether constants of pixels from 0 to 1 suit them.
        given = normalization == "standard" and scale == "auto" and self.mean is not None and self.std is not None
        self._looks = 16 if given and max(self.mean.max(), self.std.max()) <= 1 else 0  # type: ignore[union-attr]
        self._reset()

    # --- presets -------------------------------------------------------------------------------------------------

    @classmethod
    def imagenet(cls, **parameters: Any) -> Self:
        """Normalise with the constants of ImageNet: for most published models.

        Parameters
        ----------
        **parameters
            Further parameters of `ImageNormalizer`.

        Returns
        -------
        normalizer : ImageNormalizer
            With mean (0.485, 0.456, 0.406) and standard deviation (0.229, 0.224, 0.225), for RGB.
        """
        return cls(*_IMAGENET, **parameters)

    @classmethod
    def zero_one(cls, **parameters: Any) -> Self:
        """Scale unsigned pixels to 0 ... 1: for any number of channels.

        Parameters
        ----------
        **parameters
            Further parameters of `ImageNormalizer`.

        Returns
        -------
        normalizer : ImageNormalizer
            With mean 0 and standard deviation 1.
        """
        return cls(0.0, 1.0, **parameters)

    @classmethod
    def minus_one_one(cls, **parameters: Any) -> Self:
        """Scale unsigned pixels to -1 ... 1: for any number of channels.

        Parameters
        ----------
        **parameters
            Further parameters of `ImageNormalizer`.

        Returns
        -------
        normalizer : ImageNormalizer
            With mean 0.5 and standard deviation 0.5.
        """
        return cls(0.5, 0.5, **parameters)

    @classmethod
    def zero_mean(cls, mean: ArrayLike | None = None, **parameters: Any) -> Self:
        """Subtract the mean and divide by nothing.

        Parameters
        ----------
        mean : float or array-like, default=None
            The mean of the scaled pixels, or of every position of the image with ``channel_axis=(-3, -2, -1)``. None is
            learnt by `fit`.
        **parameters
            Further parameters of `ImageNormalizer`.

        Returns
        -------
        normalizer : ImageNormalizer
            With standard deviation 1.

        Examples
        --------
        >>> import numpy as np
        >>> from planish import ImageNormalizer
        >>> batch = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
        >>> ImageNormalizer.zero_mean(channel_axis=(-3, -2, -1)).fit(batch).mean_.shape
        (8, 8, 3)
        """
        return cls(mean, 1.0, **parameters)

    # --- statistics ----------------------------------------------------------------------------------------------

    @all_or_nothing
    def fit(self, X: ArrayLike | Iterable[ArrayLike], y: object = None) -> Self:
        """Learn mean and standard deviation of a data set; constants that were given stay.

        Parameters
        ----------
        X : image, batch of images, or iterable of images
            Arrays with 3 axes or batches with 4, in the layout's first order, of any sizes and one number of channels.
            A generator is consumed image by image.
        y : None
            Ignored.

        Returns
        -------
        self : ImageNormalizer
            Fitted.

        Raises
        ------
        TypeError
            If an image has a dtype that is not accepted.
        ValueError
            If there is no image, or an image has other axes or channels, or contains infinity.
        """
        self._reset()
        return self.partial_fit(X)

    @all_or_nothing
    def partial_fit(self, X: ArrayLike | Iterable[ArrayLike], y: object = None) -> Self:
        """Go on learning with more images. After an error nothing of them has been taken in.

        Parameters
        ----------
        X : image, batch of images, or iterable of images
            As for `fit`.
        y : None
            Ignored.

        Returns
        -------
        self : ImageNormalizer
            Fitted on all images so far.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.
        """
        statistics: dict[float, Moments] = {}
        pixels = 0
        for group in inputs.images(X):
            of_dtype: dict[np.dtype[Any], tuple[list[str], list[NDArray[Any]]]] = {}
            for name, image in group:
                if image.ndim not in (3, 4):
                    raise ValueError(f"{name} has shape {image.shape}; an image has 3 axes, a batch of them 4")
                if image.size == 0:
                    raise ValueError(f"{name} has shape {image.shape}, and no pixel")
                if image.dtype.kind == "O":
                    raise TypeError(f"{name} has dtype object; numbers are accepted")
                pixels += image.size // image.shape[self._source]
                names, arrays = of_dtype.setdefault(image.dtype, ([], []))
                names.append(name)
                arrays.append(image)
            for dtype, (names, arrays) in of_dtype.items():
                unit = inputs.largest(dtype) if self.scale == "auto" else 1.0 / self.scale
                moments = statistics.setdefault(unit, Moments(self._axes))._update_each(names, arrays)
                self._check_channels(f"{names[0]} has shape {arrays[0].shape}, and so", moments, arrays[0].shape[-3:])
        if pixels == 0:
            raise ValueError("X has no image; at least one is needed")
        self._join(statistics, pixels)
        return self

    def _check_channels(self, what: str, moments: Moments, image: tuple[int, ...] = ()) -> None:
        """Constants that were given tell how many channels there are, and so do images of before."""
        sizes = {constants.size for constants in (self.mean, self.std) if constants is not None}
        channels = moments.count.size
        if not sizes <= {1, channels}:
            given = max(sizes)
            hint = inputs.other_layout(image, self._source, given)
            raise ValueError(f"{what} {channels} channel(s); mean or std was given with {given}{hint}")
        for before in self._statistics.values():
            if before.count.shape != moments.count.shape:
                raise ValueError(
                    f"{what} channels of shape {moments.count.shape}; those of the images before are of shape "
                    f"{before.count.shape}{inputs.other_layout(image, self._source, before.count.size)}"
                )

    @all_or_nothing
    def merge(self, other: Self) -> Self:
        """Change `self`: join a normaliser that was fitted apart, as if its images had been given to this one.

        ``self + other`` makes a new one and changes neither.

        Parameters
        ----------
        other : ImageNormalizer
            Of the same `scale`, `channel_axis` and order of axes in. It is not changed.

        Returns
        -------
        self : ImageNormalizer
            This one, now fitted on the images of both.

        Raises
        ------
        TypeError
            If `other` is no `ImageNormalizer`.
        ValueError
            If the two do not describe the same channels.
        """
        if not isinstance(other, ImageNormalizer):
            raise TypeError(f"other must be an ImageNormalizer; got {type(other).__name__}")
        for name in ("scale", "_source", "_axes"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(
                    f"other has layout={other.layout!r}, scale={other.scale!r}, channel_axis={other.channel_axis}; "
                    f"this one has layout={self.layout!r}, scale={self.scale!r}, channel_axis={self.channel_axis}"
                )
        for moments in other._statistics.values():
            self._check_channels("other has", moments)
        if other._statistics:
            self._join(other._statistics, other.n_pixels_seen_)
        return self

    def _reset(self) -> None:
        self._learned.reset(self)
        self._statistics: dict[float, Moments] = {}
        self.n_pixels_seen_ = 0
        if self.mean is not None:
            self.mean_ = self.mean.copy()
        if self.std is not None:
            self.std_ = self._divisor = self.std.copy()

    @classmethod
    def _made(cls, parameters: dict[str, Any]) -> Self:
        """Make one of the parameters that a file has, and refuse what they cannot be."""
        normalizer = cls(**parameters)
        number = len(axes_of(normalizer._axes))
        for name in ("mean", "std"):
            value = getattr(normalizer, name)
            if value is not None and value.size > 1 and value.ndim != number:
                raise ValueError(f"{name} has shape {value.shape}, which does not suit channel_axis={normalizer._axes}")
        return normalizer

    def _known(self) -> dict[str, Any]:
        """Give the attributes that are worth saving: those that are not there are None."""
        return {name: self.__dict__.get(name) for name in self._learned}

    def _take_in(self, known: dict[str, Any]) -> None:
        """Take over what was learnt and saved, where all of it agrees."""
        statistics, pixels = known.pop("_statistics"), known.pop("n_pixels_seen_")
        if bool(statistics) != bool(pixels):
            raise ValueError("statistics must be a list, empty where n_pixels_seen_ is 0")
        if statistics:
            self._join(statistics, pixels)
        for name, value in known.items():
            shapes = [None if array is None else array.shape for array in (value, self.__dict__.get(name))]
            if shapes[0] != shapes[1]:
                raise ValueError(f"{name} does not have the shape of what was given or learnt")
            if value is not None:
                setattr(self, name, value)

    def _join(self, statistics: dict[float, Moments], pixels: int) -> None:
        """Add moments of pixels, by what those are divided by."""
        joined = {unit: Moments(self._axes) + moments for unit, moments in self._statistics.items()}
        for unit, moments in statistics.items():
            joined[unit] = joined.get(unit, Moments(self._axes)) + moments
        total = Moments(self._axes)
        # What has no element says nothing.
        telling = {unit: moments for unit, moments in joined.items() if np.any(moments.count)} or joined
        for unit, moments in telling.items():
            if len(telling) == 1 or (telling is joined and not np.any(moments.count)):
                mean, std, constant = moments.mean / unit, moments.std / unit, _constant_channels(moments)
                break
            total += Moments.from_stats(moments.count, moments.mean / unit, moments.var / unit**2, self._axes)
        else:
            mean, std, constant = total.mean, total.std, _constant_channels(total)
        self._statistics = joined
        self.n_pixels_seen_ += pixels
        if self.mean is None:
            self.mean_ = mean
        if self.std is None:
            self.std_ = std
            self._divisor = np.where(constant, 1.0, std)

    # --- maps ----------------------------------------------------------------------------------------------------

    def transform(self, X: ArrayLike | Sequence[ArrayLike], *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Normalise an image, a batch, or a list of images of one size, which become a batch.

        Parameters
        ----------
        X : image, batch of images, or list of images
            Arrays in the layout's first order: NumPy's, PyTorch's on the CPU, Pillow's images, whatever gives an array
            without copying. Read where they lie, whatever their strides.
        out : ndarray of the result's shape and dtype, default=None
            Where to write the result, which is then returned.

        Returns
        -------
        result : ndarray of `dtype`
            One image or a batch in the layout's second order, contiguous.

        Raises
        ------
        TypeError
            If `X` or `out` has a dtype that is not accepted.
        ValueError
            If mean and standard deviation are not known yet, `X` has other axes or channels, the images of a list
            differ, or `out` does not fit, is read-only or overlaps `X`.

        Warns
        -----
        UserWarning
            Once, if pixels are floats of 0 to 255 and ``scale='auto'`` leaves them so, while `mean` and `std` are given
            for pixels of 0 to 1.
        """
        if self._looks:
            self._look_at(X[0] if isinstance(X, list | tuple) and X else X)
        statistics, per_channel = _STATISTICS[self.normalization]
        if statistics is None:
            try:
                mean, divisor = self.mean_, self._divisor
            except AttributeError:
                raise ValueError(
                    "mean and std are not known yet: fit learns them, ImageNormalizer(mean, std) and the presets have "
                    "them, zero_one() only scales"
                ) from None
        else:
            mean = divisor = _NOTHING
        scale = None if self.scale == "auto" else self.scale
        axes = self._axes if per_channel else ()
        # What was learnt is of so many channels, also where that is one.
        learned = (self.mean is None, self.std is None)
        return _core.normalize_images(
            *(X, mean, divisor, learned, scale, statistics, _EPSILON, axes),
            *(self._source, self._target, self._dtype, out, self.clip),
        )

    def __call__(self, X: ArrayLike | Sequence[ArrayLike], *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """`transform`.

        Parameters
        ----------
        X : image, batch of images, or list of images
            As for `transform`.
        out : ndarray of the result's shape and dtype, default=None
            Where to write the result, which is then returned.

        Returns
        -------
        result : ndarray of `dtype`
            As `transform` gives it.
        """
        return self.transform(X) if out is None else self.transform(X, out=out)

    def _look_at(self, image: Any) -> None:
        """Warn once of pixels that are floats and go to 255, where constants are of pixels from 0 to 1."""
        dtype = getattr(image, "dtype", None)
        if not isinstance(dtype, np.dtype):
            try:
                image = np.asarray(image)
            except Exception:  # which is raised again where the image is read
                return
        if image.dtype.kind != "f":
            return
        self._looks -= 1
        if looks_like_bytes(image):
            self._looks = 0
            warn(
                "X holds floats that seem to go from 0 to 255, which scale='auto' leaves as they are, but mean and std "
                "are those of pixels from 0 to 1; scale=1 / 255 maps such pixels, scale=1 says that they are right"
            )

    def fit_transform(self, X: ArrayLike | Sequence[ArrayLike], y: object = None) -> NDArray[Any]:
        """`fit`, then `transform`.

        Parameters
        ----------
        X : image, batch of images, or list of images
            As for `transform`.
        y : None
            Ignored.

        Returns
        -------
        result : ndarray of `dtype`
            As `transform` gives it.
        """
        return self.fit(X).transform(X)

    def inverse_transform(self, X: ArrayLike, dtype: DTypeLike = "uint8") -> NDArray[Any]:
        """Undo `transform`: images to look at.

        Parameters
        ----------
        X : image or batch of images
            As `transform` gives it, in the layout's second order.
        dtype : dtype, default='uint8'
            The dtype of pixels. Integers are rounded to nearest and limited to their range; NaN becomes zero.

        Returns
        -------
        images : ndarray of `dtype`
            Pixels in the layout's first order, contiguous.

        Raises
        ------
        TypeError
            If `dtype` is neither an integer nor a floating-point dtype.
        ValueError
            If each image was normalised by its own statistics, which are not kept, or `X` does not fit.
        """
        if self.normalization != "standard":
            raise ValueError(
                f"normalization={self.normalization!r} took the statistics of each image, which are not kept"
            )
        if not hasattr(self, "mean_") or not hasattr(self, "_divisor"):
            raise ValueError("mean and std are not known yet: fit learns them, ImageNormalizer(mean, std) has them")
        X = inputs.array("X", X)
        dtype = np.dtype(dtype)
        if dtype.kind not in "uif":
            raise TypeError(f"dtype={dtype} is no dtype of pixels; integer and floating-point dtypes are accepted")
        if X.dtype.kind not in "uif" and X.dtype.name != "bfloat16":
            raise TypeError(f"X has dtype {X.dtype}; real numbers are accepted")
        if X.ndim not in (3, 4):
            raise ValueError(f"X has shape {X.shape}; an image has 3 axes, a batch of them 4")
        X = np.moveaxis(X, self._target, self._source)
        mean, divisor = (self._beside(a) for a in (self.mean_, self._divisor))
        for constants in (mean, divisor):
            if not all(ours in (1, theirs) for ours, theirs in zip(constants.shape, X.shape[-3:], strict=False)):
                shape = np.moveaxis(X, self._source, self._target).shape[-3:]
                hint = inputs.other_layout(shape, self._target, constants.size, back=True)
                raise ValueError(f"X has images of shape {shape}; mean has shape {self.mean_.shape}{hint}")
        unit = 1.0 / self.scale if self.scale != "auto" else inputs.largest(dtype)
        pixels = (X.astype(np.float64) * divisor + mean) * unit
        if dtype.kind == "f":
            return np.ascontiguousarray(pixels.astype(dtype))
        limits = np.iinfo(dtype)
        pixels = np.nan_to_num(np.rint(pixels), posinf=np.inf, neginf=-np.inf)
        # The largest integer of 64 bits is no double: what reaches it is put in afterwards.
        above, below = pixels >= float(limits.max), pixels <= float(limits.min)
        images = np.where(above | below, 0, pixels).astype(dtype)
        images[above], images[below] = limits.max, limits.min
        return np.ascontiguousarray(images)

    def _beside(self, constants: NDArray[np.float64]) -> NDArray[np.float64]:
        """Constants of the kept axes in a shape that broadcasts to images."""
        if constants.size == 1:
            return constants.reshape(())
        axes = axes_of(self._axes)
        lengths = dict(zip(sorted(axis % 3 for axis in axes), constants.shape, strict=False))
        return constants.reshape([lengths.get(axis, 1) for axis in range(3)])

    # --- an object among others ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        usual, parts = signature(type(self)).parameters, []
        for name in ("mean", "std"):
            values = getattr(self, f"{name}_", None)
            if values is not None:
                parts.append(f"{name}={_text(values)}")
        for part in self._given.parts[2:]:
            value = getattr(self, part.attribute)
            if value != usual[part.field].default:
                parts.append(f"{part.field}={value!r}")
        if self.n_pixels_seen_:
            parts.append(f"n_pixels_seen_={self.n_pixels_seen_}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageNormalizer):
            return NotImplemented
        return self._given.same(self, other) and self._learned.same(self, other)

    __hash__ = None  # type: ignore[assignment]


def _constant_channels(moments: Moments) -> NDArray[np.bool_]:
    """Say which channels are constant, as the scalers do: there `scale` is one, and the deviation is not."""
    return np.asarray((moments.scale == 1) & (moments.std != 1))


#: In place of constants that are not used.
_NOTHING = np.zeros(())


def _text(values: NDArray[np.float64]) -> str:
    if values.size > 16:
        return f"<array of shape {values.shape}>"
    rounded = [float(f"{value:.6g}") for value in values.reshape(-1)]
    return str(rounded[0] if values.ndim == 0 else rounded)

"""Objects in every state that can be saved, what they are made of bit for bit, and what they make of more data."""

import copy
import warnings

import numpy as np
import pytest
from planish import ImageNormalizer, LogScaler, MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

ACCUMULATORS = (Extrema, MedianOfMeans, Moments, Quantiles)

RNG = np.random.default_rng(7)
TABLE = RNG.normal(3, 100, (50, 4))
WITH_NAN = TABLE.copy()
WITH_NAN[::3, 1] = np.nan
WITH_NAN[:, 2] = np.nan
IMAGES = RNG.integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (2, 5, 7, 3), dtype=np.uint16)


def fitted_apart():
    return StandardScaler().fit(TABLE[:20]).merge(StandardScaler().fit(TABLE[20:]))


def replaced():
    scaler = MinMaxScaler((2, 3)).fit(TABLE)
    scaler.scale_ = scaler.scale_ * 2
    return scaler


def named(scaler):
    pd = pytest.importorskip("pandas")
    return scaler.fit(pd.DataFrame(TABLE, columns=["a", "größe", 'x"[{:\\', ""])).set_output(transform="pandas")


def taken_over(cls, X):
    return cls.from_sklearn(cls._sklearn_class()().fit(X))


def doubled(moments, times):
    for _ in range(times):
        moments = moments + moments
    return moments


STATES = {
    "standard, not fitted": lambda: StandardScaler(with_mean=False, copy=False, dtype=np.float32),
    "standard": lambda: StandardScaler().fit(TABLE),
    "standard, NaN": lambda: StandardScaler().fit(WITH_NAN),
    "standard, float16": lambda: StandardScaler(dtype="float16").fit(TABLE.astype("f2")),
    "standard, integers": lambda: StandardScaler().fit(IMAGES),
    "standard, both": lambda: StandardScaler().fit(IMAGES).partial_fit(IMAGES * 0.1),
    "standard, one": lambda: StandardScaler(channel_axis=None, dtype=np.dtype("f4")).fit(TABLE),
    "standard, mean image": lambda: StandardScaler(channel_axis=(-3, -2, -1)).fit(IMAGES),
    "standard, no axis": lambda: StandardScaler(channel_axis=()).fit(TABLE),
    "standard, NCHW": lambda: StandardScaler(channel_axis=-3).fit(IMAGES.transpose(0, 3, 1, 2)),
    "standard, weights": lambda: StandardScaler().fit(WITH_NAN, sample_weight=np.linspace(0, 1, 50)),
    "standard, scale only": lambda: StandardScaler(with_mean=False).fit(TABLE),
    "standard, neither": lambda: StandardScaler(with_mean=False, with_std=False).fit(TABLE),
    "standard, merged": fitted_apart,
    "standard, constants": lambda: StandardScaler.from_stats([0.485, 0.456], [0.229, 0.224], dtype="bfloat16"),
    "standard, constants with n": lambda: StandardScaler.from_stats([1.0, 2.0], [3.0, 0.0], n_samples=7),
    "standard, one constant": lambda: StandardScaler.from_stats(0.5, channel_axis=None),
    "standard, names": lambda: named(StandardScaler()),
    "standard, from sklearn": lambda: taken_over(StandardScaler, WITH_NAN[:, :2]),
    "standard, failed": lambda: fails(StandardScaler(), [[np.inf, 1.0]]),
    "min and max, not fitted": lambda: MinMaxScaler((-1, 1.5), clip=True),
    "min and max": lambda: MinMaxScaler((-1.0, 1)).fit(TABLE),
    "min and max, NaN": lambda: MinMaxScaler().fit(WITH_NAN.astype("f4")),
    "min and max, float16": lambda: MinMaxScaler().fit(TABLE.astype("f2")),
    "min and max, replaced": replaced,
    "min and max, one": lambda: MinMaxScaler((1, 2), channel_axis=None).fit(TABLE),
    "min and max, constants": lambda: MinMaxScaler.from_stats([0.0, 1.0], [10.0, 1.0], n_samples=3),
    "min and max, names": lambda: named(MinMaxScaler()),
    "min and max, from sklearn": lambda: taken_over(MinMaxScaler, TABLE.astype("f4")),
    "largest": lambda: MaxAbsScaler().fit(TABLE.astype("f4")),
    "largest, NaN": lambda: MaxAbsScaler(clip=True).fit(WITH_NAN),
    "largest, constants": lambda: MaxAbsScaler.from_stats(32768, channel_axis=None),
    "largest, from sklearn": lambda: taken_over(MaxAbsScaler, TABLE),
    "robust, not fitted": lambda: RobustScaler(quantile_range=(5, 95.5)),
    "robust": lambda: RobustScaler(unit_variance=True).fit(TABLE.astype("f2")),
    "robust, NaN": lambda: RobustScaler(with_centering=False).fit(WITH_NAN),
    "robust, one": lambda: RobustScaler(channel_axis=None).fit(TABLE.astype("f4")),
    "robust, constants": lambda: RobustScaler.from_stats([1.0], [2.0]),
    "robust, from sklearn": lambda: taken_over(RobustScaler, TABLE),
    "length": lambda: Normalizer("max", channel_axis=(1, 2)),
    "length, names": lambda: named(Normalizer("l1")),
    "logarithms": lambda: LogScaler(10, -1.5, 2, log1p=True, dtype="bfloat16"),
    "logarithms, channels": lambda: LogScaler(offset=np.float32([1, 2, 3]), scale=np.array([1, -2, 4]), invalid="nan"),
    "logarithms, no axis": lambda: LogScaler(2.5, channel_axis=None, copy=False),
    "logarithms, names": lambda: named(LogScaler(invalid="nan")),
    "images, imagenet": ImageNormalizer.imagenet,
    "images, not fitted": lambda: ImageNormalizer(layout="NCHW->NHWC", clip=(-np.inf, 3), dtype="bfloat16"),
    "images": lambda: ImageNormalizer().fit(IMAGES),
    "images, two depths": lambda: ImageNormalizer().fit([*IMAGES, *DEEP]),
    "images, mean image": lambda: ImageNormalizer.zero_mean(channel_axis=(-3, -2, -1)).fit(IMAGES),
    "images, scale": lambda: ImageNormalizer([0.1, 0.2, 0.3], scale=0.1).fit(DEEP),
    "images, each": lambda: ImageNormalizer(normalization="min_max_per_channel", channel_axis=-1),
    "images, no axis": lambda: ImageNormalizer(channel_axis=()).fit(IMAGES),
    "moments, empty": lambda: Moments(None, ddof=1),
    "moments": lambda: Moments().update(WITH_NAN),
    "moments, one": lambda: Moments((), ddof=0.5).update(TABLE),
    "moments, integers": lambda: Moments((0, -1)).update(IMAGES),
    "moments, both": lambda: Moments().update(np.int32([[1, -5]])).update([[0.1, np.nan]]),
    "moments, large": lambda: doubled(Moments().update(np.array([[-(2**31), 2**31 - 1]] * 3, np.int32)), 60),
    "moments, unsigned": lambda: doubled(Moments(None).update(np.full(5, 2**32 - 1, np.uint32)), 59),
    "moments, 64 bits": lambda: Moments().update(np.array([[2**63 + 1, 3]], np.uint64)),
    "moments, weights": lambda: Moments().update(TABLE, weights=np.linspace(0, 1e-300, 50)),
    "moments, no channel": lambda: Moments((1, 2)).update(np.zeros((5, 0, 3))),
    "medians, empty": lambda: MedianOfMeans(7, None),
    "medians": lambda: MedianOfMeans(4).update(WITH_NAN[:13]).update(WITH_NAN[13:]),
    "medians, images": lambda: MedianOfMeans(3, (1, -1)).update(IMAGES),
    "standard, medians": lambda: StandardScaler(n_blocks=5).fit(WITH_NAN),
    "quantiles, empty": lambda: Quantiles(0.5, None, rank_error=0.1),
    "quantiles": lambda: Quantiles().update(WITH_NAN),
    "quantiles, many": lambda: Quantiles([0, 0.3], (-1,), rank_error=0.05).update(
        np.sin(np.arange(3000.0)).reshape(-1, 3)
    ),
    "quantiles, both": lambda: Quantiles().update(IMAGES).update(np.linspace(-1e300, 5e-324, 30).reshape(-1, 3)),
    "robust, streamed": lambda: RobustScaler().partial_fit(WITH_NAN).partial_fit(TABLE),
    "extrema, empty": lambda: Extrema((0, 2)),
    "extrema": lambda: Extrema().update(WITH_NAN),
    "extrema, infinite": lambda: Extrema(None).update([np.inf, -np.inf, 5e-324]),
    "extrema, constants": lambda: Extrema.from_stats(2**61, [-0.0, 5e-324], [0.0, 1e308]),
}


def fails(scaler, X):
    with pytest.raises(ValueError, match="infinity"):
        scaler.fit(X)
    return scaler


def bits(value):
    """All that there is to an object, as something that can be compared bit for bit."""
    if isinstance(value, np.ndarray | np.generic):
        content = value.tolist() if value.dtype == object else value.tobytes()
        return type(value), value.dtype, value.shape, content
    if isinstance(value, ACCUMULATORS):
        return repr(value), getattr(value, "ddof", None), bits(value.__getstate__())
    if isinstance(value, dict):
        return sorted((str(key), bits(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return type(value), [bits(part) for part in value]
    if hasattr(value, "__dict__"):
        # Of a default a file says what it is, not whether it was asked for; nor has it the few rows of an exact fit.
        skipped = ("dtype", "_axis_given", "_few")
        return bits({name: part for name, part in vars(value).items() if name not in skipped})
    return type(value), repr(value)


def name_of(dtype):
    return None if dtype is None else "bfloat16" if dtype == "bfloat16" else np.dtype(dtype).name


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, MinMaxScaler) and "_exact" not in vars(theirs):
        vars(ours).pop("_exact", None)  # of no use since an attribute was replaced
    if isinstance(ours, ACCUMULATORS):
        assert ours == theirs
        assert repr(ours) == repr(theirs)
    else:
        assert name_of(ours.dtype) == name_of(theirs.dtype)
    assert bits(ours) == bits(theirs)


def example(channel_axis, shape, dtype=np.float64):
    """An array with channels of this shape."""
    axes = () if channel_axis is None else channel_axis if isinstance(channel_axis, tuple) else (channel_axis,)
    for ndim in range(max(len(axes) + 1, 2), 65):
        kept = sorted({axis % ndim for axis in axes if -ndim <= axis < ndim})
        if len(kept) == len(axes):
            lengths = [2] + [1] * (ndim - 1)
            for axis, length in zip(kept, shape, strict=True):
                lengths[axis] = length
            return np.arange(np.prod(lengths)).reshape(lengths).astype(dtype)
    return None  # axes such as (0, -64)


def exercise(obj):
    """What `obj` makes of more data; it changes."""
    if isinstance(obj, ImageNormalizer):
        return exercise_images(obj)
    results = []
    if isinstance(obj, ACCUMULATORS):
        state = obj.__getstate__()
        seen = state["moments"].__getstate__() if "moments" in state else state
        shape = None if seen["shape"] is None else obj.count.shape
    else:
        learned = [v for k, v in vars(obj).items() if k.endswith("_") and k[0] != "_" and isinstance(v, np.ndarray)]
        learned = [value.shape for value in learned if value.dtype != object]
        shape = learned[0] if learned else None
    if isinstance(obj, LogScaler):
        return exercise_logarithms(obj)
    axis = obj.channel_axis
    axes = 0 if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if shape is None:
        shape = (getattr(obj, "n_features_in_", 3),) if axes == 1 else (3,) * axes
    if np.prod(shape) > 1000 or len(shape) > 10:
        return results
    for dtype in (np.float64, np.uint8):
        X = example(axis, shape, dtype)
        if X is None or X.size == 0:
            continue
        if isinstance(obj, ACCUMULATORS):
            results += [bits(obj.update(X)), bits(obj + obj)]
            results += [bits(getattr(obj, name)) for name in ("count", "mean", "std", "min") if hasattr(obj, name)]
            continue
        names = vars(obj).get("feature_names_in_", ())
        if X.ndim > 2 or len(names) not in (0, X.shape[1]) or len(set(names)) < len(names):
            obj.set_output(transform="default")  # what is no table of theirs
        elif len(names):
            pd = pytest.importorskip("pandas")
            X = pd.DataFrame(X, columns=obj.feature_names_in_)
        if isinstance(obj, Normalizer) or "scale_" in vars(obj):
            results.append(bits(np.asarray(obj.transform(X))))
        if not isinstance(obj, RobustScaler | Normalizer) and (
            hasattr(obj, "_statistics") or "scale_" not in vars(obj)
        ):
            results.append(bits(obj.partial_fit(X)))
            results.append(bits(obj.merge(copy.deepcopy(obj))))
            results.append(bits(np.asarray(obj.inverse_transform(X))))
    return results


def exercise_logarithms(obj):
    shape = max((np.shape(value) for value in (obj.offset, obj.scale)), key=len)
    axis = obj.channel_axis
    axes = 0 if axis is None else len(axis) if isinstance(axis, tuple) else 1
    X = example(axis, shape or (2,) * axes) if axes < 10 else None
    if X is None or X.size == 0:
        return []
    obj.set_output(transform="default")
    y = obj.fit(X + 1).transform(X + 1)
    return [bits(y), bits(obj.inverse_transform(X))]


def exercise_images(obj):
    results = []
    constants = [getattr(obj, name) for name in ("mean_", "std_") if hasattr(obj, name)]
    shape = max((c.shape for c in constants), key=len, default=())
    lengths = [3, 3, 3]
    axes = obj._axes if isinstance(obj._axes, tuple) else (obj._axes,)
    if shape not in ((), (1,)):
        for axis, length in zip(sorted(axis % 3 for axis in axes), shape, strict=True):
            lengths[axis] = length
    image = example(-1, (lengths[2],)).reshape(-1)[: lengths[2]] * np.ones(lengths)
    for dtype in (np.uint8, np.uint16):
        if hasattr(obj, "_divisor") and hasattr(obj, "mean_"):
            results.append(bits(obj(image.astype(dtype))))
        results.append(bits(obj.partial_fit(image.astype(dtype))))
        results.append(bits(obj.merge(copy.deepcopy(obj))))
    return results


def quietly(function, *args):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*args)

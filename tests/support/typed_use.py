"""What a user writes, with the types that it has: `test_typing.py` runs type checkers over it. It is never executed."""

from typing import Any, assert_type

import numpy as np
import planish
from numpy.typing import NDArray
from planish import (
    GroupedScaler,
    ImageNormalizer,
    LogScaler,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from planish.layers import BatchNorm, layer_norm
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles


def use(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    standard = StandardScaler(channel_axis=-1, dtype="float32").fit(x, sample_weight=[1, 2, 3, 4])
    assert_type(standard, StandardScaler)
    assert_type(standard.mean_, NDArray[np.float64])
    assert_type(standard.var_, NDArray[np.float64])
    assert_type(standard.scale_, NDArray[np.float64])
    assert_type(standard.n_features_in_, int)
    assert_type(standard.feature_names_in_, NDArray[Any])
    print(standard.mean_.shape, standard.scale_.max())

    minmax = MinMaxScaler((0, 1)).partial_fit(x).merge(MinMaxScaler())
    assert_type(minmax.data_min_, NDArray[Any])
    assert_type(minmax.data_max_, NDArray[Any])
    assert_type(minmax.data_range_, NDArray[Any])
    assert_type(minmax.min_, NDArray[Any])
    assert_type(minmax.scale_, NDArray[Any])
    print(minmax.data_max_ - minmax.min_)
    maxabs = MaxAbsScaler().fit(x)
    assert_type(maxabs.max_abs_, NDArray[Any])
    assert_type(maxabs.scale_, NDArray[Any])
    robust = RobustScaler().fit(x, mergeable=True)
    assert_type(robust.center_, NDArray[Any])
    assert_type(robust.scale_, NDArray[np.float64])

    for scaler in (standard, minmax, maxabs, robust):
        assert_type(scaler.transform(x), NDArray[Any])
        assert_type(scaler.transform(x, copy=False), NDArray[Any])
        assert_type(scaler.transform(x, out=out), NDArray[np.float32])
        assert_type(scaler.transform([[1.0, 2.0]]), Any)
        assert_type(scaler.inverse_transform(x), NDArray[Any])
        assert_type(scaler.inverse_transform(x, out=out), NDArray[np.float32])
        assert_type(scaler.fit_transform(x), NDArray[Any])
    assert_type(standard + StandardScaler(), StandardScaler)
    assert_type(Normalizer("l1").transform(x, out=out), NDArray[np.float32])
    assert_type(LogScaler(10).fit(x).transform(x), NDArray[Any])
    assert_type(StandardScaler.from_stats([0.0], [1.0]).mean_, NDArray[np.float64])

    grouped = GroupedScaler(StandardScaler()).fit(x, groups=[0, 0, 1, 1])
    assert_type(grouped.groups_, NDArray[Any])
    assert_type(grouped.transform(x, [0, 0, 1, 1]), NDArray[Any])
    assert_type(grouped.transform(x, groups=[0, 0, 1, 1], out=out), NDArray[np.float32])

    images = ImageNormalizer.imagenet(dtype="float16")
    assert_type(images(np.zeros((8, 8, 3), np.uint8)), NDArray[Any])
    assert_type(images.mean_, NDArray[np.float64])

    moments = Moments(None).update(x) + Moments(None)
    assert_type(moments, Moments)
    assert_type(moments.mean, NDArray[np.float64])
    assert_type(Extrema().update(x).max, NDArray[np.float64])
    assert_type(Quantiles(0.5).update(x).quantiles, NDArray[np.float64])
    assert_type(MedianOfMeans(3).update(x).std, NDArray[np.float64])

    assert_type(layer_norm(x), NDArray[Any])
    assert_type(BatchNorm(2)(x), NDArray[Any])
    assert_type(planish.dumps(standard), str)
    with planish.num_threads(2):
        assert_type(planish.get_num_threads(), int)

    # Mistakes are seen; where one were not, the comment that expects it would be an error.
    StandardScaler(chanel_axis=-3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ImageNormalizer(layout="CHW")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Normalizer(norm="l3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(Moments().update(x).median)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    planish.save(standard)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

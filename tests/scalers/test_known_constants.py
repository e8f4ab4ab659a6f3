"""Scalers made of constants that everybody knows: what `from_stats` is for."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
import sklearn.preprocessing
from planish import (
    ImageNormalizer,
    LogScaler,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
    load,
    save,
)
from reference import ulps

PIXELS = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def camera(dtype=None):
    """Four ways to write pixels / 255."""
    return [
        StandardScaler.from_stats(std=255, channel_axis=None, dtype=dtype),
        MinMaxScaler.from_stats(0, 255, channel_axis=None, dtype=dtype),
        MaxAbsScaler.from_stats(255, channel_axis=None, dtype=dtype),
        RobustScaler.from_stats(scale=255, channel_axis=None, dtype=dtype),
    ]


def lidar():
    """Distances from 0.5 m to 120 m."""
    return [
        MinMaxScaler.from_stats(0.5, 120, channel_axis=None),
        StandardScaler.from_stats(0.5, 119.5, channel_axis=None),
        RobustScaler.from_stats(0.5, 119.5, channel_axis=None),
    ]


def age():
    """``(x - 20) / 50``."""
    return [
        RobustScaler.from_stats([20], [50]),
        StandardScaler.from_stats([20], [50]),
        MinMaxScaler.from_stats([20], [70]),
    ]


def imagenet(dtype="float32"):
    """Of pixels from 0 to 1."""
    high = np.add(MEAN, STD)
    return [
        StandardScaler.from_stats(MEAN, STD, dtype=dtype),
        RobustScaler.from_stats(MEAN, STD, dtype=dtype),
        MinMaxScaler.from_stats(MEAN, high, dtype=dtype),
    ]


EVERY = [*camera(), *lidar(), *age(), *imagenet()]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_camera(dtype):
    exact = [Fraction(int(value), 255) for value in PIXELS.ravel()]
    for scaler in camera(dtype):
        y = scaler.transform(PIXELS)
        assert y.dtype == dtype
        assert ulps(y, exact, dtype) <= 1
        assert (y.min(), y.max()) == (0, 1)
        np.testing.assert_array_equal(np.rint(scaler.inverse_transform(y)), PIXELS)


def test_camera_without_a_dtype():
    for scaler in camera():
        assert scaler.transform(PIXELS).dtype == np.float64
        np.testing.assert_array_equal(scaler.transform(PIXELS), PIXELS / 255)
        np.testing.assert_array_equal(scaler.transform(PIXELS.astype("f4")), PIXELS.astype("f4") / np.float32(255))


def test_camera_with_a_maximum_for_each_colour():
    depth = np.array([255, 255, 1023])
    for scaler in (
        MaxAbsScaler.from_stats(depth),
        MinMaxScaler.from_stats([0, 0, 0], depth),
        StandardScaler.from_stats(std=depth),
        RobustScaler.from_stats(scale=depth),
    ):
        np.testing.assert_array_equal(scaler.transform(PIXELS), PIXELS / depth)
        assert scaler.n_features_in_ == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lidar(dtype):
    ranges = np.random.default_rng(0).uniform(0.5, 120, (64, 300)).astype(dtype)
    ranges[0, :2] = 0.5, 120
    exact = [(Fraction(float(value)) - Fraction(1, 2)) / Fraction(239, 2) for value in ranges.ravel()]
    for scaler in lidar():
        y = scaler.transform(ranges)
        assert y.dtype == dtype
        assert ulps(y, exact, dtype) <= 1
        assert y[0, :2].tolist() == [0, 1]
        np.testing.assert_allclose(scaler.inverse_transform(y), ranges, rtol=1e-6 if dtype == "float32" else 1e-14)


def test_lidar_with_points_out_of_range_and_without_echo():
    scaler = MinMaxScaler.from_stats(0.0, 120.0, channel_axis=None, clip=True)
    y = scaler.transform(np.array([[30.0, 150.0, -1.0, np.nan]]))
    np.testing.assert_array_equal(y, [[0.25, 1.0, 0.0, np.nan]])
    with pytest.raises(ValueError, match="infinity"):
        scaler.transform([[np.inf]])
    signed = MinMaxScaler.from_stats(0.0, 120.0, channel_axis=None, feature_range=(-1, 1))
    np.testing.assert_allclose(signed.transform([[0.0, 60.0, 120.0]]), [[-1.0, 0.0, 1.0]], atol=1e-32)


def test_lidar_with_a_range_for_each_field():
    """x, y, z and reflectance of a point cloud."""
    low, high = [-80, -80, -3, 0], [80, 80, 5, 255]
    cloud = np.random.default_rng(1).uniform(low, high, (1000, 4)).astype("f4")
    y = MinMaxScaler.from_stats(low, high).transform(cloud)
    np.testing.assert_allclose(y, (cloud.astype("f8") - low) / np.subtract(high, low), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_age(dtype):
    ages = np.arange(0, 121, dtype=dtype)[:, None]
    exact = [Fraction(value - 20, 50) for value in range(121)]
    for scaler in age():
        y = scaler.transform(ages)
        assert ulps(y, exact, y.dtype) <= 1
        np.testing.assert_allclose(scaler.inverse_transform(y), ages, atol=1e-5 if dtype == "float32" else 1e-13)
        one = type(scaler).from_stats(*([20, 70] if isinstance(scaler, MinMaxScaler) else [20, 50]))
        np.testing.assert_array_equal(one.transform(ages), y)  # a number stands for the one column


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_imagenet(dtype):
    x = (PIXELS / 255).astype("f8")
    exact = [
        (Fraction(float(v)) - Fraction(m)) / Fraction(s)
        for pixel in x.reshape(-1, 3)
        for v, m, s in zip(pixel, MEAN, STD, strict=True)
    ]
    for scaler in imagenet(dtype)[:2]:
        assert ulps(scaler.transform(x), exact, dtype) <= 1
    for scaler in imagenet(dtype):
        y = scaler.transform(x)
        assert y.dtype == dtype
        tolerance = 2 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(y, (x - MEAN) / STD, rtol=tolerance, atol=tolerance)


def test_imagenet_of_channels_first_and_as_torchvision_has_it():
    x = (PIXELS / 255).astype("f4")
    y = StandardScaler.from_stats(MEAN, STD).transform(x)
    first = StandardScaler.from_stats(MEAN, STD, channel_axis=-3).transform(x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), y)
    np.testing.assert_allclose(ImageNormalizer.imagenet(layout="NHWC->NHWC")(PIXELS), y, rtol=1e-5, atol=1e-6)
    bytes_at_once = StandardScaler.from_stats(np.multiply(MEAN, 255), np.multiply(STD, 255), dtype="float32")
    np.testing.assert_allclose(bytes_at_once.transform(PIXELS), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scaler", EVERY, ids=lambda scaler: f"{type(scaler).__name__}-{scaler.n_features_in_}")
def test_they_are_fitted_scalers(scaler, tmp_path):
    x = np.random.default_rng(2).random((5, scaler.n_features_in_)) * 100
    expected = scaler.transform(x)
    save(scaler, tmp_path / "scaler.json")
    for other in (load(tmp_path / "scaler.json"), pickle.loads(pickle.dumps(scaler))):
        np.testing.assert_array_equal(other.transform(x), expected)
        np.testing.assert_allclose(other.inverse_transform(expected), x, rtol=1e-4)
    out = np.empty_like(expected)
    assert scaler.transform(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("scaler", age(), ids=lambda scaler: type(scaler).__name__)
def test_scikit_learn_takes_them_over(scaler):
    theirs = scaler.to_sklearn()
    assert type(theirs).__module__.startswith("sklearn.")
    np.testing.assert_allclose(theirs.transform([[45.0]]), [[0.5]], rtol=1e-15)
    assert isinstance(theirs, getattr(sklearn.preprocessing, type(scaler).__name__))
    again = type(scaler).from_sklearn(theirs)
    np.testing.assert_allclose(again.transform([[45.0]]), [[0.5]], rtol=1e-15)
    if isinstance(scaler, StandardScaler):
        with pytest.raises(ValueError, match="constants that do not say of how many samples"):
            again.partial_fit([[1.0]])


def test_constants_of_other_channels_are_refused():
    for scaler in imagenet():
        with pytest.raises(ValueError, match="channels"):
            scaler.transform(np.ones((5, 5, 4)))
    for make in (
        lambda: StandardScaler.from_stats(MEAN, [0.2]),
        lambda: MinMaxScaler.from_stats(0, [255, 255]),
        lambda: RobustScaler.from_stats(20, [50, 50]),
        lambda: MaxAbsScaler.from_stats([255, 255], channel_axis=None),
    ):
        with pytest.raises(ValueError, match="shape"):
            make()


def test_parts_of_the_rest():
    """Constants of a table: some columns scaled, others left as they are."""
    y = StandardScaler.from_stats([20.0, 0.0], [50.0, 1.0]).transform([[45.0, 7.0]])
    np.testing.assert_array_equal(y, [[0.5, 7.0]])
    np.testing.assert_array_equal(MaxAbsScaler.from_stats([255, 0]).transform([[51, 7]]), [[0.2, 7.0]])
    np.testing.assert_array_equal(LogScaler(10, 2, 3).transform([[1e5]]), [[1.0]])

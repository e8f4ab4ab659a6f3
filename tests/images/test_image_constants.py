"""Constants of `ImageNormalizer` that belong to other images, and what it says of them."""

import copy
import pickle

import numpy as np
import pytest
from planish import ImageNormalizer

rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)


def test_mean_image_of_another_shape():
    batch = rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    fitted = ImageNormalizer.zero_mean(channel_axis=(-3, -2, -1)).fit(batch)
    assert fitted(batch).shape == (5, 3, 4, 6)
    for shape in ((6, 4, 3), (12, 2, 3), (4, 6, 1), (1, 1, 72)):
        for zeros in (np.zeros(shape, np.uint8), [np.zeros(shape, np.uint8)]):
            with pytest.raises(ValueError, match=r"constants of shape .*; mean has shape \(4, 6, 3\)"):
                fitted(zeros)
    with pytest.raises(ValueError, match=r"take constants of shape \(4, 6, 3\); mean has shape \(3, 4, 6\)"):
        ImageNormalizer(rng.random((3, 4, 6)), 1, channel_axis=(-3, -2, -1))(batch)


@pytest.mark.parametrize("layout", ["NHWC->NCHW", "NCHW->NHWC"])
def test_one_channel_that_was_learnt_is_not_all(layout):
    grey = RGB[..., :1] if layout.startswith("NHWC") else RGB[..., :1].transpose(2, 0, 1)
    colours = RGB if layout.startswith("NHWC") else RGB.transpose(2, 0, 1)
    fitted = ImageNormalizer(layout=layout).fit(grey)
    assert fitted(grey).size == grey.size
    with pytest.raises(ValueError, match=r"take constants of shape \(3,\); mean has shape \(1,\)"):
        fitted(colours)
    with pytest.raises(ValueError, match=r"take constants of shape \(3,\); mean has shape \(1,\)"):
        ImageNormalizer.zero_mean(layout=layout).fit(grey)(colours)
    with pytest.raises(ValueError, match=r"X has shape .*; those of the images before are of shape \(1,\)"):
        fitted.partial_fit(colours)
    for given in (0.5, [0.5]):
        assert ImageNormalizer(given, given, layout=layout)(colours).size == colours.size
    assert ImageNormalizer(layout=layout, channel_axis=()).fit(grey)(colours).size == colours.size


@pytest.mark.parametrize("constants", [np.ones((1, 1, 3)), np.ones((2, 3)), np.ones((3, 1))])
def test_constants_of_too_many_axes(constants):
    for arguments in ((constants, 1), (0, constants)):
        with pytest.raises(ValueError, match=r"has shape .*; accepted are a number, or an array of 1 axis"):
            ImageNormalizer(*arguments)
    assert ImageNormalizer(np.ones((1, 1, 1)), 1)(RGB).shape == (3, 4, 6)


def test_missing_pixels_of_one_depth():
    missing = np.full((2, 2, 3), np.nan)
    fitted = ImageNormalizer().fit([missing, RGB])
    alone = ImageNormalizer().fit(RGB)
    np.testing.assert_array_equal(fitted.mean_, alone.mean_)
    np.testing.assert_array_equal(fitted.std_, alone.std_)
    assert np.isnan(ImageNormalizer().fit([missing, missing.astype("f4")]).mean_).all()
    some = ImageNormalizer().fit([np.full((2, 2, 3), [np.nan, 0.5, 0.5]), RGB])
    assert some.mean_[0] == alone.mean_[0]


def test_equal_where_nothing_is_known():
    fitted = ImageNormalizer().fit(np.full((4, 4, 2), np.nan))
    for other in (fitted, copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert fitted == other
    assert fitted != ImageNormalizer().fit(np.zeros((4, 4, 2)))


def test_merge_of_other_channels():
    with pytest.raises(ValueError, match=r"other has 3 channel\(s\); mean or std was given with 2"):
        ImageNormalizer([1, 2], [1, 2]).merge(ImageNormalizer().fit(RGB))
    with pytest.raises(ValueError, match="other has channels of shape"):
        ImageNormalizer().fit(RGB[..., :2]).merge(ImageNormalizer().fit(RGB))


def test_result_in_a_subclass_is_that(tmp_path):
    out = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3, 4, 6))
    assert ImageNormalizer.imagenet()(RGB, out=out) is out
    np.testing.assert_array_equal(out, ImageNormalizer.imagenet()(RGB))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ImageNormalizer().fit(["a.png"]), TypeError, r"X\[0\] is a str"),
        (lambda: ImageNormalizer(dtype=None), TypeError, "dtype=None is no dtype of results; accepted are float16"),
        (lambda: ImageNormalizer(dtype="foo"), TypeError, "dtype='foo' is no dtype of results; accepted are float16"),
        (lambda: ImageNormalizer(dtype=object()), TypeError, "is no dtype of results; accepted are float16"),
        (lambda: ImageNormalizer(normalization=["image"]), ValueError, r"normalization=\['image'\] is none of"),
        (lambda: ImageNormalizer(scale=10**400), ValueError, "scale=inf must be positive, finite"),
        (lambda: ImageNormalizer().fit(RGB).partial_fit(RGB[..., :2]), ValueError, r"X has shape \(4, 6, 2\)"),
    ],
)
def test_what_is_said(call, error, match):
    with pytest.raises(error, match=match):
        call()

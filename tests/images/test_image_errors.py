"""What `ImageNormalizer` refuses, and what it says."""

import numpy as np
import planish
import pytest
from planish import ImageNormalizer

pytestmark = [pytest.mark.numeric, pytest.mark.dependencies]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
rng = np.random.default_rng(0)
IMAGE = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([], ValueError, "at least one image"),
        ([IMAGE, IMAGE[1:]], ValueError, r"X\[1\] has shape \(36, 53, 3\)"),
        ([IMAGE, IMAGE.astype(np.float32)], ValueError, r"X\[1\] .* float32"),
        ([IMAGE[None]], ValueError, r"X\[0\] has shape \(1, 37, 53, 3\)"),
        (IMAGE[..., 0], ValueError, r"\(37, 53\).*X\[\.\.\., None\]"),
        (IMAGE[0, 0], ValueError, r"\(3,\)"),
        (IMAGE[None, None], ValueError, "3 axes"),
        (IMAGE[..., :2], ValueError, r"\(37, 53, 2\).*mean has shape \(3,\)"),
        (IMAGE.transpose(2, 0, 1), ValueError, r"\(3, 37, 53\).*mean has shape \(3,\)"),
        (IMAGE.astype(object), TypeError, "object"),
        (IMAGE.astype(complex), TypeError, "complex128"),
        ("image.png", TypeError, "<U9"),
        ([["a"]], TypeError, "<U1"),
        (None, TypeError, "object"),
        (np.ma.array(IMAGE), TypeError, "masked"),
        (iter([IMAGE]), TypeError, "a list of images"),
        (IMAGE.astype(">u2"), TypeError, ">u2"),
    ],
)
def test_bad_images(images, error, words):
    with pytest.raises(error, match=words):
        ImageNormalizer.imagenet()(images)


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([], ValueError, "no image"),
        (IMAGE[..., 0], ValueError, r"X has shape \(37, 53\)"),
        ([IMAGE, IMAGE[0]], ValueError, r"X\[1\] has shape \(53, 3\)"),
        ([IMAGE[:0]], ValueError, "no pixel"),
        ([np.full((2, 2, 1), np.inf)], ValueError, r"X\[0\] contains infinity"),
        ("folder", TypeError, "str"),
        (5, TypeError, "int"),
        ([IMAGE.astype(object)], TypeError, "object"),
        (np.ma.array(IMAGE), TypeError, "masked"),
        ([IMAGE, np.ma.array(IMAGE)], TypeError, r"X\[1\] is a masked"),
        ([[[1, 2], [3]]], TypeError, r"X\[0\] is a list that gives no array"),
    ],
)
def test_bad_images_to_learn_from(images, error, words):
    with pytest.raises(error, match=words):
        ImageNormalizer().fit(images)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"mean": (0.5, 0.5), "std": (1, 1, 1)}, ValueError, r"\(2,\).*\(3,\)"),
        ({"mean": 0, "std": 0}, ValueError, "positive"),
        ({"mean": 0, "std": (1, -1)}, ValueError, "positive"),
        ({"mean": np.nan, "std": 1}, ValueError, "finite"),
        ({"mean": 0, "std": np.inf}, ValueError, "finite"),
        ({"mean": "0.5"}, TypeError, "real numbers"),
        ({"mean": []}, ValueError, "finite numbers"),
        ({"mean": [1, [2, 3]]}, ValueError, "regular array"),
        ({"mean": np.ma.array([1.0])}, TypeError, "masked"),
        ({"scale": 5e-324}, ValueError, "normal number"),
        ({"scale": 0}, ValueError, "positive"),
        ({"scale": "255"}, ValueError, "auto"),
        ({"scale": True}, TypeError, "auto"),
        ({"layout": "HWC"}, ValueError, "NHWC->NCHW"),
        ({"layout": 3}, ValueError, "NHWC->NCHW"),
        ({"dtype": "int32"}, TypeError, "float16, bfloat16"),
        ({"dtype": "float33"}, TypeError, "float33"),
        ({"normalization": "batch"}, ValueError, "image_per_channel"),
        ({"clip": (1, 0)}, ValueError, "least"),
        ({"clip": 3}, ValueError, "least"),
        ({"channel_axis": 1}, ValueError, "counted from the end"),
        ({"channel_axis": (-1, -1)}, ValueError, "counted from the end"),
    ],
)
def test_bad_parameters(parameters, error, words):
    with pytest.raises(error, match=words):
        ImageNormalizer(**parameters)


def test_bad_out():
    normalize = ImageNormalizer.imagenet()
    good = normalize(IMAGE)
    read_only = good.copy()
    read_only.flags.writeable = False
    for out, error, words in [
        (good.astype(np.float64), TypeError, "float64"),
        (good[:, 1:], ValueError, r"\(3, 36, 53\)"),
        (good.transpose(1, 2, 0), ValueError, r"\(37, 53, 3\)"),
        (read_only, ValueError, "read-only"),
        (np.broadcast_to(good[:1], good.shape).view(), ValueError, "read-only"),
        (np.lib.stride_tricks.as_strided(good, good.shape, (4, 4, 4)), ValueError, "same memory"),
        (good.tolist(), TypeError, "NumPy array"),
    ]:
        with pytest.raises(error, match=words):
            normalize(IMAGE, out=out)
    floats = rng.random((3, 40, 40, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="overlaps"):
        normalize(floats, out=floats.reshape(3, 3, 40, 40))
    with pytest.raises(ValueError, match="overlaps"):
        normalize(list(floats), out=floats.reshape(3, 3, 40, 40))


def test_in_place():
    floats = rng.random((3, 20, 20, 3)).astype(np.float32)
    for normalization in ("standard", "image_per_channel"):
        normalize = ImageNormalizer(MEAN, STD, layout="NHWC->NHWC", normalization=normalization)
        x, y = floats.copy(), normalize(floats)
        assert normalize(x, out=x) is x
        assert np.array_equal(x, y)


def test_not_fitted():
    for normalizer in (ImageNormalizer(), ImageNormalizer(mean=0.5), ImageNormalizer(std=0.5)):
        with pytest.raises(ValueError, match="not known yet"):
            normalizer(IMAGE)
        with pytest.raises(ValueError, match="not known yet"):
            normalizer.inverse_transform(np.zeros((3, 4, 4)))


def test_bad_merge_and_inverse():
    with pytest.raises(TypeError, match="StandardScaler"):
        ImageNormalizer().merge(planish.StandardScaler())
    with pytest.raises(ValueError, match="layout='NCHW->NCHW'"):
        ImageNormalizer().merge(ImageNormalizer(layout="NCHW->NCHW").fit(IMAGE))
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        ImageNormalizer().fit(IMAGE).merge(ImageNormalizer().fit(IMAGE[..., :2]))
    with pytest.raises(ValueError, match="not kept"):
        ImageNormalizer(normalization="image").inverse_transform(np.zeros((3, 4, 4)))
    normalizer = ImageNormalizer.imagenet()
    for x, dtype, error in [
        (np.zeros((4, 4)), "uint8", ValueError),
        (np.zeros((2, 4, 4)), "uint8", ValueError),
        (np.zeros((1, 4, 4)), "uint8", ValueError),
        (np.zeros((3, 4, 4), complex), "uint8", TypeError),
        (np.full((3, 4, 4), "1"), "uint8", TypeError),
        (np.ma.zeros((3, 4, 4)), "uint8", TypeError),
        (np.zeros((3, 4, 4)), "str", TypeError),
    ]:
        with pytest.raises(error):
            normalizer.inverse_transform(x, dtype)

"""ImageNormalizer: against exact arithmetic and the formulas of torchvision and albumentations; views; bad input."""

import copy
import pickle
from fractions import Fraction

import ml_dtypes
import numpy as np
import planish
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import ImageNormalizer

pytestmark = [pytest.mark.numeric, pytest.mark.dependencies]

LAYOUTS = ["NHWC->NCHW", "NHWC->NHWC", "NCHW->NCHW", "NCHW->NHWC"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
rng = np.random.default_rng(0)
IMAGE = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)


def spacing(y, dtype):
    """One ulp at the size of y, in a dtype that NumPy may not know."""
    info = ml_dtypes.finfo(dtype)
    exponent = np.maximum(np.floor(np.log2(np.maximum(np.abs(y), float(info.tiny)))), np.log2(float(info.tiny)))
    return float(info.eps) * 2.0**exponent


def moved(images, layout):
    """Axes of images (or a batch) from the layout's first order to its second."""
    source, target = (-1 if side == "NHWC" else -3 for side in layout.split("->"))
    return np.moveaxis(images, source, target)


def expected(images, mean, std, unit):
    """What the constants in units of pixels, which are doubles, give in more than double precision."""
    shift, divisor = np.asarray(mean) * float(unit), np.asarray(std) * float(unit)
    return (images.astype(np.longdouble) - shift) / divisor


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32", "float64"])
@pytest.mark.parametrize("result", ["float16", "bfloat16", "float32", "float64"])
def test_one_pass_is_within_an_ulp(layout, dtype, result):
    unit = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    scale = max(unit, 255 if dtype == "int16" else 1)
    batch = (rng.random((3, 20, 31, 3)) * scale).astype(dtype)
    axis = -1 if layout.startswith("NHWC") else -3
    batch = np.ascontiguousarray(np.moveaxis(batch, -1, axis))
    shape = [3 if i == 3 + axis else 1 for i in range(3)]
    mean, std = np.array(MEAN), np.array(STD)
    y = ImageNormalizer(mean, std, layout=layout, dtype=result)(batch)
    exact = moved(expected(batch, mean.reshape(shape), std.reshape(shape), unit), layout)
    assert y.dtype == result
    assert y.flags.c_contiguous
    assert (np.abs(y.astype(np.longdouble) - exact) <= spacing(exact.astype(float), result)).all()
    assert np.array_equal(ImageNormalizer(mean, std, layout=layout, dtype=result)(list(batch)), y)
    assert np.array_equal(ImageNormalizer(mean, std, layout=layout, dtype=result)(batch[1]), y[1])


@given(
    shift=st.floats(0, 255),
    width=st.floats(0.5, 300),
    where=st.sampled_from(["anywhere", "at an integer", "near one"]),
)
@settings(deadline=None)
def test_every_byte_is_within_an_ulp(shift, width, where):
    shift = {"anywhere": shift, "at an integer": round(shift), "near one": round(shift) + 1e-7}[where]
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    y = ImageNormalizer(shift, width, scale=1.0)(image)[0].ravel()
    for x in range(256):
        exact = (Fraction(x) - Fraction(shift)) / Fraction(width)
        assert abs(Fraction(float(y[x])) - exact) <= Fraction(float(np.spacing(np.float32(abs(exact))))), x


@pytest.mark.filterwarnings("ignore:X holds floats that seem to go from 0 to 255")
@given(st.data())
@settings(deadline=None, max_examples=60)
def test_views_are_read_where_they_lie(data):
    channels = data.draw(st.integers(1, 9))
    layout = data.draw(st.sampled_from(LAYOUTS))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float32"]))
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70)), channels)
    batch = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    if data.draw(st.booleans()):
        batch = np.ascontiguousarray(np.moveaxis(batch, -1, 1)).transpose(0, 2, 3, 1)
    steps = data.draw(st.tuples(*[st.sampled_from([1, -1, 2, -3])] * 4))
    view = batch[tuple(slice(None, None, step) for step in steps)]
    view = view if layout.startswith("NHWC") else np.moveaxis(view, -1, 1)
    count = view.shape[-1 if layout.startswith("NHWC") else 1]
    mean, std = np.linspace(0.1, 0.9, count), np.linspace(0.2, 0.4, count)
    normalize = ImageNormalizer(mean, std, layout=layout)
    y = normalize(view)
    assert np.array_equal(y, normalize(np.ascontiguousarray(view)))
    unit = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    shape = [-1 if i == (3 if layout.startswith("NHWC") else 1) else 1 for i in range(4)]
    exact = moved(expected(view, mean.reshape(shape), std.reshape(shape), unit), layout)
    np.testing.assert_allclose(y, exact.astype(float), rtol=1.2e-7, atol=0)
    out = np.full(y.shape, np.nan, np.float32)
    assert normalize(view, out=out) is out
    assert np.array_equal(out, y)
    assert np.array_equal(normalize(view[0]), y[0])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9])
def test_any_number_of_channels(channels):
    image = rng.integers(0, 256, (20, 30, channels), dtype=np.uint8)
    mean = np.linspace(0.2, 0.6, channels)
    y = ImageNormalizer(mean, 0.5)(image)
    np.testing.assert_allclose(y, ((image / 255 - mean) / 0.5).transpose(2, 0, 1), rtol=0, atol=3e-7)
    np.testing.assert_allclose(ImageNormalizer.zero_one()(image), image.transpose(2, 0, 1) / 255, rtol=1e-7)
    assert ImageNormalizer.minus_one_one()(image).min() >= -1


def test_many_and_large_images_on_several_threads():
    batch = rng.integers(0, 256, (40, 100, 120, 3), dtype=np.uint8)
    normalize = ImageNormalizer.imagenet()
    with planish.num_threads(1):
        one = normalize(batch)
    for threads in (2, 3, 8):
        with planish.num_threads(threads):
            assert np.array_equal(normalize(batch), one)
            assert np.array_equal(normalize(list(batch)), one)
            out = np.empty_like(one)
            assert np.array_equal(normalize(batch, out=out), one)


def test_clip():
    y = ImageNormalizer.imagenet(clip=(-1, 1.5))(IMAGE)
    assert np.array_equal(y, ImageNormalizer.imagenet()(IMAGE).clip(-1, 1.5))
    assert y.min() == -1
    assert y.max() == 1.5


def test_explicit_scale_and_floats():
    image = rng.random((10, 12, 3)).astype(np.float32)
    image[2, 3] = [np.nan, np.inf, -np.inf]
    y = ImageNormalizer(MEAN, STD)(image)
    np.testing.assert_allclose(y, ((image.astype(float) - MEAN) / STD).transpose(2, 0, 1), rtol=1e-6)
    signed = rng.integers(-1000, 1000, (10, 12, 1), dtype=np.int16)
    np.testing.assert_allclose(
        ImageNormalizer(0.25, 0.5, scale=1 / 1000)(signed)[0],
        (signed[..., 0] / 1000 - 0.25) / 0.5,
        rtol=1e-6,
        atol=1e-7,
    )


# --- each image by itself --------------------------------------------------------------------------------------------


def by_itself(image, normalization, axes):
    image = image.astype(np.float64)
    if normalization.startswith("image"):
        low, width = image.mean(axes, keepdims=True), image.std(axes, keepdims=True)
    else:
        low = image.min(axes, keepdims=True)
        width = image.max(axes, keepdims=True) - low
    return (image - low) / (width + 1e-4)


@pytest.mark.parametrize("normalization", ["image", "image_per_channel", "min_max", "min_max_per_channel"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_statistics_of_each_image(normalization, layout, dtype):
    batch = (rng.integers(0, 256, (5, 24, 26, 3)) * [1.0, 0.5, 0.25]).astype(dtype)
    batch[3] = 7  # constant
    axes = (0, 1) if normalization.endswith("channel") else None
    exact = np.stack([by_itself(image, normalization, axes) for image in batch])
    x = batch if layout.startswith("NHWC") else np.moveaxis(batch, -1, 1)
    exact = exact if layout.startswith("NHWC") else np.moveaxis(exact, -1, 1)
    normalize = ImageNormalizer(normalization=normalization, layout=layout)
    y = normalize(x)
    np.testing.assert_allclose(y, moved(exact, layout), rtol=1e-6, atol=2e-7)
    assert np.array_equal(normalize(list(x)), y)
    assert np.array_equal(normalize(x[2]), y[2])
    assert (y[3] == 0).all()


def test_statistics_of_an_image_with_gaps():
    image = rng.random((8, 9, 2))
    image[1, 2, 0] = np.nan
    y = ImageNormalizer(normalization="image_per_channel", dtype="float64")(image)
    assert np.isnan(y[0, 1, 2])
    assert np.isnan(y).sum() == 1
    assert abs(np.nanmean(y)) < 1e-12
    image[0, 0, 1] = np.inf
    for normalization in ("image", "image_per_channel", "min_max", "min_max_per_channel"):
        with pytest.raises(ValueError, match=r"X\[1\] contains infinity"):
            ImageNormalizer(normalization=normalization)([np.zeros_like(image), image])


# --- fit -------------------------------------------------------------------------------------------------------------


def test_fit_on_images_of_different_sizes():
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in [(5, 7), (30, 2), (64, 64), (1, 1)]]
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.int64)
    n = len(pixels)
    mean = [Fraction(int(total), 255 * n) for total in pixels.sum(axis=0)]
    var = [Fraction(int(total), 255**2 * n) - m * m for total, m in zip((pixels**2).sum(axis=0), mean, strict=True)]
    for source in (images, tuple(images), iter(images), (image for image in images)):
        normalizer = ImageNormalizer().fit(source)
        np.testing.assert_allclose(normalizer.mean_, [float(m) for m in mean], rtol=4e-16)
        np.testing.assert_allclose(normalizer.std_, [float(v) ** 0.5 for v in var], rtol=4e-16)
        assert normalizer.n_pixels_seen_ == n
    parts = ImageNormalizer().fit(images[:1]).merge(ImageNormalizer().fit(images[1:]))
    steps = ImageNormalizer()
    for image in images:
        steps.partial_fit(image)
    assert parts == steps == normalizer
    assert ImageNormalizer().merge(ImageNormalizer()).n_pixels_seen_ == 0
    channels_first = ImageNormalizer(layout="NCHW->NHWC").fit([image.transpose(2, 0, 1) for image in images])
    assert np.array_equal(channels_first.mean_, normalizer.mean_)
    assert np.array_equal(
        ImageNormalizer().fit(np.stack([images[2]] * 2)).mean_, ImageNormalizer().fit(images[2]).mean_
    )


def test_fit_on_images_of_different_dtypes():
    bytes_, words = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), rng.integers(0, 65536, (5, 4, 3), dtype=np.uint16)
    floats = rng.random((7, 6, 3)).astype(np.float32)
    normalizer = ImageNormalizer().fit([bytes_, words, floats])
    pixels = np.concatenate(
        [(image / unit).reshape(-1, 3) for image, unit in ((bytes_, 255), (words, 65535), (floats, 1.0))]
    )
    np.testing.assert_allclose(normalizer.mean_, pixels.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(normalizer.std_, pixels.std(axis=0), rtol=1e-14)


@pytest.mark.parametrize("channel_axis", [None, (-3, -2, -1)])
def test_a_list_is_fitted_as_its_images_one_by_one(channel_axis):
    make = {
        "u1": lambda: rng.integers(0, 256, (40, 50, 3), dtype=np.uint8),
        "f4": lambda: rng.normal(size=(40, 50, 3)).astype("f4"),
    }
    for dtypes in (["u1"] * 300, ["f4"] * 300, ["u1", "f4", "f4"] * 50):
        images = [make[dtype]() for dtype in dtypes]
        one_by_one = ImageNormalizer(channel_axis=channel_axis).fit(iter(images))
        for threads in (1, 2, 5):
            with planish.num_threads(threads):
                assert ImageNormalizer(channel_axis=channel_axis).fit(images) == one_by_one


def test_a_generator_may_use_its_memory_again():
    image = np.empty((4, 5, 3), np.uint8)

    def images():
        for value in range(5):
            image[...] = value
            yield image

    np.testing.assert_allclose(ImageNormalizer().fit(images()).mean_, [2 / 255] * 3, rtol=1e-15)


def test_constants_that_are_given_stay():
    assert np.array_equal(ImageNormalizer.imagenet().fit(IMAGE).mean_, MEAN)
    assert ImageNormalizer.imagenet().fit(IMAGE).n_pixels_seen_ == 37 * 53
    only_mean = ImageNormalizer(std=2.0).fit(IMAGE)
    np.testing.assert_allclose(only_mean.mean_, IMAGE.reshape(-1, 3).mean(axis=0) / 255)
    assert only_mean.std_ == 2
    only_std = ImageNormalizer(mean=0.5).fit(IMAGE)
    np.testing.assert_allclose(only_std.std_, IMAGE.reshape(-1, 3).std(axis=0) / 255)


def test_constants_that_are_given_fit_the_data():
    for normalizer in (ImageNormalizer.imagenet(), ImageNormalizer([0.1, 0.2, 0.3])):
        with pytest.raises(ValueError, match=r"1 channel\(s\); mean or std was given with 3"):
            normalizer.fit(IMAGE[..., :1])


def test_fit_again_forgets_and_an_error_changes_nothing():
    normalizer = ImageNormalizer().fit(IMAGE)
    before = copy.deepcopy(normalizer)
    for method in (normalizer.fit, normalizer.partial_fit):
        with pytest.raises(ValueError, match=r"X\[1\]"):
            method([IMAGE, IMAGE[..., :2]])
        assert normalizer == before
    assert normalizer.fit(IMAGE[:5]) == ImageNormalizer().fit(IMAGE[:5])


def test_mean_image():
    batch = rng.integers(0, 256, (50, 6, 8, 3), dtype=np.uint8)
    axes = (-3, -2, -1)
    normalizer = ImageNormalizer.zero_mean(channel_axis=axes).fit(batch)
    mean = batch.mean(axis=0) / 255
    np.testing.assert_allclose(normalizer.mean_, mean, rtol=1e-14)
    y = normalizer(batch)
    np.testing.assert_allclose(y, (batch / 255 - mean).transpose(0, 3, 1, 2), rtol=0, atol=6e-8)
    assert np.array_equal(normalizer(list(batch)), y)
    assert np.array_equal(ImageNormalizer.zero_mean(mean, channel_axis=axes)(batch[0]), y[0])
    assert np.array_equal(normalizer.inverse_transform(y), batch)
    per_row = ImageNormalizer(channel_axis=(-3, -1)).fit(batch)
    np.testing.assert_allclose(per_row.std_, batch.std(axis=(0, 2)) / 255, rtol=1e-13)
    assert np.array_equal(per_row.inverse_transform(per_row(batch)), batch)
    with pytest.raises(ValueError, match=r"\(6, 9, 3\)"):
        normalizer(np.zeros((6, 9, 3), np.uint8))


def test_constant_channels_give_zero():
    image = np.full((4, 4, 2), 9, np.uint8)
    normalizer = ImageNormalizer().fit(image)
    assert (normalizer.std_ == 0).all()
    assert (normalizer(image) == 0).all()
    assert np.array_equal(normalizer.inverse_transform(normalizer(image)), image)


def test_a_deviation_of_one_is_not_a_constant():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = 2
    normalizer = ImageNormalizer().fit(image)
    assert np.array_equal(np.unique(normalizer(image)), [-1, 1])
    assert np.array_equal(normalizer.inverse_transform(normalizer(image)), image)


def test_everything_that_gives_an_array():
    class Lender:
        def __dlpack__(self, **arguments):
            return IMAGE.__dlpack__(**arguments)

        def __dlpack_device__(self):
            return IMAGE.__dlpack_device__()

    normalize = ImageNormalizer.imagenet()
    for lent in (Lender(), memoryview(IMAGE)):
        assert ImageNormalizer().fit([lent]) == ImageNormalizer().fit(IMAGE)
        assert ImageNormalizer().fit(lent) == ImageNormalizer().fit(IMAGE)
        assert np.array_equal(normalize(lent), normalize(IMAGE))


# --- inverse ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_inverse_gives_the_pixels_back(layout, dtype):
    image = IMAGE if layout.startswith("NHWC") else IMAGE.transpose(2, 0, 1)
    normalizer = ImageNormalizer.imagenet(layout=layout, dtype=dtype)
    back = normalizer.inverse_transform(normalizer([image, image]))
    assert back.dtype == np.uint8
    assert back.shape == (2, *image.shape)
    # A result of at most 2.7 has an error of half an ulp there, times 58 pixels.
    worst = {"float16": 0, "bfloat16": 1}.get(dtype, 0)
    assert np.abs(back[0].astype(int) - image).max() <= worst


def test_inverse_to_other_pixels():
    words = rng.integers(0, 65536, (5, 6, 3), dtype=np.uint16)
    normalizer = ImageNormalizer.imagenet(dtype="float64")
    assert np.array_equal(normalizer.inverse_transform(normalizer(words), "uint16"), words)
    floats = rng.random((5, 6, 3))
    np.testing.assert_allclose(normalizer.inverse_transform(normalizer(floats), "float64"), floats, atol=1e-15)
    for dtype in ("int8", "uint32", "int64", "uint64"):
        limits = np.iinfo(dtype)
        extremes = ImageNormalizer.zero_one(scale=1.0).inverse_transform(np.array([[[-1e30, 1e30, 7.5]]]), dtype)
        assert extremes.ravel().tolist() == [limits.min, limits.max, 8]
    beyond = np.array([[[-99.0]], [[99.0]], [[np.nan]]])
    assert normalizer.inverse_transform(beyond).ravel().tolist() == [0, 255, 0]


# --- an object among others ------------------------------------------------------------------------------------------


def test_pickle_copy_equality_and_repr():
    fitted = ImageNormalizer(layout="NHWC->NHWC").fit(IMAGE)
    for normalizer in (ImageNormalizer.imagenet(), ImageNormalizer(normalization="min_max"), fitted, ImageNormalizer()):
        data = pickle.dumps(normalizer)
        assert len(data) < 2000
        assert pickle.loads(data) == normalizer == copy.copy(normalizer)
    assert pickle.loads(pickle.dumps(fitted)).partial_fit(IMAGE) == fitted.partial_fit(IMAGE)
    assert ImageNormalizer.imagenet() != ImageNormalizer.imagenet(dtype="float16")
    assert ImageNormalizer.imagenet() != ImageNormalizer.zero_one()
    assert ImageNormalizer.imagenet() != 1
    assert repr(ImageNormalizer.imagenet()) == "ImageNormalizer(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])"
    assert repr(ImageNormalizer(layout="NHWC->NHWC", dtype="float16")) == (
        "ImageNormalizer(layout='NHWC->NHWC', dtype='float16')"
    )
    assert "n_pixels_seen_=1961" in repr(ImageNormalizer().fit(IMAGE))


def test_scikit_learn_is_not_imported():
    import subprocess
    import sys

    code = """
import sys, numpy as np, planish
planish.ImageNormalizer.imagenet()(np.zeros((8, 8, 3), np.uint8))
assert not {"sklearn", "scipy", "ml_dtypes"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- bad input -------------------------------------------------------------------------------------------------------

"""What new users fall into: a warning at their own line, or an error at once."""

import pickle
import sys
import warnings

import numpy as np
import planish
import pytest
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
from sklearn.base import clone

pytestmark = pytest.mark.dependencies

STREAMING = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler]
SCALERS = [*STREAMING, Normalizer, LogScaler]
RNG = np.random.default_rng(11)
TABLE = RNG.uniform(1, 2, (20, 3))


def heard(function, *args, **kwargs):
    """Call `function`; the warnings that it gave, which must point here."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    assert {warning.filename for warning in found} <= {__file__}
    return [str(warning.message) for warning in found]


# --- channels --------------------------------------------------------------------------------------------------------

FIRST = [(2, 3, 8, 9), (5, 1, 28, 28), (2, 4, 5, 5), (3, 224, 224), (1, 5, 5)]
NOT_FIRST = [
    (2, 8, 9, 3),
    (8, 9, 3),
    (2, 14, 14, 64),
    (2, 3, 8, 4),
    (2, 3, 1, 9),
    (2, 5, 8, 9),
    (1, 2, 3, 8, 9),
    (3, 8),
]


@pytest.mark.parametrize("cls", [*STREAMING, Normalizer])
@pytest.mark.parametrize("shape", FIRST)
def test_channels_first_with_the_default_axis(cls, shape):
    X = RNG.uniform(1, 2, shape)
    (message,) = heard(cls().fit, X)
    assert f"X has shape {shape}" in message
    assert "channel_axis=-3 takes the channels" in message
    # As soon as an axis is given, this is what is meant; however it is given.
    for axis in (-1, -3, (-1,), X.ndim - 1):
        assert heard(cls(channel_axis=axis).fit, X) == []
        assert heard(cls().set_params(channel_axis=axis).fit, X) == []
    given = cls(channel_axis=-1)
    for same in (clone(given), clone(clone(given)), pickle.loads(pickle.dumps(given))):
        assert heard(same.fit, X) == []
    for same in (clone(cls()), pickle.loads(pickle.dumps(cls())), planish.loads(planish.dumps(cls()))):
        assert len(heard(same.fit, X)) == 1
    assert clone(given).get_params() == cls().get_params()
    assert repr(given) == repr(cls())


ACCUMULATORS = [getattr(planish.stats, name) for name in planish.stats.__all__]


@pytest.mark.parametrize("cls", ACCUMULATORS)
@pytest.mark.parametrize("shape", FIRST)
def test_channels_first_of_accumulators(cls, shape):
    X = RNG.uniform(1, 2, shape)
    for empty in (cls(), cls() + cls(), cls().merge(cls())):
        (message,) = heard(empty.update, X)
        assert f"x has shape {shape}" in message
        assert "channel_axis=-3 takes the channels" in message
        assert heard(empty.update, X) == []
    for axis in (-1, -3, (-1,), X.ndim - 1, None):
        assert heard(cls(channel_axis=axis).update, X) == []
    assert heard(planish.stats.MedianOfMeans(10, -1).update, X) == []
    assert heard(planish.stats.Quantiles(0.5, -1).update, X) == []


@pytest.mark.parametrize("cls", ACCUMULATORS)
@pytest.mark.parametrize("shape", NOT_FIRST)
def test_other_arrays_of_accumulators(cls, shape):
    assert heard(cls().update, RNG.uniform(1, 2, shape)) == []


@pytest.mark.parametrize("cls", STREAMING)
def test_only_the_first_batch_is_looked_at(cls):
    X = RNG.uniform(1, 2, FIRST[0])
    scaler = cls()
    assert len(heard(scaler.partial_fit, X)) == 1
    assert heard(scaler.partial_fit, X) == []
    assert heard(scaler.transform, X) == []
    grouped = GroupedScaler(cls())
    assert len(heard(grouped.fit, X, groups=[0, 1])) == 1
    assert heard(GroupedScaler(cls(channel_axis=-1)).fit, X, groups=[0, 1]) == []


@pytest.mark.parametrize("cls", SCALERS)
@pytest.mark.parametrize("shape", NOT_FIRST)
def test_other_arrays_are_nothing_to_warn_of(cls, shape):
    assert heard(cls().fit, RNG.uniform(1, 2, shape)) == []


# --- dtypes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", SCALERS)
@pytest.mark.parametrize("dtype", ["int8", np.uint16, bool, "complex64", "M8[s]", object, "no dtype", 3.5])
def test_dtypes_that_results_cannot_have(cls, dtype):
    with pytest.raises(TypeError) as of_map:
        cls().fit(TABLE).set_params(dtype=dtype).transform(TABLE)
    words = str(of_map.value)
    assert words.startswith("dtype=")
    assert words.endswith("is no dtype of results; accepted are float16, bfloat16, float32 and float64")
    scaler = cls(dtype=dtype)
    methods = [name for name in ("fit", "partial_fit", "fit_transform") if hasattr(scaler, name)]
    for method in methods:
        with pytest.raises(TypeError) as error:
            getattr(scaler, method)(TABLE)
        assert str(error.value) == words
    with pytest.raises(TypeError) as error:
        GroupedScaler(scaler).fit(TABLE, groups=np.zeros(20, int))
    assert str(error.value) == words
    constants = {StandardScaler: [0, 1], MinMaxScaler: [0, 1], MaxAbsScaler: [1], RobustScaler: [0, 1]}
    if cls in constants:
        with pytest.raises(TypeError) as error:
            cls.from_stats(*([c] for c in constants[cls]), dtype=dtype)
        assert str(error.value) == words


# --- quantiles in percent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantile_range", [(0.25, 0.75), (0.0, 1.0), (0, 1), (0.5, 0.5)])
def test_fractions_for_percent(quantile_range):
    scaler = RobustScaler(quantile_range=quantile_range)
    low, high = quantile_range
    calls = [
        (scaler.fit, {}),
        (clone(scaler).partial_fit, {}),
        (scaler.fit_transform, {}),
        (GroupedScaler(scaler).fit, {"groups": np.arange(20) % 5}),
        (planish.robust_scale, {"quantile_range": quantile_range}),
    ]
    for call, arguments in calls:
        (message,) = heard(call, TABLE, **arguments)
        assert f"is in percent: a range from {low} % to {high} % of the data" in message
        assert f"{(100.0 * low, 100.0 * high)} would be" in message


@pytest.mark.parametrize("quantile_range", [(25.0, 75.0), (0, 100), (0.0, 1.5), (1, 99), (0.1, 99.9)])
def test_percent(quantile_range):
    assert heard(RobustScaler(quantile_range=quantile_range).fit, TABLE) == []


# --- pictures of floats ----------------------------------------------------------------------------------------------

PRESETS = [ImageNormalizer.imagenet, ImageNormalizer.zero_one, ImageNormalizer.minus_one_one]


@pytest.mark.parametrize("make", PRESETS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_0_to_255(make, dtype):
    image = RNG.uniform(0, 255, (20, 24, 3)).astype(dtype)
    for X in (image, image[None], [image, image], (image,)):
        normalize = make()
        (message,) = heard(normalize, X)
        assert "scale=1 / 255 maps such pixels" in message
        assert heard(normalize, X) == []  # once
    copies = pickle.loads(pickle.dumps(make()))
    assert len(heard(copies.transform, image)) == 1
    for scale in (1, 1 / 255):
        assert heard(make(scale=scale), image) == []
    assert heard(make(normalization="image"), image) == []


@pytest.mark.parametrize("make", PRESETS)
def test_other_pictures(make):
    shape = (20, 24, 3)
    pictures = {
        "bytes": RNG.integers(0, 256, shape, dtype=np.uint8),
        "0 to 1": RNG.random(shape),
        "resized beyond": RNG.uniform(-0.1, 1.2, shape),
        "bright lights": RNG.uniform(0, 9, shape),
        "standardised": RNG.normal(0, 10, shape),
        "black": np.zeros(shape),
        "NaN": np.full(shape, np.nan),
    }
    for name, image in pictures.items():
        assert heard(make(), image) == [], name


def test_constants_of_such_pictures_are_believed():
    images = RNG.uniform(0, 255, (4, 20, 24, 3))
    assert heard(ImageNormalizer().fit_transform, images) == []
    assert heard(ImageNormalizer.zero_mean().fit_transform, images) == []
    assert heard(ImageNormalizer(120.0, 60.0), images) == []


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "wrong", "right"),
    [
        (planish, "StandartScaler", "StandardScaler"),
        (planish, "standardscaler", "StandardScaler"),
        (planish, "MinMaxScalar", "MinMaxScaler"),
        (planish, "stat", "stats"),
        (planish, "set_num_thread", "set_num_threads"),
        (planish.stats, "Moment", "Moments"),
        (planish.layers, "layernorm", "layer_norm"),
    ],
)
def test_names_that_are_nearly_right(module, wrong, right):
    with pytest.raises(AttributeError) as error:
        getattr(module, wrong)
    assert str(error.value) == f"module '{module.__name__}' has no attribute '{wrong}'; did you mean {right}?"


def test_names_that_are_nothing():
    for module in (planish, planish.stats, planish.layers):
        for name in ("kurtosis", "__wrapped__", "_StandardScaler"):
            with pytest.raises(AttributeError) as error:
                getattr(module, name)
            assert str(error.value) == f"module '{module.__name__}' has no attribute '{name}'"
    with pytest.raises(ImportError, match="cannot import name 'StandartScaler'"):
        from planish import StandartScaler  # noqa: F401


def test_dir_lists_public_names():
    for module in (planish, planish.stats, planish.layers):
        public = [name for name in dir(module) if name != "__version__"]
        assert public == sorted(module.__all__)
        assert not any(name.startswith("_") for name in public)
        assert all(getattr(module, name) is not None for name in public)
    assert "planish.scalers.standard" in sys.modules

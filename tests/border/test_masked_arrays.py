"""Masked arrays: the mask counts, or a TypeError says that it would not."""

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
    layers,
)
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

pytestmark = pytest.mark.dependencies

SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler]
ACCUMULATORS = [Moments, Extrema, Quantiles, lambda: MedianOfMeans(2)]
FUNCTIONS = ["scale", "minmax_scale", "maxabs_scale", "robust_scale", "normalize"]
rng = np.random.default_rng(0)
DATA = rng.normal(5, 2, size=(60, 4))
MASK = rng.random((60, 4)) < 0.3
MASKED = np.ma.array(np.where(MASK, -999.0, DATA), mask=MASK)
HOLES = np.where(MASK, np.nan, DATA)


class Variable:
    """As those of netCDF4: not an array, but it gives a masked one."""

    def __init__(self, masked):
        self.masked = masked

    def __array__(self, dtype=None, copy=None):
        return self.masked if dtype is None else self.masked.astype(dtype)


def forms():
    yield "array", MASKED
    yield "hard", np.ma.array(MASKED, hard_mask=True)
    yield "fortran", np.ma.array(np.asfortranarray(MASKED.data), mask=MASK)
    yield "reversed", np.ma.array(MASKED.data[::-1], mask=MASK[::-1])[::-1]
    yield "infinite", np.ma.array(np.where(MASK, np.inf, DATA), mask=MASK)
    yield "big-endian", np.ma.array(MASKED.data.astype(">f8"), mask=MASK)
    yield "list of rows", list(MASKED)
    yield "list of lists", [[row[i] for i in range(4)] for row in MASKED]
    yield "variable", Variable(MASKED)


FORMS = dict(forms())


def plain(kind):
    """The same data without a mask, in the same order."""
    return np.asfortranarray(DATA) if kind == "fortran" else DATA


def state(scaler):
    return {name: value for name, value in vars(scaler).items() if name.endswith("_")}


@pytest.mark.parametrize("kind", list(FORMS))
@pytest.mark.parametrize("cls", SCALERS)
def test_fits_see_what_is_not_masked(cls, kind):
    X = FORMS[kind]
    expected = cls().fit(plain(kind), mask=~MASK)
    for scaler in (cls().fit(X), cls().partial_fit(X) if cls is not RobustScaler else cls().fit(X)):
        for name, value in state(expected).items():
            np.testing.assert_array_equal(getattr(scaler, name), value)
    rows = np.arange(60) % 2 == 0
    both = cls().fit(X, mask=rows[:, None])
    for name, value in state(cls().fit(plain(kind), mask=~MASK & rows[:, None])).items():
        np.testing.assert_array_equal(getattr(both, name), value)


@pytest.mark.parametrize("kind", list(FORMS))
@pytest.mark.parametrize("cls", [*SCALERS, Normalizer])
def test_maps_keep_the_mask(cls, kind):
    scaler = cls().fit(MASKED)
    expected = scaler.transform(np.where(MASK, 0.0, DATA))
    for result in (scaler.transform(FORMS[kind]), cls().fit_transform(FORMS[kind])):
        assert isinstance(result, np.ma.MaskedArray)
        np.testing.assert_array_equal(np.ma.getmaskarray(result), MASK)
        np.testing.assert_array_equal(result.compressed(), expected[~MASK])
    if cls is not Normalizer:
        back = scaler.inverse_transform(result)
        np.testing.assert_array_equal(back.mask, MASK)
        np.testing.assert_allclose(back.compressed(), DATA[~MASK], rtol=1e-12)


@pytest.mark.parametrize("cls", [*SCALERS, Normalizer])
def test_where_maps_write(cls):
    scaler = cls().fit(MASKED)
    expected = scaler.transform(MASKED)
    for out in (np.ma.empty((60, 4)), np.ma.array(np.empty((60, 4)), mask=~MASK, hard_mask=True)):
        assert scaler.transform(MASKED, out=out) is out
        np.testing.assert_array_equal(out.mask, MASK)
        np.testing.assert_array_equal(out.compressed(), expected.compressed())
    with pytest.raises(TypeError, match="out must be a masked array"):
        scaler.transform(MASKED, out=np.empty((60, 4)))
    with pytest.raises(TypeError, match="out is a masked array"):
        scaler.transform(DATA, out=np.ma.empty((60, 4)))
    before = MASKED.copy()
    assert expected.mask is not MASKED.mask
    expected.mask[:] = True
    np.testing.assert_array_equal(MASKED.mask, before.mask)
    if cls is not Normalizer:
        again = MASKED.copy()
        assert cls(copy=False).fit(again).transform(again) is again
        np.testing.assert_array_equal(again.compressed(), scaler.transform(MASKED).compressed())
    with pytest.raises(ValueError, match="infinity"):
        scaler.transform(np.ma.array(np.where(MASK, DATA, np.inf), mask=MASK))


def test_logarithms():
    positive = np.ma.array(np.where(MASK, -1.0, np.exp(DATA)), mask=MASK)
    result = LogScaler().fit(positive).transform(positive)
    np.testing.assert_array_equal(result.mask, MASK)
    np.testing.assert_array_equal(result.compressed(), LogScaler().transform(np.exp(DATA))[~MASK])
    np.testing.assert_array_equal(LogScaler().inverse_transform(result).mask, MASK)
    with pytest.raises(ValueError, match="without a logarithm"):
        LogScaler().fit(np.ma.array(positive.data, mask=~MASK))


@pytest.mark.parametrize("cls", [*SCALERS, Normalizer])
@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_tables_have_nan_for_it(cls, container):
    result = cls().set_output(transform=container).fit_transform(MASKED)
    np.testing.assert_array_equal(np.isnan(result.to_numpy()), MASK)


@pytest.mark.parametrize("make", ACCUMULATORS)
@pytest.mark.parametrize("kind", [kind for kind in FORMS if kind != "big-endian"])
def test_accumulators(make, kind):
    expected = make().update(plain(kind), mask=~MASK)
    got = make().update(FORMS[kind])
    assert got == expected
    rows = (np.arange(60) % 2 == 0)[:, None]
    assert make().update(FORMS[kind], mask=rows) == make().update(plain(kind), mask=~MASK & rows)
    unsure = np.ma.array(np.ones((60, 4), bool), mask=MASK)
    assert make().update(plain(kind), mask=unsure) == expected


@pytest.mark.parametrize("make", [Moments, Quantiles, lambda: MedianOfMeans(2)])
def test_weights_that_are_masked_do_not_count(make):
    weights = np.ma.array(np.arange(60.0), mask=np.arange(60) % 3 == 0)
    assert make().update(DATA, weights) == make().update(DATA, weights.filled(0))
    assert make().update(DATA, list(weights)) == make().update(DATA, weights.filled(0))
    fitted = StandardScaler().fit(DATA, sample_weight=weights)
    np.testing.assert_array_equal(fitted.mean_, StandardScaler().fit(DATA, sample_weight=weights.filled(0)).mean_)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("axis", [0, 1])
def test_functions(name, axis):
    function = getattr(planish, name)
    result = function(MASKED, axis=axis)
    np.testing.assert_array_equal(result.mask, MASK)
    expected = function(np.where(MASK, 0.0, DATA) if name == "normalize" else HOLES, axis=axis)
    np.testing.assert_array_equal(result.compressed(), expected[~MASK])


@pytest.mark.parametrize("cls", [*SCALERS, Normalizer])
def test_groups(cls):
    groups = np.arange(60) % 3
    scaler = GroupedScaler(cls()).fit(MASKED, groups=groups)
    result = scaler.transform(MASKED, groups=groups)
    np.testing.assert_array_equal(result.mask, MASK)
    for group in range(3):
        alone = cls().fit(MASKED[groups == group]).transform(MASKED[groups == group])
        np.testing.assert_allclose(result[groups == group].compressed(), alone.compressed(), rtol=1e-13, atol=1e-14)
    again = GroupedScaler(cls()).fit_transform(MASKED, groups=groups)
    np.testing.assert_array_equal(again.compressed(), result.compressed())
    out = np.ma.empty((60, 4))
    assert scaler.transform(MASKED, groups=groups, out=out) is out
    np.testing.assert_array_equal(out.compressed(), result.compressed())
    if cls is not Normalizer:
        back = scaler.inverse_transform(result, groups=groups)
        np.testing.assert_allclose(back.compressed(), DATA[~MASK], rtol=1e-12)


def test_little_of_it():
    assert Moments(None).update(np.ma.masked).count == 0
    assert Moments().update(np.ma.array(DATA, mask=np.ma.nomask)) == Moments().update(DATA)
    scaler = StandardScaler().fit(DATA)
    assert scaler.transform(np.ma.array(DATA)).mask is np.ma.nomask
    np.testing.assert_array_equal(scaler.transform(np.ma.array(DATA)).data, scaler.transform(DATA))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert np.isnan(MinMaxScaler().fit(np.ma.array(DATA, mask=True)).data_min_).all()
    images = np.ma.array(rng.integers(0, 99, (5, 4, 4, 3)), mask=rng.random((5, 4, 4, 3)) < 0.5)
    np.testing.assert_array_equal(StandardScaler().fit(images).mean_, images.mean(axis=(0, 1, 2)).data)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LogScaler(offset=MASKED[0]).fit(DATA),
        lambda: LogScaler(scale=list(MASKED[0])).transform(DATA),
        lambda: ImageNormalizer.imagenet()(np.ma.zeros((3, 4, 3), np.uint8)),
        lambda: ImageNormalizer.imagenet()([np.ma.zeros((3, 4, 3), np.uint8)]),
        lambda: ImageNormalizer.imagenet()(Variable(np.ma.zeros((3, 4, 3), np.uint8))),
        lambda: ImageNormalizer().fit(np.ma.zeros((3, 4, 3), np.uint8)),
        lambda: ImageNormalizer().fit([list(np.ma.zeros((3, 4, 3), np.uint8))]),
        lambda: ImageNormalizer([np.ma.masked, 1.0]),
        lambda: layers.layer_norm(MASKED),
        lambda: layers.layer_norm(list(MASKED)),
        lambda: layers.layer_norm(DATA, Variable(MASKED[0])),
        lambda: layers.batch_norm(MASKED),
        lambda: layers.layer_norm_backward(DATA, MASKED),
        lambda: Moments.from_stats(3, np.ma.array([1.0]), [1.0]),
        lambda: Extrema.from_stats(3, [1.0], np.ma.array([1.0])),
        lambda: StandardScaler.from_stats(np.ma.array([1.0]), [1.0]),
        lambda: MinMaxScaler.from_stats([0.0], list(np.ma.array([1.0], mask=[True]))),
        lambda: Quantiles(np.ma.array([0.5])),
        lambda: Moments().update(np.ma.zeros(3, [("a", "f4")])),
    ],
)
def test_elsewhere_it_is_refused(call):
    with pytest.raises(TypeError, match="masked array|has dtype"):
        call()

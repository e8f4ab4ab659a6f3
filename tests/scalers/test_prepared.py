"""A scaler keeps the map of `transform` between calls: whatever changes in between must show at once."""

import gc
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from planish import LogScaler, MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    MinMaxScaler((-1, 2)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
    RobustScaler(),
    Normalizer(),
    Normalizer("l1"),
    LogScaler(10, offset=0.5),
    LogScaler(invalid="nan", offset=[0.5, 1, 2, 3], scale=[1, 2, 3, 4]),
]
IDS = [repr(scaler) for scaler in SCALERS]


def table(rows=20):
    return np.random.default_rng(rows).uniform(0.5, 3, size=(rows, 4))


def used(scaler):
    """A scaler that has mapped a table."""
    scaler = sklearn.base.clone(scaler).fit(table())
    scaler.transform(table())
    return scaler


def as_anew(scaler, x, **options):
    """What a copy gives that has mapped nothing."""
    return pickle.loads(pickle.dumps(scaler)).transform(x, **options)


@pytest.mark.parametrize("scaler", SCALERS, ids=IDS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i4", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F", "reversed"])
def test_the_second_call_is_the_first(scaler, dtype, order):
    x = (10 * table()).astype(dtype)
    x = x[::-1, ::-1] if order == "reversed" else np.asarray(x, order=order)
    scaler = used(scaler)
    first, second = as_anew(scaler, x), scaler.transform(x)
    assert (first.dtype, first.tobytes(), first.flags.c_contiguous) == (
        second.dtype,
        second.tobytes(),
        second.flags.c_contiguous,
    )
    out = np.empty_like(first)
    assert scaler.transform(x, out=out) is out
    assert out.tobytes() == first.tobytes()


@pytest.mark.parametrize("scaler", SCALERS, ids=IDS)
def test_attributes_that_change(scaler):
    learned = [
        name for name, value in vars(used(scaler)).items() if name.endswith("_") and isinstance(value, np.ndarray)
    ]
    for name in learned:
        changed = used(scaler)
        getattr(changed, name)[1] *= 3  # in place
        assert changed.transform(table()).tobytes() == as_anew(changed, table()).tobytes()
        changed = used(scaler)
        setattr(changed, name, getattr(changed, name) * 3)
        assert changed.transform(table()).tobytes() == as_anew(changed, table()).tobytes()
    changed = used(scaler).set_params(dtype="float32")
    assert changed.transform(table()).dtype == np.float32
    changed = used(scaler).set_params(copy=False)
    x = table()
    assert changed.transform(x) is x
    assert (used(scaler).transform(table(), copy=True) == x).all()
    changed = used(scaler)
    changed.fit(table(50))
    assert changed.transform(table()).tobytes() == as_anew(changed, table()).tobytes()


@pytest.mark.parametrize("scaler", SCALERS, ids=IDS)
def test_what_the_caller_asks_for(scaler):
    changed = used(scaler).set_output(transform="pandas")
    assert isinstance(changed.transform(table()), pd.DataFrame)
    changed = used(scaler)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(changed.transform(table()), pd.DataFrame)
    frame = pd.DataFrame(table(), columns=list("abcd"))
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        np.testing.assert_array_equal(changed.transform(frame), changed.transform(table()))
    changed.fit(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        changed.transform(table())
    masked = np.ma.masked_greater(table(), 2)
    np.testing.assert_array_equal(used(scaler).transform(masked).mask, masked.mask)


@pytest.mark.parametrize("scaler", SCALERS, ids=IDS)
def test_bad_input(scaler):
    scaler = used(scaler)
    for bad, error in [
        (table()[:, :3], ValueError),
        (table()[:0], ValueError),
        (table()[0], ValueError),
        (table().astype(complex), ValueError),
        ("text", ValueError),
        (np.where(table() > 2, np.inf, 1.0), ValueError),
    ]:
        with pytest.raises(error) as ours:
            scaler.transform(bad)
        with pytest.raises(error) as theirs:
            as_anew(scaler, bad)
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(TypeError, match="out must be a NumPy array"):
        scaler.transform(table(), out=[])
    if not isinstance(scaler, Normalizer):
        x = np.where(table() > 2, np.inf, 1.0)
        with sklearn.config_context(assume_finite=True):
            assert np.isinf(scaler.transform(x)).any() or scaler.get_params().get("clip")


def test_logarithms_of_numbers_without_one():
    x = np.where(table() > 2, -1.0, 1.0)
    scaler = used(LogScaler())
    with pytest.raises(ValueError, match="without a logarithm"):
        scaler.transform(x)
    assert np.isnan(scaler.set_params(invalid="nan").transform(x)).any()


def test_a_scaler_that_is_gone_wrong():
    scaler = used(StandardScaler())
    del scaler.mean_
    with pytest.raises(AttributeError, match="mean_"):
        scaler.transform(table())
    scaler = used(StandardScaler(with_std=False))
    with pytest.raises(ValueError, match="was fitted without"):
        scaler.set_params(with_std=True).transform(table())


class Moved(StandardScaler):
    """A subclass whose mean is a property."""

    by = 0.0

    @property
    def mean_(self):
        return self.__dict__["_mean"] + self.by

    @mean_.setter
    def mean_(self, value):
        self.__dict__["_mean"] = value


class Guarded(StandardScaler):
    """A subclass that lets nobody set what it has."""

    def __setattr__(self, name, value):
        if "_frozen" in self.__dict__:
            raise AttributeError(f"frozen: {name}")
        super().__setattr__(name, value)

    def __getattr__(self, name):
        if not name.startswith("_prepared"):
            raise AttributeError(name)
        return lambda *arguments: "of the subclass"


def test_subclasses_that_rule_their_attributes():
    scaler = used(Moved())
    before = scaler.transform(table())
    scaler.by = 5.0
    np.testing.assert_allclose(scaler.transform(table()), before - 5.0 / scaler.scale_, rtol=1e-12)
    scaler = used(Guarded())
    scaler._frozen = True
    np.testing.assert_array_equal(scaler.transform(table()), used(StandardScaler()).transform(table()))
    assert pickle.loads(pickle.dumps(used(StandardScaler()))).transform(table()) is not None


def test_attributes_that_are_no_arrays():
    scaler = used(StandardScaler())
    scaler.mean_ = [0.0] * 4
    scaler.transform(table())
    scaler.mean_[0] = 100.0
    assert scaler.transform(table()).tobytes() == as_anew(scaler, table()).tobytes()
    scaler = used(MinMaxScaler(clip=True))
    scaler.feature_range = [0, 1]
    scaler.transform(table())
    scaler.feature_range[1] = 0.5
    assert scaler.transform(table()).max() == 0.5
    scaler = used(StandardScaler())
    scaler.scale_.dtype = np.int64
    assert scaler.transform(table()).tobytes() == as_anew(scaler, table()).tobytes()


def test_a_fit_by_another_thread_meanwhile():
    class Refitted(StandardScaler):
        def _ready(self):
            ready = super()._ready()
            if "_done" not in self.__dict__:
                self._done = True
                self.fit(10 * table())
            return ready

    scaler = Refitted().fit(table())
    scaler.transform(table())
    assert scaler.transform(table()).tobytes() == StandardScaler().fit(10 * table()).transform(table()).tobytes()


def test_nothing_is_kept_of_a_scaler_that_is_gone():
    kept = sys.modules["planish.scalers._base"]._READY
    gc.collect()
    before = len(kept)
    scalers = [used(scaler) for scaler in SCALERS]
    assert len(kept) > before
    del scalers
    gc.collect()
    assert len(kept) == before

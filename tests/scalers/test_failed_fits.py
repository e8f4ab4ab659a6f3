"""A fit that fails leaves its object exactly as it was; fits that cannot be of use say so.

Data that every scaler refuses are in `test_contract.py`.
"""

import pickle

import numpy as np
import planish
import pytest
from planish import GroupedScaler, StandardScaler

pytestmark = pytest.mark.dependencies

RNG = np.random.default_rng(0)
TABLE, IMAGES = RNG.normal(3, 2, (40, 3)), RNG.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


CLASSES = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer", "LogScaler"]
WITH_INFINITY = np.where(np.eye(8, 5) > 0, np.inf, 1.0)
BAD_PARAMETERS = {
    "StandardScaler": {"with_mean": "yes"},
    "MinMaxScaler": {"feature_range": (1, 0)},
    "MaxAbsScaler": {"copy": 3},
    "RobustScaler": {"quantile_range": (80, 20)},
    "Normalizer": {"norm": "l3"},
    "LogScaler": {"base": -1},
}


def frozen(thing):
    state = {name: value for name, value in vars(thing).items() if name != "_lock"}
    return pickle.dumps(sorted(state.items()))


def assert_unchanged(thing, call, error=(ValueError, TypeError, KeyboardInterrupt)):
    before = frozen(thing)
    with pytest.raises(error):
        call()
    assert frozen(thing) == before


@pytest.mark.parametrize("name", CLASSES)
def test_bad_parameters(name):
    scaler = getattr(planish, name)().fit(np.abs(TABLE)).set_params(**BAD_PARAMETERS[name])
    assert_unchanged(scaler, lambda: scaler.fit(np.ones((3, 7))))


@pytest.mark.parametrize("name", ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"])
def test_bad_mask_weights_and_partners(name):
    scaler = getattr(planish, name)().fit(TABLE)
    wide = np.ones((4, 7))
    for mask in (np.ones((4, 3), bool), np.ones((4, 7))):
        assert_unchanged(scaler, lambda mask=mask: scaler.fit(wide, mask=mask))
    if name == "StandardScaler":
        for weights in (np.ones(3), -np.ones(4), np.full(4, np.nan), ["a"] * 4):
            assert_unchanged(scaler, lambda weights=weights: scaler.fit(wide, sample_weight=weights))
    assert_unchanged(scaler, lambda: scaler.partial_fit(wide))
    assert_unchanged(scaler, lambda: scaler.merge(getattr(planish, name)().fit(wide)))


@pytest.mark.parametrize("name", CLASSES[:4])
def test_names_of_a_frame(name):
    pd = pytest.importorskip("pandas")
    scaler = getattr(planish, name)().fit(pd.DataFrame(TABLE, columns=list("abc")))
    bad = pd.DataFrame({"x": [np.inf, 1.0], "y": [1.0, 2.0]})
    assert_unchanged(scaler, lambda: scaler.fit(bad))
    new = getattr(planish, name)()
    assert_unchanged(new, lambda: new.fit(bad))


def test_the_last_step_fails(monkeypatch):
    for name in CLASSES[:4]:
        scaler = getattr(planish, name)().fit(TABLE)
        monkeypatch.setattr(type(scaler), "_take_over" if name == "RobustScaler" else "_learn", interrupted)
        assert_unchanged(scaler, lambda scaler=scaler: scaler.fit(np.ones((4, 7))), KeyboardInterrupt)


def interrupted(*_):
    raise KeyboardInterrupt


def test_groups():
    scaler = GroupedScaler(StandardScaler()).fit(TABLE, groups=LABELS)
    for X, groups in ((WITH_INFINITY, np.zeros(8)), (np.ones((4, 7)), [1, 2]), (np.ones((4, 7)), None)):
        for method in (scaler.fit, scaler.partial_fit, scaler.fit_transform):
            assert_unchanged(scaler, lambda X=X, groups=groups, method=method: method(X, groups=groups))
    other = GroupedScaler(StandardScaler()).fit(np.ones((4, 7)), groups=[1] * 4)
    assert_unchanged(scaler, lambda: scaler.merge(other))


def test_images():
    normalizer = planish.ImageNormalizer().fit(IMAGES)
    for bad in (np.ones((3, 4)), [IMAGES[0], "no image"], [], np.full((2, 2, 3), np.inf)):
        assert_unchanged(normalizer, lambda bad=bad: normalizer.fit(bad))
        assert_unchanged(normalizer, lambda bad=bad: normalizer.partial_fit(bad))


# --- fits of no use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "rows"), [(10, 4), (10, 2), (10, 10), (10, 14), (3, 4), (7, 10)])
def test_too_few_rows_for_blocks(blocks, rows):
    x = RNG.normal(size=(rows, 2))
    needed = f"n_blocks={blocks} needs at least 2 numbers .* {2 * blocks} rows"
    if rows < blocks:
        with pytest.raises(ValueError, match=needed):
            StandardScaler(n_blocks=blocks).fit(x)
        with pytest.raises(ValueError, match=needed):
            StandardScaler(n_blocks=blocks).fit(x, sample_weight=np.full(rows, 0.5))
        both, grouped = np.vstack([RNG.normal(size=(40, 2)), x]), GroupedScaler(StandardScaler(n_blocks=blocks))
        with pytest.raises(ValueError, match=f"group 'b': {needed}"):
            grouped.fit(both, groups=["a"] * 40 + ["b"] * rows)
    # A stream may begin with fewer, and says so only where it is used.
    scaler = StandardScaler(n_blocks=blocks).partial_fit(x)
    for use in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(ValueError, match=needed):
            use(x)
    more = RNG.normal(size=(2 * blocks - rows, 2))
    scaler.partial_fit(more)
    whole = StandardScaler(n_blocks=blocks).fit(np.vstack([x, more]))
    np.testing.assert_allclose(scaler.transform(x), whole.transform(x), rtol=1e-12)
    assert (whole.scale_ != 1).all()
    # Means need no more than a number.
    centred = StandardScaler(n_blocks=blocks, with_std=False).fit(x)
    assert np.isfinite(centred.transform(x)).all()
    # What is constant needs no variance.
    np.testing.assert_array_equal(StandardScaler(n_blocks=blocks).fit_transform(np.ones((rows, 2))), 0)


def test_a_channel_of_few_numbers_in_blocks():
    x = RNG.normal(size=(40, 3))
    x[3:, 1] = np.nan
    with pytest.warns(RuntimeWarning, match=r"channels \[1\] have fewer than 2 numbers in most of the 4 blocks"):
        scaler = StandardScaler(n_blocks=4).fit(x)
    assert (scaler.scale_ != 1).tolist() == [True, False, True]
    # One without any number is one, with blocks or without.
    x[:, 1] = np.nan
    assert np.isnan(StandardScaler(n_blocks=4).fit(x).mean_).tolist() == [False, True, False]


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
def test_a_group_without_weight(method):
    weights = np.where(LABELS == 2, 0.0, 1.0)
    scaler = GroupedScaler(StandardScaler())
    with pytest.raises(ValueError, match=r"all weights are zero in the groups 2;"):
        getattr(scaler, method)(TABLE, groups=LABELS, sample_weight=weights)
    # A group that is known may have a batch without weight.
    scaler.fit(TABLE, groups=LABELS).partial_fit(TABLE, groups=LABELS, sample_weight=weights)
    assert np.isfinite(scaler.transform(TABLE, groups=LABELS)).all()

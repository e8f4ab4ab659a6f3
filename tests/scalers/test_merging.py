"""Joining what was fitted apart: `merge` changes its left side, `+` neither."""

import copy

import numpy as np
import pytest
from planish import GroupedScaler, ImageNormalizer, RobustScaler, StandardScaler
from planish.layers import BatchNorm
from saved_objects import bits

pytestmark = pytest.mark.dependencies

RNG = np.random.default_rng(5)
HERE, THERE = RNG.normal(size=(2, 40, 3))
LABELS = np.arange(40) % 3
IMAGES = RNG.integers(0, 256, (2, 2, 6, 7, 3), dtype=np.uint8)


def trained(x):
    norm = BatchNorm(3)
    norm(x)
    norm.gamma[:] = 2.0
    return norm


#: What each makes of some data, and one that has seen none. `test_contract.py` tries every class without parameters.
MAKE = {
    "blocks": (lambda i: StandardScaler(n_blocks=3).fit((HERE, THERE)[i]), lambda: StandardScaler(n_blocks=3)),
    "robust": (lambda i: RobustScaler().fit((HERE, THERE)[i], mergeable=True), RobustScaler),
    "streamed": (lambda i: RobustScaler().partial_fit((HERE, THERE)[i]), RobustScaler),
    "grouped": (
        lambda i: GroupedScaler(StandardScaler(), unseen="global").fit((HERE, THERE)[i], groups=LABELS + i),
        lambda: GroupedScaler(StandardScaler(), unseen="global"),
    ),
    "grouped, robust": (
        lambda i: GroupedScaler(RobustScaler()).fit((HERE, THERE)[i], groups=LABELS + i, mergeable=True),
        lambda: GroupedScaler(RobustScaler()),
    ),
    "images": (lambda i: ImageNormalizer().fit(IMAGES[i]), ImageNormalizer),
    "batch norm": (lambda i: trained((HERE, THERE)[i]), lambda: BatchNorm(3)),
}


@pytest.mark.parametrize("name", MAKE)
def test_sums_are_new_objects(name):
    make, empty = MAKE[name]
    ours, theirs, nothing = make(0), make(1), empty()
    before = [bits(one) for one in (ours, theirs, nothing)]
    joined = ours + theirs
    assert bits(joined) == bits(copy.deepcopy(ours).merge(theirs))
    assert bits(sum([ours, theirs])) == bits(joined)
    # A task that is retried counts once.
    assert bits(ours + theirs) == bits(joined)
    identities = [0 + ours, ours + nothing, *([] if name == "batch norm" else [nothing + ours])]
    for same in identities:
        assert same is not ours
        assert type(same) is type(ours)
        assert bits(same + theirs) == bits(joined)
    total = ours
    total += theirs
    assert total is not ours
    # What is done to a sum afterwards is done to it alone.
    for one in (joined, *identities):
        for value in list(vars(one).values()):
            if isinstance(value, np.ndarray) and value.dtype != object:
                value[...] = 0
        one.merge(theirs)
    assert [bits(one) for one in (ours, theirs, nothing)] == before
    assert ours.merge(theirs) is ours
    assert bits(ours) != before[0]
    for other in (1, 0.0, "0", None, [], np.zeros(3)):
        with pytest.raises(TypeError):
            theirs + other
        if other is not None and not isinstance(other, np.ndarray):
            with pytest.raises(TypeError):
                other + theirs
    with pytest.raises(TypeError, match="other must be a"):
        theirs + (ImageNormalizer() if name != "images" else StandardScaler())


@pytest.mark.parametrize("n", [1, 10, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("grouped", [False, True])
def test_robust_scalers_say_whether_they_merge(n, grouped):
    """Of every size alike: what merging needs is asked for, and not a matter of the number of samples."""
    x = np.random.default_rng(n).normal(size=(2 * n, 2))

    def fit(part, **options):
        if not grouped:
            return RobustScaler().fit(part, **options)
        return GroupedScaler(RobustScaler()).fit(part, groups=np.zeros(n, int), **options)

    def scaler(one):
        return one.scalers_[0] if grouped else one

    exact, also = fit(x[:n]), fit(x[:n], mergeable=True)
    np.testing.assert_array_equal(scaler(exact).center_, scaler(also).center_)
    np.testing.assert_array_equal(scaler(exact).scale_, scaler(also).scale_)
    words = r"keeps nothing to merge or to go on from; fit\(..., mergeable=True\)"
    for left, right in ((exact, also), (also, exact)):
        before = bits(left)
        with pytest.raises(ValueError, match=words):
            left.merge(right)
        with pytest.raises(ValueError, match=words):
            left + right
        assert bits(left) == before
    more = {"groups": np.zeros(n, int)} if grouped else {}
    if n <= 1000 and not grouped:  # nothing was lost as yet
        streamed = copy.deepcopy(exact).partial_fit(x[n:])
        assert bits(streamed) == bits(copy.deepcopy(also).partial_fit(x[n:]))
    else:
        with pytest.raises(ValueError, match=words):
            exact.partial_fit(x[n:], **more)
    joined = scaler(also + fit(x[n:], mergeable=True))
    streamed = scaler(copy.deepcopy(also).partial_fit(x[n:], **more))
    ranks = [(np.sort(x[:, i]) < joined.center_[i]).sum() / len(x) for i in range(2)]
    assert np.abs(np.array(ranks) - 0.5).max() <= 0.002 + 1 / len(x)
    if 2 * n <= 1800:  # exact as yet
        np.testing.assert_array_equal(joined.center_, np.median(x, axis=0))
        np.testing.assert_array_equal(streamed.center_, joined.center_)


def test_mergeable_fits_take_masks_and_dense_arrays():
    mask = HERE > -1
    alike = RobustScaler().fit(HERE, mask=mask, mergeable=True)
    np.testing.assert_array_equal(
        alike.partial_fit(THERE).center_, RobustScaler().partial_fit(HERE, mask=mask).partial_fit(THERE).center_
    )
    from scipy.sparse import csc_array

    with pytest.raises(ValueError, match="mergeable=True takes a dense X; X is sparse"):
        RobustScaler(with_centering=False).fit(csc_array(HERE), mergeable=True)

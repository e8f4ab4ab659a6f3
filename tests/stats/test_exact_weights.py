"""Weights, and what a sparse matrix leaves out, round nothing either: against fractions.

Those of sparse matrices are no tests of levels: their sums are whole numbers, one by one.
"""

from fractions import Fraction

import numpy as np
import planish
import pytest
from exact import FLOATS, check, columns, rounded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planish import GroupedScaler, StandardScaler
from planish.stats import Moments

KINDS = ["unit", "counts", "zeros", "far", "single", "bits", "tiny", "large"]


def weights_of(kind, shape, random):
    """Weights that are hard to sum."""
    if kind == "counts":
        return random.integers(0, 100, size=shape).astype("f8")
    if kind == "zeros":
        return (random.random(shape) < 0.5).astype("f8")
    if kind == "far":
        return np.exp(8 * random.normal(size=shape))
    if kind == "single":
        return random.random(shape).astype("f4").astype("f8")
    if kind == "bits":
        # Every exponent but those of the largest.
        bits = np.frombuffer(random.bytes(8 * int(np.prod(shape))), "u8").reshape(shape)
        return ((bits >> np.uint64(1)) & ~np.uint64(1 << 58)).view("f8")
    return random.random(shape) * {"unit": 1.0, "tiny": 1e-320, "large": 1e300}[kind]


@pytest.mark.numeric
@settings(max_examples=150, deadline=None)
@given(columns(), st.sampled_from(KINDS), st.sampled_from([0, 1, 2.5]), st.integers(0, 2**32 - 1), st.booleans())
def test_the_exact_values_rounded_once(x, kind, ddof, seed, by_row):
    random = np.random.default_rng(seed)
    weights = weights_of(kind, len(x) if by_row else x.shape, random)
    spread = np.broadcast_to(weights[:, np.newaxis] if by_row else weights, x.shape)
    check(Moments(ddof=ddof).update(x, weights=weights), x, Fraction(ddof), spread)
    moments = Moments(ddof=ddof)
    for part, part_weights in zip(np.array_split(x, 3), np.array_split(weights, 3), strict=True):
        moments.update(part, weights=part_weights)
    check(moments, x, Fraction(ddof), spread)
    mask = random.random(x.shape) < 0.7
    check(Moments(ddof=ddof).update(x, mask=mask, weights=weights), x, Fraction(ddof), np.where(mask, spread, 0))


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", [*FLOATS, "u1", "i4", "u8"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_layout_and_no_thread_shows(dtype, kind):
    random = np.random.default_rng(0)
    for shape in ((30_000, 3), (300, 17, 20), (40, 5, 30, 30)):
        x = (random.normal(size=shape) * 100 + 50).astype(dtype)
        weights = weights_of(kind, shape, random) / (1e8 if kind == "large" else 1)
        whole = Moments(1).update(x, weights=weights)
        for threads in (1, 2, 3, 8):
            with planish.num_threads(threads):
                assert Moments(1).update(x, weights=weights) == whole
        order = random.permutation(len(x))
        assert Moments(1).update(x[order], weights=weights[order]) == whole
        assert Moments(1).update(np.asfortranarray(x), weights=weights) == whole
        assert Moments(1).update(x[::-1], weights=np.asfortranarray(weights)[::-1]) == whole
        last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        assert Moments(-1).update(last, weights=np.moveaxis(weights, 1, -1)).mean.tolist() == whole.mean.tolist()


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", [*FLOATS, "u1", "i8"])
def test_weights_of_groups(dtype):
    random = np.random.default_rng(1)
    x = (np.exp(2 * random.normal(size=(500, 5))) * 9).astype(dtype)
    if dtype == "i8":
        x += 1 << 60
    weights, groups = weights_of("unit", (500,), random), random.integers(4, size=500)
    fitted = GroupedScaler(StandardScaler()).fit(x, groups=groups, sample_weight=weights)
    for label, scaler in fitted.scalers_.items():
        chosen = groups == label
        check(scaler._statistics, x[chosen], weights=np.broadcast_to(weights[chosen, np.newaxis], x[chosen].shape))


@pytest.mark.parametrize("make", ["csr_array", "csc_array"])
@pytest.mark.parametrize("kind", [None, *KINDS])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_sparse_matrices(make, kind, data):
    sparse = pytest.importorskip("scipy.sparse")
    x = data.draw(columns())
    # Sparse matrices are of float32 or of float64.
    assume((x.dtype.kind == "f" and x.dtype != np.float16) or x.dtype.itemsize <= 4)
    x = x.astype("f4" if x.dtype.itemsize < 4 else x.dtype)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = np.where(random.random(x.shape) < data.draw(st.sampled_from([0.0, 0.5, 0.95])), x.dtype.type(0), x)
    weights = None if kind is None else weights_of(kind, len(x), random)
    if weights is not None and not weights.any():
        weights[0] = 1
    matrix = getattr(sparse, make)(x)
    # Stored zeros, and a row or column whose entries lie in any order.
    matrix.data[random.random(matrix.nnz) < 0.1] = 0
    for start, end in zip(matrix.indptr, matrix.indptr[1:], strict=False):
        order = start + random.permutation(end - start)
        matrix.data[start:end], matrix.indices[start:end] = matrix.data[order], matrix.indices[order]
    dense = np.zeros_like(x)
    row, column = (matrix.tocoo().row, matrix.tocoo().col)
    dense[row, column] = matrix.tocoo().data
    scaler = StandardScaler(with_mean=False).fit(matrix, sample_weight=weights)
    spread = None if weights is None else np.broadcast_to(weights[:, np.newaxis], x.shape)
    check(scaler._statistics, dense, weights=spread)
    for threads in (1, 3):
        with planish.num_threads(threads):
            alike = StandardScaler(with_mean=False).fit(
                matrix.asformat("csc" if make == "csr_array" else "csr"), sample_weight=weights
            )
        assert alike._statistics == scaler._statistics
    assert StandardScaler().fit(dense, sample_weight=weights)._statistics == scaler._statistics


@pytest.mark.parametrize("make", ["csr_array", "csc_array"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sparse_entries_of_every_size_beside_what_is_no_number(make, dtype):
    sparse = pytest.importorskip("scipy.sparse")
    info = np.finfo(dtype)
    for exponent in range(info.minexp - info.nmant, info.maxexp):
        x = np.array([[1.5], [np.nan], [1.0], [np.nan]], dtype)
        x[::2] = np.ldexp(x[::2], exponent)
        matrix = getattr(sparse, make)(x)
        check(StandardScaler(with_mean=False).fit(matrix)._statistics, x)
        matrix.data[1] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            StandardScaler(with_mean=False).fit(matrix)


@pytest.mark.parametrize("make", ["csr_array", "csc_array"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_large_sparse_matrices(make, dtype):
    sparse = pytest.importorskip("scipy.sparse")
    random = np.random.default_rng(3)
    for shape, density in (((20_000, 30), 0.2), ((300, 4_000), 0.05)):
        x = sparse.random(
            *shape, density=density, random_state=1, data_rvs=lambda n: 1e6 * np.exp(5 * random.normal(size=n))
        )
        matrix = getattr(sparse, make)(x.astype(dtype))
        for weights in (None, random.random(shape[0])):
            of_sparse = StandardScaler(with_mean=False).fit(matrix, sample_weight=weights)._statistics
            assert StandardScaler().fit(matrix.toarray(), sample_weight=weights)._statistics == of_sparse
            for threads in (1, 3):
                with planish.num_threads(threads):
                    again = StandardScaler(with_mean=False).fit(matrix, sample_weight=weights)
                assert again._statistics == of_sparse


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("x", "weights"),
    [
        ([1e308, -1e308, 1e308], [1, 1, 1]),
        ([1e200, 2e200], [1, 1]),
        ([1e-200, 2e-200, 4e-200], [1, 0, 3.5]),
        ([1, 2], [5e-324, 5e-324]),
        ([-1e-200, 0, 1e-200, np.nan], [1, 1, 1, 1]),
        ([3, 5], [1e307, 2e307]),
    ],
)
def test_weights_out_of_the_usual_range_are_exact(x, weights):
    moments = Moments().update(np.array(x, float)[:, np.newaxis], weights=np.array(weights, float))
    pairs = [(Fraction(float(w)), Fraction(float(v))) for w, v in zip(weights, x, strict=True) if v == v]
    total = sum(w for w, _ in pairs)
    mean = sum(w * v for w, v in pairs) / total
    var = sum(w * (v - mean) ** 2 for w, v in pairs) / total
    assert (moments.mean[0], moments.var[0]) == (rounded(mean), rounded(var))
    deviation = np.longdouble(var.numerator) / np.longdouble(var.denominator) if var < 1e300 else None
    if deviation is not None and deviation > 0:
        assert moments.std[0] == pytest.approx(float(np.sqrt(deviation)), rel=1e-15)


def test_a_sum_of_weights_beyond_doubles():
    with pytest.raises(ValueError, match="too large"):
        Moments().update(np.array([[1.0], [2.0]]), weights=np.array([1e308, 1e308]))

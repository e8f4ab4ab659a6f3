"""CSR and CSC matrices."""

import warnings
from fractions import Fraction

import numpy as np
import planish
import pytest
import sklearn.preprocessing
from planish import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from planish.stats import Moments
from scipy import sparse
from sklearn.base import clone

pytestmark = [pytest.mark.numeric, pytest.mark.dependencies]

EPS = np.finfo(np.float64).eps

SCALERS = [
    StandardScaler(with_mean=False),
    StandardScaler(with_mean=False, with_std=False),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    RobustScaler(with_centering=False, quantile_range=(5.0, 97.0)),
]
EVERYTHING = [*SCALERS, Normalizer(), Normalizer("l1"), Normalizer("max")]
FORMATS = ["csr", "csc", "coo", "lil", "bsr"]


def matrix(shape=(300, 40), density=0.3, dtype="f8", seed=0):
    rng = np.random.default_rng(seed)
    x = sparse.random(*shape, density=density, random_state=rng, data_rvs=lambda size: rng.normal(size=size) * 5)
    return sparse.csr_array(x).astype(dtype)


def theirs(scaler):
    kind = getattr(sklearn.preprocessing, type(scaler).__name__)
    return kind(**{k: v for k, v in scaler.get_params().items() if k in kind().get_params()})


def fitted(scaler):
    return {k: v for k, v in vars(scaler).items() if k.endswith("_") and not k.startswith("_")}


@pytest.mark.parametrize("scaler", EVERYTHING, ids=[str(s) for s in EVERYTHING])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("container", ["array", "matrix"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1"])
def test_same_as_scikit_learn(scaler, form, container, dtype):
    x = matrix(dtype=dtype).asformat(form)
    if container == "matrix":
        x = getattr(sparse, f"{form}_matrix")(x)
    ours, reference = clone(scaler).fit(x), theirs(scaler).fit(x)
    tolerance = 1e-6 if dtype == "f4" else 1e-12
    assert fitted(ours).keys() == fitted(reference).keys()
    for name, value in fitted(reference).items():
        if value is None:
            assert fitted(ours)[name] is None
        else:
            np.testing.assert_allclose(fitted(ours)[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    y, z = ours.transform(x), reference.transform(x)
    assert type(y) is type(z)
    assert (y.dtype, y.format) == (z.dtype, z.format)
    np.testing.assert_allclose(y.toarray(), z.toarray(), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(x.toarray(), matrix(dtype=dtype).toarray())
    if not isinstance(scaler, Normalizer):
        back = ours.inverse_transform(y)
        assert sparse.issparse(back)
        unclipped = clone(scaler).set_params(clip=False) if "clip" in scaler.get_params() else scaler
        np.testing.assert_allclose(
            back.toarray(), x.toarray(), rtol=tolerance * 10, atol=tolerance * 10, err_msg=str(unclipped)
        )


@pytest.mark.parametrize("scaler", SCALERS, ids=[str(s) for s in SCALERS])
@pytest.mark.parametrize("density", [0, 0.001, 0.1, 1])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_sparse_is_dense(scaler, density, form):
    x = matrix((2000, 70), density).asformat(form)
    x.data[::7] = np.nan
    for threads in (1, 3):
        with planish.num_threads(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            ours, dense = clone(scaler).fit(x), clone(scaler).fit(x.toarray())
        for name, value in fitted(dense).items():
            if value is not None:
                np.testing.assert_allclose(fitted(ours)[name], value, rtol=1e-12, atol=1e-14, err_msg=name)


def test_large_matrices_are_the_same_with_any_number_of_threads():
    x = matrix((60_000, 90), 0.2)
    for scaler in EVERYTHING:
        for form in ("csr", "csc"):
            results = set()
            for threads in (1, 2, 5):
                with planish.num_threads(threads):
                    fit = clone(scaler).fit(x.asformat(form))
                    values = [np.asarray(v).tobytes() for v in fitted(fit).values() if v is not None]
                    results.add((*values, fit.transform(x.asformat(form)).data.tobytes()))
            assert len(results) == 1, scaler


def test_unsorted_indices_and_entries_that_add_up():
    x = matrix((500, 30), 0.4)
    rng = np.random.default_rng(1)
    for form in ("csr", "csc"):
        canonical = x.asformat(form)
        shuffled = canonical.copy()
        for a, b in zip(shuffled.indptr[:-1], shuffled.indptr[1:], strict=True):
            order = rng.permutation(b - a)
            shuffled.indices[a:b], shuffled.data[a:b] = shuffled.indices[a:b][order], shuffled.data[a:b][order]
        shuffled.has_sorted_indices = shuffled.has_canonical_format = False
        kind = type(canonical)
        halves = np.repeat(canonical.data / 2, 2)
        doubled = kind((halves, np.repeat(canonical.indices, 2), canonical.indptr * 2), shape=x.shape)
        for scaler in SCALERS:
            expected = fitted(clone(scaler).fit(canonical))
            for other in (shuffled, doubled):
                before = other.data.copy()
                for name, value in fitted(clone(scaler).fit(other)).items():
                    if value is not None:
                        np.testing.assert_allclose(value, expected[name], rtol=1e-12)
                np.testing.assert_array_equal(other.data, before)


def test_weights():
    x = matrix((400, 20), 0.3)
    x.data[::11] = np.nan
    weights = np.random.default_rng(2).integers(0, 4, size=400) / 2
    for form in ("csr", "csc"):
        ours = StandardScaler(with_mean=False).fit(x.asformat(form), sample_weight=weights)
        dense = StandardScaler(with_mean=False).fit(x.toarray(), sample_weight=weights)
        for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
            np.testing.assert_allclose(getattr(ours, name), getattr(dense, name), rtol=1e-13, atol=1e-14, err_msg=name)
    with pytest.raises(ValueError, match="sample_weight"):
        StandardScaler(with_mean=False).fit(x, sample_weight=weights[:-1])


def test_far_from_zero():
    """Without zeros, and with a mean far away or an outlier first, no digit is lost."""
    column = 1e9 + np.random.default_rng(3).normal(size=(3000, 1))
    for first in (1e9, 1e15, -3.0):
        column[0] = first
        x = np.hstack([column, column[::-1]])
        for form in (sparse.csr_array, sparse.csc_array):
            ours = StandardScaler(with_mean=False).fit(form(x))
            dense = StandardScaler(with_mean=False).fit(x)
            np.testing.assert_allclose(ours.mean_, dense.mean_, rtol=1e-15)
            np.testing.assert_allclose(ours.var_, dense.var_, rtol=1e-12)


def test_streaming_over_sparse_and_dense():
    x = matrix((600, 12), 0.3)
    for scaler in (StandardScaler(with_mean=False), MaxAbsScaler()):
        parts = clone(scaler)
        for i, start in enumerate(range(0, 600, 100)):
            piece = x[start : start + 100]
            parts.partial_fit([piece, piece.tocsc(), piece.toarray()][i % 3])
        whole = clone(scaler).fit(x)
        np.testing.assert_allclose(parts.scale_, whole.scale_, rtol=1e-14)
        assert parts.n_samples_seen_ == whole.n_samples_seen_ == 600
        np.testing.assert_allclose(clone(scaler).merge(whole).scale_, whole.scale_)


def test_in_place():
    for scaler in EVERYTHING:
        x = matrix()
        expected = clone(scaler).fit(x).transform(x)
        y = clone(scaler).set_params(copy=False).fit(x).transform(x)
        assert y is x
        np.testing.assert_array_equal(y.data, expected.data)
        x.data.flags.writeable = False
        assert clone(scaler).set_params(copy=False).fit(x).transform(x) is not x


def test_refused():
    x = matrix()
    for scaler in (StandardScaler(), RobustScaler()):
        with pytest.raises(ValueError, match="Cannot center sparse matrices"):
            clone(scaler).fit(x)
        with pytest.raises(ValueError, match="Cannot center sparse matrices"):
            clone(scaler).fit(x.toarray()).transform(x)
        with pytest.raises(ValueError, match="Cannot center sparse matrices"):
            clone(scaler).fit(x.toarray()).inverse_transform(x)
    with pytest.raises(TypeError, match="MinMaxScaler does not support sparse input"):
        MinMaxScaler().fit(x)
    for scaler in EVERYTHING:
        bad = matrix()
        bad.data[3] = np.inf
        with pytest.raises(ValueError, match="Input X contains infinity"):
            clone(scaler).fit(bad)
        with pytest.raises(ValueError, match="Input X contains infinity"):
            clone(scaler).fit(x).transform(bad)
        with pytest.raises(TypeError, match="out="):
            clone(scaler).fit(x).transform(x, out=np.empty(x.shape))
    with pytest.raises(ValueError, match="channel_axis=0"):
        MaxAbsScaler(channel_axis=0).fit(x)
    x.data[0] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        Normalizer().transform(x)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_damaged_matrices_are_errors(form):
    def damaged(**parts):
        x = matrix((50, 20)).asformat(form)
        for name, (at, value) in parts.items():
            getattr(x, name)[at] = value
        return x

    for x in (
        damaged(indices=(5, 10**6)),
        damaged(indices=(5, -1)),
        damaged(indptr=(3, 10**6)),
        damaged(indptr=(3, -7)),
        damaged(indptr=(-1, 10**6)),
    ):
        parts = (x.data, x.indices, x.indptr, x.shape[1 if form == "csr" else 0], form == "csc")
        with pytest.raises(ValueError, match=r"damaged sparse matrix|several entries"):
            Moments()._update_sparse("x", parts)
        if (x.indptr == matrix((50, 20)).asformat(form).indptr).all() and form == "csc":
            continue
        with pytest.raises(ValueError, match="damaged sparse matrix"):
            planish._core.sparse_scale(parts, np.ones(20), True)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_damaged_matrices_are_found_before_scipy_converts_them(form):
    """SciPy's conversions trust the indices: what is out of range would crash the process."""
    for scaler in EVERYTHING:
        unread = "csc" if isinstance(scaler, RobustScaler) else "csr"
        if isinstance(scaler, Normalizer | RobustScaler) and form == unread:
            continue  # as they come, only the entries are read
        for at, value in ((1, 10**8), (1, -5)):
            x = sparse.csr_array(np.eye(40)).asformat(form)
            x.indices[at] = value
            with pytest.raises(ValueError, match=r"X|indices|index"):
                clone(scaler).fit(x).transform(x)
    x = sparse.csr_array(np.eye(4)).asformat(form)
    x.indptr = x.indptr[:3]
    with pytest.raises(ValueError, match=r"indptr|index pointer"):
        MaxAbsScaler().fit(x)


@pytest.mark.parametrize("indptr", [[0, 10**9, 3], [0, 3, 2], [0, -(10**9), 3], [-1, 2, 3]])
def test_damaged_rows_are_not_normalised(indptr):
    for indices in ([0, 1, 1], [1, 0, 1]):
        x = sparse.csr_array((np.array([1.0, 2, 3]), np.array(indices), np.array([0, 2, 3])), shape=(2, 2))
        x.indptr[:] = indptr
        with pytest.raises(ValueError, match="damaged sparse matrix"):
            Normalizer().transform(x)


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("step", [1, 20])
def test_equal_entries_keep_their_digits(form, step):
    x = np.zeros((70_000, 1))
    x[::step] = 0.1
    scaler = StandardScaler(with_mean=False).fit(sparse.csr_array(x).asformat(form))
    count = len(x[::step])
    mean = Fraction(0.1) * count / len(x)
    var = Fraction(0.1) ** 2 * count / len(x) - mean**2
    np.testing.assert_allclose(scaler.mean_, float(mean), rtol=4 * EPS)
    np.testing.assert_allclose(scaler.var_, float(var), rtol=16 * EPS, atol=1e-30)


def test_entries_that_add_up_have_one_length():
    x = sparse.csr_array((np.array([1.0, 2, 3]), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    for y in (planish.normalize(x), Normalizer().transform(x), planish.normalize(x.tocsc(), axis=1)):
        np.testing.assert_array_equal(y.toarray(), np.eye(2))
    np.testing.assert_array_equal(MaxAbsScaler().fit(x).max_abs_, [3, 3])


def test_wide_matrices_are_not_walked_element_by_element_in_python():
    x = matrix((20, 50_000), 0.01)
    weights = np.ones(20)
    ours = StandardScaler(with_mean=False).fit(x, sample_weight=weights)
    np.testing.assert_allclose(ours.scale_, StandardScaler(with_mean=False).fit(x.toarray()).scale_, rtol=1e-13)
    np.testing.assert_allclose(ours.transform(x).toarray(), x.toarray() / ours.scale_, rtol=1e-15)


def test_integer_indices_of_64_bits():
    x = matrix()
    for form in ("csr", "csc"):
        wide = x.asformat(form)
        wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
        for scaler in EVERYTHING:
            y = clone(scaler).fit(wide).transform(wide)
            np.testing.assert_allclose(y.toarray(), clone(scaler).fit(x).transform(x).toarray())


@pytest.mark.parametrize("wrong", [-1, 50, 2000, 5000, 10**9, 2**31 - 1])
@pytest.mark.parametrize(("format", "axis"), [("csc", 1), ("csr", 0), ("coo", 1), ("coo", 0)])
def test_damaged_indices_are_seen_before_scipy_converts(format, axis, wrong):
    dense = np.random.default_rng(1).random((2000, 50))
    x = sparse.coo_array(np.where(dense < 0.05, dense, 0)).asformat(format)
    (x.col if format == "coo" else x.indices)[5] = wrong
    if format == "csc" and wrong == 50:  # a row as good as any other
        planish.normalize(x, axis=axis)
        return
    for refused in (
        lambda: planish.normalize(x, axis=axis),
        lambda: planish.scale(x, with_mean=False),
        lambda: Normalizer().fit_transform(x),
        lambda: MaxAbsScaler().fit(x),
    ):
        with pytest.raises(ValueError, match=r"index|indices|indptr|damaged"):
            refused()

"""`StandardScaler(n_blocks=...)`: medians of the means and variances of blocks."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn
from arrays import fill
from blocks import assert_same
from planish import StandardScaler
from planish.stats import MedianOfMeans
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version


class TestScaler:
    def table(self):
        x = np.random.default_rng(13).normal([3, -1, 0], [1, 20, 0.1], size=(503, 3))
        x[::7, 1] = np.nan
        return x

    @pytest.mark.parametrize("n_blocks", [1, 4, 10])
    def test_attributes(self, n_blocks):
        x = self.table()
        scaler, statistics = StandardScaler(n_blocks=n_blocks).fit(x), MedianOfMeans(n_blocks).update(x)
        np.testing.assert_array_equal(scaler.mean_, statistics.mean)
        np.testing.assert_array_equal(scaler.var_, statistics.var)
        np.testing.assert_array_equal(scaler.scale_, statistics.scale)
        np.testing.assert_array_equal(scaler.n_samples_seen_, [503, 431, 503])
        np.testing.assert_allclose(scaler.transform(x), (x - scaler.mean_) / scaler.scale_, rtol=1e-13)
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(x)), x, rtol=1e-12)
        assert StandardScaler(n_blocks=n_blocks).fit(x[:, [0, 2]]).n_samples_seen_ == 503

    def test_partial_fit_and_merge(self):
        x = self.table()
        whole = StandardScaler(n_blocks=7).fit(x)
        streamed = StandardScaler(n_blocks=7)
        for piece in np.array_split(x, 11):
            streamed.partial_fit(piece)
        np.testing.assert_allclose(streamed.mean_, whole.mean_, rtol=1e-14)
        np.testing.assert_allclose(streamed.scale_, whole.scale_, rtol=1e-14)
        merged = StandardScaler(n_blocks=7)
        for piece in (x[:70], x[70:490], x[490:]):
            merged.merge(pickle.loads(pickle.dumps(StandardScaler(n_blocks=7).fit(piece))))
        np.testing.assert_allclose(merged.mean_, whole.mean_, rtol=1e-14)
        np.testing.assert_allclose(merged.scale_, whole.scale_, rtol=1e-14)
        np.testing.assert_array_equal(merged.n_samples_seen_, whole.n_samples_seen_)

    def test_weights_and_channels(self):
        x = fill((40, 3, 5, 6), np.dtype("u1"), 14)
        weights = np.random.default_rng(15).random(40)
        scaler = StandardScaler(channel_axis=1, n_blocks=4).fit(x, sample_weight=weights)
        assert_same(MedianOfMeans(4, 1).update(x, weights), x, np.broadcast_to(weights[:, None, None, None], x.shape))
        np.testing.assert_array_equal(scaler.mean_, MedianOfMeans(4, 1).update(x, weights).mean)
        assert StandardScaler(channel_axis=None, n_blocks=4).fit(x).n_samples_seen_ == x.size

    def test_number_of_blocks_stays(self):
        x = np.ones((9, 2))
        for before, after in [(3, None), (None, 3), (3, 4)]:
            scaler = StandardScaler(n_blocks=before).fit(x).set_params(n_blocks=after)
            with pytest.raises(ValueError, match=f"n_blocks={after}, but this StandardScaler .* n_blocks={before};"):
                scaler.partial_fit(x)
            assert scaler.fit(x).partial_fit(x).n_samples_seen_ == 18
            with pytest.raises(ValueError, match=f"other has n_blocks={before}; this scaler has n_blocks={after}"):
                scaler.merge(StandardScaler(n_blocks=before).fit(x))
        known = StandardScaler.from_stats([1.0, 2.0], [1.0, 1.0], n_samples=3).set_params(n_blocks=3)
        with pytest.raises(ValueError, match="n_blocks=3, but"):
            known.partial_fit(x)

    def test_refusals(self):
        x = scipy.sparse.csr_matrix(np.eye(3))
        with pytest.raises(ValueError, match=r"sparse X cannot be dealt to blocks \(n_blocks=3\)"):
            StandardScaler(with_mean=False, n_blocks=3).fit(x)
        assert StandardScaler(with_mean=False).__sklearn_tags__().input_tags.sparse
        assert not StandardScaler(with_mean=False, n_blocks=3).__sklearn_tags__().input_tags.sparse
        for bad in (0, -1, 2.5, "many"):
            with pytest.raises(ValueError, match="n_blocks"):
                StandardScaler(n_blocks=bad).fit(np.ones((3, 2)))
        with pytest.raises(ValueError, match="has no n_blocks; this one has n_blocks=3"):
            StandardScaler(n_blocks=3).fit(np.ones((3, 2))).to_sklearn()
        bad = np.ones((5, 2))
        bad[2, 1] = np.inf
        with pytest.raises(ValueError, match="Input X contains infinity"):
            StandardScaler(n_blocks=3).fit(bad)

    def test_scikit_learn(self):
        scaler = StandardScaler(n_blocks=3).fit(self.table())
        assert clone(scaler).n_blocks == 3
        assert repr(scaler) == "StandardScaler(n_blocks=3)"
        theirs = sklearn.preprocessing.StandardScaler().fit(self.table())
        assert StandardScaler.from_sklearn(theirs).partial_fit(self.table()).n_blocks is None
        plain = StandardScaler().fit(self.table())
        assert plain.to_sklearn().mean_.tolist() == plain.mean_.tolist()


def expected_failures(scaler):
    """Checks that cannot hold, by name; scikit-learn before 1.7 does not ask the tag `sparse`."""
    reasons = {}
    if scaler.n_blocks > 1:
        reasons["check_sample_weight_equivalence_on_dense_data"] = "the order of the samples deals them to other blocks"
    if parse_version(sklearn.__version__) < parse_version("1.7"):
        reasons["check_sample_weight_equivalence_on_sparse_data"] = "a sparse matrix is never dealt to blocks"
    return reasons


@pytest.mark.dependencies
@parametrize_with_checks(
    [StandardScaler(n_blocks=1), StandardScaler(n_blocks=3)], expected_failed_checks=expected_failures
)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_blocks", [3, 4, 5, 10])
def test_too_few_rows_are_an_error_of_fit(n_blocks):
    x = np.random.default_rng(0).normal(50, 9, size=(2 * n_blocks, 2))
    assert (StandardScaler(n_blocks=n_blocks).fit(x).scale_ != 1).all()
    for rows in range(2, n_blocks + n_blocks // 2):
        with pytest.raises(ValueError, match=f"takes {2 * n_blocks} rows"):
            StandardScaler(n_blocks=n_blocks).fit(x[:rows])
    # What is not scaled needs no variance.
    assert np.isfinite(StandardScaler(n_blocks=n_blocks, with_std=False).fit(x[:n_blocks]).mean_).all()

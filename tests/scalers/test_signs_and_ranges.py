"""Signs of zero, lengths beyond the largest double, and layers far from zero: what plain arithmetic loses."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse
from planish import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler, _core, layers, normalize
from planish.layers import BatchNorm, batch_norm

pytestmark = pytest.mark.numeric

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [*(np.dtype(name) for name in ("float16", "float32", "float64")), BFLOAT16]


def layouts(x):
    return {
        "C order": x,
        "F order": np.asfortranarray(x),
        "reversed": x[::-1, ::-1].copy()[::-1, ::-1],
        "with gaps": np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    }


@pytest.mark.parametrize("rows", [1, 2, 70])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_zeros_keep_their_sign_where_nothing_is_subtracted_or_added(dtype, rows):
    x = np.tile(np.array([[-0.0, 0.0, 2.0, -0.0, -4.0]]), (rows, 1)).astype(dtype)
    scalers = [
        MaxAbsScaler().fit(np.full((2, 5), 7.0)),
        StandardScaler.from_stats(std=np.full(5, 3.0)),
        RobustScaler.from_stats(scale=np.full(5, 3.0)),
        *(Normalizer(norm) for norm in ("l1", "l2", "max")),
        *(Normalizer(norm, channel_axis=0) for norm in ("l1", "l2", "max")),
    ]
    for scaler in scalers:
        for name, view in layouts(x).items():
            for result in (None, "float32", "float64"):
                scaler.set_params(dtype=result)
                y = scaler.transform(view)
                assert (np.signbit(y) == np.signbit(x)).all(), (scaler, name)
                if hasattr(scaler, "inverse_transform"):
                    assert (np.signbit(scaler.inverse_transform(view)) == np.signbit(x)).all(), (scaler, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_that_sparse_matrices_store_keep_their_sign(dtype):
    x = scipy.sparse.csr_matrix((np.array([-0.0, 0.0, 3.0], dtype), [0, 1, 2], [0, 2, 3]), shape=(2, 3))
    for scaler in (
        MaxAbsScaler().fit(np.full((2, 3), 7.0)),
        StandardScaler.from_stats(std=np.full(3, 3.0)),
        RobustScaler.from_stats(scale=np.full(3, 3.0)),
        Normalizer(),
    ):
        assert np.signbit(scaler.transform(x).data).tolist() == [True, False, False]


@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 1e-300])
def test_scales_whose_reciprocals_leave_the_range(tiny):
    x = np.array([[tiny, -0.0], [0.0, tiny]])
    scaler = StandardScaler.from_stats(std=[tiny, 1.0])
    assert scaler.transform(x).tolist() == [[1.0, -0.0], [0.0, tiny]]
    sparse = scipy.sparse.csr_matrix(x)
    assert scaler.transform(sparse).toarray().tolist() == [[1.0, 0.0], [0.0, tiny]]
    assert scaler.inverse_transform(scaler.transform(x)).tolist() == x.tolist()


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (3, 40), (40, 3), (300, 200)])
def test_lengths_beyond_the_largest_double_in_every_order(norm, shape):
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    # Products with a power of two, of which the sums are too large.
    large = x * 2.0**1023.5
    for axis in (0, 1):
        expected = Normalizer(norm, channel_axis=axis).transform(large / 2.0**600)
        for name, view in layouts(large).items():
            y = Normalizer(norm, channel_axis=axis).transform(view)
            np.testing.assert_allclose(y, expected, rtol=2.0**-52, atol=0, err_msg=name)
            # In place, and as narrower floats.
            copy = np.copy(view, order="K")
            assert (Normalizer(norm, channel_axis=axis, copy=False).transform(copy) == y).all()
            narrow = Normalizer(norm, channel_axis=axis, dtype="float32").transform(view)
            np.testing.assert_allclose(narrow, y, rtol=2.0**-24, atol=1e-45, err_msg=name)
            spoiled = np.copy(view, order="K")
            spoiled[0, 0] = np.inf
            # (scikit-learn, for its words, adds what has both infinity and sums that are too large.)
            with pytest.raises(ValueError, match="infinity"), np.errstate(invalid="ignore", over="ignore"):
                Normalizer(norm, channel_axis=axis).transform(spoiled)


def test_lengths_that_are_asked_for_are_infinite_beyond_the_largest_double():
    x = np.full((2, 3), 1e308)
    for order in "CF":
        y, lengths = normalize(np.asarray(x, order=order), norm="l1", return_norm=True)
        assert lengths.tolist() == [np.inf, np.inf]
        np.testing.assert_allclose(y, np.full((2, 3), 1 / 3), rtol=2.0**-52)


def exact_standardized(x):
    """Standardised lines, from exact mean and variance."""
    rows = []
    for line in x.tolist():
        values = [Fraction(value) for value in line]
        mean = sum(values) / len(values)
        var = sum((value - mean) ** 2 for value in values) / len(values)
        rows.append([float(value - mean) / float(var) ** 0.5 for value in values])
    return np.array(rows)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e5 + 0.1, -1e9, 3e13])
@pytest.mark.parametrize("shape", [(3, 5), (7, 40), (2, 5000), (40, 33)])
def test_layers_far_from_zero_are_those_near_it(shape, offset):
    # Elements as far from zero as leaves them some digits, and the exact results for those.
    x = np.random.default_rng(1).normal(size=shape) + offset
    expected = exact_standardized(x)
    # Mean, spread and map round a few times each; in blocks of 4096, sums of deviations do in lanes of up to 512.
    bound = 32 * 2.0**-53 * np.abs(expected).max()
    gamma = np.ones(shape[1])
    for name, view in layouts(x).items():
        results = {
            "standardize": layers.standardize(view, 1),
            "layer_norm": layers.layer_norm(view, gamma, eps=0.0),
            "instance_norm": layers.instance_norm(view[:, :, np.newaxis].transpose(0, 2, 1), eps=0.0)[:, 0],
            "batch_norm": batch_norm(view.T, eps=0.0).T,
            "batch_norm with parameters": batch_norm(view.T, np.ones(len(x)), np.zeros(len(x)), eps=0.0).T,
            "group_norm": layers.group_norm(view[..., np.newaxis], 1, eps=0.0)[..., 0],
        }
        for layer, y in results.items():
            assert np.abs(y - expected).max() <= bound, (layer, name)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_gradients_of_layers_far_from_zero(offset):
    rng = np.random.default_rng(2)
    # The same deviations at both places, exactly.
    x, dy = np.round(rng.normal(size=(30, 64)) * 1024) / 1024, rng.normal(size=(30, 64))
    gamma = rng.normal(size=64)
    for wanted, found in (
        (layers.layer_norm_backward(dy, x, gamma), layers.layer_norm_backward(dy, x + offset, gamma)),
        (layers.batch_norm_backward(dy, x, gamma), layers.batch_norm_backward(dy, x + offset, gamma)),
        (
            layers.batch_norm_backward(dy.T.copy(), x.T.copy(), gamma, channel_axis=0),
            layers.batch_norm_backward(dy.T.copy(), x.T + offset, gamma, channel_axis=0),
        ),
    ):
        for ours, theirs in zip(wanted, found, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=256 * 2.0**-53 * np.abs(ours).max())


def test_16_bit_results_of_layers_are_rounded_once():
    # Every number between 1 and 2 as the mean of a bias and a weight: what is near a tie shows by way of float32.
    for dtype, digits in ((np.dtype("float16"), 10), (BFLOAT16, 7)):
        tie = 1 + 2.0 ** -(digits + 1)
        beta = np.array([tie * (1 + 2.0**-40), tie * (1 - 2.0**-40)])
        for x in (np.zeros((4, 2), dtype), np.zeros((2, 40, 2), dtype).transpose(0, 2, 1)):
            y = batch_norm(x, np.ones(2), beta)
            y = y if x.ndim == 2 else y[..., 0]
            assert (y.astype(float) == [1 + 2.0**-digits, 1.0]).all()
        norm = BatchNorm(2, eps=0.0).eval()
        norm.beta = beta
        weight, bias = norm.fold_into(np.ones((2, 3), dtype))
        assert (weight == 1).all()
        assert bias.astype(float).tolist() == [1 + 2.0**-digits, 1.0]
        norm.gamma = beta
        weight, _ = norm.fold_into(np.ones((3, 2), dtype), output_axis=1)
        assert weight.dtype == dtype
        assert (weight.astype(float) == [1 + 2.0**-digits, 1.0]).all()


def test_running_statistics_that_overlap_are_refused():
    memory = np.arange(12.0)
    x = np.random.default_rng(0).normal(size=(5, 3))
    apart = memory[:3], memory[3:6]
    y = batch_norm(x, running_mean=apart[0], running_var=apart[1])
    interleaved = memory[:6:2], memory[1:6:2]
    assert (batch_norm(x, running_mean=interleaved[0], running_var=interleaved[1]) == y).all()
    whole = np.zeros((5, 3))
    for more, name in (
        ({"running_mean": memory[:3], "running_var": memory[:3]}, "running_var overlaps running_mean"),
        ({"running_mean": memory[:3], "running_var": memory[2:5]}, "running_var overlaps running_mean"),
        ({"running_mean": memory[:3], "running_var": memory[3:6], "gamma": memory[5:8]}, "gamma overlaps running_var"),
        ({"running_mean": memory[:3], "running_var": memory[3:6], "beta": memory[:3]}, "beta overlaps running_mean"),
        ({"running_mean": whole[0], "running_var": memory[:3], "out": whole}, "out overlaps running_mean"),
        ({"running_mean": memory[:3], "running_var": x[2]}, "x overlaps running_var"),
    ):
        before = memory.copy(), x.copy()
        with pytest.raises(ValueError, match=name):
            batch_norm(x, **more)
        assert (memory == before[0]).all()
        assert (x == before[1]).all()
    # In inference nothing is changed, and all may be one.
    one = np.ones(3)
    batch_norm(x, one, one, running_mean=one, running_var=one, training=False)
    norm = BatchNorm(3)
    norm.running_var = norm.running_mean
    with pytest.raises(ValueError, match="running_var overlaps running_mean"):
        norm(x)


@pytest.mark.parametrize("divide", [False, True])
def test_units_of_scales_and_integers_of_64_bits(divide):
    x = np.array([[2**62 + 1], [2**62 + 3], [-(2**62) - 1]])
    y = _core.Map.affine(np.array([2.0**62]), np.array([2.0]), None, divide, -1)(x)
    assert y[:2, 0].tolist() == ([0.5, 1.5] if divide else [2.0, 6.0])


def test_results_beyond_floats_have_the_right_sign():
    wide = MinMaxScaler.from_stats([0.1], [2.9], feature_range=(-1e60, 1e60))
    narrow = MinMaxScaler.from_stats([0.1], [2.9], feature_range=(-1e60, 1e60), dtype="float32")
    x = np.array([[0.1], [1.4], [1.5], [1.6], [2.9]], np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(narrow.transform(x), wide.transform(x.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_layers_without_beta_keep_the_sign_of_zero(dtype, layout):
    x = np.asarray(np.array([[-0.0, 1.0, 0.0] * 8] * 3), dtype, order=layout)
    for weight in (None, np.ones(24)):
        y = layers.rms_norm(x, weight)
        assert (np.signbit(y.astype(np.float64)) == np.signbit(x.astype(np.float64))).all()

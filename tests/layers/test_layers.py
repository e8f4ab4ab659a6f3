"""`planish.layers`, forward."""

import itertools
import subprocess
import sys
import warnings

import layer_references as reference
import ml_dtypes
import numpy as np
import planish
import pytest
from planish import layers

pytestmark = [pytest.mark.numeric, pytest.mark.dependencies]

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
#: Shapes of samples, channels and positions: lines of all lengths, few and many samples.
SHAPES = [(4, 6), (2, 6, 5), (3, 6, 4, 5), (2, 6, 3, 4, 5), (8, 12, 16, 17), (64, 6, 3, 3), (3, 64, 1, 40), (200, 6)]
#: Larger than what is taken at once, so that statistics and map of whole arrays take over.
LARGE = (3, 2, 1024, 520)


def tolerance(dtype, expected):
    """Half a unit in the last place of results of `dtype`, and the roundings of double precision before it."""
    # The differences from the mean, the root and the products: a few roundings each, and those of the sums.
    double = 64 * np.finfo(np.float64).eps * (1 + np.abs(expected))
    if dtype == np.float64:
        return double
    info = ml_dtypes.finfo(dtype)
    return 0.5 * float(info.eps) * np.abs(expected) + float(info.smallest_subnormal) + double


def check(y, expected, dtype=np.float64):
    assert y.dtype == dtype
    assert y.shape == expected.shape
    assert np.all(np.abs(y.astype(np.float64) - expected) <= tolerance(dtype, expected))


def layouts(x):
    """The same elements in other places."""
    yield x
    yield np.asfortranarray(x)
    yield x[::-1].copy()[::-1]
    yield x[..., ::-1].copy()[..., ::-1]
    spread = np.zeros(tuple(2 * length for length in x.shape), x.dtype)
    spread[tuple(slice(None, None, 2) for _ in x.shape)] = x
    yield spread[tuple(slice(None, None, 2) for _ in x.shape)]
    # Channels last.
    yield np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    bytes_ = np.zeros(x.nbytes + 1, np.uint8)
    misaligned = bytes_[1:].view(x.dtype).reshape(x.shape)
    misaligned[...] = x
    yield misaligned


def samples(shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, shape).astype(dtype)
    return x, rng.normal(1, 0.5, shape[1]), rng.normal(size=shape[1])


def each_layer(x, gamma, beta):
    """Each layer of channels: its name, the function of `x` and `out`, and what it is to give."""
    yield "batch", lambda x, out=None: layers.batch_norm(x, gamma, beta, out=out), reference.batch(x, gamma, beta)
    if x.ndim > 2:
        yield (
            "instance",
            lambda x, out=None: layers.instance_norm(x, gamma, beta, out=out),
            reference.instance(x, gamma, beta),
        )
    for groups in (1, 2, len(gamma)):
        yield (
            f"group {groups}",
            lambda x, out=None, groups=groups: layers.group_norm(x, groups, gamma, beta, out=out),
            reference.group(x, groups, gamma, beta),
        )
    for number in range(1, x.ndim):
        axes = tuple(range(-number, 0))
        rng = np.random.default_rng(7)
        weight, bias = rng.normal(1, 0.5, x.shape[-number:]), rng.normal(size=x.shape[-number:])
        yield (
            f"layer {axes}",
            lambda x, out=None, axes=axes, w=weight, b=bias: layers.layer_norm(x, w, b, axis=axes, out=out),
            reference.layer(x, weight, bias, axes=axes),
        )
        yield (
            f"rms {axes}",
            lambda x, out=None, axes=axes, w=weight: layers.rms_norm(x, w, axis=axes, out=out),
            reference.rms(x, weight, axes=axes),
        )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_layer_in_every_layout(shape):
    x, gamma, beta = samples(shape)
    for _, function, expected in each_layer(x, gamma, beta):
        for view in layouts(x):
            check(function(view), expected)
            out = np.empty_like(view)
            assert function(view, out) is out
            check(out, expected)
            itself = view.copy(order="K")
            assert function(itself, itself) is itself
            check(itself, expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_every_dtype(dtype):
    for shape in ((3, 6, 4, 5), (64, 40), (2, 32, 9, 9)):
        x, gamma, beta = samples(shape, dtype)
        gamma, beta = gamma.astype(dtype), beta.astype(dtype)
        for name, function, expected in each_layer(x, gamma, beta):
            if not name.startswith(("layer", "rms")):
                check(function(x), expected, dtype)
            check(function(np.asfortranarray(x)), expected, dtype)


def test_large_groups():
    x, gamma, beta = samples(LARGE, np.float32)
    for name, function, expected in each_layer(x, gamma, beta):
        if "-3" not in name:
            check(function(x), expected, np.float32)
            check(function(x, np.empty_like(x)), expected, np.float32)


def test_any_axes():
    x = np.random.default_rng(1).normal(5, 3, (4, 5, 6, 7))
    for number in range(1, 5):
        for axes in itertools.combinations(range(4), number):
            for view in layouts(x):
                check(layers.standardize(view, axes), reference.normalized(x, axes, 0.0))
    check(layers.standardize(x, None), reference.normalized(x, (0, 1, 2, 3), 0.0))
    check(layers.standardize(x, -2, eps=0.5), reference.normalized(x, (2,), 0.5))


@pytest.mark.parametrize("value", [0.1, 1.0, 1e12, 3e38])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_elements_give_beta(value, dtype):
    for shape in [(1, 6, 16), (4, 33, 5, 5), (5, 6, 16), (64, 6, 40)]:
        rng = np.random.default_rng(2)
        channels, samples_ = shape[1], shape[0]
        groups = 3
        gamma, beta = rng.normal(size=(2, channels)).astype(dtype)
        each = rng.normal(size=(2, samples_, channels)).astype(dtype)
        for x in layouts(np.full(shape, value, dtype)):
            wide = (slice(None), *[None] * (len(shape) - 2))
            for eps in (0.0, 1e-5):
                expected = np.broadcast_to(beta[wide], shape)
                np.testing.assert_array_equal(layers.group_norm(x, groups, gamma, beta, eps=eps), expected)
                np.testing.assert_array_equal(layers.batch_norm(x, gamma, beta, eps=eps), expected)
                np.testing.assert_array_equal(layers.instance_norm(x, gamma, beta, eps=eps), expected)
                expected = np.broadcast_to(each[1][(slice(None), *wide)], shape)
                np.testing.assert_array_equal(layers.batch_norm(x, *each, eps=eps), expected)
                gradients = layers.group_norm_backward(np.ones_like(x), x, groups, gamma, eps=eps)
                np.testing.assert_array_equal(gradients.dgamma, np.zeros(channels))


def test_infinity_spoils_its_group_in_every_layout():
    for shape in [(4, 16), (4, 6, 40), (64, 6, 20)]:
        x = np.random.default_rng(4).normal(size=shape)
        x[0, 2] = np.inf
        for view in layouts(x):
            for y in (layers.rms_norm(view), layers.layer_norm(view), layers.standardize(view, -1)):
                spoiled = np.isinf(view).any(axis=-1)
                assert np.isnan(y[spoiled]).all()
                assert np.isfinite(y[~spoiled]).all()


def test_sums_beyond_the_largest_double():
    assert np.array_equal(layers.layer_norm(np.array([1.7e308, 1.6e308, -1.7e308])), np.zeros(3))
    assert np.array_equal(layers.rms_norm(np.array([1.7e308, 1.6e308, -1.7e308])), np.zeros(3))
    # The variance is a double, the sum of squares is not.
    x = np.array([-1.0, 1.0] * 50) * np.sqrt(np.finfo(float).max) * 0.3
    np.testing.assert_allclose(layers.layer_norm(x), np.sign(x), rtol=1e-14)
    np.testing.assert_allclose(layers.rms_norm(x), np.sign(x), rtol=1e-14)
    dx = layers.layer_norm_backward(np.ones(3), np.array([1.7e308, 1.6e308, -1.7e308])).dx
    assert np.array_equal(dx, np.zeros(3))


def test_channels_last():
    x, gamma, beta = samples((3, 8, 5, 4))
    last = np.moveaxis(x, 1, -1).copy()
    for groups in (2, 8):
        expected = reference.group(last, groups, gamma, beta, axis=-1)
        check(layers.group_norm(last, groups, gamma, beta, channel_axis=-1), expected)
    check(layers.batch_norm(last, gamma, beta, channel_axis=-1), reference.batch(last, gamma, beta, axis=-1))
    check(layers.instance_norm(last, gamma, beta, channel_axis=3), reference.instance(last, gamma, beta, axis=3))


def test_parameters_of_each_sample():
    x, _, _ = samples((4, 6, 5, 3))
    rng = np.random.default_rng(3)
    gamma, beta, bias = rng.normal(size=(4, 6)), rng.normal(size=(4, 6)), rng.normal(size=6)
    check(layers.instance_norm(x, gamma, beta), reference.instance(x, gamma, beta))
    check(layers.instance_norm(x, gamma, bias), reference.instance(x, gamma, bias))
    check(layers.group_norm(x, 3, gamma, beta), reference.group(x, 3, gamma, beta))
    check(layers.batch_norm(x, gamma, beta), reference.batch(x, gamma, beta))
    mean, var = rng.normal(size=6), rng.uniform(1, 2, 6)
    y = layers.batch_norm(x, gamma, beta, running_mean=mean, running_var=var, training=False)
    scale = gamma / np.sqrt(var + 1e-5)
    check(y, (x - mean[:, None, None]) * scale[..., None, None] + beta[..., None, None])
    tokens, weight, shift = x[..., 0], rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    expected = reference.normalized(tokens, (-1,), 1e-5) * weight[:, None] + shift[:, None]
    check(layers.layer_norm(tokens, weight, shift), expected)
    check(layers.rms_norm(tokens, weight), reference.normalized(tokens, (-1,), 1e-5, False) * weight[:, None])


def test_inputs_that_are_no_arrays():
    assert np.allclose(layers.layer_norm([[1.0, 3.0]], lambda x: x.max(0)), [[-1.0, 3.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix(np.ones((2, 4)))
    assert np.array_equal(layers.group_norm(matrix, 2), np.zeros((2, 4)))


def test_parameters_that_are_functions_of_the_input():
    x, gamma, beta = samples((4, 6, 5, 3))
    y = layers.instance_norm(x, lambda x: x.std((2, 3)), lambda x: x.mean((2, 3)))
    check(y, reference.instance(x, x.std((2, 3)), x.mean((2, 3))))
    check(layers.batch_norm(x, lambda x: gamma, beta), reference.batch(x, gamma, beta))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_ada_norm_in_double_precision(dtype):
    x = np.random.default_rng(4).normal(2, 3, (70, 5, 900)).astype(dtype)
    for view in (x, np.asfortranarray(x), x[::-1, ::2]):
        y = reference.normalized(view, (-1,), 1e-5)
        expected = 1e-3 * (1 - 0.8 * y) * y
        check(layers.ada_norm(view, scale=1e-3, k=0.8), expected, dtype)
        itself = view.copy()
        assert layers.ada_norm(itself, scale=1e-3, k=0.8, out=itself) is itself
        check(itself, expected, dtype)
    before = x.copy()
    for wrong in ({"k": "0.1"}, {"scale": np.nan}, {"k": [1.0]}, {"eps": None}):
        with pytest.raises((TypeError, ValueError), match="must be"):
            layers.ada_norm(x, out=x, **wrong)
    assert np.array_equal(x, before)


def test_ada_norm():
    x = np.random.default_rng(2).normal(2, 3, (5, 40))
    y = reference.normalized(x, (-1,), 1e-5)
    check(layers.ada_norm(x, scale=2.0, k=0.1), 2.0 * (1 - 0.1 * y) * y)
    out = np.empty_like(x)
    assert layers.ada_norm(x, out=out) is out


# --- what is degenerate ----------------------------------------------------------------------------------------------


def test_groups_without_variance():
    for shape in ((3, 4), (2, 4, 5, 5), (2, 64, 40), (70, 4, 3)):
        x = np.full(shape, 0.1)
        beta = np.arange(shape[1], dtype=np.float64)
        for y in (layers.batch_norm(x, None, beta), layers.group_norm(x, 2, None, beta)):
            assert np.array_equal(y, np.broadcast_to(reference.along(beta, 1, len(shape)), shape))
        assert np.array_equal(layers.standardize(x, None), np.zeros(shape))
        assert np.array_equal(layers.standardize(x, 0), np.zeros(shape))
    assert np.array_equal(layers.rms_norm(np.zeros((2, 5)), eps=0.0), np.zeros((2, 5)))


def test_groups_of_one_element():
    x = np.array([[[3.0], [5.0]]])
    assert np.array_equal(layers.instance_norm(x, None, [1.0, 2.0]), [[[1.0], [2.0]]])
    assert np.array_equal(layers.layer_norm(x, None, [7.0]), [[[7.0], [7.0]]])
    assert np.array_equal(layers.standardize(x, ()), np.zeros_like(x))


def test_nothing():
    for shape in ((0, 3), (0, 3, 4), (2, 0), (2, 3, 0)):
        x = np.empty(shape, np.float32)
        assert layers.batch_norm(x).shape == shape
        assert layers.layer_norm(x).shape == shape
        assert layers.standardize(x, 0).shape == shape


@pytest.mark.parametrize("shape", [(3, 4, 50), (40, 4), LARGE], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_group_only(shape, bad):
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    x[(1, 2 % shape[1], *[0] * (len(shape) - 2))] = bad
    y = layers.batch_norm(x)
    expected = np.zeros(shape[1], bool)
    expected[2 % shape[1]] = True
    assert np.array_equal(np.isnan(y).all(tuple(axis for axis in range(len(shape)) if axis != 1)), expected)
    assert np.array_equal(np.isnan(y).any(tuple(axis for axis in range(len(shape)) if axis != 1)), expected)
    y = layers.layer_norm(x)
    spoiled = ~np.isfinite(x).all(-1)
    assert np.array_equal(np.isnan(y).all(-1), spoiled)
    assert np.array_equal(np.isnan(y).any(-1), spoiled)


def test_variances_beyond_doubles():
    """As in PyTorch: the mean is known, and nothing is left beside the deviation."""
    for x in ([1e300, -1e300, 3e299], [1e200, 2e200, 4e200], [1e160, 2e160, 4e160]):
        assert np.array_equal(layers.layer_norm(np.array([x])), np.zeros((1, 3)))


def test_far_from_zero():
    rng = np.random.default_rng(6)
    for offset in (1e6, 1e9, 1e12):
        x = rng.normal(size=(6, 4, 300)) + offset
        x[:, :, 0] = 0.0 if offset == 1e6 else x[:, :, 0]  # the first element is none of the others' kind
        exact = x.astype(np.longdouble)
        for axes in ((2,), (0, 2)):
            away = exact - exact.mean(axes, keepdims=True)
            expected = away / np.sqrt((away**2).mean(axes, keepdims=True))
            # Differences of what was rounded at the offset are exact; the mean is rounded once.
            bound = 4 * np.spacing(offset) + 1e-12 * np.abs(expected)
            assert np.all(np.abs(layers.standardize(x, axes) - expected) <= bound)


# --- threads ---------------------------------------------------------------------------------------------------------


def test_threads_do_not_change_a_bit():
    x, gamma, beta = samples((6, 32, 40, 41), np.float32)
    for name, function, _ in each_layer(x, gamma, beta):
        with planish.num_threads(1):
            one = function(x)
        for threads in (2, 3, 7):
            with planish.num_threads(threads):
                assert np.array_equal(function(x), one), name


def test_importing_layers_loads_no_scikit_learn():
    program = "import planish.layers, sys; assert not [m for m in sys.modules if m.startswith(('sklearn', 'scipy'))]"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- running statistics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_statistics_move_in_place(dtype):
    x, gamma, beta = samples((5, 6, 4, 3), dtype)
    mean, var = np.zeros(6, dtype), np.ones(6, dtype)
    first, second = mean, var
    layers.batch_norm(x, gamma, beta, running_mean=mean, running_var=var, momentum=0.25)
    wide = x.astype(np.float64)
    assert np.allclose(mean, 0.25 * wide.mean((0, 2, 3)), rtol=4 * np.finfo(dtype).eps)
    assert np.allclose(var, 0.75 + 0.25 * wide.var((0, 2, 3), ddof=1), rtol=4 * np.finfo(dtype).eps)
    assert mean is first
    assert var is second
    before = mean.copy(), var.copy()
    y = layers.batch_norm(x, gamma, beta, running_mean=mean, running_var=var, training=False)
    assert np.array_equal(mean, before[0])
    assert np.array_equal(var, before[1])
    shape = (6, 1, 1)
    scale = gamma / np.sqrt(var.astype(np.float64) + 1e-5)
    check(y, (wide - mean.astype(np.float64).reshape(shape)) * scale.reshape(shape) + beta.reshape(shape), dtype)


def test_one_value_of_each_channel():
    x = np.ones((1, 3, 1, 1))
    with pytest.raises(ValueError, match="more than one value of each channel"):
        layers.batch_norm(x)
    mean, var = np.zeros(3), np.ones(3)
    y = layers.batch_norm(x, running_mean=mean, running_var=var, training=False, eps=0.0)
    assert np.array_equal(y, x)


# --- bad input -------------------------------------------------------------------------------------------------------

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: layers.group_norm(X, 2), ValueError, "num_groups must divide the 3 channels"),
        (lambda: layers.group_norm(X, 0), ValueError, "num_groups must divide"),
        (lambda: layers.group_norm(X, 1.5), TypeError, "num_groups must be an int"),
        (lambda: layers.group_norm(X, 3, channel_axis=0), ValueError, "axis of the samples"),
        (lambda: layers.batch_norm(X, np.ones(4)), ValueError, r"gamma has shape \(4,\)"),
        (lambda: layers.batch_norm(X, None, np.ones((3, 1))), ValueError, r"beta has shape \(3, 1\)"),
        (lambda: layers.layer_norm(X, np.ones(3)), ValueError, r"gamma has shape \(3,\)"),
        (lambda: layers.batch_norm(X, ["a"] * 3), TypeError, "real numbers"),
        (lambda: layers.batch_norm(X.astype(int)), TypeError, "int64"),
        (lambda: layers.layer_norm(X.astype(np.uint8)), TypeError, "uint8"),
        (lambda: layers.layer_norm(X.astype(complex)), TypeError, "complex"),
        (lambda: layers.layer_norm("text"), TypeError, "dtype"),
        (lambda: layers.layer_norm(X.astype(">f8")), TypeError, "native byte order"),
        (lambda: layers.batch_norm(X.astype(np.longdouble)), TypeError, "x has dtype"),
        (lambda: layers.layer_norm(np.ma.array(X)), TypeError, "masked"),
        (lambda: layers.layer_norm(X, "a"), TypeError, "real numbers"),
        (lambda: layers.layer_norm(X, lambda x: None), TypeError, "real numbers"),
        (lambda: layers.layer_norm(X, eps="a"), TypeError, "eps must be a number"),
        (lambda: layers.layer_norm(X, eps=10**400), ValueError, "eps must be finite"),
        (lambda: layers.layer_norm(X, axis=np.array([1, 2])), TypeError, "axis must be an int"),
        (lambda: layers.batch_norm(X, channel_axis=True), TypeError, "channel_axis must be an int"),
        (
            lambda: layers.batch_norm(X, running_mean=np.zeros(3), running_var=np.ones(3), momentum=None),
            TypeError,
            "momentum must be a number",
        ),
        (
            lambda: layers.batch_norm(X, running_mean=np.zeros(3), running_var=-np.ones(3), training=False),
            ValueError,
            "running_var must not be negative",
        ),
        (
            lambda: layers.batch_norm(X.astype(int), running_mean=np.zeros(3), running_var=np.ones(3), training=False),
            TypeError,
            "int64",
        ),
        (lambda: layers.batch_norm(np.ones(3)), ValueError, "at least 2 dimensions"),
        (lambda: layers.instance_norm(X[0]), ValueError, "at least 3 dimensions"),
        (lambda: layers.batch_norm(X, channel_axis=3), ValueError, "out of range"),
        (lambda: layers.batch_norm(X, channel_axis="1"), TypeError, "channel_axis must be an int"),
        (lambda: layers.layer_norm(X, axis=0), ValueError, "last axes"),
        (lambda: layers.layer_norm(X, axis=(0, 2)), ValueError, "last axes"),
        (lambda: layers.layer_norm(X, axis=(1, 1)), ValueError, "twice"),
        (lambda: layers.layer_norm(X, axis=5), ValueError, "out of range"),
        (lambda: layers.standardize(X, 1.0), TypeError, "axis must be"),
        (lambda: layers.layer_norm(X, eps=-1.0), ValueError, "eps"),
        (lambda: layers.layer_norm(X, eps=np.nan), ValueError, "eps"),
        (lambda: layers.layer_norm(X, out=np.empty((2, 3, 5))), ValueError, "out has shape"),
        (lambda: layers.group_norm(X, 3, out=np.empty((2, 12))), ValueError, "out has shape"),
        (lambda: layers.group_norm(X, 3, out=[1.0]), TypeError, "out must be a NumPy array"),
        (lambda: layers.layer_norm(X, out=np.empty(X.shape, np.float32)), TypeError, "out has dtype"),
        (lambda: layers.layer_norm(X[:, :, :-1], out=X[:, :, 1:]), ValueError, "overlaps"),
        (lambda: layers.layer_norm(X, out=np.broadcast_to(0.0, X.shape)), ValueError, "read-only"),
        (lambda: layers.batch_norm(X, training=False), ValueError, "running_mean and running_var"),
        (lambda: layers.batch_norm(X, running_mean=np.zeros(3)), ValueError, "running_var is missing"),
        (lambda: layers.batch_norm(X, running_mean=[0.0] * 3, running_var=np.ones(3)), TypeError, "in place"),
        (lambda: layers.batch_norm(X, running_mean=np.zeros(2), running_var=np.ones(3)), ValueError, "one value"),
        (
            lambda: layers.batch_norm(X, running_mean=np.zeros(3), running_var=np.ones(3), momentum=2.0),
            ValueError,
            "momentum",
        ),
        (
            lambda: layers.batch_norm(X, running_mean=np.zeros(2), running_var=np.ones(2), training=False),
            ValueError,
            "one value",
        ),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()

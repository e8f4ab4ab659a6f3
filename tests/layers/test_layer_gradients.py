"""`planish.layers`, backward: against finite differences and the chain rule written out."""

import itertools

import numpy as np
import planish
import pytest
from planish import layers

from tests.layers.test_layers import DTYPES, LARGE, SHAPES, layouts

pytestmark = pytest.mark.numeric

#: Of finite differences in double precision, of fourth order: about eps**(4/5), and this much room.
CLOSE = 2e-9


def difference(function, x, dy, step=1e-3):
    """The gradient of ``sum(dy * function(x))``, element by element."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        total = 0.0
        for distance, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            moved = x.copy()
            moved[index] += distance * step
            total += weight * float(np.sum(dy * function(moved)))
        gradient[index] = total / (12 * step)
    return gradient


def close(ours, expected):
    assert ours.shape == expected.shape
    assert np.all(np.abs(ours - expected) <= CLOSE * (1 + np.abs(expected).max()))


def samples(shape=(3, 4, 5)):
    rng = np.random.default_rng(8)
    return rng.normal(2, 1.5, shape), rng.normal(size=shape), rng.normal(1, 0.5, shape[1]), rng.normal(size=shape[1])


PAIRS = {
    "batch": (layers.batch_norm, layers.batch_norm_backward, ()),
    "instance": (layers.instance_norm, layers.instance_norm_backward, ()),
    "group": (layers.group_norm, layers.group_norm_backward, (2,)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("per_sample", [False, True])
def test_layers_of_channels(name, per_sample):
    x, dy, gamma, beta = samples()
    forward, backward, more = PAIRS[name]
    if per_sample:
        gamma = np.random.default_rng(9).normal(size=(3, 4))
        beta = np.zeros((3, 4))
    found = backward(dy, x, *more, gamma)
    close(found.dx, difference(lambda x: forward(x, *more, gamma, beta), x, dy))
    close(found.dgamma, difference(lambda gamma: forward(x, *more, gamma, beta), gamma, dy))
    close(found.dbeta, difference(lambda beta: forward(x, *more, gamma, beta), beta, dy))


@pytest.mark.parametrize("axis", [-1, (-2, -1)])
@pytest.mark.parametrize("per_sample", [False, True])
def test_layer_and_rms(axis, per_sample):
    x, dy, _, _ = samples()
    shape = x.shape[1:] if isinstance(axis, tuple) else x.shape[2:]
    shape = (3, *shape) if per_sample else shape
    rng = np.random.default_rng(10)
    gamma, beta = rng.normal(size=shape), rng.normal(size=shape)
    found = layers.layer_norm_backward(dy, x, gamma, axis=axis)
    close(found.dx, difference(lambda x: layers.layer_norm(x, gamma, beta, axis=axis), x, dy))
    close(found.dgamma, difference(lambda gamma: layers.layer_norm(x, gamma, beta, axis=axis), gamma, dy))
    close(found.dbeta, difference(lambda beta: layers.layer_norm(x, gamma, beta, axis=axis), beta, dy))
    found = layers.rms_norm_backward(dy, x, gamma, axis=axis)
    close(found.dx, difference(lambda x: layers.rms_norm(x, gamma, axis=axis), x, dy))
    close(found.dgamma, difference(lambda gamma: layers.rms_norm(x, gamma, axis=axis), gamma, dy))
    assert found.dbeta is None


def test_batch_norm_with_known_statistics():
    x, dy, gamma, beta = samples()
    known = {"running_mean": np.array([0.5, 1, 2, 3]), "running_var": np.array([1.0, 2, 3, 4]), "training": False}
    for view in (x, np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)):
        found = layers.batch_norm_backward(dy, view, gamma, **known)
        close(found.dx, difference(lambda x: layers.batch_norm(x, gamma, beta, **known), x, dy))
        close(found.dgamma, difference(lambda gamma: layers.batch_norm(x, gamma, beta, **known), gamma, dy))
        close(found.dbeta, difference(lambda beta: layers.batch_norm(x, gamma, beta, **known), beta, dy))


@pytest.mark.parametrize("axes", [axes for n in (1, 2, 3) for axes in itertools.combinations(range(3), n)], ids=str)
def test_standardize(axes):
    x, dy, _, _ = samples()
    found = layers.standardize_backward(dy, x, axes, eps=1e-3)
    close(found.dx, difference(lambda x: layers.standardize(x, axes, eps=1e-3), x, dy))
    assert found.dgamma is None
    assert found.dbeta is None


def test_ada_norm_takes_its_gain_for_a_constant():
    x, dy, _, _ = samples()
    y = layers.standardize(x, -1, eps=1e-5)
    gain = 2.0 * (1 - 0.1 * y)
    expected = layers.standardize_backward(dy * gain, x, -1, eps=1e-5).dx
    close(layers.ada_norm_backward(dy, x, scale=2.0).dx, expected)
    close(layers.ada_norm_backward(dy.copy(), x, scale=2.0, out=dy).dx, expected)
    x16, dy16 = np.array([[0, 0, 0, 0, 1000]], np.float16), np.array([[100, 6e4, 6e4, 6e4, 6e4]], np.float16)
    exact = layers.ada_norm_backward(dy16.astype(float), x16.astype(float), k=1.0).dx
    assert np.array_equal(layers.ada_norm_backward(dy16, x16, k=1.0).dx, exact.astype(np.float16))


@pytest.mark.parametrize("size", [1e120, 1e-110, 1e150])
def test_deviations_whose_cube_leaves_the_range(size):
    x, dy = np.array([[1.0, 2, 4]]), np.array([[1.0, 0, 0]])
    expected = layers.layer_norm_backward(dy, x, eps=0.0).dx
    assert np.allclose(layers.layer_norm_backward(dy * size, x * size, eps=0.0).dx, expected, rtol=1e-13)
    assert np.allclose(layers.layer_norm_backward(dy, x * size, eps=0.0).dx, expected / size, rtol=1e-13)
    expected = layers.rms_norm_backward(dy, x, eps=0.0).dx
    assert np.allclose(layers.rms_norm_backward(dy, x * size, eps=0.0).dx, expected / size, rtol=1e-13)
    column = layers.standardize_backward(np.tile(dy.T, (20, 3)), np.tile(x.T * size, (20, 3)), 0).dx
    expected = layers.standardize_backward(np.tile(dy.T, (20, 3)), np.tile(x.T, (20, 3)), 0).dx
    assert np.allclose(column, expected / size, rtol=1e-12)


def test_many_parameters_in_few_pieces():
    """Gradients of as many parameters as a sample has elements, summed over the samples."""
    rng = np.random.default_rng(14)
    x, dy = rng.normal(size=(2, 90, 40, 1500))
    found = layers.layer_norm_backward(dy, x, axis=(1, 2))
    unit = layers.standardize(x, (1, 2), eps=1e-5)
    assert np.allclose(found.dgamma, (dy * unit).sum(0), rtol=1e-12, atol=1e-12)
    assert np.allclose(found.dbeta, dy.sum(0), rtol=1e-12, atol=1e-12)


def expected_of_batch(dy, x, gamma, eps=1e-5):
    """The chain rule through mean and variance, step by step."""
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    gamma = gamma.reshape(-1, *[1] * (x.ndim - 2))
    n = x.size // x.shape[1]
    away = x - x.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt((away**2).mean(axes, keepdims=True) + eps)
    by_unit = dy * gamma
    by_var = (by_unit * away).sum(axes, keepdims=True) * -0.5 * inverse**3
    by_mean = -(by_unit * inverse).sum(axes, keepdims=True)
    dx = by_unit * inverse + by_var * 2 * away / n + by_mean / n
    return dx, (dy * away * inverse).sum(axes), dy.sum(axes)


@pytest.mark.parametrize("shape", [*SHAPES, LARGE, (5000, 70)], ids=str)
def test_every_layout(shape):
    rng = np.random.default_rng(11)
    x, dy, gamma = rng.normal(2, 1.5, shape), rng.normal(size=shape), rng.normal(1, 0.5, shape[1])
    expected = expected_of_batch(dy, x, gamma)
    # Sums over n elements may differ by their roundings.
    bound = 1e-12 * np.sqrt(x.size)
    views = [(x, dy)] if shape == LARGE else zip(layouts(x), list(layouts(dy))[::-1], strict=True)
    for view, gradient in views:
        out = np.empty_like(view)
        for found in (
            layers.batch_norm_backward(gradient, view, gamma),
            layers.batch_norm_backward(gradient, view, gamma, out=out),
        ):
            for ours, theirs in zip(found, expected, strict=True):
                assert np.abs(ours - theirs).max() <= bound * (1 + np.abs(theirs).max())
        assert found.dx is out


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_every_dtype(dtype):
    rng = np.random.default_rng(12)
    x, dy, gamma = rng.normal(2, 1.5, (6, 8, 30)).astype(dtype), rng.normal(size=(6, 8, 30)).astype(dtype), np.ones(8)
    found = layers.batch_norm_backward(dy, x, gamma)
    expected = layers.batch_norm_backward(dy.astype(np.float64), x.astype(np.float64), gamma)
    assert found.dx.dtype == dtype
    assert np.array_equal(found.dx, expected.dx.astype(dtype))
    assert np.array_equal(found.dgamma, expected.dgamma)


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(13)
    x, dy = rng.normal(size=(2, 40, 16, 60, 50)).astype(np.float32)
    calls = [
        lambda: layers.batch_norm_backward(dy, x),
        lambda: layers.group_norm_backward(dy, x, 4),
        lambda: layers.layer_norm_backward(dy, x),
        lambda: layers.batch_norm_backward(dy, x, channel_axis=-1),
    ]
    for call in calls:
        with planish.num_threads(1):
            one = call()
        with planish.num_threads(5):
            assert all(np.array_equal(a, b) for a, b in zip(call(), one, strict=True))


X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: layers.batch_norm_backward(X[:1], X), ValueError, "dy has shape"),
        (lambda: layers.layer_norm_backward(X.astype(np.float32), X), TypeError, "dy has dtype"),
        (lambda: layers.layer_norm_backward(X.astype(int), X.astype(int)), TypeError, "int64"),
        (lambda: layers.layer_norm_backward(X, X, out=X), ValueError, "overlaps"),
        (lambda: layers.layer_norm_backward(X, X + 1, out=X), ValueError, "overlaps"),
        (lambda: layers.layer_norm_backward(X, X, out=np.empty(3)), ValueError, "out has shape"),
        (lambda: layers.layer_norm_backward(X, X, np.ones(3)), ValueError, "gamma has shape"),
        (lambda: layers.batch_norm_backward(X[:1, :, :1], X[:1, :, :1]), ValueError, "more than one value"),
        (lambda: layers.ada_norm_backward(X.astype(np.float32), X), TypeError, "dy has dtype"),
        (lambda: layers.ada_norm_backward(X[:1], X), ValueError, "dy has shape"),
        (lambda: layers.group_norm_backward(X, X, 2), ValueError, "num_groups must divide"),
        (lambda: layers.batch_norm_backward(X, X, training=False), ValueError, "running_mean and running_var"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()

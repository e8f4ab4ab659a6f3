"""`planish.layers.adaptive_grad_clip` and `clip_by_norm`."""

import ml_dtypes
import numpy as np
import pytest
from planish.layers import adaptive_grad_clip, clip_by_norm

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def norm(x, axes):
    return np.sqrt((np.asarray(x, dtype=np.longdouble) ** 2).sum(axes, keepdims=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("shape", [(5,), (4, 6), (4, 3, 5), (8, 3, 5, 5), (2, 200_000)], ids=str)
def test_units(shape, dtype):
    rng = np.random.default_rng(0)
    grad = (rng.normal(size=shape) * np.geomspace(1e-4, 10, shape[0]).reshape(-1, *[1] * (len(shape) - 1))).astype(
        dtype
    )
    param = rng.normal(size=shape).astype(dtype)
    param[0] = 0
    axes = tuple(range(1, len(shape))) if len(shape) > 1 else (0,)
    wide = grad.astype(np.float64)
    limit = 0.1 * np.maximum(norm(param, axes), 1e-3)
    expected = np.where(norm(grad, axes) > limit, wide * (limit / norm(grad, axes)), wide)
    clipped = adaptive_grad_clip(grad, param, clipping=0.1)
    assert clipped.dtype == dtype
    # Rounded in double precision: both norms, the limit, their ratio and the product; and once more as the result.
    info = ml_dtypes.finfo(dtype)
    relative = (float(info.eps) + 5 * np.finfo(np.float64).eps) / 2
    bound = relative * np.abs(expected) + float(info.smallest_subnormal)
    assert np.all(np.abs(clipped.astype(np.float64) - expected) <= bound)
    untouched = np.broadcast_to(norm(grad, axes) <= limit, shape)
    assert np.array_equal(clipped[untouched], grad[untouched])
    itself = grad.copy()
    assert adaptive_grad_clip(itself, param, clipping=0.1, out=itself) is itself
    assert np.array_equal(itself, clipped)


def test_by_norm():
    grad = np.array([[3.0, 4.0], [0.3, 0.4]])
    assert np.allclose(clip_by_norm(grad, 1.0), grad / np.sqrt(25.25), rtol=1e-15)
    assert np.allclose(clip_by_norm(grad, 1.0, axis=1), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-15)
    assert np.array_equal(clip_by_norm(grad, 6.0), grad)
    assert np.array_equal(clip_by_norm(np.zeros(3), 1.0), np.zeros(3))
    view = np.asfortranarray(np.random.default_rng(1).normal(size=(4, 5, 6)))[::-1]
    expected = view * np.minimum(1, 0.5 / norm(view, (0, 2)))
    out = np.empty_like(view)
    assert clip_by_norm(view, 0.5, axis=(0, 2), out=out) is out
    assert np.allclose(out, expected, rtol=1e-14)


def test_what_is_not_finite_shows():
    grad = np.array([[np.inf, 1.0], [np.nan, 1.0], [30.0, 40.0]])
    clipped = clip_by_norm(grad, 1.0, axis=1)
    assert np.array_equal(clipped[:2], [[np.nan, 0.0], [np.nan, np.nan]], equal_nan=True)
    assert np.allclose(clipped[2], [0.6, 0.8])
    assert np.isnan(adaptive_grad_clip(np.ones((1, 2)), np.array([[np.nan, 1.0]]))).all()


@pytest.mark.parametrize("size", [1e160, 1e300, 3e-200, 1e-310])
def test_squares_beyond_doubles(size):
    assert np.allclose(clip_by_norm(np.array([3.0, 4.0]) * size, size), np.array([0.6, 0.8]) * size, rtol=1e-12)
    assert np.array_equal(clip_by_norm(np.array([3.0, 4.0]) * size, min(8 * size, 1e308)), np.array([3.0, 4.0]) * size)
    clipped = adaptive_grad_clip(np.array([[3.0, 4.0]]) * size, np.array([[size, 0.0]]), 0.01, 1e-320)
    assert np.allclose(clipped, np.array([[0.6, 0.8]]) * (0.01 * size), rtol=1e-12 if size > 1e-300 else 1e-2)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: adaptive_grad_clip(np.ones(3), np.ones(4)), ValueError, "param has shape"),
        (lambda: adaptive_grad_clip(np.ones(3), np.ones(3), clipping=0), ValueError, "clipping"),
        (lambda: adaptive_grad_clip(np.ones(3), np.ones(3), eps=-1), ValueError, "eps"),
        (lambda: adaptive_grad_clip(np.ones(3, int), np.ones(3)), TypeError, "int64"),
        (lambda: adaptive_grad_clip(np.ones(3), np.ones(3), out=np.ones(2)), ValueError, "out has shape"),
        (lambda: clip_by_norm(np.ones(3), 0.0), ValueError, "max_norm"),
        (lambda: clip_by_norm(np.ones(3), np.nan), ValueError, "max_norm"),
        (lambda: clip_by_norm(np.ones(3), 1.0, axis=1), ValueError, "out of range"),
        (lambda: clip_by_norm(["a"], 1.0), TypeError, "dtype"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("scale", [1e-170, 1e-200, 1e-300, 1e200])
def test_norms_whose_squares_leave_the_range(scale):
    grad = np.array([3.0, 4.0]) * scale
    np.testing.assert_allclose(clip_by_norm(grad, scale), np.array([0.6, 0.8]) * scale, rtol=1e-14)
    clipped = adaptive_grad_clip(np.array([[3e-5, 4e-5]]), grad[np.newaxis], 1e-2, 1e-310)
    np.testing.assert_allclose(clipped, np.minimum(np.array([[0.6, 0.8]]) * (5e-2 * scale), [[3e-5, 4e-5]]), rtol=1e-12)

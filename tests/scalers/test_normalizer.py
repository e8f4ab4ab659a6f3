"""Lengths, and the division by them."""

from fractions import Fraction

import numpy as np
import pytest
import sklearn.preprocessing
from planish import Normalizer, normalize
from reference import ulps

pytestmark = pytest.mark.numeric

NORMS = ["l1", "l2", "max"]


def exact_lengths(x, norm):
    """Lengths squared for l2, else lengths: exact rationals."""
    rows = [[abs(Fraction(float(v))) for v in row] for row in x]
    if norm == "max":
        return [max(row) for row in rows]
    return [sum(v if norm == "l1" else v * v for v in row) for row in rows]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("width", [1, 3, 16, 37, 300])
def test_within_one_ulp(norm, dtype, order, width):
    rng = np.random.default_rng(width)
    x = (rng.normal(size=(20, width)) * 10.0 ** rng.integers(-3, 4, size=(20, width))).astype(dtype)
    x[0, 0] = x[0, 0] or 1
    y = Normalizer(norm).fit_transform(np.asarray(x, order=order))
    for row, result, length in zip(x, y, exact_lengths(x, norm), strict=True):
        values = [Fraction(float(v)) for v in row]
        if norm != "l2":
            assert ulps(result, [v / length for v in values], dtype) <= 1
            continue
        # |result - v / sqrt(length)| <= ulp, with a square root to 40 digits.
        root = Fraction(sqrt_digits(length))
        assert ulps(result, [v / root for v in values], dtype) <= 1


def sqrt_digits(value):
    from decimal import Decimal, getcontext

    getcontext().prec = 60
    return (Decimal(value.numerator) / Decimal(value.denominator)).sqrt()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("order", "CF")
def test_out_of_the_range_of_squares(norm, order):
    x = np.asarray([[3e200, -4e200, 0.0], [1e308, 1e308, 0.0], [3.0, 4.0, 0.0]], order=order)
    expected = {
        "l1": [[3 / 7, -4 / 7, 0], [0.5, 0.5, 0], [3 / 7, 4 / 7, 0]],
        "max": [[0.75, -1, 0], [1, 1, 0], [0.75, 1, 0]],
    }
    expected["l2"] = [[0.6, -0.8, 0], [0.5**0.5, 0.5**0.5, 0], [0.6, 0.8, 0]]
    if order == "F" and norm == "l1":
        # The length itself is beyond float64 where a row does not lie together.
        x[1] /= 4
    np.testing.assert_allclose(normalize(x, norm), expected[norm], rtol=1e-15)


@pytest.mark.parametrize("norm", NORMS)
def test_short_vectors_stay(norm):
    x = np.array([[0.0, 0.0], [1e-16, 0.0], [1e-14, 0.0]])
    np.testing.assert_array_equal(normalize(x, norm), sklearn.preprocessing.normalize(x, norm))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(1, 30), (1000, 3), (50, 64), (7, 2048), (5, 2049), (3, 70_001), (30_000, 64)])
def test_same_as_scikit_learn(norm, shape):
    x = np.random.default_rng(1).normal(size=shape)
    expected = sklearn.preprocessing.normalize(x, norm)
    out = np.empty_like(x)
    # scikit-learn's own sums lose a digit or two.
    rtol = 1e-15 * max(16, shape[1] ** 0.5)
    for view in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1][::-1]):
        np.testing.assert_allclose(Normalizer(norm).transform(view), expected, rtol=rtol)
        assert Normalizer(norm).transform(view, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=rtol)
        np.testing.assert_allclose(normalize(view.T, norm, axis=0), expected.T, rtol=rtol)
    for axis in (0, 1):
        y, norms = normalize(x, norm, axis=axis, return_norm=True)
        z, expected_norms = sklearn.preprocessing.normalize(x, norm, axis=axis, return_norm=True)
        np.testing.assert_allclose(y, z, rtol=rtol)
        np.testing.assert_allclose(norms, expected_norms, rtol=rtol)


def test_images():
    x = np.random.default_rng(2).normal(size=(2, 3, 20, 30)).astype("f4")
    expected = x / np.sqrt((x.astype("f8") ** 2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(Normalizer(channel_axis=1).transform(x), expected, rtol=2e-7)
    nhwc = x.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(Normalizer().transform(nhwc), expected.transpose(0, 2, 3, 1), rtol=2e-7)
    y = Normalizer("max", channel_axis=(1, 2, 3)).transform(x)
    np.testing.assert_allclose(np.abs(y).max(axis=(1, 2, 3)), 1)


def test_not_finite():
    for bad, words in ((np.nan, "Input (X )?contains NaN"), (np.inf, "Input (X )?contains infinity")):
        for shape in [(3, 4), (4000, 64), (2, 5000)]:
            for order in "CF":
                x = np.ones(shape, order=order)
                x[-1, -1] = bad
                for call in (
                    lambda x: Normalizer().transform(x),
                    lambda x: Normalizer("max").fit(x),
                    lambda x: normalize(x, "l1"),
                    lambda x: normalize(x, axis=0, return_norm=True),
                ):
                    with pytest.raises(ValueError, match=words):
                        call(x)
                before = x.copy()
                with pytest.raises(ValueError, match=words):
                    Normalizer(copy=False).transform(x)
                np.testing.assert_array_equal(x, before)


def test_feature_count_is_checked():
    with pytest.raises(ValueError, match="X has 3 features, but Normalizer is expecting 2"):
        Normalizer().fit(np.ones((2, 2))).transform(np.ones((2, 3)))


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_lengths_near_the_largest_number(norm):
    for row in ([1.7624235394607019e308, 1.0], [1e200, 1.7e308], [8e307, -8e307], [1.7e308, 1.7e308]):
        length = {"l1": np.sum, "l2": lambda x: np.sqrt(np.sum(x * x)), "max": np.max}[norm](np.abs(np.longdouble(row)))
        expected = np.float64(np.longdouble(row) / length)
        np.testing.assert_allclose(Normalizer(norm).transform([row])[0], expected, rtol=2.0**-52)

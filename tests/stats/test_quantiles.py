"""Exact quantiles, behind RobustScaler."""

from fractions import Fraction

import numpy as np
import pytest
from planish import RobustScaler, _core

pytestmark = pytest.mark.numeric

Q = [0.0, 0.01, 0.25, 0.5, 0.9, 1.0]
N = 50_000


def cases():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=N)
    yield "normal", normal
    yield "sorted", np.sort(normal)
    yield "reversed", np.sort(normal)[::-1]
    yield "heavy tails", rng.standard_cauchy(N)
    yield "constant", np.full(N, 3.25)
    yield "two values", (rng.random(N) < 0.5).astype(float)
    yield "half at each", np.repeat([0.0, 1.0], N // 2)
    yield "few values", rng.integers(0, 5, N).astype(float)
    yield "mostly zero", np.where(rng.random(N) < 0.97, 0.0, normal)
    yield "clusters", rng.choice([1e9, -1e-9, 1.0], N) + normal * 1e-7
    yield "offset", 1e12 + normal
    yield "subnormal", normal * 1e-310
    yield "huge", normal * 1e307
    yield "periodic", np.sin(np.arange(N) * 2 * np.pi / 17)
    yield "outlier first", np.concatenate([[1e300], normal[1:]])
    yield "mostly missing", np.where(rng.random(N) < 0.999, np.nan, normal)
    yield "one left", np.where(np.arange(N) == N // 3, 7.0, np.nan)


CASES = dict(cases())


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_as_numpy(name, dtype):
    with np.errstate(over="ignore"):
        column = CASES[name].astype(dtype)
    column[np.isinf(column)] = 1
    x = np.stack([column, column[::-1], -column], axis=1)
    ours = _core.quantiles("x", x, Q, -1)
    expected = np.nanquantile(x.astype("f8"), Q, axis=0)
    np.testing.assert_allclose(ours, expected, rtol=2e-16, atol=5e-324)
    np.testing.assert_array_equal(_core.quantiles("x", np.asfortranarray(x), Q, -1), ours)
    np.testing.assert_array_equal(_core.quantiles("x", np.repeat(x, 2, axis=0)[::-2], Q, -1), ours)


def test_adversarial_order():
    """Extreme where the sample is drawn, as far as an adversary could know."""
    x = np.random.default_rng(1).normal(size=N)
    for stride in range(2, 40):
        y = x.copy()
        y[::stride] = 1e6
        np.testing.assert_array_equal(_core.quantiles("x", y[:, None], Q, 1)[:, 0], np.quantile(y, Q))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "?"])
def test_integers(dtype):
    rng = np.random.default_rng(2)
    info = (0, 2) if dtype == "?" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for high in (info[1], 3 if dtype != "?" else 2):
        x = rng.integers(max(info[0], -(2**52)), min(high, 2**52), size=(20_000, 3)).astype(dtype)
        x[:50] = info[0] if info[0] > -(2**52) else x[:50]
        expected = np.quantile(x.astype("f8"), Q, axis=0)
        np.testing.assert_allclose(_core.quantiles("x", x, Q, -1), expected, rtol=2e-16)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 31, 33, 2999, 3001, 3007])
@pytest.mark.parametrize("columns", [1, 2, 3, 64, 2500])
def test_shapes(rows, columns):
    x = np.random.default_rng(rows).normal(size=(rows, columns))
    np.testing.assert_array_equal(_core.quantiles("x", x, [0.5], -1)[0], np.median(x, axis=0))
    np.testing.assert_allclose(_core.quantiles("x", x, [0.25], -1)[0], np.quantile(x, 0.25, axis=0), rtol=2e-16)


def test_medians_are_correctly_rounded_and_do_not_overflow():
    middle = float((Fraction(1.6e308) + Fraction(1.7e308)) / 2)
    assert _core.quantiles("x", np.array([[1.6e308], [1.7e308]]), [0.5], -1).item() == middle
    assert _core.quantiles("x", np.array([[-1.6e308], [1.6e308]]), [0.25], -1).item() == pytest.approx(
        -0.8e308, rel=4e-16
    )
    assert _core.quantiles("x", np.array([[0.1], [0.2]]), [0.5], -1).item() == np.median([0.1, 0.2])


def test_errors():
    with pytest.raises(ValueError, match="q must be within 0 and 1; got 2"):
        _core.quantiles("x", np.ones((2, 2)), [2.0], -1)
    for at in (0, 5, 19_999):
        x = np.random.default_rng(3).normal(size=(20_000, 5))
        x[at, 2] = np.inf
        for centering in (True, False):
            with pytest.raises(ValueError, match="Input X contains infinity"):
                RobustScaler(with_centering=centering, with_scaling=centering).fit(x)

"""What exact moments are, from fractions, and tables that are hard to sum."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

FLOATS = ["f2", "f4", "f8"]
INTEGERS = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def rounded(value):
    """The nearest double; infinity beyond all."""
    try:
        return float(value)
    except OverflowError:
        return np.inf


def expected(column, ddof=0, weights=None):
    """Count, mean and variance of what is a number, from fractions."""
    pairs = [
        (
            Fraction(1) if weights is None else Fraction(float(weights[i])),
            Fraction(x.item() if isinstance(x, np.generic) else x),
        )
        for i, x in enumerate(column)
        if x == x
    ]
    n = sum(w for w, _ in pairs)
    if not n:
        return 0, np.nan, np.nan
    mean = sum(w * x for w, x in pairs) / n
    squares = sum(w * (x - mean) ** 2 for w, x in pairs)
    return rounded(n), rounded(mean), rounded(squares / (n - ddof)) if n > ddof else np.nan


def check(moments, x, ddof=0, weights=None):
    """Moments of the columns of a table are the exact ones; each element has a weight, or none has."""
    rows = [
        expected(column, ddof, None if weights is None else weights[:, j])
        for j, column in enumerate(x.reshape(-1, x.shape[-1]).T)
    ]
    count, mean, var = (np.array(values) for values in zip(*rows, strict=True))
    np.testing.assert_array_equal(moments.count, count)
    np.testing.assert_array_equal(moments.mean, mean)
    np.testing.assert_array_equal(moments.var, var)


@st.composite
def columns(draw):
    """Tables of hostile columns: magnitudes far apart, cancellation, subnormals, the largest numbers, holes."""
    dtype = np.dtype(draw(st.sampled_from(FLOATS + INTEGERS)))
    rows, width = draw(st.sampled_from([1, 2, 3, 5, 64, 65, 130, 257])), draw(st.sampled_from([1, 3, 8, 11]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype.kind != "f":
        bits = random.bytes(rows * width * dtype.itemsize)
        x = np.frombuffer(bits, dtype if dtype != bool else "u1").reshape(rows, width)
        return x > 127 if dtype == bool else x >> draw(st.integers(0, 8 * dtype.itemsize - 1))
    info = np.finfo(dtype)
    kind = draw(st.sampled_from(["near", "far", "bits", "tiny", "large", "cancelling", "constant"]))
    x = random.normal(size=(rows, width))
    if kind == "far":
        x = np.exp(6 * x)
    elif kind == "bits":
        with np.errstate(invalid="ignore"):
            x = np.frombuffer(random.bytes(rows * width * dtype.itemsize), dtype).reshape(rows, width).astype("f8")
    elif kind == "tiny":
        x = x * float(info.smallest_subnormal) * 10
    elif kind == "large":
        x = np.clip(x, -3, 3) / 3 * float(info.max)
    elif kind == "cancelling":
        x[1::2] = -x[: len(x[1::2])]
        x = x * float(info.max) ** 0.5 + random.normal(size=x.shape) * 1e-3
    elif kind == "constant":
        x = np.full((rows, width), x[0, 0])
    with np.errstate(over="ignore", invalid="ignore"):
        x = x.astype(dtype)
    x[~np.isfinite(x)] = np.nan
    x[random.random(x.shape) < draw(st.sampled_from([0, 0, 0.02, 0.5]))] = np.nan
    return x

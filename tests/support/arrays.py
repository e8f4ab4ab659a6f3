"""Arrays of every kind, for hypothesis."""

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

INTEGERS = [np.dtype(t) for t in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")]
FLOATS = [np.dtype(t) for t in ("f2", "f4", "f8")] + [np.dtype(ml_dtypes.bfloat16)]
DTYPES = [np.dtype(bool), *INTEGERS, *FLOATS]


def fill(shape, dtype, seed, nan=False):
    """Reproducible values of a dtype, whose float64 mean and variance are tame."""
    rng = np.random.default_rng(seed)
    if dtype == bool:
        return rng.random(shape) < 0.3
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = max(info.min, -(2**40)), min(info.max, 2**40)
        return rng.integers(low, high, size=shape, endpoint=True, dtype=np.int64).astype(dtype)
    x = rng.normal(3, 2, size=shape)
    if nan:
        x = np.where(rng.random(shape) < 0.1, np.nan, x)
    return x.astype(dtype)


@st.composite
def arrays(draw, dtypes=DTYPES, min_dims=1, max_dims=4, nan=True):
    """An array seen through a view: steps, flips, swapped axes, broadcasts, misaligned or read-only memory."""
    dtype = draw(st.sampled_from(dtypes))
    ndim = draw(st.integers(min_dims, max_dims))
    lengths = st.one_of(st.integers(1, 9), st.sampled_from([17, 64, 130]))
    shape = tuple(draw(lengths) if axis < 2 else draw(st.integers(1, 6)) for axis in range(ndim))
    x = fill(shape, dtype, draw(st.integers(0, 2**32 - 1)), nan=nan and draw(st.booleans()))
    kind = draw(st.sampled_from(["plain", "fortran", "misaligned", "field"]))
    if kind == "fortran":
        x = np.asfortranarray(x)
    elif kind == "misaligned":
        raw = np.zeros(x.nbytes + 1, np.uint8)
        raw[1:] = np.frombuffer(x.tobytes(), np.uint8)
        x = np.ndarray(shape, dtype, raw.data, offset=1)
    elif kind == "field" and dtype.kind != "V":
        record = np.zeros(shape, np.dtype([("a", "u1"), ("x", dtype)]))
        record["x"] = x
        x = record["x"]
    x = x.transpose(draw(st.permutations(range(ndim))))
    index = []
    for length in x.shape:
        step = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        start = draw(st.integers(0, min(2, length - 1)))
        index.append(slice(start, None, step) if step > 0 else slice(None, None, step))
    x = x[tuple(index)]
    if draw(st.integers(0, 9)) == 0:
        x = np.broadcast_to(x, (draw(st.integers(1, 3)), *x.shape))
    if draw(st.booleans()):
        x = x.view()
        x.flags.writeable = False
    return x


@st.composite
def channel_axes(draw, ndim):
    """Any choice of kept axes."""
    axes = draw(st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim))
    axes = [axis - ndim if draw(st.booleans()) else axis for axis in axes]
    if len(axes) == 1 and draw(st.booleans()):
        return axes[0]
    return tuple(axes) if axes or draw(st.booleans()) else None

"""The affine map against exact arithmetic: every dtype of elements and results, parameters that are chosen to hurt.

Of integers and floats of up to 16 bits, all values are mapped. A result is compared with the exact value by what is
left of ``(x - shift) * scale + offset - y``, a sum of products of doubles: error-free transformations make it an exact
sum of doubles, whose parts are added until nothing is lost.
"""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from planish import ImageNormalizer, _core

pytestmark = pytest.mark.numeric

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RESULTS = [*(np.dtype(name) for name in ("float16", "float32", "float64")), BFLOAT16]
ELEMENTS = [
    *(np.dtype(name) for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")),
    *RESULTS,
]
#: Digits of the significand, and the exponent of the last digit of the smallest number.
DIGITS = {"float16": (11, -24), "float32": (24, -149), "float64": (53, -1074), "bfloat16": (8, -133)}


def two_sum(a, b):
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def halves(a):
    high = 134217729.0 * a
    high = high - (high - a)
    return high, a - high


def two_product(a, b):
    product = a * b
    (a, a_low), (b, b_low) = halves(a), halves(b)
    return product, ((a * b - product) + a * b_low + a_low * b) + a_low * b_low


def as_doubles(x):
    """Elements as the exact sum of two doubles."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        low = x & x.dtype.type(0xFFFFFFFF)
        return (x - low).astype(float), low.astype(float)
    return x.astype(float), np.zeros(x.shape)


def errors(y, x, shift, scale, offset, divide):
    """How far `y` is from the exact value, in units of its last digit."""
    digits, least = DIGITS[y.dtype.name]
    y = y.astype(float)
    high, low = as_doubles(x)
    if divide:
        # ((x - shift) + (offset - y) * scale) / scale
        terms = [high, low, np.full_like(y, -shift)]
        for value in two_sum(np.full_like(y, offset), -y):
            terms += two_product(value, scale)
    else:
        terms = [np.full_like(y, offset), -y]
        for value in (*two_sum(high, -shift), low):
            terms += two_product(value, scale)
    for _ in range(3):
        for i in range(1, len(terms)):
            terms[i], terms[i - 1] = two_sum(terms[i], terms[i - 1])
    left = sum(terms[:-1]) + terms[-1]
    magnitude = np.maximum(np.abs(y), np.ldexp(1.0, least + digits - 1))
    last = np.ldexp(1.0, np.frexp(magnitude)[1] - digits)
    return np.abs(left / scale if divide else left) / last


def elements(dtype):
    rng = np.random.default_rng(3)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.itemsize <= 2:
        unsigned = np.uint8 if dtype.itemsize == 1 else np.uint16
        x = np.arange(1 << 8 * dtype.itemsize, dtype=unsigned).view(dtype)
        with np.errstate(invalid="ignore"):  # of signalling NaN
            return x[np.isfinite(x.astype(np.float64))]
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        ends = [*(bounds.min + i for i in range(50)), *(bounds.max - i for i in range(50))]
        return np.concatenate([rng.integers(bounds.min, bounds.max, 3000, dtype, True), np.array(ends, dtype)])
    return (rng.normal(size=3000) * 10.0 ** rng.integers(-12, 12, 3000)).astype(dtype)


def shifts(x):
    """Beyond the elements, between and beside them: where differences have the most digits, and the fewest."""
    values = x.astype(np.float64)
    beside = [values[len(values) // 3] * (1 + 2.0**-40), values[len(values) // 5] + 1e-7]
    return [0.0, -65535.9, 40000.3, -40000.3, 0.0625 + 1e-12, values.max(), values.min() / 2 + 0.1, *beside]


def maps(x):
    """Shift, scale, offset and whether to divide."""
    values, middle = x.astype(np.float64), float(x[len(x) // 3].astype(np.float64))
    for number, shift in enumerate(shifts(x)):
        for scale in ((3.0, 123456.789), (58.395, -7.0), (1e-5, 1 / 3))[number % 3]:
            yield shift, scale, None, True
            yield shift, scale, None, False
            # With offsets that leave as good as nothing of some elements.
            yield shift, scale, -(middle - shift) / scale, True
            yield shift, scale, -(middle - shift) * scale, False
            yield None, scale, -middle * scale * (1 + 2.0**-30), False
    yield float(values.min()), float(values.max() - values.min()) / 2, -1.0, True


def check(x, y, shift, scale, offset, divide, most):
    shift, offset = shift or 0.0, offset or 0.0
    finite = np.isfinite(y.astype(np.float64))
    found = errors(y[finite], x[finite], shift, scale, offset, divide)
    assert found.max(initial=0) <= most, (x[finite][found.argmax()], shift, scale, offset, divide, found.max())
    high, low = as_doubles(x[~finite])
    difference = (high - shift) + low
    # (In plain doubles, whose last digits the offset may leave alone.)
    beyond = np.abs((difference / scale if divide else difference * scale) + offset) + 2.0**-50 * abs(offset)
    assert (beyond > (1 - 2.0**-8) * float(ml_dtypes.finfo(y.dtype).max)).all()


@pytest.mark.parametrize("result", RESULTS, ids=str)
@pytest.mark.parametrize("dtype", ELEMENTS, ids=str)
def test_every_result_is_the_exact_value_but_for_its_last_digit(dtype, result):
    x = elements(dtype)
    # Integers of at most 16 bits without an offset are mapped in float32 arithmetic; all else is rounded once.
    small = dtype.kind in "biu" and dtype.itemsize <= 2 and result != np.float64
    for shift, scale, offset, divide in maps(x):
        # A float64 of at least 2^-48 of its offset is the sum of four that are each off by 2^-106 of that at most.
        cancelled = offset is not None and result == np.float64
        most = 0.63 if small and offset is None else 0.5 + (2.0**-3 if cancelled else 2.0**-10)
        parameters = (None if value is None else np.array([value]) for value in (shift, scale, offset))
        y = _core.Map.affine(*parameters, divide, -1, result)(x[:, np.newaxis], allow_infinity=True)
        check(x, y[:, 0], shift, scale, offset, divide, most)


@pytest.mark.parametrize("result", RESULTS, ids=str)
@pytest.mark.parametrize("columns", [1, 3, 5, 16, 300])
def test_clipped_and_in_every_layout_the_same(columns, result):
    x = np.arange(65536, dtype=np.uint16)
    wide = np.broadcast_to(x[:, np.newaxis], (x.size, columns))[: 1 << 20 // columns]
    parameters = [np.full(columns, value) for value in (32768.3, 1e4)]
    one = [np.full(1, value) for value in (32768.3, 1e4)]
    alone = _core.Map.affine(*one, None, True, -1, result)(x[: len(wide), np.newaxis])
    together = _core.Map.affine(*parameters, None, True, -1, result)(wide)
    assert (together == alone).all()
    clipped = _core.Map.affine(*parameters, None, True, -1, result, (-0.7, 0.3))(wide)
    assert (clipped == np.clip(alone, result.type(-0.7), result.type(0.3))).all()


@pytest.mark.parametrize("result", RESULTS, ids=str)
@pytest.mark.parametrize("mean", [0.0, -40000.3, 33000.3, 255.0625])
def test_pictures(mean, result):
    x = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    y = ImageNormalizer([mean], [58.395], scale=1.0, dtype=result)(x)
    check(x.ravel(), y.ravel(), mean, 58.395, None, True, 0.63)


@pytest.mark.parametrize("channel_axis", [-1, 0])
def test_parameters_near_the_ends_of_the_range_of_doubles(channel_axis):
    largest, least = np.finfo(np.float64).max, 5e-324
    tiny = np.finfo(np.float64).tiny
    twice = float(2 * Fraction(1e308) / Fraction(1.7e308))
    cases = [
        # elements, shift, scale, offset, divide, results
        ([-1e308, 0.0, 1e308], -1e308, 1.7e308, None, True, [0.0, 1e308 / 1.7e308, twice]),
        ([-largest, 0.0, largest], None, largest, None, True, [-1.0, 0.0, 1.0]),
        ([largest, -largest], largest, -largest, None, True, [0.0, 2.0]),
        ([least, 2 * least, 1.0], None, least, None, True, [1.0, 2.0, np.inf]),
        ([tiny, 3 * tiny], tiny, tiny, 1.0, True, [1.0, 3.0]),
        ([2.0, 1.0], None, 1e308, -1e308, False, [1e308, 0.0]),
        ([2.0, 4.0], 1.0, largest, -largest, False, [0.0, np.inf]),
        ([1e300, 2.0], None, least, None, False, [1e300 * least, 2 * least]),
        ([np.nan, np.inf, -np.inf], 1e308, 1e308, None, True, [np.nan, np.inf, -np.inf]),
    ]
    for x, shift, scale, offset, divide, expected in cases:
        x = np.array([x, x]).T if channel_axis == -1 else np.array([x, x])
        parameters = (None if value is None else np.full(2, value) for value in (shift, scale, offset))
        y = _core.Map.affine(*parameters, divide, channel_axis)(x, allow_infinity=True)
        np.testing.assert_array_equal(y if channel_axis == -1 else y.T, np.array([expected, expected]).T)


@pytest.mark.parametrize("dtype", RESULTS, ids=str)
def test_halves_and_others_are_rounded_once(dtype):
    # Just above and below what lies between two numbers of the result, by less than float32 can tell.
    one = np.ones((), dtype)
    next_one = np.nextafter(one, dtype.type(2)) if dtype != BFLOAT16 else dtype.type(1 + 2.0**-7)
    tie = (1.0 + float(next_one)) / 2
    x = np.array([[tie], [tie * (1 + 2.0**-40)], [tie * (1 - 2.0**-40)]])
    if dtype == np.float64:
        x = np.array([[1.0], [float(next_one)], [1.0]])
    y = _core.Map.affine(np.zeros(1), np.ones(1), None, True, -1, dtype)(x)
    assert y[:, 0].tolist() == [1.0, float(next_one), 1.0]

"""Mean and variance are the exact values, rounded once: against fractions, whatever the order and the cut."""

import ctypes
import mmap
import multiprocessing
import pickle
import platform
import threading
from fractions import Fraction
from itertools import pairwise

import numpy as np
import planish
import pytest
from exact import FLOATS, check, columns, expected
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import GroupedScaler, StandardScaler
from planish.stats import MedianOfMeans, Moments


@pytest.mark.numeric
@settings(max_examples=300, deadline=None)
@given(columns(), st.sampled_from([0, 1, 2.5]))
def test_the_exact_values_rounded_once(x, ddof):
    check(Moments(ddof=ddof).update(x), x, Fraction(ddof))
    moments = Moments(ddof=ddof)
    for part in np.array_split(x, 3):
        moments.update(part)
    check(moments, x, Fraction(ddof))


@pytest.mark.numeric
@settings(max_examples=100, deadline=None)
@given(columns(), st.randoms(use_true_random=False))
def test_no_order_and_no_cut_shows(x, random):
    whole = Moments().update(x)
    order = list(range(len(x)))
    random.shuffle(order)
    assert Moments().update(x[order]) == whole
    assert Moments().update(np.asfortranarray(x)) == whole
    assert Moments().update(x[::-1]) == whole
    cuts = sorted({0, len(x), *(random.randrange(len(x) + 1) for _ in range(5))})
    parts = [Moments().update(x[first:last]) for first, last in pairwise(cuts)]
    random.shuffle(parts)
    while len(parts) > 1:
        one, other = parts.pop(random.randrange(len(parts))), parts.pop(random.randrange(len(parts)))
        parts.insert(random.randrange(len(parts) + 1), one + other)
        assert one + other == other + one
    assert parts[0] == whole
    assert pickle.dumps(parts[0]) == pickle.dumps(whole)
    assert planish.dumps(parts[0]) == planish.dumps(whole)
    assert planish.loads(planish.dumps(whole)) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", [*FLOATS, "i4", "u8"])
@pytest.mark.parametrize("shape", [(100_000, 3), (70_000,), (3, 40, 50, 60), (200, 4097), (1100 * 128 + 1, 8)])
def test_no_layout_and_no_thread_shows(dtype, shape):
    random = np.random.default_rng(0)
    x = (random.normal(size=shape) * 100 + random.integers(0, 50, size=shape)).astype(dtype)
    axis = None if x.ndim == 1 else 1
    whole = Moments(axis).update(x)
    for threads in (1, 2, 3, 8):
        with planish.num_threads(threads):
            assert Moments(axis).update(x) == whole
    for view in (np.asfortranarray(x), x[::-1], np.repeat(x, 2, axis=-1)[..., ::2]):
        assert Moments(axis).update(view) == whole
    column = np.ascontiguousarray(np.moveaxis(x, 1, 0)[0]).ravel() if x.ndim > 1 else x
    n = column.size
    values = column.astype(object) if dtype == "u8" else column.astype("f8").tolist()
    sums = sum(map(Fraction, values)) if dtype != "u8" else Fraction(sum(map(int, values)))
    squares = sum(Fraction(int(v) if dtype == "u8" else v) ** 2 for v in values)
    mean, var = (np.asarray(v).flat[0] for v in (whole.mean, whole.var))
    assert (mean, var) == (float(sums / n), float((n * squares - sums**2) / n**2))


@pytest.mark.numeric
def test_masks_groups_and_blocks():
    random = np.random.default_rng(1)
    for dtype in ("f4", "f8", "i8", "u8", "u1"):
        x = np.exp(3 * random.normal(size=(600, 5)))
        x = (x * 2**40).astype(dtype) if dtype in ("i8", "u8") else (x * 10).astype(dtype)
        x[0] = np.iinfo(dtype).max if x.dtype.kind in "iu" else x[0]
        mask = random.random(x.shape) < 0.7
        masked = Moments().update(x, mask=mask)
        hidden = np.where(mask, x.astype(object), np.nan)
        for channel in range(5):
            got = masked.count[channel], masked.mean[channel], masked.var[channel]
            assert got == expected([v for v in hidden[:, channel] if v == v])
        groups = random.integers(4, size=len(x))
        fitted = GroupedScaler(StandardScaler()).fit(x, groups=groups)
        for label, scaler in fitted.scalers_.items():
            alone = StandardScaler().fit(x[groups == label])
            assert scaler._statistics == alone._statistics
            check(scaler._statistics, x[groups == label])
        blocks = MedianOfMeans(3).update(x)
        apart = [Moments().update(x[first::3]) for first in range(3)]
        np.testing.assert_array_equal(blocks.mean, np.median([m.mean for m in apart], axis=0))
        np.testing.assert_array_equal(blocks.var, np.median([m.var for m in apart], axis=0))


def test_many_rows_of_groups_at_once():
    random = np.random.default_rng(2)
    x, groups = random.normal(size=(60_000, 3)).astype("f4"), random.integers(20, size=60_000)
    x[random.random(x.shape) < 0.01] = np.nan
    fitted = GroupedScaler(StandardScaler()).fit(x, groups=groups)
    for label, scaler in fitted.scalers_.items():
        assert scaler._statistics == Moments().update(x[groups == label])


@pytest.mark.parametrize("unit", [1e-300, 5e-324, 1e-160, 1.0, 1e160, 1e300])
def test_deviations_whose_squares_are_out_of_range(unit):
    x = np.array([[-1.0], [1.0], [1.0], [-1.0]]) * unit
    moments = Moments().update(x)
    assert moments.std[0] == unit == moments.scale[0]
    np.testing.assert_array_equal(StandardScaler().fit(x).transform(x), x / unit)


def test_the_root_is_monotone_and_near():
    for var in np.random.default_rng(3).uniform(0.5, 4, size=200):
        a = np.sqrt(var)
        moments = Moments().update(np.array([[-a], [a]]))
        assert moments.std[0] == a
    stds = [Moments().update(np.array([[0.0], [1.0], [1.0 + k * 2.0**-52]])).std[0] for k in range(50)]
    assert stds == sorted(stds)


def nist():
    """Sets of the Statistical Reference Datasets (univariate) that a rule makes, with mean and deviation (ddof=1)."""
    yield "NumAcc1", [10000001, 10000003, 10000002], 10000002, 1
    for name, base in (("NumAcc2", "1"), ("NumAcc3", "1000000"), ("NumAcc4", "10000000")):
        values = [f"{base}.2"] + [f"{base}.1", f"{base}.3"] * 500
        yield name, [float(v) for v in values], float(f"{base}.2"), 0.1


@pytest.mark.parametrize("case", nist(), ids=lambda case: case[0])
def test_certified_values(case):
    name, values, mean, deviation = case
    moments = Moments(None, ddof=1).update(np.array(values, np.float64))
    assert moments.mean == mean
    # Decimals are no doubles: their rounding, beside the deviation, is what the deviation may be off by.
    off = max(map(abs, values)) * 2.0**-53 / deviation if name.startswith("NumAcc") and name != "NumAcc1" else 0
    assert moments.std == pytest.approx(deviation, rel=1e-14 + off, abs=0)


@pytest.mark.skipif(platform.machine() != "x86_64" or platform.system() != "Linux", reason="sets a register of x86-64")
@pytest.mark.parametrize("register", [0x1F80 | 0x8040, 0x1F80 | 0x2000, 0x1F80 | 0x4000, 0x1F80 | 0x6000])
def test_a_host_that_rounds_otherwise(register):
    """Flush to zero and denormals are zero; rounding down, up and towards zero."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x0f\xae\x17\xc3")  # ldmxcsr [rdi]; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    load = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))(address)
    hostile, usual = ctypes.c_uint32(register), ctypes.c_uint32(0x1F80)
    random = np.random.default_rng(4)
    tables = [random.normal(size=(1000, 7)), (random.normal(size=(5000, 3)) * 1e-310), random.normal(size=(3, 2)) / 3]
    tables += [table.astype("f4") for table in tables] + [np.full((400_000, 2), 0.1)]
    expected = [Moments(ddof=1).update(x) for x in tables]
    values = [(m.mean.tobytes(), m.var.tobytes(), m.std.tobytes(), m.scale.tobytes()) for m in expected]
    found = []
    for x in tables:
        load(ctypes.byref(hostile))
        moments = Moments(ddof=1).update(x)
        mean, var, std, scale = moments.mean, moments.var, moments.std, moments.scale
        load(ctypes.byref(usual))
        found.append((mean.tobytes(), var.tobytes(), std.tobytes(), scale.tobytes()))
    assert found == values
    del load


def update(x):
    return Moments().update(x)


@pytest.mark.skipif(platform.system() == "Windows", reason="there is no fork")
def test_forks():
    x = np.random.default_rng(5).normal(size=(200_000, 5))
    whole = Moments().update(x)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        parts = pool.map(update, np.array_split(x, 7))
    assert sum(parts) == whole


def test_a_hundred_thousand_batches_of_a_row():
    x = np.random.default_rng(6).normal(size=(5_000, 3)) * [1, 1e10, 1e-10]
    moments = Moments()
    for row in x:
        moments.update(row[np.newaxis])
    assert moments == Moments().update(x)
    check(moments, x)


@pytest.mark.numeric
@settings(max_examples=150, deadline=None)
@given(columns(), st.integers(0, 2**32 - 1), st.sampled_from([None, -1]))
def test_batches_of_few_rows(x, seed, axis):
    random = np.random.default_rng(seed)
    grown, other = Moments(axis), Moments(axis)
    start = 0
    while start < len(x):
        batch = x[start : start + random.integers(1, 20)]
        start += len(batch)
        kind = random.integers(4)
        if kind == 0:
            grown += other.update(batch)
            other = Moments(axis)
        elif kind == 1:
            grown.update(batch if x.dtype.itemsize == 8 else batch.astype("f8"))
        elif kind == 2:
            grown.update(np.asfortranarray(batch))
        else:
            grown.update(batch)
        if random.random() < 0.2:
            assert grown == Moments(axis).update(x[:start])
            with pytest.raises(ValueError, match="infin"):
                grown.update(np.array([[np.inf] * x.shape[1]]))
            if axis is not None:
                with pytest.raises(ValueError, match="channels of shape"):
                    grown.update(np.ones((1, x.shape[1] + 1)))
            grown = pickle.loads(pickle.dumps(grown))
    assert grown == Moments(axis).update(x)
    assert planish.dumps(grown) == planish.dumps(Moments(axis).update(x))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((3, 1, 4), (1, 2)), ((3, 4, 2), (0, 1)), ((1, 4, 2), (1,)), ((4, 2), 0), ((1, 2, 1), None), ((5, 0), 1)],
)
def test_few_rows_of_any_axes(shape, axis):
    x = np.random.default_rng(8).normal(size=shape)
    twice = Moments(axis).update(x).update(x)
    assert twice == Moments(axis).update(x) + Moments(axis).update(x)
    halves = Moments(axis).update(np.repeat(x, 2, axis=-1)[..., ::2]) + Moments(axis).update(x[::-1][::-1])
    assert twice == halves


def test_few_rows_from_several_threads():
    x = np.random.default_rng(7).normal(size=(4_000, 5))
    moments, counts = Moments(), []

    def work(first):
        for i in range(first, len(x), 4):
            moments.update(x[i : i + 1])
            if i % 100 < 4:
                counts.append(moments.count[0])

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert moments == Moments().update(x)
    assert len(counts) == 160
    assert all(0 < count <= len(x) for count in counts)


@pytest.mark.parametrize("left", [0, 1, 5, 40_000])
def test_few_rows_beside_the_largest_count(left):
    moments = Moments.from_stats(2**53 - 1 - left, [0.0, 0.0], [1.0, 1.0])
    more = Moments.from_stats(2**53, [0.0, 0.0], [1.0, 1.0])
    for doubled in range(10):
        moments += more
        if doubled < 9:
            more += more
    row = np.ones((1, 2))
    for _ in range(min(left, 20)):
        moments.update(row)
    assert moments.count.tolist() == [2**63 - 1 - left + min(left, 20)] * 2
    if left <= 20:
        before = planish.dumps(moments)
        with pytest.raises(ValueError, match="too"):
            moments.update(row)
        assert planish.dumps(moments) == before


@pytest.mark.parametrize("unit", [1e200, 1e155, 1e-162, 1e-200, 1.0])
def test_blocks_whose_variances_are_out_of_range(unit):
    x = np.array([[1.0], [2.0], [4.0], [3.0]]) * unit
    one, all_of_it = MedianOfMeans(1).update(x), Moments().update(x)
    assert (one.std, one.scale) == (all_of_it.std, all_of_it.scale)
    several = StandardScaler(n_blocks=2).fit(np.tile(x, (20, 1)))
    usual = StandardScaler(n_blocks=2).fit(np.tile(x / unit, (20, 1)))
    np.testing.assert_allclose(several.scale_, usual.scale_ * unit, rtol=1e-14)
    assert MedianOfMeans(2).update(np.full((8, 1), unit)).scale[0] == 1

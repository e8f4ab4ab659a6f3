"""Maps with the parameters of the group of each sample, against each group's own scaler."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planish import GroupedScaler, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler, num_threads

SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler]


def one_by_one(scaler, x, groups, method="transform"):
    result = None
    for label, own in scaler.scalers_.items():
        rows = np.flatnonzero(groups == label)
        if rows.size:
            part = getattr(own, method)(np.ascontiguousarray(x[rows]))
            result = np.empty(x.shape, part.dtype) if result is None else result
            result[rows] = part
    return result


def laid_out(x, layout):
    """`x` in another layout of memory."""
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1, ..., ::-1])[::-1, ..., ::-1]
    if layout == "gaps":
        wide = np.zeros((2 * len(x), *x.shape[1:-1], 3 * x.shape[-1]), x.dtype)
        view = wide[::2, ..., 1::3]
        view[...] = x
        return view
    if layout == "unaligned":
        memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
        view = np.frombuffer(memory, x.dtype).reshape(x.shape) if x.size else x.copy()
        view[...] = x
        return view
    return np.ascontiguousarray(x)


@pytest.mark.numeric
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_layout(data):
    channels = data.draw(st.sampled_from([1, 2, 3, 8, 17, 64]))
    between = tuple(data.draw(st.lists(st.integers(1, 5), max_size=2)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = data.draw(st.sampled_from(["f8", "f4", "f2", "u1", "i8"]))
    samples, count = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 12))
    x = (100 * rng.normal(size=(samples, *between, channels))).astype(dtype)
    groups = rng.integers(count, size=samples)
    groups = np.sort(groups) if data.draw(st.booleans()) else groups
    kind = data.draw(st.sampled_from(SCALERS))
    result = data.draw(st.sampled_from([None, "f4", "f2"]))
    scaler = GroupedScaler(kind(dtype=result, channel_axis=-1)).fit(x, groups=groups)
    expected = one_by_one(scaler, x, groups)
    view = laid_out(x, data.draw(st.sampled_from(["C", "F", "reversed", "gaps", "unaligned"])))
    for threads in (1, 3):
        with num_threads(threads):
            y = scaler.transform(view, groups=groups)
        assert (y.dtype, y.tobytes()) == (expected.dtype, expected.tobytes())
    out = laid_out(np.empty_like(expected), data.draw(st.sampled_from(["C", "F", "reversed", "gaps", "unaligned"])))
    assert scaler.transform(view, groups=groups, out=out) is out
    assert out.tobytes() == expected.tobytes()
    if y.dtype.itemsize >= 4:
        back = scaler.inverse_transform(y, groups=groups)
        assert back.tobytes() == one_by_one(scaler, y, groups, "inverse_transform").tobytes()
        scaler.inverse_transform(y, groups=groups, out=y)
        assert y.tobytes() == back.tobytes()


@pytest.mark.parametrize("channel_axis", [-1, 1, None])
@pytest.mark.parametrize("shape", [(9, 3, 40, 50), (70, 40, 41, 3), (3, 2, 3000, 4)])
@pytest.mark.parametrize("layout", ["C", "F", "gaps", "unaligned"])
def test_samples_of_many_elements(channel_axis, shape, layout):
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=shape).astype("f4"), rng.integers(3, size=shape[0])
    scaler = GroupedScaler(StandardScaler(channel_axis=channel_axis)).fit(x, groups=groups)
    expected = one_by_one(scaler, x, groups)
    for threads in (1, 2, 5):
        with num_threads(threads):
            assert scaler.transform(laid_out(x, layout), groups=groups).tobytes() == expected.tobytes()
    y = x.copy()
    assert scaler.transform(y, groups=groups, copy=False) is y
    assert y.tobytes() == expected.tobytes()


def test_more_groups_than_a_thread_keeps():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(3000), 3))
    x = rng.normal(size=(groups.size, 40))
    scaler = GroupedScaler(MinMaxScaler(clip=True)).fit(x, groups=groups)
    y = scaler.transform(x + 0.1, groups=groups)
    some = groups < 50
    np.testing.assert_array_equal(y[some], one_by_one(scaler, (x + 0.1)[some], groups[some]))
    assert y.max() == 1.0


def test_nothing_is_written_where_an_element_is_infinite():
    x, groups = np.ones((6, 2)), np.arange(6) % 2
    scaler = GroupedScaler(StandardScaler()).fit(x, groups=groups)
    x[5, 1] = np.inf
    before = x.copy()
    with pytest.raises(ValueError, match="contains infinity"):
        scaler.transform(x, groups=groups, copy=False)
    np.testing.assert_array_equal(x, before)
    with pytest.raises(ValueError, match="contains infinity"):
        scaler.transform(x, groups=groups)

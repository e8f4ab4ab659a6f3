import pickle

import numpy as np
import pytest
from arrays import arrays, channel_axes
from hypothesis import given, settings
from hypothesis import strategies as st
from planish.stats import Extrema
from reference import columns

pytestmark = pytest.mark.numeric


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_array_any_channels(data):
    x = data.draw(arrays())
    channel_axis = data.draw(channel_axes(x.ndim))
    table, shape = columns(x, channel_axis)
    number = ~np.isnan(table)
    some = number.any(axis=0)
    extrema = Extrema(channel_axis).update(x)
    low = np.where(some, np.where(number, table, np.inf).min(axis=0), np.nan).reshape(shape)
    high = np.where(some, np.where(number, table, -np.inf).max(axis=0), np.nan).reshape(shape)
    np.testing.assert_array_equal(extrema.min, low)
    np.testing.assert_array_equal(extrema.max, high)
    np.testing.assert_array_equal(extrema.count, number.sum(axis=0).reshape(shape))


def test_infinite_elements_are_elements():
    extrema = Extrema().update(np.array([[np.inf, 1.0, -np.inf], [np.nan, np.nan, 2.0], [np.inf, np.nan, 3.0]]))
    np.testing.assert_array_equal(extrema.min, [np.inf, 1, -np.inf])
    np.testing.assert_array_equal(extrema.max, [np.inf, 1, 3])
    np.testing.assert_array_equal(extrema.count, [2, 1, 3])


def test_merge_pickle_and_the_identity():
    x = np.random.default_rng(0).normal(size=(90, 4))
    whole, parts = Extrema().update(x), Extrema()
    for part in np.array_split(x, 7):
        parts += Extrema().update(part)
    assert parts == whole == pickle.loads(pickle.dumps(whole))
    assert Extrema() + whole == whole == whole + Extrema()
    assert np.isnan(Extrema(None).update(np.full((2, 2), np.nan)).min)
    with pytest.raises(ValueError, match="other has channels"):
        whole.merge(Extrema().update(np.ones((1, 3))))
    with pytest.raises(ValueError, match="x has channels"):
        whole.update(np.ones((1, 3)))
    with pytest.raises(TypeError, match="x has dtype complex128"):
        whole.update(np.ones((1, 4), complex))
    assert whole == parts

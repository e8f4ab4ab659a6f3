"""One rule says which channels are constant, for every class, function, dtype and magnitude."""

import ml_dtypes
import numpy as np
import planish
import pytest
from planish import GroupedScaler, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

FLOATS = [np.dtype(t) for t in ("f2", ml_dtypes.bfloat16, "f4", "f8")]
#: What two values, one three times the other, become.
SCALED = {
    "StandardScaler": [-1.0, 1.0],
    "MinMaxScaler": [0.0, 1.0],
    "MaxAbsScaler": [1 / 3, 1.0],
    "RobustScaler": [-1.0, 1.0],
}
FUNCTIONS = {
    "scale": "StandardScaler",
    "minmax_scale": "MinMaxScaler",
    "maxabs_scale": "MaxAbsScaler",
    "robust_scale": "RobustScaler",
}


def step(dtype):
    return float(ml_dtypes.finfo(dtype).eps)


def magnitudes(dtype):
    """Values whose thirds a dtype still holds."""
    info = ml_dtypes.finfo(dtype)
    least = max(float(info.tiny), 1e-300) * 4
    return [value for value in (least, 1e-200, 1e-100, 1e-20, 1e-7, 1e-3, 1.0, 1e3, 1e30) if least <= value]


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", SCALED)
def test_small_values_are_values(name, dtype):
    for magnitude in magnitudes(dtype):
        if 3 * magnitude > float(ml_dtypes.finfo(dtype).max):
            continue
        if name == "StandardScaler" and magnitude < 1e-150:
            continue  # whose squares leave the range of doubles
        x = np.array([[magnitude], [3 * magnitude]], dtype)
        exact = [x[0, 0].astype(float) / x[1, 0].astype(float), 1.0] if name == "MaxAbsScaler" else SCALED[name]
        expected = np.array(exact)[:, None]
        scalers = [
            getattr(planish, name)().fit(x),
            getattr(planish, name)(channel_axis=None).fit(x),
        ]
        if name != "RobustScaler":
            scalers.append(getattr(planish, name)().partial_fit(x[:1]).partial_fit(x[1:]))
            scalers.append(getattr(planish, name)().fit(x[:1]).merge(getattr(planish, name)().fit(x[1:])))
        for scaler in scalers:
            y = scaler.transform(x)
            np.testing.assert_allclose(y.astype(float), expected, rtol=2 * step(dtype))
            back = scaler.inverse_transform(y)
            np.testing.assert_allclose(back.astype(float), x.astype(float), rtol=4 * step(dtype))
        grouped = GroupedScaler(getattr(planish, name)()).fit(x, groups=[1, 1])
        assert grouped.transform(x, groups=[1, 1]).tobytes() == scalers[0].transform(x).tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions(function, dtype):
    for magnitude in (1e-3, 1e-4, 1.0) if dtype == np.float16 else (1e-7, 1e-20, 1.0):
        x = np.array([[magnitude], [3 * magnitude]], dtype)
        expected = getattr(planish, FUNCTIONS[function])().fit_transform(x)
        assert getattr(planish, function)(x).tobytes() == expected.tobytes()
        assert (expected != x).any()


@pytest.mark.parametrize("name", ["StandardScaler", "MinMaxScaler", "RobustScaler"])
@pytest.mark.parametrize("value", [0.1, -7.3, 1e-20, 1e20, 0.0])
def test_rounding_is_no_range(name, value):
    # What rounding makes of one number: some steps of double precision.
    x = np.full((8, 1), value)
    x[1::2] = np.nextafter(x[1::2], np.inf)
    y = getattr(planish, name)().fit_transform(x)
    assert np.abs(y).max() <= 4 * np.spacing(abs(value))
    exact = getattr(planish, name)().fit_transform(np.full((8, 1), value))
    np.testing.assert_array_equal(exact, 0.0)


def test_neighbours_in_a_narrow_dtype_are_values():
    for dtype in FLOATS[:3]:
        one = np.ones((), dtype)
        x = np.array([[one], [np.asarray(float(one) + step(dtype), dtype)]], dtype)
        np.testing.assert_array_equal(MinMaxScaler().fit_transform(x), np.array([[0], [1]], dtype))
        # Whose median rounds to one of them.
        assert np.ptp(RobustScaler().fit_transform(x).astype(float)) == 2


def test_lengths_of_narrow_dtypes():
    for dtype in FLOATS[:3]:
        x = np.array([[3e-4, 4e-4]], dtype)
        y = planish.Normalizer().fit_transform(x)
        np.testing.assert_allclose(y.astype(float), [[0.6, 0.8]], rtol=4 * step(dtype))


def test_zero_is_not_divided_by():
    zeros = np.zeros((4, 2), np.float32)
    for scaler in (StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()):
        np.testing.assert_array_equal(scaler.fit_transform(zeros), zeros)
        np.testing.assert_array_equal(scaler.inverse_transform(zeros), zeros)

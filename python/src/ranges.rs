//! The parameters of maps of ranges, for Python.

use super::arrays::doubles;
use super::errors::Raise;
use super::results::to_numpy;
use planish::maps::ranges::RangeMaps;
use planish::memory;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Parameters of the maps from `low` and `high` of each channel to the range from `a` to `b`: the shift, the divisor, the
/// offset (None for none), the second word of the divisor, the divisor for results of fewer digits than float64 (None for the same), and the
/// slope and the intercept of ``x * slope + intercept``. A ValueError where a divisor leaves the range of doubles.
#[pyfunction]
pub fn range_maps<'py>(
    py: Python<'py>,
    low: &Bound<'py, PyAny>,
    high: &Bound<'py, PyAny>,
    constant: &Bound<'py, PyAny>,
    a: f64,
    b: f64,
) -> PyResult<[Option<Bound<'py, PyAny>>; 7]> {
    let (shape, low) = doubles(low, "low")?;
    let (_, high) = doubles(high, "high")?;
    let (_, constant) = doubles(constant, "constant")?;
    let constant: Vec<bool> = memory::collect(constant.into_iter().map(|constant| constant != 0.0)).raise()?;
    if high.len() != low.len() || constant.len() != low.len() {
        return Err(PyValueError::new_err("low, high and constant must have one shape"));
    }
    let Some(maps) = RangeMaps::new(&low, &high, &constant, [a, b]).raise()? else {
        return Err(PyValueError::new_err(format!(
            "the range from {a:?} to {b:?} is too narrow or too wide: the ratio of a range of the data to it leaves the \
             range of float64"
        )));
    };
    let RangeMaps { shift, divisor, rest, offset, narrow, precise, slope, intercept } = maps;
    // For all channels and all data alike: what is missing tells the kinds of maps apart.
    let has_offset = precise || a != 0.0;
    let give = |values: Vec<f64>| to_numpy(py, values, &shape).map(Some);
    Ok([
        give(shift)?,
        give(divisor)?,
        if has_offset { give(offset)? } else { None },
        give(rest)?,
        narrow.map_or(Ok(None), give)?,
        give(slope)?,
        give(intercept)?,
    ])
}

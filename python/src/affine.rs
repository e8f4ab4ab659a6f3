//! The affine map for Python.

use super::arrays::{Array, DType, doubles, dtype_of, tuple, with_float};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{Raise, infinite, quoted};
use super::results::{empty_like, to_numpy};
use super::threads;
use numpy::PyArrayDescr;
use planish::maps::affine::{Affine, Target, map};
use planish::maps::ranges::RangeMaps;
use planish::memory;
use planish::stats::extrema::Extrema;
use planish::with_element;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// One parameter of the map, as contiguous doubles.
fn parameter(
    values: Option<&Bound<'_, PyAny>>,
    name: &str,
    channels: usize,
    shape: &[usize],
) -> PyResult<Option<Vec<f64>>> {
    let Some(values) = values else { return Ok(None) };
    let (_, values) = doubles(values, name)?;
    if values.len() != channels {
        return Err(PyValueError::new_err(format!(
            "X has channels of shape {}, {channels} in all; {name} has {} value(s)",
            tuple(shape),
            values.len()
        )));
    }
    Ok(Some(values))
}

/// The dtype of the result: what `dtype` says, else that of a floating-point input, else float64.
pub fn result_dtype(dtype: Option<&Bound<'_, PyAny>>, x: DType) -> PyResult<DType> {
    let Some(dtype) = dtype.filter(|dtype| !dtype.is_none()) else {
        return Ok(x.of_results());
    };
    // NumPy knows the name from the moment on that ml_dtypes is loaded.
    if dtype.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(|name| name == "bfloat16")) {
        dtype.py().import("ml_dtypes")?;
    }
    let refused = |name: &Bound<'_, PyString>| {
        PyTypeError::new_err(format!(
            "dtype={name} is no dtype of results; accepted are float16, bfloat16, float32 and float64"
        ))
    };
    let descr = match PyArrayDescr::new(dtype.py(), dtype) {
        Ok(descr) => descr,
        Err(error) if error.is_instance_of::<PyTypeError>(dtype.py()) => return Err(refused(&dtype.repr()?)),
        Err(error) => return Err(error),
    };
    match dtype_of(&descr) {
        Some(dtype) if dtype.is_float() => Ok(dtype),
        _ => Err(refused(&PyString::new(dtype.py(), &quoted(&descr.str()?.to_string())))),
    }
}

/// Check that results can have `dtype`: what a map would say of it.
#[pyfunction]
pub fn check_dtype(dtype: &Bound<'_, PyAny>) -> PyResult<()> {
    result_dtype(Some(dtype), DType::F64).map(|_| ())
}

/// Where a map of `x` to `dtype` writes: `out`, `x` itself, or a new array.
pub fn target<'py>(
    x: &Array<'py>,
    dtype: DType,
    out: Option<&Bound<'py, PyAny>>,
    copy: bool,
) -> PyResult<(Array<'py>, Target)> {
    match out {
        Some(out) => {
            if !out.is_instance_of::<numpy::PyUntypedArray>() {
                return Err(PyTypeError::new_err(format!("out must be a NumPy array; got {}", out.get_type().name()?)));
            }
            let out = Array::new(out, "out")?;
            let target = if out.check_output("out", x, dtype)? { Target::Input } else { Target::Warm };
            Ok((out, target))
        }
        None if !copy && x.dtype == dtype && x.is_writeable() => {
            let itself = Array::new(x.object.as_any(), "X")?;
            itself.check_output("X", x, dtype)?;
            Ok((itself, Target::Input))
        }
        None => Ok((empty_like(x, dtype)?, Target::Fresh)),
    }
}

/// ``(X - shift) * scale + offset`` per channel, in one pass; ``(X - shift) / scale + offset`` with `divide`.
///
/// Parameters that are None are left out; `clip` is the least and the largest result. `scale_rest` is the second word of the
/// scale, with which 64-bit integers are rounded to doubles first, as the extrema are of which such a scale is made; results
/// of another dtype than float64 have `narrow` in place of both, if it is given. The result is within one ulp
/// of the exact value in its dtype. `out` may be `X`. Without `allow_infinity` an infinite element is a ValueError, after which `out` is unspecified unless it is `X`.
#[pyfunction]
#[pyo3(signature = (x, shift, scale, offset, divide, channel_axis, dtype=None, out=None, copy=true, allow_infinity=false, clip=None, scale_rest=None, narrow=None))]
#[allow(clippy::too_many_arguments)] // One call from Python, where every boundary costs.
pub fn affine<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    shift: Option<&Bound<'py, PyAny>>,
    scale: Option<&Bound<'py, PyAny>>,
    offset: Option<&Bound<'py, PyAny>>,
    divide: bool,
    channel_axis: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
    copy: bool,
    allow_infinity: bool,
    clip: Option<[f64; 2]>,
    scale_rest: Option<&Bound<'py, PyAny>>,
    narrow: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Array::new(x, "X")?;
    let kept = ChannelAxes::new(channel_axis)?.kept(x.shape.len())?;
    let shape = kept_shape(&x.shape, &kept);
    let channels = shape.iter().product();
    let shift = parameter(shift, "the shift", channels, &shape)?;
    let offset = parameter(offset, "the offset", channels, &shape)?;
    let dtype = result_dtype(dtype, x.dtype)?;
    let rounded = scale_rest.is_some();
    let (scale, scale_rest) = match narrow {
        Some(narrow) if dtype != DType::F64 => (Some(narrow), None),
        _ => (scale, scale_rest),
    };
    let scale = parameter(scale, "the scale", channels, &shape)?;
    let scale_rest = parameter(scale_rest, "the rest of the scale", channels, &shape)?;
    let (result, target) = target(&x, dtype, out, copy)?;
    let affine = Affine {
        shift: shift.as_deref(),
        scale: scale.as_deref(),
        divide,
        offset: offset.as_deref(),
        scale_rest: scale_rest.as_deref(),
        clip,
        rounded,
        ..Affine::default()
    };
    let bytes = x.bytes().max(result.bytes());
    let spoiled = with_element!(x.dtype, T => {
        let (view, kept) = (x.view::<T>(), &kept);
        // Elements that would be overwritten are looked at first: an error leaves them as they were.
        let all = memory::filled(false, x.shape.len()).raise()?;
        let found = target == Target::Input && !allow_infinity && threads::run(py, bytes, move |threads| {
            Extrema::of(view, &all, threads).map(|extrema| extrema.has_infinity())
        }).raise()?;
        found || with_float!(dtype, U => {
            let out = result.view_mut::<U>();
            threads::run(py, bytes, move |threads| map(affine, view, out, kept, target, threads)).raise()?
        })
    });
    if spoiled && !allow_infinity {
        return Err(infinite("Input X", x.dtype));
    }
    Ok(match out {
        Some(out) => out.clone(),
        None => result.object.into_any(),
    })
}

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

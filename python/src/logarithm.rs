//! Logarithms and powers for Python.

use super::affine::{result_dtype, target};
use super::arrays::{Array, doubles, tuple, with_float};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{Raise, infinite};
use super::threads;
use planish::drive::{Target, map_elements};
use planish::kernels::Seen;
use planish::kernels::logarithm::Function;
use planish::maps::logarithm::{Base, Logarithm};
use planish::memory;
use planish::stats::extrema::Extrema;
use planish::with_element;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyFloat;

pyo3::create_exception!(planish._core, DomainError, PyValueError, "Numbers outside of the domain of a function.");

/// Offset or scale: one for all channels, or as many as there are channels.
fn parameter(values: &Bound<'_, PyAny>, name: &str, shape: &[usize]) -> PyResult<Vec<f64>> {
    if let Ok(number) = values.cast_exact::<PyFloat>() {
        return memory::collect([number.value()]).raise();
    }
    let (given, values) = doubles(values, name)?;
    if given.is_empty() || given == shape {
        return Ok(values);
    }
    Err(PyValueError::new_err(format!("X has channels of shape {}; {name} has shape {}", tuple(shape), tuple(&given))))
}

/// ``(log(X) - offset) / scale`` per channel to the base `base` (None for e), in one pass; with `one_plus`, of ``1 + X``;
/// with `inverse`, what undoes it.
///
/// `offset` and `scale` are numbers or have the shape of the channels; no scale is zero. `out` may be `X`. Numbers without
/// a logarithm give NaN with `allow_outside`, else a DomainError; infinity is a ValueError without `allow_infinity`. After
/// an error `out` is unspecified unless it is `X`.
#[pyfunction]
#[pyo3(signature = (x, base, offset, scale, one_plus, inverse, channel_axis, dtype=None, out=None, copy=true, allow_infinity=false, allow_outside=false))]
#[allow(clippy::too_many_arguments)] // One call from Python, where every boundary costs.
pub fn logarithm<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    base: Option<f64>,
    offset: &Bound<'py, PyAny>,
    scale: &Bound<'py, PyAny>,
    one_plus: bool,
    inverse: bool,
    channel_axis: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
    copy: bool,
    allow_infinity: bool,
    allow_outside: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Array::new(x, "X")?;
    let kept = ChannelAxes::new(channel_axis)?.kept(x.shape.len())?;
    let shape = kept_shape(&x.shape, &kept);
    let mut offset = parameter(offset, "offset", &shape)?;
    let mut scale = parameter(scale, "scale", &shape)?;
    let channels = offset.len().max(scale.len());
    let (first_offset, first_scale) = (offset.first().copied().unwrap_or(0.0), scale.first().copied().unwrap_or(1.0));
    memory::resize(&mut offset, first_offset, channels).raise()?;
    memory::resize(&mut scale, first_scale, channels).raise()?;
    let function = match (inverse, one_plus) {
        (false, false) => Function::Log,
        (false, true) => Function::LogOnePlus,
        (true, false) => Function::Power,
        (true, true) => Function::PowerLessOne,
    };
    let limit = if one_plus { -1.0 } else { 0.0 };
    let logarithm = Logarithm::new(function, base.map_or(Base::E, Base::Number), &offset, &scale).raise()?;
    // One channel in all needs no place for each.
    let kept = if channels == 1 { memory::filled(false, x.shape.len()).raise()? } else { kept };
    let dtype = result_dtype(dtype, x.dtype)?;
    let (result, target) = target(&x, dtype, out, copy)?;
    let bytes = x.bytes().max(result.bytes());
    let refused = |seen: Seen| seen.infinite && !allow_infinity || seen.outside && !allow_outside;
    let seen = with_element!(x.dtype, T => {
        let (view, kept, logarithm) = (x.view::<T>(), &kept, &logarithm);
        // Elements that would be overwritten are looked at first: an error leaves them as they were.
        let all = memory::filled(false, x.shape.len()).raise()?;
        let found = if target == Target::Input && !(allow_infinity && (inverse || allow_outside)) {
            threads::run(py, bytes, move |threads| {
                Extrema::of(view, &all, threads).map(|extrema| Seen {
                    infinite: extrema.has_infinity(),
                    outside: !inverse && extrema.cells.iter().any(|cell| cell.count > 0 && cell.min <= limit),
                })
            }).raise()?
        } else {
            Seen::default()
        };
        if refused(found) { found } else {
            with_float!(dtype, U => {
                let out = result.view_mut::<U>();
                threads::run(py, bytes, move |threads| map_elements(logarithm, view, out, kept, target, threads)).raise()?
            })
        }
    });
    if seen.infinite && !allow_infinity {
        return Err(infinite("Input X", x.dtype));
    }
    if refused(seen) {
        return Err(DomainError::new_err(format!("X contains numbers that are not above {limit}")));
    }
    Ok(match out {
        Some(out) => out.clone(),
        None => result.object.into_any(),
    })
}

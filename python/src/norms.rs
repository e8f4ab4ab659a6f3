//! The lengths of vectors, for Python.

use super::arrays::{Array, with_float};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{Raise, infinite, quoted, to_python};
use super::results::to_numpy;
use super::threads;
use planish::error::Error;
use planish::kernels::norms::Norm;
use planish::maps::normalize::divisor;
use planish::memory;
use planish::stats::extrema::Extrema;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The `norm` of scikit-learn, by its name.
pub struct NormName(pub Norm);

impl FromPyObject<'_, '_> for NormName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>() {
            Ok("l1") => Ok(Self(Norm::L1)),
            Ok("l2") => Ok(Self(Norm::L2)),
            Ok("max") => Ok(Self(Norm::Max)),
            _ => Err(PyValueError::new_err(format!(
                "norm must be 'l1', 'l2' or 'max'; got {}",
                quoted(&object.repr()?.to_string())
            ))),
        }
    }
}

/// An array of floating-point elements.
fn vectors<'py>(x: &Bound<'py, PyAny>) -> PyResult<Array<'py>> {
    let x = Array::new(x, "X")?;
    if !x.dtype.is_float() {
        return Err(PyTypeError::new_err(format!(
            "X has dtype {}; floating-point dtypes are accepted",
            x.dtype.name()
        )));
    }
    Ok(x)
}

/// The lengths of the vectors along the axes `along`. With `tiny`, what they are to be divided by: one instead of those below
/// it and of zero; an element that is not finite is a ValueError. Without it, lengths may be zero, infinite or not a number.
#[pyfunction]
#[pyo3(signature = (x, norm, along, tiny=None))]
pub fn norms<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    norm: NormName,
    along: &Bound<'py, PyAny>,
    tiny: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let x = vectors(x)?;
    let mut kept = ChannelAxes::new(along)?.kept(x.shape.len())?;
    kept.iter_mut().for_each(|kept| *kept = !*kept);
    let (lengths, infinite_found) = with_float!(x.dtype, T => {
        let (view, kept, all) = (x.view::<T>(), &kept, memory::filled(false, x.shape.len()).raise()?);
        threads::run(py, x.bytes(), move |threads| {
            let lengths = planish::stats::norms::norms(norm.0, view, kept, tiny.is_none(), threads);
            // A length may be out of range where no element is.
            let suspect =
                lengths.as_ref().is_ok_and(|lengths| lengths.iter().any(|scaled| scaled.length.hi.is_infinite()));
            let infinite = suspect && Extrema::of(view, &all, threads)?.has_infinity();
            Ok::<_, Error>((lengths?, infinite))
        })
    })
    .map_err(|error| to_python(&error, "Input X"))?;
    let Some(tiny) = tiny else {
        let lengths = lengths.iter().map(|scaled| scaled.length.hi / scaled.unit);
        return to_numpy(py, lengths, &kept_shape(&x.shape, &kept));
    };
    if infinite_found || lengths.iter().any(|scaled| scaled.length.hi.is_nan()) {
        return Err(infinite("Input X", x.dtype));
    }
    let lengths = lengths.iter().map(|scaled| divisor(scaled, tiny).hi / scaled.unit);
    to_numpy(py, lengths, &kept_shape(&x.shape, &kept))
}

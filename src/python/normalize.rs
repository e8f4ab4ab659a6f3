//! Vectors divided by their length, for Python.

use super::affine::{result_dtype, target};
use super::arrays::{Array, to_numpy, with_float};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{infinite, to_python};
use super::threads;
use crate::kernels::norms::Norm;
use crate::stats::extrema::Extrema;
use crate::transform::affine::Target;
use crate::transform::normalize::{divisor, normalize as normalize_array};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

impl FromPyObject<'_, '_> for Norm {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>() {
            Ok("l1") => Ok(Self::L1),
            Ok("l2") => Ok(Self::L2),
            Ok("max") => Ok(Self::Max),
            _ => Err(PyValueError::new_err(format!("norm must be 'l1', 'l2' or 'max'; got {}", object.repr()?))),
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

/// ``X`` with every vector along the axes `along` divided by its length, in one pass.
///
/// Vectors shorter than `tiny`, and zero, stay as they are. An element that is not finite is a ValueError, after which
/// `out` is unspecified unless it is `X`.
#[pyfunction]
#[pyo3(signature = (x, norm, along, tiny, dtype=None, out=None, copy=true))]
#[allow(clippy::too_many_arguments)] // One call from Python, where every boundary costs.
pub fn normalize<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    norm: Norm,
    along: &Bound<'py, PyAny>,
    tiny: f64,
    dtype: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
    copy: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let x = vectors(x)?;
    let along = ChannelAxes::new(along)?.kept(x.shape.len())?;
    let dtype = result_dtype(dtype, x.dtype)?;
    let (result, target) = target(&x, dtype, out, copy)?;
    let bytes = x.bytes().max(result.bytes());
    let finite = with_float!(x.dtype, T => {
        let (view, along) = (x.view::<T>(), &along);
        // Elements that would be overwritten are looked at first: an error leaves them as they were.
        let (all, len) = (vec![false; x.shape.len()], x.len() as u64);
        let finite = target != Target::Input || threads::run(py, bytes, move |threads| {
            Extrema::of(view, &all, threads).is_ok_and(|extrema| {
                !extrema.has_infinity() && extrema.cells.iter().all(|cell| cell.count == len)
            })
        });
        finite && with_float!(dtype, U => {
            let out = result.view_mut::<U>();
            threads::run(py, bytes, move |threads| normalize_array(norm, view, out, along, tiny, target, threads))
        })
    });
    if !finite {
        return Err(infinite("Input X", x.dtype));
    }
    Ok(out.cloned().unwrap_or_else(|| result.object.into_any()))
}

/// The lengths of the vectors along the axes `along`; one instead of those below `tiny` and of zero.
#[pyfunction]
pub fn norms<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    norm: Norm,
    along: &Bound<'py, PyAny>,
    tiny: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let x = vectors(x)?;
    let kept: Vec<bool> = ChannelAxes::new(along)?.kept(x.shape.len())?.iter().map(|along| !along).collect();
    let (lengths, infinite_found) = with_float!(x.dtype, T => {
        let (view, kept, all) = (x.view::<T>(), &kept, vec![false; x.shape.len()]);
        threads::run(py, x.bytes(), move |threads| {
            let lengths = crate::stats::norms::norms(norm, view, kept, threads);
            // A length may be out of range where no element is.
            let suspect =
                lengths.as_ref().is_ok_and(|lengths| lengths.iter().any(|scaled| scaled.length.hi.is_infinite()));
            let infinite = suspect && Extrema::of(view, &all, threads).is_ok_and(|extrema| extrema.has_infinity());
            (lengths, infinite)
        })
    });
    let lengths = lengths.map_err(|error| to_python(&error, "Input X"))?;
    if infinite_found || lengths.iter().any(|scaled| scaled.length.hi.is_nan()) {
        return Err(infinite("Input X", x.dtype));
    }
    let lengths = lengths.iter().map(|scaled| divisor(scaled, tiny).hi / scaled.unit).collect();
    to_numpy(py, lengths, &kept_shape(&x.shape, &kept))
}

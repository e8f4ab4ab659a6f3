//! Exact quantiles for Python.

use super::arrays::{to_numpy, unmasked, with_element};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{infinite, to_python};
use super::stream::Mask;
use super::threads;
use crate::error::Error;
use crate::stats::quantiles::{Between, quantiles as exact};
use crate::stats::source::Masked;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Check that every one of `q` is a quantile.
pub fn check_q(q: &[f64]) -> PyResult<()> {
    match q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        Some(wrong) => Err(PyValueError::new_err(format!("q must be within 0 and 1; got {wrong}"))),
        None => Ok(()),
    }
}

/// Interpolated values as an array: for each of `q`, one for each channel of `shape`. Medians of an even number of
/// elements are means, as NumPy's are.
pub fn table<'py>(
    py: Python<'py>,
    between: &[Vec<Between>],
    q: &[f64],
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let value = |k: usize, between: &Between| {
        if q[k] == 0.5 && between.fraction == 0.5 { between.midpoint() } else { between.value() }
    };
    let values = (0..q.len()).flat_map(|k| between.iter().map(move |channel| value(k, &channel[k]))).collect();
    to_numpy(py, values, &[&[q.len()], shape].concat())
}

/// Exact quantiles `q` of every channel, interpolated linearly, NaN and what `mask` says left out: an array with an axis for
/// `q` first.
#[pyfunction]
#[pyo3(signature = (name, x, q, channel_axis, mask=None))]
pub fn quantiles<'py>(
    py: Python<'py>,
    name: &str,
    x: &Bound<'py, PyAny>,
    q: Vec<f64>,
    channel_axis: &Bound<'py, PyAny>,
    mask: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    check_q(&q)?;
    let (x, own) = unmasked(x, name)?;
    let kept = ChannelAxes::new(channel_axis)?.kept(x.shape.len())?;
    let mask = Mask::both(own.as_ref(), mask, &x)?;
    let between = with_element!(x.dtype, T => {
        let (view, kept, q, mask) = (x.view::<T>(), &kept, &q, mask.as_ref().map(Mask::view));
        threads::run(py, x.bytes(), move |threads| match mask {
            Some(mask) => exact(Masked { x: view, mask }, kept, q, threads),
            None => exact(view, kept, q, threads),
        })
    });
    let between = between.map_err(|error| match error {
        Error::Infinite => infinite(name, x.dtype),
        error => to_python(&error, name),
    })?;
    table(py, &between, &q, &kept_shape(&x.shape, &kept))
}

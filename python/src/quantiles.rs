//! Exact quantiles for Python.

use super::arrays::{doubles, unmasked};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{Raise, infinite, to_python};
use super::results::to_numpy;
use super::stream::Mask;
use super::threads;
use planish::drive::source::Masked;
use planish::error::Error;
use planish::memory;
use planish::stats::quantiles::{Between, quantiles as exact};
use planish::with_element;
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
    let value = |q: f64, between: &Between| {
        if q == 0.5 && between.fraction == 0.5 { between.midpoint() } else { between.value() }
    };
    let of = |(k, q): (usize, &f64), channel: &Vec<Between>| channel.get(k).map_or(f64::NAN, |found| value(*q, found));
    let values = q.iter().enumerate().flat_map(|q| between.iter().map(move |channel| of(q, channel)));
    to_numpy(py, values, &memory::collect([q.len()].iter().chain(shape).copied()).raise()?)
}

/// Exact quantiles `q` of every channel, interpolated linearly, NaN and what `mask` says left out: an array with an axis for
/// `q` first.
#[pyfunction]
#[pyo3(signature = (name, x, q, channel_axis, mask=None))]
pub fn quantiles<'py>(
    py: Python<'py>,
    name: &str,
    x: &Bound<'py, PyAny>,
    q: &Bound<'py, PyAny>,
    channel_axis: &Bound<'py, PyAny>,
    mask: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (_, q) = doubles(q, "q")?;
    check_q(&q)?;
    let (x, own) = unmasked(x, name)?;
    let kept = ChannelAxes::new(channel_axis)?.kept(x.shape.len())?;
    let mask = Mask::both(own.as_ref(), mask, &x)?;
    let between = with_element!(x.dtype, T => {
        let (view, kept, q, mask) = (x.view::<T>(), &kept, &q, mask.as_ref().map(Mask::view));
        threads::run(py, x.bytes(), move |threads| match mask {
            Some(mask) => exact(Masked::new(view, mask), kept, q, threads),
            None => exact(view, kept, q, threads),
        })
    });
    let between = between.map_err(|error| match error {
        Error::Infinite => infinite(name, x.dtype),
        error => to_python(&error, name),
    })?;
    table(py, &between, &q, &kept_shape(&x.shape, &kept))
}

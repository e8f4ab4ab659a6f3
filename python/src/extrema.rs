//! `planish.stats.Extrema`.

use super::arrays::{doubles, tuple};
use super::axes::{ChannelAxes, Chosen};
use super::errors::{Raise, infinite, to_python};
use super::results::to_numpy;
use super::sparse::Matrix;
use super::stream::{
    Groups, Mask, Reduced, State, Statistics, Stream, Zero, damaged, html, rows, saved, saved_shape, text,
};
use super::threads;
use planish::drive::source::Masked;
use planish::error::Error;
use planish::memory;
use planish::stats::MOST_ELEMENTS;
use planish::stats::extrema::{Cell, Extrema};
use planish::with_element;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Version of the pickled state.
const VERSION: i64 = 1;
/// What is shown of the statistics.
const SHOWN: [&str; 3] = ["count", "min", "max"];

/// Minimum and maximum of every channel, streamed.
///
/// Parameters
/// ----------
/// channel_axis : int, tuple of int or None, default=-1
///     The axis or axes that keep their own statistics; None for one minimum of everything.
///
/// Attributes
/// ----------
/// count : ndarray of int64, of the shape of the kept axes
///     Elements of each channel, NaN left out; 0 before the first batch.
/// min, max : ndarray of float64, of the shape of the kept axes
///     Smallest and largest element of each channel; NaN where there is none, a ValueError before the first batch.
///     Integers beyond 2**53 are rounded to the nearest double.
///
/// Notes
/// -----
/// Infinite elements are elements like any other. An empty state is the identity of `merge`.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from planish.stats import Extrema
/// >>> extrema = Extrema()
/// >>> extrema.update(np.array([[1.0, -4.0], [3.0, np.nan]]))
/// Extrema(channel_axis=-1, channels=2, count=[2, 1], min=[1.0, -4.0], max=[3.0, -4.0])
/// >>> extrema.min, extrema.max
/// (array([ 1., -4.]), array([ 3., -4.]))
#[pyclass(name = "Extrema", module = "planish.stats", frozen, weakref)]
pub struct PyExtrema {
    stream: Stream<Extrema>,
}

impl PyExtrema {
    fn values<'py, T: numpy::Element + Copy>(
        &self,
        py: Python<'py>,
        value: impl Fn(&Cell) -> T,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (shape, statistics) = self.stream.snapshot()?.seen()?;
        to_numpy(py, statistics.cells.iter().map(value), &shape)
    }

    fn parameters(&self) -> String {
        format!("channel_axis={}", self.stream.axes.text())
    }
}

/// A count of elements.
fn number(count: &Bound<'_, PyAny>) -> PyResult<u64> {
    match count.extract::<i64>() {
        Ok(number) if number > 0 => Ok(number as u64),
        Err(error) if !error.is_instance_of::<PyOverflowError>(count.py()) => Err(error),
        _ => Err(PyValueError::new_err(format!("count must be positive and at most 2**63 - 1; got {count}"))),
    }
}

impl Statistics for Extrema {
    type Settled = Self;

    fn settled(&mut self) -> Result<Self, Error> {
        self.try_clone()
    }
}

#[pymethods]
impl PyExtrema {
    #[new]
    #[pyo3(signature = (channel_axis=Chosen::DEFAULT, _saved=None), text_signature = "(channel_axis=-1)")]
    fn new(channel_axis: Chosen, _saved: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let this = Self { stream: Stream::chosen(channel_axis) };
        _saved.map_or(Ok(()), |state| this.__setstate__(state))?;
        Ok(this)
    }

    /// Take in a batch.
    ///
    /// Parameters
    /// ----------
    /// x : array-like
    ///     Any shape and any strides; read where it lies. NaN is left out.
    /// mask : array-like of bool, default=None
    ///     True for the elements that count; of a shape that broadcasts to that of `x`.
    ///
    /// Returns
    /// -------
    /// self : Extrema
    ///     Itself.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If `x` has a dtype that is not accepted.
    /// ValueError
    ///     If `x` has other channels than before, or the mask does not fit. The state stays as it was.
    #[pyo3(signature = (x, mask=None))]
    fn update<'py>(
        slf: Bound<'py, Self>,
        x: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        Self::update_as(slf, "x", x, true, mask)
    }

    /// `update`, with the name that error messages are to use for `x`, and whether infinity is accepted.
    #[pyo3(name = "_update_as", signature = (name, x, allow_infinity, mask=None))]
    fn update_as<'py>(
        slf: Bound<'py, Self>,
        name: &str,
        x: &Bound<'py, PyAny>,
        allow_infinity: bool,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let stream = &slf.get().stream;
        let batch = stream.batch(x, name)?;
        let mask = batch.mask(mask)?;
        let extrema = with_element!(batch.x.dtype, T => {
            let (x, kept, mask) = (batch.x.view::<T>(), &batch.kept, mask.as_ref().map(Mask::view));
            threads::run(slf.py(), batch.x.bytes(), move |threads| match mask {
                Some(mask) => Extrema::of(Masked::new(x, mask), kept, threads),
                None => Extrema::of(x, kept, threads),
            })
        });
        let extrema = extrema.map_err(|error| to_python(&error, name))?;
        if !allow_infinity && extrema.has_infinity() {
            return Err(infinite(name, batch.x.dtype));
        }
        stream.join(&batch.shape, name, |state| state.merge(&extrema))?;
        Ok(slf)
    }

    /// Extrema of `count` groups of the samples of `x`, the groups being one more axis, the first; infinity is an error.
    #[staticmethod]
    fn _of_groups(
        name: &str,
        x: &Bound<'_, PyAny>,
        codes: &Bound<'_, PyAny>,
        count: usize,
        channel_axis: ChannelAxes,
    ) -> PyResult<Self> {
        let py = x.py();
        let groups = Groups::new(x, name, codes, count, &channel_axis)?;
        let extrema = with_element!(groups.x.dtype, T => {
            let (x, codes, kept) = (groups.x.view::<T>(), groups.codes(), &groups.kept);
            threads::run(py, groups.x.bytes(), move |threads| Extrema::of_groups(x, codes, count, kept, threads))
        });
        let extrema = extrema.map_err(|error| to_python(&error, name))?;
        if extrema.has_infinity() {
            return Err(infinite(name, groups.x.dtype));
        }
        Ok(Self { stream: groups.stream(extrema) })
    }

    /// `update` with the parts of a sparse matrix; infinity is an error.
    fn _update_sparse<'py>(slf: Bound<'py, Self>, name: &str, matrix: Matrix<'py>) -> PyResult<Bound<'py, Self>> {
        let extrema = matrix.extrema(slf.py(), name)?;
        if extrema.has_infinity() {
            return Err(matrix.infinite(name));
        }
        slf.get().stream.join(&[matrix.len()], name, |state| state.merge(&extrema))?;
        Ok(slf)
    }

    /// Extrema that are known already.
    ///
    /// Parameters
    /// ----------
    /// count : int
    ///     Number of elements of each channel; positive.
    /// min, max : array-like of float
    ///     Smallest and largest element of each channel, of equal shape.
    /// channel_axis : int, tuple of int or None, default=-1
    ///     As for the constructor.
    ///
    /// Returns
    /// -------
    /// Extrema
    ///     To be continued with `update` and `merge`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the shapes differ, a minimum is above its maximum, or the count is not positive or above 2**63 - 1.
    ///
    /// Examples
    /// --------
    /// >>> from planish.stats import Extrema
    /// >>> Extrema.from_stats(100, [0.0, 0.0], [255.0, 1.0]).max
    /// array([255.,   1.])
    #[staticmethod]
    #[pyo3(signature = (count, min, max, channel_axis=ChannelAxes::One(-1)), text_signature = "(count, min, max, channel_axis=-1)")]
    fn from_stats(
        count: &Bound<'_, PyAny>,
        min: &Bound<'_, PyAny>,
        max: &Bound<'_, PyAny>,
        channel_axis: ChannelAxes,
    ) -> PyResult<Self> {
        let count = number(count)?;
        let (shape, min) = doubles(min, "min")?;
        let (max_shape, max) = doubles(max, "max")?;
        if shape != max_shape {
            return Err(PyValueError::new_err(format!(
                "min has shape {} and max has shape {}; equal shapes are accepted",
                tuple(&shape),
                tuple(&max_shape)
            )));
        }
        let cells: Vec<Cell> =
            memory::collect(min.into_iter().zip(max).map(|(min, max)| Cell { count, min, max })).raise()?;
        if !cells.iter().all(|cell| cell.min <= cell.max) {
            return Err(PyValueError::new_err("no min may be above its max"));
        }
        let stream = Stream::<Extrema>::new(channel_axis);
        stream.join(&shape, "min", |state| state.merge(&Extrema { cells }))?;
        Ok(Self { stream })
    }

    /// Change `self`: join statistics that were gathered apart.
    ///
    /// Parameters
    /// ----------
    /// other : Extrema
    ///     With channels of the same shape, or empty. It is not changed.
    ///
    /// Returns
    /// -------
    /// self : Extrema
    ///     Itself.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the channels differ.
    fn merge<'py>(slf: Bound<'py, Self>, other: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let State { shape, statistics } = other.get().stream.snapshot()?;
        if let Some(shape) = shape {
            slf.get().stream.join(&shape, "other", |state| state.merge(&statistics))?;
        }
        Ok(slf)
    }

    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::merge(Bound::new(slf.py(), Self { stream: slf.get().stream.copy()? })?, other)
    }

    fn __radd__(&self, zero: Zero) -> PyResult<Self> {
        let Zero = zero;
        Ok(Self { stream: self.stream.copy()? })
    }

    fn __iadd__(slf: &Bound<'_, Self>, other: &Bound<'_, Self>) -> PyResult<()> {
        Self::merge(slf.clone(), other).map(|_| ())
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> PyResult<bool> {
        let other = other.get();
        Ok(self.stream.axes == other.stream.axes && self.stream.snapshot()? == other.stream.snapshot()?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        text(slf.as_any(), slf.get().parameters(), &SHOWN)
    }

    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        html(slf.as_any(), slf.get().parameters(), &SHOWN)
    }

    /// The axis or axes that keep their own statistics.
    #[getter]
    fn channel_axis<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.stream.axes.to_object(py)
    }

    /// Number of elements of each channel.
    #[getter]
    fn count<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.stream.lock().shape.is_none() {
            return to_numpy(py, vec![0_i64], &[]);
        }
        self.values(py, |cell| cell.count as i64)
    }

    /// Smallest element of each channel.
    #[getter]
    fn min<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py, |cell| if cell.count == 0 { f64::NAN } else { cell.min })
    }

    /// Largest element of each channel.
    #[getter]
    fn max<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py, |cell| if cell.count == 0 { f64::NAN } else { cell.max })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (Bound<'py, PyAny>, Bound<'py, PyDict>)>> {
        let (this, py) = (slf.get(), slf.py());
        Ok((slf.get_type(), (this.stream.axes.to_object(py)?, this.__getstate__(py)?)))
    }

    fn __getstate__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let State { shape, statistics: Extrema { cells } } = self.stream.snapshot()?;
        let state = PyDict::new(py);
        state.set_item("version", VERSION)?;
        state.set_item("shape", shape)?;
        state.set_item("count", to_numpy(py, cells.iter().map(|cell| cell.count), &[cells.len(), 1])?)?;
        let bounds = cells.iter().flat_map(|cell| [cell.min, cell.max]);
        state.set_item("bounds", to_numpy(py, bounds, &[cells.len(), 2])?)?;
        Ok(state)
    }

    fn __setstate__(&self, state: &Bound<'_, PyDict>) -> PyResult<()> {
        let field = saved(state, VERSION)?;
        let shape = saved_shape(&field("shape")?)?;
        let (counts, bounds) = (rows::<u64, 1>(&field("count")?)?, rows::<f64, 2>(&field("bounds")?)?);
        let lengths = [counts.len(), bounds.len()];
        let cells = counts.into_iter().zip(bounds).map(|([count], [min, max])| Cell { count, min, max });
        let cells: Vec<_> = memory::collect(cells).raise()?;
        if !cells.iter().all(|cell| cell.count <= MOST_ELEMENTS) {
            return Err(damaged("counts that cannot be"));
        }
        if !cells.iter().all(|cell| cell.count == 0 || cell.min <= cell.max) {
            return Err(damaged("a minimum above its maximum"));
        }
        self.stream.restore(shape, lengths, false, Extrema { cells })
    }
}

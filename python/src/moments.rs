//! `planish.stats.Moments`: one class, whose documentation is a third of the file.

use super::arrays::{DType, doubles, tuple};
use super::axes::{ChannelAxes, Chosen};
use super::errors::{Raise, infinite, quoted, to_python};
use super::results::to_numpy;
use super::sparse::Matrix;
use super::stream::{
    Batch, Groups, Mask, Reduced, State, Statistics, Stream, Weights, Zero, damaged, html, parameter, saved,
    saved_number, saved_shape, text,
};
use super::threads;
use numpy::{PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use planish::error::Error;
use planish::exact::number::Number;
use planish::memory;
use planish::stats::cell::Cell;
use planish::stats::growing::Growing;
use planish::stats::moments::Moments;
use planish::with_element;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Version of the pickled state.
const VERSION: i64 = 2;
/// The sums of a channel: of weights, of elements and of squares.
const SUMS: usize = 3;
/// The place of a limb that no sum reaches: products of three doubles are far nearer.
const MOST_PLACE: i32 = 256;
/// The statistics that stand for the others.
const SHOWN: [&str; 3] = ["count", "mean", "std"];

/// Count, mean and variance of every channel, streamed.
///
/// Parameters
/// ----------
/// channel_axis : int, tuple of int or None, default=-1
///     The axis or axes that keep their own statistics; None for one mean of everything.
/// ddof : float, default=0
///     Degrees of freedom taken off the count in `var` and `std`: 0 for the population's, 1 for the unbiased variance.
///
/// Attributes
/// ----------
/// count : ndarray of int64 (float64 with weights), of the shape of the kept axes
///     Elements of each channel, NaN left out, or the sum of their weights; 0 before the first batch.
/// mean, var, std : ndarray of float64, of the shape of the kept axes
///     Mean, variance and standard deviation of each channel; NaN where too few elements were seen, a ValueError before
///     the first batch.
/// scale : ndarray of float64, of the shape of the kept axes
///     The population's standard deviation, with 1 for channels that are constant as far as double precision can tell
///     (the rule of scikit-learn's scalers).
///
/// Notes
/// -----
/// The sums of the elements and of their squares are exact [1]_: mean and variance are the exact values, rounded once. They
/// do not depend on the order of the elements, on how these are cut into batches, on threads, machines or the order of
/// merges. Weights are exact as well: each is the double that it is. An empty state is the identity of `merge`.
///
/// References
/// ----------
/// .. [1] U. Kulisch, "Computer arithmetic and validity", de Gruyter, 2008; J. Demmel, H. D. Nguyen, "Parallel reproducible
///    summation", IEEE Transactions on Computers 64 (2015), 2060-2070.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from planish.stats import Moments
/// >>> moments = Moments()
/// >>> moments.update(np.array([[1.0, 10.0], [3.0, np.nan]]))
/// Moments(channel_axis=-1, channels=2, count=[2, 1], mean=[2.0, 10.0], std=[1.0, 0.0])
/// >>> moments.update(np.array([[2.0, 30.0]])).mean
/// array([ 2., 20.])
/// >>> moments.count
/// array([3, 2])
#[pyclass(name = "Moments", module = "planish.stats", frozen, weakref)]
pub struct PyMoments {
    stream: Stream<Growing>,
    ddof: f64,
}

impl PyMoments {
    fn values<'py>(
        &self,
        py: Python<'py>,
        values: impl FnOnce(&Moments) -> Result<Vec<f64>, Error>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (shape, values) = self.read(values)?;
        to_numpy(py, values, &shape)
    }

    /// The shape of the channels, and what is `read` of their moments.
    fn read<R>(&self, read: impl FnOnce(&Moments) -> Result<R, Error>) -> PyResult<(Vec<usize>, R)> {
        let (shape, found) = {
            let State { shape, statistics } = &mut *self.stream.lock();
            let found = statistics.moments().and_then(read).raise()?;
            (shape.as_deref().map(memory::copied).transpose().raise()?, found)
        };
        State { shape, statistics: found }.seen()
    }

    fn parameters(&self) -> String {
        let ddof = if self.ddof == 0.0 { String::new() } else { format!(", ddof={}", self.ddof) };
        format!("channel_axis={}{ddof}", self.stream.axes.text())
    }
}

/// The count of each channel: integers, unless there were weights.
enum Counts {
    Weights(Vec<f64>),
    Numbers(Vec<u64>),
}

impl Counts {
    fn of(moments: &Moments) -> Result<Self, Error> {
        Ok(if moments.weighted { Self::Weights(moments.count()?) } else { Self::Numbers(moments.numbers()?) })
    }

    /// Whether there are some, and all are one.
    fn are_same(&self) -> bool {
        match self {
            Self::Weights(all) => all.first().is_some_and(|first| all.iter().all(|count| count == first)),
            Self::Numbers(all) => all.first().is_some_and(|first| all.iter().all(|count| count == first)),
        }
    }

    fn to_numpy<'py>(&self, py: Python<'py>, shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Weights(all) => to_numpy(py, all.iter().copied(), shape),
            Self::Numbers(all) => to_numpy(py, all.iter().map(|count| *count as i64), shape),
        }
    }
}

/// The error for an array that cannot be taken in.
fn refused(name: &str, dtype: DType, error: &Error) -> PyErr {
    match error {
        Error::Infinite => infinite(name, dtype),
        error => to_python(error, name),
    }
}

impl Statistics for Growing {
    type Settled = Moments;

    fn settled(&mut self) -> Result<Moments, Error> {
        self.moments()?.try_clone()
    }
}

#[pymethods]
impl PyMoments {
    #[new]
    #[pyo3(signature = (channel_axis=Chosen::DEFAULT, _saved=None, *, ddof=0.0), text_signature = "(channel_axis=-1, *, ddof=0)")]
    fn new(channel_axis: Chosen, _saved: Option<&Bound<'_, PyDict>>, ddof: f64) -> PyResult<Self> {
        let ddof = parameter(_saved, "ddof")?.unwrap_or(ddof);
        if !ddof.is_finite() || ddof < 0.0 {
            return Err(PyValueError::new_err(format!("ddof must be finite and not negative; got {ddof}")));
        }
        let this = Self { stream: Stream::chosen(channel_axis), ddof };
        _saved.map_or(Ok(()), |state| this.__setstate__(state))?;
        Ok(this)
    }

    /// Moments that are known already.
    ///
    /// Parameters
    /// ----------
    /// count : float, or array-like of float of the shape of `mean`
    ///     Number of elements of each channel; finite and not negative.
    /// mean, var : array-like of float
    ///     Mean and population variance of each channel, of equal shape.
    /// channel_axis : int, tuple of int or None, default=-1
    ///     As for the constructor.
    ///
    /// Returns
    /// -------
    /// Moments
    ///     To be continued with `update` and `merge`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the shapes differ, or a value is not finite, or a variance or the count is negative.
    ///
    /// Examples
    /// --------
    /// >>> from planish.stats import Moments
    /// >>> Moments.from_stats(100, [5.0, 7.0], [1.0, 4.0]).std
    /// array([1., 2.])
    #[staticmethod]
    #[pyo3(signature = (count, mean, var, channel_axis=ChannelAxes::One(-1)), text_signature = "(count, mean, var, channel_axis=-1)")]
    fn from_stats(
        count: &Bound<'_, PyAny>,
        mean: &Bound<'_, PyAny>,
        var: &Bound<'_, PyAny>,
        channel_axis: ChannelAxes,
    ) -> PyResult<Self> {
        let (shape, mean) = doubles(mean, "mean")?;
        let (var_shape, var) = doubles(var, "var")?;
        if shape != var_shape {
            return Err(PyValueError::new_err(format!(
                "mean has shape {} and var has shape {}; equal shapes are accepted",
                tuple(&shape),
                tuple(&var_shape)
            )));
        }
        let (count_shape, mut counts) = doubles(count, "count")?;
        if count_shape.is_empty() {
            counts = memory::filled(counts.first().copied().unwrap_or_default(), mean.len()).raise()?;
        } else if count_shape != shape {
            return Err(PyValueError::new_err(format!(
                "count has shape {}; a number or shape {} is accepted",
                tuple(&count_shape),
                tuple(&shape)
            )));
        }
        if !counts.iter().all(|count| count.is_finite() && *count >= 0.0) || counts.iter().all(|count| *count == 0.0) {
            return Err(PyValueError::new_err(format!(
                "count must be finite, not negative and not all zero; got {}",
                quoted(&count.to_string())
            )));
        }
        let valid = |((count, mean), var): ((&f64, &f64), &f64)| {
            *count == 0.0 || mean.is_finite() && var.is_finite() && *var >= 0.0
        };
        if !counts.iter().zip(&mean).zip(&var).all(valid) {
            return Err(PyValueError::new_err("mean and var must be finite, and var not negative"));
        }
        let stream = Stream::<Growing>::new(channel_axis);
        stream.join(&shape, "mean", |state| state.merge(&Moments::known(&counts, &mean, &var)?))?;
        Ok(Self { stream, ddof: 0.0 })
    }

    /// Take in a batch.
    ///
    /// Parameters
    /// ----------
    /// x : array-like
    ///     Any shape and any strides; read where it lies. NaN is left out, and whatever has the weight zero.
    /// weights : array-like of shape (n_samples,) or of the shape of `x`, default=None
    ///     Weights of the samples (along the first axis) or of the elements; finite and not negative.
    /// mask : array-like of bool, default=None
    ///     True for the elements that count; of a shape that broadcasts to that of `x`.
    ///
    /// Returns
    /// -------
    /// self : Moments
    ///     Itself.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If `x` has a dtype that is not accepted.
    /// ValueError
    ///     If `x` contains infinity that counts or has other channels than before, or the weights or the mask do not fit. The state
    ///     stays as it was.
    #[pyo3(signature = (x, weights=None, mask=None))]
    fn update<'py>(
        slf: Bound<'py, Self>,
        x: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        Self::update_as(slf, "x", x, weights, mask)
    }

    /// `update`, with the name that error messages are to use for `x`.
    #[pyo3(name = "_update_as", signature = (name, x, weights=None, mask=None))]
    fn update_as<'py>(
        slf: Bound<'py, Self>,
        name: &str,
        x: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let stream = &slf.get().stream;
        let batch = stream.batch(x, name)?;
        let weights = weights.map(|weights| Weights::new(weights, &batch)).transpose()?;
        let mask = batch.mask(mask)?;
        let wait =
            |state: &mut Growing| with_element!(batch.x.dtype, T => state.wait(batch.x.view::<T>(), &batch.kept));
        if weights.is_none() && mask.is_none() && stream.join_if(&batch.shape, name, wait)? {
            return Ok(slf);
        }
        let moments = with_element!(batch.x.dtype, T => {
            let (x, kept) = (batch.x.view::<T>(), &batch.kept);
            let (weights, mask) = (weights.as_ref().map(Weights::view), mask.as_ref().map(Mask::view));
            threads::run(py, batch.x.bytes(), move |threads| Moments::of_chosen(x, mask, weights, kept, threads))
        });
        let moments = moments.map_err(|error| refused(name, batch.x.dtype, &error))?;
        stream.join(&batch.shape, name, |state| state.merge(&moments))?;
        Ok(slf)
    }

    /// `update` with several arrays of one dtype in turn, in less time. If one of them is refused, none is taken in.
    fn _update_each<'py>(
        slf: Bound<'py, Self>,
        names: &Bound<'py, PyList>,
        arrays: &Bound<'py, PyList>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let stream = &slf.get().stream;
        let name = |index: usize| names.get_item(index)?.extract::<String>();
        let mut batches: Vec<Batch<'py>> = memory::with_room(arrays.len()).raise()?;
        for (index, x) in arrays.iter().enumerate() {
            let batch = stream.batch(&x, &name(index)?)?;
            if let Some(first) = batches.first() {
                if first.shape != batch.shape {
                    return Err(PyValueError::new_err(format!(
                        "{} has channels of shape {}; {} has channels of shape {}",
                        name(index)?,
                        tuple(&batch.shape),
                        name(0)?,
                        tuple(&first.shape)
                    )));
                }
                if first.x.dtype != batch.x.dtype {
                    return Err(PyTypeError::new_err("arrays of one dtype are accepted"));
                }
            }
            batches.push(batch);
        }
        let Some(first) = batches.first() else { return Ok(slf) };
        let (shape, dtype) = (memory::copied(&first.shape).raise()?, first.x.dtype);
        let bytes = batches.iter().map(|batch| batch.x.bytes()).sum();
        let moments = with_element!(dtype, T => {
            let arrays: Vec<_> = memory::collect(batches.iter().map(|batch| (batch.x.view::<T>(), &batch.kept[..]))).raise()?;
            let arrays = &arrays[..];
            threads::run(py, bytes, move |threads| Moments::of_each(arrays, threads))
        });
        let refused = |(index, error): (usize, Error)| match (name(index), error) {
            (Ok(name), error) => refused(&name, dtype, &error),
            (Err(error), _) => error,
        };
        let moments = moments.map_err(refused)?;
        stream.join(&shape, "the arrays", |state| state.merge(&moments))?;
        Ok(slf)
    }

    /// Moments of `count` groups of the samples of `x`, the groups being one more axis, the first.
    #[staticmethod]
    #[pyo3(signature = (name, x, codes, count, channel_axis, weights=None))]
    fn _of_groups(
        name: &str,
        x: &Bound<'_, PyAny>,
        codes: &Bound<'_, PyAny>,
        count: usize,
        channel_axis: ChannelAxes,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = x.py();
        let groups = Groups::new(x, name, codes, count, &channel_axis)?;
        let weights = weights.map(|weights| doubles(weights, "weights")).transpose()?;
        let weights = weights.as_ref().map(|(_, weights)| weights.as_slice());
        if weights.is_some_and(|weights| groups.x.shape.first() != Some(&weights.len())) {
            return Err(PyValueError::new_err("one weight for each sample is accepted"));
        }
        let moments = with_element!(groups.x.dtype, T => {
            let (x, codes, kept) = (groups.x.view::<T>(), groups.codes(), &groups.kept);
            threads::run(py, groups.x.bytes(), move |threads| {
                Moments::of_groups(x, codes, count, weights, kept, threads)
            })
        });
        let moments = moments.map_err(|error| refused(name, groups.x.dtype, &error))?;
        Ok(Self { stream: groups.stream(moments), ddof: 0.0 })
    }

    /// `update` with the parts of a sparse matrix.
    #[pyo3(signature = (name, matrix, weights=None))]
    fn _update_sparse<'py>(
        slf: Bound<'py, Self>,
        name: &str,
        matrix: Matrix<'py>,
        weights: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let weights = weights.map(|weights| doubles(weights, "weights")).transpose()?;
        let weights = weights.as_ref().map(|(_, weights)| weights.as_slice());
        let moments = matrix.moments(slf.py(), name, weights)?;
        slf.get().stream.join(&[matrix.len()], name, |state| state.merge(&moments))?;
        Ok(slf)
    }

    /// Change `self`: join statistics that were gathered apart, as if their elements had come after.
    ///
    /// Parameters
    /// ----------
    /// other : Moments
    ///     With channels of the same shape, or empty. It is not changed.
    ///
    /// Returns
    /// -------
    /// self : Moments
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
        let this = slf.get();
        let copy = Self { stream: this.stream.copy()?, ddof: this.ddof };
        Self::merge(Bound::new(slf.py(), copy)?, other)
    }

    fn __radd__(&self, zero: Zero) -> PyResult<Self> {
        let Zero = zero;
        Ok(Self { stream: self.stream.copy()?, ddof: self.ddof })
    }

    fn __iadd__(slf: &Bound<'_, Self>, other: &Bound<'_, Self>) -> PyResult<()> {
        Self::merge(slf.clone(), other).map(|_| ())
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> PyResult<bool> {
        let other = other.get();
        Ok(self.stream.axes == other.stream.axes
            && self.ddof == other.ddof
            && self.stream.snapshot()? == other.stream.snapshot()?)
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

    /// Degrees of freedom taken off the count in `var` and `std`.
    #[getter]
    fn ddof(&self) -> f64 {
        self.ddof
    }

    /// Number of elements, or sum of their weights, of each channel.
    #[getter]
    fn count<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.stream.lock().shape.is_none() {
            return to_numpy(py, [0_i64], &[]);
        }
        let (shape, counts) = self.read(Counts::of)?;
        counts.to_numpy(py, &shape)
    }

    /// Count, mean, variance and scale of each channel, all in one; a single count where it is that of all channels.
    fn _finish<'py>(&self, py: Python<'py>) -> PyResult<[Bound<'py, PyAny>; 4]> {
        let read = |moments: &Moments| Ok((moments.finish(self.ddof)?, Counts::of(moments)?));
        let (shape, ([mean, var, scale], counts)) = self.read(read)?;
        Ok([
            counts.to_numpy(py, if counts.are_same() { &[] } else { &shape })?,
            to_numpy(py, mean, &shape)?,
            to_numpy(py, var, &shape)?,
            to_numpy(py, scale, &shape)?,
        ])
    }

    /// Mean of each channel.
    #[getter]
    fn mean<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py, Moments::mean)
    }

    /// Variance of each channel.
    #[getter]
    fn var<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py, |moments| moments.var(self.ddof))
    }

    /// Standard deviation of each channel.
    #[getter]
    fn std<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py, |moments| moments.std(self.ddof))
    }

    /// What a scaler divides each channel by.
    #[getter]
    fn scale<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py, Moments::scale)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (Bound<'py, PyAny>, Bound<'py, PyDict>)>> {
        let this = slf.get();
        let state = this.__getstate__(slf.py())?;
        state.set_item("ddof", this.ddof)?;
        Ok((slf.get_type(), (this.stream.axes.to_object(slf.py())?, state)))
    }

    fn __getstate__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let State { shape, statistics } = self.stream.snapshot()?;
        // A row for each channel: the place and the number of the limbs of each sum, and then these, as many for each as the
        // longest of all has.
        let sums = |cell: &'_ Cell| [&cell.weight, &cell.sum, &cell.square].map(|number| number.limbs().1.len());
        let most = statistics.cells.iter().flat_map(sums).max().unwrap_or(0);
        let width = SUMS * (2 + most);
        let mut table: Vec<u64> = memory::with_room(statistics.cells.len() * width).raise()?;
        for cell in &statistics.cells {
            let sums = [&cell.weight, &cell.sum, &cell.square].map(Number::limbs);
            table.extend(sums.iter().flat_map(|(first, limbs)| [i64::from(*first) as u64, limbs.len() as u64]));
            for (_, limbs) in sums {
                table.extend(limbs.iter().copied().chain(std::iter::repeat(0)).take(most));
            }
        }
        let state = PyDict::new(py);
        state.set_item("version", VERSION)?;
        state.set_item("shape", shape)?;
        state.set_item("weighted", statistics.weighted)?;
        state.set_item("sums", to_numpy(py, table, &[statistics.cells.len(), width])?)?;
        Ok(state)
    }

    /// Become what `whole` holds of number `index` along its first axis.
    fn _take_part(&self, whole: &Bound<'_, Self>, index: usize) -> PyResult<()> {
        let (shape, part) = {
            let State { shape, statistics } = &mut *whole.get().stream.lock();
            let all = statistics.moments().raise()?;
            let shape = shape.as_deref().and_then(|shape| shape.split_first()).map_or(&[][..], |(_, shape)| shape);
            let len: usize = shape.iter().product();
            let range = index.saturating_mul(len)..index.saturating_add(1).saturating_mul(len);
            let cells = all.cells.get(range).ok_or_else(|| PyIndexError::new_err("there are not so many parts"))?;
            let cells = memory::collect_all::<_, Error>(cells.iter().map(Cell::try_clone)).raise()?;
            (memory::copied(shape).raise()?, Moments { cells, weighted: all.weighted })
        };
        self.stream.restore(Some(shape), [part.cells.len()], false, part)
    }

    fn __setstate__(&self, state: &Bound<'_, PyDict>) -> PyResult<()> {
        let field = saved(state, VERSION)?;
        let shape = saved_shape(&field("shape")?)?;
        let table = field("sums")?;
        let table = table.cast::<PyArray2<u64>>().map_err(|_| damaged("no valid sums"))?.try_readonly()?;
        let mut cells = memory::with_room(table.shape().first().copied().unwrap_or_default()).raise()?;
        for row in table.as_array().rows() {
            let row: Vec<u64> = memory::collect(row.iter().copied()).raise()?;
            cells.push(cell(&row)?);
        }
        let statistics = Moments { weighted: saved_number(&field("weighted")?, "no valid weights")?, cells };
        for cell in &statistics.cells {
            // Whole numbers of elements are given back as NumPy's integers.
            let countable = statistics.weighted || cell.weight.to_u64().is_some();
            if !countable || !cell.is_possible().raise()? {
                return Err(damaged("impossible moments"));
            }
        }
        let lengths = [statistics.cells.len()];
        self.stream.restore(shape, lengths, false, statistics)
    }
}

/// The sums of a channel, from a row of a saved table.
fn cell(row: &[u64]) -> PyResult<Cell> {
    let (places, limbs) = row.split_at_checked(2 * SUMS).ok_or_else(|| damaged("no valid sums"))?;
    let width = limbs.len() / SUMS;
    let number = |index: usize| {
        let (place, len) = (places.get(2 * index), places.get(2 * index + 1));
        let own = limbs.get(index * width..(index + 1) * width);
        let own = own.zip(len).and_then(|(own, len)| own.get(..usize::try_from(*len).ok()?));
        let place = place
            .and_then(|place| i32::try_from(*place as i64).ok())
            .filter(|at| at.abs() < MOST_PLACE && len.is_some_and(|len| *len < MOST_PLACE as u64));
        let (Some(place), Some(own)) = (place, own) else { return Err(damaged("no valid sums")) };
        let other = || damaged("sums in another form than the one they have");
        Number::from_limbs(place, own).raise()?.ok_or_else(other)
    };
    Ok(Cell { weight: number(0)?, sum: number(1)?, square: number(2)? })
}

//! `planish.stats.Quantiles`.

use super::axes::Chosen;
use super::errors::{Raise, infinite, quoted, to_python};
use super::quantiles::{check_q, table};
use super::results::to_numpy;
use super::stream::{
    Mask, Reduced, State, Statistics, Stream, Weights, Zero, damaged, html, parameter, rows, saved, saved_number,
    saved_shape, text,
};
use super::threads;
use planish::drive::source::Masked;
use planish::error::Error;
use planish::memory;
use planish::stats::channel::Channel;
use planish::stats::sketch::Sketch;
use planish::stats::sketches::Sketches;
use planish::stats::weights::scaled;
use planish::with_element;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Quantiles, axes and state: what makes the object anew.
type Arguments<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyDict>);

/// Version of the pickled state.
const VERSION: i64 = 1;
/// What is shown of the statistics.
const SHOWN: [&str; 2] = ["count", "quantiles"];
/// Binary digits that doubles have before and after the point.
const MOST_DIGITS: i32 = 1100;
/// The smallest error in rank that may be asked for: sketches of some hundred megabytes a channel.
const LEAST_ERROR: f64 = 1e-7;

/// Quantiles of every channel, streamed.
///
/// Parameters
/// ----------
/// q : float or sequence of float, default=(0.25, 0.5, 0.75)
///     The quantiles, each within 0 and 1.
/// channel_axis : int, tuple of int or None, default=-1
///     The axis or axes that keep their own quantiles; None for one of everything.
/// rank_error : float, default=0.002
///     How far the rank of a result may be from that of the exact quantile, as a fraction of the number of elements.
///
/// Attributes
/// ----------
/// count : ndarray of int64 (float64 with weights that are no whole numbers), of the shape of the kept axes
///     Elements of each channel, NaN left out, or the sum of their weights as `update` counts them; 0 before the first
///     batch.
/// quantiles : ndarray of float64, of shape (len(q), *shape of the kept axes)
///     The quantiles of each channel; NaN where no element was seen, a ValueError before the first batch. Of a single `q`
///     without the first axis.
///
/// Notes
/// -----
/// Integers of at most 16 bits are counted, and their quantiles are exact; there may be as many counts, of 16 bytes, as there
/// are values: 4 KB a channel for 8 bits, a megabyte for 16. The others go into a KLL sketch [1]_ of each
/// channel, of at most 64 KB at the default error, whose results are elements of the stream, or lie between two of them as
/// `numpy.quantile` interpolates. Up to 1800 elements (at the default error) nothing is left out, and results are exact as
/// well. `rank_error` is held in all but about one of ten thousand cases, whatever the elements and their order: it is four
/// standard deviations of the error. Smallest and largest element are exact. The same batches in the same order
/// give the same result, with any number of threads; from some ten thousand elements on, another order of axes in memory may
/// give another, just as good. An empty state is the identity of `merge`.
///
/// References
/// ----------
/// .. [1] Z. Karnin, K. Lang, E. Liberty, "Optimal quantile approximation in streams", FOCS 2016.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from planish.stats import Quantiles
/// >>> quantiles = Quantiles([0.0, 0.5])
/// >>> quantiles.update(np.array([[1.0, 10.0], [3.0, np.nan]]))
/// Quantiles(q=[0.0, 0.5], channel_axis=-1, channels=2, count=[2, 1], quantiles=[[1.0, 10.0], [2.0, 10.0]])
/// >>> quantiles.update(np.array([[2.0, 30.0]])).quantiles
/// array([[ 1., 10.],
///        [ 2., 20.]])
#[pyclass(name = "Quantiles", module = "planish.stats", frozen, weakref)]
pub struct PyQuantiles {
    stream: Stream<Sketches>,
    q: Vec<f64>,
    /// Whether `q` is one number.
    single: bool,
    error: f64,
}

impl PyQuantiles {
    fn size(&self) -> usize {
        Sketch::size(self.error)
    }

    fn try_clone(&self) -> PyResult<Self> {
        Ok(Self {
            stream: self.stream.copy()?,
            q: memory::copied(&self.q).raise()?,
            single: self.single,
            error: self.error,
        })
    }

    fn parameters(&self, py: Python<'_>) -> PyResult<String> {
        let error = if self.error == 0.002 { String::new() } else { format!(", rank_error={}", self.error) };
        Ok(format!("q={}, channel_axis={}{error}", self.q_object(py)?.repr()?, self.stream.axes.text()))
    }

    fn q_object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shape = [self.q.len()];
        to_numpy(py, self.q.iter().copied(), if self.single { &[] } else { &shape })?.call_method0("tolist")
    }
}

impl Statistics for Sketches {
    type Settled = Self;

    fn settled(&mut self) -> Result<Self, Error> {
        self.try_clone()
    }
}

#[pymethods]
impl PyQuantiles {
    #[new]
    #[pyo3(signature = (q=None, channel_axis=Chosen::DEFAULT, _saved=None, *, rank_error=0.002), text_signature = "(q=(0.25, 0.5, 0.75), channel_axis=-1, *, rank_error=0.002)")]
    fn new(
        q: Option<&Bound<'_, PyAny>>,
        channel_axis: Chosen,
        _saved: Option<&Bound<'_, PyDict>>,
        rank_error: f64,
    ) -> PyResult<Self> {
        let rank_error = parameter(_saved, "rank_error")?.unwrap_or(rank_error);
        let (single, q) = match q {
            None => (false, vec![0.25, 0.5, 0.75]),
            Some(q) => {
                let (shape, values) = super::arrays::doubles(q, "q")?;
                if shape.len() > 1 || values.is_empty() {
                    return Err(PyValueError::new_err(format!(
                        "q must be a number or a sequence of numbers; got {}",
                        quoted(&q.to_string())
                    )));
                }
                (shape.is_empty(), values)
            }
        };
        check_q(&q)?;
        if !(LEAST_ERROR..0.5).contains(&rank_error) {
            return Err(PyValueError::new_err(format!(
                "rank_error must be at least {LEAST_ERROR} and less than 0.5; got {rank_error}"
            )));
        }
        let this = Self { stream: Stream::chosen(channel_axis), q, single, error: rank_error };
        _saved.map_or(Ok(()), |state| this.__setstate__(state))?;
        Ok(this)
    }

    /// Take in a batch.
    ///
    /// Parameters
    /// ----------
    /// x : array-like
    ///     Any shape and any strides; read where it lies. NaN is left out.
    /// weights : array-like of shape (n_samples,) or of the shape of `x`, default=None
    ///     Finite and not negative: of each sample along axis 0, or of each element. Whole numbers up to 2**40 count as so
    ///     many equal elements; others are rounded to a thousandth of their mean, here as in `count`.
    /// mask : array-like of bool, default=None
    ///     True for the elements that count; of a shape that broadcasts to that of `x`.
    ///
    /// Returns
    /// -------
    /// self : Quantiles
    ///     Itself.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If `x` has a dtype that is not accepted.
    /// ValueError
    ///     If `x` contains infinity that counts or has other channels than before, or the mask does not fit, or weights are
    ///     negative or not finite, or so far from those before (from a factor of about 1e12 on) that these cannot be
    ///     counted together. The state stays as it was.
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
        let (stream, size) = (&slf.get().stream, slf.get().size());
        let batch = stream.batch(x, name)?;
        let mask = batch.mask(mask)?;
        let weights = weights.map(|weights| Weights::new(weights, &batch)).transpose()?;
        let sketches = with_element!(batch.x.dtype, T => {
            let (x, kept, mask) = (batch.x.view::<T>(), &batch.kept, mask.as_ref().map(Mask::view));
            let weights = weights.as_ref().map(Weights::view);
            threads::run(slf.py(), batch.x.bytes(), move |threads| match (weights, mask) {
                (Some(weights), mask) => Sketches::of_weighted(x, weights, mask, kept, size, threads),
                (None, Some(mask)) => Sketches::of(Masked::new(x, mask), kept, size, threads),
                (None, None) => Sketches::of(x, kept, size, threads),
            })
        });
        let sketches = sketches.map_err(|error| match error {
            Error::Infinite => infinite(name, batch.x.dtype),
            Error::BadWeight => to_python(&error, "weights"),
            error => to_python(&error, name),
        })?;
        stream.join(&batch.shape, name, |state| state.merge(&sketches, size))?;
        Ok(slf)
    }

    /// Change `self`: join statistics that were gathered apart, as if their elements had come after.
    ///
    /// Parameters
    /// ----------
    /// other : Quantiles
    ///     With channels of the same shape and the same `rank_error`, or empty. It is not changed.
    ///
    /// Returns
    /// -------
    /// self : Quantiles
    ///     Itself.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the channels or `rank_error` differ.
    fn merge<'py>(slf: Bound<'py, Self>, other: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let State { shape, statistics } = other.get().stream.snapshot()?;
        let (ours, theirs) = (slf.get().error, other.get().error);
        if ours.to_bits() != theirs.to_bits() {
            return Err(PyValueError::new_err(format!(
                "other has rank_error={theirs}; this one has rank_error={ours}"
            )));
        }
        if let Some(shape) = shape {
            let size = slf.get().size();
            slf.get().stream.join(&shape, "other", |state| state.merge(&statistics, size))?;
        }
        Ok(slf)
    }

    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::merge(Bound::new(slf.py(), slf.get().try_clone()?)?, other)
    }

    fn __radd__(&self, zero: Zero) -> PyResult<Self> {
        let Zero = zero;
        self.try_clone()
    }

    fn __iadd__(slf: &Bound<'_, Self>, other: &Bound<'_, Self>) -> PyResult<()> {
        Self::merge(slf.clone(), other).map(|_| ())
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> PyResult<bool> {
        let other = other.get();
        Ok(self.stream.axes == other.stream.axes
            && self.q == other.q
            && self.single == other.single
            && self.error.to_bits() == other.error.to_bits()
            && self.stream.snapshot()? == other.stream.snapshot()?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        text(slf.as_any(), slf.get().parameters(slf.py())?, &SHOWN)
    }

    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        html(slf.as_any(), slf.get().parameters(slf.py())?, &SHOWN)
    }

    /// The axis or axes that keep their own quantiles.
    #[getter]
    fn channel_axis<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.stream.axes.to_object(py)
    }

    /// The quantiles that are asked for.
    #[getter]
    fn q<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.q_object(py)
    }

    /// How far the rank of a result may be off, as a fraction of the number of elements.
    #[getter]
    fn rank_error(&self) -> f64 {
        self.error
    }

    /// Number of elements of each channel.
    #[getter]
    fn count<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some((shape, statistics)) = self.stream.snapshot()?.any() else { return to_numpy(py, [0_i64], &[]) };
        let counts = statistics.channels.iter().map(Channel::count);
        if statistics.unit == 0 {
            return to_numpy(py, counts.map(|count| count as i64), &shape);
        }
        to_numpy(py, counts.map(|count| scaled(count as f64, statistics.unit)), &shape)
    }

    /// The quantiles of each channel.
    #[getter]
    fn quantiles<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (shape, statistics) = self.stream.snapshot()?.seen()?;
        let between = statistics.channels.iter().map(|channel| channel.quantiles(&self.q));
        let between: Vec<_> = memory::collect_all(between).raise()?;
        let table = table(py, &between, &self.q, &shape)?;
        if self.single { table.get_item(0) } else { Ok(table) }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, Arguments<'py>>> {
        let (this, py) = (slf.get(), slf.py());
        let state = this.__getstate__(py)?;
        state.set_item("rank_error", this.error)?;
        Ok((slf.get_type(), (this.q_object(py)?, this.stream.axes.to_object(py)?, state)))
    }

    fn __getstate__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let State { shape, statistics: Sketches { channels, unit } } = self.stream.snapshot()?;
        let state = PyDict::new(py);
        state.set_item("version", VERSION)?;
        state.set_item("unit", unit)?;
        state.set_item("shape", shape)?;
        let (mut sizes, mut items, mut counted) = (Vec::new(), Vec::new(), Vec::new());
        for (index, Channel { counts, sketch }) in channels.iter().enumerate() {
            for (level, level_items) in sketch.levels.iter().enumerate() {
                memory::extend(&mut sizes, [index as u64, level as u64, level_items.len() as u64]).raise()?;
                memory::extend(&mut items, level_items.iter().copied()).raise()?;
            }
            memory::reserve(&mut counted, 3 * counts.len()).raise()?;
            counted.extend(counts.iter().flat_map(|(value, count)| [index as i64, (*value).into(), *count as i64]));
        }
        let coins = channels.iter().flat_map(|channel| channel.sketch.coins);
        let bounds = channels.iter().flat_map(|channel| [channel.sketch.min, channel.sketch.max]);
        let count = channels.len();
        let (levels, values, integers) = (sizes.len() / 3, items.len(), counted.len() / 3);
        state.set_item("coins", to_numpy(py, coins, &[count, 3])?)?;
        state.set_item("bounds", to_numpy(py, bounds, &[count, 2])?)?;
        // Rows of channel, level and number of items, then all items; rows of channel, integer and its count.
        state.set_item("levels", to_numpy(py, sizes, &[levels, 3])?)?;
        state.set_item("items", to_numpy(py, items, &[values, 1])?)?;
        state.set_item("counts", to_numpy(py, counted, &[integers, 3])?)?;
        Ok(state)
    }

    fn __setstate__(&self, state: &Bound<'_, PyDict>) -> PyResult<()> {
        let field = saved(state, VERSION)?;
        let shape = saved_shape(&field("shape")?)?;
        let unit: i32 = saved_number(&field("unit")?, "no valid unit")?;
        if !(-MOST_DIGITS..=MOST_DIGITS).contains(&unit) {
            return Err(damaged("a unit that cannot be"));
        }
        let (coins, bounds) = (rows::<u64, 3>(&field("coins")?)?, rows::<f64, 2>(&field("bounds")?)?);
        let lengths = [coins.len(), bounds.len()];
        let sketch = |(coins, [min, max]): ([u64; 3], [f64; 2])| Sketch { coins, min, max, ..Sketch::default() };
        let sketches = coins.into_iter().zip(bounds).map(sketch);
        let mut channels: Vec<Channel> =
            memory::collect(sketches.map(|sketch| Channel { counts: Vec::new(), sketch })).raise()?;
        let items = rows::<f64, 1>(&field("items")?)?;
        let mut items = items.as_flattened();
        for [index, level, len] in rows::<u64, 3>(&field("levels")?)? {
            let channel = usize::try_from(index).ok().and_then(|index| channels.get_mut(index));
            let taken = usize::try_from(len).ok().and_then(|len| items.split_at_checked(len));
            let (Some(Channel { sketch, .. }), Some((taken, rest)), 0..=62) = (channel, taken, level) else {
                return Err(damaged("levels that do not fit its items"));
            };
            let count = (len as u128) << level;
            let inside = |item: &f64| *item >= sketch.min && *item <= sketch.max && item.is_finite();
            if sketch.levels.len() as u64 != level
                || !taken.iter().all(inside)
                || count + u128::from(sketch.count) >= 1 << 62
            {
                return Err(damaged("items that cannot be"));
            }
            sketch.count += count as u64;
            memory::push(&mut sketch.levels, memory::copied(taken).raise()?).raise()?;
            items = rest;
        }
        if !items.is_empty() {
            return Err(damaged("levels that do not fit its items"));
        }
        let mut totals: Vec<u64> = memory::collect(channels.iter().map(Channel::count)).raise()?;
        for [index, value, count] in rows::<i64, 3>(&field("counts")?)? {
            let channel =
                usize::try_from(index).ok().and_then(|index| channels.get_mut(index).zip(totals.get_mut(index)));
            let value = i32::try_from(value).ok().filter(|value| (i16::MIN.into()..=u16::MAX.into()).contains(value));
            let (Some((channel, total)), Some(value), 1..) = (channel, value, count) else {
                return Err(damaged("counts that cannot be"));
            };
            let ascending = channel.counts.last().is_none_or(|(last, _)| *last < value);
            *total += count as u64;
            if !ascending || *total >= 1 << 62 {
                return Err(damaged("counts that cannot be"));
            }
            memory::push(&mut channel.counts, (value, count as u64)).raise()?;
        }
        self.stream.restore(shape, lengths, false, Sketches { channels, unit })
    }
}

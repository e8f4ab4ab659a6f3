//! What the streaming accumulators share: the channels, a lock, weights, and errors.

use super::arrays::{Array, conversions, tuple, unmasked};
use super::axes::{ChannelAxes, Chosen, kept_shape};
use super::errors::{Raise, instead, quoted, to_python};
use super::threads;
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray1, PyUntypedArrayMethods};
use planish::axes::MAX_AXES;
use planish::element::Bool;
use planish::error::Error;
use planish::memory;
use planish::stats::extrema::Extrema;
use planish::view::View;
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple, PyType};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Statistics of every channel.
pub trait Statistics: Default + From<Self::Settled> {
    /// What they are when nothing is left to be done.
    type Settled;
    /// A copy.
    fn settled(&mut self) -> Result<Self::Settled, Error>;
}

/// A state that grows batch by batch.
#[derive(Debug, Default, PartialEq)]
pub struct State<S> {
    /// Lengths of the kept axes; known from the first batch on.
    pub shape: Option<Vec<usize>>,
    /// The statistics.
    pub statistics: S,
}

/// A state with the axes that it keeps, behind a lock. The lock is only held while states are joined or read, never
/// while an array is reduced or the interpreter runs.
#[derive(Debug)]
pub struct Stream<S> {
    /// The axes that keep their own statistics.
    pub axes: ChannelAxes,
    /// Whether the axes were given, and so are not the default.
    given: bool,
    state: Mutex<State<S>>,
}

/// An array to take in, and which of its axes are kept.
pub struct Batch<'py> {
    /// The array.
    pub x: Array<'py>,
    /// For each axis whether it is kept.
    pub kept: Vec<bool>,
    /// Lengths of the kept axes.
    pub shape: Vec<usize>,
    /// Which of its elements count, where it is a masked array.
    own: Option<Bound<'py, PyAny>>,
}

impl<'py> Batch<'py> {
    /// Which elements count: by `mask`, and by the mask of the array itself.
    pub fn mask(&self, mask: Option<&Bound<'py, PyAny>>) -> PyResult<Option<Mask<'py>>> {
        Mask::both(self.own.as_ref(), mask, &self.x)
    }
}

impl<S> State<S> {
    /// The shape of the channels and their statistics, if a batch was taken in.
    pub fn any(self) -> Option<(Vec<usize>, S)> {
        self.shape.map(|shape| (shape, self.statistics))
    }

    /// The shape of the channels and their statistics, of which there are none before the first batch.
    pub fn seen(self) -> PyResult<(Vec<usize>, S)> {
        self.any().ok_or_else(|| {
            PyValueError::new_err(
                "nothing has been taken in yet, so that there are no statistics; update takes a batch",
            )
        })
    }
}

/// How an accumulator shows itself: what it was made with, and the `values` that are its statistics.
pub fn text(slf: &Bound<'_, PyAny>, head: String, values: &[&str]) -> PyResult<String> {
    shown(slf, "text", head, values)
}

/// The same as a table in HTML.
pub fn html(slf: &Bound<'_, PyAny>, head: String, values: &[&str]) -> PyResult<String> {
    shown(slf, "html", head, values)
}

fn shown(slf: &Bound<'_, PyAny>, form: &str, head: String, values: &[&str]) -> PyResult<String> {
    slf.py().import("planish._shown")?.call_method1(form, (slf, head, values))?.extract()
}

impl<S: Statistics> Stream<S> {
    /// Nothing seen yet.
    pub fn new(axes: ChannelAxes) -> Self {
        Self::chosen(Chosen { axes, given: true })
    }

    /// Nothing seen yet, of axes that may be the default.
    pub fn chosen(Chosen { axes, given }: Chosen) -> Self {
        Self { axes, given, state: Mutex::new(State::default()) }
    }

    /// The state, locked.
    pub fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the state.
    pub fn snapshot(&self) -> PyResult<State<S::Settled>> {
        let State { shape, statistics } = &mut *self.lock();
        let shape = shape.as_deref().map(memory::copied).transpose().raise()?;
        Ok(State { shape, statistics: statistics.settled().raise()? })
    }

    /// Look at an array before it is taken in.
    pub fn batch<'py>(&self, x: &Bound<'py, PyAny>, name: &str) -> PyResult<Batch<'py>> {
        let (x, own) = unmasked(x, name)?;
        let kept = self.axes.kept(x.shape.len())?;
        let shape = kept_shape(&x.shape, &kept);
        check_shape(&self.lock(), &shape, name)?;
        if !self.given && matches!(x.shape.len(), 3 | 4) && self.lock().shape.is_none() {
            let mistakes = x.object.py().import("planish._mistakes")?;
            mistakes.call_method1("warn_of_shape", (name, PyTuple::new(x.object.py(), &x.shape)?))?;
        }
        Ok(Batch { x, kept, shape, own })
    }

    /// Join statistics of channels of `shape` to the state, which stays as it was if that fails.
    pub fn join(&self, shape: &[usize], name: &str, merge: impl FnOnce(&mut S) -> Result<(), Error>) -> PyResult<()> {
        self.join_if(shape, name, |state| merge(state).map(|()| true)).map(|_| ())
    }

    /// The same, where `merge` may find that it does not join them so; whether it did.
    pub fn join_if(
        &self,
        shape: &[usize],
        name: &str,
        merge: impl FnOnce(&mut S) -> Result<bool, Error>,
    ) -> PyResult<bool> {
        let ours = memory::copied(shape).raise()?;
        let mut state = self.lock();
        check_shape(&state, shape, name)?;
        let joined = merge(&mut state.statistics).map_err(|error| to_python(&error, name))?;
        if joined {
            state.shape = Some(ours);
        }
        Ok(joined)
    }

    /// A stream of its own in the same state.
    pub fn copy(&self) -> PyResult<Self> {
        let State { shape, statistics } = self.snapshot()?;
        let state = Mutex::new(State { shape, statistics: statistics.into() });
        Ok(Self { axes: self.axes.clone(), given: self.given, state })
    }

    /// Put back a saved state. Each of its tables is as long as there are channels, or empty where `optional` says that
    /// another table may hold them.
    pub fn restore<const N: usize>(
        &self,
        shape: Option<Vec<usize>>,
        lengths: [usize; N],
        optional: bool,
        statistics: S::Settled,
    ) -> PyResult<()> {
        let product = |shape: &Vec<usize>| shape.iter().try_fold(1usize, |product, len| product.checked_mul(*len));
        let channels = shape.as_ref().map_or(Some(0), product);
        let fits = |length: &usize| Some(*length) == channels;
        let whole = if optional {
            lengths.iter().any(fits) && lengths.iter().all(|length| fits(length) || *length == 0)
        } else {
            lengths.iter().all(fits)
        };
        if !whole {
            return Err(damaged("tables that do not fit its shape"));
        }
        *self.lock() = State { shape, statistics: statistics.into() };
        Ok(())
    }
}

fn check_shape<S>(state: &State<S>, shape: &[usize], name: &str) -> PyResult<()> {
    match &state.shape {
        Some(ours) if ours != shape => Err(PyValueError::new_err(format!(
            "{name} has channels of shape {}; the statistics so far have channels of shape {}",
            tuple(shape),
            tuple(ours)
        ))),
        _ => Ok(()),
    }
}

/// The error for a saved state that cannot be right.
pub fn damaged(what: &str) -> PyErr {
    PyValueError::new_err(format!("the saved state has {what}"))
}

/// What `__reduce__` gives: the class, and the arguments that make the object anew. These end in its state, so that one
/// call is all there is to do, for every protocol of pickle and for what else asks.
pub type Reduced<'py, A> = (Bound<'py, PyType>, A);

/// A parameter that `__reduce__` has put into the state.
pub fn parameter(state: Option<&Bound<'_, PyDict>>, name: &str) -> PyResult<Option<f64>> {
    let Some(value) = state.map(|state| state.get_item(name)).transpose()?.flatten() else { return Ok(None) };
    value.extract().map(Some).map_err(|_| damaged(&format!("no valid {name}")))
}

/// The number that `sum` starts from. Python asks others what they make of an addition with something else.
pub struct Zero;

impl FromPyObject<'_, '_> for Zero {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let zero = object.is_exact_instance_of::<PyInt>() && !object.is_truthy()?;
        zero.then_some(Self).ok_or_else(|| PyTypeError::new_err("the number 0 is accepted"))
    }
}

/// Access to the fields of a saved state of this `version`.
pub fn saved<'a, 'py>(
    state: &'a Bound<'py, PyDict>,
    version: i64,
) -> PyResult<impl Fn(&str) -> PyResult<Bound<'py, PyAny>> + use<'a, 'py>> {
    let field = |name: &str| {
        state.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("the saved state has no {name:?}")))
    };
    let unreadable = |error| instead(state.py(), error, || damaged("no valid version"));
    let found: i64 = field("version")?.extract().map_err(unreadable)?;
    if found != version {
        return Err(PyValueError::new_err(format!(
            "the saved state has version {found}; this planish reads {version}"
        )));
    }
    Ok(field)
}

/// The shape of a saved state.
pub fn saved_shape(shape: &Bound<'_, PyAny>) -> PyResult<Option<Vec<usize>>> {
    if shape.is_none() {
        return Ok(None);
    }
    // One more than NumPy's arrays may have, for groups.
    if !shape.len().is_ok_and(|axes| axes <= MAX_AXES + 1) {
        return Err(damaged("no valid shape"));
    }
    shape.extract().map(Some).map_err(|error| instead(shape.py(), error, || damaged("no valid shape")))
}

/// A number of a saved state.
pub fn saved_number<'py, T: FromPyObjectOwned<'py>>(number: &Bound<'py, PyAny>, what: &str) -> PyResult<T> {
    number.extract().map_err(|error: T::Error| instead(number.py(), error.into(), || damaged(what)))
}

/// The rows of a saved table of `N` columns.
pub fn rows<T: numpy::Element + Copy + Default, const N: usize>(table: &Bound<'_, PyAny>) -> PyResult<Vec<[T; N]>> {
    let table =
        table.cast::<PyArray2<T>>().map_err(|_| PyValueError::new_err("the saved state has a damaged table"))?;
    if table.shape().get(1) != Some(&N) {
        return Err(PyValueError::new_err("the saved state has a table of the wrong width"));
    }
    let table = table.try_readonly()?;
    let table = table.as_array();
    let mut values = table.iter().copied();
    let row = |_| std::array::from_fn(|_| values.next().unwrap_or_default());
    memory::collect((0..table.len() / N).map(row)).raise()
}

/// The groups of the samples of `x`, the argument `name`, along its first axis, which is not kept: all below `count`.
pub fn codes_of<'a>(
    codes: &'a PyReadonlyArray1<'_, u32>,
    x: &Array<'_>,
    name: &str,
    count: usize,
    kept: &[bool],
) -> PyResult<&'a [u32]> {
    let codes = codes
        .as_slice()
        .ok()
        .filter(|codes| x.shape.first() == Some(&codes.len()) && codes.iter().all(|code| (*code as usize) < count));
    codes.filter(|_| kept.first() == Some(&false)).ok_or_else(|| {
        PyValueError::new_err(format!(
            "one code below {count} for each sample of {name} is accepted, and channels along other axes"
        ))
    })
}

/// The samples of an array, along its first axis, by the code of their group.
pub struct Groups<'py> {
    /// The array.
    pub x: Array<'py>,
    /// For each of its axes whether it is kept.
    pub kept: Vec<bool>,
    codes: PyReadonlyArray1<'py, u32>,
    count: usize,
}

impl<'py> Groups<'py> {
    /// Look at an array, the codes of its samples, all below `count`, and the axes that it keeps in every group.
    pub fn new(
        x: &Bound<'py, PyAny>,
        name: &str,
        codes: &Bound<'py, PyAny>,
        count: usize,
        axes: &ChannelAxes,
    ) -> PyResult<Self> {
        let x = Array::new(x, name)?;
        let kept = axes.kept(x.shape.len())?;
        let codes: PyReadonlyArray1<'py, u32> = codes.extract()?;
        codes_of(&codes, &x, name, count, &kept)?;
        Ok(Self { x, kept, codes, count })
    }

    /// The code of each sample.
    pub fn codes(&self) -> &[u32] {
        self.codes.as_slice().unwrap_or_default()
    }

    /// A stream that has seen `statistics` of all groups: these are its first axis.
    pub fn stream<S: Statistics>(&self, statistics: S::Settled) -> Stream<S> {
        let kept = self.kept.iter().enumerate().filter(|(_, kept)| **kept);
        let axes = std::iter::once(0).chain(kept.map(|(axis, _)| axis as isize + 1)).collect();
        let mut shape = kept_shape(&self.x.shape, &self.kept);
        shape.insert(0, self.count);
        let stream = Stream::new(ChannelAxes::Several(axes));
        *stream.lock() = State { shape: Some(shape), statistics: statistics.into() };
        stream
    }
}

/// A mask for `x`, with its shape by broadcasting strides.
pub struct Mask<'py>(Array<'py>);

impl<'py> Mask<'py> {
    /// What `mask` and the mask that `x` had of its `own` both let count.
    pub fn both(
        own: Option<&Bound<'py, PyAny>>,
        mask: Option<&Bound<'py, PyAny>>,
        x: &Array<'py>,
    ) -> PyResult<Option<Self>> {
        let (Some(own), Some(mask)) = (own, mask) else {
            return own.or(mask).map(|mask| Self::new(mask, x)).transpose();
        };
        let shape = PyTuple::new(mask.py(), &x.shape)?;
        Self::new(&conversions(mask.py())?.call_method1("both", (own, mask, shape))?, x).map(Some)
    }

    /// Truth values that NumPy broadcasts to the shape of `x`: which of its elements count.
    fn new(mask: &Bound<'py, PyAny>, x: &Array<'py>) -> PyResult<Self> {
        let numpy = mask.py().import("numpy")?;
        let array = conversions(mask.py())?.call_method1("counting", ("mask", mask))?;
        let dtype = array.getattr("dtype")?;
        if dtype.getattr("kind")?.extract::<String>()? != "b" {
            return Err(PyTypeError::new_err(format!(
                "mask has dtype {}; truth values are accepted: True for the elements that count",
                quoted(&dtype.to_string())
            )));
        }
        let shape = PyTuple::new(mask.py(), &x.shape)?;
        let broadcast = numpy.call_method1("broadcast_to", (&array, shape)).map_err(|error| {
            instead(mask.py(), error, || {
                let theirs = array.getattr("shape").map_or_else(|_| "no shape".into(), |shape| shape.to_string());
                PyValueError::new_err(format!(
                    "mask has shape {theirs}, which does not broadcast to that of x, {}",
                    tuple(&x.shape)
                ))
            })
        })?;
        Ok(Self(Array::new(&broadcast, "mask")?))
    }

    /// To read along with `x`.
    pub fn view(&self) -> View<'_, Bool> {
        self.0.view()
    }
}

/// Weights for `x`, with its shape by broadcasting strides.
pub struct Weights<'py> {
    array: Array<'py>,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

impl<'py> Weights<'py> {
    /// Weights per sample (the first axis of `x`) or per element. They must be finite and not negative.
    pub fn new(weights: &Bound<'py, PyAny>, batch: &Batch<'py>) -> PyResult<Self> {
        let py = weights.py();
        let numpy = py.import("numpy")?;
        let array = conversions(py)?.call_method1("counting", ("weights", weights))?;
        if array.getattr("dtype")?.getattr("kind")?.extract::<String>()? == "c" {
            return Err(PyTypeError::new_err("weights are complex; real weights are accepted"));
        }
        let array = Array::new(&numpy.call_method1("asarray", (array, "float64"))?, "weights")?;
        let x = &batch.x;
        let per_sample = array.shape.len() == 1 && x.shape.first() == array.shape.first();
        let strides = if array.shape == x.shape {
            memory::copied(&array.strides).raise()?
        } else if per_sample {
            if batch.kept.first() == Some(&true) {
                return Err(PyValueError::new_err(
                    "weights of shape (n_samples,) weigh the samples along axis 0, which channel_axis keeps; weights \
                     of the shape of x are accepted",
                ));
            }
            let mut strides = memory::filled(0, x.shape.len()).raise()?;
            strides.iter_mut().zip(&array.strides).for_each(|(stride, step)| *stride = *step);
            strides
        } else {
            let samples = x.shape.first().map_or_else(|| "()".into(), |n| format!("({n},)"));
            return Err(PyValueError::new_err(format!(
                "weights have shape {}; accepted are {samples}, one for each sample, or {}, one for each element",
                tuple(&array.shape),
                tuple(&x.shape)
            )));
        };
        let (view, all) = (array.view::<f64>(), memory::filled(false, array.shape.len()).raise()?);
        let extrema = threads::run(py, array.bytes(), move |threads| Extrema::of(view, &all, threads));
        let good = |c: &planish::stats::extrema::Cell| {
            c.count == array.len() as u64 && (c.count == 0 || c.min >= 0.0 && c.max.is_finite())
        };
        if !extrema.raise()?.cells.iter().all(good) {
            return Err(to_python(&Error::BadWeight, "weights"));
        }
        Ok(Self { shape: memory::copied(&x.shape).raise()?, strides, array })
    }

    /// To read along with `x`.
    pub fn view(&self) -> View<'_, f64> {
        // SAFETY: as for `Array::view`; a stride of zero repeats an element along an axis of `x`.
        unsafe { View::new(self.array.start, &self.shape, &self.strides) }
    }
}

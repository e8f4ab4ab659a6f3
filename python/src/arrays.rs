//! NumPy arrays as views of the core, without copying and without trust: shape and strides are copied before the GIL
//! is released, dtypes are matched once, alignment is left to the core.

use super::errors::{Raise, quoted, to_python};
use numpy::npyffi::flags::NPY_ARRAY_WRITEABLE;
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
pub use planish::array::{ACCEPTED, DType, tuple};
use planish::array::{Array as Described, Overlap};
use planish::error::Error;
use planish::memory;
use planish::view::{View, ViewMut};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// As the core's `with_float!`; of a dtype of integers the function returns a TypeError.
macro_rules! with_float {
    ($dtype:expr, $T:ident => $body:expr) => {
        planish::with_float!($dtype, $T => $body, other => return Err($crate::errors::no_float(other)))
    };
}
pub(crate) use with_float;

/// The dtype of `descr`, if it is one of ours and in native byte order.
pub fn dtype_of(descr: &Bound<'_, PyArrayDescr>) -> Option<DType> {
    if descr.is_native_byteorder() == Some(false) {
        return None;
    }
    match (descr.kind(), descr.itemsize()) {
        (b'f', 8) => Some(DType::F64),
        (b'f', 4) => Some(DType::F32),
        (b'f', 2) => Some(DType::F16),
        (b'u', 1) => Some(DType::U8),
        (b'u', 2) => Some(DType::U16),
        (b'u', 4) => Some(DType::U32),
        (b'u', 8) => Some(DType::U64),
        (b'i', 1) => Some(DType::I8),
        (b'i', 2) => Some(DType::I16),
        (b'i', 4) => Some(DType::I32),
        (b'i', 8) => Some(DType::I64),
        (b'b', 1) => Some(DType::Bool),
        // A dtype that `ml_dtypes` registers with NumPy.
        (_, 2) if descr.typeobj().name().is_ok_and(|name| name == "bfloat16") => Some(DType::BF16),
        _ => None,
    }
}

/// A NumPy array of one of our dtypes.
pub struct Array<'py> {
    /// The array; it keeps the memory alive.
    pub object: Bound<'py, PyUntypedArray>,
    /// Where its elements lie.
    lies: Described,
}

impl std::ops::Deref for Array<'_> {
    type Target = Described;

    fn deref(&self) -> &Described {
        &self.lies
    }
}

impl<'py> Array<'py> {
    /// From an array, or from anything that gives one without copying (`__array__`, DLPack) or with (a list).
    pub fn new(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        let array = match object.cast_exact::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => convert(object, name)?,
        };
        let descr = array.dtype();
        let Some(dtype) = dtype_of(&descr) else {
            let dtype = quoted(&descr.str()?.to_string());
            return Err(PyTypeError::new_err(format!("{name} has dtype {dtype}; accepted are {ACCEPTED}")));
        };
        Self::of(&array, dtype)
    }

    /// Of an array that has this dtype.
    pub fn of(array: &Bound<'py, PyUntypedArray>, dtype: DType) -> PyResult<Self> {
        // SAFETY: `array` is a NumPy array, which is alive.
        let start = unsafe { (*array.as_array_ptr()).fields.data.cast() };
        let lies = Described::new(dtype, array.shape(), array.strides(), start).raise()?;
        Ok(Self { object: array.clone(), lies })
    }

    /// Where the part at `index` of the first axis begins, and its shape and strides.
    pub fn part(&self, index: usize) -> PyResult<(*mut u8, &[usize], &[isize])> {
        self.lies.part(index).ok_or_else(|| {
            PyIndexError::new_err(format!("index {index} is out of range for shape {}", tuple(&self.shape)))
        })
    }

    /// Whether NumPy lets it be written.
    pub fn is_writeable(&self) -> bool {
        // SAFETY: `object` is a NumPy array, which is alive.
        unsafe { (*self.object.as_array_ptr()).fields.flags & NPY_ARRAY_WRITEABLE != 0 }
    }

    /// To read. `T` must be the type of `dtype`, or `()` for a type that is told elsewhere.
    pub fn view<T>(&self) -> View<'_, T> {
        // SAFETY: NumPy vouches for the memory that shape and strides reach, and `object` keeps it alive. Another
        // thread may write it meanwhile, as with any NumPy function: the values then are unspecified. Every bit
        // pattern is a value of every element type.
        unsafe { self.lies.view() }
    }

    /// To write. `T` must be the type of `dtype`, or `()`, and the array writeable and free of overlaps.
    pub fn view_mut<T>(&self) -> ViewMut<'_, T> {
        // SAFETY: as for `view`; `check_target` has seen that the array is writeable and that no two elements overlap.
        unsafe { self.lies.view_mut() }
    }

    /// Check that this array, the argument `name`, can take a result of `dtype` computed from `input`; whether it is
    /// the input itself.
    pub fn check_output(&self, name: &str, input: &Self, dtype: DType) -> PyResult<bool> {
        self.check_target(name, &input.shape, dtype)?;
        let overlap = self.lies.overlap(&input.lies);
        if overlap == Overlap::Possible && self.shares_memory(input)? {
            return Err(to_python(&Error::OverlapsInput, name));
        }
        Ok(overlap == Overlap::Same)
    }

    /// Check that this array, the argument `name`, can take a result of `shape` and `dtype`.
    pub fn check_target(&self, name: &str, shape: &[usize], dtype: DType) -> PyResult<()> {
        self.lies.check_target(shape, dtype, self.is_writeable()).map_err(|error| to_python(&error, name))
    }

    /// Check that this array, the argument `name`, shares no memory with `input`.
    pub fn check_apart(&self, name: &str, input: &Self) -> PyResult<()> {
        if self.lies.overlap(&input.lies) != Overlap::None && self.shares_memory(input)? {
            return Err(to_python(&Error::OverlapsInput, name));
        }
        Ok(())
    }

    /// The same array with axis `from` at place `to`.
    pub fn with_axis_moved(mut self, from: usize, to: usize) -> Self {
        let Described { shape, strides, .. } = &mut self.lies;
        let (len, stride) = (shape.remove(from), strides.remove(from));
        shape.insert(to, len);
        strides.insert(to, stride);
        self
    }

    /// Exactly, by NumPy; `true` where that would take too long.
    fn shares_memory(&self, other: &Self) -> PyResult<bool> {
        let py = self.object.py();
        let numpy = py.import(intern!(py, "numpy"))?;
        let limit = PyDict::new(py);
        limit.set_item("max_work", 1_000_000)?;
        let shared = numpy.call_method("shares_memory", (&self.object, &other.object), Some(&limit));
        match shared {
            Ok(shared) => shared.extract(),
            Err(error) if error.is_instance(py, &numpy.getattr("exceptions")?.getattr("TooHardError")?) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The functions of the package that make arrays of what a caller gives.
pub fn conversions(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "planish._arrays"))
}

/// An array of numbers from anything, and which of its elements count, where it brings a mask along.
pub fn unmasked<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<(Array<'py>, Option<Bound<'py, PyAny>>)> {
    if accepts(object) {
        return Ok((Array::new(object, name)?, None));
    }
    let found = conversions(object.py())?.call_method1(intern!(object.py(), "unmasked"), (name, object))?;
    let (array, counts): (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>) = found.extract()?;
    Ok((Array::new(&array, name)?, counts))
}

/// An array from anything else: `__array__` first (which shares memory where it can), then DLPack.
fn convert<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = object.py();
    let array = conversions(py)?.call_method1(intern!(py, "as_array"), (name, object))?;
    Ok(array.cast_into::<PyUntypedArray>()?)
}

/// A shape and its elements, in C order.
type Doubles = (Vec<usize>, Vec<f64>);

/// The elements of a NumPy array of doubles or floats, where they lie side by side, with its shape.
fn contiguous(values: &Bound<'_, PyAny>) -> Option<Result<Doubles, Error>> {
    let array = values.cast_exact::<PyUntypedArray>().ok().filter(|a| a.is_c_contiguous())?;
    // SAFETY: `array` is a NumPy array, which is alive.
    let start: *const u8 = unsafe { (*array.as_array_ptr()).fields.data.cast() };
    let aligned = |size: usize| (start as usize).is_multiple_of(size).then_some(array.len());
    let values = match dtype_of(&array.dtype())? {
        // SAFETY: NumPy vouches for as many elements from there on, which are aligned. The GIL is held (or, on a
        // free-threaded Python, a concurrent writer makes the values unspecified, as with any NumPy function), and they
        // are copied at once.
        DType::F64 => memory::copied(unsafe { std::slice::from_raw_parts(start.cast::<f64>(), aligned(8)?) }),
        DType::F32 => {
            // SAFETY: as above.
            let floats = unsafe { std::slice::from_raw_parts(start.cast::<f32>(), aligned(4)?) };
            memory::collect(floats.iter().map(|x| f64::from(*x)))
        }
        _ => return None,
    };
    Some(values.and_then(|values| Ok((memory::copied(array.shape())?, values))))
}

/// Real numbers as doubles, with their shape.
pub fn doubles(values: &Bound<'_, PyAny>, name: &str) -> PyResult<Doubles> {
    if let Some(found) = contiguous(values) {
        return found.raise();
    }
    let numpy = values.py().import(intern!(values.py(), "numpy"))?;
    let array = conversions(values.py())?.call_method1(intern!(values.py(), "as_array"), (name, values))?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let is_bfloat16 = || array.cast::<PyUntypedArray>().is_ok_and(|a| dtype_of(&a.dtype()) == Some(DType::BF16));
    if !matches!(kind.as_str(), "b" | "i" | "u" | "f") && !is_bfloat16() {
        return Err(PyTypeError::new_err(format!(
            "{name} must hold real numbers; got dtype {}",
            quoted(&array.getattr("dtype")?.to_string())
        )));
    }
    let array = numpy.call_method1("asarray", (array, "float64"))?.cast_into::<PyArrayDyn<f64>>()?;
    let values = memory::collect(array.try_readonly()?.as_array().iter().copied()).raise()?;
    Ok((memory::copied(array.shape()).raise()?, values))
}

/// Whether `x` is a plain NumPy array of a dtype that is read as it is.
#[pyfunction]
pub fn accepts(x: &Bound<'_, PyAny>) -> bool {
    x.cast_exact::<PyUntypedArray>().is_ok_and(|array| dtype_of(&array.dtype()).is_some())
}

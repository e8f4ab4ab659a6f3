//! NumPy arrays as views of the core, without copying and without trust: shape and strides are copied before the GIL
//! is released, dtypes are matched once, alignment is left to the core.

use super::errors::quoted;
use crate::error::Error;
use crate::memory;
use crate::view::{View, ViewMut};
use numpy::npyffi::flags::NPY_ARRAY_WRITEABLE;
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A dtype of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    BF16,
    F32,
    F64,
}

/// What is accepted, for error messages.
pub const ACCEPTED: &str =
    "bool, integers of 8 to 64 bits, float16, bfloat16, float32 and float64 in native byte order";

/// Evaluate an expression with `$T` being the element type of a [`DType`].
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use $crate::element::{Bool, bf16, f16};
        use $crate::python::arrays::DType;
        match $dtype {
            DType::Bool => {
                type $T = Bool;
                $body
            }
            DType::U8 => {
                type $T = u8;
                $body
            }
            DType::U16 => {
                type $T = u16;
                $body
            }
            DType::U32 => {
                type $T = u32;
                $body
            }
            DType::U64 => {
                type $T = u64;
                $body
            }
            DType::I8 => {
                type $T = i8;
                $body
            }
            DType::I16 => {
                type $T = i16;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::BF16 => {
                type $T = bf16;
                $body
            }
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
        }
    }};
}
pub(crate) use with_element;

/// As `with_element!` for floating-point dtypes; of another one the function returns a TypeError.
macro_rules! with_float {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use $crate::element::{bf16, f16};
        use $crate::python::arrays::DType;
        match $dtype {
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::BF16 => {
                type $T = bf16;
                $body
            }
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            // By name, so that a new dtype has to be put in one of the two places.
            other @ (DType::Bool
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64) => return Err($crate::python::errors::no_float(other)),
        }
    }};
}
pub(crate) use with_float;

impl DType {
    /// The dtype of `descr`, if it is one of ours and in native byte order.
    pub fn of(descr: &Bound<'_, PyArrayDescr>) -> Option<Self> {
        if descr.is_native_byteorder() == Some(false) {
            return None;
        }
        match (descr.kind(), descr.itemsize()) {
            (b'f', 8) => Some(Self::F64),
            (b'f', 4) => Some(Self::F32),
            (b'f', 2) => Some(Self::F16),
            (b'u', 1) => Some(Self::U8),
            (b'u', 2) => Some(Self::U16),
            (b'u', 4) => Some(Self::U32),
            (b'u', 8) => Some(Self::U64),
            (b'i', 1) => Some(Self::I8),
            (b'i', 2) => Some(Self::I16),
            (b'i', 4) => Some(Self::I32),
            (b'i', 8) => Some(Self::I64),
            (b'b', 1) => Some(Self::Bool),
            // A dtype that `ml_dtypes` registers with NumPy.
            (_, 2) if descr.typeobj().name().is_ok_and(|name| name == "bfloat16") => Some(Self::BF16),
            _ => None,
        }
    }

    /// Whether a map can write it.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        with_element!(self, T => size_of::<T>())
    }

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

/// A NumPy array of one of our dtypes.
pub struct Array<'py> {
    /// The array; it keeps the memory alive.
    pub object: Bound<'py, PyUntypedArray>,
    /// Its dtype.
    pub dtype: DType,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Step of each axis in bytes.
    pub strides: Vec<isize>,
    /// The element at index zero of every axis.
    pub start: *mut u8,
}

impl<'py> Array<'py> {
    /// From an array, or from anything that gives one without copying (`__array__`, DLPack) or with (a list).
    pub fn new(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        let array = match object.cast_exact::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => convert(object, name)?,
        };
        let descr = array.dtype();
        let Some(dtype) = DType::of(&descr) else {
            let dtype = quoted(&descr.str()?.to_string());
            return Err(PyTypeError::new_err(format!("{name} has dtype {dtype}; accepted are {ACCEPTED}")));
        };
        let (shape, strides) = (memory::copied(array.shape())?, memory::copied(array.strides())?);
        // SAFETY: `array` is a NumPy array, which is alive.
        let start = unsafe { (*array.as_array_ptr()).fields.data.cast() };
        Ok(Self { object: array, dtype, shape, strides, start })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size of the elements in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.size()
    }

    /// Where the part at `index` of the first axis begins, and its shape and strides.
    pub fn part(&self, index: usize) -> PyResult<(*mut u8, &[usize], &[isize])> {
        match (self.shape.split_first(), self.strides.split_first()) {
            (Some((len, shape)), Some((stride, strides))) if index < *len => {
                Ok((self.start.wrapping_offset(index as isize * stride), shape, strides))
            }
            _ => Err(PyIndexError::new_err(format!("index {index} is out of range for shape {}", tuple(&self.shape)))),
        }
    }

    /// Whether NumPy lets it be written.
    pub fn is_writeable(&self) -> bool {
        // SAFETY: `object` is a NumPy array, which is alive.
        unsafe { (*self.object.as_array_ptr()).fields.flags & NPY_ARRAY_WRITEABLE != 0 }
    }

    /// To read. `T` must be the type of `dtype`.
    pub fn view<T>(&self) -> View<'_, T> {
        debug_assert_eq!(size_of::<T>(), self.dtype.size());
        // SAFETY: NumPy vouches for the memory that shape and strides reach, and `object` keeps it alive. Another
        // thread may write it meanwhile, as with any NumPy function: the values then are unspecified. Every bit
        // pattern is a value of every element type.
        unsafe { View::new(self.start, &self.shape, &self.strides) }
    }

    /// To write. `T` must be the type of `dtype`, and the array writeable and free of overlaps.
    pub fn view_mut<T>(&self) -> ViewMut<'_, T> {
        debug_assert_eq!(size_of::<T>(), self.dtype.size());
        // SAFETY: as for `view`; `check_output` has seen that the array is writeable and that no two elements overlap.
        unsafe { ViewMut::new(self.start, &self.shape, &self.strides) }
    }

    /// The first byte and the one after the last.
    fn extent(&self) -> (usize, usize) {
        let (mut low, mut high) = (self.start as usize, self.start as usize + self.dtype.size());
        for (len, stride) in self.shape.iter().zip(&self.strides) {
            let reach = stride * (*len as isize - 1);
            if reach < 0 { low = low.wrapping_add_signed(reach) } else { high = high.wrapping_add_signed(reach) }
        }
        (low, high)
    }

    /// Whether two indices might reach the same memory.
    fn overlaps_itself(&self) -> bool {
        let mut axes: Vec<(usize, usize)> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(len, _)| **len > 1)
            .map(|(len, stride)| (stride.unsigned_abs(), *len))
            .collect();
        axes.sort_unstable();
        let mut span = self.dtype.size();
        for (stride, len) in axes {
            if stride < span {
                return true;
            }
            span += stride * (len - 1);
        }
        false
    }

    /// Check that this array, the argument `name`, can take a result of `dtype` computed from `input`; whether it is
    /// the input itself.
    pub fn check_output(&self, name: &str, input: &Self, dtype: DType) -> PyResult<bool> {
        self.check_target(name, &input.shape, dtype)?;
        let same_steps =
            self.shape.iter().zip(self.strides.iter().zip(&input.strides)).all(|(len, (a, b))| *len < 2 || a == b);
        if self.len() > 0 && self.start == input.start && same_steps && self.dtype.size() == input.dtype.size() {
            return Ok(true);
        }
        self.check_apart(name, input)?;
        Ok(false)
    }

    /// Check that this array, the argument `name`, can take a result of `shape` and `dtype`.
    pub fn check_target(&self, name: &str, shape: &[usize], dtype: DType) -> PyResult<()> {
        if self.dtype != dtype {
            return Err(PyTypeError::new_err(format!(
                "{name} has dtype {}; the result has dtype {}",
                self.dtype.name(),
                dtype.name()
            )));
        }
        if self.shape != shape {
            return Err(PyValueError::new_err(format!(
                "{name} has shape {}; the result has shape {}",
                tuple(&self.shape),
                tuple(shape)
            )));
        }
        if !self.is_writeable() {
            return Err(PyValueError::new_err(format!("{name} is read-only; a writeable array is accepted")));
        }
        if self.len() > 0 && self.overlaps_itself() {
            return Err(PyValueError::new_err(format!(
                "{name} has several elements in the same memory; an array without such overlaps is accepted"
            )));
        }
        Ok(())
    }

    /// Check that this array, the argument `name`, shares no memory with `input`.
    pub fn check_apart(&self, name: &str, input: &Self) -> PyResult<()> {
        if self.len() == 0 || input.len() == 0 {
            return Ok(());
        }
        let ((low, high), (input_low, input_high)) = (self.extent(), input.extent());
        if low < input_high && input_low < high && self.shares_memory(input)? {
            return Err(PyValueError::new_err(format!(
                "{name} overlaps the input and would overwrite elements before they are read; an array of other \
                 memory, or the input itself where it has the dtype of the result, is accepted"
            )));
        }
        Ok(())
    }

    /// The same array with axis `from` at place `to`.
    pub fn with_axis_moved(mut self, from: usize, to: usize) -> Self {
        let (len, stride) = (self.shape.remove(from), self.strides.remove(from));
        self.shape.insert(to, len);
        self.strides.insert(to, stride);
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
    let values = match DType::of(&array.dtype())? {
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
        return Ok(found?);
    }
    let numpy = values.py().import(intern!(values.py(), "numpy"))?;
    let array = conversions(values.py())?.call_method1(intern!(values.py(), "as_array"), (name, values))?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let is_bfloat16 = || array.cast::<PyUntypedArray>().is_ok_and(|a| DType::of(&a.dtype()) == Some(DType::BF16));
    if !matches!(kind.as_str(), "b" | "i" | "u" | "f") && !is_bfloat16() {
        return Err(PyTypeError::new_err(format!(
            "{name} must hold real numbers; got dtype {}",
            quoted(&array.getattr("dtype")?.to_string())
        )));
    }
    let array = numpy.call_method1("asarray", (array, "float64"))?.cast_into::<PyArrayDyn<f64>>()?;
    let values = memory::collect(array.try_readonly()?.as_array().iter().copied())?;
    Ok((memory::copied(array.shape())?, values))
}

/// A shape as Python writes it.
pub fn tuple(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether `x` is a plain NumPy array of a dtype that is read as it is.
#[pyfunction]
pub fn accepts(x: &Bound<'_, PyAny>) -> bool {
    x.cast_exact::<PyUntypedArray>().is_ok_and(|array| DType::of(&array.dtype()).is_some())
}

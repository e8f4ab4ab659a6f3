//! Compressed sparse matrices for Python, on SciPy's own buffers.

use super::arrays::{Array, DType, doubles};
use super::errors::{infinite, to_python};
use super::norms::NormName;
use super::quantiles::{check_q, table};
use super::results::empty_like;
use super::threads;
use planish::error::Error;
use planish::memory;
use planish::sparse::{self, Channels, Compressed};
use planish::stats::extrema::Extrema;
use planish::stats::moments::Moments;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The parts of a CSR or CSC matrix: data, indices, indptr, the length of a segment, and whether segments are channels.
pub struct Matrix<'py> {
    data: Array<'py>,
    indices: Array<'py>,
    indptr: Array<'py>,
    minor: usize,
    channels: Channels,
}

impl<'py> FromPyObject<'_, 'py> for Matrix<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        type Parts<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, usize, bool);
        let (data, indices, indptr, minor, by_segment): Parts<'py> = object.extract()?;
        let channels = if by_segment { Channels::Segments } else { Channels::Indices };
        let data = Array::new(&data, "the data of X")?;
        let (indices, indptr) = (Array::new(&indices, "the indices of X")?, Array::new(&indptr, "the indptr of X")?);
        for array in [&data, &indices, &indptr] {
            let size = array.dtype.size();
            let contiguous = array.shape.len() == 1 && (array.len() < 2 || *array.strides == [size as isize]);
            if !contiguous || !(array.start as usize).is_multiple_of(size) {
                return Err(PyValueError::new_err("the buffers of a sparse X must be contiguous and of one dimension"));
            }
        }
        if indices.dtype != indptr.dtype || !matches!(indices.dtype, DType::I32 | DType::I64) {
            return Err(PyTypeError::new_err("the indices of a sparse X must be int32 or int64, all of one dtype"));
        }
        if !matches!(data.dtype, DType::F32 | DType::F64) {
            return Err(PyTypeError::new_err(format!(
                "a sparse X has dtype {}; accepted are float32 and float64",
                data.dtype.name()
            )));
        }
        Ok(Self { data, indices, indptr, minor, channels })
    }
}

/// The elements of a contiguous array. `T` must be the type of its dtype.
fn slice<'a, T>(array: &'a Array<'_>) -> &'a [T] {
    debug_assert_eq!(size_of::<T>(), array.dtype.size());
    if array.is_empty() {
        return &[];
    }
    // SAFETY: `extract` has seen that the array is contiguous and aligned; NumPy vouches for its memory, and the array
    // keeps it alive. A concurrent writer makes the values unspecified, as with any NumPy function.
    unsafe { std::slice::from_raw_parts(array.start.cast::<T>().cast_const(), array.len()) }
}

/// Evaluate an expression with `$matrix` being the matrix at its own types.
macro_rules! with_matrix {
    ($parts:expr, $matrix:ident, $T:ident => $body:expr) => {{
        macro_rules! typed {
            ($t:ty, $i:ty) => {{
                type $T = $t;
                let (data, indices) = (slice::<$t>(&$parts.data), slice::<$i>(&$parts.indices));
                // Others may change theirs while it is read: it is the copy that is checked and used.
                memory::copied(slice::<$i>(&$parts.indptr)).and_then(|indptr| {
                    let $matrix = Compressed::new(data, indices, &indptr, $parts.minor)?;
                    $body
                })
            }};
        }
        match ($parts.data.dtype, $parts.indices.dtype) {
            (DType::F32, DType::I32) => typed!(f32, i32),
            (DType::F32, _) => typed!(f32, i64),
            (_, DType::I32) => typed!(f64, i32),
            _ => typed!(f64, i64),
        }
    }};
}

impl Matrix<'_> {
    /// Number of channels.
    pub fn len(&self) -> usize {
        if self.channels == Channels::Segments { self.indptr.len().saturating_sub(1) } else { self.minor }
    }

    fn bytes(&self) -> usize {
        self.data.bytes() + self.indices.bytes()
    }

    /// The exception for an infinity in the argument `name`.
    pub fn infinite(&self, name: &str) -> PyErr {
        infinite(name, self.data.dtype)
    }

    fn error(&self, name: &str, error: &Error) -> PyErr {
        if *error == Error::Infinite { self.infinite(name) } else { to_python(error, name) }
    }

    /// Moments of every channel, with weights for the samples.
    pub fn moments(&self, py: Python<'_>, name: &str, weights: Option<&[f64]>) -> PyResult<Moments> {
        let samples =
            if self.channels == Channels::Segments { self.minor } else { self.indptr.len().saturating_sub(1) };
        if let Some(weights) = weights.filter(|weights| weights.len() != samples) {
            return Err(PyValueError::new_err(format!(
                "weights have length {}; {samples} sample(s) came",
                weights.len()
            )));
        }
        let channels = self.channels;
        with_matrix!(self, matrix, T => threads::run(py, self.bytes(), move |threads| {
            sparse::moments::<T, _>(matrix, channels, weights, threads)
        }))
        .map_err(|error| self.error(name, &error))
    }

    /// Extrema of every channel.
    pub fn extrema(&self, py: Python<'_>, name: &str) -> PyResult<Extrema> {
        let channels = self.channels;
        with_matrix!(self, matrix, T => threads::run(py, self.bytes(), move |threads| {
            sparse::extrema::<T, _>(matrix, channels, threads)
        }))
        .map_err(|error| self.error(name, &error))
    }
}

/// Entries to write: a new array of the length and dtype of the data.
struct Entries<'py>(Array<'py>);

impl<'py> Entries<'py> {
    fn new(matrix: &Matrix<'py>) -> PyResult<Self> {
        Ok(Self(empty_like(&matrix.data, matrix.data.dtype)?))
    }

    /// `T` must be the type of the dtype.
    fn slice<T>(&mut self) -> &mut [T] {
        if self.0.is_empty() {
            return &mut [];
        }
        // SAFETY: the array was just made, contiguous and of this dtype, and is known to no one else; `&mut self` lends
        // it once.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.cast::<T>(), self.0.len()) }
    }
}

/// The data of a sparse matrix times (or divided by) the scale of each channel, between the limits of `clip`.
#[pyfunction]
#[pyo3(signature = (matrix, scale, divide, clip=None, allow_infinity=false))]
pub fn sparse_scale<'py>(
    py: Python<'py>,
    matrix: Matrix<'py>,
    scale: &Bound<'py, PyAny>,
    divide: bool,
    clip: Option<[f64; 2]>,
    allow_infinity: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let (_, scale) = doubles(scale, "the scale")?;
    if scale.len() != matrix.len() {
        let channels = matrix.len();
        return Err(PyValueError::new_err(format!("X has {channels} channels; the scale has {}", scale.len())));
    }
    let (mut result, scale, parts, channels) = (Entries::new(&matrix)?, &scale, &matrix, matrix.channels);
    let infinite_found = with_matrix!(parts, matrix, T => {
        let out = result.slice::<T>();
        threads::run(py, parts.bytes(), move |threads| {
            sparse::scale(matrix, channels, scale, divide, clip, out, threads)
        })
    })
    .map_err(|error| parts.error("Input X", &error))?;
    if infinite_found && !allow_infinity {
        return Err(parts.infinite("Input X"));
    }
    Ok(result.0.object.into_any())
}

/// The data of a sparse matrix with every segment divided by its length.
#[pyfunction]
pub fn sparse_normalize<'py>(py: Python<'py>, matrix: Matrix<'py>, norm: NormName) -> PyResult<Bound<'py, PyAny>> {
    let (mut result, parts) = (Entries::new(&matrix)?, &matrix);
    let finite = with_matrix!(parts, matrix, T => {
        let out = result.slice::<T>();
        threads::run(py, parts.bytes(), move |threads| sparse::normalize(norm.0, matrix, out, threads))
    })
    .map_err(|error| parts.error("Input X", &error))?;
    if !finite {
        return Err(parts.infinite("Input X"));
    }
    Ok(result.0.object.into_any())
}

/// Exact quantiles `q` of every segment, interpolated linearly, NaN left out: an array with an axis for `q` first.
#[pyfunction]
pub fn sparse_quantiles<'py>(
    py: Python<'py>,
    name: &str,
    matrix: Matrix<'py>,
    q: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (_, q) = doubles(q, "q")?;
    check_q(&q)?;
    let (parts, wanted) = (&matrix, &q);
    let between = with_matrix!(parts, matrix, T => threads::run(py, parts.bytes(), move |threads| {
        sparse::quantiles::<T, _>(matrix, wanted, threads)
    }))
    .map_err(|error| parts.error(name, &error))?;
    table(py, &between, &q, &[between.len()])
}

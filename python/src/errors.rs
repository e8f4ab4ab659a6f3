//! Errors of the core as Python exceptions that name the argument.

use planish::array::DType;
use planish::error::Error;
use planish::memory;
use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    planish._core,
    DuplicateEntriesError,
    PyValueError,
    "A sparse matrix has several entries for one element, which is their sum."
);

/// The exception for an infinity in `argument`, an array of `dtype`: in scikit-learn's words.
pub fn infinite(argument: &str, dtype: DType) -> PyErr {
    PyValueError::new_err(format!("{argument} contains infinity or a value too large for dtype('{}').", dtype.name()))
}

/// The exception for a `dtype` of integers where floating-point numbers are needed.
pub fn no_float(dtype: DType) -> PyErr {
    PyTypeError::new_err(format!(
        "dtype {} is not accepted here; accepted are float16, bfloat16, float32 and float64",
        dtype.name()
    ))
}

/// The exception for `error`, which `argument` caused.
pub fn to_python(error: &Error, argument: &str) -> PyErr {
    match error {
        Error::OutOfMemory { .. } => PyMemoryError::new_err(error.to_string()),
        Error::Duplicates => DuplicateEntriesError::new_err(format!("{argument} {error}")),
        Error::ResultDType { .. } => PyTypeError::new_err(format!("{argument} {error}")),
        error => PyValueError::new_err(format!("{argument} {error}")),
    }
}

/// What the core gives, or its error as an exception.
pub trait Raise<T> {
    /// The exception where no argument is to blame: only memory can be.
    fn raise(self) -> PyResult<T>;
}

impl<T> Raise<T> for Result<T, Error> {
    fn raise(self) -> PyResult<T> {
        self.map_err(|error| to_python(&error, "the state"))
    }
}

/// The items, until one of them is an exception.
pub fn collect_all<T>(items: impl IntoIterator<Item = PyResult<T>>) -> PyResult<Vec<T>> {
    let items = items.into_iter();
    let mut collected = memory::with_room(items.size_hint().0).raise()?;
    for item in items {
        memory::push(&mut collected, item?).raise()?;
    }
    Ok(collected)
}

/// Characters of a caller's text or value that an error quotes.
const QUOTED: usize = 200;

/// A caller's text or value for an error: its beginning, where it is long.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
        None => text.into(),
    }
}

/// `other` in place of `error`, which an object of the caller raised; but an interrupt, an exit, the end of the memory or
/// of the stack is none of the argument's, and passes.
pub fn instead(py: Python<'_>, error: PyErr, other: impl FnOnce() -> PyErr) -> PyErr {
    let passes = !error.is_instance_of::<PyException>(py)
        || error.is_instance_of::<PyMemoryError>(py)
        || error.is_instance_of::<PyRecursionError>(py);
    if passes { error } else { other() }
}

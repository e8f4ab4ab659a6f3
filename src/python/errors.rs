//! Errors of the core as Python exceptions that name the argument.

use crate::error::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyOverflowError, PyValueError};

/// The exception for `error`, which `argument` caused.
pub fn to_python(error: &Error, argument: &str) -> PyErr {
    match error {
        Error::Infinite => PyValueError::new_err(format!(
            "{argument} contains infinity or a value too large for its dtype; finite values and NaN (which is skipped) \
             are accepted"
        )),
        Error::BadWeight | Error::ChannelMismatch { .. } => PyValueError::new_err(format!("{argument} {error}")),
        Error::Overflow => PyOverflowError::new_err(error.to_string()),
    }
}

//! Thread counts, the GIL and the instruction-set level, as Python sees them.

use super::errors::quoted;
use planish::kernels::{Level, VARIABLE};
use planish::parallel;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use std::ffi::CString;

/// Bytes from which on the GIL is released and threads are woken: below, a kernel takes less time than handing the GIL to
/// other threads and waiting for it again, or than waking a thread.
const LARGE_BYTES: usize = 1 << 20;

/// Call `kernel` with the number of threads that suits `bytes` of work, without the GIL unless it is over at once.
pub fn run<R: Send>(py: Python<'_>, bytes: usize, kernel: impl FnOnce(usize) -> R + Send) -> R {
    if bytes < LARGE_BYTES {
        return kernel(1);
    }
    let threads = threads(py);
    py.detach(|| kernel(threads))
}

fn threads(py: Python<'_>) -> usize {
    parallel::num_threads(chosen(py).unwrap_or(0), || {
        is_worker(py).unwrap_or_else(|error| {
            if error.is_instance_of::<PyKeyboardInterrupt>(py) {
                // SAFETY: a call without conditions, which only notes that the interrupt is still to be raised.
                unsafe { pyo3::ffi::PyErr_SetInterrupt() };
            }
            false
        })
    })
}

/// What the innermost `planish.num_threads` block of this context asks for; zero for nothing. A method of a context
/// variable is called, which runs no Python code: no signal is handled in it, whose exception would be lost here.
fn chosen(py: Python<'_>) -> PyResult<usize> {
    static BLOCKS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let get = || Ok::<_, PyErr>(py.import("planish._threads")?.getattr("_BLOCKS")?.getattr("get")?.unbind());
    let blocks = BLOCKS.get_or_try_init(py, get)?.bind(py).call0()?.cast_into::<PyTuple>()?;
    let Some(innermost) = blocks.iter().next_back() else { return Ok(0) };
    Ok(innermost.get_item(1)?.extract::<Option<usize>>()?.unwrap_or(0))
}

/// Whether `multiprocessing` started this process. It must have been imported then.
fn is_worker(py: Python<'_>) -> PyResult<bool> {
    let modules = py.import("sys")?.getattr("modules")?;
    let module = modules.call_method1("get", ("multiprocessing.process",))?;
    if module.is_none() {
        return Ok(false);
    }
    Ok(!module.call_method0("parent_process")?.is_none())
}

fn count(threads: Option<isize>) -> PyResult<usize> {
    match threads {
        None => Ok(0),
        Some(threads) => usize::try_from(threads).ok().filter(|threads| *threads > 0).ok_or_else(|| {
            PyValueError::new_err(format!(
                "the number of threads must be a positive integer, or None for the default; got {threads}"
            ))
        }),
    }
}

/// Set the number of threads that planish uses in this process.
///
/// Parameters
/// ----------
/// n : int or None
///     Number of threads, at least 1. None goes back to the default: the first of the environment variables
///     ``PLANISH_NUM_THREADS``, ``RAYON_NUM_THREADS`` and ``OMP_NUM_THREADS`` that is set when threads are first
///     needed; else 1 in a process that `multiprocessing` started; else the CPUs that this process may use.
///
/// Raises
/// ------
/// ValueError
///     If `n` is less than 1.
///
/// Examples
/// --------
/// >>> import planish
/// >>> planish.set_num_threads(2)
/// >>> planish.get_num_threads()
/// 2
/// >>> planish.set_num_threads(None)
#[pyfunction]
pub fn set_num_threads(n: Option<isize>) -> PyResult<()> {
    parallel::set_num_threads(count(n)?);
    Ok(())
}

/// Number of threads that a large call made here and now would use.
///
/// Returns
/// -------
/// int
///     At least 1. Small calls use one thread in any case.
#[pyfunction]
pub fn get_num_threads(py: Python<'_>) -> usize {
    threads(py)
}

/// The number of threads `n` as an int, checked; None for None.
#[pyfunction]
pub fn check_num_threads(n: Option<isize>) -> PyResult<Option<usize>> {
    Ok(Some(count(n)?).filter(|threads| *threads > 0))
}

/// Name of the instruction-set level in force; with `force`, use that one from now on.
#[pyfunction]
#[pyo3(signature = (force=None))]
pub fn simd_level(force: Option<&str>) -> PyResult<&'static str> {
    if let Some(name) = force {
        let level = Level::ALL.into_iter().find(|level| level.name() == name);
        if !level.is_some_and(Level::force) {
            return Err(PyValueError::new_err(format!("force={}", no_level(name))));
        }
    }
    Ok(Level::current().name())
}

/// Names of the instruction-set levels that this CPU has, the lowest first.
#[pyfunction]
pub fn simd_levels() -> Vec<&'static str> {
    Level::ALL.into_iter().filter(|level| level.is_supported()).map(Level::name).collect()
}

/// What to say of a level that this CPU lacks.
fn no_level(name: &str) -> String {
    format!("{} is not a level of this CPU; it has {}", quoted(name), simd_levels().join(", "))
}

/// Warn if the environment asks for a level that this CPU lacks.
pub fn check_level(py: Python<'_>) -> PyResult<()> {
    let Err(name) = Level::asked() else { return Ok(()) };
    let message = format!("{VARIABLE}={}; planish uses {}", no_level(&name), Level::current().name());
    let category = py.get_type::<PyRuntimeWarning>();
    PyErr::warn(py, &category, &CString::new(message).unwrap_or_default(), 1)
}

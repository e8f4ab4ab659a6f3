//! Normalisation layers for Python.

use super::arrays::{Array, doubles, dtype_of, tuple, with_float};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{Raise, instead, quoted};
use super::maps::target;
use super::results::{empty_like, to_numpy};
use super::threads;
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use planish::kernels::lines::Mean;
use planish::layers::gradients::{Gradients, Point, differentiate};
use planish::layers::{Layer, Statistics, normalize};
use planish::maps::affine::Target;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A new or given array and the statistics or gradients that belong to it.
type WithTwo<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// An array of floating-point elements.
fn floats<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Array<'py>> {
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        let descr = array.dtype();
        if dtype_of(&descr).is_none_or(|dtype| !dtype.is_float()) {
            return Err(PyTypeError::new_err(format!(
                "{name} has dtype {}; float16, bfloat16, float32 and float64 in native byte order are accepted",
                quoted(&descr.str()?.to_string())
            )));
        }
    }
    let array = Array::new(object, name)?;
    if !array.dtype.is_float() {
        return Err(PyTypeError::new_err(format!(
            "{name} has dtype {}; float16, bfloat16, float32 and float64 are accepted",
            array.dtype.name()
        )));
    }
    Ok(array)
}

/// Check that `out` shares no memory with `input`.
fn check_apart(out: &Array<'_>, input: &Array<'_>, name: &str) -> PyResult<()> {
    out.check_apart("out", input).map_err(|error| {
        instead(out.object.py(), error, || {
            PyValueError::new_err(format!(
                "out overlaps {name}, which is read to the end; an array of other memory is accepted"
            ))
        })
    })
}

/// The axes of a layer, for each axis of its input.
struct Roles {
    kept: Vec<bool>,
    own: Vec<bool>,
}

impl Roles {
    /// `axis` shares a statistic; `own` are the axes of gamma and beta.
    fn new(axis: &Bound<'_, PyAny>, own: &Bound<'_, PyAny>, ndim: usize) -> PyResult<Self> {
        let mut kept = ChannelAxes::named(axis, "axis")?.kept_as("axis", ndim)?;
        kept.iter_mut().for_each(|shared| *shared = !*shared);
        let own = ChannelAxes::named(own, "axis")?.kept_as("axis", ndim)?;
        Ok(Self { kept, own })
    }

    /// Gamma or beta, in C order of the own axes of `x`.
    fn parameter(&self, values: Option<&Bound<'_, PyAny>>, name: &str, x: &Array<'_>) -> PyResult<Option<Vec<f64>>> {
        let Some(values) = values else { return Ok(None) };
        let (shape, values) = doubles(values, name)?;
        let expected = kept_shape(&x.shape, &self.own);
        if shape != expected {
            return Err(PyValueError::new_err(format!(
                "{name} has shape {}; for x of shape {} it must have shape {}",
                tuple(&shape),
                tuple(&x.shape),
                tuple(&expected)
            )));
        }
        Ok(Some(values))
    }
}

fn check_epsilon(epsilon: f64) -> PyResult<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("eps must be finite and not negative; got {epsilon}")))
}

/// ``(x - mean) / sqrt(var + eps) * gamma + beta``, with the mean and the biased variance along `axis` (the mean square
/// without `centred`) and parameters along `own`; with `statistics` also mean and variance of each group.
#[pyfunction]
#[pyo3(signature = (x, axis, own, gamma, beta, eps, centred, out, statistics=false))]
#[allow(clippy::too_many_arguments)] // One call from Python, where every boundary costs.
pub fn layer<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    axis: &Bound<'py, PyAny>,
    own: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    beta: Option<&Bound<'py, PyAny>>,
    eps: f64,
    centred: bool,
    out: Option<&Bound<'py, PyAny>>,
    statistics: bool,
) -> PyResult<WithTwo<'py>> {
    check_epsilon(eps)?;
    let x = floats(x, "x")?;
    let mut roles = Roles::new(axis, own, x.shape.len())?;
    let gamma = roles.parameter(gamma, "gamma", &x)?;
    let beta = roles.parameter(beta, "beta", &x)?;
    if gamma.is_none() && beta.is_none() {
        roles.own.fill(false);
    }
    let (result, target) = target(&x, x.dtype, out, true)?;
    let layer = Layer {
        kept: &roles.kept,
        own: &roles.own,
        gamma: gamma.as_deref(),
        beta: beta.as_deref(),
        epsilon: eps,
        centred,
    };
    let found = with_float!(x.dtype, T => {
        let (view, out) = (x.view::<T>(), result.view_mut::<T>());
        threads::run(py, x.bytes(), move |threads| normalize(layer, view, out, target, statistics, threads))
    })
    .raise()?;
    let result = out.cloned().unwrap_or_else(|| result.object.into_any());
    if !statistics {
        return Ok((result, None, None));
    }
    let kept = &roles.kept;
    let shape = kept_shape(&x.shape, kept);
    let mean = found.mean.into_iter().map(|mean| mean.value);
    Ok((result, Some(to_numpy(py, mean, &shape)?), Some(to_numpy(py, found.var, &shape)?)))
}

/// The gradients of [`layer`] with respect to `x`, gamma and beta, given that of its result; `mean` and `var` are constants
/// where they are given.
#[pyfunction]
#[pyo3(signature = (dy, x, axis, own, gamma, eps, centred, mean=None, var=None, out=None))]
#[allow(clippy::too_many_arguments)] // As above.
pub fn layer_gradient<'py>(
    py: Python<'py>,
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    axis: &Bound<'py, PyAny>,
    own: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    eps: f64,
    centred: bool,
    mean: Option<&Bound<'py, PyAny>>,
    var: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    check_epsilon(eps)?;
    let (x, dy) = (floats(x, "x")?, floats(dy, "dy")?);
    if dy.dtype != x.dtype {
        return Err(PyTypeError::new_err(format!(
            "dy has dtype {}; x has dtype {}, and both must be the same",
            dy.dtype.name(),
            x.dtype.name()
        )));
    }
    if dy.shape != x.shape {
        return Err(PyValueError::new_err(format!(
            "dy has shape {}; x has shape {}, and both must be the same",
            tuple(&dy.shape),
            tuple(&x.shape)
        )));
    }
    let roles = Roles::new(axis, own, x.shape.len())?;
    let gamma = roles.parameter(gamma, "gamma", &x)?;
    let groups = Roles { own: roles.kept.clone(), kept: Vec::new() };
    let mean = groups.parameter(mean, "mean", &x)?;
    let var = groups.parameter(var, "var", &x)?;
    let exact = |mean: Vec<f64>| mean.into_iter().map(|value| Mean { value, rest: 0.0 }).collect();
    let known = mean.zip(var).map(|(mean, var)| Statistics { mean: exact(mean), var });
    let (result, target) = match out {
        Some(object) => {
            let result = floats(object, "out")?;
            if !object.is_instance_of::<numpy::PyUntypedArray>() {
                return Err(PyTypeError::new_err(format!(
                    "out must be a NumPy array; got {}",
                    object.get_type().name()?
                )));
            }
            result.check_target("out", &x.shape, x.dtype)?;
            check_apart(&result, &x, "x")?;
            check_apart(&result, &dy, "dy")?;
            (result, Target::Warm)
        }
        None => (empty_like(&x, x.dtype)?, Target::Fresh),
    };
    let layer =
        Layer { kept: &roles.kept, own: &roles.own, gamma: gamma.as_deref(), beta: None, epsilon: eps, centred };
    let Gradients { gamma: dgamma, beta: dbeta } = with_float!(x.dtype, T => {
        let point = Point { x: x.view::<T>(), dy: dy.view::<T>(), known: known.as_ref() };
        let dx = result.view_mut::<T>();
        threads::run(py, x.bytes(), move |threads| differentiate(layer, point, dx, target, threads))
    })
    .raise()?;
    let shape = kept_shape(&x.shape, &roles.own);
    let result = out.cloned().unwrap_or_else(|| result.object.into_any());
    Ok((result, to_numpy(py, dgamma, &shape)?, to_numpy(py, dbeta, &shape)?))
}

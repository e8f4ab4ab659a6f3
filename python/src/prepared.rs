//! A scaler's map, ready for the arrays of which there is nothing to find out: a row takes a microsecond or two.

use super::arrays::{Array, DType, dtype_of};
use super::errors::Raise;
use super::maps::PyMap;
use numpy::{PyArrayDescr, PyUntypedArray, PyUntypedArrayMethods};
use planish::memory;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyTuple, PyType};

/// Most bytes of an attribute whose elements are compared before each call.
const MAX_BYTES: usize = 1 << 15;

/// The map of an estimator as it was when this was made: of tables of `n_features_in_` columns, without names.
#[pyclass(frozen, module = "planish._core")]
pub struct Prepared {
    map: Py<PyMap>,
    width: usize,
    copies: bool,
    /// Attributes that the map depends on.
    made_of: Vec<Attribute>,
}

struct Attribute {
    name: Py<PyString>,
    /// What it was; nothing where it was not there.
    value: Option<Py<PyAny>>,
    /// The elements of an array, which may be changed in place.
    elements: Option<(DType, Vec<u8>)>,
}

/// The dtype and the bytes of an array whose elements are numbers that lie side by side.
fn bytes<'a>(array: &'a Bound<'_, PyUntypedArray>) -> Option<(DType, &'a [u8])> {
    let dtype = dtype_of(&array.dtype()).filter(|_| array.is_c_contiguous())?;
    let len = array.len() * dtype.size();
    // SAFETY: `array` is a NumPy array, which is alive and has as many bytes from there on; the GIL is held (or, on a
    // free-threaded Python, a concurrent writer makes the values unspecified, as with any NumPy function).
    let found = || unsafe { std::slice::from_raw_parts((*array.as_array_ptr()).fields.data.cast(), len) };
    (len <= MAX_BYTES).then(|| (dtype, found()))
}

/// Whether a value never changes: what is no array is compared by its identity.
fn is_constant(value: &Bound<'_, PyAny>) -> bool {
    let alone = value.is_none()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyString>()
        || value.is_instance_of::<PyType>()
        || value.is_instance_of::<PyArrayDescr>();
    let number = |value: &Bound<'_, PyAny>| {
        value.getattr(intern!(value.py(), "dtype")).is_ok()
            && !value.is_instance_of::<PyUntypedArray>()
            && value
                .getattr(intern!(value.py(), "ndim"))
                .and_then(|ndim| ndim.extract::<usize>())
                .is_ok_and(|ndim| ndim == 0)
    };
    alone
        || value.cast_exact::<PyTuple>().is_ok_and(|values| values.iter().all(|value| is_constant(&value)))
        || number(value)
}

impl Attribute {
    fn of(name: &Bound<'_, PyString>, attributes: &Bound<'_, PyDict>) -> PyResult<Option<Self>> {
        let value = attributes.get_item(name)?;
        let mut elements = None;
        match value.as_ref().map(|value| (value, value.cast_exact::<PyUntypedArray>())) {
            Some((_, Ok(array))) => {
                let Some((dtype, found)) = bytes(array) else { return Ok(None) };
                elements = Some((dtype, memory::copied(found).raise()?));
            }
            Some((value, Err(_))) if !is_constant(value) => return Ok(None),
            _ => {}
        }
        Ok(Some(Self { name: name.clone().unbind(), value: value.map(Bound::unbind), elements }))
    }

    fn is_unchanged(&self, attributes: &Bound<'_, PyDict>) -> PyResult<bool> {
        let found = attributes.get_item(self.name.bind(attributes.py()))?;
        let (Some(found), Some(value)) = (&found, &self.value) else {
            return Ok(found.is_none() == self.value.is_none());
        };
        let same = found.is(value);
        let elements = |(dtype, own): &(DType, Vec<u8>)| {
            found.cast::<PyUntypedArray>().is_ok_and(|array| bytes(array) == Some((*dtype, &own[..])))
        };
        Ok(same && self.elements.as_ref().is_none_or(elements))
    }
}

#[pymethods]
impl Prepared {
    /// Of the map that `make` gives, which an estimator with these `attributes` makes of those that have `names`; None where
    /// it gives none, where they are too large to be compared before each call or may change without becoming others, or
    /// where there is always something to find out.
    #[staticmethod]
    fn of(
        attributes: &Bound<'_, PyDict>,
        names: Vec<Bound<'_, PyString>>,
        make: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Self>> {
        let py = attributes.py();
        // The attributes come first: where another thread changes them meanwhile, they are no longer those of the map.
        let all = names.iter().chain([intern!(py, "copy"), intern!(py, "n_features_in_")]);
        let mut made_of = Vec::new();
        for name in all {
            let Some(attribute) = Attribute::of(name, attributes)? else { return Ok(None) };
            memory::push(&mut made_of, attribute).raise()?;
        }
        for name in [intern!(py, "feature_names_in_"), intern!(py, "_sklearn_output_config")] {
            if attributes.contains(name)? {
                return Ok(None);
            }
            memory::push(&mut made_of, Attribute { name: name.clone().unbind(), value: None, elements: None })
                .raise()?;
        }
        let width = attributes.get_item(intern!(py, "n_features_in_"))?.and_then(|width| width.extract().ok());
        let copies = attributes.get_item(intern!(py, "copy"))?.and_then(|copies| copies.extract().ok());
        let (Some(width), Some(copies)) = (width, copies) else { return Ok(None) };
        let map: Option<Py<PyMap>> = make.call0()?.extract()?;
        Ok(map.map(|map| Self { map, width, copies, made_of }))
    }

    /// Map `x` as the estimator with these `attributes` would, with scikit-learn's `config`; None where there is something to
    /// find out first.
    fn __call__<'py>(
        &self,
        attributes: &Bound<'py, PyDict>,
        x: &Bound<'py, PyAny>,
        copy: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        config: &Bound<'py, PyDict>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, map) = (x.py(), self.map.get());
        let usual = |array: &&Bound<'py, PyUntypedArray>| {
            let shape = array.shape();
            shape.len() == 2 && shape.first() != Some(&0) && shape.get(1) == Some(&self.width) && self.width > 0
        };
        let Some(array) = x.cast_exact::<PyUntypedArray>().ok().filter(usual) else { return Ok(None) };
        let Some(dtype) = dtype_of(&array.dtype()).filter(|dtype| map.reads(*dtype)) else { return Ok(None) };
        let copies = match copy.map(|copy| copy.cast_exact::<PyBool>()) {
            None => self.copies,
            Some(Ok(copy)) => copy.is_true(),
            Some(Err(_)) => return Ok(None),
        };
        let is_default = |value: &Bound<'py, PyAny>| value.extract::<&str>().is_ok_and(|value| value == "default");
        let finite = config.get_item(intern!(py, "assume_finite"))?.and_then(|value| value.extract::<bool>().ok());
        let plain = config.get_item(intern!(py, "transform_output"))?.is_some_and(|value| is_default(&value));
        let (Some(finite), true) = (finite, plain) else { return Ok(None) };
        for attribute in &self.made_of {
            if !attribute.is_unchanged(attributes)? {
                return Ok(None);
            }
        }
        map.apply(&Array::of(array, dtype)?, out, copies, finite, None).map(Some)
    }
}

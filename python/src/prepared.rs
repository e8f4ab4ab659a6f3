//! A scaler's map, ready for the arrays of which there is nothing to find out: a row takes a microsecond or two.

use super::arrays::{Array, dtype_of};
use super::errors::Raise;
use super::maps::PyMap;
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use planish::memory;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

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
    elements: Option<Vec<u8>>,
}

/// The bytes of an array whose elements are numbers that lie side by side.
fn bytes<'a>(array: &'a Bound<'_, PyUntypedArray>) -> Option<&'a [u8]> {
    let dtype = dtype_of(&array.dtype()).filter(|_| array.is_c_contiguous())?;
    let len = array.len() * dtype.size();
    // SAFETY: `array` is a NumPy array, which is alive and has as many bytes from there on; the GIL is held (or, on a
    // free-threaded Python, a concurrent writer makes the values unspecified, as with any NumPy function).
    (len <= MAX_BYTES).then(|| unsafe { std::slice::from_raw_parts((*array.as_array_ptr()).fields.data.cast(), len) })
}

impl Attribute {
    fn of(name: &Bound<'_, PyString>, attributes: &Bound<'_, PyDict>) -> PyResult<Option<Self>> {
        let value = attributes.get_item(name)?;
        let mut elements = None;
        if let Some(array) = value.as_ref().and_then(|value| value.cast::<PyUntypedArray>().ok()) {
            let Some(found) = bytes(array) else { return Ok(None) };
            elements = Some(memory::copied(found).raise()?);
        }
        Ok(Some(Self { name: name.clone().unbind(), value: value.map(Bound::unbind), elements }))
    }

    fn is_unchanged(&self, attributes: &Bound<'_, PyDict>) -> PyResult<bool> {
        let found = attributes.get_item(self.name.bind(attributes.py()))?;
        let (Some(found), Some(value)) = (&found, &self.value) else {
            return Ok(found.is_none() == self.value.is_none());
        };
        let same = found.is(value);
        let elements = |own: &Vec<u8>| found.cast::<PyUntypedArray>().is_ok_and(|array| bytes(array) == Some(own));
        Ok(same && self.elements.as_ref().is_none_or(elements))
    }
}

impl Prepared {
    /// Of `map`, which an estimator with these `attributes` makes of those that have `names`; nothing where they are too
    /// large to be compared before each call, or where there is always something to find out.
    pub fn new(
        map: Py<PyMap>,
        attributes: &Bound<'_, PyDict>,
        names: &[Bound<'_, PyString>],
    ) -> PyResult<Option<Self>> {
        let py = attributes.py();
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
        let number = |name| attributes.get_item(name).ok().flatten();
        let width = number(intern!(py, "n_features_in_")).and_then(|width| width.extract().ok());
        let copies = number(intern!(py, "copy")).and_then(|copies| copies.extract().ok());
        let (Some(width), Some(copies)) = (width, copies) else { return Ok(None) };
        Ok(Some(Self { map, width, copies, made_of }))
    }
}

#[pymethods]
impl Prepared {
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

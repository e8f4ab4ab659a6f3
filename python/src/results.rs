//! New NumPy arrays; memory that cannot be had is a MemoryError.

use super::arrays::{Array, DType};
use super::errors::Raise;
use numpy::npyffi::{NPY_ORDER, PY_ARRAY_API};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use planish::memory;
use pyo3::prelude::*;

/// NumPy's description of a floating-point dtype.
fn descriptor(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyArrayDescr>> {
    match dtype {
        DType::F64 => Ok(numpy::dtype::<f64>(py)),
        DType::F32 => Ok(numpy::dtype::<f32>(py)),
        DType::F16 => Ok(numpy::dtype::<half::f16>(py)),
        _ => PyArrayDescr::new(py, py.import("ml_dtypes")?.getattr(dtype.name())?),
    }
}

/// A new array in C order.
pub fn empty<'py>(py: Python<'py>, shape: &[usize], dtype: DType) -> PyResult<Array<'py>> {
    let mut dims: Vec<isize> = memory::collect(shape.iter().map(|len| *len as isize)).raise()?;
    let descr = descriptor(py, dtype)?.into_dtype_ptr();
    // SAFETY: NumPy's documented call with as many lengths as it is told, and a descriptor whose reference it takes
    // over; the result is a new reference or null with an exception set.
    let object = unsafe {
        let array = PY_ARRAY_API.PyArray_Empty(py, dims.len() as i32, dims.as_mut_ptr(), descr, 0);
        Bound::from_owned_ptr_or_err(py, array)?
    };
    Array::new(&object, "out")
}

/// A new array of the shape of `like`, in its memory order.
pub fn empty_like<'py>(like: &Array<'py>, dtype: DType) -> PyResult<Array<'py>> {
    let py = like.object.py();
    let descr = if dtype == like.dtype { like.object.dtype() } else { descriptor(py, dtype)? };
    // SAFETY: NumPy's documented call with a live prototype and a descriptor whose reference it takes over; the result
    // is a new reference or null with an exception set.
    let object = unsafe {
        let array = PY_ARRAY_API.PyArray_NewLikeArray(
            py,
            like.object.as_array_ptr(),
            NPY_ORDER::NPY_KEEPORDER,
            descr.into_dtype_ptr(),
            0,
        );
        Bound::from_owned_ptr_or_err(py, array)?
    };
    Array::new(&object, "out")
}

/// Values as a NumPy array of `shape`; a scalar for the shape `()`.
pub fn to_numpy<'py, T: numpy::Element + Copy>(
    py: Python<'py>,
    values: impl IntoIterator<Item = T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let scalar = shape.is_empty();
    let mut dims: Vec<isize> =
        memory::collect(if scalar { &[1] } else { shape }.iter().map(|len| *len as isize)).raise()?;
    let descr = numpy::dtype::<T>(py).into_dtype_ptr();
    // SAFETY: NumPy's documented call with as many lengths as it is told, and a descriptor whose reference it takes
    // over; the result is a new reference or null with an exception set.
    let object = unsafe {
        let array = PY_ARRAY_API.PyArray_Zeros(py, dims.len() as i32, dims.as_mut_ptr(), descr, 0);
        Bound::from_owned_ptr_or_err(py, array)?
    };
    let array = object.cast_into::<PyArrayDyn<T>>()?;
    // SAFETY: the array was just made, and nobody else knows it.
    unsafe { array.as_slice_mut() }?.iter_mut().zip(values).for_each(|(to, from)| *to = from);
    if scalar { array.get_item(0) } else { Ok(array.into_any()) }
}

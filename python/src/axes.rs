//! The `channel_axis` parameter.

use super::errors::{Raise, collect_all, instead, quoted};
use planish::axes::MAX_AXES;
use planish::memory;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};

/// The axes that keep their own statistics, as the caller gave them: possibly negative, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelAxes {
    /// One axis; also the form in which it is given back.
    One(isize),
    /// Several axes, or none.
    Several(Vec<isize>),
    /// No axis: one channel in all.
    None,
}

impl FromPyObject<'_, '_> for ChannelAxes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Self::new(&object)
    }
}

impl ChannelAxes {
    /// From an int, a tuple of ints, or None.
    pub fn new(channel_axis: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::named(channel_axis, "channel_axis")
    }

    /// As [`Self::new`], of the argument `name`.
    pub fn named(axes: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        if axes.is_none() {
            return Ok(Self::None);
        }
        let py = axes.py();
        let wrong_type = || match axes.repr() {
            Ok(text) => PyTypeError::new_err(format!(
                "{name} must be an int, a tuple of ints or None; got {}",
                quoted(&text.to_string())
            )),
            Err(error) => error,
        };
        let index = |axis: &Bound<'_, PyAny>| -> PyResult<isize> {
            if axis.is_instance_of::<PyBool>() {
                return Err(wrong_type());
            }
            axis.extract().map_err(|error| instead(py, error, wrong_type))
        };
        match axes.cast::<PyTuple>() {
            Ok(axes) if axes.len() > MAX_AXES => {
                Err(PyValueError::new_err(format!("{name} names {} axes; an array has at most {MAX_AXES}", axes.len())))
            }
            Ok(axes) => Ok(Self::Several(collect_all(axes.iter().map(|axis| index(&axis)))?)),
            Err(_) => Ok(Self::One(index(axes)?)),
        }
    }

    /// For each of `ndim` axes, whether it is kept.
    pub fn kept(&self, ndim: usize) -> PyResult<Vec<bool>> {
        self.kept_as("channel_axis", ndim)
    }

    /// As [`Self::kept`], for the argument `name`.
    pub fn kept_as(&self, name: &str, ndim: usize) -> PyResult<Vec<bool>> {
        let mut kept = memory::filled(false, ndim).raise()?;
        let one = [if let Self::One(axis) = self { *axis } else { 0 }];
        let axes = match self {
            Self::One(_) => &one[..],
            Self::Several(axes) => axes,
            Self::None => &[],
        };
        for axis in axes {
            let index = if *axis < 0 { axis + ndim as isize } else { *axis };
            let Some(flag) = usize::try_from(index).ok().and_then(|index| kept.get_mut(index)) else {
                return Err(PyValueError::new_err(format!(
                    "{name}={} is out of range for an array of {ndim} dimension(s)",
                    self.text()
                )));
            };
            if std::mem::replace(flag, true) {
                return Err(PyValueError::new_err(format!(
                    "{name}={} names an axis twice in an array of {ndim} dimension(s)",
                    self.text()
                )));
            }
        }
        Ok(kept)
    }

    /// As Python would write it.
    pub fn text(&self) -> String {
        match self {
            Self::One(axis) => axis.to_string(),
            Self::Several(axes) => match &axes[..] {
                [one] => format!("({one},)"),
                axes => quoted(&format!("({})", axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))),
            },
            Self::None => "None".into(),
        }
    }

    /// The Python object that it was made of.
    pub fn to_object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Self::One(axis) => axis.into_pyobject(py)?.into_any(),
            Self::Several(axes) => PyTuple::new(py, axes)?.into_any(),
            Self::None => py.None().into_bound(py),
        })
    }
}

/// The `channel_axis` of a constructor: where it is not given, the last axis, which may not be what is meant.
pub struct Chosen {
    /// The axes.
    pub axes: ChannelAxes,
    /// Whether they were given.
    pub given: bool,
}

impl Chosen {
    /// What is taken where nothing is given.
    pub const DEFAULT: Self = Self { axes: ChannelAxes::One(-1), given: false };
}

impl FromPyObject<'_, '_> for Chosen {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Self { axes: ChannelAxes::new(&object)?, given: true })
    }
}

/// The lengths of the kept axes.
pub fn kept_shape(shape: &[usize], kept: &[bool]) -> Vec<usize> {
    shape.iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).collect()
}

/// The lengths of the axes of `shape` that `channel_axis` keeps: the shape of what is known of each channel.
#[pyfunction]
pub fn channel_shape<'py>(
    py: Python<'py>,
    shape: Vec<usize>,
    channel_axis: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    let kept = ChannelAxes::new(channel_axis)?.kept(shape.len())?;
    PyTuple::new(py, kept_shape(&shape, &kept))
}

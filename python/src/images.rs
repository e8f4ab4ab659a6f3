//! Pictures for Python: from pixels to network input.

use super::arrays::{Array, DType, doubles, tuple, with_float};
use super::axes::ChannelAxes;
use super::errors::{Raise, collect_all};
use super::maps::result_dtype;
use super::results::empty;
use super::threads;
use planish::error::Error;
use planish::maps::affine::{Affine, Target};
use planish::maps::images::{Normalization, Picture, map_pictures};
use planish::memory;
use planish::view::{View, ViewMut};
use planish::with_element;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// Pictures of one shape: one, a batch, or several arrays.
struct Pictures<'py> {
    arrays: Vec<Array<'py>>,
    /// Whether they come as a list.
    listed: bool,
}

impl<'py> Pictures<'py> {
    fn new(images: &Bound<'py, PyAny>) -> PyResult<Self> {
        let items: Option<Vec<_>> = match images.cast::<PyList>() {
            Ok(list) => Some(memory::collect(list.iter()).raise()?),
            Err(_) => images.cast::<PyTuple>().ok().map(|tuple| memory::collect(tuple.iter())).transpose().raise()?,
        };
        let Some(items) = items else {
            if images.hasattr("__next__")? {
                return Err(PyTypeError::new_err("X is an iterator; a list of images makes a batch"));
            }
            let array = Array::new(images, "X")?;
            return match array.shape.len() {
                3 | 4 => Ok(Self { arrays: memory::collect([array]).raise()?, listed: false }),
                2 => Err(PyValueError::new_err(format!(
                    "X has shape {}; an image has 3 axes: X[..., None] (or X[None] for CHW) gives a grey one its channel",
                    tuple(&array.shape)
                ))),
                _ => Err(PyValueError::new_err(format!(
                    "X has shape {}; an image has 3 axes, a batch of them 4",
                    tuple(&array.shape)
                ))),
            };
        };
        if items.is_empty() {
            return Err(PyValueError::new_err("X is an empty list; at least one image is needed"));
        }
        let mut arrays: Vec<Array<'py>> = memory::with_room(items.len()).raise()?;
        for (index, item) in items.iter().enumerate() {
            let array = Array::new(item, &format!("X[{index}]"))?;
            if array.shape.len() != 3 {
                return Err(PyValueError::new_err(format!(
                    "X[{index}] has shape {}; an image in a list has 3 axes",
                    tuple(&array.shape)
                )));
            }
            if let Some(first) = arrays.first()
                && (first.shape != array.shape || first.dtype != array.dtype)
            {
                return Err(PyValueError::new_err(format!(
                    "X[{index}] has shape {} and dtype {}, X[0] has shape {} and dtype {}; images of one shape and dtype \
                     make a batch",
                    tuple(&array.shape),
                    array.dtype.name(),
                    tuple(&first.shape),
                    first.dtype.name()
                )));
            }
            arrays.push(array);
        }
        Ok(Self { arrays, listed: true })
    }

    /// The first of them; there is one.
    fn first(&self) -> PyResult<&Array<'py>> {
        self.arrays.first().ok_or_else(|| PyValueError::new_err("X is empty; at least one image is needed"))
    }

    /// Shape of all of them as one array.
    fn shape(&self) -> PyResult<Vec<usize>> {
        let listed = self.listed.then_some(self.arrays.len());
        memory::collect(listed.into_iter().chain(self.first()?.shape.iter().copied())).raise()
    }
}

/// Factor between an integer pixel and its share of the largest: that largest; one for what is not unsigned.
fn largest_pixel(dtype: DType) -> f64 {
    match dtype {
        DType::U8 => f64::from(u8::MAX),
        DType::U16 => f64::from(u16::MAX),
        DType::U32 => f64::from(u32::MAX),
        DType::U64 => u64::MAX as f64,
        _ => 1.0,
    }
}

/// The pictures of `x` (one array, or several that make a batch) in `out`, whose axes are in the order of theirs.
fn pictures<'a>(x: &'a Pictures<'_>, out: &'a Array<'_>, apart: bool) -> PyResult<Vec<Picture<'a>>> {
    let one = |x: View<'a, ()>, index: usize| {
        let (start, shape, strides) = out.part(index)?;
        // SAFETY: one image of the output's memory, which `view_mut` may write.
        Ok(Picture { x, out: unsafe { ViewMut::new(start, shape, strides) } })
    };
    match &x.arrays[..] {
        [only] if !x.listed && apart && out.shape.len() == 4 => {
            collect_all((0..only.shape.first().copied().unwrap_or_default()).map(|index| {
                let (start, shape, strides) = only.part(index)?;
                // SAFETY: one image of the input's memory, which `view` may read.
                one(unsafe { View::new(start.cast_const(), shape, strides) }, index)
            }))
        }
        [only] if !x.listed => memory::collect([Picture { x: only.view::<()>(), out: out.view_mut::<()>() }]).raise(),
        several => collect_all(several.iter().enumerate().map(|(index, x)| one(x.view::<()>(), index))),
    }
}

/// Images, normalised and laid out anew in one pass.
///
/// `images` is one image, a batch, or a list of images of one shape and dtype. `mean` and `std` belong to pixels times
/// `scale`, or for None to unsigned integers divided by their maximum; each has one value, or one for each position along
/// the axes `channel_axis` of an image; one that was `learned` is of just so many. `statistics` says that they are taken from every image itself: ``"std"``, or
/// ``"range"`` for minimum and range, with `epsilon` added to the latter of each. The channel axis moves from `source` to
/// `target` (-1 or -3).
#[pyfunction]
#[pyo3(signature = (images, mean, std, learned, scale, statistics, epsilon, channel_axis, source, target, dtype, out=None, clip=None))]
#[allow(clippy::too_many_arguments)] // One call from Python, where every boundary costs.
pub fn normalize_images<'py>(
    py: Python<'py>,
    images: &Bound<'py, PyAny>,
    mean: &Bound<'py, PyAny>,
    std: &Bound<'py, PyAny>,
    learned: [bool; 2],
    scale: Option<f64>,
    statistics: Option<&str>,
    epsilon: f64,
    channel_axis: &Bound<'py, PyAny>,
    source: isize,
    target: isize,
    dtype: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    clip: Option<[f64; 2]>,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Pictures::new(images)?;
    let pixel = x.first()?.dtype;
    let shape = x.shape()?;
    let (axes, apart) = (shape.len(), statistics.is_some());
    let dtype = result_dtype(Some(dtype), pixel)?;

    if ![source, target].iter().all(|axis| (-3..0).contains(axis)) {
        return Err(PyValueError::new_err("the channel axes of images are -1 and -3"));
    }
    let place = |axis: isize| axes.wrapping_add_signed(axis);
    let mut out_shape = memory::copied(&shape).raise()?;
    let channels = out_shape.remove(place(source));
    out_shape.insert(place(target), channels);
    let (result, mut kind) = match out {
        Some(out) if !out.is_instance_of::<numpy::PyUntypedArray>() => {
            return Err(PyTypeError::new_err(format!(
                "out must be a NumPy array; got {} (a tensor's numpy() shares its memory)",
                out.get_type().name()?
            )));
        }
        Some(out) => (Array::new(out, "out")?, Target::Warm),
        None => (empty(py, &out_shape, dtype)?, Target::Fresh),
    };
    result.check_target("out", &out_shape, dtype)?;
    let object = result.object.clone();
    // The channels where the input has them, so that both are walked in the same order of axes.
    let result = result.with_axis_moved(place(target), place(source));
    if out.is_some() && x.listed {
        x.arrays.iter().try_for_each(|array| result.check_apart("out", array))?;
    } else if out.is_some() && result.check_output("out", x.first()?, dtype)? {
        kind = Target::Input;
    }

    let bytes = x.arrays.iter().map(|x| x.bytes()).sum::<usize>().max(result.bytes());
    let (_, image) = shape.split_at(axes - 3);
    let batch = !apart && !x.listed && axes == 4;
    let mut kept = ChannelAxes::new(channel_axis)?.kept(3)?;
    let (mut shift, mut divisor) = (Vec::new(), Vec::new());
    if !apart {
        (shift, divisor) = constants([mean, std], learned, scale, pixel, &mut kept, image, source)?;
    }
    if batch {
        kept.insert(0, false);
    }
    let normalization = match statistics {
        Some("std") => Normalization::Deviation(epsilon),
        Some(_) => Normalization::Range(epsilon),
        None => Normalization::Given(Affine {
            shift: Some(&shift),
            scale: Some(&divisor),
            divide: true,
            clip,
            ..Affine::default()
        }),
    };
    let pictures = pictures(&x, &result, apart)?;
    let (pictures, kept) = (&pictures[..], &kept[..]);
    let done = with_element!(pixel, T => with_float!(dtype, U => {
        // SAFETY: all arrays have the dtype `pixel`, and the result has `dtype`.
        threads::run(py, bytes, move |threads| unsafe {
            map_pictures::<T, U>(normalization, pictures, kept, clip, kind, threads)
        })
    }));
    done.map_err(|(index, error)| picture_error(index, &error, &x))?;
    // What the caller gave, of whatever subclass.
    Ok(out.cloned().unwrap_or_else(|| object.into_any()))
}

/// Shift and divisor in units of pixels, one for each channel, or one for all, where `kept` then loses its axes.
fn constants(
    given: [&Bound<'_, PyAny>; 2],
    learned: [bool; 2],
    scale: Option<f64>,
    pixel: DType,
    kept: &mut [bool],
    image: &[usize],
    source: isize,
) -> PyResult<(Vec<f64>, Vec<f64>)> {
    let lengths = super::axes::kept_shape(image, kept);
    let wanted: usize = lengths.iter().product();
    let mut found = [Vec::new(), Vec::new()];
    for (((name, given), learned), found) in ["mean", "std"].into_iter().zip(given).zip(learned).zip(&mut found) {
        let (shape, values) = doubles(given, name)?;
        let for_all = values.len() == 1 && (shape.is_empty() || !learned || wanted == 1);
        if !for_all && shape != lengths {
            return Err(PyValueError::new_err(format!(
                "X has images of shape {}, which take constants of shape {}; {name} has shape {}{}",
                tuple(image),
                tuple(&lengths),
                tuple(&shape),
                other_layout(image, source, values.len())
            )));
        }
        *found = values;
    }
    let [mut shift, mut divisor] = found;
    if shift.len() == 1 && divisor.len() == 1 {
        kept.fill(false);
    } else {
        for values in [&mut shift, &mut divisor] {
            if values.len() == 1 {
                let value = values.first().copied().unwrap_or_default();
                memory::resize(values, value, wanted).raise()?;
            }
        }
    }
    let unit = |value: &mut f64| match scale {
        Some(scale) => *value /= scale,
        None => *value *= largest_pixel(pixel),
    };
    shift.iter_mut().for_each(unit);
    divisor.iter_mut().for_each(unit);
    Ok((shift, divisor))
}

/// What to do about images whose channels, of that `number`, seem to be where `source` does not say.
fn other_layout(image: &[usize], source: isize, number: usize) -> &'static str {
    match (image, source) {
        ([first, _, last], -1) if *first == number && *last != number => {
            "; channels that come first take layout='NCHW->NCHW' or 'NCHW->NHWC'"
        }
        ([first, _, last], -3) if *last == number && *first != number => {
            "; channels that come last take layout='NHWC->NCHW' or 'NHWC->NHWC'"
        }
        _ => "",
    }
}

fn picture_error(index: usize, error: &Error, x: &Pictures<'_>) -> PyErr {
    let batch = x.listed || x.arrays.first().is_some_and(|array| array.shape.len() == 4);
    let name = if batch { format!("X[{index}]") } else { "X".into() };
    super::errors::to_python(error, &name)
}

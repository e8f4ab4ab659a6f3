//! Maps for Python: made once of parameters, called for every array.

use super::arrays::{Array, DType, doubles, dtype_of, tuple, with_float};
use super::axes::{ChannelAxes, kept_shape};
use super::errors::{Raise, infinite, quoted};
use super::norms::NormName;
use super::results::empty_like;
use super::stream::codes_of;
use super::threads;
use numpy::{PyArrayDescr, PyReadonlyArray1};
use planish::drive::{Target, map_elements};
use planish::kernels::Seen;
use planish::kernels::logarithm::Function;
use planish::kernels::norms::Norm;
use planish::maps::affine::{self, Affine};
use planish::maps::logarithm::{Base, Logarithm};
use planish::maps::normalize::normalize;
use planish::memory;
use planish::stats::extrema::Extrema;
use planish::with_element;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

pyo3::create_exception!(planish._core, DomainError, PyValueError, "Numbers outside of the domain of a function.");

/// A map of arrays with the parameters that it was made with: nothing of them is looked up again.
#[pyclass(frozen, module = "planish._core", name = "Map")]
pub struct PyMap {
    kind: Kind,
    /// The axes that have parameters of their own; those of a vector, for norms.
    axes: ChannelAxes,
    /// The dtype of results; nothing for that of the input.
    dtype: Option<DType>,
}

/// Values for each channel, of this shape.
type PerChannel = (Vec<usize>, Vec<f64>);

enum Kind {
    Affine {
        shift: Option<Vec<f64>>,
        scale: Option<Vec<f64>>,
        offset: Option<Vec<f64>>,
        divide: bool,
        scale_rest: Option<Vec<f64>>,
        narrow: Option<Vec<f64>>,
        clip: Option<[f64; 2]>,
    },
    Logarithm {
        function: Function,
        base: Base,
        offset: PerChannel,
        scale: PerChannel,
        allow_outside: bool,
    },
    Normalize {
        norm: Norm,
        tiny: f64,
    },
}

/// The dtype of results that is asked for; nothing for that of the input.
pub fn asked_dtype(dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Option<DType>> {
    let Some(dtype) = dtype.filter(|dtype| !dtype.is_none()) else { return Ok(None) };
    // NumPy knows the name from the moment on that ml_dtypes is loaded.
    if dtype.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(|name| name == "bfloat16")) {
        dtype.py().import("ml_dtypes")?;
    }
    let refused = |name: &Bound<'_, PyString>| {
        PyTypeError::new_err(format!(
            "dtype={name} is no dtype of results; accepted are float16, bfloat16, float32 and float64"
        ))
    };
    let descr = match PyArrayDescr::new(dtype.py(), dtype) {
        Ok(descr) => descr,
        Err(error) if error.is_instance_of::<PyTypeError>(dtype.py()) => return Err(refused(&dtype.repr()?)),
        Err(error) => return Err(error),
    };
    match dtype_of(&descr) {
        Some(dtype) if dtype.is_float() => Ok(Some(dtype)),
        _ => Err(refused(&PyString::new(dtype.py(), &quoted(&descr.str()?.to_string())))),
    }
}

/// The dtype of the result: what `dtype` says, else that of a floating-point input, else float64.
pub fn result_dtype(dtype: Option<&Bound<'_, PyAny>>, x: DType) -> PyResult<DType> {
    Ok(asked_dtype(dtype)?.unwrap_or(x.of_results()))
}

/// Check that results can have `dtype`: what a map would say of it.
#[pyfunction]
pub fn check_dtype(dtype: &Bound<'_, PyAny>) -> PyResult<()> {
    asked_dtype(Some(dtype)).map(|_| ())
}

/// Where a map of `x` to `dtype` writes: `out`, `x` itself, or a new array.
pub fn target<'py>(
    x: &Array<'py>,
    dtype: DType,
    out: Option<&Bound<'py, PyAny>>,
    copy: bool,
) -> PyResult<(Array<'py>, Target)> {
    match out {
        Some(out) => {
            if !out.is_instance_of::<numpy::PyUntypedArray>() {
                return Err(PyTypeError::new_err(format!("out must be a NumPy array; got {}", out.get_type().name()?)));
            }
            let out = Array::new(out, "out")?;
            let target = if out.check_output("out", x, dtype)? { Target::Input } else { Target::Warm };
            Ok((out, target))
        }
        None if !copy && x.dtype == dtype && x.is_writeable() => {
            let itself = Array::new(x.object.as_any(), "X")?;
            itself.check_output("X", x, dtype)?;
            Ok((itself, Target::Input))
        }
        None => Ok((empty_like(x, dtype)?, Target::Fresh)),
    }
}

/// What is found in an array, before anything is written, of which a map refuses some numbers.
#[derive(Default)]
struct Found {
    infinite: bool,
    nan: bool,
    /// The least number; nothing where there is none.
    least: Option<f64>,
}

impl Found {
    fn of(py: Python<'_>, x: &Array<'_>) -> PyResult<Self> {
        let all = memory::filled(false, x.shape.len()).raise()?;
        let extrema = with_element!(x.dtype, T => {
            let view = x.view::<T>();
            threads::run(py, x.bytes(), move |threads| Extrema::of(view, &all, threads)).raise()?
        });
        let count: u64 = extrema.cells.iter().map(|cell| cell.count).sum();
        let least = extrema.cells.iter().filter(|cell| cell.count > 0).map(|cell| cell.min).next();
        Ok(Self { infinite: extrema.has_infinity(), nan: count != x.len() as u64, least })
    }
}

/// What a call of a map is about.
struct Call<'a, 'py> {
    py: Python<'py>,
    x: &'a Array<'py>,
    result: &'a Array<'py>,
    target: Target,
    dtype: DType,
    kept: Vec<bool>,
    codes: Option<&'a [u32]>,
    allow_infinity: bool,
}

impl Call<'_, '_> {
    fn bytes(&self) -> usize {
        self.x.bytes().max(self.result.bytes())
    }

    /// What the input holds, where elements would be overwritten: an error leaves them as they were.
    fn look_first(&self, needed: bool) -> PyResult<Found> {
        if needed && self.target == Target::Input { Found::of(self.py, self.x) } else { Ok(Found::default()) }
    }

    /// Whether an infinity was met that may not be there.
    fn affine(&self, affine: Affine<'_>) -> PyResult<bool> {
        if self.look_first(!self.allow_infinity)?.infinite {
            return Ok(true);
        }
        let (x, result, kept, codes, target) = (self.x, self.result, &self.kept, self.codes, self.target);
        let infinite = with_element!(x.dtype, T => with_float!(self.dtype, U => {
            let (view, out) = (x.view::<T>(), result.view_mut::<U>());
            threads::run(self.py, self.bytes(), move |threads| match codes {
                Some(codes) => affine::map_grouped(affine, view, out, kept, codes, target, threads),
                None => affine::map(affine, view, out, kept, target, threads),
            })
            .raise()?
        }));
        Ok(infinite && !self.allow_infinity)
    }

    fn logarithm(&self, logarithm: &Logarithm, limit: Option<f64>, one: bool) -> PyResult<bool> {
        let found = self.look_first(limit.is_some() || !self.allow_infinity)?;
        let outside = limit.is_some_and(|limit| found.least.is_some_and(|least| least <= limit));
        let seen = if found.infinite && !self.allow_infinity || outside {
            Seen { infinite: found.infinite, outside }
        } else {
            // One channel in all needs no place for each.
            let kept = if one { &memory::filled(false, self.x.shape.len()).raise()? } else { &self.kept };
            let (x, result, target) = (self.x, self.result, self.target);
            with_element!(x.dtype, T => with_float!(self.dtype, U => {
                let (view, out) = (x.view::<T>(), result.view_mut::<U>());
                threads::run(self.py, self.bytes(), move |threads| map_elements(logarithm, view, out, kept, target, threads))
                    .raise()?
            }))
        };
        let infinite = seen.infinite && !self.allow_infinity;
        match limit {
            Some(limit) if seen.outside && !infinite => {
                Err(DomainError::new_err(format!("X contains numbers that are not above {limit}")))
            }
            _ => Ok(infinite),
        }
    }

    fn normalize(&self, norm: Norm, tiny: f64) -> PyResult<bool> {
        let (x, result, along, target) = (self.x, self.result, &self.kept, self.target);
        if !x.dtype.is_float() {
            return Err(PyTypeError::new_err(format!(
                "X has dtype {}; floating-point dtypes are accepted",
                x.dtype.name()
            )));
        }
        let found = self.look_first(true)?;
        let finite = !found.infinite
            && !found.nan
            && with_float!(x.dtype, T => with_float!(self.dtype, U => {
                let (view, out) = (x.view::<T>(), result.view_mut::<U>());
                threads::run(self.py, self.bytes(), move |threads| normalize(norm, view, out, along, tiny, target, threads))
                    .raise()?
            }));
        Ok(!finite)
    }
}

/// One parameter, of as many channels as there are.
fn checked<'a>(values: Option<&'a Vec<f64>>, name: &str, shape: &[usize], count: usize) -> PyResult<Option<&'a [f64]>> {
    let Some(values) = values else { return Ok(None) };
    if values.len() != count {
        return Err(PyValueError::new_err(format!(
            "X has channels of shape {}, {count} in all; {name} has {} value(s)",
            tuple(shape),
            values.len()
        )));
    }
    Ok(Some(values))
}

impl PyMap {
    /// Map `x` into `out`, into `x` itself, or into a new array.
    pub fn apply<'py>(
        &self,
        x: &Array<'py>,
        out: Option<&Bound<'py, PyAny>>,
        copy: bool,
        allow_infinity: bool,
        codes: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = x.object.py();
        let kept = self.axes.kept(x.shape.len())?;
        let codes: Option<PyReadonlyArray1<'py, u32>> = codes.map(|codes| codes.extract()).transpose()?;
        let dtype = self.dtype.unwrap_or(x.dtype.of_results());
        let shape = kept_shape(&x.shape, &kept);
        let infinite_found = match &self.kind {
            Kind::Affine { shift, scale, offset, divide, scale_rest, narrow, clip } => {
                let channels: usize = shape.iter().product();
                let given = [shift, offset, scale].into_iter().find_map(Option::as_ref);
                // Without parameters there is nothing that could go with groups.
                let codes = codes.as_ref().filter(|_| given.is_some());
                let groups = codes.map_or(1, |_| given.map_or(1, Vec::len) / channels.max(1));
                let codes = codes.map(|codes| codes_of(codes, x, "X", groups, &kept)).transpose()?;
                let count = groups * channels;
                let check = |values, name| checked(values, name, &shape, count);
                let (scale, scale_rest) = match narrow {
                    Some(narrow) if dtype != DType::F64 => (Some(narrow), None),
                    _ => (scale.as_ref(), scale_rest.as_ref()),
                };
                let affine = Affine {
                    shift: check(shift.as_ref(), "the shift")?,
                    offset: check(offset.as_ref(), "the offset")?,
                    scale: check(scale, "the scale")?,
                    scale_rest: check(scale_rest, "the rest of the scale")?,
                    divide: *divide,
                    clip: *clip,
                    rounded: self.rounds(),
                    ..Affine::default()
                };
                let (result, target) = target(x, dtype, out, copy)?;
                let call = Call { py, x, result: &result, target, dtype, kept, codes, allow_infinity };
                (call.affine(affine)?, result)
            }
            _ if codes.is_some() => {
                return Err(PyTypeError::new_err("this map has no parameters that could go with groups"));
            }
            Kind::Logarithm { function, base, offset, scale, allow_outside } => {
                let [offset, scale] = [(offset, "offset"), (scale, "scale")].map(|((given, values), name)| {
                    if given.is_empty() || *given == shape {
                        return Ok(values);
                    }
                    Err(PyValueError::new_err(format!(
                        "X has channels of shape {}; {name} has shape {}",
                        tuple(&shape),
                        tuple(given)
                    )))
                });
                let (offset, scale) = (offset?, scale?);
                let channels = offset.len().max(scale.len());
                let each = |values: &[f64]| memory::collect(values.iter().cycle().take(channels).copied());
                let logarithm =
                    Logarithm::new(*function, *base, &each(offset).raise()?, &each(scale).raise()?).raise()?;
                let limit = match function {
                    Function::Log if !allow_outside => Some(0.0),
                    Function::LogOnePlus if !allow_outside => Some(-1.0),
                    _ => None,
                };
                let (result, target) = target(x, dtype, out, copy)?;
                let call = Call { py, x, result: &result, target, dtype, kept, codes: None, allow_infinity };
                (call.logarithm(&logarithm, limit, channels == 1)?, result)
            }
            Kind::Normalize { norm, tiny } => {
                let (result, target) = target(x, dtype, out, copy)?;
                let call = Call { py, x, result: &result, target, dtype, kept, codes: None, allow_infinity };
                (call.normalize(*norm, *tiny)?, result)
            }
        };
        let (spoiled, result) = infinite_found;
        if spoiled {
            return Err(infinite("Input X", x.dtype));
        }
        Ok(match out {
            Some(out) => out.clone(),
            None => result.object.into_any(),
        })
    }

    /// Whether it takes elements of this dtype.
    pub fn reads(&self, dtype: DType) -> bool {
        dtype.is_float() || !matches!(self.kind, Kind::Normalize { .. })
    }

    /// Whether integers of 64 bits are rounded first.
    fn rounds(&self) -> bool {
        matches!(self.kind, Kind::Affine { scale_rest: Some(_), .. })
    }
}

#[pymethods]
impl PyMap {
    /// ``(X - shift) * scale + offset`` per channel; ``(X - shift) / scale + offset`` with `divide`.
    ///
    /// Parameters that are None are left out; `clip` is the least and the largest result. `scale_rest` is the second word of
    /// the scale, with which 64-bit integers are rounded to doubles first, as the extrema are of which such a scale is made;
    /// results of another dtype than float64 have `narrow` in place of both, if it is given. The result is within one ulp
    /// of the exact value in its dtype.
    #[staticmethod]
    #[pyo3(signature = (shift, scale, offset, divide, channel_axis, dtype=None, clip=None, scale_rest=None, narrow=None))]
    #[allow(clippy::too_many_arguments)] // An affine map has as many.
    fn affine(
        shift: Option<&Bound<'_, PyAny>>,
        scale: Option<&Bound<'_, PyAny>>,
        offset: Option<&Bound<'_, PyAny>>,
        divide: bool,
        channel_axis: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        clip: Option<[f64; 2]>,
        scale_rest: Option<&Bound<'_, PyAny>>,
        narrow: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let parameter = |values: Option<&Bound<'_, PyAny>>, name: &str| {
            values.map(|values| doubles(values, name).map(|(_, values)| values)).transpose()
        };
        let kind = Kind::Affine {
            shift: parameter(shift, "the shift")?,
            scale: parameter(scale, "the scale")?,
            offset: parameter(offset, "the offset")?,
            divide,
            scale_rest: parameter(scale_rest, "the rest of the scale")?,
            narrow: parameter(narrow, "the scale")?,
            clip,
        };
        Ok(Self { kind, axes: ChannelAxes::new(channel_axis)?, dtype: asked_dtype(dtype)? })
    }

    /// ``(log(X) - offset) / scale`` per channel to the base `base` (None for e); with `one_plus`, of ``1 + X``; with
    /// `inverse`, what undoes it.
    ///
    /// `offset` and `scale` are numbers or have the shape of the channels; no scale is zero. Numbers without a logarithm give
    /// NaN with `allow_outside`, else a DomainError.
    #[staticmethod]
    #[pyo3(signature = (base, offset, scale, one_plus, inverse, channel_axis, dtype=None, allow_outside=false))]
    #[allow(clippy::too_many_arguments)] // As above.
    fn logarithm(
        base: Option<f64>,
        offset: &Bound<'_, PyAny>,
        scale: &Bound<'_, PyAny>,
        one_plus: bool,
        inverse: bool,
        channel_axis: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        allow_outside: bool,
    ) -> PyResult<Self> {
        let parameter = |values: &Bound<'_, PyAny>, name: &str| match values.cast_exact::<PyFloat>() {
            Ok(number) => Ok((Vec::new(), memory::collect([number.value()]).raise()?)),
            Err(_) => doubles(values, name),
        };
        let function = match (inverse, one_plus) {
            (false, false) => Function::Log,
            (false, true) => Function::LogOnePlus,
            (true, false) => Function::Power,
            (true, true) => Function::PowerLessOne,
        };
        let kind = Kind::Logarithm {
            function,
            base: base.map_or(Base::E, Base::Number),
            offset: parameter(offset, "offset")?,
            scale: parameter(scale, "scale")?,
            allow_outside,
        };
        Ok(Self { kind, axes: ChannelAxes::new(channel_axis)?, dtype: asked_dtype(dtype)? })
    }

    /// Every vector along the axes `along` divided by its length; vectors shorter than `tiny`, and zero, stay as they are.
    #[staticmethod]
    #[pyo3(signature = (norm, along, tiny, dtype=None))]
    fn normalize(
        norm: NormName,
        along: &Bound<'_, PyAny>,
        tiny: f64,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let kind = Kind::Normalize { norm: norm.0, tiny };
        Ok(Self { kind, axes: ChannelAxes::new(along)?, dtype: asked_dtype(dtype)? })
    }

    /// Map `x` in one pass, into `out`, which may be `x`; into a new array; or in place without `copy`.
    ///
    /// An infinite element is a ValueError without `allow_infinity`, as is NaN for norms; after an error `out` is unspecified
    /// unless it is `x`. With `codes`, the groups of the samples along the first axis, affine parameters have a first axis of
    /// groups.
    #[pyo3(signature = (x, out=None, copy=true, allow_infinity=false, codes=None))]
    fn __call__<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        copy: bool,
        allow_infinity: bool,
        codes: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.apply(&Array::new(x, "X")?, out, copy, allow_infinity, codes)
    }
}

//! The affine map of an array, per channel.

use crate::array::DType;
use crate::drive::{ElementMap, map_elements, map_groups};
use crate::element::{Element, Output};
use crate::error::Error;
use crate::kernels::Seen;
use crate::kernels::affine::{Form, NO_OFFSET, Parameters};
use crate::kernels::convert::converted;
use crate::kernels::narrow::Narrow;
use crate::rows::{Rows, RowsMut};
use crate::view::{View, ViewMut};

pub use crate::drive::Target;

/// `y = (x - shift) * scale + offset`, where the scale may be given by its reciprocal.
#[derive(Debug, Default, Clone, Copy)]
pub struct Affine<'a> {
    /// Subtracted first, one for each channel; nothing is zero.
    pub shift: Option<&'a [f64]>,
    /// Factors; nothing is one.
    pub scale: Option<&'a [f64]>,
    /// What rounding the scale to `f64` lost; nothing is zero.
    pub scale_rest: Option<&'a [f64]>,
    /// Powers of two that scales out of the range of `f64` have been multiplied by; nothing is one.
    pub unit: Option<&'a [f64]>,
    /// Whether to divide by `scale` instead.
    pub divide: bool,
    /// Added last; nothing is zero.
    pub offset: Option<&'a [f64]>,
    /// The least and the largest result; nothing for no limits.
    pub clip: Option<[f64; 2]>,
    /// Whether integers of 64 bits are rounded to `f64` before all else: where the shift is a rounded extremum of them, which
    /// they must meet.
    pub rounded: bool,
}

impl Affine<'_> {
    /// The parameters of the channels `first + c` for each `c` of `channels`. There is room for them.
    fn fill(&self, first: isize, channels: &[isize], parameters: &mut Parameters) {
        let fill = |target: &mut Vec<f64>, values: Option<&[f64]>, default: f64| {
            target.clear();
            match values {
                Some(values) => target.extend(channels.iter().map(|c| values[(first + c) as usize])),
                None => target.resize(channels.len(), default),
            }
        };
        fill(&mut parameters.shift, self.shift, 0.0);
        fill(&mut parameters.scale, self.scale, 1.0);
        fill(&mut parameters.scale_rest, self.scale_rest, 0.0);
        fill(&mut parameters.offset, self.offset, NO_OFFSET);
        parameters.unit.clear();
        if self.unit.is_some() {
            fill(&mut parameters.unit, self.unit, 1.0);
        }
        parameters.rounded = self.rounded;
        parameters.prepare(self.divide);
    }

    fn form(&self) -> Form {
        match self.offset {
            None => Form::Scaled,
            Some(_) if self.shift.is_none() && self.scale_rest.is_none() && !self.divide => Form::Fused,
            Some(_) => Form::Full,
        }
    }
}

/// Parameters of the affine map of columns, in one of two forms.
#[derive(Debug)]
pub struct AffineColumns<W> {
    parameters: Parameters,
    /// Of small integers to narrow floats; empty otherwise.
    narrow: Narrow,
    /// Elements in the type that the kernels read: that of the map, or `f64` for results of that type.
    wide: Vec<W>,
    doubles: Vec<f64>,
}

impl<W> Default for AffineColumns<W> {
    fn default() -> Self {
        Self { parameters: Parameters::default(), narrow: Narrow::default(), wide: Vec::new(), doubles: Vec::new() }
    }
}

/// Whether elements are mapped by [`Narrow`] as they are: pixels to the input of networks, which is where it counts.
const fn is_pixel<T: Element, U: Output>() -> bool {
    T::IS_SMALL && matches!(size_of::<U>(), 4) && matches!(T::DTYPE, DType::U8 | DType::U16)
}

impl<T: Element, U: Output> ElementMap<T, U> for Affine<'_> {
    type Columns = AffineColumns<T::Wide>;

    fn prepare(
        &self,
        first: isize,
        channels: &[isize],
        times: usize,
        columns: &mut AffineColumns<T::Wide>,
    ) -> Result<(), Error> {
        let AffineColumns { parameters, narrow, .. } = columns;
        parameters.reserve(channels.len(), times)?;
        self.fill(first, channels, parameters);
        if T::IS_SMALL && !U::NEEDS_EXACT && self.offset.is_none() && self.unit.is_none() {
            narrow.reserve(channels.len(), times)?;
            narrow.prepare(parameters);
        }
        if narrow.is_empty() {
            parameters.widen(times)
        } else {
            narrow.widen(times)
        }
        Ok(())
    }

    fn run(
        &self,
        columns: &mut AffineColumns<T::Wide>,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        next: Option<*const T>,
        stream: bool,
    ) -> Result<Seen, Error> {
        let AffineColumns { parameters, narrow, wide, doubles } = columns;
        if const { T::IS_SMALL && !U::NEEDS_EXACT } && !narrow.is_empty() {
            if const { is_pixel::<T, U>() } {
                narrow.map(rows, out, next, stream);
            } else {
                narrow.map(converted(rows, wide)?, out, None, stream);
            }
            return Ok(Seen::default());
        }
        let infinite = if const { U::NEEDS_EXACT && !T::IS_WIDE && !T::Wide::IS_WIDE } {
            parameters.map(converted::<T, f64>(rows, doubles)?, out, self.form(), stream)
        } else {
            parameters.map(converted::<T, T::Wide>(rows, wide)?, out, self.form(), stream)
        };
        Ok(Seen { infinite, outside: false })
    }

    fn clip(&self) -> Option<[f64; 2]> {
        self.clip
    }
}

/// Map `x` into `out`, which has the same shape, by the affine map; whether `x` contains an infinity.
pub fn map<T: Element, U: Output>(
    affine: Affine<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    map_elements(&affine, x, out, kept, target, threads).map(|seen| seen.infinite)
}

/// As [`map`], with parameters for each group of samples along the first axis, whose groups `codes` says: channel `c` of
/// group `g` has number `g * channels + c`.
pub fn map_grouped<T: Element, U: Output>(
    affine: Affine<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    codes: &[u32],
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    map_groups(&affine, x, out, kept, codes, target, threads).map(|seen| seen.infinite)
}

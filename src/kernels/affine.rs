//! The affine map of columns, `y = (x - shift) * scale + offset`, and its inverse, in one form.
//!
//! Elements are widened to `f64`, mapped and rounded once. Where the output is itself `f64`, the rounding errors of
//! each operation are computed and added back at the end, so that the result is within one ulp there as well; the
//! scale then carries a second double, so that a division is as exact as a multiplication. The same is done for every
//! output where an offset has taken most digits of the product away. What is left, parameters near the ends of the range of
//! `f64` and results that are next to nothing beside their offset, is done exactly ([`super::exact_map`]).

use super::columns::{Columns, Walk, lanes, lanes_mut};
use super::exact_map::{self, Factor};
use super::{Kernel, copy};
use crate::dd::two_sum;
use crate::element::{Element, Key, Output};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};
use std::marker::PhantomData;

const LANES: usize = 16;
const GROUP: usize = 4;
/// The same past the cache: several rows at once would leave as many lines of the CPU's write-combining buffers open.
const STREAM_GROUP: usize = 1;

/// Which terms a map has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// No offset: every offset is [`NO_OFFSET`].
    Scaled,
    /// An offset, and neither a shift nor a rest of the scale.
    Fused,
    /// An offset and any of the others.
    Full,
}

impl Form {
    /// What `T` takes: a value in two words has a rest as well.
    fn of<T: Element>(self) -> Self {
        if T::IS_WIDE && self == Self::Fused { Self::Full } else { self }
    }
}

const SCALED: u8 = Form::Scaled as u8;
const FUSED: u8 = Form::Fused as u8;
const FULL: u8 = Form::Full as u8;

/// Whether maps with an offset go past the cache: in layers and maps of floats to themselves (16 bits come as 32).
const fn offsets_stream<T: Element, U: Output>() -> bool {
    matches!((size_of::<T>(), size_of::<U>()), (4, 4) | (8, 8) | (4, 2))
}

/// What can be added to everything, minus zero included, and changes nothing.
pub const NO_OFFSET: f64 = -0.0;

/// A result that is smaller than this part of its offset has lost too many digits, where rounding errors are added back
/// and where they are not.
const CANCELLED: f64 = 1.0 / (1u64 << 48) as f64;
const CANCELLED_PLAIN: f64 = 1.0 / (1u64 << 16) as f64;
/// From here on (2^969) what is added to the largest double may take it out of range.
const LARGEST: f64 = f64::from_bits((1023 + 969) << 52);
/// Divisors whose reciprocals, and what rounding these lost, are normal numbers: between 2^-900 and 2^900.
const DIVISORS: [f64; 2] = [f64::from_bits((1023 - 900) << 52), f64::from_bits((1023 + 900) << 52)];

/// Parameters of the map, one for each column.
#[derive(Debug, Default, Clone)]
pub struct Parameters {
    /// Subtracted first.
    pub shift: Vec<f64>,
    /// Factor, rounded to `f64`.
    pub scale: Vec<f64>,
    /// What that rounding left over.
    pub scale_rest: Vec<f64>,
    /// Added last.
    pub offset: Vec<f64>,
    /// Powers of two that the scales have been multiplied by; nothing where these are one.
    pub unit: Vec<f64>,
    /// Whether integers of 64 bits are rounded to `f64` before all else, as extrema are.
    pub rounded: bool,
    /// The scales with their rests before they became reciprocals; nothing where they did not.
    divisors: Vec<[f64; 2]>,
    /// Magnitudes below which a result has lost too many digits to its offset. (In `f32`, of which there are more to a vector.)
    lost: Vec<f32>,
    /// Whether a column needs the exact map.
    extreme: bool,
}

impl Parameters {
    /// Of columns with these shifts, scales and offsets; to be prepared.
    pub fn new(shift: Vec<f64>, scale: Vec<f64>, offset: Vec<f64>) -> Result<Self, Error> {
        let scale_rest = memory::filled(0.0, scale.len())?;
        let (divisors, lost) = (memory::with_room(scale.len())?, memory::with_room(scale.len())?);
        let unit = Vec::new();
        Ok(Self { shift, scale, scale_rest, offset, unit, rounded: false, divisors, lost, extreme: false })
    }

    /// Make ready to map. With `divide`, reciprocals take the place of all scales, to twice the precision of `f64`.
    pub fn prepare(&mut self, divide: bool) {
        self.divisors.clear();
        self.lost.clear();
        self.lost.extend(self.offset.iter().map(|offset| (offset.abs() * CANCELLED_PLAIN) as f32));
        let out_of_range = |value: &f64| value.abs() >= LARGEST;
        let wide = |(scale, rest): (&f64, &f64)| *rest != 0.0 && !(scale + rest).is_finite();
        self.extreme = self.lost.iter().any(|lost| lost.is_infinite())
            || self.shift.iter().any(out_of_range)
            || self.offset.iter().any(out_of_range)
            || self.scale.iter().zip(&self.scale_rest).any(wide)
            || self.unit.iter().any(|unit| *unit != 1.0);
        if divide {
            self.extreme |= self.scale.iter().any(|scale| !(DIVISORS[0]..=DIVISORS[1]).contains(&scale.abs()));
            self.divisors.extend(self.scale.iter().zip(&self.scale_rest).map(|(scale, rest)| [*scale, *rest]));
            super::run(Invert(self));
        }
    }

    /// An element as the sum of two doubles.
    #[inline(always)]
    fn words<T: Element>(&self, x: T) -> [f64; 2] {
        let [high, low] = x.as_sum();
        if T::IS_WIDE && self.rounded { [high + low, 0.0] } else { [high, low] }
    }

    /// Repeat the columns `times` times.
    pub fn widen(&mut self, times: usize) {
        for values in [&mut self.shift, &mut self.scale, &mut self.scale_rest, &mut self.offset] {
            repeat(values, times);
        }
        repeat(&mut self.unit, times);
        repeat(&mut self.divisors, times);
        repeat(&mut self.lost, times);
    }

    /// Map `rows` into `out`; whether an infinity was among the elements. With `stream`, `out` is written past the
    /// cache: every row of it must start at a multiple of 16 bytes, and [`copy::fence`] be called in the end.
    pub fn map<T: Element, U: Output>(&self, rows: Rows<'_, T>, out: RowsMut<'_, U>, form: Form, stream: bool) -> bool {
        if self.extreme {
            let mut map = Exact::<T, U> { parameters: self, infinite: false, out: PhantomData };
            super::run(Walk::<_, _, 4, 1> { rows, out, columns: &mut map });
            return map.infinite;
        }
        // Each kernel is compiled for every pair of dtypes: past the cache where it counts.
        let stream = stream && const { !T::IS_WIDE } && (form == Form::Scaled || const { offsets_stream::<T, U>() });
        match (form.of::<T>(), stream) {
            (Form::Scaled, false) => self.walk::<T, U, SCALED, false>(rows, out),
            (Form::Scaled, true) if const { !T::IS_WIDE } => self.walk::<T, U, SCALED, true>(rows, out),
            (Form::Fused, false) if const { !T::IS_WIDE } => self.walk::<T, U, FUSED, false>(rows, out),
            (Form::Fused, true) if const { offsets_stream::<T, U>() } => self.walk::<T, U, FUSED, true>(rows, out),
            (_, true) if const { offsets_stream::<T, U>() } => self.walk::<T, U, FULL, true>(rows, out),
            _ => self.walk::<T, U, FULL, false>(rows, out),
        }
    }

    /// Element `x` of column `c` without shift and offset; nothing where there is no such column.
    #[inline(always)]
    pub fn scaled<T: Element>(&self, c: usize, x: T) -> Option<f64> {
        let (scale, rest) = (*self.scale.get(c)?, *self.scale_rest.get(c)?);
        if self.extreme {
            return Some(self.exactly(c, x));
        }
        let corrected = map_corrected::<SCALED, false>([x.to_f64(), 0.0], 0.0, scale, rest, NO_OFFSET);
        Some(if corrected.is_nan() { x.to_f64() * scale } else { corrected })
    }

    /// Element `x` of column `c`, of whose product the offset has left less than [`CANCELLED_PLAIN`], for an output of fewer
    /// digits than `f64`.
    #[inline(always)]
    fn recovered<T: Element>(&self, c: usize, x: T) -> f64 {
        let Self { shift, scale, scale_rest, offset, .. } = self;
        let (difference, difference_error) = difference::<FULL, true>(self.words(x), shift[c]);
        let more = difference.mul_add(scale_rest[c], difference_error * scale[c]);
        let y = difference.mul_add(scale[c], offset[c]) + more;
        if y.abs() < offset[c].abs() * CANCELLED { self.exactly(c, x) } else { y }
    }

    /// Element `x` of column `c`, rounded once.
    #[cold]
    #[inline(never)]
    fn exactly<T: Element>(&self, c: usize, x: T) -> f64 {
        if !self.extreme && self.is_nothing(c, x) {
            return 0.0;
        }
        let unit = self.unit.get(c).copied().unwrap_or(1.0);
        let factor = match self.divisors.get(c) {
            Some(scale) => Factor { scale: *scale, unit, divides: true },
            None => Factor { scale: [self.scale[c], self.scale_rest[c]], unit, divides: false },
        };
        exact_map::map(self.words(x), self.shift[c], factor, self.offset[c])
    }

    /// Whether the offset takes all of the product away, where that is easily seen: data may be full of such elements.
    fn is_nothing<T: Element>(&self, c: usize, x: T) -> bool {
        let (difference, error) = difference::<FULL, true>(self.words(x), self.shift[c]);
        // Large enough that none of the digits of the sums below is out of range.
        let exact = error == 0.0 && difference.abs() > DIVISORS[0];
        exact
            && match self.divisors.get(c) {
                Some([divisor, rest]) => *rest == 0.0 && self.offset[c].mul_add(*divisor, difference) == 0.0,
                None => self.scale_rest[c] == 0.0 && difference.mul_add(self.scale[c], self.offset[c]) == 0.0,
            }
    }

    fn walk<T: Element, U: Output, const FORM: u8, const STREAM: bool>(
        &self,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
    ) -> bool {
        let mut map =
            Map::<T, U, FORM, STREAM> { parameters: self, largest: [T::Key::ZERO; 2 * LANES], out: PhantomData };
        if STREAM {
            super::run(Walk::<_, _, LANES, STREAM_GROUP> { rows, out, columns: &mut map });
        } else {
            super::run(Walk::<_, _, LANES, GROUP> { rows, out, columns: &mut map });
        }
        map.largest.iter().any(|largest| largest.is_infinite())
    }
}

impl Parameters {
    /// Make room for those of `columns` columns, `times` times over.
    pub fn reserve(&mut self, columns: usize, times: usize) -> Result<(), Error> {
        let Self { shift, scale, scale_rest, offset, unit, divisors, lost, .. } = self;
        for values in [shift, scale, scale_rest, offset, unit] {
            memory::reserve(values, (columns * times).saturating_sub(values.len()))?;
        }
        memory::reserve(lost, (columns * times).saturating_sub(lost.len()))?;
        memory::reserve(divisors, (columns * times).saturating_sub(divisors.len()))
    }
}

/// Repeat `values` `times` times, in ever longer pieces. Callers have made room where there may be too little memory.
pub fn repeat<T: Copy>(values: &mut Vec<T>, times: usize) {
    let len = values.len() * times;
    values.reserve(len - values.len());
    while values.len() < len {
        values.extend_from_within(..values.len().min(len - values.len()));
    }
}

struct Invert<'a>(&'a mut Parameters);

impl Kernel for Invert<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (scale, rest) in self.0.scale.iter_mut().zip(&mut self.0.scale_rest) {
            let inverse = 1.0 / *scale;
            // What rounding the reciprocal lost, by one step of Newton's iteration.
            *rest = (inverse.mul_add(-*scale, 1.0) - inverse * *rest) * inverse;
            *scale = inverse;
        }
    }
}

/// One element, given as the sum of two doubles, in `f64` arithmetic: about two roundings of 2^-53 besides that of the
/// output, all of them of a product that nothing is taken away from.
#[inline(always)]
fn map_plain<const FORM: u8, const WIDE: bool>(x: [f64; 2], shift: f64, scale: f64, offset: f64) -> f64 {
    if FORM == FUSED {
        return x[0].mul_add(scale, offset);
    }
    let difference = if WIDE {
        let (sum, error) = two_sum(x[0], -shift);
        (sum + x[1]) + error
    } else {
        x[0] - shift
    };
    if FORM == SCALED { difference * scale } else { difference.mul_add(scale, offset) }
}

/// `x - shift` as sum and error.
#[inline(always)]
fn difference<const FORM: u8, const WIDE: bool>(x: [f64; 2], shift: f64) -> (f64, f64) {
    if FORM == FUSED {
        return (x[0], 0.0);
    }
    let (sum, error) = two_sum(x[0], -shift);
    if WIDE {
        let (sum, more) = two_sum(sum, x[1]);
        return two_sum(sum, error + more);
    }
    (sum, error)
}

/// One element with every rounding error added back, for a result within one ulp of `f64`; NaN of an infinite one, which
/// has no error to add.
#[inline(always)]
fn map_corrected<const FORM: u8, const WIDE: bool>(
    x: [f64; 2],
    shift: f64,
    scale: f64,
    scale_rest: f64,
    offset: f64,
) -> f64 {
    let (difference, difference_error) = difference::<FORM, WIDE>(x, shift);
    let product = difference * scale;
    let residual = difference.mul_add(scale, -product);
    let error = difference.mul_add(scale_rest, difference_error.mul_add(scale, residual));
    if FORM == SCALED {
        // The sum of two zeros is positive unless both are negative.
        return (product + error).copysign(product);
    }
    let (sum, sum_error) = two_sum(product, offset);
    sum + (sum_error + error)
}

/// One element of column `c`, as the kernels map it.
pub fn map_one<T: Element, U: Output>(parameters: &Parameters, c: usize, x: T, form: Form) -> U {
    U::from_f64(match (form.of::<T>(), T::IS_WIDE) {
        (_, _) if parameters.extreme => parameters.exactly(c, x),
        (Form::Scaled, false) => one::<T, U, SCALED, false>(parameters, c, x),
        (Form::Scaled, true) => one::<T, U, SCALED, true>(parameters, c, x),
        (Form::Fused, _) => one::<T, U, FUSED, false>(parameters, c, x),
        (Form::Full, false) => one::<T, U, FULL, false>(parameters, c, x),
        (Form::Full, true) => one::<T, U, FULL, true>(parameters, c, x),
    })
}

fn one<T: Element, U: Output, const FORM: u8, const WIDE: bool>(parameters: &Parameters, c: usize, x: T) -> f64 {
    let Parameters { shift, scale, scale_rest, offset, .. } = parameters;
    let plain = map_plain::<FORM, WIDE>(parameters.words(x), shift[c], scale[c], offset[c]);
    if !U::NEEDS_EXACT {
        return if FORM == FULL && is_lost(plain, parameters.lost[c]) { parameters.recovered(c, x) } else { plain };
    }
    let y = map_corrected::<FORM, WIDE>(parameters.words(x), shift[c], scale[c], scale_rest[c], offset[c]);
    if y.is_nan() {
        plain
    } else if FORM == FULL && y.abs() < offset[c].abs() * CANCELLED {
        parameters.exactly(c, x)
    } else {
        y
    }
}

/// Whether a result without errors added back has lost too many digits.
#[inline(always)]
fn is_lost(y: f64, least: f32) -> bool {
    (y as f32).abs() < least
}

// Aligned, so that no vector of magnitudes crosses a cache line: it could not be read back before it left the store buffer.
#[repr(C, align(64))]
struct Map<'a, T: Element, U, const FORM: u8, const STREAM: bool> {
    /// The largest magnitudes seen, in chunks of `L` columns at `L`: where an infinity shows. No chunk reads what one of
    /// another size has written, which would have to wait until all earlier stores are done.
    largest: [T::Key; 2 * LANES],
    parameters: &'a Parameters,
    out: PhantomData<U>,
}

impl<T: Element, U: Output, const FORM: u8, const STREAM: bool> Columns<T> for Map<'_, T, U, FORM, STREAM> {
    type Out = U;

    #[inline(always)]
    fn chunk<const L: usize, const R: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; R],
        out: [&mut [U; L]; R],
    ) {
        if const { T::IS_WIDE } {
            self.chunk_as::<L, R, true>(at, elements, out);
        } else {
            self.chunk_as::<L, R, false>(at, elements, out);
        }
    }
}

impl<T: Element, U: Output, const FORM: u8, const STREAM: bool> Map<'_, T, U, FORM, STREAM> {
    #[inline(always)]
    fn chunk_as<const L: usize, const R: usize, const WIDE: bool>(
        &mut self,
        at: usize,
        elements: [&[T; L]; R],
        out: [&mut [U; L]; R],
    ) {
        let parameters = self.parameters;
        let shift: &[f64; L] = lanes(&parameters.shift, at);
        let scale: &[f64; L] = lanes(&parameters.scale, at);
        let rest: &[f64; L] = lanes(&parameters.scale_rest, at);
        let offset: &[f64; L] = lanes(&parameters.offset, at);
        let lost: &[f32; L] = lanes(&parameters.lost, at);
        let mut largest: [T::Key; L] = *lanes(&self.largest, L);
        for (x, y) in elements.into_iter().zip(out) {
            // Whole arrays in and out: the compiler need not fear that the output overlaps the input.
            let x: [T; L] = *x;
            let plain = |j: usize| map_plain::<FORM, WIDE>(parameters.words(x[j]), shift[j], scale[j], offset[j]);
            let (mut odd, mut any_lost) = (true, false);
            let mapped: [U; L] = if U::NEEDS_EXACT {
                let corrected = |j: usize| {
                    map_corrected::<FORM, WIDE>(parameters.words(x[j]), shift[j], scale[j], rest[j], offset[j])
                };
                // What is not a number is no comparison's, either.
                let lost = |j: usize, y: f64| FORM == FULL && y.abs() < offset[j].abs() * CANCELLED;
                let mut mapped: [f64; L] = std::array::from_fn(corrected);
                odd = (0..L).fold(false, |odd, j| odd | mapped[j].is_nan() | lost(j, mapped[j]));
                if odd {
                    for j in 0..L {
                        if mapped[j].is_nan() {
                            mapped[j] = plain(j);
                        } else if lost(j, mapped[j]) {
                            mapped[j] = self.parameters.exactly(at + j, x[j]);
                        }
                    }
                }
                mapped.map(U::from_f64)
            } else if FORM == FULL {
                let mut mapped = [U::from_f64(0.0); L];
                for j in 0..L {
                    let y = plain(j);
                    any_lost |= is_lost(y, lost[j]);
                    mapped[j] = U::from_f64(y);
                }
                mapped
            } else {
                std::array::from_fn(|j| U::from_f64(plain(j)))
            };
            if STREAM && U::NEEDS_EXACT {
                copy::stream_wide_lanes(mapped, y);
            } else if STREAM {
                copy::stream_lanes(&mapped, y);
            } else {
                *y = mapped;
            }
            if any_lost {
                recover::<T, U, L, WIDE>(parameters, at, &x, y);
            }
            // The corrected map of an infinity is odd.
            if odd {
                for j in 0..L {
                    let magnitude = x[j].key().magnitude();
                    largest[j] = if magnitude > largest[j] { magnitude } else { largest[j] };
                }
            }
        }
        *lanes_mut(&mut self.largest, L) = largest;
    }
}

/// The elements `x` of the columns from `at` on whose results `y` have lost too many digits, once more: a kernel by itself,
/// so that the loop around the plain one stays small.
struct Recover<'a, T, U, const L: usize, const WIDE: bool> {
    parameters: &'a Parameters,
    at: usize,
    x: &'a [T; L],
    y: &'a mut [U; L],
}

impl<T: Element, U: Output, const L: usize, const WIDE: bool> Kernel for Recover<'_, T, U, L, WIDE> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Parameters { shift, scale, offset, lost, .. } = self.parameters;
        for (c, (x, y)) in (self.at..).zip(self.x.iter().zip(self.y)) {
            let plain = map_plain::<FULL, WIDE>(self.parameters.words(*x), shift[c], scale[c], offset[c]);
            if is_lost(plain, lost[c]) {
                *y = U::from_f64(self.parameters.recovered(c, *x));
            }
        }
    }
}

#[cold]
#[inline(never)]
fn recover<T: Element, U: Output, const L: usize, const WIDE: bool>(
    parameters: &Parameters,
    at: usize,
    x: &[T; L],
    y: &mut [U; L],
) {
    super::run(Recover::<T, U, L, WIDE> { parameters, at, x, y });
}

/// The exact map of every element.
struct Exact<'a, T, U> {
    parameters: &'a Parameters,
    infinite: bool,
    out: PhantomData<(T, U)>,
}

impl<T: Element, U: Output> Columns<T> for Exact<'_, T, U> {
    type Out = U;

    #[inline(always)]
    fn chunk<const L: usize, const R: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; R],
        out: [&mut [U; L]; R],
    ) {
        for (x, y) in elements.into_iter().zip(out) {
            for j in 0..L {
                y[j] = U::from_f64(self.parameters.exactly(at + j, x[j]));
                self.infinite |= x[j].key().magnitude().is_infinite();
            }
        }
    }
}

//! The affine map of columns, `y = (x - shift) * scale + offset`, and its inverse, in one form.
//!
//! Elements are widened to `f64`, mapped and rounded once. Where the output is itself `f64`, the rounding errors of
//! each operation are computed and added back at the end, so that the result is within one ulp there as well; the
//! scale then carries a second double, so that a division is as exact as a multiplication.

use super::columns::{Columns, Walk, lanes, lanes_mut};
use super::{Kernel, copy};
use crate::dd::two_sum;
use crate::element::{Element, Key, Output};
use crate::error::Error;
use crate::memory;
use crate::tiles::{Rows, RowsMut};
use std::marker::PhantomData;

const LANES: usize = 16;
const GROUP: usize = 4;
/// The same past the cache: several rows at once would leave as many lines of the CPU's write-combining buffers open.
const STREAM_GROUP: usize = 1;

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
}

impl Parameters {
    /// Replace every scale (with its rest) by its reciprocal, to twice the precision of `f64`: what division takes.
    pub fn invert_scales(&mut self) {
        super::run(Invert(self));
    }

    /// Repeat the columns `times` times.
    pub fn widen(&mut self, times: usize) {
        for values in [&mut self.shift, &mut self.scale, &mut self.scale_rest, &mut self.offset] {
            repeat(values, times);
        }
    }

    /// Map `rows` into `out`; whether an infinity was among the elements. Without `has_offset` all offsets are zero, which
    /// saves their addition where that is costly. With `stream`, `out` is written past the
    /// cache: every row of it must start at a multiple of 16 bytes, and [`copy::fence`] be called in the end.
    pub fn map<T: Element, U: Output>(
        &self,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        has_offset: bool,
        stream: bool,
    ) -> bool {
        if const { U::NEEDS_EXACT } {
            match (has_offset, stream) {
                (true, true) => self.walk::<T, U, true, true>(rows, out),
                (true, false) => self.walk::<T, U, true, false>(rows, out),
                (false, true) => self.walk::<T, U, false, true>(rows, out),
                (false, false) => self.walk::<T, U, false, false>(rows, out),
            }
        } else if stream {
            // Adding a zero costs nothing where rounding errors are not worked out.
            self.walk::<T, U, true, true>(rows, out)
        } else {
            self.walk::<T, U, true, false>(rows, out)
        }
    }

    fn walk<T: Element, U: Output, const OFFSET: bool, const STREAM: bool>(
        &self,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
    ) -> bool {
        let mut map =
            Map::<T, U, OFFSET, STREAM> { parameters: self, largest: [T::Key::ZERO; 2 * LANES], out: PhantomData };
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
        let Self { shift, scale, scale_rest, offset } = self;
        for values in [shift, scale, scale_rest, offset] {
            memory::reserve(values, (columns * times).saturating_sub(values.len()))?;
        }
        Ok(())
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

/// One element, in `f64` arithmetic: about two roundings of 2^-53 besides that of the output.
#[inline(always)]
pub fn map_plain(x: f64, shift: f64, scale: f64, offset: f64) -> f64 {
    (x - shift) * scale + offset
}

/// One element with every rounding error added back, for a result within one ulp of `f64`.
#[inline(always)]
pub fn map_exact<const OFFSET: bool>(x: f64, shift: f64, scale: f64, scale_rest: f64, offset: f64) -> f64 {
    let corrected = map_corrected::<OFFSET>(x, shift, scale, scale_rest, offset);
    if corrected.is_nan() { map_plain(x, shift, scale, offset) } else { corrected }
}

/// [`map_exact`] of a finite result; NaN of an infinite one, which has no error to add.
#[inline(always)]
fn map_corrected<const OFFSET: bool>(x: f64, shift: f64, scale: f64, scale_rest: f64, offset: f64) -> f64 {
    let (difference, difference_error) = two_sum(x, -shift);
    let product = difference * scale;
    let residual = difference.mul_add(scale, -product);
    let error = difference.mul_add(scale_rest, difference_error.mul_add(scale, residual));
    if OFFSET {
        let (sum, sum_error) = two_sum(product, offset);
        sum + (sum_error + error)
    } else {
        product + error
    }
}

struct Map<'a, T: Element, U, const OFFSET: bool, const STREAM: bool> {
    parameters: &'a Parameters,
    /// The largest magnitudes seen, in chunks of `L` columns at `L`: where an infinity shows. No chunk reads what one of
    /// another size has written, which would have to wait until all earlier stores are done.
    largest: [T::Key; 2 * LANES],
    out: PhantomData<U>,
}

impl<T: Element, U: Output, const OFFSET: bool, const STREAM: bool> Columns<T> for Map<'_, T, U, OFFSET, STREAM> {
    type Out = U;

    #[inline(always)]
    fn chunk<const L: usize, const R: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; R],
        out: [&mut [U; L]; R],
    ) {
        let shift: &[f64; L] = lanes(&self.parameters.shift, at);
        let scale: &[f64; L] = lanes(&self.parameters.scale, at);
        let rest: &[f64; L] = lanes(&self.parameters.scale_rest, at);
        let offset: &[f64; L] = lanes(&self.parameters.offset, at);
        let mut largest: [T::Key; L] = *lanes(&self.largest, L);
        for (x, y) in elements.into_iter().zip(out) {
            // Whole arrays in and out: the compiler need not fear that the output overlaps the input.
            let x: [T; L] = *x;
            let plain = |j: usize| map_plain(x[j].to_f64(), shift[j], scale[j], offset[j]);
            let mut odd = true;
            let mapped: [U; L] = if U::NEEDS_EXACT {
                let corrected =
                    |j: usize| map_corrected::<OFFSET>(x[j].to_f64(), shift[j], scale[j], rest[j], offset[j]);
                let mut mapped: [f64; L] = std::array::from_fn(corrected);
                odd = mapped.iter().fold(false, |odd, y| odd | y.is_nan());
                if odd {
                    mapped = std::array::from_fn(|j| if mapped[j].is_nan() { plain(j) } else { mapped[j] });
                }
                mapped.map(U::from_f64)
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

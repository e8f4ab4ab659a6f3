//! Short rows divided by their length, each read from memory and written to it once.

use super::columns::{AHEAD, prefetch};
use super::norms::{L1, L2, Length, Max, Norm, UNITS, whole};
use super::{Kernel, copy};
use crate::dd::Dd;
use crate::element::{Element, Output};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};
use std::ops::Range;

/// Parts of a vector that are summed side by side.
const LANES: usize = 8;
/// Bytes of vectors that are measured before they are divided: they stay in the first-level cache. While they are
/// divided, the next ones are asked for.
const BATCH_BYTES: usize = AHEAD;

#[inline(always)]
fn widen<T: Element>(x: &[T; LANES], unit: f64) -> [f64; LANES] {
    let mut wide = [0.0; LANES];
    for (wide, x) in wide.iter_mut().zip(x) {
        *wide = x.to_f64() * unit;
    }
    wide
}

/// The sum of one vector, in lanes that are joined in a fixed order.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Lanes {
    sum: [f64; LANES],
    error: [f64; LANES],
}

impl Lanes {
    const ZERO: Self = Self { sum: [0.0; LANES], error: [0.0; LANES] };

    /// Of `x`, multiplied by `unit` first. With `EXACT`, the sums are taken once more on top of twice themselves: larger
    /// than any term, they lose no more than they show.
    #[inline(always)]
    fn of<T: Element, N: Length, const EXACT: bool>(x: &[T], unit: f64) -> Self {
        let (chunks, rest) = x.as_chunks::<LANES>();
        // Zeros add nothing: with them the rest is one more chunk.
        let mut last = [0.0; LANES];
        for (last, x) in last.iter_mut().zip(rest) {
            *last = x.to_f64() * unit;
        }
        let mut lanes = Self::ZERO;
        for chunk in chunks {
            lanes.add::<N>(&widen(chunk, unit));
        }
        if !rest.is_empty() {
            lanes.add::<N>(&last);
        }
        if EXACT && N::ROUNDS {
            let mut start = [0.0; LANES];
            for (start, sum) in start.iter_mut().zip(&mut lanes.sum) {
                *sum *= 2.0;
                *start = *sum;
            }
            for chunk in chunks {
                lanes.add_to_larger::<N>(&widen(chunk, unit));
            }
            if !rest.is_empty() {
                lanes.add_to_larger::<N>(&last);
            }
            for (sum, start) in lanes.sum.iter_mut().zip(start) {
                *sum -= start;
            }
        }
        lanes
    }

    #[inline(always)]
    fn add<N: Length>(&mut self, x: &[f64; LANES]) {
        for (x, (sum, error)) in x.iter().zip(self.sum.iter_mut().zip(&mut self.error)) {
            N::add::<false>(sum, error, *x);
        }
    }

    #[inline(always)]
    fn add_to_larger<N: Length>(&mut self, x: &[f64; LANES]) {
        for (x, (sum, error)) in x.iter().zip(self.sum.iter_mut().zip(&mut self.error)) {
            N::add_to_larger(sum, error, *x);
        }
    }

    /// Add the upper half of the first `2 * HALF` lanes to the lower.
    #[inline(always)]
    fn fold<N: Length, const EXACT: bool, const HALF: usize>(&mut self) {
        for j in 0..HALF {
            let (other, other_error) = (self.sum[j + HALF], self.error[j + HALF]);
            N::fold::<EXACT>(&mut self.sum[j], &mut self.error[j], other, other_error);
        }
    }

    /// With the sum of all lanes in the first.
    #[inline(always)]
    fn folded<N: Length, const EXACT: bool>(mut self) -> Self {
        self.fold::<N, EXACT, 4>();
        self.fold::<N, EXACT, 2>();
        self.fold::<N, EXACT, 1>();
        self
    }

    /// The sum of all lanes.
    #[inline(always)]
    fn total<N: Length, const EXACT: bool>(self) -> Dd {
        let Self { sum, error } = self.folded::<N, EXACT>();
        whole(sum[0], error[0])
    }
}

/// What a vector is multiplied by: a power of two, and the reciprocal of the length that it then has.
#[derive(Debug, Clone, Copy, Default)]
struct Factor {
    unit: f64,
    inverse: f64,
    rest: f64,
}

impl Factor {
    #[inline(always)]
    fn of(length: Dd, unit: f64, tiny: f64) -> Self {
        let inverse = 1.0 / length.hi;
        let rest = (inverse.mul_add(-length.hi, 1.0) - inverse * length.lo) * inverse;
        if length.hi == 0.0 || length.hi < tiny * unit {
            Self { unit: 1.0, inverse: 1.0, rest: 0.0 }
        } else {
            Self { unit, inverse, rest }
        }
    }

    /// That of the vector `x`, whose sum in the usual scale is `sum`, and whether it is finite. Where the sum left the
    /// range of `f64`, the vector is measured in another scale.
    #[inline(always)]
    fn of_vector<T: Element, N: Length>(x: &[T], sum: Dd, tiny: f64) -> (Self, bool) {
        let (sum, unit) = if N::in_range(sum.hi) { (sum, 1.0) } else { measure_again::<T, N>(x, sum) };
        let length = N::finish(sum);
        (Self::of(length, unit, tiny), length.hi.is_finite())
    }
}

/// The sum of a vector whose sum in the usual scale left the range of `f64`, and the scale in which it does not.
#[cold]
#[inline(never)]
fn measure_again<T: Element, N: Length>(x: &[T], sum: Dd) -> (Dd, f64) {
    let unit = if sum.hi < 1.0 { UNITS[1] } else { UNITS[0] };
    let spoiled = x.iter().any(|x| !x.to_f64().is_finite());
    (if spoiled { Dd::from(f64::NAN) } else { Lanes::of::<T, N, true>(x, unit).total::<N, true>() }, unit)
}

/// Vectors of `len` neighbouring elements in some rows, their sums, and what they are to be multiplied by: columns with a
/// row for each vector.
struct Batch<'a, T> {
    rows: Rows<'a, T>,
    len: usize,
    tiny: f64,
    sum: Vec<f64>,
    error: Vec<f64>,
    unit: Vec<f64>,
    inverse: Vec<f64>,
    rest: Vec<f64>,
}

impl<'a, T: Element> Batch<'a, T> {
    /// At most `number` vectors at a time.
    fn new(rows: Rows<'a, T>, len: usize, tiny: f64, number: usize) -> Result<Self, Error> {
        let column = || memory::filled(0.0, number);
        let (sum, error, unit, inverse, rest) = (column()?, column()?, column()?, column()?, column()?);
        Ok(Self { rows, len, tiny, sum, error, unit, inverse, rest })
    }

    /// What vector `i` is multiplied by.
    #[inline(always)]
    fn factor(&self, i: usize) -> Factor {
        Factor { unit: self.unit[i], inverse: self.inverse[i], rest: self.rest[i] }
    }

    /// Measure the vectors of the rows `range`; whether all are finite. Square roots and divisions are taken for all of
    /// them side by side.
    #[inline(always)]
    fn measure<N: Length, const EXACT: bool>(&mut self, range: Range<usize>) -> bool {
        let mut number = 0;
        for row in range.clone() {
            // (Iterators over chunks would count them first, with a division.)
            let mut rest = self.rows.row(row);
            while !rest.is_empty() {
                let (x, others) = rest.split_at(self.len);
                let lanes = Lanes::of::<T, N, EXACT>(x, 1.0).folded::<N, EXACT>();
                (self.sum[number], self.error[number]) = (lanes.sum[0], lanes.error[0]);
                (rest, number) = (others, number + 1);
            }
        }
        let (sum, error) = (&self.sum[..number], &self.error[..number]);
        let (unit, inverse) = (&mut self.unit[..number], &mut self.inverse[..number]);
        let rest = &mut self.rest[..number];
        let mut in_range = true;
        for i in 0..number {
            let sum = whole(sum[i], error[i]);
            in_range &= N::in_range(sum.hi);
            let factor = Factor::of(N::finish(sum), 1.0, self.tiny);
            (unit[i], inverse[i], rest[i]) = (1.0, factor.inverse, factor.rest);
        }
        in_range || self.measure_each::<N, EXACT>(range)
    }

    /// As [`Self::measure`], where not all sums are within the range of `f64`.
    #[cold]
    #[inline(never)]
    fn measure_each<N: Length, const EXACT: bool>(&mut self, range: Range<usize>) -> bool {
        let mut finite = true;
        let vectors = range.flat_map(|row| self.rows.row(row).chunks_exact(self.len));
        for (i, x) in vectors.enumerate() {
            let sum = Lanes::of::<T, N, EXACT>(x, 1.0).total::<N, EXACT>();
            let (factor, is_finite) = Factor::of_vector::<T, N>(x, sum, self.tiny);
            finite &= is_finite;
            (self.unit[i], self.inverse[i], self.rest[i]) = (factor.unit, factor.inverse, factor.rest);
        }
        finite
    }
}

/// Write `x` times its factor to `y`.
#[inline(always)]
fn multiply<T: Element, U: Output, const STREAM: bool>(x: &[T], y: &mut [U], factor: Factor) {
    let Factor { unit, inverse, rest } = factor;
    let map = |x: f64| {
        let product = x * inverse;
        // The sum of two zeros is positive unless both are negative.
        let exact = || (product + x.mul_add(rest, x.mul_add(inverse, -product))).copysign(product);
        U::from_f64(if U::NEEDS_EXACT { exact() } else { product })
    };
    if unit != 1.0 {
        x.iter().zip(y).for_each(|(x, y)| *y = map(x.to_f64() * unit));
        return;
    }
    if !STREAM {
        for i in 0..x.len().min(y.len()) {
            y[i] = map(x[i].to_f64());
        }
        return;
    }
    // A plain store between streamed ones is slow: vectors that fill pieces of 16 bytes need none.
    macro_rules! stream {
        ($lanes:literal, $x:ident, $y:ident) => {
            let (chunks, $x) = $x.as_chunks::<$lanes>();
            let (out_chunks, $y) = $y.as_chunks_mut::<$lanes>();
            for (x, y) in chunks.iter().zip(out_chunks) {
                let mapped: [U; $lanes] = x.map(|x| map(x.to_f64()));
                if U::NEEDS_EXACT {
                    copy::stream_wide_lanes(mapped, y);
                } else {
                    copy::stream_lanes(&mapped, y);
                }
            }
        };
    }
    stream!(16, x, y);
    stream!(8, x, y);
    stream!(4, x, y);
    stream!(2, x, y);
    x.iter().zip(y).for_each(|(x, y)| *y = map(x.to_f64()));
}

struct NormalizeRows<'a, T, U, const STREAM: bool> {
    norm: Norm,
    rows: Rows<'a, T>,
    out: RowsMut<'a, U>,
    len: usize,
    tiny: f64,
}

impl<T: Element, U: Output, const STREAM: bool> Kernel for NormalizeRows<'_, T, U, STREAM> {
    type Output = Result<bool, Error>;

    #[inline(always)]
    fn run(mut self) -> Result<bool, Error> {
        let (mut finite, mut row) = (true, 0);
        // Some vectors are measured before the first of them is divided: no square root or division is waited for.
        let batch = (BATCH_BYTES / size_of::<T>() / self.rows.width().max(1)).max(1);
        let mut vectors = Batch::new(self.rows, self.len, self.tiny, batch * (self.rows.width() / self.len))?;
        while row < self.rows.count() {
            let end = (row + batch).min(self.rows.count());
            finite &= match (self.norm, U::NEEDS_EXACT) {
                (Norm::L1, true) => vectors.measure::<L1, true>(row..end),
                (Norm::L1, false) => vectors.measure::<L1, false>(row..end),
                (Norm::L2, true) => vectors.measure::<L2, true>(row..end),
                (Norm::L2, false) => vectors.measure::<L2, false>(row..end),
                // A largest magnitude has no rounding error.
                (Norm::Max, _) => vectors.measure::<Max, false>(row..end),
            };
            let mut number = 0;
            for r in row..end {
                let (mut y, mut x) = (self.out.row(r), self.rows.row(r));
                while !x.is_empty() {
                    let (vector, others) = x.split_at(self.len);
                    let (result, other_results) = y.split_at_mut(self.len);
                    for at in (0..self.len).step_by(64 / size_of::<T>()) {
                        prefetch::<T, 1>(vector.as_ptr().wrapping_add(at));
                    }
                    multiply::<T, U, STREAM>(vector, result, vectors.factor(number));
                    (x, y, number) = (others, other_results, number + 1);
                }
            }
            row = end;
        }
        Ok(!finite)
    }
}

/// Divide each vector of `len` neighbouring elements by its length, in `rows` of whole vectors; whether an element is
/// not finite. With `stream` as for [`super::affine::Parameters::map`].
pub fn normalize_rows<T: Element, U: Output>(
    norm: Norm,
    rows: Rows<'_, T>,
    out: RowsMut<'_, U>,
    len: usize,
    tiny: f64,
    stream: bool,
) -> Result<bool, Error> {
    // Compiled where it counts: for floats to themselves.
    if const { matches!((size_of::<T>(), size_of::<U>()), (4, 4) | (8, 8)) } && stream {
        super::run(NormalizeRows::<T, U, true> { norm, rows, out, len, tiny })
    } else {
        super::run(NormalizeRows::<T, U, false> { norm, rows, out, len, tiny })
    }
}

/// One vector, and nothing allocated for it.
struct NormalizeOne<'a, T, U> {
    norm: Norm,
    x: &'a [T],
    y: &'a mut [U],
    tiny: f64,
}

impl<T: Element, U: Output> NormalizeOne<'_, T, U> {
    #[inline(always)]
    fn run_as<N: Length, const EXACT: bool>(self) -> bool {
        let sum = Lanes::of::<T, N, EXACT>(self.x, 1.0).total::<N, EXACT>();
        let (factor, finite) = Factor::of_vector::<T, N>(self.x, sum, self.tiny);
        multiply::<T, U, false>(self.x, self.y, factor);
        !finite
    }
}

impl<T: Element, U: Output> Kernel for NormalizeOne<'_, T, U> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        match (self.norm, U::NEEDS_EXACT) {
            (Norm::L1, true) => self.run_as::<L1, true>(),
            (Norm::L1, false) => self.run_as::<L1, false>(),
            (Norm::L2, true) => self.run_as::<L2, true>(),
            (Norm::L2, false) => self.run_as::<L2, false>(),
            (Norm::Max, _) => self.run_as::<Max, false>(),
        }
    }
}

/// As [`normalize_rows`] for one vector: the same bits.
pub fn normalize_vector<T: Element, U: Output>(norm: Norm, x: &[T], y: &mut [U], tiny: f64) -> bool {
    super::run(NormalizeOne { norm, x, y, tiny })
}

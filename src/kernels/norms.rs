//! Lengths of vectors: of columns, and of short rows together with the division by them.
//!
//! Lengths are sums in `f64`, with the rounding error of each step beside them where the result is `f64` itself.
//! Vectors so long or so short that their squares leave the range of `f64` are measured again in another scale, as in
//! J. L. Blue, "A portable Fortran program to find the Euclidean norm of a vector", ACM TOMS 4 (1978).

use super::columns::{Columns, Walk, lanes, lanes_mut, prefetch};
use super::{Kernel, copy};
use crate::dd::{Dd, two_sum};
use crate::element::{Element, Output};
use crate::tiles::{Rows, RowsMut};
use std::marker::PhantomData;
use std::ops::Range;

const LANES: usize = 16;
const GROUP: usize = 4;
/// Elements of vectors that are measured before they are divided: they stay in the first-level cache.
const BATCH: usize = 256;

/// Which length a vector has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Square root of the sum of squares.
    L2,
    /// Largest magnitude.
    Max,
}

/// A norm at compile time.
pub trait Length: std::fmt::Debug + Default + Send + Sync + 'static {
    /// Add `x` to the sum and to the error of the sum.
    fn add<const EXACT: bool>(sum: &mut f64, error: &mut f64, x: f64);
    /// Add one sum, with its error, to another.
    fn fold<const EXACT: bool>(sum: &mut f64, error: &mut f64, other: f64, other_error: f64);
    /// Join two sums. Not-a-number stays.
    fn join(left: Dd, right: Dd) -> Dd;
    /// The length that a sum stands for.
    fn finish(sum: Dd) -> Dd;
    /// Whether nothing of a sum of this size was lost beyond the range of `f64`.
    fn in_range(sum: f64) -> bool;
}

/// [`Norm::L1`].
#[derive(Debug, Default)]
pub struct L1;
/// [`Norm::L2`].
#[derive(Debug, Default)]
pub struct L2;
/// [`Norm::Max`].
#[derive(Debug, Default)]
pub struct Max;

#[inline(always)]
fn accumulate<const EXACT: bool>(sum: &mut f64, error: &mut f64, term: f64, rest: f64) {
    if EXACT {
        let (total, lost) = two_sum(*sum, term);
        *sum = total;
        *error += lost + rest;
    } else {
        *sum += term;
    }
}

impl Length for L1 {
    #[inline(always)]
    fn add<const EXACT: bool>(sum: &mut f64, error: &mut f64, x: f64) {
        accumulate::<EXACT>(sum, error, x.abs(), 0.0);
    }
    #[inline(always)]
    fn fold<const EXACT: bool>(sum: &mut f64, error: &mut f64, other: f64, other_error: f64) {
        accumulate::<EXACT>(sum, error, other, other_error);
    }
    #[inline(always)]
    fn join(left: Dd, right: Dd) -> Dd {
        left + right
    }
    #[inline(always)]
    fn finish(sum: Dd) -> Dd {
        sum
    }
    #[inline(always)]
    fn in_range(sum: f64) -> bool {
        sum <= f64::MAX
    }
}

impl Length for L2 {
    #[inline(always)]
    fn add<const EXACT: bool>(sum: &mut f64, error: &mut f64, x: f64) {
        let square = x * x;
        let rest = if EXACT { x.mul_add(x, -square) } else { 0.0 };
        accumulate::<EXACT>(sum, error, square, rest);
    }
    #[inline(always)]
    fn fold<const EXACT: bool>(sum: &mut f64, error: &mut f64, other: f64, other_error: f64) {
        accumulate::<EXACT>(sum, error, other, other_error);
    }
    #[inline(always)]
    fn join(left: Dd, right: Dd) -> Dd {
        left + right
    }
    #[inline(always)]
    fn finish(sum: Dd) -> Dd {
        let root = sum.hi.sqrt();
        // One step of Newton's iteration gives what rounding the root lost.
        let rest = if root > 0.0 { (root.mul_add(-root, sum.hi) + sum.lo) / (2.0 * root) } else { 0.0 };
        Dd { hi: root, lo: rest }
    }
    #[inline(always)]
    fn in_range(sum: f64) -> bool {
        // Below, the errors of the squares are no longer normal numbers.
        (1e-260..=f64::MAX).contains(&sum) || sum == 0.0
    }
}

impl Length for Max {
    #[inline(always)]
    fn add<const EXACT: bool>(sum: &mut f64, error: &mut f64, x: f64) {
        let magnitude = x.abs();
        *sum = if magnitude > *sum { magnitude } else { *sum };
        // Zero, or not a number where `x` is not finite.
        *error += x * 0.0;
    }
    #[inline(always)]
    fn fold<const EXACT: bool>(sum: &mut f64, error: &mut f64, other: f64, other_error: f64) {
        *sum = if other > *sum { other } else { *sum };
        *error += other_error;
    }
    #[inline(always)]
    fn join(left: Dd, right: Dd) -> Dd {
        Dd { hi: if right.hi > left.hi { right.hi } else { left.hi }, lo: left.lo + right.lo }
    }
    #[inline(always)]
    fn finish(sum: Dd) -> Dd {
        sum
    }
    #[inline(always)]
    fn in_range(sum: f64) -> bool {
        sum <= f64::MAX
    }
}

/// A sum with its error, as one number; not a number, or infinite, where an element was.
#[inline(always)]
fn whole(sum: f64, error: f64) -> Dd {
    if error.is_nan() && sum.is_finite() {
        Dd { hi: f64::NAN, lo: 0.0 }
    } else {
        Dd::from(sum).add_f64(if error.is_nan() { 0.0 } else { error })
    }
}

/// Running sums of the lengths of columns.
#[derive(Debug, Clone)]
pub struct Lengths<N> {
    unit: f64,
    sum: Vec<f64>,
    error: Vec<f64>,
    norm: PhantomData<N>,
}

impl<N: Length> Lengths<N> {
    /// Of no column yet. Elements are multiplied by `unit`, a power of two, first.
    pub fn new(unit: f64) -> Self {
        Self { unit, sum: Vec::new(), error: Vec::new(), norm: PhantomData }
    }

    /// Forget everything; there are `width` columns from now on.
    pub fn clear(&mut self, width: usize) {
        for values in [&mut self.sum, &mut self.error] {
            values.clear();
            values.resize(width, 0.0);
        }
    }

    /// Take in `rows`.
    pub fn add<T: Element>(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, out: RowsMut::none(&rows), columns: self });
    }

    /// The sum of column `column`.
    pub fn get(&self, column: usize) -> Dd {
        whole(self.sum[column], self.error[column])
    }
}

impl<T: Element, N: Length> Columns<T> for Lengths<N> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let mut sum: [f64; L] = *lanes(&self.sum, at);
        let mut error: [f64; L] = *lanes(&self.error, at);
        for x in elements {
            for j in 0..L {
                N::add::<true>(&mut sum[j], &mut error[j], x[j].to_f64() * self.unit);
            }
        }
        *lanes_mut(&mut self.sum, at) = sum;
        *lanes_mut(&mut self.error, at) = error;
    }
}

/// Powers of two in which vectors are measured again.
pub const UNITS: [f64; 2] = [f64::from_bits((1023 - 600) << 52), f64::from_bits((1023 + 600) << 52)];

/// The sum of one vector, in lanes that are joined in a fixed order.
#[derive(Debug, Clone, Copy)]
struct Lanes {
    sum: [f64; LANES],
    error: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn of<T: Element, N: Length, const EXACT: bool>(x: &[T], unit: f64) -> Self {
        let (mut sum, mut error) = ([0.0; LANES], [0.0; LANES]);
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            prefetch::<T, LANES>(chunk.as_ptr());
            for j in 0..LANES {
                N::add::<EXACT>(&mut sum[j], &mut error[j], chunk[j].to_f64() * unit);
            }
        }
        for (j, x) in rest.iter().enumerate() {
            N::add::<EXACT>(&mut sum[j], &mut error[j], x.to_f64() * unit);
        }
        Self { sum, error }
    }

    /// Add the upper half of the first `2 * HALF` lanes to the lower.
    #[inline(always)]
    fn fold<N: Length, const EXACT: bool, const HALF: usize>(&mut self) {
        for j in 0..HALF {
            let (other, other_error) = (self.sum[j + HALF], self.error[j + HALF]);
            N::fold::<EXACT>(&mut self.sum[j], &mut self.error[j], other, other_error);
        }
    }

    #[inline(always)]
    fn total<const EXACT: bool>(&self) -> Dd {
        let (sum, error) = (self.sum[0], self.error[0]);
        if EXACT || error.is_nan() { whole(sum, error) } else { Dd { hi: sum, lo: 0.0 } }
    }
}

/// Vectors of `len` neighbouring elements in some rows, what is measured of them, and their lengths, each with what its
/// elements were multiplied by to get it.
struct Batch<'a, T> {
    rows: Rows<'a, T>,
    len: usize,
    lanes: Vec<Lanes>,
    lengths: Vec<(Dd, f64)>,
}

impl<T: Element> Batch<'_, T> {
    /// Measure the vectors of the rows `range`. Every step is taken for all of them before the next one: within one
    /// vector each waits for the last.
    #[inline(always)]
    fn measure<N: Length, const EXACT: bool>(&mut self, range: Range<usize>) {
        self.lanes.clear();
        for row in range.clone() {
            for x in self.rows.row(row).chunks_exact(self.len) {
                self.lanes.push(Lanes::of::<T, N, EXACT>(x, 1.0));
            }
        }
        for lanes in &mut self.lanes {
            lanes.fold::<N, EXACT, 8>();
        }
        for lanes in &mut self.lanes {
            lanes.fold::<N, EXACT, 4>();
        }
        for lanes in &mut self.lanes {
            lanes.fold::<N, EXACT, 2>();
        }
        for lanes in &mut self.lanes {
            lanes.fold::<N, EXACT, 1>();
        }
        self.lengths.clear();
        let per_row = self.rows.width / self.len;
        for (i, lanes) in self.lanes.iter().enumerate() {
            let sum = lanes.total::<EXACT>();
            let (sum, unit) = if N::in_range(sum.hi) {
                (sum, 1.0)
            } else {
                let at = i % per_row * self.len;
                measure_again::<T, N>(&self.rows.row(range.start + i / per_row)[at..at + self.len], sum)
            };
            self.lengths.push((N::finish(sum), unit));
        }
    }
}

/// The sum of a vector whose sum in the usual scale left the range of `f64`, and the scale in which it does not.
#[cold]
#[inline(never)]
fn measure_again<T: Element, N: Length>(x: &[T], sum: Dd) -> (Dd, f64) {
    let unit = if sum.hi < 1.0 { UNITS[1] } else { UNITS[0] };
    let mut lanes = Lanes::of::<T, N, true>(x, unit);
    lanes.fold::<N, true, 8>();
    lanes.fold::<N, true, 4>();
    lanes.fold::<N, true, 2>();
    lanes.fold::<N, true, 1>();
    let spoiled = x.iter().any(|x| !x.to_f64().is_finite());
    (if spoiled { Dd::from(f64::NAN) } else { lanes.total::<true>() }, unit)
}

/// What a vector is multiplied by: a power of two, and the reciprocal of the length that it then has.
#[derive(Debug, Clone, Copy)]
struct Factor {
    unit: f64,
    inverse: f64,
    rest: f64,
}

impl Factor {
    #[inline(always)]
    fn of(length: Dd, unit: f64, tiny: f64) -> Self {
        if length.hi == 0.0 || length.hi < tiny * unit {
            return Self { unit: 1.0, inverse: 1.0, rest: 0.0 };
        }
        let inverse = 1.0 / length.hi;
        let rest = (inverse.mul_add(-length.hi, 1.0) - inverse * length.lo) * inverse;
        Self { unit, inverse, rest }
    }
}

struct NormalizeRows<'a, T, U, const STREAM: bool> {
    norm: Norm,
    rows: Rows<'a, T>,
    out: RowsMut<'a, U>,
    len: usize,
    tiny: f64,
}

/// Write `x` times its factor to `y`.
#[inline(always)]
fn multiply<T: Element, U: Output, const STREAM: bool>(x: &[T], y: &mut [U], factor: Factor) {
    let Factor { unit, inverse, rest } = factor;
    let map = |x: f64| {
        let product = x * inverse;
        U::from_f64(if U::NEEDS_EXACT { product + x.mul_add(rest, x.mul_add(inverse, -product)) } else { product })
    };
    if unit != 1.0 {
        x.iter().zip(y).for_each(|(x, y)| *y = map(x.to_f64() * unit));
        return;
    }
    let (chunks, tail) = x.as_chunks::<LANES>();
    let (out_chunks, out_tail) = y.as_chunks_mut::<LANES>();
    for (x, y) in chunks.iter().zip(out_chunks) {
        let mapped: [U; LANES] = x.map(|x| map(x.to_f64()));
        if STREAM && U::NEEDS_EXACT {
            // Through memory: see the affine map.
            copy::stream_lanes(std::hint::black_box(&mapped), y);
        } else if STREAM {
            copy::stream_lanes(&mapped, y);
        } else {
            *y = mapped;
        }
    }
    tail.iter().zip(out_tail).for_each(|(x, y)| *y = map(x.to_f64()));
}

impl<T: Element, U: Output, const STREAM: bool> Kernel for NormalizeRows<'_, T, U, STREAM> {
    type Output = bool;

    #[inline(always)]
    fn run(mut self) -> bool {
        let (mut spoiled, mut row) = (false, 0);
        // Some vectors are measured before the first of them is divided: no square root or division is waited for.
        let batch = (BATCH / self.rows.width.max(1)).max(1);
        let mut vectors = Batch { rows: self.rows, len: self.len, lanes: Vec::new(), lengths: Vec::new() };
        while row < self.rows.count {
            let end = (row + batch).min(self.rows.count);
            match (self.norm, U::NEEDS_EXACT) {
                (Norm::L1, true) => vectors.measure::<L1, true>(row..end),
                (Norm::L1, false) => vectors.measure::<L1, false>(row..end),
                (Norm::L2, true) => vectors.measure::<L2, true>(row..end),
                (Norm::L2, false) => vectors.measure::<L2, false>(row..end),
                // A largest magnitude has no rounding error.
                (Norm::Max, _) => vectors.measure::<Max, false>(row..end),
            }
            let lengths = &vectors.lengths;
            for (length, _) in lengths {
                spoiled |= !length.hi.is_finite();
            }
            let mut lengths = lengths.iter();
            for r in row..end {
                let [out] = self.out.rows::<1>(r);
                let vectors = self.rows.row(r).chunks_exact(self.len).zip(out.chunks_exact_mut(self.len));
                for ((x, y), (length, unit)) in vectors.zip(lengths.by_ref()) {
                    multiply::<T, U, STREAM>(x, y, Factor::of(*length, *unit, self.tiny));
                }
            }
            row = end;
        }
        spoiled
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
) -> bool {
    if stream {
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
        let mut lanes = Lanes::of::<T, N, EXACT>(self.x, 1.0);
        lanes.fold::<N, EXACT, 8>();
        lanes.fold::<N, EXACT, 4>();
        lanes.fold::<N, EXACT, 2>();
        lanes.fold::<N, EXACT, 1>();
        let sum = lanes.total::<EXACT>();
        let (sum, unit) = if N::in_range(sum.hi) { (sum, 1.0) } else { measure_again::<T, N>(self.x, sum) };
        let length = N::finish(sum);
        multiply::<T, U, false>(self.x, self.y, Factor::of(length, unit, self.tiny));
        !length.hi.is_finite()
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

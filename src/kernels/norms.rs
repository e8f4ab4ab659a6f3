//! Lengths of vectors, and of columns as vectors.
//!
//! Lengths are sums in `f64`, with the rounding error of each step beside them where the result is `f64` itself.
//! Vectors so long or so short that their squares leave the range of `f64` are measured again in another scale, as in
//! J. L. Blue, "A portable Fortran program to find the Euclidean norm of a vector", ACM TOMS 4 (1978).

use super::columns::{Columns, Walk, lanes, lanes_mut};
use crate::dd::{Dd, two_sum};
use crate::element::Element;
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};
use std::marker::PhantomData;

const LANES: usize = 16;
const GROUP: usize = 4;

/// Powers of two in which vectors are measured again.
pub const UNITS: [f64; 2] = [f64::from_bits((1023 - 600) << 52), f64::from_bits((1023 + 600) << 52)];

/// Longer than this, and the reciprocal of a length is no longer a normal number.
const LARGEST: f64 = 1e307;

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
    /// Whether sums are rounded at all.
    const ROUNDS: bool = true;
    /// Add `x` to the sum and to the error of the sum.
    fn add<const EXACT: bool>(sum: &mut f64, error: &mut f64, x: f64);
    /// Add `x` to the sum and what that rounds off to the error of the sum, provided that the sum is not smaller than what
    /// `x` adds to it: a few operations less.
    fn add_to_larger(sum: &mut f64, error: &mut f64, x: f64);
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
    fn add_to_larger(sum: &mut f64, error: &mut f64, x: f64) {
        let total = *sum + x.abs();
        *error += x.abs() - (total - *sum);
        *sum = total;
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
        sum <= LARGEST
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
    fn add_to_larger(sum: &mut f64, error: &mut f64, x: f64) {
        // What the sum grew by is a difference of neighbouring numbers, and exact.
        let total = x.mul_add(x, *sum);
        *error += x.mul_add(x, -(total - *sum));
        *sum = total;
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
    const ROUNDS: bool = false;
    #[inline(always)]
    fn add<const EXACT: bool>(sum: &mut f64, error: &mut f64, x: f64) {
        let magnitude = x.abs();
        *sum = if magnitude > *sum { magnitude } else { *sum };
        // Zero, or not a number where `x` is not finite.
        *error += x * 0.0;
    }
    #[inline(always)]
    fn add_to_larger(sum: &mut f64, error: &mut f64, x: f64) {
        Self::add::<true>(sum, error, x);
    }
    #[inline(always)]
    fn fold<const EXACT: bool>(sum: &mut f64, error: &mut f64, other: f64, other_error: f64) {
        *sum = if other > *sum { other } else { *sum };
        *error += other_error;
    }
    #[inline(always)]
    fn join(left: Dd, right: Dd) -> Dd {
        let right_stays = right.hi > left.hi || right.hi.is_nan();
        Dd { hi: if right_stays { right.hi } else { left.hi }, lo: left.lo + right.lo }
    }
    #[inline(always)]
    fn finish(sum: Dd) -> Dd {
        sum
    }
    #[inline(always)]
    fn in_range(sum: f64) -> bool {
        sum <= LARGEST
    }
}

/// A sum with its error, as one number; not a number, or infinite, where an element was.
#[inline(always)]
pub fn whole(sum: f64, error: f64) -> Dd {
    // The error of an infinite sum is not a number either.
    let sum = if error.is_nan() && sum.is_finite() { f64::NAN } else { sum };
    Dd::from(sum).add_f64(if error.is_nan() { 0.0 } else { error })
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
    pub fn clear(&mut self, width: usize) -> Result<(), Error> {
        memory::refill(&mut self.sum, 0.0, width)?;
        memory::refill(&mut self.error, 0.0, width)
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

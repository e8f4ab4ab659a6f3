//! Sums of weights, of elements times their weights, and of squares times theirs, that round nothing off.
//!
//! As in [`exact_sums`](super::exact_sums), an accumulator is its own magic constant and counts in steps of its grid; what an
//! addition rounds off goes to the accumulator of the next grid. A product with a weight is made of two doubles first, of
//! which the second is what the first has lost (T. J. Dekker 1971; exact by a fused multiplication and addition), and so on:
//! `w x = p + e`, `p x = q + r`, `e x = s + t`.
//!
//! All is right as long as weights and elements are multiples of their grids, and their sums stay below what the first
//! accumulators count to. That shows afterwards: in bits that were left of an element or a weight, and in what the
//! accumulators of what is never negative have gained; these bound all others by Cauchy and Schwarz.

use super::columns::prefetch_at;
use super::exact_sums::{LANES, Lanes};
use super::{Kernel, Tuned};
use crate::element::Wide;
use crate::exact::quotient::scaled;
use crate::rows::Rows;

/// Rows that are taken together.
pub const GROUP: usize = 64;
/// The most accumulators that a column has.
pub const MOST_SUMS: usize = 11;
/// Bits between the grids of two accumulators, the finer of which takes what the other leaves of a group of products.
const STEP: i32 = 43;
/// Bits between the grids of the two accumulators of weights.
const HALF: i32 = 26;
/// Two to that power.
const COARSE: f64 = (1u64 << HALF) as f64;

/// How the elements and the weights of some columns are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Elements of 24 bits, weights of a few: their product is a double.
    Few,
    /// Elements of 24 bits.
    Short,
    /// Any elements.
    Long,
}

/// What an accumulator sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Weights.
    Weights,
    /// Products with elements.
    Elements,
    /// Products with their squares.
    Squares,
}

/// What an accumulator sums, and in which steps.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// See [`Of`].
    pub of: Of,
    /// 1.5, or 1 for what is never negative.
    pub start: f64,
    /// It counts in units of `2^grid`.
    pub grid: i32,
}

impl Form {
    /// Accumulators of each sum: of weights, of elements and of squares.
    pub const fn counts(self) -> [usize; 3] {
        match self {
            Self::Few => [1, 2, 3],
            Self::Short => [2, 3, 4],
            Self::Long => [2, 4, 5],
        }
    }

    /// Accumulators of a column.
    pub const fn sums(self) -> usize {
        let [weights, elements, squares] = self.counts();
        weights + elements + squares
    }

    /// The accumulators for elements and weights that are multiples of `2^grids[0]` and of `2^grids[1]`.
    pub fn layout(self, [x, w]: [i32; 2]) -> [Layout; MOST_SUMS] {
        let mut sums = [Layout { of: Of::Weights, start: 1.0, grid: w }; MOST_SUMS];
        let [weights, elements, squares] = self.counts();
        let parts = [
            (Of::Weights, weights, w, HALF, 1.0),
            (Of::Elements, elements, w + x, STEP, 1.5),
            (Of::Squares, squares, w + 2 * x, STEP, 1.0),
        ];
        let mut next = sums.iter_mut();
        for (of, count, least, step, first) in parts {
            // The coarsest comes first.
            for (index, sum) in (0..count).rev().zip(&mut next) {
                let start = if index + 1 == count { first } else { 1.5 };
                *sum = Layout { of, start, grid: least + index as i32 * step };
            }
        }
        sums
    }

    /// The first accumulators of weights and of squares, and what they may gain in a group.
    pub const fn checks(self) -> [(usize, u64); 2] {
        let [weights, elements, _] = self.counts();
        // Of few bits is what has 29 of them, so that there are 53 in a product with an element. Else weights sum to less than
        // 2^75 steps, and squares to less than 2^181 or 2^224; what elements sum to, at most the root of the product, is in
        // the range of the first of their accumulators then.
        let weight = if matches!(self, Self::Few) { 1 << 29 } else { 1 << 49 };
        [(0, weight), (weights + elements, (1 << 52) - 2)]
    }

    /// Bits that elements have above their grid at most, where weights have `weight_bits`: with room for a whole group.
    pub const fn most_bits(self, weight_bits: i32) -> i32 {
        let squares = match self {
            Self::Few => 2 * STEP + 51,
            Self::Short => 3 * STEP + 51,
            Self::Long => 4 * STEP + 51,
        };
        (squares - weight_bits - GROUP.ilog2() as i32) / 2
    }

    /// Bits that weights have above their grid at most.
    pub const fn most_weight_bits(self) -> i32 {
        (if matches!(self, Self::Few) { 29 } else { HALF + 49 }) - GROUP.ilog2() as i32
    }
}

/// Elements and weights of some columns, doubles; both zero where an element does not count.
#[derive(Debug)]
#[repr(align(64))]
pub struct Chunk {
    /// Elements.
    pub x: [[f64; LANES]; GROUP],
    /// Weights.
    pub w: [[f64; LANES]; GROUP],
}

impl Default for Chunk {
    fn default() -> Self {
        Self { x: [[0.0; LANES]; GROUP], w: [[0.0; LANES]; GROUP] }
    }
}

/// Whether there is one weight for each of the rows, and not one for each of their elements.
pub fn is_by_row<T: Copy>(rows: Rows<'_, T>, weights: Rows<'_, f64>) -> bool {
    weights.width() == 1 && rows.width() > 1
}

/// What the accumulators of weights gain by some, all multiples of `2^grid`, in steps; nothing, where that does not go well.
pub fn sum_weights(form: Form, grid: i32, weights: &[f64]) -> Option<[i64; 2]> {
    let [first, second, ..] = form.layout([0, grid]);
    let is_one = form.counts()[0] == 1;
    let start = [first.start * scaled(1.0, 52 + first.grid), 1.5 * scaled(1.0, 52 + grid)];
    let (mut sums, mut left) = (start, 0);
    debug_assert!(is_one || second.of == Of::Weights, "two accumulators");
    for w in weights {
        let total = sums[0] + w;
        let rest = w - (total - sums[0]);
        sums[0] = total;
        if is_one {
            left |= rest.to_bits();
        } else {
            left |= (rest - ((rest + start[1]) - start[1])).to_bits();
            sums[1] += rest;
        }
    }
    let gained = [0, 1].map(|i| sums[i].to_bits().wrapping_sub(start[i].to_bits()));
    // Minus zero is nothing.
    let well = left << 1 == 0 && gained[0] < form.checks()[0].1;
    well.then_some(gained.map(|gained| gained as i64))
}

/// Takes up to [`GROUP`] rows of a chunk of columns.
pub struct Take<'a, 'm, T> {
    /// The rows, and the weights of their elements.
    pub rows: Rows<'m, T>,
    /// See `rows`.
    pub weights: Rows<'m, f64>,
    /// The first column.
    pub at: usize,
    /// Where to.
    pub to: &'a mut Chunk,
}

impl<T: Wide> Kernel for Take<'_, '_, T> {
    /// Whether an integer that counts is no double.
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { rows, weights, at, to } = self;
        let mut long = [0; LANES];
        let to = to.x.iter_mut().zip(&mut to.w).enumerate().take(rows.count());
        if is_by_row(rows, weights) {
            for (row, (x, w)) in to {
                let mut from = [T::MISSING; LANES];
                from.iter_mut().zip(&rows.row(row)[at..]).for_each(|(to, x)| *to = *x);
                take(&from, &[weights.row(row)[0]; LANES], x, w, &mut long);
            }
        } else if at + LANES <= rows.width() {
            for (row, (x, w)) in to {
                let ([from], [from_w]) = (rows.group::<1>(row).lanes(at), weights.group::<1>(row).lanes(at));
                take(from, from_w, x, w, &mut long);
            }
        } else {
            for (row, (x, w)) in to {
                let (mut from, mut from_w) = ([T::MISSING; LANES], [0.0; LANES]);
                from.iter_mut().zip(&rows.row(row)[at..]).for_each(|(to, x)| *to = *x);
                from_w.iter_mut().zip(&weights.row(row)[at..]).for_each(|(to, w)| *to = *w);
                take(&from, &from_w, x, w, &mut long);
            }
        }
        long.iter().fold(0, |any, bits| any | bits) != 0
    }
}

#[inline(always)]
fn take<T: Wide>(
    x: &[T; LANES],
    w: &[f64; LANES],
    to: &mut [f64; LANES],
    to_w: &mut [f64; LANES],
    long: &mut [u64; LANES],
) {
    for j in 0..LANES {
        let counts = counts(x[j], w[j]);
        if T::IS_WIDE {
            long[j] |= if counts { x[j].as_sum()[1].to_bits() << 1 } else { 0 };
        }
        to[j] = if counts { x[j].to_f64() } else { 0.0 };
        to_w[j] = if counts { w[j] } else { 0.0 };
    }
}

/// Whether an element with this weight counts.
#[inline(always)]
fn counts<T: Wide>(x: T, w: f64) -> bool {
    !x.to_f64().is_nan() & (w != 0.0)
}

/// The accumulators of a chunk of columns.
#[derive(Debug, Clone)]
pub struct Accumulators {
    /// What they start with.
    pub start: [Lanes<f64>; MOST_SUMS],
    /// What rounds to the grid of the elements, and to that of the weights.
    pub round: [Lanes<f64>; 2],
    /// What was gained in the groups that went well, in steps.
    pub totals: [Lanes<i64>; MOST_SUMS],
}

/// There is a weight for each element.
pub const EACH: u8 = 0;
/// Rows have one weight each, no element is left out, and what weights sum to is known.
pub const ROWS: u8 = 1;
/// Rows have one weight each; elements may be left out.
pub const HOLES: u8 = 2;

/// Adds rows of a chunk; gives the columns where it did not go well, a bit each, in which nothing has changed.
pub struct Add<'a, 'm, T, const WEIGHTS: u8> {
    /// The rows, and the weights of their elements.
    pub rows: Rows<'m, T>,
    /// See `rows`.
    pub weights: Rows<'m, f64>,
    /// The first column.
    pub at: usize,
    /// The columns that are asked for, a bit each.
    pub wanted: u8,
    /// Where to.
    pub to: &'a mut Accumulators,
    /// The form.
    pub form: Form,
    /// What [`sum_weights`] gave of the weights of the rows, if that is known.
    pub gained: [i64; 2],
}

/// `a * b + c`. Where `a` is one, it is a sum that takes the way of products: there are as many units for these, and they have
/// less to do.
#[inline(always)]
fn fused<const FMA: bool>(a: f64, b: f64, c: f64, is_one: bool) -> f64 {
    if is_one && !FMA { b + c } else { a.mul_add(b, c) }
}

/// Add `v` to sum number `from` of column `j`, which rounds it to its grid, what is left to the next, and so on to the last.
/// Of `v` it is known that it is `a * b` but for a rounding error; `one` is one.
#[inline(always)]
fn cascade<const FMA: bool, const N: usize, const H: usize>(
    sums: &mut [[f64; H]; N],
    from: usize,
    j: usize,
    v: f64,
    product: Option<[f64; 2]>,
    one: f64,
) {
    let [a, b] = product.unwrap_or([one, v]);
    let total = fused::<FMA>(a, b, sums[from][j], product.is_none());
    let mut left = v - (total - sums[from][j]);
    sums[from][j] = total;
    for sum in &mut sums[from + 1..N - 1] {
        let total = fused::<FMA>(one, left, sum[j], true);
        left -= total - sum[j];
        sum[j] = total;
    }
    sums[N - 1][j] = fused::<FMA>(one, left, sums[N - 1][j], true);
}

/// The `H` columns from `at` on.
#[inline(always)]
fn part<const H: usize>(lanes: &Lanes<f64>, at: usize) -> [f64; H] {
    let mut part = [0.0; H];
    part.copy_from_slice(&lanes.0[at..at + H]);
    part
}

impl<T: Wide, const WEIGHTS: u8> Add<'_, '_, T, WEIGHTS> {
    #[inline(always)]
    fn add<const FMA: bool, const W: usize, const S: usize, const Q: usize, const H: usize>(self) -> u8 {
        let Self { rows, weights: row_weights, at: first_column, wanted, to, form, gained: by_weights } = self;
        let mut failed = 0;
        // That it is one is not to be known.
        let one = std::hint::black_box(1.0);
        for at in (0..LANES).step_by(H) {
            let mut weights: [[f64; H]; W] = std::array::from_fn(|i| part(&to.start[i], at));
            let mut elements: [[f64; H]; S] = std::array::from_fn(|i| part(&to.start[W + i], at));
            let mut squares: [[f64; H]; Q] = std::array::from_fn(|i| part(&to.start[W + S + i], at));
            let (round, round_w): ([f64; H], [f64; H]) = (part(&to.round[0], at), part(&to.round[1], at));
            let mut left = [0; H];
            for row in 0..rows.count() {
                let column = first_column + at;
                let [x] = rows.group::<1>(row).lanes::<H>(column);
                let weights_of_row = row_weights.group::<1>(row);
                let w = if WEIGHTS == EACH {
                    let [w] = weights_of_row.lanes::<H>(column);
                    prefetch_at::<u8, 1>(w.as_ptr().wrapping_byte_add(row_weights.bytes(GROUP)).cast());
                    *w
                } else {
                    let [[w]] = weights_of_row.lanes::<1>(0);
                    if *w == 0.0 {
                        continue;
                    }
                    [*w; H]
                };
                // The same columns of the group that follows.
                prefetch_at::<u8, 1>(x.as_ptr().wrapping_byte_add(rows.bytes(GROUP)).cast());
                for j in 0..H {
                    let counts = WEIGHTS == ROWS || counts(x[j], w[j]);
                    let (x, w) = if counts { (x[j].to_f64(), w[j]) } else { (0.0, 0.0) };
                    let p = w * x;
                    let q = p * x;
                    let r = p.mul_add(x, -q);
                    // Elements of more than 24 bits may be larger than what the grid can round.
                    let rest = if Q == 5 { x - ((x + round[j] * COARSE) - round[j] * COARSE) } else { x };
                    left[j] |= (rest - ((rest + round[j]) - round[j])).to_bits();
                    if WEIGHTS != ROWS {
                        let total = fused::<FMA>(one, w, weights[0][j], true);
                        let rest = w - (total - weights[0][j]);
                        weights[0][j] = total;
                        if W == 1 {
                            left[j] |= rest.to_bits();
                        } else {
                            left[j] |= (rest - ((rest + round_w[j]) - round_w[j])).to_bits();
                            weights[W - 1][j] += rest;
                        }
                    }
                    if W > 1 {
                        let e = w.mul_add(x, -p);
                        let s = e * x;
                        cascade::<FMA, S, H>(&mut elements, 1, j, e, None, one);
                        cascade::<FMA, Q, H>(&mut squares, 1, j, s, Some([e, x]), one);
                        if Q == 5 {
                            cascade::<FMA, Q, H>(&mut squares, 2, j, e.mul_add(x, -s), None, one);
                        }
                    }
                    cascade::<FMA, S, H>(&mut elements, 0, j, p, Some([w, x]), one);
                    cascade::<FMA, Q, H>(&mut squares, 0, j, q, Some([p, x]), one);
                    cascade::<FMA, Q, H>(&mut squares, 1, j, r, None, one);
                }
            }
            let gained =
                |sum: f64, index: usize, j: usize| sum.to_bits().wrapping_sub(to.start[index].0[at + j].to_bits());
            let [(_, most_weight), (first, most)] = form.checks();
            let mut well = [false; H];
            for j in 0..H {
                // Minus zero is nothing.
                well[j] = wanted >> (at + j) & 1 == 1
                    && left[j] << 1 == 0
                    && gained(weights[0][j], 0, j) < most_weight
                    && gained(squares[0][j], first, j) < most;
                failed |= u8::from(!well[j]) << (at + j);
            }
            for (index, sums) in weights.iter().chain(&elements).chain(&squares).enumerate() {
                for j in 0..H {
                    let gained =
                        if WEIGHTS == ROWS && index < W { by_weights[index] } else { gained(sums[j], index, j) as i64 };
                    to.totals[index].0[at + j] += if well[j] { gained } else { 0 };
                }
            }
        }
        failed & wanted
    }
}

impl<T: Wide, const WEIGHTS: u8> Tuned for Add<'_, '_, T, WEIGHTS> {
    type Output = u8;

    #[inline(always)]
    fn run<const FMA: bool, const H: usize>(self) -> u8 {
        match self.form {
            Form::Few => self.add::<FMA, 1, 2, 3, H>(),
            Form::Short => self.add::<FMA, 2, 3, 4, H>(),
            Form::Long => self.add::<FMA, 2, 4, 5, H>(),
        }
    }
}

//! Sums of elements and of their squares that round nothing off.
//!
//! An accumulator is its own magic constant. It starts at `m * 2^(52 + g)`, where `m` is 1.5, or 1 for what is never negative:
//! adding `v` rounds it to a multiple of `2^g`, which is the *grid*; the difference of the accumulator is what was added, and
//! what is left goes to an accumulator of a finer grid (the splitting of T. J. Dekker, "A floating-point technique for
//! extending the available precision", 1971, used as in J. Demmel and H. D. Nguyen, "Parallel reproducible summation", IEEE
//! Trans. Comput. 64 (2015)). After a group of [`Summand::GROUP`] rows the bits of an accumulator less those it started with
//! are a whole number of grid steps, exactly.
//!
//! Whether a group went well shows at its end. The accumulator of the squares only grows, so what it has gained bounds every
//! element and, by Cauchy and Schwarz, every other accumulator; NaN and infinity spoil it as well. And no element may have had
//! bits below the finest grid: the least magnitude (`f32`), or the bits that were left (`f64`), tell.

use crate::element::Wide;

/// Columns that are taken together.
pub const LANES: usize = 8;
/// The most accumulators that a column has.
pub const MOST_SUMS: usize = 14;
/// Rows that are taken together.
pub const ROWS: usize = 8;
/// Bits of a slice of a double: products of two slices, a group of them, fit an accumulator.
const SLICE: i32 = 23;

/// One value for each column of a chunk. Aligned, so that no vector crosses a cache line: it could not be read back before it
/// left the store buffer.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lanes<V>(pub [V; LANES]);

/// What an accumulator sums, and in which steps.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// 1.5, or 1 for what is never negative.
    pub start: f64,
    /// It counts in units of `2^grid`.
    pub grid: i32,
    /// Whether it sums squares (or parts of them), `2^shift` times.
    pub square: bool,
    /// See `square`.
    pub shift: i32,
}

const fn layout(start: f64, grid: i32, square: bool, shift: i32) -> Layout {
    Layout { start, grid, square, shift }
}

/// An element type that is summed exactly: in a narrow form, which has room for most columns, or a wide one.
pub trait Summand: Wide {
    /// Zero.
    const ZERO: Self;
    /// Rows of a group.
    const GROUP: usize;
    /// Accumulators of the narrow and of the wide form.
    const SUMS: [usize; 2];
    /// The accumulator of squares that only grows, and what it may gain in a group.
    const CHECK: [usize; 2];
    /// See `CHECK`.
    const MOST: [u64; 2];
    /// The lowest grid of the elements.
    const LEAST_GRID: i32;
    /// What is noted of the lowest bits of the elements of a column.
    type Low: Copy + Send + Sync + std::fmt::Debug + 'static;
    /// Of no element.
    const NOTHING: Self::Low;
    /// That no element but zero passes.
    const NO_GRID: Self::Low;
    /// Zero, as elements that are missing are counted.
    const NONE: Self::Low;

    /// Whether it is finite.
    fn is_finite(self) -> bool;
    /// Whether it is no number.
    fn is_nan(self) -> bool;
    /// The accumulators for elements that are multiples of `2^grid`.
    fn layout(wide: bool, grid: i32) -> [Layout; MOST_SUMS];
    /// The lowest grid of the elements whose squares, of a sum below `2^top`, there is room for.
    fn lowest_grid(wide: bool, top: i32) -> i32;
    /// What `low` must pass where the elements must be multiples of `2^grid`.
    fn limit(grid: i32) -> Self::Low;
    /// Whether it does.
    fn passes(low: Self::Low, limit: Self::Low) -> bool;
    /// How many are missing.
    fn count(missing: Self::Low) -> u64;
    /// Add some rows of a chunk in form number `FORM`, `H` columns at a time; with fused multiply-add where there is one, which
    /// makes no difference but time: products are exact.
    fn add<const FORM: u8, const FMA: bool, const H: usize, const R: usize>(
        x: [&[Self; LANES]; R],
        sums: &mut [Lanes<f64>],
        low: &mut Lanes<Self::Low>,
        missing: &mut Lanes<Self::Low>,
    );
}

#[inline(always)]
fn product<const FMA: bool>(a: f64, b: f64, sum: f64) -> f64 {
    if FMA { a.mul_add(b, sum) } else { a * b + sum }
}

/// Add `v` to `sum`, which rounds it to its grid; what was added.
#[inline(always)]
fn split(sum: &mut f64, v: f64) -> f64 {
    let total = *sum + v;
    let added = total - *sum;
    *sum = total;
    added
}

/// The `H` columns from `at` on.
#[inline(always)]
fn part<V: Copy + Default, const H: usize>(lanes: &Lanes<V>, at: usize) -> [V; H] {
    let mut part = [V::default(); H];
    part.copy_from_slice(&lanes.0[at..at + H]);
    part
}

/// The narrow form, and the same for elements some of which are NaN, which are left out and counted.
pub const NARROW: u8 = 0;
/// See [`NARROW`].
pub const HOLES: u8 = 1;
/// The wide form.
pub const WIDE: u8 = 2;

impl Summand for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.abs() < Self::INFINITY
    }

    #[inline(always)]
    #[allow(clippy::eq_op)] // The method of the same name would call itself.
    fn is_nan(self) -> bool {
        self != self
    }

    const GROUP: usize = 128;
    const SUMS: [usize; 2] = [3, 5];
    const CHECK: [usize; 2] = [1, 2];
    const MOST: [u64; 2] = [(1 << 50) - 1024, (1 << 51) - 1024];
    const LEAST_GRID: i32 = -149;
    /// The least magnitude less one, so that zero is the largest.
    type Low = u32;
    const NOTHING: u32 = u32::MAX;
    const NO_GRID: u32 = u32::MAX;
    const NONE: u32 = 0;

    fn layout(wide: bool, grid: i32) -> [Layout; MOST_SUMS] {
        let mut sums = [layout(1.0, 0, false, 0); MOST_SUMS];
        // A group of 2^7 numbers below 2^(52 - 7) steps.
        let step = 52 - 7;
        let squares = 2 * grid;
        if wide {
            sums[0] = layout(1.5, grid + step, false, 0);
            sums[1] = layout(1.5, grid, false, 0);
            sums[2] = layout(1.0, squares + 2 * step, true, 0);
            sums[3] = layout(1.5, squares + step, true, 0);
            sums[4] = layout(1.5, squares, true, 0);
        } else {
            sums[0] = layout(1.5, grid, false, 0);
            sums[1] = layout(1.0, squares + step, true, 0);
            sums[2] = layout(1.5, squares, true, 0);
        }
        sums
    }

    fn lowest_grid(wide: bool, top: i32) -> i32 {
        let room = if wide { 51 + 2 * 52 - 2 * 7 } else { 50 + 52 - 7 };
        (top - room + 1).div_euclid(2).max(Self::LEAST_GRID)
    }

    fn limit(grid: i32) -> u32 {
        // A number of magnitude 2^e has its last bit at 2^(e - 23).
        match grid + 150 {
            ..=1 => 0,
            exponent @ 2..255 => ((exponent as u32) << 23) - 1,
            _ => u32::MAX,
        }
    }

    #[inline(always)]
    fn passes(low: u32, limit: u32) -> bool {
        low >= limit
    }

    fn count(missing: u32) -> u64 {
        u64::from(missing)
    }

    #[inline(always)]
    fn add<const FORM: u8, const FMA: bool, const H: usize, const R: usize>(
        x: [&[f32; LANES]; R],
        sums: &mut [Lanes<f64>],
        low: &mut Lanes<u32>,
        missing: &mut Lanes<u32>,
    ) {
        let mut least = low.0;
        if FORM == WIDE {
            let Some(kept) = sums.first_chunk_mut::<5>() else { return };
            let [mut s, mut t, mut a, mut b, mut c] = kept.map(|lanes| lanes.0);
            for x in x {
                for j in 0..LANES {
                    let v = f64::from(x[j]);
                    least[j] = least[j].min((x[j].to_bits() & 0x7fff_ffff).wrapping_sub(1));
                    t[j] += v - split(&mut s[j], v);
                    let total = product::<FMA>(v, v, a[j]);
                    let added = total - a[j];
                    a[j] = total;
                    let rest = product::<FMA>(v, v, -added);
                    c[j] += rest - split(&mut b[j], rest);
                }
            }
            *kept = [s, t, a, b, c].map(Lanes);
        } else {
            let Some(kept) = sums.first_chunk_mut::<3>() else { return };
            let [mut s, mut a, mut b] = kept.map(|lanes| lanes.0);
            let mut holes = missing.0;
            for x in x {
                for j in 0..LANES {
                    let is_hole = FORM == HOLES && x[j].is_nan();
                    let x = if is_hole { 0.0 } else { x[j] };
                    holes[j] += u32::from(is_hole);
                    let v = f64::from(x);
                    least[j] = least[j].min((x.to_bits() & 0x7fff_ffff).wrapping_sub(1));
                    s[j] += v;
                    let total = product::<FMA>(v, v, a[j]);
                    let added = total - a[j];
                    a[j] = total;
                    b[j] += product::<FMA>(v, v, -added);
                }
            }
            *kept = [s, a, b].map(Lanes);
            if FORM == HOLES {
                missing.0 = holes;
            }
        }
        low.0 = least;
    }
}

impl Summand for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.abs() < Self::INFINITY
    }

    #[inline(always)]
    #[allow(clippy::eq_op)] // The method of the same name would call itself.
    fn is_nan(self) -> bool {
        self != self
    }

    const GROUP: usize = 64;
    const SUMS: [usize; 2] = [9, 14];
    const CHECK: [usize; 2] = [3, 4];
    const MOST: [u64; 2] = [(1 << 52) - 2; 2];
    /// No product of slices leaves the normal numbers.
    const LEAST_GRID: i32 = -500;
    /// The bits that were left of any element.
    type Low = u64;
    const NOTHING: u64 = 0;
    const NO_GRID: u64 = u64::MAX;
    const NONE: u64 = 0;

    fn layout(wide: bool, grid: i32) -> [Layout; MOST_SUMS] {
        let mut sums = [layout(1.0, 0, false, 0); MOST_SUMS];
        let slices = if wide { 4 } else { 3 };
        let grid_of = |slice: usize| grid + (slices - 1 - slice) as i32 * SLICE;
        let mut next = slices;
        for first in 0..slices {
            sums[first] = layout(1.5, grid_of(first), false, 0);
            for second in first..slices {
                let start = if first == second { 1.0 } else { 1.5 };
                sums[next] = layout(start, grid_of(first) + grid_of(second), true, i32::from(first != second));
                next += 1;
            }
        }
        sums
    }

    fn lowest_grid(wide: bool, top: i32) -> i32 {
        (top - 52 - if wide { 6 } else { 4 } * SLICE + 1).div_euclid(2)
    }

    fn limit(_grid: i32) -> u64 {
        0
    }

    #[inline(always)]
    fn passes(low: u64, limit: u64) -> bool {
        // Minus zero is nothing.
        (low << 1 == 0) & (limit == 0)
    }

    fn count(missing: u64) -> u64 {
        missing
    }

    #[inline(always)]
    fn add<const FORM: u8, const FMA: bool, const H: usize, const R: usize>(
        x: [&[f64; LANES]; R],
        sums: &mut [Lanes<f64>],
        low: &mut Lanes<u64>,
        missing: &mut Lanes<u64>,
    ) {
        for at in (0..LANES).step_by(H) {
            let mut left: [u64; H] = part(low, at);
            if FORM == WIDE {
                let Some(kept) = sums.first_chunk_mut::<14>() else { return };
                let mut t: [[f64; H]; 14] = std::array::from_fn(|i| part(&kept[i], at));
                for x in x {
                    for j in 0..H {
                        let x = x[at + j];
                        let a = split(&mut t[0][j], x);
                        let rest = x - a;
                        let b = split(&mut t[1][j], rest);
                        let rest = rest - b;
                        let c = split(&mut t[2][j], rest);
                        let rest = rest - c;
                        let d = split(&mut t[3][j], rest);
                        left[j] |= (rest - d).to_bits();
                        t[4][j] = product::<FMA>(a, a, t[4][j]);
                        t[5][j] = product::<FMA>(a, b, t[5][j]);
                        t[6][j] = product::<FMA>(a, c, t[6][j]);
                        t[7][j] = product::<FMA>(a, d, t[7][j]);
                        t[8][j] = product::<FMA>(b, b, t[8][j]);
                        t[9][j] = product::<FMA>(b, c, t[9][j]);
                        t[10][j] = product::<FMA>(b, d, t[10][j]);
                        t[11][j] = product::<FMA>(c, c, t[11][j]);
                        t[12][j] = product::<FMA>(c, d, t[12][j]);
                        t[13][j] = product::<FMA>(d, d, t[13][j]);
                    }
                }
                for (kept, t) in kept.iter_mut().zip(t) {
                    kept.0[at..at + H].copy_from_slice(&t);
                }
            } else {
                let Some(kept) = sums.first_chunk_mut::<9>() else { return };
                let t: [[f64; H]; 9] = std::array::from_fn(|i| part(&kept[i], at));
                let [mut sa, mut sb, mut sc, mut aa, mut ab, mut ac, mut bb, mut bc, mut cc] = t;
                let mut holes: [u64; H] = part(missing, at);
                for x in x {
                    for j in 0..H {
                        let x = x[at + j];
                        let is_hole = FORM == HOLES && x.is_nan();
                        let x = if is_hole { 0.0 } else { x };
                        holes[j] += u64::from(is_hole);
                        let a = split(&mut sa[j], x);
                        let rest = x - a;
                        let b = split(&mut sb[j], rest);
                        let rest = rest - b;
                        let c = split(&mut sc[j], rest);
                        left[j] |= (rest - c).to_bits();
                        aa[j] = product::<FMA>(a, a, aa[j]);
                        ab[j] = product::<FMA>(a, b, ab[j]);
                        ac[j] = product::<FMA>(a, c, ac[j]);
                        bb[j] = product::<FMA>(b, b, bb[j]);
                        bc[j] = product::<FMA>(b, c, bc[j]);
                        cc[j] = product::<FMA>(c, c, cc[j]);
                    }
                }
                for (kept, t) in kept.iter_mut().zip([sa, sb, sc, aa, ab, ac, bb, bc, cc]) {
                    kept.0[at..at + H].copy_from_slice(&t);
                }
                if FORM == HOLES {
                    missing.0[at..at + H].copy_from_slice(&holes);
                }
            }
            low.0[at..at + H].copy_from_slice(&left);
        }
    }
}

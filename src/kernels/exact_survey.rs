//! Looking at a chunk of columns whose exact sums did not go well, or are not expected to: what is no number, and how large and
//! how fine the others are.

use super::Kernel;
use super::columns::prefetch_at;
use super::exact_sums::{LANES, ROWS, Summand};
use crate::rows::Rows;

/// What is found in the elements of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct Survey {
    /// The sum of the squares, rounded.
    pub total: [f64; LANES],
    /// The largest magnitude, as bits.
    pub top: [u64; LANES],
    /// The least magnitude but zero less one, as bits, and all bits of magnitudes together.
    pub low: [u64; LANES],
    /// See `low`.
    pub bits: [u64; LANES],
}

/// Copies the elements of a chunk, zero in the place of those that are no numbers, and counts these.
pub struct Clean<'a, 'm, T> {
    /// Rows whose columns from `at` on are the chunk.
    pub rows: Rows<'m, T>,
    /// See `rows`.
    pub at: usize,
    /// Where to: as many.
    pub to: &'a mut [[T; LANES]],
}

impl<T: Summand> Kernel for Clean<'_, '_, T> {
    /// How many are not finite, and how many of those are NaN.
    type Output = [[u32; LANES]; 2];

    #[inline(always)]
    fn run(self) -> [[u32; LANES]; 2] {
        let Self { rows, at, to } = self;
        let (mut odd, mut nan) = ([0; LANES], [0; LANES]);
        if at + LANES <= rows.width() {
            let Some(to) = to.get_mut(..rows.count()) else { return [odd, nan] };
            let (groups, rest) = to.as_chunks_mut::<ROWS>();
            let first = groups.len() * ROWS;
            for (group, to) in groups.iter_mut().enumerate() {
                let x = rows.group::<ROWS>(group * ROWS).lanes::<LANES>(at);
                // Counters of their own, which stay in registers.
                let (mut odd_here, mut nan_here) = ([0; LANES], [0; LANES]);
                for (x, to) in x.into_iter().zip(to) {
                    // The same columns of the group that follows.
                    prefetch_at::<u8, 1>(x.as_ptr().wrapping_byte_add(rows.bytes(rows.count())).cast());
                    clean(x, to, &mut odd_here, &mut nan_here);
                }
                for j in 0..LANES {
                    odd[j] += odd_here[j];
                    nan[j] += nan_here[j];
                }
            }
            for (row, to) in (first..).zip(rest) {
                let [x] = rows.group::<1>(row).lanes::<LANES>(at);
                clean(x, to, &mut odd, &mut nan);
            }
        } else {
            for (row, to) in to.iter_mut().enumerate().take(rows.count()) {
                let mut x = [T::ZERO; LANES];
                x.iter_mut().zip(&rows.row(row)[at..]).for_each(|(to, x)| *to = *x);
                clean(&x, to, &mut odd, &mut nan);
            }
        }
        [odd, nan]
    }
}

#[inline(always)]
fn clean<T: Summand>(x: &[T; LANES], to: &mut [T; LANES], odd: &mut [u32; LANES], nan: &mut [u32; LANES]) {
    for j in 0..LANES {
        let finite = x[j].is_finite();
        to[j] = if finite { x[j] } else { T::ZERO };
        odd[j] += u32::from(!finite);
        nan[j] += u32::from(x[j].is_nan());
    }
}

/// Looks at the elements of a chunk, all of them finite.
pub struct Look<'a, T> {
    /// The elements.
    pub rows: &'a [[T; LANES]],
}

impl<T: Summand> Kernel for Look<'_, T> {
    type Output = Survey;

    #[inline(always)]
    fn run(self) -> Survey {
        let mut found = Survey { total: [0.0; LANES], top: [0; LANES], low: [u64::MAX; LANES], bits: [0; LANES] };
        for x in self.rows {
            for (j, x) in x.iter().enumerate() {
                let value = x.to_f64();
                let magnitude = value.to_bits() & (u64::MAX >> 1);
                found.total[j] += value * value;
                found.top[j] = found.top[j].max(magnitude);
                found.low[j] = found.low[j].min(magnitude.wrapping_sub(1));
                found.bits[j] |= magnitude;
            }
        }
        found
    }
}

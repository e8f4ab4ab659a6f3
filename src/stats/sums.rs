//! From tiles to moments: sums around a pivot for floats, exact sums for integers.

use super::moments::{FloatCell, IntegerCell};
use super::{Accumulator, Slots, Tile};
use crate::dd::{Dd, two_sum};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::moments::{FloatSums, Integer, IntegerSums};
use crate::kernels::{self, Kernel};
use crate::tiles::Rows;

/// Elements whose median is the pivot.
const PIVOT_ELEMENTS: usize = 16;
/// The largest squared distance of pivot and mean, in variances, at which no digit that matters is lost: the sum of
/// squares is then at most five times what remains of it.
pub const PIVOT_DISTANCE: f64 = 4.0;

/// Sums with the rounding errors of their additions beside them (Neumaier's variant of Kahan's summation): as good as
/// double-double for adding up, and a loop that vectorises.
#[derive(Debug, Default)]
pub(super) struct Compensated {
    sum: Vec<f64>,
    error: Vec<f64>,
}

impl Compensated {
    pub fn clear(&mut self, count: usize) {
        for values in [&mut self.sum, &mut self.error] {
            values.clear();
            values.resize(count, 0.0);
        }
    }

    #[inline(always)]
    pub fn add(&mut self, values: &[f64]) {
        for ((sum, error), value) in self.sum.iter_mut().zip(&mut self.error).zip(values) {
            let (total, lost) = two_sum(*sum, *value);
            *sum = total;
            *error += lost;
        }
    }

    #[inline(always)]
    pub fn get(&self, slot: usize) -> Dd {
        let error = self.error[slot];
        Dd::from(self.sum[slot]).add_f64(if error.is_nan() { 0.0 } else { error })
    }
}

/// Sums of floating-point (or weighted) elements around a pivot, made into cells.
#[derive(Debug, Default)]
pub struct FloatAccumulator {
    sums: FloatSums,
    pivot: Vec<f64>,
    sum: Compensated,
    square: Compensated,
    /// Elements of each slot in tiles without NaN or weights.
    count: f64,
    /// Weights of the other tiles.
    weight: Compensated,
    settled: bool,
    /// Whether every tile is expected to have elements that are missing.
    has_missing: bool,
}

impl FloatAccumulator {
    /// Nothing seen yet.
    pub fn new(has_missing: bool) -> Self {
        Self { has_missing, ..Self::default() }
    }

    /// Forget all sums and spread the pivots over the columns.
    fn restart(&mut self, slots: &Slots) {
        for sums in [&mut self.sum, &mut self.square, &mut self.weight] {
            sums.clear(slots.count);
        }
        self.count = 0.0;
        self.sums.pivot.clear();
        self.sums.pivot.extend((0..slots.width).map(|column| self.pivot[slots.slot_of(column)]));
        for _ in 1..slots.times {
            self.sums.pivot.extend_from_within(..slots.width);
        }
    }

    fn fold(&mut self, slots: &Slots) {
        slots.fold(&mut self.sums.sum);
        slots.fold(&mut self.sums.square);
    }

    /// Whether NaN, infinity or an overflow got into the sums.
    fn is_spoiled(&self) -> bool {
        self.sums.square.iter().fold(false, |spoiled, square| spoiled | !square.is_finite())
    }

    #[inline(always)]
    fn weight(&self, slot: usize) -> Dd {
        self.weight.get(slot).add_f64(self.count)
    }
}

/// The median of the numbers among a few elements, or zero: an element near which most others lie, even where one of the
/// few is far away.
fn pivot(elements: impl Iterator<Item = f64>) -> f64 {
    let mut numbers = [0.0; PIVOT_ELEMENTS];
    let mut count = 0;
    for (slot, x) in numbers.iter_mut().zip(elements.filter(|x| x.is_finite())) {
        *slot = x;
        count += 1;
    }
    let numbers = &mut numbers[..count];
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(count / 2).copied().unwrap_or(0.0)
}

/// Whether the mean is so near the pivot that no digit of the variance that matters was lost.
#[inline(always)]
pub(super) fn is_near(sum: f64, square: f64, weight: f64) -> bool {
    let distance = sum / weight;
    let m2 = square - sum * distance;
    // Of squares that overflowed nothing is known.
    let is_far = sum * distance > PIVOT_DISTANCE * m2;
    sum == 0.0 || !distance.is_finite() || !is_far
}

/// The moments that sums of differences from a pivot, and of their squares, stand for.
#[inline(always)]
pub(super) fn cell(sum: Dd, square: Dd, weight: Dd, pivot: f64) -> FloatCell {
    if weight.hi == 0.0 {
        return FloatCell::default();
    }
    let distance = sum / weight;
    // A square that overflowed is an infinite variance, not an unknown one.
    let rest = square - sum * distance;
    let m2 = if rest.hi.is_nan() { square } else { rest.max_zero() };
    FloatCell { weight, mean: distance.add_f64(pivot), m2 }
}

impl<T: Element> Accumulator<T> for FloatAccumulator {
    type Cell = FloatCell;

    fn start(&mut self, slots: &Slots, first: Rows<'_, T>) {
        self.pivot.clear();
        self.pivot.resize(slots.count, f64::NAN);
        for column in 0..slots.width {
            let slot = slots.slot_of(column);
            if self.pivot[slot].is_nan() {
                let element = |i: usize| {
                    let (row, copy) = (i / slots.times, i % slots.times);
                    if row > first.count() { None } else { first.row(row).get(copy * slots.width + column) }
                };
                self.pivot[slot] = pivot((0..PIVOT_ELEMENTS).map_while(element).map(|x| x.to_f64()));
            }
        }
        self.settled = false;
        self.restart(slots);
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let width = slots.kernel_width();
        let mut plain = !self.has_missing;
        self.sums.clear(width);
        tile.each(|rows, weights| match weights {
            None if plain => self.sums.add(rows),
            None => self.sums.add_numbers(rows),
            Some(weights) => {
                plain = false;
                self.sums.add_weighted(rows, weights);
            }
        });
        self.fold(slots);
        // NaN and infinity show in the sums: only then is the tile read again, with care.
        if plain && self.is_spoiled() {
            plain = false;
            self.sums.clear(width);
            tile.each(|rows, _| self.sums.add_numbers(rows));
            self.fold(slots);
        }
        slots.fold(&mut self.sums.weight);
        if plain {
            self.count += (tile.rows() * slots.columns_per_slot()) as f64;
        } else {
            if self.is_spoiled() && has_infinity(tile) {
                return Err(Error::Infinite);
            }
        }
        kernels::run(Gather(self));
        Ok(())
    }

    fn settle(&mut self, slots: &Slots) -> bool {
        if self.settled {
            return true;
        }
        self.settled = true;
        for slot in 0..slots.count {
            let (sum, square, weight) = (self.sum.sum[slot], self.square.sum[slot], self.weight(slot).hi);
            if !sum.is_finite() {
                // Differences overflowed; the elements themselves may sum.
                self.settled = self.settled && self.pivot[slot] == 0.0;
                self.pivot[slot] = 0.0;
            } else if !is_near(sum, square, weight) {
                self.pivot[slot] += sum / weight;
                self.settled = false;
            }
        }
        if !self.settled {
            self.restart(slots);
            self.settled = true;
            return false;
        }
        true
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<FloatCell>) {
        kernels::run(Finish { sums: self, count: slots.count, cells });
    }
}

/// Adds the sums of a tile to those of all.
struct Gather<'a>(&'a mut FloatAccumulator);

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let FloatAccumulator { sums, sum, square, weight, .. } = self.0;
        sum.add(&sums.sum);
        square.add(&sums.square);
        weight.add(&sums.weight);
    }
}

/// Turns sums into cells, at an instruction-set level that has fused multiply-add.
struct Finish<'a> {
    sums: &'a FloatAccumulator,
    count: usize,
    cells: &'a mut Vec<FloatCell>,
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sums, count, cells } = self;
        for slot in 0..count {
            let (sum, square, weight) = (sums.sum.get(slot), sums.square.get(slot), sums.weight(slot));
            cells.push(cell(sum, square, weight, sums.pivot[slot]));
        }
    }
}

pub(super) fn has_infinity<T: Element>(tile: &mut Tile<'_, '_, T>) -> bool {
    let mut found = false;
    tile.each(|rows, weights| {
        for r in 0..=rows.count() {
            let counts = |i: usize| weights.is_none_or(|w| w.row(r)[i] != 0.0);
            found |= rows.row(r).iter().enumerate().any(|(i, x)| x.to_f64().is_infinite() && counts(i));
        }
    });
    found
}

/// Exact sums of integers, made into cells.
pub struct IntegerAccumulator<T: Integer> {
    sums: IntegerSums<T>,
    /// Rows in the sums.
    rows: usize,
    cells: Vec<IntegerCell>,
}

impl<T: Integer> Default for IntegerAccumulator<T> {
    fn default() -> Self {
        Self { sums: IntegerSums::new(), rows: 0, cells: Vec::new() }
    }
}

impl<T: Integer> IntegerAccumulator<T> {
    /// Add the sums to the cells, and begin anew.
    fn empty(&mut self, slots: &Slots) {
        for (i, (sum, square)) in self.sums.get().enumerate() {
            // Memory has less than 2^64 elements, of 32 bits at most: neither sum overflows.
            let cell = &mut self.cells[slots.slot_of(i % slots.width)];
            cell.sum += sum;
            cell.square += square;
        }
        self.sums.clear(slots.kernel_width());
        self.rows = 0;
    }
}

impl<T: Integer> Accumulator<T> for IntegerAccumulator<T> {
    type Cell = IntegerCell;

    fn start(&mut self, slots: &Slots, _first: Rows<'_, T>) {
        self.sums.clear(slots.kernel_width());
        self.rows = 0;
        self.cells.clear();
        self.cells.resize(slots.count, IntegerCell::default());
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let rows = tile.rows();
        if self.rows + rows > IntegerSums::<T>::MAX_ROWS {
            self.empty(slots);
        }
        self.rows += rows;
        tile.each(|rows, _| self.sums.add(rows));
        let count = (rows * slots.columns_per_slot()) as u64;
        self.cells.iter_mut().for_each(|cell| cell.count += count);
        Ok(())
    }

    fn settle(&mut self, _slots: &Slots) -> bool {
        true
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<IntegerCell>) {
        self.empty(slots);
        cells.append(&mut self.cells);
    }
}

//! From tiles to moments: sums around a pivot for floats, exact sums for integers.

use super::moments::{FloatCell, IntegerCell};
use crate::dd::{Dd, two_sum};
use crate::drive::{Accumulator, Slots, Tile};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::moments::{FloatSums, Integer, IntegerSums};
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::rows::Rows;

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
    pub fn clear(&mut self, count: usize) -> Result<(), Error> {
        memory::refill(&mut self.sum, 0.0, count)?;
        memory::refill(&mut self.error, 0.0, count)
    }

    #[inline(always)]
    pub fn add(&mut self, values: &[f64]) {
        for ((sum, error), value) in self.sum.iter_mut().zip(&mut self.error).zip(values) {
            let (total, lost) = two_sum(*sum, *value);
            *sum = total;
            *error += lost;
        }
    }

    /// The sum of `slot`; not-a-number of none.
    #[inline(always)]
    pub fn get(&self, slot: usize) -> Dd {
        let Some((sum, error)) = self.sum.get(slot).zip(self.error.get(slot)) else { return Dd::from(f64::NAN) };
        Dd::from(*sum).add_f64(if error.is_nan() { 0.0 } else { *error })
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
    fn restart(&mut self, slots: &Slots) -> Result<(), Error> {
        for sums in [&mut self.sum, &mut self.square, &mut self.weight] {
            sums.clear(slots.count)?;
        }
        self.count = 0.0;
        let pivots = &mut self.sums.pivot;
        pivots.clear();
        memory::reserve(pivots, slots.kernel_width())?;
        pivots.extend((0..slots.width).filter_map(|column| self.pivot.get(slots.slot_of(column))));
        for _ in 1..slots.times {
            pivots.extend_from_within(..slots.width.min(pivots.len()));
        }
        Ok(())
    }

    fn fold(&mut self, slots: &Slots) -> Result<(), Error> {
        slots.fold(&mut self.sums.sum)?;
        slots.fold(&mut self.sums.square)
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
    let (numbers, _) = numbers.split_at_mut(count);
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

    fn start(&mut self, slots: &Slots, first: Rows<'_, T>) -> Result<(), Error> {
        memory::refill(&mut self.pivot, f64::NAN, slots.count)?;
        for column in 0..slots.width {
            if let Some(known) = self.pivot.get_mut(slots.slot_of(column)).filter(|known| known.is_nan()) {
                let element = |i: usize| {
                    let (row, copy) = (i / slots.times, i % slots.times);
                    if row > first.count() { None } else { first.row(row).get(copy * slots.width + column) }
                };
                *known = pivot((0..PIVOT_ELEMENTS).map_while(element).map(|x| x.to_f64()));
            }
        }
        self.settled = false;
        self.restart(slots)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let width = slots.kernel_width();
        let mut plain = !self.has_missing;
        self.sums.clear(width)?;
        tile.each(|rows, weights| {
            match weights {
                None if plain => self.sums.add(rows),
                None => self.sums.add_numbers(rows),
                Some(weights) => {
                    plain = false;
                    self.sums.add_weighted(rows, weights);
                }
            }
            Ok(())
        })?;
        self.fold(slots)?;
        // NaN and infinity show in the sums: only then is the tile read again, with care.
        if plain && self.is_spoiled() {
            plain = false;
            self.sums.clear(width)?;
            tile.each(|rows, _| {
                self.sums.add_numbers(rows);
                Ok(())
            })?;
            self.fold(slots)?;
        }
        slots.fold(&mut self.sums.weight)?;
        if plain {
            self.count += (tile.rows() * slots.columns_per_slot()) as f64;
        } else if self.is_spoiled() && has_infinity(tile)? {
            return Err(Error::Infinite);
        }
        kernels::run(Gather(self));
        Ok(())
    }

    fn settle(&mut self, slots: &Slots) -> Result<bool, Error> {
        if self.settled {
            return Ok(true);
        }
        let mut settled = true;
        for slot in 0..slots.count {
            let weight = self.weight(slot).hi;
            let sums = self.sum.sum.get(slot).zip(self.square.sum.get(slot));
            let (Some((sum, square)), Some(pivot)) = (sums, self.pivot.get_mut(slot)) else { continue };
            if !sum.is_finite() {
                // Differences overflowed; the elements themselves may sum.
                settled = settled && *pivot == 0.0;
                *pivot = 0.0;
            } else if !is_near(*sum, *square, weight) {
                *pivot += sum / weight;
                settled = false;
            }
        }
        self.settled = true;
        if !settled {
            self.restart(slots)?;
        }
        Ok(settled)
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<FloatCell>) -> Result<(), Error> {
        kernels::run(Finish { sums: self, count: slots.count, cells });
        Ok(())
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
        for (slot, pivot) in sums.pivot.iter().enumerate().take(count) {
            let (sum, square, weight) = (sums.sum.get(slot), sums.square.get(slot), sums.weight(slot));
            cells.push(cell(sum, square, weight, *pivot));
        }
    }
}

pub(super) fn has_infinity<T: Element>(tile: &mut Tile<'_, '_, T>) -> Result<bool, Error> {
    let mut found = false;
    tile.each(|rows, weights| {
        for r in 0..=rows.count() {
            let counts = |i: usize| weights.is_none_or(|w| w.row(r).get(i).is_some_and(|weight| *weight != 0.0));
            found |= rows.row(r).iter().enumerate().any(|(i, x)| x.to_f64().is_infinite() && counts(i));
        }
        Ok(())
    })?;
    Ok(found)
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
    fn empty(&mut self, slots: &Slots) -> Result<(), Error> {
        for (i, (sum, square)) in self.sums.get().enumerate() {
            // Memory has less than 2^64 elements, of 32 bits at most: neither sum overflows.
            if let Some(cell) = self.cells.get_mut(slots.slot_of(i % slots.width)) {
                cell.sum += sum;
                cell.square += square;
            }
        }
        self.rows = 0;
        self.sums.clear(slots.kernel_width())
    }
}

impl<T: Integer> Accumulator<T> for IntegerAccumulator<T> {
    type Cell = IntegerCell;

    fn start(&mut self, slots: &Slots, _first: Rows<'_, T>) -> Result<(), Error> {
        self.rows = 0;
        self.sums.clear(slots.kernel_width())?;
        memory::refill(&mut self.cells, IntegerCell::default(), slots.count)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let rows = tile.rows();
        if self.rows + rows > IntegerSums::<T>::MAX_ROWS {
            self.empty(slots)?;
        }
        self.rows += rows;
        tile.each(|rows, _| {
            self.sums.add(rows);
            Ok(())
        })?;
        let count = (rows * slots.columns_per_slot()) as u64;
        self.cells.iter_mut().for_each(|cell| cell.count += count);
        Ok(())
    }

    fn settle(&mut self, _slots: &Slots) -> Result<bool, Error> {
        Ok(true)
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<IntegerCell>) -> Result<(), Error> {
        self.empty(slots)?;
        cells.append(&mut self.cells);
        Ok(())
    }
}

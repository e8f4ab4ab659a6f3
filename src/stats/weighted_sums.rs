//! From tiles to moments of what has weights: sums around a pivot near the mean, tile by tile in `f64`, tiles in double-double.

use super::cell::{Cell, FloatCell};
use super::sums::has_infinity;
use crate::dd::{Dd, two_sum};
use crate::drive::{Accumulator, Slots, Tile};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::moments::FloatSums;
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
struct Compensated {
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

/// Sums of elements with weights around a pivot, made into cells.
#[derive(Debug, Default)]
pub struct FloatAccumulator {
    sums: FloatSums,
    pivot: Vec<f64>,
    sum: Compensated,
    square: Compensated,
    weight: Compensated,
    settled: bool,
    /// The exact sums of each slot, where those in doubles have left their range.
    exact: Option<Vec<Cell>>,
}

/// Sums of squares between which nothing is out of the range of doubles.
const SQUARES: [f64; 2] = [1e-250, 1e250];

impl FloatAccumulator {
    /// Forget all sums and spread the pivots over the columns.
    fn restart(&mut self, slots: &Slots) -> Result<(), Error> {
        for sums in [&mut self.sum, &mut self.square, &mut self.weight] {
            sums.clear(slots.count)?;
        }
        let pivots = &mut self.sums.pivot;
        pivots.clear();
        memory::reserve(pivots, slots.kernel_width())?;
        pivots.extend((0..slots.width).filter_map(|column| self.pivot.get(slots.slot_of(column))));
        for _ in 1..slots.times {
            pivots.extend_from_within(..slots.width.min(pivots.len()));
        }
        Ok(())
    }

    /// Whether NaN, infinity or an overflow got into the sums.
    fn is_spoiled(&self) -> bool {
        self.sums.square.iter().fold(false, |spoiled, square| spoiled | !square.is_finite())
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
fn is_near(sum: f64, square: f64, weight: f64) -> bool {
    let distance = sum / weight;
    let m2 = square - sum * distance;
    // Of squares that overflowed nothing is known.
    let is_far = sum * distance > PIVOT_DISTANCE * m2;
    sum == 0.0 || !distance.is_finite() || !is_far
}

/// The moments that sums of differences from a pivot, and of their squares, stand for.
#[inline(always)]
fn cell(sum: Dd, square: Dd, weight: Dd, pivot: f64) -> FloatCell {
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
    type Cell = Cell;

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
        (self.settled, self.exact) = (false, None);
        self.restart(slots)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        if let Some(cells) = &mut self.exact {
            return tile.each(|rows, weights| {
                let Some(weights) = weights else { return Ok(()) };
                for index in 0..=rows.count() {
                    for (column, (x, weight)) in rows.row(index).iter().zip(weights.row(index)).enumerate() {
                        if let Some(cell) = cells.get_mut(slots.slot_of(column % slots.width)) {
                            cell.add_weighted(x.to_f64(), *weight)?;
                        }
                    }
                }
                Ok(())
            });
        }
        self.sums.clear(slots.kernel_width())?;
        tile.each(|rows, weights| {
            // There are weights, or nobody would have asked for these sums.
            if let Some(weights) = weights {
                self.sums.add_weighted(rows, weights);
            }
            Ok(())
        })?;
        slots.fold(&mut self.sums.sum)?;
        slots.fold(&mut self.sums.square)?;
        slots.fold(&mut self.sums.weight)?;
        if self.is_spoiled() && has_infinity(tile)? {
            return Err(Error::Infinite);
        }
        kernels::run(Gather(self));
        Ok(())
    }

    fn settle(&mut self, slots: &Slots) -> Result<bool, Error> {
        if self.settled {
            return Ok(true);
        }
        let outside = |square: &f64| *square != 0.0 && !(SQUARES[0]..=SQUARES[1]).contains(square);
        let weights = |weight: &f64| *weight != 0.0 && !(SQUARES[0]..=SQUARES[1]).contains(weight);
        // Of squares that are zero, and differences or elements that are not, nothing is known.
        let lost = |((square, sum), pivot): ((&f64, &f64), &f64)| {
            *square == 0.0 && (*sum != 0.0 || *pivot != 0.0 && pivot.abs() < SQUARES[0].sqrt())
        };
        let lost = self.square.sum.iter().zip(&self.sum.sum).zip(&self.pivot).any(lost);
        if lost || self.square.sum.iter().any(outside) || self.weight.sum.iter().any(weights) {
            // One element after the other, and nothing is rounded.
            let mut cells = Vec::new();
            memory::resize_with(&mut cells, slots.count, Cell::default)?;
            (self.exact, self.settled) = (Some(cells), true);
            return Ok(false);
        }
        let mut settled = true;
        for slot in 0..slots.count {
            let weight = self.weight.get(slot).hi;
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

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Cell>) -> Result<(), Error> {
        if let Some(exact) = &mut self.exact {
            exact.iter_mut().for_each(Cell::trim);
            cells.append(exact);
            return Ok(());
        }
        let mut floats = memory::with_room(slots.count)?;
        kernels::run(Finish { sums: self, count: slots.count, cells: &mut floats });
        floats.iter().try_for_each(|cell| memory::push(cells, Cell::of_floats(cell)?))
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
            let (sum, square, weight) = (sums.sum.get(slot), sums.square.get(slot), sums.weight.get(slot));
            cells.push(cell(sum, square, weight, *pivot));
        }
    }
}

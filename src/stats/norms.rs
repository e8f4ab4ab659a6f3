//! Lengths of the vectors that the elements of a channel make.

use super::{Accumulator, Slots, Tile, reduce};
use crate::dd::Dd;
use crate::element::Element;
use crate::error::Error;
use crate::kernels::norms::{L1, L2, Length, Lengths, Max, Norm, UNITS};
use crate::memory;
use crate::tiles::Rows;
use crate::view::View;

/// Lengths of the vectors along the axes that are not kept, to twice the precision of `f64`. They are not numbers or
/// infinite where an element is, and infinite where the length itself is out of range.
pub fn norms<T: Element>(norm: Norm, x: View<'_, T>, kept: &[bool], threads: usize) -> Result<Vec<Dd>, Error> {
    match norm {
        Norm::L1 => lengths::<T, L1>(x, kept, threads),
        Norm::L2 => lengths::<T, L2>(x, kept, threads),
        Norm::Max => lengths::<T, Max>(x, kept, threads),
    }
}

fn lengths<T: Element, N: Length>(x: View<'_, T>, kept: &[bool], threads: usize) -> Result<Vec<Dd>, Error> {
    let channels = x.shape().iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).product();
    let sums = |unit: f64| -> Result<Vec<Dd>, Error> {
        let mut sums = memory::filled(Dd::ZERO, channels)?;
        let accumulator = || LengthAccumulator::<N> { lengths: Lengths::new(unit), sums: Vec::new() };
        reduce(x, None, kept, threads, accumulator, |channel, sum| {
            if let Some(whole) = sums.get_mut(channel) {
                *whole = N::join(*whole, sum);
            }
            Ok(())
        })?;
        Ok(sums)
    };
    let usual = sums(1.0)?;
    let mut lengths: Vec<Dd> = memory::collect(usual.iter().map(|sum| N::finish(*sum)))?;
    for (unit, wanted) in [(UNITS[0], true), (UNITS[1], false)] {
        let outside = |sum: &Dd| !N::in_range(sum.hi) && (sum.hi > 1.0) == wanted && !sum.hi.is_nan();
        if !usual.iter().any(outside) {
            continue;
        }
        let others = sums(unit)?;
        for ((length, other), _) in lengths.iter_mut().zip(others).zip(&usual).filter(|(_, sum)| outside(sum)) {
            let scaled = N::finish(other);
            *length = Dd { hi: scaled.hi / unit, lo: scaled.lo / unit };
        }
    }
    Ok(lengths)
}

struct LengthAccumulator<N> {
    lengths: Lengths<N>,
    sums: Vec<Dd>,
}

impl<T: Element, N: Length> Accumulator<T> for LengthAccumulator<N> {
    type Cell = Dd;

    fn start(&mut self, slots: &Slots, _first: Rows<'_, T>) -> Result<(), Error> {
        memory::refill(&mut self.sums, Dd::ZERO, slots.count)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        self.lengths.clear(slots.kernel_width())?;
        tile.each(|rows, _| {
            self.lengths.add(rows);
            Ok(())
        })?;
        for column in 0..slots.kernel_width() {
            if let Some(sum) = self.sums.get_mut(slots.slot_of(column % slots.width)) {
                *sum = N::join(*sum, self.lengths.get(column));
            }
        }
        Ok(())
    }

    fn settle(&mut self, _slots: &Slots) -> Result<bool, Error> {
        Ok(true)
    }

    fn finish(&mut self, _slots: &Slots, cells: &mut Vec<Dd>) -> Result<(), Error> {
        cells.append(&mut self.sums);
        Ok(())
    }
}

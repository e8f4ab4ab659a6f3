//! Lengths of the vectors that the elements of a channel make.

use crate::dd::Dd;
use crate::drive::{Accumulator, Slots, Tile, reduce};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::norms::{L1, L2, Length, Lengths, Max, Norm, UNITS};
use crate::memory;
use crate::view::View;

/// The length of a vector, multiplied by a power of two where it would be out of range.
#[derive(Debug, Clone, Copy)]
pub struct Scaled {
    /// The product, to twice the precision of `f64`; not a number or infinite where an element is.
    pub length: Dd,
    /// The power of two.
    pub unit: f64,
}

/// Lengths of the vectors along the axes that are not kept. Without `least`, those of next to nothing may come out as zero.
pub fn norms<T: Element>(
    norm: Norm,
    x: View<'_, T>,
    kept: &[bool],
    least: bool,
    threads: usize,
) -> Result<Vec<Scaled>, Error> {
    match norm {
        Norm::L1 => lengths::<T, L1>(x, kept, least, threads),
        Norm::L2 => lengths::<T, L2>(x, kept, least, threads),
        Norm::Max => lengths::<T, Max>(x, kept, least, threads),
    }
}

fn lengths<T: Element, N: Length>(
    x: View<'_, T>,
    kept: &[bool],
    least: bool,
    threads: usize,
) -> Result<Vec<Scaled>, Error> {
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
    let finished = usual.iter().map(|sum| Scaled { length: N::finish(*sum), unit: 1.0 });
    let mut lengths: Vec<Scaled> = memory::collect(finished)?;
    for (unit, wanted) in [(UNITS[0], true), (UNITS[1], false)] {
        let in_range = |sum: f64| N::in_range(sum) && !(least && sum == 0.0);
        let outside = |sum: &Dd| !in_range(sum.hi) && (sum.hi > 1.0) == wanted && !sum.hi.is_nan();
        if !usual.iter().any(outside) {
            continue;
        }
        let others = sums(unit)?;
        for ((length, other), _) in lengths.iter_mut().zip(others).zip(&usual).filter(|(_, sum)| outside(sum)) {
            let scaled = N::finish(other);
            let usual = Dd { hi: scaled.hi / unit, lo: scaled.lo / unit };
            let in_range = usual.hi.is_finite() || !scaled.hi.is_finite();
            *length = if in_range { Scaled { length: usual, unit: 1.0 } } else { Scaled { length: scaled, unit } };
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

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
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

    fn finish(&mut self, _slots: &Slots, cells: &mut Vec<Dd>) -> Result<(), Error> {
        cells.append(&mut self.sums);
        Ok(())
    }
}

//! How often each value of a byte occurs in every channel.

use super::channel::Channel;
use super::sketch::Sketch;
use crate::drive::{Accumulator, Slots, Tile};
use crate::element::{Count, Element, Key};
use crate::error::Error;
use crate::memory;

/// Bytes that are counted at a time, each by counters of its own: equal ones in a row do not wait for each other.
const LANES: usize = 8;
/// Counters for copies of a few columns.
const MOST_LANES: usize = 64;
/// Values of a byte.
const BYTES: usize = 256;

/// Counts bytes.
#[derive(Default)]
pub struct Counter {
    /// For each copy of each column how often each byte has occurred.
    counters: Vec<[u32; BYTES]>,
    /// Elements that have been counted since the counters were emptied.
    counted: usize,
    cells: Vec<[u64; BYTES]>,
}

impl Counter {
    /// Add the counters to the cells.
    fn empty(&mut self, slots: &Slots) {
        for (lane, counters) in self.counters.iter_mut().enumerate() {
            if let Some(cell) = self.cells.get_mut(slots.slot_of(lane % slots.width)) {
                cell.iter_mut().zip(&*counters).for_each(|(total, count)| *total += u64::from(*count));
            }
            *counters = [0; BYTES];
        }
        self.counted = 0;
    }
}

impl<T: Element> Accumulator<T> for Counter {
    type Cell = Channel;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        let even = (1..=LANES).map(|copies| slots.width * copies).find(|lanes| lanes.is_multiple_of(LANES));
        let lanes = even.filter(|lanes| *lanes <= MOST_LANES).unwrap_or(slots.width);
        self.counted = 0;
        memory::refill(&mut self.counters, [0; BYTES], lanes)?;
        memory::refill(&mut self.cells, [0; BYTES], slots.count)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let elements = tile.rows() * slots.width;
        if self.counted + elements > u32::MAX as usize {
            self.empty(slots);
        }
        self.counted += elements;
        tile.each(|rows, _| {
            for row in 0..=rows.count() {
                for elements in rows.row(row).chunks(self.counters.len()) {
                    #[expect(clippy::indexing_slicing, reason = "a byte has no more values")]
                    let count = |x: &T, counters: &mut [u32; BYTES]| {
                        counters[x.key().ordered().to_u64() as usize % BYTES] += 1;
                    };
                    let (eights, rest) = elements.as_chunks::<LANES>();
                    let (counters, other_counters) = self.counters.as_chunks_mut::<LANES>();
                    for (x, counters) in eights.iter().zip(&mut *counters) {
                        x.iter().zip(counters).for_each(|(x, counters)| count(x, counters));
                    }
                    let others = counters.iter_mut().skip(eights.len()).flatten().chain(other_counters);
                    rest.iter().zip(others).for_each(|(x, counters)| count(x, counters));
                }
            }
            Ok(())
        })
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Channel>) -> Result<(), Error> {
        self.empty(slots);
        let first = T::Key::BOTTOM.to_f64() as i32;
        for cell in self.cells.drain(..) {
            let counts = cell.iter().enumerate().filter(|(_, count)| **count > 0);
            let counts = memory::collect(counts.map(|(value, count)| (first + value as i32, *count)))?;
            cells.push(Channel { counts, sketch: Sketch::default() });
        }
        Ok(())
    }
}

//! Minimum and maximum.

use super::groups::Groups;
use super::source::Source;
use super::{Accumulator, Slots, Tile, reduce};
use crate::element::{Element, Key};
use crate::error::Error;
use crate::kernels::extrema::Bounds;
use crate::tiles::Rows;
use crate::view::View;

/// Extrema of one channel. Infinite values are values like any other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Number of elements that are numbers.
    pub count: u64,
    /// Smallest of them; infinite where there is none.
    pub min: f64,
    /// Largest of them; minus infinity where there is none.
    pub max: f64,
}

impl Cell {
    /// Of no element.
    pub const EMPTY: Self = Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY };

    /// Join two cells.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.count = self.count.checked_add(other.count).ok_or(Error::Overflow)?;
        if other.count > 0 {
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
        }
        Ok(())
    }
}

/// Extrema of every channel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extrema {
    /// One cell for each channel; empty for a state that has seen no array yet.
    pub cells: Vec<Cell>,
}

impl Extrema {
    /// Extrema of `x` along the axes that are not kept. NaN is left out.
    pub fn of<S: Source>(x: S, kept: &[bool], threads: usize) -> Result<Self, Error> {
        let channels = x.shape().iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).product();
        let mut cells = vec![Cell::EMPTY; channels];
        let mut joined = Ok(());
        reduce(
            x,
            None,
            kept,
            threads,
            BoundsAccumulator::<<S::Element as Element>::Key>::default,
            |channel, cell: Cell| {
                if let Err(error) = cells[channel].merge(&cell) {
                    joined = Err(error);
                }
            },
        )?;
        joined.map(|()| Self { cells })
    }

    /// Extrema of `groups` of the rows of `x`, the channels of the first group first. The group of each row is one of `codes`,
    /// which are below `groups`.
    pub fn of_groups<T: Element>(
        x: View<'_, T>,
        codes: &[u32],
        groups: usize,
        kept: &[bool],
        threads: usize,
    ) -> Result<Self, Error> {
        let numbers = Groups::new(codes, groups, |_| true);
        let parts = numbers.each(x, None, threads, |_| true, |x, _, threads| Self::of(x, kept, threads))?;
        Ok(Self { cells: parts.into_iter().flat_map(|(_, part)| part.cells).collect() })
    }

    /// Whether an element is infinite.
    pub fn has_infinity(&self) -> bool {
        self.cells.iter().any(|cell| cell.count > 0 && (cell.min.is_infinite() || cell.max.is_infinite()))
    }

    /// Join another state to this one.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if other.cells.is_empty() {
            return Ok(());
        }
        if self.cells.is_empty() {
            *self = other.clone();
            return Ok(());
        }
        if self.cells.len() != other.cells.len() {
            return Err(Error::ChannelMismatch { left: self.cells.len(), right: other.cells.len() });
        }
        let mut cells = self.cells.clone();
        for (ours, theirs) in cells.iter_mut().zip(&other.cells) {
            ours.merge(theirs)?;
        }
        self.cells = cells;
        Ok(())
    }
}

#[derive(Debug)]
struct BoundsAccumulator<K: Key> {
    bounds: Bounds<K>,
    cells: Vec<Cell>,
}

impl<K: Key> Default for BoundsAccumulator<K> {
    fn default() -> Self {
        Self { bounds: Bounds::default(), cells: Vec::new() }
    }
}

impl<T: Element<Key = K>, K: Key> Accumulator<T> for BoundsAccumulator<K> {
    type Cell = Cell;

    fn start(&mut self, slots: &Slots, _first: Rows<'_, T>) {
        self.cells.clear();
        self.cells.resize(slots.count, Cell::EMPTY);
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        self.bounds.clear(slots.kernel_width());
        tile.each(|rows, _| self.bounds.add(rows));
        slots.fold_with(&mut self.bounds.min, |a, b| *a = if b < *a { b } else { *a });
        slots.fold_with(&mut self.bounds.max, |a, b| *a = if b > *a { b } else { *a });
        slots.fold(&mut self.bounds.nan);
        let count = (tile.rows() * slots.columns_per_slot()) as u64;
        for (slot, cell) in self.cells.iter_mut().enumerate() {
            let count = count - u64::from(self.bounds.nan[slot]);
            cell.merge(&Cell { count, min: self.bounds.min[slot].to_f64(), max: self.bounds.max[slot].to_f64() })?;
        }
        Ok(())
    }

    fn settle(&mut self, _slots: &Slots) -> bool {
        true
    }

    fn finish(&mut self, _slots: &Slots, cells: &mut Vec<Cell>) {
        cells.append(&mut self.cells);
    }
}

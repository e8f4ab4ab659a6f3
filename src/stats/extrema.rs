//! Minimum and maximum.

use super::groups::Groups;
use super::joined;
use crate::drive::source::Source;
use crate::drive::{Accumulator, Slots, Tile, reduce};
use crate::element::{Element, Key};
use crate::error::Error;
use crate::kernels::extrema::Bounds;
use crate::memory;
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
        self.count = joined(self.count, other.count)?;
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
        let mut cells: Vec<Cell> = memory::filled(Cell::EMPTY, channels)?;
        reduce(x, None, kept, threads, BoundsAccumulator::<<S::Element as Element>::Key>::default, |channel, cell| {
            cells.get_mut(channel).map_or(Ok(()), |whole| whole.merge(&cell))
        })?;
        Ok(Self { cells })
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
        let numbers = Groups::new(codes, groups, |_| true)?;
        let parts = numbers.each(x, None, threads, |_| true, |x, _, threads| Self::of(x, kept, threads))?;
        let mut cells = memory::with_room(parts.iter().map(|(_, part)| part.cells.len()).sum())?;
        parts.into_iter().for_each(|(_, mut part)| cells.append(&mut part.cells));
        Ok(Self { cells })
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { cells: memory::copied(&self.cells)? })
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
            *self = other.try_clone()?;
            return Ok(());
        }
        if self.cells.len() != other.cells.len() {
            return Err(Error::ChannelMismatch { left: self.cells.len(), right: other.cells.len() });
        }
        let mut cells = memory::copied(&self.cells)?;
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

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        memory::refill(&mut self.cells, Cell::EMPTY, slots.count)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        self.bounds.clear(slots.kernel_width())?;
        tile.each(|rows, _| {
            self.bounds.add(rows);
            Ok(())
        })?;
        slots.fold_with(&mut self.bounds.min, |a, b| *a = if b < *a { b } else { *a })?;
        slots.fold_with(&mut self.bounds.max, |a, b| *a = if b > *a { b } else { *a })?;
        slots.fold(&mut self.bounds.nan)?;
        let count = (tile.rows() * slots.columns_per_slot()) as u64;
        let bounds = self.bounds.min.iter().zip(&self.bounds.max).zip(&self.bounds.nan);
        for (cell, ((min, max), nan)) in self.cells.iter_mut().zip(bounds) {
            cell.merge(&Cell { count: count - u64::from(*nan), min: min.to_f64(), max: max.to_f64() })?;
        }
        Ok(())
    }

    fn finish(&mut self, _slots: &Slots, cells: &mut Vec<Cell>) -> Result<(), Error> {
        cells.append(&mut self.cells);
        Ok(())
    }
}

//! From shape, strides and kept axes to rows of interleaved columns.
//!
//! Every array, whatever its axes and strides, is walked as
//!
//! ```text
//! for each kept position                 (outer axes that keep their own statistics)
//!     for each unit                      (outer reduced axes x groups of rows)
//!         a block of rows x columns      (what a kernel sees)
//! ```
//!
//! *Rows* run along one reduced axis; *columns* are the innermost elements, each with its own accumulator, and a map
//! from columns to channels says which of them belong together. A table in C order has its features as columns; an
//! NCHW batch has long runs of one channel, which are rows of a single column; an NHWC batch has three columns. Short
//! inner axes are drawn into the columns, so that no loop is short.
//!
//! A plan is made of shapes and strides alone. Work is cut by it alone too: never by the number of threads.

use crate::axes::{Axis, Position, Roles, ordered};
use crate::error::Error;
use crate::memory;
use std::ops::Range;

/// How an array with `N` operands of equal shape is walked. The first operand decides the order.
#[derive(Debug, Clone)]
pub struct Plan<const N: usize> {
    /// Number of channels.
    pub channels: usize,
    /// Number of elements.
    pub elements: usize,
    /// The reduced axis along which rows run.
    pub rows: Axis<N>,
    /// The axes of a row, outermost first.
    pub cols: Vec<Axis<N>>,
    /// For each column its channel, relative to that of the kept position.
    pub channel_of: Vec<isize>,
    kept: Vec<Axis<N>>,
    reduced: Vec<Axis<N>>,
    /// Columns of a block, where one long kept axis was cut into blocks.
    block: usize,
    width: usize,
    unit_rows: usize,
    start: Position<N>,
}

/// A contiguous piece of the work: some kept positions, and for each of them some units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Kept positions.
    pub kept: Range<usize>,
    /// Units of each.
    pub units: Range<usize>,
}

/// Where a kept position lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<const N: usize> {
    /// Byte offset of each operand.
    pub offset: [isize; N],
    /// Channel of a column whose `channel_of` is zero.
    pub channel: isize,
    /// Number of columns.
    pub width: usize,
}

impl<const N: usize> Default for Place<N> {
    fn default() -> Self {
        Self { offset: [0; N], channel: 0, width: 0 }
    }
}

impl<const N: usize> Place<N> {
    /// The same place in a part of the array that lies `offset` bytes on and has the channels from `channel` on.
    pub fn moved(self, offset: [isize; N], channel: isize) -> Self {
        let offset = std::array::from_fn(|k| self.offset[k] + offset[k]);
        Self { offset, channel: self.channel + channel, ..self }
    }
}

/// Elements of one channel below which a loop over them alone is not worth its start.
const SHORT: usize = 512;
/// Most columns that short axes are drawn into.
const MAX_DRAWN: usize = 16_384;
/// Columns of a block of a long kept axis; accumulators of a block stay in the second-level cache.
const BLOCK: usize = 2048;
/// Pieces that work is cut into: enough to balance any usual number of cores.
const PIECES: usize = 64;
/// Units of a piece at least: less is not worth a start of its own.
const MIN_UNITS: usize = 8;
/// Most kept positions that are taken together.
pub const MAX_INTERLEAVED: usize = 64;
/// Partial results held at once, in channels.
const MAX_PARTIAL: usize = 8_192;

impl<const N: usize> Plan<N> {
    /// Plan a walk over `shape`. `kept[i]` says whether axis `i` keeps its own channels, `strides[k][i]` is its step
    /// in operand `k` in bytes, `sizes[k]` that operand's element size; a unit has about `unit_elements` elements.
    pub fn new(
        shape: &[usize],
        kept: &[bool],
        strides: [&[isize]; N],
        sizes: [usize; N],
        unit_elements: usize,
    ) -> Result<Self, Error> {
        let mut plan = Self::empty(shape, kept);
        let (axes, start) = ordered(shape, Roles { kept, own: None }, strides)?;
        plan.start = start;
        plan.choose_block(&axes, sizes)?;
        plan.unit_rows = plan.rows_for(unit_elements);
        Ok(plan)
    }

    /// Plan a walk in which each index of the first axis, which is not kept, is a row: of all other axes.
    pub fn of_samples(
        shape: &[usize],
        kept: &[bool],
        strides: [&[isize]; N],
        unit_elements: usize,
    ) -> Result<Self, Error> {
        let mut plan = Self::empty(shape, kept);
        let ((samples, shape), kept) = match (shape.split_first(), kept) {
            (Some(first), [false, kept @ ..]) => (first, kept),
            _ => return Ok(plan),
        };
        let steps = strides.map(|strides| strides.first().copied().unwrap_or(0));
        plan.rows = Axis { len: *samples, stride: steps, ..Axis::ONE };
        let (axes, start) =
            ordered(shape, Roles { kept, own: None }, strides.map(|strides| strides.get(1..).unwrap_or_default()))?;
        plan.start = start;
        plan.width = shape.iter().product();
        plan.block = plan.width;
        plan.cols = memory::collect(axes.into_iter().rev())?;
        plan.number_columns()?;
        plan.unit_rows = (unit_elements / plan.width.max(1)).clamp(1, (*samples).max(1));
        Ok(plan)
    }

    /// Of an array of this shape, to be filled in.
    fn empty(shape: &[usize], kept: &[bool]) -> Self {
        Self {
            channels: shape.iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).product(),
            elements: shape.iter().product(),
            rows: Axis::ONE,
            cols: Vec::new(),
            channel_of: Vec::new(),
            kept: Vec::new(),
            reduced: Vec::new(),
            block: 0,
            width: 1,
            unit_rows: 1,
            start: Position::ZERO,
        }
    }

    /// Split the axes into columns, rows and the outer rest.
    fn choose_block(&mut self, axes: &[Axis<N>], sizes: [usize; N]) -> Result<(), Error> {
        let mut drawn = usize::from(axes.first().is_some_and(|axis| axis.kept));
        let mut width = if drawn == 1 { axes[0].len } else { 1 };
        // Draw short axes into the columns while another reduced axis outside is left for the rows.
        while width <= BLOCK && drawn < axes.len() {
            let next = &axes[drawn];
            let enough = if next.kept { width * sizes[0] >= 4096 } else { width * next.len >= SHORT };
            let limit = if next.stride[0] == (width * sizes[0]) as isize { MAX_DRAWN } else { SHORT };
            let rows_left = axes[drawn + 1..].iter().any(|axis| !axis.kept);
            if enough || !rows_left || width * next.len > limit || next.stride[0] == 0 {
                break;
            }
            width *= next.len;
            drawn += 1;
        }
        self.cols = memory::collect(axes[..drawn].iter().rev().copied())?;
        self.width = width;
        self.block = width;
        if drawn == 1 && axes[0].kept && width > BLOCK {
            let blocks = width.div_ceil(BLOCK);
            self.block = width.div_ceil(blocks).next_multiple_of(64);
        }
        let rows = axes[drawn..].iter().position(|axis| !axis.kept).map(|i| i + drawn);
        self.rows = rows.map_or(Axis::ONE, |i| axes[i]);
        for (i, axis) in axes.iter().enumerate().skip(drawn).rev() {
            match (axis.kept, Some(i) == rows) {
                (true, _) => self.kept.push(*axis),
                (false, false) => self.reduced.push(*axis),
                (false, true) => {}
            }
        }
        self.number_columns()
    }

    /// Find the channel of each column of a block.
    fn number_columns(&mut self) -> Result<(), Error> {
        self.channel_of = memory::filled(0, 1)?;
        for axis in &self.cols {
            let len = if self.cols.len() == 1 { self.block.min(axis.len) } else { axis.len };
            let mut finer = memory::with_room(self.channel_of.len() * len)?;
            for base in &self.channel_of {
                finer.extend((0..len as isize).map(|i| base + i * axis.channel));
            }
            self.channel_of = finer;
        }
        Ok(())
    }

    /// Rows whose elements number about `elements`, as a multiple of what a kernel reads at once.
    fn rows_for(&self, elements: usize) -> usize {
        let rows = (elements / self.block.max(1)).max(1);
        let step = crate::rows::widening(self.block, rows);
        (rows / step * step).clamp(1, self.rows.len.max(1))
    }

    /// Columns of a full block.
    pub fn max_width(&self) -> usize {
        self.block.min(self.width)
    }

    /// Number of kept positions.
    pub fn kept_positions(&self) -> usize {
        let outer: usize = self.kept.iter().map(|axis| axis.len).product();
        outer * self.width.div_ceil(self.block.max(1))
    }

    /// Whether the elements of different kept positions alternate in the memory of an operand, as the channels of pixels
    /// do that become planes. All positions are then part of every task, and best taken in turn unit by unit.
    pub fn interleaved(&self) -> bool {
        let between = |k: usize| {
            let inside = |axis: &Axis<N>| axis.stride[k].unsigned_abs() < self.rows.stride[k].unsigned_abs();
            self.kept.iter().all(inside)
        };
        !self.kept.is_empty() && self.kept_positions() <= MAX_INTERLEAVED && (1..N).any(between)
    }

    /// Number of units of a kept position.
    pub fn units(&self) -> usize {
        self.reduced.iter().map(|axis| axis.len).product::<usize>() * self.rows.len.div_ceil(self.unit_rows)
    }

    /// Elements of each column at a kept position.
    pub fn column_len(&self) -> usize {
        self.reduced.iter().map(|axis| axis.len).product::<usize>() * self.rows.len
    }

    /// Rows of a full unit.
    pub fn unit_rows(&self) -> usize {
        self.unit_rows
    }

    /// The work in pieces, in a fixed order.
    pub fn tasks(&self) -> Result<Vec<Task>, Error> {
        let (positions, units) = (self.kept_positions(), self.units());
        if self.elements == 0 {
            return Ok(Vec::new());
        }
        let groups = if self.interleaved() { 1 } else { positions.min(PIECES) };
        let partial = (MAX_PARTIAL / self.max_width().max(1)).max(1);
        let segments = (PIECES / groups).clamp(1, partial).min(units.div_ceil(MIN_UNITS));
        let cut = |total: usize, pieces: usize, i: usize| i * (total / pieces) + i.min(total % pieces);
        let mut tasks = memory::with_room(groups * segments)?;
        for g in 0..groups {
            for s in 0..segments {
                tasks.push(Task {
                    kept: cut(positions, groups, g)..cut(positions, groups, g + 1),
                    units: cut(units, segments, s)..cut(units, segments, s + 1),
                });
            }
        }
        Ok(tasks)
    }

    /// Where kept position `index` lies.
    pub fn place(&self, index: usize) -> Place<N> {
        let blocks = self.width.div_ceil(self.block.max(1));
        let (mut at, mut width) = (self.start, self.max_width());
        let (outer, block) = (index / blocks, index % blocks);
        if blocks > 1 {
            let first = block * self.block;
            width = self.block.min(self.width - first);
            at.step(&self.cols[0], first);
        }
        at.step_to(&self.kept, outer);
        Place { offset: at.offset, channel: at.channel, width }
    }

    /// Byte offsets and number of rows of unit `index` at `place`.
    pub fn unit(&self, place: &Place<N>, index: usize) -> ([isize; N], usize) {
        let per_position = self.rows.len.div_ceil(self.unit_rows);
        let (outer, group) = (index / per_position, index % per_position);
        let first = group * self.unit_rows;
        let mut at = Position { offset: place.offset, channel: place.channel, parameter: 0 };
        at.step(&self.rows, first);
        at.step_to(&self.reduced, outer);
        (at.offset, self.unit_rows.min(self.rows.len - first))
    }

    /// Whether the columns of operand `k` lie side by side.
    pub fn contiguous_cols(&self, k: usize, size: usize) -> bool {
        let mut expected = size as isize;
        self.cols.iter().rev().all(|axis| {
            let matches = axis.stride[k] == expected;
            expected *= axis.len as isize;
            matches
        })
    }

    /// Whether the rows of operand `k`, too, follow each other without a gap.
    pub fn flat(&self, k: usize, size: usize) -> bool {
        let row = (self.width * size) as isize;
        self.block >= self.width && self.contiguous_cols(k, size) && (self.rows.len == 1 || self.rows.stride[k] == row)
    }

    /// Whether every step of operand `k` is a multiple of `align`.
    pub fn aligned(&self, k: usize, align: usize) -> bool {
        let align = align as isize;
        let axes = self.kept.iter().chain(&self.reduced).chain(&self.cols).chain([&self.rows]);
        self.start.offset[k] % align == 0 && axes.into_iter().all(|axis| axis.stride[k] % align == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::law::{axis, expected};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Every (byte offset, channel) pair that the plan visits, with how often it does.
    fn visits(plan: &Plan<1>) -> BTreeMap<(isize, isize), usize> {
        let mut seen = BTreeMap::new();
        for task in plan.tasks().unwrap() {
            for kept in task.kept.clone() {
                let place = plan.place(kept);
                for unit in task.units.clone() {
                    let ([offset], rows) = plan.unit(&place, unit);
                    for r in 0..rows {
                        let row = offset + plan.rows.stride[0] * r as isize;
                        for c in 0..place.width {
                            let mut at = row;
                            let mut rest = c;
                            for (i, axis) in plan.cols.iter().enumerate().rev() {
                                let index = if i == 0 { rest } else { rest % axis.len };
                                at += axis.stride[0] * index as isize;
                                rest /= axis.len;
                            }
                            *seen.entry((at, place.channel + plan.channel_of[c])).or_insert(0) += 1;
                        }
                    }
                }
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn visits_every_element_once(axes in prop::collection::vec(axis(), 0..5), unit in 1usize..3000) {
            let shape: Vec<_> = axes.iter().map(|a| a.0).collect();
            prop_assume!(shape.iter().product::<usize>() < 60_000);
            let kept: Vec<_> = axes.iter().map(|a| a.1).collect();
            let strides: Vec<_> = axes.iter().map(|a| a.2 * 4).collect();
            let plan = Plan::new(&shape, &kept, [&strides], [4], unit).unwrap();
            prop_assert_eq!(visits(&plan), expected(&shape, &kept, &strides));
        }

        #[test]
        fn visits_every_element_of_samples_once(axes in prop::collection::vec(axis(), 1..5), unit in 1usize..3000) {
            let shape: Vec<_> = axes.iter().map(|a| a.0).collect();
            prop_assume!(shape.iter().product::<usize>() < 60_000);
            let kept: Vec<_> = axes.iter().enumerate().map(|(i, a)| i > 0 && a.1).collect();
            let strides: Vec<_> = axes.iter().map(|a| a.2 * 4).collect();
            let plan = Plan::of_samples(&shape, &kept, [&strides], unit).unwrap();
            prop_assert_eq!(visits(&plan), expected(&shape, &kept, &strides));
        }

        #[test]
        fn visits_contiguous_arrays_once(lens in prop::collection::vec((1usize..40, any::<bool>()), 1..5), unit in 1usize..3000) {
            let shape: Vec<_> = lens.iter().map(|a| a.0).collect();
            prop_assume!(shape.iter().product::<usize>() < 60_000);
            let kept: Vec<_> = lens.iter().map(|a| a.1).collect();
            let mut strides = vec![4isize; shape.len()];
            for i in (1..shape.len()).rev() {
                strides[i - 1] = strides[i] * shape[i] as isize;
            }
            let plan = Plan::new(&shape, &kept, [&strides], [4], unit).unwrap();
            prop_assert_eq!(visits(&plan), expected(&shape, &kept, &strides));
        }
    }

    #[test]
    fn a_wide_table_is_cut_into_blocks() {
        let plan = Plan::new(&[3, 5000], &[false, true], [&[40_000, 8]], [8], 1000).unwrap();
        assert_eq!(plan.kept_positions(), 3);
        assert_eq!(visits(&plan), expected(&[3, 5000], &[false, true], &[40_000, 8]));
    }

    #[test]
    fn the_usual_layouts() {
        let table = Plan::new(&[1000, 64], &[false, true], [&[256, 4]], [4], 4096).unwrap();
        assert_eq!((table.max_width(), table.rows.len, table.flat(0, 4)), (64, 1000, true));
        let nchw =
            Plan::new(&[8, 3, 50, 50], &[false, true, false, false], [&[30_000, 10_000, 200, 4]], [4], 4096).unwrap();
        assert_eq!((nchw.max_width(), nchw.rows.len, nchw.kept_positions()), (1, 2500, 3));
        let nhwc = Plan::new(&[8, 50, 50, 3], &[false, false, false, true], [&[7500, 150, 3, 1]], [1], 4096).unwrap();
        assert_eq!((nhwc.max_width(), nhwc.rows.len, nhwc.flat(0, 1)), (3, 20_000, true));
        let reversed = Plan::new(&[100, 3], &[false, true], [&[-3, -1]], [1], 4096).unwrap();
        assert_eq!((reversed.channel_of.clone(), reversed.flat(0, 1)), (vec![0, -1, -2], true));
        let small = Plan::new(&[64, 256, 49], &[false, true, false], [&[50_176, 196, 4]], [4], 4096).unwrap();
        assert_eq!((small.max_width(), small.rows.len), (256 * 49, 64));
    }
}

//! The driver of statistics: [`reduce`] drives an [`Accumulator`] over an array, tiles of each task in order, tasks over
//! the threads, finished cells joined in the order of the tasks.

// Callers' data decide indices here: each one is checked, or says why it cannot be out of range.
#![warn(clippy::indexing_slicing)]

use super::source::{OPERANDS, Source};
use crate::blocks::{Access, access, block};
use crate::element::Element;
use crate::error::Error;
use crate::memory;
use crate::plan::{Place, Plan, Task};
use crate::rows::{Rows, widening};
use crate::view::View;
use std::ops::{AddAssign, Range};

/// Bytes of a tile: it stays in the second-level cache, so that it can be read again, and no sum in it is long.
const TILE_BYTES: usize = 256 << 10;
/// Columns from which on weights that all of them share are handed over as one for each row.
const MANY_COLUMNS: usize = 16;

/// The columns of a block, and the channels they belong to.
#[derive(Debug)]
pub struct Slots {
    /// Columns of a row.
    pub width: usize,
    /// Rows that the kernels read as one.
    pub times: usize,
    /// Number of channels in the block.
    pub count: usize,
    /// Slot of each column, where several columns share one.
    slot_of: Option<Vec<u32>>,
    /// Channel of each slot, relative to the place.
    channels: Vec<isize>,
    /// Channel of the place.
    first: isize,
    /// Whether all elements of these channels are in the task at hand.
    pub whole: bool,
    /// Rows (of the array) of each kept position in the task at hand, but for those of a shorter last unit.
    pub rows: usize,
}

impl Slots {
    fn new<const N: usize>(plan: &Plan<N>, times: usize) -> Result<Self, Error> {
        let width = plan.max_width();
        let mut channels = memory::copied(&plan.channel_of)?;
        channels.sort_unstable();
        channels.dedup();
        let (count, mut slot_of) = (channels.len(), None);
        if count == width {
            channels.copy_from_slice(&plan.channel_of);
        } else {
            let slot = |channel: &isize| channels.partition_point(|c| c < channel) as u32;
            slot_of = Some(memory::collect(plan.channel_of.iter().map(slot))?);
        }
        Ok(Self { width, times, count, slot_of, channels, first: 0, whole: false, rows: 0 })
    }

    /// A copy for a task.
    fn try_clone(&self) -> Result<Self, Error> {
        let slot_of = self.slot_of.as_deref().map(memory::copied).transpose()?;
        Ok(Self { slot_of, channels: memory::copied(&self.channels)?, ..*self })
    }

    /// Go to a kept position. The last block of a row may be narrower.
    fn set_place(&mut self, place: &Place<OPERANDS>) {
        if self.slot_of.is_none() {
            self.count = place.width;
        }
        self.width = place.width;
        self.first = place.channel;
    }

    /// Channel of slot `slot`.
    pub fn channel(&self, slot: usize) -> usize {
        (self.first + self.channels.get(slot).copied().unwrap_or_default()) as usize
    }

    /// Columns as the kernels see them.
    pub fn kernel_width(&self) -> usize {
        self.width * self.times
    }

    /// Columns that share a slot.
    pub fn columns_per_slot(&self) -> usize {
        self.width / self.count.max(1)
    }

    /// Slot of column `column`.
    pub fn slot_of(&self, column: usize) -> usize {
        match &self.slot_of {
            Some(slots) => slots.get(column).map_or(0, |slot| *slot as usize),
            None => column,
        }
    }

    /// Add up the lanes of each slot; the sums are the first [`Self::count`] values.
    pub fn fold<V: Copy + AddAssign + Default>(&self, lanes: &mut Vec<V>) -> Result<(), Error> {
        self.fold_with(lanes, |a, b| *a += b)
    }

    /// Join the lanes of each slot, neighbours of equal weight first.
    pub fn fold_with<V: Copy>(&self, lanes: &mut Vec<V>, join: impl Fn(&mut V, V)) -> Result<(), Error> {
        let mut width = self.kernel_width();
        while width > self.width {
            width /= 2;
            let (kept, folded) = lanes.split_at_mut(width);
            kept.iter_mut().zip(folded.iter()).for_each(|(a, b)| join(a, *b));
            lanes.truncate(width);
        }
        if let Some(slots) = &self.slot_of {
            let mut folded: Vec<Option<V>> = memory::filled(None, self.count)?;
            for (lane, slot) in lanes.iter().zip(slots) {
                match folded.get_mut(*slot as usize) {
                    Some(Some(value)) => join(value, *lane),
                    Some(empty) => *empty = Some(*lane),
                    None => {}
                }
            }
            // There are at least as many lanes as slots.
            lanes.clear();
            lanes.extend(folded.into_iter().flatten());
        }
        Ok(())
    }
}

/// Accumulates one kept position at a time.
pub trait Accumulator<T: Element> {
    /// The finished statistic of one channel.
    type Cell: Send;
    /// Begin a kept position.
    fn start(&mut self, slots: &Slots) -> Result<(), Error>;
    /// Take in a tile.
    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error>;
    /// Append the cell of each slot. There is room for them.
    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Self::Cell>) -> Result<(), Error>;
}

/// Some units of a kept position, which can be read as often as needed.
pub struct Tile<'a, 'm, T> {
    array: &'a Array<'m>,
    blocks: &'a mut dyn Blocks<T>,
    weights: &'a mut Vec<f64>,
    place: Place<OPERANDS>,
    units: Range<usize>,
    times: usize,
}

struct Array<'m> {
    plan: Plan<OPERANDS>,
    weights: Option<View<'m, f64>>,
    /// Whether there is one weight for each row.
    by_row: bool,
}

/// A source with memory for its blocks.
trait Blocks<T> {
    /// See [`Source::block`].
    ///
    /// # Safety
    /// As for that.
    unsafe fn block(
        &mut self,
        plan: &Plan<OPERANDS>,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
    ) -> Result<Rows<'_, T>, Error>;
}

struct Reader<S: Source> {
    source: S,
    access: Access,
    scratch: S::Scratch,
}

impl<S: Source> Blocks<S::Element> for Reader<S> {
    unsafe fn block(
        &mut self,
        plan: &Plan<OPERANDS>,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
    ) -> Result<Rows<'_, S::Element>, Error> {
        // SAFETY: the caller's promise; `reduce` took `access` from this source.
        unsafe { self.source.block(plan, self.access, offset, rows, width, times, &mut self.scratch) }
    }
}

impl<T: Element> Tile<'_, '_, T> {
    /// Number of rows of the array (not as widened for the kernels).
    pub fn rows(&self) -> usize {
        self.units.clone().map(|unit| self.array.plan.unit(&self.place, unit).1).sum()
    }

    /// Visit the blocks of the tile, in order, with their weights if there are any: one for each element, or one for each row.
    pub fn each(
        &mut self,
        mut visit: impl FnMut(Rows<'_, T>, Option<Rows<'_, f64>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Array { plan, weights, by_row } = self.array;
        let width = self.place.width;
        let weights_width = if *by_row { 1 } else { width };
        let access_of = |weights: &View<'_, f64>| match access::<f64, OPERANDS>(plan, 1, weights.start()) {
            Access::Strided if self.times > 1 => Access::Gather,
            access => access,
        };
        for unit in self.units.clone() {
            let (offset, rows) = plan.unit(&self.place, unit);
            // SAFETY: the plan visits elements of the source only.
            let elements = unsafe { self.blocks.block(plan, offset, rows, width, self.times) }?;
            let weights = weights.as_ref().map(|weights| {
                let (access, at) = (access_of(weights), weights.at(offset[1]));
                // SAFETY: as above; the view promises that they can be read.
                unsafe { block(plan, 1, access, at, rows, weights_width, self.times, self.weights) }
            });
            visit(elements, weights.transpose()?)?;
        }
        Ok(())
    }
}

/// A source whose kind only it knows.
trait AnySource<T>: Sync {
    /// See [`Source::SIZE`].
    fn size(&self) -> usize;
    /// See [`Source::shape`].
    fn shape(&self) -> &[usize];
    /// See [`Source::plan`].
    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error>;
    /// See [`Source::access`].
    fn access(&self, plan: &Plan<OPERANDS>) -> Access;
    /// The source with memory for its blocks.
    fn reader(&self, access: Access) -> Box<dyn Blocks<T> + '_>;
}

impl<S: Source> AnySource<S::Element> for S {
    fn size(&self) -> usize {
        S::SIZE
    }

    fn shape(&self) -> &[usize] {
        Source::shape(self)
    }

    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        Source::plan(self, kept, weights, unit_elements)
    }

    fn access(&self, plan: &Plan<OPERANDS>) -> Access {
        Source::access(self, plan)
    }

    fn reader(&self, access: Access) -> Box<dyn Blocks<S::Element> + '_> {
        Box::new(Reader { source: *self, access, scratch: S::Scratch::default() })
    }
}

/// Accumulate every channel of `source`. `cell` receives each channel's cells in a fixed order. `weights`, broadcast to the
/// shape of the source by its strides, goes along with the elements.
pub fn reduce<S: Source, A: Accumulator<S::Element>>(
    source: S,
    weights: Option<View<'_, f64>>,
    kept: &[bool],
    threads: usize,
    accumulator: impl Fn() -> A + Sync,
    mut cell: impl FnMut(usize, A::Cell) -> Result<(), Error>,
) -> Result<(), Error> {
    reduce_any(&source, weights, kept, threads, &accumulator, &mut cell)
}

/// What [`reduce`] is compiled to: once for each accumulator and type of elements, whatever source they come from.
fn reduce_any<T: Element, A: Accumulator<T>>(
    source: &dyn AnySource<T>,
    weights: Option<View<'_, f64>>,
    kept: &[bool],
    threads: usize,
    accumulator: &(dyn Fn() -> A + Sync),
    cell: &mut dyn FnMut(usize, A::Cell) -> Result<(), Error>,
) -> Result<(), Error> {
    if let Some(weights) = &weights {
        assert_eq!(weights.shape(), source.shape(), "one weight for each element");
    }
    let tile_elements = TILE_BYTES / source.size();
    let plan = source.plan(kept, weights, tile_elements)?;
    let access = source.access(&plan);
    let by_row = weights.is_some()
        && plan.max_width() >= MANY_COLUMNS
        && plan.cols.iter().all(|axis| axis.stride.get(1) == Some(&0));
    let times = if access == Access::Strided || by_row { 1 } else { widening(plan.max_width(), plan.unit_rows()) };
    let slots = Slots::new(&plan, times)?;
    let unit_elements = plan.unit_rows() * plan.max_width();
    let grouped = (tile_elements / unit_elements.max(1)).max(1);
    let array = Array { plan, weights, by_row };
    let tasks = array.plan.tasks()?;
    let run = |(accumulator, reader, weights): &mut (A, Box<dyn Blocks<T> + '_>, Vec<f64>), task: &Task| {
        run_task(&array, task, &slots, grouped, accumulator, &mut **reader, weights)
    };
    let worker = || (accumulator(), source.reader(access), Vec::new());
    let results = super::each(&tasks, threads, worker, run)?;
    for (task, cells) in tasks.iter().zip(results) {
        let mut cells = cells.into_iter();
        for position in task.kept.clone() {
            let place = array.plan.place(position);
            let count = if slots.slot_of.is_none() { place.width } else { slots.count };
            for (channel, value) in slots.channels.iter().take(count).zip(cells.by_ref()) {
                cell((place.channel + channel) as usize, value)?;
            }
        }
    }
    Ok(())
}

fn run_task<T: Element, A: Accumulator<T>>(
    array: &Array<'_>,
    task: &Task,
    slots: &Slots,
    grouped: usize,
    accumulator: &mut A,
    blocks: &mut dyn Blocks<T>,
    weights: &mut Vec<f64>,
) -> Result<Vec<A::Cell>, Error> {
    let mut slots = slots.try_clone()?;
    slots.rows = task.units.len() * array.plan.unit_rows();
    slots.whole = task.units.len() == array.plan.units();
    let mut cells = memory::with_room(task.kept.len() * slots.count)?;
    for position in task.kept.clone() {
        let place = array.plan.place(position);
        slots.set_place(&place);
        accumulator.start(&slots)?;
        let units = task.units.start..task.units.start;
        let mut tile = Tile { array, place, units, times: slots.times, blocks: &mut *blocks, weights: &mut *weights };
        for start in task.units.clone().step_by(grouped) {
            tile.units = start..task.units.end.min(start + grouped);
            accumulator.tile(&slots, &mut tile)?;
        }
        accumulator.finish(&slots, &mut cells)?;
    }
    Ok(cells)
}

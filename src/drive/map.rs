//! The driver of maps: every map of the elements of an array, whatever its kernel and its dtypes, is [`map_elements`].
//!
//! It is compiled once. What knows the dtypes, a map and its memory, stands behind [`BlockMap`]; the walk over the plan, over
//! the threads, gathering and scattering know only how many bytes an element has.

use super::grouped;
use crate::blocks::{Access, Scratch, access_of_size, block_of_size, of_size, scatter};
use crate::element::{Element, Output};
use crate::error::Error;
use crate::kernels::gather::planes;
use crate::kernels::{Seen, copy};
use crate::memory;
use crate::parallel;
use crate::plan::{MAX_INTERLEAVED, Place, Plan, Task};
use crate::rows::{Rows, RowsMut, widening};
use crate::view::{View, ViewMut};
use std::marker::PhantomData;

/// Bytes of output that a kernel writes at a time: with its input they stay in the first-level cache.
pub(super) const TILE_BYTES: usize = 16 << 10;

/// What is known of the memory that a map writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Never touched: its pages come zeroed through the cache, where plain stores find them.
    Fresh,
    /// Used before: past the cache it is written without being read first.
    Warm,
    /// The input itself.
    Input,
}

/// A map of elements of type `T` to type `U`, with parameters for each channel.
pub trait ElementMap<T: Element, U: Output>: Sync {
    /// What its kernel needs for each column of a block.
    type Columns: Default;
    /// Whether several rows may be taken as one, so that the kernel's lanes are filled.
    const WIDENS: bool = true;

    /// Fill `columns` for the channels `first + c` for each `c` of `channels`, `times` times in turn.
    fn prepare(&self, first: isize, channels: &[isize], times: usize, columns: &mut Self::Columns)
    -> Result<(), Error>;

    /// Map a block; what was met. Of what lies at `next` (for nothing: ahead of the rows) as much is asked for; with
    /// `stream`, `out` is written past the cache.
    fn run(
        &self,
        columns: &mut Self::Columns,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        next: Option<*const T>,
        stream: bool,
    ) -> Result<Seen, Error>;

    /// The least and the largest result; nothing for no limits.
    fn clip(&self) -> Option<[f64; 2]> {
        None
    }
}

/// Map `x` into `out`, which has the same shape; what was met in `x`.
pub fn map_elements<T: Element, U: Output>(
    map: &impl ElementMap<T, U>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    target: Target,
    threads: usize,
) -> Result<Seen, Error> {
    let map = Typed { map, types: PhantomData };
    map_blocks(&map, x.untyped(), out.untyped(), kept, target, threads)
}

/// As [`map_elements`], with the parameters of the group of each sample: each index of the first axis, which is not kept.
pub fn map_groups<T: Element, U: Output>(
    map: &impl ElementMap<T, U>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    codes: &[u32],
    target: Target,
    threads: usize,
) -> Result<Seen, Error> {
    let map = Typed { map, types: PhantomData };
    grouped::map_samples(&map, x.untyped(), out.untyped(), kept, codes, target, threads)
}

/// A map whose dtypes only it knows.
pub(super) trait BlockMap: Sync {
    /// Bytes of an element of the result and of the input, which is their alignment, too.
    fn sizes(&self) -> [usize; 2];
    /// See [`ElementMap::WIDENS`].
    fn widens(&self) -> bool;
    /// Whether results are limited, for which they must lie side by side.
    fn clips(&self) -> bool;
    /// The memory of one thread.
    fn worker(&self) -> Box<dyn BlockWorker + '_>;
}

/// A map with the parameters of some kept positions.
pub(super) trait BlockWorker {
    /// Make room for those of `count` positions.
    fn resize(&mut self, count: usize) -> Result<(), Error>;
    /// Prepare those of number `position`: see [`ElementMap::prepare`].
    fn prepare(&mut self, position: usize, first: isize, channels: &[isize], times: usize) -> Result<(), Error>;
    /// Map a block: see [`ElementMap::run`].
    ///
    /// # Safety
    /// The elements of `rows`, and of `out`, are of the map's types.
    unsafe fn run(
        &mut self,
        position: usize,
        rows: Rows<'_, ()>,
        out: RowsMut<'_, ()>,
        next: Option<*const u8>,
        stream: bool,
    ) -> Result<Seen, Error>;
    /// Limit results, which are still in the first-level cache.
    ///
    /// # Safety
    /// `results` are `len` elements of the map's type, aligned.
    unsafe fn clip(&self, results: *mut u8, len: usize);
}

struct Typed<'m, M, T, U> {
    map: &'m M,
    types: PhantomData<fn(T) -> U>,
}

impl<M: ElementMap<T, U>, T: Element, U: Output> BlockMap for Typed<'_, M, T, U> {
    fn sizes(&self) -> [usize; 2] {
        const { assert!(size_of::<T>() == align_of::<T>() && size_of::<U>() == align_of::<U>()) };
        [size_of::<U>(), size_of::<T>()]
    }

    fn widens(&self) -> bool {
        M::WIDENS
    }

    fn clips(&self) -> bool {
        self.map.clip().is_some()
    }

    fn worker(&self) -> Box<dyn BlockWorker + '_> {
        Box::new(TypedWorker::<M, T, U> { map: self.map, columns: Vec::new() })
    }
}

struct TypedWorker<'m, M: ElementMap<T, U>, T: Element, U: Output> {
    map: &'m M,
    columns: Vec<M::Columns>,
}

impl<M: ElementMap<T, U>, T: Element, U: Output> BlockWorker for TypedWorker<'_, M, T, U> {
    fn resize(&mut self, count: usize) -> Result<(), Error> {
        memory::resize_with(&mut self.columns, count, M::Columns::default)
    }

    fn prepare(&mut self, position: usize, first: isize, channels: &[isize], times: usize) -> Result<(), Error> {
        self.map.prepare(first, channels, times, &mut self.columns[position])
    }

    unsafe fn run(
        &mut self,
        position: usize,
        rows: Rows<'_, ()>,
        out: RowsMut<'_, ()>,
        next: Option<*const u8>,
        stream: bool,
    ) -> Result<Seen, Error> {
        // SAFETY: the caller's promise.
        let (rows, out) = unsafe { (rows.cast::<T>(), out.cast::<U>()) };
        self.map.run(&mut self.columns[position], rows, out, next.map(<*const u8>::cast), stream)
    }

    unsafe fn clip(&self, results: *mut u8, len: usize) {
        let Some(limits) = self.map.clip() else { return };
        let [low, high] = limits.map(U::from_f64);
        // SAFETY: the caller's promise.
        for y in unsafe { std::slice::from_raw_parts_mut(results.cast::<U>(), len) } {
            // Not-a-number stays.
            let key = y.key();
            *y = if key < low.key() { low } else { *y };
            *y = if key > high.key() { high } else { *y };
        }
    }
}

pub(super) struct Walk<'m> {
    pub(super) plan: Plan<2>,
    pub(super) map: &'m dyn BlockMap,
    pub(super) x: View<'m, ()>,
    pub(super) out: ViewMut<'m, ()>,
    pub(super) x_access: Access,
    pub(super) out_access: Access,
    /// Whether the output goes past the cache.
    stream: bool,
    times: usize,
}

/// What a thread keeps between tasks.
pub(super) struct Worker<'m> {
    pub(super) map: Box<dyn BlockWorker + 'm>,
    /// The kept positions that are taken together.
    positions: Vec<Kept>,
    pub(super) elements: Scratch,
    pub(super) results: Scratch,
    /// The group whose parameters each prepared position has, where parameters go with groups.
    pub(super) slots: Vec<Option<u32>>,
}

/// A kept position.
#[derive(Default)]
struct Kept {
    place: Place<2>,
    /// Which element of a pixel, where they are taken from pixels.
    plane: usize,
}

/// How a map of `x` into `out` walks them.
pub fn plan<T: Element, U: Output>(x: View<'_, T>, out: &ViewMut<'_, U>, kept: &[bool]) -> Result<Plan<2>, Error> {
    let strides = [out.strides(), x.strides()];
    Plan::new(x.shape(), kept, strides, [size_of::<U>(), size_of::<T>()], TILE_BYTES / size_of::<U>())
}

fn map_blocks(
    map: &dyn BlockMap,
    x: View<'_, ()>,
    out: ViewMut<'_, ()>,
    kept: &[bool],
    target: Target,
    threads: usize,
) -> Result<Seen, Error> {
    assert_eq!(x.shape(), out.shape(), "one result for each element");
    let sizes = map.sizes();
    let plan = Plan::new(x.shape(), kept, [out.strides(), x.strides()], sizes, TILE_BYTES / sizes[0])?;
    let walk = Walk::new(plan, map, x, out, target, true);
    let tasks = walk.plan.tasks()?;
    run_tasks(tasks.len(), threads, map, |worker, task| walk.run_task(&tasks[task], [0; 2], 0, worker))
}

/// Do each of `count` tasks, on as many threads; what was met.
pub(super) fn run_tasks<'m>(
    count: usize,
    threads: usize,
    map: &'m dyn BlockMap,
    work: impl Fn(&mut Worker<'m>, usize) -> Result<Seen, Error> + Sync,
) -> Result<Seen, Error> {
    let worker = || Worker {
        map: map.worker(),
        positions: Vec::new(),
        elements: Scratch::default(),
        results: Scratch::default(),
        slots: Vec::new(),
    };
    let mut seen = Seen::default();
    parallel::map(count, threads, worker, work)?.into_iter().for_each(|met| seen |= met);
    Ok(seen)
}

impl<'m> Walk<'m> {
    /// A walk of `x` and `out` as `plan` says; `whole` where all of them is one walk.
    pub(super) fn new(
        plan: Plan<2>,
        map: &'m dyn BlockMap,
        x: View<'m, ()>,
        out: ViewMut<'m, ()>,
        target: Target,
        widens: bool,
    ) -> Self {
        let sizes = map.sizes();
        let elements: usize = x.shape().iter().product();
        let out_access = access_of_size(&plan, 0, out.start(), sizes[0]);
        // Elements that are overwritten are read into a tile of their own first.
        let x_access =
            if target == Target::Input { Access::Gather } else { access_of_size(&plan, 1, x.start(), sizes[1]) };
        let strided = out_access == Access::Strided || x_access == Access::Strided;
        let times = if strided || !widens || !map.widens() { 1 } else { widening(plan.max_width(), plan.unit_rows()) };
        // Several planes written in turn past the cache get in each other's way.
        let stream = target == Target::Warm && !plan.interleaved() && copy::exceeds_cache(elements * sizes[0]);
        Self { plan, map, x, out, x_access, out_access, stream, times }
    }
}

impl Walk<'_> {
    /// Do `task` of the part of the array that lies `offset` bytes on and has the channels from `channel` on.
    pub(super) fn run_task(
        &self,
        task: &Task,
        offset: [isize; 2],
        channel: isize,
        worker: &mut Worker<'_>,
    ) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        let together = if self.plan.interleaved() { task.kept.len() } else { 1 };
        memory::resize_with(&mut worker.positions, together, Kept::default)?;
        worker.map.resize(together)?;
        for first in task.kept.clone().step_by(together) {
            for (number, position) in worker.positions.iter_mut().enumerate() {
                let place = self.plan.place(first + number).moved(offset, channel);
                worker.map.prepare(number, place.channel, &self.plan.channel_of[..place.width], self.times)?;
                position.place = place;
            }
            let pixels = self.pixels(&mut worker.positions);
            for unit in task.units.clone() {
                let planes = match &pixels {
                    Some(pixels) => self.take_apart(unit, pixels, together, &mut worker.elements)?,
                    None => None,
                };
                for number in 0..together {
                    seen |= self.run_block(unit, number, planes, worker)?;
                }
            }
        }
        self.finish();
        Ok(seen)
    }

    /// Where the first elements of pixels lie, if the kept `positions` are the elements of pixels that follow each other
    /// along a line: each then knows its place within them.
    fn pixels(&self, positions: &mut [Kept]) -> Option<Place<2>> {
        let size = self.map.sizes()[1] as isize;
        let line = if self.plan.cols.is_empty() { self.plan.rows } else { *self.plan.cols.first()? };
        if positions.len() < 2 || self.plan.cols.len() > 1 || line.stride[1].abs() != size * positions.len() as isize {
            return None;
        }
        let first = positions.iter().map(|position| position.place).min_by_key(|place| place.offset[1])?;
        // A kept position for each element of a pixel, of which the plan takes few together.
        let (mut seen, count) = ([false; MAX_INTERLEAVED], positions.len());
        for Kept { place, plane } in positions {
            let distance = place.offset[1] - first.offset[1];
            *plane = (distance / size) as usize;
            let other = seen.get_mut(*plane).filter(|_| distance % size == 0 && *plane < count)?;
            if std::mem::replace(other, true) {
                return None;
            }
        }
        Some(first)
    }

    /// Copy the pixels of a unit, of `count` elements each, to as many planes of `elements`, where this can be done at once;
    /// where they then are.
    fn take_apart(
        &self,
        unit: usize,
        first: &Place<2>,
        count: usize,
        elements: &mut Scratch,
    ) -> Result<Option<*mut u8>, Error> {
        let (Self { plan, x, .. }, size) = (self, self.map.sizes()[1]);
        let ([_, offset], rows) = plan.unit(first, unit);
        let (lines, line) = plan.cols.first().map_or((1, plan.rows), |cols| (rows, *cols));
        let len = if plan.cols.is_empty() { rows } else { line.len };
        let plane = lines * len;
        let target = elements.reserve(plane * count, size)?;
        let backwards = line.stride[1] < 0;
        let lowest = if backwards { line.stride[1] * (len as isize - 1) } else { 0 };
        let done = (0..lines).all(|index| {
            let from = x.at(offset + index as isize * plan.rows.stride[1] + lowest);
            of_size!(size, S => {
                let to = target.cast::<S>().wrapping_add(index * len);
                // SAFETY: the plan visits elements of the view only, which promises that they can be read; there is room
                // for `count` planes.
                unsafe { planes(from.cast::<S>(), count, len, to, plane, backwards) }
            })
        });
        Ok(done.then_some(target))
    }

    fn run_block(
        &self,
        unit: usize,
        number: usize,
        planes: Option<*mut u8>,
        worker: &mut Worker<'_>,
    ) -> Result<Seen, Error> {
        let Self { plan, x, out, times, .. } = self;
        let Worker { map, positions, elements, results, .. } = worker;
        let Kept { place, plane } = &positions[number];
        let [out_size, x_size] = self.map.sizes();
        let width = place.width;
        let (offset, rows) = plan.unit(place, unit);
        let (len, kernel_width) = (rows * width, width * times);
        let (to, from) = (out.at(offset[0]), x.at(offset[1]));
        let (elements, next) = if let Some(planes) = planes {
            let first = plane * len * x_size;
            // Each plane asks for its share of the unit after this one.
            let next = from.wrapping_offset(rows as isize * plan.rows.stride[1]).wrapping_add(first);
            let plane = planes.wrapping_add(first).cast_const();
            // SAFETY: `take_apart` has written all planes, of `len` elements each.
            (unsafe { Rows::contiguous(plane.cast(), len, kernel_width) }, Some(next))
        } else {
            let access = self.x_access;
            // SAFETY: the plan visits elements of the view only, which promises that they can be read.
            (unsafe { block_of_size(plan, 1, access, from, rows, width, *times, x_size, elements) }?, None)
        };
        if self.out_access != Access::Gather && !self.map.clips() {
            // SAFETY: this block is this task's alone.
            let (target, stream) = unsafe { self.target_rows(to, rows, width, kernel_width) };
            // SAFETY: the elements are those of the views, which are of the map's types.
            return unsafe { map.run(number, elements, target, next, stream) };
        }
        let results = results.reserve(len, out_size)?;
        // SAFETY: scratch memory, aligned for every type, of which every bit pattern is a value; elements as above.
        let seen = unsafe {
            let out = RowsMut::contiguous(results.cast(), len, kernel_width);
            let seen = map.run(number, elements, out, next, false)?;
            map.clip(results, len);
            seen
        };
        // SAFETY: as many results were just written; this block is this task's alone.
        unsafe { self.scatter(to, width, results, len) };
        Ok(seen)
    }
    /// The block of the output at `to`, where it is written in place, and whether that goes past the cache.
    ///
    /// # Safety
    /// The plan has this block, of elements of the output only, and nobody else writes it.
    pub(super) unsafe fn target_rows(
        &self,
        to: *mut u8,
        rows: usize,
        width: usize,
        kernel_width: usize,
    ) -> (RowsMut<'_, ()>, bool) {
        let size = self.map.sizes()[0];
        let flat = self.out_access == Access::Flat;
        let stream = self.stream
            && flat
            && (to as usize).is_multiple_of(copy::STREAM_ALIGN)
            && (kernel_width * size).is_multiple_of(copy::STREAM_ALIGN);
        // SAFETY: the caller's promise; `access` saw that the block is contiguous and aligned, or that its rows are.
        let target = unsafe {
            if flat {
                RowsMut::contiguous(to.cast(), rows * width, kernel_width)
            } else {
                RowsMut::new(to.cast(), rows, self.plan.rows.stride[0] as usize / size, width, 0)
            }
        };
        (target, stream)
    }

    /// Write the `len` results at `results` to the block of the output at `to`.
    ///
    /// # Safety
    /// As for [`Self::target_rows`], and the results are aligned and were written.
    pub(super) unsafe fn scatter(&self, to: *mut u8, width: usize, results: *mut u8, len: usize) {
        of_size!(self.map.sizes()[0], S => {
            // SAFETY: the caller's promise.
            unsafe { scatter(&self.plan, 0, to, width, std::slice::from_raw_parts(results.cast::<S>(), len)) }
        });
    }

    /// See that everything written past the cache is there.
    pub(super) fn finish(&self) {
        if self.stream {
            copy::fence();
        }
    }
}

//! Maps whose parameters go with the group of a sample: an index of the first axis.
//!
//! Nothing is sorted. A sample of many elements is walked as an array of its own. Samples of few elements are rows of a
//! block, where neighbours of one group are mapped at once; a thread keeps the prepared parameters of as many groups as its
//! cache holds.

use super::map::{BlockMap, TILE_BYTES, Target, Walk, Worker, run_tasks};
use crate::blocks::{Access, block_of_size};
use crate::error::Error;
use crate::kernels::Seen;
use crate::memory;
use crate::plan::{Plan, Task};
use crate::rows::RowsMut;
use crate::view::{View, ViewMut};

/// Most elements of a sample that is a row of a block.
const MAX_ROW: usize = 4096;
/// Elements whose prepared parameters a thread keeps.
const KEPT: usize = 1 << 14;
/// Pieces that samples are cut into.
const PIECES: usize = 64;

/// Map each sample of `x` into `out` with the parameters of its group: those of channel `c` of the group `g` are number
/// `g * channels + c`.
pub(super) fn map_samples(
    map: &dyn BlockMap,
    x: View<'_, ()>,
    out: ViewMut<'_, ()>,
    kept: &[bool],
    codes: &[u32],
    target: Target,
    threads: usize,
) -> Result<Seen, Error> {
    assert_eq!(x.shape(), out.shape(), "one result for each element");
    assert_eq!(x.shape().first(), Some(&codes.len()), "one code for each sample");
    let (sizes, strides) = (map.sizes(), [out.strides(), x.strides()]);
    let (shape, kept_of_sample) = (&x.shape()[1..], &kept[1..]);
    let len: usize = shape.iter().product();
    if len == 0 || codes.is_empty() {
        return Ok(Seen::default());
    }
    let tile = TILE_BYTES / sizes[0];
    if len <= MAX_ROW {
        let plan = Plan::of_samples(x.shape(), kept, strides, tile)?;
        let slots = KEPT.div_ceil(len).min(codes.iter().max().map_or(1, |code| *code as usize + 1));
        let walk = Walk::new(plan, map, x, out, target, false);
        let tasks = walk.plan.tasks()?;
        return run_tasks(tasks.len(), threads, map, |worker, task| walk.run_rows(&tasks[task], codes, slots, worker));
    }
    let steps = strides.map(|strides| strides[0]);
    let plan = Plan::new(shape, kept_of_sample, strides.map(|strides| &strides[1..]), sizes, tile)?;
    let mut walk = Walk::new(plan, map, x, out, target, true);
    walk.check_steps(steps);
    let tasks = walk.plan.tasks()?;
    let (total, channels) = (codes.len() * tasks.len(), walk.plan.channels as isize);
    let pieces = total.min(PIECES.max(tasks.len()));
    run_tasks(pieces, threads, map, |worker, piece| {
        let mut seen = Seen::default();
        for index in piece * total / pieces..(piece + 1) * total / pieces {
            let (sample, task) = (index / tasks.len(), &tasks[index % tasks.len()]);
            let offset = steps.map(|step| step * sample as isize);
            seen |= walk.run_task(task, offset, codes[sample] as isize * channels, worker)?;
        }
        Ok(seen)
    })
}

impl Walk<'_> {
    /// Gather where the elements of some samples, which are `steps` bytes apart, are not aligned.
    fn check_steps(&mut self, steps: [isize; 2]) {
        let sizes = self.map.sizes();
        let aligned = |k: usize| steps[k].unsigned_abs().is_multiple_of(sizes[k]);
        self.out_access = if aligned(0) { self.out_access } else { Access::Gather };
        self.x_access = if aligned(1) { self.x_access } else { Access::Gather };
    }

    /// Do `task` of a plan whose rows are samples, with the parameters of `slots` groups kept.
    fn run_rows(&self, task: &Task, codes: &[u32], slots: usize, worker: &mut Worker<'_>) -> Result<Seen, Error> {
        let (plan, [out_size, x_size]) = (&self.plan, self.map.sizes());
        let Worker { map, elements, results, slots: groups, .. } = worker;
        map.resize(slots)?;
        memory::resize(groups, None, slots)?;
        let (place, width, mut seen) = (plan.place(0), plan.max_width(), Seen::default());
        let direct = self.out_access != Access::Gather && !self.map.clips();
        for unit in task.units.clone() {
            let (offset, rows) = plan.unit(&place, unit);
            let (to, from) = (self.out.at(offset[0]), self.x.at(offset[1]));
            // SAFETY: the plan visits elements of the view only, which promises that they can be read.
            let block = unsafe { block_of_size(plan, 1, self.x_access, from, rows, width, 1, x_size, elements) }?;
            let scratch = if direct { std::ptr::null_mut() } else { results.reserve(rows * width, out_size)? };
            // SAFETY: the plan visits each element of the output once, so this block is this task's alone; scratch memory
            // is aligned for every type, of which every bit pattern is a value.
            let (mut target, stream) = unsafe {
                if direct {
                    self.target_rows(to, rows, width, width)
                } else {
                    (RowsMut::contiguous(scratch.cast(), rows * width, width), false)
                }
            };
            let (first, mut row) = (unit * plan.unit_rows(), 0);
            for run in codes[first..first + rows].chunk_by(|a, b| a == b) {
                let (code, count) = (run[0], run.len());
                let slot = code as usize % slots;
                if groups[slot] != Some(code) {
                    groups[slot] = None;
                    let channel = place.channel + code as isize * plan.channels as isize;
                    map.prepare(slot, channel, &plan.channel_of, 1)?;
                    groups[slot] = Some(code);
                }
                let (x, out) = (block.part(row, count, x_size), target.part(row, count, out_size));
                // SAFETY: the elements are those of the views, which are of the map's types.
                seen |= unsafe { map.run(slot, x, out, None, stream) }?;
                row += count;
            }
            if !direct {
                // SAFETY: as many results were just written; this block is this task's alone.
                unsafe {
                    map.clip(scratch, rows * width);
                    self.scatter(to, width, scratch, rows * width);
                }
            }
        }
        self.finish();
        Ok(seen)
    }
}

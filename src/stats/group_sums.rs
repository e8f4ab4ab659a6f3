//! Exact moments of few groups of the rows of a table, in one pass over it in the order of memory.
//!
//! Every group has columns of its own. The rows of a tile are sorted by their groups, while they stay in the second-level cache,
//! and those of a group are added together.

use super::cell::Cell;
use crate::drive::each;
use crate::drive::source::Maskable;
use crate::element::Wide;
use crate::error::Error;
use crate::exact::columns::{ExactColumns, Sums};
use crate::groups::Lines;
use crate::kernels::exact_sums::{LANES, ROWS as TOGETHER, Summand};
use crate::memory;
use crate::rows::Rows;
use crate::view::View;
use std::ops::Range;

/// Channels of all groups at most: their sums stay in the second-level cache.
const MOST_CHANNELS: usize = 16_384;
/// Fewer rows of a group are not worth sums that all tasks have.
const LEAST_ROWS: usize = 256;
/// Rows of a piece of the work, and the most pieces: each has sums of all groups, which are joined in the end.
const ROWS: usize = 1 << 17;
const TASKS: usize = 64;
/// Bytes of the rows that are sorted at a time: they stay near, and a group has enough of them that its sums are rarely put away.
const TILE_BYTES: usize = 2 << 20;

/// The rows of a table whose elements, one of each channel, lie side by side.
#[derive(Clone, Copy)]
struct Table<'a, T> {
    x: View<'a, T>,
    codes: &'a [u32],
    groups: usize,
    width: usize,
}

/// Sums of all groups, and the rows of a tile, group by group.
struct Worker<F: Summand> {
    columns: ExactColumns<F>,
    ends: Vec<usize>,
    sorted: Vec<F>,
}

/// The moments of `groups` of the rows of `x`; nothing, where `x` is no table with contiguous rows, or another way is better.
/// All of `codes`, one for each row, are below `groups`.
pub fn moments<T: Maskable>(
    x: View<'_, T>,
    kept: &[bool],
    codes: &[u32],
    groups: usize,
    threads: usize,
) -> Result<Option<Vec<Cell>>, Error> {
    let (Some((rows, lens)), Some((false, kept)), Some((step, strides))) =
        (x.shape().split_first(), kept.split_first(), x.strides().split_first())
    else {
        return Ok(None);
    };
    let size = size_of::<T>();
    let mut width = 1usize;
    for ((len, kept), stride) in lens.iter().zip(kept).zip(strides).rev() {
        if !kept || *stride != (width * size) as isize {
            return Ok(None);
        }
        width *= len;
    }
    let aligned = (x.start() as usize).is_multiple_of(align_of::<T>());
    let ahead = *step >= (width * size) as isize && step % size as isize == 0;
    let most = |a: usize, b: usize, limit: usize| a.checked_mul(b).is_some_and(|product| product <= limit);
    let fitting = most(groups, width, MOST_CHANNELS) && most(groups, LEAST_ROWS, codes.len());
    if *rows != codes.len() || width == 0 || !aligned || !ahead || !fitting {
        return Ok(None);
    }
    let table = Table { x, codes, groups, width };
    let tasks = Lines::<1>::pieces(codes.len(), (codes.len() / ROWS).clamp(1, TASKS))?;
    let worker = || Worker { columns: ExactColumns::default(), ends: Vec::new(), sorted: Vec::new() };
    let parts = each(&tasks, threads, worker, |worker, range| table.sum(range.clone(), worker))?;
    let mut counts = memory::filled(0, groups)?;
    for code in codes {
        if let Some(count) = counts.get_mut(*code as usize) {
            *count += 1;
        }
    }
    let mut cells = memory::with_room(groups * width)?;
    for (group, count) in counts.iter().enumerate() {
        for column in 0..width {
            let mut whole = Sums::default();
            for part in &parts {
                part.get(group * width + column).map_or(Ok(()), |part| whole.join(part))?;
            }
            cells.push(Cell::of(count - whole.missing, whole.sum, whole.square)?);
        }
    }
    Ok(Some(cells))
}

impl<T: Maskable> Table<'_, T> {
    /// Some of its rows.
    fn rows(&self, range: Range<usize>) -> Rows<'_, T> {
        let step = self.x.strides().first().copied().unwrap_or_default();
        let start = self.x.at(range.start as isize * step);
        let stride = step as usize / size_of::<T>();
        // SAFETY: rows of the view, whose elements are aligned and lie side by side, `stride` from row to row.
        unsafe { Rows::new(start.cast(), range.len(), stride, self.width, 0) }
    }

    /// The sums of each channel of each group of some rows.
    fn sum(&self, range: Range<usize>, worker: &mut Worker<T::Float>) -> Result<Vec<Sums>, Error> {
        let chunks = self.width.div_ceil(LANES);
        worker.columns.start(self.groups * chunks * LANES, false)?;
        let step = (TILE_BYTES / (self.width * size_of::<T>()).max(1)).max(1);
        for first in range.clone().step_by(step) {
            self.add_tile(first..range.end.min(first + step), chunks, worker)?;
        }
        let sums = worker.columns.finish()?;
        let mut all = memory::with_room(self.groups * self.width)?;
        for group in sums.chunks_exact_mut(chunks * LANES) {
            all.extend(group.iter_mut().take(self.width).map(std::mem::take));
        }
        Ok(all)
    }

    /// Add the rows of a tile, group by group.
    fn add_tile(&self, tile: Range<usize>, chunks: usize, worker: &mut Worker<T::Float>) -> Result<(), Error> {
        let Worker { columns, ends, sorted } = worker;
        let codes = self.codes.get(tile.clone()).unwrap_or_default();
        // Where each group begins, and, once its rows are there, where it ends.
        memory::refill(ends, 0, self.groups + 1)?;
        for code in codes {
            if let Some(end) = ends.get_mut(*code as usize + 1) {
                *end += 1;
            }
        }
        let mut total = 0;
        for end in &mut *ends {
            total += end.next_multiple_of(TOGETHER);
            *end = total;
        }
        memory::resize(sorted, T::Float::ZERO, total * self.width)?;
        let source = self.rows(tile);
        // Rows are read in the order of memory, and written where their group is.
        let same = source.of_type::<T::Float>();
        for (number, code) in codes.iter().enumerate() {
            let Some(end) = ends.get_mut(*code as usize) else { continue };
            let Some(to) = sorted.get_mut(*end * self.width..(*end + 1) * self.width) else { continue };
            *end += 1;
            match &same {
                Some(rows) => to.copy_from_slice(rows.row(number)),
                None => to.iter_mut().zip(source.row(number)).for_each(|(to, x)| *to = T::Float::of(*x)),
            }
        }
        let mut first = 0;
        for (group, end) in ends.iter().enumerate().take(self.groups) {
            let whole = end.next_multiple_of(TOGETHER);
            // Rows of zeros add nothing.
            if let Some(rows) = sorted.get_mut(*end * self.width..whole * self.width) {
                rows.fill(T::Float::ZERO);
            }
            let rows = sorted.get(first * self.width..whole * self.width).unwrap_or_default();
            first = whole;
            if !rows.is_empty() {
                columns.add(Rows::flat(rows, self.width), group * chunks)?;
            }
        }
        Ok(())
    }
}

//! Moments of few groups of the rows of a table, in one pass over it in the order of memory.
//!
//! Every group has its pivots, the same for all tasks, so that the sums of tasks add up. What sums round, and where a pivot
//! was badly chosen or an element is no number, is as in [`super::sums`]; but such groups are left to others.

use super::moments::FloatCell;
use super::sums::{Compensated, cell, is_near};
use crate::dd::Dd;
use crate::element::Element;
use crate::error::Error;
use crate::kernels::moments::FloatSums;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::parallel;
use crate::rows::Rows;
use crate::view::View;
use std::ops::Range;

/// Channels of all groups at most: their sums stay in the second-level cache.
const MOST_CHANNELS: usize = 16_384;
/// Fewer rows of a group are not worth sums that all tasks have.
const LEAST_ROWS: usize = 256;
/// Pieces that work is cut into.
const TASKS: usize = 16;
/// Rows that are read in the order of their groups, while they stay in the second-level cache.
const TILE: usize = 512;
/// Rows that are summed before their sums are added to those of all, with what that rounds; more where there are many
/// groups, which have less of them.
const ROWS: usize = 1024;
const ROWS_OF_GROUP: usize = 128;
/// Rows of a group in a tile that are worth sorting.
const ROWS_TOGETHER: usize = 2;
/// Groups whose rows are.
const MOST_SORTED: usize = TILE / ROWS_TOGETHER;
/// Rows of a group whose mean is its pivot.
const PIVOT_ROWS: usize = 8;

/// Moments of each channel of each group, that of the first group first.
pub struct Cells {
    /// The moments; to be had in another way where a group is not `done`.
    pub cells: Vec<FloatCell>,
    /// Whether they are good, for each group.
    pub done: Vec<bool>,
}

/// The rows of a table whose elements, one of each channel, lie side by side.
#[derive(Clone, Copy)]
struct Table<'a, T> {
    x: View<'a, T>,
    codes: &'a [u32],
    groups: usize,
    width: usize,
}

/// The moments of `groups` of the rows of `x`; nothing, where `x` is no table with contiguous rows, or another way is better.
/// All of `codes`, one for each row, are below `groups`.
pub fn moments<T: Element>(
    x: View<'_, T>,
    kept: &[bool],
    codes: &[u32],
    groups: usize,
    threads: usize,
) -> Result<Option<Cells>, Error> {
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
    let pivots = table.pivots()?;
    let rows = codes.len().div_ceil(TASKS).max(1);
    let sum_up = |sums: &mut FloatSums, task: usize| {
        if sums.pivot.is_empty() {
            sums.pivot = memory::copied(&pivots)?;
        }
        table.sum(sums, task * rows..codes.len().min((task + 1) * rows))
    };
    let tasks = parallel::map(codes.len().div_ceil(rows), threads, FloatSums::default, sum_up)?;
    let mut counts = memory::filled(0.0, groups)?;
    for code in codes {
        if let Some(count) = counts.get_mut(*code as usize) {
            *count += 1.0;
        }
    }
    let cells = Cells { cells: memory::with_room(pivots.len())?, done: memory::with_room(groups)? };
    Ok(Some(kernels::run(Join { tasks, pivots: &pivots, counts: &counts, width, cells })))
}

impl<T: Element> Table<'_, T> {
    /// Some of its rows.
    fn rows(&self, range: Range<usize>) -> Rows<'_, T> {
        let step = self.x.strides().first().copied().unwrap_or_default();
        let start = self.x.at(range.start as isize * step);
        let stride = step as usize / size_of::<T>();
        // SAFETY: rows of the view, whose elements are aligned and lie side by side, `stride` from row to row.
        unsafe { Rows::new(start.cast(), range.len(), stride, self.width, 0) }
    }

    /// The mean of the first few elements of each channel of each group.
    fn pivots(&self) -> Result<Vec<f64>, Error> {
        let channels = self.groups * self.width;
        let (mut counts, mut sums) = (memory::filled(0.0, channels)?, memory::filled(0.0, channels)?);
        let mut seen = memory::filled(0, self.groups)?;
        let mut wanted = self.groups;
        for (row, code) in self.codes.iter().enumerate() {
            let group = *code as usize;
            let Some(seen) = seen.get_mut(group).filter(|seen| **seen < PIVOT_ROWS) else { continue };
            *seen += 1;
            let first = group * self.width;
            let sums = sums.iter_mut().skip(first).zip(counts.iter_mut().skip(first));
            for (x, (sum, count)) in self.rows(row..row + 1).row(0).iter().zip(sums) {
                let x = x.to_f64() / PIVOT_ROWS as f64;
                if x.is_finite() {
                    *sum += x;
                    *count += 1.0 / PIVOT_ROWS as f64;
                }
            }
            wanted -= usize::from(*seen == PIVOT_ROWS);
            if wanted == 0 {
                break;
            }
        }
        sums.iter_mut().zip(&counts).for_each(|(sum, count)| *sum = if *count > 0.0 { *sum / count } else { 0.0 });
        Ok(sums)
    }

    /// The order of the rows of a tile by their groups: sums of a group are then in the first-level cache for most of its
    /// rows.
    ///
    /// There is room for a tile's rows in `order`, and for the few groups that are worth it in `next`.
    fn sort(&self, codes: &[u32], order: &mut Vec<u16>, next: &mut Vec<u16>) {
        order.clear();
        order.extend(0..codes.len() as u16);
        // Where few are of the same group, nothing is won.
        if self.groups > MOST_SORTED {
            return;
        }
        next.clear();
        next.resize(self.groups + 1, 0);
        for code in codes {
            if let Some(next) = next.get_mut(*code as usize + 1) {
                *next += 1;
            }
        }
        let mut total = 0;
        for next in &mut *next {
            total += *next;
            *next = total;
        }
        for (row, code) in codes.iter().enumerate() {
            let Some(place) = next.get_mut(*code as usize) else { continue };
            if let Some(row_there) = order.get_mut(usize::from(*place)) {
                *row_there = row as u16;
            }
            *place += 1;
        }
    }

    /// Sums of differences from the pivots, and of their squares, of some rows.
    fn sum(&self, sums: &mut FloatSums, range: Range<usize>) -> Result<[Compensated; 2], Error> {
        let mut totals = [Compensated::default(), Compensated::default()];
        let channels = self.groups * self.width;
        for total in &mut totals {
            total.clear(channels)?;
        }
        let step = ROWS.max(ROWS_OF_GROUP * self.groups).next_multiple_of(TILE);
        let (mut order, mut next) = (memory::with_room(TILE)?, memory::with_room(MOST_SORTED + 1)?);
        for start in range.clone().step_by(step) {
            let some = start..range.end.min(start + step);
            memory::refill(&mut sums.sum, 0.0, channels)?;
            memory::refill(&mut sums.square, 0.0, channels)?;
            for start in some.clone().step_by(TILE) {
                let tile = start..some.end.min(start + TILE);
                let codes = self.codes.get(tile.clone()).unwrap_or_default();
                self.sort(codes, &mut order, &mut next);
                sums.add_each(self.rows(tile), codes, &order);
            }
            kernels::run(Add { totals: &mut totals, sums });
        }
        Ok(totals)
    }
}

/// Adds sums to totals.
struct Add<'a> {
    totals: &'a mut [Compensated; 2],
    sums: &'a FloatSums,
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [sum, square] = self.totals;
        sum.add(&self.sums.sum);
        square.add(&self.sums.square);
    }
}

/// Adds up the sums of tasks, in their order, and makes cells of them.
struct Join<'a> {
    tasks: Vec<[Compensated; 2]>,
    pivots: &'a [f64],
    counts: &'a [f64],
    width: usize,
    /// With room for all of them.
    cells: Cells,
}

impl Kernel for Join<'_> {
    type Output = Cells;

    #[inline(always)]
    fn run(self) -> Cells {
        let Self { tasks, pivots, counts, width, cells: Cells { mut cells, mut done } } = self;
        for (group, (count, pivots)) in counts.iter().zip(pivots.chunks_exact(width)).enumerate() {
            let mut good = true;
            for (at, pivot) in pivots.iter().enumerate() {
                let (mut sum, mut square) = (Dd::default(), Dd::default());
                for [sums, squares] in &tasks {
                    sum = sum + sums.get(group * width + at);
                    square = square + squares.get(group * width + at);
                }
                good &= square.hi.is_finite() && is_near(sum.hi, square.hi, *count);
                cells.push(cell(sum, square, Dd::from(*count), *pivot));
            }
            done.push(good);
        }
        Cells { cells, done }
    }
}

//! Moments of few groups of the rows of a table, in one pass over it in the order of memory.
//!
//! Every group has its pivots, the same for all tasks, so that the sums of tasks add up. What sums round, and where a pivot
//! was badly chosen or an element is no number, is as in [`super::sums`]; but such groups are left to others.

use super::moments::FloatCell;
use super::sums::{Compensated, cell, is_near};
use crate::dd::Dd;
use crate::element::Element;
use crate::kernels::moments::FloatSums;
use crate::kernels::{self, Kernel};
use crate::parallel;
use crate::tiles::Rows;
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
) -> Option<Cells> {
    if x.shape().first() != Some(&codes.len()) {
        return None;
    }
    let size = size_of::<T>();
    let mut width = 1;
    for axis in (1..x.shape().len()).rev() {
        if !kept[axis] || x.strides()[axis] != (width * size) as isize {
            return None;
        }
        width *= x.shape()[axis];
    }
    let aligned = (x.start() as usize).is_multiple_of(align_of::<T>());
    let ahead = x.strides()[0] >= (width * size) as isize && x.strides()[0] % size as isize == 0;
    let fitting = groups * width <= MOST_CHANNELS && groups * LEAST_ROWS <= codes.len();
    if kept[0] || width == 0 || !aligned || !ahead || !fitting {
        return None;
    }
    let table = Table { x, codes, groups, width };
    let pivots = table.pivots();
    let rows = codes.len().div_ceil(TASKS);
    let worker = || FloatSums { pivot: pivots.clone(), ..FloatSums::default() };
    let sum_up = |sums: &mut FloatSums, task: usize| table.sum(sums, task * rows..codes.len().min((task + 1) * rows));
    let tasks = parallel::map(codes.len().div_ceil(rows), threads, worker, sum_up);
    let mut counts = vec![0.0; groups];
    codes.iter().for_each(|code| counts[*code as usize] += 1.0);
    Some(kernels::run(Join { tasks, pivots: &pivots, counts: &counts, width }))
}

impl<T: Element> Table<'_, T> {
    /// Some of its rows.
    fn rows(&self, range: Range<usize>) -> Rows<'_, T> {
        let start = self.x.at(range.start as isize * self.x.strides()[0]);
        let stride = self.x.strides()[0] as usize / size_of::<T>();
        // SAFETY: rows of the view, whose elements are aligned and lie side by side, `stride` from row to row.
        unsafe { Rows::new(start.cast(), range.len(), stride, self.width, 0) }
    }

    /// The mean of the first few elements of each channel of each group.
    fn pivots(&self) -> Vec<f64> {
        let channels = self.groups * self.width;
        let (mut seen, mut counts, mut sums) = (vec![0; self.groups], vec![0.0; channels], vec![0.0; channels]);
        let mut wanted = self.groups;
        for (row, code) in self.codes.iter().enumerate() {
            let group = *code as usize;
            if seen[group] == PIVOT_ROWS {
                continue;
            }
            seen[group] += 1;
            let channels = group * self.width..(group + 1) * self.width;
            let sums = sums[channels.clone()].iter_mut().zip(&mut counts[channels]);
            for (x, (sum, count)) in self.rows(row..row + 1).row(0).iter().zip(sums) {
                let x = x.to_f64() / PIVOT_ROWS as f64;
                if x.is_finite() {
                    *sum += x;
                    *count += 1.0 / PIVOT_ROWS as f64;
                }
            }
            wanted -= usize::from(seen[group] == PIVOT_ROWS);
            if wanted == 0 {
                break;
            }
        }
        sums.iter().zip(&counts).map(|(sum, count)| if *count > 0.0 { sum / count } else { 0.0 }).collect()
    }

    /// The order of the rows of a tile by their groups: sums of a group are then in the first-level cache for most of its
    /// rows.
    fn sort(&self, codes: &[u32], order: &mut Vec<u16>, next: &mut Vec<u16>) {
        order.clear();
        order.extend(0..codes.len() as u16);
        // Where few are of the same group, nothing is won.
        if self.groups > TILE / ROWS_TOGETHER {
            return;
        }
        next.clear();
        next.resize(self.groups + 1, 0);
        codes.iter().for_each(|code| next[*code as usize + 1] += 1);
        for group in 1..next.len() {
            next[group] += next[group - 1];
        }
        for (row, code) in codes.iter().enumerate() {
            let place = &mut next[*code as usize];
            order[usize::from(*place)] = row as u16;
            *place += 1;
        }
    }

    /// Sums of differences from the pivots, and of their squares, of some rows.
    fn sum(&self, sums: &mut FloatSums, range: Range<usize>) -> [Compensated; 2] {
        let mut totals = [Compensated::default(), Compensated::default()];
        let channels = self.groups * self.width;
        totals.iter_mut().for_each(|total| total.clear(channels));
        let step = ROWS.max(ROWS_OF_GROUP * self.groups).next_multiple_of(TILE);
        let (mut order, mut next) = (Vec::with_capacity(TILE), Vec::new());
        for start in range.clone().step_by(step) {
            let some = start..range.end.min(start + step);
            sums.sum.clear();
            sums.sum.resize(channels, 0.0);
            sums.square.clear();
            sums.square.resize(channels, 0.0);
            for start in some.clone().step_by(TILE) {
                let tile = start..some.end.min(start + TILE);
                let codes = &self.codes[tile.clone()];
                self.sort(codes, &mut order, &mut next);
                sums.add_each(self.rows(tile), codes, &order);
            }
            kernels::run(Add { totals: &mut totals, sums });
        }
        totals
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
}

impl Kernel for Join<'_> {
    type Output = Cells;

    #[inline(always)]
    fn run(self) -> Cells {
        let Self { tasks, pivots, counts, width } = self;
        let mut cells = Vec::with_capacity(pivots.len());
        let mut done = Vec::with_capacity(counts.len());
        for (group, count) in counts.iter().enumerate() {
            let mut good = true;
            for (at, pivot) in pivots[group * width..(group + 1) * width].iter().enumerate() {
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

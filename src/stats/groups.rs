//! Statistics of groups of the rows of an array, each of which may be anywhere in it.
//!
//! The rows of a group, by number, are one more [`Source`]: whatever an [`Accumulator`](super::Accumulator) can make of an
//! array it can make of them. Nobody copies more than a tile of them at a time.

use super::source::{OPERANDS, Source};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::columns::prefetch_at;
use crate::layout::{MAX_AXES, Plan};
use crate::parallel;
use crate::tiles::{Access, Rows, access, block, each_column};
use crate::view::View;
use std::ops::Range;

/// The operand that counts the rows.
const NUMBER: usize = 2;
/// Its strides: it steps along the first axis.
const NUMBERS: [isize; MAX_AXES] = {
    let mut strides = [0; MAX_AXES];
    strides[0] = 1;
    strides
};
/// Rows that are asked for before their turn.
const AHEAD: usize = 8;
/// The longest rows, in bytes, for which that is of use.
const LONGEST_AHEAD: usize = 4096;
/// Pieces that small groups are handed to threads in.
const PIECES: usize = 256;

/// Rows of an array, along its first axis, by their numbers.
#[derive(Debug, Clone, Copy)]
pub struct Picked<'m, T> {
    x: View<'m, T>,
    numbers: &'m [usize],
    shape: &'m [usize],
}

impl<T> Picked<'_, T> {
    /// What the offset of the element that `offset` says is off by: the plan walks over rows as if they followed each other.
    fn correction(&self, offset: [isize; OPERANDS]) -> isize {
        let place = offset[NUMBER];
        (self.numbers[place as usize] as isize - place) * self.x.strides()[0]
    }

    /// Whether `rows` of them, `step` apart from `first` on, follow each other in the array as they do in the plan.
    fn in_turn(&self, first: isize, step: isize, rows: usize) -> bool {
        let at = |row: usize| self.numbers[(first + row as isize * step) as usize] as isize;
        at(rows - 1) - at(0) == (rows as isize - 1) * step && (1..rows).all(|row| at(row) - at(row - 1) == step)
    }
}

impl<T: Element> Source for Picked<'_, T> {
    type Element = T;
    type Scratch = Vec<T>;
    const HAS_MISSING: bool = false;
    const IS_SMALL: bool = T::IS_SMALL;

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn plan(&self, kept: &[bool], weights: Option<View<'_, f64>>, unit_elements: usize) -> Plan<OPERANDS> {
        let axes = self.shape.len();
        let weights = weights.as_ref().map_or(&[0; MAX_AXES][..axes], |weights| weights.strides());
        let strides = [self.x.strides(), weights, &NUMBERS[..axes]];
        Plan::new(self.shape, kept, strides, [size_of::<T>(), size_of::<f64>(), 1], unit_elements)
    }

    fn access(&self, _plan: &Plan<OPERANDS>) -> Access {
        // Rows that are not in turn are copied to lie side by side.
        Access::Flat
    }

    unsafe fn block<'s>(
        &'s self,
        plan: &Plan<OPERANDS>,
        _access: Access,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
        scratch: &'s mut Vec<T>,
    ) -> Rows<'s, T> {
        let (step, row_step) = (plan.rows.stride[NUMBER], plan.rows.stride[0]);
        let at = |offset: isize| self.x.at(offset);
        let one_each = plan.cols.iter().all(|axis| axis.stride[NUMBER] == 0);
        if one_each && (step == 0 || rows == 0 || self.in_turn(offset[NUMBER], step, rows)) {
            let flat = access::<T, OPERANDS>(plan, 0, self.x.start()) == Access::Flat
                && (self.x.strides()[0] % align_of::<T>() as isize == 0);
            let access = if flat { Access::Flat } else { Access::Gather };
            let start = at(offset[0] + if rows == 0 { 0 } else { self.correction(offset) });
            // SAFETY: the caller's promise: these are the elements that the plan has there, of the rows that are meant.
            return unsafe { block(plan, 0, access, start, rows, width, times, scratch) };
        }
        scratch.clear();
        scratch.reserve(rows * width);
        let target = scratch.as_mut_ptr();
        let size = size_of::<T>();
        let row = |r: usize| {
            let r = r as isize;
            [offset[0] + r * row_step, offset[1], offset[NUMBER] + r * step]
        };
        if one_each && plan.contiguous_cols(0, size) {
            let from = |r: usize| at(row(r)[0] + self.correction(row(r)));
            for r in 0..rows {
                if r + AHEAD < rows && width * size <= LONGEST_AHEAD {
                    let next = from(r + AHEAD);
                    (0..width * size).step_by(64).for_each(|line| prefetch_at::<u8, 1>(next.wrapping_add(line)));
                }
                // SAFETY: the plan has this row, whose elements lie side by side; there is room for all of them.
                unsafe { std::ptr::copy_nonoverlapping(from(r), target.add(r * width).cast(), width * size) };
            }
        } else {
            let (mut columns, mut numbers) = (Vec::with_capacity(width), Vec::with_capacity(width));
            each_column(plan, 0, width, |offset| columns.push(offset));
            each_column(plan, NUMBER, width, |number| numbers.push(number));
            for r in 0..rows {
                let [start, weight, first] = row(r);
                for c in 0..width {
                    let offset = [start + columns[c], weight, first + numbers[c]];
                    let from = at(offset[0] + self.correction(offset)).cast::<T>();
                    // SAFETY: the plan has this element, aligned or not; there is room for all of them.
                    unsafe { target.add(r * width + c).write(from.read_unaligned()) };
                }
            }
        }
        // SAFETY: all of them were written.
        unsafe { scratch.set_len(rows * width) };
        Rows::flat(scratch, width * times)
    }
}

/// The numbers of the rows of groups, group after group, in ascending order within each.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// Rows of the array that they are of.
    rows: usize,
    numbers: Vec<usize>,
    ends: Vec<usize>,
}

impl Groups {
    /// From the code of each row's group, all below `groups`. Groups that are not `wanted` have no rows.
    pub fn new(codes: &[u32], groups: usize, wanted: impl Fn(usize) -> bool) -> Self {
        let mut ends = vec![0; groups];
        for code in codes {
            ends[*code as usize] += 1;
        }
        let mut next = Vec::with_capacity(groups);
        let mut total = 0;
        for (group, end) in ends.iter_mut().enumerate() {
            next.push(total);
            total += if wanted(group) { *end } else { 0 };
            *end = total;
        }
        let mut numbers = vec![0; total];
        for (number, code) in codes.iter().enumerate() {
            let group = *code as usize;
            if next[group] < ends[group] {
                numbers[next[group]] = number;
                next[group] += 1;
            }
        }
        Self { rows: codes.len(), numbers, ends }
    }

    /// Places of the rows of a group.
    fn range(&self, group: usize) -> Range<usize> {
        group.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[group]
    }

    /// What `of` makes of the rows of each `wanted` group, in their order: of an array as `x` would be if it had no others,
    /// the weights of its elements, and the number of threads for it.
    pub fn each<T: Element, R: Send>(
        &self,
        x: View<'_, T>,
        weights: Option<&[f64]>,
        threads: usize,
        wanted: impl Fn(usize) -> bool,
        of: impl Fn(Picked<'_, T>, Option<View<'_, f64>>, usize) -> Result<R, Error> + Sync,
    ) -> Result<Vec<(usize, R)>, Error> {
        // No number is beyond the last row.
        assert_eq!(x.shape().first(), Some(&self.rows), "one code for each row");
        let weights: Option<Vec<f64>> = weights.map(|all| self.numbers.iter().map(|number| all[*number]).collect());
        let one = |group: usize, threads: usize| {
            let range = self.range(group);
            let mut shape = x.shape().to_vec();
            shape[0] = range.len();
            let strides = NUMBERS.map(|step| step * size_of::<f64>() as isize);
            let weights = weights.as_ref().map(|weights| {
                // SAFETY: there is a weight for each row of the group, in a slice.
                unsafe { View::new(weights[range.clone()].as_ptr().cast(), &shape, &strides[..shape.len()]) }
            });
            Ok((group, of(Picked { x, numbers: &self.numbers[range], shape: &shape }, weights, threads)?))
        };
        // A group that would keep one thread busy after all the others is shared out.
        let share = self.numbers.len() / (2 * threads);
        let all = (0..self.ends.len()).filter(|group| wanted(*group));
        let (large, small): (Vec<_>, Vec<_>) = all.partition(|group| threads > 1 && self.range(*group).len() > share);
        let mut results = large.into_iter().map(|group| one(group, threads)).collect::<Result<Vec<_>, _>>()?;
        let several = 1 + small.len() / PIECES;
        results.extend(
            parallel::map_items(small, several, threads, || (), |(), group| one(group, 1))
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?,
        );
        results.sort_unstable_by_key(|(group, _)| *group);
        Ok(results)
    }
}

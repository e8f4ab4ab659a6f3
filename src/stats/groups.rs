//! Statistics of groups of the rows of an array, each of which may be anywhere in it.
//!
//! The rows of a group, by number, are one more [`Source`]: whatever an [`Accumulator`](super::Accumulator) can make of an
//! array it can make of them. Nobody copies more than a tile of them at a time.

use crate::axes::MAX_AXES;
use crate::blocks::{Access, access, block, each_column};
use crate::drive::source::{OPERANDS, Source, nothing};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::columns::prefetch_at;
use crate::memory;
use crate::parallel;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::view::View;
use std::ops::Range;

/// The operand that counts the rows.
const NUMBER: usize = 2;
/// Its strides: it steps along the first axis.
static NUMBERS: [isize; MAX_AXES] = {
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
        let [_, _, place] = offset;
        // The plan has no more places than there are numbers: without one there is nothing to correct.
        let number = self.numbers.get(place as usize).map_or(place, |number| *number as isize);
        (number - place) * self.row_stride()
    }

    /// Step of the rows of the array.
    fn row_stride(&self) -> isize {
        self.x.strides().first().copied().unwrap_or_default()
    }

    /// Whether `rows` of them, `step` apart from `first` on, follow each other in the array as they do in the plan.
    fn in_turn(&self, first: isize, step: isize, rows: usize) -> bool {
        let at = |row: usize| {
            let place = first + row as isize * step;
            self.numbers.get(place as usize).map_or(place, |number| *number as isize)
        };
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

    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        let axes = self.shape.len();
        let weights = weights.as_ref().map_or(nothing(axes), |weights| weights.strides());
        let strides = [self.x.strides(), weights, NUMBERS.get(..axes).unwrap_or(&NUMBERS)];
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
    ) -> Result<Rows<'s, T>, Error> {
        let ([row_step, _, step], [start, weight, first]) = (plan.rows.stride, offset);
        let at = |offset: isize| self.x.at(offset);
        let one_each = plan.cols.iter().all(|axis| axis.stride[NUMBER] == 0);
        if one_each && (step == 0 || rows == 0 || self.in_turn(first, step, rows)) {
            let flat = access::<T, OPERANDS>(plan, 0, self.x.start()) == Access::Flat
                && self.row_stride() % align_of::<T>() as isize == 0;
            let access = if flat { Access::Flat } else { Access::Gather };
            let start = at(start + if rows == 0 { 0 } else { self.correction(offset) });
            // SAFETY: the caller's promise: these are the elements that the plan has there, of the rows that are meant.
            return unsafe { block(plan, 0, access, start, rows, width, times, scratch) };
        }
        scratch.clear();
        memory::reserve(scratch, rows * width)?;
        let target = scratch.as_mut_ptr();
        let size = size_of::<T>();
        let row = |r: usize| {
            let r = r as isize;
            [start + r * row_step, weight, first + r * step]
        };
        if one_each && plan.contiguous_cols(0, size) {
            let from = |r: usize| at(start + r as isize * row_step + self.correction(row(r)));
            for r in 0..rows {
                if r + AHEAD < rows && width * size <= LONGEST_AHEAD {
                    let next = from(r + AHEAD);
                    (0..width * size).step_by(64).for_each(|line| prefetch_at::<u8, 1>(next.wrapping_add(line)));
                }
                // SAFETY: the plan has this row, whose elements lie side by side; there is room for all of them.
                unsafe { std::ptr::copy_nonoverlapping(from(r), target.add(r * width).cast(), width * size) };
            }
        } else {
            let (mut columns, mut numbers) = (memory::with_room(width)?, memory::with_room(width)?);
            each_column(plan, 0, width, |offset| columns.push(offset));
            each_column(plan, NUMBER, width, |number| numbers.push(number));
            assert_eq!((columns.len(), numbers.len()), (width, width), "one place for each column");
            for r in 0..rows {
                let [start, weight, first] = row(r);
                for (c, (column, number)) in columns.iter().zip(&numbers).enumerate() {
                    let offset = [start + column, weight, first + number];
                    let from = at(offset[0] + self.correction(offset)).cast::<T>();
                    // SAFETY: the plan has this element, aligned or not; there is room for all of them.
                    unsafe { target.add(r * width + c).write(from.read_unaligned()) };
                }
            }
        }
        // SAFETY: all of them were written.
        unsafe { scratch.set_len(rows * width) };
        Ok(Rows::flat(scratch, width * times))
    }
}

/// What is made of a group: of the shape of what it has, the numbers of its rows, its weights and a number of threads.
type OfGroup<'a, R> = dyn Fn(&[usize], &[usize], Option<View<'_, f64>>, usize) -> Result<R, Error> + Sync + 'a;

/// The numbers of the rows of groups, group after group, in ascending order within each.
#[derive(Debug, Default)]
pub struct Groups {
    /// Rows of the array that they are of.
    rows: usize,
    numbers: Vec<usize>,
    ends: Vec<usize>,
}

impl Groups {
    /// From the code of each row's group, all below `groups`. Groups that are not `wanted` have no rows.
    pub fn new(codes: &[u32], groups: usize, wanted: impl Fn(usize) -> bool) -> Result<Self, Error> {
        let mut ends = memory::filled(0, groups)?;
        for code in codes {
            if let Some(end) = ends.get_mut(*code as usize) {
                *end += 1;
            }
        }
        let mut next = memory::with_room(groups)?;
        let mut total = 0;
        for (group, end) in ends.iter_mut().enumerate() {
            next.push(total);
            total += if wanted(group) { *end } else { 0 };
            *end = total;
        }
        let mut numbers = memory::filled(0, total)?;
        for (number, code) in codes.iter().enumerate() {
            let group = *code as usize;
            let (Some(next), Some(end)) = (next.get_mut(group), ends.get(group)) else { continue };
            if let Some(place) = numbers.get_mut(*next).filter(|_| *next < *end) {
                *place = number;
                *next += 1;
            }
        }
        Ok(Self { rows: codes.len(), numbers, ends })
    }

    /// Places of the rows of a group.
    fn range(&self, group: usize) -> Range<usize> {
        let end = |group: usize| self.ends.get(group).copied().unwrap_or_default();
        group.checked_sub(1).map_or(0, end)..end(group)
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
        self.each_shape(x.shape(), weights, threads, &wanted, &|shape, numbers, weights, threads| {
            of(Picked { x, numbers, shape }, weights, threads)
        })
    }

    /// What [`Self::each`] is compiled to, whatever the elements are.
    fn each_shape<R: Send>(
        &self,
        shape: &[usize],
        weights: Option<&[f64]>,
        threads: usize,
        wanted: &dyn Fn(usize) -> bool,
        of: &OfGroup<'_, R>,
    ) -> Result<Vec<(usize, R)>, Error> {
        // No number is beyond the last row.
        assert_eq!(shape.first(), Some(&self.rows), "one code for each row");
        let weight = |all: &[f64], number: usize| all.get(number).copied().unwrap_or_default();
        let weights = weights.map(|all| memory::collect(self.numbers.iter().map(|number| weight(all, *number))));
        let weights = weights.transpose()?;
        let strides = NUMBERS.map(|step| step * size_of::<f64>() as isize);
        let strides = strides.get(..shape.len()).unwrap_or(&strides);
        let one = |group: usize, threads: usize| {
            let range = self.range(group);
            let mut shape = memory::copied(shape)?;
            shape.splice(..1, [range.len()]);
            let weights = weights.as_ref().and_then(|weights| weights.get(range.clone()));
            let weights = weights.map(|weights| {
                // SAFETY: there is a weight for each row of the group, in a slice.
                unsafe { View::new(weights.as_ptr().cast(), &shape, strides) }
            });
            let numbers = self.numbers.get(range).unwrap_or_default();
            Ok((group, of(&shape, numbers, weights, threads)?))
        };
        // A group that would keep one thread busy after all the others is shared out.
        let share = self.numbers.len() / (2 * threads.max(1));
        let is_large = |group: &usize| threads > 1 && self.range(*group).len() > share;
        let all = || (0..self.ends.len()).filter(|group| wanted(*group));
        let mut results = memory::with_room(all().count())?;
        for group in all().filter(is_large) {
            results.push(one(group, threads)?);
        }
        let small = memory::collect(all().filter(|group| !is_large(group)))?;
        let several = 1 + small.len() / PIECES;
        results.append(&mut parallel::map_items(small, several, threads, || (), |(), group| one(group, 1))?);
        results.sort_unstable_by_key(|(group, _)| *group);
        Ok(results)
    }
}

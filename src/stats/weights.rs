//! Weights as whole numbers: how often each element counts.
//!
//! Whole numbers count as they are, others as multiples of a small part of their mean. Weights lie where the caller has
//! them: they are looked at as often as it takes, and never copied.

use crate::blocks::{Access, block};
use crate::drive::source::{Maskable, OPERANDS, Source, nothing, plan};
use crate::element::{Bool, Wide};
use crate::error::Error;
use crate::memory;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::view::View;

/// Binary digits of weights that are no whole numbers, below their mean; the largest weights that count as they are.
const DIGITS: i32 = 10;
const LARGEST_WHOLE: f64 = (1u64 << 40) as f64;

/// How often elements count, by their weights and by a mask, both of their shape by broadcasting strides.
#[derive(Debug, Clone, Copy)]
pub struct Counts<'m> {
    /// Finite and not negative.
    pub weights: View<'m, f64>,
    /// What it leaves out does not count.
    pub mask: Option<View<'m, Bool>>,
    /// The binary logarithm of the weight that counts as one.
    pub unit: i32,
    /// One over that weight, as a product.
    factors: [f64; 2],
}

/// The binary digits of how often elements count.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    /// Elements with a one, for each digit.
    pub ones: [u64; u64::BITS as usize],
    /// All elements.
    pub elements: u64,
}

impl<'m> Counts<'m> {
    /// Look at all weights.
    pub fn new(weights: View<'m, f64>, mask: Option<View<'m, Bool>>) -> Result<Self, Error> {
        let mut counts = Self { weights, mask, unit: 0, factors: [1.0; 2] };
        let (mut good, mut whole, mut positive, mut largest) = (true, true, 0u64, 0f64);
        counts.each(|weight, _| {
            good &= weight.is_finite() && weight >= 0.0;
            whole &= weight.fract() == 0.0 && weight <= LARGEST_WHOLE;
            positive += u64::from(weight > 0.0);
            largest = largest.max(weight);
        });
        if !good {
            return Err(Error::BadWeight);
        }
        if !whole {
            // In parts of the largest, so that no sum leaves the range of `f64`.
            let mut sum = 0.0;
            counts.each(|weight, _| sum += if weight > 0.0 { weight / largest } else { 0.0 });
            counts.unit = ((sum / positive as f64).log2() + largest.log2()).floor() as i32 - DIGITS;
            counts.factors = factors(-counts.unit);
        }
        Ok(counts)
    }

    /// How often an element of this weight counts.
    #[inline(always)]
    pub fn of(&self, weight: f64) -> u64 {
        (weight * self.factors[0] * self.factors[1]).round() as u64
    }

    /// Look at all digits.
    pub fn digits(&self) -> Digits {
        let mut digits = Digits { ones: [0; u64::BITS as usize], elements: 0 };
        self.each(|weight, counts| {
            digits.elements += 1;
            let mut rest = if counts { self.of(weight) } else { 0 };
            while rest != 0 {
                if let Some(ones) = digits.ones.get_mut(rest.trailing_zeros() as usize) {
                    *ones += 1;
                }
                rest &= rest - 1;
            }
        });
        digits
    }

    /// Visit each weight, in C order, and whether its element counts; once for each sample, where that is all there is.
    fn each(&self, mut visit: impl FnMut(f64, bool)) {
        let by_sample = self.mask.is_none() && self.weights.strides().iter().skip(1).all(|stride| *stride == 0);
        let empty = self.weights.shape().contains(&0);
        let axes = if by_sample { 1 } else { self.weights.shape().len() };
        let mask = self.mask.as_ref();
        let (shape, strides) = (first(self.weights.shape(), axes), first(self.weights.strides(), axes));
        let masked = mask.map_or(&[][..], |mask| first(mask.strides(), axes));
        let at = |[weight, mask_offset]: [isize; 2]| {
            // SAFETY: elements of the views, which promise that they can be read.
            let weight = unsafe { self.weights.at(weight).cast::<f64>().read_unaligned() };
            // SAFETY: as above.
            let counts = mask.is_none_or(|mask| unsafe { mask.at(mask_offset).cast::<Bool>().read() }.0 != 0);
            visit(weight, counts);
        };
        if !empty {
            walk(shape, [strides, masked], [0; 2], &mut { at });
        }
    }
}

/// The first values, or all if there are fewer.
fn first<T>(values: &[T], count: usize) -> &[T] {
    values.get(..count).unwrap_or(values)
}

/// Visit the offsets of all positions, in C order.
fn walk(shape: &[usize], strides: [&[isize]; 2], offset: [isize; 2], visit: &mut impl FnMut([isize; 2])) {
    let Some((len, inner)) = shape.split_first() else { return visit(offset) };
    let [first, second] =
        strides.map(|strides| strides.split_first().map_or((0, &[][..]), |(step, rest)| (*step, rest)));
    for i in 0..*len as isize {
        walk(inner, [first.1, second.1], [offset[0] + i * first.0, offset[1] + i * second.0], visit);
    }
}

/// Two powers of two whose product is `2^power`, which may itself be out of the range of `f64`.
fn factors(power: i32) -> [f64; 2] {
    [2f64.powi(power / 2), 2f64.powi(power - power / 2)]
}

/// `value` times `2^power`.
pub fn scaled(value: f64, power: i32) -> f64 {
    let [first, second] = factors(power);
    value * first * second
}

/// An array whose elements count where the binary digit number `digit` of how often their weights count is one.
#[derive(Debug, Clone, Copy)]
pub struct Digit<'m, T> {
    /// The elements.
    pub x: View<'m, T>,
    /// How often they count.
    pub counts: Counts<'m>,
    /// The number of the digit, from zero on.
    pub digit: u32,
}

impl<T: Maskable> Source for Digit<'_, T> {
    type Element = T::Float;
    type Scratch = (Vec<T>, Vec<f64>, Vec<Bool>, Vec<T::Float>);
    const HAS_MISSING: bool = true;
    const IS_SMALL: bool = T::IS_SMALL;

    fn shape(&self) -> &[usize] {
        self.x.shape()
    }

    fn plan(
        &self,
        kept: &[bool],
        _weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        let mask = self.counts.mask.as_ref().map_or(nothing(self.x.shape().len()), |mask| mask.strides());
        plan(self.x, kept, Some(self.counts.weights), mask, unit_elements)
    }

    fn access(&self, _plan: &Plan<OPERANDS>) -> Access {
        // The elements that are read lie side by side.
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
        (elements, weights, mask, floats): &'s mut Self::Scratch,
    ) -> Result<Rows<'s, T::Float>, Error> {
        let Self { x: view, counts, digit } = self;
        // SAFETY: the caller's promise; views promise that their elements can be read.
        let x = unsafe { block(plan, 0, view.access(plan), view.at(offset[0]), rows, width, 1, elements) }?;
        floats.clear();
        memory::reserve(floats, rows * width)?;
        let is_one = |weight: f64| counts.of(weight) >> digit & 1 == 1;
        let at = counts.weights.at(offset[1]);
        if counts.mask.is_none() && plan.cols.iter().all(|axis| axis.stride[1] == 0) {
            // One weight for all of a row.
            for row in 0..rows {
                let at = at.wrapping_offset(row as isize * plan.rows.stride[1]);
                // SAFETY: as above.
                if is_one(unsafe { at.cast::<f64>().read_unaligned() }) {
                    floats.extend(x.row(row).iter().map(|x| T::Float::of(*x)));
                } else {
                    floats.resize(floats.len() + width, T::Float::MISSING);
                }
            }
            return Ok(Rows::flat(floats, width * times));
        }
        // SAFETY: as above.
        let weights = unsafe { block(plan, 1, Access::Gather, at, rows, width, 1, weights) }?;
        let counted = counts.mask.map(|view| {
            // SAFETY: as above.
            unsafe { block(plan, 2, Access::Gather, view.at(offset[2]), rows, width, 1, mask) }
        });
        let counted = counted.transpose()?;
        for row in 0..rows {
            let pairs = x.row(row).iter().zip(weights.row(row));
            floats.extend(pairs.map(|(x, weight)| if is_one(*weight) { T::Float::of(*x) } else { T::Float::MISSING }));
            if let Some(counted) = counted {
                let first = floats.len() - width;
                let masked = floats.iter_mut().skip(first).zip(counted.row(row));
                masked.for_each(|(x, counts)| *x = if counts.0 != 0 { *x } else { T::Float::MISSING });
            }
        }
        Ok(Rows::flat(floats, width * times))
    }
}

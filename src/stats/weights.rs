//! Weights as whole numbers: how often each element counts.
//!
//! Whole numbers count as they are, others as multiples of a small part of their mean. Weights lie where the caller has
//! them: they are looked at as often as it takes, and never copied.

use crate::element::Bool;
use crate::error::Error;
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

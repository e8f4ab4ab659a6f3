//! The affine map of one element in as many digits as it takes: for parameters that leave the range of `f64` on the way to
//! a result that does not, and for results that are next to nothing beside what they are the difference of.
//!
//! Every number is a significand and an exponent of its own, products are two of them (T. J. Dekker, "A floating-point
//! technique for extending the available precision", Numer. Math. 18 (1971)), and sums are distilled (T. Ogita,
//! S. M. Rump, S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005), algorithm 4.8).

use crate::dd::{Dd, two_sum};

/// What the difference is multiplied or divided by: the sum of two doubles over a power of two, which may itself be out
/// of range.
#[derive(Debug, Clone, Copy)]
pub struct Factor {
    /// The sum.
    pub scale: [f64; 2],
    /// The power of two.
    pub unit: f64,
    /// Whether it divides.
    pub divides: bool,
}

/// Passes of the distillation: each takes the digits of one more double.
const PASSES: usize = 6;
/// Terms of a sum at most.
const MOST: usize = 16;

/// A sum of numbers `significand * 2^exponent`.
#[derive(Debug, Clone, Copy)]
struct Sum {
    terms: [(f64, i32); MOST],
    len: usize,
}

impl Sum {
    const ZERO: Self = Self { terms: [(0.0, 0); MOST], len: 0 };

    fn push(&mut self, (value, exponent): (f64, i32)) {
        let (value, more) = split(value);
        if let Some(term) = self.terms.get_mut(self.len).filter(|_| value != 0.0) {
            *term = (value, exponent + more);
            self.len += 1;
        }
    }

    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = Self::ZERO;
        values.into_iter().for_each(|value| sum.push((value, 0)));
        sum
    }

    fn terms(&self) -> &[(f64, i32)] {
        self.terms.get(..self.len).unwrap_or_default()
    }

    /// The products of all terms with those of `other`.
    fn times(&self, other: &Self) -> Self {
        let mut products = Self::ZERO;
        for (a, i) in self.terms() {
            for (b, j) in other.terms() {
                let product = a * b;
                products.push((product, i + j));
                products.push((a.mul_add(*b, -product), i + j));
            }
        }
        products
    }

    fn plus(mut self, other: &Self) -> Self {
        other.terms().iter().for_each(|term| self.push(*term));
        self
    }

    /// Times `2^power`.
    fn raised(mut self, power: i32) -> Self {
        self.terms.iter_mut().for_each(|(_, exponent)| *exponent += power);
        self
    }

    /// The sum, to twice the precision of `f64`, and its exponent.
    fn total(&self) -> (Dd, i32) {
        let top = self.terms().iter().map(|(_, exponent)| *exponent).max().unwrap_or(0);
        let mut values = [0.0; MOST];
        for (value, (term, exponent)) in values.iter_mut().zip(self.terms()) {
            *value = scaled(*term, exponent - top);
        }
        for _ in 0..PASSES {
            let mut carried = 0.0;
            for value in &mut values {
                (carried, *value) = two_sum(carried, *value);
            }
            // Adding to nothing has no error: the first place goes to the end and takes the sum.
            values.rotate_left(1);
            values.last_mut().into_iter().for_each(|last| *last = carried);
        }
        let rest = values.iter().rev().skip(1).fold(Dd::ZERO, |rest, value| rest.add_f64(*value));
        let last = values.last().copied().unwrap_or_default();
        (rest.add_f64(last), top)
    }
}

/// `value` as a number between one and two (or zero) and the exponent of two that it is multiplied by.
fn split(value: f64) -> (f64, i32) {
    const TWO_64: f64 = 18_446_744_073_709_551_616.0;
    if value == 0.0 {
        return (value, 0);
    }
    let (value, lifted) = if value.abs() < f64::MIN_POSITIVE { (value * TWO_64, 64) } else { (value, 0) };
    let exponent = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023;
    (scaled(value, -exponent), exponent - lifted)
}

/// `value` times `2^power`, rounded once.
fn scaled(value: f64, power: i32) -> f64 {
    let power = power.clamp(-2040, 2040);
    let of_two = |power: i32| f64::from_bits(((1023 + power) as u64) << 52);
    // The first factor is the one that leaves a normal number.
    value * of_two(power / 2) * of_two(power - power / 2)
}

/// `(x - shift) * factor + offset`, of `x` as the sum of two doubles.
pub fn map(x: [f64; 2], shift: f64, factor: Factor, offset: f64) -> f64 {
    let Factor { scale, unit, divides } = factor;
    let special = !(x[0].is_finite() && shift.is_finite() && scale[0].is_finite() && offset.is_finite());
    if special || scale[0] == 0.0 {
        let difference = x[0] + x[1] - shift;
        return if divides { difference / (scale[0] / unit) } else { difference * (scale[0] / unit) } + offset;
    }
    let (difference, scale, offset_sum) = (Sum::of([x[0], x[1], -shift]), Sum::of(scale), Sum::of([offset]));
    let units = split(unit).1;
    let (total, exponent) = if divides {
        // One division, of the whole: what is divided is exact.
        let offset_sum = offset_sum.times(&scale).raised(-units);
        let (above, above_exponent) = offset_sum.plus(&difference).total();
        let (below, below_exponent) = scale.total();
        (above / below, above_exponent - below_exponent + units)
    } else {
        difference.times(&scale).raised(-units).plus(&offset_sum).total()
    };
    if total.hi == 0.0 {
        // Zero minus zero has a sign, too.
        let sign = scale.terms().first().map_or(1.0, |(scale, _)| *scale);
        return if difference.len == 0 { (x[0] - shift) * sign + offset } else { total.hi };
    }
    scaled(total.to_f64(), exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(scale: f64) -> Factor {
        Factor { scale: [scale, 0.0], unit: 1.0, divides: true }
    }

    fn times(scale: f64) -> Factor {
        Factor { divides: false, ..over(scale) }
    }

    #[test]
    fn leaves_the_range_on_the_way_only() {
        let max = f64::MAX;
        let half = |factor: Factor| Factor { unit: 0.5, ..factor };
        assert_eq!(map([1e308, 0.0], -1e308, half(over(1e308)), -0.0), 1.0);
        assert_eq!(map([0.0, 0.0], -1e308, half(over(1e308)), -0.0), 0.5);
        assert_eq!(map([0.0, 0.0], -1e308, half(over(1e308)), -1.0), -0.5);
        assert_eq!(map([0.5, 0.0], 0.0, half(times(1e308)), -1e308), 0.0);
        assert_eq!(map([1.0, 0.0], 0.0, half(times(max)), -max), max);
        assert_eq!(map([5e-324, 0.0], 0.0, over(5e-324), -0.0), 1.0);
        assert_eq!(map([max, 0.0], 0.0, over(max), -0.0), 1.0);
        assert_eq!(map([max, 0.0], 0.0, over(5e-324), -0.0), f64::INFINITY);
        assert_eq!(map([5e-324, 0.0], 0.0, over(max), -0.0), 0.0);
    }

    #[test]
    fn keeps_what_is_left_of_a_difference() {
        let third: f64 = 1.0 / 3.0;
        // 1/3 - fl(1/3) = 2^-54 / 3.
        assert_eq!(map([1.0, 0.0], 0.0, over(3.0), -third), 2f64.powi(-54) / 3.0);
        assert_eq!(map([1.0, 2f64.powi(-80)], 1.0, times(8.0), -0.0), 2f64.powi(-77));
        assert_eq!(map([7.0, 0.0], 5.0, over(-1.0), 2.0), 0.0);
    }

    #[test]
    fn zero_keeps_its_sign_and_what_is_no_number_passes() {
        assert!(map([-0.0, 0.0], 0.0, over(1e-320), -0.0).is_sign_negative());
        assert!(map([0.0, 0.0], 0.0, times(2.0), -0.0).is_sign_positive());
        assert_eq!(map([f64::INFINITY, 0.0], 1e308, over(1e308), -0.0), f64::INFINITY);
        assert!(map([f64::NAN, 0.0], 0.0, over(1.0), -0.0).is_nan());
    }
}

//! Quotients of exact numbers, rounded once.

use super::number::{BITS, Number, sign_of};
use crate::error::Error;
use crate::memory;

/// Significant bits of a double, and the exponent of the last one at least.
const DIGITS: i32 = 53;
const LEAST: i32 = -1074;

impl Number {
    /// This number divided by another one above zero, to 64 bits and whether anything is left.
    pub fn over(&self, divisor: &Self) -> Result<Quotient, Error> {
        let mut quotient = Quotient { negative: self.is_negative(), ..Quotient::default() };
        let mut numerator: Vec<u64> = memory::copied(&self.magnitude()?)?;
        let divisor_limbs = divisor.limbs.as_slice();
        strip(&mut numerator);
        let Some(top) = divisor_limbs.iter().rposition(|limb| *limb != 0) else { return Ok(quotient) };
        let divisor_limbs = divisor_limbs.get(..=top).unwrap_or_default();
        if numerator.is_empty() {
            return Ok(quotient);
        }
        // As many limbs of the numerator as make two of the quotient; those below only matter for being there.
        let wanted = divisor_limbs.len() + 2;
        let mut first = self.first - divisor.first;
        let skipped = numerator.len().saturating_sub(wanted);
        quotient.rest = numerator.drain(..skipped).any(|limb| limb != 0);
        first += skipped as i32;
        let missing = wanted - numerator.len();
        memory::reserve(&mut numerator, missing + 1)?;
        numerator.splice(0..0, std::iter::repeat_n(0, missing));
        first -= missing as i32;
        let limbs = if let [divisor] = divisor_limbs {
            quotient.rest |= divide_by_limb(&mut numerator, *divisor) != 0;
            numerator
        } else {
            let (limbs, rest) = divide(numerator, memory::copied(divisor_limbs)?)?;
            quotient.rest |= rest;
            limbs
        };
        quotient.set(&limbs, first);
        Ok(quotient)
    }

    /// The nearest double; ties to even.
    pub fn to_f64(&self) -> Result<f64, Error> {
        let mut quotient = Quotient { negative: self.is_negative(), ..Quotient::default() };
        quotient.set(&self.magnitude()?, self.first);
        Ok(quotient.to_f64())
    }
}

/// Limbs of the sums that [`mean`] and [`variance`] take, and of what they compute with.
const MOST_LIMBS: usize = 10;
const WORK_LIMBS: usize = 2 * MOST_LIMBS + 8;

/// A magnitude of few limbs, copied to `to`; how many.
fn copy_magnitude(number: &Number, to: &mut [u64; MOST_LIMBS]) -> Option<usize> {
    let to = to.get_mut(..number.limbs.len())?;
    let (flip, mut carry) = (sign_of(&number.limbs), number.is_negative());
    for (to, limb) in to.iter_mut().zip(&number.limbs) {
        (*to, carry) = (limb ^ flip).overflowing_add(u64::from(carry));
    }
    Some(to.len())
}

/// `sum` divided by `count`: [`Number::over`] without memory, for most numbers; nothing for the others.
pub fn mean(sum: &Number, count: u64) -> Option<Quotient> {
    let mut limbs = [0; MOST_LIMBS];
    let len = copy_magnitude(sum, &mut limbs)?;
    Some(Quotient::of(sum.is_negative(), limbs.get(..len)?, sum.first, [count, 1]))
}

/// `(count * square - sum^2) / (count * freedom)`, and zero where that is negative; as [`mean`].
pub fn variance(sum: &Number, square: &Number, count: u64, freedom: u64) -> Option<Quotient> {
    let (mut sums, mut work) = ([0; MOST_LIMBS], [0; WORK_LIMBS]);
    let len = copy_magnitude(sum, &mut sums)?;
    let sums = sums.get(..len)?;
    if square.is_negative() || square.limbs.len() > MOST_LIMBS {
        return None;
    }
    let first = if sums.is_empty() { square.first } else { square.first.min(2 * sum.first) };
    let (squares_at, product_at) = (usize::try_from(square.first - first).ok()?, 2 * sum.first - first);
    let product_at = if sums.is_empty() { 0 } else { usize::try_from(product_at).ok()? };
    if squares_at + MOST_LIMBS + 1 > WORK_LIMBS || product_at + 2 * sums.len() + 1 > WORK_LIMBS {
        return None;
    }
    let mut carry = 0;
    for (place, limb) in work.iter_mut().skip(squares_at).zip(square.limbs.iter().chain([&0])) {
        let product = u128::from(*limb) * u128::from(count) + carry;
        (*place, carry) = (product as u64, product >> 64);
    }
    for (i, a) in sums.iter().enumerate() {
        let (mut carry, mut borrow) = (0, false);
        let (places, above) = work.get_mut(product_at + i..)?.split_at_mut_checked(sums.len())?;
        for (place, b) in places.iter_mut().zip(sums) {
            let product = u128::from(*a) * u128::from(*b) + carry;
            carry = product >> 64;
            let (value, first) = place.overflowing_sub(product as u64);
            let (value, second) = value.overflowing_sub(u64::from(borrow));
            (*place, borrow) = (value, first | second);
        }
        for place in above {
            if carry == 0 && !borrow {
                break;
            }
            let (value, first) = place.overflowing_sub(carry as u64);
            let (value, second) = value.overflowing_sub(u64::from(borrow));
            (*place, borrow, carry) = (value, first | second, 0);
        }
    }
    if work.last().is_some_and(|top| top >> 63 == 1) {
        return Some(Quotient::default());
    }
    Some(Quotient::of(false, &work, first, [count, freedom]))
}

/// Drop zeros above.
fn strip(limbs: &mut Vec<u64>) {
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
}

/// Divide in place; what is left.
fn divide_by_limb(limbs: &mut [u64], divisor: u64) -> u64 {
    let mut rest = 0u64;
    for limb in limbs.iter_mut().rev() {
        let value = u128::from(rest) << 64 | u128::from(*limb);
        *limb = (value / u128::from(divisor)) as u64;
        rest = (value as u64).wrapping_sub(limb.wrapping_mul(divisor));
    }
    rest
}

/// The quotient of two numbers of several limbs, and whether anything is left: D. E. Knuth, The Art of Computer Programming,
/// volume 2, algorithm 4.3.1 D. The divisor has two limbs at least, and its top limb is not zero.
#[expect(clippy::indexing_slicing, reason = "places of the algorithm, all within numerator and divisor")]
fn divide(mut numerator: Vec<u64>, mut divisor: Vec<u64>) -> Result<(Vec<u64>, bool), Error> {
    let n = divisor.len();
    let shift = divisor[n - 1].leading_zeros();
    numerator.push(0);
    for limbs in [&mut numerator, &mut divisor] {
        let mut below = 0;
        for limb in limbs.iter_mut() {
            let shifted = *limb << shift | if shift == 0 { 0 } else { below >> (64 - shift) };
            below = std::mem::replace(limb, shifted);
        }
    }
    let (first, second) = (u128::from(divisor[n - 1]), u128::from(divisor[n - 2]));
    let mut quotient = memory::filled(0, numerator.len() - n)?;
    for j in (0..quotient.len()).rev() {
        let top = u128::from(numerator[j + n]) << 64 | u128::from(numerator[j + n - 1]);
        let (mut q, mut rest) = (top / first, top % first);
        while q >> 64 != 0 || q * second > (rest << 64 | u128::from(numerator[j + n - 2])) {
            q -= 1;
            rest += first;
            if rest >> 64 != 0 {
                break;
            }
        }
        let (mut borrow, mut carry) = (false, 0u128);
        for i in 0..n {
            carry += q * u128::from(divisor[i]);
            let (value, first) = numerator[i + j].overflowing_sub(carry as u64);
            let (value, second) = value.overflowing_sub(u64::from(borrow));
            (numerator[i + j], borrow) = (value, first | second);
            carry >>= 64;
        }
        let (value, first) = numerator[j + n].overflowing_sub(carry as u64);
        let (value, second) = value.overflowing_sub(u64::from(borrow));
        numerator[j + n] = value;
        if first | second {
            q -= 1;
            let mut carry = false;
            for i in 0..n {
                let (value, first) = numerator[i + j].overflowing_add(divisor[i]);
                let (value, second) = value.overflowing_add(u64::from(carry));
                (numerator[i + j], carry) = (value, first | second);
            }
            numerator[j + n] = numerator[j + n].wrapping_add(u64::from(carry));
        }
        quotient[j] = q as u64;
    }
    Ok((quotient, numerator.iter().any(|limb| *limb != 0)))
}

/// What a division gives: `bits * 2^exponent`, the highest bit set unless it is zero, and a rest below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotient {
    negative: bool,
    bits: u64,
    exponent: i32,
    /// Whether there is anything below the last bit.
    pub(super) rest: bool,
}

impl Quotient {
    /// Of a magnitude divided by two whole numbers above zero.
    fn of(negative: bool, limbs: &[u64], first: i32, divisors: [u64; 2]) -> Self {
        let mut quotient = Self { negative, ..Self::default() };
        let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return quotient };
        let [one, other] = divisors;
        let (divisors, digits) = match one.checked_mul(other) {
            Some(both) => ([both, 1], 3),
            None => (divisors, 4),
        };
        // As many limbs as leave two of the quotient; those below only matter for being there.
        let mut work = [0; 4];
        let work = work.get_mut(..digits).unwrap_or_default();
        let lowest = top as i32 + 1 - digits as i32;
        for (place, to) in (lowest..).zip(work.iter_mut()) {
            *to = usize::try_from(place).ok().and_then(|place| limbs.get(place)).copied().unwrap_or(0);
        }
        quotient.rest = limbs.iter().take(lowest.max(0) as usize).any(|limb| *limb != 0);
        for divisor in divisors.into_iter().filter(|divisor| *divisor != 1) {
            quotient.rest |= divide_by_limb(work, divisor) != 0;
        }
        quotient.set(work, first + lowest);
        quotient
    }

    /// Take over the highest 64 bits of limbs without a sign.
    fn set(&mut self, limbs: &[u64], first: i32) {
        let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return };
        let limb = |at: Option<usize>| at.and_then(|at| limbs.get(at)).copied().unwrap_or(0);
        let (high, low) = (limb(Some(top)), limb(top.checked_sub(1)));
        let shift = high.leading_zeros();
        self.bits = if shift == 0 { high } else { high << shift | low >> (64 - shift) };
        self.exponent = BITS * (first + top as i32) - shift as i32;
        self.rest |= low << shift != 0 && shift < 64 || limbs.iter().take(top.saturating_sub(1)).any(|limb| *limb != 0);
    }

    /// Rounded to so many bits, from one to 63, as a whole number times a power of two; ties to even.
    fn rounded(&self, digits: i32) -> (u64, i32) {
        let cut = BITS - digits;
        let (whole, below, half) = (self.bits >> cut, self.bits & ((1 << cut) - 1), 1u64 << (cut - 1));
        let up = below > half || below == half && (self.rest || whole % 2 == 1);
        (whole + u64::from(up), self.exponent + cut)
    }

    /// The nearest double; ties to even.
    pub fn to_f64(&self) -> f64 {
        // Of numbers next to nothing, fewer digits count.
        let digits = DIGITS.min(self.exponent + BITS - LEAST);
        let magnitude = match digits {
            _ if self.bits == 0 => 0.0,
            1.. => {
                let (whole, exponent) = self.rounded(digits);
                scaled(whole as f64, exponent)
            }
            // Half of the least number, and more, is rounded up to it; exactly half to zero.
            0 if self.bits << 1 != 0 || self.rest => scaled(1.0, LEAST),
            _ => 0.0,
        };
        if self.negative { -magnitude } else { magnitude }
    }

    /// The square root, within one unit in the last place, as a double times `2^power`: it may be in range where the
    /// number is not.
    pub fn sqrt(&self) -> (f64, i32) {
        if self.bits == 0 {
            return (0.0, 0);
        }
        let (whole, exponent) = self.rounded(DIGITS);
        let odd = exponent.rem_euclid(2);
        ((whole as f64 * f64::from(1 + odd)).sqrt(), (exponent - odd) / 2)
    }

    /// The number as a double times `2^power`.
    pub fn to_scaled(&self) -> (f64, i32) {
        if self.bits == 0 {
            return (0.0, 0);
        }
        let (whole, exponent) = self.rounded(DIGITS);
        (if self.negative { -(whole as f64) } else { whole as f64 }, exponent)
    }
}

/// `value * 2^power`, rounded once where `value` has no more bits than the result can have.
pub fn scaled(value: f64, power: i32) -> f64 {
    let of_two = |power: i32| f64::from_bits(((1023 + power.clamp(-1022, 1023)) as u64) << 52);
    let half = power / 2;
    // Three factors: 2^-1074 is beyond the normal numbers, and so is 2^1024.
    value * of_two(half) * of_two((power - half) / 2) * of_two(power - half - (power - half) / 2)
}

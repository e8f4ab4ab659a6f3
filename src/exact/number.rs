//! Numbers that nothing is ever rounded off: two's complement, as wide as they need to be.
//!
//! U. Kulisch, "Computer arithmetic and validity" (2008), keeps the sum of doubles in a register as wide as their range; of
//! that register only the limbs that differ from zeros below and from the sign above are held here, so that most numbers take
//! two to five. A number has one form ([`Number::trim`]): equal numbers are equal limb by limb.

use crate::error::Error;
use crate::memory;
use smallvec::SmallVec;

/// Limbs: those of most sums lie in the number itself.
type Limbs = SmallVec<[u64; 5]>;

/// Bits of a limb.
const BITS: i32 = u64::BITS as i32;
/// Significant bits of a double, and the exponent of the last one at least.
const DIGITS: i32 = 53;
const LEAST: i32 = -1074;

/// A dyadic fraction: `limbs` in two's complement, the first of which weighs `2^(64 * first)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Number {
    first: i32,
    limbs: Limbs,
}

/// Make room for `more` limbs.
fn reserve(limbs: &mut Limbs, more: usize) -> Result<(), Error> {
    let count = limbs.len().saturating_add(more);
    limbs.try_reserve(more).map_err(|_| Error::OutOfMemory { count, size: size_of::<u64>() })
}

fn copied(limbs: &[u64], more: usize) -> Result<Limbs, Error> {
    let mut copy = Limbs::new();
    reserve(&mut copy, limbs.len() + more)?;
    copy.extend_from_slice(limbs);
    Ok(copy)
}

/// A finite double as a whole number times a power of two.
#[inline(always)]
pub fn parts(x: f64) -> (i64, i32) {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let mantissa = (bits & ((1 << 52) - 1)) | if exponent > 0 { 1 << 52 } else { 0 };
    (if bits >> 63 == 1 { -(mantissa as i64) } else { mantissa as i64 }, exponent.max(1) - 1075)
}

/// The sign of a two's complement number, as a limb.
#[inline(always)]
fn sign_of(limbs: &[u64]) -> u64 {
    limbs.last().map_or(0, |top| (*top as i64 >> 63) as u64)
}

impl Number {
    /// A whole number.
    pub fn from_u128(value: u128) -> Result<Self, Error> {
        let mut number = Self::default();
        if let Some(small) = i64::try_from(value).ok().filter(|small| *small > 0) {
            number.limbs.push(small as u64);
            return Ok(number);
        }
        number.add_limbs(0, &[value as u64, (value >> 64) as u64, 0])?;
        number.trim();
        Ok(number)
    }

    /// A finite double.
    pub fn from_f64(x: f64) -> Result<Self, Error> {
        let mut number = Self::default();
        number.add_f64(x)?;
        number.trim();
        Ok(number)
    }

    /// From limbs, as [`Self::limbs`] gives them; nothing where they are not in the one form.
    pub fn from_limbs(first: i32, limbs: &[u64]) -> Result<Option<Self>, Error> {
        let number = Self { first, limbs: copied(limbs, 0)? };
        Ok(number.is_trimmed().then_some(number))
    }

    /// The place of the first limb, and the limbs.
    pub fn limbs(&self) -> (i32, &[u64]) {
        (self.first, &self.limbs)
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { first: self.first, limbs: copied(&self.limbs, 0)? })
    }

    /// The number, where it is a whole one of at most 63 bits.
    pub fn to_u64(&self) -> Option<u64> {
        match (self.first, self.limbs.as_slice()) {
            (_, []) => Some(0),
            (0, [one]) if one >> 63 == 0 => Some(*one),
            _ => None,
        }
    }

    /// Make room for what adding another number takes.
    pub fn make_room(&mut self, other: &Self) -> Result<(), Error> {
        let last = |number: &Self| number.first as i64 + number.limbs.len() as i64;
        let first = i64::from(self.first.min(other.first));
        let most = (last(self).max(last(other)) - first) as usize + 1;
        let len = self.limbs.len();
        reserve(&mut self.limbs, most.saturating_sub(len))
    }

    /// Become zero, and keep the memory.
    pub fn clear(&mut self) {
        self.first = 0;
        self.limbs.clear();
    }

    /// Whether it is zero. (It need not be trimmed.)
    pub fn is_zero(&self) -> bool {
        self.limbs.iter().all(|limb| *limb == 0)
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        sign_of(&self.limbs) != 0
    }

    /// Add `value * 2^exponent`.
    #[inline]
    pub fn add_scaled(&mut self, value: i128, exponent: i32) -> Result<(), Error> {
        if value == 0 {
            return Ok(());
        }
        let (at, shift) = (exponent.div_euclid(BITS), exponent.rem_euclid(BITS));
        let low = (value as u128) << shift;
        let top = if shift == 0 { value >> 127 } else { value >> (128 - shift) } as u64;
        self.add_limbs(at, &[low as u64, (low >> 64) as u64, top])
    }

    /// Add a finite double.
    pub fn add_f64(&mut self, x: f64) -> Result<(), Error> {
        let (mantissa, exponent) = parts(x);
        self.add_scaled(i128::from(mantissa), exponent)
    }

    /// Add another number.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        self.add_limbs(other.first, &other.limbs)
    }

    /// Add a two's complement number whose first limb is number `at`. After an error nothing has changed.
    #[inline]
    fn add_limbs(&mut self, at: i32, limbs: &[u64]) -> Result<(), Error> {
        if limbs.is_empty() {
            return Ok(());
        }
        if self.limbs.is_empty() {
            reserve(&mut self.limbs, limbs.len() + 1)?;
            self.first = at;
            self.limbs.extend_from_slice(limbs);
            return Ok(());
        }
        if at >= self.first && (at - self.first) as usize + limbs.len() <= self.limbs.len() {
            return self.add_within((at - self.first) as usize, limbs);
        }
        let below = (self.first - at).max(0) as usize;
        let start = (at - self.first).max(0) as usize;
        let end = start + limbs.len();
        let above = end.saturating_sub(below + self.limbs.len());
        // One more, in case that the sum needs it.
        reserve(&mut self.limbs, below + above + 1)?;
        if below > 0 {
            self.limbs.insert_many(0, std::iter::repeat_n(0, below));
            self.first = at;
        }
        let own_sign = sign_of(&self.limbs);
        if above > 0 {
            self.limbs.extend(std::iter::repeat_n(own_sign, above));
        }
        self.add_within(start, limbs)
    }

    /// Add limbs from number `start` of ours on, above which we have others, or none.
    #[inline]
    fn add_within(&mut self, start: usize, limbs: &[u64]) -> Result<(), Error> {
        let (own_sign, sign, mut carry) = (sign_of(&self.limbs), sign_of(limbs), false);
        let (own, rest) = self.limbs.split_at_mut(start + limbs.len());
        let sum = |own: &mut u64, other: u64, carry: bool| {
            let (value, first) = own.overflowing_add(other);
            let (value, second) = value.overflowing_add(u64::from(carry));
            *own = value;
            first | second
        };
        for (own, other) in own.iter_mut().skip(start).zip(limbs) {
            carry = sum(own, *other, carry);
        }
        for own in rest {
            // A negative number has ones above, a positive one zeros: with this carry nothing changes any more.
            if carry == (sign != 0) {
                return Ok(());
            }
            carry = sum(own, sign, carry);
        }
        // Of two numbers of one sign the sum has that sign.
        if own_sign == sign && sign_of(&self.limbs) != sign {
            reserve(&mut self.limbs, 1)?;
            self.limbs.push(sign);
        }
        Ok(())
    }

    /// Bring into the one form: no zeros below, no more than one sign bit's limb above, and no limb at all for zero.
    pub fn trim(&mut self) {
        let sign = sign_of(&self.limbs);
        let redundant = |pair: &[u64]| matches!(pair, [below, top] if *top == sign && (below ^ sign) >> 63 == 0);
        while redundant(self.limbs.get(self.limbs.len().saturating_sub(2)..).unwrap_or_default()) {
            self.limbs.pop();
        }
        let zeros = self.limbs.iter().take_while(|limb| **limb == 0).count();
        if zeros > 0 {
            self.limbs.drain(..zeros);
        }
        self.first = if self.limbs.is_empty() { 0 } else { self.first + zeros as i32 };
    }

    fn is_trimmed(&self) -> bool {
        match self.limbs.as_slice() {
            [] => self.first == 0,
            [one] => *one != 0,
            [first, .., below, top] | [first @ below, top] => {
                let sign = (*top as i64 >> 63) as u64;
                *first != 0 && (*top != sign || (below ^ sign) >> 63 != 0)
            }
        }
    }

    /// The number with the other sign.
    pub fn negated(mut self) -> Result<Self, Error> {
        reserve(&mut self.limbs, 1)?;
        let sign = sign_of(&self.limbs);
        self.negate();
        // The least number of so many limbs has no counterpart among them.
        if sign != 0 && sign_of(&self.limbs) != 0 {
            self.limbs.push(0);
        }
        self.trim();
        Ok(self)
    }

    fn negate(&mut self) {
        let mut carry = true;
        for limb in &mut self.limbs {
            (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
        }
    }

    /// The magnitude, as limbs without a sign (the top one may use all of its bits).
    fn magnitude(&self) -> Result<Limbs, Error> {
        let mut copy = self.try_clone()?;
        if self.is_negative() {
            copy.negate();
        }
        Ok(copy.limbs)
    }

    /// The product with another number.
    pub fn times(&self, other: &Self) -> Result<Self, Error> {
        let (ours, theirs) = (self.magnitude()?, other.magnitude()?);
        let mut limbs = Limbs::new();
        reserve(&mut limbs, ours.len() + theirs.len() + 2)?;
        limbs.resize(ours.len() + theirs.len() + 1, 0);
        for (i, a) in ours.iter().enumerate() {
            let mut carry = 0u128;
            let places = limbs.iter_mut().skip(i);
            for (place, b) in places.zip(theirs.iter().chain([&0])) {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(*place) + carry;
                (*place, carry) = (sum as u64, sum >> 64);
            }
        }
        let mut product = Self { first: self.first + other.first, limbs };
        product.trim();
        if self.is_negative() != other.is_negative() { product.negated() } else { Ok(product) }
    }

    /// The difference from another number.
    pub fn minus(&self, other: &Self) -> Result<Self, Error> {
        let mut difference = other.try_clone()?.negated()?;
        difference.add(self)?;
        difference.trim();
        Ok(difference)
    }

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
    rest: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A finite double of any magnitude.
    fn double() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite())
    }

    fn number(x: f64) -> Number {
        Number::from_f64(x).unwrap()
    }

    fn sum(values: &[f64]) -> Number {
        let mut sum = Number::default();
        values.iter().for_each(|x| sum.add_f64(*x).unwrap());
        sum.trim();
        sum
    }

    proptest! {
        #[test]
        fn doubles_come_back(x in double()) {
            prop_assert_eq!(number(x).to_f64().unwrap(), x);
            prop_assert!(number(x).is_trimmed());
            prop_assert_eq!(number(x).negated().unwrap(), number(-x));
        }

        #[test]
        fn sums_do_not_depend_on_the_order(mut values in prop::collection::vec(double(), 0..20), cut in 0usize..20) {
            let whole = sum(&values);
            let cut = cut.min(values.len());
            let mut parts = sum(&values[..cut]);
            parts.add(&sum(&values[cut..])).unwrap();
            parts.trim();
            prop_assert_eq!(&parts, &whole);
            values.reverse();
            prop_assert_eq!(&sum(&values), &whole);
            prop_assert!(whole.is_trimmed());
            let back: Vec<f64> = values.iter().chain(&[]).map(|x| -x).collect();
            prop_assert_eq!(sum(&back), whole.try_clone().unwrap().negated().unwrap());
            prop_assert_eq!(whole.minus(&whole).unwrap(), Number::default());
            let (first, limbs) = whole.limbs();
            prop_assert_eq!(Number::from_limbs(first, limbs).unwrap(), Some(whole.try_clone().unwrap()));
        }

        #[test]
        fn products_and_quotients_undo_each_other(a in double(), b in double(), c in double()) {
            let (a, b, c) = (number(a), number(b), number(c));
            let product = a.times(&b).unwrap().times(&c).unwrap();
            prop_assert_eq!(&product, &c.times(&b).unwrap().times(&a).unwrap());
            for (one, others) in [(&a, b.times(&c).unwrap()), (&b, c.times(&a).unwrap()), (&c, a.times(&b).unwrap())] {
                if others.is_negative() || others.is_zero() {
                    continue;
                }
                let quotient = product.over(&others).unwrap();
                prop_assert_eq!(quotient.to_f64(), one.to_f64().unwrap());
                prop_assert!(!quotient.rest);
            }
        }

        #[test]
        fn quotients_of_whole_numbers(a in any::<i128>(), b in 1u128.., shift in 0u32..64) {
            // The nearest double q of a / b is that for which |a - q b| is least; ties are even.
            let (numerator, divisor) = (Number::from_u128(a.unsigned_abs()).unwrap(), Number::from_u128(b >> shift | 1).unwrap());
            let numerator = if a < 0 { numerator.negated().unwrap() } else { numerator };
            let q = numerator.over(&divisor).unwrap().to_f64();
            let off = |q: f64| {
                let off = numerator.minus(&number(q).times(&divisor).unwrap()).unwrap();
                if off.is_negative() { off.negated().unwrap() } else { off }
            };
            for other in [q.next_up(), q.next_down()] {
                let difference = off(other).minus(&off(q)).unwrap();
                prop_assert!(!difference.is_negative());
                prop_assert!(!difference.is_zero() || q.to_bits() % 2 == 0);
            }
        }

        #[test]
        fn the_quick_quotients_are_the_others(
            values in prop::collection::vec((-1000i64..1000).prop_map(|x| x as f64 / 7.0), 1..20), power in -300i32..300, ddof in 0u64..3, times in 1u64..1 << 62
        ) {
            let unit = 2f64.powi(power);
            let values: Vec<f64> = values.iter().map(|x| x * unit).collect();
            let whole = |x: u64| Number::from_u128(x.into()).unwrap();
            let squares: Vec<Number> = values.iter().map(|x| number(*x).times(&number(*x)).unwrap()).collect();
            let mut square = Number::default();
            squares.iter().for_each(|x| square.add(x).unwrap());
            square.trim();
            let (sum, square) = (sum(&values).times(&whole(times)).unwrap(), square.times(&whole(times)).unwrap());
            let Some(count) = times.checked_mul(values.len() as u64) else { return Ok(()) };
            prop_assert_eq!(mean(&sum, count), Some(sum.over(&whole(count)).unwrap()));
            if count > ddof {
                let scaled = square.times(&whole(count)).unwrap().minus(&sum.times(&sum).unwrap()).unwrap();
                let expected = scaled.over(&whole(count).times(&whole(count - ddof)).unwrap()).unwrap();
                prop_assert_eq!(variance(&sum, &square, count, count - ddof), Some(expected));
            }
        }

        #[test]
        fn roots(x in double()) {
            let (root, power) = number(x.abs()).over(&number(1.0)).unwrap().sqrt();
            prop_assert_eq!(scaled(root, power), x.abs().sqrt());
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let least = f64::from_bits(1);
        let two = number(2.0);
        assert_eq!(number(least).over(&two).unwrap().to_f64(), 0.0);
        assert_eq!(number(3.0 * least).over(&two).unwrap().to_f64(), 2.0 * least);
        assert_eq!(number(3.0 * least).over(&number(4.0)).unwrap().to_f64(), least);
        assert_eq!(number(least).over(&number(1.5)).unwrap().to_f64(), least);
        assert_eq!(number(-least).over(&number(3.0)).unwrap().to_f64(), -0.0);
        let beyond = sum(&[f64::MAX, f64::MAX]);
        assert_eq!(beyond.to_f64().unwrap(), f64::INFINITY);
        assert_eq!(beyond.over(&two).unwrap().to_f64(), f64::MAX);
        assert_eq!(Number::default().over(&two).unwrap().to_f64(), 0.0);
        assert_eq!(sum(&[1.0, -1.0]), Number::default());
        assert_eq!(sum(&[1e300, 1.0, -1e300]).to_f64().unwrap(), 1.0);
        let square = beyond.times(&beyond).unwrap();
        let (root, power) = square.over(&number(16.0)).unwrap().sqrt();
        assert_eq!(scaled(root, power), f64::MAX / 2.0);
    }

    #[test]
    fn other_forms_are_refused() {
        let of = |first: i32, limbs: &[u64]| Number::from_limbs(first, limbs).unwrap();
        assert_eq!(of(0, &[]), Some(Number::default()));
        assert!(of(3, &[]).is_none() && of(0, &[0]).is_none() && of(0, &[0, 1]).is_none());
        assert!(of(0, &[1, 0]).is_none() && of(0, &[u64::MAX, u64::MAX]).is_none());
        assert!(of(0, &[u64::MAX, 0]).is_some() && of(0, &[1, u64::MAX]).is_some() && of(0, &[u64::MAX]).is_some());
    }
}

//! Numbers that nothing is ever rounded off: two's complement, as wide as they need to be.
//!
//! U. Kulisch, "Computer arithmetic and validity" (2008), keeps the sum of doubles in a register as wide as their range; of
//! that register only the limbs that differ from zeros below and from the sign above are held here, so that most numbers take
//! two to five. A number has one form ([`Number::trim`]): equal numbers are equal limb by limb.

use crate::error::Error;
use smallvec::SmallVec;

/// Limbs: those of most sums lie in the number itself.
pub(super) type Limbs = SmallVec<[u64; 4]>;

/// Bits of a limb.
pub(super) const BITS: i32 = u64::BITS as i32;
/// A dyadic fraction: `limbs` in two's complement, the first of which weighs `2^(64 * first)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Number {
    pub(super) first: i32,
    pub(super) limbs: Limbs,
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
pub(super) fn sign_of(limbs: &[u64]) -> u64 {
    limbs.last().map_or(0, |top| (*top as i64 >> 63) as u64)
}

/// Limbs without zeros below and without more than the sign above; how many zeros there were.
#[inline]
fn stripped(limbs: &[u64]) -> (usize, &[u64]) {
    let sign = sign_of(limbs);
    let mut kept = limbs;
    while let [rest @ .., below, top] = kept
        && *top == sign
        && (below ^ sign) >> 63 == 0
    {
        kept = limbs.get(..=rest.len()).unwrap_or_default();
    }
    let mut zeros = 0;
    while let [0, rest @ ..] = kept {
        (kept, zeros) = (rest, zeros + 1);
    }
    (zeros, kept)
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
            let (zeros, limbs) = stripped(limbs);
            reserve(&mut self.limbs, limbs.len())?;
            self.first = at + zeros as i32;
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
    #[inline]
    pub fn trim(&mut self) {
        let (zeros, len) = {
            let (zeros, limbs) = stripped(&self.limbs);
            (zeros, limbs.len())
        };
        if zeros > 0 {
            self.limbs.copy_within(zeros..zeros + len, 0);
        }
        self.limbs.truncate(len);
        self.first = if len == 0 { 0 } else { self.first + zeros as i32 };
    }

    pub(super) fn is_trimmed(&self) -> bool {
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
    pub(super) fn magnitude(&self) -> Result<Limbs, Error> {
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
}

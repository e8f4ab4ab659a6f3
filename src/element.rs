//! What an array may hold.
//!
//! An [`Element`] is read in its own width and widened in registers: to `f64` for sums and maps ([`Element::to_f64`]),
//! to a [`Key`] of its own kind for comparisons. All conversions are branch-free, so that the loops over them
//! vectorise on every instruction set.

use crate::array::DType;
pub use half::{bf16, f16};

/// NumPy's one-byte truth value. Any byte but zero is true, as when NumPy casts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bool(pub u8);

/// A value that can be read from an array.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// Its dtype; of a type that no array has, the nearest.
    const DTYPE: DType;
    /// The type in which elements are compared.
    type Key: Key;
    /// The type that holds every value and that maps are compiled for: the others are converted to it, exactly.
    type Wide: Wide;
    /// Whether it is an integer of at most 16 bits.
    const IS_SMALL: bool = false;
    /// Whether every value is one of `f32`.
    const FITS_F32: bool = Self::IS_SMALL;
    /// The value as `f64`; exact but for 64-bit integers beyond 2^53, which round to nearest.
    fn to_f64(self) -> f64;
    /// The value as `f32`; exact for small integers, rounded to nearest else.
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.to_f64() as f32
    }
    /// The value for comparisons.
    fn key(self) -> Self::Key;
    /// Whether `f64` does not hold every value.
    const IS_WIDE: bool = false;
    /// The value as the sum of two `f64`, exactly.
    #[inline(always)]
    fn as_sum(self) -> [f64; 2] {
        [self.to_f64(), 0.0]
    }
}

/// An element that others are converted to before they are mapped.
pub trait Wide: Element {
    /// In the place of an element that is missing: not-a-number.
    const MISSING: Self;
    /// The value of `element`, which it holds.
    fn of<T: Element>(element: T) -> Self;
}

impl Wide for f32 {
    const MISSING: Self = Self::NAN;
    #[inline(always)]
    fn of<T: Element>(element: T) -> Self {
        element.to_f32()
    }
}

impl Wide for f64 {
    const MISSING: Self = Self::NAN;
    #[inline(always)]
    fn of<T: Element>(element: T) -> Self {
        element.to_f64()
    }
}

/// The sum of two doubles, which holds every integer of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sum(pub [f64; 2]);

impl Wide for Sum {
    const MISSING: Self = Self([f64::NAN, 0.0]);
    #[inline(always)]
    fn of<T: Element>(element: T) -> Self {
        Self(element.as_sum())
    }
}

impl Element for Sum {
    const DTYPE: DType = DType::F64;
    type Key = f64;
    type Wide = Self;
    const IS_WIDE: bool = true;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.0[0] + self.0[1]
    }
    #[inline(always)]
    fn key(self) -> f64 {
        self.to_f64()
    }
    #[inline(always)]
    fn as_sum(self) -> [f64; 2] {
        self.0
    }
}

/// A type whose minimum and maximum the kernels can track. Comparisons with NaN are false, as IEEE 754 has it.
pub trait Key: Copy + PartialOrd + Send + Sync + std::fmt::Debug + 'static {
    /// An unsigned integer, of the same width where there is one: what lanes of it are counted in.
    type Count: Count;
    /// Not below any value: where a running minimum starts.
    const TOP: Self;
    /// Not above any value: where a running maximum starts.
    const BOTTOM: Self;
    /// Zero.
    const ZERO: Self;
    /// The absolute value; integers, which have no infinity, may give zero.
    fn magnitude(self) -> Self;
    /// Whether a magnitude is infinite.
    fn is_infinite(self) -> bool;
    /// The value as `f64`.
    fn to_f64(self) -> f64;
    /// An integer in the same order, for what is no NaN: from zero on for integers.
    fn ordered(self) -> Self::Count;
    /// The key that [`Self::ordered`] made an integer of.
    fn from_ordered(ordered: Self::Count) -> Self;
}

/// An integer that lanes are counted in.
pub trait Count:
    Copy + Default + Ord + Send + Sync + std::fmt::Debug + std::ops::AddAssign + std::ops::BitOrAssign + 'static
{
    /// Its width.
    const BITS: u32;
    /// One or zero.
    fn one(condition: bool) -> Self;
    /// All bits of `self`, or none.
    fn only_if(self, condition: bool) -> Self;
    /// The value.
    fn to_u64(self) -> u64;
}

macro_rules! count {
    ($($t:ty),*) => {$(
        impl Count for $t {
            const BITS: u32 = Self::BITS;
            #[inline(always)]
            fn one(condition: bool) -> Self { Self::from(condition) }
            #[inline(always)]
            fn only_if(self, condition: bool) -> Self { if condition { self } else { 0 } }
            #[inline(always)]
            fn to_u64(self) -> u64 { u64::from(self) }
        }
    )*};
}
count!(u32, u64);

/// A floating-point type that a map can write.
pub trait Output: Element {
    /// Whether `f64` arithmetic alone is too coarse for a result within one ulp.
    const NEEDS_EXACT: bool;
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The nearest value.
    fn from_f32(value: f32) -> Self;
}

macro_rules! integer_key {
    ($($t:ty, $dtype:ident, $count:ty, $via:ty, $small:expr, $wide:expr);*) => {$(
        impl Key for $t {
            type Count = $count;
            const TOP: Self = <$t>::MAX;
            const BOTTOM: Self = <$t>::MIN;
            const ZERO: Self = 0;
            #[inline(always)]
            fn magnitude(self) -> Self { 0 }
            #[inline(always)]
            fn is_infinite(self) -> bool { false }
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn ordered(self) -> $count { self.abs_diff(Self::MIN).into() }
            #[inline(always)]
            fn from_ordered(ordered: $count) -> Self { Self::MIN.wrapping_add(ordered as Self) }
        }
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
            type Key = $t;
            type Wide = $via;
            const IS_SMALL: bool = $small;
            const IS_WIDE: bool = $wide;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn as_sum(self) -> [f64; 2] {
                if !Self::IS_WIDE {
                    return [self as f64, 0.0];
                }
                // The upper and the lower 32 bits.
                let low = self & (u32::MAX as Self);
                [(self - low) as f64, f64::from(low as u32)]
            }
            #[inline(always)]
            fn to_f32(self) -> f32 { self as f32 }
            #[inline(always)]
            fn key(self) -> $t { self }
        }
    )*};
}
integer_key!(
    u8, U8, u32, f32, true, false; u16, U16, u32, f32, true, false; u32, U32, u32, f64, false, false; u64, U64, u64, Sum, false, true;
    i8, I8, u32, f32, true, false; i16, I16, u32, f32, true, false; i32, I32, u32, f64, false, false; i64, I64, u64, Sum, false, true
);

macro_rules! float_key {
    ($($t:ty, $dtype:ident, $count:ty, $sign:expr, $fits:expr);*) => {$(
        impl Key for $t {
            type Count = $count;
            const TOP: Self = <$t>::INFINITY;
            const BOTTOM: Self = <$t>::NEG_INFINITY;
            const ZERO: Self = 0.0;
            #[inline(always)]
            fn magnitude(self) -> Self { self.abs() }
            #[inline(always)]
            fn is_infinite(self) -> bool { self == <$t>::INFINITY }
            #[inline(always)]
            fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)]
            fn ordered(self) -> $count {
                // Negative numbers, whose magnitude falls as they rise, have all bits turned; others only the sign's.
                let bits = self.to_bits();
                if self.is_sign_negative() { !bits } else { bits | $sign }
            }
            #[inline(always)]
            fn from_ordered(ordered: $count) -> Self {
                Self::from_bits(if ordered & $sign == 0 { !ordered } else { ordered ^ $sign })
            }
        }
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
            type Key = $t;
            type Wide = $t;
            const FITS_F32: bool = $fits;
            #[inline(always)]
            fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)]
            fn key(self) -> $t { self }
        }
    )*};
}
float_key!(f32, F32, u32, 1 << 31, true; f64, F64, u64, 1 << 63, false);

impl Element for Bool {
    const DTYPE: DType = DType::Bool;
    type Key = u8;
    type Wide = f32;
    const IS_SMALL: bool = true;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.key())
    }
    #[inline(always)]
    fn key(self) -> u8 {
        u8::from(self.0 != 0)
    }
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
    type Key = f32;
    type Wide = f32;
    const FITS_F32: bool = true;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.key())
    }
    #[inline(always)]
    fn key(self) -> f32 {
        f16_to_f32(self.to_bits())
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::BF16;
    type Key = f32;
    type Wide = f32;
    const FITS_F32: bool = true;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.key())
    }
    #[inline(always)]
    fn key(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Output for f64 {
    const NEEDS_EXACT: bool = true;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }
}

impl Output for f32 {
    const NEEDS_EXACT: bool = false;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
}

/// `value` with so many digits less that `f32` holds the others, the last of which is one if any was lost: what is then
/// rounded to 16 bits is rounded as `value` would be (S. Boldo, G. Melquiond, "Emulation of a FMA and correctly rounded
/// sums: proved algorithms using rounding to odd", IEEE Trans. Comput. 57 (2008)). Of the numbers that are too small to be
/// more than zero in 16 bits, `f32` need not hold any.
#[inline(always)]
fn to_odd(value: f64) -> f32 {
    // Twelve digits after the point stay: bfloat16 at the end of its range is at that of f32.
    const LOST: u64 = (1 << 40) - 1;
    let bits = value.to_bits();
    f64::from_bits((bits | ((bits & LOST) + LOST)) & !LOST) as f32
}

impl Output for f16 {
    const NEEDS_EXACT: bool = false;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Self::from_f32(to_odd(value))
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f16::from_bits(f32_to_f16(value))
    }
}

impl Output for bf16 {
    const NEEDS_EXACT: bool = false;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Self::from_f32(to_odd(value))
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        bf16::from_bits(f32_to_bf16(value))
    }
}

/// Bits of an IEEE 754 binary16 as `f32`, exactly. The exponent is rebased by an integer addition; subnormals are
/// normalised by one subtraction of `f32` in the normal range, so that flush-to-zero modes cannot touch them.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    const REBIAS: u32 = (127 - 15) << 23;
    const SMALLEST_NORMAL: u32 = (127 - 14) << 23;
    let shifted = (u32::from(bits) & 0x7fff) << 13;
    let sign = (u32::from(bits) & 0x8000) << 16;
    let normal = shifted + REBIAS;
    let special = normal + REBIAS;
    let subnormal = (f32::from_bits(shifted | SMALLEST_NORMAL) - f32::from_bits(SMALLEST_NORMAL)).to_bits();
    let magnitude = if shifted >= 0x7c00 << 13 { special } else { normal };
    let magnitude = if shifted < 0x0400 << 13 { subnormal } else { magnitude };
    f32::from_bits(magnitude | sign)
}

/// `f32` as the bits of the nearest binary16, ties to even.
#[inline(always)]
fn f32_to_f16(value: f32) -> u16 {
    const OVERFLOW: u32 = (127 + 16) << 23;
    const SMALLEST_NORMAL: u32 = (127 - 14) << 23;
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Adding one half leaves the subnormal's bits, correctly rounded, at the bottom of the significand.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub((127 - 15) << 23).wrapping_add(0x0fff + odd) >> 13;
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let rounded = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let rounded = if magnitude >= OVERFLOW { special } else { rounded };
    (rounded | sign) as u16
}

/// `f32` as the bits of the nearest bfloat16, ties to even.
#[inline(always)]
fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let odd = (bits >> 16) & 1;
    let rounded = bits.wrapping_add(0x7fff + odd) >> 16;
    let quiet_nan = (bits >> 16) | 0x0040;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { quiet_nan } else { rounded }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_widens_exactly_and_returns() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), f16::from_bits(bits).to_f32());
            assert!(ours == theirs || (ours.is_nan() && theirs.is_nan()), "{bits:#06x}");
            let back = f32_to_f16(ours);
            assert!(back == bits || ours.is_nan() && f16::from_bits(back).is_nan(), "{bits:#06x} -> {back:#06x}");
            let (ours, theirs) = (bf16::from_bits(bits).key(), bf16::from_bits(bits).to_f32());
            assert!(ours == theirs || (ours.is_nan() && theirs.is_nan()), "{bits:#06x}");
        }
    }

    #[test]
    fn narrowing_rounds_as_the_half_crate_does() {
        // A prime step visits every exponent and a spread of significands; the offsets sit on the rounding ties.
        for high in (0..=u32::MAX >> 12).step_by(7) {
            for low in [0u32, 1, 0x7ff, 0x800, 0x801, 0xfff] {
                let value = f32::from_bits(high << 12 | low);
                let (ours, theirs) = (f16::from_bits(f32_to_f16(value)), f16::from_f32(value));
                assert!(ours == theirs || (ours.is_nan() && theirs.is_nan()), "{value:e}: {ours:?} {theirs:?}");
                let (ours, theirs) = (bf16::from_bits(f32_to_bf16(value)), bf16::from_f32(value));
                assert!(ours == theirs || (ours.is_nan() && theirs.is_nan()), "{value:e}: {ours:?} {theirs:?}");
            }
        }
    }

    #[test]
    fn doubles_are_rounded_to_16_bits_once() {
        // Around every value and every tie between two, in both directions.
        fn check<U: Output>(make: impl Fn(u16) -> U, to_bits: impl Fn(U) -> u16) {
            for bits in 0..0x7fff_u16 {
                let (low, high) = (make(bits).to_f64(), make(bits + 1).to_f64());
                // Beyond the largest value lies what would be the next.
                let high = if high.is_infinite() { 2.0 * low - make(bits - 1).to_f64() } else { high };
                if low.is_nan() || high.is_nan() || low.is_infinite() {
                    continue;
                }
                let tie = low + (high - low) / 2.0;
                let even = if bits % 2 == 0 { bits } else { bits + 1 };
                let expected =
                    [(tie, even), (tie.next_down(), bits), (tie.next_up(), bits + 1), (low, bits), (high, bits + 1)];
                for (value, expected) in expected {
                    assert_eq!(to_bits(U::from_f64(value)), expected, "{value:e}");
                    assert_eq!(to_bits(U::from_f64(-value)), expected | 0x8000, "{value:e}");
                }
            }
            assert!(U::from_f64(f64::NAN).to_f64().is_nan());
            assert!(U::from_f64(f64::from_bits(0x7ff0_0000_0000_0001)).to_f64().is_nan());
            assert_eq!(U::from_f64(f64::MAX).to_f64(), f64::INFINITY);
            assert_eq!(U::from_f64(f64::NEG_INFINITY).to_f64(), f64::NEG_INFINITY);
            assert_eq!(to_bits(U::from_f64(-5e-324)), 0x8000);
        }
        check(f16::from_bits, f16::to_bits);
        check(bf16::from_bits, bf16::to_bits);
    }

    #[test]
    fn parts_of_integers_are_exact() {
        for value in [0, 1, u64::MAX, u64::MAX - 1, (1 << 53) + 1, (1 << 63) + 1] {
            let [high, low] = value.as_sum();
            assert_eq!(high as u128 + low as u128, u128::from(value));
        }
        for value in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX, -(1 << 53) - 1] {
            let [high, low] = value.as_sum();
            assert_eq!(high as i128 + low as i128, i128::from(value));
        }
    }

    #[test]
    fn ordered_integers_are_in_the_order_of_the_keys() {
        fn check<K: Key>(ascending: &[K]) {
            assert!(ascending.windows(2).all(|pair| pair[0].ordered() < pair[1].ordered()), "{ascending:?}");
            assert!(ascending.iter().all(|key| K::from_ordered(key.ordered()) == *key), "{ascending:?}");
        }
        check(&[i8::MIN, -1, 0, 1, i8::MAX]);
        check(&[0u16, 1, u16::MAX]);
        check(&[i32::MIN, -7, 0, i32::MAX]);
        check(&[i64::MIN, -7, 0, i64::MAX]);
        check(&[0u64, 1 << 63, u64::MAX]);
        check(&[f32::NEG_INFINITY, f32::MIN, -1.5, -1e-45, 0.0, 1e-45, 2.0, f32::INFINITY]);
        check(&[f64::NEG_INFINITY, -1.5, -5e-324, 0.0, 5e-324, 2.0, f64::MAX]);
    }

    #[test]
    fn any_byte_but_zero_is_true() {
        assert_eq!([0, 1, 2, 255].map(|b| Bool(b).to_f64()), [0.0, 1.0, 1.0, 1.0]);
    }
}

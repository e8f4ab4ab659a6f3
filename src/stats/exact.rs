//! Exact arithmetic on integer sums.

use crate::dd::Dd;

/// `a * b` in 256 bits, as upper and lower half.
fn wide_mul(a: u128, b: u128) -> (u128, u128) {
    const MASK: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & MASK, b >> 64, b & MASK);
    let low = a0 * b0;
    let (cross, carry) = (a1 * b0).overflowing_add(a0 * b1);
    let (low, low_carry) = low.overflowing_add(cross << 64);
    let high = a1 * b1 + (cross >> 64) + (u128::from(carry) << 64) + u128::from(low_carry);
    (high, low)
}

/// `n * square - sum^2`, which is `n^2` times the variance, rounded once to 106 bits. The difference cannot be
/// negative for sums of real elements (Cauchy-Schwarz); for impossible ones it is zero.
pub fn scaled_variance(n: u64, sum: i128, square: u128) -> Dd {
    let (left_high, left_low) = wide_mul(u128::from(n), square);
    let (right_high, right_low) = wide_mul(sum.unsigned_abs(), sum.unsigned_abs());
    let (low, borrow) = left_low.overflowing_sub(right_low);
    let Some(high) = left_high.checked_sub(right_high).and_then(|high| high.checked_sub(u128::from(borrow))) else {
        return Dd::ZERO;
    };
    Dd::from_u128(high) * Dd::from(2f64.powi(128)) + Dd::from_u128(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_into_256_bits() {
        assert_eq!(wide_mul(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(wide_mul(1 << 100, 1 << 100), (1 << 72, 0));
        assert_eq!(wide_mul(12345, 67890), (0, 12345 * 67890));
    }

    #[test]
    fn the_variance_of_two_points() {
        // x = {a, a + 1}: n * sum(x^2) - (sum x)^2 = 1, far below the rounding of the parts.
        let a = i128::from(u32::MAX) - 1;
        let (sum, square) = (2 * a + 1, (a * a + (a + 1) * (a + 1)) as u128);
        assert_eq!(scaled_variance(2, sum, square).to_f64(), 1.0);
        assert_eq!(scaled_variance(2, sum, square - 1), Dd::ZERO);
    }
}

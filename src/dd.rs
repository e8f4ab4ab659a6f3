//! Double-double arithmetic: an unevaluated sum of two `f64`, about 106 significant bits.
//!
//! Lengths of vectors and parameters of maps are kept in it. Algorithms: T. J. Dekker, "A floating-point technique for extending the
//! available precision", Numer. Math. 18 (1971); D. E. Knuth, TAOCP vol. 2, 4.2.2 (two-sum); M. Joldes, J.-M. Muller,
//! V. Popescu, "Tight and rigorous error bounds for basic building blocks of double-word arithmetic", ACM TOMS 44
//! (2017), whose algorithm numbers stand beside the functions.

/// `hi + lo` with `|lo| <= ulp(hi) / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dd {
    /// The value rounded to `f64`.
    pub hi: f64,
    /// What that rounding left over.
    pub lo: f64,
}

/// `a + b` exactly, as sum and error, for any order of magnitudes.
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_virtual = sum - a;
    let a_virtual = sum - b_virtual;
    (sum, (a - a_virtual) + (b - b_virtual))
}

/// `a + b` exactly, for `|a| >= |b|` or `a == 0`.
#[inline(always)]
fn fast_two_sum(a: f64, b: f64) -> Dd {
    // The error of an infinite sum is NaN: there is nothing to carry on.
    let hi = if b.is_nan() { a } else { a + b };
    let lo = b - (hi - a);
    Dd { hi, lo: if lo.is_nan() { 0.0 } else { lo } }
}

/// `a * b` exactly, as product and error.
#[inline(always)]
fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

impl Dd {
    /// Zero.
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };

    /// The value as `f64`, rounded to nearest.
    #[inline(always)]
    pub fn to_f64(self) -> f64 {
        self.hi + self.lo
    }

    /// Sum with a double (algorithm 4).
    #[inline(always)]
    pub fn add_f64(self, other: f64) -> Self {
        let (hi, lo) = two_sum(self.hi, other);
        fast_two_sum(hi, lo + self.lo)
    }
}

impl From<f64> for Dd {
    #[inline(always)]
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

impl std::ops::Neg for Dd {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl std::ops::Add for Dd {
    type Output = Self;
    /// Algorithm 6.
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (s_hi, s_lo) = two_sum(self.hi, other.hi);
        let (t_hi, t_lo) = two_sum(self.lo, other.lo);
        let v = fast_two_sum(s_hi, s_lo + t_hi);
        fast_two_sum(v.hi, t_lo + v.lo)
    }
}

impl std::ops::Sub for Dd {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl std::ops::Mul for Dd {
    type Output = Self;
    /// Algorithm 12.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (hi, lo) = two_prod(self.hi, other.hi);
        let cross = self.hi.mul_add(other.lo, self.lo * other.hi + self.lo * other.lo);
        fast_two_sum(hi, lo + cross)
    }
}

impl std::ops::Div for Dd {
    type Output = Self;
    /// Long division with two correction steps (in the spirit of algorithm 17).
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        if !first.is_finite() || first == 0.0 {
            return Self::from(first);
        }
        let rest = self - other * Self::from(first);
        let second = rest.hi / other.hi;
        let rest = rest - other * Self::from(second);
        let third = rest.hi / other.hi;
        let sum = fast_two_sum(first, second);
        sum.add_f64(third)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_double_loses() {
        let x = Dd::from(1.0).add_f64(1e-25);
        assert_eq!(x.hi, 1.0);
        assert_eq!((x - Dd::from(1.0)).to_f64(), 1e-25);
    }

    #[test]
    fn divides_and_multiplies_back() {
        for (a, b) in [(1.0, 3.0), (2.0f64.powi(90), 7.0), (1e-100, 1e100), (-5.5, 1.0 / 3.0)] {
            let back = Dd::from(a) / Dd::from(b) * Dd::from(b) - Dd::from(a);
            assert!(back.hi.abs() <= a.abs() * 2f64.powi(-100), "{a} / {b}: {back:?}");
        }
        assert_eq!((Dd::from(1.0) / Dd::ZERO).hi, f64::INFINITY);
    }

    #[test]
    fn infinities_stay_infinite() {
        let inf = Dd::from(f64::INFINITY);
        assert_eq!(inf.add_f64(1.0).to_f64(), f64::INFINITY);
        assert_eq!((inf + inf).to_f64(), f64::INFINITY);
        assert!((inf - inf).to_f64().is_nan());
    }
}

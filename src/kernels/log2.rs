//! Binary logarithms and powers of two, from which those of every other base are made by a factor.
//!
//! Two precisions of each. The *fast* ones are plain doubles, within 2^-43 of the exact value relatively: enough for
//! results of at most 32 bits. The *exact* ones are sums of two doubles, within 2^-58, so that whatever is done with them
//! can be rounded to `f64` as if they were the exact values in all but one case in a few dozen.
//!
//! **Logarithm.** `x = 2^k m` with `m` from `sqrt(1/2)` to `sqrt(2)`, which takes integer arithmetic on the bits. With
//! `f = m - 1` (exact) and `q = f / (2 + f)`, `log2(m) = 2 / ln(2) * atanh(q)`, a polynomial in `q^2`, which is at most
//! 0.0295. Where `1 + x` is asked for, what rounding that sum lost joins `f`. **Power.** `t = k + f` with `f` from -1/2 to
//! 1/2; `2^f - 1` is a polynomial in `f`, and `2^k` bits of an exponent. No tables, so that the compiler vectorises all of
//! it. J.-M. Muller, "Elementary Functions" (2016), chapters 5 and 6; the coefficients are minimax, by Remez' algorithm
//! in 200 bits.
//!
//! Unlike other kernels these fuse multiplications with additions: at every level, by `mul_add`, whose result does not
//! depend on whether the CPU has an instruction for it. The order of operations is fixed, so the bits are too.

use crate::dd::two_sum;

/// `2 / ln(2) * atanh(sqrt(z)) / sqrt(z)`, within 2^-45.1 relatively.
const LOG2: [f64; 6] = [
    2.88539008177785,
    0.961796694113488,
    0.5770779423171936,
    0.41220925759433286,
    0.31990546873751746,
    0.28290360717170365,
];
/// `2 / ln(2)`, in two words.
pub const LOG2_FIRST: (f64, f64) = (2.8853900817779268, 4.0710547481862066e-17);
/// `2 / ln(2) * (atanh(sqrt(z)) / sqrt(z) - 1) / z`, within 2^-65.4 relatively.
const LOG2_TAIL: [f64; 9] = [
    0.9617966939259756,
    0.5770780163555852,
    0.41219858311123075,
    0.32059889794110596,
    0.26230819521081544,
    0.22195250124880817,
    0.19239264930585992,
    0.1686228717751905,
    0.17143065949123854,
];
/// `(2^f - 1) / f`, within 2^-43.6 relatively.
const EXP2: [f64; 9] = [
    0.6931471805599377,
    0.24022650695814007,
    0.05550410866573461,
    0.009618129159082413,
    0.001333355798386633,
    0.00015403456103469203,
    1.525281189642178e-05,
    1.3255168666912973e-06,
    1.0178093189165489e-07,
];
/// `ln(2)`, in two words.
pub const LN2: (f64, f64) = (std::f64::consts::LN_2, 2.3190468138462996e-17);
/// `(2^f - 1 - ln(2) f) / f^2`, within 2^-64.7 relatively.
const EXP2_TAIL: [f64; 12] = [
    0.24022650695910072,
    0.05550410866482158,
    0.00961812910762848,
    0.001333355814642843,
    0.00015403530393370759,
    1.525273380408431e-05,
    1.3215486808677304e-06,
    1.0178085990836711e-07,
    7.054897316440221e-09,
    4.445542451189266e-10,
    2.5729305535043265e-11,
    1.3699299198021533e-12,
];

/// Numbers of at least this size swallow a one that is added to them, as far as a result in two words can tell.
const SWALLOWS_ONE: f64 = 1e36;
/// Exponents of two beyond which every result of a power is zero or infinite.
const LARGEST_POWER: f64 = 1100.0;
/// Exponents of two from which on `2^t - 1` is `2^t`, and, negative, minus one.
const SWALLOWED_ONE: f64 = 128.0;
/// Adding it rounds a double of up to 2^51 to a whole number, which its lowest bits then hold.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// A sum of two doubles, the second at most half a unit in the last place of the first.
pub type Pair = (f64, f64);

/// `a + b`, for `|a| >= |b|` or `a == 0`.
#[inline(always)]
fn normalised(a: f64, b: f64) -> Pair {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// The polynomial with these coefficients, the constant first, at `x`: in two halves of every other term, so that their
/// steps need not wait for each other.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let square = x * x;
    let (mut even, mut odd) = (0.0f64, 0.0f64);
    let mut i = N;
    while i > 0 {
        i -= 1;
        if i.is_multiple_of(2) {
            even = if i + 2 < N { even.mul_add(square, coefficients[i]) } else { coefficients[i] };
        } else {
            odd = if i + 2 < N { odd.mul_add(square, coefficients[i]) } else { coefficients[i] };
        }
    }
    odd.mul_add(x, even)
}

/// A positive number as `2^k (1 + f)`: `f`, in two words, and `k`.
#[derive(Debug, Clone, Copy)]
pub struct Reduced {
    f: Pair,
    k: f64,
}

impl Reduced {
    /// `f`, which has one word where no one was added, and `k`.
    pub fn parts(self) -> (f64, f64) {
        (self.f.0, self.k)
    }
}

const ONE_64: u64 = 1.0f64.to_bits();
const ROOT_64: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
const EXPONENT_64: u64 = 0x7ff << 52;
const EXPONENT_32: u32 = 0xff << 23;

/// Whether [`reduce`] cannot take it: all but positive, finite, normal numbers.
#[inline(always)]
pub fn is_odd(x: f64) -> bool {
    x.to_bits().wrapping_sub(f64::MIN_POSITIVE.to_bits()) >= EXPONENT_64 - f64::MIN_POSITIVE.to_bits()
}

/// As [`is_odd`], and whether it is below the normal range of `f32`.
#[inline(always)]
pub fn is_odd_f32(x: f32) -> bool {
    x.to_bits().wrapping_sub(f32::MIN_POSITIVE.to_bits()) >= EXPONENT_32 - f32::MIN_POSITIVE.to_bits()
}

/// `x` divided by `sqrt(1/2)`, as far as its exponent goes, which is then that of `x = 2^k m`, and its other bits count from
/// those of `sqrt(1/2)`.
#[inline(always)]
fn counted_from_root(x: f64) -> u64 {
    x.to_bits().wrapping_add(ONE_64 - ROOT_64)
}

/// A positive, normal number, reduced; anything for others.
#[inline(always)]
pub fn reduce(x: f64) -> Reduced {
    /// Its lowest bits are whole numbers.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    let counted = counted_from_root(x);
    let m = f64::from_bits((counted & !EXPONENT_64).wrapping_add(ROOT_64));
    let k = f64::from_bits((counted >> 52) | WHOLE.to_bits()) - (WHOLE + 1023.0);
    Reduced { f: (m - 1.0, 0.0), k }
}

/// A positive number below the normal range, reduced.
pub fn reduce_subnormal(x: f64) -> Reduced {
    const UP: f64 = 54.0;
    let Reduced { f, k } = reduce(x * UP.exp2());
    Reduced { f, k: k - UP }
}

/// `1 + x`, reduced, for a finite `x` above minus one; anything for others.
#[inline(always)]
pub fn reduce_one_plus(x: f64) -> Reduced {
    let (sum, error) = two_sum(1.0, x);
    let Reduced { f: (f, _), k } = reduce(sum);
    // Times 2^-k, as long as it counts.
    let unit = f64::from_bits((2 * ONE_64).wrapping_sub(counted_from_root(sum) & EXPONENT_64));
    let error = if sum < SWALLOWS_ONE { error * unit } else { 0.0 };
    Reduced { f: normalised(f, error), k }
}

/// `1 + x`, reduced, in one word of `f`, for a finite `f32` above minus one; anything for others.
///
/// A sum of this kind is exact but where `x` is below 2^-28, where `x` itself is `f`, and above 2^53, where `k` hides it.
#[inline(always)]
pub fn reduce_one_plus_f32(x: f32) -> Reduced {
    let x = f64::from(x);
    let Reduced { f: (f, _), k } = reduce(1.0 + x);
    Reduced { f: (if k == 0.0 { x } else { f }, 0.0), k }
}

/// The binary logarithm, within 2^-43 relatively.
#[inline(always)]
pub fn log2_fast(x: Reduced) -> f64 {
    let f = x.f.0;
    let q = f / (f + 2.0);
    q.mul_add(polynomial(&LOG2, q * q), x.k)
}

/// The binary logarithm in two words, within 2^-58 relatively.
#[inline(always)]
pub fn log2_exact(x: Reduced) -> Pair {
    let (f, f_rest) = x.f;
    let (d, d_rest) = normalised(2.0, f);
    let inverse = 1.0 / d;
    let q = f * inverse;
    // What is left of the dividend, exactly but for the small parts.
    let rest = (-q).mul_add(d, f) + (-q).mul_add(d_rest + f_rest, f_rest);
    let q_rest = rest * inverse;
    let first = q * LOG2_FIRST.0;
    let first_rest = q.mul_add(LOG2_FIRST.0, -first) + q.mul_add(LOG2_FIRST.1, q_rest * LOG2_FIRST.0);
    let z = q * q;
    let tail = (q * z) * polynomial(&LOG2_TAIL, z);
    let (sum, sum_rest) = normalised(x.k, first);
    normalised(sum, sum_rest + (first_rest + tail))
}

/// `2^t`, or `2^t - 1` with `MINUS_ONE`, within 2^-42 relatively, for results of at most 32 bits: beyond 2^200 and 2^-200 it
/// gives those. Anything for NaN.
#[inline(always)]
pub fn exp2_fast<const MINUS_ONE: bool>(t: f64) -> f64 {
    const LARGEST: f64 = 200.0;
    let t = if t > LARGEST { LARGEST } else { t };
    let t = if t < -LARGEST { -LARGEST } else { t };
    let rounded = t + ROUND;
    let f = t - (rounded - ROUND);
    let unit = f64::from_bits((rounded.to_bits() << 52).wrapping_add(ONE_64));
    let less_one = f * polynomial(&EXP2, f);
    let power = less_one.mul_add(unit, if MINUS_ONE { unit - 1.0 } else { unit });
    // Zero keeps its sign.
    if MINUS_ONE && t == 0.0 { t } else { power }
}

/// `2^t`, or `2^t - 1` with `MINUS_ONE`, rounded to `f64` from what is within 2^-56 relatively. Anything for NaN.
#[inline(always)]
pub fn exp2_exact<const MINUS_ONE: bool>(t: Pair) -> f64 {
    let (t, t_rest) = t;
    let (t, t_rest) = if t > LARGEST_POWER { (LARGEST_POWER, 0.0) } else { (t, t_rest) };
    let (t, t_rest) = if t < -LARGEST_POWER { (-LARGEST_POWER, 0.0) } else { (t, t_rest) };
    let rounded = t + ROUND;
    let (f, f_rest) = two_sum(t - (rounded - ROUND), t_rest);
    let first = f * LN2.0;
    let first_rest = f.mul_add(LN2.0, -first) + f.mul_add(LN2.1, f_rest * (2.0 * EXP2_TAIL[0]).mul_add(f, LN2.0));
    let rest = (f * f).mul_add(polynomial(&EXP2_TAIL, f), first_rest);
    // 2^k as the product of two, since one alone may be out of range where the result is not.
    let half = t * 0.5 + ROUND;
    let low = f64::from_bits((half.to_bits() << 52).wrapping_add(ONE_64));
    let high = f64::from_bits((rounded.to_bits().wrapping_sub(half.to_bits()) << 52).wrapping_add(ONE_64));
    let (sum, sum_rest) = normalised(1.0, first);
    let power = (sum + (sum_rest + rest)) * low * high;
    if !MINUS_ONE {
        return power;
    }
    let unit = low * high;
    let (sum, sum_rest) = two_sum(unit, -1.0);
    let (sum, more) = two_sum(sum, first * unit);
    let less_one = sum + (more + rest.mul_add(unit, sum_rest));
    let less_one = if t < -SWALLOWED_ONE { -1.0 } else { less_one };
    let less_one = if t == 0.0 && t_rest == 0.0 { t } else { less_one };
    if t > SWALLOWED_ONE { power } else { less_one }
}

//! The affine map of one range to another, `y = (x - shift) / divisor + offset`, that meets both ends exactly.
//!
//! It is anchored at the end that is nearer to zero: what is there has a difference of zero, and no rounding error. The
//! divisor carries a second double, so that it is exact to a hundred bits; the other end, which is at least half as large
//! as the range is wide, is then far nearer to its result than to any tie between two doubles. As rounding is monotone,
//! nothing in between passes an end.
//!
//! Results of fewer digits come from `f64` arithmetic, whose errors may cross a tie between two of *them*. Where the far end
//! lies at such a tie, they have a divisor of their own, which leads to the side to which the end is rounded.

use crate::dd::{Dd, two_sum};
use crate::error::Error;
use crate::memory;

/// Significant bits of each output that is not `f64`, and the exponent of its last bit at least.
const NARROW: [(i32, i32); 3] = [(24, -149), (11, -24), (8, -133)];
/// The relative error of a result that is rounded to fewer digits: in `f64` arithmetic, and, for integers of at most 16 bits
/// without an offset, by way of `f32`.
const ERROR: f64 = 1.0 / (1u64 << 48) as f64;
const ERROR_BY_F32: f64 = 1.0 / (1u64 << 22) as f64;

/// The map of each channel.
#[derive(Debug)]
pub struct RangeMaps {
    /// Where the anchor is.
    pub shift: Vec<f64>,
    /// What to divide by; with `rest`, the sum may be as large as twice the largest double.
    pub divisor: Vec<f64>,
    /// The rest of the divisor.
    pub rest: Vec<f64>,
    /// Where the anchor goes.
    pub offset: Vec<f64>,
    /// The divisor for results of fewer digits than `f64`; nothing where it is the same.
    pub narrow: Option<Vec<f64>>,
    /// Whether results of fewer digits must come from `f64` arithmetic even where no offset is added.
    pub precise: bool,
    /// The same map as `x * slope + intercept`, rounded.
    pub slope: Vec<f64>,
    /// See `slope`.
    pub intercept: Vec<f64>,
}

/// `value` times `2^power`, rounded once.
fn scaled(value: f64, power: i32) -> f64 {
    let of_two = |power: i32| f64::from_bits(((1023 + power.clamp(-1022, 1023)) as u64) << 52);
    value * of_two(power / 2) * of_two(power - power / 2)
}

/// The exponent of the larger magnitude; zero of two zeros.
fn exponent(a: f64, b: f64) -> i32 {
    let magnitude = a.abs().max(b.abs());
    if magnitude == 0.0 || !magnitude.is_finite() {
        return 0;
    }
    let (magnitude, lifted) = if magnitude < f64::MIN_POSITIVE { (scaled(magnitude, 64), 64) } else { (magnitude, 0) };
    (magnitude.to_bits() >> 52) as i32 - 1023 - lifted
}

/// `high - low` exactly, in units of `2^exponent`.
fn extent(low: f64, high: f64) -> (Dd, i32) {
    let power = exponent(low, high);
    let (hi, lo) = two_sum(scaled(high, -power), -scaled(low, -power));
    (Dd { hi, lo }, power)
}

/// `value * 2^power` as two doubles; the sum may leave their range by a factor of two. Nothing beyond.
fn pair(value: Dd, power: i32) -> Option<[f64; 2]> {
    let whole = scaled(value.hi, power);
    if whole.is_nan() || (f64::MIN_POSITIVE..f64::INFINITY).contains(&whole) {
        return Some([whole, scaled(value.lo, power)]);
    }
    let half = scaled(value.hi, power - 1);
    (whole > 1.0 && half.is_finite()).then(|| [half, half + scaled(value.lo, power)])
}

/// How `end` lies to the ties between the numbers of an output: the direction, away from zero or towards it, in which it is
/// rounded where it is so near to one that arithmetic may take it across; and whether that of `f32` may.
fn at_a_tie(end: f64) -> (f64, bool) {
    let (mut direction, mut precise) = (0.0, false);
    for (digits, least) in NARROW {
        let quantum = (exponent(end, end) - (digits - 1)).max(least);
        let steps = scaled(end.abs(), -quantum);
        let distance = steps.fract() - 0.5;
        if distance.abs() <= steps * ERROR {
            let up = distance > 0.0 || (distance == 0.0 && steps.trunc() % 2.0 == 1.0);
            direction = if up { 1.0 } else { -1.0 };
        }
        precise |= distance.abs() <= steps * if digits == 24 { ERROR_BY_F32 * ERROR_BY_F32 } else { ERROR_BY_F32 };
    }
    (direction, precise)
}

impl RangeMaps {
    /// From the ranges between `low` and `high` of each channel to that from `a` to `b`; those that are `constant` are moved
    /// to `a`, not scaled. Nothing where a divisor leaves the range of doubles.
    pub fn new(low: &[f64], high: &[f64], constant: &[bool], [a, b]: [f64; 2]) -> Result<Option<Self>, Error> {
        let (width, width_power) = extent(a, b);
        let at_high = b.abs() < a.abs();
        let (near, far) = if at_high { (b, a) } else { (a, b) };
        let (direction, precise) = at_a_tie(far);
        // Twice the error, beside the width; where that is next to nothing, outputs of fewer digits cannot tell.
        let aside = (direction * 2.0 * ERROR * far.abs() / scaled(width.hi, width_power)).clamp(-0.25, 0.25);
        let room = || memory::with_room(low.len());
        let mut maps = Self {
            shift: room()?,
            divisor: room()?,
            rest: room()?,
            offset: room()?,
            narrow: if direction == 0.0 { None } else { Some(room()?) },
            precise,
            slope: room()?,
            intercept: room()?,
        };
        for ((low, high), constant) in low.iter().zip(high).zip(constant) {
            let (divisor, power, words) = if *constant {
                let (divisor, power) = (Dd::from(1.0) / width, -width_power);
                let limited = scaled(divisor.hi, power).clamp(f64::MIN_POSITIVE, f64::MAX);
                (divisor, power, [limited, if limited < f64::MAX { scaled(divisor.lo, power) } else { 0.0 }])
            } else {
                let (extent, extent_power) = extent(*low, *high);
                let (divisor, power) = (extent / width, extent_power - width_power);
                let Some(words) = pair(divisor, power) else { return Ok(None) };
                (divisor, power, words)
            };
            let (shift, offset) = if at_high && !constant { (*high, near) } else { (*low, a) };
            maps.shift.push(shift);
            maps.divisor.push(words[0]);
            maps.rest.push(words[1]);
            maps.offset.push(offset);
            if let Some(narrows) = &mut maps.narrow {
                let divisor = words[0] + words[1];
                let narrow = if *constant || !divisor.is_finite() { words[0] } else { divisor * (1.0 - aside) };
                narrows.push(narrow);
            }
            let slope = Dd::from(1.0) / divisor;
            let low_power = exponent(*low, *low);
            let moved = slope * Dd::from(scaled(*low, -low_power));
            let (moved_power, a_power) = (low_power - power, exponent(a, a));
            let top = moved_power.max(a_power);
            let to_top =
                |value: Dd, power: i32| Dd { hi: scaled(value.hi, power - top), lo: scaled(value.lo, power - top) };
            let intercept = to_top(Dd::from(scaled(a, -a_power)), a_power) - to_top(moved, moved_power);
            maps.slope.push(scaled(slope.to_f64(), -power));
            maps.intercept.push(scaled(intercept.to_f64(), top));
        }
        Ok(Some(maps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(low: f64, high: f64, range: [f64; 2]) -> RangeMaps {
        RangeMaps::new(&[low], &[high], &[false], range).unwrap().unwrap()
    }

    #[test]
    fn the_anchor_is_the_end_nearer_to_zero() {
        let maps = one(2.0, 10.0, [-1.0, 0.0]);
        assert_eq!((maps.shift[0], maps.divisor[0], maps.rest[0], maps.offset[0]), (10.0, 8.0, 0.0, 0.0));
        let maps = one(2.0, 10.0, [-1.0, 3.0]);
        assert_eq!((maps.shift[0], maps.divisor[0], maps.rest[0], maps.offset[0]), (2.0, 2.0, 0.0, -1.0));
        assert_eq!((maps.slope[0], maps.intercept[0]), (0.5, -2.0));
        let maps = RangeMaps::new(&[2.0], &[2.0], &[true], [-1.0, 0.0]).unwrap().unwrap();
        assert_eq!((maps.shift[0], maps.divisor[0], maps.offset[0]), (2.0, 1.0, -1.0));
    }

    #[test]
    fn divisors_have_a_hundred_bits_and_may_leave_the_range() {
        let maps = one(-0.3, 0.1, [0.0, 1.0]);
        assert_eq!(Dd::from(0.1).add_f64(0.3), Dd { hi: maps.divisor[0], lo: maps.rest[0] });
        let maps = one(-1e308, 1e308, [0.0, 1.0]);
        assert_eq!((maps.divisor[0], maps.rest[0]), (1e308, 1e308));
        assert_eq!((maps.slope[0], maps.intercept[0]), (0.5e-308, 0.5));
        let maps = one(-1e308, 1e308, [-1e308, 1e308]);
        assert_eq!((maps.divisor[0], maps.rest[0], maps.slope[0], maps.intercept[0]), (1.0, 0.0, 1.0, 0.0));
        assert!(RangeMaps::new(&[-1e308], &[1e308], &[false], [0.0, 0.1]).unwrap().is_none());
        let maps = one(f64::NAN, f64::NAN, [0.0, 1.0]);
        assert!(maps.divisor[0].is_nan());
    }

    #[test]
    fn ties_are_those_of_every_output() {
        assert_eq!(at_a_tie(1.0), (0.0, false));
        assert_eq!(at_a_tie(3001.0), (-1.0, true));
        assert_eq!(at_a_tie(-3003.0), (1.0, true));
        assert_eq!(at_a_tie(257.0), (-1.0, true));
        assert_eq!(at_a_tie(1.0 + 2f64.powi(-24)), (-1.0, true));
        assert_eq!(at_a_tie(1.0 + 3.0 * 2f64.powi(-24)), (1.0, true));
        assert_eq!(at_a_tie(0.1), (0.0, false));
        assert_eq!(at_a_tie(0.0), (0.0, false));
    }
}

//! Exact numbers and their quotients against doubles and against each other.

#![allow(clippy::unwrap_used)] // A failed expectation is a failed test.

use crate::exact::number::Number;
use crate::exact::quotient::{mean, scaled, variance};
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

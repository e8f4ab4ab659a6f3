//! The laws of the states: empty is the identity of merge, merging is what streaming is, and neither the order of elements and
//! batches nor the number of threads matters at all.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // A failed expectation is a failed test, in functions that tests share as well.

use crate::error::Error;
use crate::stats::cell::is_constant;
use crate::stats::extrema::Extrema;
use crate::stats::moments::{Moments, MomentsElement};
use crate::view::View;
use proptest::prelude::*;

/// Rows of `width` columns, in C order.
fn table<T>(x: &[T], width: usize) -> ([usize; 2], [isize; 2]) {
    let size = size_of::<T>() as isize;
    ([x.len() / width, width], [size * width as isize, size])
}

fn moments<T: MomentsElement>(x: &[T], width: usize, threads: usize) -> Moments {
    let (shape, strides) = table(x, width);
    // SAFETY: shape and strides stay within `x`.
    let view = unsafe { View::<T>::new(x.as_ptr().cast(), &shape, &strides) };
    Moments::of(view, &[false, true], threads).expect("finite elements")
}

fn extrema(x: &[f64], width: usize) -> Extrema {
    let (shape, strides) = table(x, width);
    // SAFETY: shape and strides stay within `x`.
    let view = unsafe { View::<f64>::new(x.as_ptr().cast(), &shape, &strides) };
    Extrema::of(view, &[false, true], 1).expect("finite elements")
}

fn merged(parts: impl IntoIterator<Item = Moments>) -> Moments {
    let mut whole = Moments::default();
    for part in parts {
        whole.merge(&part).expect("equal channels");
    }
    whole
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![8 => -1e3..1e3f64, 1 => Just(f64::NAN), 1 => 1e6..1e9f64];
    (1usize..5, prop::collection::vec(value, 0..400)).prop_map(|(_, values)| values)
}

proptest! {
    #[test]
    fn empty_is_the_identity(x in values()) {
        let x = &x[..x.len() / 2 * 2];
        let whole = moments(x, 2, 1);
        prop_assert_eq!(&merged([Moments::default(), whole.clone()]), &whole);
        prop_assert_eq!(&merged([whole.clone(), Moments::default()]), &whole);
        prop_assert_eq!(&merged([moments(&x[..0], 2, 1), whole.clone()]), &whole);
        let whole = extrema(x, 2);
        let mut left = Extrema::default();
        left.merge(&whole).expect("equal channels");
        prop_assert_eq!(&left, &whole);
        left.merge(&extrema(&x[..0], 2)).expect("equal channels");
        prop_assert_eq!(&left, &whole);
    }

    #[test]
    fn merging_is_streaming(x in values(), cut in 0.0..1.0f64) {
        let rows = x.len() / 2;
        let cut = (rows as f64 * cut) as usize * 2;
        let (a, b) = (moments(&x[..cut], 2, 1), moments(&x[cut..rows * 2], 2, 1));
        let whole = moments(&x[..rows * 2], 2, 1);
        prop_assert_eq!(&merged([a.clone(), b.clone()]), &whole);
        prop_assert_eq!(&merged([b, a]), &whole);
    }

    #[test]
    fn merging_is_associative(x in values()) {
        let third = x.len() / 6 * 2;
        let part = |i: usize| moments(&x[i * third..(i + 1) * third], 2, 1);
        let (left, right) = (merged([merged([part(0), part(1)]), part(2)]), merged([part(0), merged([part(1), part(2)])]));
        prop_assert_eq!(left, right);
    }

    #[test]
    fn elements_do_not_care_how_they_come(x in prop::collection::vec(any::<i32>(), 0..500), power in 0i32..40, piece in 1usize..50, seed in any::<u64>()) {
        // Of many magnitudes.
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x) * f64::from(x % 7) * 2f64.powi(power * (x % 5))).collect();
        let whole = moments(&x, 1, 1);
        let pieces = merged(x.chunks(piece).map(|piece| moments(piece, 1, 1)));
        let mut shuffled = x.clone();
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, (seed.wrapping_mul(i as u64 * 2 + 1) >> 33) as usize % (i + 1));
        }
        let shuffled = moments(&shuffled, 1, 1);
        if !x.is_empty() {
            prop_assert_eq!(&pieces, &whole);
        }
        prop_assert_eq!(&shuffled, &whole);
    }

    #[test]
    fn integer_moments_are_exact(x in prop::collection::vec(any::<u16>(), 1..300)) {
        let whole = moments(&x, 1, 1);
        let n = x.len() as u128;
        let (sum, square) = x.iter().fold((0u128, 0u128), |(s, q), x| (s + u128::from(*x), q + u128::from(*x).pow(2)));
        // Both numerator and denominator are exact as f64 here; one division rounds once.
        prop_assert_eq!(whole.var(0.0).expect("memory")[0], (n * square - sum * sum) as f64 / (n * n) as f64);
        prop_assert_eq!(whole.mean().expect("memory")[0], sum as f64 / n as f64);
    }

    #[test]
    fn threads_change_nothing(seed in any::<u32>(), width in 1usize..70, rows in 1usize..3000) {
        let mut state = seed;
        let x: Vec<f32> = (0..width * rows).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 27 == 3 { f32::NAN } else { (state >> 8) as f32 }
        }).collect();
        let one = moments(&x, width, 1);
        for threads in [2, 3, 8] {
            prop_assert_eq!(&moments(&x, width, threads), &one);
        }
    }

    #[test]
    fn a_far_mean_costs_nothing(x in prop::collection::vec(0u32..1 << 20, 2..300), piece in 1usize..40) {
        // Multiples of 2^-12 keep their place at 1e12, so moving the data there is exact and must not change a digit.
        let near: Vec<f64> = x.iter().map(|x| f64::from(*x) / 4096.0).collect();
        let far: Vec<f64> = near.iter().map(|x| x + 1e12).collect();
        let (near, far) = (moments(&near, 1, 1), merged(far.chunks(piece).map(|piece| moments(piece, 1, 1))));
        prop_assert_eq!(near.var(1.0).expect("memory"), far.var(1.0).expect("memory"));
        prop_assert!((far.mean().expect("memory")[0] - (near.mean().expect("memory")[0] + 1e12)).abs() <= f64::EPSILON * 1e12);
    }
}

#[test]
fn infinity_is_an_error_and_changes_nothing() {
    let mut x = vec![1.0f32; 5000];
    x[4321] = f32::INFINITY;
    let (shape, strides) = table(&x, 10);
    // SAFETY: shape and strides stay within `x`.
    let view = unsafe { View::<f32>::new(x.as_ptr().cast(), &shape, &strides) };
    assert_eq!(Moments::of(view, &[false, true], 2), Err(Error::Infinite));
}

#[test]
fn channels_must_agree() {
    let (mut a, b) = (moments(&[1.0, 2.0], 2, 1), moments(&[1.0, 2.0, 3.0], 3, 1));
    let before = a.clone();
    assert_eq!(a.merge(&b), Err(Error::ChannelMismatch { left: 2, right: 3 }));
    assert_eq!(a, before);
}

#[test]
fn integers_and_floats_join() {
    let mut both = moments(&[1u8, 2, 3], 1, 1);
    both.merge(&moments(&[4.0f64, 5.0], 1, 1)).expect("equal channels");
    assert_eq!(
        (both.mean().expect("memory")[0], both.var(0.0).expect("memory")[0], both.count().expect("memory")[0]),
        (3.0, 2.0, 5.0)
    );
}

#[test]
fn a_bad_first_row_is_survived() {
    let mut x: Vec<f64> = (0..20_000).map(|i| 1e9 + f64::from(i % 7)).collect();
    x[..20].fill(f64::NAN);
    let expected: Vec<f64> = (20..20_000).map(|i| f64::from(i % 7)).collect();
    let (ours, expected) = (moments(&x, 1, 1), moments(&expected, 1, 1));
    assert_eq!(ours.var(0.0), expected.var(0.0));
    x[..20].fill(0.0);
    assert!(moments(&x, 1, 1).var(0.0).expect("memory")[0] > 1e14);
}

#[test]
fn constant_channels() {
    let constant = moments(&[0.1f64; 1001], 1, 1);
    assert_eq!((constant.mean().expect("memory")[0], constant.var(0.0).expect("memory")[0]), (0.1, 0.0));
    assert_eq!(constant.scale(), Ok(vec![1.0]));
    assert!(is_constant(1001.0, 0.1, 0.0) && !is_constant(100.0, 0.0, 4.0));
    assert_eq!(moments(&[-2.0, 2.0], 1, 1).scale(), Ok(vec![2.0]));
    assert!(moments(&[f64::NAN], 1, 1).scale().expect("memory")[0].is_nan());
    // Deviations whose squares are out of range.
    for unit in [1e200, 1e-200, f64::MAX, f64::from_bits(1)] {
        assert_eq!(moments(&[-unit, unit], 1, 1).scale(), Ok(vec![unit]));
        assert_eq!(moments(&[-unit, unit], 1, 1).std(0.0), Ok(vec![unit]));
    }
}

#[test]
fn an_outlier_first_costs_no_digit() {
    let mut x = vec![0.9f64; 100_000];
    x.iter_mut().step_by(2).for_each(|x| *x = 0.3);
    x[0] = 1e100;
    assert_eq!(moments(&x, 1, 1).mean().expect("memory")[0], 1e95);
}

#[test]
fn differences_that_overflow_do_not_spoil_the_mean() {
    let m = moments(&[1.5e308, -1.5e308, 0.25e308], 1, 1);
    assert_eq!(m.mean().expect("memory")[0], 0.25e308 / 3.0);
    assert_eq!(moments(&[f64::MAX; 5], 1, 1).mean(), Ok(vec![f64::MAX]));
}

#[test]
fn enormous_values_overflow_to_infinity_not_to_nan() {
    let m = moments(&[1e200, -1e200, 3e200], 1, 1);
    assert!(m.mean().expect("memory")[0].is_finite());
    assert_eq!(m.var(0.0).expect("memory")[0], f64::INFINITY);
}

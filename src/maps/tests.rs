//! Logarithms and powers: the digits that are promised, for all 16-bit numbers and many others, and the same bits at every
//! level, width and place.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // A failed expectation is a failed test.

use crate::drive::{Target, map_elements};
use crate::element::{Element, Output, bf16, f16};
use crate::kernels::Level;
use crate::kernels::Seen;
use crate::kernels::logarithm::Function;
use crate::maps::logarithm::{Base, Logarithm};
use crate::view::{View, ViewMut};
use std::sync::{Mutex, PoisonError};

/// The level is the process's: tests that force it take turns.
static LEVEL: Mutex<()> = Mutex::new(());

const FUNCTIONS: [Function; 4] = [Function::Log, Function::LogOnePlus, Function::Power, Function::PowerLessOne];

/// Map the rows of `x`.
fn map<T: Element, U: Output>(map: &Logarithm, x: &[T], width: usize) -> (Vec<U>, Seen) {
    let mut y = vec![U::from_f64(7.0); x.len()];
    let shape = [x.len() / width, width];
    let strides = |size: usize| [(width * size) as isize, size as isize];
    let (from, to) = (strides(size_of::<T>()), strides(size_of::<U>()));
    // SAFETY: the elements of a slice and of a vector, in rows.
    let (x, out) = unsafe {
        (View::<T>::new(x.as_ptr().cast(), &shape, &from), ViewMut::<U>::new(y.as_mut_ptr().cast(), &shape, &to))
    };
    let seen = map_elements(map, x, out, &[false, true], Target::Fresh, 1).expect("memory");
    (y, seen)
}

fn each_level(mut check: impl FnMut(Level)) {
    let _turn = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let best = Level::current();
    Level::ALL.into_iter().filter(|level| level.force()).for_each(&mut check);
    assert!(best.force());
}

/// What the standard library gives in `f64`, which is within an ulp or so.
fn standard(function: Function, x: f64) -> f64 {
    match function {
        Function::Log => x.ln(),
        Function::LogOnePlus => x.ln_1p(),
        Function::Power => x.exp(),
        Function::PowerLessOne => x.exp_m1(),
    }
}

fn outside(function: Function, x: f64) -> bool {
    function == Function::Log && x <= 0.0 || function == Function::LogOnePlus && x <= -1.0
}

fn all_of_16_bits<T: Output>(from_bits: impl Fn(u16) -> T, bits: impl Fn(T) -> u16) {
    let x: Vec<T> = (0..=u16::MAX).map(from_bits).collect();
    for function in FUNCTIONS {
        let one = Logarithm::new(function, Base::E, &[0.0], &[1.0]).expect("memory");
        each_level(|level| {
            let (y, seen) = map::<T, T>(&one, &x, 1);
            assert_eq!(seen, Seen { infinite: true, outside: function.is_logarithm() });
            let mut differ = 0;
            for (x, y) in x.iter().zip(&y) {
                let expected = standard(function, x.to_f64());
                if x.to_f64().is_nan() || outside(function, x.to_f64()) {
                    assert!(y.to_f64().is_nan(), "{function:?} of {x:?} at {}: {y:?}", level.name());
                    continue;
                }
                let expected = T::from_f64(expected);
                assert!(bits(expected).abs_diff(bits(*y)) <= 1, "{function:?} of {x:?}: {y:?}, not {expected:?}");
                differ += usize::from(bits(expected) != bits(*y));
            }
            assert!(differ < 65, "{function:?} at {}: {differ}", level.name());
        });
    }
}

#[test]
fn every_half() {
    all_of_16_bits(f16::from_bits, f16::to_bits);
}

#[test]
fn every_bfloat16() {
    all_of_16_bits(bf16::from_bits, bf16::to_bits);
}

/// Numbers of all exponents, and many near one.
fn numbers() -> Vec<f64> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    let unit = 1.0 / (1u64 << 53) as f64;
    (0..60_000)
        .map(|i| match i % 4 {
            0 => f64::from_bits((next() << 11) & (i64::MAX as u64)),
            1 => 1.0 + (next() as f64 * unit - 0.5) / 16.0,
            2 => next() as f64 * unit * 100.0,
            _ => -(next() as f64) * unit * (i as f64 / 1000.0),
        })
        .filter(|x| x.is_finite())
        .collect()
}

#[test]
fn doubles_and_floats_are_near_the_standard_library() {
    let wide = numbers();
    let narrow: Vec<f32> = wide.iter().map(|x| *x as f32).collect();
    for function in FUNCTIONS {
        let one = Logarithm::new(function, Base::E, &[0.0], &[1.0]).expect("memory");
        let (y, _) = map::<f64, f64>(&one, &wide, 1);
        for (x, y) in wide.iter().zip(y).filter(|(x, _)| !outside(function, **x)) {
            let expected = standard(function, *x);
            let near = y.to_bits().abs_diff(expected.to_bits()) <= 2;
            assert!(near || y == 0.0 && expected == 0.0, "{function:?} of {x:e}: {y:e}, not {expected:e}");
        }
        let (y, _) = map::<f32, f32>(&one, &narrow, 1);
        let mut differ = 0;
        for (x, y) in narrow.iter().zip(y).filter(|(x, _)| x.is_finite() && !outside(function, f64::from(**x))) {
            let expected = standard(function, f64::from(*x)) as f32;
            let distance = y.to_bits().abs_diff(expected.to_bits());
            assert!(distance <= 1 || y == 0.0 && expected == 0.0, "{function:?} of {x:e}: {y:e}, not {expected:e}");
            differ += usize::from(distance > 0);
        }
        assert!(differ < narrow.len() / 1000, "{function:?}: {differ}");
    }
}

#[test]
fn the_same_bits_at_every_level_width_and_place() {
    let mut x = numbers();
    x.truncate(6_000);
    x.extend([0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -5e-324, f64::MAX, f64::MIN]);
    let narrow: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    fn bits<T: Element>(y: &[T]) -> Vec<u64> {
        // The sign and the payload of NaN are nobody's.
        y.iter().map(|y| if y.to_f64().is_nan() { u64::MAX } else { y.to_f64().to_bits() }).collect()
    }
    for function in FUNCTIONS {
        for (offset, scale) in [(0.0, 1.0), (1.5, -2.5), (1e5, 1e-3)] {
            let one = Logarithm::new(function, Base::Number(7.0), &[offset], &[scale]).expect("memory");
            let (mut wide_first, mut narrow_first) = (None, None);
            each_level(|level| {
                let ours = bits(&map::<f64, f64>(&one, &x, 1).0);
                let expected = wide_first.get_or_insert_with(|| ours.clone());
                assert!(ours == *expected, "{function:?}, f64, {}", level.name());
                let ours = bits(&map::<f32, f32>(&one, &narrow, 1).0);
                let expected = narrow_first.get_or_insert_with(|| ours.clone());
                assert!(ours == *expected, "{function:?}, f32, {}", level.name());
                for width in [2, 3, 5, 16, 17, 33, 100, 501] {
                    let each = Logarithm::new(function, Base::Number(7.0), &vec![offset; width], &vec![scale; width])
                        .expect("memory");
                    for start in [0, 1, 5] {
                        let end = start + (x.len() - start) / width * width;
                        let ours = bits(&map::<f64, f64>(&each, &x[start..end], width).0);
                        assert!(
                            ours == wide_first.as_ref().map_or(&[][..], |all| &all[start..end]),
                            "{width}, {start}"
                        );
                        let ours = bits(&map::<f32, f32>(&each, &narrow[start..end], width).0);
                        assert!(
                            ours == narrow_first.as_ref().map_or(&[][..], |all| &all[start..end]),
                            "{width}, {start}"
                        );
                    }
                }
            });
        }
    }
}

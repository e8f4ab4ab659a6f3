//! Every kernel at every instruction-set level that this CPU has, for every dtype, over awkward lengths, widths and
//! alignments, against its naive twin: equal to the last bit.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // A failed expectation ends the run, as it should.

use crate::drive::Target;
use crate::element::{Bool, Count, Element, Key, Output, Sum, bf16, f16};
use crate::kernels::affine::{Form, NO_OFFSET, Parameters};
use crate::kernels::brackets::Brackets;
use crate::kernels::convert::converted;
use crate::kernels::extrema::Bounds;
use crate::kernels::moments::{Integer, IntegerSums};
use crate::kernels::narrow::Narrow;
use crate::kernels::normalize::normalize_rows;
use crate::kernels::norms::Norm;
use crate::kernels::{Level, reference};
use crate::maps::affine::{Affine, map};
use crate::rows::{Rows, RowsMut};
use crate::view::{View, ViewMut};
use std::sync::{Mutex, PoisonError};

/// The level is the process's: tests that force it take turns.
static LEVEL: Mutex<()> = Mutex::new(());

/// Widths around every chunk that the kernels take, and then some.
const WIDTHS: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 67, 130];

/// Call `check` at every level, for lengths from nothing to four chunks and more, from every misaligned start.
fn sweep(mut check: impl FnMut(&str, usize, usize, usize)) {
    let _turn = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let best = Level::current();
    let mut levels = 0;
    for level in Level::ALL {
        if !level.force() {
            continue;
        }
        levels += 1;
        for width in WIDTHS {
            for len in (0..4 * width + 2).step_by(if width > 16 { 13 } else { 1 }).chain([8 * width, 33 * width + 1]) {
                for start in [0, 1, 3] {
                    check(level.name(), width, len, start);
                }
            }
        }
    }
    assert!(best.force() && levels > 0);
}

/// A reproducible stream of bits.
fn noise(seed: usize) -> impl Iterator<Item = u64> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// Numbers with a few NaN among them.
fn number(bits: u64) -> f64 {
    if bits.is_multiple_of(97) { f64::NAN } else { (bits >> 40) as f64 / 1024.0 - 8192.0 }
}

fn equal(left: &[f64], right: &[f64]) -> bool {
    left.iter().zip(right).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

fn integer_sums<T: Integer>(make: impl Fn(u64) -> T) {
    let x: Vec<T> = noise(3).take(8000).map(make).collect();
    sweep(|level, width, len, start| {
        let x = &x[start..start + len];
        let mut ours = IntegerSums::<T>::new();
        ours.clear(width).expect("memory");
        ours.add(Rows::flat(x, width));
        let theirs = reference::integer_sums(x, width);
        let ours: Vec<_> = ours.get().collect();
        assert_eq!(ours, theirs, "{level}, {width} x {len} + {start}");
    });
}

fn bounds<T: Element>(make: impl Fn(u64) -> T) {
    let x: Vec<T> = noise(4).take(8000).map(make).collect();
    sweep(|level, width, len, start| {
        let x = &x[start..start + len];
        let mut ours = Bounds::<T::Key>::default();
        ours.clear(width).expect("memory");
        ours.add(Rows::flat(x, width));
        for (column, (min, max, nan)) in reference::bounds(x, width).into_iter().enumerate() {
            let same = ours.min[column] == min && ours.max[column] == max && ours.nan[column] == nan;
            assert!(same, "{level}, {width} x {len} + {start}");
        }
    });
}

fn brackets<T: Element>(make: impl Fn(u64) -> T + Copy) {
    let x: Vec<T> = noise(7).take(8000).map(make).collect();
    let ends: Vec<T::Key> =
        noise(8).map(|bits| make(bits).key()).filter(|key| !key.to_f64().is_nan()).take(300).collect();
    sweep(|level, width, len, start| {
        let x = &x[start..start + len];
        let mut ours = Brackets::<T::Key>::default();
        ours.slot_of.extend(0..width as u32);
        ours.inside.resize_with(width, Vec::new);
        for column in (0..2 * width).map(|i| i % 150) {
            let (a, b) = (ends[column], ends[column + 150]);
            ours.low.push(if b < a { b } else { a });
            ours.high.push(if b < a { a } else { b });
        }
        ours.clear().expect("memory");
        ours.add(Rows::flat(x, width)).expect("memory");
        let theirs = [0, 1].map(|k| {
            let bracket = k * width..(k + 1) * width;
            reference::around(x, &ours.low[bracket.clone()], &ours.high[bracket])
        });
        for column in 0..width {
            for (k, theirs) in theirs.iter().enumerate() {
                let counts = ours.counts.each_ref().map(|counts| counts[k * width + column].to_u64());
                assert_eq!(counts, theirs[column].0.0, "{level}, {width} x {len} + {start}");
                assert_eq!(ours.finite[column].to_u64(), theirs[column].1);
                let (low, high) = (ours.low[k * width + column], ours.high[k * width + column]);
                let mut inside: Vec<f64> =
                    ours.inside[column].iter().filter(|x| **x > low && **x < high).map(|x| x.to_f64()).collect();
                let mut expected: Vec<f64> = theirs[column].0.1.iter().map(|x| x.to_f64()).collect();
                inside.sort_by(f64::total_cmp);
                expected.sort_by(f64::total_cmp);
                assert_eq!(inside, expected, "{level}, {width} x {len} + {start}");
            }
        }
    });
}

/// `least` is half the smallest subnormal number: what a small result may be off.
fn norms<T: Element, U: Output>(make: impl Fn(u64) -> T, tolerance: f64, least: f64) {
    let x: Vec<T> =
        noise(9).take(8000).map(|bits| if bits.is_multiple_of(97) { make(1) } else { make(bits) }).collect();
    for norm in [Norm::L1, Norm::L2, Norm::Max] {
        let mut first: std::collections::HashMap<_, Vec<u64>> = std::collections::HashMap::new();
        sweep(|level, width, len, start| {
            let (x, len) = (&x[start..start + len], len / width * width);
            let mut out = vec![U::from_f64(0.0); len];
            let rows = (Rows::flat(&x[..len], width), RowsMut::flat(&mut out, width));
            assert_eq!(normalize_rows(norm, rows.0, rows.1, width, 1e-6, false), Ok(false));
            for (x, y) in x.chunks_exact(width).zip(out.chunks_exact(width)) {
                for (y, expected) in y.iter().zip(reference::normalize(norm, x, 1e-6)) {
                    let error = (y.to_f64() - expected).abs();
                    assert!(
                        error <= tolerance * expected.abs() + least,
                        "{level}, {width} x {len} + {start}: {y:?} {expected}"
                    );
                }
            }
            // Every level gives the same bits.
            let bits: Vec<u64> = out.iter().map(|y| y.to_f64().to_bits()).collect();
            assert_eq!(first.entry((width, len, start)).or_insert_with(|| bits.clone()), &bits, "{level}");
        });
    }
}

fn affine<T: Element, U: Output>(make: impl Fn(u64) -> T) {
    let x: Vec<T> = noise(5).take(8000).map(make).collect();
    sweep(|level, width, len, start| {
        let x = &x[start..start + len];
        for form in [Form::Scaled, Form::Fused, Form::Full] {
            let shift = (0..width).map(|i| if form == Form::Fused { 0.0 } else { i as f64 * 0.3 }).collect();
            let scale = (0..width).map(|i| 1.0 + i as f64 / 7.0).collect();
            let offset = vec![if form == Form::Scaled { NO_OFFSET } else { 0.125 }; width];
            let mut parameters = Parameters::new(shift, scale, offset).expect("memory");
            parameters.prepare(form != Form::Fused);
            let mut ours = vec![U::from_f64(0.0); len + start];
            let infinite = parameters.map(Rows::flat(x, width), RowsMut::flat(&mut ours[start..], width), form, false);
            let (theirs, reference_infinite) = reference::map::<T, U>(&parameters, x, form);
            let widen = |values: &[U]| values.iter().map(|y| y.to_f64()).collect::<Vec<_>>();
            assert!(equal(&widen(&ours[start..]), &widen(&theirs)), "{level}, {width} x {len} + {start}");
            assert_eq!(infinite, reference_infinite);
        }
    });
}

/// Maps are compiled for these types; elements of the others are converted to them.
fn affine_to_every_float<T: Element>(make: impl Fn(u64) -> T + Copy) {
    affine::<T, f32>(make);
    affine::<T, f64>(make);
    affine::<T, f16>(make);
    affine::<T, bf16>(make);
}

#[test]
fn maps_of_single_precision() {
    affine_to_every_float(|bits| number(bits) as f32);
}

#[test]
fn maps_of_double_precision() {
    affine_to_every_float(number);
}

#[test]
fn maps_of_sums_of_doubles() {
    affine_to_every_float(|bits| Sum(if bits.is_multiple_of(2) { bits.as_sum() } else { (bits as i64).as_sum() }));
}

/// Elements in a wider type hold the same values, in rows with and without gaps and a tail.
fn converts<T: Element>(make: impl Fn(u64) -> T) {
    let x: Vec<T> = noise(8).take(700).map(make).collect();
    let same = |rows: Rows<'_, T>| {
        let mut scratch = Vec::new();
        let wide = converted::<T, T::Wide>(rows, &mut scratch).expect("memory");
        for index in 0..rows.count() + usize::from(rows.tail() > 0) {
            assert_eq!(wide.row(index).len(), rows.row(index).len());
            for (wide, x) in wide.row(index).iter().zip(rows.row(index)) {
                assert_eq!(wide.as_sum().map(f64::to_bits), x.as_sum().map(f64::to_bits), "{x:?}");
            }
        }
    };
    for width in [1, 3, 64, 65, 129] {
        same(Rows::flat(&x, width));
        // SAFETY: rows of the slice, with gaps of two elements.
        same(unsafe { Rows::new(x.as_ptr(), x.len() / (width + 2), width + 2, width, 0) });
    }
}

/// The map of a whole array, every other row backwards, as the twin of the kernel has it.
fn map_array<T: Element, U: Output>(make: impl Fn(u64) -> T) {
    const WIDTH: usize = 7;
    let x: Vec<T> = noise(11).take(150 * WIDTH).map(make).collect();
    let (shift, scale, offset) = ([0.25; WIDTH], [3.0; WIDTH], [-0.75; WIDTH]);
    let affine = Affine { shift: Some(&shift), scale: Some(&scale), offset: Some(&offset), ..Affine::default() };
    let mut parameters = Parameters::new(shift.to_vec(), scale.to_vec(), offset.to_vec()).expect("memory");
    parameters.prepare(false);
    let rows: Vec<&[T]> = x.chunks_exact(WIDTH).rev().step_by(2).collect();
    let (theirs, infinite) = reference::map::<T, U>(&parameters, &rows.concat(), Form::Full);
    let mut ours = vec![U::from_f64(0.0); rows.len() * WIDTH];
    let row = |elements: usize, size: usize| (elements * WIDTH * size) as isize;
    let (size, result) = (size_of::<T>(), size_of::<U>());
    let (shape, steps, to) = ([rows.len(), WIDTH], [-row(2, size), size as isize], [row(1, result), result as isize]);
    // SAFETY: every other row of the slice from the last on, and all elements of the vector.
    let found = unsafe {
        let (x, out) = (View::<T>::new(rows[0].as_ptr().cast(), &shape, &steps), ours.as_mut_ptr().cast());
        map(affine, x, ViewMut::<U>::new(out, &shape, &to), &[false, true], Target::Fresh, 1).expect("memory")
    };
    let widen = |values: &[U]| values.iter().map(|y| y.to_f64()).collect::<Vec<_>>();
    assert!(equal(&widen(&ours), &widen(&theirs)));
    assert_eq!(found, infinite);
}

/// The map in `f32` arithmetic: as its twin, and within 0.6 ulp of the exact value.
fn narrow<T: Element, U: Output>(make: impl Fn(u64) -> T) {
    let x: Vec<T> = noise(6).take(8000).map(make).collect();
    // On integers, near them on both sides, at halves, where the two ways to split a shift meet, and anywhere.
    let near = [0.0, 0.0625, -0.0625, 1e-9, -0.03, 0.5, 0.0626, 0.2998, 1.0 / 512.0 + 0.25, 1e-300];
    sweep(|level, width, len, start| {
        let x = &x[start..start + len];
        let shift = (0..width).map(|i| (i * 37 % 256) as f64 + near[i % near.len()]).collect();
        let scale = (0..width).map(|i| 58.395 + i as f64 / 7.0).collect();
        let mut parameters = Parameters::new(shift, scale, vec![NO_OFFSET; width]).expect("memory");
        parameters.prepare(true);
        let mut map = Narrow::default();
        map.prepare(&parameters);
        let mut ours = vec![U::from_f64(0.0); len + start];
        map.map(Rows::flat(x, width), RowsMut::flat(&mut ours[start..], width), None, false);
        for (i, (x, y)) in x.iter().zip(&ours[start..]).enumerate() {
            let c = i % width;
            let twin = map.map_one(c, x.to_f32());
            assert_eq!(y.to_f64(), U::from_f32(twin).to_f64(), "{level}, {width} x {len} + {start}");
            let exact = (x.to_f64() - parameters.shift[c]) * parameters.scale[c];
            let ulp = f64::from(f32::from_bits((exact.abs() as f32).to_bits() + 1)) - f64::from(exact.abs() as f32);
            assert!((f64::from(twin) - exact).abs() <= 0.6 * ulp, "{x:?} - {}: {twin} {exact}", parameters.shift[c]);
        }
        // Rows read as fewer, longer ones.
        for times in [1, 4] {
            let mut map = map.clone();
            map.widen(times);
            let mut longer = vec![U::from_f64(0.0); len + start];
            let width = width * times;
            map.map(Rows::flat(x, width), RowsMut::flat(&mut longer[start..], width), None, false);
            let same = longer.iter().zip(&ours).all(|(a, b)| a.to_f64() == b.to_f64());
            assert!(same, "{level}, {width} in {times} x {len} + {start}");
        }
    });
}

#[test]
fn narrow_maps() {
    // Pixels as they are, other small integers by way of f32.
    narrow::<u8, f32>(|bits| (bits >> 9) as u8);
    narrow::<u16, f32>(|bits| (bits >> 9) as u16);
    narrow::<f32, f16>(|bits| f32::from((bits >> 9) as i8));
    narrow::<f32, bf16>(|bits| f32::from((bits >> 9) as u8));
    narrow::<f32, f32>(|bits| f32::from((bits >> 9) as i16));
}

#[test]
fn narrow_maps_leave_what_needs_more_than_f32() {
    let usable = |shift: f64, scale: f64| {
        let mut map = Narrow::default();
        let (shift, scale) = (vec![1.5, shift], vec![1.0, scale]);
        map.prepare(&Parameters::new(shift, scale, vec![NO_OFFSET; 2]).expect("memory"));
        !map.is_empty()
    };
    assert!(usable(65536.0, -1e12) && usable(-0.1, 1e-12));
    for (shift, scale) in
        [(65537.0, 1.0), (f64::NAN, 1.0), (0.0, f64::NAN), (0.0, 0.0), (0.0, 1e-30), (0.0, f64::INFINITY)]
    {
        assert!(!usable(shift, scale), "{shift} {scale}");
    }
}

macro_rules! every_dtype {
    ($($name:ident: $t:ty = $make:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn extrema() {
                bounds::<$t>($make);
            }

            #[test]
            fn converts_exactly() {
                converts::<$t>($make);
            }

            #[test]
            fn maps_to_every_float() {
                map_array::<$t, f32>($make);
                map_array::<$t, f64>($make);
                map_array::<$t, f16>($make);
                map_array::<$t, bf16>($make);
            }
        }
    )*};
}
every_dtype! {
    boolean: Bool = |bits| Bool((bits % 3) as u8);
    uint8: u8 = |bits| (bits >> 9) as u8;
    uint16: u16 = |bits| (bits >> 9) as u16;
    uint32: u32 = |bits| (bits >> 9) as u32;
    uint64: u64 = |bits| bits;
    int8: i8 = |bits| (bits >> 9) as i8;
    int16: i16 = |bits| (bits >> 9) as i16;
    int32: i32 = |bits| (bits >> 9) as i32;
    int64: i64 = |bits| bits as i64;
    float16: f16 = |bits| f16::from_f64(number(bits));
    bfloat16: bf16 = |bits| bf16::from_f64(number(bits));
    float32: f32 = |bits| number(bits) as f32;
    float64: f64 = number;
}

#[test]
fn exact_integer_sums() {
    integer_sums::<Bool>(|bits| Bool((bits % 3) as u8));
    integer_sums::<u8>(|bits| (bits >> 9) as u8);
    integer_sums::<i8>(|bits| (bits >> 9) as i8);
    integer_sums::<u16>(|bits| (bits >> 9) as u16);
    integer_sums::<i16>(|bits| (bits >> 9) as i16);
    integer_sums::<u32>(|bits| (bits >> 9) as u32);
    integer_sums::<i32>(|bits| (bits >> 9) as i32);
}

/// The lanes hold what they must before they are emptied, of the elements with the largest sums, however the rows come.
fn full_lanes<T: Integer>(extreme: T) {
    let _turn = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    const WIDTH: usize = 3;
    let most = 2 * T::BLOCK + 5;
    let x = vec![extreme; most * WIDTH];
    let value = extreme.to_f64() as i128;
    for step in [1, 7, T::BLOCK - 9, T::BLOCK - 8, T::BLOCK - 7, T::BLOCK, most] {
        let mut sums = IntegerSums::<T>::new();
        sums.clear(WIDTH).expect("memory");
        // Rows and a tail each time, which is in the first columns only.
        let elements = step * WIDTH + 1;
        let pieces = x.chunks_exact(elements);
        let rows = pieces.len() * step;
        pieces.for_each(|piece| sums.add(Rows::flat(piece, WIDTH)));
        let expected = |rows: usize| (value * rows as i128, (value * value) as u128 * rows as u128);
        let sums: Vec<_> = sums.get().collect();
        assert_eq!(sums, [rows + x.len() / elements, rows, rows].map(expected), "{step} rows at a time");
    }
}

#[test]
fn lanes_do_not_overflow() {
    full_lanes(Bool(1));
    full_lanes(u8::MAX);
    full_lanes(i8::MIN);
    full_lanes(i8::MAX);
    full_lanes(u16::MAX);
    full_lanes(i16::MIN);
    full_lanes(i16::MAX);
    full_lanes(u32::MAX);
    full_lanes(i32::MIN);
    full_lanes(i32::MAX);
}

#[test]
fn infinity_is_reported_wherever_it_hides() {
    for len in [1usize, 5, 16, 100, 1000] {
        for at in [0, len / 2, len - 1] {
            let mut x = vec![f32::NAN; len];
            x[at] = f32::NEG_INFINITY;
            let mut parameters = Parameters::new(vec![1.0], vec![2.0], vec![NO_OFFSET]).expect("memory");
            parameters.prepare(false);
            let mut y = vec![0f64; len];
            assert!(parameters.map(Rows::flat(&x, 1), RowsMut::flat(&mut y, 1), Form::Scaled, false));
            assert_eq!(y[at], f64::NEG_INFINITY);
            x[at] = f32::MAX;
            assert!(!parameters.map(Rows::flat(&x, 1), RowsMut::flat(&mut y, 1), Form::Scaled, false));
        }
    }
}

// The element type only widens to one of these keys, which the quantiles of every dtype in Python's tests go through.
#[test]
fn brackets_of_every_width_of_key() {
    brackets(|bits| (bits >> 60) as u8);
    brackets(|bits| bits as i16);
    brackets(|bits| bits as i32);
    brackets(|bits| bits as i64);
    brackets(|bits| f16::from_f64(number(bits)));
    brackets(|bits| number(bits) as f32);
    brackets(number);
}

#[test]
fn norms_of_every_precision() {
    norms::<f64, f64>(number, 1e-14, 0.0);
    norms::<f32, f32>(|bits| number(bits) as f32, 1e-7, 0.0);
    norms::<f16, f16>(|bits| f16::from_f64(number(bits)), 1e-3, f64::powi(2.0, -25));
}

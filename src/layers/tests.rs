//! The kernels of normalisation layers at every instruction-set level that this CPU has, over awkward lengths and
//! alignments, against their naive twins: equal to the last bit. And layers of whole arrays against the plain formula.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // A failed expectation ends the run, as it should.

use crate::dd::two_sum;
use crate::element::{Output, bf16, f16};
use crate::kernels::line_gradients::{
    AddColumns, ColumnSlopes, MapColumns, MapGradient, Products, ProductsByElement, Slope,
};
use crate::kernels::lines::{Line, MapLine, Mean, Sums};
use crate::kernels::{self, Level};
use crate::layers::{Layer, LayerElement, normalize};
use crate::maps::affine::Target;
use crate::view::{View, ViewMut};
use proptest::prelude::*;

/// Lanes of the kernels: element `i` is added to lane `i % LANES`, and lanes to each other half by half.
const LANES: usize = 8;

/// Elements whose sum is taken so; the sums of blocks of as many are added with the errors of these additions.
const BLOCK: usize = 4096;

fn total(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut errors) = (0.0, 0.0);
    for block in terms.collect::<Vec<f64>>().chunks(BLOCK) {
        let mut lanes = [0.0; LANES];
        block.iter().enumerate().for_each(|(i, term)| lanes[i % LANES] += term);
        for half in [4, 2, 1] {
            (0..half).for_each(|j| lanes[j] += lanes[j + half]);
        }
        let (next, error) = two_sum(sum, lanes[0]);
        (sum, errors) = (next, errors + error);
    }
    sum + errors
}

/// Elements that begin at a multiple of 64 bytes, as what goes past the cache does.
fn aligned<T: Output>(memory: &mut Vec<T>, len: usize) -> &mut [T] {
    memory.clear();
    memory.resize(len + 64, T::from_f64(0.0));
    let start = memory.as_ptr().align_offset(64);
    &mut memory[start..start + len]
}

fn bits<T: Output>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

fn each_kernel<T: Output>(len: usize, start: usize) {
    let number = |i: usize, seed: usize| ((i * 37 + seed * 11) % 101) as f64 / 7.0 - 5.0;
    let make = |seed: usize| (0..len + start).map(|i| T::from_f64(number(i, seed))).collect::<Vec<T>>();
    let doubles = |seed: usize| (0..len).map(|i| number(i, seed)).collect::<Vec<f64>>();
    let (x, dy) = (make(1), make(2));
    let (x, dy) = (&x[start..], &dy[start..]);
    let (gamma, beta) = (doubles(3), doubles(4));
    let (mean, scale, offset) = (Mean { value: 0.3, rest: 1e-9 }, 1.7, -0.2);
    let away = |i: usize| mean.difference(x[i]);
    let at = |i: usize| dy[i].to_f64();

    let [sum, squares] = kernels::run(Sums { x, pivot: mean.value });
    let from_pivot = |i: usize| x[i].to_f64() - mean.value;
    assert_eq!(sum.to_bits(), total((0..len).map(from_pivot)).to_bits());
    assert_eq!(squares.to_bits(), total((0..len).map(|i| from_pivot(i) * from_pivot(i))).to_bits());

    let mut memory = Vec::new();
    for line in [None, Some((&gamma[..], &beta[..]))] {
        let map = Line { mean, scale, parameters: line, offset };
        let one = |i: usize| {
            let scaled = mean.rounded_difference(x[i]) * scale;
            T::from_f64(line.map_or(scaled + offset, |(gamma, beta)| scaled * gamma[i] + beta[i]))
        };
        let factor = |i: usize| line.map_or(scale, |(gamma, _)| scale * gamma[i]);
        let slope = Slope { factor: scale, gamma: line.map(|(gamma, _)| gamma), mean, slope: 0.7, offset };
        let gradient = |i: usize| T::from_f64(at(i) * factor(i) + (away(i) * 0.7 + offset));
        let expected = [&one as &dyn Fn(usize) -> T, &gradient].map(|f| bits(&(0..len).map(f).collect::<Vec<_>>()));

        let y = aligned(&mut memory, len);
        kernels::run(MapLine::<T, false> { line: map, x, y });
        assert_eq!(bits(y), expected[0]);
        kernels::run(MapGradient::<T, false> { slope, x, dy, dx: y });
        assert_eq!(bits(y), expected[1]);
        if (len * size_of::<T>()).is_multiple_of(16) {
            let y = aligned(&mut memory, len);
            kernels::run(MapLine::<T, true> { line: map, x, y });
            assert_eq!(bits(y), expected[0]);
            kernels::run(MapGradient::<T, true> { slope, x, dy, dx: y });
            assert_eq!(bits(y), expected[1]);
        }
    }

    let found = kernels::run(Products { x, dy, mean });
    assert_eq!(found[0].to_bits(), total((0..len).map(at)).to_bits());
    assert_eq!(found[1].to_bits(), total((0..len).map(|i| at(i) * away(i))).to_bits());
    let (mut dgamma, mut dbeta) = (doubles(5), doubles(6));
    let (old_gamma, old_beta) = (dgamma.clone(), dbeta.clone());
    let along = |i: usize| away(i) * scale * at(i);
    let one = ProductsByElement { x, dy, mean, scale, gamma: &gamma, dgamma: &mut dgamma, dbeta: &mut dbeta };
    let found = kernels::run(one);
    assert_eq!(found[0].to_bits(), total((0..len).map(|i| at(i) * gamma[i])).to_bits());
    assert_eq!(found[1].to_bits(), total((0..len).map(|i| along(i) * gamma[i])).to_bits());
    assert!((0..len).all(|i| dgamma[i] == old_gamma[i] + along(i)));
    assert!((0..len).all(|i| dbeta[i] == old_beta[i] + at(i)));

    let (mut sum, mut products) = (doubles(5), doubles(6));
    kernels::run(AddColumns { x, dy, mean: &gamma, sum: &mut sum, products: &mut products });
    assert!((0..len).all(|i| sum[i] == old_gamma[i] + at(i)));
    assert!((0..len).all(|i| products[i] == old_beta[i] + at(i) * (x[i].to_f64() - gamma[i])));
    let more = |seed: usize| (0..len + 3).map(|i| number(i, seed)).collect::<Vec<f64>>();
    let slopes = ColumnSlopes { factor: more(7), mean: more(8), slope: more(9), offset: more(10) };
    let dx = aligned(&mut memory, len);
    kernels::run(MapColumns { slopes: &slopes, first: 3, x, dy, dx });
    let one = |i: usize| {
        let linear = (x[i].to_f64() - slopes.mean[i + 3]) * slopes.slope[i + 3] + slopes.offset[i + 3];
        T::from_f64(at(i) * slopes.factor[i + 3] + linear)
    };
    assert_eq!(bits(dx), bits(&(0..len).map(one).collect::<Vec<_>>()));
}

#[test]
fn kernels_equal_their_twins() {
    let best = Level::current();
    for level in Level::ALL {
        if !level.force() {
            continue;
        }
        for len in (0..4 * LANES + 2).chain([255, 256, 1000, 4096, 9001]) {
            for start in [0, 1, 3] {
                each_kernel::<f16>(len, start);
                each_kernel::<bf16>(len, start);
                each_kernel::<f32>(len, start);
                each_kernel::<f64>(len, start);
            }
        }
    }
    assert!(best.force());
}

/// A layer of a whole array in C order, beside the formula.
fn check<T: LayerElement>(shape: &[usize], shared: &[bool], own: &[bool], values: &[f64], threads: usize) {
    let x: Vec<T> = values.iter().map(|value| T::from_f64(*value)).collect();
    let mut strides = vec![size_of::<T>() as isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    let number = |flags: &[bool], wanted: bool| -> usize {
        shape.iter().zip(flags).filter(|(_, flag)| **flag == wanted).map(|(len, _)| *len).product()
    };
    let gamma: Vec<f64> = (0..number(own, true)).map(|i| 1.0 + i as f64 / 8.0).collect();
    let kept: Vec<bool> = shared.iter().map(|shared| !shared).collect();
    let layer = Layer { kept: &kept, own, gamma: Some(&gamma), beta: None, epsilon: 0.5, centred: true };
    let mut y = vec![T::from_f64(0.0); x.len()];
    // SAFETY: vectors of as many elements as the shape says, in C order, which outlive the views.
    let (view, out) = unsafe {
        (View::<T>::new(x.as_ptr().cast(), shape, &strides), ViewMut::<T>::new(y.as_mut_ptr().cast(), shape, &strides))
    };
    let found = normalize(layer, view, out, Target::Fresh, true, threads).expect("memory");
    // The index of each element along some axes, in C order.
    let index = |mut flat: usize, flags: &[bool], wanted: bool| {
        let (mut number, mut size) = (0, 1);
        for axis in (0..shape.len()).rev() {
            if flags[axis] == wanted {
                number += flat % shape[axis] * size;
                size *= shape[axis];
            }
            flat /= shape[axis];
        }
        number
    };
    let groups = number(shared, false);
    let (mut mean, mut var) = (vec![0.0; groups], vec![0.0; groups]);
    let share = groups as f64 / x.len() as f64;
    (0..x.len()).for_each(|i| mean[index(i, shared, false)] += x[i].to_f64() * share);
    (0..x.len()).for_each(|i| {
        let group = index(i, shared, false);
        var[group] += (x[i].to_f64() - mean[group]).powi(2) * share;
    });
    // Some hundred terms of at most ten, each rounded.
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-11 * (1.0 + b.abs());
    assert!(found.mean.iter().zip(&mean).all(|(a, b)| close(a.value, *b)));
    assert!(found.var.iter().zip(&var).all(|(a, b)| close(*a, *b)));
    for (i, y) in y.iter().enumerate() {
        let group = index(i, shared, false);
        let expected = (x[i].to_f64() - mean[group]) / (var[group] + 0.5).sqrt() * gamma[index(i, own, true)];
        let rounded = T::from_f64(expected).to_f64();
        assert!((y.to_f64() - expected).abs() <= 2.0 * (rounded - expected).abs() + 1e-11 * (1.0 + expected.abs()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn layers_follow_the_formula(
        shape in prop::collection::vec(1usize..7, 1..5),
        flags in prop::collection::vec(any::<(bool, bool)>(), 4),
        long in 0usize..4,
        extra in 0usize..70,
        threads in 1usize..4,
        seed in 0u64..1000,
    ) {
        let mut shape = shape;
        let axis = long % shape.len();
        shape[axis] += extra;
        let (shared, own): (Vec<bool>, Vec<bool>) = flags[..shape.len()].iter().copied().unzip();
        let len: usize = shape.iter().product();
        let values: Vec<f64> = (0..len as u64).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f64 / 64.0).collect();
        check::<f64>(&shape, &shared, &own, &values, threads);
        check::<f32>(&shape, &shared, &own, &values, threads);
    }
}

//! Throughput of the kernels alone, on one thread and on data that stay in the cache: what they could do if memory
//! were free. `cargo bench` runs them for every instruction-set level that the CPU has.

#![allow(clippy::expect_used)] // A failed expectation ends the run, as it should.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use planish::element::{Element, Output, f16};
use planish::exact::columns::ExactColumns;
use planish::kernels::Level;
use planish::kernels::affine::{Form, NO_OFFSET, Parameters};
use planish::kernels::brackets::Brackets;
use planish::kernels::exact_sums::Summand;
use planish::kernels::extrema::Bounds;
use planish::kernels::moments::{Integer, IntegerSums};
use planish::kernels::normalize::normalize_rows;
use planish::kernels::norms::Norm;
use planish::rows::{Rows, RowsMut};
use std::hint::black_box;

const WIDTH: usize = 192;
const ROWS: usize = 128;

fn data<T>(make: impl Fn(u32) -> T) -> Vec<T> {
    (0..(WIDTH * ROWS) as u32).map(|i| make(i.wrapping_mul(2_654_435_761) >> 24)).collect()
}

fn each_level(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, bytes: usize, mut run: impl FnMut()) {
    let before = Level::current();
    group.throughput(Throughput::Bytes(bytes as u64));
    for level in Level::ALL.into_iter().filter(|level| level.force()) {
        group.bench_function(BenchmarkId::new(name, level.name()), |b| b.iter(&mut run));
    }
    before.force();
}

fn float_sums<T: Summand>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn(u32) -> T) {
    let x = data(make);
    let mut sums = ExactColumns::<T>::default();
    sums.start(WIDTH, false).expect("memory");
    each_level(group, name, size_of_val(x.as_slice()), || {
        sums.add(black_box(Rows::flat(&x, WIDTH)), 0).expect("finite");
    });
}

fn integer_sums<T: Integer>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn(u32) -> T) {
    let x = data(make);
    let mut sums = IntegerSums::<T>::new();
    each_level(group, name, size_of_val(x.as_slice()), || {
        sums.clear(WIDTH).expect("memory");
        sums.add(black_box(Rows::flat(&x, WIDTH)));
    });
}

fn bounds<T: Element>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn(u32) -> T) {
    let x = data(make);
    let mut bounds = Bounds::<T::Key>::default();
    each_level(group, name, size_of_val(x.as_slice()), || {
        bounds.clear(WIDTH).expect("memory");
        bounds.add(black_box(Rows::flat(&x, WIDTH)));
    });
}

fn affine<T: Element, U: Output>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn(u32) -> T) {
    let x = data(make);
    let mut out = vec![U::from_f64(0.0); x.len()];
    let shift = (0..WIDTH).map(|i| i as f64).collect();
    let mut parameters = Parameters::new(shift, vec![3.0; WIDTH], vec![NO_OFFSET; WIDTH]).expect("memory");
    parameters.prepare(true);
    each_level(group, name, size_of_val(x.as_slice()) + size_of_val(out.as_slice()), || {
        black_box(parameters.map(
            black_box(Rows::flat(&x, WIDTH)),
            RowsMut::flat(&mut out, WIDTH),
            Form::Scaled,
            false,
        ));
    });
}

/// Three brackets, which hold a twentieth of the elements.
fn brackets<T: Element>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn(u32) -> T + Copy) {
    let x = data(make);
    let mut brackets = Brackets::<T::Key>::default();
    brackets.slot_of.extend(0..WIDTH as u32);
    brackets.inside.resize_with(WIDTH, Vec::new);
    for k in 0..3 {
        brackets.low.extend(std::iter::repeat_n(make(64 * k + 62).key(), WIDTH));
        brackets.high.extend(std::iter::repeat_n(make(64 * k + 67).key(), WIDTH));
    }
    each_level(group, name, size_of_val(x.as_slice()), || {
        brackets.clear().expect("memory");
        brackets.add(black_box(Rows::flat(&x, WIDTH))).expect("memory");
        brackets.inside.iter_mut().for_each(Vec::clear);
    });
}

fn norms<T: Element, U: Output>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn(u32) -> T) {
    let x = data(make);
    let mut out = vec![U::from_f64(0.0); x.len()];
    for (norm, label) in [(Norm::L1, "l1"), (Norm::L2, "l2"), (Norm::Max, "max")] {
        let bytes = size_of_val(x.as_slice()) + size_of_val(out.as_slice());
        each_level(group, &format!("{label} {name}"), bytes, || {
            let rows = black_box(Rows::flat(&x, WIDTH));
            let out = RowsMut::flat(&mut out, WIDTH);
            black_box(normalize_rows(norm, rows, out, WIDTH / 3, 1e-6, false)).expect("memory");
        });
    }
}

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("moments");
    float_sums(&mut group, "float32", |i| i as f32);
    float_sums(&mut group, "float64", f64::from);
    integer_sums(&mut group, "uint8", |i| i as u8);
    integer_sums(&mut group, "int16", |i| i as i16);
    integer_sums(&mut group, "int32", |i| i as i32);
    group.finish();
    let mut group = criterion.benchmark_group("extrema");
    bounds(&mut group, "float32", |i| i as f32);
    bounds(&mut group, "float64", f64::from);
    bounds(&mut group, "uint8", |i| i as u8);
    group.finish();
    let mut group = criterion.benchmark_group("affine");
    affine::<f32, f32>(&mut group, "float32", |i| i as f32);
    affine::<f64, f64>(&mut group, "float64", f64::from);
    affine::<u8, f32>(&mut group, "uint8 to float32", |i| i as u8);
    affine::<f16, f16>(&mut group, "float16", |i| f16::from_f32(i as f32));
    group.finish();
    let mut group = criterion.benchmark_group("brackets");
    brackets(&mut group, "float32", |i| i as f32);
    brackets(&mut group, "float64", f64::from);
    brackets(&mut group, "uint8", |i| i as u8);
    group.finish();
    let mut group = criterion.benchmark_group("norms");
    norms::<f32, f32>(&mut group, "float32", |i| i as f32);
    norms::<f64, f64>(&mut group, "float64", f64::from);
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);

//! Columns of hostile elements against numbers to which they are added one by one.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // A failed expectation is a failed test.

use super::columns::{ExactColumns, Sums, add_element};
use crate::error::Error;
use crate::kernels::Level;
use crate::kernels::exact_sums::{LANES, Summand};
use crate::kernels::exact_weights::GROUP;
use crate::rows::Rows;
use crate::stats::cell::Cell;
use crate::stats::moments::{Moments, MomentsElement};
use crate::view::View;
use proptest::prelude::*;

/// Mixes bits (SplitMix64).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::stats::quantiles::mix(self.0)
    }

    /// Between -1 and 1.
    fn unit(&mut self) -> f64 {
        (self.bits() as i64) as f64 / 2f64.powi(63)
    }
}

/// Kinds of columns.
const KINDS: usize = 16;

/// Element number `i` of a column of some kind, for `f32` or `f64`.
fn element(random: &mut Random, kind: usize, i: usize, single: bool) -> f64 {
    let (least, largest) =
        if single { (f64::from(f32::from_bits(1)), f64::from(f32::MAX)) } else { (f64::from_bits(1), f64::MAX) };
    let unit = random.unit();
    match kind {
        0 => unit,
        1 => 1e5 + unit,
        2 => (12.0 * unit).exp(),
        3 => [0.0, -0.0][i % 2],
        4 => {
            if i % 97 == 3 {
                f64::NAN
            } else {
                unit
            }
        }
        // Every exponent, and every bit.
        5 => {
            if single {
                f32::from_bits(random.bits() as u32).into()
            } else {
                f64::from_bits(random.bits())
            }
        }
        6 => least * (100.0 * unit).trunc(),
        // Cancellation.
        7 => [1e30, -1e30, 1e-10 * unit][i % 3],
        8 => (1000.0 * unit).trunc(),
        9 => unit * if i % 1000 < 500 { 1e-3 } else { 1e3 },
        10 => f64::NAN,
        11 => largest * (1.0 - 1e-3 * unit.abs()),
        12 => unit * 2f64.powi(if single { -140 } else { -1040 }),
        13 => unit * 2f64.powi((random.bits() % 120) as i32 - 60),
        // At the edge of what a grid holds.
        14 => [1.0, 2f64.powi(-21), 2f64.powi(-22), 2f64.powi(-44), 1.0 + 2f64.powi(-23)][random.bits() as usize % 5],
        _ => unit * if single { 1e20 } else { 1e200 },
    }
}

fn naive<T: Summand>(x: &[T], width: usize) -> Vec<Sums> {
    let mut sums = Vec::new();
    sums.resize_with(width, Sums::default);
    for row in x.chunks(width) {
        for (sums, x) in sums.iter_mut().zip(row) {
            add_element(sums, x.to_f64()).expect("finite");
        }
    }
    for sums in &mut sums {
        sums.sum.trim();
        sums.square.trim();
    }
    sums
}

/// As columns from chunk `chunk` on, in two batches.
fn ours<T: Summand>(x: &[T], width: usize, holes: bool, chunk: usize) -> Vec<Sums> {
    let mut columns = ExactColumns::<T>::default();
    columns.start(chunk * LANES + width, holes).expect("memory");
    let cut = x.len() / width / 3 * width;
    columns.add(Rows::flat(&x[..cut], width), chunk).expect("finite");
    columns.add(Rows::flat(&x[cut..], width), chunk).expect("finite");
    let mut sums: Vec<Sums> =
        columns.finish().expect("memory")[chunk * LANES..].iter_mut().map(std::mem::take).collect();
    for sums in &mut sums {
        sums.sum.trim();
        sums.square.trim();
    }
    sums
}

fn check<T: Summand>(single: bool, of: impl Fn(f64) -> T) {
    let group = T::GROUP;
    let shapes = [
        (1, 3 * group + 1),
        (3, group - 1),
        (8, group),
        (13, group + 1),
        (24, 2 * group),
        (16, 3),
        (8, 1026 * group + 5),
    ];
    for kind in 0..2 * KINDS {
        for (width, rows) in shapes {
            let mut random = Random((kind * 1000 + width) as u64);
            // Columns of one kind, or of a kind each.
            let kind_of = |column: usize| if kind < KINDS { kind } else { (kind + column) % KINDS };
            let x: Vec<T> = (0..width * rows)
                .map(|i| of(element(&mut random, kind_of(i % width), i / width, single)))
                .map(|x| if x.to_f64().is_infinite() { T::ZERO } else { x })
                .collect();
            let expected = naive(&x, width);
            for level in Level::ALL.into_iter().filter(|level| level.is_supported()) {
                level.force();
                for (holes, chunk) in [(false, 0), (true, 0), (false, 2)] {
                    for (column, (ours, naive)) in ours(&x, width, holes, chunk).iter().zip(&expected).enumerate() {
                        let same =
                            ours.sum == naive.sum && ours.square == naive.square && ours.missing == naive.missing;
                        assert!(same, "kind {kind}, {width} columns, {rows} rows, column {column}, {level:?}, {holes}");
                    }
                }
            }
        }
    }
    Level::best().force();
}

/// Three groups of rows: what the grids are chosen for, and then what is larger or smaller by some step from column to
/// column, so that every bound is met.
fn edges<T>(group: usize, first: usize, then: usize, of: impl Fn(f64) -> T) -> (Vec<T>, usize) {
    const COLUMNS: i32 = 480;
    let value = |row: usize, k: i32| {
        let sign = |turn: bool| if turn && row % 2 == 1 { -1.0 } else { 1.0 };
        // All bits of a mantissa.
        let full = 2.0 - f64::EPSILON;
        if row < group {
            match first {
                0 => full,
                1 => full * sign(true),
                _ => full * f64::from(row % 8 == 3),
            }
        } else {
            let size = full * 2f64.powf(f64::from(k) / 8.0);
            match then {
                0 => size,
                1 => -size,
                2 => size * sign(true),
                _ => size * f64::from(row % group == 7),
            }
        }
    };
    let columns = || -COLUMNS / 6 * 5..COLUMNS / 6;
    let x = (0..3 * group).flat_map(|row| columns().map(move |k| (row, k))).map(|(row, k)| of(value(row, k)));
    (x.collect(), COLUMNS as usize)
}

fn check_edges<T: Summand>(of: impl Fn(f64) -> T + Copy) {
    for (first, then) in (0..3).flat_map(|first| (0..4).map(move |then| (first, then))) {
        let (x, width) = edges(T::GROUP, first, then, of);
        let expected = naive(&x, width);
        for level in Level::ALL.into_iter().filter(|level| level.force()) {
            // All at once, and in the wide form from the start: after what is far apart.
            for wide in [false, true] {
                let mut columns = ExactColumns::<T>::default();
                columns.start(width, false).expect("memory");
                let apart: Vec<T> =
                    (0..T::GROUP * width).map(|i| of(if i / width % 2 == 0 { 1.0 } else { 2f64.powi(-45) })).collect();
                if wide {
                    columns.add(Rows::flat(&apart, width), 0).expect("finite");
                }
                columns.add(Rows::flat(&x, width), 0).expect("finite");
                let ours = columns.finish().expect("memory");
                let mut expected: Vec<Sums> = expected
                    .iter()
                    .map(|sums| Sums {
                        sum: sums.sum.try_clone().expect("memory"),
                        square: sums.square.try_clone().expect("memory"),
                        missing: 0,
                    })
                    .collect();
                if wide {
                    let more = naive(&apart, width);
                    expected.iter_mut().zip(&more).for_each(|(sums, more)| sums.join(more).expect("memory"));
                }
                for sums in ours.iter_mut().chain(&mut expected) {
                    sums.sum.trim();
                    sums.square.trim();
                }
                for (column, (ours, naive)) in ours.iter().zip(&expected).enumerate() {
                    let same = ours.sum == naive.sum && ours.square == naive.square;
                    assert!(same, "{} {first} {then} {wide}, column {column}", level.name());
                }
            }
        }
    }
    Level::best().force();
}

#[test]
fn edges_of_singles() {
    check_edges(|x| x as f32);
}

#[test]
fn edges_of_doubles() {
    check_edges(|x| x);
}

#[test]
fn edges_of_the_range_of_doubles() {
    // Where products of slices would no longer be normal numbers, or be none at all.
    for power in [-510, -480, 440, 500] {
        check_edges(|x| x * 2f64.powi(power));
    }
}

/// So many groups, all of which gain about the most that is allowed, that totals would overflow.
fn check_many_groups<T: Summand>(groups: usize, of: impl Fn(f64) -> T) {
    for size in [1.5, 1.8, 1.99] {
        let mut x = vec![of(1.0); T::GROUP];
        x.resize(T::GROUP * groups, of(size));
        let expected = naive(&x, 1);
        for level in Level::ALL.into_iter().filter(|level| level.force()) {
            let ours = ours(&x, 1, false, 0);
            assert!(ours[0].sum == expected[0].sum && ours[0].square == expected[0].square, "{size} {}", level.name());
        }
    }
    Level::best().force();
}

#[test]
fn many_groups_at_the_edge() {
    check_many_groups(33_000, |x| x as f32);
    check_many_groups(9_000, |x| x);
}

#[test]
fn singles() {
    check::<f32>(true, |x| x as f32);
}

#[test]
fn doubles() {
    check::<f64>(false, |x| x);
}

#[test]
fn infinity_is_an_error() {
    for at in [0, 63, 64, 500] {
        let mut x = vec![1.0f64; 501];
        x[at] = f64::NEG_INFINITY;
        let mut columns = ExactColumns::<f64>::default();
        columns.start(1, false).expect("memory");
        assert_eq!(columns.add(Rows::flat(&x, 1), 0), Err(Error::Infinite));
    }
}

proptest! {
    #[test]
    fn any_bits(x in prop::collection::vec(any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| !x.is_infinite()), 1..200)) {
        for (ours, naive) in ours(&x, 1, false, 0).iter().zip(naive(&x, 1)) {
            prop_assert_eq!((&ours.sum, &ours.square, ours.missing), (&naive.sum, &naive.square, naive.missing));
        }
    }
}

/// What the weights of a column are like.
const WEIGHTS: usize = 6;

fn weight(random: &mut Random, kind: usize) -> f64 {
    let unit = random.unit().abs();
    match kind {
        0 => unit,
        1 => (100.0 * unit).floor(),
        2 => f64::from(unit > 0.5),
        3 => (40.0 * unit - 20.0).exp(),
        4 => f64::from(unit as f32),
        // Every exponent.
        _ => f64::from_bits(random.bits() >> 1 & !(1 << 62)),
    }
}

fn weighted<T: MomentsElement>(x: &[T], weights: &[f64], width: usize, threads: usize) -> Result<Moments, Error> {
    let size = size_of::<T>() as isize;
    let (shape, strides) = ([x.len() / width, width], [size * width as isize, size]);
    // One for each element, or one for each row.
    let weight_strides = if weights.len() == x.len() { [8 * width as isize, 8] } else { [8, 0] };
    // SAFETY: shape and strides stay within `x` and `weights`.
    let (x, weights) = unsafe {
        (
            View::<T>::new(x.as_ptr().cast(), &shape, &strides),
            View::<f64>::new(weights.as_ptr().cast(), &shape, &weight_strides),
        )
    };
    Moments::of_chosen(x, None, Some(weights), &[false, true], threads)
}

fn one_by_one<T: MomentsElement>(x: &[T], weights: &[f64], width: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); width];
    let by_row = weights.len() < x.len();
    for (i, x) in x.iter().enumerate() {
        let weight = weights[if by_row { i / width } else { i }];
        cells[i % width].add_weighted(*x, weight).expect("no infinity");
    }
    cells.iter_mut().for_each(Cell::trim);
    cells
}

/// Elements with weights give what they give one by one: elements of some type, made of what `element` gives.
fn check_weighted<T: MomentsElement>(single: bool, make: impl Fn(f64) -> T) {
    let mut random = Random(T::DTYPE as u64);
    for round in 0..300 {
        let rows = [1, 3, 4, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 333, 1000][random.bits() as usize % 9];
        let width = [1, 2, 3, 7, 8, 9, 13, 16, 24, 27][random.bits() as usize % 10];
        let by_row = round % 2 == 0;
        let (kind, weights) = (random.bits() as usize % KINDS, random.bits() as usize % WEIGHTS);
        let change = rows / (1 + random.bits() as usize % 4);
        let x: Vec<T> = (0..rows * width)
            .map(|i| {
                // Half-way other elements may come.
                let kind = if i / width < change { kind } else { (kind + round) % KINDS };
                let x = element(&mut random, kind, i / width, single);
                make(if x.is_infinite() { 1.0 } else { x })
            })
            .collect();
        let w: Vec<f64> = (0..if by_row { rows } else { rows * width }).map(|_| weight(&mut random, weights)).collect();
        let cells = one_by_one(&x, &w, width);
        for level in Level::ALL.into_iter().filter(|level| level.force()) {
            let moments = weighted(&x, &w, width, 1 + round % 3);
            let too_large = cells.iter().any(|cell| !cell.weight.to_f64().expect("memory").is_finite());
            match moments {
                Ok(moments) => assert_eq!(moments.cells, cells, "{} {round} {rows} x {width}", level.name()),
                Err(error) => assert!(too_large && matches!(error, Error::Overflow), "{error}"),
            }
        }
    }
    Level::best().force();
}

#[test]
fn weights_of_doubles() {
    check_weighted(false, |x| x);
}

#[test]
fn weights_of_singles() {
    check_weighted(true, |x| x as f32);
}

#[test]
fn weights_of_long_integers() {
    check_weighted(false, |x| x.to_bits() as i64);
}

fn check_weighted_edges<T: MomentsElement>(of: impl Fn(f64) -> T + Copy) {
    for (first, then) in (0..3).flat_map(|first| (0..4).map(move |then| (first, then))) {
        let (x, width) = edges(GROUP, first, then, of);
        // Weights of few bits, of 26, of all.
        for (number, full) in [1.0, 2.0 - 2f64.powi(-22), 2.0 - f64::EPSILON].into_iter().enumerate() {
            for k in [-60, -30, -24, -7, -1, 0, 1, 4, 7, 8, 9, 10, 11, 12, 13, 24] {
                // Shifted, or with bits far apart.
                let scale = 2f64.powi(k + number as i32);
                let large = full * if first % 2 == 1 && k > 0 { 1.0 + scale } else { scale };
                // In all rows, or where the only element is.
                let is_large = |row: usize| row >= GROUP && (then != 3 || row % GROUP == 7);
                let w: Vec<f64> = (0..x.len() / width).map(|row| if is_large(row) { large } else { full }).collect();
                let cells = one_by_one(&x, &w, width);
                let each: Vec<f64> = w.iter().flat_map(|w| std::iter::repeat_n(*w, width)).collect();
                for level in Level::ALL.into_iter().filter(|level| level.force()) {
                    for weights in [&w, &each] {
                        let moments = weighted(&x, weights, width, 1).expect("in range");
                        let differs = moments.cells.iter().zip(&cells).position(|(ours, naive)| ours != naive);
                        assert_eq!(differs, None, "{} {first} {then} {full} {k}", level.name());
                    }
                }
            }
        }
    }
    Level::best().force();
}

#[test]
fn edges_of_singles_with_weights() {
    check_weighted_edges(|x| x as f32);
}

#[test]
fn edges_of_doubles_with_weights() {
    check_weighted_edges(|x| x);
}

#[test]
fn an_infinity_with_a_weight_is_an_error() {
    for rows in [1, 3, GROUP, GROUP + 1] {
        let mut x = vec![1.0; rows];
        x[rows - 1] = f64::INFINITY;
        let mut weights = vec![2.0; rows];
        assert!(matches!(weighted(&x, &weights, 1, 1), Err(Error::Infinite)));
        weights[rows - 1] = 0.0;
        assert!(weighted(&x, &weights, 1, 1).is_ok());
    }
}

//! Naive twins of the kernels: the definitions, one element at a time, with nothing but indices. Results are equal to
//! the last bit.

use super::affine::{Form, Parameters, map_one};
use super::norms::Norm;
use crate::element::{Element, Key, Output};

/// The elements of each row of a flat array of `width` columns, with their column.
fn columns<T: Copy>(elements: &[T], width: usize) -> impl Iterator<Item = (usize, T)> + '_ {
    elements.iter().enumerate().map(move |(i, x)| (i % width, *x))
}

/// Sum and sum of squares of each column of integers.
pub fn integer_sums<T: Element>(elements: &[T], width: usize) -> Vec<(i128, u128)> {
    let mut sums = vec![(0, 0); width];
    for (column, x) in columns(elements, width) {
        // Elements of up to 32 bits are exact as f64.
        let x = x.to_f64() as i128;
        sums[column].0 += x;
        sums[column].1 += (x * x) as u128;
    }
    sums
}

/// Minimum, maximum and number of NaN of each column.
pub fn bounds<T: Element>(elements: &[T], width: usize) -> Vec<(T::Key, T::Key, u32)> {
    let mut bounds = vec![(T::Key::TOP, T::Key::BOTTOM, 0); width];
    for (column, x) in columns(elements, width) {
        let (min, max, nan) = &mut bounds[column];
        if x.to_f64().is_nan() {
            *nan += 1;
        } else {
            *min = if x.key() < *min { x.key() } else { *min };
            *max = if x.key() > *max { x.key() } else { *max };
        }
    }
    bounds
}

/// [`Parameters::map`].
pub fn map<T: Element, U: Output>(parameters: &Parameters, elements: &[T], form: Form) -> (Vec<U>, bool) {
    let infinite = elements.iter().any(|x| x.to_f64().is_infinite());
    let mapped = columns(elements, parameters.shift.len()).map(|(c, x)| map_one(parameters, c, x, form));
    (mapped.collect(), infinite)
}

/// Counts of one column of brackets: below the lower end, up to it, up to the upper end, and what is inside.
pub type Around<K> = ([u64; 3], Vec<K>);

/// [`super::brackets::Brackets::add`] for one bracket: counts and inside of each column, and its finite elements.
pub fn around<T: Element>(elements: &[T], low: &[T::Key], high: &[T::Key]) -> Vec<(Around<T::Key>, u64)> {
    let mut found = vec![(([0; 3], Vec::new()), 0); low.len()];
    for (column, x) in columns(elements, low.len()) {
        let (x, (low, high)) = (x.key(), (low[column], high[column]));
        let ((counts, inside), finite) = &mut found[column];
        for (count, counted) in counts.iter_mut().zip([x < low, x <= low, x <= high]) {
            *count += u64::from(counted);
        }
        if x > low && x < high {
            inside.push(x);
        }
        *finite += u64::from(x.magnitude() < T::Key::TOP);
    }
    found
}

/// [`super::normalize::normalize_rows`], with sums in the plain order: equal but for rounding.
pub fn normalize<T: Element>(norm: Norm, x: &[T], tiny: f64) -> Vec<f64> {
    let magnitudes = x.iter().map(|x| x.to_f64().abs());
    let length = match norm {
        Norm::L1 => magnitudes.sum(),
        Norm::L2 => magnitudes.map(|x| x * x).sum::<f64>().sqrt(),
        Norm::Max => magnitudes.fold(0.0, f64::max),
    };
    let divisor = if length < tiny || length == 0.0 { 1.0 } else { length };
    x.iter().map(|x| x.to_f64() / divisor).collect()
}

//! Vectors divided by their length: a statistic within the array and the map that it gives, in one pass.

use super::affine::{Affine, map};
use crate::dd::Dd;
use crate::drive::{ElementMap, Target, each, map_elements, plan};
use crate::element::{Element, Output};
use crate::error::Error;
use crate::groups::Lines;
use crate::kernels::convert::converted;
use crate::kernels::normalize::normalize_rows;
use crate::kernels::norms::Norm;
use crate::kernels::{Seen, copy};
use crate::memory;
use crate::rows::{Rows, RowsMut};
use crate::stats::norms::{Scaled, norms};
use crate::view::{View, ViewMut};
use std::ops::Range;

/// Bytes of vectors that are measured and divided before the next ones are read: they stay in the second-level cache.
const CACHED_BYTES: usize = 256 << 10;

/// Divide the vectors along the axes `along` of `x` by their length, into `out` of the same shape; `false`, with `out`
/// unspecified, where an element is not finite. Vectors shorter than `tiny`, and zero, stay as they are.
pub fn normalize<T: Element, U: Output>(
    norm: Norm,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    along: &[bool],
    tiny: f64,
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    assert_eq!(x.shape(), out.shape(), "one result for each element");
    let plan = plan::<T, U>(x, &out, along)?;
    let inner = plan.cols.last().is_some_and(|axis| axis.kept && axis.len == plan.channels);
    if inner && plan.kept_positions() == 1 {
        let map = Neighbours { norm, len: plan.channels, tiny };
        Ok(!map_elements(&map, x, out, along, target, threads)?.infinite)
    } else {
        normalize_outer(norm, x, out, along, tiny, target, threads)
    }
}

/// Vectors of `len` neighbouring elements (or of elements that a scratch tile makes neighbours), divided by their length.
struct Neighbours {
    norm: Norm,
    len: usize,
    tiny: f64,
}

impl<T: Element, U: Output> ElementMap<T, U> for Neighbours {
    type Columns = (Vec<T::Wide>, Vec<f64>);
    const WIDENS: bool = false;

    fn prepare(&self, _: isize, _: &[isize], _: usize, _: &mut (Vec<T::Wide>, Vec<f64>)) -> Result<(), Error> {
        Ok(())
    }

    fn run(
        &self,
        (wide, doubles): &mut (Vec<T::Wide>, Vec<f64>),
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        _next: Option<*const T>,
        stream: bool,
    ) -> Result<Seen, Error> {
        let Self { norm, len, tiny } = *self;
        let stream = stream && (len * size_of::<U>()).is_multiple_of(copy::STREAM_ALIGN);
        let infinite = if const { U::NEEDS_EXACT } {
            normalize_rows(norm, converted::<T, f64>(rows, doubles)?, out, len, tiny, stream)
        } else {
            normalize_rows(norm, converted::<T, T::Wide>(rows, wide)?, out, len, tiny, stream)
        }?;
        Ok(Seen { infinite, outside: false })
    }
}

/// Vectors whose elements lie apart: the statistics and the map of the engine, some vectors at a time.
fn normalize_outer<T: Element, U: Output>(
    norm: Norm,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    along: &[bool],
    tiny: f64,
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    let kept: Vec<bool> = memory::collect(along.iter().map(|along| !along))?;
    let longest = (0..kept.len()).filter(|axis| kept[*axis]).max_by_key(|axis| x.shape()[*axis]);
    let bytes = x.shape().iter().product::<usize>() * size_of::<T>().max(size_of::<U>());
    let pieces = longest.map_or(1, |axis| (bytes / CACHED_BYTES).clamp(1, x.shape()[axis]));
    let Some(axis) = longest.filter(|_| pieces > threads) else {
        return normalize_piece(norm, x, out, &kept, tiny, target, threads);
    };
    let (len, shape) = (x.shape()[axis], x.shape());
    let steps = [x.strides()[axis], out.strides()[axis]];
    let (strides, out_strides) = (x.strides(), out.strides());
    let piece = |range: &Range<usize>| {
        let mut shape = memory::copied(shape)?;
        shape[axis] = range.len();
        let [from, to] = steps.map(|step| range.start as isize * step);
        // SAFETY: a part of each view, cut along one axis.
        let x = unsafe { View::<T>::new(x.at(from), &shape, strides) };
        // SAFETY: as above; the parts of different pieces do not overlap.
        let out = unsafe { ViewMut::<U>::new(out.at(to), &shape, out_strides) };
        normalize_piece(norm, x, out, &kept, tiny, target, 1)
    };
    let pieces = Lines::<2>::pieces(len, pieces)?;
    Ok(each(&pieces, threads, || (), |(), range| piece(range))?.into_iter().all(|finite| finite))
}

fn normalize_piece<T: Element, U: Output>(
    norm: Norm,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    tiny: f64,
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    let lengths = norms(norm, x, kept, false, threads)?;
    if !lengths.iter().all(|scaled| scaled.length.hi.is_finite()) {
        return Ok(false);
    }
    let divisors = || lengths.iter().map(|scaled| divisor(scaled, tiny));
    let scale: Vec<f64> = memory::collect(divisors().map(|divisor| divisor.hi))?;
    let rest: Vec<f64> = memory::collect(divisors().map(|divisor| divisor.lo))?;
    let out_of_range = lengths.iter().any(|scaled| scaled.unit != 1.0);
    let units = lengths.iter().take(if out_of_range { lengths.len() } else { 0 });
    let unit: Vec<f64> = memory::collect(units.map(|scaled| scaled.unit))?;
    let affine = Affine {
        scale: Some(&scale),
        scale_rest: Some(&rest),
        unit: out_of_range.then_some(&unit),
        divide: true,
        ..Affine::default()
    };
    Ok(!map(affine, x, out, kept, target, threads)?)
}

/// What to divide a vector of this length by, in its unit: one where there is nothing to divide.
pub fn divisor(scaled: &Scaled, tiny: f64) -> Dd {
    let Scaled { length, unit } = scaled;
    if length.hi == 0.0 || length.hi < tiny * unit { Dd::from(1.0) } else { *length }
}

//! Vectors divided by their length: a statistic within the array and the map that it gives, in one pass.

use super::affine::{Affine, Target, map};
use crate::dd::Dd;
use crate::element::{Element, Output};
use crate::error::Error;
use crate::kernels::copy;
use crate::kernels::normalize::normalize_rows;
use crate::kernels::norms::Norm;
use crate::plan::Plan;
use crate::memory;
use crate::parallel;
use crate::stats::norms::{Scaled, norms};
use crate::blocks::{Access, access, block, scatter};
use crate::rows::RowsMut;
use crate::view::{View, ViewMut};

/// Bytes of output that a kernel writes at a time.
const TILE_BYTES: usize = 16 << 10;
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
    let sizes = [size_of::<U>(), size_of::<T>()];
    let plan = Plan::new(x.shape(), along, [out.strides(), x.strides()], sizes, TILE_BYTES / size_of::<U>())?;
    let inner = plan.cols.last().is_some_and(|axis| axis.kept && axis.len == plan.channels);
    if inner && plan.kept_positions() == 1 {
        normalize_inner(norm, x, out, plan, tiny, target, threads)
    } else {
        normalize_outer(norm, x, out, along, tiny, target, threads)
    }
}

/// Vectors of neighbouring elements, or of elements that a scratch tile makes neighbours.
fn normalize_inner<T: Element, U: Output>(
    norm: Norm,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    plan: Plan<2>,
    tiny: f64,
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    let (len, size) = (plan.channels, size_of::<U>());
    let out_access = access::<U, 2>(&plan, 0, out.start());
    // Elements that are overwritten are read into a tile of their own first.
    let x_access = if target == Target::Input { Access::Gather } else { access::<T, 2>(&plan, 1, x.start()) };
    let stream = target == Target::Warm
        && copy::exceeds_cache(plan.elements * size)
        && out_access == Access::Flat
        && (len * size).is_multiple_of(copy::STREAM_ALIGN)
        && (out.start() as usize).wrapping_add_signed(plan.place(0).offset[0]).is_multiple_of(copy::STREAM_ALIGN);
    let tasks = plan.tasks()?;
    let finite = parallel::map(
        tasks.len(),
        threads,
        || (Vec::<T>::new(), Vec::<U>::new()),
        |(elements, results), task| {
            let mut spoiled = false;
            let place = plan.place(0);
            for unit in tasks[task].units.clone() {
                let (offset, rows) = plan.unit(&place, unit);
                let (to, from) = (out.at(offset[0]), x.at(offset[1]));
                // SAFETY: the plan visits elements of the view only, which promises that they can be read.
                let elements = unsafe { block(&plan, 1, x_access, from, rows, place.width, 1, elements) }?;
                if out_access == Access::Gather {
                    memory::resize(results, U::from_f64(0.0), rows * place.width)?;
                    let target = RowsMut::flat(results, place.width);
                    spoiled |= normalize_rows(norm, elements, target, len, tiny, false)?;
                    // SAFETY: the plan visits elements of the output only, each once: this block is this task's alone.
                    unsafe { scatter(&plan, 0, to, place.width, results) };
                    continue;
                }
                let stride = if out_access == Access::Flat { place.width } else { plan.rows.stride[0] as usize / size };
                // SAFETY: as above; `access` saw that rows are contiguous, aligned and this far apart.
                let target = unsafe { RowsMut::new(to.cast::<U>(), rows, stride, place.width, 0) };
                spoiled |= normalize_rows(norm, elements, target, len, tiny, stream)?;
            }
            if stream {
                copy::fence();
            }
            Ok::<_, Error>(!spoiled)
        },
    )?;
    Ok(finite.into_iter().all(|finite| finite))
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
    let piece = |index: usize| {
        let first = index * len / pieces;
        let mut shape = memory::copied(shape)?;
        shape[axis] = (index + 1) * len / pieces - first;
        let (from, to) = (first as isize * steps[0], first as isize * steps[1]);
        // SAFETY: a part of each view, cut along one axis.
        let x = unsafe { View::<T>::new(x.at(from), &shape, strides) };
        // SAFETY: as above; the parts of different pieces do not overlap.
        let out = unsafe { ViewMut::<U>::new(out.at(to), &shape, out_strides) };
        normalize_piece(norm, x, out, &kept, tiny, target, 1)
    };
    Ok(parallel::map(pieces, threads, || (), |(), index| piece(index))?.into_iter().all(|finite| finite))
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
    let lengths = norms(norm, x, kept, threads)?;
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

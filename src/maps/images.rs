//! Pictures: an affine map with given constants, or with the statistics of each picture itself.

use super::affine::{Affine, Target, map};
use crate::element::Output;
use crate::error::Error;
use crate::memory;
use crate::parallel;
use crate::stats::extrema::Extrema;
use crate::stats::moments::{Moments, MomentsElement};
use crate::view::{View, ViewMut};

/// Where shift and scale come from.
#[derive(Debug, Clone, Copy)]
pub enum Normalization<'a> {
    /// They are constants.
    Given(Affine<'a>),
    /// Mean, and standard deviation plus this, of each picture.
    Deviation(f64),
    /// Minimum, and range plus this, of each picture.
    Range(f64),
}

/// One picture (or a whole batch, where the constants are given) and where its result goes, in the same order of axes.
#[derive(Debug)]
pub struct Picture<'a, T, U> {
    /// To read.
    pub x: View<'a, T>,
    /// To write.
    pub out: ViewMut<'a, U>,
}

/// Map every picture; `kept` are the axes whose channels have constants or statistics of their own, and the results lie
/// within `clip`. The first error, with the number of the picture.
pub fn map_pictures<T: MomentsElement, U: Output>(
    normalization: Normalization<'_>,
    pictures: &[Picture<'_, T, U>],
    kept: &[bool],
    clip: Option<[f64; 2]>,
    target: Target,
    threads: usize,
) -> Result<(), (usize, Error)> {
    // Pictures are short work: many of them go one to a thread.
    let (outer, inner) = if pictures.len() >= threads { (threads, 1) } else { (1, threads) };
    let one = |index: usize| {
        let Picture { x, out } = &pictures[index];
        // SAFETY: the elements of `out`, lent once: every picture is one task.
        let out = unsafe { ViewMut::<U>::new(out.start(), out.shape(), out.strides()) };
        map_picture(normalization, *x, out, kept, clip, target, inner).map_err(|error| (index, error))
    };
    parallel::map(pictures.len(), outer, || (), |(), index| one(index)).map(|_| ())
}

fn map_picture<T: MomentsElement, U: Output>(
    normalization: Normalization<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    clip: Option<[f64; 2]>,
    target: Target,
    threads: usize,
) -> Result<(), Error> {
    let (shift, scale) = match normalization {
        Normalization::Given(affine) => {
            map(Affine { clip, ..affine }, x, out, kept, target, threads)?;
            return Ok(());
        }
        Normalization::Deviation(epsilon) => {
            let moments = Moments::of(x, kept, threads)?;
            let mut scale = moments.var(0.0)?;
            scale.iter_mut().for_each(|var| *var = var.sqrt() + epsilon);
            (moments.mean()?, scale)
        }
        Normalization::Range(epsilon) => {
            let extrema = Extrema::of(x, kept, threads)?;
            if extrema.has_infinity() {
                return Err(Error::Infinite);
            }
            let cells = &extrema.cells;
            let ranges = cells.iter().map(|cell| cell.max - cell.min + epsilon);
            (memory::collect(cells.iter().map(|cell| cell.min))?, memory::collect(ranges)?)
        }
    };
    let affine = Affine { shift: Some(&shift), scale: Some(&scale), divide: true, clip, ..Affine::default() };
    map(affine, x, out, kept, target, threads)?;
    Ok(())
}

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
pub struct Picture<'a> {
    /// To read.
    pub x: View<'a, ()>,
    /// To write.
    pub out: ViewMut<'a, ()>,
}

/// Map every picture, elements of type `T` to type `U`; `kept` are the axes whose channels have constants or statistics of their own, and the results lie
/// within `clip`. The first error, with the number of the picture.
///
/// # Safety
/// The elements of all pictures are of these types.
pub unsafe fn map_pictures<T: MomentsElement, U: Output>(
    normalization: Normalization<'_>,
    pictures: &[Picture<'_>],
    kept: &[bool],
    clip: Option<[f64; 2]>,
    target: Target,
    threads: usize,
) -> Result<(), (usize, Error)> {
    // Pictures are short work: many of them go one to a thread.
    let (outer, inner) = if pictures.len() >= threads { (threads, 1) } else { (1, threads) };
    let one = |index: usize| {
        let Picture { x, out } = &pictures[index];
        // SAFETY: the caller's promise; the elements of `out`, lent once: every picture is one task.
        let (x, out) = unsafe { (x.typed::<T>(), ViewMut::<U>::new(out.start(), out.shape(), out.strides())) };
        let map = |affine: Affine<'_>| map(Affine { clip, ..affine }, x, out, kept, target, inner);
        let learned = match normalization {
            Normalization::Given(affine) => return map(affine).map_err(|error| (index, error)),
            Normalization::Deviation(epsilon) => deviations(x, kept, epsilon, inner),
            Normalization::Range(epsilon) => ranges(x, kept, epsilon, inner),
        };
        let (shift, scale) = learned.map_err(|error| (index, error))?;
        let affine = Affine { shift: Some(&shift), scale: Some(&scale), divide: true, ..Affine::default() };
        map(affine).map_err(|error| (index, error))
    };
    parallel::map(pictures.len(), outer, || (), |(), index| one(index)).map(|_| ())
}

/// What is subtracted and what is divided by, of each channel.
type Constants = (Vec<f64>, Vec<f64>);

/// The mean, and the standard deviation plus `epsilon`.
fn deviations<T: MomentsElement>(
    x: View<'_, T>,
    kept: &[bool],
    epsilon: f64,
    threads: usize,
) -> Result<Constants, Error> {
    let moments = Moments::of(x, kept, threads)?;
    let mut scale = moments.var(0.0)?;
    scale.iter_mut().for_each(|var| *var = var.sqrt() + epsilon);
    Ok((moments.mean()?, scale))
}

/// The minimum, and the range plus `epsilon`.
fn ranges<T: MomentsElement>(x: View<'_, T>, kept: &[bool], epsilon: f64, threads: usize) -> Result<Constants, Error> {
    let extrema = Extrema::of(x, kept, threads)?;
    if extrema.has_infinity() {
        return Err(Error::Infinite);
    }
    let cells = &extrema.cells;
    let ranges = cells.iter().map(|cell| cell.max - cell.min + epsilon);
    Ok((memory::collect(cells.iter().map(|cell| cell.min))?, memory::collect(ranges)?))
}

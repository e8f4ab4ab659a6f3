//! Normalisation layers: a statistic of some axes, and the affine map that it gives, with parameters along others.
//!
//! ```text
//! y = (x - mean) / sqrt(var + epsilon) * gamma + beta
//! ```
//!
//! Where a group of elements that share a statistic fits into the cache, it is read from memory once: its sums are taken
//! and its lines mapped before the next group. Where groups are large, or lie as columns side by side, the statistics
//! and the map of whole arrays do it. Not-a-number and infinity spoil their group, and no other.

pub mod columns;
pub mod gradients;
#[cfg(test)]
mod tests;

use crate::axes::{Position, Roles};
use crate::blocks::{line, parameters, write_line};
use crate::drive::each;
use crate::drive::source::{Finite, Maskable};
use crate::element::{Element, Output};
use crate::error::Error;
use crate::groups::{Axes, Lines, MOST_PIECES};
use crate::kernels::affine::NO_OFFSET;
use crate::kernels::lines::{Line, MapLine, Mean, Sums, Totals};
use crate::kernels::{self, Kernel, copy};
use crate::maps::affine::{Affine, Target, map};
use crate::memory;
use crate::stats::moments::{Moments, MomentsElement};
use crate::view::{View, ViewMut};
use std::ops::Range;

/// Bytes of a group that is taken at once: a share of the last-level cache.
const MOST_CACHED: usize = 4 << 20;
/// Shortest lines that are worth a loop of their own, and fewest elements that share a statistic and a parameter where
/// these are taken as columns.
const SHORT: usize = 16;
/// Squares that are so much smaller than what was subtracted from them have lost digits.
const CANCELLED: f64 = 64.0;

/// What layers normalise.
pub trait LayerElement: Output + MomentsElement + Maskable<Float: MomentsElement> {}
impl<T: Output + MomentsElement + Maskable<Float: MomentsElement>> LayerElement for T {}

/// A layer.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Axes along which elements share a statistic.
    pub kept: &'a [bool],
    /// Axes along which they have parameters of their own; none where there are no parameters.
    pub own: &'a [bool],
    /// Factors of the own axes in C order; nothing is one.
    pub gamma: Option<&'a [f64]>,
    /// Summands likewise; nothing is zero.
    pub beta: Option<&'a [f64]>,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the mean is subtracted; else the mean square takes the place of the variance.
    pub centred: bool,
}

impl Layer<'_> {
    /// Of the axes.
    pub fn roles(&self) -> Roles<'_> {
        Roles { kept: self.kept, own: Some(self.own) }
    }

    /// Gamma number `index`.
    pub fn gamma(&self, index: isize) -> f64 {
        self.gamma.map_or(1.0, |gamma| gamma[index as usize])
    }

    /// What is subtracted from the elements of a group, and what the differences are multiplied by: one where there are
    /// none. Where the variance is infinite both are zero, since differences may be infinite, too.
    pub fn shift_and_scale(&self, mean: Mean, var: f64) -> (Mean, f64) {
        let spread = var + self.epsilon;
        if spread == 0.0 {
            return (mean, 1.0);
        }
        let scale = 1.0 / spread.sqrt();
        (if scale == 0.0 { Mean::default() } else { mean }, scale)
    }

    /// The axis to take lines along, so that a group is read at once; nothing where columns suit better.
    pub fn line_axis<const N: usize>(&self, axes: &Axes<N>, size: usize) -> Option<Option<usize>> {
        let product = |wanted: &dyn Fn(bool, bool) -> bool| -> usize {
            axes.axes.iter().filter(|axis| wanted(!axis.kept, axis.own)).map(|axis| axis.len).product()
        };
        let group_bytes = product(&|shared, _| shared) * size;
        let cell = product(&|shared, own| shared && !own);
        let columns = axes.axes.first().is_some_and(|axis| axis.kept || axis.len < SHORT);
        if cell >= SHORT && (columns || group_bytes > MOST_CACHED) {
            return None;
        }
        Some(axes.axes.iter().position(|axis| !axis.kept))
    }
}

/// Mean and (biased) variance of every group, in C order of the axes that are not shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Zero where it is not subtracted.
    pub mean: Vec<Mean>,
    /// The mean square where the mean is not subtracted.
    pub var: Vec<f64>,
}

impl Statistics {
    /// Of no element.
    pub fn unknown(groups: usize) -> Result<Self, Error> {
        let unknown = Mean { value: f64::NAN, rest: 0.0 };
        Ok(Self { mean: memory::filled(unknown, groups)?, var: memory::filled(f64::NAN, groups)? })
    }
}

/// Memory of a thread.
#[derive(Debug, Default)]
struct Scratch<T> {
    x: Vec<T>,
    y: Vec<T>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
}

/// Normalise `x` into `out`, of the same shape. Unless they are `wanted`, there may be no statistics.
pub fn normalize<T: LayerElement>(
    layer: Layer<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, T>,
    target: Target,
    wanted: bool,
    threads: usize,
) -> Result<Statistics, Error> {
    assert_eq!(x.shape(), out.shape(), "one result for each element");
    let axes = Axes::new(x.shape(), layer.roles(), [out.strides(), x.strides()])?;
    if x.shape().contains(&0) {
        return Statistics::unknown(if wanted { groups(x.shape(), layer.kept) } else { 0 });
    }
    match layer.line_axis(&axes, size_of::<T>()) {
        Some(axis) => by_lines(layer, x, out, axes.lines(axis, |axis| axis.kept), target, wanted, threads),
        None => by_cells(layer, x, out, target, threads),
    }
}

fn groups(shape: &[usize], kept: &[bool]) -> usize {
    shape.iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).product()
}

/// Sums over the group at `place` of the differences from `pivot`, and of their squares.
#[inline(always)]
fn sums<T: Element, const N: usize>(
    lines: &Lines<N>,
    x: View<'_, T>,
    k: usize,
    place: &Position<N>,
    pivot: f64,
    scratch: &mut Vec<T>,
) -> Result<[f64; 2], Error> {
    let mut totals = Totals::default();
    for index in 0..lines.lines() {
        let at = x.at(lines.line(place, index).offset[k]);
        // SAFETY: these lines are elements of the view, which promises that they can be read.
        let x = unsafe { line(at, lines.line.stride[k], lines.line.len, false, scratch) }?;
        Sums { x, pivot }.add_to(&mut totals);
    }
    Ok(totals.get())
}

/// Mean and variance of the group at `place` of operand `k`, as a [`Layer`] wants them. Part of a kernel.
#[inline(always)]
pub fn statistics<T: Element, const N: usize>(
    lines: &Lines<N>,
    x: View<'_, T>,
    k: usize,
    place: &Position<N>,
    centred: bool,
    scratch: &mut Vec<T>,
) -> Result<(Mean, f64), Error> {
    let n = lines.group_len() as f64;
    // SAFETY: the first element of the group, which the view promises can be read.
    let first = unsafe { x.at(place.offset[k]).cast::<T>().read_unaligned() }.to_f64();
    let mut pivot = if centred { first } else { 0.0 };
    let mut again = false;
    loop {
        let [sum, squares] = sums(lines, x, k, place, pivot, scratch)?;
        // Chan, Golub, LeVeque, "Algorithms for computing the sample variance", American Statistician 37 (1983), eq. 1.7.
        let lost = if centred { sum * (sum / n) } else { 0.0 };
        let mean = if centred { Mean::of_sum(pivot, sum / n) } else { Mean::default() };
        let squares = squares - lost;
        if again {
            return Ok((mean, squares.max(0.0) / n));
        }
        if !(mean.value.is_finite() && squares.is_finite()) {
            return large_statistics(lines, x, k, place, centred, scratch);
        }
        if lost <= CANCELLED * squares || lost == 0.0 {
            return Ok((mean, squares / n));
        }
        (pivot, again) = (mean.value, true);
    }
}

/// The same of a group with an element that is not finite, and of one whose sums leave the range of `f64`: the variance
/// is not-a-number, or may be infinite.
#[cold]
#[inline(never)]
fn large_statistics<T: Element, const N: usize>(
    lines: &Lines<N>,
    x: View<'_, T>,
    k: usize,
    place: &Position<N>,
    centred: bool,
    scratch: &mut Vec<T>,
) -> Result<(Mean, f64), Error> {
    // 2^-600: squares of what it is multiplied by can be added.
    const SMALL: f64 = f64::from_bits((1023 - 600) << 52);
    let n = lines.group_len() as f64;
    let mut mean_of = |value: &dyn Fn(f64) -> f64| -> Result<f64, Error> {
        let mut sum = 0.0;
        for index in 0..lines.lines() {
            let at = x.at(lines.line(place, index).offset[k]);
            // SAFETY: these lines are elements of the view, which promises that they can be read.
            let x = unsafe { line(at, lines.line.stride[k], lines.line.len, false, scratch) }?;
            sum += x.iter().map(|x| value(x.to_f64() * SMALL)).sum::<f64>();
        }
        Ok(sum / n)
    };
    let mean = mean_of(&|x| x)?;
    if !mean.is_finite() {
        return Ok((Mean { value: mean, rest: 0.0 }, f64::NAN));
    }
    let mean = if centred { mean } else { 0.0 };
    let var = mean_of(&|x| (x - mean) * (x - mean))?;
    Ok((Mean { value: mean / SMALL, rest: 0.0 }, var / SMALL / SMALL))
}

/// Each group read from memory once.
fn by_lines<T: LayerElement>(
    layer: Layer<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, T>,
    lines: Lines<2>,
    target: Target,
    wanted: bool,
    threads: usize,
) -> Result<Statistics, Error> {
    let bytes = x.shape().iter().product::<usize>() * size_of::<T>();
    let stream = target == Target::Warm
        && copy::exceeds_cache(bytes)
        && lines.aligned(0, out.start(), size_of::<T>(), copy::STREAM_ALIGN);
    // Elements of a line are mapped with gamma and beta both.
    let number = layer.gamma.or(layer.beta).map_or(0, <[f64]>::len);
    let number = if lines.line.own { number } else { 0 };
    // Minus zero leaves the sign of every zero that it is added to.
    let (ones, zeros) = (memory::filled(1.0, number)?, memory::filled(NO_OFFSET, number)?);
    let layer = if lines.line.own {
        Layer { gamma: layer.gamma.or(Some(&ones)), beta: layer.beta.or(Some(&zeros)), ..layer }
    } else {
        layer
    };
    let pieces = Lines::<2>::pieces(lines.groups(), MOST_PIECES)?;
    let scratch = || Scratch { x: Vec::new(), y: Vec::new(), gamma: Vec::new(), beta: Vec::new() };
    let found = each(&pieces, threads, scratch, |scratch, range| {
        let range = range.clone();
        let groups = Groups { layer, lines: &lines, x, out: &out, overwritten: target == Target::Input, wanted };
        // Compiled where it counts.
        if const { size_of::<T>() >= 4 } && stream {
            let found = kernels::run(Piece::<T, true> { groups, range, scratch });
            copy::fence();
            return found;
        }
        kernels::run(Piece::<T, false> { groups, range, scratch })
    })?;
    // There may be as many groups as a fraction of the elements.
    let mut statistics = Statistics::unknown(if wanted { lines.groups() } else { 0 })?;
    for (group, mean, var) in found.into_iter().flatten() {
        (statistics.mean[group], statistics.var[group]) = (mean, var);
    }
    Ok(statistics)
}

/// Groups to normalise.
#[derive(Clone, Copy)]
struct Groups<'a, 'm, T> {
    layer: Layer<'a>,
    lines: &'a Lines<2>,
    x: View<'m, T>,
    out: &'a ViewMut<'m, T>,
    /// Whether the lines are the output as well.
    overwritten: bool,
    /// Whether statistics are.
    wanted: bool,
}

/// Some groups, one after the other; with `STREAM` written past the cache. A kernel as a whole: lines may be short.
struct Piece<'a, 'm, T, const STREAM: bool> {
    groups: Groups<'a, 'm, T>,
    range: Range<usize>,
    scratch: &'a mut Scratch<T>,
}

impl<T: LayerElement, const STREAM: bool> Kernel for Piece<'_, '_, T, STREAM> {
    /// The number of each group, its mean and its variance.
    type Output = Result<Vec<(usize, Mean, f64)>, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { groups: Groups { layer, lines, x, wanted, .. }, range, scratch } = self;
        let mut found = memory::with_room(if wanted { range.len() } else { 0 })?;
        for index in range {
            let place = lines.group(index);
            let (mean, var) = statistics(lines, x, 1, &place, layer.centred, &mut scratch.x)?;
            self.groups.map::<STREAM>(&place, layer.shift_and_scale(mean, var), scratch)?;
            if wanted {
                found.push((place.channel as usize, mean, var));
            }
        }
        Ok(found)
    }
}

impl<T: LayerElement> Groups<'_, '_, T> {
    /// Map all lines of the group at `place`.
    #[inline(always)]
    fn map<const STREAM: bool>(
        &self,
        place: &Position<2>,
        (mean, scale): (Mean, f64),
        scratch: &mut Scratch<T>,
    ) -> Result<(), Error> {
        let Self { layer, lines, overwritten, .. } = *self;
        let Scratch { x, y, gamma, beta } = scratch;
        let (len, stride) = (lines.line.len, lines.line.stride);
        for index in 0..lines.lines() {
            let Position { offset, parameter, .. } = lines.line(place, index);
            let line_map = if lines.line.own {
                let step = lines.line.parameter;
                let all = [layer.gamma, layer.beta].map(Option::unwrap_or_default);
                let gamma = parameters(all[0], parameter, step, len, gamma)?;
                let beta = parameters(all[1], parameter, step, len, beta)?;
                Line { mean, scale, parameters: Some((gamma, beta)), offset: 0.0 }
            } else {
                let offset = layer.beta.map_or(NO_OFFSET, |beta| beta[parameter as usize]);
                Line { mean, scale: scale * layer.gamma(parameter), parameters: None, offset }
            };
            // SAFETY: these lines are elements of the view, which promises that they can be read; those that are
            // overwritten are copied.
            let x = unsafe { line(self.x.at(offset[1]), stride[1], len, overwritten, x) }?;
            let to = self.out.at(offset[0]);
            // SAFETY: each line of the output belongs to one group, and so to one task.
            unsafe {
                write_line(
                    to,
                    stride[0],
                    len,
                    T::from_f64(0.0),
                    y,
                    #[inline(always)]
                    |y| MapLine::<T, STREAM> { line: line_map, x, y }.run(),
                )?;
            }
        }
        Ok(())
    }
}

/// Statistics of cells, which are the elements that share a statistic and a parameter, and what cells belong to.
pub struct Cells {
    /// For each cell the numbers of its group and its parameter.
    pub of: Vec<(usize, usize)>,
    /// Of the groups.
    pub statistics: Statistics,
    /// The axes that tell cells apart.
    pub kept: Vec<bool>,
}

impl Cells {
    /// Of `x`.
    pub fn of<T: LayerElement>(layer: Layer<'_>, x: View<'_, T>, threads: usize) -> Result<Self, Error> {
        let kept: Vec<bool> = memory::collect(layer.kept.iter().zip(layer.own).map(|(kept, own)| *kept || *own))?;
        let of = numbers(x.shape(), layer.kept, layer.own, &kept)?;
        let (means, vars) = moments(x, &kept, threads)?;
        let count = groups(x.shape(), layer.kept);
        // Cells have equally many elements (Chan, Golub, LeVeque, eq. 2.1, for more than two parts).
        let share = count as f64 / of.len() as f64;
        let mean = memory::filled(Mean::default(), count)?;
        let mut statistics = Statistics { mean, var: memory::filled(0.0, count)? };
        if layer.centred {
            // From the mean of one cell of each group: where all are equal, so is their mean.
            of.iter().zip(&means).for_each(|((group, _), mean)| statistics.mean[*group] = *mean);
            let mut away = memory::filled(0.0, count)?;
            for ((group, _), mean) in of.iter().zip(&means) {
                away[*group] += statistics.mean[*group].to(*mean) * share;
            }
            let moved = |(mean, away): (&mut Mean, f64)| *mean = Mean::of_sum(mean.value, away + mean.rest);
            statistics.mean.iter_mut().zip(away).for_each(moved);
        }
        for ((group, _), (mean, var)) in of.iter().zip(means.iter().zip(&vars)) {
            let away = statistics.mean[*group].to(*mean);
            statistics.var[*group] += (var + away * away) * share;
        }
        Ok(Self { of, statistics, kept })
    }
}

/// For each position of the kept axes, in C order, the numbers of its group and of its parameter.
pub fn numbers(shape: &[usize], groups: &[bool], own: &[bool], kept: &[bool]) -> Result<Vec<(usize, usize)>, Error> {
    let mut numbers = memory::filled((0, 0), 1)?;
    for axis in (0..shape.len()).filter(|axis| kept[*axis]) {
        let len = shape[axis];
        let next = |(group, parameter): (usize, usize), i: usize| {
            let group = if groups[axis] { group * len + i } else { group };
            (group, if own[axis] { parameter * len + i } else { parameter })
        };
        let mut finer = memory::with_room(numbers.len() * len)?;
        numbers.iter().for_each(|number| finer.extend((0..len).map(|i| next(*number, i))));
        numbers = finer;
    }
    Ok(numbers)
}

/// Mean and variance of each cell; not-a-number where an element is not finite.
fn moments<T: LayerElement>(x: View<'_, T>, kept: &[bool], threads: usize) -> Result<(Vec<Mean>, Vec<f64>), Error> {
    // An infinity is left out as not-a-number is, so that it spoils its own cell only.
    let moments = Moments::of(x, kept, threads).or_else(|error| match error {
        Error::Infinite => Moments::of(Finite(x), kept, threads),
        error => Err(error),
    });
    let cells = groups(x.shape(), kept);
    let len = x.shape().iter().product::<usize>() / cells.max(1);
    let unknown = Mean { value: f64::NAN, rest: 0.0 };
    let moments = match moments {
        Ok(moments) => moments,
        Err(Error::Infinite) => return Ok((memory::filled(unknown, cells)?, memory::filled(f64::NAN, cells)?)),
        Err(error) => return Err(error),
    };
    let whole: Vec<bool> = memory::collect(moments.count()?.iter().map(|count| *count == len as f64))?;
    let (values, rests) = (moments.mean()?, moments.mean_rest()?);
    let means = values.into_iter().zip(rests).map(|(value, rest)| Mean { value, rest });
    let means = means.zip(&whole).map(|(mean, whole)| if *whole { mean } else { unknown });
    let vars = moments.var(0.0)?;
    let vars = vars.into_iter().zip(&whole).map(|(var, whole)| if *whole { var } else { f64::NAN });
    Ok((memory::collect(means)?, memory::collect(vars)?))
}

/// The statistics and the map of whole arrays.
fn by_cells<T: LayerElement>(
    layer: Layer<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, T>,
    target: Target,
    threads: usize,
) -> Result<Statistics, Error> {
    let Cells { of, statistics, kept } = Cells::of(layer, x, threads)?;
    let each = |value: &dyn Fn(usize, usize) -> f64| -> Result<Vec<f64>, Error> {
        memory::collect(of.iter().map(|(group, parameter)| value(*group, *parameter)))
    };
    let of_group = |group: usize| layer.shift_and_scale(statistics.mean[group], statistics.var[group]);
    let factor = |group: usize, parameter: usize| of_group(group).1 * layer.gamma(parameter as isize);
    let shift = each(&|group, _| of_group(group).0.value)?;
    let scale = each(&factor)?;
    // What rounding the mean lost is added with beta: less than a digit of any output but `f64`.
    let rest = |group: usize, parameter: usize| match of_group(group).0.rest {
        0.0 => 0.0,
        rest => rest * factor(group, parameter),
    };
    let beta = |parameter: usize| layer.beta.map_or(0.0, |beta| beta[parameter]);
    let offset = (layer.beta.is_some() || T::NEEDS_EXACT && layer.centred)
        .then(|| each(&|group, parameter| beta(parameter) - if T::NEEDS_EXACT { rest(group, parameter) } else { 0.0 }))
        .transpose()?;
    let affine = Affine { shift: Some(&shift), scale: Some(&scale), offset: offset.as_deref(), ..Affine::default() };
    map(affine, x, out, &kept, target, threads)?;
    Ok(statistics)
}

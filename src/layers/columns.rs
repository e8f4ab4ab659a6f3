//! Gradients of normalisation layers whose lines in memory run across groups: columns, in two passes, one for the sums and
//! one for the gradients (the formulas are those of [`super::gradients`]).

use super::gradients::{Gradients, MAX_PARTIAL, Point, linear};
use super::{Cells, Layer, LayerElement, Statistics, numbers};
use crate::axes::Roles;
use crate::blocks::{line, write_line};
use crate::drive::each;
use crate::error::Error;
use crate::groups::{Axes, Lines};
use crate::kernels::line_gradients::{AddColumns, ColumnSlopes, MapColumns};
use crate::kernels::lines::Mean;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::view::ViewMut;
use std::ops::Range;

/// Lines of columns that are worth a piece of work of their own.
const LEAST_LINES: usize = 64;

/// Lines whose elements belong to cells of their own (see [`Cells`]): columns.
pub struct ByColumns<'a> {
    layer: Layer<'a>,
    lines: Lines<3>,
    /// For each column of each group of lines its group of the layer and its parameter.
    of: Vec<(usize, usize)>,
    statistics: Statistics,
    known: bool,
}

impl<'a> ByColumns<'a> {
    /// Of the layer at `point`, to be written to `dx`.
    pub fn new<T: LayerElement>(
        layer: Layer<'a>,
        point: Point<'_, T>,
        dx: &ViewMut<'_, T>,
        threads: usize,
    ) -> Result<Self, Error> {
        let Point { x, dy, known } = point;
        let (of, statistics, kept) = match known {
            Some(known) => {
                let kept = layer.kept.iter().zip(layer.own).map(|(kept, own)| *kept || *own);
                let kept: Vec<bool> = memory::collect(kept)?;
                let statistics = Statistics { mean: memory::copied(&known.mean)?, var: memory::copied(&known.var)? };
                (numbers(x.shape(), layer.kept, layer.own, &kept)?, statistics, kept)
            }
            None => {
                let Cells { of, statistics, kept } = Cells::of(layer, x, threads)?;
                (of, statistics, kept)
            }
        };
        // Cells take the place of the groups.
        let axes = Axes::new(
            x.shape(),
            Roles { kept: &kept, own: Some(layer.own) },
            [dx.strides(), x.strides(), dy.strides()],
        )?;
        let lines = axes.lines(Some(0), |axis| axis.kept);
        let (len, step) = (lines.line.len as isize, lines.line.channel);
        let mut of_columns = memory::with_room(lines.groups() * lines.line.len)?;
        for index in 0..lines.groups() {
            let first = lines.group(index).channel;
            of_columns.extend((0..len).map(|j| of[(first + j * step) as usize]));
        }
        Ok(Self { layer, lines, of: of_columns, statistics, known: known.is_some() })
    }

    /// What is subtracted from the elements of a group of the layer, and what the differences are multiplied by.
    fn of_group(&self, group: usize) -> (Mean, f64) {
        self.layer.shift_and_scale(self.statistics.mean[group], self.statistics.var[group])
    }

    /// The work in pieces: a group of lines, and some of its lines.
    fn tasks(&self) -> Result<Vec<(usize, Range<usize>)>, Error> {
        let (groups, lines) = (self.lines.groups(), self.lines.lines());
        let wanted = (64 / groups).clamp(1, (MAX_PARTIAL / self.lines.line.len).max(1));
        let pieces = wanted.min(lines.div_ceil(LEAST_LINES));
        let bounds = |piece: usize| piece * lines / pieces..(piece + 1) * lines / pieces;
        let mut tasks = memory::with_room(groups * pieces)?;
        (0..groups).for_each(|group| tasks.extend((0..pieces).map(|piece| (group, bounds(piece)))));
        Ok(tasks)
    }

    /// Write the gradient of the input to `dx`, and those of the parameters to `gradients`.
    pub fn run<T: LayerElement>(
        self,
        point: Point<'_, T>,
        dx: ViewMut<'_, T>,
        mut gradients: Gradients,
        threads: usize,
    ) -> Result<Gradients, Error> {
        let Self { lines, of, .. } = &self;
        let len = lines.line.len;
        let mean: Vec<f64> = memory::collect(of.iter().map(|(group, _)| self.of_group(*group).0.value))?;
        let tasks = self.tasks()?;
        let scratch = || (Vec::new(), Vec::new(), Vec::new());
        let parts = each(&tasks, threads, scratch, |scratch, task| {
            let (group, range) = task.clone();
            kernels::run(SumColumns { lines, point, mean: &mean[group * len..][..len], group, range, scratch })
        })?;
        let mut sums = [memory::filled(0.0, of.len())?, memory::filled(0.0, of.len())?];
        for ((group, _), part) in tasks.iter().zip(parts) {
            for (sums, part) in sums.iter_mut().zip(part) {
                sums[group * len..].iter_mut().zip(part).for_each(|(sum, more)| *sum += more);
            }
        }
        // The products are with what is away from the rounded mean.
        let [sum, products] = &mut sums;
        for ((group, _), (sum, products)) in of.iter().zip(sum.iter().zip(products)) {
            *products -= self.of_group(*group).0.rest * sum;
        }
        let slopes = &self.slopes(&sums, mean, point.x.shape().iter().product(), &mut gradients)?;
        each(&tasks, threads, scratch, |scratch, task| {
            let (group, range) = task.clone();
            kernels::run(DifferentiateColumns { lines, point, dx: &dx, slopes, group, range, scratch })
        })?;
        Ok(gradients)
    }

    /// The coefficients of every column, and the gradients of the parameters, from the sums of the columns.
    fn slopes(
        &self,
        sums: &[Vec<f64>; 2],
        mean: Vec<f64>,
        elements: usize,
        gradients: &mut Gradients,
    ) -> Result<ColumnSlopes, Error> {
        let Self { layer, of, statistics, known, .. } = self;
        let groups = statistics.mean.len();
        let n = elements as f64 / groups as f64;
        let scales: Vec<f64> = memory::collect((0..groups).map(|group| self.of_group(group).1))?;
        let mut totals = memory::filled([0.0; 2], groups)?;
        for ((group, parameter), (sum, products)) in of.iter().zip(sums[0].iter().zip(&sums[1])) {
            let gamma = layer.gamma(*parameter as isize);
            totals[*group][0] += gamma * sum;
            totals[*group][1] += gamma * (products * scales[*group]);
            gradients.gamma[*parameter] += products * scales[*group];
            gradients.beta[*parameter] += sum;
        }
        let room = || memory::with_room(of.len());
        let mut slopes = ColumnSlopes { mean, factor: room()?, slope: room()?, offset: room()? };
        for (group, parameter) in of {
            let [slope, offset] = linear(*layer, *known, scales[*group], totals[*group], n);
            slopes.factor.push(scales[*group] * layer.gamma(*parameter as isize));
            slopes.slope.push(slope);
            slopes.offset.push(offset - self.of_group(*group).0.rest * slope);
        }
        Ok(slopes)
    }
}

/// Lines of a thread that have gaps, or are not aligned.
type Copies<T> = (Vec<T>, Vec<T>, Vec<T>);

/// Sums of the columns over some lines of a group.
struct SumColumns<'a, 'm, T> {
    lines: &'a Lines<3>,
    point: Point<'m, T>,
    mean: &'a [f64],
    group: usize,
    range: Range<usize>,
    scratch: &'a mut Copies<T>,
}

impl<T: LayerElement> Kernel for SumColumns<'_, '_, T> {
    /// Of the gradients, and of their products with what is away from the mean.
    type Output = Result<[Vec<f64>; 2], Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { lines, point, mean, group, range, scratch: (x_scratch, dy_scratch, _) } = self;
        let (len, [_, x_stride, dy_stride]) = (lines.line.len, lines.line.stride);
        let place = lines.group(group);
        let (mut sum, mut products) = (memory::filled(0.0, len)?, memory::filled(0.0, len)?);
        for index in range {
            let at = lines.line(&place, index).offset;
            // SAFETY: these lines are elements of the views, which promise that they can be read.
            let x = unsafe { line(point.x.at(at[1]), x_stride, len, false, x_scratch) }?;
            // SAFETY: as above.
            let dy = unsafe { line(point.dy.at(at[2]), dy_stride, len, false, dy_scratch) }?;
            AddColumns { x, dy, mean, sum: &mut sum, products: &mut products }.run();
        }
        Ok([sum, products])
    }
}

/// The gradients of some lines of a group.
struct DifferentiateColumns<'a, 'm, T> {
    lines: &'a Lines<3>,
    point: Point<'m, T>,
    dx: &'a ViewMut<'m, T>,
    slopes: &'a ColumnSlopes,
    group: usize,
    range: Range<usize>,
    scratch: &'a mut Copies<T>,
}

impl<T: LayerElement> Kernel for DifferentiateColumns<'_, '_, T> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run(self) -> Result<(), Error> {
        let Self { lines, point, dx, slopes, group, range, scratch: (x_scratch, dy_scratch, dx_scratch) } = self;
        let (len, [dx_stride, x_stride, dy_stride]) = (lines.line.len, lines.line.stride);
        let place = lines.group(group);
        for index in range {
            let at = lines.line(&place, index).offset;
            // SAFETY: these lines are elements of the views, which promise that they can be read.
            let x = unsafe { line(point.x.at(at[1]), x_stride, len, false, x_scratch) }?;
            // SAFETY: as above.
            let dy = unsafe { line(point.dy.at(at[2]), dy_stride, len, false, dy_scratch) }?;
            // SAFETY: each line of the output belongs to one task; it overlaps no input.
            unsafe {
                write_line(
                    dx.at(at[0]),
                    dx_stride,
                    len,
                    T::from_f64(0.0),
                    dx_scratch,
                    #[inline(always)]
                    |dx| MapColumns { slopes, first: group * len, x, dy, dx }.run(),
                )?;
            }
        }
        Ok(())
    }
}

//! Gradients of normalisation layers.
//!
//! With `u = (x - mean) / sqrt(var + epsilon)` and `g = dy * gamma`, means taken over a group (S. Ioffe, C. Szegedy,
//! "Batch normalization", ICML 2015, section 3, in one line):
//!
//! ```text
//! dx = (g - mean(g) - u * mean(g * u)) / sqrt(var + epsilon)        dgamma = sum(dy * u)        dbeta = sum(dy)
//! ```
//!
//! Without centring `mean(g)` is left out; of constant statistics both means are.

use super::layers::{Cells, Layer, LayerElement, Statistics, numbers, statistics};
use super::lines::{Axes, Lines, MOST_PIECES, Place, line, parameters, write_line};
use crate::kernels::line_gradients::{
    AddColumns, ColumnSlopes, MapColumns, Products, ProductsByElement, Slope, map_gradient,
};
use crate::kernels::{self, copy};
use crate::parallel;
use crate::transform::affine::Target;
use crate::view::{View, ViewMut};
use std::ops::Range;

/// Sums of one column that are held at once, in columns.
const MAX_PARTIAL: usize = 1 << 20;
/// Fewest pieces of work that many parameters may leave.
const LEAST_PIECES: usize = 4;
/// Lines of columns that are worth a piece of work of their own.
const LEAST_LINES: usize = 64;

/// Gradients of gamma and beta, in C order of the axes that have their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// Of gamma.
    pub gamma: Vec<f64>,
    /// Of beta.
    pub beta: Vec<f64>,
}

/// What a layer is differentiated at.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a, T> {
    /// What the layer was given.
    pub x: View<'a, T>,
    /// The gradient of what it gave, of the same shape.
    pub dy: View<'a, T>,
    /// Mean and variance, where they are constants.
    pub known: Option<&'a Statistics>,
}

/// Write the gradient of the input to `dx`, which overlaps nothing that is read.
pub fn differentiate<T: LayerElement>(
    layer: Layer<'_>,
    point: Point<'_, T>,
    dx: ViewMut<'_, T>,
    target: Target,
    threads: usize,
) -> Gradients {
    let shape = point.x.shape;
    let strides = [dx.strides, point.x.strides, point.dy.strides];
    let number: usize = shape.iter().zip(layer.own).filter(|(_, own)| **own).map(|(len, _)| *len).product();
    let gradients = Gradients { gamma: vec![0.0; number], beta: vec![0.0; number] };
    if shape.contains(&0) {
        return gradients;
    }
    let axes = Axes::new(shape, layer.shared, layer.own, strides);
    let inner_kept = axes.axes.first().is_some_and(|axis| !axis.shared || axis.own);
    match layer.line_axis(&axes, size_of::<T>()) {
        None if inner_kept => ByColumns::new(layer, point, &dx, threads).run(point, dx, gradients, threads),
        _ => {
            let axis = axes.axes.iter().position(|axis| axis.shared);
            by_lines(layer, point, dx, axes.lines(axis, |axis| !axis.shared), target, gradients, threads)
        }
    }
}

/// The slope and the offset of a group of `n` elements: `sum` is that of `g`, `products` that of `g * u`.
fn linear(layer: Layer<'_>, known: bool, scale: f64, [sum, products]: [f64; 2], n: f64) -> [f64; 2] {
    // One factor after the other: the square of the scale may leave the range of `f64`.
    let slope = if known { 0.0 } else { -(products / n * scale) * scale };
    let offset = if known || !layer.centred { 0.0 } else { -scale * (sum / n) };
    [slope, offset]
}

#[derive(Debug)]
struct Scratch<T> {
    x: Vec<T>,
    dy: Vec<T>,
    dx: Vec<T>,
    gamma: Vec<f64>,
    sums: [Vec<f64>; 2],
}

/// Each group read from memory once.
fn by_lines<T: LayerElement>(
    layer: Layer<'_>,
    point: Point<'_, T>,
    dx: ViewMut<'_, T>,
    lines: Lines<3>,
    target: Target,
    mut gradients: Gradients,
    threads: usize,
) -> Gradients {
    let bytes = point.x.shape.iter().product::<usize>() * size_of::<T>();
    let stream = target == Target::Warm
        && copy::exceeds_cache(bytes)
        && lines.aligned(0, dx.start, size_of::<T>(), copy::STREAM_ALIGN);
    let ones = vec![1.0; if layer.gamma.is_none() && lines.line.own { gradients.gamma.len() } else { 0 }];
    let layer = if ones.is_empty() { layer } else { Layer { gamma: Some(&ones), ..layer } };
    let pieces = pieces(&lines, gradients.gamma.len());
    let scratch =
        || Scratch { x: Vec::new(), dy: Vec::new(), dx: Vec::new(), gamma: Vec::new(), sums: [Vec::new(), Vec::new()] };
    let parts = parallel::map(pieces.len(), threads, scratch, |scratch, piece| {
        let [least, most] = lines.parameters(pieces[piece].clone());
        let number = (most - least + 1) as usize;
        let part = Gradients { gamma: vec![0.0; number], beta: vec![0.0; number] };
        let mut group = Group { layer, lines: &lines, point, dx: &dx, first: least, part };
        for index in pieces[piece].clone() {
            group.run(&lines.group(index), stream, scratch);
        }
        if stream {
            copy::fence();
        }
        (least as usize, group.part)
    });
    for (first, part) in parts {
        for (all, part) in [(&mut gradients.gamma, part.gamma), (&mut gradients.beta, part.beta)] {
            all[first..].iter_mut().zip(part).for_each(|(sum, more)| *sum += more);
        }
    }
    gradients
}

/// The groups in pieces: fewer where each of them has gradients of very many parameters.
fn pieces(lines: &Lines<3>, number: usize) -> Vec<Range<usize>> {
    let pieces = Lines::<3>::pieces(lines.groups(), MOST_PIECES);
    let partial = |range: &Range<usize>| {
        let [least, most] = lines.parameters(range.clone());
        (most - least + 1) as usize
    };
    let held: usize = pieces.iter().map(partial).sum();
    if held <= number + MAX_PARTIAL {
        return pieces;
    }
    Lines::<3>::pieces(lines.groups(), (MAX_PARTIAL / number).max(LEAST_PIECES))
}

struct Group<'a, 'm, T> {
    layer: Layer<'a>,
    lines: &'a Lines<3>,
    point: Point<'m, T>,
    dx: &'a ViewMut<'m, T>,
    /// Number of the first parameter whose gradients are in `part`.
    first: isize,
    part: Gradients,
}

impl<T: LayerElement> Group<'_, '_, T> {
    fn run(&mut self, place: &Place<3>, stream: bool, scratch: &mut Scratch<T>) {
        let Self { layer, lines, point, first, .. } = *self;
        let Scratch { x: x_scratch, dy: dy_scratch, dx: dx_scratch, gamma: gamma_scratch, sums } = scratch;
        let (mean, var) = match point.known {
            Some(known) => (known.mean[place.group as usize], known.var[place.group as usize]),
            None => statistics(lines, point.x, 1, place, layer.centred, x_scratch),
        };
        let (scale, len, step) = (layer.scale(var), lines.line.len, lines.line.parameter);
        let [_, x_stride, dy_stride] = lines.line.stride;
        let mut totals = [0.0; 2];
        for index in 0..lines.lines() {
            let Place { offset, parameter, .. } = lines.line(place, index);
            // SAFETY: these lines are elements of the views, which promise that they can be read.
            let x = unsafe { line(point.x.at(offset[1]), x_stride, len, false, x_scratch) };
            // SAFETY: as above.
            let dy = unsafe { line(point.dy.at(offset[2]), dy_stride, len, false, dy_scratch) };
            let more = if lines.line.own {
                let gamma = parameters(layer.gamma.unwrap_or_default(), parameter, step, len, gamma_scratch);
                let at = (parameter - first) as usize;
                if step == 1 {
                    let (dgamma, dbeta) = (&mut self.part.gamma[at..][..len], &mut self.part.beta[at..][..len]);
                    kernels::run(ProductsByElement { x, dy, mean, scale, gamma, dgamma, dbeta })
                } else {
                    sums.iter_mut().for_each(|sums| {
                        sums.clear();
                        sums.resize(len, 0.0);
                    });
                    let [dgamma, dbeta] = &mut *sums;
                    let more = kernels::run(ProductsByElement { x, dy, mean, scale, gamma, dgamma, dbeta });
                    for (i, (dgamma, dbeta)) in dgamma.iter().zip(dbeta).enumerate() {
                        let at = (parameter - first + i as isize * step) as usize;
                        self.part.gamma[at] += dgamma;
                        self.part.beta[at] += *dbeta;
                    }
                    more
                }
            } else {
                let [sum, products] = kernels::run(Products { x, dy, mean });
                let (gamma, at) = (layer.gamma(parameter), (parameter - first) as usize);
                self.part.gamma[at] += products * scale;
                self.part.beta[at] += sum;
                [gamma * sum, gamma * (products * scale)]
            };
            totals = [totals[0] + more[0], totals[1] + more[1]];
        }
        let [slope, offset] = linear(layer, point.known.is_some(), scale, totals, lines.group_len() as f64);
        for index in 0..lines.lines() {
            let Place { offset: at, parameter, .. } = lines.line(place, index);
            let slope = if lines.line.own {
                let gamma = parameters(layer.gamma.unwrap_or_default(), parameter, step, len, gamma_scratch);
                Slope { factor: scale, gamma: Some(gamma), mean, slope, offset }
            } else {
                Slope { factor: scale * layer.gamma(parameter), gamma: None, mean, slope, offset }
            };
            // SAFETY: as above.
            let x = unsafe { line(point.x.at(at[1]), x_stride, len, false, x_scratch) };
            // SAFETY: as above.
            let dy = unsafe { line(point.dy.at(at[2]), dy_stride, len, false, dy_scratch) };
            let write = |dx: &mut [T]| map_gradient(slope, x, dy, dx, stream);
            let to = self.dx.at(at[0]);
            // SAFETY: each line of the output belongs to one group, and so to one task; it overlaps no input.
            unsafe { write_line(to, lines.line.stride[0], len, T::from_f64(0.0), dx_scratch, write) };
        }
    }
}

/// Lines whose elements belong to cells of their own (see [`Cells`]): columns.
struct ByColumns<'a> {
    layer: Layer<'a>,
    lines: Lines<3>,
    /// For each column of each group of lines its group of the layer and its parameter.
    of: Vec<(usize, usize)>,
    statistics: Statistics,
    known: bool,
}

impl<'a> ByColumns<'a> {
    fn new<T: LayerElement>(layer: Layer<'a>, point: Point<'_, T>, dx: &ViewMut<'_, T>, threads: usize) -> Self {
        let Point { x, dy, known } = point;
        let (of, statistics, kept) = match known {
            Some(known) => {
                let kept: Vec<bool> = layer.shared.iter().zip(layer.own).map(|(shared, own)| !shared || *own).collect();
                (numbers(x.shape, layer.shared, layer.own, &kept), known.clone(), kept)
            }
            None => {
                let Cells { of, statistics, kept } = Cells::of(layer, x, threads);
                (of, statistics, kept)
            }
        };
        // Cells take the place of the groups.
        let reduced: Vec<bool> = kept.iter().map(|kept| !kept).collect();
        let axes = Axes::new(x.shape, &reduced, layer.own, [dx.strides, x.strides, dy.strides]);
        let lines = axes.lines(Some(0), |axis| !axis.shared);
        let (len, step) = (lines.line.len as isize, lines.line.group);
        let of_group = |index: usize| {
            let (first, of) = (lines.group(index).group, &of);
            (0..len).map(move |j| of[(first + j * step) as usize])
        };
        let of = (0..lines.groups()).flat_map(of_group).collect();
        Self { layer, lines, of, statistics, known: known.is_some() }
    }

    /// The work in pieces: a group of lines, and some of its lines.
    fn tasks(&self) -> Vec<(usize, Range<usize>)> {
        let (groups, lines) = (self.lines.groups(), self.lines.lines());
        let wanted = (64 / groups).clamp(1, (MAX_PARTIAL / self.lines.line.len).max(1));
        let pieces = wanted.min(lines.div_ceil(LEAST_LINES));
        let bounds = |piece: usize| piece * lines / pieces..(piece + 1) * lines / pieces;
        (0..groups).flat_map(|group| (0..pieces).map(move |piece| (group, bounds(piece)))).collect()
    }

    fn run<T: LayerElement>(
        self,
        point: Point<'_, T>,
        dx: ViewMut<'_, T>,
        mut gradients: Gradients,
        threads: usize,
    ) -> Gradients {
        let Self { lines, of, statistics, .. } = &self;
        let (len, [dx_stride, x_stride, dy_stride]) = (lines.line.len, lines.line.stride);
        let mean: Vec<f64> = of.iter().map(|(group, _)| statistics.mean[*group]).collect();
        let tasks = self.tasks();
        let scratch = || (Vec::new(), Vec::new(), Vec::new());
        let parts = parallel::map(tasks.len(), threads, scratch, |(x_scratch, dy_scratch, _), task| {
            let (group, range) = &tasks[task];
            let (place, mean) = (lines.group(*group), &mean[group * len..][..len]);
            let (mut sum, mut products) = (vec![0.0; len], vec![0.0; len]);
            for index in range.clone() {
                let at = lines.line(&place, index).offset;
                // SAFETY: these lines are elements of the views, which promise that they can be read.
                let x = unsafe { line(point.x.at(at[1]), x_stride, len, false, x_scratch) };
                // SAFETY: as above.
                let dy = unsafe { line(point.dy.at(at[2]), dy_stride, len, false, dy_scratch) };
                kernels::run(AddColumns { x, dy, mean, sum: &mut sum, products: &mut products });
            }
            [sum, products]
        });
        let mut sums = [vec![0.0; of.len()], vec![0.0; of.len()]];
        for ((group, _), part) in tasks.iter().zip(parts) {
            for (sums, part) in sums.iter_mut().zip(part) {
                sums[group * len..].iter_mut().zip(part).for_each(|(sum, more)| *sum += more);
            }
        }
        let slopes = self.slopes(&sums, mean, point.x.shape.iter().product(), &mut gradients);
        parallel::map(tasks.len(), threads, scratch, |(x_scratch, dy_scratch, dx_scratch), task| {
            let (group, range) = &tasks[task];
            let place = lines.group(*group);
            for index in range.clone() {
                let at = lines.line(&place, index).offset;
                // SAFETY: as above.
                let x = unsafe { line(point.x.at(at[1]), x_stride, len, false, x_scratch) };
                // SAFETY: as above.
                let dy = unsafe { line(point.dy.at(at[2]), dy_stride, len, false, dy_scratch) };
                let (slopes, first) = (&slopes, group * len);
                let write = |dx: &mut [T]| kernels::run(MapColumns { slopes, first, x, dy, dx });
                // SAFETY: each line of the output belongs to one task; it overlaps no input.
                unsafe { write_line(dx.at(at[0]), dx_stride, len, T::from_f64(0.0), dx_scratch, write) };
            }
        });
        gradients
    }

    /// The coefficients of every column, and the gradients of the parameters, from the sums of the columns.
    fn slopes(&self, sums: &[Vec<f64>; 2], mean: Vec<f64>, elements: usize, gradients: &mut Gradients) -> ColumnSlopes {
        let Self { layer, of, statistics, known, .. } = self;
        let groups = statistics.mean.len();
        let n = elements as f64 / groups as f64;
        let scales: Vec<f64> = statistics.var.iter().map(|var| layer.scale(*var)).collect();
        let mut totals = vec![[0.0; 2]; groups];
        for ((group, parameter), (sum, products)) in of.iter().zip(sums[0].iter().zip(&sums[1])) {
            let gamma = layer.gamma(*parameter as isize);
            totals[*group][0] += gamma * sum;
            totals[*group][1] += gamma * (products * scales[*group]);
            gradients.gamma[*parameter] += products * scales[*group];
            gradients.beta[*parameter] += sum;
        }
        let mut slopes = ColumnSlopes { mean, ..ColumnSlopes::default() };
        for (group, parameter) in of {
            let [slope, offset] = linear(*layer, *known, scales[*group], totals[*group], n);
            slopes.factor.push(scales[*group] * layer.gamma(*parameter as isize));
            slopes.slope.push(slope);
            slopes.offset.push(offset);
        }
        slopes
    }
}

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

use super::columns::ByColumns;
use super::{Layer, LayerElement, Statistics, statistics};
use crate::axes::Position;
use crate::blocks::{line, parameters, write_line};
use crate::drive::each;
use crate::error::Error;
use crate::groups::{Axes, Lines, MOST_PIECES};
use crate::kernels::line_gradients::{MapGradient, Products, ProductsByElement, Slope};
use crate::kernels::lines::Totals;
use crate::kernels::{self, Kernel, copy};
use crate::maps::affine::Target;
use crate::memory;
use crate::view::{View, ViewMut};
use std::ops::Range;

/// Sums of one column that are held at once, in columns.
pub(crate) const MAX_PARTIAL: usize = 1 << 20;
/// Fewest pieces of work that many parameters may leave.
const LEAST_PIECES: usize = 4;

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
) -> Result<Gradients, Error> {
    let shape = point.x.shape();
    assert!(shape == dx.shape() && shape == point.dy.shape(), "one gradient for each element");
    let strides = [dx.strides(), point.x.strides(), point.dy.strides()];
    let number: usize = shape.iter().zip(layer.own).filter(|(_, own)| **own).map(|(len, _)| *len).product();
    let gradients = Gradients { gamma: memory::filled(0.0, number)?, beta: memory::filled(0.0, number)? };
    if shape.contains(&0) {
        return Ok(gradients);
    }
    let axes = Axes::new(shape, layer.roles(), strides)?;
    let inner_kept = axes.axes.first().is_some_and(|axis| axis.kept || axis.own);
    match layer.line_axis(&axes, size_of::<T>()) {
        None if inner_kept => ByColumns::new(layer, point, &dx, threads)?.run(point, dx, gradients, threads),
        _ => {
            let axis = axes.axes.iter().position(|axis| !axis.kept);
            by_lines(layer, point, dx, axes.lines(axis, |axis| axis.kept), target, gradients, threads)
        }
    }
}

/// The slope and the offset of a group of `n` elements: `sum` is that of `g`, `products` that of `g * u`.
pub(crate) fn linear(layer: Layer<'_>, known: bool, scale: f64, [sum, products]: [f64; 2], n: f64) -> [f64; 2] {
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
) -> Result<Gradients, Error> {
    let bytes = point.x.shape().iter().product::<usize>() * size_of::<T>();
    let stream = target == Target::Warm
        && copy::exceeds_cache(bytes)
        && lines.aligned(0, dx.start(), size_of::<T>(), copy::STREAM_ALIGN);
    let number = if layer.gamma.is_none() && lines.line.own { gradients.gamma.len() } else { 0 };
    let ones = memory::filled(1.0, number)?;
    let layer = if ones.is_empty() { layer } else { Layer { gamma: Some(&ones), ..layer } };
    let pieces = pieces(&lines, gradients.gamma.len())?;
    let scratch =
        || Scratch { x: Vec::new(), dy: Vec::new(), dx: Vec::new(), gamma: Vec::new(), sums: [Vec::new(), Vec::new()] };
    let parts = each(&pieces, threads, scratch, |scratch, range| {
        let [least, most] = lines.parameters(range.clone());
        let number = (most - least + 1) as usize;
        let part = Gradients { gamma: memory::filled(0.0, number)?, beta: memory::filled(0.0, number)? };
        let groups = Groups { layer, lines: &lines, point, dx: &dx, first: least, part };
        let range = range.clone();
        // Compiled where it counts.
        if const { size_of::<T>() == 4 } && stream {
            let part = kernels::run(Piece::<T, true> { groups, range, scratch });
            copy::fence();
            return Ok::<_, Error>((least as usize, part?));
        }
        Ok((least as usize, kernels::run(Piece::<T, false> { groups, range, scratch })?))
    })?;
    for (first, part) in parts {
        for (all, part) in [(&mut gradients.gamma, part.gamma), (&mut gradients.beta, part.beta)] {
            all[first..].iter_mut().zip(part).for_each(|(sum, more)| *sum += more);
        }
    }
    Ok(gradients)
}

/// The groups in pieces: fewer where each of them has gradients of very many parameters.
fn pieces(lines: &Lines<3>, number: usize) -> Result<Vec<Range<usize>>, Error> {
    let pieces = Lines::<3>::pieces(lines.groups(), MOST_PIECES)?;
    let partial = |range: &Range<usize>| {
        let [least, most] = lines.parameters(range.clone());
        (most - least + 1) as usize
    };
    let held: usize = pieces.iter().map(partial).sum();
    if held <= number + MAX_PARTIAL {
        return Ok(pieces);
    }
    Lines::<3>::pieces(lines.groups(), (MAX_PARTIAL / number).max(LEAST_PIECES))
}

/// Some groups, one after the other, as in [`super::layers`].
struct Piece<'a, 'm, T, const STREAM: bool> {
    groups: Groups<'a, 'm, T>,
    range: Range<usize>,
    scratch: &'a mut Scratch<T>,
}

impl<T: LayerElement, const STREAM: bool> Kernel for Piece<'_, '_, T, STREAM> {
    type Output = Result<Gradients, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { mut groups, range, scratch } = self;
        for index in range {
            groups.run::<STREAM>(&groups.lines.group(index), scratch)?;
        }
        Ok(groups.part)
    }
}

struct Groups<'a, 'm, T> {
    layer: Layer<'a>,
    lines: &'a Lines<3>,
    point: Point<'m, T>,
    dx: &'a ViewMut<'m, T>,
    /// Number of the first parameter whose gradients are in `part`.
    first: isize,
    part: Gradients,
}

impl<T: LayerElement> Groups<'_, '_, T> {
    #[inline(always)]
    fn run<const STREAM: bool>(&mut self, place: &Position<3>, scratch: &mut Scratch<T>) -> Result<(), Error> {
        let Self { layer, lines, point, first, .. } = *self;
        let Scratch { x: x_scratch, dy: dy_scratch, dx: dx_scratch, gamma: gamma_scratch, sums } = scratch;
        let (mean, var) = match point.known {
            Some(known) => (known.mean[place.channel as usize], known.var[place.channel as usize]),
            None => statistics(lines, point.x, 1, place, layer.centred, x_scratch)?,
        };
        let (mean, scale) = layer.shift_and_scale(mean, var);
        let (len, step) = (lines.line.len, lines.line.parameter);
        let [_, x_stride, dy_stride] = lines.line.stride;
        let mut totals = Totals::default();
        for index in 0..lines.lines() {
            let Position { offset, parameter, .. } = lines.line(place, index);
            // SAFETY: these lines are elements of the views, which promise that they can be read.
            let x = unsafe { line(point.x.at(offset[1]), x_stride, len, false, x_scratch) }?;
            // SAFETY: as above.
            let dy = unsafe { line(point.dy.at(offset[2]), dy_stride, len, false, dy_scratch) }?;
            if lines.line.own {
                let gamma = parameters(layer.gamma.unwrap_or_default(), parameter, step, len, gamma_scratch)?;
                let at = (parameter - first) as usize;
                if step == 1 {
                    let (dgamma, dbeta) = (&mut self.part.gamma[at..][..len], &mut self.part.beta[at..][..len]);
                    ProductsByElement { x, dy, mean, scale, gamma, dgamma, dbeta }.add_to(&mut totals);
                } else {
                    for sums in &mut *sums {
                        memory::refill(sums, 0.0, len)?;
                    }
                    let [dgamma, dbeta] = &mut *sums;
                    ProductsByElement { x, dy, mean, scale, gamma, dgamma, dbeta }.add_to(&mut totals);
                    for (i, (dgamma, dbeta)) in dgamma.iter().zip(dbeta).enumerate() {
                        let at = (parameter - first + i as isize * step) as usize;
                        self.part.gamma[at] += dgamma;
                        self.part.beta[at] += *dbeta;
                    }
                }
            } else {
                let [sum, products] = Products { x, dy, mean }.run();
                let (gamma, at) = (layer.gamma(parameter), (parameter - first) as usize);
                self.part.gamma[at] += products * scale;
                self.part.beta[at] += sum;
                totals.add([gamma * sum, gamma * (products * scale)]);
            }
        }
        let [slope, offset] = linear(layer, point.known.is_some(), scale, totals.get(), lines.group_len() as f64);
        for index in 0..lines.lines() {
            let Position { offset: at, parameter, .. } = lines.line(place, index);
            let slope = if lines.line.own {
                let gamma = parameters(layer.gamma.unwrap_or_default(), parameter, step, len, gamma_scratch)?;
                Slope { factor: scale, gamma: Some(gamma), mean, slope, offset }
            } else {
                Slope { factor: scale * layer.gamma(parameter), gamma: None, mean, slope, offset }
            };
            // SAFETY: as above.
            let x = unsafe { line(point.x.at(at[1]), x_stride, len, false, x_scratch) }?;
            // SAFETY: as above.
            let dy = unsafe { line(point.dy.at(at[2]), dy_stride, len, false, dy_scratch) }?;
            let to = self.dx.at(at[0]);
            // SAFETY: each line of the output belongs to one group, and so to one task; it overlaps no input.
            unsafe {
                write_line(
                    to,
                    lines.line.stride[0],
                    len,
                    T::from_f64(0.0),
                    dx_scratch,
                    #[inline(always)]
                    |dx| MapGradient::<T, STREAM> { slope, x, dy, dx }.run(),
                )?;
            }
        }
        Ok(())
    }
}

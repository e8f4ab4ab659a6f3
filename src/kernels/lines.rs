//! Lines of neighbouring elements as normalisation layers see them: all of one statistic (rows) or each of its own
//! (columns). Sums and maps are in `f64`; what one element contributes is added in an order that depends on nothing but
//! the length of the line.

use super::columns::{AHEAD, prefetch_at};
use super::{Kernel, copy};
use crate::element::{Element, Output};

/// Sums that run side by side.
const LANES: usize = 16;

/// The sum of all lanes, in a fixed order.
#[inline(always)]
fn total(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Sums over one line of the differences from `pivot`, and of their squares.
#[derive(Debug)]
pub struct Sums<'a, T> {
    /// The line.
    pub x: &'a [T],
    /// Near the mean, so that the squares do not cancel.
    pub pivot: f64,
}

impl<T: Element> Kernel for Sums<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self) -> [f64; 2] {
        let (mut sum, mut squares) = ([0.0; LANES], [0.0; LANES]);
        let (chunks, rest) = self.x.as_chunks::<LANES>();
        for x in chunks {
            prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
            let x: [T; LANES] = *x;
            for j in 0..LANES {
                let difference = x[j].to_f64() - self.pivot;
                sum[j] += difference;
                squares[j] += difference * difference;
            }
        }
        for (j, x) in rest.iter().enumerate() {
            let difference = x.to_f64() - self.pivot;
            sum[j] += difference;
            squares[j] += difference * difference;
        }
        [total(sum), total(squares)]
    }
}

/// What a line is mapped with: `y = (x - shift) * scale * gamma + beta`.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Subtracted first.
    pub shift: f64,
    /// Factor.
    pub scale: f64,
    /// Factors and summands of the elements, as many as there are; none where these are one and `offset`.
    pub parameters: Option<(&'a [f64], &'a [f64])>,
    /// Added last where there are no parameters of elements.
    pub offset: f64,
}

/// Write lanes, past the cache or not.
#[inline(always)]
fn store<T: Copy, const STREAM: bool>(lanes: [T; LANES], to: &mut [T; LANES]) {
    if STREAM { copy::stream_wide_lanes(lanes, to) } else { *to = lanes }
}

/// Maps one line; with `STREAM` past the cache, for lines that are aligned to 16 bytes and fill as many.
struct MapLine<'a, T, const STREAM: bool> {
    line: Line<'a>,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Output, const STREAM: bool> Kernel for MapLine<'_, T, STREAM> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Line { shift, scale, parameters, offset } = self.line;
        let plain = |x: T| T::from_f64((x.to_f64() - shift) * scale + offset);
        let by_element = |x: T, gamma: f64, beta: f64| T::from_f64((x.to_f64() - shift) * scale * gamma + beta);
        let len = self.x.len().min(self.y.len());
        let (x, x_rest) = self.x[..len].as_chunks::<LANES>();
        let (y, y_rest) = self.y[..len].as_chunks_mut::<LANES>();
        let Some((gamma, beta)) = parameters else {
            for (x, y) in x.iter().zip(y) {
                prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
                let mut mapped = [T::from_f64(0.0); LANES];
                for j in 0..LANES {
                    mapped[j] = plain(x[j]);
                }
                store::<T, STREAM>(mapped, y);
            }
            x_rest.iter().zip(y_rest).for_each(|(x, y)| *y = plain(*x));
            return;
        };
        let (gamma, gamma_rest) = gamma[..len].as_chunks::<LANES>();
        let (beta, beta_rest) = beta[..len].as_chunks::<LANES>();
        for ((x, y), (gamma, beta)) in x.iter().zip(y).zip(gamma.iter().zip(beta)) {
            prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
            let mut mapped = [T::from_f64(0.0); LANES];
            for j in 0..LANES {
                mapped[j] = by_element(x[j], gamma[j], beta[j]);
            }
            store::<T, STREAM>(mapped, y);
        }
        let rest = x_rest.iter().zip(y_rest).zip(gamma_rest.iter().zip(beta_rest));
        rest.for_each(|((x, y), (gamma, beta))| *y = by_element(*x, *gamma, *beta));
    }
}

/// Map the line `x` to `y`, of the same length; with `stream` past the cache ([`copy::stream_lanes`] says what that asks).
pub fn map_line<T: Output>(line: Line<'_>, x: &[T], y: &mut [T], stream: bool) {
    if stream {
        super::run(MapLine::<T, true> { line, x, y });
    } else {
        super::run(MapLine::<T, false> { line, x, y });
    }
}

/// Sums over one line of gradients `dy`, and of `dy * (x - mean)`.
#[derive(Debug)]
pub struct Products<'a, T> {
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// Subtracted.
    pub mean: f64,
}

impl<T: Element> Kernel for Products<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self) -> [f64; 2] {
        let (mut sum, mut products) = ([0.0; LANES], [0.0; LANES]);
        let len = self.x.len().min(self.dy.len());
        let (x, x_rest) = self.x[..len].as_chunks::<LANES>();
        let (dy, dy_rest) = self.dy[..len].as_chunks::<LANES>();
        for (x, dy) in x.iter().zip(dy) {
            prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
            prefetch_at::<T, LANES>(dy.as_ptr().wrapping_byte_add(AHEAD));
            let (x, dy): ([T; LANES], [T; LANES]) = (*x, *dy);
            for j in 0..LANES {
                let gradient = dy[j].to_f64();
                sum[j] += gradient;
                products[j] += gradient * (x[j].to_f64() - self.mean);
            }
        }
        for (j, (x, dy)) in x_rest.iter().zip(dy_rest).enumerate() {
            let gradient = dy.to_f64();
            sum[j] += gradient;
            products[j] += gradient * (x.to_f64() - self.mean);
        }
        [total(sum), total(products)]
    }
}

/// As [`Products`] of `gamma * dy`, each element having its own gamma; what the elements contribute to the gradients of
/// their gamma and beta is added to these.
#[derive(Debug)]
pub struct ProductsByElement<'a, T> {
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// Subtracted.
    pub mean: f64,
    /// What `x - mean` is multiplied by for the gradient of gamma.
    pub scale: f64,
    /// One for each element.
    pub gamma: &'a [f64],
    /// Gradients of gamma.
    pub dgamma: &'a mut [f64],
    /// Gradients of beta.
    pub dbeta: &'a mut [f64],
}

impl<T: Element> Kernel for ProductsByElement<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self) -> [f64; 2] {
        let Self { mean, scale, .. } = self;
        let (mut sum, mut products) = ([0.0; LANES], [0.0; LANES]);
        let len = self.x.len().min(self.dy.len());
        let (x, x_rest) = self.x[..len].as_chunks::<LANES>();
        let (dy, dy_rest) = self.dy[..len].as_chunks::<LANES>();
        let (gamma, gamma_rest) = self.gamma[..len].as_chunks::<LANES>();
        let (dgamma, dgamma_rest) = self.dgamma[..len].as_chunks_mut::<LANES>();
        let (dbeta, dbeta_rest) = self.dbeta[..len].as_chunks_mut::<LANES>();
        for ((x, dy), (gamma, (dgamma, dbeta))) in x.iter().zip(dy).zip(gamma.iter().zip(dgamma.iter_mut().zip(dbeta)))
        {
            prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
            prefetch_at::<T, LANES>(dy.as_ptr().wrapping_byte_add(AHEAD));
            let (x, dy): ([T; LANES], [T; LANES]) = (*x, *dy);
            for j in 0..LANES {
                let (gradient, difference) = (dy[j].to_f64(), x[j].to_f64() - mean);
                let weighted = gradient * gamma[j];
                sum[j] += weighted;
                products[j] += weighted * difference;
                dgamma[j] += gradient * (difference * scale);
                dbeta[j] += gradient;
            }
        }
        let rest = gamma_rest.iter().zip(dgamma_rest.iter_mut().zip(dbeta_rest));
        for (j, ((x, dy), (gamma, (dgamma, dbeta)))) in x_rest.iter().zip(dy_rest).zip(rest).enumerate() {
            let (gradient, difference) = (dy.to_f64(), x.to_f64() - mean);
            let weighted = gradient * gamma;
            sum[j] += weighted;
            products[j] += weighted * difference;
            *dgamma += gradient * (difference * scale);
            *dbeta += gradient;
        }
        [total(sum), total(products)]
    }
}

/// What the gradient of a line is made of: `dx = dy * factor * gamma + (x - mean) * slope + offset`.
#[derive(Debug, Clone, Copy)]
pub struct Slope<'a> {
    /// Of `dy`.
    pub factor: f64,
    /// Factors of `dy` for each element; none where these are one.
    pub gamma: Option<&'a [f64]>,
    /// Subtracted from `x`.
    pub mean: f64,
    /// Of `x - mean`.
    pub slope: f64,
    /// Added last.
    pub offset: f64,
}

/// The gradient of one line; with `STREAM` as for [`map_line`].
struct MapGradient<'a, T, const STREAM: bool> {
    slope: Slope<'a>,
    x: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
}

impl<T: Output, const STREAM: bool> Kernel for MapGradient<'_, T, STREAM> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Slope { factor, gamma, mean, slope, offset } = self.slope;
        let one = |x: T, dy: T, factor: f64| T::from_f64(dy.to_f64() * factor + ((x.to_f64() - mean) * slope + offset));
        let len = self.x.len().min(self.dy.len()).min(self.dx.len());
        let (x, x_rest) = self.x[..len].as_chunks::<LANES>();
        let (dy, dy_rest) = self.dy[..len].as_chunks::<LANES>();
        let (dx, dx_rest) = self.dx[..len].as_chunks_mut::<LANES>();
        let Some(gamma) = gamma else {
            for ((x, dy), dx) in x.iter().zip(dy).zip(dx) {
                let (x, dy): ([T; LANES], [T; LANES]) = (*x, *dy);
                let mut mapped = [T::from_f64(0.0); LANES];
                for j in 0..LANES {
                    mapped[j] = one(x[j], dy[j], factor);
                }
                store::<T, STREAM>(mapped, dx);
            }
            x_rest.iter().zip(dy_rest).zip(dx_rest).for_each(|((x, dy), dx)| *dx = one(*x, *dy, factor));
            return;
        };
        let (gamma, gamma_rest) = gamma[..len].as_chunks::<LANES>();
        for ((x, dy), (dx, gamma)) in x.iter().zip(dy).zip(dx.iter_mut().zip(gamma)) {
            let (x, dy): ([T; LANES], [T; LANES]) = (*x, *dy);
            let mut mapped = [T::from_f64(0.0); LANES];
            for j in 0..LANES {
                mapped[j] = one(x[j], dy[j], factor * gamma[j]);
            }
            store::<T, STREAM>(mapped, dx);
        }
        let rest = x_rest.iter().zip(dy_rest).zip(dx_rest.iter_mut().zip(gamma_rest));
        rest.for_each(|((x, dy), (dx, gamma))| *dx = one(*x, *dy, factor * gamma));
    }
}

/// Write the gradient of a line to `dx`; with `stream` as for [`map_line`].
pub fn map_gradient<T: Output>(slope: Slope<'_>, x: &[T], dy: &[T], dx: &mut [T], stream: bool) {
    if stream {
        super::run(MapGradient::<T, true> { slope, x, dy, dx });
    } else {
        super::run(MapGradient::<T, false> { slope, x, dy, dx });
    }
}

/// Adds the gradients `dy` of a line of columns, and `dy * (x - mean)`, to the sums of each.
#[derive(Debug)]
pub struct AddColumns<'a, T> {
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// One for each column.
    pub mean: &'a [f64],
    /// Sums of `dy`.
    pub sum: &'a mut [f64],
    /// Sums of the products.
    pub products: &'a mut [f64],
}

impl<T: Element> Kernel for AddColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let len = self.x.len();
        let (x, dy, mean) = (&self.x[..len], &self.dy[..len], &self.mean[..len]);
        let (sum, products) = (&mut self.sum[..len], &mut self.products[..len]);
        for j in 0..len {
            let gradient = dy[j].to_f64();
            sum[j] += gradient;
            products[j] += gradient * (x[j].to_f64() - mean[j]);
        }
    }
}

/// Coefficients of the gradients of columns, as in [`Slope`].
#[derive(Debug, Default)]
pub struct ColumnSlopes {
    /// Of `dy`.
    pub factor: Vec<f64>,
    /// Subtracted from `x`.
    pub mean: Vec<f64>,
    /// Of `x - mean`.
    pub slope: Vec<f64>,
    /// Added last.
    pub offset: Vec<f64>,
}

/// Writes the gradients of a line of columns from column `first` on.
#[derive(Debug)]
pub struct MapColumns<'a, T> {
    /// Of all columns.
    pub slopes: &'a ColumnSlopes,
    /// The first of them here.
    pub first: usize,
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// To write.
    pub dx: &'a mut [T],
}

impl<T: Output> Kernel for MapColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let len = self.x.len();
        let (x, dy, dx) = (&self.x[..len], &self.dy[..len], &mut self.dx[..len]);
        let columns = self.first..self.first + len;
        let (factor, mean) = (&self.slopes.factor[columns.clone()], &self.slopes.mean[columns.clone()]);
        let (slope, offset) = (&self.slopes.slope[columns.clone()], &self.slopes.offset[columns]);
        for j in 0..len {
            let linear = (x[j].to_f64() - mean[j]) * slope[j] + offset[j];
            dx[j] = T::from_f64(dy[j].to_f64() * factor[j] + linear);
        }
    }
}

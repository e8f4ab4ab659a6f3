//! Gradients along lines of neighbouring elements that share a statistic (rows), or have each its own (columns). In `f64`,
//! and in the orders of [`super::lines`].

use super::Kernel;
use super::columns::{AHEAD, prefetch_at};
use super::lines::{BLOCK, LANES, Mean, Totals, all_lanes, by_parts, in_memory};
use crate::element::{Element, Output};

/// Sums over one line of gradients `dy`, and of `dy * (x - mean)`.
#[derive(Debug)]
pub struct Products<'a, T> {
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// Subtracted.
    pub mean: Mean,
}

impl<T: Element> Kernel for Products<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self) -> [f64; 2] {
        let mut totals = Totals::default();
        for (x, dy) in self.x.chunks(BLOCK).zip(self.dy.chunks(BLOCK)) {
            totals.add(Self { x, dy, ..self }.block());
        }
        totals.get()
    }
}

impl<T: Element> Products<'_, T> {
    /// All of it as one block.
    #[inline(always)]
    fn block(self) -> [f64; 2] {
        let (mut sum, mut products) = ([0.0; LANES], [0.0; LANES]);
        let len = self.x.len().min(self.dy.len());
        let (x, x_rest) = self.x[..len].as_chunks::<LANES>();
        let (dy, dy_rest) = self.dy[..len].as_chunks::<LANES>();
        for (x, dy) in x.iter().zip(dy) {
            prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
            prefetch_at::<T, LANES>(dy.as_ptr().wrapping_byte_add(AHEAD));
            let (mut gradients, mut differences) = ([0.0; LANES], [0.0; LANES]);
            for j in 0..LANES {
                gradients[j] = dy[j].to_f64();
            }
            for j in 0..LANES {
                differences[j] = self.mean.difference(x[j]);
            }
            for j in 0..LANES {
                sum[j] += gradients[j];
            }
            for j in 0..LANES {
                products[j] += gradients[j] * differences[j];
            }
        }
        let [mut sum, mut products] = in_memory([sum, products]);
        for (j, (x, dy)) in x_rest.iter().zip(dy_rest).enumerate() {
            let gradient = dy.to_f64();
            sum[j] += gradient;
            products[j] += gradient * self.mean.difference(*x);
        }
        all_lanes([sum, products])
    }
}

/// As [`Products`] of `gamma * dy` with `(x - mean) * scale`, each element having its own gamma; what the elements
/// contribute to the gradients of their gamma and beta is added to these.
#[derive(Debug)]
pub struct ProductsByElement<'a, T> {
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// Subtracted.
    pub mean: Mean,
    /// What `x - mean` is multiplied by.
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
        let mut totals = Totals::default();
        self.add_to(&mut totals);
        totals.get()
    }
}

impl<T: Element> ProductsByElement<'_, T> {
    /// Add them to those of other lines.
    #[inline(always)]
    pub fn add_to(self, totals: &mut Totals) {
        let Self { x, dy, mean, scale, gamma, dgamma, dbeta } = self;
        let lines = x.chunks(BLOCK).zip(dy.chunks(BLOCK));
        let parameters = gamma.chunks(BLOCK).zip(dgamma.chunks_mut(BLOCK).zip(dbeta.chunks_mut(BLOCK)));
        for ((x, dy), (gamma, (dgamma, dbeta))) in lines.zip(parameters) {
            totals.add(ProductsByElement { x, dy, mean, scale, gamma, dgamma, dbeta }.block());
        }
    }

    /// All of it as one block.
    #[inline(always)]
    fn block(self) -> [f64; 2] {
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
            let (mut gradients, mut along) = ([0.0; LANES], [0.0; LANES]);
            for j in 0..LANES {
                gradients[j] = dy[j].to_f64();
            }
            for j in 0..LANES {
                along[j] = mean.difference(x[j]) * scale * gradients[j];
            }
            for j in 0..LANES {
                dgamma[j] += along[j];
            }
            for j in 0..LANES {
                dbeta[j] += gradients[j];
            }
            for j in 0..LANES {
                sum[j] += gradients[j] * gamma[j];
            }
            for j in 0..LANES {
                products[j] += along[j] * gamma[j];
            }
        }
        let [mut sum, mut products] = in_memory([sum, products]);
        let rest = gamma_rest.iter().zip(dgamma_rest.iter_mut().zip(dbeta_rest));
        for (j, ((x, dy), (gamma, (dgamma, dbeta)))) in x_rest.iter().zip(dy_rest).zip(rest).enumerate() {
            let gradient = dy.to_f64();
            let along = mean.difference(*x) * scale * gradient;
            *dgamma += along;
            *dbeta += gradient;
            sum[j] += gradient * gamma;
            products[j] += along * gamma;
        }
        all_lanes([sum, products])
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
    pub mean: Mean,
    /// Of `x - mean`.
    pub slope: f64,
    /// Added last.
    pub offset: f64,
}

/// Writes the gradient of one line; with `STREAM` as [`super::lines::MapLine`].
#[derive(Debug)]
pub struct MapGradient<'a, T, const STREAM: bool> {
    /// What with.
    pub slope: Slope<'a>,
    /// The line.
    pub x: &'a [T],
    /// Its gradients.
    pub dy: &'a [T],
    /// To write, of the same length.
    pub dx: &'a mut [T],
}

impl<T: Output, const STREAM: bool> Kernel for MapGradient<'_, T, STREAM> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Slope { factor, gamma, mean, slope, offset } = self.slope;
        let (x, dy) = (self.x, self.dy);
        let one =
            move |x: T, dy: T, factor: f64| T::from_f64(dy.to_f64() * factor + (mean.difference(x) * slope + offset));
        by_parts::<T, STREAM>(
            self.dx,
            #[inline(always)]
            move |from, dx| {
                let len = dx.len();
                let (x, dy) = (&x[from..][..len], &dy[from..][..len]);
                let Some(gamma) = gamma else {
                    for j in 0..len {
                        dx[j] = one(x[j], dy[j], factor);
                    }
                    return;
                };
                let gamma = &gamma[from..][..len];
                for j in 0..len {
                    dx[j] = one(x[j], dy[j], factor * gamma[j]);
                }
            },
        );
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

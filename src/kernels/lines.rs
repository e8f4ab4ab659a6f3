//! Lines of neighbouring elements that share a statistic, as normalisation layers see them. Sums and maps are in `f64`;
//! what one element contributes is added in an order that depends on nothing but the length of the line.

use super::columns::{AHEAD, prefetch_at};
use super::{Kernel, copy};
use crate::dd::two_sum;
use crate::element::{Element, Output};

/// Sums that run side by side.
pub(super) const LANES: usize = 8;
/// Elements that are written past the cache together.
const STREAMED: usize = 16;

/// The sums of all lanes, each in a fixed order.
#[inline(always)]
pub(super) fn all_lanes<const K: usize>(lanes: [[f64; LANES]; K]) -> [f64; K] {
    lanes.map(|mut lanes| {
        let mut half = LANES / 2;
        while half > 0 {
            for j in 0..half {
                lanes[j] += lanes[j + half];
            }
            half /= 2;
        }
        lanes[0]
    })
}

/// The lanes, by way of memory: of what follows a loop, such as a tree of the sums of each, the compiler would otherwise
/// make vectors of one lane of each, and would have them in the loop, too.
#[inline(always)]
pub(super) fn in_memory<const K: usize>(lanes: [[f64; LANES]; K]) -> [[f64; LANES]; K] {
    std::hint::black_box(lanes)
}

/// Elements whose sums are taken without a correction: few enough that their roundings stay far below the last digit.
pub(super) const BLOCK: usize = 4096;

/// Sums with the errors of their additions (T. Ogita, S. M. Rump, S. Oishi, "Accurate sum and dot product", SIAM J. Sci.
/// Comput. 26 (2005), algorithm 4.4).
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    sums: [f64; 2],
    errors: [f64; 2],
}

impl Totals {
    /// Add to each sum.
    #[inline(always)]
    pub fn add(&mut self, more: [f64; 2]) {
        for ((sum, error), more) in self.sums.iter_mut().zip(&mut self.errors).zip(more) {
            let (next, lost) = two_sum(*sum, more);
            (*sum, *error) = (next, *error + lost);
        }
    }

    /// The sums.
    #[inline(always)]
    pub fn get(&self) -> [f64; 2] {
        // An infinite sum has no error.
        let corrected = |k: usize| {
            let sum = self.sums[k] + self.errors[k];
            if sum.is_nan() { self.sums[k] } else { sum }
        };
        [corrected(0), corrected(1)]
    }
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
        let mut totals = Totals::default();
        self.add_to(&mut totals);
        totals.get()
    }
}

impl<T: Element> Sums<'_, T> {
    /// Add them to those of other lines.
    #[inline(always)]
    pub fn add_to(self, totals: &mut Totals) {
        for x in self.x.chunks(BLOCK) {
            totals.add(sums(x, self.pivot));
        }
    }
}

#[inline(always)]
fn sums<T: Element>(x: &[T], pivot: f64) -> [f64; 2] {
    let (mut sum, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        prefetch_at::<T, LANES>(x.as_ptr().wrapping_byte_add(AHEAD));
        let mut differences = [0.0; LANES];
        for j in 0..LANES {
            differences[j] = x[j].to_f64() - pivot;
        }
        for j in 0..LANES {
            sum[j] += differences[j];
        }
        for j in 0..LANES {
            squares[j] += differences[j] * differences[j];
        }
    }
    let [mut sum, mut squares] = in_memory([sum, squares]);
    for (j, x) in rest.iter().enumerate() {
        let difference = x.to_f64() - pivot;
        sum[j] += difference;
        squares[j] += difference * difference;
    }
    all_lanes([sum, squares])
}

/// A mean: where it is large beside the deviations, rounding it to `f64` loses their last digits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// Rounded.
    pub value: f64,
    /// What that lost.
    pub rest: f64,
}

impl Mean {
    /// `value + more`.
    pub fn of_sum(value: f64, more: f64) -> Self {
        let (value, rest) = two_sum(value, more);
        // What is infinite has no error.
        Self { value, rest: if rest.is_finite() { rest } else { 0.0 } }
    }

    /// From this one to `other`.
    pub fn to(self, other: Self) -> f64 {
        (other.value - self.value) + (other.rest - self.rest)
    }

    /// From this one to `x`.
    #[inline(always)]
    pub fn difference<T: Element>(self, x: T) -> f64 {
        (x.to_f64() - self.value) - self.rest
    }

    /// The same, to as many digits as a result of that type has.
    #[inline(always)]
    pub fn rounded_difference<T: Output>(self, x: T) -> f64 {
        if T::NEEDS_EXACT { self.difference(x) } else { x.to_f64() - self.value }
    }
}

/// What a line is mapped with: `y = (x - mean) * scale * gamma + beta`.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Subtracted first.
    pub mean: Mean,
    /// Factor.
    pub scale: f64,
    /// Factors and summands of the elements, as many as there are; none where these are one and `offset`.
    pub parameters: Option<(&'a [f64], &'a [f64])>,
    /// Added last where there are no parameters of elements.
    pub offset: f64,
}

/// Maps one line; with `STREAM` past the cache ([`copy::stream_lanes`] says what that asks).
#[derive(Debug)]
pub struct MapLine<'a, T, const STREAM: bool> {
    /// What with.
    pub line: Line<'a>,
    /// The line.
    pub x: &'a [T],
    /// Where to, of the same length.
    pub y: &'a mut [T],
}

impl<T: Output, const STREAM: bool> Kernel for MapLine<'_, T, STREAM> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Line { mean, scale, parameters, offset } = self.line;
        let scaled = move |x: T| mean.rounded_difference(x) * scale;
        let x = self.x;
        by_parts::<T, STREAM>(
            self.y,
            #[inline(always)]
            move |from, y| {
                let len = y.len();
                let x = &x[from..][..len];
                let Some((gamma, beta)) = parameters else {
                    for j in 0..len {
                        y[j] = T::from_f64(scaled(x[j]) + offset);
                    }
                    return;
                };
                let (gamma, beta) = (&gamma[from..][..len], &beta[from..][..len]);
                for j in 0..len {
                    y[j] = T::from_f64(scaled(x[j]) * gamma[j] + beta[j]);
                }
            },
        );
    }
}

/// Have `write` fill parts of `line`, the first of which is at an index: all of it at once, so that the compiler sees one
/// loop over elements; with `STREAM` a few elements after the other, past the cache, and then the rest.
#[inline(always)]
pub(super) fn by_parts<T: Output, const STREAM: bool>(line: &mut [T], write: impl Fn(usize, &mut [T])) {
    let mut from = 0;
    if STREAM {
        for target in line.as_chunks_mut::<STREAMED>().0 {
            let mut lanes = [T::from_f64(0.0); STREAMED];
            write(from, &mut lanes);
            copy::stream_wide_lanes(lanes, target);
            from += STREAMED;
        }
    }
    write(from, &mut line[from..]);
}

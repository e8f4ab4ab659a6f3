//! Sums and sums of squares of columns.

use super::columns::{Columns, Walk, lanes, lanes_mut};
use crate::element::{Bool, Element};
use crate::tiles::Rows;

/// Columns whose accumulators share the registers.
const LANES: usize = 16;
/// Rows for which they are loaded once.
const GROUP: usize = 8;

/// Accumulators of floating-point columns: sums of `x - pivot` and of its square. Subtracting a pivot near the mean
/// first is what keeps the sum of squares from cancelling (Chan, Golub and LeVeque 1983, section 2).
#[derive(Debug, Default, Clone)]
pub struct FloatSums {
    /// A value near the mean of each column.
    pub pivot: Vec<f64>,
    /// Sum of `w (x - pivot)`.
    pub sum: Vec<f64>,
    /// Sum of `w (x - pivot)^2`.
    pub square: Vec<f64>,
    /// Sum of the weights of the elements that are numbers; only kept where NaN or weights make it necessary.
    pub weight: Vec<f64>,
}

impl FloatSums {
    /// Set all sums of `width` columns to zero.
    pub fn clear(&mut self, width: usize) {
        for sums in [&mut self.sum, &mut self.square, &mut self.weight] {
            sums.clear();
            sums.resize(width, 0.0);
        }
    }

    /// Add `rows`. NaN and infinity spoil the sums of their column.
    pub fn add<T: Element>(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, columns: &mut Plain(self) });
    }

    /// Add those elements of `rows` that are numbers, and count them.
    pub fn add_numbers<T: Element>(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, columns: &mut Numbers(self) });
    }

    /// Add those elements of `rows` that are numbers, each times its weight. Zero weight leaves an element out.
    pub fn add_weighted<T: Element>(&mut self, rows: Rows<'_, T>, weights: Rows<'_, f64>) {
        super::run(Walk::<_, _, LANES, 1> { rows, columns: &mut Weighted(self, weights) });
    }
}

struct Plain<'a>(&'a mut FloatSums);

impl<T: Element> Columns<T> for Plain<'_> {
    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(&mut self, at: usize, _row: usize, elements: [&[T; L]; U]) {
        let pivot: [f64; L] = *lanes(&self.0.pivot, at);
        let mut sum: [f64; L] = *lanes(&self.0.sum, at);
        let mut square: [f64; L] = *lanes(&self.0.square, at);
        for x in elements {
            for j in 0..L {
                let d = x[j].to_f64() - pivot[j];
                sum[j] += d;
                square[j] += d * d;
            }
        }
        *lanes_mut(&mut self.0.sum, at) = sum;
        *lanes_mut(&mut self.0.square, at) = square;
    }
}

struct Numbers<'a>(&'a mut FloatSums);

impl<T: Element> Columns<T> for Numbers<'_> {
    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(&mut self, at: usize, _row: usize, elements: [&[T; L]; U]) {
        let pivot: [f64; L] = *lanes(&self.0.pivot, at);
        let mut sum: [f64; L] = *lanes(&self.0.sum, at);
        let mut square: [f64; L] = *lanes(&self.0.square, at);
        let mut weight: [f64; L] = *lanes(&self.0.weight, at);
        for x in elements {
            for j in 0..L {
                let d = x[j].to_f64() - pivot[j];
                let number = !d.is_nan();
                let d = if number { d } else { 0.0 };
                sum[j] += d;
                square[j] += d * d;
                weight[j] += if number { 1.0 } else { 0.0 };
            }
        }
        *lanes_mut(&mut self.0.sum, at) = sum;
        *lanes_mut(&mut self.0.square, at) = square;
        *lanes_mut(&mut self.0.weight, at) = weight;
    }
}

struct Weighted<'a>(&'a mut FloatSums, Rows<'a, f64>);

impl<T: Element> Columns<T> for Weighted<'_> {
    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(&mut self, at: usize, row: usize, elements: [&[T; L]; U]) {
        let pivot: [f64; L] = *lanes(&self.0.pivot, at);
        let mut sum: [f64; L] = *lanes(&self.0.sum, at);
        let mut square: [f64; L] = *lanes(&self.0.square, at);
        let mut weight: [f64; L] = *lanes(&self.0.weight, at);
        for (u, x) in elements.into_iter().enumerate() {
            let w: &[f64; L] = lanes(self.1.row(row + u), at);
            for j in 0..L {
                let d = x[j].to_f64() - pivot[j];
                let counts = !d.is_nan() && w[j] != 0.0;
                let d = if counts { d } else { 0.0 };
                let w = if counts { w[j] } else { 0.0 };
                sum[j] += w * d;
                square[j] += w * d * d;
                weight[j] += w;
            }
        }
        *lanes_mut(&mut self.0.sum, at) = sum;
        *lanes_mut(&mut self.0.square, at) = square;
        *lanes_mut(&mut self.0.weight, at) = weight;
    }
}

/// Integers of up to 32 bits, whose sums are kept exactly. A column may take [`Integer::MAX_ROWS`] elements before
/// its lanes must be emptied into wide sums.
pub trait Integer: Element {
    /// A lane that holds the sum.
    type Sum: Copy + Default + Send + Into<i128>;
    /// A lane that holds the sum of squares.
    type Square: Copy + Default + Send + Into<u128>;
    /// Elements that a lane certainly holds the sums of.
    const MAX_ROWS: usize;
    /// Add the value.
    fn add(self, sum: &mut Self::Sum);
    /// Add the square: the lower part, or all of it, to `low`, the upper 32 bits of a 64-bit square to `high`.
    fn add_square(self, low: &mut Self::Square, high: &mut Self::Square);
}

macro_rules! narrow_integer {
    ($($t:ty: $wide:ty, $sum:ty, $square:ty, $rows:expr;)*) => {$(
        impl Integer for $t {
            type Sum = $sum;
            type Square = $square;
            const MAX_ROWS: usize = $rows;
            #[inline(always)]
            fn add(self, sum: &mut $sum) {
                *sum += <$sum>::from(self.key());
            }
            #[inline(always)]
            fn add_square(self, low: &mut $square, _high: &mut $square) {
                let value = <$wide>::from(self.key());
                *low += (value * value) as $square;
            }
        }
    )*};
}
narrow_integer! {
    Bool: u32, u32, u32, 1 << 16;
    u8: u32, u32, u32, 1 << 16;
    i8: i32, i32, u32, 1 << 16;
    u16: u32, u32, u64, 1 << 16;
    i16: i32, i32, u64, 1 << 16;
}

macro_rules! word_integer {
    ($($t:ty: $wide:ty;)*) => {$(
        impl Integer for $t {
            type Sum = $wide;
            type Square = u64;
            const MAX_ROWS: usize = 1 << 30;
            #[inline(always)]
            fn add(self, sum: &mut $wide) {
                *sum += <$wide>::from(self);
            }
            #[inline(always)]
            fn add_square(self, low: &mut u64, high: &mut u64) {
                let value = <$wide>::from(self);
                let square = (value * value) as u64;
                *low += square & 0xffff_ffff;
                *high += square >> 32;
            }
        }
    )*};
}
word_integer! { u32: u64; i32: i64; }

/// Exact accumulators of integer columns.
#[derive(Debug, Default, Clone)]
pub struct IntegerSums<T: Integer> {
    /// Sum.
    pub sum: Vec<T::Sum>,
    /// Sum of squares, or its lower half.
    pub low: Vec<T::Square>,
    /// Upper half of the sum of squares, in units of 2^32.
    pub high: Vec<T::Square>,
}

impl<T: Integer> IntegerSums<T> {
    /// Set all sums of `width` columns to zero.
    pub fn clear(&mut self, width: usize) {
        self.sum.clear();
        self.sum.resize(width, T::Sum::default());
        for squares in [&mut self.low, &mut self.high] {
            squares.clear();
            squares.resize(width, T::Square::default());
        }
    }

    /// Add `rows`: at most [`Integer::MAX_ROWS`] of them since the last [`Self::clear`].
    pub fn add(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, columns: self });
    }
}

impl<T: Integer> Columns<T> for IntegerSums<T> {
    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(&mut self, at: usize, _row: usize, elements: [&[T; L]; U]) {
        let mut sum: [T::Sum; L] = *lanes(&self.sum, at);
        let mut low: [T::Square; L] = *lanes(&self.low, at);
        let mut high: [T::Square; L] = *lanes(&self.high, at);
        for x in elements {
            for j in 0..L {
                x[j].add(&mut sum[j]);
                x[j].add_square(&mut low[j], &mut high[j]);
            }
        }
        *lanes_mut(&mut self.sum, at) = sum;
        *lanes_mut(&mut self.low, at) = low;
        *lanes_mut(&mut self.high, at) = high;
    }
}

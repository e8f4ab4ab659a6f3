//! Sums and sums of squares of columns.

use super::columns::{Columns, Walk, lanes, lanes_mut};
use crate::element::{Bool, Element};
use crate::tiles::{Rows, RowsMut};

/// Columns whose accumulators share the registers.
const LANES: usize = 16;
/// Rows that are summed on their own, and then added to the accumulators.
pub const GROUP: usize = 4;
/// The same for integers, whose lanes are narrower and widened once for each group.
const INTEGER_LANES: usize = 64;
const INTEGER_GROUP: usize = 8;

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
        super::run(Walk::<_, _, LANES, GROUP> { rows, out: RowsMut::none(&rows), columns: &mut Plain(self) });
    }

    /// Add those elements of `rows` that are numbers, and count them.
    pub fn add_numbers<T: Element>(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, out: RowsMut::none(&rows), columns: &mut Numbers(self) });
    }

    /// Add those elements of `rows` that are numbers, each times its weight. Zero weight leaves an element out.
    pub fn add_weighted<T: Element>(&mut self, rows: Rows<'_, T>, weights: Rows<'_, f64>) {
        super::run(Walk::<_, _, LANES, GROUP> {
            rows,
            out: RowsMut::none(&rows),
            columns: &mut Weighted(self, weights),
        });
    }
}

struct Plain<'a>(&'a mut FloatSums);

impl<T: Element> Columns<T> for Plain<'_> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let pivot: [f64; L] = *lanes(&self.0.pivot, at);
        // A group is summed on its own first: short chains of additions round less than one long one.
        let (mut sum, mut square) = ([0.0; L], [0.0; L]);
        for x in elements {
            for j in 0..L {
                let d = x[j].to_f64() - pivot[j];
                sum[j] += d;
                square[j] += d * d;
            }
        }
        add_lanes(&mut self.0.sum, at, sum);
        add_lanes(&mut self.0.square, at, square);
    }
}

/// Add `values` to the lanes from `at` on.
#[inline(always)]
fn add_lanes<const L: usize>(sums: &mut [f64], at: usize, values: [f64; L]) {
    let lanes: &mut [f64; L] = lanes_mut(sums, at);
    for j in 0..L {
        lanes[j] += values[j];
    }
}

struct Numbers<'a>(&'a mut FloatSums);

impl<T: Element> Columns<T> for Numbers<'_> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let pivot: [f64; L] = *lanes(&self.0.pivot, at);
        let (mut sum, mut square, mut weight) = ([0.0; L], [0.0; L], [0.0; L]);
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
        add_lanes(&mut self.0.sum, at, sum);
        add_lanes(&mut self.0.square, at, square);
        add_lanes(&mut self.0.weight, at, weight);
    }
}

struct Weighted<'a>(&'a mut FloatSums, Rows<'a, f64>);

impl<T: Element> Columns<T> for Weighted<'_> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let pivot: [f64; L] = *lanes(&self.0.pivot, at);
        let (mut sum, mut square, mut weight) = ([0.0; L], [0.0; L], [0.0; L]);
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
        add_lanes(&mut self.0.sum, at, sum);
        add_lanes(&mut self.0.square, at, square);
        add_lanes(&mut self.0.weight, at, weight);
    }
}

/// Integers of up to 32 bits, whose sums are kept exactly in lanes just wide enough. A column may take
/// [`Integer::MAX_ROWS`] elements before its lanes must be emptied into wide sums.
pub trait Integer: Element {
    /// A lane that holds a sum.
    type Sum: Copy + Default + Send + Into<i128>;
    /// A lane that holds a part of a sum of squares: the lower bits of each, or the upper ones.
    type Square: Copy + Default + Send + Into<u128>;
    /// Bits of a square that count as lower.
    const LOWER_BITS: u32;
    /// Elements that a lane certainly holds the sums of.
    const MAX_ROWS: usize;
    /// Add a few rows: values to `sum`, the lower and upper bits of their squares to `low` and `high`.
    fn add_rows<const L: usize, const U: usize>(
        rows: [&[Self; L]; U],
        sum: &mut [Self::Sum; L],
        low: &mut [Self::Square; L],
        high: &mut [Self::Square; L],
    );
}

macro_rules! byte_integer {
    ($($t:ty: $narrow:ty, $sum:ty;)*) => {$(
        impl Integer for $t {
            type Sum = $sum;
            type Square = u32;
            const LOWER_BITS: u32 = 8;
            const MAX_ROWS: usize = 1 << 23;

            /// A square has 16 bits. Its bytes are summed apart, in lanes of 16 bits, which hold a group of rows.
            #[inline(always)]
            fn add_rows<const L: usize, const U: usize>(
                rows: [&[Self; L]; U],
                sum: &mut [$sum; L],
                low: &mut [u32; L],
                high: &mut [u32; L],
            ) {
                const { assert!(U <= 128) };
                let (mut s, mut l, mut h) = ([0 as $narrow; L], [0u16; L], [0u16; L]);
                for x in rows {
                    let x: [$narrow; L] = std::array::from_fn(|j| x[j].key().into());
                    for j in 0..L {
                        let square = x[j].wrapping_mul(x[j]) as u16;
                        s[j] += x[j];
                        l[j] += square & 0xff;
                        h[j] += square >> 8;
                    }
                }
                for j in 0..L {
                    sum[j] += <$sum>::from(s[j]);
                    low[j] += u32::from(l[j]);
                    high[j] += u32::from(h[j]);
                }
            }
        }
    )*};
}
byte_integer! { Bool: u16, u32; u8: u16, u32; i8: i16, i32; }

macro_rules! wide_integer {
    ($($t:ty: $wide:ty, $square:ty, $bits:expr;)*) => {$(
        impl Integer for $t {
            type Sum = $wide;
            type Square = $square;
            const LOWER_BITS: u32 = $bits;
            const MAX_ROWS: usize = 1 << 15;

            /// A square has twice the element's bits; its halves are summed apart, in lanes of that width.
            #[inline(always)]
            fn add_rows<const L: usize, const U: usize>(
                rows: [&[Self; L]; U],
                sum: &mut [$wide; L],
                low: &mut [$square; L],
                high: &mut [$square; L],
            ) {
                let (mut s, mut l, mut h) = (*sum, *low, *high);
                for x in rows {
                    let x: [$wide; L] = std::array::from_fn(|j| x[j].into());
                    for j in 0..L {
                        let square = x[j].wrapping_mul(x[j]) as $square;
                        s[j] += x[j];
                        l[j] += square & ((1 << $bits) - 1);
                        h[j] += square >> $bits;
                    }
                }
                (*sum, *low, *high) = (s, l, h);
            }
        }
    )*};
}
wide_integer! {
    u16: u32, u32, 16;
    i16: i32, u32, 16;
    u32: u64, u64, 32;
    i32: i64, u64, 32;
}

/// Exact accumulators of integer columns.
#[derive(Default, Clone)]
pub struct IntegerSums<T: Integer> {
    sum: Vec<T::Sum>,
    low: Vec<T::Square>,
    high: Vec<T::Square>,
}

impl<T: Integer> IntegerSums<T> {
    /// No columns.
    pub const fn new() -> Self {
        Self { sum: Vec::new(), low: Vec::new(), high: Vec::new() }
    }

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
        super::run(Walk::<_, _, INTEGER_LANES, INTEGER_GROUP> { rows, out: RowsMut::none(&rows), columns: self });
    }

    /// Sum and sum of squares of a column.
    pub fn get(&self, column: usize) -> (i128, u128) {
        let (low, high): (u128, u128) = (self.low[column].into(), self.high[column].into());
        (self.sum[column].into(), low + (high << T::LOWER_BITS))
    }
}

impl<T: Integer> Columns<T> for IntegerSums<T> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let sum = lanes_mut(&mut self.sum, at);
        let (low, high) = (lanes_mut(&mut self.low, at), lanes_mut(&mut self.high, at));
        T::add_rows::<L, U>(elements, sum, low, high);
    }
}

//! Sums and sums of squares of columns of integers. Those of floats are in [`super::exact_sums`].

use super::Kernel;
use super::columns::{Columns, Walk, lanes_mut};
use crate::element::{Bool, Element};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};

/// Columns whose accumulators share the registers, and rows that are summed before those are emptied.
const INTEGER_LANES: usize = 32;
const INTEGER_GROUP: usize = 8;

/// Integers of up to 32 bits, whose sums are kept exactly in lanes just wide enough for [`Integer::BLOCK`] elements. Then
/// the lanes are emptied into totals.
pub trait Integer: Element {
    /// A lane that holds a sum.
    type Sum: Copy + Default + Send + Into<i64>;
    /// A lane that holds a part of a sum of squares: the lower bits of each, or the upper ones.
    type Square: Copy + Default + Send;
    /// Bits of a square that count as lower.
    const LOWER_BITS: u32;
    /// Elements that a lane certainly holds the sums of.
    const BLOCK: usize;
    /// Add a few rows: values to `sum`, what is kept of their squares to `low` and `high`.
    fn add_rows<const L: usize, const U: usize>(
        rows: [&[Self; L]; U],
        sum: &mut [Self::Sum; L],
        low: &mut [Self::Square; L],
        high: &mut [Self::Square; L],
    );
    /// The sums of the lower and of the upper bits that lanes stand for.
    fn parts(low: Self::Square, high: Self::Square) -> (u64, u64);
}

macro_rules! byte_integer {
    ($($t:ty: $sum:ty;)*) => {$(
        impl Integer for $t {
            type Sum = $sum;
            type Square = u16;
            const LOWER_BITS: u32 = 8;
            const BLOCK: usize = 256;

            /// A square has 16 bits. Summed are the squares, modulo 2^16, and their upper bytes: the sum of the lower bytes
            /// of 256 squares, which is what these two differ in, is below 2^16 and so not lost.
            #[inline(always)]
            fn add_rows<const L: usize, const U: usize>(
                rows: [&[Self; L]; U],
                sum: &mut [$sum; L],
                low: &mut [u16; L],
                high: &mut [u16; L],
            ) {
                let (mut s, mut l, mut h) = (*sum, *low, *high);
                for x in rows {
                    for j in 0..L {
                        let x = <$sum>::from(x[j].key());
                        let square = x.wrapping_mul(x) as u16;
                        s[j] = s[j].wrapping_add(x);
                        l[j] = l[j].wrapping_add(square);
                        h[j] += square >> 8;
                    }
                }
                (*sum, *low, *high) = (s, l, h);
            }

            #[inline(always)]
            fn parts(low: u16, high: u16) -> (u64, u64) {
                (low.wrapping_sub(high << 8).into(), high.into())
            }
        }
    )*};
}
byte_integer! { Bool: u16; u8: u16; i8: i16; }

macro_rules! wide_integer {
    ($($t:ty: $wide:ty, $square:ty, $bits:expr;)*) => {$(
        impl Integer for $t {
            type Sum = $wide;
            type Square = $square;
            const LOWER_BITS: u32 = $bits;
            const BLOCK: usize = 1 << 15;

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
                    for j in 0..L {
                        let x = <$wide>::from(x[j]);
                        let square = x.wrapping_mul(x) as $square;
                        s[j] += x;
                        l[j] += square & ((1 << $bits) - 1);
                        h[j] += square >> $bits;
                    }
                }
                (*sum, *low, *high) = (s, l, h);
            }

            #[inline(always)]
            fn parts(low: $square, high: $square) -> (u64, u64) {
                (low.into(), high.into())
            }
        }
    )*};
}
wide_integer! {
    u16: u32, u32, 16;
    i16: i32, u32, 16;
    u32: i64, u64, 32;
    i32: i64, u64, 32;
}

/// Exact accumulators of integer columns.
#[derive(Default, Clone)]
pub struct IntegerSums<T: Integer> {
    sum: Vec<T::Sum>,
    low: Vec<T::Square>,
    high: Vec<T::Square>,
    /// Rows in these lanes.
    rows: usize,
    /// Sum, and sums of the lower and of the upper bits of the squares, of the rows before those.
    totals: Vec<(i64, [u64; 2])>,
}

impl<T: Integer> IntegerSums<T> {
    /// Elements that the totals certainly hold the sums of.
    pub const MAX_ROWS: usize = 1 << 30;

    /// No columns.
    pub const fn new() -> Self {
        Self { sum: Vec::new(), low: Vec::new(), high: Vec::new(), rows: 0, totals: Vec::new() }
    }

    /// Set all sums of `width` columns to zero.
    pub fn clear(&mut self, width: usize) -> Result<(), Error> {
        memory::refill(&mut self.totals, (0, [0; 2]), width)?;
        memory::resize(&mut self.sum, T::Sum::default(), width)?;
        for squares in [&mut self.low, &mut self.high] {
            memory::resize(squares, T::Square::default(), width)?;
        }
        self.clear_lanes(width);
        Ok(())
    }

    /// There is room for `width` lanes.
    fn clear_lanes(&mut self, width: usize) {
        self.rows = 0;
        self.sum.clear();
        self.sum.resize(width, T::Sum::default());
        for squares in [&mut self.low, &mut self.high] {
            squares.clear();
            squares.resize(width, T::Square::default());
        }
    }

    /// Add `rows`: at most [`Self::MAX_ROWS`] of them since the last [`Self::clear`].
    pub fn add(&mut self, mut rows: Rows<'_, T>) {
        // Full groups, and room for a tail.
        let limit = T::BLOCK - INTEGER_GROUP;
        loop {
            let (block, rest) = rows.split(limit - self.rows);
            self.rows += block.count() + usize::from(block.tail() > 0);
            super::run(Walk::<_, _, INTEGER_LANES, INTEGER_GROUP> {
                rows: block,
                out: RowsMut::none(&block),
                columns: self,
            });
            if self.rows >= limit {
                super::run(Empty(self));
            }
            match rest {
                Some(rest) => rows = rest,
                None => return,
            }
        }
    }

    /// Sum and sum of squares of each column.
    pub fn get(&mut self) -> impl Iterator<Item = (i128, u128)> {
        super::run(Empty(self));
        self.totals
            .iter()
            .map(|(sum, [low, high])| ((*sum).into(), u128::from(*low) + (u128::from(*high) << T::LOWER_BITS)))
    }
}

/// Adds the lanes to the totals.
struct Empty<'a, T: Integer>(&'a mut IntegerSums<T>);

impl<T: Integer> Kernel for Empty<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let IntegerSums { sum, low, high, totals, .. } = &mut *self.0;
        for (((total, sum), low), high) in totals.iter_mut().zip(sum).zip(low).zip(high) {
            let (low, high) = T::parts(*low, *high);
            total.0 += (*sum).into();
            total.1[0] += low;
            total.1[1] += high;
        }
        let width = self.0.totals.len();
        self.0.clear_lanes(width);
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

//! The one loop nest of all kernels: groups of rows x chunks of columns.
//!
//! Accumulators (or parameters) of a chunk of columns are loaded once for a whole group of rows, so they cost little
//! beside the elements themselves, while memory is still read from front to back. Within a column, rows are always
//! visited in order: what a kernel computes does not depend on how rows are grouped or columns chunked.

use super::Kernel;
use crate::tiles::Rows;

/// What a kernel does with a chunk of `L` neighbouring columns, `at` being the first, in `U` rows from `row` on.
pub trait Columns<T> {
    /// Take in the chunk.
    fn chunk<const L: usize, const U: usize>(&mut self, at: usize, row: usize, elements: [&[T; L]; U]);
}

/// Walk `rows` in groups of `U`, in chunks of `L` columns.
pub struct Walk<'a, 'm, T, C, const L: usize, const U: usize> {
    /// The elements.
    pub rows: Rows<'m, T>,
    /// What to do with them.
    pub columns: &'a mut C,
}

impl<T, C: Columns<T>, const L: usize, const U: usize> Kernel for Walk<'_, '_, T, C, L, U> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.rows;
        let mut row = 0;
        while row + U <= rows.count {
            group::<T, C, L, U>(std::array::from_fn(|u| rows.row(row + u)), row, self.columns);
            row += U;
        }
        while row < rows.count {
            group::<T, C, L, 1>([rows.row(row)], row, self.columns);
            row += 1;
        }
        if rows.tail > 0 {
            group::<T, C, L, 1>([rows.row(row)], row, self.columns);
        }
    }
}

#[inline(always)]
fn group<T, C: Columns<T>, const L: usize, const U: usize>(rows: [&[T]; U], row: usize, columns: &mut C) {
    let width = rows[0].len();
    let mut at = 0;
    while at + L <= width {
        columns.chunk::<L, U>(at, row, rows.map(|row| lanes(row, at)));
        at += L;
    }
    while at + 4 <= width {
        columns.chunk::<4, U>(at, row, rows.map(|row| lanes(row, at)));
        at += 4;
    }
    while at < width {
        columns.chunk::<1, U>(at, row, rows.map(|row| lanes(row, at)));
        at += 1;
    }
}

/// The `L` elements of `slice` from `at` on.
#[inline(always)]
pub fn lanes<T, const L: usize>(slice: &[T], at: usize) -> &[T; L] {
    assert!(at + L <= slice.len());
    // SAFETY: the assertion keeps the array within the slice; an array has its element's alignment.
    unsafe { &*slice.as_ptr().add(at).cast() }
}

/// The `L` elements of `slice` from `at` on, to be written.
#[inline(always)]
pub fn lanes_mut<T, const L: usize>(slice: &mut [T], at: usize) -> &mut [T; L] {
    assert!(at + L <= slice.len());
    // SAFETY: the assertion keeps the array within the slice, which is borrowed mutably.
    unsafe { &mut *slice.as_mut_ptr().add(at).cast() }
}

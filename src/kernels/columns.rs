//! The one loop nest of all kernels: groups of rows x chunks of columns.
//!
//! Accumulators (or parameters) of a chunk of columns are loaded once for a whole group of rows, so they cost little
//! beside the elements themselves, while memory is still read from front to back. Within a column rows are visited in
//! order, in groups that depend on nothing but their number: what a kernel computes does not depend on how columns are
//! chunked, nor on the instruction set.

use super::Kernel;
use crate::rows::{Group, GroupMut, Rows, RowsMut};

/// What a kernel does with a chunk of `L` neighbouring columns, `at` being the first, in `U` rows from `row` on.
pub trait Columns<T> {
    /// Element of the output; `()` where there is none.
    type Out;
    /// Take in the chunk, and fill the output's.
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        row: usize,
        elements: [&[T; L]; U],
        out: [&mut [Self::Out; L]; U],
    );
}

/// Walk `rows`, and `out` along with them, in groups of `U` rows and chunks of `L` columns.
pub struct Walk<'a, 'm, T, C: Columns<T>, const L: usize, const U: usize> {
    /// The elements.
    pub rows: Rows<'m, T>,
    /// Where results go: rows of the same width.
    pub out: RowsMut<'m, C::Out>,
    /// What to do with them.
    pub columns: &'a mut C,
}

impl<T, C: Columns<T>, const L: usize, const U: usize> Kernel for Walk<'_, '_, T, C, L, U> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { rows, mut out, columns } = self;
        // Where rows are long, what is read next is a whole group of them ahead.
        let ahead = AHEAD.max(rows.bytes(U));
        let mut row = 0;
        while row + U <= rows.count() {
            group::<T, C, L, U>(rows.group(row), out.group(row), row, ahead, columns);
            row += U;
        }
        while row < rows.count() {
            group::<T, C, L, 1>(rows.group(row), out.group(row), row, ahead, columns);
            row += 1;
        }
        if rows.tail() > 0 {
            group::<T, C, L, 1>(rows.group(row), out.group(row), row, ahead, columns);
        }
    }
}

/// The chunks of a few rows; `ahead` lies what is read later.
#[inline(always)]
fn group<T, C: Columns<T>, const L: usize, const U: usize>(
    rows: Group<'_, T, U>,
    mut out: GroupMut<'_, C::Out, U>,
    row: usize,
    ahead: usize,
    columns: &mut C,
) {
    let width = rows.width();
    assert!(out.width() == width);
    let mut at = 0;
    while at + L <= width {
        let elements = rows.lanes(at);
        elements.iter().for_each(|lanes| prefetch_at::<T, L>(lanes.as_ptr().wrapping_byte_add(ahead)));
        columns.chunk::<L, U>(at, row, elements, out.lanes(at));
        at += L;
    }
    while L > 16 && at + 16 <= width {
        columns.chunk::<16, U>(at, row, rows.lanes(at), out.lanes(at));
        at += 16;
    }
    while at + 4 <= width {
        columns.chunk::<4, U>(at, row, rows.lanes(at), out.lanes(at));
        at += 4;
    }
    while at < width {
        columns.chunk::<1, U>(at, row, rows.lanes(at), out.lanes(at));
        at += 1;
    }
}

/// Bytes ahead of the current element that are asked for: further than the hardware looks, which stops at the end of
/// each page, and not so far that they are gone again when their turn comes.
pub const AHEAD: usize = 4096;

/// Ask for what lies [`AHEAD`] of the `L` elements at `element`. That may be past the end of the array: a prefetch reads nothing.
#[inline(always)]
pub fn prefetch<T, const L: usize>(element: *const T) {
    prefetch_at::<T, L>(element.wrapping_byte_add(AHEAD));
}

/// Ask for the `L` elements at `element`, wherever that is.
#[inline(always)]
pub fn prefetch_at<T, const L: usize>(element: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching is a hint that never faults, and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in (0..L * size_of::<T>()).step_by(64) {
            _mm_prefetch::<_MM_HINT_T0>(element.wrapping_byte_add(line).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = element;
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

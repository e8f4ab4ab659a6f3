//! Blocks of rows and columns as the kernels see them: in place where the memory allows it, gathered where not.

use crate::error::Error;
use crate::kernels::gather::{pixels, strided};
use crate::layout::Plan;
use crate::memory;
use std::any::TypeId;
use std::marker::PhantomData;

/// `count` rows of `width` elements, `stride` elements apart, and `tail` elements more after the last full row.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    start: *const T,
    count: usize,
    stride: usize,
    width: usize,
    tail: usize,
    memory: PhantomData<&'a T>,
}

impl<'a, T> Rows<'a, T> {
    /// # Safety
    /// All rows, and the tail where row `count` would start, are within memory that lives and is initialised for
    /// `'a`, aligned for `T`, and not written meanwhile through this program's own references.
    pub unsafe fn new(start: *const T, count: usize, stride: usize, width: usize, tail: usize) -> Self {
        Self { start, count, stride, width, tail, memory: PhantomData }
    }

    /// Contiguous elements as rows of `width`; what is left over is the tail.
    pub fn flat(elements: &'a [T], width: usize) -> Self {
        // SAFETY: the slice is memory such as `contiguous` asks for.
        unsafe { Self::contiguous(elements.as_ptr(), elements.len(), width) }
    }

    /// The `len` elements from `start` on as rows of `width`; what is left over is the tail.
    ///
    /// # Safety
    /// As for [`Rows::new`], of those elements.
    pub unsafe fn contiguous(start: *const T, len: usize, width: usize) -> Self {
        // SAFETY: the caller's promise; rows and tail are all `len` elements.
        unsafe { Self::new(start, len / width, width, width, len % width) }
    }

    /// Number of full rows.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements of a row.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Elements of the last, partial row.
    #[inline(always)]
    pub fn tail(&self) -> usize {
        self.tail
    }

    /// All elements in one, if there are no gaps between the rows.
    pub fn whole(&self) -> Option<&'a [T]> {
        let len = self.count * self.width + self.tail;
        // SAFETY: `new` promises rows 0..count of `width` elements, and a tail after them.
        (self.stride == self.width).then(|| unsafe { std::slice::from_raw_parts(self.start, len) })
    }

    /// The same rows, if their elements are of type `U`.
    pub fn of_type<U: 'static>(self) -> Option<Rows<'a, U>>
    where
        T: 'static,
    {
        let Self { start, count, stride, width, tail, .. } = self;
        // SAFETY: `new` was promised this of elements of the same type.
        (TypeId::of::<T>() == TypeId::of::<U>()).then(|| unsafe { Rows::new(start.cast(), count, stride, width, tail) })
    }

    /// Bytes from one row to that `count` rows later.
    pub fn bytes(&self, count: usize) -> usize {
        count * self.stride * size_of::<T>()
    }

    /// The first `count` rows, and the others with the tail; the second is nothing where the first is all.
    pub fn split(self, count: usize) -> (Self, Option<Self>) {
        if count >= self.count {
            return (self, None);
        }
        let rest = Self { start: self.start.wrapping_add(count * self.stride), count: self.count - count, ..self };
        (Self { count, tail: 0, ..self }, Some(rest))
    }

    /// Row `index`; row `count` is the tail.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &'a [T] {
        let Group { start, width, .. } = self.group::<1>(index);
        // SAFETY: `new` promises rows 0..count of `width` elements, and a tail after them.
        unsafe { std::slice::from_raw_parts(start, width) }
    }

    /// `U` rows from `first` on; row `count` is the tail, which is a group of its own.
    #[inline(always)]
    pub fn group<const U: usize>(&self, first: usize) -> Group<'a, T, U> {
        let is_tail = U == 1 && first == self.count;
        assert!(is_tail || first + U <= self.count);
        let start = self.start.wrapping_add(first * self.stride);
        let width = if is_tail { self.tail } else { self.width };
        Group { start, stride: self.stride, width, memory: PhantomData }
    }
}

/// As [`Rows`], to be written.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    start: *mut T,
    count: usize,
    stride: usize,
    width: usize,
    tail: usize,
    memory: PhantomData<&'a mut T>,
}

impl<'a, T> RowsMut<'a, T> {
    /// # Safety
    /// As for [`Rows::new`], and nothing else reads or writes these elements for `'a`; rows do not overlap.
    pub unsafe fn new(start: *mut T, count: usize, stride: usize, width: usize, tail: usize) -> Self {
        Self { start, count, stride, width, tail, memory: PhantomData }
    }

    /// Contiguous elements as rows of `width`; what is left over is the tail.
    pub fn flat(elements: &'a mut [T], width: usize) -> Self {
        // SAFETY: the slice, borrowed mutably, is memory such as `contiguous` asks for.
        unsafe { Self::contiguous(elements.as_mut_ptr(), elements.len(), width) }
    }

    /// The `len` elements from `start` on as rows of `width`; what is left over is the tail.
    ///
    /// # Safety
    /// As for [`RowsMut::new`], of those elements.
    pub unsafe fn contiguous(start: *mut T, len: usize, width: usize) -> Self {
        // SAFETY: the caller's promise; rows and tail are all `len` elements.
        unsafe { Self::new(start, len / width, width, width, len % width) }
    }

    /// All elements in one, if there are no gaps between the rows.
    pub fn whole(&mut self) -> Option<&mut [T]> {
        let len = self.count * self.width + self.tail;
        // SAFETY: `new` promises rows 0..count of `width` elements and a tail after them, ours alone.
        (self.stride == self.width).then(|| unsafe { std::slice::from_raw_parts_mut(self.start, len) })
    }

    /// Row `index`; row `count` is the tail.
    #[inline(always)]
    pub fn row(&mut self, index: usize) -> &mut [T] {
        let Group { start, width, .. } = self.group::<1>(index).0;
        // SAFETY: `new` promises rows 0..count of `width` elements and a tail after them, ours alone.
        unsafe { std::slice::from_raw_parts_mut(start.cast_mut(), width) }
    }

    /// `U` rows from `first` on; row `count` is the tail, which is a group of its own.
    #[inline(always)]
    pub fn group<const U: usize>(&mut self, first: usize) -> GroupMut<'_, T, U> {
        let Self { start, count, stride, width, tail, .. } = *self;
        // SAFETY: what `new` promises; `&mut self` lends each row once.
        GroupMut(unsafe { Rows::new(start.cast_const(), count, stride, width, tail) }.group(first))
    }
}

/// `U` rows of one length, as the kernels walk them: their elements are asked for by column.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a, T, const U: usize> {
    start: *const T,
    stride: usize,
    width: usize,
    memory: PhantomData<&'a T>,
}

impl<'a, T, const U: usize> Group<'a, T, U> {
    /// Elements of each row.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The elements of columns `at..at + L`.
    #[inline(always)]
    pub fn lanes<const L: usize>(&self, at: usize) -> [&'a [T; L]; U] {
        // SAFETY: the rows of a group lie within those that `Rows::new` was promised, and so do these columns of them.
        self.addresses::<L>(at).map(|lanes| unsafe { &*lanes })
    }

    #[inline(always)]
    fn addresses<const L: usize>(&self, at: usize) -> [*const [T; L]; U] {
        assert!(at + L <= self.width);
        let mut addresses = [std::ptr::null(); U];
        // A loop: compilers do not always see through `from_fn`.
        for (u, address) in addresses.iter_mut().enumerate() {
            *address = self.start.wrapping_add(u * self.stride + at).cast();
        }
        addresses
    }
}

/// As [`Group`], to be written.
#[derive(Debug)]
pub struct GroupMut<'a, T, const U: usize>(Group<'a, T, U>);

impl<T, const U: usize> GroupMut<'_, T, U> {
    /// Elements of each row.
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// The elements of columns `at..at + L`.
    #[inline(always)]
    pub fn lanes<const L: usize>(&mut self, at: usize) -> [&mut [T; L]; U] {
        // SAFETY: the rows are those of a `RowsMut`, ours alone and without overlaps, and borrowed from it mutably;
        // `&mut self` lends each element once.
        self.0.addresses::<L>(at).map(|lanes| unsafe { &mut *lanes.cast_mut() })
    }
}

impl RowsMut<'_, ()> {
    /// Rows of nothing, as the output of kernels that write none.
    pub fn none<T>(rows: &Rows<'_, T>) -> Self {
        let start = std::ptr::dangling_mut();
        // SAFETY: `()` takes no memory.
        unsafe { Self::new(start, rows.count, rows.stride, rows.width, rows.tail) }
    }
}

/// How many rows of `width` columns are read as one, so that the kernels' lanes are filled: a power of two.
pub fn widening(width: usize, rows: usize) -> usize {
    let mut times = 1;
    while width * times < 256 && !(width * times).is_multiple_of(64) && times * 2 <= rows {
        times *= 2;
    }
    times
}

/// How an operand's memory can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Rows follow each other without a gap.
    Flat,
    /// Rows are contiguous, with gaps between them, and long enough to be worth reading so.
    Strided,
    /// Elements are scattered or misaligned: copy them to (or from) a scratch tile.
    Gather,
}

/// Shortest row that is read in place with gaps around it.
const SHORTEST_STRIDED: usize = 16;

/// How operand `k` of `plan`, of type `T` and based at `start`, can be used.
pub fn access<T, const N: usize>(plan: &Plan<N>, k: usize, start: *const u8) -> Access {
    let size = size_of::<T>();
    let aligned = (start as usize).is_multiple_of(align_of::<T>()) && plan.aligned(k, align_of::<T>());
    if aligned && plan.flat(k, size) {
        Access::Flat
    } else if aligned && plan.contiguous_cols(k, size) && plan.max_width() >= SHORTEST_STRIDED {
        let rows_ahead = plan.rows.len <= 1 || plan.rows.stride[k] >= 0 && plan.rows.stride[k] % size as isize == 0;
        if rows_ahead { Access::Strided } else { Access::Gather }
    } else {
        Access::Gather
    }
}

/// The block of `rows` x `width` elements of operand `k` at `at`, in rows of `width * times`: in place as `access`
/// allows, or gathered into `scratch`.
///
/// # Safety
/// Every element of the block is readable memory for `'a` that holds a `T`; `access` came from [`access()`] of the same
/// operand (or is [`Access::Gather`]).
#[allow(clippy::too_many_arguments)] // A block is that many things.
pub unsafe fn block<'a, T: Copy, const N: usize>(
    plan: &Plan<N>,
    k: usize,
    access: Access,
    at: *const u8,
    rows: usize,
    width: usize,
    times: usize,
    scratch: &'a mut Vec<T>,
) -> Result<Rows<'a, T>, Error> {
    Ok(match access {
        // SAFETY: the caller's promise; `access` saw that the elements are contiguous and aligned.
        Access::Flat => unsafe { Rows::contiguous(at.cast(), rows * width, width * times) },
        Access::Strided => {
            let stride = plan.rows.stride[k] as usize / size_of::<T>();
            // SAFETY: as above, with gaps between the rows; `times` is one.
            unsafe { Rows::new(at.cast(), rows, stride, width, 0) }
        }
        Access::Gather => {
            // SAFETY: the caller's promise.
            unsafe { gather(plan, k, at, rows, width, scratch) }?;
            Rows::flat(scratch, width * times)
        }
    })
}

/// Call `visit` with the byte offset of each element of a row of `width` columns, in order.
#[inline(always)]
pub(crate) fn each_column<const N: usize>(plan: &Plan<N>, k: usize, width: usize, mut visit: impl FnMut(isize)) {
    match plan.cols.as_slice() {
        [] => visit(0),
        [only] => (0..width as isize).for_each(|i| visit(i * only.stride[k])),
        [outer @ .., inner] => {
            let positions = outer.iter().map(|axis| axis.len).product();
            for position in 0..positions {
                let (mut rest, mut offset) = (position, 0);
                for axis in outer.iter().rev() {
                    offset += (rest % axis.len) as isize * axis.stride[k];
                    rest /= axis.len;
                }
                (0..inner.len as isize).for_each(|i| visit(offset + i * inner.stride[k]));
            }
        }
    }
}

/// Copy `rows` x `width` elements of operand `k` at `at` into `scratch`, row by row, side by side.
///
/// # Safety
/// Every element of that block is readable memory that holds a `T` (aligned or not).
pub unsafe fn gather<T: Copy, const N: usize>(
    plan: &Plan<N>,
    k: usize,
    at: *const u8,
    rows: usize,
    width: usize,
    scratch: &mut Vec<T>,
) -> Result<(), Error> {
    scratch.clear();
    memory::reserve(scratch, rows * width)?;
    let target = scratch.as_mut_ptr();
    let size = size_of::<T>();
    if plan.contiguous_cols(k, size) && width * size >= 32 {
        for r in 0..rows {
            let row = at.wrapping_offset(r as isize * plan.rows.stride[k]);
            // SAFETY: the caller promises the source; the target has room for `rows * width` elements.
            unsafe { std::ptr::copy_nonoverlapping(row, target.add(r * width).cast::<u8>(), width * size) };
        }
        // SAFETY: all of them were written.
        unsafe { scratch.set_len(rows * width) };
        return Ok(());
    }
    let step = plan.rows.stride[k];
    if width > 1 && plan.cols.iter().all(|axis| axis.stride[k] == 0) {
        for r in 0..rows {
            // SAFETY: the caller promises the source; the target has room for `rows * width` elements.
            unsafe {
                let value = at.wrapping_offset(r as isize * step).cast::<T>().read_unaligned();
                (0..width).for_each(|c| target.add(r * width + c).write(value));
            }
        }
        // SAFETY: all of them were written.
        unsafe { scratch.set_len(rows * width) };
        return Ok(());
    }
    // SAFETY: the caller promises the source; the target has room for `rows * width` elements.
    let done = unsafe { gather_pixels(plan, k, at, rows, width, target) };
    if done {
        // SAFETY: all of them were written.
        unsafe { scratch.set_len(rows * width) };
        return Ok(());
    }
    let mut copied = 0;
    let mut copy = |from: *const u8| {
        debug_assert!(copied < rows * width);
        // SAFETY: the caller promises the source; `copied` counts up to the reserved `rows * width`.
        unsafe { target.add(copied).write(from.cast::<T>().read_unaligned()) };
        copied += 1;
    };
    if width == 1 {
        (0..rows as isize).for_each(|r| copy(at.wrapping_offset(r * step)));
    } else {
        for r in 0..rows as isize {
            let row = at.wrapping_offset(r * step);
            each_column(plan, k, width, |offset| copy(row.wrapping_offset(offset)));
        }
    }
    // SAFETY: exactly `copied` elements were written, from the start.
    unsafe { scratch.set_len(copied) };
    Ok(())
}

/// [`gather`] by the loops for the patterns of pictures; `false`, and nothing done, for others.
///
/// # Safety
/// As for [`gather`], and `rows * width` elements can be written at `target`.
unsafe fn gather_pixels<T: Copy, const N: usize>(
    plan: &Plan<N>,
    k: usize,
    at: *const u8,
    rows: usize,
    width: usize,
    target: *mut T,
) -> bool {
    let (step, size) = (plan.rows.stride[k], size_of::<T>() as isize);
    // `len` elements side by side, or that many groups of `width`, from `from` on to the place `index`.
    let line = |from: *const u8, stride: isize, len: usize, index: usize| {
        // SAFETY: the caller's promise; `index + len` is at most `rows * width`.
        stride % size == 0 && unsafe { strided(from.cast::<T>(), stride / size, len, target.add(index)) }
    };
    let sheet = |from: *const u8, strides: [isize; 2], len: usize, width: usize, index: usize| {
        // SAFETY: as above, of `len * width` elements.
        unsafe { pixels(from, strides, len, width, target.add(index)) }
    };
    let row = |r: usize| at.wrapping_offset(r as isize * step);
    match plan.cols.as_slice() {
        [] => line(at, step, rows, 0),
        [inner] if width < SHORTEST_STRIDED => sheet(at, [step, inner.stride[k]], rows, width, 0),
        [inner] => (0..rows).all(|r| line(row(r), inner.stride[k], width, r * width)),
        [outer, inner] if inner.len < SHORTEST_STRIDED => {
            let strides = [outer.stride[k], inner.stride[k]];
            (0..rows).all(|r| sheet(row(r), strides, outer.len, inner.len, r * width))
        }
        _ => false,
    }
}

/// Copy `scratch` to the `rows` x `width` elements of operand `k` at `at`: the inverse of [`gather`].
///
/// # Safety
/// Every element of that block is writable memory, ours alone, large enough for a `T` (aligned or not).
pub unsafe fn scatter<T: Copy, const N: usize>(plan: &Plan<N>, k: usize, at: *mut u8, width: usize, scratch: &[T]) {
    for (r, row) in scratch.chunks_exact(width).enumerate() {
        let start = at.wrapping_offset(r as isize * plan.rows.stride[k]);
        let mut elements = row.iter();
        each_column(plan, k, width, |offset| {
            if let Some(element) = elements.next() {
                // SAFETY: the caller promises that the block's elements may be written.
                unsafe { start.wrapping_offset(offset).cast::<T>().write_unaligned(*element) };
            }
        });
    }
}

//! The only place that brings elements together and puts them back: blocks of a [`Plan`] and lines of
//! [`Lines`](crate::groups::Lines), in place where the memory allows it, by way of scratch memory where not.

use crate::error::Error;
use crate::kernels::gather::{pixels, strided};
use crate::memory;
use crate::plan::Plan;
use crate::rows::Rows;

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
    const { assert!(size_of::<T>() == align_of::<T>()) };
    access_of_size(plan, k, start, size_of::<T>())
}

/// How operand `k` of `plan`, of elements of `size` bytes and based at `start`, can be used.
pub fn access_of_size<const N: usize>(plan: &Plan<N>, k: usize, start: *const u8, size: usize) -> Access {
    let aligned = (start as usize).is_multiple_of(size) && plan.aligned(k, size);
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

/// Memory for elements of any type.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u64>);

impl Scratch {
    /// Room for `len` elements of `size` bytes.
    pub fn reserve(&mut self, len: usize, size: usize) -> Result<*mut u8, Error> {
        let words = len.saturating_mul(size).div_ceil(size_of::<u64>());
        if words > self.0.len() {
            memory::resize(&mut self.0, 0, words)?;
        }
        Ok(self.0.as_mut_ptr().cast())
    }
}

/// Evaluate an expression with `$T` being an integer of `$size` bytes, as which elements of that size are moved.
macro_rules! of_size {
    ($size:expr, $T:ident => $body:expr) => {
        match $size {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}
pub(crate) use of_size;

/// As [`block`], of elements of `size` bytes.
///
/// # Safety
/// As for that.
#[allow(clippy::too_many_arguments)] // A block is that many things.
pub unsafe fn block_of_size<'a, const N: usize>(
    plan: &Plan<N>,
    k: usize,
    access: Access,
    at: *const u8,
    rows: usize,
    width: usize,
    times: usize,
    size: usize,
    scratch: &'a mut Scratch,
) -> Result<Rows<'a, ()>, Error> {
    Ok(match access {
        // SAFETY: the caller's promise; `access` saw that the elements are contiguous and aligned.
        Access::Flat => unsafe { Rows::contiguous(at.cast(), rows * width, width * times) },
        Access::Strided => {
            let stride = plan.rows.stride[k] as usize / size;
            // SAFETY: as above, with gaps between the rows; `times` is one.
            unsafe { Rows::new(at.cast(), rows, stride, width, 0) }
        }
        Access::Gather => {
            let target = scratch.reserve(rows * width, size)?;
            // SAFETY: the caller's promise; there is room.
            of_size!(size, T => unsafe { gather_to::<T, N>(plan, k, at, rows, width, target.cast()) });
            // SAFETY: the scratch memory, aligned for every type, now holds them.
            unsafe { Rows::contiguous(target.cast_const().cast(), rows * width, width * times) }
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
    // SAFETY: the caller's promise; there is room, and then all elements are written.
    unsafe {
        of_size!(const { size_of::<T>() }, S => gather_to::<S, N>(plan, k, at, rows, width, scratch.as_mut_ptr().cast()));
        scratch.set_len(rows * width);
    }
    Ok(())
}

/// [`gather`] to `target`.
///
/// # Safety
/// As for that, and `rows * width` elements can be written at `target`.
unsafe fn gather_to<T: Copy, const N: usize>(
    plan: &Plan<N>,
    k: usize,
    at: *const u8,
    rows: usize,
    width: usize,
    target: *mut T,
) {
    let size = size_of::<T>();
    if plan.contiguous_cols(k, size) && width * size >= 32 {
        for r in 0..rows {
            let row = at.wrapping_offset(r as isize * plan.rows.stride[k]);
            // SAFETY: the caller promises the source; the target has room for `rows * width` elements.
            unsafe { std::ptr::copy_nonoverlapping(row, target.add(r * width).cast::<u8>(), width * size) };
        }
        return;
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
        return;
    }
    // SAFETY: the caller promises the source; the target has room for `rows * width` elements.
    if unsafe { gather_pixels(plan, k, at, rows, width, target) } {
        return;
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

/// The line of `len` elements at `at`, `stride` bytes apart: where it lies, or copied to `scratch` where it has gaps, is
/// not aligned, or is about to be overwritten (`copy`).
///
/// # Safety
/// These elements can be read for `'a`, and unless they are copied nothing writes them meanwhile.
#[inline(always)]
pub unsafe fn line<T: Copy>(
    at: *const u8,
    stride: isize,
    len: usize,
    copy: bool,
    scratch: &mut Vec<T>,
) -> Result<&[T], Error> {
    let size = size_of::<T>() as isize;
    let side_by_side = stride == size || len == 1;
    if side_by_side && !copy && at.cast::<T>().is_aligned() {
        // SAFETY: the caller's promise; aligned and without gaps, as just seen.
        return Ok(unsafe { std::slice::from_raw_parts(at.cast(), len) });
    }
    scratch.clear();
    memory::reserve(scratch, len)?;
    let (target, step) = (scratch.as_mut_ptr(), if side_by_side { 1 } else { stride / size });
    // SAFETY: the caller's promise; there is room for `len` elements.
    let done = (side_by_side || stride % size == 0) && unsafe { strided(at.cast::<T>(), step, len, target) };
    if !done {
        for i in 0..len {
            // SAFETY: as above.
            unsafe { target.add(i).write(at.wrapping_offset(i as isize * stride).cast::<T>().read_unaligned()) };
        }
    }
    // SAFETY: all of them were written.
    unsafe { scratch.set_len(len) };
    Ok(scratch)
}

/// Have `write` fill the line of `len` elements at `at`, `stride` bytes apart: where it lies, or by way of `scratch`.
///
/// # Safety
/// These elements can be written, and nothing else reads or writes them meanwhile.
#[inline(always)]
pub unsafe fn write_line<T: Copy>(
    at: *mut u8,
    stride: isize,
    len: usize,
    zero: T,
    scratch: &mut Vec<T>,
    write: impl FnOnce(&mut [T]),
) -> Result<(), Error> {
    if (stride == size_of::<T>() as isize || len == 1) && at.cast::<T>().is_aligned() {
        // SAFETY: the caller's promise; aligned and without gaps, as just seen.
        write(unsafe { std::slice::from_raw_parts_mut(at.cast(), len) });
        return Ok(());
    }
    memory::refill(scratch, zero, len)?;
    write(scratch);
    for (i, value) in scratch.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { at.wrapping_offset(i as isize * stride).cast::<T>().write_unaligned(*value) };
    }
    Ok(())
}

/// The `len` parameters from number `first` on, `step` apart: where they lie, or copied to `scratch`.
#[inline(always)]
pub fn parameters<'a>(
    values: &'a [f64],
    first: isize,
    step: isize,
    len: usize,
    scratch: &'a mut Vec<f64>,
) -> Result<&'a [f64], Error> {
    if step == 1 {
        return Ok(&values[first as usize..][..len]);
    }
    scratch.clear();
    memory::extend(scratch, (0..len as isize).map(|i| values[(first + i * step) as usize]))?;
    Ok(scratch)
}

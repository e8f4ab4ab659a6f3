//! Elements in a wider type: what is mapped or summed by way of it is read once, converted while it is in the cache.

use super::Kernel;
use super::columns::prefetch;
use crate::element::{Element, Wide};
use crate::error::Error;
use crate::memory;
use crate::rows::Rows;

/// `rows` in another type: as they are if it is theirs, else converted into `scratch`.
pub fn converted<'a, T: Element, W: Wide>(rows: Rows<'a, T>, scratch: &'a mut Vec<W>) -> Result<Rows<'a, W>, Error> {
    if let Some(rows) = rows.of_type::<W>() {
        return Ok(rows);
    }
    let width = rows.width();
    let len = rows.count() * width + rows.tail();
    scratch.clear();
    memory::reserve(scratch, len)?;
    super::run(Convert { rows, to: scratch.as_mut_ptr() });
    // SAFETY: `Convert` has written one element for each of the rows and the tail.
    unsafe { scratch.set_len(len) };
    Ok(Rows::flat(scratch, width))
}

/// Writes what `rows` hold to `to`, where there is room for it.
struct Convert<'a, T, W> {
    rows: Rows<'a, T>,
    to: *mut W,
}

impl<T: Element, W: Wide> Kernel for Convert<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        const LANES: usize = 64;
        let Self { rows, to } = self;
        let convert = |from: &[T], to: *mut W| {
            let (chunks, rest) = from.as_chunks::<LANES>();
            for (i, chunk) in chunks.iter().enumerate() {
                prefetch::<T, LANES>(chunk.as_ptr());
                for (j, x) in chunk.iter().enumerate() {
                    // SAFETY: there is room for each element of `from`.
                    unsafe { to.add(i * LANES + j).write(W::of(*x)) };
                }
            }
            for (j, x) in rest.iter().enumerate() {
                // SAFETY: as above.
                unsafe { to.add(chunks.len() * LANES + j).write(W::of(*x)) };
            }
        };
        if let Some(whole) = rows.whole() {
            return convert(whole, to);
        }
        for index in 0..rows.count() + usize::from(rows.tail() > 0) {
            convert(rows.row(index), to.wrapping_add(index * rows.width()));
        }
    }
}

//! Vectors whose size the caller decides: memory that cannot be had is an error, never the end of the process.
//!
//! What is allocated for every call alike (some axes, a lock, a thread's queue) may be allocated as usual. All that grows
//! with axes, channels, groups, parameters, files or tiles goes through here.

use crate::error::Error;

fn out_of_memory<T>(count: usize) -> Error {
    Error::OutOfMemory { count, size: size_of::<T>() }
}

/// Make room for `more` elements, so that adding them allocates nothing.
#[inline]
pub fn reserve<T>(values: &mut Vec<T>, more: usize) -> Result<(), Error> {
    values.try_reserve(more).map_err(|_| out_of_memory::<T>(values.len().saturating_add(more)))
}

/// An empty vector with room for `count` elements.
#[inline]
pub fn with_room<T>(count: usize) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| out_of_memory::<T>(count))?;
    Ok(values)
}

/// `count` times `value`.
#[inline]
pub fn filled<T: Clone>(value: T, count: usize) -> Result<Vec<T>, Error> {
    let mut values = with_room(count)?;
    values.resize(count, value);
    Ok(values)
}

/// Make `values` `count` times `value`; the memory that they have is used again.
#[inline]
pub fn refill<T: Clone>(values: &mut Vec<T>, value: T, count: usize) -> Result<(), Error> {
    values.clear();
    resize(values, value, count)
}

/// As [`Vec::resize`].
#[inline]
pub fn resize<T: Clone>(values: &mut Vec<T>, value: T, count: usize) -> Result<(), Error> {
    reserve(values, count.saturating_sub(values.len()))?;
    values.resize(count, value);
    Ok(())
}

/// As [`Vec::resize_with`], of values that allocate nothing.
#[inline]
pub fn resize_with<T>(values: &mut Vec<T>, count: usize, value: impl FnMut() -> T) -> Result<(), Error> {
    reserve(values, count.saturating_sub(values.len()))?;
    values.resize_with(count, value);
    Ok(())
}

/// A copy of a slice.
#[inline]
pub fn copied<T: Copy>(values: &[T]) -> Result<Vec<T>, Error> {
    let mut copy = with_room(values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// Add all that `items` gives.
#[inline]
pub fn extend<T>(values: &mut Vec<T>, items: impl IntoIterator<Item = T>) -> Result<(), Error> {
    let mut items = items.into_iter();
    let (least, most) = items.size_hint();
    reserve(values, least)?;
    if most == Some(least) {
        values.extend(items.by_ref().take(least));
    }
    for item in items {
        push(values, item)?;
    }
    Ok(())
}

/// Add one element.
#[inline]
pub fn push<T>(values: &mut Vec<T>, item: T) -> Result<(), Error> {
    if values.len() == values.capacity() {
        reserve(values, 1)?;
    }
    values.push(item);
    Ok(())
}

/// All that `items` gives, in a vector.
#[inline]
pub fn collect<T>(items: impl IntoIterator<Item = T>) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    extend(&mut values, items)?;
    Ok(values)
}

/// The values of all `items`, or the first error among them.
#[inline]
pub fn collect_all<T, E: From<Error>>(items: impl IntoIterator<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    let items = items.into_iter();
    let mut values = with_room(items.size_hint().0)?;
    for item in items {
        push(&mut values, item?)?;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_an_error() {
        for count in [isize::MAX as usize / 8 + 1, usize::MAX] {
            let error = Err(Error::OutOfMemory { count, size: 8 });
            assert_eq!(with_room::<f64>(count), error);
            assert_eq!(filled(0.0, count), error);
            assert_eq!(refill(&mut vec![1.0], 0.0, count).map(|()| Vec::<f64>::new()), error);
            assert_eq!(collect(std::iter::repeat_n(0.0, count)), error);
        }
        assert!(reserve(&mut vec![0u8], usize::MAX).is_err());
    }

    #[test]
    fn collects_whatever_the_hint() {
        assert_eq!(collect(0..5), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(collect((0..9).filter(|x| x % 2 == 0)), Ok(vec![0, 2, 4, 6, 8]));
        assert_eq!(collect([1, 2].into_iter().chain(4..6)), Ok(vec![1, 2, 4, 5]));
        let items = [Ok(1), Err(Error::Overflow), Err(Error::Infinite)];
        assert_eq!(collect_all(items), Err::<Vec<i32>, _>(Error::Overflow));
        assert_eq!(collect_all([Ok::<_, Error>(1), Ok(2)]), Ok(vec![1, 2]));
    }
}

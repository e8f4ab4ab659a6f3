//! Minimum and maximum of columns.

use super::columns::{Columns, Walk, lanes, lanes_mut};
use crate::element::{Element, Key};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};

const LANES: usize = 32;
const GROUP: usize = 4;

/// Running extrema of columns, and how many of their elements are not numbers.
#[derive(Debug, Clone)]
pub struct Bounds<K: Key> {
    /// Smallest number; [`Key::TOP`] where there is none.
    pub min: Vec<K>,
    /// Largest number; [`Key::BOTTOM`] where there is none.
    pub max: Vec<K>,
    /// Number of NaN.
    pub nan: Vec<u32>,
}

impl<K: Key> Default for Bounds<K> {
    fn default() -> Self {
        Self { min: Vec::new(), max: Vec::new(), nan: Vec::new() }
    }
}

impl<K: Key> Bounds<K> {
    /// Forget everything; there are `width` columns from now on.
    pub fn clear(&mut self, width: usize) -> Result<(), Error> {
        memory::refill(&mut self.min, K::TOP, width)?;
        memory::refill(&mut self.max, K::BOTTOM, width)?;
        memory::refill(&mut self.nan, 0, width)
    }

    /// Take in `rows`: at most `u32::MAX` of them since the last [`Self::clear`].
    pub fn add<T: Element<Key = K>>(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, out: RowsMut::none(&rows), columns: self });
    }
}

impl<T: Element> Columns<T> for Bounds<T::Key> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let mut min: [T::Key; L] = *lanes(&self.min, at);
        let mut max: [T::Key; L] = *lanes(&self.max, at);
        let mut nan: [u32; L] = *lanes(&self.nan, at);
        for x in elements {
            for j in 0..L {
                let key = x[j].key();
                min[j] = if key < min[j] { key } else { min[j] };
                max[j] = if key > max[j] { key } else { max[j] };
                #[allow(clippy::eq_op)] // NaN alone differs from itself; for integers this folds to nothing.
                let is_nan = key != key;
                nan[j] += u32::from(is_nan);
            }
        }
        *lanes_mut(&mut self.min, at) = min;
        *lanes_mut(&mut self.max, at) = max;
        *lanes_mut(&mut self.nan, at) = nan;
    }
}

//! Counting around brackets, and collecting what lies inside them: the pass of a quantile selection over the data.
//!
//! A bracket of a column is a pair `low <= high`. How many elements are below `low`, up to `low` and up to `high` says
//! at which end, or where between the ends, any order statistic lies; only elements strictly inside are kept, so that
//! values which repeat often are counted and not collected.

use super::columns::{Columns, Walk, lanes, lanes_mut};
use crate::element::{Count, Element, Key};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};

/// Rows whose elements inside the brackets are marked, a bit each, before they are collected.
const GROUP: usize = 16;

/// The brackets of all columns, and what has been counted and collected.
#[derive(Debug, Clone)]
pub struct Brackets<K: Key> {
    /// Lower ends: for each bracket, one for each column.
    pub low: Vec<K>,
    /// Upper ends.
    pub high: Vec<K>,
    /// Elements below the lower end, up to it, and up to the upper end.
    pub counts: [Vec<K::Count>; 3],
    /// Finite elements of each column.
    pub finite: Vec<K::Count>,
    /// Where the elements of each column that are inside a bracket are collected.
    pub slot_of: Vec<u32>,
    /// Elements inside a bracket, in no particular order.
    pub inside: Vec<Vec<K>>,
    /// Whether there was room for all of them.
    room: Result<(), Error>,
}

impl<K: Key> Default for Brackets<K> {
    fn default() -> Self {
        Self {
            low: Vec::new(),
            high: Vec::new(),
            counts: Default::default(),
            finite: Vec::new(),
            slot_of: Vec::new(),
            inside: Vec::new(),
            room: Ok(()),
        }
    }
}

impl<K: Key> Brackets<K> {
    /// Set all counts to zero. What was collected stays.
    pub fn clear(&mut self) -> Result<(), Error> {
        for count in &mut self.counts {
            memory::refill(count, K::Count::default(), self.low.len())?;
        }
        memory::refill(&mut self.finite, K::Count::default(), self.slot_of.len())
    }

    /// Take in `rows`: at most `u32::MAX` of them since the last [`Self::clear`].
    pub fn add<T: Element<Key = K>>(&mut self, rows: Rows<'_, T>) -> Result<(), Error> {
        let out = RowsMut::none(&rows);
        // What is kept of a chunk has to fit the registers of the lowest level with vectors of 32 bytes.
        if size_of::<K>() == 8 {
            super::run(Walk::<_, _, 4, GROUP> { rows, out, columns: self });
        } else {
            super::run(Walk::<_, _, 8, GROUP> { rows, out, columns: self });
        }
        std::mem::replace(&mut self.room, Ok(()))
    }
}

#[cold]
#[inline(never)]
fn make_room<K>(collected: &mut Vec<K>, room: &mut Result<(), Error>) -> bool {
    let made = memory::reserve(collected, 1);
    let done = made.is_ok();
    if !done {
        *room = made;
    }
    done
}

impl<T: Element> Columns<T> for Brackets<T::Key> {
    type Out = ();

    #[inline(always)]
    fn chunk<const L: usize, const U: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; U],
        _out: [&mut [(); L]; U],
    ) {
        let width = self.slot_of.len();
        // Bit `u` of a lane: whether row `u` is inside a bracket there.
        let mut inside = [<T::Key as Key>::Count::default(); L];
        inside = self.bracket::<T, L, U, true>(at, at, &elements, inside);
        let mut next = at + width;
        while next < self.low.len() {
            inside = self.bracket::<T, L, U, false>(next, at, &elements, inside);
            next += width;
        }
        let slots: &[u32; L] = lanes(&self.slot_of, at);
        for j in 0..L {
            let mut rows = inside[j].to_u64();
            if rows == 0 {
                continue;
            }
            if let Some(collected) = self.inside.get_mut(slots[j] as usize) {
                while rows != 0 {
                    if collected.len() == collected.capacity() && !make_room(collected, &mut self.room) {
                        break;
                    }
                    collected.push(elements[rows.trailing_zeros() as usize % U][j].key());
                    rows &= rows - 1;
                }
            }
        }
    }
}

impl<K: Key> Brackets<K> {
    /// Count around one bracket of a chunk, whose ends are at `at`; `inside` and the bits of the rows inside it. The first
    /// one also counts the finite elements of the columns from `column` on.
    #[inline(always)]
    fn bracket<T: Element<Key = K>, const L: usize, const U: usize, const FIRST: bool>(
        &mut self,
        at: usize,
        column: usize,
        elements: &[&[T; L]; U],
        mut inside: [K::Count; L],
    ) -> [K::Count; L] {
        let low: [K; L] = *lanes(&self.low, at);
        let high: [K; L] = *lanes(&self.high, at);
        let mut below: [K::Count; L] = *lanes(&self.counts[0], at);
        let mut upto_low: [K::Count; L] = *lanes(&self.counts[1], at);
        let mut upto_high: [K::Count; L] = *lanes(&self.counts[2], at);
        let mut finite: [K::Count; L] = *lanes(&self.finite, column);
        let mut bit = K::Count::one(true);
        for row in elements {
            for j in 0..L {
                let x = row[j].key();
                below[j] += Count::one(x < low[j]);
                upto_low[j] += Count::one(x <= low[j]);
                upto_high[j] += Count::one(x <= high[j]);
                inside[j] |= bit.only_if((x > low[j]) & (x < high[j]));
                if FIRST {
                    finite[j] += Count::one(x.magnitude() < K::TOP);
                }
            }
            bit += bit;
        }
        *lanes_mut(&mut self.counts[0], at) = below;
        *lanes_mut(&mut self.counts[1], at) = upto_low;
        *lanes_mut(&mut self.counts[2], at) = upto_high;
        *lanes_mut(&mut self.finite, column) = finite;
        inside
    }
}

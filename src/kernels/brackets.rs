//! Counting around brackets, and collecting what lies inside them: the pass of a quantile selection over the data.
//!
//! A bracket of a column is a pair `low <= high`. How many elements are below `low`, up to `low` and up to `high` says
//! at which end, or where between the ends, any order statistic lies; only elements strictly inside are kept, so that
//! values which repeat often are counted and not collected.

use super::columns::{Columns, Walk, lanes, lanes_mut};
use crate::element::{Element, Key};
use crate::tiles::{Rows, RowsMut};

const LANES: usize = 16;
const GROUP: usize = 8;

/// What is counted of one bracket.
#[derive(Debug, Clone)]
pub struct Bracket<K> {
    /// Lower end, for each column.
    pub low: Vec<K>,
    /// Upper end, for each column.
    pub high: Vec<K>,
    /// Elements below the lower end.
    pub below: Vec<u32>,
    /// Elements up to the lower end.
    pub upto_low: Vec<u32>,
    /// Elements up to the upper end.
    pub upto_high: Vec<u32>,
}

/// The brackets of all columns.
#[derive(Debug, Clone)]
pub struct Brackets<K> {
    /// Any number of brackets.
    pub brackets: Vec<Bracket<K>>,
    /// Finite elements of each column.
    pub finite: Vec<u32>,
    /// Where the elements of each column that are inside a bracket are collected.
    pub slot_of: Vec<u32>,
    /// Elements inside a bracket, in no particular order.
    pub inside: Vec<Vec<K>>,
}

impl<K: Key> Brackets<K> {
    /// `count` brackets of no column yet.
    pub fn new(count: usize) -> Self {
        let bracket = || Bracket {
            low: Vec::new(),
            high: Vec::new(),
            below: Vec::new(),
            upto_low: Vec::new(),
            upto_high: Vec::new(),
        };
        Self {
            brackets: std::iter::repeat_with(bracket).take(count).collect(),
            finite: Vec::new(),
            slot_of: Vec::new(),
            inside: Vec::new(),
        }
    }

    /// Set all counts to zero for `width` columns. What was collected stays.
    pub fn clear(&mut self, width: usize) {
        let counts = self.brackets.iter_mut().flat_map(|b| [&mut b.below, &mut b.upto_low, &mut b.upto_high]);
        for count in counts.chain([&mut self.finite]) {
            count.clear();
            count.resize(width, 0);
        }
    }

    /// Take in `rows`: at most `u32::MAX` of them since the last [`Self::clear`].
    pub fn add<T: Element<Key = K>>(&mut self, rows: Rows<'_, T>) {
        super::run(Walk::<_, _, LANES, GROUP> { rows, out: RowsMut::none(&rows), columns: self });
    }
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
        let keys: [[T::Key; L]; U] = elements.map(|row| row.map(T::key));
        // Bit `u` of a lane: whether row `u` is inside a bracket there.
        let mut inside = [0u32; L];
        for bracket in &mut self.brackets {
            let (low, high): (&[T::Key; L], &[T::Key; L]) = (lanes(&bracket.low, at), lanes(&bracket.high, at));
            let mut below: [u32; L] = *lanes(&bracket.below, at);
            let mut upto_low: [u32; L] = *lanes(&bracket.upto_low, at);
            let mut upto_high: [u32; L] = *lanes(&bracket.upto_high, at);
            for (u, x) in keys.iter().enumerate() {
                for j in 0..L {
                    below[j] += u32::from(x[j] < low[j]);
                    upto_low[j] += u32::from(x[j] <= low[j]);
                    upto_high[j] += u32::from(x[j] <= high[j]);
                    inside[j] |= u32::from((x[j] > low[j]) & (x[j] < high[j])) << u;
                }
            }
            *lanes_mut(&mut bracket.below, at) = below;
            *lanes_mut(&mut bracket.upto_low, at) = upto_low;
            *lanes_mut(&mut bracket.upto_high, at) = upto_high;
        }
        let mut finite: [u32; L] = *lanes(&self.finite, at);
        for x in &keys {
            for j in 0..L {
                finite[j] += u32::from(x[j].magnitude() < T::Key::TOP);
            }
        }
        *lanes_mut(&mut self.finite, at) = finite;
        let slots: &[u32; L] = lanes(&self.slot_of, at);
        for j in 0..L {
            let mut rows = inside[j];
            while rows != 0 {
                if let Some(collected) = self.inside.get_mut(slots[j] as usize) {
                    collected.push(keys[rows.trailing_zeros() as usize % U][j]);
                }
                rows &= rows - 1;
            }
        }
    }
}

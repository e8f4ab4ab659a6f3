//! Quantiles of every channel of a stream: integers of at most 16 bits are counted, all else goes into sketches.
//!
//! Before elements reach a sketch, blocks of them are sorted, and only every `s`-th in order goes on, which then stands
//! for `s` elements: systematic sampling, whose error in rank is below `s` for a whole block (W. G. Cochran, "Sampling
//! techniques", 1977, chapter 8). That is small beside what the sketch itself may be wrong by, and leaves it a fraction
//! of the work.

use super::bytes::Counter;
use super::channel::Channel;
use super::sketch::Sketch;
use super::weights::{Counts, Digit, Digits};
use crate::drive::source::{Maskable, Source};
use crate::drive::{Accumulator, Slots, Tile, reduce};
use crate::element::{Bool, Element, Key};
use crate::error::Error;
use crate::kernels::{self, Kernel, radix};
use crate::memory;
use crate::parallel;
use crate::rows::Rows;
use crate::view::View;

/// Elements of a block at most: those that are sorted stay in the first-level cache.
const BLOCK: usize = 1 << 12;
/// The same where they are counted: joining the counts of a block takes as long as there are values.
const COUNTED_BLOCK: usize = 1 << 15;
/// Elements of the blocks of all channels that a thread works on.
const BLOCKS: usize = 1 << 20;
/// Of the elements that one stands for, the part that it may be away from its place.
const SLACK: usize = 2;
/// Rows and columns that are turned into columns of their own at a time.
const ROWS: usize = 32;
const COLUMNS: usize = 8;
/// What counts stay below.
const MOST: u128 = 1 << 62;
/// Channels that a thread joins at a time.
const GROUP: usize = 4;

/// Quantiles of every channel, streamed.
#[derive(Debug, PartialEq, Default)]
pub struct Sketches {
    /// One for each channel; empty for a state that has seen no array yet.
    pub channels: Vec<Channel>,
    /// The binary logarithm of the weight that counts as one: zero without weights.
    pub unit: i32,
}

impl Sketches {
    /// What `x` has along the axes that are not kept, in sketches of `size`. NaN is left out; infinity is an error.
    pub fn of<S: Source>(x: S, kept: &[bool], size: usize, threads: usize) -> Result<Self, Error> {
        Self::of_expected(x, kept, size, elements(x.shape(), kept, false), threads)
    }

    /// The same, where channels are expected to have `len` elements that are not missing. What may go on unsorted depends
    /// on that: too much did where a channel turns out to have less than half of them.
    fn of_expected<S: Source>(x: S, kept: &[bool], size: usize, len: usize, threads: usize) -> Result<Self, Error> {
        let found = Self::of_as_many(x, kept, size, len, threads)?;
        let least = found.channels.iter().map(Channel::count).filter(|count| *count > 0).min();
        match least.and_then(|least| usize::try_from(least).ok()).filter(|least| !S::IS_SMALL && *least < len / 2) {
            Some(least) => Self::of_as_many(x, kept, size, least, threads),
            None => Ok(found),
        }
    }

    /// The same, where no channel has much less than `len` elements, unless it has none.
    fn of_as_many<S: Source>(x: S, kept: &[bool], size: usize, len: usize, threads: usize) -> Result<Self, Error> {
        let channels = elements(x.shape(), kept, true);
        let mut parts: Vec<Vec<Channel>> = memory::with_room(channels)?;
        parts.resize_with(channels, Vec::new);
        let take = |channel: usize, cell: Channel| match parts.get_mut(channel) {
            Some(parts) => memory::push(parts, cell),
            None => Ok(()),
        };
        if S::Element::IS_SMALL && size_of::<S::Element>() == 1 {
            reduce(x, None, kept, threads, Counter::default, take)?;
        } else {
            let sorter = || Sorter::<<S::Element as Element>::Key>::new(size, len, S::IS_SMALL);
            reduce(x, None, kept, threads, sorter, take)?;
        }
        let join = |(): &mut (), parts: Vec<Channel>| -> Result<Channel, Error> {
            let mut parts = parts.into_iter();
            let mut channel = parts.next().unwrap_or_default();
            for part in parts {
                channel.merge(&part, size)?;
            }
            channel.sketch.trim(size);
            Ok(channel)
        };
        Ok(Self { channels: parallel::map_items(parts, GROUP, threads, || (), join)?, unit: 0 })
    }

    /// As [`Self::of`], with weights, finite and not negative, that step as `weights` says, of the elements that `mask`
    /// leaves: those whose weight has a binary digit count as often as that digit says.
    pub fn of_weighted<T: Maskable>(
        x: View<'_, T>,
        weights: View<'_, f64>,
        mask: Option<View<'_, Bool>>,
        kept: &[bool],
        size: usize,
        threads: usize,
    ) -> Result<Self, Error> {
        let counts = Counts::new(weights, mask)?;
        let Digits { ones, elements: all_elements } = counts.digits();
        let none = ones.iter().all(|ones| *ones == 0);
        // Without a digit, the channels are still those of the array.
        let mut all = Self { channels: Vec::new(), unit: counts.unit };
        for (digit, ones) in (0..u64::BITS).zip(ones).filter(|(digit, ones)| *ones > 0 || none && *digit == 0) {
            let len = (elements(x.shape(), kept, false) as f64 * ones as f64 / all_elements.max(1) as f64) as usize;
            let mut part = Self::of_expected(Digit { x, counts, digit }, kept, size, len, threads)?;
            part.unit = counts.unit + digit as i32;
            all.merge(&part, size)?;
        }
        // Whole numbers, even if all of them are even.
        let mut channels = Vec::new();
        memory::resize_with(&mut channels, all.channels.len(), Channel::default)?;
        let smallest = Self { channels, unit: counts.unit };
        all.merge(&smallest, size)?;
        Ok(all)
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { channels: memory::collect_all(self.channels.iter().map(Channel::try_clone))?, unit: self.unit })
    }

    /// A copy that counts in the unit of `2^unit`, which is not above this one's and leaves no more than [`MOST`] elements.
    fn counted_in(&self, unit: i32) -> Result<Self, Error> {
        let mut copy = self.try_clone()?;
        let (bits, nothing) = ((self.unit - unit) as u32, Channel::default());
        for channel in copy.channels.iter_mut().filter(|channel| channel.count() > 0) {
            let sketch = channel.make_room(&nothing, bits)?;
            channel.join(&nothing, bits, sketch, usize::MAX);
        }
        copy.unit = unit;
        Ok(copy)
    }

    /// Whether the elements of both can be counted in the smaller of their units.
    fn can_join(&self, other: &Self) -> bool {
        let unit = self.unit.min(other.unit);
        let raised = |count: u64, bits: i32| {
            if count == 0 {
                Some(0)
            } else {
                1u128.checked_shl(bits as u32).filter(|_| bits < 63).map(|times| u128::from(count) * times)
            }
        };
        self.channels.iter().zip(&other.channels).all(|(ours, theirs)| {
            let (ours, theirs) = (raised(ours.count(), self.unit - unit), raised(theirs.count(), other.unit - unit));
            ours.zip(theirs).is_some_and(|(ours, theirs)| ours + theirs < MOST)
        })
    }

    /// Join another state to this one, as if its elements had come after.
    pub fn merge(&mut self, other: &Self, size: usize) -> Result<(), Error> {
        if other.channels.is_empty() {
            return Ok(());
        }
        if self.channels.is_empty() {
            *self = other.try_clone()?;
            return Ok(());
        }
        if self.channels.len() != other.channels.len() {
            return Err(Error::ChannelMismatch { left: self.channels.len(), right: other.channels.len() });
        }
        if !self.can_join(other) {
            return Err(Error::WeightsTooFarApart);
        }
        let raised;
        let other = if other.unit > self.unit {
            raised = other.counted_in(self.unit)?;
            &raised
        } else {
            other
        };
        let bits = (self.unit - other.unit) as u32;
        // All that may fail comes first: then nothing has changed.
        let pairs = self.channels.iter_mut().zip(&other.channels);
        let bits_of = |channel: &Channel| if channel.count() > 0 { bits } else { 0 };
        let sketches = memory::collect_all(pairs.map(|(ours, theirs)| ours.make_room(theirs, bits_of(ours))))?;
        for ((ours, theirs), sketch) in self.channels.iter_mut().zip(&other.channels).zip(sketches) {
            ours.join(theirs, bits_of(ours), sketch, size);
            ours.sketch.trim(size);
        }
        self.unit = other.unit;
        Ok(())
    }
}

/// Number of positions along the axes that are kept, or along those that are not.
fn elements(shape: &[usize], kept: &[bool], wanted: bool) -> usize {
    shape.iter().zip(kept).filter(|(_, kept)| **kept == wanted).map(|(len, _)| *len).product()
}

/// Sorts blocks of elements, to count them or to hand every so many of them to sketches.
struct Sorter<K: Key> {
    size: usize,
    /// Whether to count.
    exact: bool,
    /// Elements of a channel in the whole array.
    len: usize,
    /// Elements of a block.
    block: usize,
    blocks: Vec<Vec<K::Count>>,
    channels: Vec<Channel>,
    scratch: radix::Scratch<K::Count>,
    infinite: bool,
}

impl<K: Key> Sorter<K> {
    fn new(size: usize, len: usize, exact: bool) -> Self {
        let (blocks, channels, scratch) = (Vec::new(), Vec::new(), radix::Scratch::default());
        Self { size, exact, len, block: BLOCK, blocks, channels, scratch, infinite: false }
    }

    /// Take in `R` of `rows`, some columns at a time.
    fn add<T: Element<Key = K>, const R: usize>(
        &mut self,
        slots: &Slots,
        rows: &Rows<'_, T>,
        first: usize,
    ) -> Result<(), Error> {
        let group = rows.group::<R>(first);
        let mut column = 0;
        while column + COLUMNS <= group.width() {
            self.add_columns::<T, R, COLUMNS>(slots, group.lanes(column), column)?;
            column += COLUMNS;
        }
        while column < group.width() {
            self.add_columns::<T, R, 1>(slots, group.lanes(column), column)?;
            column += 1;
        }
        Ok(())
    }

    fn add_columns<T: Element<Key = K>, const R: usize, const C: usize>(
        &mut self,
        slots: &Slots,
        elements: [&[T; C]; R],
        first: usize,
    ) -> Result<(), Error> {
        let (columns, plain) = kernels::run(Turn { elements });
        for (c, column) in columns.iter().enumerate() {
            let slot = slots.slot_of((first + c) % slots.width);
            let Some(block) = self.blocks.get_mut(slot) else { continue };
            memory::reserve(block, R)?;
            if plain {
                block.extend_from_slice(column);
            } else {
                let keys = elements.iter().filter_map(|elements| elements.get(c)).map(|x| x.key());
                self.infinite |= keys.clone().any(|key| key.magnitude().is_infinite());
                // Only NaN is not equal to itself.
                #[allow(clippy::eq_op)]
                block.extend(keys.filter(|key| key == key).map(K::ordered));
            }
            if block.len() + R > self.block {
                self.hand_on(slot)?;
            }
        }
        Ok(())
    }

    /// Give the block of `slot` to its channel.
    fn hand_on(&mut self, slot: usize) -> Result<(), Error> {
        let (Some(block), Some(channel)) = (self.blocks.get_mut(slot), self.channels.get_mut(slot)) else {
            return Ok(());
        };
        if self.exact {
            radix::sort::<K>(block, &mut self.scratch, 0)?;
            let mut counts = Vec::new();
            for run in block.chunk_by(|a, b| a == b) {
                let Some(value) = run.first() else { continue };
                // Integers of at most 16 bits.
                memory::push(&mut counts, (K::from_ordered(*value).to_f64() as i32, run.len() as u64))?;
            }
            channel.merge(&Channel { counts, sketch: Sketch::default() }, self.size)?;
            block.clear();
            return Ok(());
        }
        let (sketch, Some(first)) = (&mut channel.sketch, block.first()) else { return Ok(()) };
        sketch.seed(K::from_ordered(*first).to_f64());
        // As many as leave the errors of all blocks together at a tenth of what the sketch may be wrong by.
        let level = ((self.len as f64 * block.len() as f64).sqrt() as usize / self.size).max(1).ilog2();
        let value = |ordered: &K::Count| K::from_ordered(*ordered).to_f64();
        if level > 0 {
            let step = 1 << level;
            // What does not fill a step goes on as it is: the last elements, in no order yet.
            let steps = block.len() / step;
            let (_, rest) = block.split_at(steps * step);
            sketch.push(rest.iter().map(value), 0, self.size)?;
            block.truncate(steps * step);
            if steps > 0 {
                let (min, max) = radix::sort::<K>(block, &mut self.scratch, step / SLACK)?;
                sketch.reach(value(&min), value(&max));
                let start = sketch.coin() as usize % step;
                sketch.push(block.iter().skip(start).step_by(step).map(value), level as usize, self.size)?;
            }
        } else {
            sketch.push(block.iter().map(value), 0, self.size)?;
        }
        block.clear();
        Ok(())
    }
}

/// Makes ordered integers of a few rows, column after column, and says whether all of them are finite numbers.
struct Turn<'a, T, const R: usize, const C: usize> {
    elements: [&'a [T; C]; R],
}

impl<T: Element, const R: usize, const C: usize> Kernel for Turn<'_, T, R, C> {
    type Output = ([[<T::Key as Key>::Count; R]; C], bool);

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut columns = [[<T::Key as Key>::Count::default(); R]; C];
        let mut plain = true;
        for (r, elements) in self.elements.iter().enumerate() {
            #[expect(clippy::indexing_slicing, reason = "columns of arrays of that many")]
            for c in 0..C {
                let key = elements[c].key();
                plain &= key.magnitude() < T::Key::TOP;
                columns[c][r] = key.ordered();
            }
        }
        (columns, plain)
    }
}

impl<T: Element<Key = K>, K: Key> Accumulator<T> for Sorter<K> {
    type Cell = Channel;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        let most = if self.exact { COUNTED_BLOCK } else { BLOCK };
        self.block = (BLOCKS / slots.count.max(1)).clamp(2 * ROWS, most);
        memory::resize_with(&mut self.blocks, slots.count, Vec::new)?;
        let expected = (slots.rows * slots.columns_per_slot() + ROWS).min(self.block);
        for block in &mut self.blocks {
            block.clear();
            memory::reserve(block, expected)?;
        }
        self.channels.clear();
        memory::resize_with(&mut self.channels, slots.count, Channel::default)?;
        self.infinite = false;
        Ok(())
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        tile.each(|rows, _| {
            let mut row = 0;
            while row + ROWS <= rows.count() {
                self.add::<T, ROWS>(slots, &rows, row)?;
                row += ROWS;
            }
            while row < rows.count() {
                self.add::<T, 1>(slots, &rows, row)?;
                row += 1;
            }
            if rows.tail() > 0 {
                self.add::<T, 1>(slots, &rows, row)?;
            }
            Ok(())
        })?;
        if self.infinite { Err(Error::Infinite) } else { Ok(()) }
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Channel>) -> Result<(), Error> {
        let tasks = self.len / (slots.rows * slots.columns_per_slot()).max(1);
        for slot in 0..slots.count {
            self.hand_on(slot)?;
            let mut channel = self.channels.get_mut(slot).map(std::mem::take).unwrap_or_default();
            if tasks > 1 {
                // The errors of many tasks cancel: each may hand on so many fewer items.
                channel.sketch.condense((1.6 * self.size as f64 / (tasks as f64).sqrt()) as usize);
            }
            cells.push(channel);
        }
        Ok(())
    }
}

//! Order statistics of one stream, in little memory.
//!
//! Z. Karnin, K. Lang and E. Liberty, "Optimal quantile approximation in streams", FOCS 2016 (KLL): items of level `h`
//! stand for `2^h` elements each. When there are too many, the lowest level that is full is sorted, and every other of its
//! items goes up one level, where it stands for its neighbour too; a coin says which. Levels may hold the fewer items the
//! lower they are. Two compactions of a level in a row take opposite sides, so that their errors cancel for the most
//! part (N. Ivkin, E. Liberty, K. Lang, Z. Karnin, V. Braverman, "Streaming quantiles algorithms with small space and
//! update time", Sensors 22 (2022), 9612). The coins come from a generator that starts from the first element: the same
//! stream gives the same sketch.

use super::quantiles::{Between, mix, ranks};
use crate::error::Error;
use crate::memory;

/// Items that the lowest levels may hold.
const SMALLEST: usize = 8;
/// Sorted runs of fewer items, on average, are not worth merging.
const SHORTEST_RUN: usize = 32;

/// The order statistics of a stream. The items of the highest level that it may hold are a parameter of its methods, so
/// that a sketch of every channel need not say it.
#[derive(Debug, PartialEq)]
pub struct Sketch {
    /// The items, by what they stand for: `2^h` elements each.
    pub levels: Vec<Vec<f64>>,
    /// Number of elements.
    pub count: u64,
    /// The smallest element; infinite where there is none.
    pub min: f64,
    /// The largest element; minus infinity where there is none.
    pub max: f64,
    /// State of the generator; the sides that the last compaction of each level has taken; whether the next compaction of
    /// a level takes the other side.
    pub coins: [u64; 3],
}

impl Default for Sketch {
    fn default() -> Self {
        Self { levels: Vec::new(), count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, coins: [0; 3] }
    }
}

impl Sketch {
    /// Items of the highest level for ranks that are `error` times the number of elements off at most: four standard
    /// deviations of what random streams show (the tests measure it).
    pub fn size(error: f64) -> usize {
        (3.6 / error).ceil() as usize
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// Add `values`, none of which is NaN; each stands for `2^level` elements.
    pub fn push(&mut self, values: impl ExactSizeIterator<Item = f64>, level: usize, size: usize) -> Result<(), Error> {
        if values.len() == 0 {
            return Ok(());
        }
        if self.levels.len() <= level {
            memory::resize_with(&mut self.levels, level + 1, Vec::new)?;
        }
        let Some(items) = self.levels.get_mut(level) else { return Ok(()) };
        let old = items.len();
        memory::extend(items, values)?;
        let new = items.iter().skip(old);
        let Some(first) = new.clone().next().copied() else { return Ok(()) };
        self.count += (new.len() as u64) << level;
        self.min = new.clone().fold(self.min, |min, x| if *x < min { *x } else { min });
        self.max = new.fold(self.max, |max, x| if *x > max { *x } else { max });
        self.seed(first);
        self.shrink(size);
        Ok(())
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let levels = memory::collect_all(self.levels.iter().map(|items| memory::copied(items)))?;
        Ok(Self { levels, ..*self })
    }

    /// Start the generator from the first element, if it has not been.
    pub fn seed(&mut self, first: f64) {
        let [state, ..] = &mut self.coins;
        if *state == 0 {
            *state = mix(first.to_bits() ^ 0x9e37_79b9_7f4a_7c15) | 1;
        }
    }

    /// Widen the range of the elements: of items that stand for others, these may lie outside.
    pub fn reach(&mut self, min: f64, max: f64) {
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// Make room for joining `other` after every element of this one was counted `2^bits` times: in place, or in the sketch
    /// that is to take the place of this one, counted so.
    pub fn make_room(&mut self, other: &Self, bits: u32) -> Result<Option<Self>, Error> {
        let theirs = if other.count > 0 { &other.levels[..] } else { &[] };
        if self.count > 0 && bits == 0 && theirs.len() <= self.levels.len() {
            for (ours, theirs) in self.levels.iter_mut().zip(theirs) {
                memory::reserve(ours, theirs.len())?;
            }
            return Ok(None);
        }
        let (ours, bits) = if self.count > 0 { (&self.levels[..], bits) } else { (&[][..], 0) };
        let count = theirs.len().max(ours.len() + bits as usize);
        let mut levels = memory::with_room(count)?;
        for level in 0..count {
            let ours =
                level.checked_sub(bits as usize).and_then(|level| ours.get(level)).map_or(&[][..], Vec::as_slice);
            let mut items = memory::with_room(ours.len() + theirs.get(level).map_or(0, Vec::len))?;
            items.extend_from_slice(ours);
            levels.push(items);
        }
        let [state, sides, paired] = self.coins;
        let coins = [state, sides.unbounded_shl(bits), paired.unbounded_shl(bits)];
        Ok(Some(Self { levels, count: self.count << bits, coins, ..*self }))
    }

    /// Join another sketch to this one, as if its elements had come after. [`Self::make_room`] has made room for it.
    pub fn join(&mut self, other: &Self, size: usize) {
        if other.count == 0 {
            return;
        }
        for (ours, theirs) in self.levels.iter_mut().zip(&other.levels) {
            ours.extend_from_slice(theirs);
        }
        let ([ours, _, _], [theirs, _, _]) = (self.coins, other.coins);
        if self.count == 0 {
            (self.coins, self.min, self.max) = (other.coins, other.min, other.max);
        } else {
            let [state, ..] = &mut self.coins;
            *state = mix(ours ^ theirs.rotate_left(17)) | 1;
        }
        self.count += other.count;
        self.reach(other.min, other.max);
        self.shrink(size);
    }

    /// Items that `level` may hold: two thirds of what the level above may.
    fn capacity(&self, level: usize, size: usize) -> usize {
        let below = self.levels.len() - 1 - level;
        ((size as f64 * (2f64 / 3.0).powi(below as i32)).ceil() as usize).max(SMALLEST)
    }

    /// Compact until all levels together hold no more than they may.
    fn shrink(&mut self, size: usize) {
        loop {
            let items = self.items();
            // What the topmost level may hold bounds what all may.
            if items <= size {
                return;
            }
            let capacity: usize = (0..self.levels.len()).map(|level| self.capacity(level, size)).sum();
            if items <= capacity {
                return;
            }
            let mut levels = self.levels.iter().enumerate();
            let full = levels.find(|(level, items)| items.len() >= self.capacity(*level, size).max(2));
            let Some((level, _)) = full else { return };
            // Without the memory for it the sketch stays as large, and as good, as it is.
            if self.compact(level).is_err() {
                return;
            }
        }
    }

    /// Compact levels, the lowest first, until there are no more than `items`.
    pub fn condense(&mut self, items: usize) {
        let mut level = 0;
        // The highest level may be a new one; of 2^63 elements there is but one item.
        while self.items() > items.max(SMALLEST) && level < self.levels.len().min(63) {
            if self.compact(level).is_err() {
                return;
            }
            level += 1;
        }
    }

    /// Give back memory that levels no longer need, where it is more than that of `4 * size` items.
    pub fn trim(&mut self, size: usize) {
        if self.levels.iter().map(Vec::capacity).sum::<usize>() > 4 * size {
            for items in self.levels.iter_mut().filter(|items| items.capacity() > items.len()) {
                if let Ok(copy) = memory::copied(items) {
                    *items = copy;
                }
            }
        }
    }

    /// Random bits, of a generator that has been started.
    pub fn coin(&mut self) -> u64 {
        let [state, ..] = &mut self.coins;
        next_coin(state)
    }

    /// Send every other item of `level` one level up, where there are two or more. Without the memory for it nothing is done.
    fn compact(&mut self, level: usize) -> Result<(), Error> {
        let bit = 1 << level;
        if self.levels.len() == level + 1 && self.levels.last().is_some_and(|items| items.len() > 1) {
            memory::push(&mut self.levels, Vec::new())?;
        }
        let [.., items, upper] = self.levels.get_mut(..level + 2).unwrap_or_default() else { return Ok(()) };
        if items.len() < 2 {
            return Ok(());
        }
        memory::reserve(upper, items.len().div_ceil(2))?;
        sort(items);
        let [state, sides, paired] = &mut self.coins;
        let random = next_coin(state);
        // Of an odd number one stays, either the smallest or the largest.
        let (stays_first, stays) = (random & 2 != 0, items.len() % 2 == 1);
        if *paired & bit != 0 {
            *sides ^= bit;
        } else {
            *sides = *sides & !bit | if random & 1 != 0 { bit } else { 0 };
        }
        *paired ^= bit;
        let side = usize::from(*sides & bit != 0);
        let start = usize::from(stays && stays_first);
        let end = items.len() - usize::from(stays && !stays_first);
        upper.extend(items.iter().take(end).skip(start + side).step_by(2));
        if stays {
            items.swap(0, if stays_first { 0 } else { end });
        }
        items.truncate(usize::from(stays));
        Ok(())
    }

    /// The items with how many elements each stands for.
    pub fn weighted(&self) -> impl Iterator<Item = (f64, u64)> {
        self.levels.iter().enumerate().flat_map(|(level, items)| items.iter().map(move |item| (*item, 1 << level)))
    }
}

/// The next random bits of a generator.
fn next_coin(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mix(*state)
}

/// Sort items, which are made of sorted runs for the most part, by merging these: equal numbers are the same bits, so that any
/// sorting gives the same. (The standard library's stable sort ends the process where it gets no memory.)
fn sort(items: &mut Vec<f64>) {
    let ordered = |pair: &[f64]| matches!(pair, [a, b] if a.total_cmp(b).is_le());
    let runs = 1 + items.windows(2).filter(|pair| !ordered(pair)).count();
    if runs == 1 {
        return;
    }
    let Some(mut merged) = memory::with_room(items.len()).ok().filter(|_| items.len() >= SHORTEST_RUN * runs) else {
        items.sort_unstable_by(f64::total_cmp);
        return;
    };
    for _ in 0..usize::BITS - (runs - 1).leading_zeros() {
        merged.clear();
        let mut rest = &items[..];
        while !rest.is_empty() {
            let mut run = || {
                let len = rest.windows(2).take_while(|pair| ordered(pair)).count() + 1;
                let (run, others) = rest.split_at(len.min(rest.len()));
                rest = others;
                run
            };
            let (mut left, mut right) = (run(), run());
            while let ([a, lefts @ ..], [b, rights @ ..]) = (left, right) {
                let first = a.total_cmp(b).is_le();
                merged.push(if first { *a } else { *b });
                (left, right) = if first { (lefts, right) } else { (left, rights) };
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(items, &mut merged);
    }
}

/// Quantiles `q` of `count` elements within `min` and `max`, of which `items`, sorted, stand for so many each.
pub fn between(items: &[(f64, u64)], count: u64, [min, max]: [f64; 2], q: &[f64]) -> Result<Vec<Between>, Error> {
    let mut ends = memory::with_room(items.len())?;
    let mut total = 0;
    for (_, weight) in items {
        total += weight;
        ends.push(total);
    }
    let at = |rank: u64| match rank {
        0 => min,
        rank if rank == count - 1 => max,
        rank => items.get(ends.partition_point(|end| *end <= rank)).map_or(max, |(value, _)| *value),
    };
    memory::collect(q.iter().map(|q| {
        if count == 0 {
            return Between::NONE;
        }
        let (low, high, fraction) = ranks(*q, count);
        Between { low: at(low), high: at(high), fraction }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_the_standard_library_does() {
        let mut state = 1;
        for len in [0, 1, 2, 31, 64, 65, 500, 5000] {
            for run in [1, 2, 40, 333, 5000] {
                let mut items: Vec<f64> = (0..len).map(|_| (next_coin(&mut state) % 1000) as f64 - 500.0).collect();
                items.iter_mut().step_by(7).for_each(|x| *x *= -0.0);
                items.chunks_mut(run).for_each(|run| run.sort_unstable_by(f64::total_cmp));
                let mut sorted = items.clone();
                sorted.sort_by(f64::total_cmp);
                sort(&mut items);
                let bits = |items: &[f64]| items.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&items), bits(&sorted));
            }
        }
    }
}

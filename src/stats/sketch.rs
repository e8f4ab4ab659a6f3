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

/// Items that the lowest levels may hold.
const SMALLEST: usize = 8;

/// The order statistics of a stream. The items of the highest level that it may hold are a parameter of its methods, so
/// that a sketch of every channel need not say it.
#[derive(Debug, Clone, PartialEq)]
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
    pub fn push(&mut self, values: impl ExactSizeIterator<Item = f64>, level: usize, size: usize) {
        if values.len() == 0 {
            return;
        }
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        let old = self.levels[level].len();
        self.count += (values.len() as u64) << level;
        self.levels[level].extend(values);
        let new = &self.levels[level][old..];
        self.min = new.iter().fold(self.min, |min, x| if *x < min { *x } else { min });
        self.max = new.iter().fold(self.max, |max, x| if *x > max { *x } else { max });
        let first = new[0];
        self.seed(first);
        self.shrink(size);
    }

    /// Start the generator from the first element, if it has not been.
    pub fn seed(&mut self, first: f64) {
        if self.coins[0] == 0 {
            self.coins[0] = mix(first.to_bits() ^ 0x9e37_79b9_7f4a_7c15) | 1;
        }
    }

    /// Widen the range of the elements: of items that stand for others, these may lie outside.
    pub fn reach(&mut self, min: f64, max: f64) {
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// Join another sketch to this one, as if its elements had come after.
    pub fn merge(&mut self, other: &Self, size: usize) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            self.shrink(size);
            return;
        }
        if self.levels.len() < other.levels.len() {
            self.levels.resize_with(other.levels.len(), Vec::new);
        }
        for (ours, theirs) in self.levels.iter_mut().zip(&other.levels) {
            ours.extend_from_slice(theirs);
        }
        self.count += other.count;
        self.reach(other.min, other.max);
        self.coins[0] = mix(self.coins[0] ^ other.coins[0].rotate_left(17)) | 1;
        self.shrink(size);
    }

    /// Count every element `2^levels` times.
    pub fn raise(&mut self, levels: u32) {
        if self.count > 0 {
            self.levels.splice(0..0, (0..levels).map(|_| Vec::new()));
            self.count <<= levels;
            self.coins[1] <<= levels;
            self.coins[2] <<= levels;
        }
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
            let full = |level: &usize| self.levels[*level].len() >= self.capacity(*level, size).max(2);
            let Some(level) = (0..self.levels.len()).find(full) else { return };
            self.compact(level);
        }
    }

    /// Compact levels, the lowest first, until there are no more than `items`.
    pub fn condense(&mut self, items: usize) {
        let mut level = 0;
        while self.items() > items.max(SMALLEST) && level < 63 {
            if self.levels[level].len() > 1 {
                self.compact(level);
            }
            level += 1;
        }
    }

    /// Give back memory that levels no longer need, where it is more than that of `4 * size` items.
    pub fn trim(&mut self, size: usize) {
        if self.levels.iter().map(Vec::capacity).sum::<usize>() > 4 * size {
            self.levels.iter_mut().for_each(Vec::shrink_to_fit);
        }
    }

    /// Random bits, of a generator that has been started.
    pub fn coin(&mut self) -> u64 {
        let [state, ..] = &mut self.coins;
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    /// Send every other item of `level` one level up.
    fn compact(&mut self, level: usize) {
        let mut items = std::mem::take(&mut self.levels[level]);
        // Made of sorted runs for the most part, which this sort merges.
        items.sort_by(f64::total_cmp);
        let random = self.coin();
        // Of an odd number one stays, either the smallest or the largest.
        let (stays_first, stays) = (random & 2 != 0, items.len() % 2 == 1);
        let bit = 1 << level;
        let [_, sides, paired] = &mut self.coins;
        if *paired & bit != 0 {
            *sides ^= bit;
        } else {
            *sides = *sides & !bit | if random & 1 != 0 { bit } else { 0 };
        }
        *paired ^= bit;
        let side = usize::from(*sides & bit != 0);
        let start = usize::from(stays && stays_first);
        let end = items.len() - usize::from(stays && !stays_first);
        if self.levels.len() == level + 1 {
            self.levels.push(Vec::new());
        }
        self.levels[level + 1].extend(items[start..end].iter().skip(side).step_by(2));
        if stays {
            items.swap(0, if stays_first { 0 } else { end });
            items.truncate(1);
        } else {
            items.clear();
        }
        self.levels[level] = items;
    }

    /// The items with how many elements each stands for.
    pub fn weighted(&self) -> impl Iterator<Item = (f64, u64)> {
        self.levels.iter().enumerate().flat_map(|(level, items)| items.iter().map(move |item| (*item, 1 << level)))
    }
}

/// Quantiles `q` of `count` elements within `min` and `max`, of which `items`, sorted, stand for so many each.
pub fn between(items: &[(f64, u64)], count: u64, [min, max]: [f64; 2], q: &[f64]) -> Vec<Between> {
    let mut ends = Vec::with_capacity(items.len());
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
    q.iter()
        .map(|q| {
            if count == 0 {
                return Between::NONE;
            }
            let (low, high, fraction) = ranks(*q, count);
            Between { low: at(low), high: at(high), fraction }
        })
        .collect()
}

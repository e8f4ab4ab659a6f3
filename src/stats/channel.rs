//! The order statistics of one channel: how often small integers occur, and a sketch of all else.

use super::quantiles::Between;
use super::sketch::{Sketch, between};
use crate::error::Error;
use crate::memory;

/// What is known of one channel.
#[derive(Debug, PartialEq, Default)]
pub struct Channel {
    /// How often integers of at most 16 bits have occurred, in their order.
    pub counts: Vec<(i32, u64)>,
    /// The other elements.
    pub sketch: Sketch,
}

impl Channel {
    /// Number of elements.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum::<u64>() + self.sketch.count
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { counts: memory::copied(&self.counts)?, sketch: self.sketch.try_clone()? })
    }

    /// As [`Sketch::make_room`].
    pub(super) fn make_room(&mut self, other: &Self, bits: u32) -> Result<Option<Sketch>, Error> {
        let mut ours = self.counts.iter().peekable();
        let is_new = |(value, _): &&(i32, u64)| {
            while ours.next_if(|(ours, _)| ours < value).is_some() {}
            ours.next_if(|(ours, _)| ours == value).is_none()
        };
        let new = other.counts.iter().filter(is_new).count();
        memory::reserve(&mut self.counts, new)?;
        self.sketch.make_room(&other.sketch, bits)
    }

    /// Count every element `2^bits` times, which must not be too many, and join another channel. [`Self::make_room`] has
    /// made room, and given `sketch`.
    pub(super) fn join(&mut self, other: &Self, bits: u32, sketch: Option<Sketch>, size: usize) {
        if let Some(sketch) = sketch {
            self.sketch = sketch;
        }
        self.sketch.join(&other.sketch, size);
        self.counts.iter_mut().for_each(|(_, count)| *count <<= bits);
        let (mut new, mut ours) = (0, self.counts.iter_mut().peekable());
        for (value, count) in &other.counts {
            while ours.next_if(|(ours, _)| ours < value).is_some() {}
            match ours.next_if(|(ours, _)| ours == value) {
                Some((_, ours)) => *ours += count,
                None => new += 1,
            }
        }
        self.insert(&other.counts, new);
    }

    /// Put the `new` values among `counts` that are not among ours in their places, the last one first.
    #[expect(clippy::indexing_slicing, reason = "`left` is at most `end`, which is at most the length")]
    fn insert(&mut self, counts: &[(i32, u64)], new: usize) {
        let mut left = self.counts.len();
        let mut end = left + new;
        self.counts.resize(end, (0, 0));
        for (value, count) in counts.iter().rev().take_while(|_| new > 0) {
            while left > 0 && self.counts[left - 1].0 > *value {
                (left, end) = (left - 1, end - 1);
                self.counts[end] = self.counts[left];
            }
            if left == 0 || self.counts[left - 1].0 < *value {
                end -= 1;
                self.counts[end] = (*value, *count);
            }
        }
    }

    /// Join another channel to this one.
    pub(super) fn merge(&mut self, other: &Self, size: usize) -> Result<(), Error> {
        let sketch = self.make_room(other, 0)?;
        self.join(other, 0, sketch, size);
        Ok(())
    }

    /// Quantiles `q`, each within 0 and 1.
    pub fn quantiles(&self, q: &[f64]) -> Result<Vec<Between>, Error> {
        let counts = self.counts.iter().map(|(value, count)| (f64::from(*value), *count));
        let mut items: Vec<(f64, u64)> = memory::with_room(self.counts.len() + self.sketch.items())?;
        items.extend(counts.chain(self.sketch.weighted()));
        items.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let (first, last) = (self.counts.first(), self.counts.last());
        let min = first.map_or(self.sketch.min, |(value, _)| self.sketch.min.min(f64::from(*value)));
        let max = last.map_or(self.sketch.max, |(value, _)| self.sketch.max.max(f64::from(*value)));
        between(&items, self.count(), [min, max], q)
    }
}

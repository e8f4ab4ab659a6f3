//! Exact quantiles of all channels at once, without sorting them.
//!
//! R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", Comm. ACM 18 (1975): order statistics of a sample
//! bracket those of the data. One look at a few rows draws the sample; one pass over the data counts around the
//! brackets and collects the few elements inside them; the order statistic is one of those. With `n` elements a channel
//! the sample has about `3 n^(2/3)` and a bracket misses in one of some ten thousand cases, which the counts show: a wider
//! one, of another sample, then takes its place. The result is exact in any case, and does not depend on the sample.

use super::sums::has_infinity;
use crate::drive::source::{Converted, Maskable, Source};
use crate::drive::{Accumulator, Slots, Tile, reduce};
use crate::element::{Count, Element, Key};
use crate::error::Error;
use crate::kernels::brackets::Brackets;
use crate::memory;
use crate::parallel;
use std::cmp::Ordering;

/// What the elements of a source are compared as.
type KeyOf<S> = <<S as Source>::Element as Element>::Key;

/// Channels of no more elements than this are collected whole.
const COLLECTED: usize = 3000;
/// Half the width of a bracket, in standard deviations of the sample's rank.
const DEVIATIONS: f64 = 4.0;
/// Samples that are tried before a bracket takes in everything.
const ATTEMPTS: u32 = 3;
/// Channels whose quantiles a thread works out at a time.
const GROUP: usize = 16;

/// A quantile between two order statistics: NumPy's method `linear`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Between {
    /// The order statistic at or below it.
    pub low: f64,
    /// The order statistic at or above it.
    pub high: f64,
    /// How far it is from the one to the other.
    pub fraction: f64,
}

impl Between {
    /// Of no element.
    pub const NONE: Self = Self { low: f64::NAN, high: f64::NAN, fraction: 0.0 };

    /// The mean of the two, to the last digit; NaN where there is no element.
    pub fn midpoint(&self) -> f64 {
        let sum = self.low + self.high;
        if sum.is_infinite() { self.low / 2.0 + self.high / 2.0 } else { sum / 2.0 }
    }

    /// The interpolated value; NaN where there is no element.
    pub fn value(&self) -> f64 {
        let Self { low, high, fraction } = *self;
        let step = high - low;
        if step.is_infinite() {
            return low * (1.0 - fraction) + high * fraction;
        }
        // From the nearer end, so that the ends themselves are met: numpy.quantile does the same.
        if fraction < 0.5 { low + step * fraction } else { high - step * (1.0 - fraction) }
    }
}

/// The ranks around quantile `q` of `n` elements, from zero, and the fraction between them.
pub fn ranks(q: f64, n: u64) -> (u64, u64, f64) {
    let position = q * (n - 1) as f64;
    let low = position.floor();
    (low as u64, (low as u64 + 1).min(n - 1), position - low)
}

/// The ends of a bracket.
#[derive(Debug, Clone, Copy)]
struct Ends<K> {
    low: K,
    high: K,
}

impl<K: Key> Ends<K> {
    const ALL: Self = Self { low: K::BOTTOM, high: K::TOP };
    const NOTHING: Self = Self { low: K::BOTTOM, high: K::BOTTOM };
}

/// What a pass has found out about one bracket of one channel.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    below: u64,
    upto_low: u64,
    upto_high: u64,
}

/// What a pass has found out about one channel.
#[derive(Debug)]
struct Found<K> {
    counts: Vec<Counts>,
    finite: u64,
    /// Elements inside the brackets: a piece from each task.
    inside: Vec<Vec<K>>,
}

/// The quantiles of one channel, where they are known, or else what they can be made of.
type Resolved<K> = Result<Vec<Option<Between>>, Found<K>>;

fn order<K: Key>(a: &K, b: &K) -> Ordering {
    // NaN never gets here.
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

/// Put the elements of all `ranks`, which ascend, where sorting would.
pub fn select<K: Key>(values: &mut [K], first: usize, ranks: &[usize]) {
    let Some(rank) = ranks.get(ranks.len() / 2) else { return };
    let at = rank - first;
    if at >= values.len() {
        return;
    }
    let (left, _, right) = values.select_nth_unstable_by(at, order);
    let (before, after) = ranks.split_at(ranks.len() / 2);
    let (before, after) = (
        before.split_at(before.partition_point(|r| r < rank)).0,
        after.split_at(after.partition_point(|r| r <= rank)).1,
    );
    select(left, first, before);
    select(right, rank + 1, after);
}

impl<K: Key> Found<K> {
    fn new(brackets: usize) -> Result<Self, Error> {
        Ok(Self { counts: memory::filled(Counts::default(), brackets)?, finite: 0, inside: Vec::new() })
    }

    fn merge(&mut self, mut other: Self) -> Result<(), Error> {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            ours.below += theirs.below;
            ours.upto_low += theirs.upto_low;
            ours.upto_high += theirs.upto_high;
        }
        self.finite += other.finite;
        memory::reserve(&mut self.inside, other.inside.len())?;
        self.inside.append(&mut other.inside);
        Ok(())
    }

    /// The order statistics around quantile `q`, which bracket `k` with these `ends` was meant to hold; nothing if it
    /// does not. What is inside the bracket goes through `inside`.
    fn resolve(&self, q: f64, counts: Counts, ends: Ends<K>, inside: &mut Vec<K>) -> Result<Option<Between>, Error> {
        if self.finite == 0 {
            return Ok(Some(Between::NONE));
        }
        let (low, high, fraction) = ranks(q, self.finite);
        inside.clear();
        // Elements of other brackets lie beside those of this one.
        for piece in &self.inside {
            memory::extend(inside, piece.iter().copied().filter(|key| *key > ends.low && *key < ends.high))?;
        }
        let (first, last) = (counts.upto_low, counts.upto_low + inside.len() as u64);
        let wanted = [low, high].map(|rank| rank.saturating_sub(first) as usize);
        match [low, high].map(|rank| (first..last).contains(&rank)) {
            [true, true] => select(inside, 0, &wanted),
            [true, false] => select(inside, 0, wanted.get(..1).unwrap_or_default()),
            [false, true] => select(inside, 0, wanted.get(1..).unwrap_or_default()),
            [false, false] => {}
        }
        let at = |rank: u64| {
            if (counts.below..first).contains(&rank) {
                Some(ends.low.to_f64())
            } else if (first..last).contains(&rank) {
                inside.get((rank - first) as usize).map(|key| key.to_f64())
            } else if (last..counts.upto_high).contains(&rank) {
                Some(ends.high.to_f64())
            } else {
                None
            }
        };
        Ok(at(low).zip(at(high)).map(|(low, high)| Between { low, high, fraction }))
    }
}

/// Quantiles `q` (each within 0 and 1) of every channel of `x`, along the axes that are not kept: for each channel, one
/// for each of `q`. NaN is left out; infinity is an error.
pub fn quantiles<S: Source<Element: Maskable>>(
    x: S,
    kept: &[bool],
    q: &[f64],
    threads: usize,
) -> Result<Vec<Vec<Between>>, Error> {
    // Integers of up to 32 bits, and halves, are compared as the floats that hold them: there are fewer kernels to compile.
    if const { size_of::<S::Element>() < 4 || size_of::<S::Element>() == 4 && !S::Element::FITS_F32 } {
        selected(Converted::floats(x), kept, q, threads)
    } else {
        selected(x, kept, q, threads)
    }
}

fn selected<S: Source>(x: S, kept: &[bool], q: &[f64], threads: usize) -> Result<Vec<Vec<Between>>, Error> {
    let product = |wanted: bool| -> usize {
        x.shape().iter().zip(kept).filter(|(_, kept)| **kept == wanted).map(|(len, _)| *len).product()
    };
    if q.is_empty() {
        // Nothing is asked for, but infinity is an error all the same.
        let mut none = selected(x, kept, &[0.0], threads)?;
        none.iter_mut().for_each(Vec::clear);
        return Ok(none);
    }
    let (channels, len) = (product(true), product(false));
    let mut results: Vec<Vec<Option<Between>>> = memory::with_room(channels)?;
    for _ in 0..channels {
        results.push(memory::filled(None, q.len())?);
    }
    for attempt in 0..=ATTEMPTS {
        let (ends, fraction) = if len <= COLLECTED || attempt == ATTEMPTS {
            (whole_range(&results)?, 1.0)
        } else {
            sampled(x, kept, q, &results, len, attempt, threads)?
        };
        let mut found: Vec<Resolved<KeyOf<S>>> = memory::with_room(channels)?;
        for _ in 0..channels {
            found.push(Err(Found::new(q.len())?));
        }
        let accumulator = || Collector {
            q,
            ends: &ends,
            fraction,
            brackets: Brackets::default(),
            cells: Vec::new(),
            scratch: Vec::new(),
        };
        reduce(x, None, kept, threads, accumulator, |channel, cell| {
            match (found.get_mut(channel), cell) {
                (Some(Err(found)), Err(cell)) => found.merge(cell)?,
                (Some(slot), cell) => *slot = cell,
                (None, _) => {}
            }
            Ok(())
        })?;
        let found: Vec<_> = memory::collect(found.into_iter().zip(&ends))?;
        let new = parallel::map_items(found, GROUP, threads, Vec::new, |scratch, (found, ends)| {
            found.or_else(|found| resolve(&found, q, ends, scratch))
        })?;
        for (known, new) in results.iter_mut().zip(new) {
            known.iter_mut().zip(new).for_each(|(known, new)| *known = known.or(new));
        }
        if results.iter().all(|known| known.iter().all(Option::is_some)) {
            break;
        }
    }
    let or_none = |known: Option<Between>| known.unwrap_or(Between::NONE);
    memory::collect_all(results.into_iter().map(|known| memory::collect(known.into_iter().map(or_none))))
}

fn resolve<K: Key>(
    found: &Found<K>,
    q: &[f64],
    ends: &[Ends<K>],
    scratch: &mut Vec<K>,
) -> Result<Vec<Option<Between>>, Error> {
    let brackets = q.iter().zip(&found.counts).zip(ends);
    memory::collect_all(brackets.map(|((q, counts), ends)| found.resolve(*q, *counts, *ends, scratch)))
}

/// Brackets of everything for what is not yet known.
fn whole_range<K: Key>(known: &[Vec<Option<Between>>]) -> Result<Vec<Vec<Ends<K>>>, Error> {
    let ends = |known: &Option<Between>| if known.is_some() { Ends::NOTHING } else { Ends::ALL };
    memory::collect_all(known.iter().map(|known| memory::collect(known.iter().map(ends))))
}

/// Brackets of each channel, and the fraction of its elements that are likely to be inside.
type Sampled<K> = (Vec<Vec<Ends<K>>>, f64);

/// Brackets by a sample for what is not yet known.
fn sampled<S: Source>(
    x: S,
    kept: &[bool],
    q: &[f64],
    known: &[Vec<Option<Between>>],
    len: usize,
    attempt: u32,
    threads: usize,
) -> Result<Sampled<KeyOf<S>>, Error> {
    let size = 3.0 * (len as f64).powf(2.0 / 3.0);
    let stride = ((len as f64 / size) as usize).max(1);
    let mut samples: Vec<Vec<Vec<KeyOf<S>>>> = Vec::new();
    memory::resize_with(&mut samples, known.len(), Vec::new)?;
    let sampler = || Sampler { stride, seed: attempt, row: 0, samples: Vec::new() };
    reduce(x, None, kept, threads, sampler, |channel, sample| {
        samples.get_mut(channel).map_or(Ok(()), |samples| memory::push(samples, sample))
    })?;
    // A bracket that missed says that the elements are not as random as the sample would have them.
    let deviations = DEVIATIONS * f64::from(4u32.pow(attempt));
    let samples = memory::collect(samples.into_iter().zip(known))?;
    let ends =
        parallel::map_items(samples, GROUP, threads, Vec::new, |scratch, (samples, known): (Vec<Vec<_>>, _)| {
            scratch.clear();
            memory::reserve(scratch, samples.iter().map(Vec::len).sum())?;
            samples.iter().for_each(|sample| scratch.extend_from_slice(sample));
            brackets(scratch, q, known, deviations)
        })?;
    let widths = q.iter().map(|q| reach(*q, size, deviations)).map(|(low, high)| (high - low) / size);
    Ok((ends, widths.sum::<f64>().min(1.0)))
}

/// The ranks in a sample of `m` elements between which quantile `q` of the data is likely to be.
fn reach(q: f64, m: f64, deviations: f64) -> (f64, f64) {
    let (center, half) = (q * (m - 1.0), deviations * (m * q * (1.0 - q)).sqrt() + deviations);
    ((center - half).floor(), (center + half).ceil())
}

/// The brackets of one channel.
fn brackets<K: Key>(
    sample: &mut [K],
    q: &[f64],
    known: &[Option<Between>],
    deviations: f64,
) -> Result<Vec<Ends<K>>, Error> {
    let m = sample.len() as f64;
    let reach: Vec<(f64, f64)> = memory::collect(q.iter().map(|q| reach(*q, m, deviations)))?;
    let within = |rank: f64| (rank >= 0.0 && rank <= m - 1.0).then_some(rank as usize);
    let both = reach.iter().flat_map(|(low, high)| [within(*low), within(*high)]);
    let mut wanted: Vec<usize> = memory::collect(both.flatten())?;
    wanted.sort_unstable();
    wanted.dedup();
    select(sample, 0, &wanted);
    let end = |rank: f64, beyond: K| within(rank).and_then(|rank| sample.get(rank)).copied().unwrap_or(beyond);
    let ends = |(low, high): &(f64, f64)| Ends { low: end(*low, K::BOTTOM), high: end(*high, K::TOP) };
    let wanted = reach.iter().zip(known);
    memory::collect(wanted.map(|(reach, known)| if known.is_some() { Ends::NOTHING } else { ends(reach) }))
}

/// Draws about one row in `stride`, at random within each stride: every part of the array is represented.
struct Sampler<K> {
    stride: usize,
    seed: u32,
    row: usize,
    samples: Vec<Vec<K>>,
}

/// A well-mixed function of `x` (the finaliser of SplitMix64: G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl<T: Element<Key = K>, K: Key> Accumulator<T> for Sampler<K> {
    type Cell = Vec<K>;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        self.row = 0;
        self.samples.clear();
        memory::reserve(&mut self.samples, slots.count)?;
        let expected = slots.rows * slots.columns_per_slot() / self.stride + 1;
        for _ in 0..slots.count {
            self.samples.push(memory::with_room(expected)?);
        }
        Ok(())
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let width = slots.width;
        tile.each(|rows, _| {
            let count = rows.count() * slots.times + rows.tail() / width;
            let end = self.row + count;
            let mut stratum = self.row / self.stride;
            while stratum * self.stride < end {
                let jitter = mix(stratum as u64 ^ u64::from(self.seed) << 32 ^ 0x9e37_79b9_7f4a_7c15);
                let row = stratum * self.stride + (jitter % self.stride as u64) as usize;
                stratum += 1;
                if row < self.row || row >= end {
                    continue;
                }
                let (row, copy) = ((row - self.row) / slots.times, (row - self.row) % slots.times);
                for (column, x) in rows.row(row).iter().skip(copy * width).take(width).enumerate() {
                    let key = x.key();
                    if key.magnitude() < K::TOP
                        && let Some(sample) = self.samples.get_mut(slots.slot_of(column))
                    {
                        memory::push(sample, key)?;
                    }
                }
            }
            self.row = end;
            Ok(())
        })
    }

    fn finish(&mut self, _slots: &Slots, cells: &mut Vec<Vec<K>>) -> Result<(), Error> {
        cells.append(&mut self.samples);
        Ok(())
    }
}

/// Counts around the brackets and collects what is inside.
struct Collector<'a, K: Key> {
    q: &'a [f64],
    ends: &'a [Vec<Ends<K>>],
    /// Fraction of the elements that are likely to be inside the brackets.
    fraction: f64,
    brackets: Brackets<K>,
    cells: Vec<Found<K>>,
    scratch: Vec<K>,
}

impl<T: Element<Key = K>, K: Key> Accumulator<T> for Collector<'_, K> {
    /// The quantiles where the task has the whole channel, which saves holding what was collected.
    type Cell = Resolved<K>;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        let width = slots.kernel_width();
        let Brackets { low, high, slot_of, inside, .. } = &mut self.brackets;
        slot_of.clear();
        memory::extend(slot_of, (0..width).map(|column| slots.slot_of(column % slots.width) as u32))?;
        let expected = (slots.rows * slots.columns_per_slot()) as f64 * self.fraction * 1.1;
        memory::resize_with(inside, slots.count, Vec::new)?;
        for inside in inside {
            memory::reserve(inside, expected as usize + 8)?;
        }
        low.clear();
        high.clear();
        memory::reserve(low, width.saturating_mul(self.q.len()))?;
        memory::reserve(high, width.saturating_mul(self.q.len()))?;
        for k in 0..self.q.len() {
            for slot in &*slot_of {
                let channel = self.ends.get(slots.channel(*slot as usize));
                let ends = channel.and_then(|ends| ends.get(k)).copied().unwrap_or(Ends::NOTHING);
                low.push(ends.low);
                high.push(ends.high);
            }
        }
        self.cells.clear();
        memory::reserve(&mut self.cells, slots.count)?;
        for _ in 0..slots.count {
            self.cells.push(Found::new(self.q.len())?);
        }
        Ok(())
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        self.brackets.clear()?;
        tile.each(|rows, _| self.brackets.add(rows))?;
        let Brackets { counts: [below, upto_low, upto_high], finite, slot_of, .. } = &self.brackets;
        let mut numbers = 0;
        for (column, (slot, finite)) in slot_of.iter().zip(finite).enumerate() {
            let Some(cell) = self.cells.get_mut(*slot as usize) else { continue };
            for (k, counts) in cell.counts.iter_mut().enumerate() {
                let at = |found: &[K::Count]| found.get(k * slot_of.len() + column).map_or(0, |count| count.to_u64());
                counts.below += at(below);
                counts.upto_low += at(upto_low);
                counts.upto_high += at(upto_high);
            }
            cell.finite += finite.to_u64();
            numbers += finite.to_u64() as usize;
        }
        if numbers < tile.rows() * slots.width && has_infinity(tile)? { Err(Error::Infinite) } else { Ok(()) }
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Self::Cell>) -> Result<(), Error> {
        for (slot, (mut found, inside)) in self.cells.drain(..).zip(&mut self.brackets.inside).enumerate() {
            if slots.whole {
                memory::push(&mut found.inside, std::mem::take(inside))?;
                let ends = self.ends.get(slots.channel(slot)).map_or(&[][..], Vec::as_slice);
                cells.push(Ok(resolve(&found, self.q, ends, &mut self.scratch)?));
                *inside = found.inside.pop().unwrap_or_default();
                inside.clear();
            } else {
                memory::push(&mut found.inside, std::mem::take(inside))?;
                cells.push(Err(found));
            }
        }
        Ok(())
    }
}

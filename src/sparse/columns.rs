//! Statistics of the channels of a sparse matrix.

use super::{Channels, Compressed, Index, PIECES};
use crate::dd::Dd;
use crate::element::Element;
use crate::error::Error;
use crate::kernels::{self, Kernel};
use crate::parallel;
use crate::stats::extrema::{Cell, Extrema};
use crate::stats::moments::{FloatCell, Moments};
use std::ops::Range;

/// What is gathered of the entries of one channel.
trait Tally: Copy + Default + Send {
    /// Whether entries have weights.
    const WEIGHTED: bool = false;
    /// What is rarely touched, and so kept apart.
    type Rare: Copy + Default;
    /// The statistic that it becomes.
    type Cell: Send;
    /// Take in an entry.
    fn take(&mut self, rare: &mut Self::Rare, x: f64, weight: f64);
    /// Whether all entries have to be taken in once more, after [`Self::restart`].
    fn is_inexact(&self, _rare: &Self::Rare) -> bool {
        false
    }
    /// Forget the entries, but not what has been learnt of them.
    fn restart(&mut self, _rare: &mut Self::Rare) {}
    /// Number of entries.
    fn count(&self, rare: &Self::Rare) -> usize;
    /// The statistic; nothing if there was an infinity where that is an error.
    fn finish(&self, rare: &Self::Rare) -> Option<Self::Cell>;
}

/// The entries of a channel: their statistic, number and weight.
struct Entries<C> {
    cell: C,
    count: usize,
    weight: Dd,
}

/// One piece of the work.
struct Piece<'a, T, I> {
    matrix: Compressed<'a, T, I>,
    segments: Range<usize>,
    channels: Channels,
    weights: Option<&'a [f64]>,
}

/// A piece's results: the first channel, and one result for each from there on.
type Results<C> = Result<(usize, Vec<Entries<C>>), Error>;

impl<T: Element, I: Index> Piece<'_, T, I> {
    /// Channels by index: every channel at once. With `ASCENDING`, indices that do not ascend within a segment are the
    /// same error as several entries for one element: the former may be the latter.
    #[inline(always)]
    fn by_index<C: Tally, const ASCENDING: bool>(&self) -> Results<C::Cell> {
        let Self { matrix, segments, weights, .. } = self;
        let mut tallies = vec![C::default(); matrix.minor];
        let mut rare = vec![C::Rare::default(); matrix.minor];
        // The segment, counted from one within the piece, of which a channel last had an entry.
        let mut seen = vec![0u32; if ASCENDING { 0 } else { matrix.minor }];
        let mut weight = vec![Dd::ZERO; if C::WEIGHTED { matrix.minor } else { 0 }];
        for round in 0..2 {
            for (i, segment) in segments.clone().enumerate() {
                let w = weights.map_or(1.0, |weights| weights[segment]);
                let entries = matrix.segment(segment);
                let mut next = 0;
                for (x, index) in matrix.data[entries.clone()].iter().zip(&matrix.indices[entries]) {
                    let channel = index.offset();
                    let (Some(tally), Some(rare)) = (tallies.get_mut(channel), rare.get_mut(channel)) else {
                        return Err(OUT_OF_RANGE);
                    };
                    if if ASCENDING { channel < next } else { seen[channel] == i as u32 + 1 } {
                        return Err(Error::Duplicates);
                    }
                    next = channel + 1;
                    if !ASCENDING {
                        seen[channel] = i as u32 + 1;
                    }
                    tally.take(rare, x.to_f64(), w);
                    if C::WEIGHTED {
                        weight[channel] = weight[channel].add_f64(w);
                    }
                }
            }
            if round > 0 || !tallies.iter().zip(&rare).any(|(tally, rare)| tally.is_inexact(rare)) {
                break;
            }
            tallies.iter_mut().zip(&mut rare).for_each(|(tally, rare)| tally.restart(rare));
            seen.fill(0);
            weight.fill(Dd::ZERO);
        }
        let mut results = Vec::with_capacity(matrix.minor);
        for (channel, (tally, rare)) in tallies.iter().zip(&rare).enumerate() {
            let count = tally.count(rare);
            let weight = weight.get(channel).copied().unwrap_or(Dd::from(count as f64));
            results.push(Entries { cell: tally.finish(rare).ok_or(Error::Infinite)?, count, weight });
        }
        Ok((0, results))
    }

    /// Channels by segment: one after the other.
    #[inline(always)]
    fn by_segment<C: Tally>(&self) -> Results<C::Cell> {
        let Self { matrix, segments, weights, .. } = self;
        let mut results = Vec::with_capacity(segments.len());
        for segment in segments.clone() {
            let entries = matrix.segment(segment);
            let (data, indices) = (&matrix.data[entries.clone()], &matrix.indices[entries.clone()]);
            let (mut tally, mut rare) = (C::default(), C::Rare::default());
            let mut weight = Dd::ZERO;
            for round in 0..2 {
                let mut next = 0;
                weight = Dd::ZERO;
                for (x, index) in data.iter().zip(indices) {
                    let index = index.offset();
                    if index < next {
                        return Err(Error::Duplicates);
                    }
                    if index >= matrix.minor {
                        return Err(OUT_OF_RANGE);
                    }
                    next = index + 1;
                    let w = weights.map_or(1.0, |weights| weights[index]);
                    tally.take(&mut rare, x.to_f64(), w);
                    if weights.is_some() {
                        weight = weight.add_f64(w);
                    }
                }
                if round > 0 || !tally.is_inexact(&rare) {
                    break;
                }
                tally.restart(&mut rare);
            }
            let count = entries.len();
            let weight = if weights.is_some() { weight } else { Dd::from(count as f64) };
            results.push(Entries { cell: tally.finish(&rare).ok_or(Error::Infinite)?, count, weight });
        }
        Ok((segments.start, results))
    }
}

const OUT_OF_RANGE: Error = Error::Damaged("an index is out of range");

struct Run<'a, 'b, T, I, C> {
    piece: &'b Piece<'a, T, I>,
    tally: std::marker::PhantomData<C>,
}

impl<T: Element, I: Index, C: Tally> Kernel for Run<'_, '_, T, I, C> {
    type Output = Results<C::Cell>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        match self.piece.channels {
            Channels::Indices => match self.piece.by_index::<C, true>() {
                Err(Error::Duplicates) => self.piece.by_index::<C, false>(),
                results => results,
            },
            Channels::Segments => self.piece.by_segment::<C>(),
        }
    }
}

/// Hand the entries of every channel to `join`, piece by piece in a fixed order.
fn gather<T: Element, I: Index, C: Tally>(
    matrix: Compressed<'_, T, I>,
    channels: Channels,
    weights: Option<&[f64]>,
    threads: usize,
    join: impl FnMut(usize, &Entries<C::Cell>),
) -> Result<(), Error> {
    // Each piece has results for every index: no more pieces than make them few beside the entries.
    let pieces = match channels {
        Channels::Segments => PIECES,
        Channels::Indices => (matrix.data.len() / (64 * matrix.minor.max(1))).clamp(1, PIECES / 2),
    };
    let pieces = matrix.pieces(pieces).into_iter();
    let pieces: Vec<_> = pieces.map(|segments| Piece { matrix, segments, channels, weights }).collect();
    let run =
        |(): &mut (), piece: usize| kernels::run(Run::<T, I, C> { piece: &pieces[piece], tally: Default::default() });
    let results = parallel::map(pieces.len(), threads, || (), run).into_iter().collect::<Result<Vec<_>, _>>()?;
    kernels::run(Join { results, join });
    Ok(())
}

/// Hands out the results of all pieces, in their order; a kernel, so that joining them has fused multiply-add.
struct Join<C, F> {
    results: Vec<(usize, Vec<Entries<C>>)>,
    join: F,
}

impl<C, F: FnMut(usize, &Entries<C>)> Kernel for Join<C, F> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        for (first, results) in &self.results {
            for (i, entries) in results.iter().enumerate() {
                (self.join)(first + i, entries);
            }
        }
    }
}

/// A sum of weights.
trait Weight: Copy + Default + Send {
    const USED: bool;
    fn add(&mut self, weight: f64);
    fn get(self) -> Dd;
}

/// Number of entries without weights.
#[derive(Debug, Clone, Copy, Default)]
struct Unweighted;

impl Weight for Unweighted {
    const USED: bool = false;
    #[inline(always)]
    fn add(&mut self, _weight: f64) {}
    fn get(self) -> Dd {
        Dd::ZERO
    }
}

impl Weight for Dd {
    const USED: bool = true;
    #[inline(always)]
    fn add(&mut self, weight: f64) {
        *self = self.add_f64(weight);
    }
    fn get(self) -> Dd {
        self
    }
}

/// Entries whose sums are taken in `f64` before they are added to those in double-double.
const BLOCK: u32 = 128;

/// Sums around a pivot, of a block of entries. No two cache lines are touched for one entry.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
struct Sums<W> {
    pivot: f64,
    sum: f64,
    square: f64,
    number: u32,
    weight: W,
}

/// The sums of all blocks but the last, and the entries that are not summed.
#[derive(Debug, Clone, Copy, Default)]
struct Blocks {
    sum: Dd,
    square: Dd,
    skipped: usize,
}

impl<W: Weight> Sums<W> {
    #[inline(always)]
    fn totals(&self, blocks: &Blocks) -> (Dd, Dd, Dd) {
        let weight = self.weight.get();
        let weight = if weight.hi == 0.0 { Dd::from(f64::from(self.number)) } else { weight };
        (blocks.sum.add_f64(self.sum), blocks.square.add_f64(self.square), weight)
    }

    /// Add the sums of a block to the others.
    #[cold]
    fn end_block(&mut self, blocks: &mut Blocks) {
        (blocks.sum, blocks.square) = (blocks.sum.add_f64(self.sum), blocks.square.add_f64(self.square));
        (self.sum, self.square) = (0.0, 0.0);
    }
}

impl<W: Weight> Tally for Sums<W> {
    const WEIGHTED: bool = W::USED;
    type Rare = Blocks;
    type Cell = FloatCell;

    #[inline(always)]
    fn take(&mut self, blocks: &mut Blocks, x: f64, weight: f64) {
        if x.is_nan() || weight == 0.0 {
            blocks.skipped += 1;
            return;
        }
        if self.number == 0 && self.pivot == 0.0 {
            self.pivot = x;
        }
        let difference = x - self.pivot;
        let term = weight * difference;
        self.sum += term;
        self.square += term * difference;
        self.weight.add(weight);
        self.number += 1;
        if self.number.is_multiple_of(BLOCK) {
            self.end_block(blocks);
        }
    }

    #[inline(always)]
    fn is_inexact(&self, blocks: &Blocks) -> bool {
        // As for dense arrays: a pivot more than two standard deviations away would cost digits.
        let (sum, square, weight) = self.totals(blocks);
        let distance = sum.hi / weight.hi;
        sum.hi != 0.0 && distance.is_finite() && sum.hi * distance > 4.0 * (square.hi - sum.hi * distance)
    }

    fn restart(&mut self, blocks: &mut Blocks) {
        let (sum, _, weight) = self.totals(blocks);
        let pivot = if self.is_inexact(blocks) { self.pivot + sum.hi / weight.hi } else { self.pivot };
        *self = Self { pivot, ..Self::default() };
        *blocks = Blocks::default();
    }

    fn count(&self, blocks: &Blocks) -> usize {
        self.number as usize + blocks.skipped
    }

    #[inline(always)]
    fn finish(&self, blocks: &Blocks) -> Option<FloatCell> {
        let (sum, square, weight) = self.totals(blocks);
        if self.pivot.is_infinite() || !sum.hi.is_finite() {
            return None;
        }
        if weight.hi == 0.0 {
            return Some(FloatCell::default());
        }
        let distance = sum / weight;
        let rest = square - sum * distance;
        let m2 = if rest.hi.is_nan() { square } else { rest.max_zero() };
        Some(FloatCell { weight, mean: distance.add_f64(self.pivot), m2 })
    }
}

/// Moments of every channel, zeros and all. NaN is left out; infinity is an error. `weights`, finite and not negative,
/// has one for each segment if channels are indices, and one for each index if channels are segments.
pub fn moments<T: Element, I: Index>(
    matrix: Compressed<'_, T, I>,
    channels: Channels,
    weights: Option<&[f64]>,
    threads: usize,
) -> Result<Moments, Error> {
    let number = matrix.channels(channels);
    let elements = if channels == Channels::Segments { matrix.minor } else { matrix.major() };
    let mut cells = vec![FloatCell::default(); number];
    let mut stored = vec![(0usize, Dd::ZERO); number];
    let join = |channel: usize, entries: &Entries<FloatCell>| {
        cells[channel].merge(&entries.cell);
        stored[channel].0 += entries.count;
        stored[channel].1 = stored[channel].1 + entries.weight;
    };
    match weights {
        None => gather::<T, I, Sums<Unweighted>>(matrix, channels, None, threads, join)?,
        Some(_) => gather::<T, I, Sums<Dd>>(matrix, channels, weights, threads, join)?,
    }
    let total = weights.map(|weights| weights.iter().fold(Dd::ZERO, |total, weight| total.add_f64(*weight)));
    for (cell, (count, weight)) in cells.iter_mut().zip(stored) {
        let zeros = elements.saturating_sub(count);
        let weight = if zeros == 0 { Dd::ZERO } else { total.map_or(Dd::from(zeros as f64), |total| total - weight) };
        cell.merge(&FloatCell { weight: weight.max_zero(), ..FloatCell::default() });
    }
    Ok(Moments { floats: cells, integers: Vec::new(), weighted: weights.is_some() })
}

/// Smallest and largest entry.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Ends(Cell);

impl Default for Ends {
    fn default() -> Self {
        Self(Cell::EMPTY)
    }
}

impl Tally for Ends {
    /// Number of entries that are not numbers.
    type Rare = usize;
    type Cell = Cell;

    #[inline(always)]
    fn take(&mut self, missing: &mut usize, x: f64, _weight: f64) {
        if x.is_nan() {
            *missing += 1;
            return;
        }
        let Cell { count, min, max } = &mut self.0;
        *min = if x < *min { x } else { *min };
        *max = if x > *max { x } else { *max };
        *count += 1;
    }

    fn count(&self, missing: &usize) -> usize {
        self.0.count as usize + missing
    }

    fn finish(&self, _missing: &usize) -> Option<Cell> {
        Some(self.0)
    }
}

/// Extrema of every channel, zeros and all. NaN is left out.
pub fn extrema<T: Element, I: Index>(
    matrix: Compressed<'_, T, I>,
    channels: Channels,
    threads: usize,
) -> Result<Extrema, Error> {
    let number = matrix.channels(channels);
    let elements = if channels == Channels::Segments { matrix.minor } else { matrix.major() };
    let mut cells = vec![Cell::EMPTY; number];
    let mut stored = vec![0usize; number];
    let mut joined = Ok(());
    gather::<T, I, Ends>(matrix, channels, None, threads, |channel, entries| {
        stored[channel] += entries.count;
        if let Err(error) = cells[channel].merge(&entries.cell) {
            joined = Err(error);
        }
    })?;
    joined?;
    for (cell, stored) in cells.iter_mut().zip(stored) {
        cell.merge(&Cell { count: elements.saturating_sub(stored) as u64, min: 0.0, max: 0.0 })?;
    }
    Ok(Extrema { cells })
}

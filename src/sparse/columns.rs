//! Statistics of the channels of a sparse matrix.

use super::{Channels, Compressed, Index, OUT_OF_RANGE, PIECES};
use crate::dd::Dd;
use crate::element::Element;
use crate::error::Error;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::parallel;
use crate::stats::cell::{self, FloatCell};
use crate::stats::extrema::{Cell, Extrema};
use crate::stats::moments::Moments;
use crate::stats::weighted_sums::PIVOT_DISTANCE;
use std::ops::Range;

/// What is gathered of the entries of one channel.
trait Tally: Copy + Default + Send {
    /// Whether entries have weights.
    const WEIGHTED: bool = false;
    /// What is rarely touched, and so kept apart.
    type Rare: Copy + Default;
    /// The statistic that it becomes.
    type Cell: Send;
    /// Take in an entry that is a number, as most are. One that is not makes the tally inexact.
    fn take_plain(&mut self, rare: &mut Self::Rare, x: f64);
    /// Take in an entry.
    fn take(&mut self, rare: &mut Self::Rare, x: f64, weight: f64);
    /// Take in what another tally has plainly taken in.
    fn join(&mut self, rare: &mut Self::Rare, other: &Self, other_rare: &Self::Rare);
    /// Whether all entries have to be taken in once more, after [`Self::restart`]; there are `elements`, stored or not.
    fn is_inexact(&self, _rare: &Self::Rare, _elements: usize) -> bool {
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

/// Tallies that share the entries of one channel, so that no addition waits for the one before.
const LANES: usize = 8;

impl<T: Element, I: Index> Piece<'_, T, I> {
    /// Channels by index: every channel at once.
    #[inline(always)]
    fn by_index<C: Tally>(&self) -> Results<C::Cell> {
        let Self { matrix, segments, weights, .. } = self;
        let sorted = matrix.ascends(segments.clone())?;
        let elements = segments.len();
        let mut tallies = memory::filled(C::default(), matrix.minor)?;
        let mut rare = memory::filled(C::Rare::default(), matrix.minor)?;
        let mut weight = memory::filled(Dd::ZERO, if C::WEIGHTED { matrix.minor } else { 0 })?;
        // The segment, counted from one within the piece, of which a channel last had an entry.
        let mut seen = memory::filled(0, if sorted { 0 } else { matrix.minor })?;
        for round in 0..3 {
            if round == 0 && sorted && !C::WEIGHTED {
                let (data, indices) = matrix.pairs(matrix.entries(segments.clone()));
                for (x, index) in data.iter().zip(indices) {
                    let channel = index.offset();
                    let (tally, rare) = tallies.get_mut(channel).zip(rare.get_mut(channel)).ok_or(OUT_OF_RANGE)?;
                    tally.take_plain(rare, x.to_f64());
                }
            } else {
                for (i, segment) in segments.clone().enumerate() {
                    let w = weights.map_or(Some(1.0), |weights| weights.get(segment).copied()).ok_or(OUT_OF_RANGE)?;
                    let (data, indices) = matrix.pairs(matrix.entries(segment..segment + 1));
                    for (x, index) in data.iter().zip(indices) {
                        let channel = index.offset();
                        if !sorted {
                            let seen = seen.get_mut(channel).ok_or(OUT_OF_RANGE)?;
                            if std::mem::replace(seen, i + 1) == i + 1 {
                                return Err(Error::Duplicates);
                            }
                        }
                        let (tally, rare) = tallies.get_mut(channel).zip(rare.get_mut(channel)).ok_or(OUT_OF_RANGE)?;
                        tally.take(rare, x.to_f64(), w);
                        if let Some(weight) = weight.get_mut(channel) {
                            *weight = weight.add_f64(w);
                        }
                    }
                }
            }
            if round == 2 || !tallies.iter().zip(&rare).any(|(tally, rare)| tally.is_inexact(rare, elements)) {
                break;
            }
            tallies.iter_mut().zip(&mut rare).for_each(|(tally, rare)| tally.restart(rare));
            seen.fill(0);
            weight.fill(Dd::ZERO);
        }
        let mut results = memory::with_room(matrix.minor)?;
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
        if !matrix.ascends(segments.clone())? {
            return Err(Error::Duplicates);
        }
        let mut results = memory::with_room(segments.len())?;
        for segment in segments.clone() {
            let (data, indices) = matrix.pairs(matrix.entries(segment..segment + 1));
            let (mut tally, mut rare, mut weight) = (C::default(), C::Rare::default(), Dd::from(data.len() as f64));
            for round in 0..3 {
                if round == 0 && !C::WEIGHTED {
                    (tally, rare) = Self::plain(data);
                } else {
                    weight = Dd::ZERO;
                    for (x, index) in data.iter().zip(indices) {
                        let w = weights.map_or(Some(1.0), |weights| weights.get(index.offset()).copied());
                        let w = w.ok_or(OUT_OF_RANGE)?;
                        tally.take(&mut rare, x.to_f64(), w);
                        weight = weight.add_f64(w);
                    }
                }
                if round == 2 || !tally.is_inexact(&rare, matrix.minor) {
                    break;
                }
                tally.restart(&mut rare);
            }
            results.push(Entries { cell: tally.finish(&rare).ok_or(Error::Infinite)?, count: data.len(), weight });
        }
        Ok((segments.start, results))
    }

    /// A tally that has plainly taken in `data`.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "lanes of arrays of that many")]
    fn plain<C: Tally>(data: &[T]) -> (C, C::Rare) {
        let (mut tallies, mut rare) = ([C::default(); LANES], [C::Rare::default(); LANES]);
        let chunks = data.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for j in 0..LANES {
                tallies[j].take_plain(&mut rare[j], chunk[j].to_f64());
            }
        }
        for x in rest {
            tallies[0].take_plain(&mut rare[0], x.to_f64());
        }
        for j in 1..if data.len() < LANES { 1 } else { LANES } {
            let (other, other_rare) = (tallies[j], rare[j]);
            tallies[0].join(&mut rare[0], &other, &other_rare);
        }
        (tallies[0], rare[0])
    }
}

struct Run<'a, 'b, T, I, C> {
    piece: &'b Piece<'a, T, I>,
    tally: std::marker::PhantomData<C>,
}

impl<T: Element, I: Index, C: Tally> Kernel for Run<'_, '_, T, I, C> {
    type Output = Results<C::Cell>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        match self.piece.channels {
            Channels::Indices => self.piece.by_index::<C>(),
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
        Channels::Indices => (matrix.data.len() / (512 * matrix.minor.max(1))).clamp(1, PIECES / 2),
    };
    let pieces = matrix.pieces(pieces)?;
    let run = |(): &mut (), segments: Range<usize>| {
        let piece = Piece { matrix, segments, channels, weights };
        kernels::run(Run::<T, I, C> { piece: &piece, tally: Default::default() })
    };
    let results = parallel::map_items(pieces, 1, threads, || (), run)?;
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

/// Entries whose sums are taken in `f64` before they are added to those in double-double: few, since equal entries all
/// round the same way.
const BLOCK: u64 = 16;

/// Sums around a pivot, of a block of entries. No two cache lines are touched for one entry.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
struct Sums<W> {
    pivot: f64,
    sum: f64,
    square: f64,
    number: u64,
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
        let weight = if weight.hi == 0.0 { Dd::from(self.number as f64) } else { weight };
        (blocks.sum.add_f64(self.sum), blocks.square.add_f64(self.square), weight)
    }

    /// Add the sums of a block to the others.
    #[inline(always)]
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
    fn take_plain(&mut self, blocks: &mut Blocks, x: f64) {
        self.sum += x;
        self.square += x * x;
        self.number += 1;
        if self.number.is_multiple_of(BLOCK) {
            self.end_block(blocks);
        }
    }

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
    fn join(&mut self, blocks: &mut Blocks, other: &Self, other_blocks: &Blocks) {
        (self.sum, self.square) = (self.sum + other.sum, self.square + other.square);
        (blocks.sum, blocks.square) = (blocks.sum + other_blocks.sum, blocks.square + other_blocks.square);
        self.number += other.number;
    }

    #[inline(always)]
    fn is_inexact(&self, blocks: &Blocks, elements: usize) -> bool {
        let (sum, square, weight) = self.totals(blocks);
        // Around zero the elements that are not stored count: all of them are near it.
        let distance = sum.hi / if self.pivot == 0.0 { elements as f64 } else { weight.hi };
        // As for dense arrays: a pivot more than two standard deviations away would cost digits. Where something is not
        // a number, the sums are not either.
        let exact = sum.hi * distance <= PIVOT_DISTANCE * (square.hi - sum.hi * distance);
        sum.hi != 0.0 && !exact
    }

    fn restart(&mut self, blocks: &mut Blocks) {
        let (sum, _, weight) = self.totals(blocks);
        let distance = sum.hi / weight.hi;
        *self = Self { pivot: self.pivot + if distance.is_finite() { distance } else { 0.0 }, ..Self::default() };
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
    let mut cells: Vec<FloatCell> = memory::filled(FloatCell::default(), number)?;
    let mut stored: Vec<(usize, Dd)> = memory::filled((0, Dd::ZERO), number)?;
    let join = |channel: usize, entries: &Entries<FloatCell>| {
        if let Some((cell, (count, weight))) = cells.get_mut(channel).zip(stored.get_mut(channel)) {
            cell.merge(&entries.cell);
            *count += entries.count;
            *weight = *weight + entries.weight;
        }
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
    let cells = memory::collect_all::<_, Error>(cells.iter().map(cell::Cell::of_floats))?;
    Ok(Moments { cells, weighted: weights.is_some() })
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
    fn take_plain(&mut self, missing: &mut usize, x: f64) {
        let Cell { count, min, max } = self.0;
        self.0 = Cell { count: count + 1, min: if x < min { x } else { min }, max: if x > max { x } else { max } };
        if x.is_nan() {
            *missing += 1;
        }
    }

    #[inline(always)]
    fn take(&mut self, missing: &mut usize, x: f64, _weight: f64) {
        self.take_plain(missing, x);
    }

    #[inline(always)]
    fn join(&mut self, missing: &mut usize, other: &Self, other_missing: &usize) {
        let Cell { count, min, max } = &mut self.0;
        *min = if other.0.min < *min { other.0.min } else { *min };
        *max = if other.0.max > *max { other.0.max } else { *max };
        *count += other.0.count;
        *missing += other_missing;
    }

    fn count(&self, _missing: &usize) -> usize {
        self.0.count as usize
    }

    fn finish(&self, missing: &usize) -> Option<Cell> {
        Some(Cell { count: self.0.count - *missing as u64, ..self.0 })
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
    let mut cells: Vec<Cell> = memory::filled(Cell::EMPTY, number)?;
    let mut stored: Vec<usize> = memory::filled(0, number)?;
    let mut joined = Ok(());
    gather::<T, I, Ends>(matrix, channels, None, threads, |channel, entries| {
        if let Some((cell, stored)) = cells.get_mut(channel).zip(stored.get_mut(channel)) {
            *stored += entries.count;
            if let Err(error) = cell.merge(&entries.cell) {
                joined = Err(error);
            }
        }
    })?;
    joined?;
    for (cell, stored) in cells.iter_mut().zip(stored) {
        cell.merge(&Cell { count: elements.saturating_sub(stored) as u64, min: 0.0, max: 0.0 })?;
    }
    Ok(Extrema { cells })
}

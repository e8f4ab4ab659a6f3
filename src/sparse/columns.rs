//! Statistics of the channels of a sparse matrix.

use super::{Channels, Compressed, Index, PIECES};
use crate::dd::{Dd, two_sum};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::{self, Kernel};
use crate::parallel;
use crate::stats::extrema::{Cell, Extrema};
use crate::stats::moments::{FloatCell, Moments};
use std::ops::Range;

/// What is gathered of the entries of one channel.
trait Tally: Copy + Default + Send {
    /// The statistic that it becomes.
    type Cell: Send;
    /// Take in an entry.
    fn take(&mut self, x: f64, weight: f64);
    /// Whether all entries have to be taken in once more, after [`Self::restart`].
    fn is_inexact(&self) -> bool {
        false
    }
    /// Forget the entries, but not what has been learnt of them.
    fn restart(&mut self) {}
    /// The statistic; nothing if there was an infinity where that is an error.
    fn finish(&self) -> Option<Self::Cell>;
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
    /// Channels by index: every channel at once.
    #[inline(always)]
    fn by_index<C: Tally>(&self) -> Results<C::Cell> {
        let Self { matrix, segments, weights, .. } = self;
        let mut tallies = vec![C::default(); matrix.minor];
        let mut count = vec![0usize; matrix.minor];
        let mut weight = vec![Dd::ZERO; if weights.is_some() { matrix.minor } else { 0 }];
        for round in 0..2 {
            // The segment, counted from one, of which a channel last had an entry.
            let mut seen = vec![0usize; matrix.minor];
            count.fill(0);
            weight.fill(Dd::ZERO);
            for segment in segments.clone() {
                let w = weights.map_or(1.0, |weights| weights[segment]);
                let entries = matrix.segment(segment);
                for (x, index) in matrix.data[entries.clone()].iter().zip(&matrix.indices[entries]) {
                    let channel = index.offset();
                    let Some(last) = seen.get_mut(channel) else { return Err(OUT_OF_RANGE) };
                    if *last == segment + 1 {
                        return Err(Error::Duplicates);
                    }
                    *last = segment + 1;
                    tallies[channel].take(x.to_f64(), w);
                    count[channel] += 1;
                    if let Some(weight) = weight.get_mut(channel) {
                        *weight = weight.add_f64(w);
                    }
                }
            }
            if round > 0 || !tallies.iter().any(Tally::is_inexact) {
                break;
            }
            tallies.iter_mut().for_each(Tally::restart);
        }
        let entries = |(channel, tally): (usize, &C)| {
            let count = count[channel];
            let weight = weight.get(channel).copied().unwrap_or(Dd::from(count as f64));
            Ok(Entries { cell: tally.finish().ok_or(Error::Infinite)?, count, weight })
        };
        Ok((0, tallies.iter().enumerate().map(entries).collect::<Result<_, _>>()?))
    }

    /// Channels by segment: one after the other.
    #[inline(always)]
    fn by_segment<C: Tally>(&self) -> Results<C::Cell> {
        let Self { matrix, segments, weights, .. } = self;
        let mut results = Vec::with_capacity(segments.len());
        for segment in segments.clone() {
            let entries = matrix.segment(segment);
            let (data, indices) = (&matrix.data[entries.clone()], &matrix.indices[entries.clone()]);
            let mut tally = C::default();
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
                    tally.take(x.to_f64(), w);
                    if weights.is_some() {
                        weight = weight.add_f64(w);
                    }
                }
                if round > 0 || !tally.is_inexact() {
                    break;
                }
                tally.restart();
            }
            let count = entries.len();
            let weight = if weights.is_some() { weight } else { Dd::from(count as f64) };
            results.push(Entries { cell: tally.finish().ok_or(Error::Infinite)?, count, weight });
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
    mut join: impl FnMut(usize, &Entries<C::Cell>),
) -> Result<(), Error> {
    // Each piece has results for every index: no more pieces than make them few beside the entries.
    let pieces = match channels {
        Channels::Segments => PIECES,
        Channels::Indices => (matrix.data.len() / (4 * matrix.minor.max(1))).clamp(1, PIECES),
    };
    let pieces = matrix.pieces(pieces).into_iter();
    let pieces: Vec<_> = pieces.map(|segments| Piece { matrix, segments, channels, weights }).collect();
    let run =
        |(): &mut (), piece: usize| kernels::run(Run::<T, I, C> { piece: &pieces[piece], tally: Default::default() });
    for results in parallel::map(pieces.len(), threads, || (), run) {
        let (first, results) = results?;
        results.iter().enumerate().for_each(|(i, entries)| join(first + i, entries));
    }
    Ok(())
}

/// Sums around a pivot, each with the errors of its additions.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Sums {
    pivot: f64,
    sum: f64,
    sum_error: f64,
    square: f64,
    square_error: f64,
    weight: f64,
    weight_error: f64,
}

impl Default for Sums {
    fn default() -> Self {
        Self { pivot: f64::NAN, ..Self::around(0.0) }
    }
}

impl Sums {
    /// Nothing summed yet.
    fn around(pivot: f64) -> Self {
        Self { pivot, sum: 0.0, sum_error: 0.0, square: 0.0, square_error: 0.0, weight: 0.0, weight_error: 0.0 }
    }
}

#[inline(always)]
fn add(sum: &mut f64, error: &mut f64, term: f64) {
    let (total, lost) = two_sum(*sum, term);
    *sum = total;
    *error += lost;
}

impl Tally for Sums {
    type Cell = FloatCell;

    #[inline(always)]
    fn take(&mut self, x: f64, weight: f64) {
        if x.is_nan() || weight == 0.0 {
            return;
        }
        if self.pivot.is_nan() {
            self.pivot = x;
        }
        let difference = x - self.pivot;
        let term = weight * difference;
        add(&mut self.sum, &mut self.sum_error, term);
        add(&mut self.square, &mut self.square_error, term * difference);
        add(&mut self.weight, &mut self.weight_error, weight);
    }

    fn is_inexact(&self) -> bool {
        // As for dense arrays: a pivot more than two standard deviations away would cost digits.
        let distance = self.sum / self.weight;
        let m2 = self.square - self.sum * distance;
        self.sum != 0.0 && distance.is_finite() && self.sum * distance > 4.0 * m2
    }

    fn restart(&mut self) {
        let distance = self.sum / self.weight;
        *self = Self::around(if self.is_inexact() { self.pivot + distance } else { self.pivot });
    }

    fn finish(&self) -> Option<FloatCell> {
        if self.pivot.is_infinite() || self.sum.is_nan() || self.sum.is_infinite() {
            return None;
        }
        if self.weight == 0.0 {
            return Some(FloatCell::default());
        }
        let weight = Dd::from(self.weight).add_f64(self.weight_error);
        let sum = Dd::from(self.sum).add_f64(self.sum_error);
        let error = if self.square_error.is_nan() { 0.0 } else { self.square_error };
        let square = Dd::from(self.square).add_f64(error);
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
    gather::<T, I, Sums>(matrix, channels, weights, threads, |channel, entries| {
        cells[channel].merge(&entries.cell);
        stored[channel].0 += entries.count;
        stored[channel].1 = stored[channel].1 + entries.weight;
    })?;
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
struct Ends(Cell);

impl Default for Ends {
    fn default() -> Self {
        Self(Cell::EMPTY)
    }
}

impl Tally for Ends {
    type Cell = Cell;

    #[inline(always)]
    fn take(&mut self, x: f64, _weight: f64) {
        let Cell { count, min, max } = &mut self.0;
        *min = if x < *min { x } else { *min };
        *max = if x > *max { x } else { *max };
        *count += u64::from(!x.is_nan());
    }

    fn finish(&self) -> Option<Cell> {
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

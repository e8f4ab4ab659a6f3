//! Statistics of the channels of a sparse matrix.

use super::{Channels, Compressed, Index, OUT_OF_RANGE, PIECES};
use crate::element::Element;
use crate::error::Error;
use crate::exact::columns::{Sums, add_element};
use crate::exact::number::Number;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::parallel;
use crate::stats::cell;
use crate::stats::extrema::{Cell, Extrema};
use crate::stats::moments::Moments;
use std::ops::Range;

/// What is gathered of the entries of one channel.
trait Tally: Default + Send {
    /// What is rarely touched, and so kept apart.
    type Rare: Default;
    /// The statistic that it becomes.
    type Cell: Send;
    /// Take in an entry.
    fn take<T: Element>(&mut self, rare: &mut Self::Rare, x: T, weight: f64);
    /// Take in what another tally has.
    fn join(&mut self, rare: &mut Self::Rare, other: Self, other_rare: Self::Rare);
    /// Number of entries.
    fn count(&self, rare: &Self::Rare) -> usize;
    /// The statistic, or what went wrong.
    fn finish(self, rare: Self::Rare) -> Result<Self::Cell, Error>;
}

/// The entries of a channel: their statistic, and how many there are.
struct Entries<C> {
    cell: C,
    count: usize,
}

impl<C> Entries<C> {
    fn of<T: Tally<Cell = C>>(tally: T, rare: T::Rare) -> Result<Self, Error> {
        let count = tally.count(&rare);
        Ok(Self { cell: tally.finish(rare)?, count })
    }
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
/// Entries that are worth them.
const WORTH_LANES: usize = 16 * LANES;

impl<T: Element, I: Index> Piece<'_, T, I> {
    /// Channels by index: every channel at once.
    #[inline(always)]
    fn by_index<C: Tally>(&self) -> Results<C::Cell> {
        let Self { matrix, segments, weights, .. } = self;
        let sorted = matrix.ascends(segments.clone())?;
        let (mut tallies, mut rare) = (Vec::new(), Vec::new());
        memory::resize_with(&mut tallies, matrix.minor, C::default)?;
        memory::resize_with(&mut rare, matrix.minor, C::Rare::default)?;
        if sorted && weights.is_none() {
            let (data, indices) = matrix.pairs(matrix.entries(segments.clone()));
            for (x, index) in data.iter().zip(indices) {
                let channel = index.offset();
                let (tally, rare) = tallies.get_mut(channel).zip(rare.get_mut(channel)).ok_or(OUT_OF_RANGE)?;
                tally.take(rare, *x, 1.0);
            }
        } else {
            // The segment, counted from one within the piece, of which a channel last had an entry.
            let mut seen = memory::filled(0, if sorted { 0 } else { matrix.minor })?;
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
                    tally.take(rare, *x, w);
                }
            }
        }
        Ok((0, memory::collect_all(tallies.into_iter().zip(rare).map(|(tally, rare)| Entries::of(tally, rare)))?))
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
            let (tally, rare) = match weights {
                None => Self::plain::<C>(data),
                Some(weights) => {
                    let (mut tally, mut rare) = (C::default(), C::Rare::default());
                    for (x, index) in data.iter().zip(indices) {
                        tally.take(&mut rare, *x, weights.get(index.offset()).copied().ok_or(OUT_OF_RANGE)?);
                    }
                    (tally, rare)
                }
            };
            results.push(Entries::of(tally, rare)?);
        }
        Ok((segments.start, results))
    }

    /// A tally that has taken in `data`.
    #[inline(always)]
    fn plain<C: Tally>(data: &[T]) -> (C, C::Rare) {
        let (mut tally, mut rare) = (C::default(), C::Rare::default());
        let (chunks, rest) = if data.len() < WORTH_LANES { (&[][..], data) } else { data.as_chunks::<LANES>() };
        for x in rest {
            tally.take(&mut rare, *x, 1.0);
        }
        if !chunks.is_empty() {
            let mut others: [(C, C::Rare); LANES] = std::array::from_fn(|_| Default::default());
            for chunk in chunks {
                for ((tally, rare), x) in others.iter_mut().zip(chunk) {
                    tally.take(rare, *x, 1.0);
                }
            }
            for (other, other_rare) in others {
                tally.join(&mut rare, other, other_rare);
            }
        }
        (tally, rare)
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
    mut join: impl FnMut(usize, Entries<C::Cell>) -> Result<(), Error>,
) -> Result<(), Error> {
    // Each piece has results for every index: no more pieces than make them few beside the entries.
    let pieces = match channels {
        Channels::Segments => PIECES,
        Channels::Indices => (matrix.data.len() / (512 * matrix.minor.max(1))).clamp(1, (2 * threads).min(PIECES / 2)),
    };
    let pieces = matrix.pieces(pieces)?;
    let run = |(): &mut (), segments: Range<usize>| {
        let piece = Piece { matrix, segments, channels, weights };
        kernels::run(Run::<T, I, C> { piece: &piece, tally: Default::default() })
    };
    for (first, results) in parallel::map_items(pieces, 1, threads, || (), run)? {
        for (i, entries) in results.into_iter().enumerate() {
            join(first + i, entries)?;
        }
    }
    Ok(())
}

/// Exponents of two that a [`Fixed`] takes in, from its lowest on.
const WINDOW: u32 = 20;
/// How far below the first entry the lowest exponent is.
const BELOW: u32 = 10;
/// Entries outside of the window after which it moves.
const MOST_OUTSIDE: u32 = 16;
/// The exponent bits of a double, and what a unit in the last place weighs where they are zero.
const EXPONENTS: u32 = 0x7ff;
const UNIT: i32 = -1075;

/// Exact sums of the entries whose exponents are in a window: whole numbers of what a last place weighs at its lowest exponent,
/// and the square of that. With `SINGLE` these are places of `f32`. No two cache lines are touched for one entry.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Fixed<const SINGLE: bool> {
    /// Of numbers below 2^73: there are less than 2^46 of them.
    sum: i128,
    square: [u64; 3],
    number: u64,
    /// The lowest exponent, as its bits; zero as long as there is no window.
    lowest: u32,
    outside: u32,
}

/// The entries that are in no window, and what was met.
#[derive(Debug, Default)]
struct Outside {
    sums: Sums,
    error: Option<Error>,
}

impl<const SINGLE: bool> Fixed<SINGLE> {
    /// Bits of a double that are zero.
    const ZEROS: u32 = if SINGLE { f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS } else { 0 };

    /// Take in a number whose exponent is `shift` above the lowest.
    #[inline(always)]
    fn add(&mut self, bits: u64, shift: u32) {
        let mantissa = ((bits & ((1 << 52) - 1)) | 1 << 52) >> Self::ZEROS;
        // Twice, since no shift may be by all bits.
        let above = |bits: u64, shift: u32| bits >> (63 - shift) >> 1;
        let magnitude = u128::from(mantissa << shift) | u128::from(above(mantissa, shift)) << 64;
        let sign = -i128::from(bits >> 63);
        self.sum += (magnitude as i128 ^ sign) - sign;
        let shift = 2 * shift;
        let square = u128::from(mantissa) * u128::from(mantissa);
        let (low, middle) = (square as u64, (square >> 64) as u64);
        let high = above(middle, shift);
        let (low, middle) = (low << shift, middle << shift | above(low, shift));
        let [first, second, third] = &mut self.square;
        let (sum, carry) = first.overflowing_add(low);
        let (middle, over) = second.overflowing_add(middle);
        let (middle, over_too) = middle.overflowing_add(u64::from(carry));
        (*first, *second) = (sum, middle);
        *third += high + u64::from(over) + u64::from(over_too);
    }

    /// Take in what is in no window: zero, what is no number, and what is large or small beside the others.
    #[cold]
    #[inline(never)]
    fn add_outside(&mut self, outside: &mut Outside, x: f64) {
        let exponent = (x.to_bits() >> 52) as u32 & EXPONENTS;
        if x == 0.0 {
            return;
        }
        if exponent > 0 && exponent < EXPONENTS {
            self.outside += 1;
            if self.lowest == 0 || self.outside > MOST_OUTSIDE {
                self.drain(outside);
                // What is no number has an exponent above the window.
                self.lowest = exponent.saturating_sub(BELOW).clamp(1, EXPONENTS - 1 - WINDOW);
            }
            if let Some(shift) = exponent.checked_sub(self.lowest).filter(|shift| *shift <= WINDOW) {
                return self.add(x.to_bits(), shift);
            }
        }
        outside.note(|sums| add_element(sums, x));
    }

    /// Move the sums to the others.
    fn drain(&mut self, outside: &mut Outside) {
        let Self { sum, square, lowest, .. } = *self;
        outside.note(|sums| {
            let unit = lowest as i32 + UNIT + Self::ZEROS as i32;
            sums.sum.add_scaled(sum, unit)?;
            let limbs = (0..).zip(square);
            limbs.into_iter().try_for_each(|(i, limb)| sums.square.add_scaled(i128::from(limb), 2 * unit + 64 * i))
        });
        *self = Self { number: self.number, ..Self::default() };
    }
}

impl Outside {
    /// Do something with the sums, and remember the first error.
    fn note(&mut self, add: impl FnOnce(&mut Sums) -> Result<(), Error>) {
        if let Err(error) = add(&mut self.sums) {
            self.error.get_or_insert(error);
        }
    }
}

impl<const SINGLE: bool> Tally for Fixed<SINGLE> {
    type Rare = Outside;
    type Cell = cell::Cell;

    #[inline(always)]
    fn take<T: Element>(&mut self, outside: &mut Outside, x: T, _weight: f64) {
        self.number += 1;
        let x = x.to_f64();
        let shift = ((x.to_bits() >> 52) as u32 & EXPONENTS).wrapping_sub(self.lowest);
        if shift <= WINDOW && self.lowest > 0 {
            self.add(x.to_bits(), shift);
        } else {
            self.add_outside(outside, x);
        }
    }

    fn join(&mut self, outside: &mut Outside, mut other: Self, mut other_outside: Outside) {
        other.drain(&mut other_outside);
        self.number += other.number;
        outside.note(|sums| sums.join(&other_outside.sums));
        outside.error = outside.error.take().or(other_outside.error);
    }

    fn count(&self, _outside: &Outside) -> usize {
        self.number as usize
    }

    fn finish(mut self, mut outside: Outside) -> Result<cell::Cell, Error> {
        self.drain(&mut outside);
        let Outside { sums: Sums { sum, square, missing }, error } = outside;
        error.map_or(Ok(()), Err)?;
        cell::Cell::of(self.number - missing, sum, square)
    }
}

/// Exact sums of entries with weights, one after the other, and the sum of all weights.
#[derive(Debug, Default)]
struct Weighted {
    cell: cell::Cell,
    weight: Number,
    number: usize,
}

impl Tally for Weighted {
    type Rare = Option<Error>;
    /// The moments, and the sum of the weights, of what is not a number, too.
    type Cell = (cell::Cell, Number);

    fn take<T: Element>(&mut self, failed: &mut Option<Error>, x: T, weight: f64) {
        self.number += 1;
        if let Err(error) = self.cell.add_weighted(x, weight).and_then(|()| self.weight.add_f64(weight)) {
            failed.get_or_insert(error);
        }
    }

    fn join(&mut self, failed: &mut Option<Error>, other: Self, other_failed: Option<Error>) {
        self.number += other.number;
        let joined = self.cell.merge(&other.cell).and_then(|()| self.weight.add(&other.weight));
        *failed = failed.take().or(other_failed).or(joined.err());
    }

    fn count(&self, _failed: &Option<Error>) -> usize {
        self.number
    }

    fn finish(mut self, failed: Option<Error>) -> Result<Self::Cell, Error> {
        failed.map_or(Ok(()), Err)?;
        self.cell.trim();
        Ok((self.cell, self.weight))
    }
}

/// Moments of every channel, zeros and all, exactly. NaN is left out; infinity is an error. `weights`, finite and not
/// negative, has one for each segment if channels are indices, and one for each index if channels are segments.
pub fn moments<T: Element, I: Index>(
    matrix: Compressed<'_, T, I>,
    channels: Channels,
    weights: Option<&[f64]>,
    threads: usize,
) -> Result<Moments, Error> {
    let number = matrix.channels(channels);
    let elements = if channels == Channels::Segments { matrix.minor } else { matrix.major() };
    let mut cells = Vec::new();
    memory::resize_with(&mut cells, number, cell::Cell::default)?;
    match weights {
        None => {
            let mut stored = memory::filled(0, number)?;
            let join = |channel: usize, entries: Entries<cell::Cell>| {
                let Some((cell, stored)) = cells.get_mut(channel).zip(stored.get_mut(channel)) else { return Ok(()) };
                *stored += entries.count;
                cell.merge(&entries.cell)
            };
            if T::FITS_F32 {
                gather::<T, I, Fixed<true>>(matrix, channels, None, threads, join)?;
            } else {
                gather::<T, I, Fixed<false>>(matrix, channels, None, threads, join)?;
            }
            for (cell, stored) in cells.iter_mut().zip(stored) {
                cell.weight.add_scaled(elements.saturating_sub(stored) as i128, 0)?;
                cell.weight.trim();
            }
        }
        Some(weights) => {
            let mut stored = Vec::new();
            memory::resize_with(&mut stored, number, Number::default)?;
            gather::<T, I, Weighted>(matrix, channels, Some(weights), threads, |channel, entries| {
                let Some((cell, stored)) = cells.get_mut(channel).zip(stored.get_mut(channel)) else { return Ok(()) };
                let (part, weight) = entries.cell;
                stored.add(&weight)?;
                cell.merge(&part)
            })?;
            let mut total = Number::default();
            weights.iter().try_for_each(|weight| total.add_f64(*weight))?;
            for (cell, stored) in cells.iter_mut().zip(stored) {
                // Those of the zeros that are not stored.
                cell.weight.add(&total.minus(&stored)?)?;
                cell.weight.trim();
                if !cell.weight.to_f64()?.is_finite() {
                    return Err(Error::Overflow);
                }
            }
        }
    }
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
    fn take<T: Element>(&mut self, missing: &mut usize, x: T, _weight: f64) {
        let x = x.to_f64();
        let Cell { count, min, max } = self.0;
        self.0 = Cell { count: count + 1, min: if x < min { x } else { min }, max: if x > max { x } else { max } };
        if x.is_nan() {
            *missing += 1;
        }
    }

    #[inline(always)]
    fn join(&mut self, missing: &mut usize, other: Self, other_missing: usize) {
        let Cell { count, min, max } = &mut self.0;
        *min = if other.0.min < *min { other.0.min } else { *min };
        *max = if other.0.max > *max { other.0.max } else { *max };
        *count += other.0.count;
        *missing += other_missing;
    }

    fn count(&self, _missing: &usize) -> usize {
        self.0.count as usize
    }

    fn finish(self, missing: usize) -> Result<Cell, Error> {
        Ok(Cell { count: self.0.count - missing as u64, ..self.0 })
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
    gather::<T, I, Ends>(matrix, channels, None, threads, |channel, entries| {
        let Some((cell, stored)) = cells.get_mut(channel).zip(stored.get_mut(channel)) else { return Ok(()) };
        *stored += entries.count;
        cell.merge(&entries.cell)
    })?;
    for (cell, stored) in cells.iter_mut().zip(stored) {
        cell.merge(&Cell { count: elements.saturating_sub(stored) as u64, min: 0.0, max: 0.0 })?;
    }
    Ok(Extrema { cells })
}

//! Count, mean and variance, from exact sums.
//!
//! A channel has the sum of its elements and of their squares, and neither has ever been rounded ([`crate::exact`]). Mean
//! and variance are quotients of such numbers, rounded once: they do not depend on the order of the elements, nor on how they
//! were cut into batches, threads and merges. The same holds for elements with weights, each weight being the double that it
//! is. Moments that are known are rounded where they come in, and added exactly.

use super::cell::Cell;
use super::group_sums;
use super::groups::Groups;
use super::sums::{ExactAccumulator, IntegerAccumulator, LongAccumulator};
use super::weighted_sums::WeightedAccumulator;
use super::{MOST_ELEMENTS, joined};
use crate::drive::reduce;
use crate::drive::source::{Converted, Maskable, Masked, Source};
use crate::element::{Bool, Sum, bf16, f16};
use crate::error::Error;
use crate::exact::number::Number;
use crate::exact::quotient::scaled;
use crate::memory;
use crate::parallel;
use crate::rounding::Standard;
use crate::view::View;

/// Arrays whose moments are held at a time before they are joined.
const GROUP: usize = 256;
/// Channels up to which several arrays are looked at at a time.
const MOST_CHANNELS_APART: usize = 1024;

/// Moments of every channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moments {
    /// Those of each; none for a state that has seen no array yet.
    pub cells: Vec<Cell>,
    /// Whether weights were ever used.
    pub weighted: bool,
}

/// An element type together with the accumulator that suits it.
pub trait MomentsElement: Maskable {
    /// Moments of `x` along the axes that are not kept.
    fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error>;
    /// Moments of those elements that `mask` lets count.
    fn masked(x: View<'_, Self>, mask: View<'_, Bool>, kept: &[bool], threads: usize) -> Result<Moments, Error> {
        exact_moments(Masked::new(x, mask), kept, threads)
    }
    /// Moments of groups of rows, where there is a quick way.
    fn quick_moments(
        _x: View<'_, Self>,
        _kept: &[bool],
        _codes: &[u32],
        _groups: usize,
        _threads: usize,
    ) -> Result<Option<Vec<Cell>>, Error> {
        Ok(None)
    }
}

fn channels(shape: &[usize], kept: &[bool]) -> usize {
    shape.iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).product()
}

/// A cell of each channel, to be filled.
fn empty(shape: &[usize], kept: &[bool]) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::new();
    memory::resize_with(&mut cells, channels(shape, kept), Cell::default)?;
    Ok(cells)
}

/// Join a cell to that of its channel.
fn join(cells: &mut [Cell], channel: usize, cell: Cell) -> Result<(), Error> {
    match cells.get_mut(channel) {
        Some(whole) if *whole == Cell::default() => *whole = cell,
        Some(whole) => whole.merge(&cell)?,
        None => {}
    }
    Ok(())
}

/// Moments of floating-point elements, exactly.
fn exact_moments<S: Source<Element: Maskable>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
    let mut cells = empty(x.shape(), kept)?;
    let accumulator = || ExactAccumulator::<<S::Element as Maskable>::Float>::new(S::HAS_MISSING);
    reduce(Converted::floats(x), None, kept, threads, accumulator, |channel, cell| join(&mut cells, channel, cell))?;
    Ok(Moments { cells, weighted: false })
}

/// Moments of elements with weights, exactly.
fn weighted_moments<S: Source>(x: S, weights: View<'_, f64>, kept: &[bool], threads: usize) -> Result<Moments, Error> {
    let mut cells = empty(x.shape(), kept)?;
    reduce(Converted::exact(x), Some(weights), kept, threads, WeightedAccumulator::default, |channel, cell| {
        join(&mut cells, channel, cell)
    })?;
    for cell in &cells {
        if !cell.weight.to_f64()?.is_finite() {
            return Err(Error::Overflow);
        }
    }
    Ok(Moments { cells, weighted: true })
}

macro_rules! float_elements {
    ($($t:ty),*) => {$(
        impl MomentsElement for $t {
            fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
                exact_moments(x, kept, threads)
            }

            fn quick_moments(
                x: View<'_, Self>,
                kept: &[bool],
                codes: &[u32],
                groups: usize,
                threads: usize,
            ) -> Result<Option<Vec<Cell>>, Error> {
                group_sums::moments(x, kept, codes, groups, threads)
            }
        }
    )*};
}
float_elements!(f16, bf16, f32, f64);

macro_rules! integer_elements {
    ($($t:ty => $accumulator:ty),*) => {$(
        impl MomentsElement for $t {
            fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
                let mut cells = empty(x.shape(), kept)?;
                reduce(x, None, kept, threads, <$accumulator>::default, |channel, cell| join(&mut cells, channel, cell))?;
                Ok(Moments { cells, weighted: false })
            }
        }
    )*};
}
integer_elements! {
    Bool => IntegerAccumulator<Bool>, u8 => IntegerAccumulator<u8>, i8 => IntegerAccumulator<i8>,
    u16 => IntegerAccumulator<u16>, i16 => IntegerAccumulator<i16>, u32 => IntegerAccumulator<u32>,
    i32 => IntegerAccumulator<i32>
}

/// Moments of integers of 64 bits, or of what stands for them.
fn long_moments<S: Source>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
    let mut cells = empty(x.shape(), kept)?;
    reduce(x, None, kept, threads, LongAccumulator::default, |channel, cell| join(&mut cells, channel, cell))?;
    Ok(Moments { cells, weighted: false })
}

macro_rules! long_elements {
    ($($t:ty),*) => {$(
        impl MomentsElement for $t {
            fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
                long_moments(x, kept, threads)
            }

            fn masked(x: View<'_, Self>, mask: View<'_, Bool>, kept: &[bool], threads: usize) -> Result<Moments, Error> {
                long_moments(Masked::<_, Sum>::of_type(x, mask), kept, threads)
            }
        }
    )*};
}
long_elements!(u64, i64);

impl Moments {
    /// Moments of `x` along the axes that are not kept. NaN is left out; infinity is an error.
    pub fn of<S: Source<Element: MomentsElement>>(x: S, kept: &[bool], threads: usize) -> Result<Self, Error> {
        S::Element::moments(x, kept, threads)
    }

    /// Moments of `groups` of the rows of `x`, the channels of the first group first. The group of each row is one of `codes`,
    /// which are below `groups`; rows may have weights, finite and >= 0.
    pub fn of_groups<T: MomentsElement>(
        x: View<'_, T>,
        codes: &[u32],
        groups: usize,
        weights: Option<&[f64]>,
        kept: &[bool],
        threads: usize,
    ) -> Result<Self, Error> {
        let quick = match weights {
            None => T::quick_moments(x, kept, codes, groups, threads)?,
            Some(_) => None,
        };
        if let Some(cells) = quick {
            return Ok(Self { cells, weighted: false });
        }
        let numbers = Groups::new(codes, groups, |_| true)?;
        let parts = numbers.each(
            x,
            weights,
            threads,
            |_| true,
            |x, weights, threads| match weights {
                Some(weights) => weighted_moments(x, weights, kept, threads),
                None => Self::of(x, kept, threads),
            },
        )?;
        let mut cells = Vec::new();
        for (_, mut part) in parts {
            memory::reserve(&mut cells, part.cells.len())?;
            cells.append(&mut part.cells);
        }
        Ok(Self { cells, weighted: weights.is_some() })
    }

    /// Moments of several arrays, each along the axes that are not kept in it, as if they came one after the other. The
    /// first error, with the number of its array.
    pub fn of_each<T: MomentsElement>(
        arrays: &[(View<'_, T>, &[bool])],
        threads: usize,
    ) -> Result<Self, (usize, Error)> {
        let channels = arrays.first().map_or(0, |(x, kept)| channels(x.shape(), kept));
        // Arrays are short work: many of them go one to a thread, unless their moments take much memory.
        let apart = arrays.len() >= threads && channels <= MOST_CHANNELS_APART;
        let (group, outer, inner) = if apart { (GROUP, threads, 1) } else { (1, 1, threads) };
        let mut total = Self::default();
        for (number, arrays) in arrays.chunks(group).enumerate() {
            let at = |index: usize, error: Error| (number * group + index, error);
            let of = |(): &mut (), index: usize| match arrays.get(index) {
                Some((x, kept)) => Self::of(*x, kept, inner).map_err(|error| at(index, error)),
                None => Ok(Self::default()),
            };
            for (index, moments) in parallel::map(arrays.len(), outer, || (), of)?.into_iter().enumerate() {
                total.merge(&moments).map_err(|error| at(index, error))?;
            }
        }
        Ok(total)
    }

    /// Moments of elements that may have a mask or weights: those have the shape of `x` (by broadcasting strides), and weights
    /// are finite and not negative.
    pub fn of_chosen<T: MomentsElement>(
        x: View<'_, T>,
        mask: Option<View<'_, Bool>>,
        weights: Option<View<'_, f64>>,
        kept: &[bool],
        threads: usize,
    ) -> Result<Self, Error> {
        match (mask, weights) {
            (Some(mask), Some(weights)) => {
                weighted_moments(Masked::<_, T::Wide>::of_type(x, mask), weights, kept, threads)
            }
            (Some(mask), None) => T::masked(x, mask, kept, threads),
            (None, Some(weights)) => weighted_moments(x, weights, kept, threads),
            (None, None) => Self::of(x, kept, threads),
        }
    }

    /// Moments that are known: for each channel the number of its elements, their mean and their variance, which do not
    /// matter where there is no element. All of them come out again as they are.
    pub fn known(count: &[f64], mean: &[f64], var: &[f64]) -> Result<Self, Error> {
        let cell = |((count, mean), var): ((&f64, &f64), &f64)| {
            if *count == 0.0 {
                return Ok(Cell::default());
            }
            let (weight, mean) = (Number::from_f64(*count)?, Number::from_f64(*mean)?);
            let sum = mean.times(&weight)?;
            let mut square = sum.times(&mean)?;
            square.add(&weight.times(&Number::from_f64(*var)?)?)?;
            square.trim();
            Ok(Cell { weight, sum, square })
        };
        Ok(Self {
            cells: memory::collect_all::<_, Error>(count.iter().zip(mean).zip(var).map(cell))?,
            weighted: count.iter().any(|count| count.fract() != 0.0 || *count > 2f64.powi(53)),
        })
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let cells = memory::collect_all::<_, Error>(self.cells.iter().map(Cell::try_clone))?;
        Ok(Self { cells, weighted: self.weighted })
    }

    /// Number of channels; zero for a state that has seen no array yet.
    pub fn channels(&self) -> usize {
        self.cells.len()
    }

    /// Join another state to this one: in any order, the result is the same. After an error nothing has changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if other.channels() == 0 {
            return Ok(());
        }
        if self.channels() == 0 {
            *self = other.try_clone()?;
            return Ok(());
        }
        if self.channels() != other.channels() {
            return Err(Error::ChannelMismatch { left: self.channels(), right: other.channels() });
        }
        let weighted = self.weighted || other.weighted;
        for (ours, theirs) in self.cells.iter_mut().zip(&other.cells) {
            match (ours.weight.to_u64(), theirs.weight.to_u64()) {
                (Some(ours), Some(theirs)) if !weighted => joined(ours, theirs).map(|_| ())?,
                _ if weighted && (ours.weight.to_f64()? + theirs.weight.to_f64()?).is_finite() => {}
                _ => return Err(Error::Overflow),
            }
            ours.make_room(theirs)?;
        }
        for (ours, theirs) in self.cells.iter_mut().zip(&other.cells) {
            ours.merge(theirs)?;
        }
        self.weighted = weighted;
        Ok(())
    }

    /// A value of each channel.
    fn each(&self, value: impl Fn(&Cell) -> Result<f64, Error>) -> Result<Vec<f64>, Error> {
        let _standard = Standard::enter();
        memory::collect_all(self.cells.iter().map(value))
    }

    /// Number of elements (or sum of their weights) of each channel.
    pub fn count(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| cell.weight.to_f64())
    }

    /// Number of elements of each channel, where there are no weights.
    pub fn numbers(&self) -> Result<Vec<u64>, Error> {
        memory::collect(self.cells.iter().map(|cell| cell.weight.to_u64().unwrap_or(MOST_ELEMENTS)))
    }

    /// Mean of each channel; NaN where there is no element.
    pub fn mean(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| Ok(cell.mean()?.map_or(f64::NAN, |mean| mean.to_f64())))
    }

    /// What rounding the mean of each channel lost.
    pub fn mean_rest(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| {
            let mean = cell.mean()?.map_or(f64::NAN, |mean| mean.to_f64());
            if !mean.is_finite() {
                return Ok(0.0);
            }
            let rest = cell.sum.minus(&Number::from_f64(mean)?.times(&cell.weight)?)?;
            Ok(rest.over(&cell.weight)?.to_f64())
        })
    }

    /// Variance of each channel with `ddof` degrees of freedom taken off; NaN where none are left.
    pub fn var(&self, ddof: f64) -> Result<Vec<f64>, Error> {
        self.each(|cell| Ok(cell.var(ddof)?.map_or(f64::NAN, |var| var.to_f64())))
    }

    /// Mean, variance and [`Self::scale`] of each channel.
    pub fn finish(&self, ddof: f64) -> Result<[Vec<f64>; 3], Error> {
        let _standard = Standard::enter();
        let room = || memory::with_room(self.cells.len());
        let [mut means, mut vars, mut scales] = [room()?, room()?, room()?];
        for cell in &self.cells {
            let (mean, population) = (cell.mean()?, cell.var(0.0)?);
            let var = if ddof == 0.0 { population } else { cell.var(ddof)? };
            means.push(mean.map_or(f64::NAN, |mean| mean.to_f64()));
            vars.push(var.map_or(f64::NAN, |var| var.to_f64()));
            scales.push(cell.scale(mean, population)?);
        }
        Ok([means, vars, scales])
    }

    /// Standard deviation of each channel, within one unit in the last place; NaN where no degrees of freedom are left.
    pub fn std(&self, ddof: f64) -> Result<Vec<f64>, Error> {
        self.each(|cell| {
            let root = cell.var(ddof)?.map(|var| var.sqrt());
            Ok(root.map_or(f64::NAN, |(root, power)| scaled(root, power)))
        })
    }

    /// What to divide each channel by: its standard deviation, or one where it is constant.
    pub fn scale(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| cell.scale(cell.mean()?, cell.var(0.0)?))
    }
}

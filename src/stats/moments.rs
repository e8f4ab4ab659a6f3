//! Count, mean and variance.
//!
//! Floating-point elements are summed as deviations from a pivot near the mean, tile by tile in `f64`, tiles in
//! double-double; finished cells are joined by the pairwise formulas of T. F. Chan, G. H. Golub and R. J. LeVeque,
//! "Algorithms for computing the sample variance", The American Statistician 37 (1983), in the notation of P. Pebay,
//! "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments",
//! Sandia report SAND2008-6212. Integers of up to 32 bits are summed exactly.

use super::exact::scaled_variance;
use super::group_sums::{self, Cells};
use super::groups::Groups;
use super::sums::{FloatAccumulator, IntegerAccumulator};
use super::{MOST_ELEMENTS, joined};
use crate::dd::Dd;
use crate::drive::reduce;
use crate::drive::source::{Floats, Maskable, Source};
use crate::element::{Bool, bf16, f16};
use crate::error::Error;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::parallel;
use crate::view::View;

/// Arrays whose moments are held at a time before they are joined.
const GROUP: usize = 256;
/// Channels up to which several arrays are looked at at a time.
const MOST_CHANNELS_APART: usize = 1024;

/// Moments of one channel of floating-point (or weighted) elements.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FloatCell {
    /// Sum of the weights: the count where there are none.
    pub weight: Dd,
    /// Mean.
    pub mean: Dd,
    /// Sum of `w (x - mean)^2`.
    pub m2: Dd,
}

impl FloatCell {
    /// Join two cells: Pebay (2008), equations II.3 and II.4, or Chan et al. (1983), 1.5a and 1.5b.
    #[inline(always)]
    pub fn merge(&mut self, other: &Self) {
        if other.weight.hi == 0.0 {
            return;
        }
        if self.weight.hi == 0.0 {
            *self = *other;
            return;
        }
        let weight = self.weight + other.weight;
        let delta = other.mean - self.mean;
        let step = delta * (other.weight / weight);
        self.mean = self.mean + step;
        self.m2 = self.m2 + other.m2 + delta * step * self.weight;
        self.weight = weight;
    }
}

/// Moments of one channel of integers, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntegerCell {
    /// Number of elements.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares.
    pub square: u128,
}

impl IntegerCell {
    /// Join two cells.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let count = joined(self.count, other.count)?;
        let sum = self.sum.checked_add(other.sum).ok_or(Error::Overflow)?;
        self.square = self.square.checked_add(other.square).ok_or(Error::Overflow)?;
        (self.count, self.sum) = (count, sum);
        Ok(())
    }

    /// Whether integers of at most 32 bits can have these moments.
    pub fn is_possible(&self) -> bool {
        let Self { count, sum, square } = *self;
        count <= MOST_ELEMENTS && sum.unsigned_abs() <= u128::from(count) << 32 && square <= u128::from(count) << 64
    }

    /// The same moments, each rounded once to 106 bits.
    fn to_float(self) -> FloatCell {
        if self.count == 0 {
            return FloatCell::default();
        }
        let weight = Dd::from_u128(u128::from(self.count));
        let m2 = scaled_variance(self.count, self.sum, self.square) / weight;
        FloatCell { weight, mean: Dd::from_i128(self.sum) / weight, m2 }
    }
}

/// Moments of every channel. Integers and floats are kept apart, so that integer sums stay exact whatever else comes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moments {
    /// Moments of floating-point and of weighted elements; empty where there were none.
    pub floats: Vec<FloatCell>,
    /// Moments of integers; empty where there were none.
    pub integers: Vec<IntegerCell>,
    /// Whether weights were ever used.
    pub weighted: bool,
}

/// An element type together with the accumulator that suits it.
pub trait MomentsElement: Maskable {
    /// Moments of `x` along the axes that are not kept.
    fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error>;
    /// Moments of groups of rows, where there is a quick way.
    fn quick_moments(
        _x: View<'_, Self>,
        _kept: &[bool],
        _codes: &[u32],
        _groups: usize,
        _threads: usize,
    ) -> Result<Option<Cells>, Error> {
        Ok(None)
    }
}

fn channels(shape: &[usize], kept: &[bool]) -> usize {
    shape.iter().zip(kept).filter(|(_, kept)| **kept).map(|(len, _)| *len).product()
}

fn float_moments<S: Source<Element: Maskable>>(
    x: S,
    weights: Option<View<'_, f64>>,
    kept: &[bool],
    threads: usize,
) -> Result<Moments, Error> {
    let mut floats: Vec<FloatCell> = memory::filled(FloatCell::default(), channels(x.shape(), kept))?;
    let weighted = weights.is_some();
    let accumulator = || FloatAccumulator::new(S::HAS_MISSING);
    reduce(Floats(x), weights, kept, threads, accumulator, |channel, cell| {
        if let Some(whole) = floats.get_mut(channel) {
            kernels::run(Join { whole, cell });
        }
        Ok(())
    })?;
    Ok(Moments { floats, integers: Vec::new(), weighted })
}

macro_rules! float_elements {
    ($($t:ty),*) => {$(
        impl MomentsElement for $t {
            fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
                float_moments(x, None, kept, threads)
            }

            fn quick_moments(
                x: View<'_, Self>,
                kept: &[bool],
                codes: &[u32],
                groups: usize,
                threads: usize,
            ) -> Result<Option<Cells>, Error> {
                group_sums::moments(x, kept, codes, groups, threads)
            }
        }
    )*};
}
float_elements!(f16, bf16, f32, f64, i64, u64);

macro_rules! integer_elements {
    ($($t:ty),*) => {$(
        impl MomentsElement for $t {
            fn moments<S: Source<Element = Self>>(x: S, kept: &[bool], threads: usize) -> Result<Moments, Error> {
                let mut integers: Vec<IntegerCell> = memory::filled(IntegerCell::default(), channels(x.shape(), kept))?;
                reduce(x, None, kept, threads, IntegerAccumulator::default, |channel, cell| {
                    integers.get_mut(channel).map_or(Ok(()), |whole| whole.merge(&cell))
                })?;
                Ok(Moments { floats: Vec::new(), integers, weighted: false })
            }
        }
    )*};
}
integer_elements!(Bool, u8, i8, u16, i16, u32, i32);

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
        let Cells { mut cells, done } = match quick {
            Some(cells) => cells,
            None => Cells { cells: Vec::new(), done: memory::filled(false, groups)? },
        };
        let wanted = |group: usize| done.get(group) == Some(&false);
        let mut integers = Vec::new();
        if done.contains(&false) {
            let numbers = Groups::new(codes, groups, wanted)?;
            let parts = numbers.each(x, weights, threads, wanted, |x, weights, threads| match weights {
                Some(_) => Self::of_weighted(x, weights, kept, threads),
                None => Self::of(x, kept, threads),
            })?;
            for (group, part) in parts {
                let len = part.floats.len();
                if cells.len() < groups * len {
                    memory::resize(&mut cells, FloatCell::default(), groups * len)?;
                }
                cells.iter_mut().skip(group * len).zip(&part.floats).for_each(|(cell, part)| *cell = *part);
                memory::extend(&mut integers, part.integers)?;
            }
        }
        Ok(Self { floats: cells, integers, weighted: weights.is_some() })
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

    /// Moments of elements that may have a mask or weights: those have the shape of `x` (by broadcasting strides) and
    /// hold finite values >= 0. Integers are summed as floats.
    pub fn of_weighted(
        x: impl Source<Element: Maskable>,
        weights: Option<View<'_, f64>>,
        kept: &[bool],
        threads: usize,
    ) -> Result<Self, Error> {
        float_moments(x, weights, kept, threads)
    }

    /// Moments that are known: for each channel the number of its elements, their mean and their variance, which do not
    /// matter where there is no element.
    pub fn known(count: &[f64], mean: &[f64], var: &[f64]) -> Result<Self, Error> {
        let cell = |((count, mean), var): ((&f64, &f64), &f64)| {
            let weight = Dd::from(*count);
            let known = FloatCell { weight, mean: (*mean).into(), m2: Dd::from(*var) * weight };
            if *count == 0.0 { FloatCell::default() } else { known }
        };
        Ok(Self {
            floats: memory::collect(count.iter().zip(mean).zip(var).map(cell))?,
            integers: Vec::new(),
            weighted: count.iter().any(|count| count.fract() != 0.0 || *count > 2f64.powi(53)),
        })
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let (floats, integers) = (memory::copied(&self.floats)?, memory::copied(&self.integers)?);
        Ok(Self { floats, integers, weighted: self.weighted })
    }

    /// Number of channels; zero for a state that has seen no array yet.
    pub fn channels(&self) -> usize {
        self.floats.len().max(self.integers.len())
    }

    /// Join another state to this one, as if its elements had come after.
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
        // All that may fail comes first: then nothing has changed.
        let mut integers = memory::copied(if self.integers.is_empty() { &other.integers } else { &self.integers })?;
        if !self.integers.is_empty() {
            for (ours, theirs) in integers.iter_mut().zip(&other.integers) {
                ours.merge(theirs)?;
            }
        }
        let weights = self.floats.iter().zip(&other.floats).map(|(ours, theirs)| ours.weight.hi + theirs.weight.hi);
        if !weights.clone().all(f64::is_finite) {
            return Err(Error::Overflow);
        }
        if self.floats.is_empty() {
            self.floats = memory::copied(&other.floats)?;
        } else {
            self.floats.iter_mut().zip(&other.floats).for_each(|(ours, theirs)| ours.merge(theirs));
        }
        self.integers = integers;
        self.weighted |= other.weighted;
        Ok(())
    }

    /// A value of each channel, made of all that is known of it.
    fn each(&self, value: impl Fn(FloatCell) -> f64) -> Result<Vec<f64>, Error> {
        let values = memory::with_room(self.channels())?;
        Ok(kernels::run(Each { moments: self, value, values }))
    }

    /// Number of elements (or sum of their weights) of each channel.
    pub fn count(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| cell.weight.to_f64())
    }

    /// Mean of each channel; NaN where there is no element.
    pub fn mean(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| if cell.weight.hi == 0.0 { f64::NAN } else { cell.mean.to_f64() })
    }

    /// What rounding the mean of each channel lost.
    pub fn mean_rest(&self) -> Result<Vec<f64>, Error> {
        self.each(|cell| cell.mean.lo)
    }

    /// Variance of each channel with `ddof` degrees of freedom taken off; NaN where none are left.
    pub fn var(&self, ddof: f64) -> Result<Vec<f64>, Error> {
        self.each(|cell| {
            let freedom = cell.weight.add_f64(-ddof);
            if freedom.hi <= 0.0 { f64::NAN } else { (cell.m2.max_zero() / freedom).to_f64() }
        })
    }
}

/// Joins a cell to another; a kernel, so that double-double arithmetic has fused multiply-add.
struct Join<'a> {
    whole: &'a mut FloatCell,
    cell: FloatCell,
}

impl Kernel for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.whole.merge(&self.cell);
    }
}

/// Makes a value of each channel; a kernel, so that double-double arithmetic has fused multiply-add.
struct Each<'a, F> {
    moments: &'a Moments,
    value: F,
    /// With room for all of them.
    values: Vec<f64>,
}

impl<F: Fn(FloatCell) -> f64> Kernel for Each<'_, F> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Self { moments: Moments { floats, integers, .. }, value, mut values } = self;
        for channel in 0..floats.len().max(integers.len()) {
            let mut cell = match integers.get(channel) {
                Some(integer) => integer.to_float(),
                None => FloatCell::default(),
            };
            if let Some(float) = floats.get(channel) {
                cell.merge(float);
            }
            values.push(value(cell));
        }
        values
    }
}

/// What to divide a channel by: the standard deviation, or one where the channel is constant as far as double
/// precision can tell. The bound is that of scikit-learn's scalers: the rounding error that a two-pass computation of
/// the variance may have (Chan, Golub and LeVeque 1983). A variance that overflowed says nothing: NaN.
pub fn scale(count: f64, mean: f64, var: f64) -> f64 {
    let bound = count * f64::EPSILON * var + (count * mean * f64::EPSILON).powi(2);
    if var.is_infinite() {
        f64::NAN
    } else if var <= bound {
        1.0
    } else {
        var.sqrt()
    }
}

//! The exact moments of one channel.

use crate::dd::Dd;
use crate::error::Error;
use crate::exact::number::{Number, parts};
use crate::exact::quotient::{self, Quotient, scaled};

/// A power of two that no quotient of sums brings back into the range of doubles.
const BEYOND: i32 = 4096;

/// Moments of weighted elements, rounded to twice the precision of `f64`: on their way to a [`Cell`].
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
    /// Join two cells: P. Pebay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
    /// statistical moments", Sandia report SAND2008-6212, equations II.3 and II.4.
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

/// The exact moments of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// Sum of the weights: the count where there are none.
    pub weight: Number,
    /// Sum of the elements, each times its weight.
    pub sum: Number,
    /// Sum of their squares, each times its weight.
    pub square: Number,
}

impl Cell {
    /// Of so many elements, with these sums.
    pub fn of(count: u64, mut sum: Number, mut square: Number) -> Result<Self, Error> {
        sum.trim();
        square.trim();
        Ok(Self { weight: Number::from_u128(u128::from(count))?, sum, square })
    }

    /// Of integers.
    pub fn of_integers(count: u64, sum: i128, square: u128) -> Result<Self, Error> {
        let (magnitude, square) = (Number::from_u128(sum.unsigned_abs())?, Number::from_u128(square)?);
        Ok(Self {
            weight: Number::from_u128(u128::from(count))?,
            sum: if sum < 0 { magnitude.negated()? } else { magnitude },
            square,
        })
    }

    /// With this weight, this mean, and this sum of squares of differences from it. What has overflowed stays out of range.
    pub fn of_floats(cell: &FloatCell) -> Result<Self, Error> {
        let number = |value: Dd| {
            let mut number = Number::default();
            if value.hi.is_finite() && value.lo.is_finite() {
                number.add_f64(value.hi)?;
                number.add_f64(value.lo)?;
            } else {
                number.add_scaled(1, BEYOND)?;
            }
            number.trim();
            Ok::<_, Error>(number)
        };
        let (weight, mean) = (number(cell.weight)?, number(cell.mean)?);
        let sum = mean.times(&weight)?;
        let mut square = sum.times(&mean)?;
        square.add(&number(cell.m2)?)?;
        square.trim();
        Ok(Self { weight, sum, square })
    }

    /// Add an element with a weight, finite and not negative; NaN and what has no weight are left out. Infinity is an error.
    pub fn add_weighted(&mut self, x: f64, weight: f64) -> Result<(), Error> {
        if x.is_nan() || weight == 0.0 {
            return Ok(());
        }
        if x.is_infinite() {
            return Err(Error::Infinite);
        }
        let ((x, x_power), (w, w_power)) = (parts(x), parts(weight));
        let (x, w) = (i128::from(x), i128::from(w));
        self.weight.add_scaled(w, w_power)?;
        self.sum.add_scaled(w * x, w_power + x_power)?;
        // The square has 106 bits.
        let (high, low) = ((x * x) >> 64, (x * x) & i128::from(u64::MAX));
        self.square.add_scaled(w * low, w_power + 2 * x_power)?;
        self.square.add_scaled(w * high, w_power + 2 * x_power + 64)
    }

    /// Bring all sums into the one form of theirs.
    pub fn trim(&mut self) {
        [&mut self.weight, &mut self.sum, &mut self.square].into_iter().for_each(Number::trim);
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let Self { weight, sum, square } = self;
        Ok(Self { weight: weight.try_clone()?, sum: sum.try_clone()?, square: square.try_clone()? })
    }

    /// Make room for another cell: then [`Self::merge`] allocates nothing.
    pub fn make_room(&mut self, other: &Self) -> Result<(), Error> {
        self.weight.make_room(&other.weight)?;
        self.sum.make_room(&other.sum)?;
        self.square.make_room(&other.square)
    }

    /// Join another cell.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        for (ours, theirs) in
            [(&mut self.weight, &other.weight), (&mut self.sum, &other.sum), (&mut self.square, &other.square)]
        {
            ours.add(theirs)?;
            ours.trim();
        }
        Ok(())
    }

    /// Whether elements can have these moments: by Cauchy and Schwarz.
    pub fn is_possible(&self) -> Result<bool, Error> {
        let Self { weight, sum, square } = self;
        if weight.is_zero() {
            return Ok(sum.is_zero() && square.is_zero());
        }
        let room = weight.times(square)?.minus(&sum.times(sum)?)?;
        Ok(!weight.is_negative() && !square.is_negative() && !room.is_negative())
    }

    /// The mean; nothing where there is no element.
    pub fn mean(&self) -> Result<Option<Quotient>, Error> {
        if self.weight.is_zero() {
            return Ok(None);
        }
        if let Some(mean) = self.weight.to_u64().and_then(|count| quotient::mean(&self.sum, count)) {
            return Ok(Some(mean));
        }
        self.sum.over(&self.weight).map(Some)
    }

    /// The variance with `ddof` degrees of freedom taken off; nothing where none are left.
    pub fn var(&self, ddof: f64) -> Result<Option<Quotient>, Error> {
        let Self { weight, sum, square } = self;
        if let Some(count) = weight.to_u64().filter(|_| ddof.fract() == 0.0 && ddof < 2f64.powi(53)) {
            let Some(freedom) = count.checked_sub(ddof as u64).filter(|freedom| *freedom > 0) else { return Ok(None) };
            if let Some(var) = quotient::variance(sum, square, count, freedom) {
                return Ok(Some(var));
            }
        }
        let freedom = if ddof == 0.0 { weight.try_clone()? } else { weight.minus(&Number::from_f64(ddof)?)? };
        if freedom.is_zero() || freedom.is_negative() {
            return Ok(None);
        }
        let scaled = weight.times(square)?.minus(&sum.times(sum)?)?;
        // Never negative for sums of elements.
        if scaled.is_negative() {
            return Ok(Some(Quotient::default()));
        }
        scaled.over(&weight.times(&freedom)?).map(Some)
    }

    /// What to divide by, where these are mean and variance of the population.
    pub fn scale(&self, mean: Option<Quotient>, var: Option<Quotient>) -> Result<f64, Error> {
        let (Some(mean), Some(var)) = (mean, var) else { return Ok(f64::NAN) };
        let (root, power) = var.sqrt();
        // In units of the deviation: its square may be out of range.
        let (mean, mean_power) = mean.to_scaled();
        let mean = scaled(mean, (mean_power - power).min(1000));
        let constant = is_constant(self.weight.to_f64()?, mean, root * root);
        // What is less than half of the least double is nothing to divide by.
        let deviation = scaled(root, power);
        Ok(if constant || deviation == 0.0 { 1.0 } else { deviation })
    }
}

/// Whether a channel with this count, mean and variance is constant as far as double precision can tell. The bound is that of
/// scikit-learn's scalers: the rounding error that a two-pass computation of the variance may have (T. F. Chan, G. H. Golub and
/// R. J. LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983)).
pub fn is_constant(count: f64, mean: f64, var: f64) -> bool {
    var <= count * f64::EPSILON * var + (count * mean * f64::EPSILON).powi(2)
}

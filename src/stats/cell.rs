//! The exact moments of one channel.

use crate::element::Element;
use crate::error::Error;
use crate::exact::number::{Number, parts};
use crate::exact::quotient::{self, Quotient, scaled};

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

    /// Add an element with a weight, finite and not negative; NaN and what has no weight are left out. Infinity is an error.
    pub fn add_weighted<T: Element>(&mut self, x: T, weight: f64) -> Result<(), Error> {
        let [high, low] = x.as_sum();
        if high.is_nan() || weight == 0.0 {
            return Ok(());
        }
        if high.is_infinite() {
            return Err(Error::Infinite);
        }
        let (x, x_power) = if low == 0.0 {
            let (x, power) = parts(high);
            (i128::from(x), power)
        } else {
            // An integer of 64 bits.
            (high as i128 + low as i128, 0)
        };
        let (w, w_power) = parts(weight);
        let w = i128::from(w);
        self.weight.add_scaled(w, w_power)?;
        self.sum.add_scaled(w * x, w_power + x_power)?;
        // The square has up to 128 bits, the weight 53.
        let square = x.unsigned_abs() * x.unsigned_abs();
        let (high, low) = ((square >> 64) as i128, (square & u128::from(u64::MAX)) as i128);
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

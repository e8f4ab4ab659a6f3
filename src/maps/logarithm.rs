//! Logarithms to any base and powers of it, moved and scaled per channel, in one pass.

use crate::dd::Dd;
use crate::drive::ElementMap;
use crate::element::{Element, Output};
use crate::error::Error;
use crate::kernels::Seen;
use crate::kernels::convert::converted;
use crate::kernels::log2::{LOG2_FIRST, reduce, reduce_subnormal};
use crate::kernels::logarithm::{Function, Operand, Parameters};
use crate::memory;
use crate::rows::{Rows, RowsMut};

/// `log2(e)` and `log2(10)`, to twice the precision of `f64`.
const LOG2_E: Dd = Dd { hi: std::f64::consts::LOG2_E, lo: 2.035_527_374_093_103_3e-17 };
const LOG2_10: Dd = Dd { hi: std::f64::consts::LOG2_10, lo: 1.661_617_516_973_592e-16 };

/// What a logarithm is taken to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Base {
    /// Euler's number.
    E,
    /// A positive, finite number other than one.
    Number(f64),
}

impl Base {
    /// Its binary logarithm.
    fn log2(self) -> Dd {
        match self {
            Self::E => LOG2_E,
            Self::Number(10.0) => LOG2_10,
            Self::Number(base) => {
                let (f, k) = if base < f64::MIN_POSITIVE { reduce_subnormal(base) } else { reduce(base) }.parts();
                // 2 / ln(2) * atanh(f / (2 + f)) by its series: 25 terms are as good as twice the precision of `f64`.
                let q = Dd::from(f) / Dd::from(f).add_f64(2.0);
                let (square, mut sum) = (q * q, Dd::ZERO);
                for i in (0..25).rev() {
                    sum = sum * square + Dd::from(1.0) / Dd::from(f64::from(2 * i + 1));
                }
                let (hi, lo) = LOG2_FIRST;
                Dd::from(k) + Dd { hi, lo } * q * sum
            }
        }
    }
}

/// `(log(x) - offset) / scale`, or its inverse, as `function` says.
#[derive(Debug, Clone)]
pub struct Logarithm {
    function: Function,
    /// What is added and what is multiplied by, of each channel, in units of binary logarithms; one pair for all if there is
    /// but one.
    channels: Vec<(Dd, Dd)>,
}

impl Logarithm {
    /// With the offset and the scale of each channel, or one of each for all.
    pub fn new(function: Function, base: Base, offset: &[f64], scale: &[f64]) -> Result<Self, Error> {
        let unit = base.log2();
        let channels = offset.iter().zip(scale).map(|(offset, scale)| {
            let (shift, factor) = (Dd::from(*offset) * unit, Dd::from(*scale) * unit);
            if function.is_logarithm() { (-shift, Dd::from(1.0) / factor) } else { (shift, factor) }
        });
        Ok(Self { function, channels: memory::collect(channels)? })
    }
}

/// The parameters of columns, and elements in the type that the kernel reads.
#[derive(Debug, Default)]
pub struct Columns {
    parameters: Parameters,
    narrow: Vec<f32>,
    wide: Vec<f64>,
}

impl<T: Element, U: Output> ElementMap<T, U> for Logarithm {
    type Columns = Columns;

    fn prepare(&self, first: isize, channels: &[isize], times: usize, columns: &mut Columns) -> Result<(), Error> {
        let one = (self.channels.len() == 1).then(|| self.channels[0]);
        let pairs = channels.iter().map(|c| one.unwrap_or_else(|| self.channels[(first + c) as usize]));
        columns.parameters.fill(pairs, times)
    }

    fn run(
        &self,
        columns: &mut Columns,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        _next: Option<*const T>,
        stream: bool,
    ) -> Result<Seen, Error> {
        fn run<T: Element, U: Output, I: Operand>(
            (function, parameters): (Function, &Parameters),
            rows: Rows<'_, T>,
            scratch: &mut Vec<I>,
            out: RowsMut<'_, U>,
            stream: bool,
        ) -> Result<Seen, Error> {
            Ok(parameters.map(function, converted(rows, scratch)?, out, stream))
        }
        let Columns { parameters, narrow, wide } = columns;
        if const { T::FITS_F32 && !U::NEEDS_EXACT } {
            run::<T, U, f32>((self.function, parameters), rows, narrow, out, stream)
        } else {
            run::<T, U, f64>((self.function, parameters), rows, wide, out, stream)
        }
    }
}

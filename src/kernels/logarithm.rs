//! The maps of logarithms and powers of columns: `y = (log(x) - offset) / scale` to any base, and its inverse.
//!
//! To all bases by way of [`log2`](super::log2): parameters are in units of binary logarithms. Results of at most 32 bits
//! come from arithmetic in `f64`, where that is enough: where the offset cancels most of the logarithm, the
//! chunk is done once more with two words of everything, in which results in `f64` are done in any case. They are
//! then rounded once.

use super::columns::{lanes, lanes_mut};
use super::log2::{
    LN2, LOG2_FIRST, Reduced, exp2_exact, exp2_fast, is_odd, is_odd_f32, log2_exact, log2_fast, reduce,
    reduce_one_plus, reduce_one_plus_f32, reduce_subnormal,
};
use super::{Kernel, Seen, copy};
use crate::dd::{Dd, two_sum};
use crate::element::{Output, Wide};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};
use std::marker::PhantomData;

/// Elements that are taken together.
const LANES: usize = 32;
/// Part of the offset below which what it leaves of a logarithm is worked out in two words.
const NEAR: f64 = 1.0 / 2048.0;
/// Offsets from which on powers are worked out in two words: their errors would show in 32 bits.
const FAR: f64 = 16_384.0;
/// Magnitudes below which the products on the way leave the range of doubles with all their digits; and what such numbers
/// are multiplied by until the end. There, `log(1 + x)` and `exp(x) - 1` are `x`, to any base a product.
const TINY: f64 = f64::from_bits((1023 - 900) << 52);
const LIFT: f64 = f64::from_bits((1023 + 200) << 52);
/// `log2(e)`, in two words.
const LOG2_E: (f64, f64) = (LOG2_FIRST.0 / 2.0, LOG2_FIRST.1 / 2.0);

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The logarithm of `x`.
    Log,
    /// The logarithm of `1 + x`.
    LogOnePlus,
    /// The inverse of `Log`.
    Power,
    /// The inverse of `LogOnePlus`.
    PowerLessOne,
}

impl Function {
    /// Whether it is a logarithm.
    pub fn is_logarithm(self) -> bool {
        matches!(self, Self::Log | Self::LogOnePlus)
    }
}

/// Parameters of the map, one for each column, in units of binary logarithms. A logarithm has `shift` added and is then
/// multiplied by `scale`; what is raised to a power is multiplied by `scale` first, and has `shift` added then.
#[derive(Debug, Default, Clone)]
pub struct Parameters {
    shift: Vec<f64>,
    shift_rest: Vec<f64>,
    scale: Vec<f64>,
    scale_rest: Vec<f64>,
    near: Vec<f64>,
    /// Of logarithms: the shift times the scale, and results below which it has cancelled too much.
    summand: Vec<f64>,
    lost: Vec<f32>,
    far: bool,
}

impl Parameters {
    /// Take the pairs of shift and scale of all columns, `times` times in turn.
    pub fn fill(
        &mut self,
        columns: impl ExactSizeIterator<Item = (Dd, Dd)> + Clone,
        times: usize,
    ) -> Result<(), Error> {
        fn repeated<T: Copy>(
            values: &mut Vec<T>,
            default: T,
            columns: impl ExactSizeIterator<Item = T> + Clone,
            times: usize,
        ) -> Result<(), Error> {
            values.clear();
            memory::reserve(values, columns.len() * times + LANES)?;
            for _ in 0..times {
                values.extend(columns.clone());
            }
            // The last chunk of a row is filled up.
            values.extend([default; LANES]);
            Ok(())
        }
        let fill = |values: &mut Vec<f64>, default: f64, part: fn((Dd, Dd)) -> f64| {
            repeated(values, default, columns.clone().map(part), times)
        };
        // Zero is minus zero, which leaves the sign of every zero that it is added to.
        fill(&mut self.shift, -0.0, |(shift, _)| if shift.hi == 0.0 { -0.0 } else { shift.hi })?;
        fill(&mut self.shift_rest, 0.0, |(shift, _)| shift.lo)?;
        fill(&mut self.scale, 1.0, |(_, scale)| scale.hi)?;
        fill(&mut self.scale_rest, 0.0, |(_, scale)| scale.lo)?;
        fill(&mut self.near, 0.0, |(shift, _)| shift.hi.abs() * NEAR)?;
        fill(&mut self.summand, -0.0, |(shift, scale)| if shift.hi == 0.0 { -0.0 } else { shift.hi * scale.hi })?;
        // Not-a-number where no float is as large.
        let finite = |lost: f32| if lost.is_finite() { lost } else { f32::NAN };
        let lost = columns.map(|(shift, scale)| finite((shift.hi * scale.hi * NEAR).abs() as f32));
        repeated(&mut self.lost, 0.0, lost, times)?;
        self.far = self.shift.iter().any(|shift| shift.abs() >= FAR);
        Ok(())
    }

    /// Map `rows` into `out` by `function`; what was met. With `stream`, `out` is written past the cache: every row of it
    /// must start at a multiple of 16 bytes, and [`copy::fence`] be called in the end.
    pub fn map<I: Operand, U: Output>(
        &self,
        function: Function,
        rows: Rows<'_, I>,
        out: RowsMut<'_, U>,
        stream: bool,
    ) -> Seen {
        match function {
            Function::Log => super::run(Walk { rows, out, columns: Log::<false>(self), stream }),
            Function::LogOnePlus => super::run(Walk { rows, out, columns: Log::<true>(self), stream }),
            Function::Power => super::run(Walk { rows, out, columns: Power::<false>(self), stream }),
            Function::PowerLessOne => super::run(Walk { rows, out, columns: Power::<true>(self), stream }),
        }
    }

    #[inline(always)]
    fn at(&self, at: usize) -> Chunk<'_> {
        Chunk {
            shift: lanes(&self.shift, at),
            shift_rest: lanes(&self.shift_rest, at),
            scale: lanes(&self.scale, at),
            scale_rest: lanes(&self.scale_rest, at),
            near: lanes(&self.near, at),
            summand: lanes(&self.summand, at),
            lost: lanes(&self.lost, at),
        }
    }
}

/// The parameters of neighbouring columns.
struct Chunk<'a> {
    shift: &'a [f64; LANES],
    shift_rest: &'a [f64; LANES],
    scale: &'a [f64; LANES],
    scale_rest: &'a [f64; LANES],
    near: &'a [f64; LANES],
    summand: &'a [f64; LANES],
    lost: &'a [f32; LANES],
}

impl Chunk<'_> {
    /// What the logarithm in two words becomes in column `j`.
    #[inline(always)]
    fn logarithm(&self, j: usize, (log, log_rest): (f64, f64)) -> f64 {
        let (moved, error) = two_sum(log, self.shift[j]);
        let error = error + (log_rest + self.shift_rest[j]);
        let product = moved * self.scale[j];
        let residual = moved.mul_add(self.scale[j], -product);
        let rest = moved.mul_add(self.scale_rest[j], error.mul_add(self.scale[j], residual));
        // What is infinite has no error to add, and zero without one keeps its sign.
        if rest.is_nan() || rest == 0.0 { product } else { product + rest }
    }

    /// What `z` in column `j` is the logarithm of, in two words.
    #[inline(always)]
    fn power(&self, j: usize, z: f64) -> (f64, f64) {
        let product = z * self.scale[j];
        let residual = z.mul_add(self.scale[j], -product);
        let (sum, error) = two_sum(product, self.shift[j]);
        (sum, error + (z.mul_add(self.scale_rest[j], residual) + self.shift_rest[j]))
    }

    /// What the logarithm of `1 + x` becomes in column `j`, for a tiny `x`; nothing where it is moved by more than that.
    fn tiny_logarithm(&self, j: usize, x: f64) -> Option<f64> {
        let is_tiny = x.abs() < TINY && x != 0.0 && self.shift[j] == 0.0;
        is_tiny.then(|| self.logarithm(j, product(x * LIFT, 0.0, LOG2_E)) / LIFT)
    }

    /// What `z` in column `j` is the logarithm of, less one, where that is tiny.
    fn tiny_power(&self, j: usize, z: f64) -> Option<f64> {
        let (scale, rest) = (self.scale[j], self.scale_rest[j]);
        let is_tiny = (z * scale).abs() < TINY && z != 0.0 && self.shift[j] == 0.0;
        is_tiny.then(|| {
            let (lift_z, lift) = if z.abs() < 1.0 { (LIFT, 1.0) } else { (1.0, LIFT) };
            let (t, t_rest) = product(z * lift_z, 0.0, (scale * lift, rest * lift));
            let (y, y_rest) = product(t, t_rest, LN2);
            (y + y_rest) / LIFT
        })
    }
}

/// `(a + a_rest) * (b.0 + b.1)`, in two words.
fn product(a: f64, a_rest: f64, b: (f64, f64)) -> (f64, f64) {
    let product = a * b.0;
    (product, a.mul_add(b.0, -product) + a.mul_add(b.1, a_rest * b.0))
}

/// What the kernels read: other elements are converted first, exactly.
pub trait Operand: Wide {
    /// Any number with a logarithm.
    const ONE: Self;
    /// Itself, or one more, reduced; and whether it cannot be, in which case the first is anything.
    fn reduced<const ONE_PLUS: bool>(self) -> (Reduced, bool);
    /// The same, for [`log2_fast`], which asks for one word of it.
    fn reduced_fast<const ONE_PLUS: bool>(self) -> (Reduced, bool) {
        self.reduced::<ONE_PLUS>()
    }
}

impl Operand for f32 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn reduced<const ONE_PLUS: bool>(self) -> (Reduced, bool) {
        if ONE_PLUS { f64::from(self).reduced::<true>() } else { (reduce(f64::from(self)), is_odd_f32(self)) }
    }

    #[inline(always)]
    fn reduced_fast<const ONE_PLUS: bool>(self) -> (Reduced, bool) {
        // What is odd of the sum: minus one and below, infinity, not-a-number. No sum is subnormal.
        let odd = |x: f32| !(x > -1.0 && x < f32::INFINITY);
        if ONE_PLUS { (reduce_one_plus_f32(self), odd(self)) } else { self.reduced::<false>() }
    }
}

impl Operand for f64 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn reduced<const ONE_PLUS: bool>(self) -> (Reduced, bool) {
        if ONE_PLUS { (reduce_one_plus(self), is_odd(1.0 + self)) } else { (reduce(self), is_odd(self)) }
    }
}

/// What is done with neighbouring columns of one row.
trait Map<I, U> {
    /// The results, and whether one of them must be worked out again with care.
    fn fast(&self, at: usize, x: &[I; LANES]) -> ([U; LANES], bool);
    /// The results of any elements, and what was met.
    fn careful(&self, at: usize, x: &[I; LANES]) -> ([U; LANES], Seen);
}

struct Log<'a, const ONE_PLUS: bool>(&'a Parameters);

impl<const ONE_PLUS: bool> Log<'_, ONE_PLUS> {
    /// What a reduced element becomes in column `j`, to twice the precision of `f64`.
    #[inline(always)]
    fn exact<I: Operand>(parameters: &Chunk<'_>, j: usize, x: I, reduced: Reduced) -> f64 {
        let log = log2_exact(reduced);
        parameters.logarithm(j, if ONE_PLUS && x.to_f64() == 0.0 { (x.to_f64(), 0.0) } else { log })
    }

    /// What an element that cannot be reduced becomes in column `j`.
    fn odd(parameters: &Chunk<'_>, j: usize, x: f64) -> f64 {
        if x == f64::INFINITY {
            x * parameters.scale[j]
        } else if x > 0.0 {
            parameters.logarithm(j, log2_exact(reduce_subnormal(x)))
        } else {
            f64::NAN
        }
    }
}

impl<I: Operand, U: Output, const ONE_PLUS: bool> Map<I, U> for Log<'_, ONE_PLUS> {
    #[inline(always)]
    fn fast(&self, at: usize, x: &[I; LANES]) -> ([U; LANES], bool) {
        let parameters = self.0.at(at);
        let mut y = [U::from_f64(0.0); LANES];
        let mut again = false;
        for j in 0..LANES {
            let (reduced, odd) =
                if U::NEEDS_EXACT { x[j].reduced::<ONE_PLUS>() } else { x[j].reduced_fast::<ONE_PLUS>() };
            again |= odd;
            if U::NEEDS_EXACT {
                again |= ONE_PLUS && x[j].to_f64().abs() < TINY && x[j].to_f64() != 0.0;
                y[j] = U::from_f64(Self::exact(&parameters, j, x[j], reduced));
            } else {
                let log = log2_fast(reduced);
                let log = if ONE_PLUS && x[j].to_f64() == 0.0 { x[j].to_f64() } else { log };
                let mapped = log.mul_add(parameters.scale[j], parameters.summand[j]);
                // In `f32`, of which there are more to a vector. Nothing is at least not-a-number.
                #[allow(clippy::neg_cmp_op_on_partial_ord)]
                let lost = !((mapped as f32).abs() >= parameters.lost[j]);
                again |= lost;
                y[j] = U::from_f64(mapped);
            }
        }
        (y, again)
    }

    #[inline(always)]
    fn careful(&self, at: usize, x: &[I; LANES]) -> ([U; LANES], Seen) {
        let parameters = self.0.at(at);
        let mut y = [U::from_f64(0.0); LANES];
        let mut any_odd = false;
        for j in 0..LANES {
            let (reduced, odd) = x[j].reduced::<ONE_PLUS>();
            any_odd |= odd | (ONE_PLUS && U::NEEDS_EXACT);
            y[j] = U::from_f64(Self::exact(&parameters, j, x[j], reduced));
        }
        let mut seen = Seen::default();
        if any_odd {
            for j in 0..LANES {
                let (_, odd) = x[j].reduced::<ONE_PLUS>();
                let x = x[j].to_f64();
                if odd {
                    seen |= Seen { infinite: x.is_infinite(), outside: x <= if ONE_PLUS { -1.0 } else { 0.0 } };
                    y[j] = U::from_f64(Self::odd(&parameters, j, x));
                } else if ONE_PLUS
                    && U::NEEDS_EXACT
                    && let Some(exact) = parameters.tiny_logarithm(j, x)
                {
                    y[j] = U::from_f64(exact);
                }
            }
        }
        (y, seen)
    }
}

struct Power<'a, const LESS_ONE: bool>(&'a Parameters);

impl<I: Operand, U: Output, const LESS_ONE: bool> Map<I, U> for Power<'_, LESS_ONE> {
    #[inline(always)]
    fn fast(&self, at: usize, x: &[I; LANES]) -> ([U; LANES], bool) {
        let parameters = self.0.at(at);
        let mut y = [U::from_f64(0.0); LANES];
        let mut again = !U::NEEDS_EXACT && self.0.far;
        for j in 0..LANES {
            let z = x[j].to_f64();
            again |= !z.is_finite();
            y[j] = U::from_f64(if U::NEEDS_EXACT {
                let t = parameters.power(j, z);
                again |= LESS_ONE && t.0.abs() < TINY && t.0 != 0.0;
                exp2_exact::<LESS_ONE>(t)
            } else {
                let t = z.mul_add(parameters.scale[j], parameters.shift[j]);
                // Less one, what the shift leaves of the exponent shows.
                again |= LESS_ONE && t.abs() < parameters.near[j];
                exp2_fast::<LESS_ONE>(t)
            });
        }
        (y, again)
    }

    #[inline(always)]
    fn careful(&self, at: usize, x: &[I; LANES]) -> ([U; LANES], Seen) {
        let parameters = self.0.at(at);
        let mut y = [U::from_f64(0.0); LANES];
        let mut seen = Seen::default();
        for j in 0..LANES {
            y[j] = U::from_f64(exp2_exact::<LESS_ONE>(parameters.power(j, x[j].to_f64())));
        }
        for j in 0..LANES {
            let z = x[j].to_f64();
            seen.infinite |= z.is_infinite();
            if z.is_nan() {
                y[j] = U::from_f64(f64::NAN);
            } else if LESS_ONE
                && U::NEEDS_EXACT
                && let Some(exact) = parameters.tiny_power(j, z)
            {
                y[j] = U::from_f64(exact);
            }
        }
        (y, seen)
    }
}

/// One chunk with care: a kernel by itself, so that the loop around the fast one stays small.
struct Careful<'a, I, U, M> {
    columns: &'a M,
    at: usize,
    x: &'a [I; LANES],
    element: PhantomData<U>,
}

impl<I: Operand, U: Output, M: Map<I, U>> Kernel for Careful<'_, I, U, M> {
    type Output = ([U; LANES], Seen);

    #[inline(always)]
    fn run(self) -> ([U; LANES], Seen) {
        self.columns.careful(self.at, self.x)
    }
}

#[cold]
#[inline(never)]
fn careful<I: Operand, U: Output, M: Map<I, U>>(columns: &M, at: usize, x: &[I; LANES]) -> ([U; LANES], Seen) {
    super::run(Careful { columns, at, x, element: PhantomData })
}

struct Walk<'a, I, U, M> {
    rows: Rows<'a, I>,
    out: RowsMut<'a, U>,
    columns: M,
    stream: bool,
}

impl<I: Operand, U: Output, M: Map<I, U>> Kernel for Walk<'_, I, U, M> {
    type Output = Seen;

    #[inline(always)]
    fn run(self) -> Seen {
        let Self { rows, mut out, columns, stream } = self;
        let mut seen = Seen::default();
        for index in 0..rows.count() + usize::from(rows.tail() > 0) {
            let (x, y) = (rows.row(index), out.row(index));
            let mut at = 0;
            while at + LANES <= x.len() {
                let elements: [I; LANES] = *lanes(x, at);
                let (mapped, again) = columns.fast(at, &elements);
                let target: &mut [U; LANES] = lanes_mut(y, at);
                if stream {
                    copy::stream_lanes(&mapped, target);
                } else {
                    *target = mapped;
                }
                if again {
                    let (mapped, met) = careful(&columns, at, &elements);
                    *target = mapped;
                    seen |= met;
                }
                at += LANES;
            }
            let rest = x.len() - at;
            if rest > 0 {
                let mut filled = [I::ONE; LANES];
                filled[..rest].copy_from_slice(&x[at..]);
                let (mapped, again) = columns.fast(at, &filled);
                y[at..].copy_from_slice(&mapped[..rest]);
                if again {
                    let (mapped, met) = careful(&columns, at, &filled);
                    y[at..].copy_from_slice(&mapped[..rest]);
                    seen |= met;
                }
            }
        }
        seen
    }
}

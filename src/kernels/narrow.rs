//! The affine map of integers of at most 16 bits, `y = (x - shift) * scale`, in `f32` arithmetic: twice the lanes of
//! `f64`, and as good.
//!
//! The shift is split in two, `shift = near + rest`, so that `d = x - near` is exact: near an integer, `near` is that
//! integer; elsewhere it is a multiple of 2^-8 (of 2^-7 where `d` may exceed 2^16), and `d` has at most 24 bits. The scale is split in two as
//! well.
//! Then
//!
//! ```text
//! y = d * scale + (d * scale_rest - rest * scale)
//! ```
//!
//! with both sums fused. What is in parentheses is a small correction: `|rest|` is below a tenth of `|d|` unless `d` is
//! zero (then it is the result). So its rounding errors do not count, and the result is within 0.6 ulp of the exact one.

use super::affine::{Parameters, repeat};
use super::columns::{AHEAD, Columns, Walk, lanes, lanes_mut, prefetch_at};
use super::{Kernel, copy};
use crate::element::{Element, Output};
use crate::error::Error;
use crate::memory;
use crate::rows::{Rows, RowsMut};
use std::marker::PhantomData;

const LANES: usize = 16;
const GROUP: usize = 2;
/// As in [`super::affine`]: one row at a time past the cache.
const STREAM_GROUP: usize = 1;

/// Lanes of a block of parameters, how often all blocks are repeated at once, and the most columns that they may have:
/// blocks and what they map must stay in the first-level cache.
const BLOCK: usize = 8;
const REPEATS: usize = 4;
const MOST_IN_BLOCKS: usize = 256;

/// So near an integer, the shift counts as that integer and a rest.
const NEAR: f64 = 1.0 / 16.0;
/// Steps of a shift elsewhere: where integers of 16 bits are less than 2^16 away, and where they may be further.
const STEPS: [f64; 2] = [1.0 / 256.0, 1.0 / 128.0];
/// Shifts to which they are so near, be they signed or not.
const CENTRAL: std::ops::Range<f64> = 0.0..32768.0;
/// Shifts beyond the range of the integers would leave `d` with more bits than `f32` has.
const LARGEST_SHIFT: f64 = 65536.0;
/// Scales within these powers of two keep every product a normal number.
const SCALES: [f64; 2] = [1.0 / (1u64 << 40) as f64, (1u64 << 40) as f64];

/// Parameters of the map, one for each column; none where the map needs more than `f32`.
#[derive(Debug, Default, Clone)]
pub struct Narrow {
    near: Vec<f32>,
    scale: Vec<f32>,
    scale_rest: Vec<f32>,
    correction: Vec<f32>,
    /// The same in blocks, for elements without gaps whose parameters repeat after a few blocks.
    blocks: Vec<Block>,
}

impl Narrow {
    /// Set up for the map of `parameters`, whose offsets are zero; nothing, if some column needs more than `f32`.
    pub fn prepare(&mut self, parameters: &Parameters) {
        self.clear();
        let columns = parameters.shift.iter().zip(&parameters.scale);
        for (shift, scale) in columns {
            // Comparisons that not-a-number fails.
            let usable = shift.abs() <= LARGEST_SHIFT && (SCALES[0]..=SCALES[1]).contains(&scale.abs());
            if !usable {
                self.clear();
                return;
            }
            let integer = shift.round_ties_even();
            let step = STEPS[usize::from(!CENTRAL.contains(shift))];
            let stepped = (shift / step).round_ties_even() * step;
            let near = if (shift - integer).abs() <= NEAR { integer } else { stepped };
            self.near.push(near as f32);
            self.scale.push(*scale as f32);
            self.scale_rest.push((scale - f64::from(*scale as f32)) as f32);
            self.correction.push(((near - shift) * scale) as f32);
        }
    }

    /// Make room for `columns` columns, `times` times over.
    pub fn reserve(&mut self, columns: usize, times: usize) -> Result<(), Error> {
        let Self { near, scale, scale_rest, correction, blocks } = self;
        for values in [near, scale, scale_rest, correction] {
            memory::reserve(values, (columns * times).saturating_sub(values.len()))?;
        }
        memory::reserve(blocks, (MOST_IN_BLOCKS / BLOCK).saturating_sub(blocks.len()))
    }

    /// Forget all columns.
    pub fn clear(&mut self) {
        for values in [&mut self.near, &mut self.scale, &mut self.scale_rest, &mut self.correction] {
            values.clear();
        }
        self.blocks.clear();
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.near.is_empty()
    }

    /// Make ready for rows of `times` times as many columns, without gaps.
    pub fn widen(&mut self, times: usize) {
        if self.period().is_none() {
            self.fill_blocks();
            for values in [&mut self.near, &mut self.scale, &mut self.scale_rest, &mut self.correction] {
                repeat(values, times);
            }
        }
    }

    /// Put the parameters of the fewest columns that are whole blocks into blocks, where these are few.
    fn fill_blocks(&mut self) {
        let columns = self.near.len();
        let repeats = BLOCK >> columns.trailing_zeros().min(BLOCK.trailing_zeros());
        if columns * repeats <= MOST_IN_BLOCKS {
            let all = [&self.near, &self.scale, &self.scale_rest, &self.correction];
            let block = |first| Block(all.map(|values| std::array::from_fn(|j| values[(first + j) % columns])));
            self.blocks.extend((0..columns * repeats).step_by(BLOCK).map(block));
        }
    }

    /// The lanes after which the parameters repeat in elements without gaps, where these are so few that all parameters
    /// stay in registers.
    fn period(&self) -> Option<usize> {
        match self.near.len() {
            1 | 2 | 4 | 8 => Some(8),
            3 | 6 | 12 | 24 => Some(24),
            _ => None,
        }
    }

    /// Element `x` of column `c`.
    #[inline(always)]
    pub fn map_one(&self, c: usize, x: f32) -> f32 {
        one(x, self.near[c], self.scale[c], self.scale_rest[c], self.correction[c])
    }

    /// Map `rows` into `out`; with `stream` as [`Parameters::map`] does. Of what lies at `next` (for nothing: ahead of the
    /// rows) as much is asked for meanwhile as is mapped.
    pub fn map<T: Element, U: Output>(
        &self,
        rows: Rows<'_, T>,
        mut out: RowsMut<'_, U>,
        next: Option<*const T>,
        stream: bool,
    ) {
        let period = self.period();
        let in_blocks = !stream && !self.blocks.is_empty();
        if let (true, Some(x), Some(y)) = (period.is_some() || in_blocks, rows.whole(), out.whole()) {
            let next = next.unwrap_or(x.as_ptr().wrapping_byte_add(AHEAD));
            match period {
                Some(8) => self.flat::<T, U, 8, 4>(x, y, next, stream),
                Some(_) => self.flat::<T, U, 24, 1>(x, y, next, stream),
                None => super::run(Blocks { blocks: &self.blocks, x, y, next }),
            }
        } else if stream {
            let mut map = Map::<U, true> { parameters: self, out: PhantomData };
            super::run(Walk::<_, _, LANES, STREAM_GROUP> { rows, out, columns: &mut map });
        } else {
            let mut map = Map::<U, false> { parameters: self, out: PhantomData };
            super::run(Walk::<_, _, LANES, GROUP> { rows, out, columns: &mut map });
        }
    }

    fn flat<T: Element, U: Output, const P: usize, const TIMES: usize>(
        &self,
        x: &[T],
        y: &mut [U],
        next: *const T,
        stream: bool,
    ) {
        let lanes = |values: &[f32]| std::array::from_fn(|j| values[j % values.len()]);
        let parameters = [lanes(&self.near), lanes(&self.scale), lanes(&self.scale_rest), lanes(&self.correction)];
        if stream {
            super::run(Flat::<T, U, P, TIMES, true> { parameters, x, y, next });
        } else {
            super::run(Flat::<T, U, P, TIMES, false> { parameters, x, y, next });
        }
    }
}

/// Elements with the parameters `near`, `scale`, `scale_rest` and `correction` of `P` lanes, `TIMES` times `P` at once.
struct Flat<'a, T, U, const P: usize, const TIMES: usize, const STREAM: bool> {
    parameters: [[f32; P]; 4],
    x: &'a [T],
    y: &'a mut [U],
    next: *const T,
}

impl<T: Element, U: Output, const P: usize, const TIMES: usize, const STREAM: bool> Kernel
    for Flat<'_, T, U, P, TIMES, STREAM>
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [near, scale, rest, correction] = self.parameters;
        let (groups, x_tail) = self.x.as_chunks::<P>();
        let (targets, y_tail) = self.y.as_chunks_mut::<P>();
        let (groups, x_rest) = groups.as_chunks::<TIMES>();
        let (targets, y_rest) = targets.as_chunks_mut::<TIMES>();
        for (i, (x, y)) in groups.iter().zip(targets).enumerate() {
            for u in 0..TIMES {
                prefetch_at::<T, P>(self.next.wrapping_add((i * TIMES + u) * P));
            }
            for (x, y) in x.iter().zip(y) {
                let x: [T; P] = *x;
                let mut mapped = [U::from_f32(0.0); P];
                for j in 0..P {
                    mapped[j] = U::from_f32(one(x[j].to_f32(), near[j], scale[j], rest[j], correction[j]));
                }
                if STREAM { copy::stream_lanes(&mapped, y) } else { *y = mapped }
            }
        }
        let x = x_rest.as_flattened().iter().chain(x_tail);
        let y = y_rest.as_flattened_mut().iter_mut().chain(y_tail);
        for (j, (x, y)) in x.zip(y).enumerate() {
            let j = j % P;
            *y = U::from_f32(one(x.to_f32(), near[j], scale[j], rest[j], correction[j]));
        }
    }
}

/// The parameters `near`, `scale`, `scale_rest` and `correction` of neighbouring elements, side by side: where they do not
/// stay in registers, they are read in one go.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Block([[f32; BLOCK]; 4]);

/// Elements whose parameters repeat after `blocks`, several repetitions at once.
struct Blocks<'a, T, U> {
    blocks: &'a [Block],
    x: &'a [T],
    y: &'a mut [U],
    next: *const T,
}

impl<T: Element, U: Output> Kernel for Blocks<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { blocks, x, y, next } = self;
        let width = blocks.len() * BLOCK;
        let (groups, targets) = (x.chunks_exact(width * REPEATS), y.chunks_exact_mut(width * REPEATS));
        let rest = groups.remainder();
        for (i, (x, y)) in groups.zip(targets).enumerate() {
            let next = next.wrapping_add(i * width * REPEATS);
            for line in (0..size_of_val(x)).step_by(64) {
                prefetch_at::<T, 1>(next.wrapping_byte_add(line));
            }
            for (b, block) in blocks.iter().enumerate() {
                let [near, scale, rest, correction] = block.0;
                for r in 0..REPEATS {
                    let at = r * width + b * BLOCK;
                    let x: [T; BLOCK] = *lanes(x, at);
                    let mut mapped = [U::from_f32(0.0); BLOCK];
                    for j in 0..BLOCK {
                        mapped[j] = U::from_f32(one(x[j].to_f32(), near[j], scale[j], rest[j], correction[j]));
                    }
                    *lanes_mut(y, at) = mapped;
                }
            }
        }
        let y = &mut y[x.len() - rest.len()..];
        for (j, (x, y)) in rest.iter().zip(y).enumerate() {
            let [near, scale, rest, correction] = &blocks[j % width / BLOCK].0;
            let j = j % BLOCK;
            *y = U::from_f32(one(x.to_f32(), near[j], scale[j], rest[j], correction[j]));
        }
    }
}

#[inline(always)]
fn one(x: f32, near: f32, scale: f32, scale_rest: f32, correction: f32) -> f32 {
    let d = x - near;
    d.mul_add(scale, d.mul_add(scale_rest, correction))
}

struct Map<'a, U, const STREAM: bool> {
    parameters: &'a Narrow,
    out: PhantomData<U>,
}

impl<T: Element, U: Output, const STREAM: bool> Columns<T> for Map<'_, U, STREAM> {
    type Out = U;

    #[inline(always)]
    fn chunk<const L: usize, const R: usize>(
        &mut self,
        at: usize,
        _row: usize,
        elements: [&[T; L]; R],
        out: [&mut [U; L]; R],
    ) {
        // Copies, which stay in registers for the whole group of rows.
        let near: [f32; L] = *lanes(&self.parameters.near, at);
        let scale: [f32; L] = *lanes(&self.parameters.scale, at);
        let rest: [f32; L] = *lanes(&self.parameters.scale_rest, at);
        let correction: [f32; L] = *lanes(&self.parameters.correction, at);
        for (x, y) in elements.into_iter().zip(out) {
            let x: [T; L] = *x;
            let mut mapped = [U::from_f32(0.0); L];
            for j in 0..L {
                mapped[j] = U::from_f32(one(x[j].to_f32(), near[j], scale[j], rest[j], correction[j]));
            }
            if STREAM {
                copy::stream_lanes(&mapped, y);
            } else {
                *y = mapped;
            }
        }
    }
}

//! Maps of an array, per channel, in one pass: the walk that all of them share, and the affine map.

use crate::element::{Element, Output};
use crate::error::Error;
use crate::kernels::affine::{Form, NO_OFFSET, Parameters};
use crate::kernels::copy;
use crate::kernels::gather::planes;
use crate::kernels::logarithm::Seen;
use crate::kernels::narrow::Narrow;
use crate::plan::{MAX_INTERLEAVED, Place, Plan, Task};
use crate::memory;
use crate::parallel;
use crate::blocks::{Access, access, block, scatter};
use crate::rows::{Rows, RowsMut, widening};
use crate::view::{View, ViewMut};

/// Bytes of output that a kernel writes at a time: with its input they stay in the first-level cache.
const TILE_BYTES: usize = 16 << 10;

/// A map of elements of type `T` to type `U`, with parameters for each channel.
pub trait ElementMap<T: Element, U: Output>: Sync {
    /// What its kernel needs for each column of a block.
    type Columns: Default;

    /// Fill `columns` for the channels `first + c` for each `c` of `channels`, `times` times in turn.
    fn prepare(&self, first: isize, channels: &[isize], times: usize, columns: &mut Self::Columns)
    -> Result<(), Error>;

    /// Map a block; what was met. Of what lies at `next` (for nothing: ahead of the rows) as much is asked for; with
    /// `stream`, `out` is written past the cache.
    fn run(
        &self,
        columns: &mut Self::Columns,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        next: Option<*const T>,
        stream: bool,
    ) -> Result<Seen, Error>;

    /// The least and the largest result; nothing for no limits.
    fn clip(&self) -> Option<[f64; 2]> {
        None
    }
}

/// `y = (x - shift) * scale + offset`, where the scale may be given by its reciprocal.
#[derive(Debug, Default, Clone, Copy)]
pub struct Affine<'a> {
    /// Subtracted first, one for each channel; nothing is zero.
    pub shift: Option<&'a [f64]>,
    /// Factors; nothing is one.
    pub scale: Option<&'a [f64]>,
    /// What rounding the scale to `f64` lost; nothing is zero.
    pub scale_rest: Option<&'a [f64]>,
    /// Powers of two that scales out of the range of `f64` have been multiplied by; nothing is one.
    pub unit: Option<&'a [f64]>,
    /// Whether to divide by `scale` instead.
    pub divide: bool,
    /// Added last; nothing is zero.
    pub offset: Option<&'a [f64]>,
    /// The least and the largest result; nothing for no limits.
    pub clip: Option<[f64; 2]>,
    /// Whether integers of 64 bits are rounded to `f64` before all else: where the shift is a rounded extremum of them, which
    /// they must meet.
    pub rounded: bool,
}

impl Affine<'_> {
    /// The parameters of the channels `first + c` for each `c` of `channels`. There is room for them.
    fn fill(&self, first: isize, channels: &[isize], parameters: &mut Parameters) {
        let fill = |target: &mut Vec<f64>, values: Option<&[f64]>, default: f64| {
            target.clear();
            match values {
                Some(values) => target.extend(channels.iter().map(|c| values[(first + c) as usize])),
                None => target.resize(channels.len(), default),
            }
        };
        fill(&mut parameters.shift, self.shift, 0.0);
        fill(&mut parameters.scale, self.scale, 1.0);
        fill(&mut parameters.scale_rest, self.scale_rest, 0.0);
        fill(&mut parameters.offset, self.offset, NO_OFFSET);
        parameters.unit.clear();
        if self.unit.is_some() {
            fill(&mut parameters.unit, self.unit, 1.0);
        }
        parameters.rounded = self.rounded;
        parameters.prepare(self.divide);
    }

    fn form(&self) -> Form {
        match self.offset {
            None => Form::Scaled,
            Some(_) if self.shift.is_none() && self.scale_rest.is_none() && !self.divide => Form::Fused,
            Some(_) => Form::Full,
        }
    }
}

/// Parameters of the affine map of columns, in one of two forms.
#[derive(Debug, Default)]
pub struct AffineColumns {
    parameters: Parameters,
    /// Of small integers to narrow floats; empty otherwise.
    narrow: Narrow,
}

impl<T: Element, U: Output> ElementMap<T, U> for Affine<'_> {
    type Columns = AffineColumns;

    fn prepare(
        &self,
        first: isize,
        channels: &[isize],
        times: usize,
        columns: &mut AffineColumns,
    ) -> Result<(), Error> {
        let AffineColumns { parameters, narrow } = columns;
        parameters.reserve(channels.len(), times)?;
        self.fill(first, channels, parameters);
        if T::IS_SMALL && !U::NEEDS_EXACT && self.offset.is_none() && self.unit.is_none() {
            narrow.reserve(channels.len(), times)?;
            narrow.prepare(parameters);
        }
        if narrow.is_empty() {
            parameters.widen(times)
        } else {
            narrow.widen(times)
        }
        Ok(())
    }

    fn run(
        &self,
        columns: &mut AffineColumns,
        rows: Rows<'_, T>,
        out: RowsMut<'_, U>,
        next: Option<*const T>,
        stream: bool,
    ) -> Result<Seen, Error> {
        if const { T::IS_SMALL && !U::NEEDS_EXACT } && !columns.narrow.is_empty() {
            columns.narrow.map(rows, out, next, stream);
            return Ok(Seen::default());
        }
        let infinite = columns.parameters.map(rows, out, self.form(), stream);
        Ok(Seen { infinite, outside: false })
    }

    fn clip(&self) -> Option<[f64; 2]> {
        self.clip
    }
}

struct Map<'m, M, T, U> {
    plan: Plan<2>,
    map: M,
    x: View<'m, T>,
    out: ViewMut<'m, U>,
    x_access: Access,
    out_access: Access,
    /// Whether the output goes past the cache.
    stream: bool,
    times: usize,
}

struct Scratch<C, T, U> {
    /// The kept positions that are taken together.
    channels: Vec<Channels<C>>,
    elements: Vec<T>,
    results: Vec<U>,
}

/// The channels at one kept position.
#[derive(Default)]
struct Channels<C> {
    place: Place<2>,
    /// Which element of a pixel, where they are taken from pixels.
    plane: usize,
    columns: C,
}

/// What is known of the memory that a map writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Never touched: its pages come zeroed through the cache, where plain stores find them.
    Fresh,
    /// Used before: past the cache it is written without being read first.
    Warm,
    /// The input itself.
    Input,
}

/// Map `x` into `out`, which has the same shape, by the affine map; whether `x` contains an infinity.
pub fn map<T: Element, U: Output>(
    affine: Affine<'_>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    target: Target,
    threads: usize,
) -> Result<bool, Error> {
    map_elements(affine, x, out, kept, target, threads).map(|seen| seen.infinite)
}

/// Map `x` into `out`, which has the same shape; what was met in `x`.
pub fn map_elements<T: Element, U: Output>(
    map: impl ElementMap<T, U>,
    x: View<'_, T>,
    out: ViewMut<'_, U>,
    kept: &[bool],
    target: Target,
    threads: usize,
) -> Result<Seen, Error> {
    assert_eq!(x.shape(), out.shape(), "one result for each element");
    let sizes = [size_of::<U>(), size_of::<T>()];
    let plan = Plan::new(x.shape(), kept, [out.strides(), x.strides()], sizes, TILE_BYTES / size_of::<U>())?;
    let out_access = access::<U, 2>(&plan, 0, out.start());
    // Elements that are overwritten are read into a tile of their own first.
    let x_access = if target == Target::Input { Access::Gather } else { access::<T, 2>(&plan, 1, x.start()) };
    let strided = out_access == Access::Strided || x_access == Access::Strided;
    let times = if strided { 1 } else { widening(plan.max_width(), plan.unit_rows()) };
    // Several planes written in turn past the cache get in each other's way.
    let stream = target == Target::Warm && !plan.interleaved() && copy::exceeds_cache(plan.elements * size_of::<U>());
    let tasks = plan.tasks()?;
    let map = Map { plan, map, x, out, x_access, out_access, stream, times };
    let worker = || Scratch { channels: Vec::new(), elements: Vec::new(), results: Vec::new() };
    let met = parallel::map(tasks.len(), threads, worker, |scratch, task| map.run_task(&tasks[task], scratch))?;
    let mut seen = Seen::default();
    met.into_iter().for_each(|met| seen |= met);
    Ok(seen)
}

impl<M: ElementMap<T, U>, T: Element, U: Output> Map<'_, M, T, U> {
    fn run_task(&self, task: &Task, scratch: &mut Scratch<M::Columns, T, U>) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        let Scratch { channels, elements, results } = scratch;
        let together = if self.plan.interleaved() { task.kept.len() } else { 1 };
        memory::resize_with(channels, together, Channels::default)?;
        for first in task.kept.clone().step_by(together) {
            for (position, channels) in (first..).zip(channels.iter_mut()) {
                self.prepare(position, channels)?;
            }
            let pixels = self.pixels(channels);
            for unit in task.units.clone() {
                let planes = match &pixels {
                    Some(pixels) => self.take_apart(unit, pixels, together, elements)?,
                    None => false,
                };
                for channels in channels.iter_mut() {
                    seen |= self.run_block(unit, channels, planes, elements, results)?;
                }
            }
        }
        if self.stream {
            copy::fence();
        }
        Ok(seen)
    }

    fn prepare(&self, position: usize, channels: &mut Channels<M::Columns>) -> Result<(), Error> {
        let Channels { place, columns, .. } = channels;
        *place = self.plan.place(position);
        self.map.prepare(place.channel, &self.plan.channel_of[..place.width], self.times, columns)
    }

    /// Where the first elements of pixels lie, if the kept positions `channels` are the elements of pixels that follow each
    /// other along a line: each then knows its place within them.
    fn pixels(&self, channels: &mut [Channels<M::Columns>]) -> Option<Place<2>> {
        let size = size_of::<T>() as isize;
        let line = if self.plan.cols.is_empty() { self.plan.rows } else { *self.plan.cols.first()? };
        if channels.len() < 2 || self.plan.cols.len() > 1 || line.stride[1].abs() != size * channels.len() as isize {
            return None;
        }
        let first = channels.iter().map(|channels| channels.place).min_by_key(|place| place.offset[1])?;
        // A kept position for each element of a pixel, of which the plan takes few together.
        let (mut seen, count) = ([false; MAX_INTERLEAVED], channels.len());
        for Channels { place, plane, .. } in channels {
            let distance = place.offset[1] - first.offset[1];
            *plane = (distance / size) as usize;
            let other = seen.get_mut(*plane).filter(|_| distance % size == 0 && *plane < count)?;
            if std::mem::replace(other, true) {
                return None;
            }
        }
        Some(first)
    }

    /// Copy the pixels of a unit, of `count` elements each, to as many planes of `elements`, where this can be done at once.
    fn take_apart(&self, unit: usize, first: &Place<2>, count: usize, elements: &mut Vec<T>) -> Result<bool, Error> {
        let Self { plan, x, .. } = self;
        let ([_, offset], rows) = plan.unit(first, unit);
        let (lines, line) = plan.cols.first().map_or((1, plan.rows), |cols| (rows, *cols));
        let len = if plan.cols.is_empty() { rows } else { line.len };
        let plane = lines * len;
        elements.clear();
        memory::reserve(elements, plane * count)?;
        let backwards = line.stride[1] < 0;
        let lowest = if backwards { line.stride[1] * (len as isize - 1) } else { 0 };
        let done = (0..lines).all(|index| {
            let from = x.at(offset + index as isize * plan.rows.stride[1] + lowest).cast::<T>();
            let to = elements.as_mut_ptr().wrapping_add(index * len);
            // SAFETY: the plan visits elements of the view only, which promises that they can be read; there is room for
            // `count` planes.
            unsafe { planes(from, count, len, to, plane, backwards) }
        });
        if done {
            // SAFETY: all of them were written.
            unsafe { elements.set_len(plane * count) };
        }
        Ok(done)
    }

    fn run_block(
        &self,
        unit: usize,
        channels: &mut Channels<M::Columns>,
        planes: bool,
        elements: &mut Vec<T>,
        results: &mut Vec<U>,
    ) -> Result<Seen, Error> {
        let Self { plan, x, out, .. } = self;
        let width = channels.place.width;
        let (offset, rows) = plan.unit(&channels.place, unit);
        let kernel_width = width * self.times;
        let (to, from) = (out.at(offset[0]), x.at(offset[1]));
        let (elements, next) = if planes {
            let len = rows * width;
            // Each plane asks for its share of the unit after this one.
            let next = from.wrapping_offset(rows as isize * plan.rows.stride[1]).cast::<T>();
            let elements = Rows::flat(&elements[channels.plane * len..][..len], kernel_width);
            (elements, Some(next.wrapping_add(channels.plane * len)))
        } else {
            // SAFETY: the plan visits elements of the view only, which promises that they can be read.
            (unsafe { block(plan, 1, self.x_access, from, rows, width, self.times, elements) }?, None)
        };
        if self.out_access != Access::Gather && self.map.clip().is_none() {
            // SAFETY: the plan visits each element of the output once, so this block is this task's alone; `access` saw
            // that it is contiguous and aligned, or that its rows are.
            let target = unsafe {
                match self.out_access {
                    Access::Flat => RowsMut::contiguous(to.cast::<U>(), rows * width, kernel_width),
                    _ => {
                        let stride = plan.rows.stride[0] as usize / size_of::<U>();
                        RowsMut::new(to.cast(), rows, stride, width, 0)
                    }
                }
            };
            let stream = self.stream
                && (to as usize).is_multiple_of(copy::STREAM_ALIGN)
                && (kernel_width * size_of::<U>()).is_multiple_of(copy::STREAM_ALIGN)
                && self.out_access == Access::Flat;
            return self.map.run(&mut channels.columns, elements, target, next, stream);
        }
        memory::resize(results, U::from_f64(0.0), rows * width)?;
        let out = RowsMut::flat(results, kernel_width);
        let seen = self.map.run(&mut channels.columns, elements, out, next, false)?;
        if let Some([low, high]) = self.map.clip() {
            clip(results, U::from_f64(low), U::from_f64(high));
        }
        // SAFETY: the plan visits elements of the output only, each once, so this block is this task's alone.
        unsafe { scatter(plan, 0, to, width, results) };
        Ok(seen)
    }
}

/// Limit the results of a tile, which is still in the first-level cache. NaN stays.
fn clip<U: Output>(results: &mut [U], low: U, high: U) {
    for y in results {
        let key = y.key();
        *y = if key < low.key() { low } else { *y };
        *y = if key > high.key() { high } else { *y };
    }
}

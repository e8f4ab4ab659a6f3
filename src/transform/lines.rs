//! Arrays as groups of lines, for statistics and maps of groups that fit into the cache.
//!
//! An axis is *shared* where its elements have a statistic in common, and it has parameters (gamma, beta) of its *own*
//! or not. A line runs along one axis; a *group* is all lines that share a statistic. [`crate::layout`] walks an array
//! from front to back, which suits statistics of all of it; here all of a group is visited before the next one.

use crate::error::Error;
use crate::kernels::gather::strided;
use crate::memory;

/// Pieces that work is cut into, whatever the number of threads: enough to balance any usual number of cores.
pub const MOST_PIECES: usize = 64;

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis<const N: usize> {
    /// Number of steps.
    pub len: usize,
    /// Step of each operand in bytes.
    pub stride: [isize; N],
    /// Step in the numbering of the groups; zero along shared axes.
    pub group: isize,
    /// Step in the numbering of the parameters; zero along axes without parameters of their own.
    pub parameter: isize,
    /// Whether elements along it share a statistic.
    pub shared: bool,
    /// Whether they have parameters of their own.
    pub own: bool,
}

impl<const N: usize> Axis<N> {
    const ONE: Self = Self { len: 1, stride: [0; N], group: 0, parameter: 0, shared: true, own: false };

    /// Whether `self`, the outer of two axes, continues where `inner` ends.
    fn continues(&self, inner: &Self) -> bool {
        let len = inner.len as isize;
        (self.shared, self.own) == (inner.shared, inner.own)
            && (self.group, self.parameter) == (inner.group * len, inner.parameter * len)
            && self.stride.iter().zip(&inner.stride).all(|(outer, inner)| *outer == inner * len)
    }
}

/// Where elements lie, and the numbers of their group and of their parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<const N: usize> {
    /// Byte offset of each operand.
    pub offset: [isize; N],
    /// Number of the group.
    pub group: isize,
    /// Number of the parameter.
    pub parameter: isize,
}

impl<const N: usize> Place<N> {
    const ZERO: Self = Self { offset: [0; N], group: 0, parameter: 0 };

    #[inline(always)]
    fn step(&mut self, axis: &Axis<N>, count: isize) {
        for (offset, stride) in self.offset.iter_mut().zip(&axis.stride) {
            *offset += stride * count;
        }
        self.group += axis.group * count;
        self.parameter += axis.parameter * count;
    }
}

/// The axes of an array in the order of memory.
#[derive(Debug, Clone)]
pub struct Axes<const N: usize> {
    /// Those longer than one, the innermost first; neighbours of one kind that step evenly are one.
    pub axes: Vec<Axis<N>>,
    start: Place<N>,
}

impl<const N: usize> Axes<N> {
    /// Of an array of `shape` with these steps in each operand, the first of which decides the order.
    pub fn new(shape: &[usize], shared: &[bool], own: &[bool], strides: [&[isize]; N]) -> Result<Self, Error> {
        let (mut axes, mut start): (Vec<Axis<N>>, _) = (memory::with_room(shape.len())?, Place::ZERO);
        let (mut group, mut parameter) = (1, 1);
        for i in (0..shape.len()).rev() {
            let (len, shared, own) = (shape[i], shared[i], own[i]);
            let steps = [if shared { 0 } else { group }, if own { parameter } else { 0 }];
            group *= if shared { 1 } else { len as isize };
            parameter *= if own { len as isize } else { 1 };
            if len < 2 {
                continue;
            }
            let stride = strides.map(|strides| strides[i]);
            let mut axis = Axis { len, stride, group: steps[0], parameter: steps[1], shared, own };
            if stride[0] < 0 {
                start.step(&axis, len as isize - 1);
                axis.stride = stride.map(|stride| -stride);
                (axis.group, axis.parameter) = (-axis.group, -axis.parameter);
            }
            axes.push(axis);
        }
        axes.sort_by_key(|axis| axis.stride[0]);
        let mut merged: Vec<Axis<N>> = memory::with_room(axes.len())?;
        for axis in axes {
            match merged.last_mut() {
                Some(inner) if axis.continues(inner) => inner.len *= axis.len,
                _ => merged.push(axis),
            }
        }
        Ok(Self { axes: merged, start })
    }

    /// As lines along the axis `line` (of one element where there is none), in groups along the other axes for which `outer`
    /// says so.
    pub fn lines(mut self, line: Option<usize>, outer: impl Fn(&Axis<N>) -> bool) -> Lines<N> {
        let line = line.map_or(Axis::ONE, |line| self.axes.remove(line));
        self.axes.reverse();
        let (groups, inner) = self.axes.into_iter().partition(outer);
        Lines { line, groups, inner, start: self.start }
    }
}

#[inline(always)]
fn place<const N: usize>(mut place: Place<N>, axes: &[Axis<N>], index: usize) -> Place<N> {
    let mut rest = index;
    for axis in axes.iter().rev() {
        place.step(axis, (rest % axis.len) as isize);
        rest /= axis.len;
    }
    place
}

/// An array as groups of lines.
#[derive(Debug, Clone)]
pub struct Lines<const N: usize> {
    /// The axis of a line.
    pub line: Axis<N>,
    /// The axes of the lines of a group, and of the groups, outermost first.
    inner: Vec<Axis<N>>,
    groups: Vec<Axis<N>>,
    start: Place<N>,
}

impl<const N: usize> Lines<N> {
    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.groups.iter().map(|axis| axis.len).product()
    }

    /// Number of lines of a group.
    #[inline(always)]
    pub fn lines(&self) -> usize {
        self.inner.iter().map(|axis| axis.len).product()
    }

    /// Elements of a group.
    pub fn group_len(&self) -> usize {
        self.lines() * self.line.len
    }

    /// Where the first line of group `index`, in the order of memory, lies.
    #[inline(always)]
    pub fn group(&self, index: usize) -> Place<N> {
        place(self.start, &self.groups, index)
    }

    /// Where line `index` of the group at `group` lies.
    #[inline(always)]
    pub fn line(&self, group: &Place<N>, index: usize) -> Place<N> {
        place(*group, &self.inner, index)
    }

    /// The least and the largest number of a parameter of the groups `range`.
    pub fn parameters(&self, range: std::ops::Range<usize>) -> [isize; 2] {
        let reach = |axis: &Axis<N>| axis.parameter * (axis.len as isize - 1);
        let [mut below, mut above] = [0; 2];
        for reach in self.inner.iter().chain([&self.line]).map(reach) {
            if reach < 0 { below += reach } else { above += reach }
        }
        range
            .map(|index| self.group(index).parameter)
            .fold([isize::MAX, isize::MIN], |[least, most], first| [least.min(first + below), most.max(first + above)])
    }

    /// `total` pieces of work in `most` parts at most: the bounds of each.
    pub fn pieces(total: usize, most: usize) -> Result<Vec<std::ops::Range<usize>>, Error> {
        let pieces = total.min(most);
        memory::collect((0..pieces).map(|piece| piece * total / pieces..(piece + 1) * total / pieces))
    }

    /// Whether every line of operand `k`, based at `start` and of elements of `size` bytes, is a multiple of `align`
    /// bytes without gaps, and begins at one.
    pub fn aligned(&self, k: usize, start: *const u8, size: usize, align: usize) -> bool {
        let multiple = |offset: isize| offset.unsigned_abs().is_multiple_of(align);
        (start as usize).is_multiple_of(align)
            && self.line.stride[k] == size as isize
            && (self.line.len * size).is_multiple_of(align)
            && multiple(self.start.offset[k])
            && self.groups.iter().chain(&self.inner).all(|axis| multiple(axis.stride[k]))
    }
}

/// The line of `len` elements at `at`, `stride` bytes apart: where it lies, or copied to `scratch` where it has gaps, is
/// not aligned, or is about to be overwritten (`copy`).
///
/// # Safety
/// These elements can be read for `'a`, and unless they are copied nothing writes them meanwhile.
#[inline(always)]
pub unsafe fn line<T: Copy>(
    at: *const u8,
    stride: isize,
    len: usize,
    copy: bool,
    scratch: &mut Vec<T>,
) -> Result<&[T], Error> {
    let size = size_of::<T>() as isize;
    let side_by_side = stride == size || len == 1;
    if side_by_side && !copy && at.cast::<T>().is_aligned() {
        // SAFETY: the caller's promise; aligned and without gaps, as just seen.
        return Ok(unsafe { std::slice::from_raw_parts(at.cast(), len) });
    }
    scratch.clear();
    memory::reserve(scratch, len)?;
    let (target, step) = (scratch.as_mut_ptr(), if side_by_side { 1 } else { stride / size });
    // SAFETY: the caller's promise; there is room for `len` elements.
    let done = (side_by_side || stride % size == 0) && unsafe { strided(at.cast::<T>(), step, len, target) };
    if !done {
        for i in 0..len {
            // SAFETY: as above.
            unsafe { target.add(i).write(at.wrapping_offset(i as isize * stride).cast::<T>().read_unaligned()) };
        }
    }
    // SAFETY: all of them were written.
    unsafe { scratch.set_len(len) };
    Ok(scratch)
}

/// Have `write` fill the line of `len` elements at `at`, `stride` bytes apart: where it lies, or by way of `scratch`.
///
/// # Safety
/// These elements can be written, and nothing else reads or writes them meanwhile.
#[inline(always)]
pub unsafe fn write_line<T: Copy>(
    at: *mut u8,
    stride: isize,
    len: usize,
    zero: T,
    scratch: &mut Vec<T>,
    write: impl FnOnce(&mut [T]),
) -> Result<(), Error> {
    if (stride == size_of::<T>() as isize || len == 1) && at.cast::<T>().is_aligned() {
        // SAFETY: the caller's promise; aligned and without gaps, as just seen.
        write(unsafe { std::slice::from_raw_parts_mut(at.cast(), len) });
        return Ok(());
    }
    memory::refill(scratch, zero, len)?;
    write(scratch);
    for (i, value) in scratch.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { at.wrapping_offset(i as isize * stride).cast::<T>().write_unaligned(*value) };
    }
    Ok(())
}

/// The `len` parameters from number `first` on, `step` apart: where they lie, or copied to `scratch`.
#[inline(always)]
pub fn parameters<'a>(
    values: &'a [f64],
    first: isize,
    step: isize,
    len: usize,
    scratch: &'a mut Vec<f64>,
) -> Result<&'a [f64], Error> {
    if step == 1 {
        return Ok(&values[first as usize..][..len]);
    }
    scratch.clear();
    memory::extend(scratch, (0..len as isize).map(|i| values[(first + i * step) as usize]))?;
    Ok(scratch)
}

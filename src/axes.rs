//! The axes of an array, in the order of memory.
//!
//! An axis has roles: elements along it have a statistic (a channel) of their own, or share one; and parameters of their
//! own, or not. [`ordered`] drops axes of one element, turns those that step backwards, puts the innermost first and
//! merges neighbours that have the same roles and step evenly, so that views (crops, mirrored and transposed arrays) cost
//! nothing. Two cuts are made of what is left: [`crate::plan`] walks an array from front to back, [`crate::groups`] one
//! group that shares a statistic after the other.

use crate::error::Error;
use crate::memory;

/// The most axes that an array may have (NumPy's limit).
pub const MAX_AXES: usize = 64;

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis<const N: usize> {
    /// Number of steps.
    pub len: usize,
    /// Step of each operand in bytes.
    pub stride: [isize; N],
    /// Step in the numbering of the statistics (channels, groups); zero along axes that share one.
    pub channel: isize,
    /// Step in the numbering of the parameters; zero along axes without parameters of their own.
    pub parameter: isize,
    /// Whether positions along it have statistics of their own.
    pub kept: bool,
    /// Whether they have parameters of their own.
    pub own: bool,
}

impl<const N: usize> Axis<N> {
    /// Of one element.
    pub const ONE: Self = Self { len: 1, stride: [0; N], channel: 0, parameter: 0, kept: false, own: false };

    /// Whether `self`, the outer of two axes, continues where `inner` ends, in every operand and numbering.
    fn continues(&self, inner: &Self) -> bool {
        let len = inner.len as isize;
        (self.kept, self.own) == (inner.kept, inner.own)
            && (self.channel, self.parameter) == (inner.channel * len, inner.parameter * len)
            && self.stride.iter().zip(&inner.stride).all(|(outer, inner)| *outer == inner * len)
    }
}

/// Where elements lie, and the numbers of their statistic and of their parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position<const N: usize> {
    /// Byte offset of each operand.
    pub offset: [isize; N],
    /// Number of the statistic.
    pub channel: isize,
    /// Number of the parameter.
    pub parameter: isize,
}

impl<const N: usize> Position<N> {
    /// The element at index zero of every axis.
    pub const ZERO: Self = Self { offset: [0; N], channel: 0, parameter: 0 };

    /// Go `count` steps along `axis`.
    #[inline(always)]
    pub fn step(&mut self, axis: &Axis<N>, count: usize) {
        let count = count as isize;
        for (offset, stride) in self.offset.iter_mut().zip(&axis.stride) {
            *offset += stride * count;
        }
        self.channel += axis.channel * count;
        self.parameter += axis.parameter * count;
    }

    /// Go to position `index` of `axes`, outermost first, in their C order; what is left of `index`.
    #[inline(always)]
    pub fn step_to(&mut self, axes: &[Axis<N>], index: usize) {
        let mut rest = index;
        for axis in axes.iter().rev() {
            self.step(axis, rest % axis.len);
            rest /= axis.len;
        }
    }
}

/// The roles of the axes of an array.
#[derive(Debug, Clone, Copy)]
pub struct Roles<'a> {
    /// Whether positions along an axis have statistics of their own.
    pub kept: &'a [bool],
    /// Whether they have parameters of their own; nothing where the parameters go with the statistics.
    pub own: Option<&'a [bool]>,
}

/// The axes longer than one of an array of `shape`, innermost first, and where the first element of memory lies. `strides`
/// are the steps in each operand, the first of which decides the order.
pub fn ordered<const N: usize>(
    shape: &[usize],
    roles: Roles<'_>,
    strides: [&[isize]; N],
) -> Result<(Vec<Axis<N>>, Position<N>), Error> {
    let (mut axes, mut start): (Vec<Axis<N>>, _) = (memory::with_room(shape.len())?, Position::ZERO);
    let (mut channel, mut parameter) = (1, 1);
    for i in (0..shape.len()).rev() {
        let (len, kept, own) = (shape[i], roles.kept[i], roles.own.is_some_and(|own| own[i]));
        let mut axis = Axis {
            len,
            stride: strides.map(|strides| strides[i]),
            channel: if kept { channel } else { 0 },
            parameter: if own { parameter } else { 0 },
            kept,
            own,
        };
        channel *= if kept { len as isize } else { 1 };
        parameter *= if own { len as isize } else { 1 };
        if len == 1 {
            continue;
        }
        if axis.stride[0] < 0 && len > 0 {
            start.step(&axis, len - 1);
            axis.stride = axis.stride.map(|stride| -stride);
            (axis.channel, axis.parameter) = (-axis.channel, -axis.parameter);
        }
        axes.push(axis);
    }
    // A broadcast axis (step zero) repeats what lies within it: it belongs outside.
    axes.sort_by_key(|axis| if axis.stride[0] == 0 { isize::MAX } else { axis.stride[0] });
    let mut merged: Vec<Axis<N>> = memory::with_room(axes.len())?;
    for axis in axes {
        match merged.last_mut() {
            Some(inner) if axis.continues(inner) => inner.len *= axis.len,
            _ => merged.push(axis),
        }
    }
    Ok((merged, start))
}

/// The law of both cuts: every element is visited once, with the number of its statistic.
#[cfg(test)]
pub mod law {
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Every (byte offset, number of the statistic) pair of an array, with how often it occurs: an odometer over the axes.
    pub fn expected(shape: &[usize], kept: &[bool], strides: &[isize]) -> BTreeMap<(isize, isize), usize> {
        let mut seen = BTreeMap::new();
        let total: usize = shape.iter().product();
        for flat in 0..total {
            let (mut rest, mut offset, mut channel, mut scale) = (flat, 0, 0, 1);
            for i in (0..shape.len()).rev() {
                let index = (rest % shape[i]) as isize;
                rest /= shape[i];
                offset += index * strides[i];
                if kept[i] {
                    channel += index * scale;
                    scale *= shape[i] as isize;
                }
            }
            *seen.entry((offset, channel)).or_insert(0) += 1;
        }
        seen
    }

    /// The length, the role and the step (in elements) of an axis.
    pub fn axis() -> impl Strategy<Value = (usize, bool, isize)> {
        let len = prop_oneof![0usize..4, 1usize..9, Just(70), Just(700)];
        (len, any::<bool>(), prop_oneof![-3isize..4, -40isize..40])
    }
}

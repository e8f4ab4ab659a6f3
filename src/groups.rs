//! Arrays as groups of lines, for statistics and maps of groups that fit into the cache.
//!
//! A line runs along one axis; a *group* is all lines that share a statistic. [`crate::plan`] walks an array from front to
//! back, which suits statistics of all of it; here all of a group is visited before the next one.

use crate::axes::{Axis, Position, Roles, ordered};
use crate::error::Error;
use crate::memory;

/// Pieces that work is cut into, whatever the number of threads: enough to balance any usual number of cores.
pub const MOST_PIECES: usize = 64;

/// The axes of an array in the order of memory.
#[derive(Debug, Clone)]
pub struct Axes<const N: usize> {
    /// Those longer than one, the innermost first; neighbours of one kind that step evenly are one.
    pub axes: Vec<Axis<N>>,
    start: Position<N>,
}

impl<const N: usize> Axes<N> {
    /// Of an array of `shape` with these steps in each operand, the first of which decides the order.
    pub fn new(shape: &[usize], roles: Roles<'_>, strides: [&[isize]; N]) -> Result<Self, Error> {
        let (axes, start) = ordered(shape, roles, strides)?;
        Ok(Self { axes, start })
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
fn moved<const N: usize>(mut from: Position<N>, axes: &[Axis<N>], index: usize) -> Position<N> {
    from.step_to(axes, index);
    from
}

/// An array as groups of lines.
#[derive(Debug, Clone)]
pub struct Lines<const N: usize> {
    /// The axis of a line.
    pub line: Axis<N>,
    /// The axes of the lines of a group, and of the groups, outermost first.
    inner: Vec<Axis<N>>,
    groups: Vec<Axis<N>>,
    start: Position<N>,
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
    pub fn group(&self, index: usize) -> Position<N> {
        moved(self.start, &self.groups, index)
    }

    /// Where line `index` of the group at `group` lies.
    #[inline(always)]
    pub fn line(&self, group: &Position<N>, index: usize) -> Position<N> {
        moved(*group, &self.inner, index)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::law::{axis, expected};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Every (byte offset, number of the group) pair that the lines visit, with how often they do.
    fn visits(lines: &Lines<1>) -> BTreeMap<(isize, isize), usize> {
        let mut seen = BTreeMap::new();
        for group in 0..lines.groups() {
            let place = lines.group(group);
            for index in 0..lines.lines() {
                let mut at = lines.line(&place, index);
                for _ in 0..lines.line.len {
                    *seen.entry((at.offset[0], at.channel)).or_insert(0) += 1;
                    at.step(&lines.line, 1);
                }
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn visits_every_element_once(axes in prop::collection::vec(axis(), 0..5), line in 0usize..5) {
            let shape: Vec<_> = axes.iter().map(|a| a.0).collect();
            prop_assume!(shape.iter().product::<usize>() < 60_000);
            let kept: Vec<_> = axes.iter().map(|a| a.1).collect();
            let strides: Vec<_> = axes.iter().map(|a| a.2 * 4).collect();
            let axes = Axes::new(&shape, Roles { kept: &kept, own: None }, [&strides]).unwrap();
            let line = (!axes.axes.is_empty()).then(|| line % axes.axes.len());
            prop_assert_eq!(visits(&axes.lines(line, |axis| axis.kept)), expected(&shape, &kept, &strides));
        }
    }
}

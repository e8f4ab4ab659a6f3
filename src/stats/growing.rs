//! Moments that grow by a few rows at a time: these wait until there are enough of them to be worth adding up.

use super::MOST_ELEMENTS;
use super::moments::{Moments, MomentsElement};
use crate::error::Error;
use crate::memory;
use crate::rounding::Standard;
use crate::view::View;

/// Elements that wait at most.
const MOST_WAITING: usize = 1 << 14;
/// The most elements of an array that waits, and the most of its rows: others are worth adding up at once.
const FEW: usize = 1 << 11;
const FEW_ROWS: usize = 16;

/// Moments, and the rows that are still to be added to them.
#[derive(Debug, Default)]
pub struct Growing {
    moments: Moments,
    /// The elements of all channels of a row, and then those of the next.
    waiting: Vec<f64>,
    channels: usize,
    /// Whether the channels' counts have room for whatever may wait.
    has_room: bool,
}

impl From<Moments> for Growing {
    fn from(moments: Moments) -> Self {
        Self { moments, ..Self::default() }
    }
}

/// The number of channels of an array whose elements lie side by side, row after row; nothing for others, and for more than a
/// few rows.
fn channels_of_rows<T>(x: View<'_, T>, kept: &[bool]) -> Option<usize> {
    let (mut step, mut channels, mut rows) = (size_of::<T>(), 1, 1);
    for ((len, stride), kept) in x.shape().iter().zip(x.strides()).zip(kept).rev() {
        if *len == 0 || *len > FEW || *len > 1 && *stride != step as isize || *kept && rows > 1 {
            return None;
        }
        step *= len;
        *(if *kept { &mut channels } else { &mut rows }) *= len;
        if channels * rows > FEW || rows > FEW_ROWS {
            return None;
        }
    }
    Some(channels)
}

impl Growing {
    /// Let the rows of `x` wait, if they are few and nothing speaks against it; whether they do.
    pub fn wait<T: MomentsElement>(&mut self, x: View<'_, T>, kept: &[bool]) -> Result<bool, Error> {
        let Some(channels) = channels_of_rows(x, kept).filter(|_| !T::IS_WIDE) else { return Ok(false) };
        let known = if self.waiting.is_empty() { self.moments.channels() } else { self.channels };
        if known != channels && known != 0 {
            return Ok(false);
        }
        let _standard = Standard::enter();
        let count = x.shape().iter().product::<usize>();
        if self.waiting.len() + count > MOST_WAITING {
            self.settle()?;
        }
        if self.waiting.is_empty() {
            let room = |count: u64| count <= MOST_ELEMENTS - MOST_WAITING as u64;
            self.has_room = self.moments.cells.iter().all(|cell| cell.weight.to_u64().is_some_and(room));
            self.channels = channels;
        }
        if !self.has_room {
            return Ok(false);
        }
        memory::reserve(&mut self.waiting, count)?;
        let before = self.waiting.len();
        let start = x.start().cast::<T>();
        // SAFETY: the view's elements can be read, and lie side by side.
        self.waiting.extend((0..count).map(|i| unsafe { start.add(i).read_unaligned() }.to_f64()));
        if self.waiting.iter().skip(before).fold(false, |any, x| any | x.is_infinite()) {
            self.waiting.truncate(before);
            return Ok(false);
        }
        Ok(true)
    }

    /// Add up what waits.
    fn settle(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let size = size_of::<f64>();
        let shape = [self.waiting.len() / self.channels, self.channels];
        let strides = [size * self.channels, size].map(|stride| stride as isize);
        // SAFETY: shape and strides stay within `waiting`.
        let x = unsafe { View::<f64>::new(self.waiting.as_ptr().cast(), &shape, &strides) };
        let moments = Moments::of(x, &[false, true], 1)?;
        self.moments.merge(&moments)?;
        self.waiting.clear();
        Ok(())
    }

    /// Join other moments.
    pub fn merge(&mut self, other: &Moments) -> Result<(), Error> {
        self.settle()?;
        self.moments.merge(other)
    }

    /// The moments of all that came.
    pub fn moments(&mut self) -> Result<&Moments, Error> {
        self.settle()?;
        Ok(&self.moments)
    }
}

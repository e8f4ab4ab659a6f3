//! Compressed sparse matrices (CSR and CSC), on their own buffers.
//!
//! A matrix is a sequence of *segments*, rows for CSR and columns for CSC, of entries with an index across them. Channels
//! are the segments or the indices; elements that are not stored are zeros, and are counted, not visited.

// Callers' data decide indices here, and another thread may change them: each one is checked where it is used.
#![warn(clippy::indexing_slicing)]

mod columns;
mod maps;
mod quantiles;

pub use columns::{extrema, moments};
pub use maps::{normalize, scale};
pub use quantiles::quantiles;

use crate::error::Error;
use crate::memory;
use std::ops::Range;

/// Pieces that work is cut into.
const PIECES: usize = 64;
/// Entries of a piece at least.
const MIN_ENTRIES: usize = 1 << 14;

/// An integer that indexes a sparse matrix.
pub trait Index: Copy + PartialOrd + Send + Sync + 'static {
    /// As an offset; far out of range for what is negative.
    fn offset(self) -> usize;
}

macro_rules! index {
    ($($t:ty),*) => {$(
        impl Index for $t {
            #[inline(always)]
            fn offset(self) -> usize {
                self as usize
            }
        }
    )*};
}
index!(i32, i64);

/// An index that no matrix of this shape has.
const OUT_OF_RANGE: Error = Error::Damaged("an index is out of range");

/// A compressed sparse matrix.
///
/// Entries and indices may be changed by others while they are read; where segments begin and end may not.
#[derive(Debug, Clone, Copy)]
pub struct Compressed<'a, T, I> {
    /// The entries, segment after segment.
    pub data: &'a [T],
    /// For each entry its index within the segment.
    pub indices: &'a [I],
    indptr: &'a [I],
    /// Elements of a segment, stored or not.
    pub minor: usize,
}

/// Which way channels run through a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Each segment is a channel.
    Segments,
    /// Each index is a channel.
    Indices,
}

impl<'a, T, I: Index> Compressed<'a, T, I> {
    /// From the three buffers, of which nobody else may change the last. The indices are checked where they are used.
    pub fn new(data: &'a [T], indices: &'a [I], indptr: &'a [I], minor: usize) -> Result<Self, Error> {
        let Some(last) = indptr.last() else { return Err(Error::Damaged("indptr is empty")) };
        let ascending = indptr.is_sorted_by_key(|start| start.offset());
        if !ascending || last.offset() > data.len().min(indices.len()) {
            return Err(Error::Damaged("indptr does not ascend within the entries"));
        }
        Ok(Self { data, indices, indptr, minor })
    }

    /// Number of segments.
    pub fn major(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Where a segment begins.
    #[inline(always)]
    fn start(&self, segment: usize) -> usize {
        self.indptr.get(segment).map_or(0, |start| start.offset())
    }

    /// Number of channels.
    pub fn channels(&self, channels: Channels) -> usize {
        if channels == Channels::Segments { self.major() } else { self.minor }
    }

    /// The entries of `segments`.
    #[inline(always)]
    pub fn entries(&self, segments: Range<usize>) -> Range<usize> {
        self.start(segments.start)..self.start(segments.end)
    }

    /// These entries with their indices.
    #[inline(always)]
    pub fn pairs(&self, entries: Range<usize>) -> (&'a [T], &'a [I]) {
        // `new` has seen that segments lie within both.
        (self.data.get(entries.clone()).unwrap_or_default(), self.indices.get(entries).unwrap_or_default())
    }

    /// Whether the indices within each of `segments` ascend, so that no two entries stand for one element. An index that
    /// is out of range is an error.
    #[inline(always)]
    pub fn ascends(&self, segments: Range<usize>) -> Result<bool, Error> {
        let all = self.entries(segments.clone());
        let (_, indices) = self.pairs(all.clone());
        // Where they do, an index is smaller than the one before it only at the start of a segment.
        let mut descents = 0usize;
        for (before, after) in indices.iter().zip(indices.iter().skip(1)) {
            descents += usize::from(after <= before);
        }
        let mut within = true;
        for segment in segments {
            let entries = self.entries(segment..segment + 1);
            let start = entries.start;
            let (_, indices) = self.pairs(entries);
            if let Some((first, last)) = indices.first().zip(indices.last()) {
                within &= first.offset() < self.minor && last.offset() < self.minor;
                let before = self.indices.get(start.wrapping_sub(1)).filter(|_| start > all.start);
                // Indices that change meanwhile may descend less often here.
                descents = descents.saturating_sub(usize::from(before.is_some_and(|before| first <= before)));
            }
        }
        if descents > 0 {
            within = indices.iter().all(|index| index.offset() < self.minor);
        }
        if within { Ok(descents == 0) } else { Err(OUT_OF_RANGE) }
    }

    /// The segments in at most `pieces` pieces of about equally many entries.
    fn pieces(&self, pieces: usize) -> Result<Vec<Range<usize>>, Error> {
        let (first, last) = (self.start(0), self.start(self.major()));
        let pieces = pieces.min((last - first) / MIN_ENTRIES).max(1);
        let cut = |piece: usize| {
            let entry = first + (last - first) / pieces * piece;
            let ends = self.indptr.get(1..).unwrap_or_default();
            if piece == pieces { self.major() } else { ends.partition_point(|end| end.offset() <= entry) }
        };
        memory::collect((0..pieces).map(|piece| if piece == 0 { 0 } else { cut(piece) }..cut(piece + 1)))
    }
}

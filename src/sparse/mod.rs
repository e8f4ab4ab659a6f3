//! Compressed sparse matrices (CSR and CSC), on their own buffers.
//!
//! A matrix is a sequence of *segments*, rows for CSR and columns for CSC, of entries with an index across them. Channels
//! are the segments or the indices; elements that are not stored are zeros, and are counted, not visited.

mod columns;
mod maps;
mod quantiles;

pub use columns::{extrema, moments};
pub use maps::{normalize, scale};
pub use quantiles::quantiles;

use crate::error::Error;
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

/// A compressed sparse matrix.
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
    /// From the three buffers. The indices are checked where they are used.
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
        self.indptr.len() - 1
    }

    /// Number of channels.
    pub fn channels(&self, channels: Channels) -> usize {
        if channels == Channels::Segments { self.major() } else { self.minor }
    }

    /// The entries of `segments`.
    #[inline(always)]
    pub fn entries(&self, segments: Range<usize>) -> Range<usize> {
        self.indptr[segments.start].offset()..self.indptr[segments.end].offset()
    }

    /// Whether the indices within each of `segments` ascend, so that no two entries stand for one element. An index that
    /// is out of range is an error.
    #[inline(always)]
    pub fn ascends(&self, segments: Range<usize>) -> Result<bool, Error> {
        let all = self.entries(segments.clone());
        let indices = &self.indices[all.clone()];
        // Where they do, an index is smaller than the one before it only at the start of a segment.
        let mut descents = 0;
        for i in 1..indices.len() {
            descents += usize::from(indices[i] <= indices[i - 1]);
        }
        let mut within = true;
        for segment in segments {
            let Range { start, end } = self.entries(segment..segment + 1);
            if start < end {
                let (first, last) = (self.indices[start], self.indices[end - 1]);
                within &= first.offset() < self.minor && last.offset() < self.minor;
                descents -= usize::from(start > all.start && first <= self.indices[start - 1]);
            }
        }
        if descents > 0 {
            within = indices.iter().all(|index| index.offset() < self.minor);
        }
        if within { Ok(descents == 0) } else { Err(Error::Damaged("an index is out of range")) }
    }

    /// The segments in at most `pieces` pieces of about equally many entries.
    fn pieces(&self, pieces: usize) -> Vec<Range<usize>> {
        let (first, last) = (self.indptr[0].offset(), self.indptr[self.major()].offset());
        let pieces = pieces.min((last - first) / MIN_ENTRIES).max(1);
        let cut = |piece: usize| {
            let entry = first + (last - first) / pieces * piece;
            if piece == pieces { self.major() } else { self.indptr[1..].partition_point(|end| end.offset() <= entry) }
        };
        (0..pieces).map(|piece| if piece == 0 { 0 } else { cut(piece) }..cut(piece + 1)).collect()
    }
}

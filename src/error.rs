//! The one error type of the core.

use crate::array::{DType, tuple};
use thiserror::Error;

/// Why a computation was refused. The Python layer adds the name of the argument where the core cannot know it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// An infinity among the elements of a statistic that infinity would destroy.
    #[error("contains infinity")]
    Infinite,
    /// A weight that is negative, infinite or not a number.
    #[error("must be finite and not negative")]
    BadWeight,
    /// Weights of which the smaller would not count beside the larger.
    #[error("has weights too far from those before to be counted together")]
    WeightsTooFarApart,
    /// Two states that describe different numbers of channels.
    #[error("cannot merge statistics of {left} channels with statistics of {right} channels")]
    ChannelMismatch {
        /// Channels of the state merged into.
        left: usize,
        /// Channels of the state merged from.
        right: usize,
    },
    /// A sparse matrix with an index outside of its shape.
    #[error("is a damaged sparse matrix: {0}")]
    Damaged(&'static str),
    /// A sparse matrix with several entries for one element, which is their sum.
    #[error("has several entries for one element")]
    Duplicates,
    /// A count, a sum of weights or an exact sum of integers that would no longer fit.
    #[error("would make the count (at most 2**63 - 1) or the sum of weights (at most 1.8e308) too large")]
    Overflow,
    /// An array for results of another dtype.
    #[error("has dtype {}; the result has dtype {}", got.name(), result.name())]
    ResultDType {
        /// The array's.
        got: DType,
        /// The result's.
        result: DType,
    },
    /// An array for results of another shape.
    #[error("has shape {}; the result has shape {}", tuple(got), tuple(result))]
    ResultShape {
        /// The array's.
        got: Vec<usize>,
        /// The result's.
        result: Vec<usize>,
    },
    /// An array for results that cannot be written.
    #[error("is read-only; a writeable array is accepted")]
    ReadOnly,
    /// An array for results of which several elements are one.
    #[error("has several elements in the same memory; an array without such overlaps is accepted")]
    OverlapsItself,
    /// An array for results that would overwrite elements before they are read.
    #[error(
        "overlaps the input and would overwrite elements before they are read; an array of other memory, or the input \
         itself where it has the dtype of the result, is accepted"
    )]
    OverlapsInput,
    /// Memory that could not be had.
    #[error("not enough memory for {count} elements of {size} bytes")]
    OutOfMemory {
        /// Elements that were to be held.
        count: usize,
        /// Bytes of each.
        size: usize,
    },
}

/// Of several items, the first stands for the work on all of them.
impl From<Error> for (usize, Error) {
    fn from(error: Error) -> Self {
        (0, error)
    }
}

//! The one error type of the core.

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
    /// A number that no longer fits the exact integer sums.
    #[error("the exact integer sums overflowed")]
    Overflow,
}

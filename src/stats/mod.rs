//! Statistics of the elements that share a channel.
//!
//! [`moments`] and [`extrema`] are states that merge; [`quantiles`] are exact ones of a whole array, [`norms`] the lengths
//! of vectors. [`crate::drive`] hands them the elements.

// Callers' data decide indices here: each one is checked, or says why it cannot be out of range.
#![warn(clippy::indexing_slicing)]

pub mod bytes;
pub mod cell;
pub mod channel;
pub mod extrema;
mod group_sums;
pub mod groups;
pub mod growing;
pub mod moments;
pub mod norms;
pub mod quantiles;
pub mod sketch;
pub mod sketches;
pub mod sums;
#[cfg(test)]
mod tests;
pub mod weighted_sums;
pub mod weights;

use crate::error::Error;

/// Elements of a channel that are counted at most: as many as NumPy's integers can say.
pub const MOST_ELEMENTS: u64 = i64::MAX as u64;

/// The sum of two counts.
fn joined(ours: u64, theirs: u64) -> Result<u64, Error> {
    ours.checked_add(theirs).filter(|count| *count <= MOST_ELEMENTS).ok_or(Error::Overflow)
}

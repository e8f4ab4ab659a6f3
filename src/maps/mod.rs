//! Maps of arrays.
//!
//! | module | what it does |
//! |---|---|
//! | [`affine`] | the affine map per channel, of whole arrays |
//! | [`ranges`] | the parameters of a map from one range to another |
//! | [`normalize`] | vectors divided by their length |
//! | [`images`] | pictures, with constants or statistics of their own |
//! | [`logarithm`] | logarithms and powers |

pub mod affine;
pub mod images;
pub mod logarithm;
pub mod normalize;
pub mod ranges;
#[cfg(test)]
mod tests;

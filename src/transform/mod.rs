//! Maps of arrays.

pub mod affine;
pub mod normalize;

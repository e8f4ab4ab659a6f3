//! Maps of arrays.

pub mod affine;
pub mod images;
pub mod normalize;

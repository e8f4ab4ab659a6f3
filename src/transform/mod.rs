//! Maps of the elements of each channel.

pub mod affine;

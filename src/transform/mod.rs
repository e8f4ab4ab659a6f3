//! Maps of arrays.

pub mod affine;
pub mod images;
pub mod layer_gradients;
pub mod layers;
pub mod lines;
pub mod normalize;

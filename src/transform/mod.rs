//! Maps of arrays.
//!
//! | module | what it does |
//! |---|---|
//! | [`affine`] | the affine map per channel, of whole arrays |
//! | [`ranges`] | the parameters of a map from one range to another |
//! | [`normalize`] | vectors divided by their length |
//! | [`images`] | pictures, with constants or statistics of their own |
//! | [`layers`], [`layer_gradients`] | normalisation layers: a group's statistics and its map while it is in the cache |
//! | [`column_gradients`] | gradients of layers whose groups lie as columns side by side |
//! | [`logarithm`] | logarithms and powers |
//! | [`lines`] | arrays as groups of lines, which layers visit one group after the other |

pub mod affine;
pub mod column_gradients;
pub mod images;
pub mod layer_gradients;
pub mod layers;
pub mod logarithm;
pub mod normalize;
pub mod ranges;

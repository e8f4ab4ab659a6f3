//! The only two drivers: [`reduce()`] for statistics, [`map_elements`] for maps.
//!
//! Both walk a [`Plan`](crate::plan::Plan) over the threads and hand blocks to kernels; [`source`] says where statistics take
//! their elements from (an array as it is, or one of which a mask leaves elements out).

mod map;
mod reduce;
pub mod source;

pub use map::{ElementMap, Target, map_elements, plan};
pub use reduce::{Accumulator, Slots, Tile, reduce};

//! The only two drivers: [`reduce()`] for statistics, [`map_elements`] for maps ([`map_groups`] where the parameters
//! go with the group of a sample).
//!
//! What takes sums and maps in one go, since its elements must stay in the cache (layers of lines), goes through its pieces by
//! [`each`], as both of them do.
//!
//! Both walk a [`Plan`](crate::plan::Plan) over the threads and hand blocks to kernels; [`source`] says where statistics take
//! their elements from (an array as it is, or one of which a mask leaves elements out).

mod grouped;
mod map;
mod reduce;
pub mod source;

use crate::error::Error;
use crate::parallel;

pub use map::{ElementMap, Target, map_elements, map_groups, plan};
pub use reduce::{Accumulator, Slots, Tile, reduce};

/// Call `work` for each of `pieces` on up to `threads` threads; `worker` makes what a thread keeps between them. Results are
/// in the order of the pieces; of several errors the first in that order counts.
pub fn each<P: Sync, W, R: Send, E: From<Error> + Send>(
    pieces: &[P],
    threads: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, &P) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    // Numbers of pieces are below their number.
    parallel::map(pieces.len(), threads, worker, |own, index| work(own, &pieces[index]))
}

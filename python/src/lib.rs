//! The extension module `planish._core`: the only part of the crate that knows Python.
//!
//! | module | what it does |
//! |---|---|
//! | `arrays` | NumPy arrays as views; dtypes to element types; overlaps |
//! | `results` | new NumPy arrays |
//! | `axes` | `channel_axis` to kept axes |
//! | `maps`, `prepared` | the maps, made once and called often |
//! | `ranges`, `norms` | parameters of maps of ranges; lengths of vectors |
//! | `images` | pictures to network input |
//! | `layers` | normalisation layers and their gradients |
//! | `quantiles` | exact quantiles |
//! | `sparse` | CSR and CSC matrices |
//! | `stream`, `moments`, `extrema` | the streaming accumulators |
//! | `threads` | thread counts, and when to let go of the GIL |
//! | `errors` | errors of the core as Python exceptions |

// Callers' data decide indices here: each one is checked, or says why it cannot be out of range.
#![warn(clippy::indexing_slicing)]

mod arrays;
mod axes;
mod errors;
mod extrema;
mod images;
mod layers;
mod maps;
mod moments;
mod norms;
mod prepared;
mod quantiles;
mod ranges;
mod results;
mod sketches;
mod sparse;
mod stream;
mod threads;

use pyo3::prelude::*;

/// The compiled core of planish.
#[pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::threads::check_level(module.py())
    }

    #[pymodule_export]
    use super::arrays::accepts;
    #[pymodule_export]
    use super::axes::channel_shape;
    #[pymodule_export]
    use super::errors::DuplicateEntriesError;
    #[pymodule_export]
    use super::extrema::PyExtrema;
    #[pymodule_export]
    use super::images::normalize_images;
    #[pymodule_export]
    use super::layers::{layer, layer_gradient};
    #[pymodule_export]
    use super::maps::{DomainError, PyMap, check_dtype};
    #[pymodule_export]
    use super::moments::PyMoments;
    #[pymodule_export]
    use super::norms::norms;
    #[pymodule_export]
    use super::prepared::Prepared;
    #[pymodule_export]
    use super::quantiles::quantiles;
    #[pymodule_export]
    use super::ranges::range_maps;
    #[pymodule_export]
    use super::sketches::PyQuantiles;
    #[pymodule_export]
    use super::sparse::{sparse_normalize, sparse_quantiles, sparse_scale};
    #[pymodule_export]
    use super::threads::{check_num_threads, get_num_threads, set_num_threads, simd_level, simd_levels};
}

//! Streaming statistics and per-channel normalisation over strided buffers.
//!
//! Everything here is one engine: *statistics* of the elements that share a channel, then an *affine map* per
//! channel. What a channel is, is a choice of axes. Data flows through four stages, and each has a module:
//!
//! | stage | module | what it does |
//! |---|---|---|
//! | layout | [`view`], [`layout`] | shape + strides + kept axes, merged and ordered, become rows of interleaved columns |
//! | tiles | [`tiles`] | bounded pieces of that, read in place where they are contiguous and gathered where not |
//! | kernel | [`kernels`] | one SIMD loop per statistic or map, chosen for the CPU at run time |
//! | merge | [`stats`], [`transform`] | drive the tiles over the threads; join partial results in a fixed order |
//!
//! [`sparse`] does the same for compressed sparse matrices. Layers of networks ([`transform::layers`]) take statistic and
//! map of a group together while it is in the cache. [`element`] is what an array may hold, [`dd`] the double-double
//! arithmetic that keeps long merges exact, [`parallel`] the fork-aware threads, [`memory`] the vectors that may be too large, and [`error`] the one error type. The
//! extension for Python is a crate of its own, in `python/`.

pub mod array;
pub mod axes;
pub mod blocks;
pub mod dd;
pub mod drive;
pub mod element;
pub mod error;
pub mod groups;
pub mod kernels;
pub mod memory;
pub mod parallel;
pub mod plan;
pub mod rows;
pub mod sparse;
pub mod stats;
pub mod transform;
pub mod view;

//! Streaming statistics and per-channel normalisation over strided buffers.
//!
//! Everything here is one engine: *statistics* of the elements that share a channel, then a *map* per channel. What a
//! channel is, is a choice of axes. Data flow through these stages, and each has a module:
//!
//! | stage | module | what it does |
//! |---|---|---|
//! | array | [`mod@array`], [`view`] | dtype, shape, strides; which results an array can take |
//! | axes | [`axes`] | axes with roles: in the order of memory, turned, merged |
//! | cut | [`plan`], [`groups`] | rows of interleaved columns; groups of lines |
//! | block | [`rows`], [`blocks`] | what kernels stand on: in place, or gathered and scattered |
//! | kernel | [`kernels`] | one SIMD loop per statistic or map, chosen for the CPU at run time |
//! | drive | [`drive`] | blocks to kernels over the threads; partial results joined in a fixed order |
//!
//! [`stats`] and [`maps`] are what is driven, [`layers`] take statistic and map of a group together while it is in the cache,
//! [`sparse`] does the same for compressed sparse matrices. [`element`] is what an array may hold, [`dd`] the double-double
//! arithmetic that keeps long merges exact, [`parallel`] the fork-aware threads, [`rounding`] the
//! floating-point environment that they work in, [`memory`] the vectors that may be too
//! large, and [`error`] the one error type. The extension for Python is a crate of its own, in `python/`.

pub mod array;
pub mod axes;
pub mod blocks;
pub mod dd;
pub mod drive;
pub mod element;
pub mod error;
pub mod exact;
pub mod groups;
pub mod kernels;
pub mod layers;
pub mod maps;
pub mod memory;
pub mod parallel;
pub mod plan;
pub mod rounding;
pub mod rows;
pub mod sparse;
pub mod stats;
pub mod view;

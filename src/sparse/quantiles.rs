//! Exact quantiles of the segments of a sparse matrix.

use super::{Compressed, Index, PIECES};
use crate::element::{Element, Key};
use crate::error::Error;
use crate::memory;
use crate::parallel;
use crate::stats::quantiles::{Between, ranks, select};

/// Quantiles `q` (each within 0 and 1) of every segment, zeros and all. NaN is left out; infinity is an error.
pub fn quantiles<T: Element, I: Index>(
    matrix: Compressed<'_, T, I>,
    q: &[f64],
    threads: usize,
) -> Result<Vec<Vec<Between>>, Error> {
    let run = |segments: std::ops::Range<usize>| -> Result<Vec<Vec<Between>>, Error> {
        memory::collect_all(segments.map(|segment| segment_quantiles(&matrix, segment, q)))
    };
    let pieces = parallel::map_items(matrix.pieces(PIECES)?, 1, threads, || (), |(), segments| run(segments))?;
    let mut quantiles = memory::with_room(matrix.major())?;
    pieces.into_iter().for_each(|mut piece| quantiles.append(&mut piece));
    Ok(quantiles)
}

fn segment_quantiles<T: Element, I: Index>(
    matrix: &Compressed<'_, T, I>,
    segment: usize,
    q: &[f64],
) -> Result<Vec<Between>, Error> {
    let entries = matrix.entries(segment..segment + 1);
    if !matrix.ascends(segment..segment + 1)? {
        return Err(Error::Duplicates);
    }
    let (data, _) = matrix.pairs(entries.clone());
    let keys: Vec<T::Key> = memory::collect(data.iter().map(|x| x.key()))?;
    if keys.iter().any(|key| key.magnitude().is_infinite()) {
        return Err(Error::Infinite);
    }
    let zero = T::Key::ZERO;
    let mut below: Vec<T::Key> = memory::collect(keys.iter().copied().filter(|key| *key < zero))?;
    let mut above: Vec<T::Key> = memory::collect(keys.iter().copied().filter(|key| *key > zero))?;
    let stored_zeros = keys.iter().filter(|key| **key == zero).count();
    let zeros = stored_zeros + matrix.minor.saturating_sub(entries.len());
    let number = below.len() + zeros + above.len();
    if number == 0 {
        return memory::filled(Between::NONE, q.len());
    }
    let places: Vec<_> = memory::collect(q.iter().map(|q| ranks(*q, number as u64)))?;
    let ranks = places.iter().flat_map(|(low, high, _)| [*low as usize, *high as usize]);
    let mut wanted: Vec<usize> = memory::collect(ranks)?;
    wanted.sort_unstable();
    let first_above = below.len() + zeros;
    let (low, rest) = wanted.split_at(wanted.partition_point(|rank| *rank < below.len()));
    select(&mut below, 0, low);
    select(&mut above, first_above, rest.split_at(rest.partition_point(|rank| *rank < first_above)).1);
    let at = |rank: u64| {
        let rank = rank as usize;
        if rank < first_above {
            below.get(rank).map_or(0.0, |key| key.to_f64())
        } else {
            above.get(rank - first_above).map_or(f64::NAN, |key| key.to_f64())
        }
    };
    let between =
        |(low, high, fraction): &(u64, u64, f64)| Between { low: at(*low), high: at(*high), fraction: *fraction };
    memory::collect(places.iter().map(between))
}

//! Exact quantiles of the segments of a sparse matrix.

use super::{Compressed, Index, PIECES};
use crate::element::{Element, Key};
use crate::error::Error;
use crate::parallel;
use crate::stats::quantiles::{Between, ranks, select};

/// Quantiles `q` (each within 0 and 1) of every segment, zeros and all. NaN is left out; infinity is an error.
pub fn quantiles<T: Element, I: Index>(
    matrix: Compressed<'_, T, I>,
    q: &[f64],
    threads: usize,
) -> Result<Vec<Vec<Between>>, Error> {
    let run = |segments: std::ops::Range<usize>| -> Result<Vec<Vec<Between>>, Error> {
        segments.map(|segment| segment_quantiles(&matrix, segment, q)).collect()
    };
    let pieces = parallel::map_items(matrix.pieces(PIECES), 1, threads, || (), |(), segments| run(segments));
    Ok(pieces.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
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
    let keys: Vec<T::Key> = matrix.data[entries.clone()].iter().map(|x| x.key()).collect();
    if keys.iter().any(|key| key.magnitude().is_infinite()) {
        return Err(Error::Infinite);
    }
    let zero = T::Key::ZERO;
    let mut below: Vec<T::Key> = keys.iter().copied().filter(|key| *key < zero).collect();
    let mut above: Vec<T::Key> = keys.iter().copied().filter(|key| *key > zero).collect();
    let stored_zeros = keys.iter().filter(|key| **key == zero).count();
    let zeros = stored_zeros + matrix.minor.saturating_sub(entries.len());
    let number = below.len() + zeros + above.len();
    if number == 0 {
        return Ok(vec![Between::NONE; q.len()]);
    }
    let places: Vec<_> = q.iter().map(|q| ranks(*q, number as u64)).collect();
    let mut wanted: Vec<usize> = places.iter().flat_map(|(low, high, _)| [*low as usize, *high as usize]).collect();
    wanted.sort_unstable();
    let first_above = below.len() + zeros;
    let (low, rest) = wanted.split_at(wanted.partition_point(|rank| *rank < below.len()));
    select(&mut below, 0, low);
    select(&mut above, first_above, &rest[rest.partition_point(|rank| *rank < first_above)..]);
    let at = |rank: u64| {
        let rank = rank as usize;
        if rank < below.len() {
            below[rank].to_f64()
        } else if rank < first_above {
            0.0
        } else {
            above[rank - first_above].to_f64()
        }
    };
    Ok(places
        .iter()
        .map(|(low, high, fraction)| Between { low: at(*low), high: at(*high), fraction: *fraction })
        .collect())
}

//! Maps of the entries of a sparse matrix. Zero stays zero, so that what is not stored need not be touched.

use super::{Channels, Compressed, Index, OUT_OF_RANGE, PIECES};
use crate::element::{Element, Key, Output};
use crate::error::Error;
use crate::kernels::affine::{NO_OFFSET, Parameters};
use crate::kernels::normalize::normalize_vector;
use crate::kernels::norms::Norm;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::parallel;
use std::ops::Range;

/// The entries of some segments, and where their results go.
struct Piece<'o, U> {
    segments: Range<usize>,
    out: &'o mut [U],
}

/// Cut the output as the segments are cut.
fn pieces<'o, T, I: Index, U>(matrix: &Compressed<'_, T, I>, out: &'o mut [U]) -> Result<Vec<Piece<'o, U>>, Error> {
    if out.len() != matrix.data.len() {
        return Err(Error::Damaged("data and result differ in length"));
    }
    let (_, mut rest) = out.split_at_mut(matrix.entries(0..0).start);
    let cut = |segments: Range<usize>| {
        let (out, others) = std::mem::take(&mut rest).split_at_mut(matrix.entries(segments.clone()).len());
        rest = others;
        Piece { segments, out }
    };
    memory::collect(matrix.pieces(PIECES)?.into_iter().map(cut))
}

struct Scale<'a, 'o, T, I> {
    matrix: Compressed<'a, T, I>,
    piece: Piece<'o, T>,
    channels: Channels,
    parameters: &'a Parameters,
}

impl<T: Output, I: Index> Kernel for Scale<'_, '_, T, I> {
    type Output = Result<bool, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { matrix, piece, channels, parameters } = self;
        let (mut infinite, mut outside) = (false, false);
        let mut out = piece.out.iter_mut();
        for segment in piece.segments {
            let (data, indices) = matrix.pairs(matrix.entries(segment..segment + 1));
            for ((x, index), y) in data.iter().zip(indices).zip(out.by_ref()) {
                let channel = if channels == Channels::Segments { segment } else { index.offset() };
                let Some(mapped) = parameters.scaled(channel, *x) else { return Err(OUT_OF_RANGE) };
                *y = T::from_f64(mapped);
                infinite |= x.key().magnitude().is_infinite();
                // Whoever is handed the result trusts its indices.
                outside |= index.offset() >= matrix.minor;
            }
        }
        if outside { Err(OUT_OF_RANGE) } else { Ok(infinite) }
    }
}

/// Multiply every entry of `matrix` by the `scale` of its channel, or divide, into `out`, between the limits of `clip`;
/// whether an entry is infinite.
#[allow(clippy::too_many_arguments)] // The parts of one map.
pub fn scale<T: Output, I: Index>(
    matrix: Compressed<'_, T, I>,
    channels: Channels,
    scale: &[f64],
    divide: bool,
    clip: Option<[f64; 2]>,
    out: &mut [T],
    threads: usize,
) -> Result<bool, Error> {
    let zeros = |value: f64| memory::filled(value, scale.len());
    let mut parameters = Parameters::new(zeros(0.0)?, memory::copied(scale)?, zeros(NO_OFFSET)?)?;
    parameters.prepare(divide);
    let run = |piece: Piece<'_, T>| {
        let Piece { segments, out } = piece;
        let piece = Piece { segments, out: &mut *out };
        let infinite = kernels::run(Scale { matrix, piece, channels, parameters: &parameters })?;
        if let Some([low, high]) = clip.map(|limits| limits.map(T::from_f64)) {
            for y in out {
                let key = y.key();
                *y = if key < low.key() { low } else { *y };
                *y = if key > high.key() { high } else { *y };
            }
        }
        Ok(infinite)
    };
    let infinite = parallel::map_items(pieces(&matrix, out)?, 1, threads, || (), |(), piece| run(piece))?;
    Ok(infinite.contains(&true))
}

/// Divide every segment of `matrix` by its length, into `out`; `false` where an entry is not finite.
pub fn normalize<T: Element + Output, I: Index>(
    norm: Norm,
    matrix: Compressed<'_, T, I>,
    out: &mut [T],
    threads: usize,
) -> Result<bool, Error> {
    let run = |piece: Piece<'_, T>| {
        let (mut spoiled, mut rest) = (false, piece.out);
        for segment in piece.segments {
            let (x, _) = matrix.pairs(matrix.entries(segment..segment + 1));
            let (y, others) = rest.split_at_mut(x.len());
            rest = others;
            if !x.is_empty() {
                spoiled |= normalize_vector(norm, x, y, 0.0);
            }
        }
        Ok::<_, Error>(!spoiled)
    };
    let finite = parallel::map_items(pieces(&matrix, out)?, 1, threads, || (), |(), piece| run(piece))?;
    Ok(!finite.contains(&false))
}

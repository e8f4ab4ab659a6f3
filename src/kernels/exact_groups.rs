//! Groups of rows added to the exact sums of all columns: see [`super::exact_sums`].

use super::Tuned;
use super::columns::prefetch_at;
use super::exact_sums::{HOLES, LANES, Lanes, NARROW, ROWS, Summand, WIDE};
use crate::rows::Rows;
use std::ops::Range;

/// Accumulators that stay in the first-level cache for all rows of a group.
const MOST_KEPT: usize = 256;
/// Bytes ahead that are asked for.
const AHEAD: usize = 6144;
/// Accumulators of chunks of columns in one form.
#[derive(Debug, Default)]
pub struct Form<T: Summand> {
    /// The accumulators of each chunk, and what they start with.
    pub sums: Vec<Lanes<f64>>,
    /// See `sums`.
    pub start: Vec<Lanes<f64>>,
    /// What they have gained in the groups that went well, in steps of their grids.
    pub totals: Vec<Lanes<i64>>,
    /// What is noted of the lowest bits of each column, and what it must pass.
    pub low: Vec<Lanes<T::Low>>,
    /// See `low`.
    pub limit: Vec<Lanes<T::Low>>,
    /// How many elements of each column were missing in the last group that looked for them.
    pub missing: Vec<Lanes<T::Low>>,
}

impl<T: Summand> Form<T> {
    /// Keep what a chunk has gained in a group in those columns that are `wanted`, a bit each, if all of these went well;
    /// begin anew then.
    #[inline(always)]
    pub fn keep(&mut self, wide: bool, chunk: usize, wanted: u8) -> bool {
        let form = usize::from(wide);
        let range = chunk * T::SUMS[form]..(chunk + 1) * T::SUMS[form];
        let (sums, start) = (&mut self.sums[range.clone()], &self.start[range.clone()]);
        let (check, limit) = (T::CHECK[form], self.limit[chunk].0);
        let low = &mut self.low[chunk].0;
        let mut bad = 0;
        for j in 0..LANES {
            let gained = sums[check].0[j].to_bits().wrapping_sub(start[check].0[j].to_bits());
            let well = (gained < T::MOST[form]) & T::passes(low[j], limit[j]);
            bad |= u8::from(!well) << j;
        }
        if bad & wanted != 0 {
            return false;
        }
        for ((total, sum), start) in self.totals[range].iter_mut().zip(&mut *sums).zip(start) {
            for j in 0..LANES {
                let gained = sum.0[j].to_bits().wrapping_sub(start.0[j].to_bits()) as i64;
                total.0[j] += if wanted >> j & 1 == 1 { gained } else { 0 };
            }
            *sum = *start;
        }
        *low = [T::NOTHING; LANES];
        true
    }

    /// Forget what a chunk has gained in a group.
    pub fn forget(&mut self, wide: bool, chunk: usize) {
        let range = chunk * T::SUMS[usize::from(wide)]..(chunk + 1) * T::SUMS[usize::from(wide)];
        self.sums[range.clone()].copy_from_slice(&self.start[range]);
        self.low[chunk].0 = [T::NOTHING; LANES];
        self.missing[chunk].0 = [T::NONE; LANES];
    }
}

/// What becomes of a chunk of columns in the next group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Its elements go to the narrow form.
    #[default]
    Narrow,
    /// They go to the narrow form, which leaves out those that are NaN.
    Holes,
    /// They go to the wide one.
    Wide,
    /// Others look after it.
    Apart,
}

/// Adds a group of rows to all chunks but those apart; notes those that did not go well.
pub struct AddGroup<'a, 'm, T: Summand> {
    /// The rows, as many columns as there are, and the elements of the last chunk if those are no whole chunks, with zeros.
    pub rows: Rows<'m, T>,
    /// See `rows`.
    pub last: &'a [[T; LANES]],
    /// Both forms.
    pub forms: &'a mut [Form<T>; 2],
    /// The way of each chunk, and which chunk the first of them is.
    pub ways: &'a [Way],
    /// See `ways`.
    pub chunk: usize,
    /// The chunks that have failed.
    pub failed: &'a mut Vec<usize>,
}

impl<T: Summand> Tuned for AddGroup<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool, const H: usize>(self) {
        let Self { rows, last, forms, ways, chunk: start, failed } = self;
        let most = const { MOST_KEPT / T::SUMS[0] };
        for panel in (0..ways.len()).step_by(most) {
            let panel = panel..ways.len().min(panel + most);
            let mut first = 0;
            while first + ROWS <= rows.count() {
                add_rows::<T, FMA, H, ROWS>(rows, last, forms, ways, panel.clone(), start, first);
                first += ROWS;
            }
            while first < rows.count() {
                add_rows::<T, FMA, H, 1>(rows, last, forms, ways, panel.clone(), start, first);
                first += 1;
            }
        }
        for (chunk, way) in ways.iter().enumerate() {
            if *way != Way::Apart {
                let wide = *way == Way::Wide;
                if !forms[usize::from(wide)].keep(wide, start + chunk, u8::MAX) {
                    // There is room for all of them.
                    failed.push(chunk);
                }
            }
        }
    }
}

/// Add `R` rows from `first` on to the chunks of a panel but those apart.
#[inline(always)]
fn add_rows<T: Summand, const FMA: bool, const H: usize, const R: usize>(
    rows: Rows<'_, T>,
    last: &[[T; LANES]],
    forms: &mut [Form<T>; 2],
    ways: &[Way],
    panel: Range<usize>,
    start: usize,
    first: usize,
) {
    let full = rows.width() / LANES;
    let group = rows.group::<R>(first);
    // Where there is one panel only, what comes next follows in memory; else it is some rows on.
    let sequential = ways.len() <= const { MOST_KEPT / T::SUMS[0] };
    for chunk in panel {
        let way = &ways[chunk];
        if *way == Way::Apart {
            continue;
        }
        let x = if chunk < full {
            let x = group.lanes::<LANES>(chunk * LANES);
            if sequential {
                // Each chunk asks for its share of what comes next, in the order of memory.
                let share = chunk * LANES * (R - 1) * size_of::<T>();
                prefetch(x[0].as_ptr().wrapping_byte_add(share), rows.bytes(R));
            } else {
                for x in x {
                    prefetch_at::<u8, 1>(x.as_ptr().wrapping_byte_add(rows.bytes(R)).cast());
                }
            }
            x
        } else {
            let Some(x) = last.get(first..).and_then(|last| last.first_chunk::<R>()) else { return };
            x.each_ref()
        };
        let wide = *way == Way::Wide;
        let Form { sums, low, missing, .. } = &mut forms[usize::from(wide)];
        let count = T::SUMS[usize::from(wide)];
        let chunk = start + chunk;
        let sums = &mut sums[chunk * count..(chunk + 1) * count];
        let (low, missing) = (&mut low[chunk], &mut missing[chunk]);
        match way {
            Way::Wide => T::add::<WIDE, FMA, H, R>(x, sums, low, missing),
            Way::Holes => T::add::<HOLES, FMA, H, R>(x, sums, low, missing),
            _ => T::add::<NARROW, FMA, H, R>(x, sums, low, missing),
        }
    }
}

/// Ask for what lies some way after the `block` bytes at hand, eight rows' worth of a chunk.
#[inline(always)]
fn prefetch<T>(x: *const T, block: usize) {
    let from = x.wrapping_byte_add(AHEAD.max(block + 2048));
    for line in 0..size_of::<T>() * LANES * ROWS / 64 {
        prefetch_at::<u8, 1>(from.wrapping_byte_add(line * 64).cast());
    }
}

/// Adds rows of one chunk.
pub struct AddChunk<'a, T: Summand> {
    /// Its elements.
    pub rows: &'a [[T; LANES]],
    /// The form, and whether it is the wide one.
    pub form: &'a mut Form<T>,
    /// See `form`.
    pub wide: bool,
    /// Which chunk.
    pub chunk: usize,
}

impl<T: Summand> Tuned for AddChunk<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool, const H: usize>(self) {
        let Self { rows, form: Form { sums, low, missing, .. }, wide, chunk } = self;
        let count = T::SUMS[usize::from(wide)];
        let sums = &mut sums[chunk * count..(chunk + 1) * count];
        let (low, missing) = (&mut low[chunk], &mut missing[chunk]);
        let (groups, rest) = rows.as_chunks::<ROWS>();
        for group in groups {
            let x = group.each_ref();
            if wide {
                T::add::<WIDE, FMA, H, ROWS>(x, sums, low, missing);
            } else {
                T::add::<NARROW, FMA, H, ROWS>(x, sums, low, missing);
            }
        }
        for x in rest {
            if wide {
                T::add::<WIDE, FMA, H, 1>([x], sums, low, missing);
            } else {
                T::add::<NARROW, FMA, H, 1>([x], sums, low, missing);
            }
        }
    }
}

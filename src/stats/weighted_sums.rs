//! From tiles to exact moments of what has weights: which form and which grids the columns go to, and what becomes of a group
//! of rows that did not go well.
//!
//! The rows of a chunk of columns are added at once ([`Add`]). Columns in which that failed have not changed: they get grids
//! that suit their elements and weights, or are added element by element.

use super::cell::Cell;
use super::sums::lanes_times;
use crate::drive::{Accumulator, Slots, Tile};
use crate::element::Wide;
use crate::error::Error;
use crate::exact::number::parts;
use crate::exact::quotient::scaled;
use crate::kernels;
use crate::kernels::exact_sums::{LANES, Lanes};
use crate::kernels::exact_weights::{
    Accumulators, Add, Chunk, EACH, Form, GROUP, HOLES, MOST_SUMS, Of, ROWS, Take, is_by_row, sum_weights,
};
use crate::memory;
use crate::rows::Rows;

/// Groups after which totals are moved to numbers: none of them can have overflowed.
const MOST_GROUPS: u32 = 1024;
/// Groups after one with missing elements that are searched for these.
const MOST_HOLES: u8 = 32;
/// Rows that are worth grids.
const WORTH_GRIDS: usize = 4;
/// A grid of zeros: any.
const ANY_GRID: i32 = -100;
/// Grids and sums between these powers of two keep everything on the way a normal number.
const POWERS: [i32; 2] = [-900, 900];
/// Bits that a grid leaves above what asked for it, where there are so many.
const SPARE: i32 = 8;

/// Numbers below `2^top` that are multiples of `2^low`; zeros only, where `low` is not below `top`.
#[derive(Debug, Clone, Copy)]
struct Span {
    top: i32,
    low: i32,
}

impl Span {
    const ZEROS: Self = Self { top: i32::MIN / 2, low: i32::MAX / 2 };

    fn add(&mut self, x: f64) {
        let (mantissa, exponent) = parts(x);
        if mantissa != 0 {
            let magnitude = mantissa.unsigned_abs();
            self.top = self.top.max(exponent + 64 - magnitude.leading_zeros() as i32);
            self.low = self.low.min(exponent + magnitude.trailing_zeros() as i32);
        }
    }

    fn with(self, other: Self) -> Self {
        Self { top: self.top.max(other.top), low: self.low.min(other.low) }
    }

    /// The grid for them, and what comes after them, above which numbers have at most so many bits.
    fn grid(self, most: i32) -> Option<i32> {
        let Self { top, low } = self;
        if low >= top {
            return Some(ANY_GRID);
        }
        let free = most - (top - low);
        (free >= 0).then(|| top + (free / 3).min(SPARE) - most)
    }
}

/// Some columns that are added together.
struct Columns {
    form: Form,
    /// The grids of elements and weights of each column, and what was met in those groups that asked for them.
    grids: [Option<[i32; 2]>; LANES],
    spans: [[Span; 2]; LANES],
    accumulators: Accumulators,
    /// Groups in the totals.
    groups: u32,
    /// Groups in which elements are still expected to be missing.
    holes: u8,
}

/// What is known of the weights of the rows of a group: for a form and a grid.
#[derive(Debug, Default)]
struct Known {
    of: Option<(Form, i32)>,
    gained: Option<[i64; 2]>,
}

impl Columns {
    fn new(form: Form) -> Self {
        let zeros = [Lanes([0.0; LANES]); MOST_SUMS];
        let accumulators = Accumulators {
            start: zeros,
            // Which no number passes.
            round: [Lanes([f64::NAN; LANES]); 2],
            totals: [Lanes([0; LANES]); MOST_SUMS],
        };
        Self { form, grids: [None; LANES], spans: [[Span::ZEROS; 2]; LANES], accumulators, groups: 0, holes: 0 }
    }

    /// Move what was gained to the cells.
    fn drain(&mut self, cells: &mut [Cell]) -> Result<(), Error> {
        self.groups = 0;
        for ((j, grids), cell) in self.grids.iter().enumerate().zip(cells) {
            let Some(grids) = grids else { continue };
            let layout = self.form.layout(*grids);
            for (total, layout) in self.accumulators.totals.iter_mut().zip(layout).take(self.form.sums()) {
                let Some(total) = total.0.get_mut(j) else { continue };
                let number = match layout.of {
                    Of::Weights => &mut cell.weight,
                    Of::Elements => &mut cell.sum,
                    Of::Squares => &mut cell.square,
                };
                number.add_scaled(i128::from(std::mem::take(total)), layout.grid)?;
            }
        }
        Ok(())
    }

    /// Give column `j` these grids of the form.
    fn set_grids(&mut self, j: usize, grids: Option<[i32; 2]>) {
        if let Some(known) = self.grids.get_mut(j) {
            *known = grids;
        }
        let Accumulators { start, round, .. } = &mut self.accumulators;
        let set =
            |lanes: &mut Lanes<f64>, value: f64| lanes.0.iter_mut().skip(j).take(1).for_each(|lane| *lane = value);
        let of_grid = |start: f64, grid: i32| scaled(start, 52 + grid);
        match grids {
            Some(grids) => {
                let layout = self.form.layout(grids);
                start.iter_mut().zip(layout).for_each(|(lanes, layout)| set(lanes, of_grid(layout.start, layout.grid)));
                round.iter_mut().zip(grids).for_each(|(lanes, grid)| set(lanes, of_grid(1.5, grid)));
            }
            None => round.iter_mut().for_each(|lanes| set(lanes, f64::NAN)),
        }
    }

    /// Grids for numbers of these spans.
    fn grids_for(form: Form, [x, w]: [Span; 2]) -> Option<[i32; 2]> {
        let weight_bits = form.most_weight_bits();
        let (x, w) = (x.grid(form.most_bits(weight_bits))?, w.grid(weight_bits)?);
        let layout = form.layout([x, w]);
        let in_range = |power: i32| (POWERS[0]..=POWERS[1]).contains(&power);
        let all = layout.iter().take(form.sums()).all(|layout| in_range(layout.grid) && in_range(layout.grid + 52));
        (all && in_range(x) && in_range(w)).then_some([x, w])
    }

    /// Add rows of the chunk to those columns that are `wanted`; where it failed.
    fn add_chunk(&mut self, Chunk { x, w }: &Chunk, count: usize, wanted: u8) -> u8 {
        let [rows, weights] = [x, w].map(|all| Rows::flat(all.get(..count).unwrap_or_default().as_flattened(), LANES));
        let (form, to) = (self.form, &mut self.accumulators);
        kernels::run_tuned(Add::<_, EACH> { rows, weights, at: 0, wanted, to, form, gained: [0; 2] })
    }

    /// Add rows that have one weight each; the columns where it failed.
    fn add_by_row<T: Wide>(&mut self, rows: Rows<'_, T>, weights: Rows<'_, f64>, at: usize, known: &mut Known) -> u8 {
        let mut grids = self.grids.iter().flatten().map(|[_, w]| *w);
        let grid = grids.next().unwrap_or(ANY_GRID);
        let (form, to) = (self.form, &mut self.accumulators);
        if known.of != Some((form, grid)) {
            let gained = weights.whole().and_then(|weights| sum_weights(form, grid, weights));
            *known = Known { of: Some((form, grid)), gained };
        }
        let mut wanted = u8::MAX;
        let gained = known.gained.filter(|_| self.holes == 0 && grids.all(|other| other == grid));
        self.holes = self.holes.saturating_sub(1);
        if let Some(gained) = gained {
            wanted = kernels::run_tuned(Add::<_, ROWS> { rows, weights, at, wanted, to: &mut *to, form, gained });
        }
        if wanted == 0 {
            return 0;
        }
        let failed = kernels::run_tuned(Add::<_, HOLES> { rows, weights, at, wanted, to, form, gained: [0; 2] });
        if gained.is_some() && failed != wanted {
            self.holes = MOST_HOLES;
        }
        failed
    }

    /// Add rows of the chunk to the columns in which that has `failed`, on grids that suit them; those in which it fails again.
    /// Columns whose weights are `shared` keep one grid for these.
    fn retry(
        &mut self,
        chunk: &Chunk,
        count: usize,
        failed: u8,
        shared: bool,
        cells: &mut [Cell],
    ) -> Result<u8, Error> {
        self.drain(cells)?;
        let mut here = [[Span::ZEROS; 2]; LANES];
        for (x, w) in chunk.x.iter().zip(&chunk.w).take(count) {
            for ([spans, spans_w], (x, w)) in here.iter_mut().zip(x.iter().zip(w)) {
                spans.add(*x);
                spans_w.add(*w);
            }
        }
        if shared {
            let all = |spans: &[[Span; 2]; LANES]| spans.iter().fold(Span::ZEROS, |all, [_, w]| all.with(*w));
            let (known, here_w) = (all(&self.spans), all(&here));
            self.spans.iter_mut().for_each(|[_, w]| *w = known);
            here.iter_mut().for_each(|[_, w]| *w = here_w);
        }
        // A form for all columns: the last will do for those for which none does.
        let all = |form: Form| here.iter().all(|spans| Self::grids_for(form, *spans).is_some());
        let before = self.form;
        if before == Form::Few && !all(Form::Few) {
            self.form = Form::Short;
        }
        for (j, here) in here.into_iter().enumerate() {
            let asked = shared || failed >> j & 1 == 1 || before != self.form;
            let Some(spans) = self.spans.get_mut(j).filter(|_| asked) else { continue };
            let [[x, w], [here_x, here_w]] = [*spans, here];
            let together = [x.with(here_x), w.with(here_w)];
            let grids = Self::grids_for(self.form, together);
            *spans = if grids.is_some() { together } else { here };
            self.set_grids(j, grids.or_else(|| Self::grids_for(self.form, here)));
        }
        Ok(self.add_chunk(chunk, count, failed))
    }
}

/// The weights of the elements of a row.
fn weights_of<'m, T: Copy>(
    rows: Rows<'_, T>,
    weights: Rows<'m, f64>,
    index: usize,
) -> impl Iterator<Item = &'m f64> + use<'m, T> {
    let (row, width) = (weights.row(index), rows.width());
    let times = if is_by_row(rows, weights) { width } else { 1 };
    std::iter::repeat_n(row, times).flatten()
}

/// Exact sums of elements with weights, made into cells.
pub struct WeightedAccumulator {
    /// Rows that are taken as one.
    times: usize,
    chunks: Vec<Columns>,
    chunk: Box<Chunk>,
    /// What has been moved, or was added element by element, of each column.
    cells: Vec<Cell>,
}

impl Default for WeightedAccumulator {
    fn default() -> Self {
        Self { times: 1, chunks: Vec::new(), chunk: Box::default(), cells: Vec::new() }
    }
}

impl WeightedAccumulator {
    /// Add some rows element by element, from column `at` on.
    fn add_each<T: Wide>(
        &mut self,
        rows: Rows<'_, T>,
        weights: Rows<'_, f64>,
        at: usize,
        width: usize,
    ) -> Result<(), Error> {
        for index in 0..rows.count() {
            let elements = rows.row(index).iter().zip(weights_of(rows, weights, index)).skip(at).take(width);
            for ((x, weight), cell) in elements.zip(self.cells.iter_mut().skip(at)) {
                cell.add_weighted(*x, *weight)?;
            }
        }
        Ok(())
    }

    fn add_group<T: Wide>(&mut self, rows: Rows<'_, T>, weights: Rows<'_, f64>) -> Result<(), Error> {
        let (count, by_row) = (rows.count(), is_by_row(rows, weights));
        let mut known = Known::default();
        for number in 0..self.chunks.len() {
            let at = number * LANES;
            let Self { chunks, chunk, cells, .. } = self;
            let (Some(columns), Some(cells)) = (chunks.get_mut(number), cells.get_mut(at..)) else { continue };
            let whole = !T::IS_WIDE && at + LANES <= rows.width();
            if !whole && kernels::run(Take { rows, weights, at, to: &mut *chunk }) {
                self.add_each(rows, weights, at, LANES)?;
                continue;
            }
            let failed = if whole && by_row {
                columns.add_by_row(rows, weights, at, &mut known)
            } else if whole {
                let (form, to) = (columns.form, &mut columns.accumulators);
                kernels::run_tuned(Add::<_, EACH> { rows, weights, at, wanted: u8::MAX, to, form, gained: [0; 2] })
            } else {
                columns.add_chunk(chunk, count, u8::MAX)
            };
            columns.groups += 1;
            if failed != 0 {
                kernels::run(Take { rows, weights, at, to: &mut *chunk });
                if chunk.x.iter().take(count).flatten().any(|x| x.is_infinite()) {
                    return Err(Error::Infinite);
                }
                let failed = columns.retry(chunk, count, failed, by_row, cells)?;
                for (j, cell) in cells.iter_mut().enumerate().take(LANES).filter(|(j, _)| failed >> j & 1 == 1) {
                    for (x, w) in chunk.x.iter().zip(&chunk.w).take(count) {
                        if let Some((x, w)) = x.get(j).zip(w.get(j)) {
                            cell.add_weighted(*x, *w)?;
                        }
                    }
                }
            } else if columns.groups >= MOST_GROUPS {
                columns.drain(cells)?;
            }
        }
        Ok(())
    }

    fn add<T: Wide>(&mut self, mut rows: Rows<'_, T>, mut weights: Rows<'_, f64>) -> Result<(), Error> {
        if rows.tail() > 0 || self.chunks.is_empty() {
            let each = if self.chunks.is_empty() { 0 } else { rows.count() };
            for index in each..=rows.count() {
                let elements = rows.row(index).iter().zip(weights_of(rows, weights, index));
                for ((x, weight), cell) in elements.zip(&mut self.cells) {
                    cell.add_weighted(*x, *weight)?;
                }
            }
        }
        if self.chunks.is_empty() {
            return Ok(());
        }
        loop {
            let ((group, rest), (group_weights, rest_weights)) = (rows.split(GROUP), weights.split(GROUP));
            if group.count() > 0 {
                self.add_group(group, group_weights)?;
            }
            match rest.zip(rest_weights) {
                Some(rest) => (rows, weights) = rest,
                None => return Ok(()),
            }
        }
    }
}

impl<T: Wide> Accumulator<T> for WeightedAccumulator {
    type Cell = Cell;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        self.times = lanes_times(slots);
        let columns = slots.width * self.times;
        let chunks = if slots.rows < WORTH_GRIDS { 0 } else { columns.div_ceil(LANES) };
        // The grids of the elements before will do for those that come, or be changed.
        let form = if T::FITS_F32 { Form::Few } else { Form::Long };
        self.chunks.truncate(chunks);
        memory::resize_with(&mut self.chunks, chunks, || Columns::new(form))?;
        self.cells.clear();
        memory::resize_with(&mut self.cells, columns, Cell::default)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let (recut, width) = (self.times < slots.times, slots.width * self.times);
        tile.each(|rows, weights| {
            // There are weights, or nobody would have asked for these sums.
            let Some(weights) = weights else { return Ok(()) };
            match rows.whole().zip(weights.whole()).filter(|_| recut) {
                Some((rows, weights)) => self.add(Rows::flat(rows, width), Rows::flat(weights, width)),
                None => self.add(rows, weights),
            }
        })
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Cell>) -> Result<(), Error> {
        for (columns, cells) in self.chunks.iter_mut().zip(self.cells.chunks_mut(LANES)) {
            columns.drain(cells)?;
        }
        let first = cells.len();
        memory::resize_with(cells, first + slots.count, Cell::default)?;
        let joined = cells.get_mut(first..).unwrap_or_default();
        for (column, cell) in self.cells.iter_mut().enumerate() {
            cell.trim();
            match joined.get_mut(slots.slot_of(column % slots.width)) {
                Some(whole) if *whole == Cell::default() => *whole = std::mem::take(cell),
                Some(whole) => whole.merge(cell)?,
                None => {}
            }
        }
        Ok(())
    }
}

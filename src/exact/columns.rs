//! Exact sums of columns: which form and which grids their elements go to, and what becomes of a group that did not go well.
//!
//! A group of rows is added at once ([`AddGroup`]). A chunk of columns in which it failed has not reached the totals, so
//! nothing has to be undone; while its rows are in the cache, another way is tried: without what is no number; on other
//! grids, with room for what may come; in the wide form, for one group or, where it keeps failing, for more; and what is left,
//! element by element.

use super::number::{Number, parts};
use super::quotient::scaled;
use crate::error::Error;
use crate::kernels;
use crate::kernels::exact_groups::{AddChunk, AddGroup, Form, Way};
use crate::kernels::exact_sums::{LANES, Lanes, Layout, Summand};
use crate::kernels::exact_survey::{Clean, Look, Survey};
use crate::memory;
use crate::rows::Rows;

/// Groups after which totals are moved to numbers: none of them can have overflowed.
const MOST_GROUPS: u32 = 1024;
/// A column that has no grid yet.
const NO_GRID: i32 = i32::MIN;
/// The grid of columns of zeros: any.
const ANY_GRID: i32 = -100;
/// Sums of squares between 2^-940 and 2^960 keep every product of slices a normal number.
const SQUARES: [i32; 2] = [-940, 960];
/// Bits that a new grid leaves above the squares of the group that asked for it.
const SPARE: i32 = 2;
/// The most groups for which a chunk stays apart, or in the wide form, before the quick way is tried again.
const MOST_STAY: u8 = 64;

/// The sums of a column.
#[derive(Debug, Default)]
pub struct Sums {
    /// Of the elements.
    pub sum: Number,
    /// Of their squares.
    pub square: Number,
    /// Elements that are NaN.
    pub missing: u64,
}

impl Sums {
    /// Add an element that is finite.
    #[inline]
    pub fn add(&mut self, x: f64) -> Result<(), Error> {
        let (mantissa, exponent) = parts(x);
        let mantissa = i128::from(mantissa);
        self.sum.add_scaled(mantissa, exponent)?;
        self.square.add_scaled(mantissa * mantissa, 2 * exponent)
    }

    /// Join the sums of other elements.
    pub fn join(&mut self, other: &Self) -> Result<(), Error> {
        self.sum.add(&other.sum)?;
        self.square.add(&other.square)?;
        self.missing += other.missing;
        Ok(())
    }

    /// Become those of nothing, and keep the memory.
    pub fn clear(&mut self) {
        self.sum.clear();
        self.square.clear();
        self.missing = 0;
    }
}

/// For how many groups a chunk goes another way than the quick one.
#[derive(Debug, Clone, Copy)]
struct Stay {
    /// Groups that are left of it.
    left: u8,
    /// How long it was, and the group after which it ended.
    last: u8,
    until: u32,
}

impl Stay {
    const NOT: Self = Self { left: 0, last: 1, until: 0 };

    /// Stay, longer each time that it did not help to leave.
    fn begin(&mut self, group: u32) {
        let again = group.wrapping_sub(self.until) < 8 || self.until > group;
        self.last = if again { self.last.saturating_mul(2).min(MOST_STAY) } else { 1 };
        self.until = group.wrapping_add(u32::from(self.last));
        self.left = self.last;
    }
}

/// The exact sums of some columns.
#[derive(Debug)]
pub struct ExactColumns<T: Summand> {
    width: usize,
    forms: [Form<T>; 2],
    /// The grid of each column in each form.
    grids: [Vec<i32>; 2],
    ways: Vec<Way>,
    /// For how long a chunk is in the wide form, and for how long what is NaN is left out of it.
    wide: Vec<Stay>,
    apart: Vec<Stay>,
    /// Groups so far, and for each chunk since its totals were moved.
    groups: u32,
    since: Vec<u32>,
    failed: Vec<usize>,
    /// The elements of the last chunk where it is not whole, and those of a chunk that is looked at.
    last: Vec<[T; LANES]>,
    clean: Vec<[T; LANES]>,
    /// What has been moved.
    pub sums: Vec<Sums>,
}

impl<T: Summand> Default for ExactColumns<T> {
    fn default() -> Self {
        let form = || Form {
            sums: Vec::new(),
            start: Vec::new(),
            totals: Vec::new(),
            low: Vec::new(),
            limit: Vec::new(),
            missing: Vec::new(),
        };
        Self {
            width: 0,
            forms: [form(), form()],
            grids: [Vec::new(), Vec::new()],
            ways: Vec::new(),
            wide: Vec::new(),
            apart: Vec::new(),
            groups: 0,
            since: Vec::new(),
            failed: Vec::new(),
            last: Vec::new(),
            clean: Vec::new(),
            sums: Vec::new(),
        }
    }
}

impl<T: Summand> ExactColumns<T> {
    /// Begin anew, with so many columns. With `holes`, many elements are expected to be NaN.
    pub fn start(&mut self, width: usize, holes: bool) -> Result<(), Error> {
        let chunks = width.div_ceil(LANES);
        self.groups = 0;
        self.sums.iter_mut().for_each(Sums::clear);
        if self.width == width && chunks > 0 {
            // The grids of the elements before will do for those that come, or be changed.
            for form in &mut self.forms {
                form.sums.copy_from_slice(&form.start);
                form.totals.fill(Lanes([0; LANES]));
                form.low.fill(Lanes([T::NOTHING; LANES]));
                form.missing.fill(Lanes([T::NONE; LANES]));
            }
            self.since.fill(0);
            self.failed.clear();
            return Ok(());
        }
        self.width = width;
        for (form, count) in self.forms.iter_mut().zip(T::SUMS) {
            memory::refill(&mut form.sums, Lanes([0.0; LANES]), chunks * count)?;
            memory::refill(&mut form.start, Lanes([0.0; LANES]), chunks * count)?;
            memory::refill(&mut form.totals, Lanes([0; LANES]), chunks * count)?;
            memory::refill(&mut form.low, Lanes([T::NOTHING; LANES]), chunks)?;
            memory::refill(&mut form.limit, Lanes([T::NO_GRID; LANES]), chunks)?;
            memory::refill(&mut form.missing, Lanes([T::NONE; LANES]), chunks)?;
        }
        for grids in &mut self.grids {
            memory::refill(grids, NO_GRID, chunks * LANES)?;
        }
        memory::refill(&mut self.ways, if holes { Way::Holes } else { Way::Narrow }, chunks)?;
        memory::refill(&mut self.wide, Stay::NOT, chunks)?;
        let apart = if holes { Stay { left: MOST_STAY, last: MOST_STAY, until: u32::MAX } } else { Stay::NOT };
        memory::refill(&mut self.apart, apart, chunks)?;
        memory::refill(&mut self.since, 0, chunks)?;
        self.failed.clear();
        memory::reserve(&mut self.failed, chunks)?;
        memory::resize(&mut self.clean, [T::ZERO; LANES], T::GROUP)?;
        memory::resize_with(&mut self.sums, chunks * LANES, Sums::default)?;
        Ok(())
    }

    /// Add rows to the columns from chunk number `chunk` on, as many as a row has. Infinity is an error.
    pub fn add(&mut self, mut rows: Rows<'_, T>, chunk: usize) -> Result<(), Error> {
        if rows.tail() > 0 {
            // A part of a row: its columns come first.
            let tail = rows.row(rows.count());
            for (sums, x) in self.sums[chunk * LANES..].iter_mut().zip(tail) {
                add_element(sums, x.to_f64())?;
            }
        }
        loop {
            let (group, rest) = rows.split(T::GROUP);
            if group.count() > 0 {
                self.add_group(group, chunk)?;
            }
            match rest {
                Some(rest) => rows = rest,
                None => return Ok(()),
            }
        }
    }

    fn add_group(&mut self, rows: Rows<'_, T>, start: usize) -> Result<(), Error> {
        let full = rows.width() / LANES;
        if full * LANES < rows.width() {
            memory::resize(&mut self.last, [T::ZERO; LANES], T::GROUP)?;
            for (row, to) in self.last.iter_mut().enumerate().take(rows.count()) {
                to.iter_mut().zip(&rows.row(row)[full * LANES..]).for_each(|(to, x)| *to = *x);
            }
        }
        let range = start..start + rows.width().div_ceil(LANES);
        let (forms, failed, last, chunk) = (&mut self.forms, &mut self.failed, &self.last[..], start);
        let ways = &self.ways[range.clone()];
        kernels::run_tuned(AddGroup { rows, last, forms, ways, chunk, failed });
        while let Some(chunk) = self.failed.pop() {
            self.add_carefully(rows, start, chunk, false)?;
        }
        for chunk in 0..range.len() {
            match self.ways[start + chunk] {
                Way::Holes => self.count_holes(start + chunk),
                Way::Apart => self.add_carefully(rows, start, chunk, true)?,
                _ => {}
            }
            self.settle_way(start + chunk);
            self.since[start + chunk] += 1;
            if self.since[start + chunk] >= MOST_GROUPS {
                self.drain_chunk(start + chunk)?;
            }
        }
        self.groups = self.groups.wrapping_add(1);
        Ok(())
    }

    /// Count what was missing in a group that went well.
    fn count_holes(&mut self, chunk: usize) {
        let missing = &mut self.forms[0].missing[chunk];
        for (sums, missing) in self.sums[chunk * LANES..].iter_mut().zip(&mut missing.0) {
            sums.missing += T::count(std::mem::replace(missing, T::NONE));
        }
    }

    /// Decide which way a chunk goes next.
    fn settle_way(&mut self, chunk: usize) {
        let (apart, wide) = (&mut self.apart[chunk], &mut self.wide[chunk]);
        self.ways[chunk] = match (apart.left, wide.left) {
            (0, 0) => Way::Narrow,
            (0, _) => Way::Wide,
            (_, 0) => Way::Holes,
            _ => Way::Apart,
        };
        apart.left = apart.left.saturating_sub(1);
        wide.left = wide.left.saturating_sub(1);
    }

    /// Add chunk number `chunk` of `rows`, the first of which is number `start`, without what is no number; with `expected`, as
    /// if that were a quick way.
    #[cold]
    #[inline(never)]
    fn add_carefully(&mut self, rows: Rows<'_, T>, start: usize, chunk: usize, expected: bool) -> Result<(), Error> {
        let count = rows.count();
        let [odd, nan] = kernels::run(Clean { rows, at: chunk * LANES, to: &mut self.clean });
        if odd != nan {
            return Err(Error::Infinite);
        }
        let chunk = start + chunk;
        let at = chunk * LANES;
        for (sums, nan) in self.sums[at..at + LANES].iter_mut().zip(nan) {
            sums.missing += u64::from(nan);
        }
        let holes = nan.iter().any(|nan| *nan > 0);
        if holes && self.apart[chunk].left == 0 {
            self.apart[chunk].begin(self.groups);
        }
        let wide = self.wide[chunk].left > 0;
        if (holes || expected) && self.add_clean(chunk, count, wide, u8::MAX) {
            return Ok(());
        }
        self.find_grids(chunk, count)
    }

    /// Add the chunk that was looked at, in one of the forms, to those columns that are `wanted`; whether it went well.
    fn add_clean(&mut self, chunk: usize, count: usize, wide: bool, wanted: u8) -> bool {
        let form = &mut self.forms[usize::from(wide)];
        form.forget(wide, chunk);
        let rows = &self.clean[..count];
        kernels::run_tuned(AddChunk { rows, form: &mut *form, wide, chunk });
        let well = form.keep(wide, chunk, wanted);
        form.forget(wide, chunk);
        well
    }

    /// Add the chunk that was looked at on grids that suit it.
    fn find_grids(&mut self, chunk: usize, count: usize) -> Result<(), Error> {
        let found = kernels::run(Look { rows: &self.clean[..count] });
        self.forms[0].forget(false, chunk);
        self.forms[1].forget(true, chunk);
        let stays_wide = self.wide[chunk].left > 0;
        for wide in [false, true] {
            if !wide && stays_wide {
                continue;
            }
            let misfits = self.choose_grids(chunk, wide, &found)?;
            if misfits != 0 && !wide {
                self.wide[chunk].begin(self.groups);
                continue;
            }
            if misfits != u8::MAX && !self.add_clean(chunk, count, wide, !misfits) {
                // What was foreseen did not come true: nothing is lost but time.
                return self.add_each(chunk, count, u8::MAX);
            }
            return self.add_each(chunk, count, misfits);
        }
        Ok(())
    }

    /// Give each column of a chunk a grid of a form that suits what was found; those that have none, a bit each.
    fn choose_grids(&mut self, chunk: usize, wide: bool, found: &Survey) -> Result<u8, Error> {
        let mut misfits = 0;
        for j in 0..LANES {
            let column = chunk * LANES + j;
            let grid = self.grids[usize::from(wide)][column];
            let (total, is_zero) = (found.total[j], found.top[j] == 0);
            if is_zero {
                if grid == NO_GRID {
                    self.set_grid(wide, column, ANY_GRID)?;
                }
                continue;
            }
            let in_range = total < scaled(1.0, SQUARES[1]) && total > scaled(1.0, SQUARES[0]);
            // Squares are below 2^top, and all elements are multiples of 2^low.
            let top = (total.to_bits() >> 52) as i32 - 1021;
            let exponent = ((found.low[j].wrapping_add(1) >> 52) as i32).max(1) - 1075;
            let low = exponent + (found.bits[j] & ((1 << 52) - 1)).trailing_zeros().min(52) as i32;
            let least = T::lowest_grid(wide, top);
            let fits = |grid: i32| grid >= least && grid <= low && grid >= T::LEAST_GRID;
            if !in_range {
                misfits |= 1 << j;
            } else if grid == NO_GRID || !fits(grid) {
                let spare = T::lowest_grid(wide, top + SPARE);
                match [spare, least].into_iter().find(|grid| fits(*grid)) {
                    Some(grid) => self.set_grid(wide, column, grid)?,
                    None => misfits |= 1 << j,
                }
            }
        }
        Ok(misfits)
    }

    fn set_grid(&mut self, wide: bool, column: usize, grid: i32) -> Result<(), Error> {
        self.drain_column(wide, column)?;
        let form = usize::from(wide);
        let (chunk, j) = (column / LANES, column % LANES);
        let start = &mut self.forms[form].start[chunk * T::SUMS[form]..];
        for (start, Layout { start: m, grid, .. }) in start.iter_mut().zip(T::layout(wide, grid)).take(T::SUMS[form]) {
            start.0[j] = m * scaled(1.0, 52 + grid);
        }
        self.forms[form].limit[chunk].0[j] = T::limit(grid);
        self.grids[form][column] = grid;
        self.forms[form].forget(wide, chunk);
        Ok(())
    }

    /// Add the columns of a chunk that are `wanted`, a bit each, element by element.
    fn add_each(&mut self, chunk: usize, count: usize, wanted: u8) -> Result<(), Error> {
        let columns = (0..LANES).filter(|j| wanted >> j & 1 == 1);
        for j in columns {
            let sums = &mut self.sums[chunk * LANES + j];
            for x in &self.clean[..count] {
                sums.add(x[j].to_f64())?;
            }
        }
        Ok(())
    }

    /// Move the totals of a column to its numbers.
    fn drain_column(&mut self, wide: bool, column: usize) -> Result<(), Error> {
        let form = usize::from(wide);
        let grid = self.grids[form][column];
        if grid == NO_GRID {
            return Ok(());
        }
        let (chunk, j) = (column / LANES, column % LANES);
        let totals = &mut self.forms[form].totals[chunk * T::SUMS[form]..];
        let sums = &mut self.sums[column];
        for (total, layout) in totals.iter_mut().zip(T::layout(wide, grid)).take(T::SUMS[form]) {
            let steps = i128::from(std::mem::take(&mut total.0[j]));
            let number = if layout.square { &mut sums.square } else { &mut sums.sum };
            number.add_scaled(steps, layout.grid + layout.shift)?;
        }
        Ok(())
    }

    fn drain_chunk(&mut self, chunk: usize) -> Result<(), Error> {
        self.since[chunk] = 0;
        for column in chunk * LANES..(chunk + 1) * LANES {
            self.drain_column(false, column)?;
            self.drain_column(true, column)?;
        }
        Ok(())
    }

    /// The sums of all columns.
    pub fn finish(&mut self) -> Result<&mut [Sums], Error> {
        for chunk in 0..self.since.len() {
            if self.since[chunk] > 0 {
                self.drain_chunk(chunk)?;
            }
        }
        Ok(&mut self.sums[..self.width])
    }
}

/// Add an element, which may be no number.
pub fn add_element(sums: &mut Sums, x: f64) -> Result<(), Error> {
    if x.is_nan() {
        sums.missing += 1;
        Ok(())
    } else if x.is_infinite() {
        Err(Error::Infinite)
    } else {
        sums.add(x)
    }
}

//! From tiles to exact moments.

use super::cell::Cell;

use crate::drive::{Accumulator, Slots, Tile};
use crate::element::Element;
use crate::error::Error;
use crate::exact::columns::{ExactColumns, Sums, add_element};
use crate::exact::number::Number;
use crate::kernels::exact_sums::Summand;
use crate::kernels::moments::{Integer, IntegerSums};
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::rows::Rows;

/// Elements of a column that are worth grids of their own, and those that are worth being summed beside others of the column.
const WORTH_GRIDS: usize = 4;
const WORTH_LANES: usize = 64;
/// Columns that rows are widened to at most: their accumulators stay in the first-level cache.
const MOST_LANES: usize = 64;

/// Rows that are taken as one where sums are exact.
pub(super) fn lanes_times(slots: &Slots) -> usize {
    let mut times = slots.times;
    while times > 1 && (slots.rows / times < WORTH_LANES || slots.width * times > MOST_LANES) {
        times /= 2;
    }
    times
}

/// Exact sums of floating-point elements, made into cells.
pub struct ExactAccumulator<T: Summand> {
    columns: ExactColumns<T>,
    /// Sums of each slot, where its elements are too few for columns.
    few: Vec<Sums>,
    is_few: bool,
    /// Rows that are taken as one.
    times: usize,
    /// Elements of each slot.
    count: u64,
    has_missing: bool,
}

impl<T: Summand> ExactAccumulator<T> {
    /// Nothing seen yet. With `has_missing`, many elements are expected to be NaN.
    pub fn new(has_missing: bool) -> Self {
        Self { columns: ExactColumns::default(), few: Vec::new(), is_few: false, times: 1, count: 0, has_missing }
    }

    fn begin(&mut self, slots: &Slots) -> Result<(), Error> {
        self.count = 0;
        self.times = lanes_times(slots);
        self.is_few = slots.rows < WORTH_GRIDS;
        if self.is_few {
            memory::resize_with(&mut self.few, slots.count, Sums::default)?;
            self.few.iter_mut().for_each(Sums::clear);
            return Ok(());
        }
        self.columns.start(slots.width * self.times, self.has_missing)
    }

    fn add(&mut self, slots: &Slots, rows: Rows<'_, T>) -> Result<(), Error> {
        if self.is_few {
            for index in 0..=rows.count() {
                for (column, x) in rows.row(index).iter().enumerate() {
                    if let Some(sums) = self.few.get_mut(slots.slot_of(column % slots.width)) {
                        add_element(sums, x.to_f64())?;
                    }
                }
            }
            return Ok(());
        }
        match rows.whole().filter(|_| self.times < slots.times) {
            Some(all) => self.columns.add(Rows::flat(all, slots.width * self.times), 0),
            None => self.columns.add(rows, 0),
        }
    }

    /// Hand the sums of each slot to `take`, in order.
    fn finish_sums(&mut self, slots: &Slots, mut take: impl FnMut(Sums) -> Result<(), Error>) -> Result<(), Error> {
        let columns = if self.is_few { &mut self.few } else { self.columns.finish()? };
        if columns.len() <= slots.count {
            return columns.iter_mut().try_for_each(|sums| take(std::mem::take(sums)));
        }
        // Those of one slot are joined in its first column.
        let mut first = memory::filled(usize::MAX, slots.count)?;
        for column in 0..columns.len() {
            let Some(first) = first.get_mut(slots.slot_of(column % slots.width)) else { continue };
            let pair = columns.split_at_mut_checked(column).filter(|_| *first < column);
            match pair.and_then(|(before, after)| before.get_mut(*first).zip(after.first())) {
                Some((whole, part)) => whole.join(part)?,
                None => *first = column,
            }
        }
        first.iter().try_for_each(|column| columns.get_mut(*column).map_or(Ok(()), |sums| take(std::mem::take(sums))))
    }
}

impl<T: Summand> Accumulator<T> for ExactAccumulator<T> {
    type Cell = Cell;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        self.begin(slots)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        tile.each(|rows, _| self.add(slots, rows))?;
        self.count += (tile.rows() * slots.columns_per_slot()) as u64;
        Ok(())
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Cell>) -> Result<(), Error> {
        let count = self.count;
        self.finish_sums(slots, |Sums { sum, square, missing }| {
            memory::push(cells, Cell::of(count - missing, sum, square)?)
        })
    }
}

/// Exact sums of integers of up to 32 bits, made into cells.
pub struct IntegerAccumulator<T: Integer> {
    sums: IntegerSums<T>,
    /// Rows in the sums.
    rows: usize,
    count: u64,
    /// Sum and sum of squares of each slot.
    totals: Vec<(i128, u128)>,
}

impl<T: Integer> Default for IntegerAccumulator<T> {
    fn default() -> Self {
        Self { sums: IntegerSums::new(), rows: 0, count: 0, totals: Vec::new() }
    }
}

impl<T: Integer> IntegerAccumulator<T> {
    /// Add the sums to the totals, and begin anew.
    fn empty(&mut self, slots: &Slots) -> Result<(), Error> {
        for (i, (sum, square)) in self.sums.get().enumerate() {
            // Memory has less than 2^64 elements, of 32 bits at most: neither sum overflows.
            if let Some(total) = self.totals.get_mut(slots.slot_of(i % slots.width)) {
                total.0 += sum;
                total.1 += square;
            }
        }
        self.rows = 0;
        self.sums.clear(slots.kernel_width())
    }
}

impl<T: Integer> Accumulator<T> for IntegerAccumulator<T> {
    type Cell = Cell;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        (self.rows, self.count) = (0, 0);
        self.sums.clear(slots.kernel_width())?;
        memory::refill(&mut self.totals, (0, 0), slots.count)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let rows = tile.rows();
        if self.rows + rows > IntegerSums::<T>::MAX_ROWS {
            self.empty(slots)?;
        }
        self.rows += rows;
        tile.each(|rows, _| {
            self.sums.add(rows);
            Ok(())
        })?;
        self.count += (rows * slots.columns_per_slot()) as u64;
        Ok(())
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Cell>) -> Result<(), Error> {
        self.empty(slots)?;
        let cell = |(sum, square): &(i128, u128)| Cell::of_integers(self.count, *sum, *square);
        self.totals.iter().try_for_each(|total| memory::push(cells, cell(total)?))
    }
}

/// Integers below this are doubles, exactly.
const DOUBLES: f64 = (1u64 << 53) as f64;

/// Exact sums of integers of 64 bits, made into cells: as doubles where they are.
pub struct LongAccumulator {
    exact: ExactAccumulator<f64>,
    doubles: Vec<f64>,
    /// Of each slot, the sums of blocks with other integers; none where there are none.
    totals: Vec<Long>,
}

/// Sums of integers of 64 bits.
#[derive(Debug, Clone, Copy, Default)]
struct Long {
    sum: i128,
    /// The sum of the squares, in 128 bits, and how often that has overflowed.
    square: u128,
    over: u64,
    missing: u64,
}

impl Long {
    #[inline(always)]
    fn add<T: Element>(&mut self, x: T) {
        let [high, low] = x.as_sum();
        if high.is_nan() {
            self.missing += 1;
            return;
        }
        // Memory has less than 2^64 elements, of 64 bits at most: no sum overflows.
        let x = high as i128 + low as i128;
        self.sum += x;
        let magnitude = x.unsigned_abs() as u64;
        let (total, overflowed) = self.square.overflowing_add(u128::from(magnitude) * u128::from(magnitude));
        self.square = total;
        self.over += u64::from(overflowed);
    }
}

impl Default for LongAccumulator {
    fn default() -> Self {
        Self { exact: ExactAccumulator::new(false), doubles: Vec::new(), totals: Vec::new() }
    }
}

/// Writes elements as doubles, where there is room for them; whether all of them are that exactly.
struct Doubles<'a, 'm, T> {
    rows: Rows<'m, T>,
    to: &'a mut Vec<f64>,
}

impl<T: Element> Kernel for Doubles<'_, '_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let mut large = false;
        for index in 0..=self.rows.count() {
            let (chunks, rest) = self.rows.row(index).as_chunks::<16>();
            for x in chunks {
                let doubles = x.map(T::to_f64);
                large |= doubles.iter().fold(false, |large, double| large | (double.abs() >= DOUBLES));
                self.to.extend_from_slice(&doubles);
            }
            for x in rest {
                large |= x.to_f64().abs() >= DOUBLES;
                self.to.push(x.to_f64());
            }
        }
        !large
    }
}

impl<T: Element> Accumulator<T> for LongAccumulator {
    type Cell = Cell;

    fn start(&mut self, slots: &Slots) -> Result<(), Error> {
        self.totals.clear();
        self.exact.begin(slots)
    }

    fn tile(&mut self, slots: &Slots, tile: &mut Tile<'_, '_, T>) -> Result<(), Error> {
        let Self { exact, doubles, totals } = self;
        tile.each(|rows, _| {
            doubles.clear();
            memory::reserve(doubles, rows.count() * rows.width() + rows.tail())?;
            if kernels::run(Doubles { rows, to: &mut *doubles }) {
                return exact.add(slots, Rows::flat(doubles, rows.width()));
            }
            memory::resize(totals, Long::default(), slots.count)?;
            for index in 0..=rows.count() {
                for (column, x) in rows.row(index).iter().enumerate() {
                    if let Some(total) = totals.get_mut(slots.slot_of(column % slots.width)) {
                        total.add(*x);
                    }
                }
            }
            Ok(())
        })?;
        self.exact.count += (tile.rows() * slots.columns_per_slot()) as u64;
        Ok(())
    }

    fn finish(&mut self, slots: &Slots, cells: &mut Vec<Cell>) -> Result<(), Error> {
        let (count, mut totals) = (self.exact.count, self.totals.iter());
        self.exact.finish_sums(slots, |Sums { mut sum, mut square, missing }| {
            let Long { sum: more, square: squares, over, missing: others } = totals.next().copied().unwrap_or_default();
            sum.add_scaled(more, 0)?;
            square.add(&Number::from_u128(squares)?)?;
            square.add_scaled(i128::from(over), 128)?;
            memory::push(cells, Cell::of(count - missing - others, sum, square)?)
        })
    }
}

/// Whether an element that counts is infinite.
pub(super) fn has_infinity<T: Element>(tile: &mut Tile<'_, '_, T>) -> Result<bool, Error> {
    let mut found = false;
    tile.each(|rows, weights| {
        for r in 0..=rows.count() {
            let counts = |i: usize| weights.is_none_or(|w| w.row(r).get(i).is_some_and(|weight| *weight != 0.0));
            found |= rows.row(r).iter().enumerate().any(|(i, x)| x.to_f64().is_infinite() && counts(i));
        }
        Ok(())
    })?;
    Ok(found)
}

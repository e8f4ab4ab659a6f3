//! Sorting by digits and by value.

use super::Kernel;
use crate::element::{Count, Key};
use crate::error::Error;
use crate::memory;

/// Bits of a digit: as many lines of memory as there are digits stay in the first-level cache.
const BITS: u32 = 8;
const BINS: usize = 1 << BITS;
/// Fewer elements are sorted by comparing: the counters alone would cost more.
const FEW: usize = 256;
/// Steps for each element that elements in the order of their upper bits may be away from their places.
const STEPS: usize = 8;
/// Less slack than this is sooner had by sorting all.
const LEAST_SLACK: usize = 4;
/// Places for values: few enough that finding where each begins takes less time than the elements do.
const PLACES: usize = 1 << 11;
/// The part of all elements that may be in places of too many.
const CROWDED: usize = 4;
/// A number that, added to one from zero to 2^52, makes its integer part the lower bits.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

/// Memory for sorting.
#[derive(Debug, Default)]
pub struct Scratch<C> {
    values: Vec<C>,
    places: Vec<u16>,
}

/// Sort `values`, but for elements that are less than `slack` places away from where they belong. The smallest and the
/// largest of them.
///
/// With slack enough, one pass puts elements into places by their value, from the smallest to the largest in even steps.
/// Where that leaves too many in one place, and without slack, they are sorted by digits, the least significant first
/// (D. E. Knuth, "The Art of Computer Programming", volume 3, 5.2.5): of the bits in which the elements differ only the
/// upper ones, as long as these leave little to be done.
pub fn sort<K: Key>(
    values: &mut Vec<K::Count>,
    scratch: &mut Scratch<K::Count>,
    slack: usize,
) -> Result<(K::Count, K::Count), Error> {
    if values.len() < FEW {
        values.sort_unstable();
        Ok((values.first().copied().unwrap_or_default(), values.last().copied().unwrap_or_default()))
    } else {
        memory::resize(&mut scratch.values, K::Count::default(), values.len())?;
        scratch.places.clear();
        memory::reserve(&mut scratch.places, values.len())?;
        Ok(super::run(Sort::<K> { values, scratch, slack }))
    }
}

/// A kernel for the sake of its instructions: shifts by variable numbers of bits, and the least and largest of lanes.
struct Sort<'a, K: Key> {
    values: &'a mut Vec<K::Count>,
    scratch: &'a mut Scratch<K::Count>,
    slack: usize,
}

impl<K: Key> Kernel for Sort<'_, K> {
    type Output = (K::Count, K::Count);

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { values, scratch, slack } = self;
        let (mut first, mut last) = (values[0], values[0]);
        for value in &*values {
            first = if *value < first { *value } else { first };
            last = if *value > last { *value } else { last };
        }
        let (min, max) = (first.to_u64(), last.to_u64());
        // Above the smallest they have fewer bits, and the upper ones tell more of them apart.
        let bits = u64::BITS - (max - min).leading_zeros();
        if bits == 0 || slack >= LEAST_SLACK && sort_by_value::<K>(values, scratch, [first, last], slack) {
            return (first, last);
        }
        let (scratch, shift) = (&mut scratch.values, bits.saturating_sub(2 * BITS));
        sort_by_bits::<K::Count, 2>(values, scratch, min, shift);
        let upper = |value: K::Count| (value.to_u64() - min) >> shift;
        let done = shift == 0 || if slack < LEAST_SLACK { insert(values) } else { sort_runs(values, slack, upper) };
        if !done {
            for shift in (0..bits).step_by(2 * BITS as usize) {
                sort_by_bits::<K::Count, 2>(values, scratch, min, shift);
            }
        }
        (first, last)
    }
}

/// Sort by the place of each value between the `ends`, and within places of more than `slack`; `false`, and nothing done,
/// if too many elements are in such.
#[inline(always)]
fn sort_by_value<K: Key>(
    values: &mut Vec<K::Count>,
    scratch: &mut Scratch<K::Count>,
    ends: [K::Count; 2],
    slack: usize,
) -> bool {
    let Scratch { values: sorted, places } = scratch;
    let value = |x: K::Count| K::from_ordered(x).to_f64();
    let [low, high] = ends.map(value);
    // Rounding, and what overflows, may put elements into the same place, but never in another order.
    let scale = ((PLACES - 1) as f64 / (high - low)).min(f64::MAX);
    places.clear();
    places.extend(values.iter().map(|x| ((value(*x) - low) * scale + INTEGERS).to_bits() as u16));
    let mut counts = [0u32; PLACES];
    for place in &*places {
        counts[*place as usize % PLACES] += 1;
    }
    let (mut start, mut crowded) = (0, 0);
    for count in &mut counts {
        let elements = std::mem::replace(count, start);
        start += elements;
        crowded += if elements as usize > slack { elements as usize } else { 0 };
    }
    if crowded > values.len() / CROWDED {
        return false;
    }
    sorted.resize(values.len(), K::Count::default());
    for (value, place) in values.iter().zip(&*places) {
        let at = &mut counts[*place as usize % PLACES];
        sorted[*at as usize] = *value;
        *at += 1;
    }
    std::mem::swap(values, sorted);
    let mut start = 0;
    for end in counts {
        let end = end as usize;
        if end - start > slack {
            values[start..end].sort_unstable();
        }
        start = end;
    }
    true
}

/// Sort by `DIGITS` digits, from bit `shift` on, of how far elements are above `min`; equal ones keep their order.
#[inline(always)]
fn sort_by_bits<C: Count, const DIGITS: usize>(values: &mut Vec<C>, scratch: &mut Vec<C>, min: u64, shift: u32) {
    let digit = |value: C, pass: usize| ((value.to_u64() - min) >> shift >> (pass as u32 * BITS)) as usize % BINS;
    let mut counts = [[0u32; BINS]; DIGITS];
    for value in &*values {
        for (pass, counts) in counts.iter_mut().enumerate() {
            counts[digit(*value, pass)] += 1;
        }
    }
    scratch.resize(values.len(), C::default());
    for (pass, counts) in counts.iter_mut().enumerate() {
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for value in &*values {
            let place = &mut counts[digit(*value, pass)];
            scratch[*place as usize] = *value;
            *place += 1;
        }
        std::mem::swap(values, scratch);
    }
}

/// Sort runs of `slack` or more elements that `upper`, by which they are sorted, does not tell apart; `false`, and nothing
/// done, if such runs are most of it.
#[inline(always)]
fn sort_runs<C: Count>(values: &mut [C], slack: usize, upper: impl Fn(C) -> u64) -> bool {
    // So long a run shows in two neighbouring samples.
    let step = slack / 2;
    let same = |values: &[C], at: usize| upper(values[at]) == upper(values[at + step]);
    let last = values.len().saturating_sub(step);
    if (0..last).step_by(step).filter(|at| same(values, *at)).count() * step > values.len() / 2 {
        return false;
    }
    let mut at = 0;
    while at < last {
        if same(values, at) {
            let run = upper(values[at]);
            let start = values.partition_point(|x| upper(*x) < run);
            let end = values.partition_point(|x| upper(*x) <= run);
            values[start..end].sort_unstable();
            at = end;
        } else {
            at += step;
        }
    }
    true
}

/// Sort elements that are near their places; `false`, and only part of it done, if they are not.
#[inline(always)]
fn insert<C: Count>(values: &mut [C]) -> bool {
    let mut steps = STEPS * values.len();
    for i in 1..values.len() {
        let value = values[i];
        let mut place = i;
        while place > 0 && values[place - 1] > value {
            values[place] = values[place - 1];
            place -= 1;
        }
        values[place] = value;
        if i - place > steps {
            return false;
        }
        steps -= i - place;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sort, and see how far elements are from where the standard library puts them.
    fn check<K: Key>(values: &[K], slack: usize) {
        let mut values: Vec<K::Count> = values.iter().map(|x| x.ordered()).collect();
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let mut scratch = Scratch { values: vec![K::Count::default(); 3], places: vec![9] };
        let ends = sort::<K>(&mut values, &mut scratch, slack).unwrap();
        for (place, value) in values.iter().enumerate() {
            let (first, end) = (sorted.partition_point(|x| x < value), sorted.partition_point(|x| x <= value));
            let off = if place < first { first - place } else { (place + 1).saturating_sub(end) };
            assert!(off == 0 || off < slack, "{off} of {} with slack {slack}", values.len());
        }
        assert!(values.is_empty() || ends == (sorted[0], sorted[values.len() - 1]));
        values.sort_unstable();
        assert_eq!(values, sorted);
    }

    #[test]
    fn sorts_what_the_standard_library_sorts() {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        for len in [0, 1, 2, 511, 512, 513, 5000] {
            for shift in [0, 20, 40, 53, 63] {
                // All bits, few, and far from their places by the upper ones: two clusters.
                let clustered = shift == 40;
                let long: Vec<u64> =
                    (0..len).map(|_| noise() >> shift | if clustered { noise() << 63 } else { 0 }).collect();
                let short: Vec<u32> = long.iter().map(|x| (*x | *x >> 32) as u32).collect();
                // Numbers of all sizes, and evenly spread ones.
                let floats: Vec<f64> = long.iter().map(|x| f64::from_bits(*x)).filter(|x| x.is_finite()).collect();
                let even: Vec<f32> = short.iter().map(|x| *x as f32 - 1e9).collect();
                for slack in [0, 4, 9, 200] {
                    check(&long, slack);
                    check(&short, slack);
                    check(&floats, slack);
                    check(&even, slack);
                }
            }
        }
    }
}

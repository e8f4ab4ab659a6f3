//! Sorting integers by their digits.

use super::Kernel;
use crate::element::Count;

/// Bits of a digit: as many lines of memory as there are digits stay in the first-level cache.
const BITS: u32 = 8;
const BINS: usize = 1 << BITS;
/// Fewer elements are sorted by comparing: the counters alone would cost more.
const FEW: usize = 256;
/// Steps for each element that elements in the order of their upper bits may be away from their places.
const STEPS: usize = 8;

/// Sort `values`; `scratch` is overwritten. By digits, the least significant first (D. E. Knuth, "The Art of Computer
/// Programming", volume 3, 5.2.5): of the bits in which the elements differ only the upper ones, as long as these leave
/// little to be done.
pub fn sort<C: Count>(values: &mut Vec<C>, scratch: &mut Vec<C>) {
    if values.len() < FEW {
        values.sort_unstable();
    } else {
        super::run(Sort { values, scratch });
    }
}

/// A kernel for the sake of its instructions: shifts by variable numbers of bits, and the least and largest of lanes.
struct Sort<'a, C> {
    values: &'a mut Vec<C>,
    scratch: &'a mut Vec<C>,
}

impl<C: Count> Kernel for Sort<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, scratch } = self;
        let (mut min, mut max) = (values[0], values[0]);
        for value in &*values {
            min = if *value < min { *value } else { min };
            max = if *value > max { *value } else { max };
        }
        let (min, max) = (min.to_u64(), max.to_u64());
        // Above the smallest they have fewer bits, and the upper ones tell more of them apart.
        let bits = u64::BITS - (max - min).leading_zeros();
        sort_by_bits::<C, 2>(values, scratch, min, bits.saturating_sub(2 * BITS));
        if bits > 2 * BITS && !insert(values) {
            for shift in (0..bits).step_by(2 * BITS as usize) {
                sort_by_bits::<C, 2>(values, scratch, min, shift);
            }
        }
    }
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
                let mut long: Vec<u64> =
                    (0..len).map(|_| noise() >> shift | if clustered { noise() << 63 } else { 0 }).collect();
                let mut short: Vec<u32> = long.iter().map(|x| (*x | *x >> 32) as u32).collect();
                let (mut long_sorted, mut short_sorted) = (long.clone(), short.clone());
                long_sorted.sort_unstable();
                short_sorted.sort_unstable();
                sort(&mut long, &mut Vec::new());
                sort(&mut short, &mut vec![3]);
                assert_eq!((long, short), (long_sorted, short_sorted), "{len} {shift}");
            }
        }
    }
}

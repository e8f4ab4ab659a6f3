//! Loops that bring scattered elements together, for the patterns of pictures: one channel out of interleaved pixels,
//! pixels backwards, planes into pixels. Steps of a few elements are known at compile time, so that the loops become
//! loads and shuffles of whole vectors.

use super::Kernel;

/// Copy `count` elements, `step` elements apart from `from` on, to `to`; `false`, and nothing done, for steps that have no
/// loop of their own.
///
/// # Safety
/// The elements at `from` can be read, and `count` elements at `to` written, aligned or not; they do not overlap.
pub unsafe fn strided<T: Copy>(from: *const T, step: isize, count: usize, to: *mut T) -> bool {
    macro_rules! steps {
        ($($step:literal),*) => {
            match step {
                // SAFETY: the caller's promise.
                $($step => unsafe { super::run(Strided::<T, $step, false>::new(from, count, to)) },
                // SAFETY: as above; the first in memory is the last.
                _ if step == -$step && count > 0 => unsafe {
                    let first = from.offset(step * (count as isize - 1));
                    super::run(Strided::<T, $step, true>::new(first, count, to));
                },)*
                _ => return false,
            }
        };
    }
    steps!(1, 2, 3, 4);
    true
}

/// Elements in the order of memory, to be written forwards or backwards: reading backwards has no shuffles.
struct Strided<T, const STEP: usize, const BACKWARDS: bool> {
    from: *const T,
    count: usize,
    to: *mut T,
}

impl<T, const STEP: usize, const BACKWARDS: bool> Strided<T, STEP, BACKWARDS> {
    /// # Safety
    /// As for [`strided`].
    unsafe fn new(from: *const T, count: usize, to: *mut T) -> Self {
        Self { from, count, to }
    }
}

impl<T: Copy, const STEP: usize, const BACKWARDS: bool> Kernel for Strided<T, STEP, BACKWARDS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for i in 0..self.count {
            let target = if BACKWARDS { self.count - 1 - i } else { i };
            // SAFETY: `new` was promised that these elements can be read and written.
            unsafe { self.to.add(target).write_unaligned(self.from.add(i * STEP).read_unaligned()) };
        }
    }
}

/// Copy `count` pixels of `width` elements, side by side from `from` on, to as many planes that begin `apart` elements
/// after each other from `to` on, the last pixel first if `backwards`; `false`, and nothing done, for widths that have no
/// loop of their own.
///
/// # Safety
/// As for [`strided`], of `count * width` elements.
pub unsafe fn planes<T: Copy>(
    from: *const T,
    width: usize,
    count: usize,
    to: *mut T,
    apart: usize,
    backwards: bool,
) -> bool {
    macro_rules! widths {
        ($($width:literal),*) => {
            match (width, backwards) {
                // SAFETY: the caller's promise.
                $(($width, false) => unsafe { super::run(Apart::<T, $width, false>::new(from, count, to, apart)) },
                // SAFETY: as above.
                ($width, true) => unsafe { super::run(Apart::<T, $width, true>::new(from, count, to, apart)) },)*
                _ => return false,
            }
        };
    }
    widths!(2, 3, 4);
    true
}

/// Pixels side by side, to be taken apart.
struct Apart<T, const W: usize, const BACKWARDS: bool> {
    from: *const T,
    count: usize,
    to: *mut T,
    apart: usize,
}

impl<T, const W: usize, const BACKWARDS: bool> Apart<T, W, BACKWARDS> {
    /// # Safety
    /// As for [`planes`].
    unsafe fn new(from: *const T, count: usize, to: *mut T, apart: usize) -> Self {
        Self { from, count, to, apart }
    }
}

impl<T: Copy, const W: usize, const BACKWARDS: bool> Kernel for Apart<T, W, BACKWARDS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let planes: [*mut T; W] = std::array::from_fn(|c| self.to.wrapping_add(c * self.apart));
        for i in 0..self.count {
            let target = if BACKWARDS { self.count - 1 - i } else { i };
            for (c, plane) in planes.iter().enumerate() {
                // SAFETY: `new` was promised that these elements can be read and written.
                unsafe { plane.add(target).write_unaligned(self.from.add(i * W + c).read_unaligned()) };
            }
        }
    }
}

/// Copy `rows` pixels of `width` elements to `to`, side by side. The elements of a pixel are `cols` bytes apart, pixels
/// `step` bytes; `false`, and nothing done, for patterns that have no loop of their own.
///
/// # Safety
/// As for [`strided`], of those elements.
pub unsafe fn pixels<T: Copy>(
    from: *const u8,
    [step, cols]: [isize; 2],
    rows: usize,
    width: usize,
    to: *mut T,
) -> bool {
    let size = size_of::<T>() as isize;
    macro_rules! widths {
        ($($width:literal: $($known:literal)*),*) => {
            match (width, cols == size, step == size) {
                $(($width, true, _) => match step / size {
                    // SAFETY: the caller's promise.
                    $($known if step % size == 0 => unsafe {
                        super::run(Whole::<T, $width, $known>::new(from, step, rows, to))
                    },)*
                    // SAFETY: as above.
                    _ => unsafe { super::run(Whole::<T, $width, 0>::new(from, step, rows, to)) },
                },
                // SAFETY: as above.
                ($width, _, true) => unsafe { super::run(Planes::<T, $width>::new(from, cols, rows, to)) },)*
                _ => return false,
            }
        };
    }
    // Mirrored pixels, and those with an element that is left out.
    widths!(2: -2, 3: -3 4 -4, 4: -4);
    true
}

/// Pixels whose elements lie side by side; `STEP` elements apart unless that is zero.
struct Whole<T, const W: usize, const STEP: isize> {
    from: *const u8,
    step: isize,
    rows: usize,
    to: *mut T,
}

impl<T, const W: usize, const STEP: isize> Whole<T, W, STEP> {
    /// # Safety
    /// As for [`pixels`].
    unsafe fn new(from: *const u8, step: isize, rows: usize, to: *mut T) -> Self {
        Self { from, step, rows, to }
    }
}

impl<T: Copy, const W: usize, const STEP: isize> Kernel for Whole<T, W, STEP> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let step = if STEP == 0 { self.step } else { STEP * size_of::<T>() as isize };
        for row in 0..self.rows {
            for c in 0..W {
                // SAFETY: `new` was promised that these pixels can be read and written.
                unsafe {
                    let element = self.from.offset(row as isize * step).cast::<T>().add(c).read_unaligned();
                    self.to.add(row * W + c).write_unaligned(element);
                }
            }
        }
    }
}

/// Pixels whose elements lie in planes.
struct Planes<T, const W: usize> {
    from: *const u8,
    cols: isize,
    rows: usize,
    to: *mut T,
}

impl<T, const W: usize> Planes<T, W> {
    /// # Safety
    /// As for [`pixels`].
    unsafe fn new(from: *const u8, cols: isize, rows: usize, to: *mut T) -> Self {
        Self { from, cols, rows, to }
    }
}

impl<T: Copy, const W: usize> Kernel for Planes<T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let planes: [*const T; W] = std::array::from_fn(|c| self.from.wrapping_offset(c as isize * self.cols).cast());
        for row in 0..self.rows {
            for (c, plane) in planes.iter().enumerate() {
                // SAFETY: `new` was promised that these elements can be read and written.
                unsafe { self.to.add(row * W + c).write_unaligned(plane.add(row).read_unaligned()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Copy + PartialEq + std::fmt::Debug + Default>(make: impl Fn(usize) -> T) {
        let source: Vec<T> = (0..3000).map(make).collect();
        let middle = &raw const source[1500];
        for count in [0, 1, 2, 3, 15, 16, 17, 33, 64, 100, 201] {
            for step in -5..=5isize {
                let mut target = vec![T::default(); count + 1];
                // SAFETY: 201 steps of at most five elements stay within the source.
                let done = unsafe { strided(middle, step, count, target.as_mut_ptr()) };
                assert_eq!(done, (1..=4).contains(&step.abs()) && (count > 0 || step > 0), "{step} x {count}");
                let expected = |i: usize| source[(1500 + step * i as isize) as usize];
                assert!(!done || (0..count).all(|i| target[i] == expected(i)), "{step} x {count}");
                assert_eq!(target[count], T::default());
            }
            for (width, backwards) in (1..=5).flat_map(|width| [(width, false), (width, true)]) {
                let apart = count + 3;
                let mut target = vec![T::default(); width * apart];
                // SAFETY: 201 pixels of at most five elements stay within the source.
                let done = unsafe { planes(middle, width, count, target.as_mut_ptr(), apart, backwards) };
                assert_eq!(done, (2..=4).contains(&width));
                let expected = |i: usize| {
                    let (plane, pixel) = (i / apart, i % apart);
                    let pixel = if backwards { count.wrapping_sub(1 + pixel) } else { pixel };
                    if pixel < count { source[1500 + pixel * width + plane] } else { T::default() }
                };
                assert!(!done || (0..width * apart).all(|i| target[i] == expected(i)), "{width} x {count}");
            }
            for (width, step, cols) in [(2, 5), (2, -2), (3, -3), (3, 4), (3, -4), (4, -4), (4, 4)]
                .map(|(width, step)| (width, step, 1))
                .into_iter()
                .chain([(3, 1, 250), (2, 1, -300), (4, 1, 201), (3, 2, 250)])
            {
                let mut target = vec![T::default(); width * count + 1];
                let bytes = [step, cols].map(|s| s * size_of::<T>() as isize);
                // SAFETY: these pixels stay within the source.
                let done = unsafe { pixels(middle.cast(), bytes, count, width, target.as_mut_ptr()) };
                assert_eq!(done, step == 1 || cols == 1);
                let place = |i: usize| 1500 + step * (i / width) as isize + cols * (i % width) as isize;
                let expected = |i: usize| source[place(i) as usize];
                assert!(!done || (0..width * count).all(|i| target[i] == expected(i)), "{width} {step} {cols}");
                assert_eq!(target[width * count], T::default());
            }
        }
    }

    #[test]
    fn every_pattern_at_every_size() {
        check(|i| i as u8);
        check(|i| i as u16);
        check(|i| i as f32);
        check(|i| i as f64);
    }
}

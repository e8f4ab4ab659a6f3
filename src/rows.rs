//! What kernels stand on: rows of elements, to be read ([`Rows`]) and to be written ([`RowsMut`]).

use std::any::TypeId;
use std::marker::PhantomData;

/// `count` rows of `width` elements, `stride` elements apart, and `tail` elements more after the last full row.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    start: *const T,
    count: usize,
    stride: usize,
    width: usize,
    tail: usize,
    memory: PhantomData<&'a T>,
}

impl<'a, T> Rows<'a, T> {
    /// # Safety
    /// All rows, and the tail where row `count` would start, are within memory that lives and is initialised for
    /// `'a`, aligned for `T`, and not written meanwhile through this program's own references.
    pub unsafe fn new(start: *const T, count: usize, stride: usize, width: usize, tail: usize) -> Self {
        Self { start, count, stride, width, tail, memory: PhantomData }
    }

    /// Contiguous elements as rows of `width`; what is left over is the tail.
    pub fn flat(elements: &'a [T], width: usize) -> Self {
        // SAFETY: the slice is memory such as `contiguous` asks for.
        unsafe { Self::contiguous(elements.as_ptr(), elements.len(), width) }
    }

    /// The `len` elements from `start` on as rows of `width`; what is left over is the tail.
    ///
    /// # Safety
    /// As for [`Rows::new`], of those elements.
    pub unsafe fn contiguous(start: *const T, len: usize, width: usize) -> Self {
        // SAFETY: the caller's promise; rows and tail are all `len` elements.
        unsafe { Self::new(start, len / width, width, width, len % width) }
    }

    /// Number of full rows.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements of a row.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Elements of the last, partial row.
    #[inline(always)]
    pub fn tail(&self) -> usize {
        self.tail
    }

    /// All elements in one, if there are no gaps between the rows.
    pub fn whole(&self) -> Option<&'a [T]> {
        let len = self.count * self.width + self.tail;
        // SAFETY: `new` promises rows 0..count of `width` elements, and a tail after them.
        (self.stride == self.width).then(|| unsafe { std::slice::from_raw_parts(self.start, len) })
    }

    /// The same rows, if their elements are of type `U`.
    pub fn of_type<U: 'static>(self) -> Option<Rows<'a, U>>
    where
        T: 'static,
    {
        let Self { start, count, stride, width, tail, .. } = self;
        // SAFETY: `new` was promised this of elements of the same type.
        (TypeId::of::<T>() == TypeId::of::<U>()).then(|| unsafe { Rows::new(start.cast(), count, stride, width, tail) })
    }

    /// The same rows as elements of type `U`.
    ///
    /// # Safety
    /// That is what they are: the type of the elements was only forgotten.
    pub unsafe fn cast<U>(self) -> Rows<'a, U> {
        let Self { start, count, stride, width, tail, .. } = self;
        // SAFETY: what `new` was promised of the same elements.
        unsafe { Rows::new(start.cast(), count, stride, width, tail) }
    }

    /// Bytes from one row to that `count` rows later.
    pub fn bytes(&self, count: usize) -> usize {
        count * self.stride * size_of::<T>()
    }

    /// The first `count` rows, and the others with the tail; the second is nothing where the first is all.
    pub fn split(self, count: usize) -> (Self, Option<Self>) {
        if count >= self.count {
            return (self, None);
        }
        let rest = Self { start: self.start.wrapping_add(count * self.stride), count: self.count - count, ..self };
        (Self { count, tail: 0, ..self }, Some(rest))
    }

    /// Row `index`; row `count` is the tail.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &'a [T] {
        let Group { start, width, .. } = self.group::<1>(index);
        // SAFETY: `new` promises rows 0..count of `width` elements, and a tail after them.
        unsafe { std::slice::from_raw_parts(start, width) }
    }

    /// `U` rows from `first` on; row `count` is the tail, which is a group of its own.
    #[inline(always)]
    pub fn group<const U: usize>(&self, first: usize) -> Group<'a, T, U> {
        let is_tail = U == 1 && first == self.count;
        assert!(is_tail || first + U <= self.count);
        let start = self.start.wrapping_add(first * self.stride);
        let width = if is_tail { self.tail } else { self.width };
        Group { start, stride: self.stride, width, memory: PhantomData }
    }
}

/// As [`Rows`], to be written.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    start: *mut T,
    count: usize,
    stride: usize,
    width: usize,
    tail: usize,
    memory: PhantomData<&'a mut T>,
}

impl<'a, T> RowsMut<'a, T> {
    /// # Safety
    /// As for [`Rows::new`], and nothing else reads or writes these elements for `'a`; rows do not overlap.
    pub unsafe fn new(start: *mut T, count: usize, stride: usize, width: usize, tail: usize) -> Self {
        Self { start, count, stride, width, tail, memory: PhantomData }
    }

    /// Contiguous elements as rows of `width`; what is left over is the tail.
    pub fn flat(elements: &'a mut [T], width: usize) -> Self {
        // SAFETY: the slice, borrowed mutably, is memory such as `contiguous` asks for.
        unsafe { Self::contiguous(elements.as_mut_ptr(), elements.len(), width) }
    }

    /// The `len` elements from `start` on as rows of `width`; what is left over is the tail.
    ///
    /// # Safety
    /// As for [`RowsMut::new`], of those elements.
    pub unsafe fn contiguous(start: *mut T, len: usize, width: usize) -> Self {
        // SAFETY: the caller's promise; rows and tail are all `len` elements.
        unsafe { Self::new(start, len / width, width, width, len % width) }
    }

    /// The same rows as elements of type `U`.
    ///
    /// # Safety
    /// That is what they are: the type of the elements was only forgotten.
    pub unsafe fn cast<U>(self) -> RowsMut<'a, U> {
        let Self { start, count, stride, width, tail, .. } = self;
        // SAFETY: what `new` was promised of the same elements.
        unsafe { RowsMut::new(start.cast(), count, stride, width, tail) }
    }

    /// All elements in one, if there are no gaps between the rows.
    pub fn whole(&mut self) -> Option<&mut [T]> {
        let len = self.count * self.width + self.tail;
        // SAFETY: `new` promises rows 0..count of `width` elements and a tail after them, ours alone.
        (self.stride == self.width).then(|| unsafe { std::slice::from_raw_parts_mut(self.start, len) })
    }

    /// Row `index`; row `count` is the tail.
    #[inline(always)]
    pub fn row(&mut self, index: usize) -> &mut [T] {
        let Group { start, width, .. } = self.group::<1>(index).0;
        // SAFETY: `new` promises rows 0..count of `width` elements and a tail after them, ours alone.
        unsafe { std::slice::from_raw_parts_mut(start.cast_mut(), width) }
    }

    /// `U` rows from `first` on; row `count` is the tail, which is a group of its own.
    #[inline(always)]
    pub fn group<const U: usize>(&mut self, first: usize) -> GroupMut<'_, T, U> {
        let Self { start, count, stride, width, tail, .. } = *self;
        // SAFETY: what `new` promises; `&mut self` lends each row once.
        GroupMut(unsafe { Rows::new(start.cast_const(), count, stride, width, tail) }.group(first))
    }
}

/// `U` rows of one length, as the kernels walk them: their elements are asked for by column.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a, T, const U: usize> {
    start: *const T,
    stride: usize,
    width: usize,
    memory: PhantomData<&'a T>,
}

impl<'a, T, const U: usize> Group<'a, T, U> {
    /// Elements of each row.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The elements of columns `at..at + L`.
    #[inline(always)]
    pub fn lanes<const L: usize>(&self, at: usize) -> [&'a [T; L]; U] {
        // SAFETY: the rows of a group lie within those that `Rows::new` was promised, and so do these columns of them.
        self.addresses::<L>(at).map(|lanes| unsafe { &*lanes })
    }

    #[inline(always)]
    fn addresses<const L: usize>(&self, at: usize) -> [*const [T; L]; U] {
        assert!(at + L <= self.width);
        let mut addresses = [std::ptr::null(); U];
        // A loop: compilers do not always see through `from_fn`.
        for (u, address) in addresses.iter_mut().enumerate() {
            *address = self.start.wrapping_add(u * self.stride + at).cast();
        }
        addresses
    }
}

/// As [`Group`], to be written.
#[derive(Debug)]
pub struct GroupMut<'a, T, const U: usize>(Group<'a, T, U>);

impl<T, const U: usize> GroupMut<'_, T, U> {
    /// Elements of each row.
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// The elements of columns `at..at + L`.
    #[inline(always)]
    pub fn lanes<const L: usize>(&mut self, at: usize) -> [&mut [T; L]; U] {
        // SAFETY: the rows are those of a `RowsMut`, ours alone and without overlaps, and borrowed from it mutably;
        // `&mut self` lends each element once.
        self.0.addresses::<L>(at).map(|lanes| unsafe { &mut *lanes.cast_mut() })
    }
}

impl Rows<'_, ()> {
    /// The `count` rows from `first` on, of elements of `size` bytes.
    pub fn part(self, first: usize, count: usize, size: usize) -> Self {
        assert!(first + count <= self.count);
        let start = self.start.wrapping_byte_add(first * self.stride * size);
        Self { start, count, tail: 0, ..self }
    }
}

impl RowsMut<'_, ()> {
    /// The `count` rows from `first` on, of elements of `size` bytes.
    pub fn part(&mut self, first: usize, count: usize, size: usize) -> RowsMut<'_, ()> {
        assert!(first + count <= self.count);
        let start = self.start.wrapping_byte_add(first * self.stride * size);
        // SAFETY: rows of those that `new` was promised; `&mut self` lends each once.
        unsafe { RowsMut::new(start, count, self.stride, self.width, 0) }
    }

    /// Rows of nothing, as the output of kernels that write none.
    pub fn none<T>(rows: &Rows<'_, T>) -> Self {
        let start = std::ptr::dangling_mut();
        // SAFETY: `()` takes no memory.
        unsafe { Self::new(start, rows.count, rows.stride, rows.width, rows.tail) }
    }
}

/// How many rows of `width` columns are read as one, so that the kernels' lanes are filled: a power of two.
pub fn widening(width: usize, rows: usize) -> usize {
    let mut times = 1;
    while width * times < 256 && !(width * times).is_multiple_of(64) && times * 2 <= rows {
        times *= 2;
    }
    times
}

//! Strided arrays, as pointer, shape and strides in bytes. Nothing is assumed of alignment, order or sign.

use std::marker::PhantomData;

/// A strided array to read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    start: *const u8,
    shape: &'a [usize],
    strides: &'a [isize],
    memory: PhantomData<&'a T>,
}

// SAFETY: a view only reads, as a shared slice would; elements are Send and Sync where they are used.
unsafe impl<T: Sync> Sync for View<'_, T> {}
// SAFETY: as for Sync.
unsafe impl<T: Sync> Send for View<'_, T> {}

impl<'a, T> View<'a, T> {
    /// # Safety
    /// `shape` and `strides` have equal length; every element they reach from `start` lies in memory that is alive
    /// and initialised for `'a` and is not written through references of this program meanwhile.
    pub unsafe fn new(start: *const u8, shape: &'a [usize], strides: &'a [isize]) -> Self {
        Self { start, shape, strides, memory: PhantomData }
    }

    /// The same elements, of a type that is told elsewhere.
    pub fn untyped(self) -> View<'a, ()> {
        View { start: self.start, shape: self.shape, strides: self.strides, memory: PhantomData }
    }

    /// The same elements as of type `U`.
    ///
    /// # Safety
    /// That is what they are: the type was only forgotten.
    pub unsafe fn typed<U>(self) -> View<'a, U> {
        View { start: self.start, shape: self.shape, strides: self.strides, memory: PhantomData }
    }

    /// The element at index zero of every axis.
    pub fn start(&self) -> *const u8 {
        self.start
    }

    /// Length of each axis.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Step of each axis in bytes.
    pub fn strides(&self) -> &'a [isize] {
        self.strides
    }

    /// The address `offset` bytes from the start.
    pub fn at(&self, offset: isize) -> *const u8 {
        self.start.wrapping_offset(offset)
    }
}

/// A strided array to write.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    start: *mut u8,
    shape: &'a [usize],
    strides: &'a [isize],
    memory: PhantomData<&'a mut T>,
}

// SAFETY: the elements are the view's own (see `new`), and tasks write disjoint parts of them.
unsafe impl<T: Send> Sync for ViewMut<'_, T> {}
// SAFETY: as for Sync.
unsafe impl<T: Send> Send for ViewMut<'_, T> {}

impl<'a, T> ViewMut<'a, T> {
    /// # Safety
    /// As for [`View::new`]; also no two indices reach the same memory, and nothing else reads or writes it for `'a`,
    /// except a [`View`] of exactly the same elements where the caller of the view's consumer is told so.
    pub unsafe fn new(start: *mut u8, shape: &'a [usize], strides: &'a [isize]) -> Self {
        Self { start, shape, strides, memory: PhantomData }
    }

    /// The same elements, of a type that is told elsewhere.
    pub fn untyped(self) -> ViewMut<'a, ()> {
        ViewMut { start: self.start, shape: self.shape, strides: self.strides, memory: PhantomData }
    }

    /// The element at index zero of every axis.
    pub fn start(&self) -> *mut u8 {
        self.start
    }

    /// Length of each axis.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Step of each axis in bytes.
    pub fn strides(&self) -> &'a [isize] {
        self.strides
    }

    /// The address `offset` bytes from the start.
    pub fn at(&self, offset: isize) -> *mut u8 {
        self.start.wrapping_offset(offset)
    }
}

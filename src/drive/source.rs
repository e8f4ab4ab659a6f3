//! Where statistics take their elements from: an array as it is, or one of which a mask leaves elements out.

use crate::axes::MAX_AXES;
use crate::blocks::{Access, access, block};
use crate::element::{Bool, Element, Wide, bf16, f16};
use crate::error::Error;
use crate::kernels::columns::prefetch;
use crate::kernels::convert::converted;
use crate::kernels::exact_sums::Summand;
use crate::kernels::{self, Kernel};
use crate::memory;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::view::View;
use std::marker::PhantomData;

/// The operands of a plan for statistics: the elements, their weights and their mask.
pub const OPERANDS: usize = 3;
/// Strides of an operand that is not there.
static NOTHING: [isize; MAX_AXES] = [0; MAX_AXES];

/// As many of them as there are axes, of which no array has more.
pub fn nothing(axes: usize) -> &'static [isize] {
    NOTHING.get(..axes).unwrap_or(&NOTHING)
}

/// Elements with a shape, block by block.
pub trait Source: Copy + Sync {
    /// What they are read as.
    type Element: Element;
    /// Memory for a block.
    type Scratch: Default;
    /// Bytes of an element as work is cut: of what it was before it was converted.
    const SIZE: usize = size_of::<Self::Element>();
    /// Whether some elements are sure to be missing.
    const HAS_MISSING: bool;
    /// Whether the others are integers of at most 16 bits.
    const IS_SMALL: bool;

    /// Length of each axis.
    fn shape(&self) -> &[usize];

    /// A walk over them, and over weights of these strides, in units of about so many elements.
    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error>;

    /// How their memory can be used.
    fn access(&self, plan: &Plan<OPERANDS>) -> Access;

    /// The block of `rows` x `width` elements at these offsets, in rows of `width * times`.
    ///
    /// # Safety
    /// The plan, which is this source's, has such a block there; `access` came from [`Self::access`].
    #[allow(clippy::too_many_arguments)] // A block is that many things.
    unsafe fn block<'s>(
        &'s self,
        plan: &Plan<OPERANDS>,
        access: Access,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
        scratch: &'s mut Self::Scratch,
    ) -> Result<Rows<'s, Self::Element>, Error>;
}

pub(crate) fn plan<T>(
    x: View<'_, T>,
    kept: &[bool],
    weights: Option<View<'_, f64>>,
    mask: &[isize],
    unit_elements: usize,
) -> Result<Plan<OPERANDS>, Error> {
    let weights = weights.as_ref().map_or(nothing(x.shape().len()), |weights| weights.strides());
    Plan::new(x.shape(), kept, [x.strides(), weights, mask], [size_of::<T>(), 8, 1], unit_elements)
}

impl<T: Element> Source for View<'_, T> {
    type Element = T;
    type Scratch = Vec<T>;
    const HAS_MISSING: bool = false;
    const IS_SMALL: bool = T::IS_SMALL;

    fn shape(&self) -> &[usize] {
        self.shape()
    }

    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        plan(*self, kept, weights, nothing(self.shape().len()), unit_elements)
    }

    fn access(&self, plan: &Plan<OPERANDS>) -> Access {
        access::<T, OPERANDS>(plan, 0, self.start())
    }

    unsafe fn block<'s>(
        &'s self,
        plan: &Plan<OPERANDS>,
        access: Access,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
        scratch: &'s mut Vec<T>,
    ) -> Result<Rows<'s, T>, Error> {
        // SAFETY: the caller's promise; a view promises that its elements can be read.
        unsafe { block(plan, 0, access, self.at(offset[0]), rows, width, times, scratch) }
    }
}

/// An element type that can be told to be missing.
pub trait Maskable: Element {
    /// A floating-point type that holds its values: exactly up to 32 bits, else rounded to `f64`.
    type Float: Summand + Maskable<Float = Self::Float>;
}

macro_rules! maskable {
    ($($t:ty => $float:ty;)*) => {$(
        impl Maskable for $t {
            type Float = $float;
        }
    )*};
}
maskable! {
    Bool => f32; u8 => f32; i8 => f32; u16 => f32; i16 => f32; f16 => f32; bf16 => f32; f32 => f32;
    u32 => f64; i32 => f64; u64 => f64; i64 => f64; f64 => f64;
}

/// An array, and for each of its elements whether it counts: the others are read as NaN, all as elements of type `F`.
#[derive(Debug)]
pub struct Masked<'m, T, F> {
    x: View<'m, T>,
    mask: View<'m, Bool>,
    float: PhantomData<fn() -> F>,
}

impl<T: Copy, F> Clone for Masked<'_, T, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Copy, F> Copy for Masked<'_, T, F> {}

impl<'m, T: Maskable> Masked<'m, T, T::Float> {
    /// The elements of `x`, and whether they count: of the same shape, by broadcasting strides.
    pub fn new(x: View<'m, T>, mask: View<'m, Bool>) -> Self {
        Self::of_type(x, mask)
    }
}

impl<'m, T, F> Masked<'m, T, F> {
    /// As [`Masked::new`], as elements of any type that holds their values.
    pub fn of_type(x: View<'m, T>, mask: View<'m, Bool>) -> Self {
        assert_eq!(x.shape(), mask.shape(), "one truth value for each element");
        Self { x, mask, float: PhantomData }
    }
}

impl<T: Element, F: Wide> Source for Masked<'_, T, F> {
    type Element = F;
    type Scratch = (Vec<T>, Vec<Bool>, Vec<F>);
    const HAS_MISSING: bool = true;
    const IS_SMALL: bool = T::IS_SMALL;

    fn shape(&self) -> &[usize] {
        self.x.shape()
    }

    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        plan(self.x, kept, weights, self.mask.strides(), unit_elements)
    }

    fn access(&self, _plan: &Plan<OPERANDS>) -> Access {
        // The elements that are read lie side by side.
        Access::Flat
    }

    unsafe fn block<'s>(
        &'s self,
        plan: &Plan<OPERANDS>,
        _access: Access,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
        (elements, mask, floats): &'s mut Self::Scratch,
    ) -> Result<Rows<'s, F>, Error> {
        let (x, counts) =
            (access::<T, OPERANDS>(plan, 0, self.x.start()), access::<Bool, OPERANDS>(plan, 2, self.mask.start()));
        // SAFETY: the caller's promise; views promise that their elements can be read.
        let x = unsafe { block(plan, 0, x, self.x.at(offset[0]), rows, width, 1, elements) }?;
        // SAFETY: as above.
        let counts = unsafe { block(plan, 2, counts, self.mask.at(offset[2]), rows, width, 1, mask) }?;
        assert_eq!((x.count(), x.width(), x.tail()), (rows, width, 0), "as many as asked for");
        assert_eq!((counts.count(), counts.width(), counts.tail()), (rows, width, 0), "as many as asked for");
        floats.clear();
        memory::reserve(floats, rows * width)?;
        kernels::run(Combine { x, counts, to: floats.as_mut_ptr() });
        // SAFETY: `Combine` has written one element for each of the rows.
        unsafe { floats.set_len(rows * width) };
        Ok(Rows::flat(floats, width * times))
    }
}

/// The elements of a source as elements of type `F`: kernels are compiled for few types.
#[derive(Debug, Clone, Copy)]
pub struct Converted<S, F> {
    source: S,
    to: PhantomData<fn() -> F>,
}

impl<S: Source<Element: Maskable>> Converted<S, <S::Element as Maskable>::Float> {
    /// As floats, which round what has 64 bits.
    pub fn floats(source: S) -> Self {
        Self { source, to: PhantomData }
    }
}

impl<S: Source> Converted<S, <S::Element as Element>::Wide> {
    /// As what holds every value.
    pub fn exact(source: S) -> Self {
        Self { source, to: PhantomData }
    }
}

impl<S: Source, F: Wide> Source for Converted<S, F> {
    type Element = F;
    type Scratch = (S::Scratch, Vec<F>);
    const SIZE: usize = S::SIZE;
    const HAS_MISSING: bool = S::HAS_MISSING;
    const IS_SMALL: bool = S::IS_SMALL;

    fn shape(&self) -> &[usize] {
        self.source.shape()
    }

    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        self.source.plan(kept, weights, unit_elements)
    }

    fn access(&self, plan: &Plan<OPERANDS>) -> Access {
        self.source.access(plan)
    }

    unsafe fn block<'s>(
        &'s self,
        plan: &Plan<OPERANDS>,
        access: Access,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
        (elements, floats): &'s mut Self::Scratch,
    ) -> Result<Rows<'s, Self::Element>, Error> {
        // SAFETY: the caller's promise.
        converted(unsafe { self.source.block(plan, access, offset, rows, width, times, elements) }?, floats)
    }
}

/// An array whose elements count where they are finite.
#[derive(Debug, Clone, Copy)]
pub struct Finite<'m, T>(pub View<'m, T>);

impl<T: Maskable> Source for Finite<'_, T> {
    type Element = T::Float;
    type Scratch = (Vec<T>, Vec<T::Float>);
    const HAS_MISSING: bool = true;
    const IS_SMALL: bool = T::IS_SMALL;

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn plan(
        &self,
        kept: &[bool],
        weights: Option<View<'_, f64>>,
        unit_elements: usize,
    ) -> Result<Plan<OPERANDS>, Error> {
        self.0.plan(kept, weights, unit_elements)
    }

    fn access(&self, _plan: &Plan<OPERANDS>) -> Access {
        // The elements that are read lie side by side.
        Access::Flat
    }

    unsafe fn block<'s>(
        &'s self,
        plan: &Plan<OPERANDS>,
        _access: Access,
        offset: [isize; OPERANDS],
        rows: usize,
        width: usize,
        times: usize,
        (elements, floats): &'s mut Self::Scratch,
    ) -> Result<Rows<'s, T::Float>, Error> {
        // SAFETY: the caller's promise; a view promises that its elements can be read.
        let x = unsafe { block(plan, 0, self.0.access(plan), self.0.at(offset[0]), rows, width, 1, elements) }?;
        floats.clear();
        memory::reserve(floats, rows * width)?;
        let counts = |x: &T| if x.to_f64().is_finite() { T::Float::of(*x) } else { T::Float::MISSING };
        (0..rows).for_each(|row| floats.extend(x.row(row).iter().map(counts)));
        Ok(Rows::flat(floats, width * times))
    }
}

/// Writes what counts to `to`, where there is room for all of it, and what is missing in the place of the rest.
struct Combine<'m, T, F> {
    x: Rows<'m, T>,
    counts: Rows<'m, Bool>,
    to: *mut F,
}

impl<T: Element, F: Wide> Kernel for Combine<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        const LANES: usize = 64;
        let Self { x, counts, to } = self;
        let combine = |x: &[T], counts: &[Bool], to: *mut F| {
            let one = |x: T, counts: Bool| if counts.0 != 0 { F::of(x) } else { F::MISSING };
            let ((x, x_rest), (counts, counts_rest)) = (x.as_chunks::<LANES>(), counts.as_chunks::<LANES>());
            let rest = to.wrapping_add(x.len() * LANES);
            for (i, (x, counts)) in x.iter().zip(counts).enumerate() {
                prefetch::<T, LANES>(x.as_ptr());
                prefetch::<Bool, LANES>(counts.as_ptr());
                for j in 0..LANES {
                    // SAFETY: there is room for each element of `x`.
                    unsafe { to.add(i * LANES + j).write(one(x[j], counts[j])) };
                }
            }
            for (j, (x, counts)) in x_rest.iter().zip(counts_rest).enumerate() {
                // SAFETY: as above.
                unsafe { rest.add(j).write(one(*x, *counts)) };
            }
        };
        if let Some((x, counts)) = x.whole().zip(counts.whole()) {
            return combine(x, counts, to);
        }
        for row in 0..x.count() {
            combine(x.row(row), counts.row(row), to.wrapping_add(row * x.width()));
        }
    }
}

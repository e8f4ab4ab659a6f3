//! Arrays as the core knows them: a dtype, where the elements lie, and what may be written where.
//!
//! Whoever brings arrays (NumPy's, by way of the extension) describes them here once: the dtype becomes an element type
//! ([`with_element`](crate::with_element), [`with_float`](crate::with_float)), and the rules for results, which dtype they
//! have and when an array can take them, are the same for all.

use crate::error::Error;
use crate::memory;
use crate::view::{View, ViewMut};

/// What the elements of an array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// One byte, zero or one.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a float32.
    BF16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

/// What is accepted, for error messages.
pub const ACCEPTED: &str =
    "bool, integers of 8 to 64 bits, float16, bfloat16, float32 and float64 in native byte order";

/// Evaluate an expression with `$T` being the element type of a [`DType`].
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::array::DType::Bool => {
                type $T = $crate::element::Bool;
                $body
            }
            $crate::array::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::array::DType::U16 => {
                type $T = u16;
                $body
            }
            $crate::array::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::array::DType::U64 => {
                type $T = u64;
                $body
            }
            $crate::array::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::array::DType::I16 => {
                type $T = i16;
                $body
            }
            $crate::array::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::array::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::array::DType::F16 => {
                type $T = $crate::element::f16;
                $body
            }
            $crate::array::DType::BF16 => {
                type $T = $crate::element::bf16;
                $body
            }
            $crate::array::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::array::DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

/// As [`with_element`] for floating-point dtypes; for any `$other` one the expression after it.
#[macro_export]
macro_rules! with_float {
    ($dtype:expr, $T:ident => $body:expr, $other:ident => $refusal:expr) => {
        match $dtype {
            $crate::array::DType::F16 => {
                type $T = $crate::element::f16;
                $body
            }
            $crate::array::DType::BF16 => {
                type $T = $crate::element::bf16;
                $body
            }
            $crate::array::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::array::DType::F64 => {
                type $T = f64;
                $body
            }
            // By name, so that a new dtype has to be put in one of the two places.
            $other @ ($crate::array::DType::Bool
            | $crate::array::DType::U8
            | $crate::array::DType::U16
            | $crate::array::DType::U32
            | $crate::array::DType::U64
            | $crate::array::DType::I8
            | $crate::array::DType::I16
            | $crate::array::DType::I32
            | $crate::array::DType::I64) => $refusal,
        }
    };
}

impl DType {
    /// Whether a map can write it.
    pub fn is_float(self) -> bool {
        with_float!(self, T => size_of::<T>() > 0, _other => false)
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        with_element!(self, T => size_of::<T>())
    }

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// The dtype of a map's results where none is asked for: that of floating-point elements, else float64.
    pub fn of_results(self) -> Self {
        if self.is_float() { self } else { Self::F64 }
    }
}

/// Where the elements of an array lie.
#[derive(Debug)]
pub struct Array {
    /// What they are.
    pub dtype: DType,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Step of each axis in bytes.
    pub strides: Vec<isize>,
    /// The element at index zero of every axis.
    pub start: *mut u8,
}

/// How the memory of a result relates to that of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// They share nothing.
    None,
    /// Each element is written where it is read.
    Same,
    /// Their extents overlap: whether their elements do takes a closer look.
    Possible,
}

impl Array {
    /// From copies of a shape and its strides, which have one length.
    pub fn new(dtype: DType, shape: &[usize], strides: &[isize], start: *mut u8) -> Result<Self, Error> {
        Ok(Self { dtype, shape: memory::copied(shape)?, strides: memory::copied(strides)?, start })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Size of the elements in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.size()
    }

    /// Where the part at `index` of the first axis begins, and its shape and strides; nothing where there is no such part.
    pub fn part(&self, index: usize) -> Option<(*mut u8, &[usize], &[isize])> {
        let ((len, shape), (stride, strides)) = (self.shape.split_first()?, self.strides.split_first()?);
        (index < *len).then(|| (self.start.wrapping_offset(index as isize * stride), shape, strides))
    }

    /// The elements, to be read.
    ///
    /// # Safety
    /// As for [`View::new`], and `T` is the type of `dtype`, or `()` for a type that is told elsewhere.
    pub unsafe fn view<T>(&self) -> View<'_, T> {
        debug_assert!(size_of::<T>() == self.dtype.size() || size_of::<T>() == 0);
        // SAFETY: the caller's promise.
        unsafe { View::new(self.start, &self.shape, &self.strides) }
    }

    /// The elements, to be written.
    ///
    /// # Safety
    /// As for [`ViewMut::new`], and `T` is the type of `dtype`, or `()`.
    pub unsafe fn view_mut<T>(&self) -> ViewMut<'_, T> {
        debug_assert!(size_of::<T>() == self.dtype.size() || size_of::<T>() == 0);
        // SAFETY: the caller's promise.
        unsafe { ViewMut::new(self.start, &self.shape, &self.strides) }
    }

    /// The first byte and the one after the last.
    fn extent(&self) -> (usize, usize) {
        let (mut low, mut high) = (self.start as usize, self.start as usize + self.dtype.size());
        for (len, stride) in self.shape.iter().zip(&self.strides) {
            let reach = stride * (*len as isize - 1);
            if reach < 0 { low = low.wrapping_add_signed(reach) } else { high = high.wrapping_add_signed(reach) }
        }
        (low, high)
    }

    /// Whether two indices might reach the same memory.
    fn overlaps_itself(&self) -> bool {
        let mut axes: Vec<(usize, usize)> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(len, _)| **len > 1)
            .map(|(len, stride)| (stride.unsigned_abs(), *len))
            .collect();
        axes.sort_unstable();
        let mut span = self.dtype.size();
        for (stride, len) in axes {
            if stride < span {
                return true;
            }
            span += stride * (len - 1);
        }
        false
    }

    /// Check that this array, which is `writeable` or not, can take a result of `shape` and `dtype`.
    pub fn check_target(&self, shape: &[usize], dtype: DType, writeable: bool) -> Result<(), Error> {
        if self.dtype != dtype {
            return Err(Error::ResultDType { got: self.dtype, result: dtype });
        }
        if self.shape != shape {
            return Err(Error::ResultShape { got: memory::copied(&self.shape)?, result: memory::copied(shape)? });
        }
        if !writeable {
            return Err(Error::ReadOnly);
        }
        if !self.is_empty() && self.overlaps_itself() {
            return Err(Error::OverlapsItself);
        }
        Ok(())
    }

    /// How its memory relates to that of `input`, for a map of each element.
    pub fn overlap(&self, input: &Self) -> Overlap {
        let same_steps =
            self.shape.iter().zip(self.strides.iter().zip(&input.strides)).all(|(len, (a, b))| *len < 2 || a == b);
        let same_elements = self.start == input.start && self.dtype.size() == input.dtype.size();
        if !self.is_empty() && self.shape == input.shape && same_elements && same_steps {
            return Overlap::Same;
        }
        let ((low, high), (input_low, input_high)) = (self.extent(), input.extent());
        let apart = self.is_empty() || input.is_empty() || low >= input_high || input_low >= high;
        if apart { Overlap::None } else { Overlap::Possible }
    }
}

/// A shape as it is written for people.
pub fn tuple(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

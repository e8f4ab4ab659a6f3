//! The SIMD loops, each written once.
//!
//! A kernel is a plain loop over arrays of lanes that the compiler turns into vector instructions. It is compiled for
//! several instruction sets ([`Level`]) and the best one that the CPU has is chosen at run time; tests and benches
//! force each. No kernel lets the compiler fuse a multiplication with an addition: where that is wanted (the residual of a
//! product, the polynomials of [`log2`]), `mul_add` says so. So every level gives the same bits.
//!
//! [`mod@reference`] holds the naive twins that the kernels are tested against.

pub mod affine;
pub mod brackets;
pub mod columns;
pub mod convert;
pub mod copy;
pub mod exact_groups;
mod exact_map;
pub mod exact_sums;
pub mod exact_survey;
pub mod exact_weights;
pub mod extrema;
pub mod gather;
pub mod line_gradients;
pub mod lines;
pub mod log2;
pub mod logarithm;
pub mod moments;
pub mod narrow;
pub mod normalize;
pub mod norms;
pub mod radix;
pub mod reference;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction-set level for which the kernels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What every CPU of the architecture has.
    Baseline = 1,
    /// x86-64 with AVX2, FMA and BMI2 (x86-64-v3).
    Avx2 = 2,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL (x86-64-v4).
    Avx512 = 3,
}

/// The environment variable that forces a level.
pub const VARIABLE: &str = "PLANISH_LEVEL";

/// The level in force; zero until it is first asked for.
static LEVEL: AtomicU8 = AtomicU8::new(0);

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// Whether this CPU has it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => has_avx512(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The level in force: the one that was forced, else the one [asked](Self::asked) for, else the best that this CPU has.
    #[inline]
    pub fn current() -> Self {
        match LEVEL.load(Ordering::Relaxed) {
            1 => Self::Baseline,
            2 => Self::Avx2,
            3 => Self::Avx512,
            _ => {
                let level = Self::asked().unwrap_or_default().unwrap_or_else(Self::best);
                LEVEL.store(level as u8, Ordering::Relaxed);
                level
            }
        }
    }

    /// Whether the level in force has vectors of 32 bytes. (Before it is first asked for, none has.)
    #[inline(always)]
    pub fn has_avx() -> bool {
        LEVEL.load(Ordering::Relaxed) > Self::Baseline as u8
    }

    /// The best that this CPU has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|level| level.is_supported()).unwrap_or(Self::Baseline)
    }

    /// The level that the environment variable `PLANISH_LEVEL` names, if it is set; what it holds instead, if that is no
    /// level of this CPU.
    pub fn asked() -> Result<Option<Self>, String> {
        let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return Ok(None) };
        let name = name.to_string_lossy();
        let level = Self::ALL.into_iter().find(|level| level.name() == name && level.is_supported());
        level.map(Some).ok_or_else(|| name.into_owned())
    }

    /// Use this level from now on, in the whole process; `false`, and no change, where the CPU lacks it.
    pub fn force(self) -> bool {
        let supported = self.is_supported();
        if supported {
            LEVEL.store(self as u8, Ordering::Relaxed);
        }
        supported
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Run `kernel` compiled for this level. A level that the CPU lacks runs as the baseline.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `is_supported` has just seen every feature that `avx2` enables.
            Self::Avx2 if self == Self::current() || self.is_supported() => unsafe { avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `is_supported` has just seen every feature that `avx512` enables.
            Self::Avx512 if self == Self::current() || self.is_supported() => unsafe { avx512(kernel) },
            _ => baseline(kernel),
        }
    }
}

/// What maps have met among the elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// An infinity.
    pub infinite: bool,
    /// A number outside of the domain of the function.
    pub outside: bool,
}

impl std::ops::BitOrAssign for Seen {
    fn bitor_assign(&mut self, other: Self) {
        self.infinite |= other.infinite;
        self.outside |= other.outside;
    }
}

/// A loop that is compiled once for each [`Level`]. `run` must be `#[inline(always)]`, and so must what it calls, for
/// the level's instructions to reach it.
pub trait Kernel {
    /// What the loop returns.
    type Output;
    /// The loop.
    fn run(self) -> Self::Output;
}

/// The loop for every CPU: beside the other levels, so that callers hold none of them.
#[inline(never)]
fn baseline<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// A level of x86-64: `$run` compiles a kernel for all `$feature`s, and `$has` asks the CPU for each of them.
macro_rules! level {
    ($has:ident, $run:ident, $($feature:tt),+) => {
        #[cfg(target_arch = "x86_64")]
        fn $has() -> bool {
            $(is_x86_feature_detected!($feature))&&+
        }

        #[cfg(target_arch = "x86_64")]
        $(#[target_feature(enable = $feature)])+
        fn $run<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
    };
}
level!(has_avx2, avx2, "avx2", "fma", "bmi1", "bmi2", "lzcnt", "popcnt", "f16c");
level!(
    has_avx512, avx512, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi1", "bmi2",
    "lzcnt", "popcnt", "f16c"
);

/// A loop that is written for what a level has: whether it fuses multiplications with additions in one instruction, and how
/// many doubles a vector of it takes. It must give the same at each; all else is as for a [`Kernel`].
pub trait Tuned {
    /// What the loop returns.
    type Output;
    /// The loop.
    fn run<const FMA: bool, const DOUBLES: usize>(self) -> Self::Output;
}

struct At<K, const FMA: bool, const DOUBLES: usize>(K);

impl<K: Tuned, const FMA: bool, const DOUBLES: usize> Kernel for At<K, FMA, DOUBLES> {
    type Output = K::Output;

    #[inline(always)]
    fn run(self) -> K::Output {
        self.0.run::<FMA, DOUBLES>()
    }
}

/// Run a tuned kernel at the level in force, for which alone that form of it is compiled.
#[inline]
pub fn run_tuned<K: Tuned>(kernel: K) -> K::Output {
    match Level::current() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level in force is one that the CPU was seen to have.
        Level::Avx2 => unsafe { avx2(At::<K, true, 4>(kernel)) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { avx512(At::<K, true, 8>(kernel)) },
        _ => baseline(At::<K, false, 4>(kernel)),
    }
}

/// Run `kernel` at the level in force.
#[inline]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    Level::current().run(kernel)
}

//! The floating-point environment of a thread: rounding to nearest, and numbers next to nothing as they are.
//!
//! A host may have set another rounding mode, or have results and inputs that are subnormal taken for zero: some plug-ins and
//! libraries that were compiled for speed do, on any thread. What is exact here would not be. So work begins by looking at the
//! control register of its thread, sets what it needs and puts back what it found.

/// The control register as it was found, which is put back in the end.
#[derive(Debug)]
pub struct Standard {
    found: Control,
    changed: bool,
}

impl Standard {
    /// Set the standard environment for this thread.
    #[inline]
    pub fn enter() -> Self {
        let found = control();
        let changed = found & CONTROLS != STANDARD;
        if changed {
            set_control(found & !CONTROLS | STANDARD);
        }
        Self { found, changed }
    }
}

impl Drop for Standard {
    fn drop(&mut self) {
        if self.changed {
            set_control(self.found);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod register {
    pub type Control = u32;
    /// All of MXCSR but the flags of what has happened: flush to zero, rounding, masks, denormals are zeros.
    pub const CONTROLS: u32 = 0xffc0;
    /// All exceptions masked.
    pub const STANDARD: u32 = 0x1f80;

    #[inline]
    pub fn control() -> u32 {
        let mut value = 0u32;
        // SAFETY: stores the register, which every x86-64 has, in `value`.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags)) };
        value
    }

    #[inline]
    pub fn set_control(value: u32) {
        // SAFETY: `value` is what the register had, but for bits that are there on every x86-64; what the compiler assumes of
        // it, the standard environment, is what is set while this crate computes.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    pub type Control = u64;
    /// Of FPCR: alternative half precision, default NaN, flush to zero (also of halves) and rounding.
    pub const CONTROLS: u64 = 1 << 26 | 1 << 25 | 1 << 24 | 0b11 << 22 | 1 << 19;
    pub const STANDARD: u64 = 0;

    #[inline]
    pub fn control() -> u64 {
        let value: u64;
        // SAFETY: reads a register that every thread may read.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    #[inline]
    pub fn set_control(value: u64) {
        // SAFETY: as on x86-64.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub type Control = u32;
    pub const CONTROLS: u32 = 0;
    pub const STANDARD: u32 = 0;

    pub fn control() -> u32 {
        0
    }

    pub fn set_control(_value: u32) {}
}

use register::{CONTROLS, Control, STANDARD, control, set_control};

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn what_was_found_is_put_back() {
        let before = control();
        // Away from zero, and subnormal numbers are zeros.
        let hostile = before & !CONTROLS | STANDARD | 0x4000 | 0x8040;
        set_control(hostile);
        let third = || black_box(1.0f64) / black_box(3.0);
        let (up, nothing) = (third(), black_box(f64::from_bits(1)) * black_box(2.0));
        let (nearest, least) = {
            let _standard = Standard::enter();
            (third(), black_box(f64::from_bits(1)) * black_box(2.0))
        };
        let after = control();
        set_control(before);
        assert_eq!(after & CONTROLS, hostile & CONTROLS);
        assert!(up > nearest && nearest == 1.0 / 3.0);
        assert_eq!((nothing, least), (0.0, f64::from_bits(2)));
    }
}

//! Copies past the cache.

/// Whether outputs of this many bytes are better written past the cache: more than it could keep.
pub fn exceeds_cache(bytes: usize) -> bool {
    bytes > last_level_cache()
}

/// Size of the last-level cache in bytes, at most 32 MiB (of a larger one, others have the rest).
fn last_level_cache() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const LARGEST: usize = 32 << 20;
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    let size = SIZE.load(Ordering::Relaxed);
    if size != 0 {
        return size;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sysconf reads a constant of the system and has no preconditions.
    let reported = unsafe { libc::sysconf(libc::_SC_LEVEL3_CACHE_SIZE) };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let reported = 0;
    let size = usize::try_from(reported).ok().filter(|size| *size > 0).map_or(LARGEST, |size| size.min(LARGEST));
    SIZE.store(size, Ordering::Relaxed);
    size
}

/// Alignment in bytes of what is written past the cache.
pub const STREAM_ALIGN: usize = 16;

/// Write lanes past the cache where they fill 16 bytes or a multiple (and the CPU has such stores), plainly else. `to` is
/// then aligned to 16 bytes. Call [`fence`] before another thread may read it.
#[inline(always)]
pub fn stream_lanes<T: Copy, const L: usize>(from: &[T; L], to: &mut [T; L]) {
    #[cfg(target_arch = "x86_64")]
    if (L * size_of::<T>()).is_multiple_of(16) {
        use std::arch::x86_64::{
            __m128i, __m256i, _mm_loadu_si128, _mm_stream_si128, _mm256_loadu_si256, _mm256_stream_si256,
        };
        let (source, target) = (from.as_ptr().cast::<__m128i>(), to.as_mut_ptr().cast::<__m128i>());
        assert!(target.is_aligned());
        if const { (L * size_of::<T>()).is_multiple_of(32) }
            && target.cast::<__m256i>().is_aligned()
            && super::Level::has_avx()
        {
            let (source, target) = (source.cast::<__m256i>(), target.cast::<__m256i>());
            for i in 0..L * size_of::<T>() / 32 {
                // SAFETY: 32-byte pieces 0..i of both arrays; the target is aligned; the CPU has AVX.
                unsafe { _mm256_stream_si256(target.add(i), _mm256_loadu_si256(source.add(i))) };
            }
            return;
        }
        for i in 0..L * size_of::<T>() / 16 {
            // SAFETY: 16-byte pieces 0..i of both arrays; the target is aligned, as just asserted; SSE2 is part of
            // x86-64.
            unsafe { _mm_stream_si128(target.add(i), _mm_loadu_si128(source.add(i))) };
        }
        return;
    }
    *to = *from;
}

/// Write lanes past the cache by way of memory that is in it: seeing the 16-byte stores, the compiler would do the
/// arithmetic before them in vectors of 16 bytes. Whole cache lines, since what straddles two of them could not be read
/// back before all earlier stores are done.
#[inline(always)]
pub fn stream_wide_lanes<T: Copy, const L: usize>(from: [T; L], to: &mut [T; L]) {
    #[repr(align(64))]
    struct Lines<T>(T);
    stream_lanes(&std::hint::black_box(&Lines(from)).0, to);
}

/// Make what [`stream_lanes`] wrote visible to other threads.
pub fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_what_fills_sixteen_bytes_and_what_does_not() {
        #[repr(align(16))]
        struct Aligned<T>(T);
        let mut target = Aligned([0u16; 16]);
        stream_lanes(&std::array::from_fn(|i| i as u16), &mut target.0);
        fence();
        assert_eq!(target.0, std::array::from_fn(|i| i as u16));
        let mut target = Aligned([0u16; 3]);
        stream_lanes(&[7, 8, 9], &mut target.0);
        assert_eq!(target.0, [7, 8, 9]);
    }
}

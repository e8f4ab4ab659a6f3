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

/// Copy with stores that bypass the cache (plain stores where the CPU has no such thing). Call [`fence`] before
/// another thread may read the target.
pub fn stream<T: Copy>(from: &[T], to: &mut [T]) {
    assert_eq!(from.len(), to.len());
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        let size = size_of::<T>();
        let lead = to.as_ptr().align_offset(64).min(to.len());
        let lines = (to.len() - lead) * size / 64;
        let body = lines * 64 / size;
        to[..lead].copy_from_slice(&from[..lead]);
        let source = from[lead..lead + body].as_ptr().cast::<__m128i>();
        let target = to[lead..lead + body].as_mut_ptr().cast::<__m128i>();
        for line in 0..lines {
            // SAFETY: line < lines, so these 64 bytes lie within `body` elements of both slices; the target is
            // aligned to 64 bytes by `lead`, and SSE2 is part of x86-64.
            unsafe {
                let (s, t) = (source.add(line * 4), target.add(line * 4));
                let (a, b) = (_mm_loadu_si128(s), _mm_loadu_si128(s.add(1)));
                let (c, d) = (_mm_loadu_si128(s.add(2)), _mm_loadu_si128(s.add(3)));
                _mm_stream_si128(t, a);
                _mm_stream_si128(t.add(1), b);
                _mm_stream_si128(t.add(2), c);
                _mm_stream_si128(t.add(3), d);
            }
        }
        to[lead + body..].copy_from_slice(&from[lead + body..]);
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

/// Make what [`stream`] wrote visible to other threads.
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
    fn streams_every_length_and_offset() {
        let source: Vec<u16> = (0..400).collect();
        for start in 0..40 {
            for len in 0..200 {
                let mut target = vec![u16::MAX; 300];
                stream(&source[start..start + len], &mut target[start..start + len]);
                fence();
                assert_eq!(target[start..start + len], source[start..start + len]);
                assert!(target[..start].iter().chain(&target[start + len..]).all(|v| *v == u16::MAX));
            }
        }
    }
}

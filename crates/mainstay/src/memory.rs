//! How the system's allocator hands memory back.

/// Buffers from this size on go back to the system as soon as they are not used any more, bytes.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 1 << 20;

/// Keep the limit where it is. Left alone, glibc raises it with the first large buffer that is freed, and from then on keeps freed
/// buffers in heaps, one a thread: a backup took a third more memory, and the time to clear it.
///
/// On other systems nothing is done.
pub fn hand_back_large_buffers() {
    #[cfg(target_env = "gnu")]
    // SAFETY: called with a documented parameter, before other threads are started. If it is refused, nothing has changed.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
    }
}

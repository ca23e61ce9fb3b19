//! The asynchronous runtime behind the blocking calls.

use std::future::Future;
use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// The one runtime of this process. Two threads are enough: they move bytes between sockets and memory; everything
/// that costs time happens on the callers' threads.
pub(crate) fn handle() -> io::Result<Handle> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let built = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("storage")
        .enable_all()
        .build()?;
    // Of two threads that came here at once, one loses; dropping its runtime is allowed outside asynchronous code only,
    // which holds for every caller of a blocking store.
    Ok(RUNTIME.get_or_init(|| built).handle().clone())
}

/// Run `future` to its end; for destructors, which may run anywhere: inside asynchronous code it is left to itself.
pub(crate) fn finish_anywhere(handle: &Handle, future: impl Future<Output = ()> + Send + 'static) {
    if Handle::try_current().is_ok() {
        drop(handle.spawn(future));
    } else {
        handle.block_on(future);
    }
}

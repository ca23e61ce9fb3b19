//! From sources, from a snapshot of them, or from an older archive, to frames of a tar stream.
//!
//! ```text
//!  walk | stored | rewrite ──▶ tasks ──▶ segment: open, read, headers ─▶ compress ──▶ frames in order
//! ```
//!
//! One thread walks; some threads read and compress, each a whole frame, so that small files are read side by side and no byte is
//! handed around uncompressed. A file's size is taken from the file once it is open, and as many bytes follow its header,
//! whatever happens to the file meanwhile.

mod files;
mod holes;
mod queue;
mod rewrite;
mod segment;
mod snapshot;
mod source;
mod stored;
mod stream;
mod task;
mod walk;

pub(super) use queue::{Frame, Frames};
pub use rewrite::Rewritten;
pub(super) use rewrite::goes;
pub use snapshot::{FromSnapshot, StoredItem};
pub use source::{CaptureOptions, Contents, MakeLast, Source};

use super::compression::Compression;
use crate::local::users::Users;
use crate::{Cancel, Monitor, Result};
use queue::TaskWriter;
use segment::Reader;
use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use stored::StoredWalker;
use walk::Walker;

/// More threads than this do not fit into the memory that an archive may take.
const MAX_THREADS: usize = 6;

/// Capture `contents`, and have `take` do something with the frames; returns what it returns. An error in a source is the last
/// item of the frames.
pub(super) fn capture<T>(
    contents: Contents<'_>,
    options: &CaptureOptions,
    compression: Compression,
    cancel: &Cancel,
    monitor: &dyn Monitor,
    take: impl FnOnce(Frames) -> Result<T>,
) -> Result<T> {
    let users = Users::load();
    let threads = threads(options);
    let (tasks, worker, frames) = queue::queue(threads + 2);
    let snapshot = contents.snapshot();
    let reader = || Reader {
        users: &users,
        monitor,
        blobs: snapshot.map(FromSnapshot::reader),
    };
    let out = TaskWriter::new(tasks.clone(), compression.frame_bytes() as u64, cancel);
    let walking = reader();
    let walk = move || match contents {
        Contents::Snapshot(snapshot) => StoredWalker::new(snapshot, out, cancel, monitor).run(),
        Contents::Rewritten(rewritten) => rewritten.run(out, monitor),
        Contents::Sources(sources) => Walker {
            options,
            reader: walking,
            cancel,
            out,
            first_names: HashMap::new(),
            as_they_are: HashSet::new(),
            found: 0,
            found_bytes: 0,
        }
        .run(sources),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let Err(error) = walk() {
                tasks.fail(error);
            }
        });
        for _ in 0..threads {
            let (worker, reader) = (worker.clone(), reader());
            scope.spawn(move || worker.run(reader, compression));
        }
        drop(worker);
        take(frames)
    })
}

/// One more than there are processors: one of them waits for the disk most of the time.
fn threads(options: &CaptureOptions) -> usize {
    let processors = std::thread::available_parallelism().map_or(2, NonZero::get);
    let chosen = if options.threads == 0 {
        processors + 1
    } else {
        options.threads
    };
    chosen.clamp(1, MAX_THREADS)
}

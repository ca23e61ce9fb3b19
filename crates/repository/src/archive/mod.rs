//! Archives: one object per run that standard tools read.
//!
//! ```text
//!  sources, or a snapshot ─▶ tar ─▶ zstd | gzip | nothing ─▶ age | OpenPGP | nothing ─▶ one object, or numbered parts ─▶ store
//! ```
//!
//! `tar`, `zstd`, `gzip`, `age` and `gpg` are enough to get everything back: `age -d FILE | zstd -d | tar -x`. Beside each archive
//! stands a small [`Manifest`], which is written last: what has none is an upload that was interrupted, is never listed, and is
//! removed by [`clean()`].
//!
//! - Everything is streamed: nothing is staged on disk, memory does not grow with the archive (but for 12 bytes for each frame of
//!   4 MiB, and the names of files with several hard links whose other names are still to come).
//! - The tar stream is cut into frames that are compressed side by side. A zstd archive ends with a seek table and carries an index of its
//!   entries, both in frames that decompressors skip: listing it, or reading one file, takes a few reads of parts of it,
//!   also through age. Other archives are read from the beginning.
//! - Entries are those of POSIX tar with PAX records: times to the nanosecond, extended attributes and ACLs (`SCHILY.xattr.*`), holes
//!   (`GNU.sparse` 1.0), hard links, devices, any bytes as names. A database's dump, whose size is not known when its header is
//!   written, is kept in memory up to 32 MiB; a longer one becomes the members `NAME.part000001`, `NAME.part000002` and so on, which
//!   `cat` joins, and which Mainstay shows and restores as one file.
//! - A file that changes, grows or shrinks while it is read is reported; as many bytes follow its header as it says. One that vanishes is
//!   reported and left out.

mod acl;
mod capture;
mod clean;
mod compression;
mod encryption;
mod entry;
mod failure;
mod forget;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod header;
mod index;
mod latest;
mod manifest;
mod marker;
mod name;
mod purge;
mod reader;
mod seekable;
mod sparse;
mod writer;

pub use capture::{CaptureOptions, Contents, FromSnapshot, MakeLast, Source, StoredItem};
pub use clean::{CleanOptions, clean};
pub use compression::{Compression, GzipLevel, ZstdLevel};
pub use encryption::{AgeRecipients, Encryption, Identity, Keys, OpenPgpKeys, Passphrase};
pub use entry::{Entry, EntryKind};
pub use forget::{ForgetPlan, Forgotten, forget, plan_forget, plan_forget_named};
pub use latest::{LATEST, Latest, latest_name};
pub use manifest::{Counts, Manifest, Part, StoredCompression, StoredEncryption};
pub use name::NameTemplate;
pub use purge::{
    Fate, PurgeOptions, PurgePlan, PurgeReport, PurgedArchive, UntouchedArchive, execute as purge, plan as plan_purge,
};
pub use reader::{
    Archive, CheckOptions, CheckReport, Content, Overwrite, RestoreOptions, RestoreReport, check, full_name, list,
};
pub use writer::{CopyOptions, NewArchive, WriteOptions, copy, write};

use crate::Result;
use storage::{ErrorKind, ObjectInfo, Store};

/// What the record `comment` of a stream's piece begins with; its number follows.
const PART_COMMENT: &str = "mainstay stream part ";

/// What is stored below a directory; nothing if that is not there yet.
fn list_objects(store: &dyn Store, prefix: &str) -> Result<Vec<ObjectInfo>> {
    match store.list(prefix) {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        listed => Ok(listed?),
    }
}

//! Objects in, objects out.
//!
//! A [`Store`] holds immutable objects under slash-separated names. It knows nothing of backups, packs or keys;
//! everything that is true of one backend only stays in that backend's file. Callers use the one function
//! [`open()`], which stacks the wrappers (retry, bandwidth limit, concurrency limit) around a backend in one visible
//! place.

#[cfg(feature = "s3")]
mod azblob;
#[cfg(feature = "s3")]
mod b2;
mod bandwidth;
mod bucket_options;
mod clock;
mod concurrency;
#[cfg(feature = "s3")]
mod dropbox;
mod end_with_us;
mod error;
#[cfg(feature = "s3")]
mod gcs;
mod http_options;
mod inspect;
mod local;
mod location;
mod memory;
mod name;
mod open;
mod options;
#[cfg(feature = "s3")]
mod range;
#[cfg(feature = "rclone")]
mod rclone;
mod rclone_location;
mod rclone_options;
#[cfg(feature = "s3")]
mod remote;
#[cfg(feature = "s3")]
mod rest;
mod retry;
#[cfg(any(feature = "rclone", feature = "s3", feature = "sftp"))]
mod runtime;
#[cfg(feature = "s3")]
mod s3;
mod s3_options;
mod secret;
#[cfg(feature = "sftp")]
mod sftp;
mod sftp_location;
mod sftp_options;
mod temporary;
mod web_options;
#[cfg(feature = "s3")]
mod webdav;
#[cfg(feature = "s3")]
mod whole;

pub use bucket_options::{AzblobOptions, B2Options, DropboxOptions, GcsOptions};
pub use clock::Sleep;
pub use end_with_us::spawn_ending_with_us;
pub use error::{Error, ErrorKind, Result};
pub use http_options::HttpOptions;
pub use inspect::{Hold, Inspect, ObjectLock, Versioning};
pub use local::LocalStore;
pub use location::{BucketLocation, Location, S3Location, WebLocation};
pub use memory::MemoryStore;
pub use open::{open, wrap};
pub use options::{OnRetry, Options, RetryOptions};
pub use rclone_location::RcloneLocation;
pub use rclone_options::RcloneOptions;
#[cfg(feature = "s3")]
pub use remote::transport::client_builder;
pub use s3_options::{Addressing, S3Options};
pub use secret::Secret;
pub use sftp_location::SftpLocation;
pub use sftp_options::SftpOptions;
pub use web_options::{Login, RestOptions, WebdavOptions};

use bytes::Bytes;
use std::fmt::Debug;
use std::ops::Range;

/// One object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Full name from the root of the store, for example `data/3f/3f9a…`.
    pub name: String,
    /// Stored length in bytes.
    pub size: u64,
}

/// A place that holds objects.
///
/// The contract, which the conformance suite in `testkit` runs against every backend:
///
/// * **Names** are relative, slash-separated, made of ASCII letters, digits and `-_.`; no part is empty, `.` or `..`.
///   A name that is anything else is refused with [`ErrorKind::InvalidName`] before anything is touched.
/// * **Writes are atomic.** After [`write`](Store::write) returned `Ok`, the whole object survives a crash of this
///   program and, on a local disk, a power failure. Before that, or after an error, a reader sees either no object, or
///   the whole object, never a part of it. Writing a name that exists replaces the object in the same atomic way;
///   callers name objects by their content, so that this is a repetition and not a loss. WebDAV cannot replace: there, while an
///   object is replaced by another one, a reader may see none, or wrong bytes of it.
/// * **Listing** reports every object whose write has completed before the call began and that was not deleted since,
///   in no particular order, without temporary files of writes under way. A prefix names whole parts: `data` lists `data/…`, not
///   `database/…`; the empty prefix lists everything. A prefix under which nothing is stored lists nothing: it is no error.
/// * **Missing objects** are [`ErrorKind::NotFound`] from `stat`, `read` and `read_range`. Deleting a missing object is `Ok`: a
///   repeated delete must not fail. What the store itself protects for a time is [`ErrorKind::Held`], which no credentials change.
/// * **Ranges** that end behind the end of the object are an error of kind [`ErrorKind::Truncated`], not a short answer.
/// * Calls block. Every method may be called from many threads at once.
pub trait Store: Send + Sync + Debug {
    /// Where this is, for messages: scheme, host and path, never a secret.
    fn location(&self) -> String;

    /// Every object under `prefix`, with its size.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>>;

    /// The size of one object in bytes.
    fn stat(&self, name: &str) -> Result<u64>;

    /// A whole object.
    fn read(&self, name: &str) -> Result<Bytes>;

    /// The bytes `range.start..range.end` of an object; exactly that many, or an error.
    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes>;

    /// Store an object, atomically and durably.
    fn write(&self, name: &str, content: Bytes) -> Result<()>;

    /// As [`write`](Store::write), of a content that lies in several pieces.
    fn write_pieces(&self, name: &str, pieces: &[Bytes]) -> Result<()> {
        self.write(name, pieces.concat().into())
    }

    /// Whether [`write_pieces`](Store::write_pieces) takes the pieces where they lie, and not a copy of them all.
    fn gathers(&self) -> bool {
        false
    }

    /// Begin an object whose size is not known yet. Nothing is visible before [`ObjectWriter::finish`].
    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>>;

    /// Remove an object; it is no error if there is none.
    fn delete(&self, name: &str) -> Result<()>;

    /// How many calls this store works on well at the same time.
    fn concurrency(&self) -> usize;

    /// How much a [`writer`](Store::writer) of this store takes, in bytes, where that is bounded: a store that takes each object in
    /// one request holds all of it in memory until then. Who has more to write cuts it into several objects.
    fn max_stream_bytes(&self) -> Option<u64> {
        None
    }

    /// Let `name` be a symbolic link to the object `target`, atomically, in place of another link; whether this store has links. A link is no
    /// object: it is not listed, and not read. [`delete`](Store::delete) removes it, and not what it leads to.
    fn set_link(&self, _name: &str, _target: &str) -> Result<bool> {
        Ok(false)
    }

    /// The object that the link `name` leads to; nothing if there is no such link, or if it leads elsewhere.
    fn link_target(&self, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// What this store can be asked about itself, if it is of a kind that answers. These questions pass by limits and retries.
    fn inspect(&self) -> Option<&dyn Inspect> {
        None
    }
}

/// An object being written piece by piece (to S3: a multipart upload with parts of equal size).
///
/// Dropping it without [`finish`](ObjectWriter::finish) abandons the object and removes what was sent.
pub trait ObjectWriter: Send {
    /// Append `content`.
    fn write(&mut self, content: Bytes) -> Result<()>;

    /// Make the object visible under its name, whole and durable; returns its size in bytes.
    fn finish(self: Box<Self>) -> Result<u64>;
}

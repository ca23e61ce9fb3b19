//! The one function that puts a store together.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::bandwidth::BandwidthLimit;
use crate::concurrency::ConcurrencyLimit;
use crate::local::LocalStore;
use crate::memory::MemoryStore;
#[cfg(feature = "rclone")]
use crate::rclone::RcloneStore;
use crate::retry::{Retry, RetryStore};
#[cfg(feature = "sftp")]
use crate::sftp::SftpStore;
#[cfg(not(all(feature = "rclone", feature = "s3", feature = "sftp")))]
use crate::{Error, ErrorKind};
use crate::{Location, Options, Result, Store};
#[cfg(feature = "s3")]
use crate::{azblob, b2, dropbox, gcs, rest, s3, webdav};

/// The store at `location`, inside the wrappers that `options` ask for.
///
/// Nothing is read or written yet, so that a store which is not there is found by the first call.
///
/// The calls of the store block, and must not be made on a thread that runs asynchronous code.
pub fn open(location: &Location, options: &Options) -> Result<Arc<dyn Store>> {
    let backend: Arc<dyn Store> = match location {
        Location::Local(path) => Arc::new(LocalStore::new(path)),
        Location::Memory(name) => Arc::new(MemoryStore::named(name)),
        #[cfg(feature = "s3")]
        Location::S3(bucket) => Arc::new(s3::open(bucket, options)?),
        #[cfg(feature = "sftp")]
        Location::Sftp(server) => Arc::new(SftpStore::new(server, &options.sftp)?),
        #[cfg(not(feature = "sftp"))]
        Location::Sftp(_) => {
            return Err(Error::new(ErrorKind::Misconfigured, "open", "", location.to_string())
                .because("this program was built without SFTP"));
        }
        #[cfg(feature = "rclone")]
        Location::Rclone(remote) => Arc::new(RcloneStore::new(remote, &options.rclone)?),
        #[cfg(not(feature = "rclone"))]
        Location::Rclone(_) => {
            return Err(Error::new(ErrorKind::Misconfigured, "open", "", location.to_string())
                .because("this program was built without rclone"));
        }
        #[cfg(feature = "s3")]
        Location::Webdav(folder) => Arc::new(webdav::open(folder, options)?),
        #[cfg(feature = "s3")]
        Location::Rest(repository) => Arc::new(rest::open(repository, options)?),
        #[cfg(feature = "s3")]
        Location::Azblob(container) => Arc::new(azblob::open(container, options)?),
        #[cfg(feature = "s3")]
        Location::Gcs(bucket) => Arc::new(gcs::open(bucket, options)?),
        #[cfg(feature = "s3")]
        Location::B2(bucket) => Arc::new(b2::open(bucket, options)?),
        #[cfg(feature = "s3")]
        Location::Dropbox(folder) => Arc::new(dropbox::open(folder, options)?),
        #[cfg(not(feature = "s3"))]
        other => {
            return Err(Error::new(ErrorKind::Misconfigured, "open", "", other.to_string())
                .because("this program was built without stores of this kind"));
        }
    };
    Ok(wrap(backend, options))
}

/// `backend` inside the wrappers that `options` ask for.
///
/// The order matters. A try has its own limit of time (inside the backend, for each request), so retries are around
/// that. A call keeps its turn while it waits for another try: a store in trouble is not sent more calls instead. And
/// bytes are paid for once, however often they were sent.
pub fn wrap(backend: Arc<dyn Store>, options: &Options) -> Arc<dyn Store> {
    let connections = options.connections.map_or(backend.concurrency(), NonZeroUsize::get);
    let store = RetryStore::wrap(backend, Retry::new(options));
    let store = ConcurrencyLimit::wrap(store, connections);
    BandwidthLimit::wrap(store, options)
}

//! How a store is used: limits, patience, and what S3 needs to know.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::clock::Sleep;
use crate::{
    AzblobOptions, B2Options, DropboxOptions, Error, GcsOptions, HttpOptions, RcloneOptions, RestOptions, S3Options,
    SftpOptions, WebdavOptions,
};

/// Called before each wait for another try, with the error, the number of the try that failed (from 1), and the wait.
pub type OnRetry = Arc<dyn Fn(&Error, u32, Duration) + Send + Sync>;

/// How [`open`](crate::open()) sets up a store. The default is right for most.
#[derive(Clone, Default)]
pub struct Options {
    /// The most calls at the same time; without it, what the backend works on well.
    pub connections: Option<NonZeroUsize>,
    /// The most bytes per second to send, counted over all threads.
    pub upload_bytes_per_second: Option<NonZeroU64>,
    /// The most bytes per second to receive, counted over all threads.
    pub download_bytes_per_second: Option<NonZeroU64>,
    /// How often and how long to try again after a failure that may pass.
    pub retry: RetryOptions,
    /// Told of every failure that is tried again.
    pub on_retry: Option<OnRetry>,
    /// One of them is raised by the caller to give up: waits end at once, and the error that led to them is returned.
    pub cancel: Vec<Arc<AtomicBool>>,
    /// Replaces sleeping, for tests.
    pub sleep: Option<Sleep>,
    /// What concerns every store that is reached over HTTP.
    pub http: HttpOptions,
    /// What concerns S3 only.
    pub s3: S3Options,
    /// What concerns SFTP only.
    pub sftp: SftpOptions,
    /// What concerns rclone only.
    pub rclone: RcloneOptions,
    /// What concerns WebDAV only.
    pub webdav: WebdavOptions,
    /// What concerns servers for restic's REST protocol only.
    pub rest: RestOptions,
    /// What concerns Azure Blob Storage only.
    pub azblob: AzblobOptions,
    /// What concerns Google Cloud Storage only.
    pub gcs: GcsOptions,
    /// What concerns Backblaze B2 only.
    pub b2: B2Options,
    /// What concerns Dropbox only.
    pub dropbox: DropboxOptions,
}

/// When to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// Tries in all, the first one included; 1 or 0 turns retries off.
    pub tries: u32,
    /// No further try begins when the calls and waits of one operation have taken this long.
    pub total: Duration,
    /// The longest wait after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait ever.
    pub longest_wait: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            tries: 10,
            total: Duration::from_secs(15 * 60),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connections", &self.connections)
            .field("upload_bytes_per_second", &self.upload_bytes_per_second)
            .field("download_bytes_per_second", &self.download_bytes_per_second)
            .field("retry", &self.retry)
            .field("http", &self.http)
            .field("s3", &self.s3)
            .field("sftp", &self.sftp)
            .field("rclone", &self.rclone)
            .field("webdav", &self.webdav)
            .field("rest", &self.rest)
            .field("azblob", &self.azblob)
            .field("gcs", &self.gcs)
            .field("b2", &self.b2)
            .field("dropbox", &self.dropbox)
            .finish_non_exhaustive()
    }
}

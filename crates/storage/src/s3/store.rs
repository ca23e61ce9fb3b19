//! Objects in a bucket, and why some of them cannot be deleted.

use std::ops::Range;

use bytes::Bytes;

use super::bucket::Bucket;
use crate::name::check_name;
use crate::remote::RemoteStore;
use crate::{Error, ErrorKind, Hold, Inspect, ObjectInfo, ObjectLock, ObjectWriter, Result, Store, Versioning, clock};

/// What OpenDAL does with a bucket, and what has to be asked beside it.
#[derive(Clone)]
pub(crate) struct S3Store {
    pub(crate) remote: RemoteStore,
    pub(super) bucket: Bucket,
}

impl S3Store {
    /// Ask for something until it is answered or refused.
    fn ask<T>(&self, question: impl AsyncFn(&Bucket) -> Result<T>) -> Result<T> {
        let ask = || self.remote.runtime.block_on(question(&self.bucket));
        self.remote.retry.run(ask)
    }

    fn hold(&self, name: &str) -> Result<Option<Hold>> {
        self.ask(async |bucket: &Bucket| bucket.held(name, clock::now()).await)
    }

    /// Tell a deletion that nobody may make yet from one that these credentials may not make: many stores answer the same to both.
    fn explain(&self, name: &str, refused: Error) -> Error {
        if !matches!(
            refused.kind,
            ErrorKind::Held | ErrorKind::PermissionDenied | ErrorKind::Other
        ) {
            return refused;
        }
        match self.hold(name) {
            Ok(Some(hold)) => refused.held(hold),
            Ok(None) | Err(_) => refused,
        }
    }
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.remote.fmt(f)
    }
}

impl Store for S3Store {
    fn location(&self) -> String {
        self.remote.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.remote.list(prefix)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.remote.stat(name)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.remote.read(name)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.remote.read_range(name, range)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.remote.write(name, content)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.remote.writer(name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.remote.delete(name).map_err(|error| self.explain(name, error))
    }

    fn concurrency(&self) -> usize {
        self.remote.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.remote.max_stream_bytes()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
    }
}

impl Inspect for S3Store {
    fn clock_ahead_seconds(&self) -> Option<i64> {
        self.remote.clock_ahead_seconds()
    }

    fn create(&self, name: &str, content: Bytes) -> Option<Result<bool>> {
        self.remote.create(name, content)
    }

    fn versioning(&self) -> Option<Result<Versioning>> {
        Some(self.ask(async |bucket: &Bucket| bucket.versioning().await))
    }

    fn object_lock(&self) -> Option<Result<ObjectLock>> {
        Some(self.ask(async |bucket: &Bucket| bucket.object_lock().await))
    }

    fn try_deletion(&self, name: &str) -> Option<Result<()>> {
        let tried = check_name("delete", name, self.remote.tell.location());
        Some(tried.and_then(|()| self.ask(async |bucket: &Bucket| bucket.try_deletion(name).await)))
    }

    fn held(&self, name: &str) -> Option<Result<Option<Hold>>> {
        Some(self.hold(name))
    }
}

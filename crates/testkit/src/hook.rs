//! A store that lets a test do something before a call.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use storage::{Inspect, ObjectInfo, ObjectWriter, Result, Store};

use crate::recording::Operation;

/// Called with the operation and the object's name, or the prefix of a listing, before the call is passed on; it may take its time.
type Hook = dyn Fn(Operation, &str) + Send + Sync;

/// Passes everything on, when the hook has returned. Calls of writers are not announced.
pub struct HookedStore {
    inner: Arc<dyn Store>,
    hook: Box<Hook>,
}

impl HookedStore {
    /// Call `hook` before each call of `inner`.
    pub fn new(inner: Arc<dyn Store>, hook: impl Fn(Operation, &str) + Send + Sync + 'static) -> Self {
        Self {
            inner,
            hook: Box::new(hook),
        }
    }
}

impl std::fmt::Debug for HookedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HookedStore({:?})", self.inner)
    }
}

impl Store for HookedStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        (self.hook)(Operation::List, prefix);
        self.inner.list(prefix)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        (self.hook)(Operation::Stat, name);
        self.inner.stat(name)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        (self.hook)(Operation::Read, name);
        self.inner.read(name)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        (self.hook)(Operation::ReadRange, name);
        self.inner.read_range(name, range)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        (self.hook)(Operation::Write, name);
        self.inner.write(name, content)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        (self.hook)(Operation::BeginWriter, name);
        self.inner.writer(name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        (self.hook)(Operation::Delete, name);
        self.inner.delete(name)
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        (self.hook)(Operation::Write, name);
        self.inner.set_link(name, target)
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        (self.hook)(Operation::Read, name);
        self.inner.link_target(name)
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

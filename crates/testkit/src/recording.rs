//! A store that remembers what it was asked for.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::{Inspect, ObjectInfo, ObjectWriter, Result, Store};

/// A call of a store or of one of its writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// [`Store::list`].
    List,
    /// [`Store::stat`].
    Stat,
    /// [`Store::read`].
    Read,
    /// [`Store::read_range`].
    ReadRange,
    /// [`Store::write`].
    Write,
    /// [`Store::writer`].
    BeginWriter,
    /// [`ObjectWriter::write`].
    WriterWrite,
    /// [`ObjectWriter::finish`].
    WriterFinish,
    /// [`Store::delete`].
    Delete,
}

impl Operation {
    /// Whether the call can change what the store holds.
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::WriterFinish | Self::Delete)
    }
}

/// One call that was made, failed ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub operation: Operation,
    /// The object's name, or the prefix of a listing.
    pub name: String,
    /// Content in bytes that was sent or received; 0 if the call failed.
    pub bytes: u64,
}

/// Counts of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Number of calls.
    pub calls: usize,
    /// Content in bytes that was sent or received.
    pub bytes: u64,
}

/// Passes everything on and keeps the list of calls. Clones share the list.
#[derive(Clone, Debug)]
pub struct RecordingStore {
    inner: Arc<dyn Store>,
    log: Log,
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Call>>>);

impl Log {
    fn note<T>(
        &self,
        operation: Operation,
        name: &str,
        answer: Result<T>,
        size: impl FnOnce(&T) -> usize,
    ) -> Result<T> {
        let bytes = answer.as_ref().map_or(0, |value| size(value) as u64);
        self.0.lock().push(Call {
            operation,
            name: name.to_owned(),
            bytes,
        });
        answer
    }
}

impl RecordingStore {
    /// Record what is asked of `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            log: Log::default(),
        }
    }

    /// All calls so far, in the order in which they ended.
    pub fn calls(&self) -> Vec<Call> {
        self.log.0.lock().clone()
    }

    /// Number and bytes of the calls of one kind.
    pub fn count(&self, operation: Operation) -> Count {
        let calls = self.log.0.lock();
        let matching = calls.iter().filter(|call| call.operation == operation);
        matching.fold(Count::default(), |sum, call| Count {
            calls: sum.calls + 1,
            bytes: sum.bytes + call.bytes,
        })
    }

    /// Names of the objects that calls of one kind were about, in order.
    pub fn names(&self, operation: Operation) -> Vec<String> {
        let calls = self.log.0.lock();
        calls
            .iter()
            .filter(|call| call.operation == operation)
            .map(|call| call.name.clone())
            .collect()
    }

    /// Forget the calls so far.
    pub fn clear(&self) {
        self.log.0.lock().clear();
    }
}

impl Store for RecordingStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.log.note(Operation::List, prefix, self.inner.list(prefix), |_| 0)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.log.note(Operation::Stat, name, self.inner.stat(name), |_| 0)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.log.note(Operation::Read, name, self.inner.read(name), Bytes::len)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.log.note(
            Operation::ReadRange,
            name,
            self.inner.read_range(name, range),
            Bytes::len,
        )
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        let size = content.len();
        self.log
            .note(Operation::Write, name, self.inner.write(name, content), |()| size)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        let inner = self
            .log
            .note(Operation::BeginWriter, name, self.inner.writer(name), |_| 0)?;
        Ok(Box::new(RecordingWriter {
            inner,
            name: name.to_owned(),
            log: self.log.clone(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.log.note(Operation::Delete, name, self.inner.delete(name), |()| 0)
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        self.log
            .note(Operation::Write, name, self.inner.set_link(name, target), |_| 0)
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        self.log
            .note(Operation::Read, name, self.inner.link_target(name), |_| 0)
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

struct RecordingWriter {
    inner: Box<dyn ObjectWriter>,
    name: String,
    log: Log,
}

impl ObjectWriter for RecordingWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        let size = content.len();
        self.log
            .note(Operation::WriterWrite, &self.name, self.inner.write(content), |()| size)
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let Self { inner, name, log } = *self;
        log.note(Operation::WriterFinish, &name, inner.finish(), |_| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryStore;

    #[test]
    fn calls_and_bytes_are_counted() {
        let store = RecordingStore::new(Arc::new(MemoryStore::new()));
        store.write("a", Bytes::from_static(b"123")).unwrap();
        store.write("b", Bytes::from_static(b"4567")).unwrap();
        store.read_range("a", 0..2).unwrap();
        store.read("missing").unwrap_err();
        let mut writer = store.writer("c").unwrap();
        writer.write(Bytes::from_static(b"12345")).unwrap();
        writer.finish().unwrap();
        assert_eq!(store.count(Operation::Write), Count { calls: 2, bytes: 7 });
        assert_eq!(store.count(Operation::ReadRange), Count { calls: 1, bytes: 2 });
        assert_eq!(store.count(Operation::Read), Count { calls: 1, bytes: 0 });
        assert_eq!(store.count(Operation::WriterWrite), Count { calls: 1, bytes: 5 });
        assert_eq!(store.names(Operation::Write), ["a", "b"]);
        assert_eq!(store.calls().len(), 7);
    }
}

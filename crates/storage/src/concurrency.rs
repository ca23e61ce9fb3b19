//! A limit on how many calls a store sees at the same time.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{Inspect, ObjectInfo, ObjectWriter, Result, Store};

/// Lets at most a fixed number of calls through at once; the others wait their turn.
///
/// A streaming writer takes a turn for each of its calls, not for its whole life: otherwise one that waits for a read
/// of its own caller would block it for ever.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    inner: Arc<dyn Store>,
    gate: Arc<Gate>,
}

impl ConcurrencyLimit {
    pub(crate) fn wrap(inner: Arc<dyn Store>, most: usize) -> Arc<dyn Store> {
        Arc::new(Self {
            inner,
            gate: Arc::new(Gate::new(most)),
        })
    }
}

/// A counting semaphore.
#[derive(Debug)]
struct Gate {
    most: usize,
    inside: Mutex<usize>,
    left: Condvar,
}

impl Gate {
    fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            inside: Mutex::new(0),
            left: Condvar::new(),
        }
    }

    fn enter(&self) -> Turn<'_> {
        let mut inside = self.inside.lock();
        self.left.wait_while(&mut inside, |inside| *inside >= self.most);
        *inside += 1;
        Turn(self)
    }
}

/// The right to call, given back when it is dropped.
struct Turn<'a>(&'a Gate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.inside.lock() -= 1;
        self.0.left.notify_one();
    }
}

impl Store for ConcurrencyLimit {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let _turn = self.gate.enter();
        self.inner.list(prefix)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        let _turn = self.gate.enter();
        self.inner.stat(name)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        let _turn = self.gate.enter();
        self.inner.read(name)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let _turn = self.gate.enter();
        self.inner.read_range(name, range)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        let _turn = self.gate.enter();
        self.inner.write(name, content)
    }

    fn write_pieces(&self, name: &str, pieces: &[Bytes]) -> Result<()> {
        let _turn = self.gate.enter();
        self.inner.write_pieces(name, pieces)
    }

    fn gathers(&self) -> bool {
        self.inner.gathers()
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        let inner = {
            let _turn = self.gate.enter();
            self.inner.writer(name)?
        };
        Ok(Box::new(LimitedWriter {
            inner,
            gate: self.gate.clone(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let _turn = self.gate.enter();
        self.inner.delete(name)
    }

    fn concurrency(&self) -> usize {
        self.gate.most
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        let _turn = self.gate.enter();
        self.inner.set_link(name, target)
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        let _turn = self.gate.enter();
        self.inner.link_target(name)
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

struct LimitedWriter {
    inner: Box<dyn ObjectWriter>,
    gate: Arc<Gate>,
}

impl ObjectWriter for LimitedWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        let _turn = self.gate.enter();
        self.inner.write(content)
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let _turn = self.gate.enter();
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    /// Many threads hurry through a gate of three; none may find a fourth inside.
    #[test]
    fn no_more_than_allowed_are_inside() {
        let (gate, inside, most_seen) = (Gate::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Barrier::new(16);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..200 {
                        let _turn = gate.enter();
                        most_seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most_seen.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_writer_at_rest_takes_no_turn() {
        let store = ConcurrencyLimit::wrap(Arc::new(MemoryStore::new()), 1);
        let mut writer = store.writer("a").unwrap();
        writer.write(Bytes::from_static(b"1")).unwrap();
        store.write("b", Bytes::new()).unwrap();
        assert_eq!(writer.finish().unwrap(), 1);
        assert_eq!(store.concurrency(), 1);
    }
}

//! A store that fails on purpose.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::{Error, ErrorKind, Inspect, ObjectInfo, ObjectWriter, Result, Store};

use crate::recording::Operation;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has no effect and fails like this.
    Fail(ErrorKind),
    /// The call has its effect, but fails as [`ErrorKind::Unavailable`]: the connection broke before the answer.
    LoseAnswer,
    /// The call takes this much longer.
    Delay(Duration),
    /// Half is lost without a word: a write stores the first half, a read returns it, a listing shows half.
    Truncate,
    /// Reads return content with one bit changed; other calls are right.
    Corrupt,
    /// Nothing is done and success is claimed: a write stores nothing, a delete removes nothing, a listing is empty.
    Lie,
    /// The program dies before this call: it and all later ones have no effect and fail.
    CrashBefore,
    /// The program dies after this call: it has its effect, but it and all later ones fail.
    CrashAfter,
}

/// Wraps a store and fails as it is told. Clones share faults and counters.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    calls: u64,
    crashed: bool,
    rules: Vec<Rule>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("calls", &self.calls)
            .field("crashed", &self.crashed)
            .finish_non_exhaustive()
    }
}

type Predicate = Box<dyn Fn(u64, Operation, &str) -> bool + Send>;

struct Rule {
    applies: Predicate,
    fault: Fault,
    times_left: u64,
}

/// How a call is carried out.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Right,
    Half,
    Corrupt,
    NotAtAll,
}

impl FaultyStore {
    /// A wrapper that passes everything on until a fault is planned.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// Plan `fault` for the call with this number. Calls of the store and its writers are counted together, from 1.
    pub fn at_call(&self, number: u64, fault: Fault) {
        self.add(Box::new(move |call, _, _| call == number), fault, 1);
    }

    /// Plan `fault` for every call that `applies` to.
    pub fn always(&self, applies: impl Fn(Operation, &str) -> bool + Send + 'static, fault: Fault) {
        self.times(u64::MAX, applies, fault);
    }

    /// Plan `fault` for the first `times` calls that `applies` to.
    pub fn times(&self, times: u64, applies: impl Fn(Operation, &str) -> bool + Send + 'static, fault: Fault) {
        self.add(
            Box::new(move |_, operation, name| applies(operation, name)),
            fault,
            times,
        );
    }

    /// Kill the program before the call with this number takes effect.
    pub fn crash_before_call(&self, number: u64) {
        self.at_call(number, Fault::CrashBefore);
    }

    /// Kill the program when the call with this number has taken effect.
    pub fn crash_after_call(&self, number: u64) {
        self.at_call(number, Fault::CrashAfter);
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.plan.lock().calls
    }

    /// Whether the program was killed by now.
    pub fn has_crashed(&self) -> bool {
        self.plan.lock().crashed
    }

    /// Forget all faults, start the program again, and count from 1.
    pub fn heal(&self) {
        *self.plan.lock() = Plan::default();
    }

    fn add(&self, applies: Predicate, fault: Fault, times: u64) {
        self.plan.lock().rules.push(Rule {
            applies,
            fault,
            times_left: times,
        });
    }

    fn error(&self, kind: ErrorKind, operation: Operation, name: &str) -> Error {
        let verb = match operation {
            Operation::List => "list",
            Operation::Stat => "stat",
            Operation::Read | Operation::ReadRange => "read",
            Operation::Delete => "delete",
            _ => "write",
        };
        Error::new(kind, verb, name, self.inner.location()).because("this fault is part of a test")
    }

    /// Count the call, and carry it out as the plan says.
    fn run<T>(&self, operation: Operation, name: &str, call: impl FnOnce(How) -> Result<T>) -> Result<T> {
        // The lock is not held during the call: a delay must not stop the other threads.
        let fault = self.plan.lock().next(operation, name);
        match fault {
            None => call(How::Right),
            Some(Fault::Fail(kind)) => Err(self.error(kind, operation, name)),
            Some(Fault::LoseAnswer) => {
                call(How::Right).and_then(|_| Err(self.error(ErrorKind::Unavailable, operation, name)))
            }
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                call(How::Right)
            }
            Some(Fault::Truncate) => call(How::Half),
            Some(Fault::Corrupt) => call(How::Corrupt),
            Some(Fault::Lie) => call(How::NotAtAll),
            Some(Fault::CrashBefore) => Err(self.error(ErrorKind::Other, operation, name)),
            Some(Fault::CrashAfter) => {
                call(How::Right).and_then(|_| Err(self.error(ErrorKind::Other, operation, name)))
            }
        }
    }
}

impl Plan {
    fn next(&mut self, operation: Operation, name: &str) -> Option<Fault> {
        self.calls += 1;
        if self.crashed {
            return Some(Fault::CrashBefore);
        }
        let number = self.calls;
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.times_left > 0 && (rule.applies)(number, operation, name))?;
        rule.times_left -= 1;
        self.crashed = matches!(rule.fault, Fault::CrashBefore | Fault::CrashAfter);
        Some(rule.fault)
    }
}

/// What is left of a content.
fn spoil(content: Bytes, how: How) -> Bytes {
    match how {
        How::Half => content.slice(..content.len() / 2),
        How::Corrupt if !content.is_empty() => {
            let mut changed = content.to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            changed.into()
        }
        _ => content,
    }
}

impl Store for FaultyStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.run(Operation::List, prefix, |how| {
            let mut found = self.inner.list(prefix)?;
            match how {
                How::Half => found.truncate(found.len() / 2),
                How::NotAtAll => found.clear(),
                How::Right | How::Corrupt => {}
            }
            Ok(found)
        })
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.run(Operation::Stat, name, |_| self.inner.stat(name))
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.run(Operation::Read, name, |how| Ok(spoil(self.inner.read(name)?, how)))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.run(Operation::ReadRange, name, |how| {
            Ok(spoil(self.inner.read_range(name, range)?, how))
        })
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.run(Operation::Write, name, |how| match how {
            How::Right | How::Corrupt => self.inner.write(name, content),
            How::Half => self.inner.write(name, spoil(content, how)),
            How::NotAtAll => Ok(()),
        })
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        let inner = self.run(Operation::BeginWriter, name, |_| self.inner.writer(name))?;
        Ok(Box::new(FaultyWriter {
            inner,
            name: name.to_owned(),
            size: 0,
            store: self.clone(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.run(Operation::Delete, name, |how| {
            if how == How::NotAtAll {
                Ok(())
            } else {
                self.inner.delete(name)
            }
        })
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        self.run(Operation::Write, name, |how| match how {
            How::NotAtAll => Ok(true),
            How::Right | How::Half | How::Corrupt => self.inner.set_link(name, target),
        })
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        self.run(Operation::Read, name, |_| self.inner.link_target(name))
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

struct FaultyWriter {
    inner: Box<dyn ObjectWriter>,
    name: String,
    size: u64,
    store: FaultyStore,
}

impl ObjectWriter for FaultyWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        let Self {
            inner,
            name,
            size,
            store,
        } = self;
        *size += content.len() as u64;
        store.run(Operation::WriterWrite, name, |how| match how {
            How::Right | How::Corrupt => inner.write(content),
            How::Half => inner.write(spoil(content, how)),
            How::NotAtAll => Ok(()),
        })
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let Self {
            inner,
            name,
            size,
            store,
        } = *self;
        let finish = |how| if how == How::NotAtAll { Ok(size) } else { inner.finish() };
        store.run(Operation::WriterFinish, &name, finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryStore;

    fn stores() -> (MemoryStore, FaultyStore) {
        let memory = MemoryStore::new();
        (memory.clone(), FaultyStore::new(Arc::new(memory)))
    }

    fn content() -> Bytes {
        Bytes::from_static(b"1234")
    }

    #[test]
    fn a_fault_hits_the_call_with_its_number() {
        let (memory, faulty) = stores();
        faulty.at_call(2, Fault::Fail(ErrorKind::Full));
        faulty.write("a", content()).unwrap();
        assert_eq!(faulty.write("b", content()).unwrap_err().kind, ErrorKind::Full);
        faulty.write("c", content()).unwrap();
        assert_eq!(memory.list("").unwrap().len(), 2);
        assert_eq!(faulty.calls(), 3);
    }

    #[test]
    fn answers_are_lost_after_the_fact_and_lies_are_believed() {
        let (memory, faulty) = stores();
        faulty.times(
            1,
            |operation, name| operation == Operation::Write && name == "a",
            Fault::LoseAnswer,
        );
        assert_eq!(faulty.write("a", content()).unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(memory.read("a").unwrap(), content());
        faulty.times(1, |operation, _| operation == Operation::Write, Fault::Lie);
        faulty.write("b", content()).unwrap();
        memory.read("b").unwrap_err();
        faulty.write("b", content()).unwrap();
        memory.read("b").unwrap();
    }

    #[test]
    fn damage_is_silent() {
        let (memory, faulty) = stores();
        faulty.always(|_, name| name == "half", Fault::Truncate);
        faulty.always(|_, name| name == "bad", Fault::Corrupt);
        faulty.write("half", content()).unwrap();
        assert_eq!(memory.read("half").unwrap(), "12");
        memory.write("bad", content()).unwrap();
        assert_eq!(faulty.read("bad").unwrap(), "1224");
        let mut writer = faulty.writer("half").unwrap();
        writer.write(content()).unwrap();
        assert_eq!(writer.finish().unwrap(), 2);
    }

    #[test]
    fn nothing_works_after_a_crash() {
        let (memory, faulty) = stores();
        faulty.crash_after_call(2);
        faulty.write("a", content()).unwrap();
        faulty.write("b", content()).unwrap_err();
        faulty.write("c", content()).unwrap_err();
        faulty.read("a").unwrap_err();
        assert!(faulty.has_crashed());
        assert_eq!(memory.list("").unwrap().len(), 2);
        faulty.heal();
        faulty.crash_before_call(1);
        faulty.delete("a").unwrap_err();
        assert_eq!(memory.list("").unwrap().len(), 2);
    }
}

//! The contract of a store, for stores that take the names of restic's layout only.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::{ObjectInfo, ObjectWriter, Result, Store};

/// Gives each object a name of restic's layout, and remembers whose it is. Names that no store takes are handed on as they are.
#[derive(Debug)]
pub struct ResticNames {
    inner: Arc<dyn Store>,
    names: Mutex<HashMap<String, String>>,
}

impl ResticNames {
    /// Around an empty store.
    pub fn wrap(inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self {
            inner,
            names: Mutex::default(),
        })
    }

    fn inner_name(&self, name: &str) -> String {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_valid = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(valid);
        if !name.split('/').all(is_valid) {
            return name.to_owned();
        }
        let mut random = fastrand::Rng::with_seed(name.bytes().fold(7, |hash: u64, byte| {
            hash.wrapping_mul(0x100_0000_01b3).wrapping_add(u64::from(byte))
        }));
        let id: String = (0..64).map(|_| random.digit(16)).collect();
        let inner = format!("data/{}/{id}", &id[..2]);
        let before = self.names.lock().insert(inner.clone(), name.to_owned());
        assert!(before.is_none_or(|before| before == name), "two names have one id");
        inner
    }
}

impl Store for ResticNames {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        if self.inner_name(prefix) == prefix && !prefix.is_empty() {
            return self.inner.list(prefix);
        }
        let listed = self.inner.list("data")?;
        let names = self.names.lock();
        let outer = listed.into_iter().map(|object| ObjectInfo {
            name: names[&object.name].clone(),
            size: object.size,
        });
        let is_under = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        Ok(outer
            .filter(|object| prefix.is_empty() || is_under(&object.name))
            .collect())
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.inner.stat(&self.inner_name(name))
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.inner.read(&self.inner_name(name))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.inner.read_range(&self.inner_name(name), range)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.inner.write(&self.inner_name(name), content)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.inner.writer(&self.inner_name(name))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(&self.inner_name(name))
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }
}

//! A store in memory: for tests, and for `memory:NAME` addresses.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use crate::name::{check_name, check_prefix, is_under};
use crate::{Error, ErrorKind, ObjectInfo, ObjectWriter, Result, Store};

/// Objects in memory. Clones share their content, as two processes share a bucket.
#[derive(Clone, Default)]
pub struct MemoryStore {
    name: String,
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryStore {
    /// A new, empty store that nobody else sees, unless it is cloned.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one store of this process that is called `name`; empty when it is first asked for.
    pub fn named(name: &str) -> Self {
        static STORES: OnceLock<Mutex<HashMap<String, MemoryStore>>> = OnceLock::new();
        let mut stores = STORES.get_or_init(Mutex::default).lock();
        stores
            .entry(name.to_owned())
            .or_insert_with(|| Self {
                name: name.to_owned(),
                ..Self::default()
            })
            .clone()
    }

    fn get(&self, operation: &'static str, name: &str) -> Result<Bytes> {
        check_name(operation, name, &self.location())?;
        let found = self.objects.lock().get(name).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, name, self.location()))
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn location(&self) -> String {
        format!("memory:{}", self.name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix, &self.location())?;
        let objects = self.objects.lock();
        let under = objects.iter().filter(|(name, _)| is_under(name, prefix));
        Ok(under
            .map(|(name, content)| ObjectInfo {
                name: name.clone(),
                size: content.len() as u64,
            })
            .collect())
    }

    fn stat(&self, name: &str) -> Result<u64> {
        Ok(self.get("stat", name)?.len() as u64)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.get("read", name)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let content = self.get("read", name)?;
        if range.start > range.end || range.end > content.len() as u64 {
            return Err(Error::new(ErrorKind::Truncated, "read", name, self.location()));
        }
        Ok(content.slice(range.start as usize..range.end as usize))
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        check_name("write", name, &self.location())?;
        self.objects.lock().insert(name.to_owned(), content);
        Ok(())
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        check_name("write", name, &self.location())?;
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            name: name.to_owned(),
            content: BytesMut::new(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name("delete", name, &self.location())?;
        self.objects.lock().remove(name);
        Ok(())
    }

    fn concurrency(&self) -> usize {
        16
    }
}

struct MemoryWriter {
    store: MemoryStore,
    name: String,
    content: BytesMut,
}

impl ObjectWriter for MemoryWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        self.content.extend_from_slice(&content);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let size = self.content.len() as u64;
        self.store.write(&self.name, self.content.freeze())?;
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_store() {
        let name = "one-name-is-one-store";
        MemoryStore::named(name)
            .write("config", Bytes::from_static(b"1"))
            .unwrap();
        assert_eq!(MemoryStore::named(name).read("config").unwrap(), "1");
        assert!(MemoryStore::named("another").read("config").is_err());
        assert!(MemoryStore::new().read("config").is_err());
    }
}

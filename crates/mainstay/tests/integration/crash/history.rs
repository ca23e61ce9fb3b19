//! A repository with a history, to which things happen.

use crate::engine::*;
use crate::peer::*;
use repository::Id;
use repository::restic::repository::Repository;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{MemoryStore, Store as _};
use tempfile::TempDir;
use testkit::tree::content;

/// A repository in memory with snapshots `v1`, `v2` and `v3`, and a plain copy of what each holds; the source holds `v4`.
pub struct History {
    directory: TempDir,
    pub memory: MemoryStore,
    objects: Objects,
    /// Opened without faults and without a cache: sees the store as it is.
    pub sober: Repository,
}

impl History {
    pub fn new() -> Self {
        let memory = MemoryStore::new();
        let sober = init(Arc::new(memory.clone()));
        let mut history = Self {
            directory: scratch(),
            memory,
            objects: Vec::new(),
            sober,
        };
        for version in 1..=4 {
            history.change(version);
            if version < 4 {
                backup(&history.sober, &history.source(), &format!("v{version}")).unwrap();
            }
        }
        history.objects = stored(&history.memory);
        history
    }

    pub fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    pub fn copy_of(&self, tag: &str) -> PathBuf {
        self.directory.path().join(tag)
    }

    /// A third of the files changes with each version.
    pub fn change(&self, version: u64) {
        for n in 0..12_u64 {
            let path = self.source().join(format!("d{}/f{n}", n % 3));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if version == 1 || (n + version).is_multiple_of(3) {
                fs::write(path, content(n + 100 * version, 9_000 + 800 * n as usize)).unwrap();
            }
        }
        copy_tree(&self.source(), &self.copy_of(&format!("v{version}")));
    }

    pub fn reset(&self) {
        put_back(&self.memory, &self.objects);
    }

    /// Every snapshot listed restores, those of `tags` are listed, and nothing is damaged.
    pub fn verify(&self, tags: &[&str]) {
        let listed = snapshots(&self.sober);
        for one in &listed {
            assert_restores(&self.sober, one, &self.source(), &self.copy_of(&one.1.tags()[0]));
        }
        let is_listed = |tag: &&str| listed.iter().any(|(_, snapshot)| snapshot.tags()[0] == **tag);
        assert!(tags.iter().all(is_listed), "{tags:?}: {listed:?}");
        assert_healthy(&self.sober);
    }

    pub fn ids(&self, tag: &str) -> Vec<Id> {
        let has_tag = |snapshot: &repository::restic::snapshot::Snapshot| snapshot.tags()[0] == tag;
        snapshots(&self.sober)
            .into_iter()
            .filter(|(_, snapshot)| has_tag(snapshot))
            .map(|(id, _)| id)
            .collect()
    }
}

pub type Objects = Vec<(String, bytes::Bytes)>;

pub fn stored(memory: &MemoryStore) -> Objects {
    let read = |name: String| (name.clone(), memory.read(&name).unwrap());
    memory.list("").unwrap().into_iter().map(|one| read(one.name)).collect()
}

/// Leave exactly these objects.
pub fn put_back(memory: &MemoryStore, objects: &Objects) {
    delete_below(memory, "");
    objects
        .iter()
        .for_each(|(name, content)| memory.write(name, content.clone()).unwrap());
}

/// Those of a dead process would be taken over, but the process of the test lives.
pub fn remove_locks(memory: &MemoryStore) {
    delete_below(memory, "locks");
}

pub fn delete_below(memory: &MemoryStore, prefix: &str) {
    memory
        .list(prefix)
        .unwrap()
        .iter()
        .for_each(|one| memory.delete(&one.name).unwrap());
}

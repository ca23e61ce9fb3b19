//! Repositories made by restic.

use repository::restic::index::Index;
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::object::ObjectKind;
use repository::restic::pack::BlobKind;
use repository::restic::prune::{self, PruneOptions, PruneReport};
use repository::restic::repository::{OpenOptions, Repository};
use repository::restic::snapshot::Snapshot;
use repository::{Cancel, Id, Recorder, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use storage::{LocalStore, MemoryStore, Store};

pub const PASSWORD: &str = "correct horse";

/// A directory with a repository and a source.
pub struct Bench {
    pub directory: tempfile::TempDir,
}

impl Bench {
    /// A repository without snapshots, and an empty source.
    pub fn new() -> Self {
        let bench = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(bench.source()).unwrap();
        bench.restic(&["init", "--repository-version", "2"]);
        bench
    }

    /// Three snapshots; each changes some of the files of the one before, so that packs come to be used in part.
    pub fn with_history() -> Self {
        let bench = Self::new();
        for round in 0..3_u64 {
            bench.fill(round);
            bench.restic(&[
                "backup",
                bench.source().to_str().unwrap(),
                "--host",
                "h",
                "--tag",
                &format!("round{round}"),
            ]);
        }
        bench
    }

    /// Files whose content depends on `round`: a third of them changes each time.
    pub fn fill(&self, round: u64) {
        for n in 0..24_u64 {
            let seed = if n % 3 == 0 { n + 100 * round } else { n };
            let mut random = fastrand::Rng::with_seed(seed);
            let content: Vec<u8> = (0..20_000 + n * 1000).map(|_| random.u8(..)).collect();
            let directory = self.source().join(format!("d{}", n % 4));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(format!("f{n}")), content).unwrap();
        }
    }

    pub fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    pub fn location(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    pub fn open(&self) -> Repository {
        let store: Arc<dyn Store> = Arc::new(LocalStore::new(self.location()));
        Repository::open(store, PASSWORD.as_bytes(), &OpenOptions::default()).unwrap()
    }

    /// Run restic on the repository; its standard output.
    pub fn restic(&self, arguments: &[&str]) -> String {
        let (success, text) = self.try_restic(arguments);
        assert!(success, "restic {arguments:?}: {text}");
        text
    }

    pub fn try_restic(&self, arguments: &[&str]) -> (bool, String) {
        restic(&self.location(), arguments)
    }

    /// `restic check --read-data`, and a restore of each snapshot by restic; the hash of each by snapshot tree.
    pub fn restic_restores(&self) -> BTreeMap<String, String> {
        self.restic(&["check", "--read-data"]);
        let snapshots: serde_json::Value = serde_json::from_str(&self.restic(&["snapshots", "--json"])).unwrap();
        let mut restored = BTreeMap::new();
        for snapshot in snapshots.as_array().unwrap() {
            let target = tempfile::tempdir().unwrap();
            self.restic(&[
                "restore",
                snapshot["id"].as_str().unwrap(),
                "--target",
                target.path().to_str().unwrap(),
            ]);
            restored.insert(
                snapshot["tree"].as_str().unwrap().to_owned(),
                hash_directory(target.path()),
            );
        }
        restored
    }
}

#[expect(clippy::disallowed_methods, reason = "tests run restic as the oracle")]
pub fn restic(location: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("restic");
    command
        .arg("--no-cache")
        .arg("-r")
        .arg(location)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD);
    let output = command.output().unwrap();
    let text = if output.status.success() {
        &output.stdout
    } else {
        &output.stderr
    };
    (output.status.success(), String::from_utf8_lossy(text).into_owned())
}

fn hash_directory(directory: &Path) -> String {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let lines = files.iter().map(|path| {
        format!(
            "{} {}\n",
            path.strip_prefix(directory).unwrap().display(),
            Id::hash(&std::fs::read(path).unwrap())
        )
    });
    Id::hash(lines.collect::<String>().as_bytes()).to_hex()
}

/// A copy of a repository in memory, and a way back to its first state.
pub struct InMemory {
    pub memory: MemoryStore,
    objects: Vec<(String, bytes::Bytes)>,
}

impl InMemory {
    pub fn copy_of(bench: &Bench) -> Self {
        let local = LocalStore::new(bench.location());
        let names = local.list("").unwrap();
        let objects = names
            .into_iter()
            .map(|object| (object.name.clone(), local.read(&object.name).unwrap()))
            .collect();
        let copy = Self {
            memory: MemoryStore::new(),
            objects,
        };
        copy.reset();
        copy
    }

    pub fn reset(&self) {
        self.memory
            .list("")
            .unwrap()
            .iter()
            .for_each(|object| self.memory.delete(&object.name).unwrap());
        self.objects
            .iter()
            .for_each(|(name, content)| self.memory.write(name, content.clone()).unwrap());
    }

    /// A dead process leaves its lock; here the process lives, so that the lock does not count as stale.
    pub fn remove_locks(&self) {
        self.memory
            .list("locks")
            .unwrap_or_default()
            .iter()
            .for_each(|object| self.memory.delete(&object.name).unwrap());
    }

    pub fn write_to(&self, directory: &Path) {
        let local = LocalStore::new(directory);
        for object in self.memory.list("").unwrap() {
            local
                .write(&object.name, self.memory.read(&object.name).unwrap())
                .unwrap();
        }
    }
}

pub fn readable_snapshots(repository: &Repository) -> Vec<(Id, Snapshot)> {
    repository
        .snapshots()
        .unwrap()
        .into_iter()
        .map(|snapshot| snapshot.unwrap())
        .collect()
}

/// The content of every listed snapshot, read blob by blob: path and hash.
pub fn contents(repository: &Repository) -> BTreeMap<Id, Vec<(String, Id)>> {
    let snapshots = readable_snapshots(repository);
    let index = repository.load_index().unwrap();
    let content = |snapshot: &Snapshot| {
        let mut files = Vec::new();
        collect(repository, &index, &snapshot.tree, "", &mut files);
        files
    };
    snapshots
        .iter()
        .map(|(_, snapshot)| (snapshot.tree, content(snapshot)))
        .collect()
}

fn collect(repository: &Repository, index: &Index, tree: &Id, path: &str, files: &mut Vec<(String, Id)>) {
    for node in repository.read_tree(index, tree).unwrap().nodes {
        let path = format!("{path}/{}", node.name.display());
        if let Some(subtree) = node.subtree {
            collect(repository, index, &subtree, &path, files);
        }
        let mut content = Vec::new();
        node.blobs()
            .iter()
            .for_each(|blob| content.extend(repository.read_blob(index, BlobKind::Data, blob).unwrap()));
        files.push((path, Id::hash(&content)));
    }
}

/// A lock of those who add.
pub fn shared(repository: &Repository) -> Lock {
    Lock::acquire(
        repository,
        LockKind::Shared,
        &LockOptions::default(),
        &Recorder::default(),
    )
    .unwrap()
}

pub fn exclusive(repository: &Repository) -> Result<Lock> {
    Lock::acquire(
        repository,
        LockKind::Exclusive,
        &LockOptions::default(),
        &Recorder::default(),
    )
}

pub fn prune(repository: &Repository, options: &PruneOptions) -> Result<PruneReport> {
    let (lock, cancel, monitor) = (exclusive(repository)?, Cancel::default(), Recorder::default());
    let prepared = prune::prepare(repository, &lock, options, &cancel, &monitor)?;
    prune::execute(repository, &prepared, options, &lock, &cancel, &monitor)
}

pub fn everything_unused() -> PruneOptions {
    PruneOptions {
        max_unused: prune::MaxUnused::Bytes(0),
        ..PruneOptions::default()
    }
}

/// Remove the snapshots with this label.
pub fn forget_tag(repository: &Repository, tag: &str) {
    for (id, _) in readable_snapshots(repository)
        .iter()
        .filter(|(_, snapshot)| snapshot.tags().iter().any(|t| t == tag))
    {
        repository.delete(ObjectKind::Snapshot, id).unwrap();
    }
}

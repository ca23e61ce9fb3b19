//! A repository that stock restic writes, and what is needed to compare trees.

use super::{RestoreOptions, RestoreReport, restore};
use crate::restic::index::Index;
use crate::restic::repository::{OpenOptions, Repository};
use crate::restic::select::{Selected, SnapshotFilter, select};
use crate::{Cancel, Recorder, Result};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const PASSWORD: &str = "secret";

/// A repository that restic writes into.
pub struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(fixture.source()).unwrap();
        fixture.restic(&["init", "--repository-version", "2"]);
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    #[expect(clippy::disallowed_methods, reason = "the tests compare with other programs")]
    pub fn restic(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("restic")
            .args(["--no-cache", "-r"])
            .arg(self.path("repository"))
            .args(arguments)
            .env("RESTIC_PASSWORD", PASSWORD)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    pub fn backup(&self) {
        self.restic(&["backup", "-q", "source"]);
    }

    pub fn open(&self) -> (Repository, Index) {
        let store = Arc::new(storage::LocalStore::new(self.path("repository")));
        let repository = Repository::open(store, PASSWORD.as_bytes(), &OpenOptions::default()).unwrap();
        let index = repository.load_index().unwrap();
        (repository, index)
    }

    pub fn select(&self, repository: &Repository, text: &str) -> Selected {
        select(repository, text, &SnapshotFilter::default(), &Recorder::default()).unwrap()
    }

    pub fn options(&self) -> RestoreOptions {
        RestoreOptions::new(self.path("target"))
    }

    /// Restore the newest snapshot's `source` directory; its content comes into the target itself.
    pub fn restore_with(&self, options: &RestoreOptions) -> (Result<RestoreReport>, Vec<String>) {
        let (repository, index) = self.open();
        let monitor = Recorder::default();
        let selected = select(&repository, "latest:source", &SnapshotFilter::default(), &monitor).unwrap();
        let tree = selected.tree(&repository, &index).unwrap();
        let result = restore(&repository, &index, &tree, options, &Cancel::default(), &monitor);
        (result, monitor.problems.into_inner())
    }

    pub fn restore(&self) -> RestoreReport {
        let (report, problems) = self.restore_with(&self.options());
        assert_eq!(problems, [""; 0]);
        report.unwrap()
    }

    pub fn assert_restored(&self) {
        assert_same(&self.source(), &self.path("target"));
    }
}

/// Everything that a restore has to bring back of an entry.
pub fn describe(path: &Path) -> String {
    let metadata = path.symlink_metadata().unwrap();
    let content = if metadata.is_file() {
        crate::Id::hash(&std::fs::read(path).unwrap()).short()
    } else {
        std::fs::read_link(path).map_or_else(|_| String::new(), |target| target.display().to_string())
    };
    let mut attributes = crate::local::xattr::xattrs_of_path(path).unwrap();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    let links = if metadata.is_dir() { 0 } else { metadata.nlink() };
    let size = if metadata.is_dir() { 0 } else { metadata.size() };
    format!(
        "{:o} {}:{} {}.{} size {size} rdev {} links {links} {content} {attributes:?}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.rdev(),
    )
}

pub fn describe_all(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            all.insert(path.strip_prefix(root).unwrap().to_owned(), describe(&path));
            if path.symlink_metadata().unwrap().is_dir() {
                dirs.push(path);
            }
        }
    }
    all
}

pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (describe_all(a), describe_all(b));
    for (path, description) in &a {
        assert_eq!(Some(description), b.get(path), "{}", path.display());
    }
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
}

pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[expect(clippy::disallowed_methods, reason = "the tests compare with other programs")]
pub fn run(program: &str, arguments: &[&OsStr]) {
    assert!(
        Command::new(program).args(arguments).status().unwrap().success(),
        "{program} {arguments:?}"
    );
}

pub fn set_mtime(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(seconds, 123_456_789);
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// Something of every kind.
pub fn fill(source: &Path) {
    let at = |name: &str| source.join(name);
    std::fs::create_dir_all(at("deep/er/still")).unwrap();
    std::fs::write(at("deep/er/still/file"), "content").unwrap();
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("large"), noise(9 << 20, 1)).unwrap();
    std::fs::write(at("large again"), noise(9 << 20, 1)).unwrap();
    std::fs::write(source.join(OsStr::from_bytes(b"not \xff utf-8\n")), "x").unwrap();
    std::fs::write(at(&"n".repeat(255)), "long name").unwrap();
    let sparse = std::fs::File::create(at("sparse")).unwrap();
    sparse.write_all_at(b"data", 5 << 20).unwrap();
    sparse.set_len(20 << 20).unwrap();
    symlink("/nowhere/\u{e9}", at("link")).unwrap();
    std::fs::hard_link(at("deep/er/still/file"), at("hard link")).unwrap();
    std::fs::hard_link(at("large"), at("deep/hard link")).unwrap();
    for (name, kind) in [("pipe", "p"), ("device", "b")] {
        let numbers: &[&OsStr] = if kind == "b" {
            &[OsStr::new("7"), OsStr::new("99")]
        } else {
            &[]
        };
        run("mknod", &[&[at(name).as_os_str(), OsStr::new(kind)], numbers].concat());
    }
    run(
        "setfattr",
        &["-n", "user.note", "-v", "hello"]
            .map(OsStr::new)
            .into_iter()
            .chain([at("empty").as_os_str()])
            .collect::<Vec<_>>(),
    );
    run(
        "setfacl",
        &["-m", "u:7:rwx,d:u:8:rx"]
            .map(OsStr::new)
            .into_iter()
            .chain([at("deep").as_os_str()])
            .collect::<Vec<_>>(),
    );
    std::os::unix::fs::chown(at("empty"), Some(12), Some(34)).unwrap();
    std::fs::create_dir(at("locked")).unwrap();
    std::fs::write(at("locked/in"), "in").unwrap();
    run("chmod", &[OsStr::new("4755"), at("large again").as_os_str()]);
    run("chmod", &[OsStr::new("000"), at("locked/in").as_os_str()]);
    set_mtime(&at("empty"), 1_000_000_000);
    run("chmod", &[OsStr::new("1500"), at("locked").as_os_str()]);
    for dir in ["deep/er/still", "deep/er", "deep", "locked"] {
        set_mtime(&at(dir), 1_234_567_890);
    }
}

//! What is kept on this host to be faster. All of it can be deleted at any time, and nothing in it is believed
//! without a check against the repository.

use super::object::ObjectKind;
use crate::Id;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};

/// The directory of one repository within the cache directory.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
    /// Whether objects of the repository are kept, not only what is derived from them: for stores that are far away.
    keeps_objects: bool,
}

/// Marks a directory that backup programs leave out. Source: bford.info/cachedir.
const CACHE_DIRECTORY_TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Cache of Mainstay; can be deleted at any time.\n";

impl Cache {
    /// Open or create the cache of `repository` below `root`.
    pub fn open(root: &Path, repository: &Id, keeps_objects: bool) -> io::Result<Self> {
        let directory = root.join(repository.to_hex());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let tag = root.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(tag, CACHE_DIRECTORY_TAG)?;
        }
        Ok(Self {
            directory,
            keeps_objects,
        })
    }

    /// Where the index's side file lies.
    pub fn index_file(&self) -> PathBuf {
        self.directory.join("index")
    }

    /// Where the scan cache of a set of backup paths lies.
    pub fn scan_file(&self, key: &Id) -> PathBuf {
        self.directory.join(format!("scan-{}", key.short()))
    }

    fn object_path(&self, kind: ObjectKind, id: &Id) -> PathBuf {
        self.directory.join(kind.object_name(id))
    }

    /// A whole object as it is stored, if it is here and undamaged.
    pub fn read(&self, kind: ObjectKind, id: &Id) -> Option<Vec<u8>> {
        let stored = self
            .keeps_objects
            .then(|| fs::read(self.object_path(kind, id)).ok())??;
        (Id::hash(&stored) == *id).then_some(stored)
    }

    /// Part of an object, if it is here. The caller verifies what the part holds: blobs are authenticated one by one.
    pub fn read_range(&self, kind: ObjectKind, id: &Id, offset: u64, length: usize) -> Option<Vec<u8>> {
        let file = self
            .keeps_objects
            .then(|| File::open(self.object_path(kind, id)).ok())??;
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, offset).ok()?;
        Some(content)
    }

    /// Whether objects of the repository are kept here.
    pub fn keeps_objects(&self) -> bool {
        self.keeps_objects
    }

    /// Keep an object. A cache that cannot be written is no reason to fail.
    pub fn write(&self, kind: ObjectKind, id: &Id, stored: &[u8]) {
        if self.keeps_objects {
            let _: Option<()> = replace(&self.object_path(kind, id), stored).ok();
        }
    }

    /// Drop an object that is no longer in the repository, or not as it should be.
    pub fn remove(&self, kind: ObjectKind, id: &Id) {
        let _: Option<()> = fs::remove_file(self.object_path(kind, id)).ok();
    }

    /// Drop every kept object of a kind but those that `keep` names.
    pub fn retain(&self, kind: ObjectKind, keep: impl Fn(&Id) -> bool) {
        if !self.keeps_objects {
            return;
        }
        let mut directories = vec![self.directory.join(kind.directory())];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let name = entry.file_name();
                match name.to_str().and_then(|name| name.parse().ok()) {
                    Some(id) if !keep(&id) => self.remove(kind, &id),
                    None if entry.path().is_dir() => directories.push(entry.path()),
                    _ => {}
                }
            }
        }
    }
}

/// Write a file so that readers see the old or the new content; its directory is made if need be. Not flushed to disk: what is
/// lost is made again.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

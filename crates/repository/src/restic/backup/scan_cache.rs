//! What every directory looked like when it was last backed up, kept on this host.
//!
//! A directory whose entries still have the same names and status has the same tree, so neither the tree of the last snapshot is read
//! nor a new one encoded. The cache belongs to one snapshot of one repository, and is dropped as soon as an index file
//! that existed then is gone: only then could a blob that the snapshot uses have left the repository's index.

use crate::restic::cache::replace;
use crate::restic::index::Index;
use crate::restic::object::ObjectKind;
use crate::restic::repository::Repository;
use crate::{Id, Result};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const MAGIC: &[u8; 8] = b"MSSCAN01";
const ENTRY: usize = 16 + 16 + 32;

/// A summary of the status of all entries of a directory.
pub type Digest = [u8; 16];

/// Fits no directory: its tree is known, its entries have to be looked at one by one.
pub const NO_DIGEST: Digest = [0; 16];

/// A directory as it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    key: [u8; 16],
    /// Status of its entries.
    pub digest: Digest,
    /// Its tree.
    pub tree: Id,
}

impl Seen {
    /// The directory at `path`.
    pub fn new(path: &Path, digest: Digest, tree: Id) -> Self {
        Self {
            key: key(path),
            digest,
            tree,
        }
    }
}

fn key(path: &Path) -> [u8; 16] {
    truncated(blake3::hash(path.as_os_str().as_bytes()))
}

/// The first half of a hash, enough for what is no secret and no proof.
pub fn truncated(hash: blake3::Hash) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}

/// The directories of the parent snapshot.
pub struct ScanCache {
    bytes: Vec<u8>,
    start: usize,
}

impl ScanCache {
    /// The cache of `parent`, if there is one and it can be relied on.
    pub fn load(repository: &Repository, index: &Index, parent: Option<Id>, paths: &[String]) -> Option<Self> {
        let file = repository.cache()?.scan_file(&file_key(paths));
        Self::parse(std::fs::read(file).ok()?, &repository.config().id, &parent?, |id| {
            index.files().contains(id)
        })
    }

    pub(super) fn parse(
        bytes: Vec<u8>,
        repository: &Id,
        parent: &Id,
        is_index_file: impl Fn(&Id) -> bool,
    ) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<32>()?;
        if blake3::hash(content).as_bytes() != checksum {
            return None;
        }
        let rest = content
            .strip_prefix(MAGIC)?
            .strip_prefix(&repository.0)?
            .strip_prefix(&parent.0)?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (files, entries) = rest.split_at_checked(32_usize.checked_mul(u64::from_le_bytes(*count) as usize)?)?;
        let is_current = files.as_chunks::<32>().0.iter().all(|id| is_index_file(&Id(*id)));
        let start = content.len() - entries.len();
        (is_current && entries.len() % ENTRY == 0).then_some(Self { bytes, start })
    }

    fn entries(&self) -> &[[u8; ENTRY]] {
        self.bytes[self.start..self.bytes.len() - 32].as_chunks::<ENTRY>().0
    }

    /// The directory at `path`.
    pub fn find(&self, path: &Path) -> Option<Seen> {
        let key = key(path);
        let at = self.entries().binary_search_by(|entry| entry[..16].cmp(&key)).ok()?;
        let entry = &self.entries()[at];
        let (mut digest, mut tree) = ([0; 16], [0; 32]);
        digest.copy_from_slice(&entry[16..32]);
        tree.copy_from_slice(&entry[32..]);
        Some(Seen {
            key,
            digest,
            tree: Id(tree),
        })
    }
}

/// Each set of paths has a cache of its own.
fn file_key(paths: &[String]) -> Id {
    Id::hash(paths.join("\0").as_bytes())
}

/// Keep what was seen for the next backup of the same paths. A failure costs time then, nothing else.
pub fn save(repository: &Repository, snapshot: Id, paths: &[String], directories: &[Seen]) {
    let _: Option<Result<()>> = try_save(repository, snapshot, paths, directories);
}

fn try_save(repository: &Repository, snapshot: Id, paths: &[String], directories: &[Seen]) -> Option<Result<()>> {
    let file = repository.cache()?.scan_file(&file_key(paths));
    let index_files: Vec<Id> = repository
        .list(ObjectKind::Index)
        .ok()?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let bytes = encode(&repository.config().id, &snapshot, &index_files, directories);
    replace(&file, &bytes).ok().map(Ok)
}

fn encode(repository: &Id, snapshot: &Id, index_files: &[Id], directories: &[Seen]) -> Vec<u8> {
    let mut directories: Vec<&Seen> = directories.iter().collect();
    directories.sort_unstable();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&repository.0);
    bytes.extend_from_slice(&snapshot.0);
    bytes.extend_from_slice(&(index_files.len() as u64).to_le_bytes());
    index_files.iter().for_each(|id| bytes.extend_from_slice(&id.0));
    for seen in directories {
        bytes.extend_from_slice(&seen.key);
        bytes.extend_from_slice(&seen.digest);
        bytes.extend_from_slice(&seen.tree.0);
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_saved_and_nothing_else() {
        let [repository, snapshot, index_file] = [b"r", b"s", b"i"].map(|name| Id::hash(name));
        let seen: Vec<Seen> = (0..1000_u32)
            .map(|n| Seen::new(Path::new(&format!("/d/{n}")), [n as u8; 16], Id::hash(&n.to_le_bytes())))
            .collect();
        let bytes = encode(&repository, &snapshot, &[index_file], &seen);
        let cache = ScanCache::parse(bytes.clone(), &repository, &snapshot, |id| *id == index_file).unwrap();
        for (n, seen) in seen.iter().enumerate() {
            assert_eq!(cache.find(Path::new(&format!("/d/{n}"))), Some(*seen));
        }
        assert_eq!(cache.find(Path::new("/d/1000")), None);
        assert!(ScanCache::parse(bytes.clone(), &snapshot, &snapshot, |_| true).is_none());
        assert!(ScanCache::parse(bytes.clone(), &repository, &repository, |_| true).is_none());
        assert!(
            ScanCache::parse(bytes.clone(), &repository, &snapshot, |_| false).is_none(),
            "an index file is gone"
        );
        for at in (0..bytes.len()).step_by(101) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(
                ScanCache::parse(damaged, &repository, &snapshot, |_| true).is_none(),
                "{at}"
            );
        }
        assert!(ScanCache::parse(bytes[..bytes.len() - 64].to_vec(), &repository, &snapshot, |_| true).is_none());
    }
}

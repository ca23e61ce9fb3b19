//! Where every blob is.
//!
//! The truth is the repository's index files. What they say is kept in a sorted [`table`], which lies in a local side file when
//! there is a cache directory, so that neither memory nor time grows with the repository at every start.

pub mod builder;
pub mod file;
pub mod table;

use super::pack::{BlobKind, PackedBlob};
use crate::{Error, Id, Result};
use builder::TableBuilder;
use file::IndexFile;
use hashbrown::{HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use table::{Record, Table};

/// A blob and the pack that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLocation {
    /// The pack.
    pub pack: Id,
    /// The blob's place in it.
    pub blob: PackedBlob,
}

/// Every blob of a repository as its index files describe it at one moment.
pub struct Index {
    /// Loaded from the side file.
    base: Table,
    /// From index files that are newer than the side file.
    delta: Table,
    files: HashSet<Id>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} blobs)", self.len())
    }
}

/// The delta grows to this many records, or an eighth of the base, before both are merged into a new side file.
const MIN_DELTA: usize = 64 << 10;

impl Index {
    /// Load the index: `files` are the ids of the index files that exist now, `load` reads and decrypts one.
    ///
    /// `side_file` is read if it is there and fits, and replaced when much is new.
    pub fn load(
        repository: &Id,
        files: &[Id],
        side_file: Option<&Path>,
        load: impl Fn(&Id) -> Result<IndexFile> + Sync,
    ) -> Result<Self> {
        let wanted: HashSet<Id> = files.iter().copied().collect();
        let base = side_file
            .and_then(|path| open_side_file(path, repository, &wanted))
            .unwrap_or_else(|| Table::empty(repository));
        let known: HashSet<Id> = base.index_files().collect();
        let mut new: Vec<Id> = wanted.difference(&known).copied().collect();
        new.sort_unstable();
        let scratch = side_file.and_then(Path::parent).map(Path::to_owned);
        let delta = build(scratch, &new, &load)?;
        let index = match (delta, side_file) {
            (Built { builder, packs }, Some(path)) if builder.len() > MIN_DELTA.max(base.len() / 8) => {
                match write_side_file(path, repository, &base, &new, builder, &packs) {
                    Some(base) => Self {
                        base,
                        delta: Table::empty(repository),
                        files: wanted,
                    },
                    // No room for the side file, or no right to write it: the index works from memory.
                    None => return Self::load(repository, files, None, load),
                }
            }
            (Built { builder, packs }, _) => Self {
                base,
                delta: in_memory(repository, &new, builder, &packs)?,
                files: wanted,
            },
        };
        Ok(index)
    }

    /// An index made of packs' headers or of nothing.
    pub fn from_packs(repository: &Id, packs: impl IntoIterator<Item = (Id, Vec<PackedBlob>)>) -> Result<Self> {
        let mut built = Built {
            builder: TableBuilder::new(None),
            packs: Vec::new(),
        };
        for (pack, blobs) in packs {
            built.push(pack, blobs)?;
        }
        let delta = in_memory(repository, &[], built.builder, &built.packs)?;
        Ok(Self {
            base: Table::empty(repository),
            delta,
            files: HashSet::new(),
        })
    }

    /// Number of entries; a blob stored twice counts twice.
    pub fn len(&self) -> usize {
        self.base.len() + self.delta.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index files that this was loaded from.
    pub fn files(&self) -> &HashSet<Id> {
        &self.files
    }

    /// Whether the blob is stored.
    pub fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        self.find(kind, id).is_some()
    }

    /// One place where the blob is stored.
    pub fn find(&self, kind: BlobKind, id: &Id) -> Option<BlobLocation> {
        self.find_all(kind, id).next()
    }

    /// Every place where the blob is stored.
    pub fn find_all(&self, kind: BlobKind, id: &Id) -> impl Iterator<Item = BlobLocation> + '_ {
        let tables = [&self.base, &self.delta];
        let id = *id;
        tables.into_iter().flat_map(move |table| {
            table.find(kind, id).map(|record| BlobLocation {
                pack: table.pack(record.pack),
                blob: record.blob,
            })
        })
    }

    /// Positions of a blob's entries, for tables that lie beside the index: stable as long as this value lives.
    pub fn positions(&self, kind: BlobKind, id: &Id) -> impl Iterator<Item = usize> + '_ {
        let shift = self.base.len();
        self.base
            .positions(kind, *id)
            .chain(self.delta.positions(kind, *id).map(move |position| position + shift))
    }

    /// The first of [`Index::positions`]: one number for each blob.
    pub fn position(&self, kind: BlobKind, id: &Id) -> Option<usize> {
        self.positions(kind, id).next()
    }

    /// The entry at a position below [`Index::len`], and the number of its pack in [`Index::pack_list`].
    pub fn entry(&self, position: usize) -> (u32, PackedBlob) {
        match position.checked_sub(self.base.len()) {
            None => {
                let record = self.base.record(position);
                (record.pack, record.blob)
            }
            Some(position) => {
                let record = self.delta.record(position);
                (record.pack + self.base.pack_count() as u32, record.blob)
            }
        }
    }

    /// The packs by number. A pack that index files list in different ways has several numbers.
    pub fn pack_list(&self) -> Vec<Id> {
        self.base.packs().chain(self.delta.packs()).collect()
    }

    /// The packs.
    pub fn packs(&self) -> HashSet<Id> {
        self.base.packs().chain(self.delta.packs()).collect()
    }

    /// Every entry, in two runs that are each sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = BlobLocation> + '_ {
        [&self.base, &self.delta].into_iter().flat_map(|table| {
            table.iter().map(|record| BlobLocation {
                pack: table.pack(record.pack),
                blob: record.blob,
            })
        })
    }
}

struct Built {
    builder: TableBuilder,
    packs: Vec<Id>,
}

impl Built {
    fn push(&mut self, pack: Id, blobs: impl IntoIterator<Item = PackedBlob>) -> Result<()> {
        let number = self.packs.len() as u32;
        self.packs.push(pack);
        blobs
            .into_iter()
            .try_for_each(|blob| self.builder.push(&Record { pack: number, blob }))
            .map_err(scratch_error)
    }
}

/// Index files that are read, decrypted and parsed at the same time.
const READERS: usize = 4;

/// Read index files, a few ahead of the one that is being added, because a store may be far away.
fn build(scratch: Option<PathBuf>, files: &[Id], load: impl Fn(&Id) -> Result<IndexFile> + Sync) -> Result<Built> {
    let mut built = Built {
        builder: TableBuilder::new(scratch),
        packs: Vec::new(),
    };
    // The same pack may be described by two index files after an interrupted prune or repair; once is enough.
    let mut seen: HashMap<Id, usize> = HashMap::new();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        for _ in 0..READERS.min(files.len()) {
            let (sender, next, load) = (sender.clone(), &next, &load);
            scope.spawn(move || {
                while let Some(id) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(load(id)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for file in receiver {
            for pack in file?.packs {
                if seen.insert(pack.id, pack.blobs.len()) != Some(pack.blobs.len()) {
                    built.push(pack.id, pack.blobs.into_iter().map(PackedBlob::from))?;
                }
            }
        }
        Ok(built)
    })
}

fn in_memory(repository: &Id, files: &[Id], builder: TableBuilder, packs: &[Id]) -> Result<Table> {
    builder.build(repository, files, packs).map_err(scratch_error)
}

fn scratch_error(source: std::io::Error) -> Error {
    Error::Local {
        operation: "sort the index in",
        path: "the cache directory".into(),
        source,
    }
}

/// The side file, if all index files that it was made from still exist: a blob that it lists is then still listed.
fn open_side_file(path: &Path, repository: &Id, wanted: &HashSet<Id>) -> Option<Table> {
    let table = Table::open(&mut File::open(path).ok()?, repository)?;
    let is_current = table.index_files().all(|id| wanted.contains(&id));
    is_current.then_some(table)
}

/// Replace the side file by one with everything in `base` and in `new`.
fn write_side_file(
    path: &Path,
    repository: &Id,
    base: &Table,
    files: &[Id],
    new: TableBuilder,
    packs: &[Id],
) -> Option<Table> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent()?).ok()?;
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
    new.write(repository, base, files, packs, &mut out).ok()?;
    out.flush().ok()?;
    drop(out);
    let mut file = file.persist(path).ok()?;
    Table::open(&mut file, repository)
}

#[cfg(test)]
mod tests {
    use super::file::IndexedPack;
    use super::*;

    fn index_file(packs: std::ops::Range<u32>) -> IndexFile {
        let blob = |n: u32| PackedBlob {
            id: Id::hash(&n.to_le_bytes()),
            kind: BlobKind::Data,
            offset: n,
            length: 40,
            uncompressed_length: None,
        };
        let pack = |p: u32| IndexedPack {
            id: Id::hash(&[p as u8, 9]),
            blobs: (0..40_000).map(|b| blob(p * 40_000 + b).into()).collect(),
        };
        IndexFile {
            packs: packs.map(pack).collect(),
            ..IndexFile::default()
        }
    }

    fn check(index: &Index, blobs: std::ops::Range<u32>) {
        assert_eq!(index.len(), blobs.len());
        for n in blobs.step_by(997) {
            let found = index.find(BlobKind::Data, &Id::hash(&n.to_le_bytes())).unwrap();
            assert_eq!((found.pack, found.blob.offset), (Id::hash(&[(n / 40_000) as u8, 9]), n));
        }
    }

    #[test]
    fn the_side_file_grows_and_is_dropped_with_its_index_files() {
        let directory = tempfile::tempdir().unwrap();
        let side_file = directory.path().join("index");
        let ids: Vec<Id> = (0..4_u8).map(|n| Id::hash(&[n])).collect();
        let load = |id: &Id| {
            let n = ids.iter().position(|known| known == id).unwrap() as u32;
            Ok(index_file(n..n + 1))
        };
        let repository = Id::default();
        check(
            &Index::load(&repository, &ids[..1], Some(&side_file), load).unwrap(),
            0..40_000,
        );
        assert!(!side_file.exists(), "a small index is not worth a side file");
        check(
            &Index::load(&repository, &ids[..2], Some(&side_file), load).unwrap(),
            0..80_000,
        );
        let written = std::fs::metadata(&side_file).unwrap().len();
        check(
            &Index::load(&repository, &ids[..3], Some(&side_file), load).unwrap(),
            0..120_000,
        );
        assert_eq!(std::fs::metadata(&side_file).unwrap().len(), written);
        check(
            &Index::load(&repository, &ids, Some(&side_file), load).unwrap(),
            0..160_000,
        );
        assert!(std::fs::metadata(&side_file).unwrap().len() > written);
        let index = Index::load(&repository, &ids[..3], Some(&side_file), load).unwrap();
        check(&index, 0..120_000);
        assert!(!index.contains(BlobKind::Data, &Id::hash(&150_000_u32.to_le_bytes())));
        assert!(!index.contains(BlobKind::Tree, &Id::hash(&1_u32.to_le_bytes())));
        check(&Index::load(&repository, &ids, None, load).unwrap(), 0..160_000);
    }
}

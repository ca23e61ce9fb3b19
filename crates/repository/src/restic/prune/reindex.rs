//! Writes index files anew without some packs.

use crate::restic::index::file::{IndexFile, IndexedPack};
use crate::restic::object::ObjectKind;
use crate::restic::repository::Repository;
use crate::{Cancel, Id, Result};
use hashbrown::{HashMap, HashSet};

/// Blobs in a full index file.
const FULL: usize = 50_000;

/// An index file with less than this many blobs is joined with others.
const SMALL: usize = FULL / 4;

/// So many small index files are worth joining for their own sake.
const MANY: usize = 8;

/// Read an index file.
pub fn read(repository: &Repository, id: &Id) -> Result<IndexFile> {
    IndexFile::parse(id, &repository.read_unpacked(ObjectKind::Index, id)?)
}

/// The index files that list one of the `dropped` packs, list a pack a second time, or are many and small. Every index file is read.
pub fn files_to_rewrite(repository: &Repository, dropped: &HashSet<Id>, cancel: &Cancel) -> Result<Vec<Id>> {
    let (mut rewrite, mut small) = (Vec::new(), Vec::new());
    // The file that each pack was first seen in: where two list the same pack, both are written anew, so that one entry is left.
    let mut first: HashMap<Id, Id> = HashMap::new();
    let mut listed_twice = HashSet::new();
    for (id, _) in repository.list(ObjectKind::Index)? {
        cancel.check()?;
        let file = read(repository, &id)?;
        for pack in &file.packs {
            let first = *first.entry(pack.id).or_insert(id);
            if first != id {
                listed_twice.extend([first, id]);
            }
        }
        if file.packs.is_empty() || file.packs.iter().any(|pack| dropped.contains(&pack.id)) {
            rewrite.push(id);
        } else if file.packs.iter().map(|pack| pack.blobs.len()).sum::<usize>() < SMALL {
            small.push(id);
        }
    }
    small.retain(|id| !listed_twice.contains(id));
    rewrite.retain(|id| !listed_twice.contains(id));
    rewrite.extend(listed_twice);
    if small.len() >= MANY || (!rewrite.is_empty() && !small.is_empty()) {
        rewrite.append(&mut small);
    }
    Ok(rewrite)
}

/// Collects packs into index files.
pub struct IndexWriter<'r> {
    repository: &'r Repository,
    packs: Vec<IndexedPack>,
    blobs: usize,
    /// Packs that were written with this many blobs.
    seen: HashSet<(Id, usize)>,
    /// Index files written.
    pub written: Vec<Id>,
}

impl<'r> IndexWriter<'r> {
    /// Nothing written yet.
    pub fn new(repository: &'r Repository) -> Self {
        Self {
            repository,
            packs: Vec::new(),
            blobs: 0,
            seen: HashSet::new(),
            written: Vec::new(),
        }
    }

    /// Add a pack, unless it was added with as many blobs already.
    pub fn push(&mut self, pack: IndexedPack) -> Result<()> {
        if !self.seen.insert((pack.id, pack.blobs.len())) {
            return Ok(());
        }
        self.blobs += pack.blobs.len();
        self.packs.push(pack);
        if self.blobs >= FULL { self.flush() } else { Ok(()) }
    }

    /// Add what `files` list, but for the `dropped` packs.
    pub fn push_files(&mut self, files: &[Id], dropped: &HashSet<Id>, cancel: &Cancel) -> Result<()> {
        for id in files {
            cancel.check()?;
            let kept = read(self.repository, id)?
                .packs
                .into_iter()
                .filter(|pack| !dropped.contains(&pack.id));
            kept.into_iter().try_for_each(|pack| self.push(pack))?;
        }
        Ok(())
    }

    /// Store what is left; the ids of the index files written.
    pub fn finish(mut self) -> Result<Vec<Id>> {
        self.flush()?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<()> {
        self.blobs = 0;
        let packs = std::mem::take(&mut self.packs);
        if !packs.is_empty() {
            let file = IndexFile {
                packs,
                ..IndexFile::default()
            };
            self.written
                .push(self.repository.write_unpacked(ObjectKind::Index, &file.to_json())?);
        }
        Ok(())
    }
}

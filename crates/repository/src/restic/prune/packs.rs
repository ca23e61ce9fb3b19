//! What each pack holds, and which copy of each blob is kept.

use super::Amount;
use crate::restic::crypto::OVERHEAD;
use crate::restic::index::Index;
use crate::restic::pack::{BlobKind, PackedBlob};
use crate::restic::walk::Marks;
use crate::{Error, Id, Result};
use hashbrown::HashMap;
use std::cmp::Reverse;

/// What the index says about one pack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pack {
    /// Everything in it.
    pub all: Amount,
    /// What stays.
    pub kept: Amount,
    /// Bytes of it that are in use, whichever copy of them stays.
    in_use_bytes: u64,
    /// Bytes of its header's entries.
    header: u64,
    pub has_data: bool,
    pub has_trees: bool,
    pub has_uncompressed: bool,
    /// Whether the store has it.
    pub exists: bool,
    /// Another number for a pack that was counted already: index files list it in different ways.
    pub is_alias: bool,
}

impl Pack {
    fn add(&mut self, blob: &PackedBlob) {
        self.all.add(1, u64::from(blob.length));
        self.header += blob.header_length() as u64;
        self.has_data |= blob.kind == BlobKind::Data;
        self.has_trees |= blob.kind == BlobKind::Tree;
        self.has_uncompressed |= blob.uncompressed_length.is_none();
    }

    /// Size that its file has to have, bytes.
    pub fn expected_size(&self) -> u64 {
        self.all.bytes + self.header + OVERHEAD as u64 + 4
    }

    pub fn unused_bytes(&self) -> u64 {
        self.all.bytes - self.kept.bytes
    }

    pub fn is_mixed(&self) -> bool {
        self.has_data && self.has_trees
    }
}

/// Packs by number, and a mark for each entry of the index that stays.
pub(super) struct Packs<'i> {
    index: &'i Index,
    pub ids: Vec<Id>,
    pub packs: Vec<Pack>,
    /// The first number of a pack that has several.
    canonical: Vec<u32>,
    pub kept: Marks,
    pub used: Amount,
    pub duplicates: Amount,
}

impl<'i> Packs<'i> {
    /// Count what the packs hold. `stored` are the packs in the store with their sizes.
    pub fn count(index: &'i Index, stored: &HashMap<Id, u64>) -> Self {
        let ids = index.pack_list();
        let mut numbers: HashMap<Id, u32> = HashMap::with_capacity(ids.len());
        let canonical: Vec<u32> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| *numbers.entry(*id).or_insert(n as u32))
            .collect();
        let is_alias = |n: usize| canonical[n] != n as u32;
        let pack = |(n, id): (usize, &Id)| Pack {
            exists: stored.contains_key(id),
            is_alias: is_alias(n),
            ..Pack::default()
        };
        let packs = ids.iter().enumerate().map(pack).collect();
        let kept = Marks::of(index);
        let mut all = Self {
            index,
            ids,
            packs,
            canonical,
            kept,
            used: Amount::default(),
            duplicates: Amount::default(),
        };
        for at in 0..index.len() {
            if !all.is_repeated(at) {
                let (pack, blob) = all.entry(at);
                all.packs[pack as usize].add(&blob);
            }
        }
        all
    }

    fn entry(&self, at: usize) -> (u32, PackedBlob) {
        let (pack, blob) = self.index.entry(at);
        (self.canonical[pack as usize], blob)
    }

    /// Whether this entry says the same of the same pack as an earlier one.
    fn is_repeated(&self, at: usize) -> bool {
        let (pack, blob) = self.index.entry(at);
        self.packs[pack as usize].is_alias
            && self
                .index
                .positions(blob.kind, &blob.id)
                .any(|other| other < at && self.entry(other) == (self.canonical[pack as usize], blob))
    }

    /// Choose the copy that stays of each blob that `used` marks (at its first position). Copies in packs that are missing do not count.
    pub fn choose(&mut self, used: &Marks) -> Result<()> {
        let mut several = Vec::new();
        for at in 0..self.index.len() {
            let (_, blob) = self.index.entry(at);
            if self.index.position(blob.kind, &blob.id) != Some(at) || !used.get(at) {
                continue;
            }
            let copies: Vec<usize> = self.copies(&blob).collect();
            for copy in &copies {
                let (pack, blob) = self.entry(*copy);
                self.packs[pack as usize].in_use_bytes += u64::from(blob.length);
            }
            match copies[..] {
                [] => {
                    return Err(Error::damaged(
                        "blob",
                        &blob.id,
                        "it is missing: the pack that should hold it does not exist",
                    ));
                }
                [only] => self.keep(only),
                _ => several.push(at as u32),
            }
        }
        several.into_iter().for_each(|at| self.choose_copy(at as usize));
        Ok(())
    }

    fn copies(&self, blob: &PackedBlob) -> impl Iterator<Item = usize> + '_ {
        let exists = |at: &usize| self.packs[self.index.entry(*at).0 as usize].exists;
        self.index
            .positions(blob.kind, &blob.id)
            .filter(exists)
            .filter(|at| !self.is_repeated(*at))
    }

    /// Keep the copy in the pack of which most is kept anyway, so that the other packs run empty. Of equal ones, that with the least
    /// waste: where a pack could not be deleted after its blobs were copied, the copies stay, and are not copied again.
    fn choose_copy(&mut self, at: usize) {
        let (_, blob) = self.index.entry(at);
        let best = self.copies(&blob).max_by_key(|at| {
            let pack = &self.packs[self.entry(*at).0 as usize];
            (pack.kept.bytes, Reverse(pack.all.bytes - pack.in_use_bytes))
        });
        let further: Vec<u64> = self
            .copies(&blob)
            .skip(1)
            .map(|at| u64::from(self.entry(at).1.length))
            .collect();
        self.duplicates.add(further.len() as u64, further.iter().sum());
        best.into_iter().for_each(|best| self.keep(best));
    }

    fn keep(&mut self, at: usize) {
        let (pack, blob) = self.entry(at);
        self.kept.set(at);
        self.used.add(1, u64::from(blob.length));
        self.packs[pack as usize].kept.add(1, u64::from(blob.length));
    }

    /// The entries that stay and lie in one of the chosen packs, ordered by pack and offset.
    pub fn kept_in(&self, chosen: &[bool]) -> Vec<u32> {
        let in_chosen = |at: &u32| self.kept.get(*at as usize) && chosen[self.entry(*at as usize).0 as usize];
        let mut entries: Vec<u32> = (0..self.index.len() as u32).filter(in_chosen).collect();
        entries.sort_unstable_by_key(|at| {
            let (pack, blob) = self.entry(*at as usize);
            (pack, blob.offset)
        });
        entries
    }
}

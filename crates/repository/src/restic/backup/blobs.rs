//! Saving blobs, each once.

use super::job::{Job, Place};
use crate::restic::compress::Sealer;
use crate::restic::pack::BlobKind;
use crate::{Counters, Id, Result};
use hashbrown::HashSet;
use parking_lot::Mutex;

/// The blobs that this run has added, in shards so that workers rarely wait for each other.
#[derive(Default)]
pub struct NewBlobs {
    shards: [Mutex<HashSet<(BlobKind, Id)>>; 32],
}

impl NewBlobs {
    /// `true` for the first caller with this blob.
    fn claim(&self, kind: BlobKind, id: Id) -> bool {
        let shard = id.prefix() as usize % self.shards.len();
        self.shards[shard].lock().insert((kind, id))
    }
}

/// Saves blobs for one thread.
pub struct Saver<'a> {
    job: &'a Job<'a>,
    /// One for each place.
    sealers: Vec<Sealer<'a>>,
    sealed: Vec<u8>,
}

impl<'a> Saver<'a> {
    /// With contexts of its own.
    pub fn new(job: &'a Job<'a>) -> Result<Self> {
        let sealers = job.places.iter().map(|place| Sealer::new(place.packer.level()));
        Ok(Self {
            job,
            sealers: sealers.collect::<Result<_>>()?,
            sealed: Vec::new(),
        })
    }

    /// Make sure that the blob is in every repository.
    pub fn save(&mut self, kind: BlobKind, plain: &[u8]) -> Result<Id> {
        let id = Id::hash(plain);
        self.save_hashed(kind, id, plain)?;
        Ok(id)
    }

    /// Make sure that the blob, whose id is known, is in every repository.
    pub fn save_hashed(&mut self, kind: BlobKind, id: Id, plain: &[u8]) -> Result<()> {
        // Which sealer holds the blob compressed, and how long it was; places that compress alike share that.
        let mut prepared: Option<(usize, Option<u32>)> = None;
        for (at, place) in self.job.places.iter().enumerate() {
            if !place.is_alive() || place.index.contains(kind, &id) || !place.new_blobs.claim(kind, id) {
                continue;
            }
            let is_shared = |(of, _): &(usize, _)| self.sealers[*of].compresses_like(&self.sealers[at]);
            let (of, uncompressed_length) = match prepared.filter(is_shared) {
                Some(prepared) => prepared,
                None => *prepared.insert((at, self.sealers[at].prepare(kind, plain)?)),
            };
            let key = place.packer.repository().key();
            self.sealers[of].seal_prepared(key, plain, uncompressed_length, &mut self.sealed)?;
            self.add(place, kind, id, plain, uncompressed_length)?;
        }
        Ok(())
    }

    fn add(&self, place: &Place<'_>, kind: BlobKind, id: Id, plain: &[u8], uncompressed: Option<u32>) -> Result<()> {
        if !self.job.options.dry_run {
            let added = place.packer.add(kind, id, &self.sealed, plain.len(), uncompressed);
            // While another place is left, one that dropped out explains itself at the end.
            return added.or_else(|_| self.job.check_places());
        }
        let added = place.packer.added();
        let counter = if kind == BlobKind::Data {
            &added.data_blobs
        } else {
            &added.tree_blobs
        };
        Counters::add(counter, 1);
        Counters::add(&added.plain_bytes, plain.len() as u64);
        Counters::add(&added.stored_bytes, self.sealed.len() as u64);
        Ok(())
    }
}

//! Saving blobs, each once.

use super::job::Job;
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
    sealer: Sealer<'a>,
    sealed: Vec<u8>,
}

impl<'a> Saver<'a> {
    /// With contexts of its own.
    pub fn new(job: &'a Job<'a>) -> Result<Self> {
        let sealer = Sealer::new(job.packer.repository().key(), job.packer.level())?;
        Ok(Self {
            job,
            sealer,
            sealed: Vec::new(),
        })
    }

    /// Make sure that the blob is in the repository.
    pub fn save(&mut self, kind: BlobKind, plain: &[u8]) -> Result<Id> {
        let id = Id::hash(plain);
        self.save_hashed(kind, id, plain)?;
        Ok(id)
    }

    fn save_hashed(&mut self, kind: BlobKind, id: Id, plain: &[u8]) -> Result<()> {
        if self.job.index.contains(kind, &id) || !self.job.new_blobs.claim(kind, id) {
            return Ok(());
        }
        let uncompressed_length = self.sealer.seal(kind, plain, &mut self.sealed)?;
        if self.job.options.dry_run {
            let added = self.job.packer.added();
            Counters::add(
                if kind == BlobKind::Data {
                    &added.data_blobs
                } else {
                    &added.tree_blobs
                },
                1,
            );
            Counters::add(&added.plain_bytes, plain.len() as u64);
            Counters::add(&added.stored_bytes, self.sealed.len() as u64);
            return Ok(());
        }
        self.job
            .packer
            .add(kind, id, &self.sealed, plain.len(), uncompressed_length)
    }
}

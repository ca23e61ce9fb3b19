//! Copies blobs from packs into new packs, verified on the way.

use crate::restic::compress::{Opener, Sealer};
use crate::restic::index::{BlobLocation, Index};
use crate::restic::object::ObjectKind;
use crate::restic::pack::PackedBlob;
use crate::restic::packer::Packer;
use crate::restic::parallel;
use crate::restic::repository::Repository;
use crate::{Counters, Id, Monitor, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is read at a time from a pack at most, bytes.
const READ: u32 = 16 << 20;

/// A gap that is cheaper to read over than to ask twice, bytes.
const GAP: u32 = 256 << 10;

/// Copies blobs of `source` to the repository of `packer`.
pub struct Copier<'a> {
    /// Where the blobs are.
    pub source: &'a Repository,
    /// The source's index.
    pub index: &'a Index,
    /// Where they go.
    pub packer: &'a Packer<'a>,
    /// Both repositories seal with the same key, so that sealed blobs can be taken over as they are.
    pub same_key: bool,
    /// Compress what is not compressed.
    pub compress: bool,
    /// Told of bytes copied.
    pub monitor: &'a dyn Monitor,
}

/// Buffers and contexts for one pack.
struct Worker<'a> {
    opener: Opener,
    sealer: Sealer<'a>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Copier<'_> {
    /// Copy these entries of the index, which are ordered by pack and offset.
    pub fn copy(&self, entries: &[u32]) -> Result<()> {
        let packs: Vec<&[u32]> = entries.chunk_by(|a, b| self.pack(*a) == self.pack(*b)).collect();
        let total: u64 = entries
            .iter()
            .map(|at| u64::from(self.index.entry(*at as usize).1.length))
            .sum();
        Counters::add(&self.monitor.counters().total_bytes, total);
        let failed = AtomicBool::new(false);
        let ids = self.index.pack_list();
        let copied = parallel::map(&packs, parallel::cores(), |entries| {
            if failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let copied = self.copy_pack(&ids[self.pack(entries[0]) as usize], entries);
            failed.fetch_or(copied.is_err(), Ordering::Relaxed);
            copied
        });
        copied.into_iter().collect()
    }

    fn pack(&self, at: u32) -> u32 {
        self.index.entry(at as usize).0
    }

    fn copy_pack(&self, pack: &Id, entries: &[u32]) -> Result<()> {
        let mut worker = Worker {
            opener: Opener::new()?,
            sealer: Sealer::new(self.packer.level())?,
            plain: Vec::new(),
            sealed: Vec::new(),
        };
        let blobs: Vec<PackedBlob> = entries.iter().map(|at| self.index.entry(*at as usize).1).collect();
        for run in runs(&blobs) {
            self.packer.check()?;
            let (start, end) = (run[0].offset, run[run.len() - 1].offset + run[run.len() - 1].length);
            let range = u64::from(start)..u64::from(end);
            let bytes = match self
                .source
                .store()
                .read_range(&ObjectKind::Pack.object_name(pack), range)
            {
                Ok(bytes) => Some(bytes),
                // Another copy of the blobs may be intact.
                Err(error) if matches!(error.kind, storage::ErrorKind::NotFound | storage::ErrorKind::Truncated) => {
                    None
                }
                Err(error) => return Err(error.into()),
            };
            for blob in run {
                let at = (blob.offset - start) as usize;
                let sealed = bytes.as_ref().map(|bytes| &bytes[at..at + blob.length as usize]);
                self.copy_blob(
                    &mut worker,
                    &BlobLocation {
                        pack: *pack,
                        blob: *blob,
                    },
                    sealed,
                )?;
                Counters::add(&self.monitor.counters().bytes, u64::from(blob.length));
            }
        }
        Ok(())
    }

    fn copy_blob(&self, worker: &mut Worker<'_>, location: &BlobLocation, sealed: Option<&[u8]>) -> Result<()> {
        let blob = &location.blob;
        let opened = sealed.map(|sealed| {
            (
                worker.opener.open(self.source.key(), blob, sealed, &mut worker.plain),
                sealed,
            )
        });
        let Some((Ok(()), sealed)) = opened else {
            worker.plain = self.source.read_blob(self.index, blob.kind, &blob.id)?;
            return self.add_plain(worker, blob);
        };
        let target = self.packer.repository();
        let fits = (blob.uncompressed_length.is_none() && !self.compress)
            || (blob.uncompressed_length.is_some() && target.compresses());
        if !fits {
            return self.add_plain(worker, blob);
        }
        if self.same_key {
            return self
                .packer
                .add(blob.kind, blob.id, sealed, worker.plain.len(), blob.uncompressed_length);
        }
        // Sealed anew, compressed as it is: compressing again would cost most of the time.
        let opened = self
            .source
            .key()
            .open(sealed)
            .map_err(|error| crate::Error::damaged("blob", &blob.id, error))?;
        let resealed = target.key().seal(&opened);
        self.packer.add(
            blob.kind,
            blob.id,
            &resealed,
            worker.plain.len(),
            blob.uncompressed_length,
        )
    }

    fn add_plain(&self, worker: &mut Worker<'_>, blob: &PackedBlob) -> Result<()> {
        let uncompressed_length = worker.sealer.seal(
            self.packer.repository().key(),
            blob.kind,
            &worker.plain,
            &mut worker.sealed,
        )?;
        self.packer.add(
            blob.kind,
            blob.id,
            &worker.sealed,
            worker.plain.len(),
            uncompressed_length,
        )
    }
}

/// Split blobs, ordered by offset, into runs that are each read at once.
fn runs(blobs: &[PackedBlob]) -> Vec<&[PackedBlob]> {
    let mut runs = Vec::new();
    let mut start = 0;
    for next in 1..=blobs.len() {
        let ends = blobs.get(next).is_none_or(|blob| {
            let end = blobs[next - 1].offset.saturating_add(blobs[next - 1].length);
            blob.offset.saturating_sub(end) > GAP
                || blob.offset.saturating_add(blob.length) - blobs[start].offset > READ
        });
        if ends {
            runs.push(&blobs[start..next]);
            start = next;
        }
    }
    runs
}

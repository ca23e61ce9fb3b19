//! Packs under construction, and their way into the store.
//!
//! Workers hand over sealed blobs. Full packs go through a bounded queue to threads that upload them; a pack enters the index only
//! after it is stored, and the index is written at intervals, so that an interrupted run is not lost.

use super::compress::Level;
use super::index::file::{IndexFile, IndexedPack};
use super::lock::Lock;
use super::object::ObjectKind;
use super::pace::{Pace, Patience};
use super::pack::{self, BlobKind, PackedBlob};
use super::pack_buffer::{PackBuffer, Segments};
use super::parallel::{self, cores};
use super::repository::Repository;
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError};
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Size of packs unless the user asks for another, bytes.
pub const DEFAULT_PACK_SIZE: usize = 16 << 20;

/// Packs of one kind that are open at the same time. A blob goes into one of them at random, so that the sizes of neighbouring blobs cannot be read
/// off the pack: boundaries chosen by content would tell something about the content (eprint.iacr.org/2025/532).
const OPEN_PACKS: usize = 2;

/// Blobs and bytes of packs after which an index file is written, and the longest time until then: what a run loses at most that dies.
const INDEX_BLOBS: usize = 50_000;
const INDEX_BYTES: u64 = 1 << 30;
const INDEX_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// What has been added to the repository.
#[derive(Debug, Default)]
pub struct Added {
    /// New blobs with file content.
    pub data_blobs: AtomicU64,
    /// New blobs with directories.
    pub tree_blobs: AtomicU64,
    /// Plain size of new blobs, bytes.
    pub plain_bytes: AtomicU64,
    /// Stored size of new blobs, bytes.
    pub stored_bytes: AtomicU64,
}

/// Sealed blobs one behind the other.
struct Pack {
    bytes: PackBuffer,
    blobs: Vec<PackedBlob>,
}

struct NewIndex {
    packs: Vec<IndexedPack>,
    /// Their sizes, bytes.
    sizes: Vec<u64>,
    blobs: usize,
    bytes: u64,
    since: Instant,
}

impl NewIndex {
    fn new() -> Self {
        Self {
            packs: Vec::new(),
            sizes: Vec::new(),
            blobs: 0,
            bytes: 0,
            since: Instant::now(),
        }
    }

    fn add(&mut self, id: Id, blobs: Vec<PackedBlob>, bytes: u64) {
        self.blobs += blobs.len();
        self.bytes += bytes;
        self.sizes.push(bytes);
        self.packs.push(IndexedPack {
            id,
            blobs: blobs.into_iter().map(Into::into).collect(),
        });
    }

    fn is_due(&self) -> bool {
        self.blobs >= INDEX_BLOBS
            || self.bytes >= INDEX_BYTES
            || (self.blobs > 0 && self.since.elapsed() >= INDEX_INTERVAL)
    }
}

/// Collects blobs into packs. Shared by all workers of one run.
pub struct Packer<'r> {
    repository: &'r Repository,
    lock: &'r Lock,
    monitor: &'r dyn Monitor,
    pack_size: usize,
    segments: Arc<Segments>,
    open: [Mutex<[Option<Pack>; OPEN_PACKS]>; 2],
    queue: Mutex<Option<Sender<Pack>>>,
    new_index: Mutex<NewIndex>,
    level: Level,
    pace: Mutex<Pace>,
    added: Added,
    failed: AtomicBool,
    failure: OnceLock<Error>,
    cancel: Cancel,
    /// Raised to end the waits of a store that is given up.
    give_up: Cancel,
    patience: Patience,
}

/// A repository that a run adds to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'r> {
    /// The repository.
    pub repository: &'r Repository,
    /// How packs are made.
    pub options: &'r PackOptions,
    /// The lock that is held on it.
    pub lock: &'r Lock,
    /// Ends the waits of its store; raised when it is given up while others go on.
    pub give_up: &'r Cancel,
}

impl std::fmt::Debug for Packer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packer({:?})", self.repository)
    }
}

/// How packs are made.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Bytes after which a pack is closed.
    pub pack_size: usize,
    /// How much effort goes into compression.
    pub compression: super::compress::Compression,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            pack_size: DEFAULT_PACK_SIZE,
            compression: super::compress::Compression::Auto,
        }
    }
}

impl<'r> Packer<'r> {
    /// Run `work` with a packer; afterwards everything that was added is stored and indexed, unless something failed.
    pub fn run<R>(
        repository: &'r Repository,
        options: &'r PackOptions,
        lock: &'r Lock,
        cancel: &'r Cancel,
        monitor: &'r dyn Monitor,
        work: impl FnOnce(&Self) -> Result<R>,
    ) -> Result<(R, Added)> {
        let target = Target {
            repository,
            options,
            lock,
            give_up: cancel,
        };
        let (done, mut added) = Self::run_all(&[target], Duration::MAX, cancel, monitor, |packers| work(&packers[0]));
        match (done, added.pop()) {
            (Ok(done), Some(Ok(added))) => Ok((done, added)),
            // The reason why a packer broke explains more than that it broke.
            (Ok(_) | Err(Error::Interrupted), Some(Err(error))) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(Error::Interrupted),
        }
    }

    /// Run `work` with a packer for each target, in their order. Returns what it returned, and for each target what was added, or why it
    /// dropped out. A target drops out when it fails, or when it has kept the others waiting for longer than `patience`; the others
    /// go on. The last one is waited for.
    pub fn run_all<R>(
        targets: &[Target<'r>],
        patience: Duration,
        cancel: &Cancel,
        monitor: &'r dyn Monitor,
        work: impl FnOnce(&[Self]) -> Result<R>,
    ) -> (Result<R>, Vec<Result<Added>>) {
        let alive = Arc::new(AtomicUsize::new(targets.len()));
        let (packers, queues): (Vec<Self>, Vec<_>) = targets
            .iter()
            .map(|target| Self::new(target, Arc::clone(&alive), patience, cancel, monitor))
            .unzip();
        let done = std::thread::scope(|scope| {
            let mut uploading = Vec::new();
            for (packer, queue) in packers.iter().zip(queues) {
                let (ended, end) = crossbeam_channel::bounded::<()>(0);
                for _ in 0..uploads(packer.repository) {
                    let (queue, ended) = (queue.clone(), ended.clone());
                    scope.spawn(move || {
                        packer.upload_all(&queue);
                        drop(ended);
                    });
                }
                uploading.push(end);
            }
            let ends: Vec<EndOfQueue<'_>> = packers.iter().map(|packer| EndOfQueue(&packer.queue)).collect();
            let done = work(&packers);
            if done.is_ok() {
                packers.iter().for_each(Self::close_packs);
            }
            drop(ends);
            for (packer, end) in packers.iter().zip(&uploading) {
                if end.recv_timeout(packer.patience.left()) == Err(RecvTimeoutError::Timeout) {
                    packer.drop_out();
                }
            }
            done
        });
        (done, packers.into_iter().map(Self::finish).collect())
    }

    fn new(
        target: &Target<'r>,
        alive: Arc<AtomicUsize>,
        patience: Duration,
        cancel: &Cancel,
        monitor: &'r dyn Monitor,
    ) -> (Self, Receiver<Pack>) {
        // Waiting packs take memory: a full pack waits with the worker that filled it until a connection is free.
        let (sender, receiver) = crossbeam_channel::bounded(0);
        let compression = if target.repository.compresses() {
            target.options.compression
        } else {
            super::compress::Compression::Off
        };
        let packer = Self {
            repository: target.repository,
            lock: target.lock,
            monitor,
            pack_size: target.options.pack_size,
            segments: Arc::default(),
            open: Default::default(),
            queue: Mutex::new(Some(sender)),
            new_index: Mutex::new(NewIndex::new()),
            level: Level::new(compression),
            pace: Mutex::new(Pace::from(Instant::now())),
            added: Added::default(),
            failed: AtomicBool::new(false),
            failure: OnceLock::new(),
            cancel: cancel.clone(),
            give_up: target.give_up.clone(),
            patience: Patience {
                limit: patience,
                waited: Mutex::default(),
                alive,
            },
        };
        (packer, receiver)
    }

    /// The index is written also after a failure, if that is possible: the next run then finds what this one stored.
    fn finish(self) -> Result<Added> {
        let is_slow = matches!(self.failure.get(), Some(Error::TooSlow { .. }));
        let indexed = if is_slow {
            Ok(())
        } else {
            write_index(self.repository, self.lock, self.new_index.into_inner())
        };
        match self.failure.into_inner() {
            Some(error) => Err(error),
            None => indexed.map(|()| self.added),
        }
    }

    /// The compression level that workers share.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// What has been added so far.
    pub fn added(&self) -> &Added {
        &self.added
    }

    /// The repository that is added to.
    pub fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// An error if the run cannot succeed any more: the user stopped it, or the store failed.
    pub fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        self.cancel.check()
    }

    /// Add a sealed blob. Blocks while the store is slower than the callers.
    pub fn add(
        &self,
        kind: BlobKind,
        id: Id,
        sealed: &[u8],
        plain_length: usize,
        uncompressed_length: Option<u32>,
    ) -> Result<()> {
        self.check()?;
        let counter = if kind == BlobKind::Data {
            &self.added.data_blobs
        } else {
            &self.added.tree_blobs
        };
        Counters::add(counter, 1);
        Counters::add(&self.added.plain_bytes, plain_length as u64);
        Counters::add(&self.added.stored_bytes, sealed.len() as u64);
        let full = {
            let mut open = self.open[kind as usize].lock();
            let at = fastrand::usize(..OPEN_PACKS);
            let pack = open[at].get_or_insert_with(|| Pack {
                bytes: PackBuffer::new(&self.segments),
                blobs: Vec::new(),
            });
            let blob = PackedBlob {
                id,
                kind,
                offset: pack.bytes.len() as u32,
                length: sealed.len() as u32,
                uncompressed_length,
            };
            pack.bytes.append(sealed).map_err(|error| self.out_of_memory(error))?;
            pack.blobs.push(blob);
            let header = pack.blobs.len() * blob.header_length();
            let is_full = pack.bytes.len() >= self.pack_size || header >= pack::MAX_HEADER / 2;
            if let [Some(one), Some(other)] = &mut *open {
                PackBuffer::hash_together(&mut one.bytes, &mut other.bytes);
            }
            if is_full { open[at].take() } else { None }
        };
        full.map_or(Ok(()), |full| self.send(full))
    }

    fn close_packs(&self) {
        let open = self.open.iter().flat_map(|open| std::mem::take(&mut *open.lock()));
        for pack in open.flatten() {
            if let Err(error) = self.send(pack) {
                return self.fail(error);
            }
        }
    }

    fn send(&self, mut pack: Pack) -> Result<()> {
        let trailer = pack::trailer(self.repository.key(), &pack.blobs);
        pack.bytes.append(&trailer).map_err(|error| self.out_of_memory(error))?;
        let Some(queue) = self.queue.lock().clone() else {
            return Err(Error::Interrupted);
        };
        let begin = Instant::now();
        let sent = match queue.try_send(pack) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(pack)) => self.wait_for_room(&queue, pack),
            Err(TrySendError::Disconnected(_)) => Err(Error::Interrupted),
        };
        if let Some(waiting) = self.pace.lock().handed_over(begin, Instant::now()) {
            self.level.adapt(waiting);
        }
        sent
    }

    fn wait_for_room(&self, queue: &Sender<Pack>, pack: Pack) -> Result<()> {
        let begin = Instant::now();
        let sent = queue.send_timeout(pack, self.patience.left());
        self.patience.add(begin.elapsed());
        match sent {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Timeout(pack)) if !self.drop_out() => {
                queue.send(pack).map_err(|_| Error::Interrupted)
            }
            Err(_) => Err(Error::Interrupted),
        }
    }

    /// Fail for being slow; `false` if all others have failed, so that there is nobody to keep waiting.
    fn drop_out(&self) -> bool {
        let is_last = |alive: usize| if alive > 1 { Some(alive - 1) } else { None };
        if self
            .patience
            .alive
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, is_last)
            .is_err()
        {
            return self.failed.load(Ordering::Relaxed);
        }
        let error = Error::TooSlow {
            location: self.repository.store().location(),
            limit: self.patience.limit,
        };
        // The first failure explains the others.
        let _: Result<(), Error> = self.failure.set(error);
        if self.failed.swap(true, Ordering::Relaxed) {
            // It had failed, and was counted out, already.
            self.patience.alive.fetch_add(1, Ordering::AcqRel);
        }
        self.give_up.cancel();
        true
    }

    fn upload_all(&self, queue: &Receiver<Pack>) {
        for pack in queue {
            // After a failure the queue is still emptied, so that nobody waits for room in it.
            if let Err(error) = self.check().and_then(|()| self.upload(pack)) {
                // A pack that is dropped because the user asked to stop is missing, too.
                self.fail(error);
            }
        }
    }

    fn fail(&self, error: Error) {
        // The first failure explains the others.
        let _: Result<(), Error> = self.failure.set(error);
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.patience.alive.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn out_of_memory(&self, source: io::Error) -> Error {
        self.fail(Error::Memory(source));
        Error::Interrupted
    }

    fn upload(&self, pack: Pack) -> Result<()> {
        let Pack { bytes, blobs } = pack;
        let length = bytes.len() as u64;
        let (id, pieces) = bytes.finish();
        let holds_trees = blobs.first().is_some_and(|blob| blob.kind == BlobKind::Tree);
        if let Some(cache) = self.repository.cache().filter(|_| holds_trees) {
            cache.write(ObjectKind::Pack, &id, &pieces.concat());
        }
        let (store, name) = (self.repository.store(), ObjectKind::Pack.object_name(&id));
        if store.gathers() {
            store.write_pieces(&name, &pieces)?;
        } else {
            let content = pieces.concat();
            // The next packs need the memory before this one is stored.
            drop(pieces);
            store.write(&name, content.into())?;
        }
        Counters::add(&self.monitor.counters().stored_bytes, length);
        let due = {
            let mut index = self.new_index.lock();
            index.add(id, blobs, length);
            index.is_due().then(|| std::mem::replace(&mut *index, NewIndex::new()))
        };
        due.map_or(Ok(()), |due| write_index(self.repository, self.lock, due))
    }
}

/// Packs that are uploaded at the same time. Each takes memory, and a disk gains little from many.
fn uploads(repository: &Repository) -> usize {
    let connections = repository.store().concurrency();
    if repository.is_remote() {
        connections
    } else {
        connections.min((cores() / 2).max(2))
    }
}

/// Without the sender, the uploading threads finish what is queued and end. Dropped also when the work panics: nobody would end otherwise.
struct EndOfQueue<'a>(&'a Mutex<Option<Sender<Pack>>>);

impl Drop for EndOfQueue<'_> {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

/// Without the lock, somebody may have taken packs that no index lists yet for leftovers: they are not listed then.
fn write_index(repository: &Repository, lock: &Lock, index: NewIndex) -> Result<()> {
    if index.packs.is_empty() {
        return Ok(());
    }
    lock.check()?;
    confirm(repository, &index)?;
    let file = IndexFile {
        packs: index.packs,
        ..IndexFile::default()
    };
    let id = repository.write_unpacked(ObjectKind::Index, &file.to_json())?;
    repository.confirm(ObjectKind::Index, &id, None)
}

/// The packs are there, whole: whatever said that it stored them may have been wrong.
fn confirm(repository: &Repository, index: &NewIndex) -> Result<()> {
    let packs: Vec<(&IndexedPack, u64)> = index.packs.iter().zip(index.sizes.iter().copied()).collect();
    let confirmed = parallel::map(&packs, repository.store().concurrency(), |(pack, size)| {
        repository.confirm(ObjectKind::Pack, &pack.id, Some(*size))
    });
    confirmed.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_file_is_due_after_a_gibibyte_of_large_blobs() {
        let mut index = NewIndex::new();
        let packs = (1..).take_while(|_| {
            index.add(Id::default(), Vec::new(), DEFAULT_PACK_SIZE as u64);
            !index.is_due()
        });
        assert_eq!(packs.count(), 63);
    }
}

//! The state that all threads of one backup share, and the threads themselves.

use super::blobs::{NewBlobs, Saver};
use super::content::Buffers;
use super::directory::Directory;
use super::expect::{self, Expected};
use super::files;
use super::files::new_file;
use super::options::{BackupOptions, MakeLast, PartTotals, Totals};
use super::scan;
use super::scan_cache::{ScanCache, Seen};
use super::sources::Sources;
use super::store;
use crate::local::users::Users;
use crate::restic::chunker::{Chunker, MIN_SIZE};
use crate::restic::index::Index;
use crate::restic::node::Node;
use crate::restic::pack::BlobKind;
use crate::restic::packer::Packer;
use crate::restic::parallel::cores;
use crate::restic::tree::Tree;
use crate::{Cancel, Counters, Error, Event, Id, Monitor, Result};
use parking_lot::Mutex;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Counts of entries.
#[derive(Debug, Default)]
pub struct Counts {
    pub files_new: AtomicU64,
    pub files_changed: AtomicU64,
    pub files_unmodified: AtomicU64,
    pub dirs_new: AtomicU64,
    pub dirs_changed: AtomicU64,
    pub dirs_unmodified: AtomicU64,
    /// Entries that are neither files nor directories.
    pub others: AtomicU64,
    /// Content of files.
    pub bytes: AtomicU64,
    pub problems: AtomicU64,
    pub vanished: AtomicU64,
    pub changed_while_read: AtomicU64,
}

/// What an entry turned out to be in comparison with the parent snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    New,
    Changed,
    Unchanged,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A repository that is added to, and what is in it.
pub struct Place<'a> {
    pub packer: &'a Packer<'a>,
    pub index: &'a Index,
    pub new_blobs: NewBlobs,
}

impl<'a> Place<'a> {
    pub fn new(packer: &'a Packer<'a>, index: &'a Index) -> Self {
        Self {
            packer,
            index,
            new_blobs: NewBlobs::default(),
        }
    }

    /// Whether it has not dropped out.
    pub fn is_alive(&self) -> bool {
        self.packer.check().is_ok()
    }
}

/// One backup.
pub struct Job<'a> {
    /// Where it is stored, at least one; trees of the parent snapshot are read from the first.
    pub places: &'a [Place<'a>],
    pub options: &'a BackupOptions,
    pub monitor: &'a dyn Monitor,
    pub known: Option<ScanCache>,
    pub parent_tree: Option<Id>,
    /// Paths that were named although they lie in others that were.
    pub nested: Vec<PathBuf>,
    pub chunker: Chunker,
    pub users: Users,
    pub counts: Counts,
    pub buffers: Buffers,
    pub seen: Mutex<Vec<Seen>>,
    pub parts: Mutex<Vec<PartTotals>>,
    /// The file that is made at the end.
    pub last: Mutex<Option<Last>>,
    pub root: OnceLock<Id>,
    pub expected: Expected,
    tells_entries: bool,
    cancel: &'a Cancel,
    stopped: AtomicBool,
    failure: OnceLock<Error>,
}

/// What was captured.
#[derive(Default)]
pub struct Captured {
    pub root: Id,
    pub directories: Vec<Seen>,
    pub counts: Counts,
    /// Files and other entries that are not directories.
    pub entries: u64,
    pub totals: Totals,
}

/// A file that is made when everything else has been captured.
pub struct Last {
    pub directory: Arc<Directory>,
    pub slot: usize,
    pub name: OsString,
    pub content: MakeLast,
}

/// Batches of files that wait for a reader. Each holds its directory open.
const READ_QUEUE: usize = 32;

impl<'a> Job<'a> {
    pub fn new(
        places: &'a [Place<'a>],
        options: &'a BackupOptions,
        cancel: &'a Cancel,
        monitor: &'a dyn Monitor,
        known: Option<ScanCache>,
        parent_tree: Option<Id>,
    ) -> Self {
        Self {
            places,
            options,
            monitor,
            known,
            parent_tree,
            nested: Vec::new(),
            chunker: Chunker::new(places[0].packer.repository().config()),
            users: Users::load(),
            counts: Counts::default(),
            buffers: Buffers::default(),
            seen: Mutex::default(),
            parts: Mutex::default(),
            last: Mutex::default(),
            root: OnceLock::new(),
            expected: Expected::default(),
            tells_entries: monitor.wants_entries(),
            cancel,
            stopped: AtomicBool::new(false),
            failure: OnceLock::new(),
        }
    }

    /// Run all threads until everything is captured or something failed.
    pub fn capture(mut self, mut sources: Sources) -> Result<Captured> {
        self.nested = std::mem::take(&mut sources.nested);
        let workers = cores();
        let readers = if self.options.read_concurrency > 0 {
            self.options.read_concurrency
        } else {
            cores().clamp(2, 4)
        };
        let scanners = cores().clamp(2, 4);
        let (read_sender, read_receiver) = crossbeam_channel::bounded(READ_QUEUE);
        let (work_sender, work_receiver) = crossbeam_channel::bounded(workers / 4);
        let stack = scan::Stack::default();
        let job = &self;
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let receiver = work_receiver.clone();
                scope.spawn(move || store::work(job, &receiver));
            }
            for _ in 0..readers {
                let (receiver, sender) = (read_receiver.clone(), work_sender.clone());
                scope.spawn(move || files::read(job, &receiver, &sender));
            }
            drop((work_receiver, work_sender, read_receiver));
            if self.monitor.wants_totals() && self.monitor.counters().counting.load(Ordering::Relaxed) {
                let paths = sources.places();
                scope.spawn(move || expect::look_ahead(job, paths));
            }
            let started = scan::start(job, sources.what, &stack, &read_sender);
            if let Err(error) = started {
                job.fail(error);
            }
            for _ in 0..scanners {
                let (sender, stack) = (read_sender.clone(), &stack);
                scope.spawn(move || scan::run(job, stack, &sender));
            }
            drop(read_sender);
        });
        if !self.is_stopped()
            && let Some(last) = self.last.lock().take()
        {
            self.store_last(last)?;
        }
        self.finish()
    }

    fn store_last(&self, last: Last) -> Result<()> {
        let mut saver = Saver::new(self)?;
        let content = (last.content)(&self.totals());
        let blobs = content.chunks(MIN_SIZE).map(|part| saver.save(BlobKind::Data, part));
        let node = Node {
            content: Some(blobs.collect::<Result<_>>()?),
            size: content.len() as u64,
            ..new_file(last.name)
        };
        last.directory.taint();
        last.directory.set(last.slot, &node);
        last.directory.release(1, self, &mut saver)
    }

    /// What has been captured so far.
    fn totals(&self) -> Totals {
        let counts = &self.counts;
        let mut parts = self.parts.lock().clone();
        parts.sort_unstable();
        Totals {
            parts,
            problems: Counters::get(&counts.problems),
            vanished: Counters::get(&counts.vanished),
            changed_while_read: Counters::get(&counts.changed_while_read),
        }
    }

    fn finish(self) -> Result<Captured> {
        // Packers that failed explain themselves; an error of ours that followed from it would not.
        self.check_places()?;
        let totals = self.totals();
        if let Some(error) = self.failure.into_inner() {
            return Err(error);
        }
        let root = self
            .root
            .into_inner()
            .ok_or_else(|| Error::Verification("the root directory was not finished".to_owned()))?;
        let counts = self.counts;
        let get = |counter: &AtomicU64| Counters::get(counter);
        let files = get(&counts.files_new) + get(&counts.files_changed) + get(&counts.files_unmodified);
        Ok(Captured {
            root,
            directories: self.seen.into_inner(),
            entries: files + get(&counts.others),
            totals,
            counts,
        })
    }

    /// Make the whole backup fail.
    pub fn fail(&self, error: Error) {
        // The first failure explains the others.
        let _: Result<(), Error> = self.failure.set(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether there is no point in going on.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.cancel.is_cancelled() || self.check_places().is_err()
    }

    /// An error if there is no place left to store to.
    pub fn check_places(&self) -> Result<()> {
        let mut checks = self.places.iter().map(|place| place.packer.check());
        checks.find(Result::is_ok).unwrap_or(Err(Error::Interrupted))
    }

    /// Whether a blob is in every place that has not dropped out.
    pub fn is_stored(&self, kind: BlobKind, id: &Id) -> bool {
        let lacks = |place: &&Place<'_>| !place.index.contains(kind, id) && place.is_alive();
        !self.places.iter().any(|place| lacks(&place))
    }

    /// A tree of the parent snapshot.
    pub fn read_tree(&self, id: &Id) -> Result<Tree> {
        let mut failure = Error::Interrupted;
        for place in self.places {
            match place.packer.repository().read_tree(place.index, id) {
                Ok(tree) => return Ok(tree),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The tree of the parent snapshot for a directory. If it cannot be read, the directory is read anew.
    pub fn read_parent_tree(&self, id: Option<Id>) -> Option<Tree> {
        let tree = self.read_tree(&id?);
        tree.inspect_err(|error| {
            self.monitor
                .note(&format!("reading everything in a directory again: {error}"));
        })
        .ok()
    }

    /// An entry that could not be read: the snapshot will be incomplete.
    pub fn problem(&self, directory: &Directory, name: &OsStr, error: &std::io::Error) {
        directory.taint();
        if error.kind() == std::io::ErrorKind::NotFound {
            // Deleted since it was listed: it is rightly not part of the snapshot.
            Counters::add(&self.counts.vanished, 1);
            return;
        }
        Counters::add(&self.counts.problems, 1);
        self.monitor
            .problem(&directory.path.join(name).to_string_lossy(), &error.to_string());
    }

    /// A stream that could not be read to its end: the snapshot will be incomplete.
    pub fn failed_stream(&self, path: &Path, error: &Error) {
        Counters::add(&self.counts.problems, 1);
        let source = std::error::Error::source(error).map(|source| format!(": {source}"));
        let message = format!("{error}{}", source.unwrap_or_default());
        self.monitor.problem(&path.to_string_lossy(), &message);
    }

    /// Count a file that is done.
    pub fn count_file(&self, directory: &Directory, name: &OsStr, change: Change, size: u64) {
        let counter = match change {
            Change::New => &self.counts.files_new,
            Change::Changed => &self.counts.files_changed,
            Change::Unchanged => &self.counts.files_unmodified,
        };
        Counters::add(counter, 1);
        Counters::add(&self.counts.bytes, size);
        Counters::add(&self.monitor.counters().files, 1);
        directory.count(self, name, size);
        self.tell(directory, name, change, size);
    }

    /// Count a link, device or pipe.
    pub fn count_other(&self, directory: &Directory, name: &OsStr, change: Change) {
        Counters::add(&self.counts.others, 1);
        directory.count(self, name, 0);
        self.tell(directory, name, change, 0);
    }

    fn tell(&self, directory: &Directory, name: &OsStr, change: Change, size: u64) {
        if self.tells_entries {
            let path = &directory.path.join(name);
            let what = change.word();
            self.monitor.event(Event::Entry { path, what, size });
        }
    }
}

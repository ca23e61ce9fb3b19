//! Files on their way to being complete.

use super::dirs::Dir;
use super::session::{Session, count};
use super::sparse::data_ranges;
use crate::local::apply::{ApplyOptions, Target, apply_metadata};
use crate::local::meta::stat_fd;
use crate::local::scan;
use crate::restic::node::Node;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// What is to be done about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is none: make it.
    New,
    /// There is one with other names: remove it, then make it.
    Replace,
    /// There is one: write into it what differs.
    InPlace {
        /// Its length, bytes.
        size: u64,
    },
    /// It stays as it is, or cannot be restored: nothing is done.
    Done,
}

/// What became of the first name of a file that has several.
#[derive(Debug)]
pub struct FirstName {
    /// Where it is.
    pub dir: Arc<Dir>,
    /// Its node: name, kind and content.
    pub name: std::ffi::OsString,
    is_restored: AtomicU8,
}

impl FirstName {
    pub fn new(dir: Arc<Dir>, name: std::ffi::OsString) -> Self {
        Self {
            dir,
            name,
            is_restored: AtomicU8::new(0),
        }
    }

    /// It is what the snapshot says: others may be linked to it.
    pub fn set_restored(&self) {
        self.is_restored.store(1, Ordering::Release);
    }

    pub fn is_restored(&self) -> bool {
        self.is_restored.load(Ordering::Acquire) != 0
    }
}

/// A file that is restored.
#[derive(Debug)]
pub struct FileItem {
    pub dir: Arc<Dir>,
    pub node: Node,
    /// Length of all its blobs, bytes.
    pub size: u64,
    /// Set if other names are to be linked to this one.
    pub first: Option<Arc<FirstName>>,
    remaining_blobs: AtomicUsize,
    written_bytes: AtomicU64,
    has_holes: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    status: Status,
    is_made: bool,
    open: Weak<File>,
    failure: Option<String>,
}

/// Files held open at most between two blobs, by the ring below.
const OPEN_FILES: usize = 64;

/// Keeps the files that were opened last open, because the next blob is likely to go into one of them.
#[derive(Debug, Default)]
pub struct OpenFiles {
    ring: Mutex<VecDeque<Arc<File>>>,
}

impl OpenFiles {
    fn keep(&self, file: &Arc<File>) {
        let mut ring = self.ring.lock();
        let oldest = if ring.len() >= OPEN_FILES {
            ring.pop_front()
        } else {
            None
        };
        ring.push_back(Arc::clone(file));
        drop(ring);
        drop(oldest);
    }
}

impl FileItem {
    pub fn new(dir: Arc<Dir>, node: Node, size: u64, first: Option<Arc<FirstName>>) -> Self {
        let state = State {
            status: Status::New,
            is_made: false,
            open: Weak::new(),
            failure: None,
        };
        Self {
            remaining_blobs: AtomicUsize::new(node.blobs().len()),
            dir,
            node,
            size,
            first,
            written_bytes: AtomicU64::new(0),
            has_holes: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Where it is in the snapshot.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(&self.node.name)
    }

    pub fn status(&self) -> Status {
        self.state.lock().status
    }

    pub fn set_status(&self, status: Status) {
        self.state.lock().status = status;
    }

    /// Whether anything went wrong with it.
    pub fn has_failed(&self) -> bool {
        self.state.lock().failure.is_some()
    }

    /// Whether it was written by this restore, completely.
    pub fn is_written(&self) -> bool {
        let is_done = self.remaining_blobs.load(Ordering::Acquire) == 0;
        let state = self.state.lock();
        is_done && state.failure.is_none() && (state.is_made || self.written_bytes.load(Ordering::Relaxed) > 0)
    }

    /// Remember why it cannot be restored; the first reason counts.
    pub fn fail(&self, reason: impl FnOnce() -> String) {
        let mut state = self.state.lock();
        if state.failure.is_none() {
            state.failure = Some(reason());
        }
    }

    /// The file, open for writing: made, or opened again.
    fn open(&self, session: &Session<'_>) -> io::Result<Arc<File>> {
        let mut state = self.state.lock();
        if let Some(open) = state.open.upgrade() {
            return Ok(open);
        }
        let file = Arc::new(self.open_now(session, &mut state)?);
        state.open = Arc::downgrade(&file);
        session.files.keep(&file);
        Ok(file)
    }

    fn open_now(&self, session: &Session<'_>, state: &mut State) -> io::Result<File> {
        let dir = session.dirs.get(&self.dir)?;
        let name = &self.node.name;
        match state.status {
            Status::New | Status::Replace if !state.is_made => {
                if state.status == Status::Replace {
                    dir.remove_file(name)?;
                }
                let file = dir.create_file(name)?;
                state.is_made = true;
                Ok(file)
            }
            _ => match dir.open_file(name) {
                // A file of ours that its permissions protect: they are set again in the end.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let (file, _) = scan::open_file(&*dir, name)?;
                    rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
                    Ok(dir.open_file(name)?.0)
                }
                result => Ok(result?.0),
            },
        }
    }

    /// Write one of its blobs, and finish it if that was the last.
    pub fn write(&self, session: &Session<'_>, content: &[u8], offset: u64) -> io::Result<()> {
        if self.has_failed() {
            self.complete(session, 1, None);
            return Ok(());
        }
        let written = self
            .open(session)
            .and_then(|file| self.write_into(session, &file, content, offset).map(|()| file));
        match written {
            Ok(file) => {
                self.complete(session, 1, Some(&file));
                Ok(())
            }
            Err(error) => {
                self.fail(|| format!("it cannot be written: {error}"));
                self.complete(session, 1, None);
                if is_disk_full(&error) { Err(error) } else { Ok(()) }
            }
        }
    }

    fn write_into(&self, session: &Session<'_>, file: &File, content: &[u8], offset: u64) -> io::Result<()> {
        // Into a file that was there before zeros have to be written, since there may be something else.
        if session.options.sparse && !matches!(self.status(), Status::InPlace { .. }) {
            let mut end = 0;
            for range in data_ranges(content, offset) {
                end = range.end;
                file.write_all_at(&content[range.clone()], offset + range.start as u64)?;
            }
            if end < content.len() {
                self.has_holes.store(true, Ordering::Relaxed);
            }
        } else {
            file.write_all_at(content, offset)?;
        }
        self.written_bytes.fetch_add(content.len() as u64, Ordering::Relaxed);
        count(&session.tally.bytes, content.len() as u64);
        session.tally.progress(content.len() as u64);
        Ok(())
    }

    /// Some more of its blobs are where they belong, or never will be. The last one finishes the file.
    pub fn complete(&self, session: &Session<'_>, blobs: usize, file: Option<&File>) {
        if self.remaining_blobs.fetch_sub(blobs, Ordering::AcqRel) == blobs {
            self.finish(session, file);
        }
    }

    /// All blobs are done with: set length and metadata, or clean up.
    pub fn finish(&self, session: &Session<'_>, file: Option<&File>) {
        if !self.has_failed() {
            let result = match file {
                Some(file) => self.finish_open(session, file),
                None => self.open(session).and_then(|file| self.finish_open(session, &file)),
            };
            if let Err(error) = result {
                self.fail(|| format!("it cannot be written: {error}"));
            }
        }
        session.tally.file_done();
        if self.has_failed() {
            let leftover = self.clean_up(session);
            let reason = self.state.lock().failure.take().unwrap_or_default();
            self.fail(|| reason.clone());
            session.tally.problem(&self.path(), format!("{reason}{leftover}"));
        }
    }

    fn finish_open(&self, session: &Session<'_>, file: &File) -> io::Result<()> {
        let status = self.status();
        let old_size = if let Status::InPlace { size } = status {
            Some(size)
        } else {
            None
        };
        if self.has_holes.load(Ordering::Relaxed) || old_size.is_some_and(|size| size != self.size) {
            file.set_len(self.size)?;
        }
        let tally = &session.tally;
        count(&tally.files, 1);
        let is_identical = old_size == Some(self.size) && self.written_bytes.load(Ordering::Relaxed) == 0;
        if is_identical {
            count(&tally.identical_files, 1);
        }
        self.apply(session, file, old_size.is_none());
        tally.entry(
            || self.path(),
            if is_identical { "unchanged" } else { "restored" },
            self.size,
        );
        if let Some(first) = &self.first {
            first.set_restored();
        }
        Ok(())
    }

    fn apply(&self, session: &Session<'_>, file: &File, is_new: bool) {
        let mut options = session.options.metadata;
        if is_new {
            options = needed_for_new(options, &self.node, &self.dir, file);
        }
        for (what, error) in apply_metadata(Target::Open(file.as_fd()), &self.node, &options) {
            session.tally.problem(&self.path(), format!("cannot {what}: {error}"));
        }
    }

    /// A part of a file must not look like a file. Says what is left.
    fn clean_up(&self, session: &Session<'_>) -> &'static str {
        let state = self.state.lock();
        let was_written = self.written_bytes.load(Ordering::Relaxed) > 0;
        match state.status {
            Status::New | Status::Replace if state.is_made => {
                let removed = session
                    .dirs
                    .get(&self.dir)
                    .and_then(|dir| dir.remove_file(&self.node.name));
                match (removed, state.status) {
                    (Err(_), _) => "; a part of it is left and could not be removed",
                    (Ok(()), Status::Replace) => "; the file that was there before is gone",
                    (Ok(()), _) => "",
                }
            }
            Status::InPlace { .. } if was_written => "; the file that was there before is partly overwritten now",
            Status::InPlace { .. } => "; the file that was there before is left as it was",
            _ => "",
        }
    }

    /// The restore ends before this file is complete.
    pub fn abandon(&self, session: &Session<'_>) {
        let is_incomplete = self.remaining_blobs.load(Ordering::Acquire) > 0 && self.status() != Status::Done;
        if is_incomplete {
            let leftover = self.clean_up(session);
            if self.written_bytes.load(Ordering::Relaxed) > 0 && !leftover.is_empty() {
                session
                    .tally
                    .problem(&self.path(), format!("it was not finished{leftover}"));
            }
        }
    }
}

/// Leave out what creation gave already: three calls less for each of a million files.
fn needed_for_new(mut options: ApplyOptions, node: &Node, dir: &Dir, file: &File) -> ApplyOptions {
    let is_owner_right = options.owner && stat_fd(file).is_ok_and(|stat| (stat.uid, stat.gid) == (node.uid, node.gid));
    options.owner &= !is_owner_right;
    options.remove_foreign_attributes &= dir.hands_down;
    options
}

/// Errors after which no other file can be written either.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    )
}

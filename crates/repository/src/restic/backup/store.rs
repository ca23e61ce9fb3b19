//! Storing what was read.

use super::blobs::Saver;
use super::content::Part;
use super::directory::Directory;
use super::job::{Change, Job};
use crate::restic::node::Node;
use crate::restic::pack::BlobKind;
use crate::sha256::hash_each;
use crate::{Counters, Id, Result};
use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a worker is to store.
pub enum Work {
    /// Files that are one blob each. `finished` entries of the directory are done with them.
    Small {
        directory: Arc<Directory>,
        content: Vec<u8>,
        files: Vec<SmallFile>,
        finished: usize,
    },
    /// Blobs of a larger file, from the one with this number on.
    Parts {
        file: Arc<LargeFile>,
        first: usize,
        parts: Vec<Part>,
    },
    /// All blobs of a larger file have been sent.
    End { file: Arc<LargeFile> },
}

/// A file that was read whole.
pub struct SmallFile {
    pub slot: usize,
    pub node: Node,
    pub range: Range<usize>,
    pub change: Change,
}

/// A file whose blobs are stored one by one.
pub struct LargeFile {
    directory: Arc<Directory>,
    slot: usize,
    change: Change,
    state: Mutex<LargeState>,
    /// Blobs under way, and one more while it is being read.
    open: AtomicUsize,
}

struct LargeState {
    /// `None` when it could not be read to the end.
    node: Option<Node>,
    blobs: Vec<Id>,
    size: u64,
}

/// Store until nothing more comes.
pub fn work(job: &Job<'_>, queue: &Receiver<Work>) {
    let mut saver = match Saver::new(job) {
        Ok(saver) => saver,
        Err(error) => {
            job.fail(error);
            return queue.iter().for_each(drop);
        }
    };
    for next in queue {
        if !job.is_stopped()
            && let Err(error) = store(job, next, &mut saver)
        {
            job.fail(error);
        }
    }
}

fn store(job: &Job<'_>, work: Work, saver: &mut Saver<'_>) -> Result<()> {
    match work {
        Work::Small {
            directory,
            content,
            files,
            finished,
        } => {
            store_small(job, &directory, &content, files, saver)?;
            job.buffers.put(content);
            directory.release(finished, job, saver)
        }
        Work::Parts { file, first, parts } => {
            let contents: Vec<&[u8]> = parts.iter().map(Part::content).collect();
            let ids = hash_each(&contents);
            for (number, (part, id)) in (first..).zip(parts.into_iter().zip(ids)) {
                saver.save_hashed(BlobKind::Data, id, part.content())?;
                Counters::add(&job.monitor.counters().bytes, part.content().len() as u64);
                job.buffers.put(part.into_buffer());
                file.set(number, id);
                file.release(job, saver)?;
            }
            Ok(())
        }
        Work::End { file } => file.release(job, saver),
    }
}

fn store_small(
    job: &Job<'_>,
    directory: &Directory,
    content: &[u8],
    files: Vec<SmallFile>,
    saver: &mut Saver<'_>,
) -> Result<()> {
    let contents: Vec<&[u8]> = files.iter().map(|file| &content[file.range.clone()]).collect();
    for ((mut file, content), id) in files.into_iter().zip(&contents).zip(hash_each(&contents)) {
        if !content.is_empty() {
            saver.save_hashed(BlobKind::Data, id, content)?;
        }
        file.node.content = Some(if content.is_empty() { Vec::new() } else { vec![id] });
        file.node.size = content.len() as u64;
        directory.set(file.slot, &file.node);
        Counters::add(&job.monitor.counters().bytes, file.node.size);
        job.count_file(directory, &file.node.name, file.change, file.node.size);
    }
    Ok(())
}

impl LargeFile {
    pub fn begin(directory: &Arc<Directory>, slot: usize, change: Change, node: Node) -> Arc<Self> {
        let state = Mutex::new(LargeState {
            node: Some(node),
            blobs: Vec::new(),
            size: 0,
        });
        Arc::new(Self {
            directory: Arc::clone(directory),
            slot,
            change,
            state,
            open: AtomicUsize::new(1),
        })
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Content so far, bytes.
    pub fn size(&self) -> u64 {
        self.state.lock().size
    }

    /// A blob of `length` bytes is on its way to be stored.
    pub fn expect(&self, length: u64) {
        self.state.lock().size += length;
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// The next blob is one of `length` bytes that is stored already.
    pub fn add_stored(&self, number: usize, id: Id, length: u64) {
        self.set(number, id);
        self.state.lock().size += length;
    }

    /// It could not be read to the end and will not be part of the snapshot. Returns its name.
    pub fn abandon(&self) -> OsString {
        self.state.lock().node.take().map(|node| node.name).unwrap_or_default()
    }

    fn set(&self, number: usize, id: Id) {
        let mut state = self.state.lock();
        if state.blobs.len() <= number {
            state.blobs.resize(number + 1, Id::default());
        }
        state.blobs[number] = id;
    }

    fn release(&self, job: &Job<'_>, saver: &mut Saver<'_>) -> Result<()> {
        if self.open.fetch_sub(1, Ordering::AcqRel) != 1 {
            return Ok(());
        }
        let LargeState { node, blobs, size } = {
            let mut state = self.state.lock();
            LargeState {
                node: state.node.take(),
                blobs: std::mem::take(&mut state.blobs),
                size: state.size,
            }
        };
        if let Some(node) = node {
            let content = Some(blobs);
            let node = Node { content, size, ..node };
            self.directory.set(self.slot, &node);
            job.count_file(&self.directory, &node.name, self.change, size);
        }
        self.directory.release(1, job, saver)
    }
}

//! Writing what a snapshot holds to a stream: the content of a file, or a directory as a tar archive.
//!
//! Content is read ahead by several threads and written in order, with bounded memory.

mod tape;

use super::blob_reader::BlobReader;
use super::index::Index;
use super::node::Node;
use super::pack::BlobKind;
use super::parallel;
use super::repository::Repository;
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

/// Write the content of the file `node` to `out`.
///
/// # Errors
/// Any blob that cannot be read ends it: `out` then has a part of the file.
pub fn dump_file(
    repository: &Repository,
    index: &Index,
    node: &Node,
    out: &mut dyn Write,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<()> {
    with_readers(repository, index, |readers| {
        let mut queue = Queue::new(readers, out, cancel, monitor);
        node.blobs().iter().try_for_each(|id| queue.push_blob(id))?;
        queue.finish()
    })
}

/// Write the directory `root`, whose path in the snapshot is `path`, to `out` as a tar archive (PAX).
///
/// Names in the archive are the paths in the snapshot without the leading `/`, as restic writes them. Sockets are left out. Files
/// with missing blobs are left out and reported to `monitor`.
///
/// # Errors
/// A blob that cannot be read ends the archive, because the header before it promised the content.
pub fn dump_tar(
    repository: &Repository,
    index: &Index,
    root: &Id,
    path: &Path,
    out: &mut dyn Write,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<()> {
    with_readers(repository, index, |readers| {
        let queue = Queue::new(readers, out, cancel, monitor);
        tape::write(repository, index, root, path, queue, cancel, monitor)
    })
}

/// Content that is read ahead, bytes.
const AHEAD_BYTES: usize = 32 << 20;
/// Pieces that are read ahead.
const AHEAD_PIECES: usize = 512;
/// Threads that read at most.
const MAX_READERS: usize = 16;

struct Job {
    id: Id,
    done: Sender<Result<Vec<u8>>>,
}

/// Threads that read and verify blobs.
struct Readers<'a> {
    index: &'a Index,
    jobs: Sender<Job>,
    /// Buffers whose content was written.
    spare: Sender<Vec<u8>>,
}

fn with_readers<T>(repository: &Repository, index: &Index, work: impl FnOnce(Readers<'_>) -> Result<T>) -> Result<T> {
    let wanted = if repository.is_remote() {
        repository.store().concurrency()
    } else {
        parallel::cores()
    };
    std::thread::scope(|scope| {
        let (jobs, receiver) = bounded::<Job>(AHEAD_PIECES);
        let readers = wanted.clamp(1, MAX_READERS);
        let (spare, spares) = bounded(readers);
        for _ in 0..readers {
            let (receiver, spares) = (receiver.clone(), spares.clone());
            scope.spawn(move || read_all(repository, index, &receiver, &spares));
        }
        work(Readers { index, jobs, spare })
    })
}

fn read_all(repository: &Repository, index: &Index, jobs: &Receiver<Job>, spares: &Receiver<Vec<u8>>) {
    let mut reader = BlobReader::new(repository, index);
    for Job { id, done } in jobs {
        // Memory that is there already.
        let mut plain = spares.try_recv().unwrap_or_default();
        let content = reader.read(&id, &mut plain).map(|()| plain);
        // Nobody waits for it any more if the work ended early.
        done.send(content).unwrap_or_default();
    }
}

/// What is written, in order.
enum Piece {
    Bytes(Vec<u8>),
    Blob {
        content: Receiver<Result<Vec<u8>>>,
        length: usize,
    },
}

/// Pieces that are on their way.
struct Queue<'a> {
    readers: Readers<'a>,
    out: &'a mut dyn Write,
    cancel: &'a Cancel,
    monitor: &'a dyn Monitor,
    pieces: VecDeque<Piece>,
    ahead_bytes: usize,
}

impl<'a> Queue<'a> {
    fn new(readers: Readers<'a>, out: &'a mut dyn Write, cancel: &'a Cancel, monitor: &'a dyn Monitor) -> Self {
        Self {
            readers,
            out,
            cancel,
            monitor,
            pieces: VecDeque::new(),
            ahead_bytes: 0,
        }
    }

    fn push_bytes(&mut self, bytes: Vec<u8>) -> Result<()> {
        let length = bytes.len();
        self.push(Piece::Bytes(bytes), length)
    }

    fn push_blob(&mut self, id: &Id) -> Result<()> {
        let length = self
            .readers
            .index
            .find(BlobKind::Data, id)
            .map_or(0, |found| found.blob.plain_length() as usize);
        let (done, content) = bounded(1);
        // Room in the queue comes first, so that what is being read is bounded too.
        self.make_room(length)?;
        let stopped = |_| Error::Verification("the threads that read have stopped".to_owned());
        self.readers.jobs.send(Job { id: *id, done }).map_err(stopped)?;
        self.push(Piece::Blob { content, length }, length)
    }

    fn push(&mut self, piece: Piece, length: usize) -> Result<()> {
        self.make_room(length)?;
        self.ahead_bytes += length;
        self.pieces.push_back(piece);
        Ok(())
    }

    fn make_room(&mut self, length: usize) -> Result<()> {
        while self.pieces.len() >= AHEAD_PIECES || (self.ahead_bytes + length > AHEAD_BYTES && !self.pieces.is_empty())
        {
            self.write_one()?;
        }
        Ok(())
    }

    fn write_one(&mut self) -> Result<()> {
        self.cancel.check()?;
        let bytes = match self.pieces.pop_front() {
            None => return Ok(()),
            Some(Piece::Bytes(bytes)) => {
                self.ahead_bytes -= bytes.len();
                bytes
            }
            Some(Piece::Blob { content, length }) => {
                self.ahead_bytes -= length;
                let stopped = |_| Error::Verification("the threads that read have stopped".to_owned());
                let bytes = content.recv().map_err(stopped)??;
                if bytes.len() != length {
                    return Err(Error::Verification(
                        "a blob is longer or shorter than the index says".to_owned(),
                    ));
                }
                Counters::add(&self.monitor.counters().bytes, length as u64);
                bytes
            }
        };
        let written = self.out.write_all(&bytes);
        // As many as can be used; others are freed.
        self.readers.spare.try_send(bytes).unwrap_or_default();
        written.map_err(Error::local("write to", "the output"))
    }

    fn finish(mut self) -> Result<()> {
        while !self.pieces.is_empty() {
            self.write_one()?;
        }
        self.out.flush().map_err(Error::local("write to", "the output"))
    }
}

#[cfg(test)]
mod tests;

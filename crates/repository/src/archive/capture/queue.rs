//! Tasks on their way to the threads that make frames of them, and frames on their way back in order.
//!
//! For each task there is a place in a queue before anybody works on it, so that frames come out in the order of tasks, and so that
//! no more of them exist than there are places.

use super::segment::{Reader, Segment};
use super::task::{Piece, Task};
use crate::archive::compression::{Compression, FrameEncoder};
use crate::archive::entry::Entry;
use crate::archive::header::END_BYTES;
use crate::{Cancel, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};

/// A frame of the archive.
#[derive(Debug)]
pub struct Frame {
    /// Compressed.
    pub content: Vec<u8>,
    /// Of the tar stream, bytes.
    pub plain_bytes: usize,
    /// The entries that begin in it; places are counted from its beginning.
    pub entries: Vec<Entry>,
}

type Promise = Receiver<Result<Frame>>;

/// A task, and where its frame goes.
struct Job {
    task: Task,
    result: Sender<Result<Frame>>,
}

/// Takes tasks.
#[derive(Clone)]
pub struct TaskSender {
    jobs: Sender<Job>,
    promises: Sender<Promise>,
}

/// Puts tasks together.
pub struct TaskWriter<'a> {
    tasks: TaskSender,
    task: Task,
    frame_bytes: u64,
    cancel: &'a Cancel,
}

/// Works on tasks.
#[derive(Clone)]
pub struct Worker {
    jobs: Receiver<Job>,
}

/// The frames in order.
pub struct Frames {
    promises: Receiver<Promise>,
}

/// A queue with room for so many tasks and frames.
pub fn queue(room: usize) -> (TaskSender, Worker, Frames) {
    let (jobs_in, jobs) = bounded(room);
    let (promises_in, promises) = bounded(room);
    let sender = TaskSender {
        jobs: jobs_in,
        promises: promises_in,
    };
    (sender, Worker { jobs }, Frames { promises })
}

impl TaskSender {
    /// Hand a task over; waits for room.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if nobody takes frames any more.
    pub fn send(&self, task: Task) -> Result<()> {
        let (result, promise) = bounded(1);
        let is_taken = self.promises.send(promise).is_ok() && self.jobs.send(Job { task, result }).is_ok();
        if is_taken { Ok(()) } else { Err(Error::Interrupted) }
    }

    /// End with an error instead of a frame.
    pub fn fail(self, error: Error) {
        let (result, promise) = bounded(1);
        // If nobody listens, there is another error already.
        if result.send(Err(error)).is_ok() {
            self.promises.send(promise).unwrap_or_default();
        }
    }
}

impl<'a> TaskWriter<'a> {
    /// Tasks of which each becomes a frame of about so many bytes.
    pub fn new(tasks: TaskSender, frame_bytes: u64, cancel: &'a Cancel) -> Self {
        Self {
            tasks,
            task: Task::default(),
            frame_bytes,
            cancel,
        }
    }

    /// Add a piece, for which `opens` files stay open.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if nobody takes frames any more, or that was asked for.
    pub fn push(&mut self, piece: Piece, opens: usize) -> Result<()> {
        self.task.push(piece, opens);
        if self.task.is_full(self.frame_bytes) {
            self.send()
        } else {
            Ok(())
        }
    }

    /// Begin another frame if this one is half full, and so many bytes more would be too many.
    ///
    /// # Errors
    /// As [`TaskWriter::push`].
    pub fn make_room(&mut self, bytes: u64) -> Result<()> {
        let weight = self.task.weight_bytes;
        if weight >= self.frame_bytes / 2 && weight + bytes > self.frame_bytes {
            self.send()
        } else {
            Ok(())
        }
    }

    /// Bytes that the frame has room for.
    pub fn room(&self) -> u64 {
        self.frame_bytes.saturating_sub(self.task.weight_bytes)
    }

    /// What was pushed last.
    pub fn last(&self) -> Option<&Piece> {
        self.task.pieces.last()
    }

    /// The end of the archive.
    ///
    /// # Errors
    /// As [`TaskWriter::push`].
    pub fn finish(mut self) -> Result<()> {
        self.task.push(Piece::Bytes(vec![0; END_BYTES]), 0);
        self.send()
    }

    /// Hand the task over.
    fn send(&mut self) -> Result<()> {
        self.cancel.check()?;
        self.tasks.send(std::mem::take(&mut self.task))
    }
}

impl Worker {
    /// Make frames until there are no more tasks.
    pub fn run(self, mut reader: Reader<'_>, compression: Compression) {
        let mut encoder = compression.frame_encoder();
        let mut segment = Segment::default();
        for Job { task, result } in self.jobs {
            let frame = match &mut encoder {
                Ok(encoder) => make(&mut reader, encoder, task, &mut segment),
                Err(_) => Err(Error::Verification("the compressor cannot be set up".to_owned())),
            };
            // Whoever stops listening has an error already; the queue goes on being emptied.
            result.send(frame).unwrap_or_default();
        }
    }
}

fn make(reader: &mut Reader<'_>, encoder: &mut FrameEncoder, task: Task, segment: &mut Segment) -> Result<Frame> {
    reader.read(task, segment)?;
    Ok(Frame {
        content: encoder.encode(&segment.bytes)?,
        plain_bytes: segment.bytes.len(),
        entries: std::mem::take(&mut segment.entries),
    })
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let promise = self.promises.recv().ok()?;
        // A worker that is gone without an answer has panicked, which its scope reports.
        Some(promise.recv().unwrap_or(Err(Error::Interrupted)))
    }
}

//! Reading files and streams, and storing what was read.

use super::blobs::Saver;
use super::directory::Directory;
use super::job::{Change, Job};
use super::scan::TICK;
use super::sources::Stream;
use crate::local::holes::DataSegments;
use crate::local::meta::{Stat, stat_fd};
use crate::local::node::node_from_stat;
use crate::local::scan::open_file;
use crate::local::xattr::xattrs_of_fd;
use crate::restic::chunker::{MAX_SIZE, MIN_SIZE};
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::BlobKind;
use crate::{Counters, Error, Id, Result, clock};
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a reader is to read.
pub enum ToRead {
    /// Files of one directory.
    Files(Batch),
    /// A stream.
    Stream {
        directory: Arc<Directory>,
        slot: usize,
        name: OsString,
        stream: Stream,
        change: Change,
    },
}

/// Files of one directory that are read together.
pub struct Batch {
    pub directory: Arc<Directory>,
    /// The directory, open.
    pub holder: Arc<OwnedFd>,
    pub files: Vec<FileToRead>,
}

/// A file that has to be read.
pub struct FileToRead {
    pub slot: usize,
    pub name: OsString,
    pub change: Change,
}

/// What a worker is to store.
pub enum Work {
    /// Files that are one blob each. `finished` entries of the directory are done with them.
    Small {
        directory: Arc<Directory>,
        content: Vec<u8>,
        files: Vec<SmallFile>,
        finished: usize,
    },
    /// One blob of a larger file.
    Part {
        file: Arc<LargeFile>,
        number: usize,
        content: Vec<u8>,
    },
    /// All blobs of a larger file have been sent.
    End { file: Arc<LargeFile> },
}

/// A file that was read whole.
pub struct SmallFile {
    slot: usize,
    node: Node,
    range: Range<usize>,
    change: Change,
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

/// Buffers that are used again: their memory is there already.
#[derive(Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

const KEPT_BUFFERS: usize = 8;

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    fn put(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.0.lock();
        if kept.len() < KEPT_BUFFERS {
            kept.push(buffer);
        }
    }
}

/// Read until nothing more comes.
pub fn read(job: &Job<'_>, queue: &Receiver<ToRead>, work: &Sender<Work>) {
    let mut reader = Reader {
        job,
        work,
        window: Vec::new(),
    };
    for next in queue {
        // After a failure the queue is still emptied, so that nobody waits for room in it.
        if job.is_stopped() {
            continue;
        }
        let done = match next {
            ToRead::Files(batch) => reader.read_batch(batch),
            ToRead::Stream {
                directory,
                slot,
                name,
                stream,
                change,
            } => reader.read_stream(directory, slot, name, stream, change),
        };
        if let Err(error) = done {
            job.fail(error);
        }
    }
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
            for file in files {
                store_small(job, &directory, &content[file.range.clone()], file, saver)?;
            }
            job.buffers.put(content);
            directory.release(finished, job, saver)
        }
        Work::Part { file, number, content } => {
            let id = saver.save(BlobKind::Data, &content)?;
            Counters::add(&job.monitor.counters().bytes, content.len() as u64);
            job.buffers.put(content);
            file.set(number, id);
            file.release(job, saver)
        }
        Work::End { file } => file.release(job, saver),
    }
}

fn store_small(
    job: &Job<'_>,
    directory: &Directory,
    content: &[u8],
    mut file: SmallFile,
    saver: &mut Saver<'_>,
) -> Result<()> {
    let blobs = if content.is_empty() {
        Vec::new()
    } else {
        vec![saver.save(BlobKind::Data, content)?]
    };
    file.node.content = Some(blobs);
    file.node.size = content.len() as u64;
    directory.set(file.slot, &file.node);
    Counters::add(&job.monitor.counters().bytes, file.node.size);
    job.count_file(file.change, file.node.size);
    Ok(())
}

impl LargeFile {
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
            self.directory.set(
                self.slot,
                &Node {
                    content: Some(blobs),
                    size,
                    ..node
                },
            );
            job.count_file(self.change, size);
        }
        self.directory.release(1, job, saver)
    }
}

struct Reader<'a, 'j> {
    job: &'a Job<'j>,
    work: &'a Sender<Work>,
    /// Where large files are read to and cut.
    window: Vec<u8>,
}

/// Room for the longest blob and as much again, so that what remains is moved rarely.
const WINDOW: usize = 2 * MAX_SIZE;

impl Reader<'_, '_> {
    fn read_batch(&mut self, batch: Batch) -> Result<()> {
        let Batch {
            directory,
            holder,
            files,
        } = batch;
        let (mut content, mut small, mut finished) = (self.job.buffers.take(), Vec::with_capacity(files.len()), 0);
        for FileToRead { slot, name, change } in files {
            match self.read_file(&directory, &holder, slot, &name, change, &mut content) {
                Ok(Some(file)) => small.push(file),
                // Its blobs are on their way.
                Ok(None) => continue,
                Err(Failure::Entry(error)) => self.job.problem(&directory, &name, &error),
                Err(Failure::Backup(error)) => return Err(error),
            }
            finished += 1;
        }
        if finished == 0 {
            self.job.buffers.put(content);
            return Ok(());
        }
        // Also when nothing could be read: the directory waits for its entries.
        self.send(Work::Small {
            directory,
            content,
            files: small,
            finished,
        })
    }

    fn send(&self, work: Work) -> Result<()> {
        self.work.send(work).map_err(|_| Error::Interrupted)
    }

    /// A file that was read whole, or `None` if its blobs are sent one by one.
    fn read_file(
        &mut self,
        directory: &Arc<Directory>,
        holder: &OwnedFd,
        slot: usize,
        name: &OsStr,
        change: Change,
        content: &mut Vec<u8>,
    ) -> std::result::Result<Option<SmallFile>, Failure> {
        let (file, stat) = open_settled(holder, name)?;
        let mut node = node_from_stat(name, &stat, &self.job.users);
        node.extended_attributes = xattrs_of_fd(&file)?;
        if self.job.options.with_atime {
            node.atime = accessed(&file)?;
        }
        let start = content.len();
        if stat.size <= MIN_SIZE as u64 && read_small(&file, stat.size as usize, content)? {
            if content.len() - start != stat.size as usize {
                directory.taint();
                Counters::add(&self.job.counts.changed_while_read, 1);
            }
            return Ok(Some(SmallFile {
                slot,
                node,
                range: start..content.len(),
                change,
            }));
        }
        content.truncate(start);
        let large = LargeFile::begin(directory, slot, change, node);
        let read = self.cut_all(&large, &mut FileContent::new(&file, &stat));
        let changed = self.notice_change(directory, &file, &stat);
        self.end(large, read.and_then(|()| Ok(changed?)))?;
        Ok(None)
    }

    /// The last act on a large file. A file that could not be read to the end is left out.
    fn end(&self, file: Arc<LargeFile>, read: std::result::Result<(), Failure>) -> std::result::Result<(), Failure> {
        if let Err(Failure::Entry(error)) = &read {
            let node = file.state.lock().node.take();
            self.job
                .problem(&file.directory, &node.map(|node| node.name).unwrap_or_default(), error);
        }
        self.send(Work::End { file })?;
        match read {
            Err(Failure::Backup(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn notice_change(&self, directory: &Directory, file: &File, before: &Stat) -> io::Result<()> {
        let now = stat_fd(file)?;
        if (now.mtime, now.size) != (before.mtime, before.size) {
            directory.taint();
            Counters::add(&self.job.counts.changed_while_read, 1);
        }
        Ok(())
    }

    fn read_stream(
        &mut self,
        directory: Arc<Directory>,
        slot: usize,
        name: OsString,
        stream: Stream,
        change: Change,
    ) -> Result<()> {
        let Stream { reader, finish } = stream;
        let path = directory.path.join(&name);
        let node = Node {
            mtime: clock::now(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            ..Node::new(name, NodeKind::File, 0o600)
        };
        let node = Node {
            atime: node.mtime,
            ctime: node.mtime,
            ..node
        };
        directory.taint();
        let large = LargeFile::begin(&directory, slot, change, node);
        match self.cut_all(&large, &mut StreamContent { reader }) {
            Ok(()) => {}
            Err(Failure::Entry(source)) => {
                return Err(Error::Local {
                    operation: "read",
                    path,
                    source,
                });
            }
            Err(Failure::Backup(error)) => return Err(error),
        }
        // Only a stream that ended well is worth a snapshot.
        finish()?;
        if large.state.lock().size == 0 && !self.job.options.allow_empty {
            return Err(Error::Refused {
                message: format!(
                    "there is nothing to back up: the stream for `{}` was empty",
                    path.display()
                ),
                hint: "Check the command that writes it; `--allow-empty` stores an empty file all the same.".to_owned(),
            });
        }
        Counters::add(&self.job.monitor.counters().total_files, 1);
        self.send(Work::End { file: large })
    }

    /// Cut content into blobs and send them to be stored.
    fn cut_all(&mut self, file: &Arc<LargeFile>, content: &mut dyn Content) -> std::result::Result<(), Failure> {
        self.window.resize(WINDOW, 0);
        let (mut number, mut start, mut end, mut at_end) = (0, 0, 0, false);
        loop {
            if start == end {
                number = self.skip_zeros(file, number, content)?;
            }
            if !at_end && end - start < MAX_SIZE {
                self.window.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                at_end = fill(content, &mut self.window, &mut end)?;
            }
            if start == end {
                return Ok(());
            }
            let length = self.job.chunker.cut(&self.window[start..end]);
            let mut part = self.job.buffers.take();
            part.extend_from_slice(&self.window[start..start + length]);
            start += length;
            self.send_part(file, number, part)?;
            number += 1;
        }
    }

    fn send_part(&self, file: &Arc<LargeFile>, number: usize, content: Vec<u8>) -> std::result::Result<(), Failure> {
        if self.job.is_stopped() {
            return Err(Error::Interrupted.into());
        }
        file.state.lock().size += content.len() as u64;
        file.open.fetch_add(1, Ordering::Relaxed);
        Ok(self.send(Work::Part {
            file: Arc::clone(file),
            number,
            content,
        })?)
    }

    /// Holes are long runs of zeros that need not be read: they are cut the same way every time.
    fn skip_zeros(
        &self,
        file: &Arc<LargeFile>,
        first: usize,
        content: &mut dyn Content,
    ) -> std::result::Result<usize, Failure> {
        let mut number = first;
        let mut zeros: Option<(Id, usize)> = None;
        while content.hole()? >= MAX_SIZE as u64 {
            let length = if let Some((id, length)) = zeros {
                file.set(number, id);
                file.state.lock().size += length as u64;
                Counters::add(&self.job.monitor.counters().bytes, length as u64);
                length
            } else {
                let mut part = vec![0; MAX_SIZE];
                part.truncate(self.job.chunker.cut(&part));
                zeros = Some((Id::hash(&part), part.len()));
                let length = part.len();
                self.send_part(file, number, part)?;
                length
            };
            content.skip(length as u64);
            number += 1;
        }
        Ok(number)
    }
}

impl LargeFile {
    fn begin(directory: &Arc<Directory>, slot: usize, change: Change, node: Node) -> Arc<Self> {
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
}

/// What a failure concerns.
enum Failure {
    /// This entry only.
    Entry(io::Error),
    /// Everything.
    Backup(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Entry(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Backup(error)
    }
}

/// Open a file whose timestamps tell of every later change: one that changed a moment ago could change again within the same tick of the
/// file system's clock and look unchanged to the next backup. So the tick is waited for.
fn open_settled(holder: &OwnedFd, name: &OsStr) -> io::Result<(File, Stat)> {
    const TRIES: usize = 3;
    let (file, mut stat) = open_file(holder, name)?;
    for _ in 0..TRIES {
        let age = clock::now().duration_since(stat.ctime);
        if age >= TICK || age.is_negative() {
            break;
        }
        std::thread::sleep(Duration::try_from(TICK - age).unwrap_or_default());
        stat = stat_fd(&file)?;
    }
    Ok((file, stat))
}

fn accessed(file: &File) -> io::Result<jiff::Timestamp> {
    jiff::Timestamp::try_from(file.metadata()?.accessed()?).map_err(io::Error::other)
}

/// Append a whole small file; `false` if it has grown out of being small.
fn read_small(file: &File, expected: usize, content: &mut Vec<u8>) -> io::Result<bool> {
    let start = content.len();
    let mut room = expected + 1;
    loop {
        let length = content.len();
        content.resize(length + room, 0);
        let read = read_at(file, &mut content[length..], (length - start) as u64)?;
        content.truncate(length + read);
        // A short read is the end of a regular file, but a file system may know better: only nothing is nothing.
        if read == 0 || (read < room && content.len() - start == expected) {
            return Ok(true);
        }
        if content.len() - start > MIN_SIZE {
            return Ok(false);
        }
        room = 64 << 10;
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Fill the window behind `end`; `true` at the end of the content.
fn fill(content: &mut dyn Content, window: &mut [u8], end: &mut usize) -> io::Result<bool> {
    while *end < window.len() {
        match content.read(&mut window[*end..])? {
            0 => return Ok(true),
            read => *end += read,
        }
    }
    Ok(false)
}

/// Bytes that come one after the other.
trait Content {
    /// The next bytes; none at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many of the next bytes are known to be zeros.
    fn hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }

    /// Pass over bytes that are known.
    fn skip(&mut self, _length: u64) {}
}

struct FileContent<'a> {
    file: &'a File,
    position: u64,
    size: u64,
    segments: Option<DataSegments<'a>>,
    /// The next part that is not a hole.
    data: Range<u64>,
}

impl<'a> FileContent<'a> {
    fn new(file: &'a File, stat: &Stat) -> Self {
        let segments = stat.may_have_holes().then(|| DataSegments::new(file, stat.size));
        Self {
            file,
            position: 0,
            size: stat.size,
            segments,
            data: 0..0,
        }
    }
}

impl Content for FileContent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }

    fn hole(&mut self) -> io::Result<u64> {
        let Some(segments) = &mut self.segments else {
            return Ok(0);
        };
        while self.data.end <= self.position {
            self.data = segments.next().transpose()?.unwrap_or(self.size..u64::MAX);
        }
        Ok(self.data.start.saturating_sub(self.position))
    }

    fn skip(&mut self, length: u64) {
        self.position += length;
    }
}

struct StreamContent {
    reader: Box<dyn io::Read + Send>,
}

impl Content for StreamContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

//! Reading files and streams, and cutting them into blobs.

use super::content::{Content, FileContent, Part, StreamContent, accessed, open_settled, read_small};
use super::directory::Directory;
use super::job::{Change, Job};
use super::sources::Stream;
use super::store::{LargeFile, SmallFile, Work};
use crate::local::meta::{Stat, stat_fd};
use crate::local::node::node_from_stat;
use crate::local::xattr::xattrs_of_fd;
use crate::restic::chunker::{MAX_SIZE, MIN_SIZE, Search};
use crate::restic::node::{Node, NodeKind};
use crate::substitute::{self, is_meant};
use crate::{Counters, Error, Id, Result, clock};
use crossbeam_channel::{Receiver, Sender};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

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
    /// Files beside it that hold part of its content: to be read only if it has to be captured as it is.
    pub companions: Vec<FileToRead>,
}

/// What the files of a batch come to.
#[derive(Default)]
struct Gathered {
    /// Of small files, one after the other.
    content: Vec<u8>,
    small: Vec<SmallFile>,
    /// Files that are to be read, too.
    more: Vec<FileToRead>,
}

/// Parts of a file that are sent together: two are hashed in little more time than one.
const TOGETHER: usize = 2;

/// Read until nothing more comes.
pub fn read(job: &Job<'_>, queue: &Receiver<ToRead>, work: &Sender<Work>) {
    let reader = Reader { job, work };
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

struct Reader<'a, 'j> {
    job: &'a Job<'j>,
    work: &'a Sender<Work>,
}

impl Reader<'_, '_> {
    fn read_batch(&self, batch: Batch) -> Result<()> {
        let Batch {
            directory,
            holder,
            files,
        } = batch;
        let mut gathered = Gathered {
            content: self.job.buffers.take(),
            small: Vec::with_capacity(files.len()),
            more: files,
        };
        // The first one is taken first.
        gathered.more.reverse();
        let mut finished = 0;
        while let Some(file) = gathered.more.pop() {
            let name = file.name.clone();
            match self.read_file(&directory, &holder, file, &mut gathered) {
                Ok(Sent::Later) => finished += 1,
                Ok(Sent::Already) => {}
                Err(Failure::Entry(error)) => {
                    self.job.problem(&directory, &name, &error);
                    finished += 1;
                }
                Err(Failure::Backup(error)) => return Err(error),
            }
        }
        let Gathered { content, small, .. } = gathered;
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

    fn read_file(
        &self,
        directory: &Arc<Directory>,
        holder: &OwnedFd,
        to_read: FileToRead,
        gathered: &mut Gathered,
    ) -> std::result::Result<Sent, Failure> {
        let (file, stat) = open_settled(holder, &to_read.name)?;
        let read = self.read_open(directory, to_read, (&file, &stat), gathered);
        if let Some(substitute) = self.job.options.substitute.as_deref() {
            substitute::close(substitute, file, &stat);
        }
        read
    }

    fn read_open(
        &self,
        directory: &Arc<Directory>,
        to_read: FileToRead,
        (file, stat): (&File, &Stat),
        gathered: &mut Gathered,
    ) -> std::result::Result<Sent, Failure> {
        let FileToRead {
            slot,
            name,
            change,
            companions,
        } = to_read;
        let mut node = node_from_stat(&name, stat, &self.job.users);
        node.extended_attributes = xattrs_of_fd(file)?;
        if self.job.options.with_atime {
            node.atime = accessed(file)?;
        }
        if let Some(substitute) = self.job.options.substitute.as_deref()
            && is_meant(substitute, file, stat)
        {
            match substitute.open(&directory.path.join(&name)) {
                Ok((reader, _)) => {
                    let large = LargeFile::begin(directory, slot, change, node);
                    let read = self.cut_all(&large, &mut StreamContent { reader });
                    self.end(large, read)?;
                    return Ok(Sent::Already);
                }
                Err(error) => {
                    // It is captured as it is, and so is what belongs to it.
                    self.job.problem(directory, &name, &error);
                    directory.expect(companions.len());
                    gathered.more.extend(companions);
                }
            }
        }
        let content = &mut gathered.content;
        let start = content.len();
        if stat.size <= MIN_SIZE as u64 && read_small(file, stat.size as usize, content)? {
            if content.len() - start != stat.size as usize {
                directory.taint();
                Counters::add(&self.job.counts.changed_while_read, 1);
            }
            gathered.small.push(SmallFile {
                slot,
                node,
                range: start..content.len(),
                change,
            });
            return Ok(Sent::Later);
        }
        content.truncate(start);
        let large = LargeFile::begin(directory, slot, change, node);
        let read = self.cut_all(&large, &mut FileContent::new(file, stat));
        let changed = self.notice_change(directory, file, stat);
        self.end(large, read.and_then(|()| Ok(changed?)))?;
        Ok(Sent::Already)
    }

    /// The last act on a large file. A file that could not be read to the end is left out.
    fn end(&self, file: Arc<LargeFile>, read: std::result::Result<(), Failure>) -> std::result::Result<(), Failure> {
        if let Err(Failure::Entry(error)) = &read {
            self.job.problem(file.directory(), &file.abandon(), error);
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
        &self,
        directory: Arc<Directory>,
        slot: usize,
        name: OsString,
        stream: Stream,
        change: Change,
    ) -> Result<()> {
        let path = directory.path.join(&name);
        directory.taint();
        let large = LargeFile::begin(&directory, slot, change, new_file(name));
        let required = stream.required;
        match self.cut_stream(&large, stream, &path) {
            Ok(()) => self.job.expected.add(self.job.monitor, large.size()),
            Err(error) if !required && !self.job.is_stopped() => {
                large.abandon();
                self.job.failed_stream(&path, &error);
            }
            Err(error) => return Err(error),
        }
        self.send(Work::End { file: large })
    }

    fn cut_stream(&self, large: &Arc<LargeFile>, stream: Stream, path: &Path) -> Result<()> {
        let Stream { reader, finish, .. } = stream;
        match self.cut_all(large, &mut StreamContent { reader }) {
            Ok(()) => {}
            Err(Failure::Entry(source)) => {
                return Err(Error::Local {
                    operation: "read",
                    path: path.to_owned(),
                    source,
                });
            }
            Err(Failure::Backup(error)) => return Err(error),
        }
        // Only a stream that ended well is worth a snapshot.
        finish()?;
        if large.size() == 0 && !self.job.options.allow_empty {
            return Err(Error::Refused {
                message: format!(
                    "there is nothing to back up: the stream for `{}` was empty",
                    path.display()
                ),
                hint: "Check the command that writes it; `--allow-empty` stores an empty file all the same.".to_owned(),
            });
        }
        Ok(())
    }

    /// Cut content into blobs and send them to be stored.
    fn cut_all(&self, file: &Arc<LargeFile>, content: &mut dyn Content) -> std::result::Result<(), Failure> {
        let mut part = Part::begin(self.job.buffers.take_used(), &[]);
        let (mut number, mut at_end, mut ready) = (0, false, Vec::new());
        loop {
            if content.back_to_hole(part.content().len())? {
                part.clear();
                at_end = false;
                self.send_parts(file, number, std::mem::take(&mut ready))?;
                number = self.skip_zeros(file, number, content)?;
            }
            let mut search = Search::default();
            let length = loop {
                match self.job.chunker.find(&mut search, part.content()) {
                    Some(length) => break length,
                    None if at_end => break part.content().len(),
                    None => at_end = part.read(content)?,
                }
            };
            if length == 0 {
                self.job.buffers.put(part.into_buffer());
                return self.send_parts(file, number, ready);
            }
            let rest = part.split_off(length, self.job.buffers.take_used());
            ready.push(std::mem::replace(&mut part, rest));
            number += 1;
            if ready.len() == TOGETHER {
                self.send_parts(file, number, std::mem::take(&mut ready))?;
            }
        }
    }

    /// Send the parts before the one with the number `next`.
    fn send_parts(&self, file: &Arc<LargeFile>, next: usize, parts: Vec<Part>) -> std::result::Result<(), Failure> {
        if parts.is_empty() {
            return Ok(());
        }
        if self.job.is_stopped() {
            return Err(Error::Interrupted.into());
        }
        for part in &parts {
            file.expect(part.content().len() as u64);
        }
        Ok(self.send(Work::Parts {
            file: Arc::clone(file),
            first: next - parts.len(),
            parts,
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
        while content.hole(0)? >= MAX_SIZE as u64 {
            let length = if let Some((id, length)) = zeros {
                file.add_stored(number, id, length as u64);
                Counters::add(&self.job.monitor.counters().bytes, length as u64);
                length
            } else {
                let part = vec![0; MAX_SIZE];
                let part = &part[..self.job.chunker.cut(&part)];
                zeros = Some((Id::hash(part), part.len()));
                self.send_parts(file, number + 1, vec![Part::begin(Vec::new(), part)])?;
                part.len()
            };
            content.skip(length as u64);
            number += 1;
        }
        Ok(number)
    }
}

/// A file that is not one of this host's: of now, for its owner.
pub fn new_file(name: OsString) -> Node {
    let now = clock::now();
    Node {
        mtime: now,
        atime: now,
        ctime: now,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        ..Node::new(name, NodeKind::File, 0o600)
    }
}

/// When a file that was read is on its way to be stored.
enum Sent {
    /// With the others of its batch.
    Later,
    /// Its blobs are.
    Already,
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

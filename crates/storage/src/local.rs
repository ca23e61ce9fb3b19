//! A store in a directory.
//!
//! Plain system calls rather than a library, because durability needs the `fsync` of directories, which the usual
//! abstractions leave out.

mod direct;
mod dirs;
mod link;
mod list;
mod temporary;

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::name::{check_name, check_prefix};
use crate::{Error, ErrorKind, ObjectInfo, ObjectWriter, Result, Store};
use dirs::Directories;
use temporary::TemporaryFile;

/// Objects as files under one directory, which is created with mode 0700 by the first write.
///
/// An object is written under a temporary name in its final directory, synced, made read-only, renamed, and its
/// directory synced. Symbolic links to directories are followed (a user may have moved `data` to another disk);
/// a symbolic link in the place of an object is not an object.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    directories: Directories,
}

impl LocalStore {
    /// The store under `root`, which need not exist yet. Until something is written there, a listing is an error of
    /// kind [`ErrorKind::NotFound`]: a disk that is not mounted must not look like an empty store.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            directories: Directories::default(),
        }
    }

    fn path(&self, operation: &'static str, name: &str) -> Result<PathBuf> {
        check_name(operation, name, &self.location())?;
        Ok(self.root.join(name))
    }

    fn error(&self, operation: &'static str, name: &str, source: std::io::Error) -> Error {
        Error::new(kind_of(&source), operation, name, self.location()).because(source)
    }

    fn open(&self, name: &str) -> Result<(File, u64)> {
        let path = self.path("read", name)?;
        open_object(&path).map_err(|error| self.error("read", name, error))
    }

    /// Begin a temporary file beside `path`, in a directory that will survive a power failure.
    fn begin(&self, path: &Path) -> std::io::Result<TemporaryFile> {
        match self.begin_once(path) {
            // Somebody removed a directory since this process made sure of it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.directories.forget();
                self.begin_once(path)
            }
            other => other,
        }
    }

    fn begin_once(&self, path: &Path) -> std::io::Result<TemporaryFile> {
        self.directories.ensure(path.parent().unwrap_or(&self.root))?;
        TemporaryFile::create(path)
    }

    fn write_file(&self, path: &Path, pieces: &[Bytes]) -> std::io::Result<()> {
        let file = self.begin(path)?;
        file.fill(pieces)?;
        file.publish()
    }
}

impl Store for LocalStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix, &self.location())?;
        list::list(&self.root, prefix).map_err(|error| self.error("list", prefix, error))
    }

    fn stat(&self, name: &str) -> Result<u64> {
        let path = self.path("stat", name)?;
        let found = rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).map_err(std::io::Error::from);
        let stat = found.map_err(|error| self.error("stat", name, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(ErrorKind::NotFound, "stat", name, self.location()));
        }
        Ok(stat.st_size as u64)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        let (mut file, size) = self.open(name)?;
        let mut content = Vec::with_capacity(size as usize);
        file.read_to_end(&mut content)
            .map_err(|error| self.error("read", name, error))?;
        Ok(content.into())
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let (file, size) = self.open(name)?;
        if range.start > range.end || range.end > size {
            return Err(Error::new(ErrorKind::Truncated, "read", name, self.location()));
        }
        let mut content = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut content, range.start)
            .map_err(|error| self.error("read", name, error))?;
        Ok(content.into())
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.write_pieces(name, &[content])
    }

    fn write_pieces(&self, name: &str, pieces: &[Bytes]) -> Result<()> {
        let path = self.path("write", name)?;
        self.write_file(&path, pieces)
            .map_err(|error| self.error("write", name, error))
    }

    fn gathers(&self) -> bool {
        true
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        let path = self.path("write", name)?;
        let file = self.begin(&path).map_err(|error| self.error("write", name, error))?;
        Ok(Box::new(LocalWriter {
            file,
            size: 0,
            name: name.to_owned(),
            location: self.location(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path("delete", name)?;
        match std::fs::remove_file(&path) {
            Err(error) if kind_of(&error) == ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| self.error("delete", name, error)),
        }
    }

    fn concurrency(&self) -> usize {
        8
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        let path = self.path("link", name)?;
        check_name("link", target, &self.location())?;
        link::set(&path, name, target).map_err(|error| self.error("link", name, error))
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        let path = self.path("read", name)?;
        link::object(&path, name).map_err(|error| self.error("read", name, error))
    }
}

struct LocalWriter {
    file: TemporaryFile,
    size: u64,
    name: String,
    location: String,
}

impl LocalWriter {
    fn error(name: &str, location: &str, source: std::io::Error) -> Error {
        Error::new(kind_of(&source), "write", name, location).because(source)
    }
}

impl ObjectWriter for LocalWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        self.file
            .write_all(&content)
            .map_err(|error| Self::error(&self.name, &self.location, error))?;
        self.size += content.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let Self {
            file,
            size,
            name,
            location,
        } = *self;
        file.publish().map_err(|error| Self::error(&name, &location, error))?;
        Ok(size)
    }
}

/// Open the regular file at `path`; anything else there counts as missing.
fn open_object(path: &Path) -> std::io::Result<(File, u64)> {
    // Without NONBLOCK a named pipe in the place of an object would hang the reader.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata.len()))
    } else {
        Err(Errno::NOENT.into())
    }
}

/// What a caller can do about a system error.
fn kind_of(error: &std::io::Error) -> ErrorKind {
    let errno = Errno::from_io_error(error);
    match errno {
        // ENOTDIR: `a` is an object, so that there can be no `a/b`. ELOOP: a symbolic link is not an object.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => ErrorKind::NotFound,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => ErrorKind::PermissionDenied,
        Some(Errno::NOSPC | Errno::DQUOT) => ErrorKind::Full,
        Some(Errno::NAMETOOLONG) => ErrorKind::InvalidName,
        Some(Errno::TIMEDOUT) => ErrorKind::TimedOut,
        Some(Errno::STALE | Errno::HOSTDOWN | Errno::MFILE | Errno::NFILE) => ErrorKind::Unavailable,
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => ErrorKind::Truncated,
        _ => ErrorKind::Other,
    }
}

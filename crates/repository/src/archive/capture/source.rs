//! What goes into an archive.

use super::rewrite::Rewritten;
use super::snapshot::FromSnapshot;
use crate::{Filter, Result, Substitute};
use std::ffi::OsString;
use std::io::{Cursor, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where what goes into an archive comes from.
pub enum Contents<'a> {
    /// From where it is, read now.
    Sources(Vec<Source>),
    /// From a snapshot, which is what it was when that was made.
    Snapshot(&'a FromSnapshot<'a>),
    /// From another archive, without what has to go.
    Rewritten(Rewritten<'a>),
}

impl<'a> Contents<'a> {
    /// The snapshot, if it is one.
    pub(in crate::archive) fn snapshot(&self) -> Option<&'a FromSnapshot<'a>> {
        match self {
            Self::Sources(_) | Self::Rewritten(_) => None,
            Self::Snapshot(snapshot) => Some(snapshot),
        }
    }

    /// Entries that could not be read when it was made of the sources.
    pub(in crate::archive) fn problems(&self) -> u64 {
        match self {
            Self::Sources(_) => 0,
            Self::Snapshot(snapshot) => snapshot.problems(),
            Self::Rewritten(rewritten) => rewritten.problems(),
        }
    }
}

impl From<Vec<Source>> for Contents<'_> {
    fn from(sources: Vec<Source>) -> Self {
        Self::Sources(sources)
    }
}

/// Something to capture, and the path that it gets in the archive.
pub struct Source {
    /// Relative; empty stands for the root of the archive.
    pub(super) name: PathBuf,
    pub(super) content: Content,
}

/// Where the bytes come from.
pub(super) enum Content {
    /// A file or directory of this host with everything below.
    Path(PathBuf),
    /// The content of one file.
    Stream(Stream),
    /// A file that is made of what was found before it.
    Last(MakeLast),
}

/// Makes a file's content of what was found of each source before it: number of entries that are not directories, and content in bytes.
pub type MakeLast = Box<dyn FnOnce(&[(u64, u64)]) -> Vec<u8> + Send>;

/// The content of one file, from elsewhere than the file system.
pub(super) struct Stream {
    pub reader: Box<dyn Read + Send>,
    pub finish: Box<dyn FnOnce() -> Result<()> + Send>,
    pub required: bool,
}

impl Stream {
    /// These bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            reader: Box::new(Cursor::new(bytes)),
            finish: Box::new(|| Ok(())),
            required: true,
        }
    }
}

impl Source {
    /// A file or directory of this host under its own path, without the slash at its beginning, as with `tar`.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::path_as(path.clone(), &path)
    }

    /// A file or directory of this host under another path.
    pub fn path_as(path: impl Into<PathBuf>, name: &Path) -> Self {
        Self {
            name: relative(name),
            content: Content::Path(path.into()),
        }
    }

    /// Bytes of unknown number that become one file, such as a database's dump. `finish` is called after the last byte and says
    /// whether they were all there were: an error makes the whole archive fail.
    pub fn stream(
        name: &Path,
        reader: impl Read + Send + 'static,
        finish: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Self {
        let stream = Stream {
            reader: Box::new(reader),
            finish: Box::new(finish),
            required: true,
        };
        Self {
            name: relative(name),
            content: Content::Stream(stream),
        }
    }

    /// Whether the archive fails if a stream does. One that is not required is left out, and the archive is incomplete; but only if it fails
    /// within its first 32 MiB: what was written of a longer one cannot be taken back.
    #[must_use]
    pub fn required(mut self, required: bool) -> Self {
        if let Content::Stream(stream) = &mut self.content {
            stream.required = required;
        }
        self
    }

    /// A file that is made when the sources before it were captured.
    pub fn last(name: &Path, content: MakeLast) -> Self {
        Self {
            name: relative(name),
            content: Content::Last(content),
        }
    }

    /// Bytes that become one file.
    pub fn bytes(name: &Path, bytes: Vec<u8>) -> Self {
        Self::stream(name, Cursor::new(bytes), || Ok(()))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.content {
            Content::Path(path) => write!(f, "Path({} as {})", path.display(), self.name.display()),
            Content::Stream(_) | Content::Last(_) => write!(f, "Stream({})", self.name.display()),
        }
    }
}

/// Without what leads out of the archive: slashes at the beginning, `.` and `..`.
fn relative(path: &Path) -> PathBuf {
    let names = path.components().filter_map(|component| match component {
        std::path::Component::Normal(name) => Some(name),
        _ => None,
    });
    names.collect()
}

/// A name below a path of the archive.
pub(super) fn joined(parent: &[u8], name: &OsString) -> Vec<u8> {
    let mut path = parent.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}

/// How a path of the archive is shown in messages.
pub(super) fn shown(name: &[u8]) -> String {
    format!("/{}", OsString::from_vec(name.to_vec()).display())
}

/// How to capture.
#[derive(Clone, Debug, Default)]
pub struct CaptureOptions {
    /// What is left out; asked with paths of this host.
    pub filter: Filter,
    /// Do not descend into other file systems.
    pub one_file_system: bool,
    /// Files that are captured in another way.
    pub substitute: Option<Arc<dyn Substitute>>,
    /// Make an archive also if there is nothing in it but directories.
    pub allow_empty: bool,
    /// Threads that read and compress; 0 chooses.
    pub threads: usize,
}

//! What a source captures: parts, each of which can be restored by itself.

use super::logical;
use super::program::Programs;
use super::room::IMAGE;
use crate::engine::manifest::{Facts, Grade};
use parking_lot::Mutex;
use repository::{Error, Result};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// A part of what a source captures.
pub struct Piece {
    /// Where it stands in the snapshot: a file, or the directory that all of its items stand in.
    pub path: PathBuf,
    /// What it is, for people.
    pub name: String,
    /// How consistent it is, if that is known.
    pub grade: Option<Grade>,
    /// What it consists of.
    pub items: Vec<Item>,
    /// What is known of it, filled in until its last item has been read.
    pub facts: Arc<Mutex<Facts>>,
}

impl Piece {
    /// Note the image that the programs come from which capture these: a drill restores into it when its container is gone.
    pub fn all_of_image(pieces: Vec<Self>, programs: &Programs) -> Vec<Self> {
        if let Programs::Container(container) = programs {
            for piece in &pieces {
                let image = container.image.clone().into();
                piece.facts.lock().more.insert(IMAGE.to_owned(), image);
            }
        }
        pieces
    }
}

/// One thing that goes into a snapshot.
pub enum Item {
    /// A file or directory of this host with everything below, below [`FILES`](super::FILES).
    Path(PathBuf),
    /// Bytes that become one file.
    Stream(Stream),
}

/// Bytes that become one file.
pub struct Stream {
    /// Where it stands in the snapshot.
    pub path: PathBuf,
    /// The bytes; whatever makes them is started by the first call.
    pub reader: Box<dyn Read + Send>,
    /// Called after the last byte: whether they were all there were.
    pub finish: Box<dyn FnOnce() -> Result<()> + Send>,
}

impl Stream {
    /// No bytes, but the reason why there are none: what reads it treats it as any other stream that fails.
    pub fn failing(path: PathBuf, error: Error) -> Self {
        Self {
            path,
            reader: Box::new(Failing(Some(error))),
            finish: Box::new(|| Ok(())),
        }
    }

    /// Bytes that are there already.
    pub fn of(path: PathBuf, bytes: Vec<u8>) -> Self {
        Self {
            path,
            reader: Box::new(std::io::Cursor::new(bytes)),
            finish: Box::new(|| Ok(())),
        }
    }
}

struct Failing(Option<Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self
            .0
            .take()
            .map_or_else(|| io::ErrorKind::BrokenPipe.into(), io::Error::other))
    }
}

impl Item {
    /// Where it stands in the snapshot.
    pub fn logical_path(&self) -> PathBuf {
        match self {
            Self::Path(path) => logical(path),
            Self::Stream(stream) => stream.path.clone(),
        }
    }
}

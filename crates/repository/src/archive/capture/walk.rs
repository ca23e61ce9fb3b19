//! Finding what there is, in a fixed order: a directory comes before what is in it, names are sorted by bytes.

use super::queue::TaskWriter;
use super::segment::Reader;
use super::source::{CaptureOptions, Content, Source, Stream, joined, shown};
use super::task::{Head, Piece};
use crate::archive::entry::EntryKind;
use crate::local::meta::{Stat, stat_at};
use crate::local::node::{node_at, node_from_stat};
use crate::local::scan::{list_dir, open_dir, open_file};
use crate::local::xattr::xattrs_of_fd;
use crate::restic::mode::from_system;
use crate::restic::node::NodeKind;
use crate::substitute::{is_companion, owner_of};
use crate::{Cancel, Error, Result};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Turns sources into tasks.
pub struct Walker<'a> {
    pub options: &'a CaptureOptions,
    pub reader: Reader<'a>,
    pub cancel: &'a Cancel,
    pub out: TaskWriter<'a>,
    /// Files with several names: the first one, and how many are still to come.
    pub first_names: HashMap<(u64, u64), (Vec<u8>, u64)>,
    /// Files for which there was nothing else to store, on this host: what belongs to them is stored, too.
    pub as_they_are: HashSet<PathBuf>,
    /// Entries other than directories.
    pub found: u64,
    /// Their content, bytes.
    pub found_bytes: u64,
}

/// A directory that is being walked.
struct Level {
    fd: Arc<OwnedFd>,
    /// On this host.
    path: PathBuf,
    /// In the archive.
    name: Vec<u8>,
    /// What is left of it.
    names: std::vec::IntoIter<OsString>,
    /// The file system of the source.
    device: u64,
}

/// Where an entry was found.
pub struct Place<'a> {
    pub dir: &'a Arc<OwnedFd>,
    pub file: &'a OsStr,
    pub path: &'a Path,
    pub name: &'a [u8],
}

impl Walker<'_> {
    /// Everything, and the end of the archive.
    pub fn run(mut self, sources: Vec<Source>) -> Result<()> {
        let mut found = Vec::new();
        for Source { name, content } in sources {
            let name = name.as_os_str().as_bytes();
            let before = (self.found, self.found_bytes);
            match content {
                Content::Path(path) => self.path(&path, name)?,
                Content::Stream(stream) => self.stream(name, stream)?,
                Content::Last(make) => {
                    self.stream(name, Stream::of(make(&found)))?;
                    // It is about what was found, and does not make something of nothing.
                    self.found = before.0;
                }
            }
            found.push((self.found - before.0, self.found_bytes - before.1));
        }
        if self.found == 0 && !self.options.allow_empty {
            return Err(Error::Refused {
                message: "there is nothing to archive: the sources hold no files".to_owned(),
                hint: "Check that everything is mounted and that the patterns do not leave out everything.".to_owned(),
            });
        }
        self.out.finish()
    }

    pub(super) fn push(&mut self, piece: Piece, opens: usize) -> Result<()> {
        self.out.push(piece, opens)
    }

    /// A source; it has to be readable: otherwise nothing would be protected, and nobody would notice.
    fn path(&mut self, path: &Path, name: &[u8]) -> Result<()> {
        let unreadable = || Error::local("read", path);
        let (parent, file) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(file)) if parent.as_os_str().is_empty() => (Path::new("."), file),
            (Some(parent), Some(file)) => (parent, file),
            _ => (path, OsStr::new(".")),
        };
        // Links on the way to a source are followed: the user named this path.
        let dir = Arc::new(OwnedFd::from(File::open(parent).map_err(unreadable())?));
        let stat = stat_at(&*dir, file).map_err(unreadable())?;
        let place = Place {
            dir: &dir,
            file,
            path,
            name,
        };
        if stat.is_dir() {
            let fd = open_dir(&*dir, file).map_err(unreadable())?;
            let level = self.enter(&place, &stat, fd, stat.dev)?.map_err(unreadable())?;
            return self.levels(level);
        }
        if stat.is_file() {
            open_file(&*dir, file).map_err(unreadable())?;
        }
        self.other(&place, &stat)
    }

    /// A directory and everything below.
    fn levels(&mut self, top: Level) -> Result<()> {
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            let Some(file) = level.names.next() else {
                levels.pop();
                continue;
            };
            let (path, name) = (level.path.join(&file), joined(&level.name, &file));
            let (dir, device) = (Arc::clone(&level.fd), level.device);
            let place = Place {
                dir: &dir,
                file: &file,
                path: &path,
                name: &name,
            };
            levels.extend(self.child(&place, device)?);
        }
        Ok(())
    }

    /// An entry of a directory; if it is a directory too, what is in it comes next.
    fn child(&mut self, place: &Place<'_>, device: u64) -> Result<Option<Level>> {
        let stat = match stat_at(&**place.dir, place.file) {
            Ok(stat) => stat,
            Err(error) => {
                self.reader.left_out(place.name, &error);
                return Ok(None);
            }
        };
        let filter = &self.options.filter;
        let is_excluded = !filter.is_empty() && filter.leaves_out(place.path, stat.is_dir());
        if is_excluded || (stat.is_file() && filter.excludes_size(stat.size)) {
            return Ok(None);
        }
        if !stat.is_dir() {
            // Its content is part of another file's.
            if let Some(substitute) = self.options.substitute.as_deref()
                && let Some(owner) = owner_of(substitute, place.file)
                && is_companion(substitute, &**place.dir, place.file)
                && !self.as_they_are.contains(&place.path.with_file_name(owner))
            {
                return Ok(None);
            }
            return self.other(place, &stat).map(|()| None);
        }
        let opened = open_dir(&**place.dir, place.file);
        let entered = match opened {
            Ok(fd) => self.enter(place, &stat, fd, device)?,
            Err(error) => Err(error),
        };
        Ok(entered.map_err(|error| self.reader.left_out(place.name, &error)).ok())
    }

    /// The entry of a directory, and what is in it.
    fn enter(&mut self, place: &Place<'_>, stat: &Stat, fd: OwnedFd, device: u64) -> Result<std::io::Result<Level>> {
        let mut names = match list_dir(fd.as_fd()) {
            Ok(names) => names,
            Err(error) => return Ok(Err(error)),
        };
        if self.options.one_file_system && stat.dev != device {
            names.clear();
        }
        let names = self.options.filter.unmarked(&fd, names);
        let mut node = node_from_stat(place.file, stat, self.reader.users);
        match xattrs_of_fd(&fd) {
            Ok(attributes) => node.extended_attributes = attributes,
            Err(error) => self
                .reader
                .monitor
                .problem(&shown(place.name), &attributes_lost(&error)),
        }
        if !place.name.is_empty() {
            let head = Head::new(place.name, node, EntryKind::Dir);
            self.push(Piece::Head(Box::new(head)), 0)?;
        }
        Ok(Ok(Level {
            fd: Arc::new(fd),
            path: place.path.to_owned(),
            name: place.name.to_vec(),
            names: names.into_iter(),
            device,
        }))
    }

    /// Anything but a directory.
    fn other(&mut self, place: &Place<'_>, stat: &Stat) -> Result<()> {
        let Some(kind) = EntryKind::of(from_system(stat.mode).0) else {
            // Sockets hold nothing; whoever listens makes them again.
            return Ok(());
        };
        self.found += 1;
        if kind == EntryKind::File {
            if self.substituted(place, stat)? {
                return Ok(());
            }
            self.found_bytes += stat.size;
            return self.file(place, stat);
        }
        match node_at(&**place.dir, place.file, stat, self.reader.users) {
            Ok(node) if node.kind == NodeKind::Symlink || stat.nlink < 2 => {
                self.push(Piece::Head(Box::new(Head::new(place.name, node, kind))), 0)
            }
            Ok(node) => match self.first_name(place.name, stat) {
                Some(first) => self.hard_link(place.name, first, stat),
                None => self.push(Piece::Head(Box::new(Head::new(place.name, node, kind))), 0),
            },
            Err(error) => {
                self.reader.left_out(place.name, &error);
                Ok(())
            }
        }
    }
}

fn attributes_lost(error: &std::io::Error) -> String {
    format!("its extended attributes cannot be read: {error}")
}

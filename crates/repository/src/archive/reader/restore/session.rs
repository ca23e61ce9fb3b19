//! One entry after the other.

use super::dirs::Dirs;
use super::file::{self, NewFile};
use super::{Member, Overwrite, RestoreOptions, RestoreReport};
use crate::archive::entry::EntryKind;
use crate::local::apply::{Failure as MetadataFailure, Target, apply_metadata};
use crate::local::meta::Stat;
use crate::local::target::TargetDir;
use crate::restic::node::Node;
use crate::restic::restore::Remover;
use crate::{Counters, Error, Event, Monitor, Result};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// A restore that is under way.
pub struct Session<'a> {
    pub options: &'a RestoreOptions,
    pub monitor: &'a dyn Monitor,
    /// Removes what is in the way, if that may be.
    pub remover: Option<Remover<'a>>,
    pub dirs: Dirs,
    pub report: RestoreReport,
    /// A file of which more pieces may come.
    pub stream: Option<(PathBuf, NewFile)>,
    /// Further names of files that were not restored, by the first name as the archive has it.
    pub missing: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// Files in whose place something else is: no further name may lead there.
    pub unrestored: HashSet<PathBuf>,
}

impl Session<'_> {
    pub fn member(&mut self, member: Member, content: &mut dyn Read) -> Result<()> {
        if member.entry.place.part <= 1 {
            self.finish_stream();
        }
        let path = member.entry.path.clone();
        match self.entry(member, content) {
            Ok(()) => {}
            Err(Failure::Entry(error)) => {
                self.problem(&path, &error.to_string());
                self.unrestored.insert(path);
            }
            Err(Failure::Archive(error)) => return Err(error),
        }
        Ok(())
    }

    fn entry(&mut self, member: Member, content: &mut dyn Read) -> Result<(), Failure> {
        let path = member.entry.path.clone();
        let (parent, name) = (
            path.parent().unwrap_or(Path::new("")),
            path.file_name().unwrap_or_default(),
        );
        self.dirs.enter(parent, self.options, self.monitor)?;
        match member.entry.kind {
            EntryKind::Dir => {
                let shown = Path::new("/").join(&path);
                let is_included = self.options.filter.includes(&shown);
                if let (true, Some(remover)) = (is_included, self.remover) {
                    make_way_for_dir(self.dirs.current()?, name, &shown, &member.node, self.options, &remover)?;
                }
                self.dirs.push(name, member.node);
                // One that is only on the way to something is made when that is.
                if is_included {
                    self.report.directories += 1;
                    self.dirs.current()?;
                }
                Ok(())
            }
            EntryKind::File if member.entry.place.part > 1 => self.continue_stream(&path, &member, content),
            EntryKind::File => self.file(&path, name, member, content),
            EntryKind::HardLink => self.hard_link(&path, name, &member),
            EntryKind::Symlink | EntryKind::Device | EntryKind::CharDev | EntryKind::Fifo => {
                self.special(&path, name, &member)
            }
        }
    }

    fn file(&mut self, path: &Path, name: &OsStr, member: Member, content: &mut dyn Read) -> Result<(), Failure> {
        let is_piece = member.entry.place.part > 0;
        match self.room(path, &member.node)? {
            Room::Free => {}
            Room::Kept => {
                self.skip(path);
                return Ok(());
            }
            // What a piece says is not what the whole file is.
            Room::Same if is_piece => {}
            Room::Same => {
                let (file, _) = self.dirs.current()?.open_file(name)?;
                let failures = apply_metadata(Target::Open(file.as_fd()), &member.node, &self.options.metadata);
                self.report.files += 1;
                self.report.identical_files += 1;
                self.report.identical_bytes += member.node.size;
                self.done(path, "unchanged", member.node.size, failures);
                return Ok(());
            }
        }
        let mut file = NewFile::create(self.dirs.current()?, name)?;
        let bytes = file.write(&member, content)?;
        self.report.bytes += bytes;
        Counters::add(&self.monitor.counters().bytes, bytes);
        file.node = Some(member.node);
        if is_piece {
            self.stream = Some((path.to_owned(), file));
        } else {
            self.finish_file(path, file);
        }
        Ok(())
    }

    fn continue_stream(&mut self, path: &Path, member: &Member, content: &mut dyn Read) -> Result<(), Failure> {
        match &mut self.stream {
            Some((begun, file)) if begun == path => {
                self.report.bytes += file.write(member, content)?;
                Ok(())
            }
            // Skipped with its first piece.
            _ => Ok(()),
        }
    }

    pub fn finish_stream(&mut self) {
        if let Some((path, file)) = self.stream.take() {
            self.finish_file(&path, file);
        }
    }

    fn finish_file(&mut self, path: &Path, file: NewFile) {
        let size = file.size();
        match file.finish(&self.options.metadata) {
            Ok(failures) => {
                self.report.files += 1;
                Counters::add(&self.monitor.counters().files, 1);
                self.done(path, "restored", size, failures);
            }
            Err(error) => {
                self.problem(path, &error.to_string());
                self.unrestored.insert(path.to_owned());
            }
        }
    }

    fn hard_link(&mut self, path: &Path, name: &OsStr, member: &Member) -> Result<(), Failure> {
        let first = &member.entry.target;
        let place = self.options.place(first, false);
        if let Some(place) = place.filter(|place| self.unrestored.contains(*place)) {
            let reason = format!("`/{}`, which is the same file, was not restored", place.display());
            return Err(io::Error::other(reason).into());
        }
        match self.room(path, &member.node)? {
            Room::Free | Room::Same => {}
            Room::Kept => {
                self.skip(path);
                return Ok(());
            }
        }
        // Whatever else is in the first name's place in the target is not this file.
        let from = place.map(|place| {
            let parent = place.parent().unwrap_or(Path::new(""));
            let from = self.dirs.root().open_dir_beneath(parent)?;
            let name = place.file_name().unwrap_or_default().to_owned();
            Ok::<_, io::Error>(from.stat(&name)?.is_some().then_some((from, name)))
        });
        match from {
            Some(Ok(Some((from, first_name)))) => {
                file::replace_with_link(self.dirs.current()?, name, &from, &first_name)?;
                self.report.files += 1;
                self.done(path, "restored", 0, Vec::new());
            }
            _ => self.missing.entry(first.clone()).or_default().push(path.to_owned()),
        }
        Ok(())
    }

    /// Restore a file under the names that were chosen, which its first is not one of.
    pub fn under_other_names(
        &mut self,
        mut member: Member,
        content: &mut dyn Read,
        names: &BTreeMap<PathBuf, Vec<PathBuf>>,
    ) -> Result<()> {
        let Some((first, others)) = names.get(&member.entry.path).and_then(|names| names.split_first()) else {
            return Ok(());
        };
        member.entry.path.clone_from(first);
        member.node.name = first.file_name().unwrap_or_default().to_owned();
        self.member(member, content)?;
        for other in others {
            let name = other.file_name().unwrap_or_default();
            let linked = self
                .dirs
                .enter(other.parent().unwrap_or(Path::new("")), self.options, self.monitor);
            let (parent, first_name) = (
                first.parent().unwrap_or(Path::new("")),
                first.file_name().unwrap_or_default(),
            );
            let linked = linked.and_then(|()| {
                let from = self.dirs.root().open_dir_beneath(parent)?;
                file::replace_with_link(self.dirs.current()?, name, &from, first_name)
            });
            match linked {
                Ok(()) => self.report.files += 1,
                Err(error) => self.problem(other, &error.to_string()),
            }
        }
        Ok(())
    }

    fn special(&mut self, path: &Path, name: &OsStr, member: &Member) -> Result<(), Failure> {
        if let Room::Kept = self.room(path, &member.node)? {
            self.skip(path);
            return Ok(());
        }
        let dir = self.dirs.current()?;
        let temporary = file::temporary_name();
        dir.create_special(&temporary, &member.node)?;
        let target = Target::Entry {
            dir: dir.as_fd(),
            name: &temporary,
        };
        let failures = apply_metadata(target, &member.node, &self.options.metadata);
        if let Err(error) = dir.rename(&temporary, name) {
            dir.remove_file(&temporary).unwrap_or_default();
            return Err(error.into());
        }
        self.report.others += 1;
        self.done(path, "restored", 0, failures);
        Ok(())
    }

    /// What may come to `path`, in the directory that we are in; a directory there goes if that was asked for.
    fn room(&mut self, path: &Path, node: &Node) -> io::Result<Room> {
        let (dir, name) = (self.dirs.current()?, path.file_name().unwrap_or_default());
        let Some(there) = dir.stat(name)? else {
            return Ok(Room::Free);
        };
        if !there.is_dir() {
            return Ok(Room::of(&there, node, self.options));
        }
        match self.remover {
            Some(_) if self.options.overwrite.keeps(&there, node.mtime) => return Ok(Room::Kept),
            Some(remover) => remover.entry(dir, name, &Path::new("/").join(path))?,
            None => {}
        }
        match dir.stat(name)? {
            None => Ok(Room::Free),
            Some(_) => Err(io::Error::other("there is a directory in its place")),
        }
    }

    /// Tell of an entry, and of what could not be set.
    fn done(&mut self, path: &Path, what: &str, size: u64, failures: Vec<MetadataFailure>) {
        if self.monitor.wants_entries() {
            let path = &Path::new("/").join(path);
            self.monitor.event(Event::Entry { path, what, size });
        }
        for (what, error) in failures {
            self.problem(path, &format!("cannot {what}: {error}"));
        }
    }

    fn skip(&mut self, path: &Path) {
        self.report.skipped += 1;
        self.unrestored.insert(path.to_owned());
        self.monitor
            .note(&format!("`/{}` is there already and stays", path.display()));
    }

    fn problem(&mut self, path: &Path, message: &str) {
        self.report.problems += 1;
        self.monitor.problem(&format!("/{}", path.display()), message);
    }
}

/// Remove what is in the place of a directory and is none.
fn make_way_for_dir(
    parent: &TargetDir,
    name: &OsStr,
    path: &Path,
    node: &Node,
    options: &RestoreOptions,
    remover: &Remover<'_>,
) -> io::Result<()> {
    match parent.stat(name)? {
        Some(there) if !there.is_dir() && !options.overwrite.keeps(&there, node.mtime) => {
            remover.entry(parent, name, path)
        }
        _ => Ok(()),
    }
}

/// What may come into the place of an entry.
enum Room {
    /// The archive's entry.
    Free,
    /// Nothing: what is there stays.
    Kept,
    /// Nothing has to: the file that is there counts as the same.
    Same,
}

impl Room {
    fn of(there: &Stat, node: &Node, options: &RestoreOptions) -> Self {
        // The other names of a file may lie outside of the target.
        let is_same = there.is_file() && there.nlink == 1 && (there.size, there.mtime) == (node.size, node.mtime);
        if options.overwrite.keeps(there, node.mtime) {
            Self::Kept
        } else if is_same && options.overwrite == Overwrite::IfChanged {
            Self::Same
        } else {
            Self::Free
        }
    }
}

/// What stops an entry, and what stops everything.
pub enum Failure {
    /// The entry cannot be put there.
    Entry(io::Error),
    /// The archive cannot be read on.
    Archive(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Entry(error)
    }
}

//! One entry after the other.

use super::dirs::Dirs;
use super::file::{self, NewFile};
use super::{Member, Overwrite, RestoreOptions, RestoreReport};
use crate::archive::entry::EntryKind;
use crate::local::apply::{Target, apply_metadata};
use crate::local::target::TargetDir;
use crate::{Counters, Error, Monitor, Result};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// A restore that is under way.
pub struct Session<'a> {
    pub options: &'a RestoreOptions,
    pub monitor: &'a dyn Monitor,
    pub dirs: Dirs,
    pub report: RestoreReport,
    /// A file of which more pieces may come.
    pub stream: Option<(PathBuf, NewFile)>,
    /// Further names of files that were not restored, by the first name.
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
                self.dirs.push(name, member.node);
                self.report.directories += 1;
                if self.options.filter.includes(&Path::new("/").join(&path)) {
                    self.dirs.current()?;
                }
                Ok(())
            }
            EntryKind::File if member.entry.place.part > 1 => self.continue_stream(&path, &member, content),
            EntryKind::File => self.file(&path, name, member, content),
            EntryKind::HardLink => self.hard_link(&path, name, &member.entry.target),
            EntryKind::Symlink | EntryKind::Device | EntryKind::CharDev | EntryKind::Fifo => {
                self.special(&path, name, &member)
            }
        }
    }

    fn file(&mut self, path: &Path, name: &OsStr, member: Member, content: &mut dyn Read) -> Result<(), Failure> {
        let dir = self.dirs.current()?;
        if !Self::is_free(dir, name, self.options)? {
            self.skip(path);
            return Ok(());
        }
        let is_piece = member.entry.place.part > 0;
        let mut file = NewFile::create(dir, name)?;
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
        match file.finish(&self.options.metadata) {
            Ok(failures) => {
                self.report.files += 1;
                Counters::add(&self.monitor.counters().files, 1);
                for (what, error) in failures {
                    self.problem(path, &format!("cannot {what}: {error}"));
                }
            }
            Err(error) => {
                self.problem(path, &error.to_string());
                self.unrestored.insert(path.to_owned());
            }
        }
    }

    fn hard_link(&mut self, path: &Path, name: &OsStr, first: &Path) -> Result<(), Failure> {
        let (parent, first_name) = (
            first.parent().unwrap_or(Path::new("")),
            first.file_name().unwrap_or_default(),
        );
        if self.unrestored.contains(first) {
            let reason = format!("`/{}`, which is the same file, was not restored", first.display());
            return Err(io::Error::other(reason).into());
        }
        let from = self.dirs.root().open_dir_beneath(parent);
        let dir = self.dirs.current()?;
        if !Self::is_free(dir, name, self.options)? {
            self.skip(path);
            return Ok(());
        }
        let is_chosen = self.options.filter.includes(&Path::new("/").join(first));
        match from {
            Ok(from) if is_chosen && from.stat(first_name)?.is_some() => {
                file::replace_with_link(dir, name, &from, first_name)?;
                self.report.files += 1;
                Ok(())
            }
            _ => {
                self.missing.entry(first.to_owned()).or_default().push(path.to_owned());
                Ok(())
            }
        }
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
        let dir = self.dirs.current()?;
        if !Self::is_free(dir, name, self.options)? {
            self.skip(path);
            return Ok(());
        }
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
        for (what, error) in failures {
            self.problem(path, &format!("cannot {what}: {error}"));
        }
        Ok(())
    }

    /// Whether something may come to this place.
    fn is_free(dir: &TargetDir, name: &OsStr, options: &RestoreOptions) -> io::Result<bool> {
        match dir.stat(name)? {
            None => Ok(true),
            Some(there) if there.is_dir() => Err(io::Error::other("there is a directory in its place")),
            Some(_) => Ok(options.overwrite == Overwrite::Always),
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

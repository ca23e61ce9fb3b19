//! What is in the target and not in the archive.

use super::RestoreOptions;
use crate::archive::entry::{Entry, EntryKind};
use crate::archive::failure::refused;
use crate::archive::reader::Archive;
use crate::local::apply::set_mtime;
use crate::local::meta::{Stat, stat_fd, stat_path};
use crate::local::target::TargetDir;
use crate::points::refuse_if_incomplete;
use crate::restic::mode::from_system;
use crate::restic::node::NodeKind;
use crate::restic::restore::{Protected, Remover, Told, check_system};
use crate::{Event, Monitor, Result};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// The names that an archive has in each of its directories, by the directory's path in the target.
#[derive(Default)]
pub struct Names(BTreeMap<PathBuf, BTreeSet<OsString>>);

impl Names {
    /// The directories above it are there, whether the archive has entries for them or not.
    fn add(&mut self, below: &Path, is_dir: bool) {
        if is_dir {
            self.0.entry(below.to_owned()).or_default();
        }
        let mut path = below;
        while let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            let is_new = self.0.entry(parent.to_owned()).or_default().insert(name.to_owned());
            if !is_new {
                return;
            }
            path = parent;
        }
    }

    fn has(&self, directory: &Path, name: &OsStr) -> bool {
        self.0.get(directory).is_some_and(|names| names.contains(name))
    }
}

impl Archive<'_> {
    /// What the archive has below the directory that is restored, so that everything else can be removed.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) if something would be removed that is not meant, or may only be missing in the archive.
    pub(super) fn names(&self, options: &RestoreOptions) -> Result<Names> {
        refuse_if_incomplete("archive", self.manifest.counts.problems)?;
        let mut names = Names::default();
        let mut add = |entry: &Entry| {
            if let Ok(below) = entry.path.strip_prefix(&options.root) {
                names.add(below, entry.kind == EntryKind::Dir);
            }
            Ok(())
        };
        self.entries(&mut add)?;
        if names.0.is_empty() {
            return Err(refused(
                &format!("the archive has no directory `/{}`", options.root.display()),
                "See what there is with `mainstay ls ARCHIVE`.",
            ));
        }
        check_system(&options.target, &options.filter, &|name| names.has(Path::new(""), name))?;
        Ok(names)
    }
}

impl RestoreOptions {
    /// Remove what is not in the archive from the directories that it has.
    pub(super) fn remove_others(&self, root: &TargetDir, names: &Names, remover: &Remover<'_>) {
        for (path, names) in &names.0 {
            let shown = Path::new("/").join(path);
            if !self.takes(path, true) {
                continue;
            }
            match root.open_dir_beneath(path) {
                Ok(dir) => self.remove_from(&dir, &shown, names, remover),
                // Nothing of it was chosen, or something else stayed in its place.
                Err(error) if is_no_directory(&error) => {}
                Err(error) => remover
                    .told
                    .not_removed(&shown, format!("it cannot be opened: {error}")),
            }
        }
    }

    fn remove_from(&self, dir: &TargetDir, path: &Path, names: &BTreeSet<OsString>, remover: &Remover<'_>) {
        let before = stat_fd(dir);
        let is_socket = |name: &OsStr| dir.stat(name).is_ok_and(|stat| stat.is_some_and(is_socket));
        remover.others(dir, path, &|name| names.contains(name) || is_socket(name));
        // A directory that was restored has the archive's time.
        let is_restored = path.parent().is_some() && self.filter.includes(path);
        if let (true, Ok(before), Ok(after)) = (is_restored, before, stat_fd(dir))
            && before.mtime != after.mtime
            && let Err(error) = set_mtime(dir.as_fd(), before.mtime)
        {
            remover.told.not_removed(path, format!("cannot set the times: {error}"));
        }
    }

    /// Tell what [`RestoreOptions::remove_others`] would remove.
    pub(super) fn preview_others(&self, names: &Names, remover: &Remover<'_>) {
        for (path, names) in names.0.iter().filter(|(path, _)| self.takes(path, true)) {
            let is_socket = |name: &OsStr| stat_path(&self.target.join(path).join(name)).is_ok_and(is_socket);
            let belongs = |name: &OsStr| names.contains(name) || is_socket(name);
            remover.preview_others(&self.target, &Path::new("/").join(path), &belongs);
        }
    }
}

fn is_no_directory(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// No archive holds sockets, so that one is missing there says nothing.
fn is_socket(stat: Stat) -> bool {
    from_system(stat.mode).0 == NodeKind::Socket
}

/// Counts what is removed.
pub struct Removed<'a> {
    pub monitor: &'a dyn Monitor,
    pub entries: Cell<u64>,
    pub problems: Cell<u64>,
}

impl<'a> Removed<'a> {
    pub fn new(monitor: &'a dyn Monitor) -> Self {
        Self {
            monitor,
            entries: Cell::new(0),
            problems: Cell::new(0),
        }
    }

    /// Removes what the options choose.
    pub fn remover<'r>(&'r self, options: &'r RestoreOptions, protected: &'r Protected) -> Remover<'r> {
        Remover {
            filter: &options.filter,
            protected,
            told: self,
        }
    }
}

impl Told for Removed<'_> {
    fn removed(&self, path: &Path, stat: &Stat) {
        self.entries.set(self.entries.get() + 1);
        if self.monitor.wants_entries() {
            let (what, size) = ("deleted", stat.size);
            self.monitor.event(Event::Entry { path, what, size });
        }
    }

    fn not_removed(&self, path: &Path, message: String) {
        self.problems.set(self.problems.get() + 1);
        self.monitor.problem(&path.display().to_string(), &message);
    }
}

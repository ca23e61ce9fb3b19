//! Putting entries back.
//!
//! Everything goes from open directories to single names in them (see [`TargetDir`]), so nothing in an archive or in the target leads
//! elsewhere. A file is written under a name of its own and renamed once it is whole; its owner, permissions and times are set
//! last. Directories get theirs when everything in them is there.

mod dirs;
mod file;
mod preview;
mod removal;
mod session;
mod verify;

pub use crate::restic::restore::Overwrite;

use super::layers::is_trusted_at_end;
use super::{Archive, Member};
use crate::archive::failure::refused;
use crate::local::apply::ApplyOptions;
use crate::local::target::TargetDir;
use crate::restic::restore::Protected;
use crate::{Counters, Error, Filter, Monitor, Result};
use dirs::Dirs;
use removal::Removed;
use session::Session;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// A directory, which is made if it is missing.
    pub target: PathBuf,
    /// The directory of the archive that becomes the target, relative; empty for all of it.
    pub root: PathBuf,
    /// Which entries; asked with paths below `root` that begin with `/`.
    pub filter: Filter,
    /// What becomes of files that are there. By default they stay.
    pub overwrite: Overwrite,
    /// What is set besides content.
    pub metadata: ApplyOptions,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Read every file that was written once more and compare it with the archive.
    pub verify: bool,
    /// Remove what is in restored directories but not in the archive, and whatever is in the way, as far as the filter takes it.
    pub delete: bool,
    /// Directories that are never removed or restored into: the repository and the cache.
    pub protect: Vec<PathBuf>,
}

impl RestoreOptions {
    /// Everything into `target`, over nothing.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            root: PathBuf::new(),
            filter: Filter::default(),
            overwrite: Overwrite::Never,
            metadata: ApplyOptions::default(),
            dry_run: false,
            verify: false,
            delete: false,
            protect: Vec::new(),
        }
    }

    /// Where an entry comes to in the target, relative, if it is wanted, or if it is a directory in which something may be.
    fn place<'p>(&self, path: &'p Path, is_dir: bool) -> Option<&'p Path> {
        let below = path.strip_prefix(&self.root).ok()?;
        if below.as_os_str().is_empty() {
            return None;
        }
        self.takes(below, is_dir).then_some(below)
    }

    /// Whether an entry, by its path in the target, is wanted, or is a directory in which something may be.
    fn takes(&self, below: &Path, is_dir: bool) -> bool {
        let path = Path::new("/").join(below);
        let is_included = self.filter.includes(&path) || (is_dir && self.filter.may_include_below(&path));
        is_included && !path.ancestors().any(|path| self.filter.excludes(path, is_dir))
    }

    /// Whether it is all of the archive.
    fn is_everything(&self) -> bool {
        self.filter.is_empty() && self.root.as_os_str().is_empty()
    }
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Files, further names of them included.
    pub files: u64,
    /// Directories that are in the archive.
    pub directories: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Content, bytes.
    pub bytes: u64,
    /// Files among `files` that were there already, with the same size and time; only with [`Overwrite::IfChanged`], or if nothing is
    /// written.
    pub identical_files: u64,
    /// Content of those, bytes, which is not among `bytes`.
    pub identical_bytes: u64,
    /// Files that were read again and compared.
    pub verified_files: u64,
    /// Entries in whose place something else stayed.
    pub skipped: u64,
    /// Entries that were removed.
    pub deleted: u64,
    /// Entries that are not, or not wholly, restored.
    pub problems: u64,
}

/// What was restored, and the files in whose place something else is.
type Restored = (RestoreReport, HashSet<PathBuf>);

impl Archive<'_> {
    /// Put the entries that the filter chooses into the target.
    ///
    /// # Errors
    /// [`Error::WrongIdentity`], [`Error::Damaged`], those of the store, and of the target itself. What goes wrong with single entries
    /// is reported to `monitor` and counted.
    pub fn restore(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
        if Protected::new(&options.protect).encloses(&options.target) {
            return Err(refused(
                &format!(
                    "`{}` is the repository or the cache, or lies in it",
                    options.target.display()
                ),
                "Choose another target.",
            ));
        }
        let (mut report, left_out) = if options.dry_run {
            (self.preview(options, monitor)?, HashSet::new())
        } else if is_trusted_at_end(&self.manifest) {
            self.restore_beside(options, monitor)?
        } else {
            self.restore_into(options, monitor)?
        };
        if report == RestoreReport::default() && !options.is_everything() && !options.delete {
            return Err(refused(
                "nothing in the archive fits the patterns",
                "See what there is with `mainstay ls ARCHIVE`; patterns that begin with `/` stand for absolute paths.",
            ));
        }
        if options.verify && !options.dry_run {
            monitor.phase("verify");
            self.verify(options, &left_out, &mut report, monitor)?;
        }
        Ok(report)
    }

    /// Into a new directory in the target, whose content moves up once all of the archive is known to be genuine.
    fn restore_beside(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<Restored> {
        let failed = || Error::local("restore into", &options.target);
        let root = TargetDir::create(&options.target).map_err(failed())?;
        if !root.names().map_err(failed())?.is_empty() {
            return Err(refused(
                &format!(
                    "`{}` is not empty, and this archive can only be trusted once all of it was read",
                    options.target.display()
                ),
                "Restore into an empty directory.",
            ));
        }
        let scratch = file::temporary_name();
        let beside = RestoreOptions {
            target: options.target.join(&scratch),
            // There is nothing.
            delete: false,
            ..options.clone()
        };
        let restored = self.restore_into(&beside, monitor);
        let moved = restored.and_then(|report| move_up(&root, &scratch).map(|()| report).map_err(failed()));
        if moved.is_err() {
            root.remove_all(&scratch).unwrap_or_default();
        }
        moved
    }

    fn restore_into(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<Restored> {
        // Read before anything is changed, and used when everything is in its place.
        let names = options.delete.then(|| self.names(options)).transpose()?;
        monitor.phase("restore");
        if options.is_everything() {
            let (expected, counters) = (self.manifest.counts, monitor.counters());
            Counters::add(&counters.total_files, expected.files + expected.hard_links);
            Counters::add(&counters.total_bytes, expected.content_bytes);
        }
        let root = TargetDir::create(&options.target).map_err(Error::local("create", &options.target))?;
        let (removed, protected) = (Removed::new(monitor), Protected::new(&options.protect));
        let remover = removed.remover(options, &protected);
        let mut session = Session {
            options,
            monitor,
            remover: options.delete.then_some(remover),
            dirs: Dirs::new(root),
            report: RestoreReport::default(),
            stream: None,
            missing: BTreeMap::new(),
            unrestored: HashSet::new(),
        };
        self.restore_to(&mut session)?;
        if let Some(names) = &names {
            options.remove_others(session.dirs.root(), names, &remover);
        }
        session.report.problems += session.dirs.problems + removed.problems.get();
        session.report.deleted = removed.entries.get();
        Ok((session.report, session.unrestored))
    }

    fn restore_to(&self, session: &mut Session<'_>) -> Result<()> {
        let options = session.options;
        let mut each = |mut member: Member, content: &mut dyn Read| {
            if let Ok(below) = member.entry.path.strip_prefix(&options.root) {
                member.entry.path = below.to_owned();
            }
            session.member(member, content)
        };
        if options.is_everything() {
            self.stream(&mut each)?;
        } else {
            self.visit(&|path, is_dir| options.place(path, is_dir).is_some(), &mut each)?;
        }
        session.finish_stream();
        let missing = std::mem::take(&mut session.missing);
        if !missing.is_empty() {
            // Only a further name of a file was chosen: its content stands under the first.
            self.visit(&|path, _| missing.contains_key(path), &mut |member, content| {
                session.under_other_names(member, content, &missing)
            })?;
        }
        session.dirs.finish(session.options, session.monitor);
        Ok(())
    }
}

fn move_up(root: &TargetDir, scratch: &OsStr) -> io::Result<()> {
    let from = root.open_dir(scratch)?;
    for name in from.names()? {
        rustix::fs::renameat(&from, &name, root, &name)?;
    }
    root.remove_dir(scratch)
}

//! Putting entries back.
//!
//! Everything goes from open directories to single names in them (see [`TargetDir`]), so nothing in an archive or in the target leads
//! elsewhere. A file is written under a name of its own and renamed once it is whole; its owner, permissions and times are set
//! last. Directories get theirs when everything in them is there.

mod dirs;
mod file;
mod session;

use super::layers::is_trusted_at_end;
use super::{Archive, Member};
use crate::archive::failure::refused;
use crate::local::apply::ApplyOptions;
use crate::local::target::TargetDir;
use crate::{Error, Filter, Monitor, Result};
use dirs::Dirs;
use session::Session;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What becomes of files that are in the target already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// They stay, and the archive's are skipped and counted.
    #[default]
    Never,
    /// The archive's take their place.
    Always,
}

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// A directory, which is made if it is missing.
    pub target: PathBuf,
    /// Which entries; asked with paths in the archive that begin with `/`.
    pub filter: Filter,
    /// What becomes of files that are there.
    pub overwrite: Overwrite,
    /// What is set besides content.
    pub metadata: ApplyOptions,
}

impl RestoreOptions {
    /// Everything into `target`, over nothing.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            filter: Filter::default(),
            overwrite: Overwrite::default(),
            metadata: ApplyOptions::default(),
        }
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
    /// Entries in whose place something else stayed.
    pub skipped: u64,
    /// Entries that are not, or not wholly, restored.
    pub problems: u64,
}

impl Archive<'_> {
    /// Put the entries that the filter chooses into the target.
    ///
    /// # Errors
    /// [`Error::WrongIdentity`], [`Error::Damaged`], those of the store, and of the target itself. What goes wrong with single entries
    /// is reported to `monitor` and counted.
    pub fn restore(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
        if is_trusted_at_end(&self.manifest) {
            return self.restore_beside(options, monitor);
        }
        self.restore_into(options, monitor)
    }

    /// Into a new directory in the target, whose content moves up once all of the archive is known to be genuine.
    fn restore_beside(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
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
            ..options.clone()
        };
        let restored = self.restore_into(&beside, monitor);
        let moved = restored.and_then(|report| move_up(&root, &scratch).map(|()| report).map_err(failed()));
        if moved.is_err() {
            root.remove_all(&scratch).unwrap_or_default();
        }
        moved
    }

    fn restore_into(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
        let root = TargetDir::create(&options.target).map_err(Error::local("create", &options.target))?;
        let mut session = Session {
            options,
            monitor,
            dirs: Dirs::new(root),
            report: RestoreReport::default(),
            stream: None,
            missing: BTreeMap::new(),
            unrestored: HashSet::new(),
        };
        self.restore_to(&mut session)?;
        session.report.problems += session.dirs.problems;
        Ok(session.report)
    }

    fn restore_to(&self, session: &mut Session<'_>) -> Result<()> {
        let filter = &session.options.filter;
        let wanted = |path: &Path, is_dir: bool| {
            let path = Path::new("/").join(path);
            let is_chosen = filter.includes(&path) || (is_dir && filter.may_include_below(&path));
            is_chosen && !path.ancestors().any(|path| filter.excludes(path, is_dir))
        };
        let mut each = |member: Member, content: &mut dyn Read| session.member(member, content);
        if filter.is_empty() {
            self.stream(&mut each)?;
        } else {
            self.visit(&wanted, &mut each)?;
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

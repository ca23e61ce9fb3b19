//! What a restore would do, found out without changing anything.

use super::blobs::chain;
use super::options::{Overwrite, Problem, RestoreOptions, RestoreReport};
use super::preview::Preview;
use super::protected::Protected;
use super::remove::check_system;
use crate::restic::index::Index;
use crate::restic::ls::{self, Descend, Visitor};
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::{BlobKind, PackedBlob};
use crate::restic::repository::Repository;
use crate::{Cancel, Error, Id, Monitor, Result};
use hashbrown::HashSet;
use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What a restore would do.
#[derive(Clone, Debug, Default)]
pub struct RestorePlan {
    /// Files, hard links included.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Content of the files, bytes.
    pub bytes: u64,
    /// Space that is needed at least, bytes: without content that is zeros, and without that of files which exist already.
    pub needed_bytes: u64,
    /// Space that the target's file system has left, bytes.
    pub free_bytes: Option<u64>,
    /// Entries that cannot be restored, because a directory or a blob is missing or damaged.
    pub problems: u64,
    /// The first [`RestoreReport::LISTED_PROBLEMS`] of them.
    pub listed_problems: Vec<Problem>,
    /// Names of what is at the top, where others may be deleted.
    pub top: Vec<OsString>,
}

/// Look through the tree `root` and at the target.
///
/// # Errors
/// [`Error::Interrupted`], and a store that cannot be reached. Damage goes into the plan.
pub fn plan(
    repository: &Repository,
    index: &Index,
    root: &Id,
    options: &RestoreOptions,
    cancel: &Cancel,
) -> Result<RestorePlan> {
    let exists = std::fs::read_dir(&options.target).is_ok_and(|mut entries| entries.next().is_some());
    let mut planner = Planner {
        index,
        options,
        exists,
        plan: RestorePlan::default(),
        inodes: HashSet::new(),
    };
    ls::walk(repository, index, root, &mut planner, cancel)?;
    let mut plan = planner.plan;
    plan.free_bytes = statvfs(existing_part(&options.target))
        .ok()
        .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    Ok(plan)
}

struct Planner<'a> {
    index: &'a Index,
    options: &'a RestoreOptions,
    /// There is something in the target.
    exists: bool,
    plan: RestorePlan,
    inodes: HashSet<(u64, u64)>,
}

impl Planner<'_> {
    fn file(&mut self, path: &Path, node: &Node) {
        self.plan.files += 1;
        let is_link = node.links > 1 && !self.inodes.insert((node.device_id, node.inode));
        if is_link {
            return;
        }
        let mut needed = 0;
        for id in node.blobs() {
            let Some(found) = self.index.find(BlobKind::Data, id) else {
                return self.problem(
                    path,
                    format!("its content cannot be read: blob `{id}` is missing: the index does not list it"),
                );
            };
            let length = u64::from(found.blob.plain_length());
            self.plan.bytes += length;
            if !(self.options.sparse && may_be_zeros(&found.blob)) {
                needed += length;
            }
        }
        self.plan.needed_bytes += needed.saturating_sub(self.space_taken(path));
    }

    /// Space that the file in the target takes, which is written into or kept, bytes.
    fn space_taken(&self, path: &Path) -> u64 {
        if !self.exists {
            return 0;
        }
        let path = path.strip_prefix("/").unwrap_or(path);
        match crate::local::meta::stat_path(&self.options.target.join(path)) {
            Ok(_) if self.options.overwrite == Overwrite::Never => u64::MAX,
            Ok(stat) if stat.is_file() => stat.blocks.saturating_mul(512),
            _ => 0,
        }
    }

    fn problem(&mut self, path: &Path, message: String) {
        self.plan.problems += 1;
        if self.plan.listed_problems.len() < RestoreReport::LISTED_PROBLEMS {
            self.plan.listed_problems.push(Problem {
                path: path.to_owned(),
                message,
            });
        }
    }
}

/// Whether a blob is so small for its content that it may be all zeros.
fn may_be_zeros(blob: &PackedBlob) -> bool {
    const RATIO: u32 = 500;
    blob.length.saturating_mul(RATIO) < blob.plain_length()
}

impl Visitor for Planner<'_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        let choice = self.options.choose(path, node.is_dir());
        if self.options.delete && path.parent().is_some_and(|parent| parent.parent().is_none()) {
            self.plan.top.push(node.name.clone());
        }
        match node.kind {
            _ if !choice.itself => {}
            NodeKind::File => self.file(path, &node),
            NodeKind::Dir => self.plan.dirs += 1,
            NodeKind::Socket | NodeKind::Irregular => {}
            _ => self.plan.others += 1,
        }
        Ok(if choice.inside { Descend::Yes } else { Descend::No })
    }

    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()> {
        if !error.is_damage() {
            return Err(error);
        }
        self.problem(path, format!("nothing in it can be restored: {}", chain(&error)));
        Ok(())
    }
}

impl RestorePlan {
    /// Refuse what cannot work.
    pub fn check(&self, options: &RestoreOptions) -> Result<()> {
        let target = options.target.display();
        if options.delete {
            let belongs = |name: &OsStr| self.top.iter().any(|known| known == name);
            check_system(&options.target, &options.filter, &belongs)?;
        }
        if self.is_empty() && !options.filter.is_empty() && !options.delete {
            return Err(refused(
                "nothing in the snapshot fits the patterns".to_owned(),
                "See what there is with `mainstay ls SNAPSHOT`; patterns that begin with `/` stand for absolute paths.",
            ));
        }
        if Protected::new(&options.protect).encloses(&options.target) {
            return Err(refused(
                format!("`{target}` is the repository or the cache, or lies in it"),
                "Choose another target.",
            ));
        }
        let existing = existing_part(&options.target);
        let is_writable = accessat(CWD, &existing, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok();
        if !existing.is_dir() || !is_writable {
            let message = format!("nothing can be written into `{}`", existing.display());
            return Err(refused(
                message,
                "Choose another target, or run as a user who may write there.",
            ));
        }
        match self.free_bytes {
            Some(free) if options.check_space && free < self.needed_bytes => {
                let message = format!(
                    "`{target}` has {free} bytes of free space, and {} more are needed",
                    self.needed_bytes
                );
                Err(refused(
                    message,
                    "Free some space, choose a target on another disk, or restore a part (`--include`).",
                ))
            }
            _ => Ok(()),
        }
    }

    fn is_empty(&self) -> bool {
        self.files + self.dirs + self.others + self.problems == 0
    }

    /// What a dry run reports.
    pub(super) fn into_report(self, preview: Preview, monitor: &dyn Monitor) -> RestoreReport {
        for problem in &self.listed_problems {
            monitor.problem(&problem.path.display().to_string(), &problem.message);
        }
        RestoreReport {
            files: self.files,
            dirs: self.dirs,
            others: self.others,
            bytes: self.bytes,
            problems: self.problems,
            listed_problems: self.listed_problems,
            identical_files: preview.same,
            skipped: preview.kept,
            deleted: preview.deleted,
            ..RestoreReport::default()
        }
    }
}

fn refused(message: String, hint: &str) -> Error {
    Error::Refused {
        message,
        hint: hint.to_owned(),
    }
}

/// The part of a path that exists.
fn existing_part(path: &Path) -> PathBuf {
    let exists = |path: &&Path| path.symlink_metadata().is_ok();
    match path.ancestors().find(exists) {
        Some(existing) => existing.to_owned(),
        // A relative path of which nothing exists begins in the current directory.
        None => PathBuf::from("."),
    }
}

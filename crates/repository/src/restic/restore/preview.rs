//! What a dry run tells: every entry that would be written or removed. Nothing is changed, and no content is read.

use super::options::RestoreOptions;
use super::protected::Protected;
use super::remove::{Remover, Told, has};
use crate::local::meta::{Stat, stat_path};
use crate::restic::index::Index;
use crate::restic::ls::{self, Descend, Visitor};
use crate::restic::mode::from_system;
use crate::restic::node::{Node, NodeKind};
use crate::restic::repository::Repository;
use crate::{Cancel, Error, Event, Id, Monitor, Result};
use std::cell::Cell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Counts that a plan does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Files of the same size and time as in the snapshot.
    pub same: u64,
    /// Entries that would stay because of [`Overwrite`](super::Overwrite).
    pub kept: u64,
    /// Entries that would be removed.
    pub deleted: u64,
}

/// Tell `monitor` what restoring `root` would do.
pub fn preview(
    repository: &Repository,
    index: &Index,
    root: &Id,
    options: &RestoreOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Preview> {
    let mut previewer = Previewer {
        options,
        monitor,
        protected: Protected::new(&options.protect),
        levels: vec![Some(Vec::new())],
        counts: Preview::default(),
    };
    ls::walk(repository, index, root, &mut previewer, cancel)?;
    Ok(previewer.counts)
}

struct Previewer<'a> {
    options: &'a RestoreOptions,
    monitor: &'a dyn Monitor,
    protected: Protected,
    /// Names in the directories around the present entry; `None` where they are not known.
    levels: Vec<Option<Vec<OsString>>>,
    counts: Preview,
}

impl Previewer<'_> {
    /// Where an entry would be on this host.
    fn place(&self, path: &Path) -> PathBuf {
        self.options.target.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn tell(&self, path: &Path, what: &str, size: u64) {
        if self.monitor.wants_entries() {
            self.monitor.event(Event::Entry { path, what, size });
        }
    }

    fn compare(&mut self, path: &Path, node: &Node) {
        let there = stat_path(&self.place(path)).ok();
        let what = match there {
            None => "new",
            Some(there) if is_same(node, &there) => {
                self.counts.same += u64::from(node.kind == NodeKind::File);
                "unchanged"
            }
            Some(there) if !there.is_dir() && self.options.overwrite.keeps(&there, node.mtime) => {
                self.counts.kept += 1;
                "skipped"
            }
            Some(_) => "changed",
        };
        self.tell(path, what, node.size);
    }
}

/// Counts what would be removed.
struct Removed<'a> {
    monitor: &'a dyn Monitor,
    entries: Cell<u64>,
}

impl Told for Removed<'_> {
    fn removed(&self, path: &Path, stat: &Stat) {
        self.entries.set(self.entries.get() + 1);
        if self.monitor.wants_entries() {
            let (what, size) = ("deleted", stat.size);
            self.monitor.event(Event::Entry { path, what, size });
        }
    }

    fn not_removed(&self, _: &Path, _: String) {}
}

fn is_same(node: &Node, there: &Stat) -> bool {
    let same_kind = from_system(there.mode).0 == node.kind;
    same_kind && (node.kind != NodeKind::File || (there.size, there.mtime) == (node.size, node.mtime))
}

impl Visitor for Previewer<'_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        let is_dir = node.is_dir();
        let choice = self.options.choose(path, is_dir);
        if choice.itself && !matches!(node.kind, NodeKind::Socket | NodeKind::Irregular) {
            self.compare(path, &node);
        }
        if let Some(Some(names)) = self.levels.last_mut() {
            names.push(node.name);
        }
        if !is_dir || !choice.inside {
            return Ok(Descend::No);
        }
        self.levels.push(Some(Vec::new()));
        Ok(Descend::Yes)
    }

    fn leave(&mut self, path: &Path) -> Result<()> {
        if let Some(Some(mut names)) = self.levels.pop()
            && self.options.delete
        {
            let removed = Removed {
                monitor: self.monitor,
                entries: Cell::new(0),
            };
            let remover = Remover {
                filter: &self.options.filter,
                protected: &self.protected,
                told: &removed,
            };
            names.sort_unstable();
            remover.preview_others(&self.options.target, path, &|name| has(&names, name));
            self.counts.deleted += removed.entries.get();
        }
        Ok(())
    }

    fn unreadable(&mut self, _path: &Path, error: Error) -> Result<()> {
        // The plan reports it. Where it is not known what belongs there, nothing is removed.
        if let Some(names) = self.levels.last_mut() {
            *names = None;
        }
        if error.is_damage() { Ok(()) } else { Err(error) }
    }
}

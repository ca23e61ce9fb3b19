//! What a dry run tells: every entry that would be written or removed. Nothing is changed, and no content is read.

use super::options::RestoreOptions;
use super::protected::Protected;
use crate::local::meta::{Stat, stat_path};
use crate::restic::index::Index;
use crate::restic::ls::{self, Descend, Visitor};
use crate::restic::mode::from_system;
use crate::restic::node::{Node, NodeKind};
use crate::restic::repository::Repository;
use crate::{Cancel, Error, Event, Id, Monitor, Result};
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

    /// What is there and not in the snapshot.
    fn remove_others(&mut self, path: &Path, mut names: Vec<OsString>) {
        names.sort_unstable();
        let place = self.place(path);
        // A link is replaced, and what it leads to stays.
        if !stat_path(&place).is_ok_and(|stat| stat.is_dir() || path.parent().is_none()) {
            return;
        }
        for name in entries(&place).iter().filter(|name| names.binary_search(name).is_err()) {
            self.remove(&path.join(name));
        }
    }

    fn remove(&mut self, path: &Path) {
        let place = self.place(path);
        let Ok(stat) = stat_path(&place) else { return };
        let choice = self.options.choose(path, stat.is_dir());
        if self.protected.holds(&stat) {
            return;
        }
        if stat.is_dir() && choice.inside {
            for name in entries(&place) {
                self.remove(&path.join(name));
            }
        }
        if choice.itself {
            self.counts.deleted += 1;
            self.tell(path, "deleted", stat.size);
        }
    }
}

fn entries(place: &Path) -> Vec<OsString> {
    let listed = std::fs::read_dir(place).into_iter().flatten().flatten();
    listed.map(|entry| entry.file_name()).collect()
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
        if let Some(Some(names)) = self.levels.pop()
            && self.options.delete
        {
            self.remove_others(path, names);
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

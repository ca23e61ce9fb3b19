//! `mainstay diff` of archives.
//!
//! An archive has no checksums of single files that could be read without all of it, so files count as the same if size and time are. The
//! entries of one archive are kept in memory.

use crate::cli::Context;
use crate::cli::opened::unlock;
use crate::cli::output::{Output, count};
use crate::cli::selection::FilterArgs;
use crate::exit::Exit;
use repository::points::{Archives, RestorePoint, RestorePoints as _, Selected};
use repository::restic::diff::Change;
use repository::restic::ls::Descend;
use repository::restic::node::{Node, NodeKind};
use repository::{Error, Monitor};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What only one side has.
#[derive(Default)]
struct Side {
    files: u64,
    dirs: u64,
    others: u64,
    bytes: u64,
}

impl Side {
    fn add(&mut self, node: &Node) {
        match node.kind {
            NodeKind::File => {
                self.files += 1;
                self.bytes += node.size;
            }
            NodeKind::Dir => self.dirs += 1,
            _ => self.others += 1,
        }
    }

    fn to_json(&self) -> Value {
        json!({"files": self.files, "dirs": self.dirs, "others": self.others, "bytes": self.bytes})
    }

    fn to_text(&self) -> String {
        format!("{}, {}", count(self.files, "file"), count(self.dirs, "directory"))
    }
}

/// Show what differs between two archives; `print` shows one difference.
pub fn run(
    [before, after]: [&str; 2],
    filter: &FilterArgs,
    metadata: bool,
    context: &Context,
    print: &mut dyn FnMut(&Path, Change) -> std::io::Result<()>,
) -> anyhow::Result<(Exit, Totals)> {
    let mut archives = context.open_archives()?;
    let monitor = context.monitor();
    let filter = filter.of_archives()?;
    let before = archives.select(before, &filter, &monitor)?;
    let after = archives.select(after, &filter, &monitor)?;
    let manifests = [&before, &after].map(|selected| match &selected.point {
        RestorePoint::Archive(manifest) => Some(&**manifest),
        RestorePoint::Snapshot(..) => None,
    });
    unlock(&mut archives, manifests.into_iter().flatten(), context)?;
    let mut old = entries(&archives, &before, &monitor)?;
    let (mut changed, mut added, mut removed) = (0_u64, Side::default(), Side::default());
    let mut changes: Vec<(PathBuf, Change)> = Vec::new();
    archives.entries(
        &after,
        &mut |path, node| {
            let change = match old.remove(path) {
                None => {
                    added.add(node);
                    Some(Change::Added)
                }
                Some(before) => change(&before, node, metadata),
            };
            changed += u64::from(matches!(change, Some(Change::Content)));
            changes.extend(change.map(|change| (path.to_owned(), change)));
            Ok(Descend::Yes)
        },
        &monitor,
    )?;
    for (path, node) in old {
        removed.add(&node);
        changes.push((path, Change::Removed));
    }
    changes.sort_by(|(a, _), (b, _)| a.cmp(b));
    changes.iter().try_for_each(|(path, change)| print(path, *change))?;
    let totals = Totals {
        sides: [before.point.id(), after.point.id()],
        changed,
        added,
        removed,
    };
    Ok((Exit::from_problems(monitor.problems()), totals))
}

/// What is printed last.
pub struct Totals {
    sides: [String; 2],
    changed: u64,
    added: Side,
    removed: Side,
}

impl Totals {
    /// Print it.
    pub fn print(&self, output: Output) -> std::io::Result<()> {
        let value = json!({
            "message_type": "statistics",
            "source_snapshot": self.sides[0],
            "target_snapshot": self.sides[1],
            "changed_files": self.changed,
            "added": self.added.to_json(),
            "removed": self.removed.to_json(),
        });
        let text = format!(
            "\nchanged  {}\nadded    {}\nremoved  {}",
            count(self.changed, "file"),
            self.added.to_text(),
            self.removed.to_text()
        );
        output.done(&value, text)
    }
}

fn entries(archives: &Archives, selected: &Selected, monitor: &dyn Monitor) -> Result<BTreeMap<PathBuf, Node>, Error> {
    let mut all = BTreeMap::new();
    archives.entries(
        selected,
        &mut |path, node| {
            all.insert(path.to_owned(), node.clone());
            Ok(Descend::Yes)
        },
        monitor,
    )?;
    Ok(all)
}

fn change(before: &Node, after: &Node, metadata: bool) -> Option<Change> {
    if before.kind != after.kind {
        return Some(Change::Kind);
    }
    let content = |node: &Node| (node.size, node.mtime, node.link_target.clone());
    if before.kind == NodeKind::File && content(before) != content(after) {
        return Some(Change::Content);
    }
    let rest = |node: &Node| (node.mode, node.uid, node.gid, node.mtime, node.link_target.clone());
    (metadata && rest(before) != rest(after)).then_some(Change::Metadata)
}

//! Which snapshot to compare with, and what counts as unchanged.

use super::options::{BackupOptions, Parent};
use crate::local::meta::Stat;
use crate::local::users::identity;
use crate::restic::node::{Node, NodeKind};
use crate::restic::repository::Repository;
use crate::restic::snapshot::Snapshot;
use crate::{Error, Id, Result};

/// The snapshot to compare with, if any.
pub fn choose(repository: &Repository, paths: &[String], options: &BackupOptions) -> Result<Option<(Id, Snapshot)>> {
    match &options.parent {
        Parent::None => Ok(None),
        Parent::Newest => {
            let host = options.host.clone().unwrap_or_else(|| identity().hostname);
            let mut fitting = repository.snapshots()?.into_iter().flatten();
            let is_fitting = |snapshot: &Snapshot| snapshot.hostname == host && snapshot.paths == paths;
            Ok(fitting.rfind(|(_, snapshot)| is_fitting(snapshot)))
        }
        Parent::Id(prefix) => {
            let mut found: Vec<_> = repository.snapshots()?.into_iter().flatten().collect();
            found.retain(|(id, _)| id.to_hex().starts_with(prefix.as_str()));
            match found.len() {
                0 => Err(Error::NotFound {
                    what: "snapshot",
                    name: prefix.clone(),
                }),
                1 => Ok(found.pop()),
                count => Err(Error::Ambiguous {
                    prefix: prefix.clone(),
                    count,
                }),
            }
        }
    }
}

/// Whether a file is still what it was when `before` was captured, as far as its status tells.
pub fn is_unchanged(before: &Node, now: &Stat, options: &BackupOptions) -> bool {
    before.kind == NodeKind::File
        && before.size == now.size
        && before.mtime == now.mtime
        && (options.ignore_ctime || before.ctime == now.ctime)
        && (options.ignore_inode || before.inode == now.ino)
}

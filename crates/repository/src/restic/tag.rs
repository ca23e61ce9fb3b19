//! Changes the labels of snapshots.

use super::lock::Lock;
use super::object::ObjectKind;
use super::prune::execute::{delete_unless_held, demand_exclusive};
use super::replace::Replacer;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::{Cancel, Error, Held, Id, Result};
use serde::Serialize;

/// What becomes of the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// These and no others.
    Set(Vec<String>),
    /// Some more, some less.
    Edit {
        /// Added unless there.
        add: Vec<String>,
        /// Removed if there.
        remove: Vec<String>,
    },
}

impl TagChange {
    fn apply(&self, tags: &[String]) -> Vec<String> {
        let wanted = match self {
            Self::Set(tags) => tags.clone(),
            Self::Edit { add, remove } => tags
                .iter()
                .filter(|tag| !remove.contains(tag))
                .chain(add)
                .cloned()
                .collect(),
        };
        let mut unique = Vec::new();
        wanted.into_iter().filter(|tag| !tag.is_empty()).for_each(|tag| {
            if !unique.contains(&tag) {
                unique.push(tag);
            }
        });
        unique
    }
}

/// A snapshot that was written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tagged {
    /// Its id before.
    pub old: Id,
    /// Its id now.
    pub new: Id,
    /// Its labels now.
    pub tags: Vec<String>,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct TagReport {
    /// Those that were written anew.
    pub tagged: Vec<Tagged>,
    /// Old ones that stay beside the new ones because the store keeps them for a time.
    pub held: Held,
}

/// Change the labels of these snapshots; those that would not change are left alone. Needs the exclusive lock.
///
/// Each new snapshot is stored before the old one is deleted, so that a crash leaves two at worst, and never none.
///
/// # Errors
/// [`Error::AppendOnly`] before anything is changed; those of the store.
pub fn tag(
    repository: &Repository,
    snapshots: &[(Id, Snapshot)],
    change: &TagChange,
    lock: &Lock,
    cancel: &Cancel,
) -> Result<TagReport> {
    demand_exclusive(lock)?;
    repository.demand_deletion(&[ObjectKind::Snapshot])?;
    let (replacer, mut report) = (Replacer::new(repository)?, TagReport::default());
    for (old, snapshot) in snapshots {
        let tags = change.apply(snapshot.tags());
        if tags == snapshot.tags() {
            continue;
        }
        cancel.check()?;
        lock.check()?;
        let mut changed = snapshot.clone();
        changed.tags = Some(tags.clone());
        changed.original = changed.original.or(Some(*old));
        let new = replacer.store(&changed)?;
        if new == *old {
            return Err(Error::Verification(
                "a changed snapshot has the id of the old one".to_owned(),
            ));
        }
        let deleted = delete_unless_held(repository, ObjectKind::Snapshot, &[*old], lock, cancel)?;
        report.held.add(deleted.held);
        report.tagged.push(Tagged { old: *old, new, tags });
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn no_label_twice() {
        assert_eq!(TagChange::Set(tags("a b a")).apply(&tags("x")), tags("a b"));
        let edit = TagChange::Edit {
            add: tags("b c"),
            remove: tags("a"),
        };
        assert_eq!(edit.apply(&tags("a b")), tags("b c"));
        assert_eq!(TagChange::Set(vec![String::new()]).apply(&tags("a")), tags(""));
    }
}

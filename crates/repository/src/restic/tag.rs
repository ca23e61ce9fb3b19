//! Changes the labels of snapshots.

use super::lock::Lock;
use super::object::ObjectKind;
use super::prune::execute::{delete_all, demand_exclusive};
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::{Cancel, Error, Id, Result};
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

/// Change the labels of these snapshots; those that would not change are left alone. Needs the exclusive lock.
///
/// Each new snapshot is stored before the old one is deleted, so that a crash leaves two at worst, and never none.
pub fn tag(
    repository: &Repository,
    snapshots: &[(Id, Snapshot)],
    change: &TagChange,
    lock: &Lock,
    cancel: &Cancel,
) -> Result<Vec<Tagged>> {
    demand_exclusive(lock)?;
    let mut tagged = Vec::new();
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
        let new = repository.write_json(ObjectKind::Snapshot, &changed)?;
        if new == *old {
            return Err(Error::Verification(
                "a changed snapshot has the id of the old one".to_owned(),
            ));
        }
        delete_all(repository, ObjectKind::Snapshot, &[*old], lock, cancel)?;
        tagged.push(Tagged { old: *old, new, tags });
    }
    Ok(tagged)
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

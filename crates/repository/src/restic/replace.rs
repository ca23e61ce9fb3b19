//! Snapshots that take the place of others. Objects are never changed: the new one is stored, and then the old one is deleted.

use super::object::ObjectKind;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::{Id, Result};

/// The snapshots that are there before some are replaced.
pub struct Replacer<'a> {
    repository: &'a Repository,
    known: Vec<(Id, Snapshot)>,
}

impl<'a> Replacer<'a> {
    /// Reads all snapshots.
    ///
    /// # Errors
    /// Those of the store.
    pub fn new(repository: &'a Repository) -> Result<Self> {
        let known = repository.snapshots()?.into_iter().filter_map(Result::ok).collect();
        Ok(Self { repository, known })
    }

    /// Store `new`; returns its id. If it is there already, since the store kept the old one when this was done before, it is not stored
    /// again.
    ///
    /// # Errors
    /// Those of the store.
    pub fn store(&self, new: &Snapshot) -> Result<Id> {
        if let Some((id, _)) = self.known.iter().find(|(_, known)| is_same(known, new)) {
            return Ok(*id);
        }
        let id = self.repository.write_json(ObjectKind::Snapshot, new)?;
        self.repository.confirm(ObjectKind::Snapshot, &id, None)?;
        Ok(id)
    }
}

fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    // Most differ in these.
    let is_similar = a.tree == b.tree && a.original == b.original && a.time == b.time;
    is_similar && serde_json::to_value(a).ok() == serde_json::to_value(b).ok()
}

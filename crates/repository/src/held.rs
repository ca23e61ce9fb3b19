//! Objects that a store keeps for a time although they were to go.

use crate::{Error, Result};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use storage::{ErrorKind, Store, Versioning};

/// What could not be deleted because the store protects it for a time. That is what such a store is for, and no error: a later
/// attempt deletes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// How many objects.
    pub objects: u64,
    /// Until when the last of them is kept, if the store says so.
    pub until: Option<Timestamp>,
}

impl Held {
    /// Whether everything that was to go is gone.
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Count the objects of `other` as well.
    pub fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.until = self.until.max(other.until);
    }

    /// Delete an object of `store`, or count it; whether it was deleted.
    ///
    /// # Errors
    /// When it cannot be deleted for any other reason.
    pub(crate) fn delete(&mut self, store: &dyn Store, name: &str) -> Result<bool> {
        self.count(store.delete(name).map_err(Error::from))
    }

    /// Count an object that was not deleted for this reason; whether it was deleted.
    ///
    /// # Errors
    /// When it was not deleted for any other reason.
    pub(crate) fn count(&mut self, deleted: Result<()>) -> Result<bool> {
        match deleted {
            Ok(()) => Ok(true),
            Err(Error::Storage(error)) if error.kind == ErrorKind::Held => {
                let until = error.held_until.and_then(|time| Timestamp::try_from(*time).ok());
                self.add(Self { objects: 1, until });
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// That `store` lets something be deleted: it is asked to delete `nothing`, an object that is not there, as if it were an `object`.
///
/// # Errors
/// [`Error::AppendOnly`].
pub(crate) fn demand_deletion(store: &dyn Store, nothing: &str, object: &'static str) -> Result<()> {
    let asked = store.inspect().and_then(|store| store.try_deletion(nothing));
    match asked.unwrap_or_else(|| store.delete(nothing)) {
        Err(error) if error.kind == ErrorKind::PermissionDenied => Err(Error::AppendOnly {
            location: store.location(),
            object,
            source: Box::new(error),
        }),
        // Whatever else is wrong is found out when it matters.
        _ => Ok(()),
    }
}

/// Whether `store` keeps what is deleted as old versions; none if it may and does not say. What it kept before it stopped stays.
pub(crate) fn keeps_versions(store: &dyn Store) -> Option<bool> {
    let Some(store) = store.inspect() else {
        return Some(false);
    };
    let versioning = store.versioning()?.ok()?;
    Some(versioning != Versioning::Off)
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, them) = if self.objects == 1 {
            ("object", "it")
        } else {
            ("objects", "them")
        };
        write!(
            f,
            "{} {noun} cannot be deleted yet: the store keeps {them}",
            self.objects
        )?;
        match self.until {
            Some(until) => write!(f, " until {}", until.strftime("%Y-%m-%d %H:%M UTC")),
            None => f.write_str(" for a time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Hold;

    fn refused(kind: ErrorKind) -> storage::Error {
        storage::Error::new(kind, "delete", "data/a", "s3:x")
    }

    #[test]
    fn only_what_the_store_keeps_is_no_error() {
        let mut held = Held::default();
        assert!(held.count(Ok(())).unwrap());
        assert!(held.is_empty());
        assert!(!held.count(Err(refused(ErrorKind::Held).into())).unwrap());
        assert_eq!(
            held.to_string(),
            "1 object cannot be deleted yet: the store keeps it for a time"
        );
        for text in ["2026-12-01T00:00:00Z", "2026-11-01T00:00:00Z"] {
            let until: Timestamp = text.parse().unwrap();
            let error = refused(ErrorKind::PermissionDenied).held(Hold::Until(until.into()));
            assert!(!held.count(Err(error.into())).unwrap());
        }
        assert_eq!(
            held.to_string(),
            "3 objects cannot be deleted yet: the store keeps them until 2026-12-01 00:00 UTC"
        );
        held.count(Err(refused(ErrorKind::PermissionDenied).into()))
            .unwrap_err();
    }
}

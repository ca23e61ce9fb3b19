//! The kinds of objects that a repository consists of, and the names under which they are stored.

use crate::{Error, Id, Result};

/// What an object is; each kind but the config has a directory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// Version and identity.
    Config,
    /// Master keys, each sealed with a password.
    Key,
    /// Who is at work.
    Lock,
    /// Restore points.
    Snapshot,
    /// Which blob is in which pack.
    Index,
    /// Blobs.
    Pack,
}

impl ObjectKind {
    /// Every kind that has a directory.
    pub const LISTED: [Self; 5] = [Self::Key, Self::Lock, Self::Snapshot, Self::Index, Self::Pack];

    /// For messages: `snapshot`, `pack`, ….
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Key => "key",
            Self::Lock => "lock",
            Self::Snapshot => "snapshot",
            Self::Index => "index",
            Self::Pack => "pack",
        }
    }

    /// The directory.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Config => "",
            Self::Key => "keys",
            Self::Lock => "locks",
            Self::Snapshot => "snapshots",
            Self::Index => "index",
            Self::Pack => "data",
        }
    }

    /// The name of the object `id` in the store.
    pub fn object_name(self, id: &Id) -> String {
        match self {
            Self::Config => "config".to_owned(),
            Self::Pack => {
                let hex = id.to_hex();
                format!("data/{}/{hex}", &hex[..2])
            }
            _ => format!("{}/{id}", self.directory()),
        }
    }
}

/// The ids and sizes of all objects of a kind; files with other names are somebody else's and are passed over.
pub fn list(store: &dyn storage::Store, kind: ObjectKind) -> Result<Vec<(Id, u64)>> {
    let objects = store.list(kind.directory())?;
    let parse = |object: &storage::ObjectInfo| {
        let name = object.name.rsplit('/').next().unwrap_or_default();
        let id = name.parse().ok()?;
        (kind.object_name(&id) == object.name).then_some((id, object.size))
    };
    Ok(objects.iter().filter_map(parse).collect())
}

/// Complain unless the stored bytes are those that the object is named after.
pub fn verify_name(kind: ObjectKind, id: &Id, stored: &[u8]) -> Result<()> {
    if Id::hash(stored) == *id {
        return Ok(());
    }
    Err(Error::damaged(kind.name(), id, "its content does not fit its name"))
}

//! The object that names the newest archive, for people and scripts that look into a bucket.

use super::manifest::Manifest;
use crate::{Error, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::Store;

/// What is usual for its name.
pub const LATEST: &str = "latest.json";

/// The newest archive. It is written after the archive's manifest, so it never names one that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The archive's name.
    pub name: String,
    /// The object with its manifest.
    pub manifest: String,
    /// The objects that it consists of.
    pub parts: Vec<String>,
    /// When it was begun.
    pub start: Timestamp,
}

/// Let `object` name this archive.
pub(super) fn write(store: &dyn Store, object: &str, manifest: &Manifest) -> Result<()> {
    let latest = Latest {
        name: manifest.name.clone(),
        manifest: manifest.object_name(),
        parts: manifest.parts.iter().map(|part| part.name.clone()).collect(),
        start: manifest.start,
    };
    let mut json = serde_json::to_vec_pretty(&latest).map_err(|error| {
        Error::Verification(format!("the pointer to the latest archive cannot be written: {error}"))
    })?;
    json.push(b'\n');
    Ok(store.write(object, json.into())?)
}

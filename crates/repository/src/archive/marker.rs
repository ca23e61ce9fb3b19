//! The first object of an archive that is written, and the last one that is deleted: it says which objects are ours while there is no
//! manifest that says so.
//!
//! An archive whose writing was interrupted has a marker and no manifest; so has one whose deletion was. [`clean`](super::clean())
//! finds both by their markers. A foreign object has neither, so it is never touched.

use crate::{Error, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::{ErrorKind, Store};

/// How a marker's name ends, after the archive's name.
pub const SUFFIX: &str = ".started";
const FORMAT: &str = "mainstay-archive-marker";
/// Greatest marker that is read, bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What is being done with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its parts are being stored.
    Writing,
    /// Its parts are being deleted.
    Deleting,
}

/// Stands beside an archive that is written or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    format: String,
    /// The archive's name.
    pub name: String,
    /// The host that works on it.
    pub host: String,
    /// The job that it belongs to.
    pub job: String,
    /// Since when.
    pub time: Timestamp,
    /// What is being done.
    pub state: State,
    /// What only one program at a time holds, this one now. Who holds it later knows that this one is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
}

impl Marker {
    /// A marker for the archive `name`.
    pub fn new(name: &str, host: &str, job: &str, time: Timestamp, state: State) -> Self {
        Self {
            format: FORMAT.to_owned(),
            name: name.to_owned(),
            host: host.to_owned(),
            job: job.to_owned(),
            time,
            state,
            writer: None,
        }
    }

    /// The same of a program that holds this.
    pub fn by(self, writer: Option<&str>) -> Self {
        Self {
            writer: writer.map(str::to_owned),
            ..self
        }
    }

    /// The name of its object.
    pub fn object_name(&self) -> String {
        object_name(&self.name)
    }

    /// Store it.
    pub fn write(&self, store: &dyn Store) -> Result<()> {
        let json = serde_json::to_vec(self)
            .map_err(|error| Error::Verification(format!("a marker cannot be written: {error}")))?;
        Ok(store.write(&self.object_name(), json.into())?)
    }

    /// The marker in the object `object`; `None` if it is gone, or if that is something else.
    pub fn read(store: &dyn Store, object: &str) -> Result<Option<Self>> {
        let content = match store.stat(object) {
            Ok(size) if size > MAX_BYTES => return Ok(None),
            Ok(_) => store.read(object),
            Err(error) => Err(error),
        };
        match content {
            Ok(json) => Ok(Self::parse(object, &json)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(object: &str, json: &[u8]) -> Option<Self> {
        let marker: Self = serde_json::from_slice(json).ok()?;
        (marker.format == FORMAT && marker.object_name() == object).then_some(marker)
    }
}

/// The name of the marker of the archive `name`.
pub fn object_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

//! What a part holds, as its index says.

use super::capture::{place, pretty};
use super::kinds::Kind;
use crate::source::Stored;
use repository::Error;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file that lists all others.
pub const INDEX: &str = "index.json";

const FORMAT: &str = "mainstay-grafana";
const VERSION: u64 = 1;

/// Keys of all objects, by kind.
#[derive(Debug, Default)]
pub struct Index {
    objects: serde_json::Map<String, Value>,
}

/// An object of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// What tells it from others of its kind.
    pub key: String,
    /// Where it stands below the part.
    pub place: PathBuf,
}

impl Index {
    /// Add the objects of a kind.
    pub fn add<'a>(&mut self, kind: Kind, keys: impl Iterator<Item = &'a str>) {
        self.objects.insert(kind.directory().to_owned(), keys.collect());
    }

    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        let count = |(kind, keys): (&String, &Value)| (kind.clone(), keys.as_array().map_or(0, Vec::len).into());
        let counts: serde_json::Map<String, Value> = self.objects.iter().map(count).collect();
        pretty(&json!({"format": FORMAT, "version": VERSION, "counts": counts, "objects": self.objects}))
    }

    /// The objects of a part, in the order in which they are restored.
    ///
    /// # Errors
    /// Damage, and that it is of a later version.
    pub fn read(stored: &Stored<'_>) -> anyhow::Result<Vec<Object>> {
        let index = read(stored, Path::new(INDEX))?;
        if index["format"] != FORMAT || index["version"].as_u64() > Some(VERSION) {
            return Err(damaged(stored, Path::new(INDEX), "it is of another version").into());
        }
        let of_kind = |kind: Kind| {
            let keys = index["objects"][kind.directory()].as_array().into_iter().flatten();
            keys.filter_map(Value::as_str).map(move |key| Object {
                kind,
                key: key.to_owned(),
                place: place(kind, key),
            })
        };
        Ok(Kind::ALL.into_iter().flat_map(of_kind).collect())
    }
}

impl Object {
    /// Its JSON.
    ///
    /// # Errors
    /// Damage, and that it is something else than the index says.
    pub fn read(&self, stored: &Stored<'_>) -> anyhow::Result<Value> {
        let json = read(stored, &self.place)?;
        if self.kind.key(&json).as_ref() != Some(&self.key) {
            return Err(damaged(stored, &self.place, "it is another object").into());
        }
        Ok(json)
    }
}

fn read(stored: &Stored<'_>, place: &Path) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    stored.copy(&stored.part.path.join(place), &mut bytes)?;
    let json = serde_json::from_slice(&bytes);
    Ok(json.map_err(|error| damaged(stored, place, &error.to_string()))?)
}

fn damaged(stored: &Stored<'_>, place: &Path, reason: &str) -> Error {
    let path = stored.part.path.join(place);
    Error::Refused {
        message: format!("`{}` cannot be used: {reason}", path.display()),
        hint: "Choose another restore point.".to_owned(),
    }
}

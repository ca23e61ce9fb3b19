//! The engine for repositories in restic's format.
//!
//! Source of all formats here: restic's design document (`doc/design.rst`); where it and a stock restic disagree, restic is right.

pub mod backup;
pub mod blob_reader;
pub mod cache;
pub mod check;
pub mod chunker;
pub mod compress;
pub mod config;
pub mod copy;
pub mod crypto;
pub mod diff;
pub mod dump;
pub mod find;
pub mod forget;
pub mod gojson;
pub mod index;
pub mod key;
pub mod lock;
pub mod ls;
pub mod mode;
pub mod node;
pub mod object;
mod pace;
pub mod pack;
mod pack_buffer;
pub mod packer;
pub mod parallel;
pub mod polynomial;
pub mod prune;
pub mod purge;
pub mod repair;
pub mod replace;
pub mod repository;
pub mod restore;
pub mod select;
pub mod snapshot;
pub mod stats;
pub mod tag;
pub mod tree;
pub mod verify;
pub mod walk;

/// Byte strings that JSON holds as base64.
pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// Byte strings that JSON holds as base64, or as `null` when they are empty, which is how Go writes them.
pub(crate) mod base64_bytes_or_null {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer};

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

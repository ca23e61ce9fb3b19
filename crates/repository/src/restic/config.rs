//! The `config` object: version and identity of a repository.

use super::polynomial::Polynomial;
use crate::{Error, Id, Result};
use serde::{Deserialize, Serialize};

/// How a repository cuts files into blobs. Any reader can read both: boundaries are no part of the readable format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkerKind {
    /// restic's own, with the repository's polynomial: what restic stored is found again.
    Rabin,
    /// FastCDC: several times faster, cuts like [`FASTCDC`] says.
    FastCdc,
}

/// The value of the extra field that marks a repository whose files Mainstay cuts with FastCDC.
///
/// Chunker and sizes are part of the name: a later chunker gets another name, and an unknown name falls back to Rabin.
pub const FASTCDC: &str = "fastcdc-2020-512k-1m-8m";

/// The decrypted `config` object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Version of the format: 1 (no compression) or 2.
    pub version: u32,
    /// Identity of the repository.
    pub id: Id,
    /// For restic's chunker; restic refuses a repository where this is not irreducible.
    pub chunker_polynomial: Polynomial,
    /// Which chunker Mainstay uses here; restic ignores this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mainstay_chunker: Option<String>,
}

impl Config {
    /// A new repository's.
    pub fn create(chunker: ChunkerKind) -> Self {
        Self {
            version: 2,
            id: Id::random(),
            chunker_polynomial: Polynomial::random(),
            mainstay_chunker: (chunker == ChunkerKind::FastCdc).then(|| FASTCDC.to_owned()),
        }
    }

    /// That of a new repository which cuts files as this one does.
    pub fn sibling(&self) -> Self {
        Self {
            version: 2,
            id: Id::random(),
            chunker_polynomial: self.chunker_polynomial,
            mainstay_chunker: self.mainstay_chunker.clone(),
        }
    }

    /// Parse the decrypted JSON and refuse what we would not understand.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let damaged = |reason: String| Error::Damaged {
            object: "config",
            name: "config".to_owned(),
            reason,
        };
        let config: Self = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        if !(1..=2).contains(&config.version) {
            return Err(Error::UnsupportedVersion {
                version: config.version,
            });
        }
        if !config.chunker_polynomial.is_irreducible() {
            return Err(damaged("its chunker polynomial is not irreducible".to_owned()));
        }
        Ok(config)
    }

    /// Which chunker new data is cut with.
    pub fn chunker(&self) -> ChunkerKind {
        match self.mainstay_chunker.as_deref() {
            Some(FASTCDC) => ChunkerKind::FastCdc,
            _ => ChunkerKind::Rabin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_back() {
        let config = Config::create(ChunkerKind::FastCdc);
        let json = serde_json::to_vec(&config).unwrap();
        let copy = Config::parse(&json).unwrap();
        assert_eq!((copy.id, copy.chunker()), (config.id, ChunkerKind::FastCdc));
    }

    #[test]
    fn refuses_unknown_versions_and_reducible_polynomials() {
        let id = Id::hash(b"");
        let json = |version: u32, polynomial: &str| {
            format!(r#"{{"version":{version},"id":"{id}","chunker_polynomial":"{polynomial}"}}"#)
        };
        assert!(matches!(
            Config::parse(json(3, "25b468838dcb75").as_bytes()),
            Err(Error::UnsupportedVersion { version: 3 })
        ));
        assert!(matches!(
            Config::parse(json(2, "25b468838dcb74").as_bytes()),
            Err(Error::Damaged { .. })
        ));
        assert_eq!(
            Config::parse(json(1, "25b468838dcb75").as_bytes()).unwrap().chunker(),
            ChunkerKind::Rabin
        );
    }
}

//! Index files: JSON that says which blobs are in which pack.

use crate::restic::pack::{BlobKind, MAX_BLOB, PackedBlob};
use crate::{Error, Id, Result};
use serde::{Deserialize, Serialize};

/// One index file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IndexFile {
    /// Index files that this one replaced; only old versions of restic wrote this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<Id>,
    /// The packs it describes.
    #[serde(deserialize_with = "packs_or_null")]
    pub packs: Vec<IndexedPack>,
}

/// A pack and all of its blobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexedPack {
    /// The pack.
    pub id: Id,
    /// Its blobs.
    pub blobs: Vec<IndexedBlob>,
}

/// A blob as an index file describes it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct IndexedBlob {
    id: Id,
    #[serde(rename = "type")]
    kind: BlobKind,
    offset: u32,
    length: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    uncompressed_length: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn packs_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IndexedPack>, D::Error> {
    Ok(Option::<Vec<IndexedPack>>::deserialize(deserializer)?.unwrap_or_default())
}

impl From<PackedBlob> for IndexedBlob {
    fn from(blob: PackedBlob) -> Self {
        let uncompressed_length = blob.uncompressed_length.unwrap_or(0);
        Self {
            id: blob.id,
            kind: blob.kind,
            offset: blob.offset,
            length: blob.length,
            uncompressed_length,
        }
    }
}

impl From<IndexedBlob> for PackedBlob {
    fn from(blob: IndexedBlob) -> Self {
        // Nobody compresses an empty blob, so 0 stands for "not compressed" without loss.
        let uncompressed_length = (blob.uncompressed_length != 0).then_some(blob.uncompressed_length);
        Self {
            id: blob.id,
            kind: blob.kind,
            offset: blob.offset,
            length: blob.length,
            uncompressed_length,
        }
    }
}

impl IndexFile {
    /// Parse the decrypted JSON.
    pub fn parse(id: &Id, json: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(json).map_err(|error| Error::damaged("index", id, error))?;
        let mut blobs = file.packs.iter().flat_map(|pack| &pack.blobs);
        match blobs.find(|blob| blob.length > MAX_BLOB || blob.uncompressed_length > MAX_BLOB) {
            None => Ok(file),
            Some(blob) => Err(Error::damaged(
                "index",
                id,
                format!("the length of its blob `{}` is absurd", blob.id),
            )),
        }
    }

    /// Its text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_lengths_that_nobody_writes() {
        let id = Id::hash(b"x");
        let json = |length: u32, plain: u32| {
            format!(
                r#"{{"packs":[{{"id":"{id}","blobs":[{{"id":"{id}","type":"data","offset":0,"length":{length},"uncompressed_length":{plain}}}]}}]}}"#
            )
        };
        assert!(IndexFile::parse(&id, json(MAX_BLOB, MAX_BLOB).as_bytes()).is_ok());
        assert!(IndexFile::parse(&id, json(MAX_BLOB + 1, 0).as_bytes()).is_err());
        assert!(IndexFile::parse(&id, json(40, u32::MAX).as_bytes()).is_err());
    }
}

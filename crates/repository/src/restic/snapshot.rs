//! Snapshots: one JSON object each, encrypted, named by the hash of its stored bytes.

use crate::Id;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One restore point.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was begun; kept with its offset from UTC as text, because restic writes local time.
    pub time: SnapshotTime,
    /// The snapshot that unchanged files were taken over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// Root directory.
    pub tree: Id,
    /// What was captured: absolute paths.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// By whom.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// By which user.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// By which group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Patterns that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "is_empty_or_none")]
    pub tags: Option<Vec<String>>,
    /// The first form of this snapshot, if it was changed (tags, repair).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Id>,
    /// Program that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_version: Option<String>,
    /// Counts of the run that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Entries that could not be read when this snapshot was made: more than zero means that it is incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mainstay_problems: Option<u64>,
    /// Something was removed from it on purpose since it was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mainstay_purged: bool,
    /// Fields of other programs, kept as they are.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_empty_or_none(tags: &Option<Vec<String>>) -> bool {
    tags.as_ref().is_none_or(Vec::is_empty)
}

impl Snapshot {
    /// The labels, if any.
    pub fn tags(&self) -> &[String] {
        self.tags.as_deref().unwrap_or_default()
    }

    /// Whether entries are missing that should have been captured.
    pub fn is_incomplete(&self) -> bool {
        self.mainstay_problems.is_some_and(|n| n > 0)
    }
}

/// A moment that prints as it was read, so that rewriting a snapshot does not change its time's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTime {
    moment: Timestamp,
    text: String,
}

impl SnapshotTime {
    /// The moment itself.
    pub fn timestamp(&self) -> Timestamp {
        self.moment
    }
}

impl From<Timestamp> for SnapshotTime {
    fn from(moment: Timestamp) -> Self {
        Self {
            moment,
            text: moment.to_string(),
        }
    }
}

impl Serialize for SnapshotTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for SnapshotTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self { moment, text })
    }
}

/// Counts of a backup, with the names that restic gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// RFC 3339.
    pub backup_start: String,
    /// RFC 3339.
    pub backup_end: String,
    /// Files that the parent does not have.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files taken over from the parent.
    pub files_unmodified: u64,
    /// Directories that the parent does not have.
    pub dirs_new: u64,
    /// Directories that differ from the parent's.
    pub dirs_changed: u64,
    /// Directories that are the same.
    pub dirs_unmodified: u64,
    /// File blobs that were not in the repository.
    pub data_blobs: u64,
    /// Directory blobs that were not in the repository.
    pub tree_blobs: u64,
    /// Plain size of the new blobs, bytes.
    pub data_added: u64,
    /// Stored size of the new blobs, bytes.
    pub data_added_packed: u64,
    /// Files in the snapshot.
    pub total_files_processed: u64,
    /// Content of those files, bytes.
    pub total_bytes_processed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_unknown_fields_and_the_time_s_text() {
        let json = r#"{"time":"2026-01-02T03:04:05.6+01:00","tree":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","paths":["/x"],"hostname":"h","username":"u","tags":["a"],"job":"nightly"}"#;
        let snapshot: Snapshot = serde_json::from_str(json).unwrap();
        assert_eq!(snapshot.time.timestamp().to_string(), "2026-01-02T02:04:05.6Z");
        assert_eq!(serde_json::to_string(&snapshot).unwrap(), json);
    }
}

//! What is written beside the data of every restore point: what it holds, and what a restore of it has to show.

use super::capture::SourceInfo;
use jiff::Timestamp;
use repository::Id;
use repository::restic::backup::{PartTotals, Totals};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where it stands in a snapshot.
pub const PATH: &str = "/mainstay.json";

/// What the field `format` says.
const FORMAT: &str = "mainstay-manifest";
const VERSION: u32 = 1;

/// How consistent what was captured is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As of one moment.
    Transactional,
    /// Whoever writes it stood still.
    Stopped,
    /// Whoever writes it was paused.
    Paused,
    /// File by file, while it was in use.
    Live,
}

/// What is known of a stream, for whoever compares it with what was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its length in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// Its hash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Id>,
}

/// One source as it was captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The kind of source.
    pub kind: String,
    /// What it is, for people.
    pub name: String,
    /// Where it stands in the snapshot.
    pub paths: Vec<PathBuf>,
    /// How consistent it is, if that is known.
    pub grade: Option<Grade>,
    /// Files and other entries that are not directories.
    pub entries: u64,
    /// Content of files.
    pub bytes: u64,
    /// What a restore of it has to show.
    #[serde(default)]
    pub facts: Facts,
}

/// A volume that was left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What a restore point holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    version: u32,
    /// The program and its version.
    pub program: String,
    /// Name of the host.
    pub host: String,
    /// Name of the job.
    pub job: String,
    /// When the run was begun.
    pub start: Timestamp,
    /// When everything was captured.
    pub end: Timestamp,
    /// Source by source.
    pub parts: Vec<Part>,
    /// Entries that could not be read; more than zero means that it is incomplete.
    pub problems: u64,
    /// Entries that vanished between being listed and being read.
    pub vanished: u64,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// What was left out on purpose.
    pub skipped: Vec<Skipped>,
}

impl Manifest {
    /// Of what was captured until `end`.
    pub fn new(run: &super::Naming, sources: &[SourceInfo], totals: &Totals, end: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            program: concat!("mainstay ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: run.host.clone(),
            job: run.job.clone(),
            start: run.start,
            end,
            parts: sources.iter().map(|source| part(source, totals)).collect(),
            problems: totals.problems,
            vanished: totals.vanished,
            changed_while_read: totals.changed_while_read,
            skipped: run.skipped.clone(),
        }
    }

    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        // A value of strings and numbers always serializes.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

fn part(source: &SourceInfo, totals: &Totals) -> Part {
    let captured: Vec<&PartTotals> = totals
        .parts
        .iter()
        .filter(|part| source.places.contains(&part.path))
        .collect();
    Part {
        kind: source.kind.to_owned(),
        name: source.name.clone(),
        paths: source.paths.clone(),
        grade: source.grade,
        entries: captured.iter().map(|part| part.entries).sum(),
        bytes: captured.iter().map(|part| part.bytes).sum(),
        facts: *source.facts.lock(),
    }
}

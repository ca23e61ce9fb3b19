//! What is written beside the data of every restore point: what it holds, and what a restore of it has to show.

use super::capture::PartInfo;
use jiff::Timestamp;
use repository::restic::backup::{PartTotals, Totals};
use repository::{Error, Id};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
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

/// What is known of a part, for whoever compares it with what was restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its length in bytes, if it is one stream.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// Its hash, if it is one stream.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Id>,
    /// Versions of the server and of the programs that were used.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub versions: BTreeMap<String, String>,
    /// Rows, keys or documents by table, space or collection.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub rows: BTreeMap<String, u64>,
    /// Rows were not counted as of the same moment: they may differ by what was written meanwhile.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub approximate: bool,
    /// What else the kind of source compares, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// A part of a source as it was captured. It can be restored by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The kind of source.
    pub kind: String,
    /// What it is, for people.
    pub name: String,
    /// Where it stands in the snapshot: a file, or the directory that everything of it stands in.
    pub path: PathBuf,
    /// How consistent it is, if that is known.
    pub grade: Option<Grade>,
    /// Files and other entries that are not directories.
    pub entries: u64,
    /// Content of files.
    pub bytes: u64,
    /// What a restore of it has to show.
    #[serde(default)]
    pub facts: Facts,
    /// Why it is missing or not whole, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Part by part, in the order in which they have to be restored.
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
    pub fn new(run: &super::Naming, parts: &[PartInfo], totals: &Totals, end: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            program: concat!("mainstay ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: run.host.clone(),
            job: run.job.clone(),
            start: run.start,
            end,
            parts: parts.iter().map(|info| part(info, totals)).collect(),
            problems: totals.problems,
            vanished: totals.vanished,
            changed_while_read: totals.changed_while_read,
            skipped: run.skipped.clone(),
        }
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is none, or one of a later version.
    pub fn parse(json: &[u8]) -> repository::Result<Self> {
        let refused = |reason: String| Error::Refused {
            message: format!("the manifest `{PATH}` cannot be understood: {reason}"),
            hint: "A newer version of Mainstay may have written it; files can be restored with `restore --target`."
                .to_owned(),
        };
        let manifest: Self = serde_json::from_slice(json).map_err(|error| refused(error.to_string()))?;
        if manifest.format != FORMAT || manifest.version > VERSION {
            let Self { format, version, .. } = &manifest;
            return Err(refused(format!("it is `{format}` of version {version}")));
        }
        Ok(manifest)
    }

    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        // A value of strings and numbers always serializes.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

fn part(info: &PartInfo, totals: &Totals) -> Part {
    // An application may have thousands of them.
    let places: HashSet<&PathBuf> = info.places.iter().collect();
    let captured: Vec<&PartTotals> = totals.parts.iter().filter(|part| places.contains(&part.path)).collect();
    Part {
        kind: info.kind.to_owned(),
        name: info.name.clone(),
        path: info.path.clone(),
        grade: info.grade,
        entries: captured.iter().map(|part| part.entries).sum(),
        bytes: captured.iter().map(|part| part.bytes).sum(),
        facts: info.facts.lock().clone(),
        problem: info.problem.lock().clone(),
    }
}

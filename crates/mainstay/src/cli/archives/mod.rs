//! What commands show of archives.

pub mod check;
pub mod diff;
pub mod find;
pub mod purge;
pub mod stats;

use super::output::{bytes, count, table, trimmed};
use super::selection::{FilterArgs, note_if_none_fits};
use crate::clock;
use repository::Monitor;
use repository::archive::Manifest;
use repository::points::{Archives, PointFilter, RestorePoint, RestorePoints as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The archives that `names` name, or all that the options choose, oldest first; of each host and job only the `latest` so many.
pub fn chosen(
    archives: &Archives,
    names: &[String],
    filter: &FilterArgs,
    latest: Option<usize>,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<Manifest>> {
    let filter = filter.of_archives()?;
    let mut chosen = if names.is_empty() {
        all(archives, &filter, monitor)?
    } else {
        let named = |name: &String| match archives.select(name, &filter, monitor)?.point {
            RestorePoint::Archive(manifest) => Ok(Some(*manifest)),
            RestorePoint::Snapshot(..) => Ok(None),
        };
        let named: repository::Result<Vec<_>> = names.iter().map(named).collect();
        named?.into_iter().flatten().collect()
    };
    if let Some(n) = latest {
        chosen = latest_of_each_job(chosen, n);
    }
    Ok(chosen)
}

/// The newest `n` of each host and job, of archives that come oldest first, and so do they.
pub fn latest_of_each_job(mut manifests: Vec<Manifest>, n: usize) -> Vec<Manifest> {
    let mut newer: BTreeMap<(String, String), usize> = BTreeMap::new();
    manifests.reverse();
    manifests.retain(|manifest| {
        let newer = newer.entry((manifest.host.clone(), manifest.job.clone())).or_default();
        *newer += 1;
        *newer <= n
    });
    manifests.reverse();
    manifests
}

fn all(archives: &Archives, filter: &PointFilter, monitor: &dyn Monitor) -> anyhow::Result<Vec<Manifest>> {
    let manifests = archives.manifests(filter, monitor)?;
    if manifests.is_empty() {
        note_if_none_fits(filter, monitor);
    }
    Ok(manifests)
}

/// The manifest, with the names that restic's snapshots have for the same.
pub fn to_json(manifest: &Manifest) -> Value {
    let mut value = json!(manifest);
    value["id"] = json!(manifest.name);
    value["short_id"] = json!(manifest.name);
    value["time"] = json!(manifest.start);
    value["hostname"] = json!(manifest.host);
    value["summary"] = json!({
        "backup_start": manifest.start,
        "backup_end": manifest.end,
        "total_files_processed": manifest.counts.files,
        "total_bytes_processed": manifest.counts.content_bytes,
        "data_added_packed": manifest.stored_bytes,
    });
    if manifest.counts.problems > 0 {
        value["mainstay_problems"] = json!(manifest.counts.problems);
    }
    value
}

/// A table of archives and how many they are.
pub fn to_text(manifests: &[Manifest]) -> String {
    let number = count(manifests.len() as u64, "archive");
    if manifests.is_empty() {
        return number;
    }
    let mut table = table(&["ID", "Time", "Host", "Job", ">Size", ">Stored", "Encryption"]);
    for manifest in manifests {
        let mut job = manifest.job.clone();
        if manifest.counts.problems > 0 {
            job.push_str(" (incomplete)");
        }
        table.add_row([
            manifest.name.clone(),
            clock::local(manifest.start),
            manifest.host.clone(),
            job,
            bytes(manifest.counts.content_bytes),
            bytes(manifest.stored_bytes),
            manifest.encryption.method.clone(),
        ]);
    }
    format!("{}\n{number}", trimmed(&table))
}

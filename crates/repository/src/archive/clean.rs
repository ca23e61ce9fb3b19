//! Removing what interrupted runs left.

use super::manifest::{Manifest, is_part_of};
use super::marker::{Marker, SUFFIX, State};
use crate::{Cancel, Error, Held, Monitor, Result};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use storage::{ErrorKind, Store};

/// Whose leftovers are removed.
#[derive(Clone, Debug)]
pub struct CleanOptions {
    /// Made on this host …
    pub host: String,
    /// … by this job.
    pub job: String,
    /// An archive without a manifest is left alone for so long after it was begun: it may still be written. Two days are usual.
    pub margin: SignedDuration,
    /// What only one program at a time holds, the caller now: no margin for whoever has left this in [`WriteOptions::writer`].
    ///
    /// [`WriteOptions::writer`]: super::WriteOptions::writer
    pub writer: Option<String>,
}

impl CleanOptions {
    /// With the usual margin.
    pub fn new(host: &str, job: &str) -> Self {
        Self {
            host: host.to_owned(),
            job: job.to_owned(),
            margin: SignedDuration::from_hours(48),
            writer: None,
        }
    }
}

/// Remove what is left of archives that were not written, or not deleted, to the end. Only objects that a marker of this host and job
/// stands for are touched, and only if there is no manifest. Returns the names of the archives that were cleaned up after.
///
/// # Errors
/// Those of the store.
pub fn clean(
    store: &dyn Store,
    options: &CleanOptions,
    now: Timestamp,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Vec<String>> {
    let objects = super::list_objects(store, "")?;
    let names: HashSet<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    let mut cleaned = Vec::new();
    for object in names.iter().filter(|name| name.ends_with(SUFFIX)) {
        cancel.check()?;
        let Some(marker) = Marker::read(store, object)? else {
            continue;
        };
        let is_ours = marker.host == options.host && marker.job == options.job;
        if !is_ours {
            continue;
        }
        match clean_one(store, &marker, options, now) {
            Ok(false) => {}
            Ok(true) => {
                monitor.note(&format!("what was left of the archive `{}` is removed", marker.name));
                cleaned.push(marker.name);
            }
            // Whether it is complete cannot be told, so it stays.
            Err(error @ (Error::Damaged { .. } | Error::UnsupportedVersion { .. })) => {
                monitor.problem(&marker.name, &error.to_string());
            }
            // Credentials that cannot delete are enough for new archives.
            Err(Error::Storage(error)) if error.kind == ErrorKind::PermissionDenied => {
                monitor.note(&format!("what is left of the archive `{}` stays: {error}", marker.name));
            }
            Err(error) => return Err(error),
        }
    }
    cleaned.sort_unstable();
    Ok(cleaned)
}

/// Whether parts were removed.
fn clean_one(store: &dyn Store, marker: &Marker, options: &CleanOptions, now: Timestamp) -> Result<bool> {
    let is_under_way = match marker.state {
        State::Writing if marker.writer.is_some() && marker.writer == options.writer => false,
        State::Writing => now.duration_since(marker.time) < options.margin,
        State::Deleting => false,
    };
    match Manifest::read(store, &marker.name) {
        // Complete: only the last step was missing.
        Ok(_) => {
            Held::default().delete(store, &marker.object_name())?;
        }
        Err(Error::NotFound { .. }) if is_under_way => {}
        Err(Error::NotFound { .. }) => {
            // What the store keeps for a time goes in a later run, which finds it by the marker.
            return Ok(remove_parts(store, &marker.name)?.is_empty()
                && Held::default().delete(store, &marker.object_name())?);
        }
        Err(error) => return Err(error),
    }
    Ok(false)
}

/// Remove the parts of an archive that has no manifest any more, or never had one. Says which stay because the store keeps them.
pub(super) fn remove_parts(store: &dyn Store, name: &str) -> Result<Held> {
    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
    let objects = super::list_objects(store, parent)?;
    let mut parts: Vec<_> = objects.iter().filter(|object| is_part_of(name, &object.name)).collect();
    parts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut held = Held::default();
    for part in parts {
        held.delete(store, &part.name)?;
    }
    Ok(held)
}

//! What names the newest archive, for people and scripts that look into a bucket or directory: an object, and beside it, where there are
//! such, a symbolic link.

use super::manifest::Manifest;
use crate::{Cancel, Error, Monitor, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::{ErrorKind, Store};

/// What is usual for its name.
pub const LATEST: &str = "latest.json";

/// What the object's name ends with; the link's ends as the archive's does.
const SUFFIX: &str = ".json";
/// How names of links may end.
const EXTENSIONS: [&str; 3] = ["tar", "tar.gz", "tar.zst"];
const OUTER_EXTENSIONS: [&str; 3] = ["", ".age", ".gpg"];

/// The name of the object that names the newest archive of a job.
pub fn latest_name(host: &str, job: &str) -> String {
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "_");
    format!("latest-{}-{}{SUFFIX}", plain(host), plain(job))
}

/// The newest archive. It is written after the archive's manifest, so it never names one that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The archive's name.
    pub name: String,
    /// The object with its manifest.
    pub manifest: String,
    /// The objects that it consists of.
    pub parts: Vec<String>,
    /// When it was begun.
    pub start: Timestamp,
}

/// What `object` names; nothing if it is not there, or something else.
pub(super) fn read(store: &dyn Store, object: &str) -> Result<Option<Latest>> {
    match store.read(object) {
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Let `object` name this archive.
pub(super) fn write(store: &dyn Store, object: &str, manifest: &Manifest) -> Result<()> {
    let latest = Latest {
        name: manifest.name.clone(),
        manifest: manifest.object_name(),
        parts: manifest.parts.iter().map(|part| part.name.clone()).collect(),
        start: manifest.start,
    };
    let mut json = serde_json::to_vec_pretty(&latest).map_err(|error| {
        Error::Verification(format!("the pointer to the latest archive cannot be written: {error}"))
    })?;
    json.push(b'\n');
    Ok(store.write(object, json.into())?)
}

/// Let the link beside `object` lead to this archive. Links with other endings are removed: they name what was the latest under other
/// settings.
///
/// The archive is complete without it, so a link that cannot be set is only told of.
pub(super) fn link(store: &dyn Store, object: &str, manifest: &Manifest, monitor: &dyn Monitor) {
    if let Err(error) = try_link(store, object, manifest) {
        monitor.note(&format!("no link leads to the latest archive: {error}"));
    }
}

fn try_link(store: &dyn Store, object: &str, manifest: &Manifest) -> storage::Result<()> {
    let link = link_name(object, manifest);
    for other in link_names(object).filter(|other| Some(other) != link.as_ref()) {
        unlink(store, &other)?;
    }
    match link {
        Some(link) => store.set_link(&link, &manifest.parts[0].name).map(drop),
        None => Ok(()),
    }
}

/// If the link of its job leads to this archive, which is about to be removed, let it lead to the newest of the others.
pub(super) fn leave(store: &dyn Store, manifest: &Manifest, cancel: &Cancel, monitor: &dyn Monitor) -> Result<()> {
    let object = latest_name(&manifest.host, &manifest.job);
    let Some(link) = link_name(&object, manifest) else {
        return Ok(());
    };
    if store.link_target(&link)?.as_ref() != Some(&manifest.parts[0].name) {
        return Ok(());
    }
    let all = super::list(store, "", cancel, monitor)?;
    let is_of_job = |other: &&Manifest| (&other.host, &other.job) == (&manifest.host, &manifest.job);
    let others = all.iter().filter(is_of_job).filter(|other| other.name != manifest.name);
    match others
        .filter(|other| link_name(&object, other).as_ref() == Some(&link))
        .max_by_key(|other| other.start)
    {
        Some(newest) => store.set_link(&link, &newest.parts[0].name).map(drop)?,
        None => unlink(store, &link)?,
    }
    Ok(())
}

/// One of several parts is no archive, so nothing leads there.
fn link_name(object: &str, manifest: &Manifest) -> Option<String> {
    let extension = manifest.extension()?;
    (manifest.parts.len() == 1).then(|| format!("{}.{extension}", object.strip_suffix(SUFFIX).unwrap_or(object)))
}

fn link_names(object: &str) -> impl Iterator<Item = String> {
    let stem = object.strip_suffix(SUFFIX).unwrap_or(object);
    let endings = move |extension: &'static str| OUTER_EXTENSIONS.map(|outer| format!("{stem}.{extension}{outer}"));
    EXTENSIONS.into_iter().flat_map(endings)
}

fn unlink(store: &dyn Store, link: &str) -> storage::Result<()> {
    match store.link_target(link)? {
        Some(_) => store.delete(link),
        None => Ok(()),
    }
}

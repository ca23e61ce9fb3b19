//! Which archives there are.

use crate::archive::manifest::{Manifest, SUFFIX};
use crate::restic::parallel;
use crate::{Cancel, Error, Monitor, Result};
use storage::{ErrorKind, Store};

/// Manifests that are read at the same time: a year of them is read from far away in seconds.
const REQUESTS: usize = 8;

/// Every archive below the directory `prefix` of the store, oldest first. Objects that only look like manifests are reported to `monitor`
/// and left out.
///
/// # Errors
/// Those of the store.
pub fn list(store: &dyn Store, prefix: &str, cancel: &Cancel, monitor: &dyn Monitor) -> Result<Vec<Manifest>> {
    let mut objects = crate::archive::list_objects(store, prefix)?;
    objects.retain(|object| object.name.ends_with(SUFFIX));
    let read = parallel::map(&objects, REQUESTS, |object| {
        cancel.check()?;
        Manifest::read_listed(store, &object.name, object.size)
    });
    let mut manifests = Vec::new();
    for (object, read) in objects.iter().zip(read) {
        match read {
            Ok(manifest) => manifests.push(manifest),
            // Deleted since it was listed.
            Err(Error::Storage(error)) if error.kind == ErrorKind::NotFound => {}
            Err(error @ (Error::Storage(_) | Error::Interrupted)) => return Err(error),
            Err(error) => monitor.problem(&object.name, &error.to_string()),
        }
    }
    manifests.sort_by(|a, b| (a.start, &a.name).cmp(&(b.start, &b.name)));
    Ok(manifests)
}

/// The name of the only archive whose name begins with `prefix`.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::AmbiguousArchive`]; those of the store.
pub fn full_name(store: &dyn Store, prefix: &str) -> Result<String> {
    let objects = crate::archive::list_objects(store, "")?;
    let names = objects.iter().filter_map(|object| object.name.strip_suffix(SUFFIX));
    let mut matching: Vec<&str> = names.filter(|name| name.starts_with(prefix)).collect();
    // A whole name means this archive, whatever else begins with it.
    if let Some(whole) = matching.iter().position(|name| *name == prefix) {
        matching = vec![matching[whole]];
    }
    match matching[..] {
        [name] if !prefix.is_empty() => Ok(name.to_owned()),
        [_, _, ..] if !prefix.is_empty() => Err(Error::AmbiguousArchive {
            prefix: prefix.to_owned(),
            count: matching.len(),
        }),
        _ => Err(Error::NotFound {
            what: "archive",
            name: prefix.to_owned(),
        }),
    }
}

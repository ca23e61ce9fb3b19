//! Which archives there are.

use crate::archive::manifest::{Manifest, SUFFIX};
use crate::{Cancel, Error, Monitor, Result};
use storage::{ErrorKind, Store};

/// Every archive below the directory `prefix` of the store, oldest first. Objects that only look like manifests are reported to `monitor`
/// and left out.
///
/// # Errors
/// Those of the store.
pub fn list(store: &dyn Store, prefix: &str, cancel: &Cancel, monitor: &dyn Monitor) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for object in crate::archive::list_objects(store, prefix)? {
        cancel.check()?;
        let Some(name) = object.name.strip_suffix(SUFFIX) else {
            continue;
        };
        match Manifest::read(store, name) {
            Ok(manifest) => manifests.push(manifest),
            // Deleted since it was listed.
            Err(Error::NotFound { .. }) => {}
            Err(Error::Storage(error)) if error.kind == ErrorKind::NotFound => {}
            Err(Error::Storage(error)) => return Err(error.into()),
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

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

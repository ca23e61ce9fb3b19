//! Symbolic links to objects, for people and scripts that look into the directory. They are no objects: nothing here follows them.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::dirs;
use crate::name::is_valid;
use crate::temporary;

/// Let `path`, which has the name `name` in the store, be a link that leads to the object `target`, in one step; `false` on a file
/// system that has no links.
///
/// # Errors
/// `AlreadyExists` if something is there that is no link to an object.
pub(super) fn set(path: &Path, name: &str, target: &str) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() && object(path, name)?.is_none() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut link = upwards(name);
    link.push(target);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(temporary::suffix());
    let temporary = PathBuf::from(temporary);
    match symlink(link, &temporary) {
        // FAT and some network mounts answer with the second.
        Err(error) if dirs::is_unsupported(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(false);
        }
        made => made?,
    }
    std::fs::rename(&temporary, path).inspect_err(|_| {
        // Best effort, as with every temporary file.
        let _ = std::fs::remove_file(&temporary);
    })?;
    dirs::sync(path.parent().unwrap_or(Path::new("/")))?;
    Ok(true)
}

/// The object that the link at `path` leads to; nothing if there is none, or if it leads elsewhere.
pub(super) fn object(path: &Path, name: &str) -> io::Result<Option<String>> {
    let link = match std::fs::read_link(path) {
        Ok(link) => link,
        // The second is said of what is no link.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => return Ok(None),
        Err(error) => return Err(error),
    };
    let below = link.strip_prefix(upwards(name)).ok().and_then(Path::to_str);
    Ok(below.filter(|target| is_valid(target)).map(str::to_owned))
}

/// From the directory of `name` to that of the store.
fn upwards(name: &str) -> PathBuf {
    name.bytes().filter(|byte| *byte == b'/').map(|_| "..").collect()
}

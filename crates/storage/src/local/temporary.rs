//! A file that is not an object yet.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{direct, dirs};
use crate::temporary;

/// A file under a temporary name, removed when it is dropped before [`publish`](TemporaryFile::publish).
pub(super) struct TemporaryFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
    published: bool,
}

impl TemporaryFile {
    /// A new, empty file beside `target`, readable by its owner only.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(temporary::suffix());
        let path = PathBuf::from(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self {
            file,
            path,
            target: target.to_owned(),
            published: false,
        })
    }

    /// Write everything that it will hold.
    pub(super) fn fill(&self, pieces: &[Bytes]) -> io::Result<()> {
        direct::write(&self.file, pieces)
    }

    /// Give the file its final name. The order matters: content, then name, then the directory that holds the name.
    pub(super) fn publish(mut self) -> io::Result<()> {
        self.protect()?;
        self.file.sync_all()?;
        std::fs::rename(&self.path, &self.target)?;
        self.published = true;
        dirs::sync(self.target.parent().unwrap_or(Path::new("/")))
    }

    /// Objects never change, so nobody needs to write to them. A guard against accidents only, so that a file system
    /// without permissions (exFAT, some network mounts) is no obstacle.
    fn protect(&self) -> io::Result<()> {
        match self.file.set_permissions(Permissions::from_mode(0o400)) {
            Err(error) if dirs::is_unsupported(&error) || error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.file.write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: what cannot be removed now is removed by a listing tomorrow.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

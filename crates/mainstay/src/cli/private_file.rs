//! Files with secrets in them.

use crate::config::Misuse;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// For nobody else's eyes from the first moment on; in the place of nothing.
pub fn create(file: &Path, content: &[u8]) -> Result<(), Misuse> {
    let written = || -> io::Result<()> {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        let written = new.write_all(content).and_then(|()| new.sync_all());
        if written.is_err() {
            fs::remove_file(file).unwrap_or_default();
        }
        written
    };
    written().map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "What is there is never overwritten: remove it, or choose another name.",
            _ => "Check the directory's path, permissions and free space.",
        };
        Misuse::new(format!("cannot create `{}`", file.display()), hint).because(error)
    })
}

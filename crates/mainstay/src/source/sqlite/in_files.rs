//! Databases that are met while files are captured.

use super::image::Pages;
use super::open;
use super::server::{Database, HEADER};
use crate::explain;
use repository::{Cancel, Error, Result, Substitute};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Endings of the files beside a database that hold part of its content.
const COMPANIONS: &[&str] = &["-wal", "-shm", "-journal"];

/// Captures databases as of one moment, wherever they are met.
#[derive(Debug)]
pub struct InFiles {
    cancel: Cancel,
}

impl InFiles {
    /// Until `cancel`.
    pub fn new(cancel: Cancel) -> Self {
        Self { cancel }
    }
}

impl Substitute for InFiles {
    fn header(&self) -> &'static [u8] {
        HEADER
    }

    /// The smallest page.
    fn unit(&self) -> u64 {
        512
    }

    fn companions(&self) -> &'static [&'static str] {
        COMPANIONS
    }

    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let opened = Pages::open(&Database::met(path.to_owned()), &self.cancel, None);
        let pages = opened.map_err(|error| io::Error::other(explain::chain(&error.into())))?;
        let length = pages.length;
        Ok((Box::new(pages), length))
    }

    fn close(&self, file: File) {
        open::close(file);
    }
}

/// Logs of databases at and below `target`: files that hold part of another one's content. Links are not followed.
///
/// # Errors
/// If a directory cannot be read.
pub fn logs(target: &Path) -> Result<Vec<PathBuf>> {
    let is_directory = |path: &Path| path.symlink_metadata().is_ok_and(|there| there.is_dir());
    if !is_directory(target) {
        let beside = COMPANIONS.iter().map(|ending| with_ending(target, ending));
        return Ok(beside.filter(|log| is_database(target) && log.is_file()).collect());
    }
    let (mut found, mut directories) = (Vec::new(), vec![target.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(Error::local("read", &directory))? {
            let path = entry.map_err(Error::local("read", &directory))?.path();
            if is_directory(&path) {
                directories.push(path);
            } else if owner_of(&path).is_some_and(|owner| is_database(&owner)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path with this behind it.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The database that a file would be the log of.
fn owner_of(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().as_bytes();
    let owner = COMPANIONS
        .iter()
        .find_map(|ending| name.strip_suffix(ending.as_bytes()))?;
    Some(OsStr::from_bytes(owner).into())
}

fn is_database(path: &Path) -> bool {
    Database::met(path.to_owned()).has_header().is_ok_and(|has| has)
}

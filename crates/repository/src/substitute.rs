//! Files whose content is not captured byte by byte.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::local::meta::{Stat, stat_at};
use crate::local::scan::open_file;

/// Files that are captured through a library that knows what belongs together: databases, which change while they are read, and whose
/// content is in several files.
pub trait Substitute: Debug + Send + Sync {
    /// What such files begin with.
    fn header(&self) -> &'static [u8];

    /// What their length is a multiple of, bytes: others are not looked into.
    fn unit(&self) -> u64;

    /// Endings of the names of files beside one, which hold part of its content. They are left out.
    fn companions(&self) -> &'static [&'static str];

    /// The content of the file at this path of the host, and its length in bytes. If it fails, the file is captured as it is, and the
    /// error is a problem of the snapshot.
    ///
    /// # Errors
    /// Why it has to be captured as it is.
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)>;

    /// Close such a file. A library may hold locks on it, which the system takes from the whole process when any descriptor of the file is
    /// closed.
    fn close(&self, file: File);
}

/// Close a file that was looked into, which may be meant.
pub(crate) fn close(substitute: &dyn Substitute, file: File, stat: &Stat) {
    if is_meant(substitute, &file, stat) {
        substitute.close(file);
    }
}

/// Whether an open file is meant.
pub(crate) fn is_meant(substitute: &dyn Substitute, file: &File, stat: &Stat) -> bool {
    let header = substitute.header();
    let mut begin = vec![0; header.len()];
    stat.size >= substitute.unit()
        && stat.size.is_multiple_of(substitute.unit())
        && file.read_exact_at(&mut begin, 0).is_ok()
        && begin == header
}

/// The name of the file that a file of this name would belong to.
pub(crate) fn owner_of<'n>(substitute: &dyn Substitute, name: &'n OsStr) -> Option<&'n OsStr> {
    let name = name.as_bytes();
    let owner = substitute
        .companions()
        .iter()
        .find_map(|ending| name.strip_suffix(ending.as_bytes()))?;
    (!owner.is_empty()).then(|| OsStr::from_bytes(owner))
}

/// Whether a file has content in others beside it.
pub(crate) fn has_companion(substitute: &dyn Substitute, directory: impl AsFd, name: &OsStr) -> bool {
    substitute.companions().iter().any(|ending| {
        let mut companion = name.to_owned();
        companion.push(ending);
        stat_at(&directory, &companion).is_ok_and(|stat| stat.is_file() && stat.size > 0)
    })
}

/// Whether the file of this name in a directory holds part of the content of another one beside it.
pub(crate) fn is_companion(substitute: &dyn Substitute, directory: impl AsFd, name: &OsStr) -> bool {
    owner_of(substitute, name)
        .and_then(|owner| open_file(directory, owner).ok())
        .is_some_and(|(file, stat)| {
            let is_meant = is_meant(substitute, &file, &stat);
            close(substitute, file, &stat);
            is_meant
        })
}

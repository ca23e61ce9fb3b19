//! Extended attributes, POSIX ACLs among them.
//!
//! Systems other than Linux are treated as if no file had any.

use crate::restic::node::ExtendedAttribute;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Where attributes are read or changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A path whose last component is not followed if it is a symbolic link.
    Entry(&'a Path),
    /// What the system's link to an open file stands for, see [`magic_link`]; for files opened without access, which
    /// [`Place::Open`] does not work for.
    Pinned(&'a Path),
}

/// The attributes of an open file or directory, in the order in which the system lists them (as restic stores them).
pub fn xattrs_of_fd(fd: impl AsFd) -> io::Result<Vec<ExtendedAttribute>> {
    all(Place::Open(fd.as_fd()))
}

/// The attributes of the entry at `path`; of a symbolic link itself.
pub fn xattrs_of_path(path: &Path) -> io::Result<Vec<ExtendedAttribute>> {
    all(Place::Entry(path))
}

/// The attributes of the entry `name` of the directory `dir`; of a symbolic link itself.
pub fn xattrs_at(dir: impl AsFd, name: &OsStr) -> io::Result<Vec<ExtendedAttribute>> {
    // There is no system call with a directory and a name before Linux 6.13.
    all(Place::Entry(&magic_link(dir.as_fd()).join(name)))
}

/// The path at which the system shows an open file, however it was opened and wherever it has been moved since.
pub(super) fn magic_link(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// All attributes; one system call if there are none. One that vanishes meanwhile is left out.
fn all(place: Place<'_>) -> io::Result<Vec<ExtendedAttribute>> {
    let mut attributes = Vec::new();
    for name in system::list(place)? {
        if let Some(value) = system::get(place, &name)? {
            // As restic does it; attributes' names are plain text on every system.
            let name = name.to_string_lossy().into_owned();
            attributes.push(ExtendedAttribute { name, value });
        }
    }
    Ok(attributes)
}

pub(super) use system::{list, remove, set};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::Place;
    use rustix::fs::{self, XattrFlags};
    use rustix::io::Errno;
    use std::ffi::{OsStr, OsString};
    use std::io;
    use std::os::unix::ffi::OsStrExt;

    /// Linux allows 64 KiB for a value and for the list of names.
    const FIRST_BYTES: usize = 1 << 10;
    const MAX_BYTES: usize = 1 << 24;

    /// Their names; none where the file system knows no attributes or does not let us see them.
    pub fn list(place: Place<'_>) -> io::Result<Vec<OsString>> {
        let names = read_growing(|buffer| match place {
            Place::Open(fd) => fs::flistxattr(fd, buffer),
            Place::Entry(path) => fs::llistxattr(path, buffer),
            Place::Pinned(path) => fs::listxattr(path, buffer),
        });
        match names {
            Ok(names) => Ok(split_names(&names)),
            Err(error) if is_none(error) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The value of one, unless it is gone or not for us to see.
    pub fn get(place: Place<'_>, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        let value = read_growing(|buffer| match place {
            Place::Open(fd) => fs::fgetxattr(fd, name, buffer),
            Place::Entry(path) => fs::lgetxattr(path, name, buffer),
            Place::Pinned(path) => fs::getxattr(path, name, buffer),
        });
        match value {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_none(error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Add or replace one.
    pub fn set(place: Place<'_>, name: &OsStr, value: &[u8]) -> io::Result<()> {
        let flags = XattrFlags::empty();
        Ok(match place {
            Place::Open(fd) => fs::fsetxattr(fd, name, value, flags),
            Place::Entry(path) => fs::lsetxattr(path, name, value, flags),
            Place::Pinned(path) => fs::setxattr(path, name, value, flags),
        }?)
    }

    /// Remove one, if it is there.
    pub fn remove(place: Place<'_>, name: &OsStr) -> io::Result<()> {
        let result = match place {
            Place::Open(fd) => fs::fremovexattr(fd, name),
            Place::Entry(path) => fs::lremovexattr(path, name),
            Place::Pinned(path) => fs::removexattr(path, name),
        };
        match result {
            Ok(()) | Err(Errno::NODATA) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_none(error: Errno) -> bool {
        [Errno::NOTSUP, Errno::PERM, Errno::NODATA].contains(&error)
    }

    fn split_names(names: &[u8]) -> Vec<OsString> {
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(|name| OsStr::from_bytes(name).to_owned()).collect()
    }

    fn read_growing(mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
        let mut buffer = vec![0; FIRST_BYTES];
        loop {
            match read(&mut buffer) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(buffer);
                }
                Err(Errno::RANGE) if buffer.len() < MAX_BYTES => buffer.resize(buffer.len() * 8, 0),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use super::Place;
    use std::ffi::{OsStr, OsString};
    use std::io;

    /// None.
    pub fn list(_: Place<'_>) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    /// None.
    pub fn get(_: Place<'_>, _: &OsStr) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Cannot.
    pub fn set(_: Place<'_>, _: &OsStr, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is none.
    pub fn remove(_: Place<'_>, _: &OsStr) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn attribute(name: &str, value: &[u8]) -> ExtendedAttribute {
        ExtendedAttribute {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn every_way_sees_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert_eq!(xattrs_of_path(&path).unwrap(), []);
        let place = Place::Entry(&path);
        set(place, OsStr::new("user.empty"), b"").unwrap();
        set(place, OsStr::new("user.long"), &[7; 3_000]).unwrap();
        let mut found = xattrs_of_path(&path).unwrap();
        assert_eq!(xattrs_of_fd(std::fs::File::open(&path).unwrap()).unwrap(), found);
        assert_eq!(
            xattrs_at(std::fs::File::open(dir.path()).unwrap(), OsStr::new("file")).unwrap(),
            found
        );
        found.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(
            found,
            [attribute("user.empty", b""), attribute("user.long", &[7; 3_000])]
        );
        remove(place, OsStr::new("user.long")).unwrap();
        remove(place, OsStr::new("user.long")).unwrap();
        assert_eq!(xattrs_of_path(&path).unwrap(), [attribute("user.empty", b"")]);
    }

    #[test]
    fn links_have_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "").unwrap();
        symlink("file", &link).unwrap();
        set(Place::Entry(&file), OsStr::new("user.of-file"), b"1").unwrap();
        set(Place::Entry(&link), OsStr::new("trusted.of-link"), b"2").unwrap();
        assert_eq!(xattrs_of_path(&link).unwrap(), [attribute("trusted.of-link", b"2")]);
        let open = std::fs::File::open(dir.path()).unwrap();
        assert_eq!(
            xattrs_at(open, OsStr::new("link")).unwrap(),
            [attribute("trusted.of-link", b"2")]
        );
    }

    #[test]
    fn many_names_and_file_systems_without() {
        let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        (0..200).for_each(|i| {
            let name = format!("trusted.{i:0>100}");
            set(Place::Open(file.as_file().as_fd()), OsStr::new(&name), b"v").unwrap();
        });
        assert_eq!(xattrs_of_fd(&file).unwrap().len(), 200);
        assert_eq!(xattrs_of_path(Path::new("/proc/self/status")).unwrap(), []);
        assert!(xattrs_of_path(Path::new("/nowhere")).is_err());
    }
}

//! Listing directories and opening what is in them.

use super::meta::{Stat, stat_fd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

const OPEN_DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Open the directory `name` of the directory `parent`; fails if it is a symbolic link or anything else.
pub fn open_dir(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, OPEN_DIR, Mode::empty())?)
}

/// Open the directory at `path`; fails if the last component is a symbolic link or anything else.
pub fn open_dir_path(path: &Path) -> io::Result<OwnedFd> {
    open_dir(CWD, path.as_os_str())
}

/// Open the regular file `name` of the directory `parent` for reading, with what the system says about it once it is open.
///
/// Never waits, not even for a named pipe that has taken the file's place: anything but a regular file is refused. The time of
/// last access stays as it is where the system permits that.
pub fn open_file(parent: impl AsFd, name: &OsStr) -> io::Result<(File, Stat)> {
    let file = File::from(open_quietly(parent.as_fd(), name)?);
    let stat = stat_fd(&file)?;
    if stat.is_file() {
        Ok((file, stat))
    } else {
        Err(not_regular())
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_quietly(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(parent, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may leave the time of access alone.
        Err(Errno::PERM) => Ok(openat(parent, name, flags, Mode::empty())?),
        result => Ok(result?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_quietly(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// The names in the directory `dir`, sorted by bytes, without `.` and `..`. Reads from the beginning whatever was read before.
pub fn list_dir(dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0))?;
    let mut names = Vec::new();
    read_names(dir, |name| {
        if name != c"." && name != c".." {
            names.push(OsString::from_vec(name.to_bytes().to_vec()));
        }
    })?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_names(dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr)) -> io::Result<()> {
    const BUFFER_BYTES: usize = 32 << 10;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => each(entry.file_name()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read_names(dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr)) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        each(entry?.file_name());
    }
    Ok(())
}

/// Where the symbolic link `name` of the directory `parent` points to.
pub fn read_link(parent: impl AsFd, name: &OsStr) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(parent, name.as_bytes(), Vec::new())?.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn lists_every_name_in_order_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected: Vec<OsString> = (0..2_000).map(|i| format!("{i:x}-some-name").into()).collect();
        expected.extend([
            OsString::from_vec(b"\xff\xfe".to_vec()),
            "new\nline".into(),
            "x".repeat(255).into(),
            "...".into(),
        ]);
        expected
            .iter()
            .for_each(|name| std::fs::write(dir.path().join(name), "").unwrap());
        expected.sort();
        let open = open_dir_path(dir.path()).unwrap();
        assert_eq!(list_dir(open.as_fd()).unwrap(), expected);
        assert_eq!(list_dir(open.as_fd()).unwrap(), expected);
    }

    #[test]
    fn refuses_links_and_never_waits_for_pipes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "content").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        symlink(".", dir.path().join("dirlink")).unwrap();
        rustix::fs::mkfifoat(CWD, dir.path().join("pipe"), Mode::RUSR).unwrap();
        let open = open_dir_path(dir.path()).unwrap();
        assert_eq!(open_file(&open, name("file")).unwrap().1.size, 7);
        assert_eq!(
            open_file(&open, name("link")).unwrap_err().raw_os_error(),
            Some(Errno::LOOP.raw_os_error())
        );
        assert_eq!(
            open_file(&open, name("pipe")).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert!(open_file(&open, name(".")).is_err());
        assert!(open_dir(&open, name("dirlink")).is_err());
        assert!(open_dir(&open, name("pipe")).is_err());
        assert_eq!(read_link(&open, name("link")).unwrap(), b"file");
    }

    #[test]
    fn reading_leaves_the_time_of_access() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "content").unwrap();
        std::fs::File::open(&path)
            .unwrap()
            .set_times(std::fs::FileTimes::new().set_accessed(std::time::UNIX_EPOCH))
            .unwrap();
        let (mut file, _) = open_file(open_dir_path(dir.path()).unwrap(), name("file")).unwrap();
        io::copy(&mut file, &mut io::sink()).unwrap();
        assert_eq!(path.metadata().unwrap().accessed().unwrap(), std::time::UNIX_EPOCH);
    }
}

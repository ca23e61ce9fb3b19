//! Listing a directory tree.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::ObjectInfo;
use crate::name::is_valid_part;
use crate::temporary::{is_abandoned, is_temporary};

/// Every object under `prefix` in the store at `root`.
pub(super) fn list(root: &Path, prefix: &str) -> io::Result<Vec<ObjectInfo>> {
    let root = open_directory(CWD, root)?;
    let mut walk = Walk {
        found: Vec::new(),
        above: Vec::new(),
    };
    if prefix.is_empty() {
        walk.directory(root, "")?;
    } else {
        walk.enter(&root, prefix, prefix)?;
    }
    Ok(walk.found)
}

struct Walk {
    found: Vec<ObjectInfo>,
    /// Device and inode of the directories that we are in, to leave a loop of symbolic links.
    above: Vec<(u64, u64)>,
}

impl Walk {
    fn object(&mut self, name: &str, stat: &Stat) {
        self.found.push(ObjectInfo {
            name: name.to_owned(),
            size: stat.st_size as u64,
        });
    }

    /// List a directory, unless it went away or is something else (a dangling symbolic link, a link to a file).
    fn enter(&mut self, parent: &OwnedFd, entry: &str, name: &str) -> io::Result<()> {
        match open_directory(parent, entry) {
            Ok(directory) => self.directory(directory, name),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn directory(&mut self, directory: OwnedFd, name: &str) -> io::Result<()> {
        let stat = rustix::fs::fstat(&directory)?;
        let identity = (stat.st_dev, stat.st_ino);
        if self.above.contains(&identity) {
            return Ok(());
        }
        self.above.push(identity);
        for entry in Dir::read_from(&directory)? {
            self.entry(&directory, name, &entry?)?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, directory: &OwnedFd, above: &str, entry: &DirEntry) -> io::Result<()> {
        let Ok(part) = entry.file_name().to_str() else {
            return Ok(());
        };
        if is_temporary(part) {
            remove_if_abandoned(directory, part);
        }
        if !is_valid_part(part) {
            return Ok(());
        }
        let name = if above.is_empty() {
            part.to_owned()
        } else {
            format!("{above}/{part}")
        };
        match entry.file_type() {
            FileType::Directory | FileType::Symlink => self.enter(directory, part, &name),
            FileType::RegularFile | FileType::Unknown => self.file(directory, part, &name),
            _ => Ok(()),
        }
    }

    /// A file, or something of unknown type on a file system whose listings do not tell.
    fn file(&mut self, directory: &OwnedFd, part: &str, name: &str) -> io::Result<()> {
        let stat = match rustix::fs::statat(directory, part, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Deleted since the directory was read.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.object(name, &stat),
            FileType::Directory | FileType::Symlink => self.enter(directory, part, name)?,
            _ => {}
        }
        Ok(())
    }
}

fn open_directory<P: rustix::path::Arg>(parent: impl std::os::fd::AsFd, path: P) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(
        parent,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Best effort: a left-over costs space, and nothing else.
fn remove_if_abandoned(directory: &OwnedFd, name: &str) {
    let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return;
    };
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.max(0) as u64);
    let is_ours = matches!(
        FileType::from_raw_mode(stat.st_mode),
        FileType::RegularFile | FileType::Symlink
    );
    if is_ours && is_abandoned(modified) {
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    }
}

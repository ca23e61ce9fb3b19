//! What the system says about an entry.

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, fstat, statat};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

const TYPE_MASK: u32 = 0o170_000;
const BLOCK_BYTES: u64 = 512;

/// Seconds since 1970 of the year 0, the earliest year that restic can read.
const EARLIEST_SECOND: i64 = -62_167_219_200;

/// The metadata of one entry that a snapshot keeps or a comparison needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Device that holds the inode.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions: `st_mode`.
    pub mode: u32,
    /// Hard links to the inode.
    pub nlink: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of a device, as the system encodes it.
    pub rdev: u64,
    /// Content, bytes.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the entry.
    pub ctime: Timestamp,
    /// Space that the content takes, in units of 512 bytes.
    pub blocks: u64,
}

impl Stat {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & TYPE_MASK == 0o100_000
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & TYPE_MASK == 0o040_000
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & TYPE_MASK == 0o120_000
    }

    /// Whether it takes less space than its content would: it may have holes.
    pub fn may_have_holes(&self) -> bool {
        self.is_file() && self.blocks.saturating_mul(BLOCK_BYTES) < self.size
    }

    /// Whether `other` is the same inode.
    pub fn is_same_inode(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

impl From<rustix::fs::Stat> for Stat {
    // The types of these fields differ between systems, so a cast that does nothing here does something elsewhere.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    fn from(stat: rustix::fs::Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            mode: stat.st_mode as u32,
            nlink: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: timestamp(stat.st_mtime.into(), stat.st_mtime_nsec as i64),
            ctime: timestamp(stat.st_ctime.into(), stat.st_ctime_nsec as i64),
            blocks: stat.st_blocks as u64,
        }
    }
}

/// The entry `name` of the directory `dir`; a symbolic link itself, not what it points to.
pub fn stat_at(dir: impl AsFd, name: &OsStr) -> io::Result<Stat> {
    Ok(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.into())
}

/// The open file or directory `fd`.
pub fn stat_fd(fd: impl AsFd) -> io::Result<Stat> {
    Ok(fstat(fd)?.into())
}

/// The entry at `path`; a symbolic link itself, not what it points to.
pub fn stat_path(path: &Path) -> io::Result<Stat> {
    Ok(statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?.into())
}

/// A moment that both we and restic can write: outside the years 0 to 9999 the nearest moment within.
pub(super) fn timestamp(second: i64, nanosecond: i64) -> Timestamp {
    let earliest = Timestamp::new(EARLIEST_SECOND, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let nearest = if second < 0 { earliest } else { Timestamp::MAX };
    let nanosecond = i32::try_from(nanosecond).unwrap_or(0);
    Timestamp::new(second, nanosecond).map_or(nearest, |time| time.max(earliest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn times_before_1970_and_beyond_all_calendars() {
        assert_eq!(timestamp(-1, 1).to_string(), "1969-12-31T23:59:59.000000001Z");
        assert_eq!(timestamp(5, 999_999_999).to_string(), "1970-01-01T00:00:05.999999999Z");
        assert_eq!(timestamp(i64::MAX, 0), Timestamp::MAX);
        assert_eq!(timestamp(i64::MIN, 0).to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(timestamp(EARLIEST_SECOND - 1, 5).to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn three_ways_to_the_same_entry() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "12345").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        let open = std::fs::File::open(dir.path()).unwrap();
        let file = stat_at(&open, OsStr::new("file")).unwrap();
        assert!(file.is_file() && file.size == 5 && file.nlink == 1 && !file.may_have_holes());
        assert_eq!(stat_path(&dir.path().join("file")).unwrap(), file);
        assert_eq!(
            stat_fd(std::fs::File::open(dir.path().join("file")).unwrap()).unwrap(),
            file
        );
        assert!(stat_at(&open, OsStr::new("link")).unwrap().is_symlink());
        assert!(stat_path(&dir.path().join("link")).unwrap().is_symlink());
        assert!(stat_fd(&open).unwrap().is_dir());
        assert_eq!(
            stat_path(&dir.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}

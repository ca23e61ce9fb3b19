//! A directory that is restored into, which nothing in it can lead out of.

use super::meta::{Stat, stat_at, stat_fd};
use super::scan::{list_dir, open_dir};
use super::special::{create_hard_link, create_special};
use crate::restic::node::Node;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

const NEW_DIR: Mode = Mode::RWXU;
const NEW_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// An open directory of the target.
///
/// Whoever can write there may replace any part of it by a symbolic link at any moment. So every step goes from an open
/// directory to one name in it and refuses links; a path as a whole is given to the system only once, for the root.
#[derive(Debug)]
pub struct TargetDir {
    fd: OwnedFd,
}

impl TargetDir {
    /// The root of a restore, which has to exist. Links in `path` itself are followed: it is the user's own word.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: openat(CWD, path, flags, Mode::empty())?,
        })
    }

    /// The root of a restore, made with what is missing above it.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// The directory `name` in this one.
    ///
    /// # Errors
    /// `NotADirectory` if it is something else, such as a symbolic link to a directory; `InvalidInput` if `name` is not the name
    /// of an entry, such as `..`.
    pub fn open_dir(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self {
            fd: open_dir(&self.fd, checked(name)?)?,
        })
    }

    /// The directory at `path`, which is relative and has neither `..` nor symbolic links in it.
    pub fn open_dir_beneath(&self, path: &Path) -> io::Result<Self> {
        self.walk(path, Self::open_dir)
    }

    /// The directory `name` in this one, made if it is missing, with mode 0700.
    pub fn create_dir(&self, name: &OsStr) -> io::Result<Self> {
        match mkdirat(&self.fd, checked(name)?, NEW_DIR) {
            Ok(()) | Err(Errno::EXIST) => self.open_dir(name),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory at `path` with those above it, made where they are missing, with mode 0700; otherwise as
    /// [`TargetDir::open_dir_beneath`].
    pub fn create_dir_all_beneath(&self, path: &Path) -> io::Result<Self> {
        self.walk(path, Self::create_dir)
    }

    fn walk(&self, path: &Path, step: impl Fn(&Self, &OsStr) -> io::Result<Self>) -> io::Result<Self> {
        let mut at = Self {
            fd: self.fd.try_clone()?,
        };
        for component in path.components() {
            match component {
                Component::Normal(name) => at = step(&at, name)?,
                Component::CurDir => {}
                _ => return Err(outside(path.as_os_str())),
            }
        }
        Ok(at)
    }

    /// What is there of this name, if anything.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match stat_at(&self.fd, checked(name)?) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in this directory, sorted by bytes.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        list_dir(self.fd.as_fd())
    }

    /// A new file, open for reading and writing, with mode 0600. `AlreadyExists` if there is anything of this name.
    pub fn create_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.fd, checked(name)?, flags, NEW_FILE)?.into())
    }

    /// The regular file that is there already, open for reading and writing; refuses anything else.
    ///
    /// Other hard links to it, possibly outside of the target, show what is written: see [`Stat::nlink`].
    pub fn open_file(&self, name: &OsStr) -> io::Result<(File, Stat)> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(openat(&self.fd, checked(name)?, flags, Mode::empty())?);
        let stat = stat_fd(&file)?;
        let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        if stat.is_file() {
            Ok((file, stat))
        } else {
            Err(refused())
        }
    }

    /// A symbolic link, named pipe or device; see [`create_special`].
    pub fn create_special(&self, name: &OsStr, node: &Node) -> io::Result<()> {
        create_special(&self.fd, checked(name)?, node)
    }

    /// Another name for the file `from_name` in `from`.
    pub fn create_hard_link(&self, name: &OsStr, from: &Self, from_name: &OsStr) -> io::Result<()> {
        create_hard_link(&from.fd, checked(from_name)?, &self.fd, checked(name)?)
    }

    /// Give the entry `from` the name `to`, in whose place it comes.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.fd, checked(from)?, &self.fd, checked(to)?)?)
    }

    /// Remove an entry that is not a directory.
    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, checked(name)?, AtFlags::empty())?)
    }

    /// Remove an empty directory.
    pub fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, checked(name)?, AtFlags::REMOVEDIR)?)
    }

    /// Remove an entry with everything in it; what symbolic links in it point to stays. Holds one open directory per level.
    pub fn remove_all(&self, name: &OsStr) -> io::Result<()> {
        match self.remove_file(name) {
            // Linux says the first of a directory, other systems the second.
            Err(error)
                if matches!(
                    error.raw_os_error().map(Errno::from_raw_os_error),
                    Some(Errno::ISDIR | Errno::PERM)
                ) => {}
            result => return result,
        }
        let dir = self.open_dir(name)?;
        dir.names()?.iter().try_for_each(|name| dir.remove_all(name))?;
        self.remove_dir(name)
    }

    /// Make the names in this directory durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }
}

impl AsFd for TargetDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One name of an entry, not a path.
fn checked(name: &OsStr) -> io::Result<&OsStr> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(name),
        _ => Err(outside(name)),
    }
}

fn outside(path: &OsStr) -> io::Error {
    let path = Path::new(path).display();
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("`{path}` may lead out of the target"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restic::node::NodeKind;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    struct Playground {
        dir: tempfile::TempDir,
        target: TargetDir,
    }

    /// A directory `target` to work in beside a directory `outside` with a file.
    fn playground() -> Playground {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("outside/file"), "precious").unwrap();
        let target = TargetDir::create(&dir.path().join("target")).unwrap();
        symlink(dir.path().join("outside"), dir.path().join("target/link")).unwrap();
        Playground { dir, target }
    }

    #[test]
    fn links_never_lead_outside() {
        let Playground { dir, target } = playground();
        assert!(target.open_dir(name("link")).is_err());
        assert!(target.create_dir(name("link")).is_err());
        assert!(target.open_dir_beneath(Path::new("link/x")).is_err());
        assert!(target.create_dir_all_beneath(Path::new("link/x/y")).is_err());
        symlink("../outside/file", dir.path().join("target/filelink")).unwrap();
        assert!(target.open_file(name("filelink")).is_err());
        assert!(target.create_file(name("filelink")).is_err());
        target.remove_all(name("link")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("outside")).unwrap().count(), 1);
        assert_eq!(std::fs::read(dir.path().join("outside/file")).unwrap(), b"precious");
    }

    #[test]
    fn only_names_and_paths_downwards() {
        let target = playground().target;
        for path in ["..", "/", "/etc", "a/../../b"] {
            assert!(target.create_dir_all_beneath(Path::new(path)).is_err(), "{path}");
        }
        for bad in ["..", ".", "", "a/b", "/a", "a/", "./a"] {
            assert!(target.create_dir(name(bad)).is_err(), "{bad}");
            assert!(target.create_file(name(bad)).is_err(), "{bad}");
            assert!(target.remove_all(name(bad)).is_err(), "{bad}");
            assert!(target.stat(name(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn makes_and_removes_everything() {
        let Playground { dir, target } = playground();
        let deep = target.create_dir_all_beneath(Path::new("a/./b/c")).unwrap();
        deep.create_file(name("file")).unwrap().write_all(b"content").unwrap();
        assert_eq!(
            deep.create_file(name("file")).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        deep.create_hard_link(name("other"), &deep, name("file")).unwrap();
        deep.create_special(name("pipe"), &Node::new("pipe", NodeKind::Fifo, 0o600))
            .unwrap();
        assert_eq!(
            deep.create_special(name("s"), &Node::new("s", NodeKind::Socket, 0))
                .unwrap_err()
                .kind(),
            io::ErrorKind::Unsupported
        );
        assert_eq!(
            deep.open_file(name("pipe")).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(deep.open_file(name("other")).unwrap().1.nlink, 2);
        deep.rename(name("other"), name("third")).unwrap();
        assert_eq!(deep.names().unwrap(), ["file", "pipe", "third"]);
        assert_eq!(
            std::fs::read(dir.path().join("target/a/b/c/third")).unwrap(),
            b"content"
        );
        target.open_dir_beneath(Path::new("a/b")).unwrap().sync().unwrap();
        target.remove_all(name("a")).unwrap();
        assert!(target.stat(name("a")).unwrap().is_none());
        assert_eq!(target.names().unwrap(), ["link"]);
    }
}

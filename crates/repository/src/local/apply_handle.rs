//! One entry held fast while its metadata is set.

use super::apply::Target;
use super::meta::{Stat, stat_fd};
use super::xattr::{self, Place};
use rustix::fs::{Gid, Mode, Timestamps, Uid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The entry, either open or, where it cannot be opened, pinned by what the system offers.
#[derive(Debug)]
pub(super) enum Handle<'a> {
    Open(BorrowedFd<'a>),
    Pinned(Pin<'a>),
}

impl<'a> Handle<'a> {
    pub fn new(target: Target<'a>) -> io::Result<Self> {
        Ok(match target {
            Target::Open(fd) => Self::Open(fd),
            Target::Entry { dir, name } => Self::Pinned(Pin::new(dir, name)?),
        })
    }

    pub fn stat(&self) -> io::Result<Stat> {
        match self {
            Self::Open(fd) => stat_fd(fd),
            Self::Pinned(pin) => pin.stat(),
        }
    }

    pub fn set_owner(&self, user: Uid, group: Gid) -> io::Result<()> {
        match self {
            Self::Open(fd) => Ok(rustix::fs::fchown(fd, Some(user), Some(group))?),
            Self::Pinned(pin) => pin.set_owner(user, group),
        }
    }

    pub fn set_permissions(&self, mode: Mode) -> io::Result<()> {
        match self {
            Self::Open(fd) => Ok(rustix::fs::fchmod(fd, mode)?),
            Self::Pinned(pin) => pin.set_permissions(mode),
        }
    }

    pub fn set_times(&self, times: &Timestamps) -> io::Result<()> {
        match self {
            Self::Open(fd) => Ok(rustix::fs::futimens(fd, times)?),
            Self::Pinned(pin) => pin.set_times(times),
        }
    }

    /// Names of all extended attributes.
    pub fn attributes(&self) -> io::Result<Vec<OsString>> {
        xattr::list(self.place())
    }

    pub fn set_attribute(&self, name: &OsStr, value: &[u8]) -> io::Result<()> {
        xattr::set(self.place(), name, value)
    }

    pub fn remove_attribute(&self, name: &OsStr) -> io::Result<()> {
        xattr::remove(self.place(), name)
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Open(fd) => Place::Open(fd.as_fd()),
            Self::Pinned(pin) => pin.place(),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use pinned::Pin;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod pinned {
    use super::*;
    use rustix::fs::{AtFlags, CWD, OFlags};
    use std::os::fd::OwnedFd;
    use std::path::PathBuf;

    /// Opened without access: whatever takes the name meanwhile, this stays the same entry.
    #[derive(Debug)]
    pub struct Pin<'a> {
        fd: OwnedFd,
        /// Leads to `fd`, for the calls that do not take it.
        link: PathBuf,
        dir: BorrowedFd<'a>,
        name: &'a OsStr,
    }

    impl<'a> Pin<'a> {
        pub fn new(dir: BorrowedFd<'a>, name: &'a OsStr) -> io::Result<Self> {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
            let link = xattr::magic_link(fd.as_fd());
            Ok(Self { fd, link, dir, name })
        }

        pub fn stat(&self) -> io::Result<Stat> {
            stat_fd(&self.fd)
        }

        pub fn set_owner(&self, user: Uid, group: Gid) -> io::Result<()> {
            Ok(rustix::fs::chownat(
                &self.fd,
                c"",
                Some(user),
                Some(group),
                AtFlags::EMPTY_PATH,
            )?)
        }

        pub fn set_permissions(&self, mode: Mode) -> io::Result<()> {
            Ok(rustix::fs::chmodat(CWD, &self.link, mode, AtFlags::empty())?)
        }

        /// By name, because kernels before 5.8 cannot do it otherwise.
        pub fn set_times(&self, times: &Timestamps) -> io::Result<()> {
            Ok(rustix::fs::utimensat(
                self.dir,
                self.name,
                times,
                AtFlags::SYMLINK_NOFOLLOW,
            )?)
        }

        pub fn place(&self) -> Place<'_> {
            Place::Pinned(&self.link)
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use by_name::Pin;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod by_name {
    use super::*;
    use rustix::fs::AtFlags;
    use std::path::Path;

    /// The name, which is never followed if it is a symbolic link.
    #[derive(Debug)]
    pub struct Pin<'a> {
        dir: BorrowedFd<'a>,
        name: &'a OsStr,
    }

    impl<'a> Pin<'a> {
        pub fn new(dir: BorrowedFd<'a>, name: &'a OsStr) -> io::Result<Self> {
            Ok(Self { dir, name })
        }

        pub fn stat(&self) -> io::Result<Stat> {
            super::super::meta::stat_at(self.dir, self.name)
        }

        pub fn set_owner(&self, user: Uid, group: Gid) -> io::Result<()> {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            Ok(rustix::fs::chownat(
                self.dir,
                self.name,
                Some(user),
                Some(group),
                flags,
            )?)
        }

        pub fn set_permissions(&self, mode: Mode) -> io::Result<()> {
            Ok(rustix::fs::chmodat(
                self.dir,
                self.name,
                mode,
                AtFlags::SYMLINK_NOFOLLOW,
            )?)
        }

        pub fn set_times(&self, times: &Timestamps) -> io::Result<()> {
            Ok(rustix::fs::utimensat(
                self.dir,
                self.name,
                times,
                AtFlags::SYMLINK_NOFOLLOW,
            )?)
        }

        pub fn place(&self) -> Place<'_> {
            Place::Entry(Path::new(self.name))
        }
    }
}

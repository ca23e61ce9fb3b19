//! Putting an entry's metadata back.

use super::apply_handle::Handle;
use crate::restic::mode::{from_system, permissions};
use crate::restic::node::{ExtendedAttribute, Node, NodeKind};
use jiff::Timestamp;
use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;

const SET_ID_BITS: u32 = 0o6000;
const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// The entry whose metadata is set.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// An open file or directory; the best choice where there is one.
    Open(BorrowedFd<'a>),
    /// The entry `name` of the directory `dir`; a symbolic link itself. For links, pipes and devices, which cannot be opened.
    Entry {
        /// The directory that it is in.
        dir: BorrowedFd<'a>,
        /// Its name there.
        name: &'a OsStr,
    },
}

/// What is set.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions {
    /// Owner and group, by number. By default only for root, since others may not give files away.
    pub owner: bool,
    /// Extended attributes and ACLs. On by default.
    pub attributes: bool,
    /// Remove attributes and ACLs that the entry has and the snapshot's does not: those of a file that was there before, or that
    /// a new one got from a default ACL of its directory. On by default.
    pub remove_foreign_attributes: bool,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            owner: rustix::process::geteuid().is_root(),
            attributes: true,
            remove_foreign_attributes: true,
        }
    }
}

/// What could not be set (as a verb phrase: `set the owner`), and why.
pub type Failure = (&'static str, io::Error);

/// Set owner, attributes, permissions and times of `target` as `node` has them. A failure of one does not stop the others.
///
/// The order matters: changing the owner clears the set-user-ID bit and capabilities, so it comes first; attributes may only be
/// written while the permissions allow it, so permissions come after them; everything else changes times, so these come last.
/// Set-user-ID and set-group-ID are left out, as a failure, if the file does not belong to the one that they were meant for.
pub fn apply_metadata(target: Target<'_>, node: &Node, options: &ApplyOptions) -> Vec<Failure> {
    let handle = match Handle::new(target).and_then(|handle| checked_kind(handle, node)) {
        Ok(handle) => handle,
        Err(error) => return vec![("find it again", error)],
    };
    let mut failures = Vec::new();
    if options.owner {
        note(&mut failures, "set the owner", set_owner(&handle, node));
    }
    if options.attributes {
        set_attributes(&handle, node, options, &mut failures);
    }
    if node.kind != NodeKind::Symlink {
        set_permissions(&handle, node, &mut failures);
    }
    note(&mut failures, "set the times", handle.set_times(&timestamps(node)));
    failures
}

fn note(failures: &mut Vec<Failure>, what: &'static str, result: io::Result<()>) {
    if let Err(error) = result {
        failures.push((what, error));
    }
}

/// That the entry is still of the kind that was made: otherwise somebody has put another one in its place.
fn checked_kind<'a>(handle: Handle<'a>, node: &Node) -> io::Result<Handle<'a>> {
    let (kind, _) = from_system(handle.stat()?.mode);
    let replaced = || {
        io::Error::other(format!(
            "it is a `{}` instead of a `{}` now",
            kind.name(),
            node.kind.name()
        ))
    };
    if kind == node.kind { Ok(handle) } else { Err(replaced()) }
}

fn set_owner(handle: &Handle<'_>, node: &Node) -> io::Result<()> {
    // To the system this number means: leave it as it is.
    if node.uid == u32::MAX || node.gid == u32::MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    handle.set_owner(Uid::from_raw(node.uid), Gid::from_raw(node.gid))
}

fn set_permissions(handle: &Handle<'_>, node: &Node, failures: &mut Vec<Failure>) {
    let mut mode = permissions(node.mode);
    if mode & SET_ID_BITS != 0 && node.kind != NodeKind::Dir && !is_owner_right(handle, node) {
        mode &= !SET_ID_BITS;
        let reason = io::Error::other("the file belongs to somebody else than before");
        failures.push(("set the set-user-ID or set-group-ID bit", reason));
    }
    note(
        failures,
        "set the permissions",
        handle.set_permissions(Mode::from_raw_mode(mode)),
    );
}

fn is_owner_right(handle: &Handle<'_>, node: &Node) -> bool {
    handle
        .stat()
        .is_ok_and(|stat| (stat.uid, stat.gid) == (node.uid, node.gid))
}

fn set_attributes(handle: &Handle<'_>, node: &Node, options: &ApplyOptions, failures: &mut Vec<Failure>) {
    if options.remove_foreign_attributes {
        note(failures, "remove extended attributes", remove_foreign(handle, node));
    }
    for attribute in &node.extended_attributes {
        note(
            failures,
            "set an extended attribute",
            set_attribute(handle, node, attribute),
        );
    }
}

/// A user's attributes need the permission to write, which a file that was there before may not give.
fn set_attribute(handle: &Handle<'_>, node: &Node, attribute: &ExtendedAttribute) -> io::Result<()> {
    let set = || handle.set_attribute(OsStr::new(&attribute.name), &attribute.value);
    let result = match set() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && node.kind != NodeKind::Symlink => {
            handle.set_permissions(Mode::RWXU).and_then(|()| set())
        }
        result => result,
    };
    result.map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", attribute.name)))
}

fn remove_foreign(handle: &Handle<'_>, node: &Node) -> io::Result<()> {
    for name in handle.attributes()? {
        let is_wanted = node.extended_attributes.iter().any(|wanted| *wanted.name == *name);
        if !is_wanted && name.to_str().is_some_and(is_content_of_backups) {
            handle.remove_attribute(&name)?;
        }
    }
    Ok(())
}

/// Whether an attribute belongs to the file's user, and not to the system that runs now (labels of SELinux, of overlays).
fn is_content_of_backups(name: &str) -> bool {
    name.starts_with("user.") || name.starts_with("system.posix_acl_") || name == "security.capability"
}

/// Set when the content of an open file or directory was last changed.
pub fn set_mtime(target: BorrowedFd<'_>, mtime: Timestamp) -> io::Result<()> {
    let unchanged = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    let times = Timestamps {
        last_access: unchanged,
        last_modification: timespec(mtime),
    };
    Ok(rustix::fs::futimens(target, &times)?)
}

fn timestamps(node: &Node) -> Timestamps {
    Timestamps {
        last_access: timespec(node.atime),
        last_modification: timespec(node.mtime),
    }
}

// The types of these fields differ between systems.
#[allow(clippy::useless_conversion)]
fn timespec(time: Timestamp) -> Timespec {
    // Before 1970 both parts are negative; the system wants the fraction to count forwards.
    let nanosecond = i64::from(time.subsec_nanosecond());
    let second = time.as_second() + nanosecond.div_euclid(NANOSECONDS_PER_SECOND);
    let nanosecond = nanosecond.rem_euclid(NANOSECONDS_PER_SECOND);
    Timespec {
        tv_sec: second.try_into().unwrap_or_default(),
        tv_nsec: nanosecond.try_into().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_count_forwards() {
        for (text, second, nanosecond) in [
            ("1970-01-01T00:00:01.5Z", 1, 500_000_000),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
            ("1969-12-31T23:59:59Z", -1, 0),
            ("1901-01-01T00:00:00.000000001Z", -2_177_452_800, 1),
        ] {
            let time = timespec(text.parse().unwrap());
            assert_eq!((time.tv_sec, time.tv_nsec), (second, nanosecond), "{text}");
        }
    }
}

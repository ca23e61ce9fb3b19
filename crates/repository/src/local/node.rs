//! Entries of the file system as a snapshot stores them.

use super::meta::Stat;
use super::scan::read_link;
use super::users::Users;
pub use super::xattr::{xattrs_at, xattrs_of_fd, xattrs_of_path};
use crate::restic::mode::from_system;
use crate::restic::node::{Node, NodeKind};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

/// The entry of this name and metadata: exactly the fields that restic sets for its kind.
///
/// The time of last access is the time of modification, which restic stores too unless it is asked for more: otherwise reading
/// a file would change its tree. A file has no content yet; the target of a link and the extended attributes are missing,
/// see [`node_at`] and [`xattrs_of_fd`].
pub fn node_from_stat(name: &OsStr, stat: &Stat, users: &Users) -> Node {
    let (kind, mode) = from_system(stat.mode);
    let mut node = Node::new(name, kind, mode);
    node.mtime = stat.mtime;
    node.atime = stat.mtime;
    node.ctime = stat.ctime;
    node.uid = stat.uid;
    node.gid = stat.gid;
    node.user = users.user(stat.uid);
    node.group = users.group(stat.gid);
    node.inode = stat.ino;
    node.device_id = stat.dev;
    match kind {
        NodeKind::File => {
            node.size = stat.size;
            node.links = stat.nlink;
            node.content = Some(Vec::new());
        }
        NodeKind::Symlink => node.links = stat.nlink,
        NodeKind::Device | NodeKind::CharDev => {
            node.links = stat.nlink;
            node.device = stat.rdev;
        }
        NodeKind::Dir | NodeKind::Fifo | NodeKind::Socket | NodeKind::Irregular => {}
    }
    node
}

/// The entry `name` of the directory `dir` complete with link target and extended attributes; for everything but the content
/// of files and directories.
///
/// # Errors
/// Those of the system; the entry may have been replaced since `stat` was taken.
pub fn node_at(dir: impl AsFd, name: &OsStr, stat: &Stat, users: &Users) -> io::Result<Node> {
    let mut node = node_from_stat(name, stat, users);
    if node.kind == NodeKind::Symlink {
        node.link_target = read_link(&dir, name)?;
    }
    node.extended_attributes = xattrs_at(dir, name)?;
    Ok(node)
}

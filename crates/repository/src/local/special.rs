//! Making entries that are neither files nor directories.

use crate::restic::node::{Node, NodeKind};
use rustix::fs::{AtFlags, linkat, symlinkat};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

/// Make the symbolic link, named pipe or device that `node` describes as `name` in the directory `dir`, without its metadata.
///
/// # Errors
/// Those of the system: `AlreadyExists` if there is anything of this name, `PermissionDenied` for devices if the process is
/// not root. `Unsupported` for other kinds: sockets belong to a running program and are not made again.
pub fn create_special(dir: impl AsFd, name: &OsStr, node: &Node) -> io::Result<()> {
    match node.kind {
        NodeKind::Symlink => Ok(symlinkat(node.link_target.as_slice(), dir, name)?),
        NodeKind::Fifo | NodeKind::Device | NodeKind::CharDev => make_node(dir, name, node),
        NodeKind::File | NodeKind::Dir | NodeKind::Socket | NodeKind::Irregular => Err(unsupported(node.kind)),
    }
}

/// Make `name` in the directory `dir` another name of the file `from_name` in `from`; if that is a symbolic link, of the link.
pub fn create_hard_link(from: impl AsFd, from_name: &OsStr, dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    Ok(linkat(from, from_name, dir, name, AtFlags::empty())?)
}

// The type of device numbers differs between systems.
#[cfg(not(target_vendor = "apple"))]
#[allow(clippy::useless_conversion)]
fn make_node(dir: impl AsFd, name: &OsStr, node: &Node) -> io::Result<()> {
    use rustix::fs::{FileType, Mode, mknodat};
    let (kind, device) = match node.kind {
        NodeKind::Device => (FileType::BlockDevice, node.device),
        NodeKind::CharDev => (FileType::CharacterDevice, node.device),
        _ => (FileType::Fifo, 0),
    };
    let device = device
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device)?)
}

#[cfg(target_vendor = "apple")]
fn make_node(_: impl AsFd, _: &OsStr, node: &Node) -> io::Result<()> {
    Err(unsupported(node.kind))
}

fn unsupported(kind: NodeKind) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("entries of the kind `{}` cannot be made here", kind.name()),
    )
}

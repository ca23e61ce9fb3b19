//! One entry of a snapshot as `ls` and `find` show it.

use crate::clock;
use repository::points::RestorePoint;
use repository::restic::mode;
use repository::restic::node::{Node, NodeKind};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The path, its bytes as they are.
pub fn write_path(out: &mut impl Write, path: &Path) -> io::Result<()> {
    out.write_all(path.as_os_str().as_bytes())?;
    out.write_all(b"\n")
}

/// `-rw-r--r--   1000  1000      12345  2026-03-01 02:00:05  /path -> target`
pub fn write_long(out: &mut impl Write, path: &Path, node: &Node) -> io::Result<()> {
    let (mode, time) = (mode::to_text(node.mode), clock::local(node.mtime));
    write!(
        out,
        "{mode}  {:>5}  {:>5}  {:>12}  {time}  ",
        node.uid, node.gid, node.size
    )?;
    out.write_all(path.as_os_str().as_bytes())?;
    if node.kind == NodeKind::Symlink {
        out.write_all(b" -> ")?;
        out.write_all(&node.link_target)?;
    } else if is_hard_link(node) {
        out.write_all(b" link to /")?;
        out.write_all(&node.link_target)?;
    }
    out.write_all(b"\n")
}

/// As [`to_json`], without what archives do not know.
pub fn of(point: &RestorePoint, path: &Path, node: &Node) -> Value {
    let mut value = to_json(path, node);
    if let (RestorePoint::Archive(_), Some(fields)) = (point, value.as_object_mut()) {
        for unknown in ["atime", "ctime", "inode"] {
            fields.remove(unknown);
        }
        if is_hard_link(node) {
            let target = String::from_utf8_lossy(&node.link_target);
            fields.insert("hardlink".to_owned(), json!(format!("/{target}")));
        }
    }
    value
}

/// In an archive: another name of a file that comes before it.
fn is_hard_link(node: &Node) -> bool {
    node.kind == NodeKind::File && !node.link_target.is_empty()
}

/// With restic's names. Bytes that are not UTF-8 are replaced.
pub fn to_json(path: &Path, node: &Node) -> Value {
    let mut value = json!({
        "message_type": "node",
        "struct_type": "node",
        "name": node.name.to_string_lossy(),
        "type": node.kind.name(),
        "path": path.to_string_lossy(),
        "uid": node.uid,
        "gid": node.gid,
        "mode": node.mode,
        "permissions": mode::to_go_text(node.mode),
        "mtime": node.mtime,
        "atime": node.atime,
        "ctime": node.ctime,
        "inode": node.inode,
    });
    match node.kind {
        NodeKind::File => value["size"] = json!(node.size),
        NodeKind::Symlink => value["linktarget"] = json!(String::from_utf8_lossy(&node.link_target)),
        _ => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_shows_where_a_link_leads() {
        let mut node = Node::new("l", NodeKind::Symlink, (1 << 27) | 0o777);
        node.link_target = b"target".to_vec();
        let mut line = Vec::new();
        write_long(&mut line, Path::new("/x/l"), &node).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.starts_with("lrwxrwxrwx") && line.ends_with("  /x/l -> target\n"),
            "{line}"
        );
        assert_eq!(to_json(Path::new("/x/l"), &node)["linktarget"], "target");
    }
}

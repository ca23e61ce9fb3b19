//! Every kind of entry is described, made again elsewhere, and described again.

use super::apply::{ApplyOptions, Target, apply_metadata};
use super::meta::stat_at;
use super::node::node_at;
use super::restic_test::fill;
use super::scan::{list_dir, open_dir_path};
use super::target::TargetDir;
use super::users::Users;
use super::xattr::{Place, set, xattrs_of_path};
use crate::restic::node::{Node, NodeKind};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn describe(dir: &Path) -> Vec<Node> {
    let (open, users) = (open_dir_path(dir).unwrap(), Users::load());
    let node = |name| node_at(&open, name, &stat_at(&open, name).unwrap(), &users).unwrap();
    list_dir(open.as_fd()).unwrap().iter().map(|name| node(name)).collect()
}

/// What a restore can put back, as text.
fn restorable(node: &Node) -> String {
    let mut node = node.clone();
    (node.inode, node.device_id, node.links, node.ctime) = (0, 0, 0, node.mtime);
    node.extended_attributes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut json = Vec::new();
    node.push_json(&mut json);
    String::from_utf8(json).unwrap()
}

fn make(target: &TargetDir, node: &Node) {
    match node.kind {
        NodeKind::Dir => drop(target.create_dir(&node.name).unwrap()),
        NodeKind::File => target.create_file(&node.name).unwrap().set_len(node.size).unwrap(),
        _ => target.create_special(&node.name, node).unwrap(),
    }
}

fn apply(target: &TargetDir, node: &Node) {
    let options = ApplyOptions::default();
    let failures = match node.kind {
        NodeKind::Dir => apply_metadata(
            Target::Open(target.open_dir(&node.name).unwrap().as_fd()),
            node,
            &options,
        ),
        NodeKind::File => apply_metadata(
            Target::Open(target.open_file(&node.name).unwrap().0.as_fd()),
            node,
            &options,
        ),
        _ => apply_metadata(
            Target::Entry {
                dir: target.as_fd(),
                name: &node.name,
            },
            node,
            &options,
        ),
    };
    assert!(failures.is_empty(), "{:?}: {failures:?}", node.name);
}

#[test]
fn everything_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    std::fs::create_dir(&source).unwrap();
    fill(&source);
    symlink(OsStr::from_bytes(b"target-\xff"), source.join("link-bad")).unwrap();
    set(
        Place::Entry(&source.join("link")),
        OsStr::new("trusted.link"),
        b"of the link",
    )
    .unwrap();
    let target = TargetDir::create(&root.path().join("target")).unwrap();
    let wanted: Vec<Node> = describe(&source)
        .into_iter()
        .filter(|node| node.kind != NodeKind::Socket)
        .collect();
    assert_eq!(wanted.len(), 16);
    // Twice: over nothing, and over what is there already.
    wanted.iter().for_each(|node| make(&target, node));
    for _ in 0..2 {
        wanted.iter().for_each(|node| apply(&target, node));
        let found = describe(&root.path().join("target"));
        let texts = |nodes: &[Node]| nodes.iter().map(restorable).collect::<Vec<_>>();
        assert_eq!(texts(&found), texts(&wanted));
    }
}

fn file_node(mode: u32) -> Node {
    let mut node = Node::new("file", NodeKind::File, mode);
    (node.uid, node.gid) = (1, 1);
    node
}

#[test]
fn foreign_attributes_go_and_the_system_s_stay() {
    let root = tempfile::tempdir().unwrap();
    let target = TargetDir::open(root.path()).unwrap();
    let path = root.path().join("file");
    let file = target.create_file(OsStr::new("file")).unwrap();
    set(Place::Entry(&path), OsStr::new("user.foreign"), b"1").unwrap();
    set(Place::Entry(&path), OsStr::new("trusted.overlay.x"), b"1").unwrap();
    super::restic_test::run("setfacl", &[OsStr::new("-m"), OsStr::new("u:1:rwx"), path.as_os_str()]);
    let failures = apply_metadata(Target::Open(file.as_fd()), &file_node(0o640), &ApplyOptions::default());
    assert!(failures.is_empty(), "{failures:?}");
    let left: Vec<String> = xattrs_of_path(&path)
        .unwrap()
        .into_iter()
        .map(|attribute| attribute.name)
        .collect();
    assert_eq!(left, ["trusted.overlay.x"]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
}

#[test]
fn set_user_id_is_not_given_to_somebody_else() {
    const SET_UID: u32 = 1 << 23;
    let root = tempfile::tempdir().unwrap();
    let target = TargetDir::open(root.path()).unwrap();
    let file = target.create_file(OsStr::new("file")).unwrap();
    let options = ApplyOptions {
        owner: false,
        ..ApplyOptions::default()
    };
    let failures = apply_metadata(Target::Open(file.as_fd()), &file_node(0o755 | SET_UID), &options);
    assert_eq!(failures.len(), 1);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    let failures = apply_metadata(
        Target::Open(file.as_fd()),
        &file_node(0o755 | SET_UID),
        &ApplyOptions::default(),
    );
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o4755);
}

#[test]
fn one_failure_does_not_stop_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let target = TargetDir::open(root.path()).unwrap();
    let file = target.create_file(OsStr::new("file")).unwrap();
    let mut node = file_node(0o604);
    node.uid = u32::MAX;
    node.mtime = "2001-02-03T04:05:06.789Z".parse().unwrap();
    node.extended_attributes = vec![crate::restic::node::ExtendedAttribute {
        name: "nonsense".into(),
        value: vec![1],
    }];
    let failures = apply_metadata(Target::Open(file.as_fd()), &node, &ApplyOptions::default());
    let what: Vec<&str> = failures.iter().map(|(what, _)| *what).collect();
    assert_eq!(what, ["set the owner", "set an extended attribute"]);
    let stat = stat_at(&target, OsStr::new("file")).unwrap();
    assert_eq!((stat.mode & 0o7777, stat.mtime), (0o604, node.mtime));
}

#[test]
fn a_link_in_an_entry_s_place_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let victim = root.path().join("victim");
    std::fs::write(&victim, "").unwrap();
    let before = victim.metadata().unwrap();
    symlink("victim", root.path().join("pipe")).unwrap();
    let target = TargetDir::open(root.path()).unwrap();
    let node = Node::new("pipe", NodeKind::Fifo, 0o777);
    let failures = apply_metadata(
        Target::Entry {
            dir: target.as_fd(),
            name: &node.name,
        },
        &node,
        &ApplyOptions::default(),
    );
    assert_eq!(failures.len(), 1);
    assert!(failures[0].1.to_string().contains("symlink"), "{failures:?}");
    let after = victim.metadata().unwrap();
    assert_eq!((before.mode(), before.ctime_nsec()), (after.mode(), after.ctime_nsec()));
}

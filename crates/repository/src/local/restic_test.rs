//! The oracle: restic stores a tree, and we describe its entries to the byte as restic does.

use super::meta::stat_at;
use super::node::node_at;
use super::scan::{list_dir, open_dir_path};
use super::users::Users;
use super::xattr::{Place, set};
use crate::restic::node::Node;
use crate::restic::tree::Tree;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Output;

#[expect(clippy::disallowed_methods, reason = "the test compares with another program")]
pub(super) fn run(program: &str, args: &[&OsStr]) -> Output {
    let output = std::process::Command::new(program)
        .args(args)
        .env("RESTIC_PASSWORD", "x")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Standard output of `restic ARGS` for the repository `repo`.
fn restic(repo: &Path, args: &[&str]) -> Vec<u8> {
    let mut all = vec![
        OsStr::new("--no-cache"),
        OsStr::new("-q"),
        OsStr::new("-r"),
        repo.as_os_str(),
    ];
    all.extend(args.iter().map(OsStr::new));
    run("restic", &all).stdout
}

/// A directory with every kind of entry.
pub(super) fn fill(dir: &Path) {
    let at = |name: &str| dir.join(name);
    for name in ["plain", "empty", "suid", "owned", "acl", "old", "quote\"\\ \n<é>"] {
        std::fs::write(at(name), name).unwrap();
    }
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(dir.join(OsString::from_vec(b"bad-\xff\xfe".to_vec())), "").unwrap();
    std::fs::write(at(&"n".repeat(255)), "").unwrap();
    std::fs::hard_link(at("plain"), at("plain-again")).unwrap();
    std::fs::create_dir(at("dir")).unwrap();
    std::fs::set_permissions(at("dir"), PermissionsExt::from_mode(0o3775)).unwrap();
    std::fs::set_permissions(at("suid"), PermissionsExt::from_mode(0o4711)).unwrap();
    chown(at("owned"), Some(1), Some(12_345)).unwrap();
    symlink("plain", at("link")).unwrap();
    lchown(at("link"), Some(3), Some(4)).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    mknodat(
        CWD,
        at("char"),
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(240, 70_000),
    )
    .unwrap();
    mknodat(CWD, at("block"), FileType::BlockDevice, Mode::RUSR, makedev(7, 3)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    for (name, value) in [
        ("user.zebra", &b"1"[..]),
        ("user.ape", b""),
        ("trusted.x", b"\xff\0"),
        ("user.mid", &[9; 2_000]),
    ] {
        set(Place::Entry(&at("plain")), OsStr::new(name), value).unwrap();
    }
    let acl = |args: &[&str], name: &str| {
        let path = at(name);
        let mut all: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        all.push(path.as_os_str());
        run("setfacl", &all);
    };
    acl(&["-m", "u:1:rw,g:2:r"], "acl");
    acl(&["-m", "u:1:rwx"], "dir");
    acl(&["-d", "-m", "u:1:rx"], "dir");
    let old = std::time::UNIX_EPOCH - std::time::Duration::new(1_000_000_000, 123_456_789);
    std::fs::File::open(at("old")).unwrap().set_modified(old).unwrap();
}

fn json(node: &Node) -> String {
    let mut json = Vec::new();
    node.push_json(&mut json);
    String::from_utf8(json).unwrap()
}

#[test]
fn entries_are_those_that_restic_stores() {
    let root = tempfile::tempdir().unwrap();
    let (source, repo) = (root.path().join("source"), root.path().join("repo"));
    std::fs::create_dir(&source).unwrap();
    fill(&source);
    restic(&repo, &["init"]);
    restic(&repo, &["backup", source.to_str().unwrap()]);
    let tree = tree_of(&repo, &source);

    let users = Users::load();
    let dir = open_dir_path(&source).unwrap();
    let mut names = list_dir(dir.as_fd()).unwrap();
    // Restic 0.14 leaves sockets out; so do we, though newer ones list them.
    names.retain(|name| name != "socket");
    assert_eq!(
        names,
        tree.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>()
    );
    for theirs in &tree.nodes {
        let stat = stat_at(&dir, &theirs.name).unwrap();
        let mut ours = node_at(&dir, &theirs.name, &stat, &users).unwrap();
        assert_eq!(theirs.content.is_some(), ours.content.is_some(), "{:?}", theirs.name);
        // What only reading the content tells.
        ours.content.clone_from(&theirs.content);
        ours.subtree = theirs.subtree;
        if stat.is_symlink() {
            // Restic 0.14 takes the attributes of what a link points to; newer ones those of the link, as we do.
            ours.extended_attributes.clone_from(&theirs.extended_attributes);
        }
        assert_eq!(json(&ours), json(theirs), "{:?}", theirs.name);
    }
    assert_eq!(tree.nodes.len(), 15);
}

/// The tree that the latest snapshot has for the directory `path`, to the byte as it was stored.
fn tree_of(repo: &Path, path: &Path) -> Tree {
    let snapshots: serde_json::Value = serde_json::from_slice(&restic(repo, &["snapshots", "--json"])).unwrap();
    let mut id = snapshots[0]["tree"].as_str().unwrap().to_owned();
    for name in path.components().skip(1) {
        let tree: Tree = serde_json::from_slice(&restic(repo, &["cat", "blob", &id])).unwrap();
        id = tree.find(name.as_os_str()).unwrap().subtree.unwrap().to_hex();
    }
    let text = restic(repo, &["cat", "blob", &id]);
    let tree: Tree = serde_json::from_slice(&text).unwrap();
    assert!(tree.to_json() == text, "reading and writing changes the tree");
    tree
}

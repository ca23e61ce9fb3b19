//! Compared with tar and with restic.

use super::*;
use crate::Recorder;
use crate::restic::restore::fixture::*;
use crate::restic::select::{Found, find_path};
use std::os::unix::fs::FileExt;

fn tar_of(fixture: &Fixture) -> Vec<u8> {
    let (repository, index) = fixture.open();
    let tree = fixture.select(&repository, "latest").snapshot.tree;
    let (mut out, monitor) = (Vec::new(), Recorder::default());
    dump_tar(
        &repository,
        &index,
        &tree,
        Path::new("/"),
        &mut out,
        &Cancel::default(),
        &monitor,
    )
    .unwrap();
    assert_eq!(*monitor.problems.lock(), [""; 0]);
    out
}

#[test]
fn tar_unpacks_everything() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    let deep = std::array::from_fn::<_, 3, _>(|_| "d".repeat(200)).join("/");
    std::fs::create_dir_all(fixture.source().join(&deep)).unwrap();
    std::fs::write(fixture.source().join(&deep).join("file"), "x").unwrap();
    std::os::unix::fs::symlink("t".repeat(300), fixture.source().join("long target")).unwrap();
    fixture.backup();
    std::fs::write(fixture.path("archive"), tar_of(&fixture)).unwrap();
    std::fs::create_dir(fixture.path("unpacked")).unwrap();
    let (archive, into) = (fixture.path("archive"), fixture.path("unpacked"));
    let arguments = ["-x", "-p", "--xattrs", "--xattrs-include=*", "--sparse", "-f"].map(std::ffi::OsStr::new);
    run(
        "tar",
        &[&arguments[..], &[archive.as_os_str(), "-C".as_ref(), into.as_os_str()]].concat(),
    );
    assert_same(&fixture.source(), &into.join("source"));
}

#[test]
fn a_file_is_dumped_as_with_restic() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("large"), noise(50 << 20, 1)).unwrap();
    fixture.backup();
    let (repository, index) = fixture.open();
    let tree = fixture.select(&repository, "latest").snapshot.tree;
    let Found::Node(node) = find_path(&repository, &index, &tree, Path::new("/source/large")).unwrap() else {
        panic!()
    };
    let mut out = Vec::new();
    dump_file(
        &repository,
        &index,
        &node,
        &mut out,
        &Cancel::default(),
        &Recorder::default(),
    )
    .unwrap();
    assert!(out == fixture.restic(&["dump", "latest", "/source/large"]));
}

#[test]
fn damage_ends_a_dump() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "content").unwrap();
    fixture.backup();
    let (repository, index) = fixture.open();
    let tree = fixture.select(&repository, "latest").snapshot.tree;
    let Found::Node(node) = find_path(&repository, &index, &tree, Path::new("/source/file")).unwrap() else {
        panic!()
    };
    let found = index.find(BlobKind::Data, &node.blobs()[0]).unwrap();
    let pack = fixture
        .path("repository")
        .join(crate::restic::object::ObjectKind::Pack.object_name(&found.pack));
    run("chmod", &["u+w".as_ref(), pack.as_os_str()]);
    std::fs::OpenOptions::new()
        .write(true)
        .open(pack)
        .unwrap()
        .write_all_at(&[0; 30], u64::from(found.blob.offset))
        .unwrap();
    let (mut out, monitor) = (Vec::new(), Recorder::default());
    assert!(dump_file(&repository, &index, &node, &mut out, &Cancel::default(), &monitor).is_err());
    assert!(out.is_empty());
    assert!(
        dump_tar(
            &repository,
            &index,
            &tree,
            Path::new("/"),
            &mut out,
            &Cancel::default(),
            &monitor
        )
        .is_err()
    );
}

/// An access list as the system stores it.
fn access_list(user: u32, permissions: u8) -> Vec<u8> {
    let entries = [
        (1, 7, u32::MAX),
        (2, permissions, user),
        (4, 5, u32::MAX),
        (16, 7, u32::MAX),
        (32, 5, u32::MAX),
    ];
    let entry = |(tag, permissions, id): (u8, u8, u32)| [&[tag, 0, permissions, 0][..], &id.to_le_bytes()].concat();
    [vec![2, 0, 0, 0], entries.map(entry).concat()].concat()
}

/// Once lost with tar's `--acls`, which believes the text only.
#[test]
fn access_lists_are_unpacked_with_and_without_xattrs() {
    let fixture = Fixture::new();
    let directory = fixture.source().join("shared");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("file"), "x").unwrap();
    let lists = [
        ("shared/file", "system.posix_acl_access", access_list(1234, 4)),
        ("shared", "system.posix_acl_access", access_list(1234, 7)),
        ("shared", "system.posix_acl_default", access_list(4321, 6)),
    ];
    for (path, name, list) in &lists {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(fixture.source().join(path), *name, list, flags).unwrap();
    }
    fixture.backup();
    std::fs::write(fixture.path("archive"), tar_of(&fixture)).unwrap();
    for (target, options) in [
        ("acls", &["--acls"][..]),
        ("both", &["--acls", "--xattrs", "--xattrs-include=*"]),
        ("xattrs", &["--xattrs", "--xattrs-include=*"]),
    ] {
        let (archive, into) = (fixture.path("archive"), fixture.path(target));
        std::fs::create_dir(&into).unwrap();
        let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(std::ffi::OsStr::new).collect();
        arguments.extend(["-x".as_ref(), "-p".as_ref(), "-f".as_ref(), archive.as_os_str()]);
        arguments.extend(["-C".as_ref(), into.as_os_str()]);
        run("tar", &arguments);
        for (path, name, list) in &lists {
            let mut found = vec![0; 200];
            let length = rustix::fs::getxattr(into.join("source").join(path), *name, &mut found).unwrap();
            assert_eq!(&found[..length], list, "{target} {path} {name}");
        }
    }
}

//! Each kind of difference is found.

use super::{CompareOptions, compare_trees, every_kind, set_mtime};
use rustix::fs::{AtFlags, CWD, FileType, Mode};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

/// Each change to a copy is found, by name and kind.
#[test]
fn finds_every_kind_of_difference() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    every_kind(&a, 1).unwrap();
    every_kind(&b, 1).unwrap();
    let at = |name: &str| b.join(name);
    let keep_time = |name: &str, change: &dyn Fn(&Path)| {
        let before = rustix::fs::statat(CWD, at(name), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        change(&at(name));
        set_mtime(&at(name), before.st_mtime, before.st_mtime_nsec.try_into().unwrap()).unwrap();
    };
    keep_time("contents/small", &|path| {
        fs::write(path, [&crate::tree::content(1, 4_999)[..], b"!"].concat()).unwrap();
    });
    keep_time("contents/one-byte", &|path| fs::write(path, "xx").unwrap());
    keep_time("contents/all-hole", &|path| fs::write(path, vec![0; 5 << 20]).unwrap());
    keep_time("permissions/file-444", &|path| {
        fs::set_permissions(path, PermissionsExt::from_mode(0o440)).unwrap();
    });
    keep_time("permissions/foreign", &|path| chown(path, Some(1), None).unwrap());
    keep_time("links/to-file", &|path| {
        fs::remove_file(path).unwrap();
        symlink("other", path).unwrap();
    });
    keep_time("links/hard", &|path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "linked").unwrap();
    });
    keep_time("attributes/file", &|path| {
        rustix::fs::removexattr(path, "user.text").unwrap();
    });
    keep_time("names/!bang", &|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    set_mtime(&at("times/epoch"), 0, 1).unwrap();
    fs::remove_file(at("specials/socket")).unwrap();
    fs::remove_file(at("times/tenths")).unwrap();
    fs::write(at("empty-dir/new"), "").unwrap();
    fs::remove_file(at("specials/null")).unwrap();
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    rustix::fs::mknodat(
        CWD,
        at("specials/null"),
        FileType::CharacterDevice,
        mode,
        rustix::fs::makedev(1, 5),
    )
    .unwrap();
    keep_time("specials/null", &|_| {});

    let all = CompareOptions {
        sparse: true,
        sockets: true,
        ..CompareOptions::default()
    };
    let differences = compare_trees(&a, &b, &all);
    for expected in [
        "`contents/small`: content differs from byte 4999 on",
        "`contents/one-byte`: size: 1 ≠ 2",
        "`contents/all-hole`: bytes taken: 0 ≠ 5242880",
        "`permissions/file-444`: permissions: 444 ≠ 440",
        "`permissions/foreign`: owner: 1234567:7654321 ≠ 1:7654321",
        "`links/to-file`: link to: file ≠ other",
        "{\"links/file\", \"links/hard\", \"other-links/hard\"}: hard links to each other only in the first",
        "`attributes/file`: attributes: ",
        "`names/!bang`: kind: RegularFile ≠ Directory",
        "`times/epoch`: modified: 0.000000000 ≠ 0.000000001",
        "`specials/socket`: only in the first",
        "`times/tenths`: only in the first",
        "`empty-dir/new`: only in the second",
        "`specials/null`: device: 259 ≠ 261",
    ] {
        assert!(
            differences.iter().any(|line| line.starts_with(expected)),
            "{expected}: {differences:#?}"
        );
    }
    let mut others = differences.iter().filter(|line| !line.contains(": modified: "));
    assert_eq!(others.by_ref().count(), 14, "{differences:#?}");
    let fewer = compare_trees(&a, &b, &CompareOptions::default());
    assert_eq!(fewer.len(), differences.len() - 2, "sparseness and sockets");
}

#[test]
fn a_root_that_is_missing_is_a_difference() {
    assert_eq!(
        compare_trees(Path::new("/tmp"), Path::new("/nowhere"), &CompareOptions::default()).len(),
        1
    );
}

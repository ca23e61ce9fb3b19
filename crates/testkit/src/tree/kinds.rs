//! One of each thing that a file system can hold.

use super::{content, deep_path, set_mtime};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// Make a tree with every kind of entry, name, permission, time and attribute at `root`, which must not exist. Needs root.
pub fn every_kind(root: &Path, seed: u64) -> io::Result<()> {
    fs::create_dir(root)?;
    contents(root, seed)?;
    names(root)?;
    links(root)?;
    specials(root)?;
    permissions(root)?;
    attributes(root)?;
    deep_path(&dir(root, "deep")?, 3_900)?;
    times(root)
}

fn dir(root: &Path, name: &str) -> io::Result<std::path::PathBuf> {
    let dir = root.join(name);
    fs::create_dir(&dir)?;
    Ok(dir)
}

fn contents(root: &Path, seed: u64) -> io::Result<()> {
    fs::create_dir(root.join("empty-dir"))?;
    let dir = dir(root, "contents")?;
    for (name, bytes) in [
        ("empty", 0),
        ("one-byte", 1),
        ("small", 5_000),
        ("block", 4_096),
        ("large", 5_000_000),
    ] {
        fs::write(dir.join(name), content(seed, bytes))?;
    }
    fs::write(dir.join("same-as-large"), content(seed, 5_000_000))?;
    fs::write(dir.join("zeros"), vec![0; 2_000_000])?;
    let holes = File::create(dir.join("all-hole"))?;
    holes.set_len(5 * MIB)?;
    let sparse = File::create(dir.join("sparse"))?;
    sparse.set_len(20 * MIB)?;
    sparse.write_all_at(&content(seed, 100_000), 3 * MIB)?;
    sparse.write_all_at(b"alone", 12 * MIB + 77)
}

fn names(root: &Path) -> io::Result<()> {
    let dir = dir(root, "names")?;
    let longest = "n".repeat(255);
    let names: [&[u8]; 16] = [
        b"not-utf8-\xff\xfe\x80",
        b"new\nline",
        b"tab\tand\x01control\x7f",
        b" spaces ",
        b"-dash",
        b"quote\"'`",
        b"back\\slash",
        b"star*[a-z]?",
        b"!bang",
        b"#hash",
        b"...",
        "grüße-é".as_bytes(),
        "gru\u{308}ße-e\u{301}".as_bytes(),
        "\u{1f600}\u{202e}".as_bytes(),
        b"<html>&amp;",
        longest.as_bytes(),
    ];
    for name in names {
        fs::write(dir.join(OsStr::from_bytes(name)), name)?;
    }
    fs::create_dir(dir.join(OsStr::from_bytes(b"dir-\xff")))?;
    fs::write(
        dir.join(OsStr::from_bytes(b"dir-\xff")).join("file"),
        "in a directory with a bad name",
    )
}

fn links(root: &Path) -> io::Result<()> {
    let (here, there) = (dir(root, "links")?, dir(root, "other-links")?);
    fs::write(here.join("file"), "linked")?;
    fs::hard_link(here.join("file"), here.join("hard"))?;
    fs::hard_link(here.join("file"), there.join("hard"))?;
    fs::write(there.join("pair"), "linked")?;
    fs::hard_link(there.join("pair"), here.join("pair"))?;
    symlink("file", here.join("to-file"))?;
    symlink("..", here.join("to-dir"))?;
    symlink("/etc/passwd", here.join("absolute"))?;
    symlink("nowhere/at/all", here.join("broken"))?;
    symlink("loop", here.join("loop"))?;
    symlink("t".repeat(3_000), here.join("long"))?;
    symlink(OsStr::from_bytes(b"bad-\xff\n\\"), here.join("not-utf8"))?;
    lchown(here.join("broken"), Some(1_234), Some(5_678))
}

fn specials(root: &Path) -> io::Result<()> {
    let dir = dir(root, "specials")?;
    for (name, kind, device) in [
        ("pipe", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, makedev(1, 3)),
        ("large-numbers", FileType::CharacterDevice, makedev(300, 70_000)),
        ("block", FileType::BlockDevice, makedev(7, 200)),
    ] {
        mknodat(CWD, dir.join(name), kind, Mode::RUSR | Mode::WUSR | Mode::RGRP, device)?;
    }
    // The longest path that a socket's address can hold is short, the directory's may be long.
    let open = File::open(&dir)?;
    let short = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
    UnixListener::bind(short.join("socket")).map(drop)
}

fn permissions(root: &Path) -> io::Result<()> {
    let dir = dir(root, "permissions")?;
    for mode in [0o000, 0o400, 0o444, 0o777, 0o4755, 0o2755, 0o6711, 0o1644] {
        let path = dir.join(format!("file-{mode:o}"));
        fs::write(&path, "x")?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        let path = dir.join(format!("dir-{mode:o}"));
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    fs::write(dir.join("foreign"), "somebody's")?;
    chown(dir.join("foreign"), Some(1_234_567), Some(7_654_321))?;
    chown(dir.join("dir-777"), Some(1), Some(2))?;
    // Set-user-ID of another user: lost unless the owner is set first.
    chown(dir.join("file-4755"), Some(33), Some(33))?;
    fs::set_permissions(dir.join("file-4755"), Permissions::from_mode(0o4755))
}

fn attributes(root: &Path) -> io::Result<()> {
    let dir = dir(root, "attributes")?;
    fs::write(dir.join("file"), "x")?;
    fs::write(dir.join("acl"), "x")?;
    symlink("file", dir.join("link"))?;
    mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::RUSR, 0)?;
    let set =
        |name: &str, attribute: &str, value: &[u8]| lsetxattr(dir.join(name), attribute, value, XattrFlags::empty());
    set("file", "user.text", b"value")?;
    set("file", "user.empty", b"")?;
    set("file", "user.binary", b"\0\xff\n")?;
    set("file", "user.large", &[b'x'; 2_500])?;
    set("file", "trusted.secret", b"for root")?;
    set("link", "trusted.of-link", b"1")?;
    set("pipe", "trusted.of-pipe", b"2")?;
    set("", "user.of-dir", b"3")?;
    set(
        "acl",
        "system.posix_acl_access",
        &acl(&[
            (1, 6, NOBODY),
            (2, 7, 1_001),
            (4, 4, NOBODY),
            (8, 5, 1_002),
            (0x10, 7, NOBODY),
            (0x20, 0, NOBODY),
        ]),
    )?;
    set(
        "",
        "system.posix_acl_default",
        &acl(&[
            (1, 7, NOBODY),
            (2, 5, 1_001),
            (4, 5, NOBODY),
            (0x10, 5, NOBODY),
            (0x20, 1, NOBODY),
        ]),
    )?;
    Ok(())
}

const NOBODY: u32 = u32::MAX;

/// A POSIX ACL as the kernel takes it: version 2, then tag, permissions and id of each entry, little-endian.
/// Source: `linux/posix_acl_xattr.h`.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut out = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(permissions.to_le_bytes());
        out.extend(id.to_le_bytes());
    }
    out
}

/// Last, because everything else changes times.
fn times(root: &Path) -> io::Result<()> {
    let dir = dir(root, "times")?;
    for (name, second, nanosecond) in [
        ("epoch", 0, 0),
        ("before-1970", -1, 1),
        ("around-1901", -2_147_483_648, 999_999_999),
        ("nanoseconds", 1_600_000_000, 123_456_789),
        ("tenths", 1_600_000_000, 100_000_000),
        ("around-2262", 9_223_372_036, 5),
        ("around-2400", 13_569_465_600, 0),
    ] {
        fs::write(dir.join(name), "x")?;
        set_mtime(&dir.join(name), second, nanosecond)?;
    }
    symlink("epoch", dir.join("link"))?;
    set_mtime(&dir.join("link"), 1_234_567_890, 987_654_321)?;
    everything_at_fixed_times(root, &mut 0, &dir)
}

/// Give every entry a time of its own, so that two trees of the same seed are the same; `skip` has its own times already.
fn everything_at_fixed_times(path: &Path, number: &mut i64, skip: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() && !path.ends_with("deep") {
        let mut entries = fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries.iter().filter(|_| path != skip) {
            everything_at_fixed_times(entry, number, skip)?;
        }
    }
    *number += 1;
    set_mtime(
        path,
        1_500_000_000 + *number * 1_000,
        u32::try_from(*number).unwrap_or(0) * 7,
    )
}

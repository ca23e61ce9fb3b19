//! Members of a tar stream. Nothing that an archive says is believed before it was looked at: sizes of records, paths, maps.

use crate::archive::PART_COMMENT;
use crate::archive::entry::{Entry, EntryKind, Place};
use crate::archive::failure::carried;
use crate::archive::header::unescaped;
use crate::archive::sparse::read_map;
use crate::restic::mode::from_system;
use crate::restic::node::{ExtendedAttribute, Node};
use crate::{Cancel, Result};
use jiff::Timestamp;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, EntryType, Header};

/// Greatest PAX records of one entry, bytes: a file system's attributes fit.
const MAX_RECORDS_BYTES: u64 = 16 << 20;
/// How the name of a stream's piece ends: `.part000001`.
const PART_SUFFIX_BYTES: usize = 11;
/// Digits of a record's length, and the space behind them.
const MAX_LENGTH_DIGITS: usize = 12;

/// An entry with its metadata.
#[derive(Debug)]
pub struct Member {
    /// As a listing shows it. The pieces of a stream have the stream's path.
    pub entry: Entry,
    pub node: Node,
    /// The parts of a sparse file that the content holds, one after the other.
    pub parts: Option<Vec<Range<u64>>>,
}

/// What is done with a member and its content.
pub type Each<'e> = dyn FnMut(Member, &mut dyn Read) -> Result<()> + 'e;

/// Every member of a tar stream; what follows its end is read too, because checksums may stand there. Returns the stream's length.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged) if it is no tar stream, or not one of ours; those of `each`.
pub fn each_member(stream: &mut dyn Read, cancel: &Cancel, each: &mut Each<'_>) -> Result<u64> {
    let mut counted = Counted { stream, bytes: 0 };
    walk(&mut counted, cancel, each)?;
    io::copy(&mut counted, &mut io::sink()).map_err(carried)?;
    Ok(counted.bytes)
}

struct Counted<'a> {
    stream: &'a mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(out)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

fn walk(stream: &mut impl Read, cancel: &Cancel, each: &mut Each<'_>) -> Result<()> {
    let mut archive = Archive::new(stream);
    let entries = archive.entries().map_err(carried)?.raw(true);
    let mut records = Vec::new();
    for entry in entries {
        cancel.check()?;
        let mut entry = entry.map_err(carried)?;
        if entry.header().entry_type() == EntryType::XHeader {
            if entry.size() > MAX_RECORDS_BYTES {
                return Err(carried(invalid("its records are too large")));
            }
            records.clear();
            entry.read_to_end(&mut records).map_err(carried)?;
            continue;
        }
        let header = entry.header().clone();
        let member = member(&header, &records, &mut entry).map_err(carried)?;
        records.clear();
        each(member, &mut entry)?;
    }
    Ok(())
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

fn member(header: &Header, records: &[u8], content: &mut impl Read) -> io::Result<Member> {
    let records = Records::parse(records)?;
    let (kind, kind_bits) = kind(header.entry_type())?;
    let mut node = Node::new("", crate::restic::node::NodeKind::File, 0);
    (node.kind, node.mode) = from_system(kind_bits | (header.mode()? & 0o7777));
    node.uid = records.uid.map_or_else(|| small(header.uid()?), Ok)?;
    node.gid = records.gid.map_or_else(|| small(header.gid()?), Ok)?;
    node.user = name(header.username_bytes()).into();
    node.group = name(header.groupname_bytes()).into();
    let seconds = i64::try_from(header.mtime()?).unwrap_or(i64::MAX);
    node.mtime = records
        .mtime
        .or_else(|| Timestamp::new(seconds, 0).ok())
        .unwrap_or_default();
    node.atime = node.mtime;
    node.extended_attributes = records.attributes;
    node.size = if kind == EntryKind::File {
        header.entry_size()?
    } else {
        0
    };
    if matches!(kind, EntryKind::Device | EntryKind::CharDev) {
        let (major, minor) = (header.device_major()?, header.device_minor()?);
        node.device = rustix::fs::makedev(major.unwrap_or(0), minor.unwrap_or(0));
    }
    let target = records.target.unwrap_or_else(|| field(&header.as_old().linkname));
    let mut path = records.path.unwrap_or_else(|| field(&header.as_old().name));
    let parts = match records.sparse_size {
        Some(size) => {
            node.size = size;
            Some(read_map(content, size)?)
        }
        None => None,
    };
    if records.part > 0 {
        path.truncate(path.len().saturating_sub(PART_SUFFIX_BYTES));
    }
    let path = checked_path(&path)?;
    node.name = path.file_name().unwrap_or_default().to_owned();
    if kind == EntryKind::Symlink {
        node.link_target.clone_from(&target);
    }
    let target = if kind == EntryKind::HardLink {
        checked_path(&target)?.into_os_string().as_bytes().to_vec()
    } else {
        target
    };
    let mut entry = Entry::new(path.as_os_str().as_bytes(), kind, &node, node.size, &target);
    entry.place = Place {
        part: records.part,
        ..Place::default()
    };
    Ok(Member { entry, node, parts })
}

/// What it is, and the type bits of its mode.
fn kind(entry_type: EntryType) -> io::Result<(EntryKind, u32)> {
    Ok(match entry_type {
        EntryType::Regular => (EntryKind::File, 0o100_000),
        EntryType::Link => (EntryKind::HardLink, 0o100_000),
        EntryType::Directory => (EntryKind::Dir, 0o040_000),
        EntryType::Symlink => (EntryKind::Symlink, 0o120_000),
        EntryType::Block => (EntryKind::Device, 0o060_000),
        EntryType::Char => (EntryKind::CharDev, 0o020_000),
        EntryType::Fifo => (EntryKind::Fifo, 0o010_000),
        other => return Err(invalid(&format!("entries of type `{other:?}` are not understood"))),
    })
}

fn small(number: u64) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| invalid("a user's or group's number is too large"))
}

/// A field of a header up to its end or the first zero.
fn field(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// The name of a user or group, for people and other programs; a restore goes by numbers.
fn name(bytes: Option<&[u8]>) -> String {
    bytes
        .map(field)
        .and_then(|name| String::from_utf8(name).ok())
        .unwrap_or_default()
}

/// A path that stays below wherever it is put.
pub fn checked_path(path: &[u8]) -> io::Result<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path));
    let is_harmless = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    if !is_harmless || path.as_os_str().is_empty() || path.as_os_str().as_bytes().contains(&0) {
        return Err(invalid(&format!(
            "the path `{}` leads out of the archive",
            path.display()
        )));
    }
    Ok(path.components().collect())
}

/// What stands in PAX records.
#[derive(Default)]
struct Records {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    mtime: Option<Timestamp>,
    uid: Option<u32>,
    gid: Option<u32>,
    sparse_size: Option<u64>,
    part: u32,
    attributes: Vec<ExtendedAttribute>,
}

impl Records {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut records = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value);
            (key, value, rest) = split_record(rest).ok_or_else(|| invalid("its records are damaged"))?;
            let text = || std::str::from_utf8(value).map_err(|_| invalid("a record is not text"));
            let bad = |_| invalid("a record is not a number");
            match key {
                b"path" | b"GNU.sparse.name" => records.path = Some(value.to_vec()),
                b"linkpath" => records.target = Some(value.to_vec()),
                b"mtime" => records.mtime = Some(timestamp(text()?).ok_or_else(|| invalid("a time is damaged"))?),
                b"uid" => records.uid = Some(text()?.parse().map_err(bad)?),
                b"gid" => records.gid = Some(text()?.parse().map_err(bad)?),
                b"GNU.sparse.realsize" => records.sparse_size = Some(text()?.parse().map_err(bad)?),
                b"comment" => records.part = part(text()?),
                key => records.attributes.extend(attribute(key, value)),
            }
        }
        Ok(records)
    }
}

/// Key and value of the first record, and what follows: `LENGTH KEY=VALUE\n`, where the length is that of all of it.
///
/// By hand, because the `tar` crate ends a value at its first line break, and attributes hold any bytes.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(MAX_LENGTH_DIGITS).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn part(comment: &str) -> u32 {
    comment
        .strip_prefix(PART_COMMENT)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn attribute(key: &[u8], value: &[u8]) -> Option<ExtendedAttribute> {
    let name = std::str::from_utf8(key.strip_prefix(b"SCHILY.xattr.")?).ok()?;
    Some(ExtendedAttribute {
        name: unescaped(name),
        value: value.to_vec(),
    })
}

/// A time from decimal seconds since 1970.
fn timestamp(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let seconds: i128 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i128 = digits.parse().ok()?;
    let nanoseconds = if is_negative { -nanoseconds } else { nanoseconds };
    Timestamp::from_nanosecond(seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_too() {
        for (text, expected) in [
            ("12.5", "1970-01-01T00:00:12.5Z"),
            ("-0.000000001", "1969-12-31T23:59:59.999999999Z"),
            ("-1.25", "1969-12-31T23:59:58.75Z"),
            ("7", "1970-01-01T00:00:07Z"),
        ] {
            assert_eq!(timestamp(text).unwrap().to_string(), expected);
        }
        assert!(
            ["", "x", "1.x", "99999999999999999999999"]
                .into_iter()
                .all(|text| timestamp(text).is_none())
        );
    }

    #[test]
    fn records_hold_any_bytes() {
        let (key, value, rest) = split_record(b"11 a=\n=\0b\n\n7 b=cd\n").unwrap();
        assert_eq!((key, value, rest), (&b"a"[..], &b"\n=\0b\n"[..], &b"7 b=cd\n"[..]));
        for damaged in [
            "", "5", "5 a=", "6 a=b", "7 a=bcd", "0 a=b\n", "99 a=b\n", "5 ab\n", "x a=b\n", "2 \n",
        ] {
            assert!(split_record(damaged.as_bytes()).is_none(), "{damaged}");
        }
    }

    #[test]
    fn paths_stay_below() {
        for path in ["", "/", "/etc/passwd", "..", "a/../b", "a/\0", "."] {
            assert!(checked_path(path.as_bytes()).is_err(), "{path}");
        }
        assert_eq!(checked_path(b"a//b/./c/").unwrap(), Path::new("a/b/c"));
    }
}

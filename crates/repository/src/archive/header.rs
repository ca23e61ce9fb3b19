//! Headers of tar entries, with PAX records for what does not fit into the classic fields.
//!
//! Source: POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Extended Header"; records of GNU tar and star (`GNU.sparse.*`,
//! `SCHILY.xattr.*`).

use super::acl;
use crate::restic::mode::permissions;
use crate::restic::node::Node;
use crate::{Error, Result};
use tar::{Builder, EntryType, Header};

/// Everything in a tar archive is padded to a multiple of this, bytes.
pub const BLOCK: u64 = 512;
/// Two empty blocks end an archive.
pub const END_BYTES: usize = 2 * BLOCK as usize;

/// Longest name in the fields of a header, bytes.
const SHORT_NAME: usize = 100;
/// Greatest number in the octal fields of a header for owner and group.
const MAX_OCTAL_ID: u64 = 0o7_777_777;
/// Greatest number in the octal field of a header for the size.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;

/// Zeros that follow `size` bytes of content.
pub fn padding(size: u64) -> usize {
    ((BLOCK - size % BLOCK) % BLOCK) as usize
}

/// One entry, as its headers describe it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Path within the archive, relative; without a slash at the end.
    pub name: &'a [u8],
    /// Owner, permissions, times, attributes, device.
    pub node: &'a Node,
    /// What it is.
    pub kind: EntryType,
    /// Where a symbolic or hard link leads to.
    pub target: &'a [u8],
    /// Content in the archive, bytes.
    pub size: u64,
    /// Bytes of a sparse file, if the content in the archive is a map and its parts (`GNU.sparse`, version 1.0).
    pub sparse_size: Option<u64>,
    /// What a person who lists the records reads; GNU tar ignores it.
    pub comment: Option<&'a str>,
}

impl<'a> Member<'a> {
    /// An entry without content.
    pub fn new(name: &'a [u8], node: &'a Node, kind: EntryType) -> Self {
        Self {
            name,
            node,
            kind,
            target: &node.link_target,
            size: 0,
            sparse_size: None,
            comment: None,
        }
    }

    /// Append its headers.
    ///
    /// # Errors
    /// [`Error::Verification`] if a field cannot be made.
    pub fn push(&self, out: &mut Vec<u8>) -> Result<()> {
        self.push_to(out).map_err(unmade)
    }

    fn push_to(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let mut name = self.name.to_vec();
        if self.kind == EntryType::Directory {
            name.push(b'/');
        }
        let header = if self.sparse_size.is_some() {
            // What GNU tar does too: a program that does not know sparse files puts the map and the parts aside.
            self.classic(&[b"GNUSparseFile.0/", name.as_slice()].concat())?
        } else {
            self.classic(&name)?
        };
        let mut builder = Builder::new(std::mem::take(out));
        let records = self.records(&name);
        let done = builder.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())));
        *out = std::mem::take(builder.get_mut());
        out.extend_from_slice(header.as_bytes());
        done
    }

    fn classic(&self, name: &[u8]) -> std::io::Result<Header> {
        let node = self.node;
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind);
        header.set_mode(permissions(node.mode));
        header.set_uid(u64::from(node.uid));
        header.set_gid(u64::from(node.gid));
        header.set_size(self.size);
        header.set_mtime(u64::try_from(node.mtime.as_second()).unwrap_or(0));
        fill(&mut header.as_old_mut().name, name);
        fill(&mut header.as_old_mut().linkname, self.target);
        if matches!(self.kind, EntryType::Block | EntryType::Char) {
            header.set_device_major(rustix::fs::major(node.device))?;
            header.set_device_minor(rustix::fs::minor(node.device))?;
        }
        // Names that do not fit are left out here; numbers are enough to restore by.
        header.set_username(&node.user).or_else(|_| header.set_username(""))?;
        header
            .set_groupname(&node.group)
            .or_else(|_| header.set_groupname(""))?;
        header.set_cksum();
        Ok(header)
    }

    fn records(&self, name: &[u8]) -> Vec<(String, Vec<u8>)> {
        let node = self.node;
        let mut all = Vec::new();
        let is_short = |text: &[u8]| text.len() <= SHORT_NAME && text.is_ascii();
        let mut add = |key: &str, value: &[u8]| all.push((key.to_owned(), value.to_vec()));
        if let Some(comment) = self.comment {
            add("comment", comment.as_bytes());
        }
        if let Some(size) = self.sparse_size {
            add("GNU.sparse.major", b"1");
            add("GNU.sparse.minor", b"0");
            add("GNU.sparse.name", name);
            add("GNU.sparse.realsize", size.to_string().as_bytes());
        } else if !is_short(name) {
            add("path", name);
        }
        if !is_short(self.target) {
            add("linkpath", self.target);
        }
        if self.size > MAX_OCTAL_SIZE {
            add("size", self.size.to_string().as_bytes());
        }
        if node.mtime.subsec_nanosecond() != 0 || node.mtime.as_second() < 0 {
            add("mtime", decimal_seconds(node.mtime).as_bytes());
        }
        for (key, id) in [("uid", node.uid), ("gid", node.gid)] {
            if u64::from(id) > MAX_OCTAL_ID {
                add(key, id.to_string().as_bytes());
            }
        }
        for attribute in &node.extended_attributes {
            add(&format!("SCHILY.xattr.{}", escaped(&attribute.name)), &attribute.value);
            // GNU tar sets access lists from their text after it has set the attributes, and unsets them where there is no text.
            if let Some((key, text)) = acl::record(&attribute.name, &attribute.value) {
                add(key, text.as_bytes());
            }
        }
        all
    }
}

fn unmade(error: std::io::Error) -> Error {
    Error::Verification(format!("a header of the archive cannot be made: {error}"))
}

fn fill(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// The name of an attribute as GNU tar writes it into a record's key, which `=` would end.
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('=', "%3D")
}

/// The name of an attribute from a record's key.
pub fn unescaped(name: &str) -> String {
    name.replace("%3D", "=").replace("%25", "%")
}

/// Seconds since 1970 with their fraction.
fn decimal_seconds(time: jiff::Timestamp) -> String {
    let nanoseconds = time.as_nanosecond();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    format!(
        "{sign}{}.{:09}",
        nanoseconds / 1_000_000_000,
        nanoseconds % 1_000_000_000
    )
}

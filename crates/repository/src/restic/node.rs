//! One entry of a directory, as it stands in a tree.
//!
//! Written by hand instead of through serde, because the text has to be Go's to the byte; read through serde.

use super::gojson;
use crate::Id;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    #[serde(rename = "dev")]
    Device,
    /// A character device.
    CharDev,
    /// A named pipe.
    Fifo,
    /// A socket; captured as an entry by restic, skipped by Mainstay.
    Socket,
    /// Something else, such as what restic calls `irregular`.
    #[serde(other)]
    Irregular,
}

impl NodeKind {
    /// As it stands in a tree.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Symlink => "symlink",
            Self::Device => "dev",
            Self::CharDev => "chardev",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Irregular => "irregular",
        }
    }
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExtendedAttribute {
    /// Name with its namespace, for example `user.comment` or `system.posix_acl_access`.
    pub name: String,
    /// Any bytes.
    #[serde(default, with = "super::base64_bytes_or_null")]
    pub value: Vec<u8>,
}

/// One entry of a directory with its metadata.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name within the directory: any bytes but `/` and NUL.
    pub name: OsString,
    /// What it is.
    pub kind: NodeKind,
    /// Permission and type bits of Go's `os.FileMode` (see [`super::mode`]).
    pub mode: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last access; restic stores the modification time here unless asked otherwise, and so do we.
    pub atime: Timestamp,
    /// Last change of the entry.
    pub ctime: Timestamp,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name on the host, may be empty.
    pub user: Arc<str>,
    /// Group's name on the host, may be empty.
    pub group: Arc<str>,
    /// Inode number.
    pub inode: u64,
    /// Device that holds the inode: with `inode` it identifies hard links.
    pub device_id: u64,
    /// Content, bytes.
    pub size: u64,
    /// Hard links to the inode.
    pub links: u64,
    /// Where a symbolic link points to.
    pub link_target: Vec<u8>,
    /// Extended attributes, POSIX ACLs among them.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// Attributes of other systems (Windows), passed through.
    pub generic_attributes: Option<Box<RawValue>>,
    /// Device number of a device.
    pub device: u64,
    /// Blobs whose concatenation is the file's content; `None` but for files.
    pub content: Option<Vec<Id>>,
    /// The tree of a directory.
    pub subtree: Option<Id>,
}

impl Node {
    /// An entry with nothing but a name, kind and mode.
    pub fn new(name: impl Into<OsString>, kind: NodeKind, mode: u32) -> Self {
        Self {
            name: name.into(),
            kind,
            mode,
            mtime: Timestamp::UNIX_EPOCH,
            atime: Timestamp::UNIX_EPOCH,
            ctime: Timestamp::UNIX_EPOCH,
            uid: 0,
            gid: 0,
            user: Arc::from(""),
            group: Arc::from(""),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: None,
            device: 0,
            content: None,
            subtree: None,
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == NodeKind::Dir
    }

    /// The blobs of a file, nothing for other kinds.
    pub fn blobs(&self) -> &[Id] {
        self.content.as_deref().unwrap_or_default()
    }

    /// Append the entry's JSON.
    pub fn push_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"name\":");
        gojson::push_string(out, &gojson::quote(self.name.as_bytes()));
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.push(b'"');
        push_number_unless_zero(out, "mode", u64::from(self.mode));
        push_time(out, "mtime", self.mtime);
        push_time(out, "atime", self.atime);
        push_time(out, "ctime", self.ctime);
        push_number(out, "uid", u64::from(self.uid));
        push_number(out, "gid", u64::from(self.gid));
        push_text_unless_empty(out, "user", &self.user);
        push_text_unless_empty(out, "group", &self.group);
        push_number_unless_zero(out, "inode", self.inode);
        push_number_unless_zero(out, "device_id", self.device_id);
        push_number_unless_zero(out, "size", self.size);
        push_number_unless_zero(out, "links", self.links);
        self.push_link_target(out);
        self.push_attributes(out);
        push_number_unless_zero(out, "device", self.device);
        self.push_content(out);
        out.push(b'}');
    }

    fn push_link_target(&self, out: &mut Vec<u8>) {
        if self.link_target.is_empty() {
            return;
        }
        push_key(out, "linktarget");
        gojson::push_lossy_string(out, &self.link_target);
        if std::str::from_utf8(&self.link_target).is_err() {
            push_text_unless_empty(out, "linktarget_raw", &BASE64.encode(&self.link_target));
        }
    }

    fn push_attributes(&self, out: &mut Vec<u8>) {
        for (i, attribute) in self.extended_attributes.iter().enumerate() {
            out.extend_from_slice(if i == 0 {
                b",\"extended_attributes\":[{\"name\":"
            } else {
                b",{\"name\":"
            });
            gojson::push_string(out, &attribute.name);
            out.extend_from_slice(b",\"value\":\"");
            out.extend_from_slice(BASE64.encode(&attribute.value).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        if !self.extended_attributes.is_empty() {
            out.push(b']');
        }
        if let Some(raw) = &self.generic_attributes {
            out.extend_from_slice(b",\"generic_attributes\":");
            out.extend_from_slice(raw.get().as_bytes());
        }
    }

    fn push_content(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"content\":");
        match &self.content {
            None => out.extend_from_slice(b"null"),
            Some(blobs) => {
                out.push(b'[');
                for (i, id) in blobs.iter().enumerate() {
                    out.extend_from_slice(if i == 0 { b"\"" } else { b",\"" });
                    id.push_hex(out);
                    out.push(b'"');
                }
                out.push(b']');
            }
        }
        if let Some(id) = self.subtree {
            out.extend_from_slice(b",\"subtree\":\"");
            id.push_hex(out);
            out.push(b'"');
        }
    }
}

fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_number(out: &mut Vec<u8>, key: &str, mut number: u64) {
    push_key(out, key);
    let (mut digits, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_number_unless_zero(out: &mut Vec<u8>, key: &str, number: u64) {
    if number != 0 {
        push_number(out, key, number);
    }
}

fn push_text_unless_empty(out: &mut Vec<u8>, key: &str, text: &str) {
    if !text.is_empty() {
        push_key(out, key);
        gojson::push_string(out, text);
    }
}

/// RFC 3339 in UTC with the fraction's trailing zeros cut off, which is how both Go and jiff print.
fn push_time(out: &mut Vec<u8>, key: &str, time: Timestamp) {
    use std::io::Write as _;
    push_key(out, key);
    // Writing to a vector cannot fail.
    write!(out, "\"{time}\"").unwrap_or_default();
}

/// A node as serde reads it: names still quoted, every field optional that restic omits.
#[derive(Deserialize)]
struct StoredNode<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: NodeKind,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    mtime: Timestamp,
    #[serde(default)]
    atime: Timestamp,
    #[serde(default)]
    ctime: Timestamp,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default, borrow)]
    user: Cow<'a, str>,
    #[serde(default, borrow)]
    group: Cow<'a, str>,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(default)]
    linktarget: String,
    #[serde(default, with = "super::base64_bytes_or_null")]
    linktarget_raw: Vec<u8>,
    #[serde(default)]
    extended_attributes: Option<Vec<ExtendedAttribute>>,
    #[serde(default)]
    generic_attributes: Option<Box<RawValue>>,
    #[serde(default)]
    device: u64,
    #[serde(default)]
    content: Option<Vec<Id>>,
    #[serde(default)]
    subtree: Option<Id>,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let stored = StoredNode::deserialize(deserializer)?;
        let name =
            gojson::unquote(&stored.name).ok_or_else(|| D::Error::custom("a name is not quoted as it should be"))?;
        let name = checked_name(&name)
            .ok_or_else(|| D::Error::custom(format!("`{}` cannot be a file's name", stored.name)))?;
        let link_target = if stored.linktarget_raw.is_empty() {
            stored.linktarget.into_bytes()
        } else {
            stored.linktarget_raw
        };
        Ok(Self {
            name,
            kind: stored.kind,
            mode: stored.mode,
            mtime: stored.mtime,
            atime: stored.atime,
            ctime: stored.ctime,
            uid: stored.uid,
            gid: stored.gid,
            user: stored.user.into(),
            group: stored.group.into(),
            inode: stored.inode,
            device_id: stored.device_id,
            size: stored.size,
            links: stored.links,
            link_target,
            extended_attributes: stored.extended_attributes.unwrap_or_default(),
            generic_attributes: stored.generic_attributes,
            device: stored.device,
            content: stored.content,
            subtree: stored.subtree,
        })
    }
}

/// A name that stays within its directory whatever is done with it: the gate that keeps a forged tree from escaping.
fn checked_name(name: &[u8]) -> Option<OsString> {
    let harmless = !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0);
    harmless.then(|| OsString::from_vec(name.to_vec()))
}

/// The order of names in a tree: by bytes.
pub fn name_order(a: &OsStr, b: &OsStr) -> std::cmp::Ordering {
    a.as_bytes().cmp(b.as_bytes())
}

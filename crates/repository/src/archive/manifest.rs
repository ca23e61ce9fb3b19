//! The small object beside an archive that makes it an archive: what it is, and what its bytes have to be.
//!
//! It is written last. Without it, what is stored is an upload that was interrupted, and is never listed. It holds nothing secret,
//! and no paths.

use super::compression::Compression;
use super::encryption::Encryption;
use super::entry::EntryKind;
use super::failure::refused;
use crate::{Error, Id, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::{ErrorKind, Store};

/// How a manifest's name ends, after the archive's name.
pub const SUFFIX: &str = ".manifest.json";
/// Greatest manifest that is read, bytes: enough for the names of 99,999 parts.
const MAX_BYTES: u64 = 32 << 20;
/// What the field `format` says.
pub const FORMAT: &str = "mainstay-archive";
/// What the field `version` says.
pub const VERSION: u32 = 1;

/// What is known of an archive without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub(super) format: String,
    pub(super) version: u32,
    /// The archive's name in the store, without the suffix of parts.
    pub name: String,
    /// The name of the archive that it took the place of, without what had to go; the first one, if there were several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub original: Option<String>,
    /// The host that it was made on.
    pub host: String,
    /// The job that made it.
    pub job: String,
    /// When it was begun.
    pub start: Timestamp,
    /// When its last byte was stored.
    pub end: Timestamp,
    /// What is in it.
    pub counts: Counts,
    /// The tar stream, bytes.
    pub tar_bytes: u64,
    /// All parts together, bytes.
    pub stored_bytes: u64,
    /// SHA-256 of all parts one after the other.
    pub sha256: Id,
    /// The objects that hold it, in order.
    pub parts: Vec<Part>,
    /// How it is compressed.
    pub compression: StoredCompression,
    /// How it is encrypted.
    pub encryption: StoredEncryption,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Regular files; each piece of a long stream is one.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Content of files, bytes.
    pub content_bytes: u64,
    /// Entries that could not be read or that changed meanwhile: more than zero means that the archive is incomplete.
    pub problems: u64,
}

impl Counts {
    /// Count an entry with so many bytes of content.
    pub(super) fn add(&mut self, kind: EntryKind, bytes: u64) {
        *self.of(kind) += 1;
        self.content_bytes += bytes;
    }

    /// Count an entry no more.
    pub(super) fn remove(&mut self, kind: EntryKind, bytes: u64) {
        *self.of(kind) = self.of(kind).saturating_sub(1);
        self.content_bytes = self.content_bytes.saturating_sub(bytes);
    }

    fn of(&mut self, kind: EntryKind) -> &mut u64 {
        match kind {
            EntryKind::File => &mut self.files,
            EntryKind::Dir => &mut self.directories,
            EntryKind::HardLink => &mut self.hard_links,
            EntryKind::Symlink | EntryKind::Device | EntryKind::CharDev | EntryKind::Fifo => &mut self.others,
        }
    }

    /// What is left without `gone`, problems as they are; nothing if there is more of it than there was.
    pub(super) fn without(&self, gone: &Self) -> Option<Self> {
        Some(Self {
            files: self.files.checked_sub(gone.files)?,
            directories: self.directories.checked_sub(gone.directories)?,
            hard_links: self.hard_links.checked_sub(gone.hard_links)?,
            others: self.others.checked_sub(gone.others)?,
            content_bytes: self.content_bytes.checked_sub(gone.content_bytes)?,
            problems: self.problems,
        })
    }
}

/// An object that holds (a part of) an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name in the store.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// How an archive is compressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCompression {
    /// `none`, `gzip` or `zstd`.
    pub method: String,
    /// Level, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<u32>,
    /// Whether repetitions were searched for further back.
    #[serde(default)]
    pub long: bool,
}

/// How an archive is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEncryption {
    /// `none`, `age`, `age-passphrase`, `openpgp` or `openpgp-passphrase`.
    pub method: String,
    /// Public identifiers of those who can read it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub recipients: Vec<String>,
}

impl StoredCompression {
    /// What is to be written down.
    pub fn new(compression: Compression) -> Self {
        Self {
            method: compression.method().to_owned(),
            level: compression.level(),
            long: compression.is_long(),
        }
    }
}

impl StoredEncryption {
    /// What is to be written down.
    pub fn new(encryption: &Encryption) -> Self {
        Self {
            method: encryption.method().to_owned(),
            recipients: encryption.recipients(),
        }
    }
}

impl Manifest {
    /// The name of the object that it stands in.
    pub fn object_name(&self) -> String {
        object_name(&self.name)
    }

    /// What it was called when it was written by its job. Two with the same origin are the same, but for what had to go.
    pub fn origin(&self) -> &str {
        self.original.as_deref().unwrap_or(&self.name)
    }

    /// Whether it can be read without a key.
    pub fn is_encrypted(&self) -> bool {
        self.encryption.method != "none"
    }

    /// How the name of a file with its content ends, without a dot in front; nothing for what only later versions know.
    pub(super) fn extension(&self) -> Option<String> {
        let inner = match self.compression.method.as_str() {
            "none" => "tar",
            "gzip" => "tar.gz",
            "zstd" => "tar.zst",
            _ => return None,
        };
        let outer = match self.encryption.method.as_str() {
            "none" => "",
            "age" | "age-passphrase" => ".age",
            "openpgp" | "openpgp-passphrase" => ".gpg",
            _ => return None,
        };
        Some(format!("{inner}{outer}"))
    }

    /// As it is stored.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Verification(format!("the manifest cannot be written: {error}")))?;
        json.push(b'\n');
        Ok(json)
    }

    /// From the object `object_name` with this content.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is something else, contradicts itself, or names objects that are not its own;
    /// [`Error::UnsupportedVersion`] if it is newer.
    pub fn parse(object_name: &str, json: &[u8]) -> Result<Self> {
        let damaged = |reason: String| Error::Damaged {
            object: "manifest",
            name: object_name.to_owned(),
            reason,
        };
        let manifest: Self = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(damaged("it belongs to something else".to_owned()));
        }
        if manifest.version != VERSION {
            return Err(Error::UnsupportedVersion {
                version: manifest.version,
            });
        }
        if manifest.object_name() != object_name {
            return Err(damaged(format!("it belongs to the archive `{}`", manifest.name)));
        }
        let sum = manifest
            .parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(part.size));
        if manifest.parts.is_empty() || sum != Some(manifest.stored_bytes) {
            return Err(damaged("the sizes of its parts do not add up".to_owned()));
        }
        // What a manifest names is read, and deleted by `forget`: it must not point at anything else.
        match manifest
            .parts
            .iter()
            .find(|part| !is_part_of(&manifest.name, &part.name))
        {
            Some(part) => Err(damaged(format!("`{}` is not a part of it", part.name))),
            None => Ok(manifest),
        }
    }

    /// Read the manifest of the archive `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; otherwise those of the store and of [`Manifest::parse`].
    pub fn read(store: &dyn Store, name: &str) -> Result<Self> {
        let object = object_name(name);
        let size = match store.stat(&object) {
            Ok(size) => size,
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(Error::NotFound {
                    what: "archive",
                    name: name.to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        Self::read_listed(store, &object, size)
    }

    /// Read the manifest in the object `object`, which a listing says to have `size` bytes.
    pub(super) fn read_listed(store: &dyn Store, object: &str, size: u64) -> Result<Self> {
        if size > MAX_BYTES {
            return Err(refused(
                &format!("`{object}` is too large to be a manifest ({size} bytes)"),
                "Move the file that has this name elsewhere.",
            ));
        }
        Self::parse(object, &store.read(object)?)
    }
}

/// The name of the manifest of the archive `name`.
pub fn object_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

/// Digits of a part's number: enough, in names that `cat NAME.?????` puts into order.
const PART_DIGITS: usize = 5;
/// The most parts that an archive may have.
pub const MAX_PARTS: usize = 100_000;

/// The name of a part of an archive that has several, counted from 0.
pub fn part_name(name: &str, number: usize) -> String {
    format!("{name}.{number:0PART_DIGITS$}")
}

/// Whether an object of this name holds (a part of) the archive `name`.
pub fn is_part_of(name: &str, object: &str) -> bool {
    let is_number = |text: &str| text.len() == PART_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    match object.strip_prefix(name) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('.').is_some_and(is_number),
        None => false,
    }
}

//! Archives: how one is named, compressed and encrypted.

use super::fields::{Fields, path};
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use crate::config::tree::Node;
use std::path::PathBuf;

/// How archives are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFormat {
    /// Name with strftime fields and `{host}` and `{job}`.
    pub name: String,
    /// In which folders.
    pub layout: Layout,
    /// How they are compressed.
    pub compression: ArchiveCompression,
    /// How they are encrypted; none only where that is written.
    pub encryption: Encryption,
}

/// Folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the name says.
    Flat,
    /// `daily` and `weekly`, each with its own count.
    DailyWeekly,
}

/// Compression of a whole archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveCompression {
    /// None.
    None,
    /// gzip with a level from 1 to 9.
    Gzip(u32),
    /// Zstandard with a level from 1 to 19.
    Zstd(i32),
}

/// Encryption of a whole archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// None, on purpose.
    None,
    /// To age recipients: this host cannot read it back.
    Age(Vec<Recipient>),
    /// With a passphrase, by age.
    AgePassphrase(SecretSource),
    /// With a passphrase, as OpenPGP.
    GpgPassphrase(SecretSource),
    /// To OpenPGP public keys.
    GpgKeys(Vec<Recipient>),
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The key.
    Key(String),
    /// A file with keys.
    File(PathBuf),
}

/// Read a repository of format `archive`.
pub fn archive(fields: Fields<'_>, repository: &str, problems: &mut Problems) -> Option<ArchiveFormat> {
    let layout = match fields.text("layout").as_deref() {
        Some("daily-weekly") => Layout::DailyWeekly,
        _ => Layout::Flat,
    };
    let compression = fields.get("compression").and_then(compression);
    let Some(encryption) = fields.get("encryption") else {
        let message = format!("`{repository}` does not say how its archives are encrypted");
        let hint = "Write `encryption: {age: [KEY]}`, `{age_passphrase: …}`, `{gpg_passphrase: …}` or `{gpg_keys: [KEY]}`; \
                    or `none`, if everybody who can reach them may read them.";
        problems.add(&fields.node.origin, message, hint);
        return None;
    };
    let encryption = self::encryption(encryption, problems);
    let name = fields
        .text("name")
        .or_else(|| Some(default_name(compression?, encryption.as_ref()?)))?;
    if let Some(node) = fields.get("name") {
        check_name(node, &name, problems);
    }
    Some(ArchiveFormat {
        name,
        layout,
        compression: compression?,
        encryption: encryption?,
    })
}

/// What `tar`, the compressor and the program for decryption call such files.
fn default_name(compression: ArchiveCompression, encryption: &Encryption) -> String {
    let compressed = match compression {
        ArchiveCompression::None => "",
        ArchiveCompression::Gzip(_) => ".gz",
        ArchiveCompression::Zstd(_) => ".zst",
    };
    let encrypted = match encryption {
        Encryption::None => "",
        Encryption::Age(_) | Encryption::AgePassphrase(_) => ".age",
        Encryption::GpgPassphrase(_) | Encryption::GpgKeys(_) => ".gpg",
    };
    format!("{{host}}-{{job}}-%Y-%m-%dT%H-%M-%S.tar{compressed}{encrypted}")
}

/// Names stay below the repository, have known fields, and differ from run to run.
fn check_name(node: &Node, name: &str, problems: &mut Problems) {
    let plain = name.replace("{host}", "").replace("{job}", "");
    let (message, hint) = if plain.contains(['{', '}']) {
        (
            "has a field that is neither `{host}` nor `{job}`",
            "Write braces around these two only.",
        )
    } else if name.starts_with('/') || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        (
            "is no name below the repository",
            "Leave out `/` at either end, `//`, `.` and `..`.",
        )
    } else if jiff::fmt::strtime::format(name, jiff::civil::date(2026, 1, 2)).is_err() && !formats(name) {
        (
            "has a field that strftime does not know",
            "Write for example `%Y-%m-%d`, and `%%` for a percent sign.",
        )
    } else if !plain.contains('%') {
        ("is the same in every run", "Add the time, for example `%Y-%m-%d`.")
    } else {
        return;
    };
    problems.add(&node.origin, format!("`name` is `{name}`, which {message}"), hint);
}

fn formats(name: &str) -> bool {
    let moment = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(name, &moment).is_ok()
}

fn compression(node: &Node) -> Option<ArchiveCompression> {
    match node.text() {
        Some("none" | "off") => return Some(ArchiveCompression::None),
        Some("fast") => return Some(ArchiveCompression::Zstd(1)),
        Some("auto") => return Some(ArchiveCompression::Zstd(3)),
        Some("max") => return Some(ArchiveCompression::Zstd(19)),
        Some(_) => return None,
        None => {}
    }
    let fields = Fields::new(node);
    let gzip = fields.parsed("gzip").map(ArchiveCompression::Gzip);
    gzip.or_else(|| fields.parsed("zstd").map(ArchiveCompression::Zstd))
}

fn encryption(node: &Node, problems: &mut Problems) -> Option<Encryption> {
    if node.text() == Some("none") {
        return Some(Encryption::None);
    }
    let [entry] = node.entries() else { return None };
    match entry.key.as_str() {
        "age" => {
            let keys: Option<Vec<Recipient>> = entry.value.items().iter().map(|node| age(node, problems)).collect();
            keys.map(Encryption::Age)
        }
        "gpg_keys" => entry
            .value
            .items()
            .iter()
            .map(recipient)
            .collect::<Option<_>>()
            .map(Encryption::GpgKeys),
        "age_passphrase" => SecretSource::from_node(&entry.value).map(Encryption::AgePassphrase),
        "gpg_passphrase" => SecretSource::from_node(&entry.value).map(Encryption::GpgPassphrase),
        _ => None,
    }
}

fn recipient(node: &Node) -> Option<Recipient> {
    match node.text() {
        Some(key) => Some(Recipient::Key(key.to_owned())),
        None => path(node.get("file")?).map(Recipient::File),
    }
}

/// A private key in the wrong place must not be shown.
fn age(node: &Node, problems: &mut Problems) -> Option<Recipient> {
    let recipient = recipient(node)?;
    if let Recipient::Key(key) = &recipient {
        if key.starts_with("AGE-SECRET-KEY-") {
            let hint = "Write the public key, which `age-keygen -y` prints, and keep the private one elsewhere.";
            problems.add(&node.origin, "this is a private key", hint);
        } else if !["age1", "ssh-ed25519 ", "ssh-rsa "]
            .iter()
            .any(|prefix| key.starts_with(prefix))
        {
            let hint = "It begins with `age1`, `ssh-ed25519` or `ssh-rsa`; a file is written as `{file: PATH}`.";
            problems.add(&node.origin, format!("`{key}` is no recipient of age"), hint);
        }
    }
    Some(recipient)
}

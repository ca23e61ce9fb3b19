//! Checking an archive: that everything is there, that its bytes are what they were, and that its content can be read.

use super::{Archive, PartsReader};
use crate::archive::encryption::Keys;
use crate::archive::entry::EntryKind;
use crate::archive::failure::carried;
use crate::archive::manifest::{Counts, Manifest};
use crate::{Cancel, Id, Monitor, Result};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::Arc;
use storage::{ErrorKind, Store};

/// How far an archive is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Read all of it: the checksum of what is stored, and the content if a key is there.
    pub read_data: bool,
}

/// What is known about the content of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nobody asked to read it.
    NotRead,
    /// All of it was read, to the last entry.
    Proven,
    /// It cannot be proven here: only who has the identity or passphrase can decrypt it. What is stored is what was written.
    NeedsIdentity,
    /// It is damaged.
    Damaged,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// What is wrong, one line each; nothing if the archive is as it was written.
    pub damage: Vec<String>,
    /// Bytes that were read and compared.
    pub read_bytes: u64,
    /// What is known about the content.
    pub content: Content,
}

/// Check the archive `name`. Damage is in the report and told to `monitor`.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) if there is no such archive; those of a store that cannot be reached.
pub fn check(
    store: &dyn Store,
    name: &str,
    keys: &Keys,
    options: CheckOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<CheckReport> {
    let archive = Archive::open(store, name, keys, cancel)?;
    let mut report = CheckReport {
        damage: Vec::new(),
        read_bytes: 0,
        content: Content::NotRead,
    };
    structure(&archive, &mut report)?;
    if options.read_data && report.damage.is_empty() {
        content(&archive, &mut report)?;
    }
    report.damage.iter().for_each(|damage| monitor.problem(name, damage));
    if report.content == Content::NeedsIdentity {
        monitor.note(&format!(
            "`{name}` is stored as it was written; its content can only be proven with the identity or passphrase"
        ));
    }
    Ok(report)
}

/// All parts are there and have their sizes.
fn structure(archive: &Archive<'_>, report: &mut CheckReport) -> Result<()> {
    for part in &archive.manifest.parts {
        archive.cancel.check()?;
        match archive.store.stat(&part.name) {
            Ok(size) if size == part.size => {}
            Ok(size) => report
                .damage
                .push(format!("`{}` has {size} bytes instead of {}", part.name, part.size)),
            Err(error) if error.kind == ErrorKind::NotFound => {
                report.damage.push(format!("`{}` is missing", part.name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn content(archive: &Archive<'_>, report: &mut CheckReport) -> Result<()> {
    let manifest = &archive.manifest;
    let is_readable = archive.keys.fit(&manifest.encryption.method);
    let hasher = Arc::new(Mutex::new(Sha256::new()));
    let mut parts = PartsReader::new(archive.store, manifest, archive.cancel).hashing(&hasher);
    report.content = Content::NeedsIdentity;
    if is_readable {
        report.content = match content_problem(archive, parts)? {
            None => Content::Proven,
            Some(problem) => {
                report.damage.push(problem);
                Content::Damaged
            }
        };
        if report.content == Content::Damaged {
            // Whether it is the store's fault is worth knowing.
            *hasher.lock() = Sha256::new();
            parts = PartsReader::new(archive.store, manifest, archive.cancel).hashing(&hasher);
            io::copy(&mut parts, &mut io::sink()).map_err(carried)?;
        }
    } else {
        io::copy(&mut parts, &mut io::sink()).map_err(carried)?;
    }
    report.read_bytes = manifest.stored_bytes;
    let found = Id(hasher.lock().clone().finalize().into());
    if found != manifest.sha256 {
        report
            .damage
            .push(format!("its SHA-256 is `{found}` instead of `{}`", manifest.sha256));
        report.content = Content::Damaged;
    }
    Ok(())
}

/// What is wrong with the content; an error that is no damage is one.
fn content_problem<'a>(archive: &Archive<'a>, parts: PartsReader<'a>) -> Result<Option<String>> {
    let mut counts = Counts::default();
    let read = archive.stream_of(parts, &mut |member, content| {
        let expected = match &member.parts {
            Some(parts) => parts.iter().map(|part| part.end - part.start).sum(),
            None => member.node.size,
        };
        let read_bytes = io::copy(content, &mut io::sink()).map_err(carried)?;
        if member.entry.kind == EntryKind::File && read_bytes != expected {
            return Err(archive.damaged("a file is cut off"));
        }
        counts.add(member.entry.kind, member.node.size);
        Ok(())
    });
    match read {
        Ok(tar_bytes) => Ok(difference(&archive.manifest, counts, tar_bytes)),
        Err(error) if error.is_damage() => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

fn difference(manifest: &Manifest, mut counts: Counts, tar_bytes: u64) -> Option<String> {
    counts.problems = manifest.counts.problems;
    if counts == manifest.counts && tar_bytes == manifest.tar_bytes {
        return None;
    }
    Some(format!(
        "it holds other entries than its manifest says: {counts:?} in {tar_bytes} bytes instead of {:?} in {}",
        manifest.counts, manifest.tar_bytes
    ))
}

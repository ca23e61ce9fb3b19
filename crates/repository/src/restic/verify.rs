//! Reads packs as a whole and compares them with their name, their header and the index.

use super::compress::Opener;
use super::index::Index;
use super::object::ObjectKind;
use super::pack::{self, PackedBlob};
use super::repository::Repository;
use crate::{Error, Id, Result};
use hashbrown::{HashMap, HashSet};

/// What is wrong with a pack.
#[derive(Debug, Default)]
pub struct PackFindings {
    /// About the pack as a whole.
    pub pack: Vec<String>,
    /// Blobs that cannot be read back, each with the reason.
    pub blobs: Vec<(PackedBlob, String)>,
    /// Nothing could be told about the single blobs, because the header cannot be read.
    pub header_is_lost: bool,
    /// Bytes that were read.
    pub read_bytes: u64,
}

impl PackFindings {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.pack.is_empty() && self.blobs.is_empty()
    }
}

/// Verify a pack that the index knows as `number` with `listed` entries. An error is a store that cannot be reached; damage is a
/// finding.
pub fn verify_pack(repository: &Repository, index: &Index, number: u32, id: &Id, listed: u32) -> Result<PackFindings> {
    let mut findings = PackFindings::default();
    let bytes = match repository.store().read(&ObjectKind::Pack.object_name(id)) {
        Ok(bytes) => bytes,
        Err(error) => {
            findings.header_is_lost = true;
            return absent(findings, error.into());
        }
    };
    findings.read_bytes = bytes.len() as u64;
    if Id::hash(&bytes) != *id {
        findings.pack.push("its content does not fit its name".to_owned());
    }
    match pack::parse(repository.key(), id, &bytes) {
        Ok(blobs) => {
            compare_with_index(index, number, listed, &blobs, &mut findings);
            findings.blobs = verify_blobs(repository, &bytes, &blobs)?;
        }
        Err(error) => {
            findings.pack.push(reason(error));
            findings.header_is_lost = true;
        }
    }
    Ok(findings)
}

/// A pack that is not there is damage, a store that does not answer is not.
fn absent(mut findings: PackFindings, error: Error) -> Result<PackFindings> {
    if !error.is_damage() {
        return Err(error);
    }
    findings.pack.push("it is missing".to_owned());
    Ok(findings)
}

fn compare_with_index(index: &Index, number: u32, listed: u32, blobs: &[PackedBlob], findings: &mut PackFindings) {
    let is_listed = |blob: &PackedBlob| {
        index
            .positions(blob.kind, &blob.id)
            .any(|at| index.entry(at) == (number, *blob))
    };
    let unlisted = blobs.iter().filter(|blob| !is_listed(blob)).count();
    if unlisted > 0 {
        findings.pack.push(format!(
            "the index does not describe {unlisted} of its {} blobs as its header does",
            blobs.len()
        ));
    } else if listed as usize != blobs.len() {
        findings.pack.push(format!(
            "the index lists {listed} blobs in it, its header {}",
            blobs.len()
        ));
    }
}

/// Those of `blobs` that cannot be read from the pack `bytes`, each with the reason.
pub fn verify_blobs(repository: &Repository, bytes: &[u8], blobs: &[PackedBlob]) -> Result<Vec<(PackedBlob, String)>> {
    let (mut opener, mut plain) = (Opener::new()?, Vec::new());
    let mut damaged = Vec::new();
    for blob in blobs {
        let opened =
            sealed_bytes(bytes, blob).and_then(|sealed| opener.open(repository.key(), blob, sealed, &mut plain));
        if let Err(reason) = opened {
            damaged.push((*blob, reason));
        }
    }
    Ok(damaged)
}

/// The sealed form of `blob` within its pack.
pub fn sealed_bytes<'p>(pack: &'p [u8], blob: &PackedBlob) -> Result<&'p [u8], String> {
    let start = blob.offset as usize;
    pack.get(start..start + blob.length as usize)
        .ok_or_else(|| "the pack is shorter than the index says".to_owned())
}

/// Why something is damaged, without naming it again.
pub(super) fn reason(error: Error) -> String {
    match error {
        Error::Damaged { reason, .. } => reason,
        Error::Storage(error) if error.kind == storage::ErrorKind::NotFound => "it is missing".to_owned(),
        Error::Storage(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The entries of some packs, as the index lists them, in order of their offsets. One pass over the index.
pub fn entries_of(index: &Index, packs: &HashSet<Id>) -> HashMap<Id, Vec<PackedBlob>> {
    let mut entries: HashMap<Id, Vec<PackedBlob>> = HashMap::new();
    for location in index.iter().filter(|location| packs.contains(&location.pack)) {
        entries.entry(location.pack).or_default().push(location.blob);
    }
    for blobs in entries.values_mut() {
        blobs.sort_unstable_by_key(|blob| blob.offset);
        blobs.dedup();
    }
    entries
}

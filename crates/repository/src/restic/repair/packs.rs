//! Saves what can be read of damaged packs.

use crate::restic::compress::Opener;
use crate::restic::index::{BlobLocation, Index};
use crate::restic::lock::Lock;
use crate::restic::object::ObjectKind;
use crate::restic::pack::{self, PackedBlob};
use crate::restic::packer::{PackOptions, Packer};
use crate::restic::prune::execute::{delete_unless_held, demand_exclusive};
use crate::restic::prune::reindex::{IndexWriter, files_to_rewrite};
use crate::restic::repository::Repository;
use crate::restic::verify::{entries_of, sealed_bytes};
use crate::{Cancel, Error, Held, Id, Monitor, Result};
use hashbrown::{HashMap, HashSet};
use serde::Serialize;

/// What a repair would do, or did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Packs that are replaced.
    pub packs: Vec<Id>,
    /// Blobs that can be read and are not stored elsewhere: they are copied.
    pub saved_blobs: u64,
    /// Blobs that are lost.
    pub lost_blobs: Vec<Id>,
    /// What was to go, and stays because the store keeps it for a time.
    pub held: Held,
}

/// Replace these packs by packs with what can be read of them. Without `execute`, nothing is changed and the report says what would be.
///
/// Saved blobs are stored and listed before the index stops to list the packs, and the packs are deleted last.
pub fn repair(
    repository: &Repository,
    packs: &[Id],
    execute: bool,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Report> {
    let index = repository.load_index()?;
    let chosen: HashSet<Id> = packs.iter().copied().collect();
    let mut entries = entries_of(&index, &chosen);
    for id in packs {
        let is_known = entries.contains_key(id) || repository.store().stat(&ObjectKind::Pack.object_name(id)).is_ok();
        if !is_known {
            return Err(Error::NotFound {
                what: "pack",
                name: id.to_string(),
            });
        }
        entries.entry(*id).or_default();
    }
    let mut report = Report {
        packs: entries.keys().copied().collect(),
        ..Report::default()
    };
    report.packs.sort_unstable();
    if !execute {
        salvage(repository, &index, &entries, &chosen, &mut report, cancel, |_, _, _| {
            Ok(())
        })?;
        return Ok(report);
    }
    demand_exclusive(lock)?;
    repository.demand_deletion(&[ObjectKind::Index, ObjectKind::Pack])?;
    monitor.phase("saving what can be read");
    Packer::run(repository, &PackOptions::default(), lock, cancel, monitor, |packer| {
        salvage(
            repository,
            &index,
            &entries,
            &chosen,
            &mut report,
            cancel,
            |blob, sealed, plain_length| packer.add(blob.kind, blob.id, sealed, plain_length, blob.uncompressed_length),
        )
    })?;
    report.held = drop_packs(repository, &chosen, &report.packs, lock, cancel)?;
    Ok(report)
}

/// Give every blob that can be read and is nowhere else to `save`, each once.
fn salvage(
    repository: &Repository,
    index: &Index,
    entries: &HashMap<Id, Vec<PackedBlob>>,
    damaged: &HashSet<Id>,
    report: &mut Report,
    cancel: &Cancel,
    mut save: impl FnMut(&PackedBlob, &[u8], usize) -> Result<()>,
) -> Result<()> {
    let (mut opener, mut plain) = (Opener::new()?, Vec::new());
    let (mut saved, mut lost) = (HashSet::new(), HashSet::new());
    for (id, listed) in entries {
        cancel.check()?;
        let bytes = match repository.store().read(&ObjectKind::Pack.object_name(id)) {
            Err(error) if matches!(error.kind, storage::ErrorKind::NotFound | storage::ErrorKind::Truncated) => {
                bytes::Bytes::new()
            }
            other => other?,
        };
        // Where the index and the header differ, both may be right about something.
        let mut blobs = pack::parse(repository.key(), id, &bytes).unwrap_or_default();
        blobs.extend(listed);
        for blob in blobs {
            if saved.contains(&(blob.kind, blob.id)) || is_elsewhere(repository, index, &blob, damaged) {
                continue;
            }
            let opened = sealed_bytes(&bytes, &blob).and_then(|sealed| {
                opener
                    .open(repository.key(), &blob, sealed, &mut plain)
                    .map(|()| sealed)
            });
            match opened {
                Ok(sealed) => {
                    saved.insert((blob.kind, blob.id));
                    save(&blob, sealed, plain.len())?;
                }
                Err(_) => drop(lost.insert((blob.kind, blob.id))),
            }
        }
    }
    report.saved_blobs = saved.len() as u64;
    report.lost_blobs = lost.difference(&saved).map(|(_, id)| *id).collect();
    report.lost_blobs.sort_unstable();
    Ok(())
}

/// Whether the blob can be read from a pack that is not among the damaged ones.
fn is_elsewhere(repository: &Repository, index: &Index, blob: &PackedBlob, damaged: &HashSet<Id>) -> bool {
    let readable =
        |location: BlobLocation| !damaged.contains(&location.pack) && repository.read_blob_at(&location).is_ok();
    index.find_all(blob.kind, &blob.id).any(readable)
}

fn drop_packs(
    repository: &Repository,
    dropped: &HashSet<Id>,
    packs: &[Id],
    lock: &Lock,
    cancel: &Cancel,
) -> Result<Held> {
    let files = files_to_rewrite(repository, dropped, cancel)?;
    let mut writer = IndexWriter::new(repository);
    writer.push_files(&files, dropped, cancel)?;
    let written: HashSet<Id> = writer.finish()?.into_iter().collect();
    let old: Vec<Id> = files.into_iter().filter(|id| !written.contains(id)).collect();
    let mut held = delete_unless_held(repository, ObjectKind::Index, &old, lock, cancel)?.held;
    // An index file that stays lists them: whoever believes it would miss their blobs.
    if held.is_empty() {
        held.add(delete_unless_held(repository, ObjectKind::Pack, packs, lock, cancel)?.held);
    }
    Ok(held)
}

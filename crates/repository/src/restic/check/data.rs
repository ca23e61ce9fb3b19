//! Reads packs and verifies every byte of them.

use super::report::Findings;
use super::structure::Packs;
use super::subset::ReadSubset;
use crate::restic::index::Index;
use crate::restic::object::ObjectKind;
use crate::restic::pack::PackedBlob;
use crate::restic::parallel;
use crate::restic::repository::Repository;
use crate::restic::verify::{PackFindings, entries_of, verify_blobs, verify_pack};
use crate::{Cancel, Counters, Id, Result};
use hashbrown::HashSet;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Verify the packs of `subset`, one per core at a time. Entries of the index that cannot be read are marked in `packs.bad`.
pub fn read_packs(
    repository: &Repository,
    index: &Index,
    packs: &Packs,
    subset: &ReadSubset,
    findings: &mut Findings<'_>,
    cancel: &Cancel,
) -> Result<()> {
    let stored = (0..packs.ids.len()).filter_map(|n| packs.sizes[n].map(|size| (n as u32, packs.ids[n], size)));
    let chosen = subset.choose(stored.collect());
    let counters = findings.monitor.counters();
    Counters::add(&counters.total_bytes, chosen.iter().map(|(_, _, size)| size).sum());
    let without_header = Mutex::new(HashSet::new());
    let failed = AtomicBool::new(false);
    let found: Vec<Result<u64>> = parallel::map(&chosen, parallel::cores(), |(number, id, size)| {
        if failed.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let verified = cancel
            .check()
            .and_then(|()| verify_pack(repository, index, *number, id, packs.listed[*number as usize]));
        failed.fetch_or(verified.is_err(), Ordering::Relaxed);
        let verified = verified?;
        Counters::add(&counters.bytes, *size);
        if verified.header_is_lost {
            without_header.lock().insert(*id);
        }
        let read_bytes = verified.read_bytes;
        report(index, *number, id, verified, packs, findings);
        Ok(read_bytes)
    });
    let read: Vec<u64> = found.into_iter().collect::<Result<_>>()?;
    findings.report.packs_read = read.len() as u64;
    findings.report.read_bytes = read.iter().sum();
    verify_by_index(repository, index, &without_header.into_inner(), packs, findings)
}

fn report(index: &Index, number: u32, id: &Id, verified: PackFindings, packs: &Packs, findings: &Findings<'_>) {
    verified
        .pack
        .into_iter()
        .for_each(|reason| findings.problem("pack", id, reason));
    for (blob, reason) in verified.blobs {
        findings.problem("blob", &blob.id, format!("{reason}; in pack {id}"));
        mark_bad(index, packs, |pack| pack == number, &blob);
    }
}

fn mark_bad(index: &Index, packs: &Packs, is_pack: impl Fn(u32) -> bool, blob: &PackedBlob) {
    for at in index
        .positions(blob.kind, &blob.id)
        .filter(|at| is_pack(index.entry(*at).0))
    {
        packs.bad.set(at);
    }
}

/// Packs whose header is lost: the index still says where their blobs are.
fn verify_by_index(
    repository: &Repository,
    index: &Index,
    ids: &HashSet<Id>,
    packs: &Packs,
    findings: &Findings<'_>,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    for (id, blobs) in entries_of(index, ids) {
        let bytes = match repository.store().read(&ObjectKind::Pack.object_name(&id)) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind, storage::ErrorKind::NotFound | storage::ErrorKind::Truncated) => {
                bytes::Bytes::new()
            }
            Err(error) => return Err(error.into()),
        };
        for (blob, reason) in verify_blobs(repository, &bytes, &blobs)? {
            findings.problem("blob", &blob.id, format!("{reason}; in pack {id}"));
            mark_bad(index, packs, |pack| packs.ids[pack as usize] == id, &blob);
        }
    }
    Ok(())
}

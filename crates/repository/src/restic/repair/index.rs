//! Describes the packs that are there in index files that can be read.

use crate::restic::crypto::OVERHEAD;
use crate::restic::index::file::IndexedPack;
use crate::restic::lock::Lock;
use crate::restic::object::ObjectKind;
use crate::restic::pack::{self, PackedBlob};
use crate::restic::parallel;
use crate::restic::prune::execute::{delete_unless_held, demand_exclusive};
use crate::restic::prune::reindex::{IndexWriter, read};
use crate::restic::repository::Repository;
use crate::restic::verify::reason;
use crate::{Cancel, Counters, Error, Held, Id, Monitor, Result};
use hashbrown::{HashMap, HashSet};
use serde::Serialize;

/// How the index is repaired.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Believe no index file: read the headers of all packs.
    pub read_all_packs: bool,
}

/// What a repair would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// Index files that cannot be read.
    pub damaged_files: Vec<Id>,
    /// Index files that list what is not so; they are written anew without it.
    pub wrong_files: Vec<Id>,
    /// Packs that the index lists, but that are not there, or not as it describes them.
    pub dropped_packs: Vec<Id>,
    /// Packs whose headers are read, with their sizes in bytes.
    pub read_packs: Vec<(Id, u64)>,
}

impl Plan {
    /// Whether the index is as it should be.
    pub fn is_empty(&self) -> bool {
        self.damaged_files.is_empty() && self.wrong_files.is_empty() && self.read_packs.is_empty()
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Packs that the index describes now.
    pub added_packs: usize,
    /// Packs whose header cannot be read, and why. They stay in the store, where nothing refers to them.
    pub unreadable_packs: Vec<(Id, String)>,
    /// Index files written.
    pub written_files: usize,
    /// Index files deleted.
    pub deleted_files: usize,
    /// Index files that are wrong and stay because the store keeps them for a time.
    pub held: Held,
}

/// Find what is wrong with the index. Nothing is changed.
pub fn plan(repository: &Repository, options: Options, cancel: &Cancel, monitor: &dyn Monitor) -> Result<Plan> {
    monitor.phase("comparing the index with the packs");
    let files = repository.list(ObjectKind::Index)?;
    let stored: HashMap<Id, u64> = repository.list(ObjectKind::Pack)?.into_iter().collect();
    let mut plan = Plan::default();
    let mut described = HashSet::new();
    let mut dropped = HashSet::new();
    for (id, _) in files {
        cancel.check()?;
        let file = match read(repository, &id) {
            Err(error) if error.is_damage() => {
                plan.damaged_files.push(id);
                continue;
            }
            other => other?,
        };
        let (right, wrong): (Vec<&IndexedPack>, Vec<_>) =
            file.packs.iter().partition(|pack| is_described(pack, &stored));
        dropped.extend(wrong.iter().map(|pack| pack.id));
        if options.read_all_packs || !wrong.is_empty() {
            plan.wrong_files.push(id);
        }
        if !options.read_all_packs {
            described.extend(right.iter().map(|pack| pack.id));
        }
    }
    // A pack that one file describes rightly and another wrongly is read, because the entries of both are dropped together.
    plan.read_packs = stored
        .into_iter()
        .filter(|(id, _)| !described.contains(id) || dropped.contains(id))
        .collect();
    plan.read_packs.sort_unstable();
    plan.dropped_packs = dropped.into_iter().collect();
    plan.dropped_packs.sort_unstable();
    Ok(plan)
}

/// Whether the pack has the size that its blobs take, without gap or overlap.
fn is_described(pack: &IndexedPack, stored: &HashMap<Id, u64>) -> bool {
    let mut blobs: Vec<PackedBlob> = pack.blobs.iter().map(|blob| (*blob).into()).collect();
    blobs.sort_unstable_by_key(|blob| blob.offset);
    let mut end = 0;
    let has_no_gap = blobs.iter().all(|blob| {
        let follows = u64::from(blob.offset) == end;
        end += u64::from(blob.length);
        follows
    });
    has_no_gap && stored.get(&pack.id) == Some(&(end + pack::trailer_length(blobs) as u64))
}

/// Packs whose headers are read before they are written to the index.
const BATCH: usize = 256;

/// Repair as planned: new index files are written before old ones are deleted, so that whatever was listed stays listed.
pub fn execute(
    repository: &Repository,
    plan: &Plan,
    options: Options,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Report> {
    demand_exclusive(lock)?;
    repository.demand_deletion(&[ObjectKind::Index])?;
    let mut report = Report::default();
    let mut writer = IndexWriter::new(repository);
    if !options.read_all_packs {
        let read: HashSet<Id> = plan
            .read_packs
            .iter()
            .map(|(id, _)| *id)
            .chain(plan.dropped_packs.iter().copied())
            .collect();
        writer.push_files(&plan.wrong_files, &read, cancel)?;
    }
    monitor.phase("reading the headers of packs");
    Counters::add(&monitor.counters().total_files, plan.read_packs.len() as u64);
    for batch in plan.read_packs.chunks(BATCH) {
        cancel.check()?;
        lock.check()?;
        let headers = parallel::map(batch, repository.store().concurrency(), |(id, size)| {
            read_header(repository, id, *size)
        });
        Counters::add(&monitor.counters().files, batch.len() as u64);
        for ((id, _), header) in batch.iter().zip(headers) {
            match header {
                Ok(blobs) => {
                    report.added_packs += 1;
                    writer.push(IndexedPack {
                        id: *id,
                        blobs: blobs.into_iter().map(Into::into).collect(),
                    })?;
                }
                Err(error) if error.is_damage() => {
                    let reason = reason(error);
                    monitor.problem(&format!("pack {id}"), &reason);
                    report.unreadable_packs.push((*id, reason));
                }
                Err(error) => return Err(error),
            }
        }
    }
    let written: HashSet<Id> = writer.finish()?.into_iter().collect();
    report.written_files = written.len();
    let old: Vec<Id> = plan
        .wrong_files
        .iter()
        .chain(&plan.damaged_files)
        .filter(|id| !written.contains(*id))
        .copied()
        .collect();
    let deleted = delete_unless_held(repository, ObjectKind::Index, &old, lock, cancel)?;
    (report.deleted_files, report.held) = (deleted.gone.len(), deleted.held);
    Ok(report)
}

/// Read at the end of a pack at first: enough for the headers of most, bytes.
const TAIL: u64 = 32 << 10;

/// The blobs of a pack of `size` bytes, from its header alone.
pub(super) fn read_header(repository: &Repository, id: &Id, size: u64) -> Result<Vec<PackedBlob>> {
    let damaged = |reason: &str| Error::damaged("pack", id, reason);
    let name = ObjectKind::Pack.object_name(id);
    let tail = repository.store().read_range(&name, size.saturating_sub(TAIL)..size)?;
    let (rest, length) = tail.split_last_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
    let length = u64::from(u32::from_le_bytes(*length));
    if length < OVERHEAD as u64 || length > pack::MAX_HEADER as u64 {
        return Err(damaged("the length of its header is absurd"));
    }
    let start = (size - 4)
        .checked_sub(length)
        .ok_or_else(|| damaged("its header's length is longer than the pack"))?;
    match rest.len().checked_sub(length as usize) {
        Some(at) => pack::parse_header(repository.key(), id, &rest[at..], start),
        None => pack::parse_header(
            repository.key(),
            id,
            &repository.store().read_range(&name, start..size - 4)?,
            start,
        ),
    }
}

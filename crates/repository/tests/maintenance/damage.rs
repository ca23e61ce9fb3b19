//! Check finds damage; repair mends.

use crate::support::*;
use repository::restic::check::{CheckOptions, CheckReport, ReadSubset, check};
use repository::restic::object::ObjectKind;
use repository::restic::repair;
use repository::restic::repository::Repository;
use repository::{Cancel, Id, Recorder};

fn check_with(repository: &Repository, read_data: Option<ReadSubset>) -> CheckReport {
    check(
        repository,
        &CheckOptions { read_data },
        &Cancel::default(),
        &Recorder::default(),
    )
    .unwrap()
}

fn read_all(repository: &Repository) -> CheckReport {
    check_with(repository, Some(ReadSubset::All))
}

/// Packs by what they hold: data, or directories.
fn packs(repository: &Repository, kind: repository::restic::pack::BlobKind) -> Vec<Id> {
    let index = repository.load_index().unwrap();
    let mut packs: Vec<Id> = index
        .iter()
        .filter(|location| location.blob.kind == kind)
        .map(|location| location.pack)
        .collect();
    packs.sort_unstable();
    packs.dedup();
    packs
}

fn replace(repository: &Repository, name: &str, content: bytes::Bytes) {
    repository.store().delete(name).unwrap();
    repository.store().write(name, content).unwrap();
}

fn flip(repository: &Repository, name: &str, at: usize) {
    let mut content = repository.store().read(name).unwrap().to_vec();
    content[at] ^= 1;
    replace(repository, name, content.into());
}

fn repair_index(repository: &Repository, read_all_packs: bool) -> repair::index::Report {
    let (lock, cancel, monitor) = (exclusive(repository).unwrap(), Cancel::default(), Recorder::default());
    let options = repair::index::Options { read_all_packs };
    let plan = repair::index::plan(repository, options, &cancel, &monitor).unwrap();
    repair::index::execute(repository, &plan, options, &lock, &cancel, &monitor).unwrap()
}

fn repair_snapshots(
    repository: &Repository,
    options: &repair::snapshots::Options,
) -> (repair::snapshots::Plan, repair::snapshots::Report) {
    let (lock, cancel, monitor) = (exclusive(repository).unwrap(), Cancel::default(), Recorder::default());
    let plan = repair::snapshots::plan(repository, options, &cancel, &monitor).unwrap();
    let report = repair::snapshots::execute(repository, &plan, &lock, &cancel, &monitor).unwrap();
    (plan, report)
}

#[test]
fn a_sound_repository_is_sound() {
    let bench = Bench::with_history();
    let report = read_all(&bench.open());
    assert!(report.is_healthy(), "{:?}", report.problems);
    assert_eq!((report.snapshots, report.packs_read), (3, report.packs as u64));
    assert!(report.affected_snapshots.is_empty() && report.trees > 5);
}

#[test]
fn every_kind_of_damage_to_every_object_is_found_by_name() {
    let bench = Bench::with_history();
    let repository = bench.open();
    for kind in [ObjectKind::Snapshot, ObjectKind::Index, ObjectKind::Pack] {
        let objects = repository.list(kind).unwrap();
        for (id, size) in &objects {
            let name = kind.object_name(id);
            let content = repository.store().read(&name).unwrap();
            let other = repository
                .store()
                .read(&kind.object_name(&objects.iter().find(|(other, _)| other != id).unwrap().0))
                .unwrap();
            let mut flipped = content.to_vec();
            flipped[*size as usize / 2] ^= 4;
            let damages = [
                None,
                Some(content.slice(..content.len() / 2)),
                Some(bytes::Bytes::from(flipped)),
                Some(other),
            ];
            for (n, damage) in damages.into_iter().enumerate() {
                repository.store().delete(&name).unwrap();
                damage
                    .into_iter()
                    .for_each(|damage| repository.store().write(&name, damage).unwrap());
                let report = read_all(&repository);
                let is_named = report.problems.iter().any(|problem| problem.id == *id);
                // A snapshot that is not there was forgotten; of an index file that is not there its content is missed.
                let expected = match (kind, n) {
                    (ObjectKind::Snapshot, 0) => report.is_healthy(),
                    (ObjectKind::Index, 0) => !report.is_healthy() && !report.orphan_packs.is_empty(),
                    _ => is_named,
                };
                assert!(expected, "{kind:?} damage {n}: {:?}", report.problems);
                replace(&repository, &name, content.clone());
            }
        }
    }
    assert!(read_all(&repository).is_healthy());
}

#[test]
fn a_flipped_bit_names_the_blob_and_the_files_that_use_it() {
    let bench = Bench::with_history();
    let repository = bench.open();
    let index = repository.load_index().unwrap();
    let location = index
        .iter()
        .find(|location| location.blob.kind == repository::restic::pack::BlobKind::Data)
        .unwrap();
    flip(
        &repository,
        &ObjectKind::Pack.object_name(&location.pack),
        location.blob.offset as usize + 20,
    );
    assert!(check_with(&repository, None).is_healthy());
    let report = read_all(&repository);
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.object == "blob" && problem.id == location.blob.id)
    );
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.object == "pack" && problem.id == location.pack)
    );
    assert!(
        !report.affected.is_empty() && report.affected[0].path.contains("/source/d"),
        "{:?}",
        report.affected
    );
    assert!(!report.affected_snapshots.is_empty());
}

#[test]
fn parts_of_the_data_can_be_read() {
    let bench = Bench::with_history();
    let repository = bench.open();
    let all = repository.list(ObjectKind::Pack).unwrap().len() as u64;
    let parts: u64 = (1..=3)
        .map(|n| check_with(&repository, Some(ReadSubset::Part { n, of: 3 })).packs_read)
        .sum();
    assert_eq!(parts, all);
    assert_eq!(check_with(&repository, Some(ReadSubset::Percent(1.0))).packs_read, 1);
    assert!(check_with(&repository, Some(ReadSubset::Size(1))).packs_read == 1);
}

#[test]
fn the_index_is_rebuilt_from_the_packs() {
    let bench = Bench::with_history();
    let before = bench.restic_restores();
    let repository = bench.open();
    let files = repository.list(ObjectKind::Index).unwrap();
    assert!(files.len() >= 3);
    repository.delete(ObjectKind::Index, &files[0].0).unwrap();
    flip(&repository, &ObjectKind::Index.object_name(&files[1].0), 40);
    assert!(!check_with(&repository, None).is_healthy());
    let report = repair_index(&repository, false);
    assert!(report.added_packs > 0 && report.unreadable_packs.is_empty());
    assert_eq!(bench.restic_restores(), before);
    assert!(read_all(&repository).is_healthy());
    repair_index(&repository, true);
    assert_eq!(bench.restic_restores(), before);
    for (id, _) in repository.list(ObjectKind::Index).unwrap() {
        repository.delete(ObjectKind::Index, &id).unwrap();
    }
    repair_index(&repository, false);
    assert_eq!(bench.restic_restores(), before);
}

#[test]
fn lost_packs_cost_only_the_files_in_them() {
    use repository::restic::pack::BlobKind;
    for (kind, damaged_files) in [
        (BlobKind::Data, repair::snapshots::DamagedFiles::LeaveOut),
        (BlobKind::Data, repair::snapshots::DamagedFiles::Truncate),
        (BlobKind::Tree, repair::snapshots::DamagedFiles::LeaveOut),
    ] {
        let bench = Bench::with_history();
        let repository = bench.open();
        for pack in packs(&repository, kind).iter().take(1) {
            repository.delete(ObjectKind::Pack, pack).unwrap();
        }
        let report = check_with(&repository, None);
        assert!(!report.affected_snapshots.is_empty());
        repair_index(&repository, false);
        let options = repair::snapshots::Options {
            damaged_files,
            forget: true,
            ..Default::default()
        };
        let (plan, report) = repair_snapshots(&repository, &options);
        assert_eq!(plan.repairs.len(), report.removed.len());
        for (old, new) in &report.replaced {
            let snapshots = readable_snapshots(&repository);
            let (_, repaired) = snapshots.iter().find(|(id, _)| id == new).unwrap();
            assert_eq!(repaired.original, Some(*old));
            assert!(repaired.tags().iter().any(|tag| tag == "repaired") && repaired.is_incomplete());
        }
        assert!(read_all(&repository).is_healthy());
        bench.restic(&["check", "--read-data"]);
        bench.restic_restores();
        assert!(repair_snapshots(&repository, &options).0.repairs.is_empty());
        prune(&repository, &everything_unused()).unwrap();
        bench.restic(&["check", "--read-data"]);
    }
}

#[test]
fn what_can_be_read_of_a_damaged_pack_is_saved() {
    let bench = Bench::with_history();
    let repository = bench.open();
    let index = repository.load_index().unwrap();
    let location = index
        .iter()
        .find(|location| location.blob.kind == repository::restic::pack::BlobKind::Data)
        .unwrap();
    let name = ObjectKind::Pack.object_name(&location.pack);
    flip(&repository, &name, location.blob.offset as usize + 20);
    // The header is lost too.
    let length = repository.store().stat(&name).unwrap() as usize;
    flip(&repository, &name, length - 30);
    let before = contents_where_readable(&repository);
    let (lock, cancel, monitor) = (exclusive(&repository).unwrap(), Cancel::default(), Recorder::default());
    let dry = repair::packs::repair(&repository, &[location.pack], false, &lock, &cancel, &monitor).unwrap();
    let report = repair::packs::repair(&repository, &[location.pack], true, &lock, &cancel, &monitor).unwrap();
    assert_eq!(
        (dry.saved_blobs, dry.lost_blobs),
        (report.saved_blobs, report.lost_blobs.clone())
    );
    assert_eq!(report.lost_blobs, [location.blob.id]);
    assert!(report.saved_blobs > 0);
    drop(lock);
    assert_eq!(contents_where_readable(&repository), before);
    repair_snapshots(
        &repository,
        &repair::snapshots::Options {
            forget: true,
            ..Default::default()
        },
    );
    assert!(read_all(&repository).is_healthy());
    bench.restic(&["check", "--read-data"]);
}

/// How many blobs can be read.
fn contents_where_readable(repository: &Repository) -> usize {
    let index = repository.load_index().unwrap();
    index
        .iter()
        .filter(|location| repository.read_blob_at(location).is_ok())
        .count()
}

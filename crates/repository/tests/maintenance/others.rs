//! Copy, tag and stats.

use crate::support::*;
use repository::restic::copy::{CopyOptions, copy};
use repository::restic::stats::{Mode, Stats, stats};
use repository::restic::tag::{TagChange, tag};
use repository::{Cancel, Recorder};

#[test]
fn copies_are_the_same_and_made_once() {
    let (from, to) = (Bench::with_history(), Bench::new());
    let (source, destination) = (from.open(), to.open());
    let copy_all = || {
        let lock = shared(&destination);
        copy(
            &source,
            &destination,
            &readable_snapshots(&source),
            &CopyOptions::default(),
            &lock,
            &Cancel::default(),
            &Recorder::default(),
        )
        .unwrap()
    };
    let report = copy_all();
    assert_eq!((report.copied.len(), report.skipped.len()), (3, 0));
    assert_eq!(to.restic_restores(), from.restic_restores());
    let again = copy_all();
    assert_eq!((again.copied.len(), again.skipped.len(), again.blobs), (0, 3, 0));
    // A copy of a copy is known by its origin.
    let lock = shared(&source);
    let back = copy(
        &destination,
        &source,
        &readable_snapshots(&destination),
        &CopyOptions::default(),
        &lock,
        &Cancel::default(),
        &Recorder::default(),
    );
    assert_eq!(back.unwrap().copied.len(), 0);
}

#[test]
fn labels_change_and_restic_sees_it() {
    let bench = Bench::with_history();
    let before = bench.restic_restores();
    let repository = bench.open();
    let lock = exclusive(&repository).unwrap();
    let old = readable_snapshots(&repository);
    let change = TagChange::Edit {
        add: vec!["kept".to_owned()],
        remove: vec!["round0".to_owned()],
    };
    assert_eq!(
        tag(&repository, &old, &change, &lock, &Cancel::default())
            .unwrap()
            .tagged
            .len(),
        3
    );
    let new = readable_snapshots(&repository);
    assert!(
        new.iter()
            .all(|(_, snapshot)| old.iter().any(|(id, _)| snapshot.original == Some(*id)))
    );
    assert!(
        tag(&repository, &new, &change, &lock, &Cancel::default())
            .unwrap()
            .tagged
            .is_empty()
    );
    drop(lock);
    assert_eq!(bench.restic(&["snapshots", "--tag", "round0", "--json"]).trim(), "[]");
    assert_eq!(bench.restic_restores(), before);
}

#[test]
fn sizes_are_those_that_restic_counts() {
    let bench = Bench::with_history();
    std::fs::hard_link(bench.source().join("d1/f1"), bench.source().join("linked")).unwrap();
    bench.restic(&["backup", bench.source().to_str().unwrap(), "--host", "h"]);
    let repository = bench.open();
    let (index, snapshots) = (repository.load_index().unwrap(), readable_snapshots(&repository));
    let ours = |mode| {
        stats(
            &repository,
            &index,
            &snapshots,
            mode,
            &Cancel::default(),
            &Recorder::default(),
        )
        .unwrap()
    };
    let theirs = |mode: &str| -> serde_json::Value {
        serde_json::from_str(&bench.restic(&["stats", "--json", "--mode", mode])).unwrap()
    };
    let compare = |name: &str, ours: Stats| {
        let theirs = theirs(name);
        assert_eq!(theirs["total_size"], ours.total_size, "{name}");
        ours.total_blob_count
            .into_iter()
            .for_each(|count| assert_eq!(theirs["total_blob_count"], count, "{name}"));
        (
            theirs["total_file_count"].as_u64().unwrap_or_default(),
            ours.total_file_count.unwrap_or_default(),
        )
    };
    let (theirs, own) = compare("restore-size", ours(Mode::RestoreSize));
    assert_eq!(theirs, own);
    // Restic counts everything without content as one file more.
    let (theirs, own) = compare("files-by-contents", ours(Mode::FilesByContents));
    assert_eq!(theirs, own + 1);
    let (theirs, own) = compare("blobs-per-file", ours(Mode::BlobsPerFile));
    assert_eq!(theirs, own);
    compare("raw-data", ours(Mode::RawData));
}

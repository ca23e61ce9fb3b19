//! Restores of what stock restic wrote, compared with what was backed up and with what restic restores.

use super::fixture::*;
use super::*;
use crate::Recorder;
use crate::restic::object::ObjectKind;
use crate::restic::select::{SnapshotFilter, select};
use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::PathBuf;

#[test]
fn everything_comes_back_as_with_restic() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    let report = fixture.restore();
    fixture.assert_restored();
    assert_eq!(
        (report.files, report.dirs, report.others, report.problems),
        (10, 4, 3, 0)
    );
    fixture.restic(&["restore", "latest", "--target", "theirs"]);
    assert_same(&fixture.path("theirs/source"), &fixture.path("target"));
    let blocks = |name: &str| fixture.path(name).metadata().unwrap().blocks();
    assert!(blocks("target/sparse") <= blocks("source/sparse") + 8, "holes are left");
}

#[test]
fn what_is_there_is_compared_and_only_differences_are_written() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    fixture.restore();
    let report = fixture.restore();
    fixture.assert_restored();
    assert_eq!((report.bytes, report.identical_files), (0, 10), "{report:?}");
    let at = |name: &str| fixture.path("target").join(name);
    let inode = at("large again").metadata().unwrap().ino();
    let large = std::fs::OpenOptions::new().write(true).open(at("large again")).unwrap();
    large.write_all_at(b"damage", 4 << 20).unwrap();
    std::fs::write(at("sparse"), noise(21 << 20, 2)).unwrap();
    std::fs::write(at("deep/hard link"), "also in large").unwrap();
    std::fs::remove_file(at("empty")).unwrap();
    symlink("/etc/passwd", at("empty")).unwrap();
    std::fs::remove_file(at("link")).unwrap();
    std::fs::write(at("link"), "a file").unwrap();
    std::fs::remove_file(at("hard link")).unwrap();
    std::fs::create_dir(at("hard link")).unwrap();
    let report = fixture.restore();
    fixture.assert_restored();
    assert_eq!(at("large again").metadata().unwrap().ino(), inode, "written in place");
    // Of nine MiB, one blob is damaged, which has eight at most: where the blobs end differs from repository to repository.
    assert!(report.identical_bytes >= 1 << 20, "{report:?}");
}

#[test]
fn a_file_with_names_elsewhere_is_replaced() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "from the snapshot").unwrap();
    fixture.backup();
    std::fs::create_dir(fixture.path("target")).unwrap();
    std::fs::write(fixture.path("elsewhere"), "precious").unwrap();
    std::fs::hard_link(fixture.path("elsewhere"), fixture.path("target/file")).unwrap();
    fixture.restore();
    fixture.assert_restored();
    assert_eq!(std::fs::read(fixture.path("elsewhere")).unwrap(), b"precious");
}

#[test]
fn links_in_the_target_lead_nowhere() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.source().join("dir")).unwrap();
    std::fs::write(fixture.source().join("dir/file"), "x").unwrap();
    fixture.backup();
    std::fs::create_dir_all(fixture.path("outside")).unwrap();
    std::fs::create_dir_all(fixture.path("target")).unwrap();
    symlink(fixture.path("outside"), fixture.path("target/dir")).unwrap();
    let mut options = fixture.options();
    options.delete = true;
    assert_eq!(fixture.restore_with(&options).0.unwrap().problems, 0);
    fixture.assert_restored();
    assert_eq!(std::fs::read_dir(fixture.path("outside")).unwrap().count(), 0);
}

#[test]
fn overwrite_rules() {
    for (overwrite, expected) in [
        (Overwrite::Always, ["new", "new", "new"]),
        (Overwrite::IfChanged, ["new", "new", "old"]),
        (Overwrite::IfNewer, ["new", "old", "old"]),
        (Overwrite::Never, ["old", "old", "old"]),
    ] {
        let fixture = Fixture::new();
        std::fs::create_dir(fixture.path("target")).unwrap();
        for (name, target_time) in [("older", 500), ("newer", 5000), ("same", 1000)] {
            for (side, content, time) in [("source", "new", 1000), ("target", "old", target_time)] {
                std::fs::write(fixture.path(side).join(name), content).unwrap();
                set_mtime(&fixture.path(side).join(name), time);
            }
        }
        std::fs::write(fixture.source().join("missing"), "new").unwrap();
        fixture.backup();
        let mut options = fixture.options();
        options.overwrite = overwrite;
        let report = fixture.restore_with(&options).0.unwrap();
        let found =
            ["older", "newer", "same"].map(|name| std::fs::read_to_string(fixture.path("target").join(name)).unwrap());
        assert_eq!(found, expected, "{overwrite:?} {report:?}");
        assert!(fixture.path("target/missing").exists());
    }
}

#[test]
fn hard_links_that_are_kept_are_no_problem() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    fixture.restore();
    let mut options = fixture.options();
    for overwrite in [Overwrite::Never, Overwrite::IfNewer] {
        options.overwrite = overwrite;
        let (report, problems) = fixture.restore_with(&options);
        assert_eq!((report.unwrap().files, problems), (0, vec![]), "{overwrite:?}");
    }
    fixture.assert_restored();
}

#[test]
fn deletes_only_what_is_not_in_the_snapshot_and_chosen() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    fixture.restore();
    std::fs::create_dir_all(fixture.path("target/deep/extra/keep")).unwrap();
    std::fs::write(fixture.path("target/deep/extra/keep/it"), "").unwrap();
    std::fs::write(fixture.path("target/deep/extra/file"), "").unwrap();
    symlink(fixture.path("source"), fixture.path("target/deep/extra/link")).unwrap();
    let mut options = fixture.options();
    options.delete = true;
    options.filter = crate::Filter::builder().exclude("keep").build().unwrap();
    let (report, problems) = fixture.restore_with(&options);
    assert_eq!((report.unwrap().deleted, problems.len()), (2, 0));
    assert!(fixture.path("target/deep/extra/keep/it").exists());
    options.filter = crate::Filter::default();
    assert_eq!(fixture.restore_with(&options).0.unwrap().deleted, 3);
    fixture.assert_restored();
    assert!(fixture.source().join("empty").exists());
}

#[test]
fn a_full_directory_in_a_file_s_place_needs_delete() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "x").unwrap();
    fixture.backup();
    std::fs::create_dir_all(fixture.path("target/file/in the way")).unwrap();
    let (report, problems) = fixture.restore_with(&fixture.options());
    assert_eq!(report.unwrap().problems, 1);
    assert!(problems[0].contains("not empty"), "{problems:?}");
    let mut options = fixture.options();
    options.delete = true;
    assert_eq!(fixture.restore_with(&options).0.unwrap().problems, 0);
    fixture.assert_restored();
}

#[test]
fn includes_bring_the_directories_above_with_them() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    let mut options = fixture.options();
    options.filter = crate::Filter::builder().include("/deep/er/still").build().unwrap();
    let report = fixture.restore_with(&options).0.unwrap();
    assert_eq!((report.files, report.problems), (1, 0));
    let found: Vec<PathBuf> = describe_all(&fixture.path("target")).into_keys().collect();
    assert_eq!(
        found,
        ["deep", "deep/er", "deep/er/still", "deep/er/still/file"].map(PathBuf::from)
    );
    assert_eq!(
        describe(&fixture.path("target/deep")),
        describe(&fixture.path("source/deep"))
    );
}

fn packs(fixture: &Fixture) -> Vec<PathBuf> {
    let (repository, _) = fixture.open();
    let ids = repository.list(ObjectKind::Pack).unwrap();
    ids.iter()
        .map(|(id, _)| fixture.path("repository").join(ObjectKind::Pack.object_name(id)))
        .collect()
}

/// The pack that holds the first blob of a file.
fn pack_of(fixture: &Fixture, content: &[u8]) -> PathBuf {
    let (repository, index) = fixture.open();
    let found = index
        .find(crate::restic::pack::BlobKind::Data, &Id::hash(content))
        .unwrap();
    let _ = repository;
    fixture
        .path("repository")
        .join(ObjectKind::Pack.object_name(&found.pack))
}

#[test]
fn a_damaged_blob_costs_only_the_files_that_use_it() {
    let fixture = Fixture::new();
    for n in 0..50 {
        std::fs::write(fixture.source().join(format!("{n:02}")), noise(1000, n)).unwrap();
    }
    std::fs::write(fixture.source().join("07 again"), noise(1000, 7)).unwrap();
    fixture.backup();
    let (_, index) = fixture.open();
    let found = index
        .find(crate::restic::pack::BlobKind::Data, &Id::hash(&noise(1000, 7)))
        .unwrap();
    let pack = pack_of(&fixture, &noise(1000, 7));
    run("chmod", &[OsStr::new("u+w"), pack.as_os_str()]);
    let file = std::fs::OpenOptions::new().write(true).open(&pack).unwrap();
    file.write_all_at(&[0xa5; 4], u64::from(found.blob.offset) + 40)
        .unwrap();
    // One that was there before is left as it was.
    std::fs::create_dir(fixture.path("target")).unwrap();
    std::fs::write(fixture.path("target/07"), "before").unwrap();
    let (report, problems) = fixture.restore_with(&fixture.options());
    let report = report.unwrap();
    assert_eq!(
        (report.files, report.problems, problems.len()),
        (49, 2, 2),
        "{problems:?}"
    );
    assert!(
        problems.iter().all(|problem| problem.starts_with("/07")),
        "{problems:?}"
    );
    assert_eq!(std::fs::read(fixture.path("target/07")).unwrap(), b"before");
    assert!(!fixture.path("target/07 again").exists());
    assert_eq!(
        describe(&fixture.path("target/08")),
        describe(&fixture.path("source/08"))
    );
}

#[test]
fn a_pack_that_is_cut_off_or_missing_is_used_as_far_as_it_goes() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("large"), noise(9 << 20, 1)).unwrap();
    std::fs::write(fixture.source().join("small"), "small").unwrap();
    fixture.backup();
    let pack = packs(&fixture)
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    run("chmod", &[OsStr::new("u+w"), pack.as_os_str()]);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&pack)
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    let (report, problems) = fixture.restore_with(&fixture.options());
    let report = report.unwrap();
    assert!((1..=2).contains(&report.problems), "{problems:?}");
    assert!(
        !fixture.path("target/large").exists(),
        "a part of a file must not look like a file"
    );
    std::fs::remove_file(&pack).unwrap();
    let (report, problems) = fixture.restore_with(&fixture.options());
    assert!(
        report.unwrap().problems >= 1 && problems.iter().any(|problem| problem.starts_with("/large")),
        "{problems:?}"
    );
}

#[test]
fn missing_index_entries_and_trees_are_reported_by_path() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    let (repository, _) = fixture.open();
    let monitor = Recorder::default();
    let selected = select(&repository, "latest", &SnapshotFilter::default(), &monitor).unwrap();
    let index = Index::from_packs(&repository.config().id, []).unwrap();
    let report = restore(
        &repository,
        &index,
        &selected.snapshot.tree,
        &fixture.options(),
        &Cancel::default(),
        &monitor,
    )
    .unwrap();
    assert_eq!(report.problems, 1);
    assert!(report.listed_problems[0].message.contains("missing"), "{report:?}");
    let mut options = fixture.options();
    options.dry_run = true;
    options.delete = true;
    std::fs::write(fixture.path("target/other"), "").unwrap();
    assert_eq!(
        restore(
            &repository,
            &index,
            &selected.snapshot.tree,
            &options,
            &Cancel::default(),
            &monitor
        )
        .unwrap()
        .problems,
        1
    );
    options.dry_run = false;
    restore(
        &repository,
        &index,
        &selected.snapshot.tree,
        &options,
        &Cancel::default(),
        &monitor,
    )
    .unwrap();
    assert!(
        fixture.path("target/other").exists(),
        "nothing is removed where it is not known what belongs there"
    );
}

#[test]
fn refuses_too_small_targets_and_to_delete_the_system() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("file"), "x").unwrap();
    fixture.backup();
    let mut options = fixture.options();
    let plan = RestorePlan {
        needed_bytes: 2,
        free_bytes: Some(1),
        ..RestorePlan::default()
    };
    assert!(matches!(plan.check(&options), Err(Error::Refused { .. })));
    options.check_space = false;
    assert!(plan.check(&options).is_ok());
    options.target = "/".into();
    options.delete = true;
    assert!(matches!(plan.check(&options), Err(Error::Refused { .. })));
    options.target = "/etc/passwd/x".into();
    assert!(matches!(plan.check(&options), Err(Error::Refused { .. })));
}

#[test]
fn verify_reads_back_and_dry_runs_write_nothing() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    let mut options = fixture.options();
    options.dry_run = true;
    let planned = fixture.restore_with(&options).0.unwrap();
    assert!(!fixture.path("target").exists());
    options.dry_run = false;
    options.verify = true;
    let done = fixture.restore_with(&options).0.unwrap();
    assert_eq!(
        (done.files, done.dirs, done.others),
        (planned.files, planned.dirs, planned.others)
    );
    assert_eq!((done.verified_files, done.problems), (8, 0));
}

#[test]
fn an_interrupted_restore_leaves_no_parts_of_files() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("large"), noise(40 << 20, 1)).unwrap();
    fixture.backup();
    let (repository, index) = fixture.open();
    let monitor = Recorder::default();
    let tree = select(&repository, "latest", &SnapshotFilter::default(), &monitor)
        .unwrap()
        .snapshot
        .tree;
    let cancel = Cancel::default();
    let (stop, options) = (cancel.clone(), fixture.options());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while Counters::get(&monitor.counters().bytes) == 0 {
                std::thread::yield_now();
            }
            stop.cancel();
        });
        let result = restore(&repository, &index, &tree, &options, &cancel, &monitor);
        assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    });
    assert!(!fixture.path("target/source/large").exists());
}

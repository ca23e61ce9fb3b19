//! Forget and prune.

use crate::support::*;
use repository::restic::check::{CheckOptions, ReadSubset, check};
use repository::restic::forget::{self, ForgetOptions};
use repository::restic::object::ObjectKind;
use repository::restic::prune::{self, MaxUnused, PruneOptions};
use repository::restic::select::SnapshotFilter;
use repository::retention::{GroupBy, Policy};
use repository::{Cancel, Error, Held, Recorder};

pub fn check_all(repository: &repository::restic::repository::Repository) -> repository::restic::check::CheckReport {
    let options = CheckOptions {
        read_data: Some(ReadSubset::All),
    };
    check(repository, &options, &Cancel::default(), &Recorder::default()).unwrap()
}

#[test]
fn prune_keeps_what_is_listed_and_restic_agrees() {
    let bench = Bench::with_history();
    let before = bench.restic_restores();
    let repository = bench.open();
    forget_tag(&repository, "round0");
    let unused = check_all(&repository).unused;
    assert!(unused.bytes > 0);
    let report = prune(&repository, &everything_unused()).unwrap();
    assert!(
        report.deleted_bytes >= unused.bytes && report.copied_blobs > 0,
        "{report:?}"
    );
    let after = bench.restic_restores();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|(tree, hash)| before[tree] == *hash));
    let report = check_all(&repository);
    assert_eq!(
        (report.problems, report.unused.bytes, report.orphan_packs.len()),
        (vec![], 0, 0)
    );
    assert!(
        bench
            .restic(&["prune", "--max-unused", "0"])
            .contains("to delete:             0 blobs")
    );
    assert!(prune(&repository, &everything_unused()).unwrap().deleted_packs == 0);
    // And restic goes on with it.
    bench.restic(&["forget", "--keep-last", "1", "--prune"]);
    assert_eq!(bench.restic_restores().len(), 1);
    assert!(check_all(&repository).is_healthy());
}

#[test]
fn what_may_remain_unused_remains() {
    let bench = Bench::with_history();
    let repository = bench.open();
    forget_tag(&repository, "round0");
    let packs = repository.list(ObjectKind::Pack).unwrap().len();
    let options = PruneOptions {
        max_unused: MaxUnused::Unlimited,
        ..PruneOptions::default()
    };
    let report = prune(&repository, &options).unwrap();
    assert!(report.deleted_packs < packs as u64);
    assert!(check_all(&repository).unused.bytes > 0);
    let options = PruneOptions {
        max_repack_bytes: Some(0),
        ..everything_unused()
    };
    assert_eq!(prune(&repository, &options).unwrap().copied_blobs, 0);
    bench.restic(&["check", "--read-data"]);
}

#[test]
fn all_snapshots_gone_leaves_nothing() {
    let bench = Bench::with_history();
    let repository = bench.open();
    for round in ["round0", "round1", "round2"] {
        forget_tag(&repository, round);
    }
    prune(&repository, &everything_unused()).unwrap();
    assert!(repository.list(ObjectKind::Pack).unwrap().is_empty());
    assert!(repository.list(ObjectKind::Index).unwrap().is_empty());
    bench.restic(&["check"]);
}

#[test]
fn copies_of_one_blob_become_one() {
    let bench = Bench::with_history();
    let repository = bench.open();
    // Without an index, the next backup stores everything again.
    for (id, _) in repository.list(ObjectKind::Index).unwrap() {
        repository.delete(ObjectKind::Index, &id).unwrap();
    }
    bench.restic(&["backup", "--force", bench.source().to_str().unwrap(), "--host", "h"]);
    bench.restic(&["rebuild-index"]);
    let before = bench.restic_restores();
    let unused = check_all(&repository).unused;
    assert!(unused.count > 20);
    prune(&repository, &everything_unused()).unwrap();
    assert_eq!(check_all(&repository).unused.bytes, 0);
    assert_eq!(bench.restic_restores(), before);
}

#[test]
fn small_packs_and_index_files_are_joined() {
    let bench = Bench::new();
    for round in 0..10 {
        std::fs::write(bench.source().join(format!("f{round}")), vec![round; 3000]).unwrap();
        bench.restic(&["backup", bench.source().to_str().unwrap(), "--host", "h"]);
    }
    let before = bench.restic_restores();
    let repository = bench.open();
    let options = PruneOptions {
        repack_small: true,
        pack_size: 4096,
        repack_uncompressed: true,
        ..everything_unused()
    };
    let packs = repository.list(ObjectKind::Pack).unwrap().len();
    prune(&repository, &options).unwrap();
    assert!(repository.list(ObjectKind::Pack).unwrap().len() < packs);
    assert!(repository.list(ObjectKind::Index).unwrap().len() <= 2);
    assert_eq!(bench.restic_restores(), before);
}

#[test]
fn prune_refuses_when_it_cannot_see_what_is_in_use() {
    let bench = Bench::with_history();
    for kind in [ObjectKind::Snapshot, ObjectKind::Index, ObjectKind::Pack] {
        let repository = bench.open();
        for (id, _) in repository.list(kind).unwrap() {
            for spoilt in [true, false] {
                let name = kind.object_name(&id);
                let content = repository.store().read(&name).unwrap();
                repository.store().delete(&name).unwrap();
                // An index file or pack that is gone is missed; a snapshot that is gone was forgotten.
                if !spoilt && kind == ObjectKind::Snapshot {
                    repository.store().write(&name, content).unwrap();
                    continue;
                }
                if spoilt {
                    repository
                        .store()
                        .write(&name, content.slice(..content.len() / 2))
                        .unwrap();
                }
                let before = repository.store().list("").unwrap().len();
                let refused = prune(&repository, &everything_unused()).unwrap_err();
                assert!(matches!(refused, Error::Refused { .. }), "{kind:?} {refused}");
                assert_eq!(repository.store().list("").unwrap().len(), before);
                repository.store().delete(&name).unwrap();
                repository.store().write(&name, content).unwrap();
            }
        }
    }
    bench.restic(&["check", "--read-data"]);
}

#[test]
fn locks_are_honoured_both_ways() {
    let bench = Bench::with_history();
    let repository = bench.open();
    let lock = exclusive(&repository).unwrap();
    assert!(!bench.try_restic(&["prune"]).0);
    assert!(matches!(exclusive(&repository), Err(Error::Locked { .. })));
    let prepared = prune::prepare(
        &repository,
        &lock,
        &everything_unused(),
        &Cancel::default(),
        &Recorder::default(),
    )
    .unwrap();
    assert!(prepared.plan.remove_packs.is_empty());
    drop(lock);
    bench.restic(&["prune"]);
}

#[test]
fn forget_decides_by_rules_and_never_takes_the_last() {
    let bench = Bench::with_history();
    let repository = bench.open();
    let last = |n: &str| Policy {
        last: n.parse().unwrap(),
        ..Policy::default()
    };
    let options = |policy| ForgetOptions {
        policy,
        group_by: GroupBy::default(),
        filter: SnapshotFilter::default(),
        allow_empty: false,
        timezone: jiff::tz::TimeZone::UTC,
    };
    let monitor = Recorder::default();
    assert!(matches!(
        forget::plan(&repository, &options(Policy::default()), &monitor),
        Err(Error::Refused { .. })
    ));
    let nothing = Policy {
        tags: vec![vec!["absent".to_owned()]],
        ..Policy::default()
    };
    assert!(matches!(
        forget::plan(&repository, &options(nothing), &monitor),
        Err(Error::Refused { .. })
    ));
    let plan = forget::plan(&repository, &options(last("1")), &monitor).unwrap();
    assert_eq!(plan.remove.len(), 2);
    assert!(
        plan.groups[0]
            .decisions
            .iter()
            .all(|decision| !decision.reasons.is_empty())
    );
    let lock = exclusive(&repository).unwrap();
    let forgotten = forget::execute(&repository, &plan, &lock, &Cancel::default(), &monitor).unwrap();
    assert_eq!((forgotten.removed.len(), forgotten.held), (2, Held::default()));
    drop(lock);
    let (id, _) = readable_snapshots(&repository)[0];
    assert!(matches!(
        forget::plan_ids(&repository, &[id], false, &monitor),
        Err(Error::Refused { .. })
    ));
    assert_eq!(
        forget::plan_ids(&repository, &[id], true, &monitor).unwrap().remove,
        [id]
    );
    assert_eq!(bench.restic_restores().len(), 1);
}

#[test]
fn a_pack_that_two_index_files_list_is_listed_once_afterwards() {
    let bench = Bench::with_history();
    let repository = bench.open();
    let (id, _) = repository.list(ObjectKind::Index).unwrap()[0];
    let json = repository.read_unpacked(ObjectKind::Index, &id).unwrap();
    repository.write_unpacked(ObjectKind::Index, &json).unwrap();
    assert!(check_all(&repository).packs_listed_twice > 0);
    prune(&repository, &PruneOptions::default()).unwrap();
    assert_eq!(check_all(&repository).packs_listed_twice, 0);
    let (lock, cancel, monitor) = (exclusive(&repository).unwrap(), Cancel::default(), Recorder::default());
    assert!(
        prune::prepare(&repository, &lock, &PruneOptions::default(), &cancel, &monitor)
            .unwrap()
            .plan
            .is_empty()
    );
    drop(lock);
    bench.restic(&["check", "--read-data"]);
}

//! The store fails, lies, or the program dies, at every call. Whatever is listed has to be complete, and nothing foreign may be touched.

use crate::support::*;
use bytes::Bytes;
use jiff::tz::TimeZone;
use repository::archive::{
    Archive, CheckOptions, CleanOptions, Content, Keys, LATEST, Latest, WriteOptions, check, clean, forget, list,
    plan_forget,
};
use repository::retention::{Count, Policy};
use repository::{Cancel, Recorder, clock};
use std::path::Path;
use std::sync::Arc;
use storage::{ErrorKind, MemoryStore, Store};
use testkit::faults::{Fault, FaultyStore};
use testkit::recording::Operation;

/// Objects that are not ours, some of which look as if they were.
const FOREIGN: [&str; 8] = [
    "a-1.tar.zst.bak",
    "a-1.tar.zst.0000",
    "a-1.tar.zst.000000",
    "a-1.tar.zst.d/00000",
    "other.manifest.json",
    "other.started",
    "photo.jpg",
    "a-1.tar",
];

const FAULTS: [Fault; 7] = [
    Fault::Fail(ErrorKind::Unavailable),
    Fault::LoseAnswer,
    Fault::Truncate,
    Fault::Lie,
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Fail(ErrorKind::PermissionDenied),
];

fn foreign(store: &dyn Store) {
    for name in FOREIGN {
        store.write(name, Bytes::from_static(b"precious")).unwrap();
    }
}

fn assert_foreign_untouched(store: &dyn Store) {
    for name in FOREIGN {
        assert_eq!(store.read(name).unwrap(), "precious", "{name}");
    }
}

/// Everything that is listed can be read to the end.
fn assert_listed_complete(store: &dyn Store) -> Vec<String> {
    let (cancel, monitor, keys) = (Cancel::default(), Recorder::default(), Keys::none());
    let listed = list(store, "", &cancel, &monitor).unwrap();
    let read_data = CheckOptions { read_data: true };
    for manifest in &listed {
        let report = check(store, &manifest.name, &keys, read_data, &cancel, &monitor).unwrap();
        assert_eq!(
            (report.damage, report.content),
            (vec![], Content::Proven),
            "{}",
            manifest.name
        );
    }
    listed.into_iter().map(|manifest| manifest.name).collect()
}

/// Everything but what is foreign, archives, and the pointer.
fn leftovers(store: &dyn Store, listed: &[String]) -> Vec<String> {
    let objects = store.list("").unwrap().into_iter().map(|object| object.name);
    let belongs = |name: &String| {
        FOREIGN.contains(&name.as_str())
            || name == LATEST
            || listed.iter().any(|archive| {
                let rest = name.strip_prefix(archive.as_str());
                rest.is_some_and(|rest| rest == ".manifest.json" || rest.starts_with(".0000") || rest.is_empty())
            })
    };
    objects.filter(|name| !belongs(name)).collect()
}

fn clean_up(store: &dyn Store) {
    let mut options = CleanOptions::new("host", "job");
    options.margin = jiff::SignedDuration::ZERO;
    clean(store, &options, clock::now(), &Cancel::default(), &Recorder::default()).unwrap();
}

#[test]
fn heavy_writing_can_fail_at_every_call() {
    let bench = Bench::new();
    bench.shell("mkdir source; head -c 3000000 /dev/urandom > source/noise; seq 1000 > source/text");
    let options = || WriteOptions {
        part_size: Some(1 << 20),
        latest: Some(LATEST.to_owned()),
        ..plain()
    };
    for fault in FAULTS {
        let (mut failed, mut finished) = (0, false);
        for call in 1.. {
            let memory = MemoryStore::new();
            foreign(&memory);
            let faulty = FaultyStore::new(Arc::new(memory.clone()));
            faulty.at_call(call, fault);
            let written = bench.archive_to(&faulty, "a-1.tar.zst", &options());
            let is_over = faulty.calls() < call;
            let listed = assert_listed_complete(&memory);
            assert_foreign_untouched(&memory);
            // What is reported as done is there.
            assert!(written.is_err() || listed == ["a-1.tar.zst"], "{fault:?} {call}");
            failed += u32::from(written.is_err());
            clean_up(&memory);
            assert_eq!(assert_listed_complete(&memory), listed, "{fault:?} {call}");
            assert_eq!(leftovers(&memory, &listed), [""; 0], "{fault:?} {call}");
            assert_foreign_untouched(&memory);
            if let Ok(latest) = memory.read(LATEST) {
                let latest: Result<Latest, _> = serde_json::from_slice(&latest);
                assert!(latest.is_ok_and(|latest| latest.name == "a-1.tar.zst") || fault == Fault::Truncate);
            }
            if is_over {
                finished = written.is_ok();
                break;
            }
        }
        assert!(finished && failed > 3, "{fault:?} {failed}");
    }
}

fn three_archives(bench: &Bench, store: &dyn Store) {
    for n in 1..=3 {
        let options = WriteOptions {
            part_size: Some(1 << 20),
            ..plain()
        };
        bench.archive_to(store, &format!("a-{n}.tar.zst"), &options).unwrap();
    }
}

fn forget_all_but_one(store: &dyn Store) -> repository::Result<u64> {
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    let policy = Policy {
        last: Count::UpTo(1),
        ..Policy::default()
    };
    let listed = list(store, "", &cancel, &monitor)?;
    let plan = plan_forget(listed, &policy, &TimeZone::UTC, clock::now())?;
    let forgotten = forget(store, &plan, clock::now(), &cancel, &monitor)?;
    Ok(forgotten.removed.len() as u64)
}

#[test]
fn heavy_forgetting_can_fail_at_every_call() {
    let bench = Bench::new();
    bench.shell("mkdir source; head -c 1500000 /dev/urandom > source/noise");
    let memory = MemoryStore::new();
    foreign(&memory);
    three_archives(&bench, &memory);
    for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::Lie) {
        for call in 1.. {
            let copy = MemoryStore::new();
            for object in memory.list("").unwrap() {
                copy.write(&object.name, memory.read(&object.name).unwrap()).unwrap();
            }
            let faulty = FaultyStore::new(Arc::new(copy.clone()));
            faulty.at_call(call, fault);
            let forgotten = forget_all_but_one(&faulty);
            let is_over = faulty.calls() < call;
            let listed = assert_listed_complete(&copy);
            assert!(listed.contains(&"a-3.tar.zst".to_owned()), "{fault:?} {call}");
            clean_up(&copy);
            assert_eq!(assert_listed_complete(&copy), listed, "{fault:?} {call}");
            if fault != Fault::Truncate {
                assert_eq!(leftovers(&copy, &listed), [""; 0], "{fault:?} {call}");
            }
            assert_foreign_untouched(&copy);
            if is_over {
                assert_eq!((forgotten.unwrap(), listed.len()), (2, 1));
                break;
            }
        }
    }
}

#[test]
fn only_what_is_old_and_ours_is_cleaned() {
    let bench = Bench::new();
    bench.shell("mkdir source; echo x > source/a");
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    faulty.always(
        |_, name| name.ends_with(".manifest.json"),
        Fault::Fail(ErrorKind::Unavailable),
    );
    // Looking for the manifest fails too: let it look first.
    faulty.heal();
    faulty.always(
        |operation, name| operation == Operation::Write && name.ends_with(".manifest.json"),
        Fault::Fail(ErrorKind::Unavailable),
    );
    bench.archive_to(&faulty, "a", &plain()).unwrap_err();
    let before = memory.list("").unwrap();
    assert_eq!(before.len(), 2);
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    let later = |hours| clock::now() + jiff::SignedDuration::from_hours(hours);
    let clean =
        |host: &str, job: &str, now| clean(&memory, &CleanOptions::new(host, job), now, &cancel, &monitor).unwrap();
    assert_eq!(clean("host", "job", later(47)), [""; 0]);
    assert_eq!(clean("host", "other", later(1_000)), [""; 0]);
    assert_eq!(clean("other", "job", later(1_000)), [""; 0]);
    assert_eq!(memory.list("").unwrap(), before);
    assert!(
        bench
            .archive_to(&memory, "a", &plain())
            .unwrap_err()
            .to_string()
            .contains("already")
    );
    assert_eq!(clean("host", "job", later(49)), ["a"]);
    assert_eq!(memory.list("").unwrap(), []);
}

/// Only one program at a time holds what names it, so whatever another one left under this name is over.
#[test]
fn what_a_dead_program_left_is_cleaned_at_once() {
    let bench = Bench::new();
    bench.shell("mkdir source; echo x > source/a");
    let options = |writer: &str| WriteOptions {
        writer: Some(writer.to_owned()),
        ..plain()
    };
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    for (name, writer) in [("a", "one"), ("b", "other")] {
        faulty.heal();
        faulty.times(
            1,
            |operation, name| operation == Operation::Write && name.ends_with(".manifest.json"),
            Fault::CrashBefore,
        );
        bench.archive_to(&faulty, name, &options(writer)).unwrap_err();
    }
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    let clean = |writer: Option<&str>| {
        let options = CleanOptions {
            writer: writer.map(str::to_owned),
            ..CleanOptions::new("host", "job")
        };
        clean(&memory, &options, clock::now(), &cancel, &monitor).unwrap()
    };
    assert_eq!(memory.list("").unwrap().len(), 4);
    assert_eq!(clean(None), [""; 0]);
    assert_eq!(clean(Some("nobody")), [""; 0]);
    assert_eq!(clean(Some("one")), ["a"]);
    assert_eq!(memory.list("").unwrap().len(), 2);
    assert_eq!(clean(Some("other")), ["b"]);
    assert_eq!(memory.list("").unwrap(), []);
}

/// Every archive leaves its marker then, which once made the next run fail.
#[test]
fn credentials_that_cannot_delete_are_enough() {
    let bench = Bench::new();
    bench.shell("mkdir source; echo x > source/a");
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let denied = Fault::Fail(ErrorKind::PermissionDenied);
    faulty.always(|operation, _| operation == Operation::Delete, denied);
    let clean = |store: &dyn Store| {
        let options = CleanOptions::new("host", "job");
        clean(store, &options, clock::now(), &bench.cancel, &bench.monitor).unwrap()
    };
    for name in ["a", "b", "c"] {
        assert_eq!(clean(&faulty), [""; 0]);
        bench.archive_to(&faulty, name, &plain()).unwrap();
    }
    assert_eq!(memory.list("").unwrap().len(), 9);
    clean(&memory);
    assert_eq!(memory.list("").unwrap().len(), 6);
    assert_eq!(assert_listed_complete(&memory), ["a", "b", "c"]);
}

/// What a store keeps for a time goes later; an archive whose manifest is kept stays whole, and is listed.
#[test]
fn what_the_store_keeps_is_no_failure() {
    let bench = Bench::new();
    bench.shell("mkdir source; head -c 1500000 /dev/urandom > source/noise");
    for (kept, listed, left) in [(".manifest.json", 3, false), (".00000", 1, true)] {
        let memory = MemoryStore::new();
        three_archives(&bench, &memory);
        let faulty = FaultyStore::new(Arc::new(memory.clone()));
        let held = Fault::Fail(ErrorKind::Held);
        faulty.always(
            move |operation, name| operation == testkit::recording::Operation::Delete && name.ends_with(kept),
            held,
        );
        assert_eq!(forget_all_but_one(&faulty).unwrap(), 3 - listed);
        let names = assert_listed_complete(&memory);
        assert_eq!(names.len() as u64, listed);
        clean_up(&faulty);
        assert_eq!(leftovers(&memory, &names).is_empty(), !left);
        clean_up(&memory);
        assert_eq!(leftovers(&memory, &names), [""; 0]);
    }
}

#[test]
fn nothing_is_overwritten() {
    let bench = Bench::new();
    bench.shell("mkdir source; echo x > source/a");
    for name in ["a", "a.00000", "a.00042", "a.manifest.json", "a.started"] {
        let memory = MemoryStore::new();
        memory.write(name, Bytes::from_static(b"precious")).unwrap();
        let error = bench.archive_to(&memory, "a", &plain()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        assert_eq!(memory.list("").unwrap().len(), 1);
    }
}

#[test]
fn the_newest_good_archive_stays() {
    let bench = Bench::new();
    bench.shell("mkdir source; echo x > source/a");
    let memory = MemoryStore::new();
    three_archives(&bench, &memory);
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    // As if a file had been unreadable in the last two runs.
    for name in ["a-2.tar.zst.manifest.json", "a-3.tar.zst.manifest.json"] {
        let json = String::from_utf8(memory.read(name).unwrap().to_vec()).unwrap();
        memory
            .write(name, json.replace("\"problems\": 0", "\"problems\": 1").into())
            .unwrap();
    }
    assert_eq!(forget_all_but_one(&memory).unwrap(), 1);
    let names = list(&memory, "", &cancel, &monitor).unwrap();
    let names: Vec<&str> = names.iter().map(|manifest| manifest.name.as_str()).collect();
    assert_eq!(names, ["a-1.tar.zst", "a-3.tar.zst"]);
    let nothing = plan_forget(Vec::new(), &Policy::default(), &TimeZone::UTC, clock::now());
    assert!(nothing.is_err());
    let keys = Keys::none();
    let archive = Archive::open(&memory, "a-1.tar.zst", &keys, &cancel).unwrap();
    assert_eq!(
        archive.read_file(Path::new("source/a"), &mut std::io::sink()).unwrap(),
        2
    );
}

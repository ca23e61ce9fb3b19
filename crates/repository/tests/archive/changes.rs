//! Files that change while they are read: the archive stays whole, and everything is reported.

use crate::support::*;
use repository::Cancel;
use repository::archive::{Archive, CheckOptions, Compression, Content, Keys, WriteOptions, check};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Once};
use storage::{MemoryStore, Store};
use testkit::hook::HookedStore;
use testkit::recording::Operation;

/// A store that lets `meddle` do something when the first bytes of an archive are stored: by then reading is under way.
fn meddling(meddle: impl Fn() + Send + Sync + 'static) -> HookedStore {
    let once = Once::new();
    HookedStore::new(Arc::new(MemoryStore::new()), move |operation, _| {
        if operation == Operation::BeginWriter {
            once.call_once(&meddle);
        }
    })
}

fn options() -> WriteOptions {
    WriteOptions {
        compression: Compression::None,
        ..plain()
    }
}

fn assert_whole(bench: &Bench, store: &dyn Store, name: &str) {
    let (keys, options) = (Keys::none(), CheckOptions { read_data: true });
    let report = check(store, name, &keys, options, &Cancel::default(), &bench.monitor).unwrap();
    assert_eq!((report.damage, report.content), (vec![], Content::Proven));
    std::fs::write(bench.path("copy.tar"), store.read(name).unwrap()).unwrap();
    bench.shell("rm -rf unpacked; mkdir unpacked; tar -xf copy.tar -C unpacked");
}

/// A large file comes after others, so that it is open and not read yet when the first bytes are stored.
#[test]
fn what_shrinks_grows_or_vanishes_is_reported() {
    const BEFORE: u64 = 200 << 20;
    for (how, message, problems) in [("shrink", "shrank", 1), ("grow", "grew", 1), ("touch", "changed", 1)] {
        let bench = Bench::new();
        std::fs::create_dir(bench.path("source")).unwrap();
        let path = bench.path("source/large");
        File::create(&path)
            .unwrap()
            .write_all(&vec![7; BEFORE as usize])
            .unwrap();
        let meddle = move || {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            match how {
                "shrink" => file.set_len(1000).unwrap(),
                "grow" => file.write_all_at(b"more", BEFORE).unwrap(),
                _ => file.write_all_at(b"other", BEFORE - 5).unwrap(),
            }
        };
        let store = meddling(meddle);
        let manifest = bench.archive_to(&store, "a", &options()).unwrap();
        let reported = bench.monitor.problems.lock().clone();
        assert_eq!(manifest.counts.problems, problems, "{reported:?}");
        assert!(
            reported[0].starts_with("/source/large: ") && reported[0].contains(message),
            "{reported:?}"
        );
        assert_whole(&bench, &store, "a");
        let unpacked = std::fs::read(bench.path("unpacked/source/large")).unwrap();
        assert_eq!(unpacked.len() as u64, BEFORE);
        assert_eq!(unpacked[BEFORE as usize - 10], if how == "shrink" { 0 } else { 7 });
    }
}

#[test]
fn what_vanishes_is_left_out() {
    let bench = Bench::new();
    bench.shell("mkdir -p source/z-dir; head -c 200M /dev/zero > source/a-large; touch source/z-dir/x");
    for n in 0..2000 {
        std::fs::write(bench.path(&format!("source/file-{n:04}")), "x").unwrap();
    }
    let source = bench.path("source");
    let meddle = move || std::fs::remove_dir_all(&source).unwrap();
    let store = meddling(meddle);
    let manifest = bench.archive_to(&store, "a", &options()).unwrap();
    let reported = bench.monitor.problems.lock().clone();
    assert!(
        manifest.counts.problems > 100 && reported.iter().all(|one| one.contains("vanished")),
        "{reported:?}"
    );
    assert_eq!(
        manifest.counts.files + manifest.counts.problems,
        2002 - 1 + u64::from(manifest.counts.directories == 1)
    );
    assert_whole(&bench, &store, "a");
    assert!(Path::new(&bench.path("unpacked/source/a-large")).exists());
}

#[test]
fn five_gibibytes_of_nothing_take_no_room() {
    let bench = Bench::new();
    bench.shell("mkdir source; truncate -s 5G source/a; printf end >> source/a; printf middle | dd of=source/a bs=1 seek=3G conv=notrunc status=none");
    let manifest = bench.archive("a.tar.zst", &plain()).unwrap();
    assert!(
        manifest.stored_bytes < 10_000 && manifest.tar_bytes < 100_000,
        "{manifest:?}"
    );
    let look = |directory: &str| {
        bench.shell(&format!(
            "stat -c '%s %Y' {directory}/a; tail -c 5 {directory}/a; tail -c +3221225471 {directory}/a | head -c 8 || true; \
             test $(stat -c %b {directory}/a) -lt 100"
        ))
    };
    let expected = look("source");
    bench.shell("mkdir unpacked; zstd -dc store/a.tar.zst | tar -x -C unpacked");
    assert_eq!(look("unpacked/source"), expected);
    let (store, keys) = (bench.store(), Keys::none());
    let archive = Archive::open(&store, "a.tar.zst", &keys, &bench.cancel).unwrap();
    let options = repository::archive::RestoreOptions::new(bench.path("restored"));
    archive.restore(&options, &bench.monitor).unwrap();
    assert_eq!(look("restored/source"), expected);
    bench.assert_no_problems();
}

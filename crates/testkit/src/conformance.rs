//! The contract of a store, as a test that every backend passes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use storage::{ErrorKind, ObjectWriter, Result, Store};

/// Run the whole contract. `make` is called once for each part of it and returns an empty store.
///
/// # Panics
/// When the store breaks the contract; the name of the part was printed before.
pub fn check_store(make: impl Fn() -> Arc<dyn Store>) {
    check_store_that(Replaces::Atomically, make);
}

/// How a store replaces an object of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// As the contract wants it: there is always one of them.
    Atomically,
    /// The old one is removed first, and for a moment there is none, as with stores behind rclone. There is never a part of one.
    InTwoSteps,
    /// For a moment perhaps none, or wrong bytes: the protocol has no word for it.
    Visibly,
}

/// The same, for a store that replaces objects in this way.
///
/// # Panics
/// As [`check_store`].
pub fn check_store_that(replaces: Replaces, make: impl Fn() -> Arc<dyn Store>) {
    const CHECKS: [(&str, Check); 13] = [
        ("names", |store, _| names(store)),
        ("write, stat, read", |store, _| round_trip(store)),
        ("empty object", |store, _| empty_object(store)),
        ("ranges", |store, _| ranges(store)),
        ("missing objects", |store, _| missing_objects(store)),
        ("overwriting", |store, _| overwriting(store)),
        ("listing by prefix", |store, _| listing(store)),
        ("streaming writer", |store, _| streaming_writer(store)),
        ("abandoned writer", |store, _| abandoned_writer(store)),
        ("large object", |store, _| large_object(store)),
        ("new objects appear whole", |store, _| new_objects(store)),
        ("atomic replacement", replacement),
        ("many threads, many objects", |store, _| many_threads(store)),
    ];
    for (name, check) in CHECKS {
        let store = make();
        // Shown by the test runner when the check fails.
        #[expect(clippy::print_stderr, reason = "output of a test")]
        {
            eprintln!("conformance of {}: {name}", store.location());
        }
        check(&*store, replaces);
    }
}

type Check = fn(&dyn Store, Replaces);

fn kind<T: std::fmt::Debug>(answer: Result<T>) -> ErrorKind {
    answer.expect_err("this call must fail").kind
}

/// Bytes that differ from place to place, so that no part of them can stand for another.
pub fn pattern(size: usize, seed: u64) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut content = vec![0; size];
    random.fill(&mut content);
    content.into()
}

fn names_of(store: &dyn Store, prefix: &str) -> BTreeSet<String> {
    let listed = store.list(prefix).unwrap();
    let names: BTreeSet<_> = listed.iter().map(|object| object.name.clone()).collect();
    assert_eq!(names.len(), listed.len(), "an object is listed twice");
    names
}

fn names(store: &dyn Store) {
    for bad in [
        "", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a b", "a\\b", "a\nb", "ä", "a:b", "a~b",
    ] {
        assert_eq!(kind(store.stat(bad)), ErrorKind::InvalidName, "stat {bad:?}");
        assert_eq!(kind(store.read(bad)), ErrorKind::InvalidName, "read {bad:?}");
        assert_eq!(
            kind(store.read_range(bad, 0..1)),
            ErrorKind::InvalidName,
            "read_range {bad:?}"
        );
        assert_eq!(
            kind(store.write(bad, Bytes::new())),
            ErrorKind::InvalidName,
            "write {bad:?}"
        );
        assert_eq!(
            kind(store.writer(bad).map(drop)),
            ErrorKind::InvalidName,
            "writer {bad:?}"
        );
        assert_eq!(kind(store.delete(bad)), ErrorKind::InvalidName, "delete {bad:?}");
        if !bad.is_empty() {
            assert_eq!(kind(store.list(bad)), ErrorKind::InvalidName, "list {bad:?}");
        }
    }
    for good in ["config", "a.b-c_d", "data/3f/3f9a", "..a/b..", "deep/er/and/deep/er"] {
        store.write(good, Bytes::from_static(b"x")).unwrap();
        assert_eq!(store.stat(good).unwrap(), 1, "{good}");
    }
}

fn round_trip(store: &dyn Store) {
    let content = pattern(100_000, 1);
    store.write("data/ab/abcd", content.clone()).unwrap();
    assert_eq!(store.stat("data/ab/abcd").unwrap(), 100_000);
    assert_eq!(store.read("data/ab/abcd").unwrap(), content);
    assert!(store.concurrency() >= 1);
    assert!(!store.location().is_empty());
}

fn empty_object(store: &dyn Store) {
    store.write("empty", Bytes::new()).unwrap();
    assert_eq!(store.stat("empty").unwrap(), 0);
    assert_eq!(store.read("empty").unwrap(), "");
    assert_eq!(store.read_range("empty", 0..0).unwrap(), "");
    assert_eq!(kind(store.read_range("empty", 0..1)), ErrorKind::Truncated);
    assert_eq!(names_of(store, ""), ["empty".to_owned()].into());
}

fn ranges(store: &dyn Store) {
    let content = pattern(1000, 2);
    store.write("object", content.clone()).unwrap();
    for range in [0..1000, 0..1, 999..1000, 300..700, 0..0, 500..500, 1000..1000] {
        let expected = content.slice(range.start as usize..range.end as usize);
        assert_eq!(
            store.read_range("object", range.clone()).unwrap(),
            expected,
            "{range:?}"
        );
    }
    let inverted = std::ops::Range { start: 700, end: 300 };
    for range in [
        0..1001,
        999..1001,
        1000..1001,
        5000..6000,
        1001..1001,
        0..u64::MAX,
        inverted,
    ] {
        assert_eq!(
            kind(store.read_range("object", range.clone())),
            ErrorKind::Truncated,
            "{range:?}"
        );
    }
}

fn missing_objects(store: &dyn Store) {
    store.write("data/there", Bytes::from_static(b"x")).unwrap();
    // Not `data`: the S3 server of the tests keeps objects in directories and answers 500 for the name of one.
    for missing in ["missing", "data/missing", "no/such/place"] {
        assert_eq!(kind(store.stat(missing)), ErrorKind::NotFound, "stat {missing}");
        assert_eq!(kind(store.read(missing)), ErrorKind::NotFound, "read {missing}");
        assert_eq!(
            kind(store.read_range(missing, 0..1)),
            ErrorKind::NotFound,
            "read_range {missing}"
        );
        assert_eq!(
            kind(store.read_range(missing, 0..0)),
            ErrorKind::NotFound,
            "read_range {missing}"
        );
    }
    for missing in ["missing", "data/missing", "no/such/place"] {
        store.delete(missing).unwrap();
    }
    store.delete("data/there").unwrap();
    store.delete("data/there").unwrap();
    assert_eq!(kind(store.read("data/there")), ErrorKind::NotFound);
}

fn overwriting(store: &dyn Store) {
    for size in [10, 5000, 1, 0, 300] {
        let content = pattern(size, size as u64);
        store.write("data/object", content.clone()).unwrap();
        assert_eq!(store.read("data/object").unwrap(), content);
        assert_eq!(store.stat("data/object").unwrap(), size as u64);
    }
    let mut writer = store.writer("data/object").unwrap();
    writer.write(Bytes::from_static(b"by a writer")).unwrap();
    assert_eq!(store.stat("data/object").unwrap(), 300, "a writer at work is visible");
    writer.finish().unwrap();
    assert_eq!(store.read("data/object").unwrap(), "by a writer");
    assert_eq!(names_of(store, "").len(), 1);
}

fn listing(store: &dyn Store) {
    let all = [
        "config",
        "data/00/0011",
        "data/00/0022",
        "data/ff/ff00",
        "database/x",
        "dat",
        "keys/k1",
    ];
    for (size, name) in all.iter().enumerate() {
        store.write(name, pattern(size, 3)).unwrap();
    }
    let expect = |prefix: &str, expected: &[&str]| {
        let expected = expected.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(names_of(store, prefix), expected, "prefix {prefix:?}");
    };
    expect("", &all);
    expect("data", &["data/00/0011", "data/00/0022", "data/ff/ff00"]);
    expect("data/00", &["data/00/0011", "data/00/0022"]);
    expect("data/0", &[]);
    expect("nothing", &[]);
    expect("data/nothing/at/all", &[]);
    // A prefix is a place, not an object.
    expect("config", &[]);
    for object in store.list("").unwrap() {
        let size = all.iter().position(|name| *name == object.name).unwrap();
        assert_eq!(object.size, size as u64, "{}", object.name);
    }
    store.delete("data/00/0011").unwrap();
    expect("data/00", &["data/00/0022"]);
}

fn write_all(writer: &mut Box<dyn ObjectWriter>, content: &Bytes, piece: usize) {
    for start in (0..content.len()).step_by(piece) {
        writer
            .write(content.slice(start..content.len().min(start + piece)))
            .unwrap();
    }
}

fn streaming_writer(store: &dyn Store) {
    // Below one part of a multipart upload, more than two parts, and exactly two.
    for (size, piece) in [
        (0, 1),
        (1, 1),
        (100_000, 777),
        (40 * MIB + 5, MIB + 3),
        (32 * MIB, 8 * MIB),
    ] {
        let content = pattern(size, 4);
        let mut writer = store.writer("data/streamed").unwrap();
        write_all(&mut writer, &content, piece);
        writer.write(Bytes::new()).unwrap();
        assert_eq!(writer.finish().unwrap(), size as u64);
        assert_eq!(store.stat("data/streamed").unwrap(), size as u64);
        assert!(
            store.read("data/streamed").unwrap() == content,
            "{size} bytes came back changed"
        );
        store.delete("data/streamed").unwrap();
    }
    // Two writers at the same time do not disturb each other.
    let (mut first, mut second) = (store.writer("first").unwrap(), store.writer("second").unwrap());
    first.write(Bytes::from_static(b"1")).unwrap();
    second.write(Bytes::from_static(b"2")).unwrap();
    first.finish().unwrap();
    second.finish().unwrap();
    assert_eq!(
        (store.read("first").unwrap(), store.read("second").unwrap()),
        ("1".into(), "2".into())
    );
}

fn abandoned_writer(store: &dyn Store) {
    store.write("other", Bytes::new()).unwrap();
    drop(store.writer("data/abandoned").unwrap());
    let mut writer = store.writer("data/abandoned").unwrap();
    write_all(&mut writer, &pattern(40 * MIB, 5), 10 * MIB);
    assert_eq!(
        names_of(store, ""),
        ["other".to_owned()].into(),
        "a write under way is listed"
    );
    drop(writer);
    assert_eq!(names_of(store, ""), ["other".to_owned()].into());
    assert_eq!(kind(store.stat("data/abandoned")), ErrorKind::NotFound);
}

const MIB: usize = 1024 * 1024;

fn large_object(store: &dyn Store) {
    let content = pattern(20 * MIB + 1, 6);
    store.write("data/large", content.clone()).unwrap();
    assert_eq!(store.stat("data/large").unwrap(), content.len() as u64);
    assert!(store.read("data/large").unwrap() == content, "it came back changed");
    let range = 15 * MIB + 7..17 * MIB + 11;
    let part = store
        .read_range("data/large", range.start as u64..range.end as u64)
        .unwrap();
    assert!(part == content.slice(range), "a range came back changed");
}

/// Versions of one object, told apart by their first byte and by their length.
fn version(number: u8) -> Bytes {
    vec![number; 200_000 + 1000 * usize::from(number)].into()
}

/// While an object is replaced again and again, every reader sees one whole version.
fn replacement(store: &dyn Store, replaces: Replaces) {
    if replaces == Replaces::Visibly {
        return;
    }
    store.write("data/object", version(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| read_versions(store, replaces, &done)))
            .collect();
        for number in 1..40 {
            store.write("data/object", version(number)).unwrap();
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "a reader has read nothing");
        }
    });
}

fn read_versions(store: &dyn Store, replaces: Replaces, done: &AtomicBool) -> usize {
    let mut reads = 0;
    while !done.load(Ordering::SeqCst) || reads == 0 {
        let seen = match store.read("data/object") {
            Err(error) if replaces == Replaces::InTwoSteps && error.kind == ErrorKind::NotFound => continue,
            other => other.unwrap(),
        };
        assert!(seen == version(seen[0]), "a reader saw a part of version {}", seen[0]);
        let names = names_of(store, "");
        assert!(names.iter().all(|name| name == "data/object"), "{names:?}");
        assert!(
            replaces == Replaces::InTwoSteps || names.len() == 1,
            "nothing is listed"
        );
        reads += 1;
    }
    reads
}

/// Whoever waits for an object sees nothing, and then all of it.
fn new_objects(store: &dyn Store) {
    const OBJECTS: u8 = 20;
    store.write("first", Bytes::new()).unwrap();
    let name = |number: u8| format!("data/{number:02}");
    let wait_for = |number: u8| {
        loop {
            match store.read(&name(number)) {
                Ok(seen) => break assert!(seen == version(number), "a reader saw a part of object {number}"),
                Err(error) => assert_eq!(error.kind, ErrorKind::NotFound, "{error:?}"),
            }
            for object in store.list("data").unwrap() {
                let number: u8 = object.name["data/".len()..].parse().unwrap();
                assert_eq!(
                    object.size,
                    version(number).len() as u64,
                    "a part of {} is listed",
                    object.name
                );
            }
        }
    };
    thread::scope(|scope| {
        let reader = scope.spawn(|| (0..OBJECTS).for_each(wait_for));
        for number in 0..OBJECTS {
            store.write(&name(number), version(number)).unwrap();
        }
        reader.join().unwrap();
    });
}

/// 2,500 objects need three pages of an S3 listing; their directories are new to all threads at the same time.
fn many_threads(store: &dyn Store) {
    const THREADS: usize = 20;
    const EACH: usize = 125;
    let name = |thread: usize, number: usize| format!("data/{number:02x}/{thread:02}-{number:03}");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..EACH {
                    store
                        .write(&name(thread, number), pattern(thread, number as u64))
                        .unwrap();
                }
                for _ in 0..5 {
                    store.write("shared", Bytes::from_static(b"the same")).unwrap();
                }
            });
        }
    });
    assert_eq!(names_of(store, "data").len(), THREADS * EACH);
    assert_eq!(store.read("shared").unwrap(), "the same");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in (0..EACH).step_by(5) {
                    assert_eq!(
                        store.read(&name(thread, number)).unwrap(),
                        pattern(thread, number as u64)
                    );
                    store.delete(&name(thread, number)).unwrap();
                }
            });
        }
    });
    assert_eq!(names_of(store, "").len(), THREADS * EACH * 4 / 5 + 1);
}

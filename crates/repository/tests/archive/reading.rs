//! What was written comes back: all of it, parts of it, and not more than it.

use crate::support::*;
use bytes::Bytes;
use repository::Filter;
use repository::archive::{
    AgeRecipients, Archive, CheckOptions, Compression, Content, Encryption, Entry, EntryKind, GzipLevel, Keys,
    Overwrite, Passphrase, RestoreOptions, RestoreReport, Source, WriteOptions, ZstdLevel, check, list,
};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use storage::{MemoryStore, Store};
use testkit::recording::{Operation, RecordingStore};
use testkit::tree::{content, every_kind};

const READ_DATA: CheckOptions = CheckOptions { read_data: true };

fn restore(bench: &Bench, name: &str, keys: &Keys, filter: Filter) -> RestoreReport {
    let store = bench.store();
    let archive = Archive::open(&store, name, keys, &bench.cancel).unwrap();
    let mut options = RestoreOptions::new(bench.path("restored"));
    options.filter = filter;
    archive.restore(&options, &bench.monitor).unwrap()
}

fn entries(bench: &Bench, name: &str, keys: &Keys) -> Vec<Entry> {
    let (store, mut found) = (bench.store(), Vec::new());
    let archive = Archive::open(&store, name, keys, &bench.cancel).unwrap();
    archive
        .entries(&mut |entry| {
            found.push(entry.clone());
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn every_kind_of_entry_comes_back() {
    let bench = Bench::new();
    every_kind(&bench.path("source"), 4).unwrap();
    let passphrase = || Passphrase::new("correct horse\n").unwrap();
    for (name, compression, encryption) in [
        ("a.tar", Compression::None, Encryption::None),
        ("a.tar.gz", Compression::Gzip(GzipLevel::default()), Encryption::None),
        ("a.tar.zst", Compression::default(), Encryption::None),
        (
            "a.tar.zst.age",
            Compression::default(),
            Encryption::AgePassphrase(passphrase()),
        ),
    ] {
        let mut options = WriteOptions::new(encryption);
        options.compression = compression;
        let manifest = bench.archive(name, &options).unwrap();
        let keys = Keys::none().with_passphrase(passphrase());
        let report = restore(&bench, name, &keys, Filter::default());
        let counts = manifest.counts;
        assert_eq!(
            (
                report.files,
                report.directories,
                report.others,
                report.bytes,
                report.problems
            ),
            (
                counts.files + counts.hard_links,
                counts.directories,
                counts.others,
                counts.content_bytes,
                0
            )
        );
        bench.assert_same("restored/source");
        let listed = entries(&bench, name, &keys);
        assert_eq!(
            listed.len() as u64,
            counts.files + counts.directories + counts.hard_links + counts.others
        );
        let report = check(&bench.store(), name, &keys, READ_DATA, &bench.cancel, &bench.monitor).unwrap();
        assert_eq!((report.damage, report.content), (vec![], Content::Proven));
        std::fs::remove_dir_all(bench.path("restored")).unwrap();
    }
    bench.assert_no_problems();
    let names = list(&bench.store(), "", &bench.cancel, &bench.monitor).unwrap();
    let names: Vec<&str> = names.iter().map(|manifest| manifest.name.as_str()).collect();
    assert_eq!(names, ["a.tar", "a.tar.gz", "a.tar.zst", "a.tar.zst.age"]);
}

/// Bytes that were read in ranges since the last time.
fn read_bytes(store: &RecordingStore) -> u64 {
    let read = store.count(Operation::ReadRange).bytes;
    store.clear();
    read
}

#[test]
fn one_file_does_not_cost_the_whole_archive() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("source")).unwrap();
    for n in 0..60 {
        let mut noise = vec![0; 1 << 20];
        fastrand::Rng::with_seed(n).fill(&mut noise);
        std::fs::write(bench.path(&format!("source/{n:02}")), noise).unwrap();
    }
    std::fs::hard_link(bench.path("source/41"), bench.path("source/other")).unwrap();
    let identity = bench.shell("age-keygen 2> /dev/null");
    let recipient = bench.shell("age-keygen -o key 2> /dev/null; age-keygen -y key");
    let keys = keys_of(&std::fs::read(bench.path("key")).unwrap());
    let strangers = keys_of(identity.as_bytes());
    for part_size in [None, Some(5 << 20)] {
        for encryption in [
            Encryption::None,
            Encryption::AgeRecipients(AgeRecipients::parse([recipient.as_str()]).unwrap()),
        ] {
            let is_encrypted = !encryption.recipients().is_empty();
            let store = RecordingStore::new(Arc::new(MemoryStore::new()));
            let mut options = WriteOptions::new(encryption);
            options.part_size = part_size;
            let manifest = bench.archive_to(&store, "a", &options).unwrap();
            assert_eq!(manifest.parts.len(), if part_size.is_some() { 13 } else { 1 });
            let archive = Archive::open(&store, "a", &keys, &bench.cancel).unwrap();
            let mut names = 0;
            let mut count = |_: &Entry| {
                names += 1;
                Ok(())
            };
            archive.entries(&mut count).unwrap();
            assert_eq!(names, 62);
            assert!(read_bytes(&store) < 1 << 20);
            for name in ["source/41", "/source/other"] {
                let mut out = Vec::new();
                archive.read_file(Path::new(name), &mut out).unwrap();
                assert!(out == std::fs::read(bench.path("source/41")).unwrap());
                let read = read_bytes(&store);
                assert!(read < 20 << 20, "{read}");
            }
            assert!(
                archive
                    .read_file(Path::new("source/none"), &mut std::io::sink())
                    .is_err()
            );
            let stranger = Archive::open(&store, "a", &strangers, &bench.cancel).unwrap();
            let opened = stranger.entries(&mut |_| Ok(()));
            assert_eq!(opened.is_err(), is_encrypted);
        }
    }
}

/// Small files stand side by side in what is read at once, which was read anew for each of them.
#[test]
fn many_small_files_are_read_together() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("source/wanted")).unwrap();
    for n in 0..300 {
        std::fs::write(bench.path(&format!("source/wanted/{n:03}")), content(n, 5_000)).unwrap();
    }
    std::fs::write(bench.path("source/zz"), content(1, 30 << 20)).unwrap();
    let store = RecordingStore::new(Arc::new(MemoryStore::new()));
    bench.archive_to(&store, "a", &plain()).unwrap();
    let keys = Keys::none();
    let archive = Archive::open(&store, "a", &keys, &bench.cancel).unwrap();
    read_bytes(&store);
    let mut options = RestoreOptions::new(bench.path("restored"));
    options.filter = Filter::builder().include("/source/wanted").build().unwrap();
    assert_eq!(archive.restore(&options, &bench.monitor).unwrap().files, 300);
    let read = read_bytes(&store);
    assert!(read < 12 << 20, "{read}");
    bench.shell("diff -r source/wanted restored/source/wanted");
}

#[test]
fn chosen_entries_bring_their_directories() {
    let bench = Bench::new();
    every_kind(&bench.path("source"), 5).unwrap();
    for (name, compression) in [("a.tar.zst", Compression::default()), ("a.tar", Compression::None)] {
        let mut options = plain();
        options.compression = compression;
        bench.archive(name, &options).unwrap();
        let filter = Filter::builder()
            .include("/source/contents")
            .exclude("zeros")
            .build()
            .unwrap();
        let report = restore(&bench, name, &Keys::none(), filter);
        assert_eq!((report.files, report.problems), (8, 0));
        let found = bench.shell("cd restored/source && find . | sort | tr '\\n' ' '");
        assert_eq!(
            found,
            ". ./contents ./contents/all-hole ./contents/block ./contents/empty ./contents/large ./contents/one-byte \
             ./contents/same-as-large ./contents/small ./contents/sparse "
        );
        bench.shell("rm source/contents/zeros; touch -r restored/source/contents source/contents");
        bench.shell("rm -rf restored; mkdir -p zeros; truncate -s 2000000 source/contents/zeros");
        // A further name without the first: its content comes all the same.
        let filter = Filter::builder().include("/source/other-links").build().unwrap();
        let report = restore(&bench, name, &Keys::none(), filter);
        assert_eq!((report.files, report.problems), (2, 0));
        assert_eq!(bench.shell("cat restored/source/other-links/*"), "linkedlinked");
        bench.shell("rm -rf restored");
    }
}

#[test]
fn files_that_are_there_stay_unless_asked() {
    let bench = Bench::new();
    bench.shell("mkdir source; echo new > source/a; echo other > source/b; ln source/b source/c; ln -s x source/l");
    bench.archive("a", &plain()).unwrap();
    bench.shell("mkdir -p restored/source; echo old > restored/source/a; ln -s /etc/hostname restored/source/b");
    bench.shell("mkdir outside; ln -s ../../outside restored/source/d; mkdir source/d; echo x > source/d/e");
    let report = restore(&bench, "a", &Keys::none(), Filter::default());
    assert_eq!((report.files, report.skipped, report.problems), (0, 2, 1));
    assert_eq!(bench.shell("cat restored/source/a"), "old\n");
    let store = bench.store();
    let keys = Keys::none();
    let archive = Archive::open(&store, "a", &keys, &bench.cancel).unwrap();
    let mut options = RestoreOptions::new(bench.path("restored"));
    options.overwrite = Overwrite::Always;
    let report = archive.restore(&options, &bench.monitor).unwrap();
    assert_eq!((report.files, report.others, report.problems), (3, 1, 0));
    assert_eq!(
        bench.shell("cd restored/source && cat a b c && stat -c %h b"),
        "new\nother\nother\n2\n"
    );
    bench.archive("with-d", &plain()).unwrap();
    let archive = Archive::open(&store, "with-d", &keys, &bench.cancel).unwrap();
    // What is a link in the target leads nowhere.
    assert!(archive.restore(&options, &bench.monitor).unwrap().problems > 0);
    assert_eq!(bench.shell("ls outside; find restored -name '.mainstay*'"), "");
}

#[test]
fn long_streams_are_one_file() {
    let bench = Bench::new();
    let (long, short) = (content(1, 70 << 20), content(2, 5_000));
    let sources = || {
        let stream = |name: &str, bytes: &[u8]| Source::bytes(Path::new(name), bytes.to_vec());
        vec![
            stream("db/long.sql", &long),
            stream("db/short.sql", &short),
            stream("db/full", &long[..32 << 20]),
            stream("empty", b""),
        ]
    };
    for (name, compression) in [("a.tar.zst", Compression::default()), ("a.tar", Compression::None)] {
        let mut options = plain();
        options.compression = compression;
        let manifest = bench.archive_of(&bench.store(), name, sources(), &options).unwrap();
        assert_eq!(
            (manifest.counts.files, manifest.counts.content_bytes),
            (6, (102 << 20) + 5_000)
        );
        let listed: Vec<_> = entries(&bench, name, &Keys::none());
        let listed: Vec<_> = listed
            .iter()
            .map(|entry| (entry.path.to_str().unwrap(), entry.size, entry.kind))
            .collect();
        let file = EntryKind::File;
        let expected = [
            ("db/long.sql", 70 << 20, file),
            ("db/short.sql", 5_000, file),
            ("db/full", 32 << 20, file),
            ("empty", 0, file),
        ];
        assert_eq!(listed, expected);
        let report = restore(&bench, name, &Keys::none(), Filter::default());
        assert_eq!(report.problems, 0);
        let read = |name: &str| std::fs::read(bench.path("restored").join(name)).unwrap();
        assert!(read("db/long.sql") == long && read("db/short.sql") == short && read("db/full") == long[..32 << 20]);
        let (store, keys, mut out) = (bench.store(), Keys::none(), Vec::new());
        let archive = Archive::open(&store, name, &keys, &bench.cancel).unwrap();
        archive.read_file(Path::new("/db/long.sql"), &mut out).unwrap();
        assert!(out == long);
        bench.shell("rm -rf restored unpacked; mkdir unpacked");
        bench.shell(&format!(
            "tar -xf store/{name} -C unpacked; cat unpacked/db/long.sql.part* > joined"
        ));
        assert!(std::fs::read(bench.path("joined")).unwrap() == long);
        assert_eq!(
            bench.shell("cmp unpacked/db/short.sql unpacked/db/short.sql; ls unpacked/db | wc -l"),
            "5\n"
        );
    }
}

#[test]
fn a_stream_that_fails_makes_no_archive() {
    struct Breaking(usize);
    impl Read for Breaking {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(out.len())
                .ok_or_else(|| std::io::Error::other("broken pipe"))?;
            Ok(out.len())
        }
    }
    let bench = Bench::new();
    let failed = || Err(repository::Error::Verification("exit code 1".to_owned()));
    let sources = [
        Source::stream(Path::new("a"), &b"half a dump"[..], failed),
        Source::stream(Path::new("a"), Breaking(80 << 20), || Ok(())),
        Source::path(bench.path("missing")),
        Source::path_as(bench.directory.path(), Path::new("")),
    ];
    let store = MemoryStore::new();
    let mut options = plain();
    options.part_size = Some(1 << 20);
    for source in sources {
        bench.archive_of(&store, "a", vec![source], &options).unwrap_err();
        assert_eq!(store.list("").unwrap(), []);
    }
}

#[test]
fn damage_is_found() {
    let bench = Bench::new();
    bench.shell("mkdir source; seq 300000 > source/a; echo b > source/b");
    let recipient = bench.shell("age-keygen -o key 2> /dev/null; age-keygen -y key");
    let key = std::fs::read_to_string(bench.path("key")).unwrap();
    for name in ["plain", "age"] {
        for compression in [
            Compression::default(),
            Compression::Zstd(ZstdLevel::new(1, false).unwrap()),
            Compression::None,
        ] {
            let store = MemoryStore::new();
            let mut options = WriteOptions::new(match name {
                "age" => Encryption::AgeRecipients(AgeRecipients::parse([recipient.as_str()]).unwrap()),
                _ => Encryption::None,
            });
            options.compression = compression;
            options.part_size = Some(1 << 20);
            let manifest = bench.archive_to(&store, name, &options).unwrap();
            let keys = keys_of(key.as_bytes());
            let check = |keys: &Keys| check(&store, name, keys, READ_DATA, &bench.cancel, &bench.monitor).unwrap();
            assert_eq!(check(&keys).content, Content::Proven);
            let without = check(&Keys::none());
            let expected = if name == "age" {
                Content::NeedsIdentity
            } else {
                Content::Proven
            };
            assert_eq!((without.content, without.damage), (expected, vec![]));
            let part = &manifest.parts[0].name;
            let whole = store.read(part).unwrap();
            let mut changed = whole.to_vec();
            changed[whole.len() / 2] ^= 1;
            for (content, words) in [
                (Bytes::from(changed), "SHA-256"),
                (whole.slice(1..), "bytes instead of"),
            ] {
                store.write(part, content).unwrap();
                for keys in [&keys, &Keys::none()] {
                    let report = check(keys);
                    assert!(report.damage.iter().any(|damage| damage.contains(words)), "{report:?}");
                    assert!(report.content != Content::Proven && report.content != Content::NeedsIdentity);
                }
            }
            store.delete(part).unwrap();
            assert!(check(&keys).damage[0].contains("missing"));
        }
    }
}

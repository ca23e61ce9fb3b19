//! What has to go is gone from archives, and nothing else is: judged by `tar`, and by crashes at every call.

use crate::support::*;
use repository::archive::{
    AgeRecipients, CheckOptions, CleanOptions, Compression, Content, Encryption, Fate, GzipLevel, Keys, Latest,
    Manifest, Passphrase, PurgeOptions, PurgePlan, PurgeReport, Source, WriteOptions, check, clean, latest_name, list,
    plan_purge, purge,
};
use repository::{Cancel, Filter, FilterBuilder, Result};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use storage::{ErrorKind, MemoryStore, Store};
use testkit::faults::{Fault, FaultyStore};
use testkit::tree::{content, every_kind};

fn content_of(patterns: &[&str]) -> Filter {
    patterns
        .iter()
        .fold(Filter::builder(), FilterBuilder::include)
        .build()
        .unwrap()
}

/// Plan and execute, sealing as `sealing` says.
fn purged(
    store: &dyn Store,
    keys: &Keys,
    sealing: &dyn Fn(&Manifest) -> std::result::Result<Encryption, String>,
    patterns: &[&str],
) -> Result<(PurgePlan, PurgeReport)> {
    let (cancel, monitor) = (Cancel::default(), repository::Recorder::default());
    let content = content_of(patterns);
    let options = PurgeOptions {
        store,
        keys,
        sealing,
        content: &content,
    };
    let plan = plan_purge(&options, list(store, "", &cancel, &monitor)?, &cancel, &monitor)?;
    let report = purge(&options, &plan, &cancel, &monitor)?;
    Ok((plan, report))
}

fn plainly(_: &Manifest) -> std::result::Result<Encryption, String> {
    Ok(Encryption::None)
}

fn names(store: &dyn Store) -> Vec<String> {
    let mut names: Vec<String> = store.list("").unwrap().into_iter().map(|object| object.name).collect();
    names.sort();
    names
}

/// Of every kind of entry, in each compression, the rest is exactly what it was; and a file whose first name goes stays under the other.
#[test]
fn the_rest_is_what_it_was() {
    for (name, compression, read) in [
        ("a.tar", Compression::None, "cat"),
        ("a.tar.gz", Compression::Gzip(GzipLevel::default()), "gzip -dc"),
        ("a.tar.zst", Compression::default(), "zstd -dc"),
    ] {
        let bench = Bench::new();
        every_kind(&bench.path("source"), 5).unwrap();
        fs::create_dir_all(bench.path("source/ann/photos")).unwrap();
        fs::write(bench.path("source/ann/diary"), "private").unwrap();
        fs::write(bench.path("source/ann/photos/first"), content(3, 3 << 20)).unwrap();
        fs::hard_link(bench.path("source/ann/photos/first"), bench.path("source/second")).unwrap();
        fs::hard_link(bench.path("source/ann/photos/first"), bench.path("source/third")).unwrap();
        let options = WriteOptions {
            compression,
            latest: Some(latest_name("host", "job")),
            ..plain()
        };
        let old = bench.archive(name, &options).unwrap();
        let (plan, report) = purged(&bench.store(), &Keys::none(), &plainly, &["/source/ann"]).unwrap();
        assert_eq!((plan.archives.len(), plan.archives[0].shared_files), (1, 1), "{plan:?}");
        assert_eq!(
            plan.paths.iter().map(|path| path.bytes).sum::<u64>(),
            7 + (3 << 20),
            "{plan:?}"
        );
        assert!(report.is_proven() && report.unopened == 0, "{report:?}");
        bench.shell("touch -r source time; rm -r source/ann; touch -r time source");
        let (new, stem) = (name.replace("a.", "a-purged."), bench.path("store"));
        assert_eq!(report.replaced, [(name.to_owned(), Some(new.clone()))]);
        assert!(
            stem.join(&new).exists() && !stem.join(name).exists(),
            "{:?}",
            names(&bench.store())
        );
        let manifest = Manifest::read(&bench.store(), &new).unwrap();
        assert_eq!((manifest.start, manifest.original.as_deref()), (old.start, Some(name)));
        let latest: Latest = serde_json::from_slice(&fs::read(stem.join("latest-host-job.json")).unwrap()).unwrap();
        assert_eq!(latest.name, new);
        bench.assert_unpacks(&format!("{read} store/{new}"));
        bench.shell(&format!("! {read} store/{new} | grep -qa -e private -e ann/"));
        bench.assert_no_problems();
    }
}

/// What was sealed is sealed again by the same method; what cannot be opened, or not be sealed again, stays and is named.
#[test]
fn what_is_sealed_stays_sealed() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("source")).unwrap();
    for name in ["keep", "diary"] {
        fs::write(bench.path("source").join(name), name).unwrap();
    }
    bench.shell("age-keygen -o key 2> /dev/null; age-keygen -o other 2> /dev/null");
    let recipient = |file: &str| bench.shell(&format!("grep -o 'age1.*' {file}"));
    let age = |file: &str| Encryption::AgeRecipients(AgeRecipients::parse([recipient(file).as_str()]).unwrap());
    let passphrase = || Passphrase::new("correct horse").unwrap();
    for (name, encryption) in [
        ("a.tar.zst.age", age("key")),
        ("b.tar.zst.age", age("other")),
        ("c.tar.zst.gpg", Encryption::OpenPgpPassphrase(passphrase())),
    ] {
        bench.archive(name, &WriteOptions::new(encryption)).unwrap();
    }
    // One that is damaged cannot be searched.
    bench.archive("d.tar.zst", &plain()).unwrap();
    bench.shell("truncate -s 40 store/d.tar.zst");
    let keys = keys_of(&fs::read(bench.path("key")).unwrap()).with_passphrase(passphrase());
    let sealing = |manifest: &Manifest| match manifest.encryption.method.as_str() {
        "age" => Ok(age("key")),
        _ => Err("nobody knows how".to_owned()),
    };
    let (plan, report) = purged(&bench.store(), &keys, &sealing, &["diary"]).unwrap();
    let untouched: Vec<_> = plan
        .untouched
        .iter()
        .map(|one| (one.name.as_str(), one.matches))
        .collect();
    assert_eq!(
        untouched,
        [("b.tar.zst.age", false), ("c.tar.zst.gpg", true), ("d.tar.zst", false)]
    );
    assert!(!report.is_proven() && report.untouched == 3, "{report:?}");
    let listed = bench.shell("age -d -i key store/a-purged.tar.zst.age | zstd -dc | tar -t");
    assert_eq!(listed, "source/\nsource/keep\n");
    let sealing = |_: &Manifest| Ok(Encryption::OpenPgpPassphrase(passphrase()));
    purged(&bench.store(), &keys, &sealing, &["diary"]).unwrap();
    let listed = bench.shell(
        "mkdir -m 700 gnupg; export GNUPGHOME=$PWD/gnupg; gpg --batch --quiet --no-permission-warning --pinentry-mode loopback \
         --passphrase 'correct horse' --decrypt store/c-purged.tar.zst.gpg 2> /dev/null | zstd -dc | tar -t",
    );
    assert_eq!(listed, "source/\nsource/keep\n");
}

/// A stream in pieces is one file, which stays or goes as a whole, and an archive of which nothing is left goes.
#[test]
fn streams_and_archives_go_as_a_whole() {
    let bench = Bench::new();
    let dump = content(1, 1 << 20).repeat(33);
    let streams = |names: &[&str]| {
        names
            .iter()
            .map(|name| Source::bytes(Path::new(name), dump.clone()))
            .collect()
    };
    bench
        .archive_of(&bench.store(), "a.tar.zst", streams(&["one.sql", "two.sql"]), &plain())
        .unwrap();
    bench
        .archive_of(&bench.store(), "b.tar.zst", streams(&["one.sql"]), &plain())
        .unwrap();
    let (plan, report) = purged(&bench.store(), &Keys::none(), &plainly, &["/one.sql"]).unwrap();
    let fates: Vec<Fate> = plan.archives.iter().map(|archive| archive.fate).collect();
    assert_eq!(fates, [Fate::Rewritten, Fate::Removed]);
    assert!(report.is_proven(), "{report:?}");
    assert_eq!(
        names(&bench.store()),
        ["a-purged.tar.zst", "a-purged.tar.zst.manifest.json"]
    );
    bench.shell("mkdir out; zstd -dc store/a-purged.tar.zst | tar -x -C out");
    assert_eq!(bench.shell("cd out; ls"), "two.sql.part000001\ntwo.sql.part000002\n");
    bench.shell("cat out/two.sql.part* > two.sql");
    assert!(fs::read(bench.path("two.sql")).unwrap() == dump);
}

/// Wherever a purge ends, each archive that is listed is complete, none is missing, and the next purge ends it.
#[test]
fn a_purge_may_end_at_every_call() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("source")).unwrap();
    for name in ["keep", "diary"] {
        fs::write(bench.path("source").join(name), name).unwrap();
    }
    let options = WriteOptions {
        latest: Some(latest_name("host", "job")),
        ..plain()
    };
    let faults = [
        Fault::Fail(ErrorKind::Unavailable),
        Fault::LoseAnswer,
        Fault::Truncate,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];
    for fault in faults {
        for call in 1.. {
            let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
            for name in ["a-1.tar.zst", "a-2.tar.zst"] {
                bench.archive_to(&*inner, name, &options).unwrap();
            }
            let foreign = ["a-1.tar.zst.bak", "a-2-purged.tar.zst.x"];
            foreign
                .iter()
                .for_each(|name| inner.write(name, "precious".into()).unwrap());
            let faulty = FaultyStore::new(Arc::clone(&inner));
            faulty.at_call(call, fault);
            let is_whole = purged(&faulty, &Keys::none(), &plainly, &["diary"]).is_ok();
            let is_over = faulty.calls() < call;
            let origins = |store: &dyn Store| {
                let listed = list(store, "", &bench.cancel, &bench.monitor).unwrap();
                for manifest in &listed {
                    let read_data = CheckOptions { read_data: true };
                    let name = &manifest.name;
                    let checked = check(store, name, &Keys::none(), read_data, &bench.cancel, &bench.monitor).unwrap();
                    assert_eq!(
                        (checked.content, checked.damage.len()),
                        (Content::Proven, 0),
                        "{call} {fault:?} {name}"
                    );
                }
                let mut origins: Vec<String> = listed.iter().map(|one| one.origin().to_owned()).collect();
                origins.sort();
                origins.dedup();
                origins
            };
            assert_eq!(origins(&*inner), ["a-1.tar.zst", "a-2.tar.zst"], "{call} {fault:?}");
            match purged(&*inner, &Keys::none(), &plainly, &["diary"]) {
                Ok((_, report)) => assert!(report.is_proven(), "{call} {fault:?} {report:?}"),
                Err(error) => panic!("{call} {fault:?} {error}"),
            }
            let clean_up = CleanOptions {
                margin: jiff::SignedDuration::ZERO,
                ..CleanOptions::new("host", "job")
            };
            clean(
                &*inner,
                &clean_up,
                repository::clock::now(),
                &bench.cancel,
                &bench.monitor,
            )
            .unwrap();
            assert_eq!(origins(&*inner), ["a-1.tar.zst", "a-2.tar.zst"], "{call} {fault:?}");
            let left = names(&*inner);
            assert_eq!(left.len(), 4 + 1 + foreign.len(), "{call} {fault:?} {left:?}");
            // A pointer that the store has cut off stays so until the next archive: nothing of ours follows it.
            if fault != Fault::Truncate {
                let newest: Latest = serde_json::from_slice(&inner.read("latest-host-job.json").unwrap()).unwrap();
                assert!(
                    left.contains(&newest.name) && newest.name.starts_with("a-2-purged"),
                    "{call} {fault:?} {newest:?}"
                );
            }
            assert!(foreign.iter().all(|name| inner.read(name).unwrap() == "precious"));
            if is_over {
                assert!(is_whole && call > 20, "{call}");
                break;
            }
        }
    }
}

/// A purge that was interrupted left both archives, and the new one was damaged since: the old one, which is whole, stays.
#[test]
fn an_archive_whose_successor_is_damaged_stays() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("source")).unwrap();
    for name in ["keep", "diary"] {
        fs::write(bench.path("source").join(name), content(7, 20_000)).unwrap();
    }
    let store = MemoryStore::default();
    bench
        .archive_to(
            &store,
            "a.tar",
            &WriteOptions {
                compression: Compression::None,
                ..plain()
            },
        )
        .unwrap();
    let before: Vec<_> = names(&store)
        .into_iter()
        .map(|name| (store.read(&name).unwrap(), name))
        .collect();
    purged(&store, &Keys::none(), &plainly, &["diary"]).unwrap();
    for (content, name) in &before {
        if store.read(name).is_err() {
            store.write(name, content.clone()).unwrap();
        }
    }
    let mut damaged = store.read("a-purged.tar").unwrap().to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    store.delete("a-purged.tar").unwrap();
    store.write("a-purged.tar", damaged.into()).unwrap();
    let error = purged(&store, &Keys::none(), &plainly, &["diary"]).unwrap_err();
    assert!(
        error.is_damage() || matches!(error, repository::Error::Verification(_)),
        "{error}"
    );
    assert!(names(&store).contains(&"a.tar".to_owned()), "{:?}", names(&store));
}

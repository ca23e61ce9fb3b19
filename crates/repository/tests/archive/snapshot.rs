//! Archives that are made of a snapshot, beside those of the same sources.

use crate::support::*;
use repository::archive::{
    Archive, Compression, Contents, Encryption, FromSnapshot, GzipLevel, Keys, Manifest, Passphrase, RestoreOptions,
    Source, StoredItem, WriteOptions, write,
};
use repository::restic::backup::{self, BackupOptions};
use repository::restic::config::ChunkerKind;
use repository::restic::repository::{OpenOptions, Repository};
use repository::restic::snapshot::Snapshot;
use repository::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::LocalStore;
use testkit::tree::{content, every_kind};

/// A repository beside the archives.
struct Stored {
    bench: Bench,
    repository: Repository,
}

/// Longer than what becomes one member.
const LONG_BYTES: usize = (33 << 20) + 7;

impl Stored {
    fn new() -> Self {
        let bench = Bench::new();
        let store = Arc::new(LocalStore::new(bench.path("repository")));
        let repository = Repository::init(store, b"x", ChunkerKind::FastCdc, &OpenOptions::default()).unwrap();
        Self { bench, repository }
    }

    fn source(&self) -> PathBuf {
        self.bench.path("source")
    }

    /// As a job stores it: files below `/files`, streams, and a file at the end.
    fn back_up(&self, streams: &[(&str, Vec<u8>)]) -> Snapshot {
        let mut sources = vec![backup::Source::Below {
            root: "/files".into(),
            path: self.source(),
        }];
        sources.extend(streams.iter().map(|(path, bytes)| backup::Source::Stream {
            path: path.into(),
            reader: Box::new(std::io::Cursor::new(bytes.clone())),
            finish: Box::new(|| Ok(())),
            required: true,
        }));
        let (cancel, monitor) = (&self.bench.cancel, &self.bench.monitor);
        let report = backup::run(&self.repository, sources, &BackupOptions::default(), cancel, monitor);
        report.unwrap().snapshot.unwrap().1
    }

    fn items(&self, streams: &[(&str, Vec<u8>)]) -> Vec<StoredItem> {
        let files = StoredItem::Path(below("/files", &self.source()));
        let streams = streams.iter().map(|(path, _)| StoredItem::Stream(path.into()));
        [files].into_iter().chain(streams).collect()
    }

    fn of_snapshot(
        &self,
        name: &str,
        snapshot: &Snapshot,
        items: Vec<StoredItem>,
        options: &WriteOptions,
    ) -> Result<Manifest> {
        let from = FromSnapshot::open(&self.repository, snapshot, items)?;
        let (store, cancel, monitor) = (self.bench.store(), &self.bench.cancel, &self.bench.monitor);
        write(&store, &new(name), Contents::Snapshot(&from), options, cancel, monitor)
    }

    fn of_sources(&self, name: &str, streams: &[(&str, Vec<u8>)], options: &WriteOptions) -> Manifest {
        let files = Source::path_as(self.source(), &below("/files", &self.source()));
        let bytes = |(path, bytes): &(&str, Vec<u8>)| Source::bytes(Path::new(path), bytes.clone());
        let sources = [files].into_iter().chain(streams.iter().map(bytes)).collect();
        self.bench
            .archive_of(&self.bench.store(), name, sources, options)
            .unwrap()
    }

    fn restored(&self, name: &str, keys: &Keys) -> PathBuf {
        let (store, target) = (self.bench.store(), self.bench.path(&format!("restored-{name}")));
        let archive = Archive::open(&store, name, keys, &self.bench.cancel).unwrap();
        let report = archive.restore(&RestoreOptions::new(&target), &self.bench.monitor);
        assert_eq!(report.unwrap().problems, 0);
        target
    }
}

fn below(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap())
}

#[test]
fn an_archive_of_a_snapshot_is_that_of_its_sources() {
    let stored = Stored::new();
    every_kind(&stored.source(), 7).unwrap();
    // Zeros that were written cannot be told from a hole any more.
    fs::remove_file(stored.source().join("contents/zeros")).unwrap();
    let streams = [
        ("/command/second", b"short".to_vec()),
        ("/command/first", content(3, LONG_BYTES)),
        ("/apps/exact", content(4, 32 << 20)),
    ];
    let snapshot = stored.back_up(&streams);
    let passphrase = || Passphrase::new("correct horse").unwrap();
    for (name, compression, encryption, read) in [
        ("a.tar", Compression::None, Encryption::None, "cat"),
        (
            "b.tar.gz",
            Compression::Gzip(GzipLevel::default()),
            Encryption::None,
            "gzip -dc",
        ),
        ("c.tar.zst", Compression::default(), Encryption::None, "zstd -dc"),
        (
            "d.tar.zst.age",
            Compression::default(),
            Encryption::AgePassphrase(passphrase()),
            "",
        ),
    ] {
        let options = WriteOptions {
            compression,
            ..WriteOptions::new(encryption)
        };
        let made = stored.of_snapshot(name, &snapshot, stored.items(&streams), &options);
        let made = made.unwrap();
        let other = format!("sources-{name}");
        let expected = stored.of_sources(&other, &streams, &options);
        assert_eq!(made.counts, expected.counts, "{name}");
        let keys = Keys::none().with_passphrase(passphrase());
        let target = stored.restored(name, &keys);
        let files = below("/files", &stored.source());
        let found = target.join(files.strip_prefix("/").unwrap());
        stored.bench.assert_same(found.to_str().unwrap());
        for (path, bytes) in &streams {
            assert!(fs::read(target.join(&path[1..])).unwrap() == *bytes, "{path}");
        }
        fs::remove_dir_all(&target).unwrap();
        if !read.is_empty() {
            // Owner, permissions, size, time, name and target of each entry, in order. Streams are of different moments.
            let list = |name: &str| {
                let list = format!("{read} store/{name} | tar -tv --full-time --numeric-owner --quoting-style=c");
                let now = "s/ 20[2-9][0-9]-.*\"(command|apps)/ \"\\1/";
                stored.bench.shell(&format!("{list} | sed -E '{now}'"))
            };
            assert_eq!(list(name), list(&other));
            let unpacked = format!("{read} store/{name} | tar -xO --wildcards command/first.part0000* | sha256sum");
            let long = repository::Id::hash(&streams[1].1);
            assert_eq!(stored.bench.shell(&unpacked), format!("{long}  -\n"));
        }
    }
    stored.bench.assert_no_problems();
}

#[test]
fn names_of_changed_files_are_no_links() {
    let stored = Stored::new();
    fs::create_dir(stored.source()).unwrap();
    for name in ["a", "c"] {
        fs::write(stored.source().join(name), "same").unwrap();
        fs::hard_link(
            stored.source().join(name),
            stored.source().join(format!("{name}-linked")),
        )
        .unwrap();
    }
    let snapshot = stored.back_up(&[]);
    let made = stored.of_snapshot("a", &snapshot, stored.items(&[]), &plain()).unwrap();
    assert_eq!((made.counts.files, made.counts.hard_links), (2, 2));
    // Only one of several names was captured: it is a file.
    let only = StoredItem::Path(below("/files", &stored.source()).join("a-linked"));
    let made = stored.of_snapshot("b", &snapshot, vec![only], &plain()).unwrap();
    assert_eq!((made.counts.files, made.counts.hard_links), (1, 0));
}

#[test]
fn a_snapshot_that_is_damaged_gives_no_archive() {
    for damage in ["data", "index"] {
        let stored = Stored::new();
        fs::create_dir(stored.source()).unwrap();
        fs::write(stored.source().join("file"), content(1, 3 << 20)).unwrap();
        let snapshot = stored.back_up(&[]);
        stored.bench.shell(&format!(
            "f=$(find repository/{damage} -type f -size +300c -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2); \
             chmod u+w $f; printf x | dd of=$f bs=1 seek=200 conv=notrunc status=none"
        ));
        let passphrase = || Passphrase::new("correct horse").unwrap();
        for encryption in [
            Encryption::None,
            Encryption::AgePassphrase(passphrase()),
            Encryption::OpenPgpPassphrase(passphrase()),
        ] {
            let options = WriteOptions::new(encryption);
            let made = stored.of_snapshot("a", &snapshot, stored.items(&[]), &options);
            assert!(
                matches!(made, Err(Error::UnreadableSnapshot { .. })),
                "{damage}: {made:?}"
            );
            let left = fs::read_dir(stored.bench.path("store")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{damage}");
        }
    }
}

#[test]
fn what_was_a_problem_then_is_one_of_the_archive() {
    let stored = Stored::new();
    fs::create_dir(stored.source()).unwrap();
    fs::write(stored.source().join("file"), "x").unwrap();
    let mut snapshot = stored.back_up(&[]);
    snapshot.mainstay_problems = Some(2);
    let items = || [stored.items(&[]), vec![StoredItem::Stream("/command/failed".into())]].concat();
    let made = stored.of_snapshot("a", &snapshot, items(), &plain()).unwrap();
    assert_eq!((made.counts.problems, made.counts.files), (2, 1));
    snapshot.mainstay_problems = None;
    let made = stored.of_snapshot("b", &snapshot, items(), &plain()).unwrap();
    assert_eq!(made.counts.problems, 1);
    assert!(stored.bench.monitor.problems.lock()[0].contains("/command/failed: it is not in the snapshot"));
}

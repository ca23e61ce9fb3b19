//! What leads to the newest archive of a job: an object, and in a directory a link.

use crate::support::*;
use repository::archive::{
    self, Compression, Encryption, ForgetPlan, GzipLevel, Latest, Manifest, Passphrase, WriteOptions, list,
};
use repository::clock;
use std::fs;
use std::path::PathBuf;
use storage::{MemoryStore, Store};
use testkit::faults::{Fault, FaultyStore};

const POINTER: &str = "latest-host-job.json";

fn options() -> WriteOptions {
    WriteOptions {
        latest: Some(archive::latest_name("host", "job")),
        ..plain()
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.shell("mkdir source; echo x > source/a");
    bench
}

/// Names and targets of the links in the store.
fn links(bench: &Bench) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(bench.path("store")).unwrap().map(|entry| entry.unwrap());
    let mut links: Vec<_> = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read_link(entry.path()).ok()?)))
        .collect();
    links.sort();
    links
}

fn link(name: &str, target: &str) -> Vec<(String, PathBuf)> {
    vec![(name.to_owned(), PathBuf::from(target))]
}

fn forget(bench: &Bench, manifests: &[&Manifest]) {
    let plan = ForgetPlan {
        keep: Vec::new(),
        remove: manifests.iter().map(|manifest| (*manifest).clone()).collect(),
    };
    archive::forget(&bench.store(), &plan, clock::now(), &bench.cancel, &bench.monitor).unwrap();
}

#[test]
fn a_link_leads_to_the_newest_archive_whatever_it_is() {
    let bench = bench();
    for name in ["a-1.tar.zst", "below/a-2.tar.zst"] {
        bench.archive(name, &options()).unwrap();
        assert_eq!(links(&bench), link("latest-host-job.tar.zst", name));
        bench.assert_unpacks("zstd -d < store/latest-host-job.tar.zst");
    }
    let zipped = WriteOptions {
        compression: Compression::Gzip(GzipLevel::default()),
        ..options()
    };
    bench.archive("a-3.tar.gz", &zipped).unwrap();
    assert_eq!(links(&bench), link("latest-host-job.tar.gz", "a-3.tar.gz"));
    let passphrase = Passphrase::new("secret").unwrap();
    let encrypted = WriteOptions {
        encryption: Encryption::OpenPgpPassphrase(passphrase),
        ..options()
    };
    bench.archive("a-4.tar.zst.gpg", &encrypted).unwrap();
    assert_eq!(links(&bench), link("latest-host-job.tar.zst.gpg", "a-4.tar.zst.gpg"));
    // Several parts are no archive that a link could lead to.
    bench.shell("head -c 1500000 /dev/urandom > source/noise");
    let parts = WriteOptions {
        part_size: Some(1 << 20),
        ..options()
    };
    bench.archive("a-5.tar.zst", &parts).unwrap();
    assert_eq!(links(&bench).len(), 0);
    let listed = list(&bench.store(), "", &bench.cancel, &bench.monitor).unwrap();
    assert_eq!(listed.len(), 5);
    bench.assert_no_problems();
}

#[test]
fn a_link_leaves_an_archive_before_that_is_removed() {
    let bench = bench();
    let made: Vec<Manifest> = (1..=3)
        .map(|n| bench.archive(&format!("a-{n}.tar.zst"), &options()).unwrap())
        .collect();
    let other = repository::archive::NewArchive {
        job: "other".to_owned(),
        ..new("b-4.tar.zst")
    };
    archive::write(
        &bench.store(),
        &other,
        vec![bench.source()],
        &plain(),
        &bench.cancel,
        &bench.monitor,
    )
    .unwrap();
    forget(&bench, &[&made[0]]);
    assert_eq!(links(&bench), link("latest-host-job.tar.zst", "a-3.tar.zst"));
    forget(&bench, &[&made[2]]);
    assert_eq!(links(&bench), link("latest-host-job.tar.zst", "a-2.tar.zst"));
    forget(&bench, &[&made[1]]);
    assert_eq!(links(&bench).len(), 0);
    assert_eq!(
        list(&bench.store(), "", &bench.cancel, &bench.monitor).unwrap().len(),
        1
    );
}

#[test]
fn a_link_that_cannot_be_set_is_no_reason_to_fail() {
    let bench = bench();
    fs::create_dir(bench.path("store")).unwrap();
    fs::write(bench.path("store/latest-host-job.tar.zst"), "precious").unwrap();
    let manifest = bench.archive("a-1.tar.zst", &options()).unwrap();
    assert_eq!(bench.monitor.notes.lock().len(), 1);
    forget(&bench, &[&manifest]);
    assert_eq!(
        fs::read(bench.path("store/latest-host-job.tar.zst")).unwrap(),
        b"precious"
    );
    // Other stores have none.
    let memory = MemoryStore::new();
    bench.archive_to(&memory, "a-1.tar.zst", &options()).unwrap();
    let latest: Latest = serde_json::from_slice(&memory.read(POINTER).unwrap()).unwrap();
    assert_eq!(
        (latest.name.as_str(), memory.list("").unwrap().len()),
        ("a-1.tar.zst", 3)
    );
    assert_eq!(
        bench.monitor.notes.lock().len(),
        2,
        "one of each, and of what was removed"
    );
}

/// It may name what was the latest for a moment longer, and never what is not whole.
#[test]
fn a_link_never_leads_to_half_an_archive() {
    for call in 1.. {
        let bench = bench();
        bench.archive("a-1.tar.zst", &options()).unwrap();
        let faulty = FaultyStore::new(std::sync::Arc::new(bench.store()));
        faulty.at_call(call, Fault::CrashBefore);
        let written = bench.archive_to(&faulty, "a-2.tar.zst", &options());
        let links = links(&bench);
        assert_eq!(links.len(), 1, "{call}");
        let manifest = Manifest::read(&bench.store(), &links[0].1.display().to_string());
        assert!(manifest.is_ok(), "{call}: {manifest:?}");
        if faulty.calls() < call {
            assert!(written.is_ok() && manifest.unwrap().name == "a-2.tar.zst");
            return;
        }
    }
}

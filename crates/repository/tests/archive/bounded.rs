//! Stores that take each object in one piece.

use crate::support::Bench;
use bytes::Bytes;
use repository::archive::{Archive, Encryption, Keys, WriteOptions};
use std::ops::Range;
use std::path::Path;
use storage::{MemoryStore, ObjectInfo, ObjectWriter, Result, Store};

/// The most that a writer of the store takes, bytes.
const MOST: u64 = 2 << 20;

#[derive(Debug, Default)]
struct Bounded(MemoryStore);

impl Store for Bounded {
    fn location(&self) -> String {
        self.0.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.0.list(prefix)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.0.stat(name)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.0.read(name)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.0.read_range(name, range)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.0.write(name, content)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.0.writer(name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.0.delete(name)
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        Some(MOST)
    }
}

#[test]
fn a_store_gets_parts_that_it_takes() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("source")).unwrap();
    let mut noise = vec![0; 5 << 20];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    std::fs::write(bench.path("source/noise"), &noise).unwrap();
    for (asked, largest, count) in [(None, MOST, 3), (Some(1 << 20), 1 << 20, 6), (Some(64 << 20), MOST, 3)] {
        let store = Bounded::default();
        let mut options = WriteOptions::new(Encryption::None);
        options.part_size = asked;
        let manifest = bench.archive_to(&store, "a", &options).unwrap();
        assert_eq!(manifest.parts.len(), count, "{asked:?}");
        assert_eq!(manifest.parts.iter().map(|part| part.size).max(), Some(largest));
        let keys = Keys::none();
        let archive = Archive::open(&store, "a", &keys, &bench.cancel).unwrap();
        let mut out = Vec::new();
        archive.read_file(Path::new("source/noise"), &mut out).unwrap();
        assert!(out == noise, "it came back changed");
    }
}

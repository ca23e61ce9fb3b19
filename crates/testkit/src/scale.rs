//! Large inputs, to measure memory and time: millions of files, indexes of millions of blobs.

use crate::tree::content;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Files in each directory of [`many_files`].
pub const FILES_PER_DIR: usize = 1_000;

/// Make `count` small files below `root`, none alike, 500 bytes on average: a million take about 4 GiB of a disk with 4 KiB blocks.
///
/// # Errors
/// Those of the file system.
pub fn many_files(root: &Path, count: usize) -> io::Result<()> {
    const LONGEST: usize = 1_000;
    let pool = content(11, 64 * LONGEST);
    let mut random = fastrand::Rng::with_seed(11);
    for first in (0..count).step_by(FILES_PER_DIR) {
        let dir = root.join(format!(
            "group-{:02}/dir-{:04}",
            first / FILES_PER_DIR % 50,
            first / FILES_PER_DIR
        ));
        std::fs::create_dir_all(&dir)?;
        for number in first..count.min(first + FILES_PER_DIR) {
            let start = random.usize(..pool.len() - LONGEST);
            let mut bytes = number.to_string().into_bytes();
            bytes.extend_from_slice(&pool[start..start + random.usize(..LONGEST)]);
            std::fs::write(dir.join(format!("file-{number:07}.dat")), bytes)?;
        }
    }
    Ok(())
}

/// Blobs of [`FakePack`]s are this long, sealed, in bytes.
pub const BLOB_BYTES: u32 = 160_000;

/// A pack that exists in an index only, with as many blobs as there usually are in 16 MiB.
#[derive(Clone, Copy, Debug)]
pub struct FakePack {
    /// Every number has its own pack and its own blobs.
    pub number: u64,
}

impl FakePack {
    /// Blobs in each pack.
    pub const BLOBS: u64 = 100;

    /// The pack's id in hexadecimal digits.
    pub fn id(self) -> String {
        fake_id(1, self.number)
    }

    /// The blobs' ids in hexadecimal digits.
    pub fn blobs(self) -> impl Iterator<Item = String> {
        let first = self.number * Self::BLOBS;
        (first..first + Self::BLOBS).map(|number| fake_id(2, number))
    }

    /// What an index file says of it.
    fn push_json(self, out: &mut String) {
        write!(out, r#"{{"id":"{}","blobs":["#, self.id()).unwrap_or_default();
        for (number, id) in self.blobs().enumerate() {
            let (comma, offset) = (if number == 0 { "" } else { "," }, number as u32 * BLOB_BYTES);
            let plain = BLOB_BYTES * 2;
            write!(out, r#"{comma}{{"id":"{id}","type":"data","offset":{offset},"length":{BLOB_BYTES},"uncompressed_length":{plain}}}"#)
                .unwrap_or_default();
        }
        out.push_str("]}");
    }
}

/// An index file, as JSON, that describes these packs.
pub fn index_json(packs: impl IntoIterator<Item = FakePack>) -> String {
    let mut out = String::from(r#"{"packs":["#);
    for (number, pack) in packs.into_iter().enumerate() {
        out.push_str(if number == 0 { "" } else { "," });
        pack.push_json(&mut out);
    }
    out.push_str("]}");
    out
}

/// 64 hexadecimal digits that look as random as a hash.
fn fake_id(kind: u64, number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(kind << 56 | number);
    (0..4).fold(String::with_capacity(64), |mut id, _| {
        write!(id, "{:016x}", random.u64(..)).unwrap_or_default();
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_stay_the_same() {
        let ids: std::collections::HashSet<String> =
            (0..1_000).flat_map(|number| FakePack { number }.blobs()).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|id| id.len() == 64));
        assert_eq!(FakePack { number: 7 }.id(), FakePack { number: 7 }.id());
    }

    #[test]
    fn an_index_lists_every_blob() {
        let json = index_json((0..3).map(|number| FakePack { number }));
        assert_eq!(json.matches("uncompressed_length").count(), 300);
        assert_eq!(json.matches("blobs").count(), 3);
    }

    #[test]
    fn files_are_spread_over_directories() {
        let dir = tempfile::tempdir().unwrap();
        many_files(dir.path(), FILES_PER_DIR + 1).unwrap();
        assert_eq!(
            std::fs::read_dir(dir.path().join("group-00/dir-0000")).unwrap().count(),
            FILES_PER_DIR
        );
        assert_eq!(
            std::fs::read_dir(dir.path().join("group-01/dir-0001")).unwrap().count(),
            1
        );
    }
}

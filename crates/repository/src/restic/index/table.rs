//! A table of blobs, sorted by id, that is searched where it lies: in memory, or in a mapped file.
//!
//! Layout, all numbers little-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic and version of this layout |
//! | 32 | id of the repository |
//! | 8 + 8 + 8 | number of index files, packs, records |
//! | 32 each | ids of the index files that the table was made from |
//! | 32 each | ids of the packs |
//! | 4 × 65,537 | where the records begin whose ids begin with these 16 bits; the last is the number of records |
//! | 48 each | records, sorted by id, then kind, then pack |
//! | 32 | BLAKE3 of everything before |
//!
//! A record: id (32), number of the pack (4), offset (4), length with the highest bit set for a tree (4), length of the plain text or
//! `u32::MAX` if the blob is not compressed (4).

use crate::Id;
use crate::restic::pack::{BlobKind, PackedBlob};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

pub(super) const MAGIC: &[u8; 8] = b"MSINDEX1";
const HEADER: usize = 8 + 32 + 3 * 8;
/// Buckets that records are sorted into by the first 16 bits of their ids.
pub(super) const FANOUT: usize = 65_536;
/// Bytes of a record.
pub const RECORD: usize = 48;
const TREE_BIT: u32 = 1 << 31;
const NOT_COMPRESSED: u32 = u32::MAX;

/// A blob and the number of its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Index into [`Table::packs`].
    pub pack: u32,
    /// The blob's place in it.
    pub blob: PackedBlob,
}

impl Record {
    /// The record's bytes.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        let tree_bit = if self.blob.kind == BlobKind::Tree { TREE_BIT } else { 0 };
        bytes[..32].copy_from_slice(&self.blob.id.0);
        bytes[32..36].copy_from_slice(&self.pack.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.blob.offset.to_le_bytes());
        bytes[40..44].copy_from_slice(&(self.blob.length | tree_bit).to_le_bytes());
        bytes[44..].copy_from_slice(&self.blob.uncompressed_length.unwrap_or(NOT_COMPRESSED).to_le_bytes());
        bytes
    }

    /// Add to the pack's number in a record's bytes.
    pub(super) fn shift_pack(bytes: &mut [u8; RECORD], shift: u32) {
        let number = u32_at(bytes, 32).wrapping_add(shift);
        bytes[32..36].copy_from_slice(&number.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(&bytes[..32]);
        let (length, plain) = (u32_at(bytes, 40), u32_at(bytes, 44));
        let blob = PackedBlob {
            id: Id(id),
            kind: if length & TREE_BIT != 0 {
                BlobKind::Tree
            } else {
                BlobKind::Data
            },
            offset: u32_at(bytes, 36),
            length: length & !TREE_BIT,
            uncompressed_length: (plain != NOT_COMPRESSED).then_some(plain),
        };
        Self {
            pack: u32_at(bytes, 32),
            blob,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

enum Bytes {
    Memory(Vec<u8>),
    /// The file is kept for reading it from its beginning to its end: what is read does not count as this process's memory.
    Mapped(memmap2::Mmap, File),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map, _) => map,
        }
    }
}

/// A searchable table.
pub struct Table {
    bytes: Bytes,
    index_files: usize,
    packs: usize,
    records: usize,
}

impl Table {
    /// A table without records.
    pub fn empty(repository: &Id) -> Self {
        let head = head(repository, &[], &[], &[0; FANOUT + 1]);
        Self {
            bytes: Bytes::Memory(head),
            index_files: 0,
            packs: 0,
            records: 0,
        }
    }

    /// A table that lies in memory: what [`head`] made of these ids, and the sorted records behind it.
    pub(super) fn from_memory(bytes: Vec<u8>, index_files: usize, packs: usize, records: usize) -> Self {
        Self {
            bytes: Bytes::Memory(bytes),
            index_files,
            packs,
            records,
        }
    }

    /// Map a side file. `None` if it is not one, of another repository, or damaged: then it is simply made again.
    pub fn open(file: &mut File, repository: &Id) -> Option<Self> {
        let length = verified_length(file)?;
        // SAFETY: side files are replaced by renaming and never changed in place, so the mapped bytes stay as they are.
        #[expect(unsafe_code, reason = "mapping a file that nobody changes in place")]
        let map = unsafe { memmap2::MmapOptions::new().len(length).map(&*file) }.ok()?;
        Self::parse(Bytes::Mapped(map, file.try_clone().ok()?), repository)
    }

    fn parse(bytes: Bytes, repository: &Id) -> Option<Self> {
        let all = bytes.as_slice();
        if all.len() < HEADER || &all[..8] != MAGIC || all[8..40] != repository.0 {
            return None;
        }
        let [index_files, packs, records] = [40, 48, 56].map(|at| u64_at(all, at) as usize);
        // A file that is shorter than one of its numbers says cannot be one; from here on no sum of them overflows.
        if [index_files, packs, records].iter().any(|n| *n > all.len()) {
            return None;
        }
        let table = Self {
            index_files,
            packs,
            records,
            bytes,
        };
        let fits = table.bytes.as_slice().len() == table.records_start() + records * RECORD;
        (fits && table.fanout_is_sound()).then_some(table)
    }

    /// Whether no search leaves the records.
    fn fanout_is_sound(&self) -> bool {
        let fanout = self.bytes.as_slice()[self.fanout_start()..self.records_start()]
            .as_chunks::<4>()
            .0;
        let mut starts = fanout.iter().map(|n| u32::from_le_bytes(*n));
        starts.clone().is_sorted() && starts.next_back().is_some_and(|end| end as usize == self.records)
    }

    fn packs_start(&self) -> usize {
        HEADER + 32 * self.index_files
    }

    fn fanout_start(&self) -> usize {
        self.packs_start() + 32 * self.packs
    }

    fn records_start(&self) -> usize {
        self.fanout_start() + 4 * (FANOUT + 1)
    }

    /// The index files that the table was made from.
    pub fn index_files(&self) -> impl Iterator<Item = Id> + '_ {
        self.ids(HEADER..self.packs_start())
    }

    /// The packs, by number.
    pub fn packs(&self) -> impl Iterator<Item = Id> + '_ {
        self.ids(self.packs_start()..self.fanout_start())
    }

    /// The pack of this number; a number that is too high stands for a pack that nobody has.
    pub fn pack(&self, number: u32) -> Id {
        let packs = &self.bytes.as_slice()[self.packs_start()..self.fanout_start()];
        packs
            .as_chunks::<32>()
            .0
            .get(number as usize)
            .map_or_else(Id::default, |id| Id(*id))
    }

    /// Number of packs.
    pub fn pack_count(&self) -> usize {
        self.packs
    }

    fn ids(&self, range: Range<usize>) -> impl Iterator<Item = Id> + '_ {
        self.bytes.as_slice()[range]
            .as_chunks::<32>()
            .0
            .iter()
            .map(|id| Id(*id))
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records
    }

    /// The records, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = Record> + '_ {
        self.record_bytes()
            .as_chunks::<RECORD>()
            .0
            .iter()
            .map(|record| Record::decode(record))
    }

    fn record_bytes(&self) -> &[u8] {
        let start = self.records_start();
        &self.bytes.as_slice()[start..start + RECORD * self.records]
    }

    /// All record bytes from the first on.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.bytes {
            Bytes::Memory(_) => Box::new(self.record_bytes()),
            Bytes::Mapped(_, file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(self.records_start() as u64))?;
                Box::new(BufReader::with_capacity(1 << 20, file))
            }
        })
    }

    /// How many records there are of each bucket.
    pub(super) fn bucket_sizes(&self) -> impl Iterator<Item = u32> + '_ {
        let fanout = self.bytes.as_slice()[self.fanout_start()..self.records_start()]
            .as_chunks::<4>()
            .0;
        fanout
            .windows(2)
            .map(|pair| u32::from_le_bytes(pair[1]) - u32::from_le_bytes(pair[0]))
    }

    /// The record at this position.
    pub fn record(&self, position: usize) -> Record {
        Record::decode(&self.record_bytes()[position * RECORD..(position + 1) * RECORD])
    }

    /// Every record of a blob; more than one if it is stored several times.
    pub fn find(&self, kind: BlobKind, id: Id) -> impl Iterator<Item = Record> + '_ {
        self.positions(kind, id).map(|position| self.record(position))
    }

    /// Positions of the records of a blob.
    pub fn positions(&self, kind: BlobKind, id: Id) -> impl Iterator<Item = usize> + '_ {
        let at = self.fanout_start() + 4 * bucket(&id);
        let all = self.bytes.as_slice();
        let (first, end) = (u32_at(all, at) as usize, u32_at(all, at + 4) as usize);
        let records = &self.record_bytes().as_chunks::<RECORD>().0[first..end];
        let found = records.partition_point(|record| record[..32] < id.0[..]);
        let same = records[found..].iter().take_while(move |record| record[..32] == id.0);
        let of_kind = same
            .enumerate()
            .filter(move |(_, record)| Record::decode(&record[..]).blob.kind == kind);
        of_kind.map(move |(n, _)| first + found + n)
    }
}

/// Everything before the records.
pub(super) fn head(repository: &Id, index_files: &[Id], packs: &[Id], fanout: &[u32]) -> Vec<u8> {
    let records = fanout.last().copied().unwrap_or_default();
    let mut head = Vec::with_capacity(HEADER + 32 * (index_files.len() + packs.len()) + 4 * fanout.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&repository.0);
    for number in [index_files.len(), packs.len(), records as usize] {
        head.extend_from_slice(&(number as u64).to_le_bytes());
    }
    index_files
        .iter()
        .chain(packs)
        .for_each(|id| head.extend_from_slice(&id.0));
    fanout.iter().for_each(|n| head.extend_from_slice(&n.to_le_bytes()));
    head
}

/// The bucket of an id.
pub(super) fn bucket(id: &Id) -> usize {
    usize::from(u16::from_be_bytes([id.0[0], id.0[1]]))
}

/// The length of everything before the checksum, if the checksum fits. Read instead of mapped, so that the file does not count as
/// this process's memory before it is searched.
fn verified_length(file: &mut File) -> Option<usize> {
    let length = file.metadata().ok()?.len().checked_sub(32)?;
    file.rewind().ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(Read::by_ref(file).take(length)).ok()?;
    let mut stored = [0; 32];
    file.read_exact(&mut stored).ok()?;
    (hasher.finalize().as_bytes() == &stored).then_some(length as usize)
}

#[cfg(test)]
mod tests {
    use super::super::builder::{RUN, TableBuilder};
    use super::*;

    fn record(n: u32) -> Record {
        let kind = if n.is_multiple_of(3) {
            BlobKind::Tree
        } else {
            BlobKind::Data
        };
        let uncompressed_length = n.is_multiple_of(2).then_some(n + 7);
        let blob = PackedBlob {
            id: Id::hash(&(n / 2).to_le_bytes()),
            kind,
            offset: n,
            length: n + 32,
            uncompressed_length,
        };
        Record { pack: n % 5, blob }
    }

    fn builder(scratch: Option<std::path::PathBuf>, n: u32) -> TableBuilder {
        let mut builder = TableBuilder::new(scratch);
        (0..n).for_each(|n| builder.push(&record(n)).unwrap());
        builder
    }

    fn check_finds_all(table: &Table, n: u32) {
        assert_eq!(table.len(), n as usize);
        for n in 0..n {
            let wanted = record(n);
            assert!(
                table
                    .find(wanted.blob.kind, wanted.blob.id)
                    .any(|found| found == wanted),
                "{n}"
            );
        }
        assert!(table.find(BlobKind::Data, Id::hash(b"another")).next().is_none());
        assert!(table.iter().map(|r| r.blob.id).is_sorted());
    }

    #[test]
    fn finds_what_was_put_in() {
        let packs: Vec<Id> = (0..5_u8).map(|n| Id::hash(&[n])).collect();
        let table = builder(None, 5000)
            .build(&Id::default(), &[Id::hash(b"i")], &packs)
            .unwrap();
        check_finds_all(&table, 5000);
        assert_eq!(table.pack(3), packs[3]);
        assert_eq!(table.index_files().collect::<Vec<_>>(), [Id::hash(b"i")]);
        assert_eq!(
            Table::empty(&Id::default())
                .find(BlobKind::Data, Id::hash(b"x"))
                .count(),
            0
        );
    }

    #[test]
    fn a_side_file_is_believed_only_when_it_is_whole_and_of_this_repository() {
        let scratch = tempfile::tempdir().unwrap();
        let n = RUN as u32 * 2 + 10;
        let mut file = tempfile::tempfile_in(&scratch).unwrap();
        builder(Some(scratch.path().to_owned()), n)
            .write(
                &Id::default(),
                &Table::empty(&Id::default()),
                &[],
                &[Id::default(); 5],
                &mut file,
            )
            .unwrap();
        check_finds_all(&Table::open(&mut file, &Id::default()).unwrap(), n);
        assert!(Table::open(&mut file, &Id::hash(b"other")).is_none());
        let length = file.metadata().unwrap().len();
        for at in [0, 50, length / 2, length - 1] {
            let mut copy = tempfile::tempfile_in(&scratch).unwrap();
            file.rewind().unwrap();
            io::copy(&mut file, &mut copy).unwrap();
            std::os::unix::fs::FileExt::write_at(&copy, b"\xa5", at).unwrap();
            assert!(Table::open(&mut copy, &Id::default()).is_none(), "{at}");
        }
        file.set_len(length - 1).unwrap();
        assert!(Table::open(&mut file, &Id::default()).is_none());
    }

    #[test]
    fn a_table_grows_by_what_is_new() {
        let scratch = tempfile::tempdir().unwrap();
        let id = Id::default();
        let side_file = |table: TableBuilder, base: &Table, name: &[u8]| {
            let mut file = tempfile::tempfile_in(&scratch).unwrap();
            table
                .write(&id, base, &[Id::hash(name)], &[Id::hash(name); 5], &mut file)
                .unwrap();
            Table::open(&mut file, &id).unwrap()
        };
        let base = side_file(builder(None, 3000), &Table::empty(&id), b"old");
        let mut new = TableBuilder::new(None);
        (3000..RUN as u32 + 5000).for_each(|n| new.push(&record(n)).unwrap());
        let both = side_file(new, &base, b"new");
        assert_eq!(both.len(), RUN + 5000);
        assert_eq!(
            both.index_files().collect::<Vec<_>>(),
            [Id::hash(b"old"), Id::hash(b"new")]
        );
        for n in (0..RUN as u32 + 5000).step_by(7) {
            let wanted = Record {
                pack: record(n).pack + if n < 3000 { 0 } else { 5 },
                ..record(n)
            };
            assert!(
                both.find(wanted.blob.kind, wanted.blob.id).any(|found| found == wanted),
                "{n}"
            );
        }
        assert_eq!([both.pack(4), both.pack(5)], [Id::hash(b"old"), Id::hash(b"new")]);
    }

    #[test]
    fn memory_holds_several_runs() {
        let n = RUN as u32 * 2 + 10;
        for scratch in [None, Some(std::env::temp_dir())] {
            check_finds_all(
                &builder(scratch, n)
                    .build(&Id::default(), &[], &[Id::default(); 5])
                    .unwrap(),
                n,
            );
        }
    }
}

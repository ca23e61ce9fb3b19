//! Makes tables from records that come in any order, with little memory beside the table itself.

use super::table::{FANOUT, RECORD, Record, Table, bucket, head};
use crate::Id;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::path::PathBuf;

type RecordBytes = [u8; RECORD];

/// Records that are sorted in memory at a time: 24 MiB. Fewer in tests, which need several runs.
pub(super) const RUN: usize = if cfg!(test) { 8 << 10 } else { 512 << 10 };

/// Collects records in runs of bounded length: in temporary files, or in pieces of memory that are given back one by one.
pub struct TableBuilder {
    current: Vec<RecordBytes>,
    runs: Vec<Run>,
    scratch: Option<PathBuf>,
    bucket_sizes: Vec<u32>,
    records: usize,
}

/// [`RUN`] records.
enum Run {
    /// In any order.
    Memory(Vec<RecordBytes>),
    /// Sorted.
    File(File),
}

impl TableBuilder {
    /// Runs go to files in `scratch`; without it, everything is kept in memory.
    pub fn new(scratch: Option<PathBuf>) -> Self {
        Self {
            current: Vec::new(),
            runs: Vec::new(),
            scratch,
            bucket_sizes: vec![0; FANOUT],
            records: 0,
        }
    }

    /// Add a record.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        self.bucket_sizes[bucket(&record.blob.id)] += 1;
        self.records += 1;
        self.current.push(record.encode());
        if self.current.len() < RUN {
            return Ok(());
        }
        let run = match &self.scratch {
            Some(scratch) => Run::File(spill(&mut self.current, scratch)?),
            None => Run::Memory(std::mem::take(&mut self.current)),
        };
        self.runs.push(run);
        Ok(())
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.records
    }

    /// The table, in memory.
    pub fn build(self, repository: &Id, index_files: &[Id], packs: &[Id]) -> io::Result<Table> {
        let mut bytes = head(repository, index_files, packs, &fanout(&self.bucket_sizes));
        let start = bytes.len();
        bytes.reserve_exact(RECORD * self.records);
        for run in self.runs.into_iter().chain([Run::Memory(self.current)]) {
            match run {
                Run::Memory(records) => bytes.extend_from_slice(records.as_flattened()),
                Run::File(mut file) => drop(file.read_to_end(&mut bytes)?),
            }
        }
        if bytes.len() != start + RECORD * self.records {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes[start..].as_chunks_mut::<RECORD>().0.sort_unstable();
        Ok(Table::from_memory(bytes, index_files.len(), packs.len(), self.records))
    }

    /// Write a table of everything in `base` and of these records, as a side file. `index_files` and `packs` belong to these
    /// records; the base's stand before them.
    pub fn write(
        self,
        repository: &Id,
        base: &Table,
        index_files: &[Id],
        packs: &[Id],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let index_files: Vec<Id> = base.index_files().chain(index_files.iter().copied()).collect();
        let packs: Vec<Id> = base.packs().chain(packs.iter().copied()).collect();
        let sizes: Vec<u32> = self
            .bucket_sizes
            .iter()
            .zip(base.bucket_sizes())
            .map(|(a, b)| a + b)
            .collect();
        let mut hasher = blake3::Hasher::new();
        let mut write = |bytes: &[u8]| {
            hasher.update(bytes);
            out.write_all(bytes)
        };
        write(&head(repository, &index_files, &packs, &fanout(&sizes)))?;
        let mut sources = vec![Source {
            reader: base.reader()?,
            left: base.len(),
            shift: 0,
        }];
        let shift = base.pack_count() as u32;
        for run in self.runs.into_iter().chain([Run::Memory(self.current)]) {
            sources.push(Source::of_run(run, shift));
        }
        merge(sources, |record| write(record))?;
        out.write_all(hasher.finalize().as_bytes())
    }
}

/// Where the records of each bucket begin, and at last where all of them end.
fn fanout(bucket_sizes: &[u32]) -> Vec<u32> {
    let ends = bucket_sizes.iter().scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Sort records, move them to a file, and keep their memory for the next ones.
fn spill(records: &mut Vec<RecordBytes>, scratch: &std::path::Path) -> io::Result<File> {
    records.sort_unstable();
    let mut file = tempfile::tempfile_in(scratch)?;
    file.write_all(records.as_flattened())?;
    file.rewind()?;
    records.clear();
    Ok(file)
}

/// Sorted records that are read one by one.
struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    left: usize,
    /// What the numbers of packs grow by.
    shift: u32,
}

impl Source<'_> {
    fn of_run(run: Run, shift: u32) -> Self {
        match run {
            Run::Memory(mut records) => {
                records.sort_unstable();
                let left = records.len();
                Self {
                    reader: Box::new(Cursor::new(records.into_flattened())),
                    left,
                    shift,
                }
            }
            Run::File(file) => Self {
                reader: Box::new(BufReader::with_capacity(256 << 10, file)),
                left: RUN,
                shift,
            },
        }
    }

    fn next(&mut self) -> io::Result<Option<RecordBytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut record = [0; RECORD];
        self.reader.read_exact(&mut record)?;
        Record::shift_pack(&mut record, self.shift);
        Ok(Some(record))
    }
}

fn merge(mut sources: Vec<Source<'_>>, mut write: impl FnMut(&RecordBytes) -> io::Result<()>) -> io::Result<()> {
    let mut heads = BinaryHeap::new();
    for (number, source) in sources.iter_mut().enumerate() {
        heads.extend(source.next()?.map(|record| Reverse((record, number))));
    }
    while let Some(Reverse((record, number))) = heads.pop() {
        write(&record)?;
        heads.extend(sources[number].next()?.map(|record| Reverse((record, number))));
    }
    Ok(())
}

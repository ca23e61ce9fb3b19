//! Regular files: small ones are read later, large ones in parts, those with several names at once.

use super::segment::{SMALL_BYTES, read_up_to};
use super::task::{Head, LargeFile, Piece};
use super::walk::{Place, Walker};
use crate::Result;
use crate::archive::entry::EntryKind;
use crate::archive::header::padding;
use crate::archive::sparse::SparseMap;
use crate::local::holes::DataSegments;
use crate::local::meta::Stat;
use crate::local::node::node_from_stat;
use crate::local::scan::open_file;
use crate::substitute::{self, Substitute, is_meant};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Least part of a large file, bytes.
const MIN_PART_BYTES: u64 = 64 << 10;
/// How much of other content is read at once, bytes.
const SUBSTITUTE_BYTES: u64 = 1 << 20;

impl Walker<'_> {
    pub(super) fn file(&mut self, place: &Place<'_>, stat: &Stat) -> Result<()> {
        if stat.nlink > 1
            && let Some(first) = self.first_name(place.name, stat)
        {
            return self.hard_link(place.name, first, stat);
        }
        if stat.size <= SMALL_BYTES && stat.nlink < 2 {
            let piece = Piece::Small {
                dir: Arc::clone(place.dir),
                file: place.file.to_owned(),
                name: place.name.to_vec(),
                stat: *stat,
            };
            let opens = usize::from(!self.holds(place.dir));
            return self.push(piece, opens);
        }
        // Opened here: the size in its header has to be the one that its parts are made from, and other names may only refer to
        // a file that is there.
        if let Err(error) = self.opened_file(place)? {
            self.first_names.remove(&(stat.dev, stat.ino));
            self.reader.left_out(place.name, &error);
        }
        Ok(())
    }

    /// Whether something else was stored instead of a file's own content. Its length stands in the header, so there is as much of it,
    /// whatever comes.
    pub(super) fn substituted(&mut self, place: &Place<'_>, stat: &Stat) -> Result<bool> {
        let Some(substitute) = self.options.substitute.as_deref() else {
            return Ok(false);
        };
        if stat.size < substitute.unit() || !stat.size.is_multiple_of(substitute.unit()) {
            return Ok(false);
        }
        let Ok((file, stat)) = open_file(&**place.dir, place.file) else {
            return Ok(false);
        };
        let stored = self.store_substitute(place, substitute, &file, &stat);
        substitute::close(substitute, file, &stat);
        stored
    }

    fn store_substitute(
        &mut self,
        place: &Place<'_>,
        substitute: &dyn Substitute,
        file: &File,
        stat: &Stat,
    ) -> Result<bool> {
        if !is_meant(substitute, file, stat) {
            return Ok(false);
        }
        let opened = substitute.open(place.path);
        let opened = opened.and_then(|(reader, length)| {
            let head = self.reader.file_head(file, place.name, stat, length)?;
            Ok((reader, length, head))
        });
        let (mut reader, length, head) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.reader.stored_as_it_is(place.name, &error);
                self.as_they_are.insert(place.path.to_owned());
                return Ok(false);
            }
        };
        self.push(Piece::Head(Box::new(head)), 0)?;
        let mut left = length;
        while left > 0 {
            let mut chunk = Vec::with_capacity(SUBSTITUTE_BYTES.min(left) as usize);
            let read = reader.by_ref().take(SUBSTITUTE_BYTES.min(left)).read_to_end(&mut chunk);
            if let Err(error) = read.and_then(|read| {
                if read == 0 {
                    Err(ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(())
                }
            }) {
                self.reader.cut_short(place.name, &error);
                self.push_zeros(left)?;
                break;
            }
            left -= chunk.len() as u64;
            self.push(Piece::Bytes(chunk), 0)?;
        }
        self.push(Piece::Bytes(vec![0; padding(length)]), 0)?;
        self.found_bytes += length;
        self.reader.count_file(length);
        Ok(true)
    }

    fn push_zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let zeros = length.min(SUBSTITUTE_BYTES);
            self.push(Piece::Bytes(vec![0; zeros as usize]), 0)?;
            length -= zeros;
        }
        Ok(())
    }

    /// Whether the last piece of the task holds this directory open anyway.
    fn holds(&self, dir: &Arc<OwnedFd>) -> bool {
        matches!(self.out.last(), Some(Piece::Small { dir: last, .. }) if Arc::ptr_eq(last, dir))
    }

    fn opened_file(&mut self, place: &Place<'_>) -> Result<std::io::Result<()>> {
        let (file, stat) = match open_file(&**place.dir, place.file) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let map = if stat.size > SMALL_BYTES && stat.may_have_holes() {
            SparseMap::new(DataSegments::new(&file, stat.size), stat.size)
        } else {
            Ok(SparseMap::whole(stat.size))
        };
        let head = map.and_then(|map| Ok((self.reader.file_head(&file, place.name, &stat, stat.size)?, map)));
        let (head, map) = match head {
            Ok(head) => head,
            Err(error) => return Ok(Err(error)),
        };
        if stat.size <= SMALL_BYTES {
            return self.loaded_file(head, &file, &stat);
        }
        self.large_file(head, file, stat, map).map(Ok)
    }

    /// A small file with several names: read at once, so that it is certain to be in the archive.
    fn loaded_file(&mut self, head: Head, file: &File, stat: &Stat) -> Result<std::io::Result<()>> {
        let mut bytes = Vec::new();
        if let Err(error) = read_up_to(file, &mut bytes, stat.size as usize, 0) {
            return Ok(Err(error));
        }
        self.reader.finish_small(file, stat, &head.name, bytes.len() as u64);
        bytes.resize(stat.size as usize + padding(stat.size), 0);
        self.push(Piece::Head(Box::new(head)), 0)?;
        self.push(Piece::Bytes(bytes), 0).map(Ok)
    }

    /// A file in parts, each as long as there is room in a frame.
    fn large_file(&mut self, mut head: Head, file: File, stat: Stat, map: SparseMap) -> Result<()> {
        let text = (map.data_bytes < stat.size).then(|| map.to_text(stat.size));
        head.is_sparse = text.is_some();
        head.stored_bytes = map.data_bytes + text.as_ref().map_or(0, |text| text.len() as u64);
        let data_bytes = map.data_bytes;
        if data_bytes == 0 {
            self.reader.count_file(0);
        }
        let large = Arc::new(LargeFile {
            file,
            name: head.name.clone(),
            stat,
            map,
            left_bytes: AtomicU64::new(data_bytes),
            is_reported: AtomicBool::new(false),
        });
        self.push(Piece::Head(Box::new(head)), 0)?;
        self.push(Piece::Bytes(text.unwrap_or_default()), 0)?;
        let mut start = 0;
        while start < data_bytes {
            let room = self.out.room().max(MIN_PART_BYTES);
            let range = start..data_bytes.min(start + room);
            start = range.end;
            self.push(
                Piece::Range {
                    file: Arc::clone(&large),
                    range,
                },
                1,
            )?;
        }
        Ok(())
    }

    /// Under which name the same file is in the archive already; if there is none, this is it.
    pub(super) fn first_name(&mut self, name: &[u8], stat: &Stat) -> Option<Vec<u8>> {
        let key = (stat.dev, stat.ino);
        let Some((first, left)) = self.first_names.get_mut(&key) else {
            self.first_names.insert(key, (name.to_vec(), stat.nlink - 1));
            return None;
        };
        let first = first.clone();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.first_names.remove(&key);
        }
        Some(first)
    }

    pub(super) fn hard_link(&mut self, name: &[u8], first: Vec<u8>, stat: &Stat) -> Result<()> {
        let node = node_from_stat(OsStr::new(""), stat, self.reader.users);
        let mut head = Head::new(name, node, EntryKind::HardLink);
        head.target = first;
        self.push(Piece::Head(Box::new(head)), 0)
    }
}

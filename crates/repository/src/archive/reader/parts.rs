//! The stored bytes of an archive, read through ranges of its objects.

use crate::archive::failure::carry;
use crate::archive::manifest::Manifest;
use crate::{Cancel, Error};
use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use storage::Store;

/// What is read at once after a jump, bytes; twice as much each time that reading goes on from there.
const FIRST_BYTES: u64 = 64 << 10;
const MAX_BYTES: u64 = 8 << 20;

/// All parts as one file.
pub struct PartsReader<'a> {
    store: &'a dyn Store,
    cancel: &'a Cancel,
    /// Name, where it begins, where it ends.
    parts: Vec<(String, u64, u64)>,
    position: u64,
    /// Bytes from `position` on.
    buffer: Bytes,
    next_bytes: u64,
    /// Of everything that was read; only makes sense if nothing is left out.
    hasher: Option<Arc<Mutex<Sha256>>>,
}

impl<'a> PartsReader<'a> {
    pub fn new(store: &'a dyn Store, manifest: &Manifest, cancel: &'a Cancel) -> Self {
        let mut end = 0;
        let parts = manifest.parts.iter().map(|part| {
            let start = end;
            end += part.size;
            (part.name.clone(), start, end)
        });
        Self {
            store,
            cancel,
            parts: parts.collect(),
            position: 0,
            buffer: Bytes::new(),
            next_bytes: FIRST_BYTES,
            hasher: None,
        }
    }

    /// Hash what is read.
    pub fn hashing(mut self, hasher: &Arc<Mutex<Sha256>>) -> Self {
        self.hasher = Some(Arc::clone(hasher));
        self
    }

    fn size(&self) -> u64 {
        self.parts.last().map_or(0, |(_, _, end)| *end)
    }

    fn fill(&mut self) -> crate::Result<()> {
        self.cancel.check()?;
        let number = self.parts.partition_point(|(_, _, end)| *end <= self.position);
        let Some((name, start, end)) = self.parts.get(number) else {
            return Ok(());
        };
        let until = (*end).min(self.position + self.next_bytes);
        self.buffer = self.store.read_range(name, self.position - start..until - start)?;
        if self.buffer.len() as u64 != until - self.position {
            return Err(Error::Damaged {
                object: "archive",
                name: name.clone(),
                reason: "the store returns fewer bytes than it was asked for".to_owned(),
            });
        }
        self.next_bytes = MAX_BYTES.min(self.next_bytes * 2);
        if let Some(hasher) = &self.hasher {
            hasher.lock().update(&self.buffer);
        }
        Ok(())
    }
}

impl std::fmt::Debug for PartsReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartsReader")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Read for PartsReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            self.fill().map_err(carry)?;
        }
        let length = out.len().min(self.buffer.len());
        out[..length].copy_from_slice(&self.buffer.split_to(length));
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for PartsReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
        };
        let position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let ahead = position
            .checked_sub(self.position)
            .and_then(|ahead| usize::try_from(ahead).ok());
        match ahead.filter(|ahead| *ahead <= self.buffer.len()) {
            Some(ahead) => drop(self.buffer.split_to(ahead)),
            None => {
                self.buffer = Bytes::new();
                self.next_bytes = FIRST_BYTES;
            }
        }
        self.position = position;
        Ok(position)
    }
}

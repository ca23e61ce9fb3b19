//! The bytes that are stored: hashed, and cut into parts where the store wants that.

use crate::archive::failure::{carry, refused};
use crate::archive::manifest::{MAX_PARTS, Part, part_name};
use crate::{Counters, Id, Monitor, Result};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};
use storage::{ObjectWriter, Store};

/// What is handed to the store at once, bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes an archive's objects.
pub struct StoredWriter<'a> {
    store: &'a dyn Store,
    name: &'a str,
    part_size: Option<u64>,
    monitor: &'a dyn Monitor,
    buffer: Vec<u8>,
    hasher: Sha256,
    /// The part that is being written, and how much of it was handed over.
    open: Option<(Box<dyn ObjectWriter>, u64)>,
    parts: Vec<Part>,
}

impl<'a> StoredWriter<'a> {
    /// Into `name`, or into its parts of `part_size` bytes.
    pub fn new(store: &'a dyn Store, name: &'a str, part_size: Option<u64>, monitor: &'a dyn Monitor) -> Self {
        Self {
            store,
            name,
            part_size,
            monitor,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            hasher: Sha256::new(),
            open: None,
            parts: Vec::new(),
        }
    }

    /// Everything is stored; returns the parts and the hash of all of them together.
    pub fn finish(mut self) -> Result<(Vec<Part>, Id)> {
        self.send()?;
        self.close()?;
        Ok((self.parts, Id(self.hasher.finalize().into())))
    }

    fn send(&mut self) -> Result<()> {
        let mut content = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER_BYTES)));
        self.hasher.update(&content);
        Counters::add(&self.monitor.counters().stored_bytes, content.len() as u64);
        while !content.is_empty() {
            let (mut writer, written) = match self.open.take() {
                Some(open) => open,
                None => (self.begin()?, 0),
            };
            let room = self.part_size.map_or(u64::MAX, |size| size - written);
            let now = content.split_to(content.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let written = written + now.len() as u64;
            writer.write(now)?;
            self.open = Some((writer, written));
            if Some(written) == self.part_size {
                self.close()?;
            }
        }
        Ok(())
    }

    fn begin(&self) -> Result<Box<dyn ObjectWriter>> {
        if self.parts.len() == MAX_PARTS {
            return Err(refused(
                &format!("the archive needs more than {MAX_PARTS} parts"),
                "Choose larger parts.",
            ));
        }
        Ok(self.store.writer(&self.next_name())?)
    }

    fn next_name(&self) -> String {
        match self.part_size {
            Some(_) => part_name(self.name, self.parts.len()),
            None => self.name.to_owned(),
        }
    }

    fn close(&mut self) -> Result<()> {
        if let Some((writer, written)) = self.open.take() {
            let name = self.next_name();
            writer.finish()?;
            self.parts.push(Part { name, size: written });
        }
        Ok(())
    }
}

impl Write for StoredWriter<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let length = content.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&content[..length]);
        if self.buffer.len() == BUFFER_BYTES {
            self.send().map_err(carry)?;
        }
        Ok(length)
    }

    /// Nothing: what is written becomes visible when everything is.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Reading archives: listing them and what is in them, single files, everything, and checking them.
//!
//! What OpenPGP decrypts may only be trusted once the checksum at its end was read. So nothing of it leaves before that: a restore goes
//! into a new directory beside its place, a single file into a temporary one without a name, and both are handed over when the
//! end was reached. Age proves each 64 KiB by itself.

mod check;
mod indexed;
mod layers;
mod list;
mod member;
mod parts;
mod restore;
mod tar;

pub use check::{CheckOptions, CheckReport, Content, check};
pub use list::{full_name, list};
pub use restore::{Overwrite, RestoreOptions, RestoreReport};

use super::encryption::Keys;
use super::entry::Entry;
use super::manifest::Manifest;
use crate::{Cancel, Error, Result};
use indexed::Indexed;
use layers::{Opened, decompress, is_trusted_at_end};
pub(super) use member::Member;
use member::{Each, each_member};
pub(super) use parts::PartsReader;
use std::io::{Read, Seek as _, Write};
use std::path::{Path, PathBuf};
use storage::Store;

/// An archive that is read.
#[derive(Debug)]
pub struct Archive<'a> {
    store: &'a dyn Store,
    manifest: Manifest,
    keys: &'a Keys,
    cancel: &'a Cancel,
}

/// Which members are wanted, by path and whether it is a directory.
type Wanted<'w> = dyn Fn(&Path, bool) -> bool + 'w;

impl<'a> Archive<'a> {
    /// The archive `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or only what an interrupted run left.
    pub fn open(store: &'a dyn Store, name: &str, keys: &'a Keys, cancel: &'a Cancel) -> Result<Self> {
        Ok(Self::of(Manifest::read(store, name)?, store, keys, cancel))
    }

    /// The archive of a manifest that was read from this store.
    pub fn of(manifest: Manifest, store: &'a dyn Store, keys: &'a Keys, cancel: &'a Cancel) -> Self {
        Self {
            store,
            manifest,
            keys,
            cancel,
        }
    }

    /// What is known without reading it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every entry, in order; the pieces of a stream as one. Reads the index only, if there is one.
    ///
    /// # Errors
    /// [`Error::WrongIdentity`], [`Error::Damaged`], those of the store and of `each`.
    pub fn entries(&self, each: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
        if is_trusted_at_end(&self.manifest) {
            let mut all = Vec::new();
            let mut joined = Joined::default();
            let mut keep = |entry: &Entry| {
                all.push(entry.clone());
                Ok(())
            };
            self.stream(&mut |member, _| joined.push(member.entry, &mut keep))?;
            joined.finish(&mut keep)?;
            return all.iter().try_for_each(each);
        }
        let mut joined = Joined::default();
        match self.indexed()? {
            Some(mut indexed) => indexed.each_entry(&mut |_, entry| joined.push(logical(entry), each))?,
            None => {
                self.stream(&mut |member, _| joined.push(member.entry, each))?;
            }
        }
        joined.finish(each)
    }

    /// Every entry as it stands in the archive: each piece of a stream by itself, under the stream's path. Not to be trusted before this has
    /// ended.
    pub(super) fn raw_entries(&self, each: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
        match self.indexed()? {
            Some(mut indexed) => indexed.each_entry(&mut |_, entry| each(&logical(entry))),
            None => self.stream(&mut |member, _| each(&member.entry)).map(drop),
        }
    }

    /// Write the content of the file `path` to `out`; returns its length in bytes. Holes become zeros.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no file of this path; otherwise those of [`Archive::entries`] and of `out`.
    pub fn read_file(&self, path: &Path, out: &mut dyn Write) -> Result<u64> {
        let out = &mut Out(out);
        if !is_trusted_at_end(&self.manifest) {
            return self.read_file_to(path, out);
        }
        let unusable = |error| Error::local("write", std::env::temp_dir())(error);
        let mut scratch = tempfile::tempfile().map_err(unusable)?;
        let bytes = self.read_file_to(path, &mut scratch)?;
        scratch.rewind().map_err(unusable)?;
        std::io::copy(&mut scratch, out).map_err(super::failure::carried)?;
        Ok(bytes)
    }

    fn read_file_to(&self, path: &Path, out: &mut dyn Write) -> Result<u64> {
        let mut wanted: PathBuf = path.strip_prefix("/").unwrap_or(path).to_owned();
        // Another name of a file leads to the first one, which comes before it.
        for _ in 0..2 {
            let (mut written, mut target) = (None, None);
            self.visit(&|name, _| name == wanted, &mut |member, content| {
                match member.entry.kind {
                    super::EntryKind::File => {
                        *written.get_or_insert(0) += copy_content(&member, content, out)?;
                    }
                    super::EntryKind::HardLink => target = Some(member.entry.target),
                    _ => {}
                }
                Ok(())
            })?;
            match (written, target) {
                (Some(bytes), _) => return Ok(bytes),
                (None, Some(target)) => wanted = target,
                (None, None) => break,
            }
        }
        Err(Error::NotFound {
            what: "path",
            name: path.display().to_string(),
        })
    }

    /// The members that are wanted, through the index if there is one.
    fn visit(&self, wanted: &Wanted<'_>, each: &mut Each<'_>) -> Result<()> {
        let Some(mut indexed) = self.indexed()? else {
            return self
                .stream(
                    &mut |member, content| match wanted(&member.entry.path, is_dir(&member.entry)) {
                        true => each(member, content),
                        false => Ok(()),
                    },
                )
                .map(drop);
        };
        indexed.each_entry(&mut |indexed, entry| {
            let entry = logical(entry);
            if !wanted(&entry.path, is_dir(&entry)) {
                return Ok(());
            }
            let mut range = indexed.range(entry.place.offset, entry.place.length);
            let mut is_met = false;
            each_member(&mut range, self.cancel, &mut |member, content| {
                // An index that shows one thing and leads to another is forged.
                if is_met || member.entry.path != entry.path || member.entry.kind != entry.kind {
                    return Err(self.damaged("its index does not fit its content"));
                }
                is_met = true;
                each(member, content)
            })?;
            if is_met {
                Ok(())
            } else {
                Err(self.damaged("its index points to nothing"))
            }
        })
    }

    /// Everything, from the beginning; returns the length of the tar stream.
    pub(super) fn stream(&self, each: &mut Each<'_>) -> Result<u64> {
        let parts = PartsReader::new(self.store, &self.manifest, self.cancel);
        self.stream_of(parts, each)
    }

    fn stream_of(&self, parts: PartsReader<'a>, each: &mut Each<'_>) -> Result<u64> {
        let opened = Opened::new(&self.manifest, parts, self.keys)?;
        let mut tar = decompress(&self.manifest, opened)?;
        each_member(&mut tar, self.cancel, each).map_err(|error| self.named(error))
    }

    fn indexed(&self) -> Result<Option<Indexed<Opened<'a>>>> {
        if self.manifest.compression.method != "zstd" || is_trusted_at_end(&self.manifest) {
            return Ok(None);
        }
        let parts = PartsReader::new(self.store, &self.manifest, self.cancel);
        Indexed::new(Opened::new(&self.manifest, parts, self.keys)?).map_err(|error| self.named(error))
    }

    pub(super) fn damaged(&self, reason: &str) -> Error {
        Error::Damaged {
            object: "archive",
            name: self.manifest.name.clone(),
            reason: reason.to_owned(),
        }
    }

    /// Say which archive is damaged.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Damaged {
                object: "archive",
                reason,
                ..
            } => self.damaged(&reason),
            other => other,
        }
    }
}

fn is_dir(entry: &Entry) -> bool {
    entry.kind == super::EntryKind::Dir
}

/// The pieces of a stream under the stream's path.
fn logical(mut entry: Entry) -> Entry {
    if entry.place.part > 0 {
        entry.path.set_extension("");
    }
    entry
}

/// Joins the pieces of streams to one entry.
#[derive(Default)]
struct Joined(Option<Entry>);

impl Joined {
    fn push(&mut self, entry: Entry, each: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
        match &mut self.0 {
            Some(last) if entry.place.part > 1 && last.path == entry.path => last.size += entry.size,
            last => {
                if let Some(done) = last.replace(entry) {
                    each(&done)?;
                }
            }
        }
        Ok(())
    }

    fn finish(self, each: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
        self.0.iter().try_for_each(each)
    }
}

/// What is written to. Its errors are not the archive's.
struct Out<'a>(&'a mut dyn Write);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => error,
            _ => super::failure::carry(Error::local("write to", "the output")(error)),
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Write a file's content to a stream.
fn copy_content(member: &Member, content: &mut dyn Read, out: &mut dyn Write) -> Result<u64> {
    let size = member.node.size;
    let Some(parts) = &member.parts else {
        return std::io::copy(content, out).map_err(super::failure::carried);
    };
    let mut position = 0;
    for part in parts.iter().chain([&(size..size)]) {
        let zeros = std::io::repeat(0).take(part.start - position);
        let data = content.take(part.end - part.start);
        std::io::copy(&mut zeros.chain(data), out).map_err(super::failure::carried)?;
        position = part.end;
    }
    Ok(size)
}

/// Bytes as a zstd archive that carries an index.
#[cfg(fuzzing)]
pub(super) fn fuzz_indexed(bytes: &[u8]) {
    let Ok(Some(mut indexed)) = Indexed::new(std::io::Cursor::new(bytes)) else {
        return;
    };
    let read = |indexed: &mut Indexed<_>, entry: Entry| {
        let mut range = indexed.range(entry.place.offset, entry.place.length.min(1 << 20));
        std::io::copy(&mut range, &mut std::io::sink())
            .map(drop)
            .map_err(super::failure::carried)
    };
    indexed
        .each_entry(&mut |indexed, entry| read(indexed, entry))
        .unwrap_or_default();
}

/// Bytes as a tar stream. Paths stay below.
#[cfg(fuzzing)]
pub(super) fn fuzz_tar(mut bytes: &[u8]) {
    let mut each = |member: Member, content: &mut dyn Read| {
        let names = member.entry.path.components();
        assert!(
            names
                .into_iter()
                .all(|name| matches!(name, std::path::Component::Normal(_)))
        );
        std::io::copy(content, &mut std::io::sink())
            .map(drop)
            .map_err(super::failure::carried)
    };
    each_member(&mut bytes, &Cancel::default(), &mut each)
        .map(drop)
        .unwrap_or_default();
}

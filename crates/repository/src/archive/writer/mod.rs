//! Writing an archive.
//!
//! The order of what is stored makes every archive that is listed complete: the marker, the archive itself, the manifest, the pointer to
//! the latest, and then the marker goes.

mod stored;
mod stream;

use super::capture::{CaptureOptions, Contents, capture};
use super::compression::Compression;
use super::encryption::Encryption;
use super::failure::{carried, refused};
use super::latest;
use super::manifest::{self, Counts, Manifest, Part, StoredCompression, StoredEncryption, is_part_of};
use super::marker::{self, Marker, State};
use super::reader::PartsReader;
use crate::{Cancel, Counters, Error, Id, Monitor, Result, clock};
use jiff::Timestamp;
use std::io;
use storage::{ObjectInfo, Store};
use stored::StoredWriter;
use stream::ArchiveStream;

/// Least size of parts, bytes.
const MIN_PART_BYTES: u64 = 1 << 20;

/// An archive that is to be written.
#[derive(Clone, Debug)]
pub struct NewArchive {
    /// Name in the store, see [`NameTemplate`](super::NameTemplate).
    pub name: String,
    /// This host.
    pub host: String,
    /// The job that it is made for.
    pub job: String,
    /// When the job was begun.
    pub start: Timestamp,
    /// The archive that it takes the place of, see [`Manifest::original`].
    pub original: Option<String>,
}

/// How an archive is written.
#[derive(Debug)]
pub struct WriteOptions {
    /// How it is compressed.
    pub compression: Compression,
    /// Who can read it.
    pub encryption: Encryption,
    /// Cut what is stored into objects of so many bytes. Stores that take each object in one piece get parts without being asked.
    pub part_size: Option<u64>,
    /// The object that names the newest archive, see [`Latest`](super::Latest).
    pub latest: Option<String>,
    /// What only one program at a time holds, this one now. Who holds it later removes at once what this one leaves when it is killed, see
    /// [`CleanOptions::writer`](super::CleanOptions::writer).
    pub writer: Option<String>,
    /// What is captured and how.
    pub capture: CaptureOptions,
}

impl WriteOptions {
    /// Everything as usual but the encryption, which has no default.
    pub fn new(encryption: Encryption) -> Self {
        Self {
            compression: Compression::default(),
            encryption,
            part_size: None,
            latest: None,
            writer: None,
            capture: CaptureOptions::default(),
        }
    }
}

/// Store `contents` as a new archive. Problems with single entries are reported to `monitor` and counted in the manifest, together with
/// those that the snapshot has from when it was made, see [`Counts::problems`].
///
/// # Errors
/// [`Error::Refused`] if there is an archive of this name, or nothing to archive; [`Error::UnreadableSnapshot`]; those of the sources and
/// of the store. After an error the archive is not listed, unless only the answer to the manifest's writing was lost.
pub fn write<'a>(
    store: &dyn Store,
    new: &NewArchive,
    contents: impl Into<Contents<'a>>,
    options: &WriteOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Manifest> {
    check_options(options)?;
    let beside = Beside {
        latest: options.latest.as_deref(),
        writer: options.writer.as_deref(),
    };
    guarded(store, new, beside, monitor, || {
        monitor.phase("archive");
        let problems_before = Counters::get(&monitor.counters().problems);
        let contents = contents.into();
        let known_problems = contents.problems();
        let mut stored = store_content(store, new, contents, options, cancel, monitor)?;
        stored.counts.problems = known_problems + Counters::get(&monitor.counters().problems) - problems_before;
        Ok(stored.manifest(new, options))
    })
}

/// Store the archive that `manifest` describes, and that `from` holds, in `to` under the name `name`, byte by byte.
///
/// # Errors
/// As [`write()`]; [`Error::Damaged`] if it is not what its manifest says.
pub fn copy(
    from: &dyn Store,
    manifest: &Manifest,
    to: &dyn Store,
    name: &str,
    options: &CopyOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Manifest> {
    let new = NewArchive {
        name: name.to_owned(),
        host: manifest.host.clone(),
        job: manifest.job.clone(),
        start: manifest.start,
        original: manifest.original.clone(),
    };
    let beside = Beside {
        latest: options.latest.as_deref(),
        writer: options.writer.as_deref(),
    };
    guarded(to, &new, beside, monitor, || {
        let mut out = StoredWriter::new(to, name, options.part_size, monitor);
        let mut parts = PartsReader::new(from, manifest, cancel);
        io::copy(&mut parts, &mut out).map_err(carried)?;
        let (parts, sha256) = out.finish()?;
        if sha256 != manifest.sha256 {
            return Err(Error::Damaged {
                object: "archive",
                name: manifest.name.clone(),
                reason: "its checksum is not that of its manifest".to_owned(),
            });
        }
        Ok(Manifest {
            name: name.to_owned(),
            stored_bytes: parts.iter().map(|part| part.size).sum(),
            parts,
            ..manifest.clone()
        })
    })
}

/// How an archive is copied.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// As [`WriteOptions::part_size`].
    pub part_size: Option<u64>,
    /// As [`WriteOptions::latest`].
    pub latest: Option<String>,
    /// As [`WriteOptions::writer`].
    pub writer: Option<String>,
}

/// What is stored beside an archive.
struct Beside<'a> {
    latest: Option<&'a str>,
    writer: Option<&'a str>,
}

/// The order of writes around whatever stores the content.
fn guarded(
    store: &dyn Store,
    new: &NewArchive,
    beside: Beside<'_>,
    monitor: &dyn Monitor,
    content: impl FnOnce() -> Result<Manifest>,
) -> Result<Manifest> {
    check_free(store, &new.name)?;
    let marker = Marker::new(&new.name, &new.host, &new.job, clock::now(), State::Writing).by(beside.writer);
    marker.write(store)?;
    if Marker::read(store, &marker.object_name())?.as_ref() != Some(&marker) {
        store.delete(&marker.object_name()).unwrap_or_default();
        return Err(Error::Verification(
            "the store does not return what was written to it".to_owned(),
        ));
    }
    let manifest = content()
        .and_then(|manifest| verify(store, &manifest).map(|()| manifest))
        .inspect_err(|_| abandon(store, &marker))?;
    publish(store, &manifest)?;
    if let Some(pointer) = beside.latest {
        latest::write(store, pointer, &manifest)?;
        latest::link(store, pointer, &manifest, monitor);
    }
    // The archive is complete, whether its marker goes now or with the next run.
    if store.delete(&marker.object_name()).is_err() {
        monitor.note(&format!("`{}` cannot be removed yet", marker.object_name()));
    }
    Ok(manifest)
}

fn check_options(options: &WriteOptions) -> Result<()> {
    match options.part_size {
        Some(size) if size < MIN_PART_BYTES => Err(refused(
            &format!("parts of {size} bytes are too small"),
            "Choose parts of at least 1 MiB.",
        )),
        _ => Ok(()),
    }
}

/// An object that has the archive's name, or could be taken for a part of it.
pub(super) fn in_the_way(store: &dyn Store, name: &str) -> Result<Option<ObjectInfo>> {
    let others = [manifest::object_name(name), marker::object_name(name)];
    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
    let is_in_the_way = |object: &ObjectInfo| is_part_of(name, &object.name) || others.contains(&object.name);
    Ok(super::list_objects(store, parent)?.into_iter().find(is_in_the_way))
}

/// An archive is never overwritten, nor is anything else that has its name or could be taken for a part of it: from here on, whatever
/// has such a name is ours and may be removed.
fn check_free(store: &dyn Store, name: &str) -> Result<()> {
    match in_the_way(store, name)? {
        None => Ok(()),
        Some(object) => Err(refused(
            &format!(
                "there is a `{}` already, and archives are never overwritten",
                object.name
            ),
            "Put the time into the name, for example `%Y-%m-%dT%H-%M-%S`; or wait until what an interrupted run left is removed.",
        )),
    }
}

/// What was stored.
struct Stored {
    parts: Vec<Part>,
    sha256: Id,
    tar_bytes: u64,
    counts: Counts,
}

fn store_content(
    store: &dyn Store,
    new: &NewArchive,
    contents: Contents<'_>,
    options: &WriteOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Stored> {
    let compression = options.compression;
    let is_seekable = matches!(compression, Compression::Zstd(_));
    // The smaller one, if both say something.
    let part_size = options.part_size.into_iter().chain(store.max_stream_bytes()).min();
    let mut out = StoredWriter::new(store, &new.name, part_size, monitor);
    capture(contents, &options.capture, compression, cancel, monitor, |frames| {
        let mut stream = ArchiveStream::new(frames, is_seekable);
        options.encryption.seal(&mut stream, &mut out)?;
        let (parts, sha256) = out.finish()?;
        Ok(Stored {
            parts,
            sha256,
            tar_bytes: stream.tar_bytes,
            counts: stream.counts,
        })
    })
}

/// Remove what was stored of an archive that has no manifest. What cannot be removed now has a marker.
fn abandon(store: &dyn Store, marker: &Marker) {
    if super::clean::remove_parts(store, &marker.name).is_ok_and(|held| held.is_empty()) {
        store.delete(&marker.object_name()).unwrap_or_default();
    }
}

impl Stored {
    fn manifest(self, new: &NewArchive, options: &WriteOptions) -> Manifest {
        Manifest {
            format: manifest::FORMAT.to_owned(),
            version: manifest::VERSION,
            stored_bytes: self.parts.iter().map(|part| part.size).sum(),
            name: new.name.clone(),
            original: new.original.clone(),
            host: new.host.clone(),
            job: new.job.clone(),
            start: new.start,
            end: clock::now(),
            counts: self.counts,
            tar_bytes: self.tar_bytes,
            sha256: self.sha256,
            parts: self.parts,
            compression: StoredCompression::new(options.compression),
            encryption: StoredEncryption::new(&options.encryption),
        }
    }
}

/// Whether the store says that it has all of it.
fn verify(store: &dyn Store, manifest: &Manifest) -> Result<()> {
    for part in &manifest.parts {
        let size = store.stat(&part.name)?;
        if size != part.size {
            return Err(Error::Verification(format!(
                "the store has {size} bytes of `{}` instead of {}",
                part.name, part.size
            )));
        }
    }
    // Without it, somebody has cleaned up behind us, and parts may be missing by now.
    store.stat(&marker::object_name(&manifest.name))?;
    Ok(())
}

/// Make the archive one. If this fails, it may still be one: only the answer may be lost.
fn publish(store: &dyn Store, manifest: &Manifest) -> Result<()> {
    store.write(&manifest.object_name(), manifest.to_json()?.into())?;
    let damage = match Manifest::read(store, &manifest.name) {
        Ok(stored) if stored == *manifest => return Ok(()),
        Ok(_) => "another manifest than it was given".to_owned(),
        Err(error @ Error::Damaged { .. }) => error.to_string(),
        Err(error) => return Err(error),
    };
    // It must not stand there: neither for an archive, nor in the way of cleaning up.
    store.delete(&manifest.object_name()).unwrap_or_default();
    Err(Error::Verification(format!(
        "the store returns what was not written to it: {damage}"
    )))
}

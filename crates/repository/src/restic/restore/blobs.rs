//! From the store into files.

use super::reads::{Read, Use};
use super::session::Session;
use super::window::Window;
use crate::restic::compress::Opener;
use crate::restic::object::ObjectKind;
use crate::restic::pack::{BlobKind, PackedBlob};
use crate::{Error, Id, Result};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Read everything and write it where it belongs, on the session's threads.
pub fn transfer(session: &Session<'_>, window: &Window, reads: &[Read]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let run = || {
        let worked = Worker::new(session, window).and_then(|mut worker| {
            while let Some(read) = reads.get(next.fetch_add(1, Ordering::Relaxed)) {
                worker.work(read)?;
            }
            Ok(())
        });
        if let Err(error) = worked {
            // The others stop after what they have at hand.
            next.store(reads.len(), Ordering::Relaxed);
            failure.lock().get_or_insert(error);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..session.threads.min(reads.len()) {
            scope.spawn(run);
        }
        run();
    });
    failure.into_inner().map_or(Ok(()), Err)
}

struct Worker<'a> {
    session: &'a Session<'a>,
    window: &'a Window,
    opener: Opener,
    plain: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(session: &'a Session<'a>, window: &'a Window) -> Result<Self> {
        Ok(Self {
            session,
            window,
            opener: Opener::new()?,
            plain: Vec::new(),
        })
    }

    fn work(&mut self, read: &Read) -> Result<()> {
        self.session.cancel.check()?;
        let pack = self.window.packs[read.pack as usize];
        let name = ObjectKind::Pack.object_name(&pack);
        let range = u64::from(read.range.start)..u64::from(read.range.end);
        let sealed = match self.session.repository.store().read_range(&name, range) {
            Ok(sealed) => Some(sealed),
            // Then each blob is tried alone: a pack that is cut off still holds those before the cut.
            Err(error) if costs_only_its_files(&error) => None,
            Err(error) => return Err(error.into()),
        };
        let uses = &self.window.uses[read.uses.clone()];
        for group in uses.chunk_by(|a, b| a.blob.offset == b.blob.offset) {
            self.session.cancel.check()?;
            let blob = &group[0].blob;
            let start = (blob.offset - read.range.start) as usize;
            let sealed = sealed
                .as_ref()
                .map(|sealed| &sealed[start..start + blob.length as usize]);
            match self.open(&pack, blob, sealed)? {
                Ok(()) => self.write(group)?,
                Err(reason) => self.give_up(group, &reason),
            }
        }
        Ok(())
    }

    /// Fill `self.plain`; the inner error is what is wrong with the blob.
    fn open(&mut self, pack: &Id, blob: &PackedBlob, sealed: Option<&[u8]>) -> Result<Result<(), String>> {
        let opened = match sealed {
            Some(sealed) => self
                .opener
                .open(self.session.repository.key(), blob, sealed, &mut self.plain),
            None => Err(format!("pack `{pack}` cannot be read there")),
        };
        if opened.is_err() {
            match self
                .session
                .repository
                .read_blob(self.session.index, BlobKind::Data, &blob.id)
            {
                Ok(plain) => self.plain = plain,
                Err(Error::Storage(error)) if !costs_only_its_files(&error) => return Err(error.into()),
                Err(error) => return Ok(Err(chain(&error))),
            }
        }
        // Every offset in the file was counted with the length that the index gives.
        let is_as_long = self.plain.len() == blob.plain_length() as usize;
        Ok(if is_as_long {
            Ok(())
        } else {
            Err(format!("blob `{}` is longer or shorter than the index says", blob.id))
        })
    }

    fn write(&self, group: &[Use]) -> Result<()> {
        for one in group {
            let file = &self.window.pieces[one.piece as usize].file;
            file.write(self.session, &self.plain, one.offset)
                .map_err(Error::local("write", self.session.options.target.clone()))?;
        }
        Ok(())
    }

    fn give_up(&self, group: &[Use], reason: &str) {
        for one in group {
            let file = &self.window.pieces[one.piece as usize].file;
            file.fail(|| format!("its content cannot be read: {reason}"));
            file.complete(self.session, 1, None);
        }
    }
}

/// Whether an error concerns this object; otherwise the store as a whole is in trouble, and the next object would fail too.
fn costs_only_its_files(error: &storage::Error) -> bool {
    use storage::ErrorKind as Kind;
    !matches!(error.kind, Kind::TimedOut | Kind::Unavailable | Kind::Misconfigured)
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

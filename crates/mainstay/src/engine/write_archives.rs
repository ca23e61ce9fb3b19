//! The archives of a run: of the snapshot that it has just stored on this host, or of the sources.

use super::archives::ArchivePlace;
use super::destination::Destination;
use super::report::{Failure, RunReport, Stored};
use super::run::Run;
use repository::Error;
use repository::archive::{CaptureOptions, Contents, FromSnapshot, Manifest, StoredItem};
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::snapshot::Snapshot;

/// What a run has stored in repositories on this host: reading it again costs little, and is of the same moment as everything else.
#[derive(Default)]
pub struct Near {
    /// What was captured, in the order of an archive.
    pub items: Vec<StoredItem>,
    /// The snapshots, with the numbers of their repositories.
    pub snapshots: Vec<(usize, Snapshot)>,
}

impl Run<'_> {
    /// Into archives. Places of the same kind get copies of the first one's, see [`heal`](super::heal).
    pub fn write_archives(
        &self,
        destinations: &[Destination<'_>],
        near: &Near,
        report: &mut RunReport,
    ) -> anyhow::Result<()> {
        let mut written: Vec<usize> = Vec::new();
        let host = self.host;
        // A directory first: what is copied from there is not downloaded.
        let mut numbers: Vec<usize> = (0..destinations.len()).collect();
        numbers.sort_by_key(|number| destinations[*number].directory().is_none());
        for number in numbers {
            let Some(place) = destinations[number].archive() else {
                continue;
            };
            let is_like = |other: &usize| destinations[*other].archive().is_some_and(|other| other.is_like(place));
            if self.options.dry_run || written.iter().any(is_like) {
                continue;
            }
            let stored = self.write_archive(place, destinations, near, report);
            let told = &mut report.destinations[number];
            match stored {
                Ok(manifest) => {
                    report.problems = report.problems.max(manifest.counts.problems);
                    told.stored = Some(Stored {
                        id: manifest.name,
                        added_bytes: None,
                        stored_bytes: manifest.stored_bytes,
                    });
                    written.push(number);
                }
                Err(error) => {
                    host.cancel.check()?;
                    let error = Failure::from(error);
                    host.monitor.problem(&told.name, &error.message);
                    told.fail(error);
                }
            }
        }
        Ok(())
    }

    /// From the first snapshot that can be read. Only if there is none, the sources are read (again).
    fn write_archive(
        &self,
        place: &ArchivePlace<'_>,
        destinations: &[Destination<'_>],
        near: &Near,
        report: &mut RunReport,
    ) -> anyhow::Result<Manifest> {
        for (number, snapshot) in &near.snapshots {
            let told = &mut report.destinations[*number];
            if told.error.is_some() {
                continue;
            }
            match self.write_snapshot(place, &destinations[*number], snapshot, &near.items) {
                Ok(Some(manifest)) => return Ok(manifest),
                Ok(None) => {}
                Err(error) if is_unreadable(&error) => {
                    let error = Failure::from(error);
                    self.host.monitor.problem(&told.name, &error.message);
                    told.fail(error);
                }
                Err(error) => return Err(error),
            }
        }
        let sources = self.capture()?.into_archive(self.naming, &self.written);
        self.write_to(place, sources.into())
    }

    /// Nothing if somebody else is changing the repository.
    fn write_snapshot(
        &self,
        place: &ArchivePlace<'_>,
        from: &Destination<'_>,
        snapshot: &Snapshot,
        items: &[StoredItem],
    ) -> anyhow::Result<Option<Manifest>> {
        let Some((repository, _)) = from.restic() else {
            return Ok(None);
        };
        let options = LockOptions {
            retry: self.host.retry_lock,
            cancel: self.host.cancel.clone(),
        };
        let _reading = match Lock::acquire(repository, LockKind::Shared, &options, self.host.monitor) {
            Ok(lock) => lock,
            Err(error) => {
                self.host.cancel.check()?;
                let name = &from.config.name;
                let note = format!("the sources are read again for an archive, since `{name}` cannot be read: {error}");
                self.host.monitor.note(&note);
                return Ok(None);
            }
        };
        let from = FromSnapshot::open(repository, snapshot, items.to_vec())?;
        self.write_to(place, Contents::Snapshot(&from)).map(Some)
    }

    fn write_to(&self, place: &ArchivePlace<'_>, contents: Contents<'_>) -> anyhow::Result<Manifest> {
        let options = CaptureOptions {
            filter: self.filter.clone(),
            one_file_system: self.one_file_system,
            substitute: self.substitute(),
            ..CaptureOptions::default()
        };
        let (host, timezone) = (self.host, &self.job.timezone);
        place.write(self.naming, timezone, contents, options, host.cancel, host.monitor)
    }
}

/// Whether a repository does not return what was stored in it.
fn is_unreadable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::UnreadableSnapshot { .. }))
}

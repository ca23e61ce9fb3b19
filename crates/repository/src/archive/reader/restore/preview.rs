//! What a dry run tells. Nothing is changed, and of an archive with an index no content is read.

use super::removal::Removed;
use super::{Overwrite, RestoreOptions, RestoreReport};
use crate::archive::entry::{Entry, EntryKind};
use crate::archive::reader::Archive;
use crate::local::meta::stat_path;
use crate::restic::restore::Protected;
use crate::{Event, Monitor, Result};
use std::path::Path;

impl Archive<'_> {
    /// What a restore would do.
    pub(super) fn preview(&self, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
        let mut report = RestoreReport::default();
        let names = options.delete.then(|| self.names(options)).transpose()?;
        self.entries(&mut |entry| {
            let is_dir = entry.kind == EntryKind::Dir;
            // A directory that is only on the way to something is not restored for itself.
            match options.place(&entry.path, is_dir) {
                Some(place) if !is_dir || options.filter.includes(&Path::new("/").join(place)) => {
                    preview(entry, place, options, &mut report, monitor);
                }
                _ => {}
            }
            Ok(())
        })?;
        if let Some(names) = &names {
            let (removed, protected) = (Removed::new(monitor), Protected::new(&options.protect));
            options.preview_others(names, &removed.remover(options, &protected));
            report.deleted = removed.entries.get();
        }
        Ok(report)
    }
}

fn preview(entry: &Entry, place: &Path, options: &RestoreOptions, report: &mut RestoreReport, monitor: &dyn Monitor) {
    let there = stat_path(&options.target.join(place)).ok();
    let is_same = |there: &crate::local::meta::Stat| {
        there.is_file() && entry.kind == EntryKind::File && (there.size, there.mtime) == (entry.size, entry.mtime)
    };
    let what = match (entry.kind, there) {
        (_, None) => "new",
        (EntryKind::Dir, Some(there)) if there.is_dir() => "unchanged",
        (_, Some(there)) if is_same(&there) && options.overwrite != Overwrite::Never => "unchanged",
        (_, Some(there)) if !there.is_dir() && options.overwrite.keeps(&there, entry.mtime) => "skipped",
        (_, Some(_)) => "changed",
    };
    match (what, entry.kind) {
        ("skipped", _) => report.skipped += 1,
        (_, EntryKind::Dir) => report.directories += 1,
        ("unchanged", EntryKind::File) => {
            report.files += 1;
            report.identical_files += 1;
            report.identical_bytes += entry.size;
        }
        (_, EntryKind::File | EntryKind::HardLink) => {
            report.files += 1;
            report.bytes += entry.size;
        }
        (_, EntryKind::Symlink | EntryKind::Device | EntryKind::CharDev | EntryKind::Fifo) => report.others += 1,
    }
    if monitor.wants_entries() {
        let path = &Path::new("/").join(place);
        let size = entry.size;
        monitor.event(Event::Entry { path, what, size });
    }
}

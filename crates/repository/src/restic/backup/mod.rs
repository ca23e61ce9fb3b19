//! Backup: from paths and streams to one snapshot.
//!
//! Threads, connected by bounded channels, so that memory does not grow with what is backed up:
//!
//! ```text
//! scanners ──files to read──▶ readers ──content──▶ workers ──sealed blobs──▶ packer ──packs──▶ uploaders
//!    └──────────── finished entries ──────────────────┴────▶ directories, which become trees bottom-up
//! ```

mod blobs;
mod content;
mod directory;
mod expect;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod job;
mod options;
mod parent;
mod prepare;
mod scan;
mod scan_cache;
mod sources;
mod store;

pub use sources::clean_path;

pub use options::{BackupOptions, Destination, MakeLast, Parent, PartTotals, Report, Source, Totals};

use super::packer::{Packer, Target};
use super::parallel;
use super::repository::Repository;
use crate::{Cancel, Error, Monitor, Result, clock};
use expect::Expected;
use job::{Captured, Job, Place};
use prepare::Prepared;
use std::time::Duration;

/// Back up `sources` into one new snapshot.
pub fn run(
    repository: &Repository,
    sources: Vec<Source>,
    options: &BackupOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Report> {
    let destination = Destination {
        repository,
        pack: options.pack.clone(),
        give_up: cancel.clone(),
    };
    let mut outcomes = run_all(&[destination], Duration::MAX, sources, options, cancel, monitor)?;
    outcomes.pop().unwrap_or(Err(Error::Interrupted))
}

/// Back up `sources` into one new snapshot in each of several repositories, from one reading.
///
/// Returns what became of each, in their order. One that fails, or that keeps the others waiting for longer than `patience`, drops out;
/// what it stored so far is used by its next run. An error concerns all of them: the sources, or a request to stop.
pub fn run_all(
    destinations: &[Destination<'_>],
    patience: Duration,
    sources: Vec<Source>,
    options: &BackupOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Vec<Result<Report>>> {
    let started = clock::now();
    let sources = sources::resolve(sources)?;
    let paths = sources.paths();
    monitor.phase("loading the index");
    let prepared = parallel::map(destinations, destinations.len(), |destination| {
        Prepared::new(destination, &paths, options, monitor)
    });
    let (mut outcomes, mut ready) = (Outcomes::new(destinations.len()), Vec::new());
    for (at, prepared) in prepared.into_iter().enumerate() {
        ready.extend(outcomes.keep(at, prepared));
    }
    if ready.is_empty() {
        return Ok(outcomes.finish());
    }
    let known = prepare::common_scan_cache(&mut ready);
    let parent = ready[0].1.parent.as_ref().map(|(_, snapshot)| snapshot);
    monitor.phase("backing up");
    Expected::begin(monitor, parent.and_then(|snapshot| snapshot.summary.as_ref()));
    let targets: Vec<Target<'_>> = ready.iter().map(|(_, prepared)| prepared.target()).collect();
    let (captured, added) = Packer::run_all(&targets, patience, cancel, monitor, |packers| {
        let places = packers.iter().zip(&ready);
        let places: Vec<Place<'_>> = places
            .map(|(packer, (_, prepared))| Place::new(packer, &prepared.index))
            .collect();
        let parent = parent.map(|snapshot| snapshot.tree);
        Job::new(&places, options, cancel, monitor, known, parent).capture(sources)
    });
    let captured = match captured {
        Ok(captured) => captured,
        // Nobody was left to store to.
        Err(Error::Interrupted) if !cancel.is_cancelled() => Captured::default(),
        Err(error) => return Err(error),
    };
    let mut complete = Vec::new();
    for ((at, prepared), added) in ready.iter().zip(added) {
        complete.extend(outcomes.keep(*at, added).map(|(at, added)| (at, prepared, added)));
    }
    if !complete.is_empty() {
        refuse_nothing(&captured, &paths, options)?;
    }
    let stored = parallel::map(&complete, complete.len(), |(at, prepared, added)| {
        (*at, prepared.store(started, &paths, &captured, added, options))
    });
    for (at, report) in stored {
        outcomes.set(at, report);
    }
    Ok(outcomes.finish())
}

/// What became of each destination.
struct Outcomes(Vec<Option<Result<Report>>>);

impl Outcomes {
    fn new(count: usize) -> Self {
        Self(std::iter::repeat_with(|| None).take(count).collect())
    }

    fn set(&mut self, at: usize, outcome: Result<Report>) {
        self.0[at] = Some(outcome);
    }

    /// What goes on, with its number; a failure ends here.
    fn keep<T>(&mut self, at: usize, step: Result<T>) -> Option<(usize, T)> {
        step.map(|value| (at, value))
            .map_err(|error| self.set(at, Err(error)))
            .ok()
    }

    fn finish(self) -> Vec<Result<Report>> {
        let interrupted = || Err(Error::Interrupted);
        self.0
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(interrupted))
            .collect()
    }
}

/// An empty source is what an unmounted disk or a dump that failed looks like.
fn refuse_nothing(captured: &Captured, paths: &[String], options: &BackupOptions) -> Result<()> {
    if captured.entries > 0 || options.allow_empty {
        return Ok(());
    }
    if captured.totals.problems > 0 {
        return Err(Error::Refused {
            message: format!("nothing could be read in `{}`", paths.join("`, `")),
            hint: "The reason is above, for each entry; run it as a user who may read them.".to_owned(),
        });
    }
    Err(Error::Refused {
        message: format!("there is nothing to back up in `{}`", paths.join("`, `")),
        hint:
            "Check that everything is mounted and not excluded; `--allow-empty` stores an empty snapshot all the same."
                .to_owned(),
    })
}

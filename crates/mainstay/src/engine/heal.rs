//! Completing repositories that missed runs, from one that did not.

use super::archives::ArchivePlace;
use super::destination::{Destination, open_all, reopen};
use super::report::{DestinationReport, Failure, RunReport, Stored};
use super::retention::of_job;
use super::{Host, Naming, overlap};
use crate::config::model::Job;
use crate::exit::Exit;
use repository::archive::Manifest;
use repository::restic::copy::{self, CopyOptions};
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::packer::PackOptions;
use repository::restic::repository::Repository;
use repository::restic::snapshot::Snapshot;
use repository::{Id, Result};
use std::collections::HashSet;

/// Copy what is missing in some repositories of a job from those that have it. Nothing is captured, nothing is removed.
///
/// # Errors
/// [`Error::Locked`](repository::Error::Locked) if the job runs. Each repository's are in the report.
pub fn sync(host: &Host<'_>, job: &Job) -> Result<RunReport> {
    let running = overlap::begin(host.state.as_deref(), job.origin.file(), &job.name, host.monitor)?;
    let naming = Naming::new(host.config, job, running.as_ref());
    let mut report = RunReport::begin(&naming, false);
    let mut destinations = report.phase("open", |_| open_all(host, job, false));
    for destination in &mut destinations {
        report.destinations.push(DestinationReport::of(destination));
    }
    report.phase("copy", |report| {
        heal(host, &naming, Wanted::Everything, &mut destinations, report);
    });
    Ok(report.finish())
}

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Whatever is missing.
    Everything,
    /// What is newer than the newest restore point that both had before this run: what was missed. What somebody has removed by hand stays
    /// removed.
    SinceCommon,
}

/// The same within a run. A repository that is complete afterwards has no error any more.
pub fn heal<'a>(
    host: &Host<'a>,
    naming: &Naming,
    wanted: Wanted,
    destinations: &mut [Destination<'a>],
    report: &mut RunReport,
) {
    for (destination, told) in destinations.iter_mut().zip(&report.destinations) {
        // One that dropped out for being slow is served now, when nobody waits for it.
        if told.error.is_some() && destination.give_up.is_cancelled() {
            reopen(host, destination);
        }
    }
    let restic: Vec<usize> = numbers(destinations, |one| one.restic().is_some());
    heal_all(
        host,
        (naming, wanted),
        destinations,
        report,
        &restic,
        snapshots,
        copy_snapshots,
    );
    let mut archives = numbers(destinations, |one| one.archive().is_some());
    while let Some(first) = archives.first().copied() {
        let is_like = |at: &usize| match (destinations[first].archive(), destinations[*at].archive()) {
            (Some(a), Some(b)) => a.is_like(b),
            _ => false,
        };
        let (alike, others) = archives.iter().partition(|at| is_like(at));
        archives = others;
        heal_all(
            host,
            (naming, wanted),
            destinations,
            report,
            &alike,
            archives_of,
            copy_archives,
        );
    }
}

fn numbers(destinations: &[Destination<'_>], is_wanted: impl Fn(&Destination<'_>) -> bool) -> Vec<usize> {
    (0..destinations.len())
        .filter(|at| is_wanted(&destinations[*at]))
        .collect()
}

/// How many restore points there are, and the name and time of the newest.
type Survey = (usize, Option<(jiff::Timestamp, String)>);

/// Bring those of `these` that have less up to the one that has the newest and most.
fn heal_all(
    host: &Host<'_>,
    (naming, wanted): (&Naming, Wanted),
    destinations: &[Destination<'_>],
    report: &mut RunReport,
    these: &[usize],
    survey: fn(&Host<'_>, &Naming, &Destination<'_>) -> Result<Survey>,
    copy: fn(&Host<'_>, &Naming, Wanted, &Destination<'_>, &Destination<'_>) -> Result<usize>,
) {
    if these.len() < 2 {
        return;
    }
    let surveyed: Vec<(usize, Survey)> = these
        .iter()
        .filter_map(|at| match survey(host, naming, &destinations[*at]) {
            Ok(survey) => Some((*at, survey)),
            Err(error) => {
                report.destinations[*at].fail(error.into());
                None
            }
        })
        .collect();
    let newest = |survey: &Survey| (survey.1.as_ref().map(|(time, _)| *time), survey.0);
    let Some((best, (_, Some((_, newest_name))))) = surveyed.iter().max_by_key(|(_, survey)| newest(survey)) else {
        return;
    };
    for (at, _) in surveyed.iter().filter(|(at, _)| at != best) {
        let (from, to) = (&destinations[*best], &destinations[*at]);
        match copy(host, naming, wanted, from, to) {
            Ok(copied) => {
                // A copy of a snapshot has a name of its own.
                let is_told = copied > 0 && report.destinations[*at].stored.is_none();
                let there = is_told.then(|| survey(host, naming, to).ok()).flatten();
                let newest = there.and_then(|(_, newest)| newest);
                let newest = newest.map_or_else(|| newest_name.clone(), |(_, name)| name);
                report.destinations[*at].heal(copied, newest);
            }
            Err(error) => report.destinations[*at].fail(error.into()),
        }
    }
}

fn snapshots(host: &Host<'_>, naming: &Naming, destination: &Destination<'_>) -> Result<Survey> {
    let Some((repository, _)) = destination.restic() else {
        return Ok((0, None));
    };
    let found = of(repository, naming)?;
    host.cancel.check()?;
    let newest = found.iter().max_by_key(|(_, snapshot)| snapshot.time.timestamp());
    Ok((
        found.len(),
        newest.map(|(id, snapshot)| (snapshot.time.timestamp(), id.to_string())),
    ))
}

fn of(repository: &Repository, naming: &Naming) -> Result<Vec<(Id, Snapshot)>> {
    let filter = of_job(naming);
    let readable = repository.snapshots()?.into_iter().filter_map(Result::ok);
    Ok(readable.filter(|(_, snapshot)| filter.matches(snapshot)).collect())
}

fn copy_snapshots(
    host: &Host<'_>,
    naming: &Naming,
    what: Wanted,
    from: &Destination<'_>,
    to: &Destination<'_>,
) -> Result<usize> {
    let (Some((from, _)), Some((to, packs))) = (from.restic(), to.restic()) else {
        return Ok(0);
    };
    let mut wanted = of(from, naming)?;
    let origin = |(id, snapshot): &(Id, Snapshot)| snapshot.original.unwrap_or(*id);
    // Also one that was purged is there: it must not come back.
    let here: HashSet<Id> = of(to, naming)?.iter().map(origin).collect();
    let time = |(_, snapshot): &(Id, Snapshot)| snapshot.time.timestamp();
    let common = wanted
        .iter()
        .filter(|one| here.contains(&origin(one)) && time(one) < naming.start);
    let since = common.map(time).max().filter(|_| what == Wanted::SinceCommon);
    wanted.retain(|one| !here.contains(&origin(one)) && Some(time(one)) > since);
    if wanted.is_empty() {
        return Ok(0);
    }
    wanted.sort_by_key(|(_, snapshot)| std::cmp::Reverse(snapshot.time.timestamp()));
    let options = LockOptions {
        retry: host.retry_lock,
        cancel: host.cancel.clone(),
    };
    let _reading = Lock::acquire(from, LockKind::Shared, &options, host.monitor)?;
    let lock = Lock::acquire(to, LockKind::Shared, &options, host.monitor)?;
    let packs = CopyOptions {
        packs: PackOptions::clone(packs),
    };
    let report = copy::copy(from, to, &wanted, &packs, &lock, host.cancel, host.monitor)?;
    Ok(report.copied.len())
}

fn archives_of(host: &Host<'_>, naming: &Naming, destination: &Destination<'_>) -> Result<Survey> {
    let Some(place) = destination.archive() else {
        return Ok((0, None));
    };
    let found = place.list(&naming.host, &naming.job, host.cancel, host.monitor)?;
    let newest = found.last().map(|manifest| (manifest.start, manifest.name.clone()));
    Ok((found.len(), newest))
}

fn copy_archives(
    host: &Host<'_>,
    naming: &Naming,
    what: Wanted,
    from: &Destination<'_>,
    to: &Destination<'_>,
) -> Result<usize> {
    let (Some(from), Some(to)) = (from.archive(), to.archive()) else {
        return Ok(0);
    };
    // What an interrupted copy left has the name of what is to be copied.
    to.clean(naming, host.cancel, host.monitor)?;
    let list = |place: &ArchivePlace<'_>| place.list(&naming.host, &naming.job, host.cancel, host.monitor);
    let (here, mut wanted) = (list(to)?, list(from)?);
    let newest_here = here.last().map(|manifest| manifest.start);
    // Also one that was purged is there: it must not come back.
    let is_here = |manifest: &Manifest| here.iter().any(|there| there.origin() == manifest.origin());
    let common = wanted
        .iter()
        .filter(|manifest| is_here(manifest) && manifest.start < naming.start);
    let since = common
        .map(|manifest| manifest.start)
        .max()
        .filter(|_| what == Wanted::SinceCommon);
    wanted.retain(|manifest| !is_here(manifest) && Some(manifest.start) > since);
    // The newest first; only that one may be named as the latest.
    for (number, manifest) in wanted.iter().rev().enumerate() {
        let is_newest = number == 0 && newest_here < Some(manifest.start);
        to.copy_from(from, manifest, naming, is_newest, host.cancel, host.monitor)?;
    }
    Ok(wanted.len())
}

impl DestinationReport {
    /// Of a repository that was opened, or not.
    pub fn of(destination: &mut Destination<'_>) -> Self {
        let location = destination.location();
        let error = match &mut destination.opened {
            Ok(_) => None,
            opened => std::mem::replace(opened, Err(anyhow::anyhow!("it could not be opened")))
                .err()
                .map(Failure::from)
                .map(with_way_out),
        };
        Self {
            name: destination.config.name.clone(),
            location,
            format: destination.config.format.name(),
            stored: None,
            copied: 0,
            retention: Default::default(),
            error,
        }
    }

    /// It has everything now, unless it cannot return what it has.
    fn heal(&mut self, copied: usize, newest: String) {
        self.copied = copied;
        if self.stored.is_some() {
            return;
        }
        if copied > 0 {
            self.stored = Some(Stored {
                id: newest,
                added_bytes: None,
                stored_bytes: 0,
            });
        }
        self.error = None;
    }

    /// It lacks something. The first failure explains the others.
    pub fn fail(&mut self, failure: Failure) {
        self.error.get_or_insert(failure);
    }
}

/// A run can make a repository itself.
fn with_way_out(mut failure: Failure) -> Failure {
    if failure.exit == Exit::NoRepository {
        failure.hint = Some("Check the address, or create the repository: `mainstay run --init`.".to_owned());
    }
    failure
}

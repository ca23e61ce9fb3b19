//! One execution of a job.

use super::capture::{self, Capture, Written, met_below};
use super::destination::{Destination, open_all};
use super::heal::{Wanted, heal};
use super::report::{DestinationReport, Failure, Retention, RunReport, Stored};
use super::retention::expire;
use super::write_archives::Near;
use super::{Host, Naming, job_tag, overlap};
use crate::config::model::Job;
use crate::source::{self, Protected, Surroundings};
use repository::restic::backup::{self, BackupOptions, Report};
use repository::restic::lock::LockOptions;
use repository::{Filter, Id, Substitute};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a job is run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Store and remove nothing.
    pub dry_run: bool,
    /// Create repositories that do not exist.
    pub init: bool,
    /// How long one repository may keep the others waiting. What it lacks then is copied to it afterwards.
    pub patience: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            init: false,
            patience: Duration::from_secs(5 * 60),
        }
    }
}

/// Capture the sources of `job` once, store them in all of its repositories, complete those that lack something, and remove what no rule
/// keeps.
///
/// # Errors
/// What is wrong with the configuration. Everything else is in the report.
pub fn run(host: &Host<'_>, job: &Job, options: RunOptions) -> anyhow::Result<RunReport> {
    let sources = source::of(job)?;
    let running = overlap::begin(host.state.as_deref(), job.origin.file(), &job.name, host.monitor)?;
    let naming = Naming::new(host.config, job, running.as_ref());
    for warning in host.config.warnings(job) {
        host.monitor.note(&format!("{warning}. {}", warning.hint));
    }
    let mut report = RunReport::begin(&naming, options.dry_run);
    let mut destinations = report.phase("open", |_| open_all(host, job, options.init && !options.dry_run));
    for destination in &mut destinations {
        report.destinations.push(DestinationReport::of(destination));
    }
    let (filter, one_file_system) = capture::filter(job, &sources, &own_directories(host, &sources, &destinations))?;
    let run = Run {
        host,
        job,
        naming: &naming,
        sources: &sources,
        filter,
        one_file_system,
        options,
        written: Written::default(),
    };
    let captured = report
        .phase("capture", |report| run.fill_repositories(&destinations, report))
        .and_then(|near| report.phase("archive", |report| run.write_archives(&destinations, &near, report)));
    if let Some(manifest) = run.written.lock().take() {
        report.captured(manifest);
    }
    if let Err(error) = captured {
        report.error = Some(Failure::from(error));
        return Ok(report.finish());
    }
    if !options.dry_run {
        if report.destinations.iter().any(|told| told.error.is_some()) {
            // To complete one may take as long as a slow store takes: the others do not wait for it.
            report.phase("retention", |report| run.expire(&destinations, report));
        }
        report.phase("copy", |report| {
            heal(host, &naming, Wanted::SinceCommon, &mut destinations, report);
        });
    }
    report.phase("retention", |report| run.expire(&destinations, report));
    Ok(report.finish())
}

/// Repositories on this host and the cache, where they lie in what is captured: what stores itself doubles with every run.
fn own_directories(host: &Host<'_>, sources: &[Protected], destinations: &[Destination<'_>]) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = sources
        .iter()
        .flat_map(|protected| protected.source.scope().paths)
        .collect();
    let own = destinations
        .iter()
        .filter_map(Destination::directory)
        .chain(host.cache.clone());
    own.flat_map(|own| met_below(&paths, &own)).collect()
}

/// What the steps of a run share.
pub(super) struct Run<'a> {
    pub host: &'a Host<'a>,
    pub job: &'a Job,
    pub naming: &'a Naming,
    sources: &'a [Protected],
    pub filter: Filter,
    pub one_file_system: bool,
    pub options: RunOptions,
    pub written: Written,
}

impl Run<'_> {
    pub fn capture(&self) -> anyhow::Result<Capture> {
        let surroundings = Surroundings {
            secrets: self.host.secrets,
            cancel: self.host.cancel,
            monitor: self.host.monitor,
        };
        let mut capture = Capture::new(self.sources, &surroundings)?;
        if self.options.dry_run {
            capture.only_paths();
        }
        Ok(capture)
    }

    /// Into all repositories of restic's format, from one reading; returns what is on this host now.
    fn fill_repositories(&self, destinations: &[Destination<'_>], report: &mut RunReport) -> anyhow::Result<Near> {
        let mut near = Near::default();
        let (numbers, targets): (Vec<usize>, Vec<backup::Destination<'_>>) = destinations
            .iter()
            .enumerate()
            .filter_map(|(number, destination)| {
                let (repository, packs) = destination.restic()?;
                let target = backup::Destination {
                    repository,
                    pack: packs.clone(),
                    give_up: destination.give_up.clone(),
                };
                Some((number, target))
            })
            .unzip();
        if targets.is_empty() {
            return Ok(near);
        }
        let capture = self.capture()?;
        if capture.is_empty() {
            return Ok(near);
        }
        near.items = capture.stored_items();
        let sources = capture.into_restic(self.naming, &self.written);
        let (cancel, monitor) = (self.host.cancel, self.host.monitor);
        let outcomes = backup::run_all(
            &targets,
            self.options.patience,
            sources,
            &self.backup_options(),
            cancel,
            monitor,
        )?;
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            let told = &mut report.destinations[number];
            match outcome {
                Ok(stored) => {
                    told.stored = Some(stored_snapshot(&stored));
                    if let (Some((_, snapshot)), Some(_)) = (stored.snapshot, destinations[number].directory()) {
                        near.snapshots.push((number, snapshot));
                    }
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    monitor.problem(&told.name, &failure.message);
                    told.fail(failure);
                }
            }
        }
        Ok(near)
    }

    /// Apply the rules to those that hold this run, unless that is done.
    fn expire(&self, destinations: &[Destination<'_>], report: &mut RunReport) {
        for (destination, told) in destinations.iter().zip(&mut report.destinations) {
            if told.error.is_none() && matches!(told.retention, Retention::NotReached) {
                told.retention = expire(self.host, self.job, self.naming, destination, self.options.dry_run);
            }
        }
    }

    fn backup_options(&self) -> BackupOptions {
        let mut tags = self.job.tags.clone();
        tags.push(job_tag(&self.job.name));
        BackupOptions {
            host: Some(self.naming.host.clone()),
            tags,
            time: Some(self.naming.start),
            // The same in every repository, so that what is copied later is known.
            original: (self.job.to.len() > 1).then(|| Id(rand::random())),
            filter: self.filter.clone(),
            excludes: self.job.exclude.patterns.clone(),
            one_file_system: self.one_file_system,
            substitute: self.substitute(),
            lock: LockOptions {
                retry: self.host.retry_lock,
                cancel: self.host.cancel.clone(),
            },
            dry_run: self.options.dry_run,
            ..BackupOptions::default()
        }
    }

    /// Databases among the files are captured as such.
    pub fn substitute(&self) -> Option<Arc<dyn Substitute>> {
        Some(Arc::new(source::InFiles::new(self.host.cancel.clone())))
    }
}

fn stored_snapshot(report: &Report) -> Stored {
    let id = report.snapshot.as_ref().map(|(id, _)| id.to_string());
    Stored {
        id: id.unwrap_or_default(),
        added_bytes: Some(report.summary.data_added),
        stored_bytes: report.summary.data_added_packed,
    }
}

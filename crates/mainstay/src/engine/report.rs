//! What a run did, for people and for programs.

use super::Naming;
use super::manifest::{Manifest, Part, Skipped};
use crate::exit::{self, Exit};
use crate::{clock, explain};
use jiff::Timestamp;
use repository::Held;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What a run did.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// The job.
    pub job: String,
    /// The host.
    pub host: String,
    /// When it was begun.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Nothing was stored or removed.
    pub dry_run: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// What was captured, source by source.
    pub parts: Vec<Part>,
    /// Entries that could not be read.
    pub problems: u64,
    /// Entries that vanished between being listed and being read.
    pub vanished: u64,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// What became of each repository.
    pub destinations: Vec<DestinationReport>,
    /// What was left out on purpose.
    pub skipped: Vec<Skipped>,
    /// How long each step took.
    pub phases: Vec<Phase>,
    /// Why nothing was captured.
    pub error: Option<Failure>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is where it is wanted.
    Done,
    /// Something could not be read, or what is old could not be removed.
    Incomplete,
    /// Some repositories lack it.
    Degraded,
    /// No repository has it.
    Failed,
}

/// One repository.
#[derive(Debug, Serialize)]
pub struct DestinationReport {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// `restic` or `archive`.
    pub format: &'static str,
    /// What was stored.
    pub stored: Option<Stored>,
    /// Restore points that it lacked and that were copied from another repository.
    pub copied: usize,
    /// What is old.
    pub retention: Retention,
    /// Why it lacks the restore point of this run.
    pub error: Option<Failure>,
}

/// A restore point that was stored.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// Id of the snapshot, or name of the archive.
    pub id: String,
    /// Content that was not there before, bytes; nothing is known of archives.
    pub added_bytes: Option<u64>,
    /// What it takes in the store, bytes.
    pub stored_bytes: u64,
}

/// What became of old restore points.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Retention {
    /// It did not come to that.
    #[default]
    NotReached,
    /// The job has no rules.
    KeepsEverything,
    /// The repository is append-only: this is done elsewhere.
    AppendOnly,
    /// Done.
    Done(Expired),
    /// It failed. What is kept by mistake is removed by a later run.
    Failed(Failure),
}

/// What was removed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Expired {
    /// How many stay.
    pub kept: usize,
    /// Those that go.
    pub removed: Vec<Removed>,
    /// Space that was given back, bytes.
    pub freed_bytes: u64,
    /// What was to go, and stays because the store keeps it for a time.
    pub held: Held,
}

/// A restore point that was removed because no rule keeps it.
#[derive(Clone, Debug, Serialize)]
pub struct Removed {
    /// Id of the snapshot, or name of the archive.
    pub name: String,
    /// When it was made.
    pub time: Timestamp,
}

/// How long a step took.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Which.
    pub name: &'static str,
    /// Seconds.
    pub seconds: f64,
}

/// An error, told.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The exit code that fits it.
    #[serde(skip)]
    pub exit: Exit,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            message: explain::chain(&error),
            hint: explain::hint(&error),
            exit: exit::of(&error),
        }
    }
}

impl From<repository::Error> for Failure {
    fn from(error: repository::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl RunReport {
    /// Of a run that begins.
    pub fn begin(naming: &Naming, dry_run: bool) -> Self {
        Self {
            job: naming.job.clone(),
            host: naming.host.clone(),
            start: naming.start,
            end: naming.start,
            dry_run,
            outcome: Outcome::Failed,
            parts: Vec::new(),
            problems: 0,
            vanished: 0,
            changed_while_read: 0,
            destinations: Vec::new(),
            skipped: naming.skipped.clone(),
            phases: Vec::new(),
            error: None,
        }
    }

    /// Measure a step.
    pub fn phase<T>(&mut self, name: &'static str, step: impl FnOnce(&mut Self) -> T) -> T {
        let begin = Instant::now();
        let result = step(self);
        self.add_phase(name, begin.elapsed());
        result
    }

    fn add_phase(&mut self, name: &'static str, took: Duration) {
        let seconds = took.as_secs_f64();
        match self.phases.iter_mut().find(|phase| phase.name == name) {
            Some(phase) => phase.seconds += seconds,
            None => self.phases.push(Phase { name, seconds }),
        }
    }

    /// What was captured, as the manifest says.
    pub fn captured(&mut self, manifest: Manifest) {
        self.parts = manifest.parts;
        self.problems = self.problems.max(manifest.problems);
        self.vanished = manifest.vanished;
        self.changed_while_read = manifest.changed_while_read;
    }

    /// Judge how it ended.
    pub fn finish(mut self) -> Self {
        self.end = clock::now();
        let lacks = |one: &DestinationReport| one.error.is_some();
        let is_late = |one: &DestinationReport| matches!(one.retention, Retention::Failed(_));
        self.outcome = if self.error.is_some() || self.destinations.iter().all(lacks) {
            Outcome::Failed
        } else if self.destinations.iter().any(lacks) {
            Outcome::Degraded
        } else if self.problems > 0 || self.destinations.iter().any(is_late) {
            Outcome::Incomplete
        } else {
            Outcome::Done
        };
        self
    }

    /// The exit code that fits.
    pub fn exit(&self) -> Exit {
        let reason = || {
            self.error
                .as_ref()
                .or_else(|| self.destinations.iter().find_map(|one| one.error.as_ref()))
        };
        match self.outcome {
            Outcome::Done => Exit::Done,
            Outcome::Incomplete | Outcome::Degraded => Exit::Incomplete,
            Outcome::Failed => reason().map_or(Exit::Failed, |failure| failure.exit),
        }
    }
}

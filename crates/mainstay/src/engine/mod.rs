//! What is done with jobs: one recipe for each operation.

mod archives;
mod capture;
mod destination;
pub mod doctor;
mod heal;
pub mod manifest;
pub mod overlap;
pub mod parts;
pub mod report;
mod retention;
mod run;
mod write_archives;

pub use archives::encryption;
pub use capture::met_below;
pub use heal::sync;
pub use run::{RunOptions, run};

use crate::config::model::{Config, Job, Repository};
use crate::config::secret::SecretReader;
use jiff::Timestamp;
use manifest::Skipped;
use overlap::Running;
use repository::{Cancel, Monitor};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::Store;

/// What the operations work with.
pub struct Host<'a> {
    /// What is configured.
    pub config: &'a Config,
    /// Fetches secrets.
    pub secrets: &'a (dyn SecretReader + Sync),
    /// Opens stores.
    pub stores: &'a OpenStore<'a>,
    /// Directory of the local cache.
    pub cache: Option<PathBuf>,
    /// Directory for what is known of this host.
    pub state: Option<PathBuf>,
    /// How long to wait for locks.
    pub retry_lock: Duration,
    /// Ends everything.
    pub cancel: &'a Cancel,
    /// Told of everything.
    pub monitor: &'a dyn Monitor,
}

/// Opens the store of a repository. With a flag its patience is short, and its waits end when the flag is raised.
pub type OpenStore<'a> = dyn Fn(&Repository, Option<&Cancel>) -> anyhow::Result<Arc<dyn Store>> + Sync + 'a;

/// How the snapshots of a run are called.
#[derive(Clone, Debug)]
pub struct Naming {
    /// Name of the host.
    pub host: String,
    /// Name of the job.
    pub job: String,
    /// When the run was begun.
    pub start: Timestamp,
    /// What is left out on purpose.
    pub skipped: Vec<Skipped>,
    /// What only one run of the job holds at a time, if that can be made sure of: whatever an earlier one left, it is over.
    pub writer: Option<String>,
}

impl Naming {
    /// A run of `job` that begins now.
    pub fn new(config: &Config, job: &Job, running: Option<&Running>) -> Self {
        let skipped = job.skip.iter().map(|(name, reason)| Skipped {
            name: name.clone(),
            reason: reason.clone(),
        });
        Self {
            host: config.host.clone(),
            job: job.name.clone(),
            start: crate::clock::now(),
            skipped: skipped.collect(),
            writer: running.map(|running| running.token().to_owned()),
        }
    }
}

/// The label by which the snapshots of a job are found.
pub fn job_tag(job: &str) -> String {
    format!("job:{job}")
}

//! The configuration as types: complete, checked, with everything that has to fit together fitting together.

mod application;
mod archive;
mod database;
mod fields;
mod job;
mod keep;
mod login;
mod notify;
mod place;
mod repository;
mod schedule;
mod source;
mod warning;

pub use application::{Docker, Export, Grafana, HetznerServer, Http, Import, N8n, Paging};
pub use archive::{ArchiveCompression, ArchiveFormat, Encryption, Layout, Recipient};
pub use database::{Database, DumpFormat, Mongodb, Postgres, Reached, Redis, Tls};
pub use job::{Drill, Every, Excludes, Job, Stop};
pub use keep::Keep;
pub use notify::{Event, MailTls, Notifier, Way};
pub use place::{Place, Scheme};
pub use repository::{Format, Repository, RestOfStore, StoreSecrets, no_archives_at_rest};
pub use schedule::Schedule;
pub use source::{Command, Files, SetTo, Source, SourceKind, Sqlite, Volume};

use super::problem::Problems;
use super::tree::Node;
use fields::Fields;
use std::path::PathBuf;

/// Everything that is configured for this host.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this host in snapshots and archives.
    pub host: String,
    /// In the order in which they are written.
    pub repositories: Vec<Repository>,
    /// In the order in which they are written.
    pub jobs: Vec<Job>,
    /// Who is told.
    pub notify: Vec<Notifier>,
    /// Where numbers go.
    pub metrics: Metrics,
}

/// Where numbers for Prometheus go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// A file for the node exporter.
    pub textfile: Option<PathBuf>,
    /// Address of a push gateway.
    pub pushgateway: Option<String>,
}

impl Config {
    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }

    /// The repository of that name.
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.name == name)
    }
}

/// The types from a complete tree. What makes no sense goes to `problems`; what [`check`](super::file::check) has reported is passed
/// over. Nothing is returned if anything is missing.
pub fn config(root: &Node, problems: &mut Problems) -> Option<Config> {
    let fields = Fields::new(root);
    let named = |key| fields.get(key).map(Node::entries).unwrap_or_default();
    let repositories: Vec<Option<Repository>> = named("repositories")
        .iter()
        .map(|entry| repository::repository(entry, problems))
        .collect();
    let names: Vec<&str> = named("repositories").iter().map(|entry| entry.key.as_str()).collect();
    let jobs: Vec<Option<Job>> = named("jobs")
        .iter()
        .map(|entry| job::job(entry, &names, problems))
        .collect();
    let notify: Vec<Option<Notifier>> = fields
        .items("notify")
        .iter()
        .map(|node| notify::notifier(node, problems))
        .collect();
    let metrics = fields.table("metrics").map(|metrics| Metrics {
        textfile: metrics.path("textfile"),
        pushgateway: metrics.text("pushgateway"),
    });
    Some(Config {
        host: fields.text("host")?,
        repositories: repositories.into_iter().collect::<Option<_>>()?,
        jobs: jobs.into_iter().collect::<Option<_>>()?,
        notify: notify.into_iter().collect::<Option<_>>()?,
        metrics: metrics.unwrap_or_default(),
    })
}

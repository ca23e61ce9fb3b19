//! What is allowed, and most likely not meant.

use super::{Config, Encryption, Format, Job, Repository, SourceKind};
use crate::config::problem::Problem;

impl SourceKind {
    /// What it stores that opens more than what is stored with it. Hashes of passwords do not, and data is not what this is about.
    fn key(&self) -> Option<&'static str> {
        match self {
            Self::N8n(_) => Some("the encryption key of n8n, which opens all credentials in it,"),
            Self::Files(_)
            | Self::Command(_)
            | Self::Volume(_)
            | Self::Docker(_)
            | Self::Sqlite(_)
            | Self::Postgres(_)
            | Self::Mysql(_)
            | Self::Mariadb(_)
            | Self::Redis(_)
            | Self::Mongodb(_)
            | Self::Grafana(_)
            | Self::HetznerServer(_)
            | Self::Http(_) => None,
        }
    }
}

impl Config {
    /// What the user should think over about a job: keys that everybody can read who gets hold of an archive.
    pub fn warnings(&self, job: &Job) -> Vec<Problem> {
        let readable: Vec<&str> = job
            .to
            .iter()
            .filter(|name| self.repository(name).is_some_and(is_readable))
            .map(String::as_str)
            .collect();
        if readable.is_empty() {
            return Vec::new();
        }
        let names = format!("`{}`", readable.join("`, `"));
        let warning = |source: &super::Source| {
            let key = source.kind.key()?;
            Some(Problem {
                origin: source.origin.clone(),
                value: None,
                message: format!("{key} is stored in {names} with `encryption: none`"),
                hint: format!("Encrypt {names}, or give this source a job of its own that does not store to {names}."),
            })
        };
        job.sources.iter().filter_map(warning).collect()
    }
}

fn is_readable(repository: &Repository) -> bool {
    matches!(&repository.format, Format::Archive(format) if format.encryption == Encryption::None)
}

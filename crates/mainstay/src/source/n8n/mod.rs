//! n8n: its workflows as JSON, with what opens its stored credentials.

mod body;
mod capture;
mod container;
mod credentials;
mod prove;
mod replaced;
mod restore;
mod server;

use super::api::{Api, Options};
use super::{Found, Piece, Plan, Probe, Proof, PutBack, Source, Stored, Surroundings};
use crate::config::Misuse;
use crate::config::model::N8n;
use crate::engine::manifest::{Facts, Grade};
use container::Container;
use parking_lot::Mutex;
use server::Server;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where n8n stands in a snapshot.
const ROOT: &str = "/apps/n8n";
/// What there is, with names.
const INDEX: &str = "index.json";
/// The encryption key, as n8n's own file `config` has it.
const KEY: &str = "encryption-key.json";
const TAGS: &str = "tags.json";
const VARIABLES: &str = "variables.json";
/// As `n8n export:credentials` prints them: encrypted.
const CREDENTIALS: &str = "credentials.json";
const WORKFLOWS: &str = "workflows";

/// So many executions are worth a word.
const MANY_EXECUTIONS: usize = 250;
/// So many times the workflows' size is what executions leave in a database.
const MOSTLY_EXECUTIONS: u64 = 10;

/// An n8n.
#[derive(Debug)]
pub struct N8nSource {
    n8n: N8n,
}

impl N8nSource {
    /// As it is configured.
    pub fn new(n8n: N8n) -> Self {
        Self { n8n }
    }

    fn root(&self) -> PathBuf {
        Path::new(ROOT).join(self.name())
    }

    fn server(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Server> {
        let key = self.n8n.api_key.read(surroundings.secrets)?;
        let options = Options {
            headers: vec![("X-N8N-API-KEY".to_owned(), key)],
            ca_file: self.n8n.ca_file.clone(),
            ..Options::new(&self.n8n.url)
        };
        Ok(Server::new(Api::new(&options, surroundings.cancel)?))
    }

    fn container(&self) -> anyhow::Result<Option<Container>> {
        self.n8n.container.as_deref().map(Container::find).transpose()
    }

    /// What opens the stored credentials; if it is given twice, it has to be the same.
    fn key(&self, container: Option<&Container>, surroundings: &Surroundings<'_>) -> anyhow::Result<Zeroizing<String>> {
        let given = match &self.n8n.encryption_key {
            Some(secret) => Some(secret.read(surroundings.secrets)?),
            None => None,
        };
        let given = given.map(|secret| Zeroizing::new(String::from_utf8_lossy(secret.bytes()).into_owned()));
        match (given, container) {
            (Some(given), None) => Ok(given),
            (None, Some(container)) => container.key(),
            (Some(given), Some(container)) if *container.key()? == *given => Ok(given),
            (Some(_), Some(_)) => {
                let message = format!(
                    "`encryption_key` of n8n `{}` is not the one that its container has",
                    self.name()
                );
                Err(Misuse::new(message, "Leave `encryption_key` out: the container has the right one.").into())
            }
            (None, None) => {
                let message = format!("n8n `{}` has no encryption key to capture", self.name());
                let hint = "Name `encryption_key` or `container`: without the key, nobody can open the credentials that n8n stores.";
                Err(Misuse::new(message, hint).into())
            }
        }
    }

    /// What execution history costs, if it is much.
    fn advice(
        &self,
        server: &Server,
        container: Option<&Container>,
        workflows: usize,
    ) -> anyhow::Result<Option<String>> {
        let (executions, more) = server.executions()?;
        if executions < MANY_EXECUTIONS {
            return Ok(None);
        }
        let size = container.and_then(Container::database_bytes);
        // A workflow is a few kilobytes.
        let is_much = size.is_none_or(|bytes| bytes > MOSTLY_EXECUTIONS * 10_000 * workflows as u64);
        let size = size.map_or_else(String::new, |bytes| {
            format!(", and its database has {} MiB", bytes >> 20)
        });
        let or_more = if more { " or more" } else { "" };
        Ok(is_much.then(|| {
            format!(
                "n8n keeps {executions}{or_more} executions{size}: they are most of what a backup of the database costs; \
                 `EXECUTIONS_DATA_MAX_AGE` and `EXECUTIONS_DATA_PRUNE_MAX_COUNT` limit them"
            )
        }))
    }
}

impl Source for N8nSource {
    fn kind(&self) -> &'static str {
        "n8n"
    }

    fn name(&self) -> String {
        let host = || {
            let url = super::api::Url::parse(&self.n8n.url).ok()?;
            url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())
        };
        let name = self.n8n.name.clone().or_else(|| self.n8n.container.clone());
        name.or_else(host).unwrap_or_else(|| "n8n".to_owned())
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let (server, container) = (Arc::new(self.server(surroundings)?), self.container()?);
        let key = self.key(container.as_ref(), surroundings)?;
        let facts = Arc::new(Mutex::new(Facts::default()));
        if let Some(container) = &container {
            facts.lock().versions.insert("n8n".to_owned(), container.version()?);
        }
        let (root, monitor) = (self.root(), surroundings.monitor);
        let items = capture::items(&server, container.as_ref(), &key, &root, &facts, monitor)?;
        let workflows = facts.lock().rows.get("workflows").copied().unwrap_or_default();
        // The right to see executions is not needed for anything else.
        if let Ok(Some(advice)) = self.advice(&server, container.as_ref(), workflows as usize) {
            monitor.note(&advice);
        }
        Ok(vec![Piece {
            path: root,
            name: self.name(),
            // Workflow by workflow, while people work on them.
            grade: Some(Grade::Live),
            items,
            facts,
        }])
    }

    fn probe(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let (server, container) = (self.server(surroundings)?, self.container()?);
        let mut probe = Probe::default();
        let workflows = server.workflows()?;
        let active = workflows.iter().filter(|one| one.active).count();
        let mut found = |name: String| probe.found.push(Found { name, bytes: None });
        found(format!("{} workflows, {active} of them active", workflows.len()));
        match server.all("tags") {
            Ok(tags) => found(format!("{} tags", tags.len())),
            Err(error) => probe.missing.push(crate::explain::chain(&error)),
        }
        match server.all("variables") {
            Ok(variables) => probe.found.push(Found {
                name: format!("{} variables", variables.len()),
                bytes: None,
            }),
            Err(error) if server::is_unlicensed(&error) => probe.notes.push("its license has no variables".to_owned()),
            Err(error) => probe.missing.push(crate::explain::chain(&error)),
        }
        if let Err(error) = self.key(container.as_ref(), surroundings) {
            probe.missing.push(crate::explain::chain(&error));
        }
        match &container {
            Some(container) => {
                probe.versions.insert("n8n".to_owned(), container.version()?);
            }
            None => probe.notes.push(capture::WITHOUT_CREDENTIALS.to_owned()),
        }
        match self.advice(&server, container.as_ref(), workflows.len()) {
            Ok(advice) => probe.notes.extend(advice),
            Err(error) => probe
                .notes
                .push(format!("executions are not counted: {}", crate::explain::chain(&error))),
        }
        Ok(probe)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        options.check_no_rename("n8n", "an n8n has no other name to restore it under")?;
        let (server, container) = (self.server(surroundings)?, self.container()?);
        restore::plan(
            server,
            container,
            stored,
            options,
            (surroundings.cancel, surroundings.monitor),
        )
    }

    fn prove(&self, stored: &Stored<'_>, _: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        prove::prove(stored, surroundings.cancel)
    }
}

//! Grafana, over its HTTP API: one file of JSON for each object.

mod capture;
mod kinds;
mod list;
mod prove;
mod put;
mod restore;
mod stored;

use super::api::{Api, Options};
use super::databases::in_path;
use super::{Piece, Plan, Probe, Proof, PutBack, Source, Stored, Surroundings};
use crate::config::model::Grafana;
use crate::config::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};

/// Where Grafanas stand in a snapshot.
const ROOT: &str = "/apps/grafana";

/// What is configured over the API stays editable; Grafana only looks whether the header is there.
const EDITABLE: &str = "X-Disable-Provenance";

/// A Grafana.
#[derive(Debug)]
pub struct GrafanaSource {
    config: Grafana,
}

impl GrafanaSource {
    /// As it is configured.
    pub fn new(config: Grafana) -> Self {
        Self { config }
    }

    fn root(&self) -> PathBuf {
        Path::new(ROOT).join(in_path(&self.name()))
    }

    fn api(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Api> {
        let read = |secret: &Option<crate::config::secret::SecretSource>| {
            secret
                .as_ref()
                .map(|secret| secret.read(surroundings.secrets))
                .transpose()
        };
        let login = match (read(&self.config.token)?, &self.config.user) {
            (Some(token), _) => [b"Bearer ", token.bytes()].concat(),
            (None, user) => {
                let password = read(&self.config.password)?;
                let password = password.as_ref().map(Secret::bytes).unwrap_or_default();
                let user = user.as_deref().unwrap_or_default().as_bytes();
                format!("Basic {}", STANDARD.encode([user, b":", password].concat())).into_bytes()
            }
        };
        let header = |name: &str, value: Vec<u8>| (name.to_owned(), Secret::new(value.into()));
        let options = Options {
            headers: vec![header("Authorization", login), header(EDITABLE, b"mainstay".to_vec())],
            ca_file: self.config.ca_file.clone(),
            ..Options::new(&self.config.url)
        };
        Api::new(&options, surroundings.cancel)
    }

    /// Whether it is a user who logs in: only these may create users.
    fn is_user(&self) -> bool {
        self.config.token.is_none()
    }
}

impl Source for GrafanaSource {
    fn kind(&self) -> &'static str {
        "grafana"
    }

    fn name(&self) -> String {
        let host = self.config.url.split("://").last().unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        self.config.name.clone().unwrap_or_else(|| host.to_owned())
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        Ok(vec![self.piece(surroundings)?])
    }

    fn probe(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        self.look(surroundings)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        self.plan(stored, options, surroundings)
    }

    fn prove(&self, stored: &Stored<'_>, _: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        prove::prove(stored, surroundings)
    }
}

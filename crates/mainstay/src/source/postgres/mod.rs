//! PostgreSQL servers: roles, and databases as of one moment each.

mod ahead;
mod capture;
mod catalog;
mod clients;
mod compare;
mod copy_filter;
mod dump;
mod dumped;
mod errors;
mod fill;
mod fresh;
mod globals;
mod gone;
mod incomplete;
mod lazy;
mod moment;
mod names;
mod probe;
mod properties;
mod prove;
mod replace;
mod restore;
mod rows;
mod scratch;
mod script;
mod server;
mod session;
mod settings;
mod statements;
mod tables;

use super::program::Programs;
use super::{Piece, Plan, Probe, Proof, PutBack, Source, Stored, Surroundings};
use crate::config::model::Postgres;
use names::escape;
use server::{Access, Server};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where databases stand in a snapshot.
const POSTGRES: &str = "/postgres";

/// A PostgreSQL server.
#[derive(Debug)]
pub struct PostgresSource {
    postgres: Postgres,
}

impl PostgresSource {
    /// As it is configured.
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    fn root(&self) -> PathBuf {
        Path::new(POSTGRES).join(escape(&self.postgres.server.name, &[]))
    }

    fn connect(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Server> {
        let access = Access::new(&self.postgres, surroundings)?;
        let hints = &self.postgres.databases;
        let programs = Programs::of(self.postgres.server.container.as_deref())?;
        Ok(Server::connect(&programs, access, hints, surroundings.cancel)?)
    }
}

impl Source for PostgresSource {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn name(&self) -> String {
        self.postgres.server.name.clone()
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let server = Arc::new(self.connect(surroundings)?);
        let pieces = capture::pieces(&server, &self.postgres, &self.root(), surroundings.monitor)?;
        Ok(Piece::all_of_image(pieces, &server.clients.programs))
    }

    fn probe(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let server = self.connect(surroundings)?;
        probe::probe(&server, &self.postgres)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        let server = self.connect(surroundings)?;
        restore::plan(&self.postgres, server, stored, options)
    }

    fn prove(&self, stored: &Stored<'_>, scratch: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        prove::prove(&self.postgres, stored, scratch, surroundings)
    }
}

//! MongoDB: each database is one archive of `mongodump`, or all of them together with what was written meanwhile.

mod address;
mod bson;
mod capture;
mod census;
#[cfg(test)]
mod census_test;
mod crc;
mod errors;
mod prove;
mod restore;
mod scratch;
mod server;
mod survey;
mod what;

use super::databases::in_path;
use super::{Piece, Plan, Probe, Proof, PutBack, Source, Stored, Surroundings};
use crate::config::model::Mongodb;
use server::Server;
use std::path::{Path, PathBuf};

/// Where servers stand in a snapshot.
const ROOT: &str = "/mongodb";

/// The name of the part with all databases.
const ALL: &str = "all";

/// A server.
#[derive(Debug)]
pub struct MongodbSource {
    config: Mongodb,
}

impl MongodbSource {
    /// As it is configured.
    pub fn new(config: Mongodb) -> Self {
        Self { config }
    }

    fn root(&self) -> PathBuf {
        // The name may be the path of a socket, or that of a replica set and its hosts.
        Path::new(ROOT).join(in_path(self.config.server.name.trim_start_matches('/')))
    }

    fn path_of(&self, database: &str) -> PathBuf {
        self.root().join(format!("{}.archive", in_path(database)))
    }

    /// The server, when it answers.
    fn server(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Server> {
        let server = Server::of(&self.config, surroundings.secrets)?;
        server.wait_as_usual(surroundings.cancel)?;
        Ok(server)
    }
}

impl Source for MongodbSource {
    fn kind(&self) -> &'static str {
        "mongodb"
    }

    fn name(&self) -> String {
        self.config.server.name.clone()
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        self.pieces(surroundings)
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

    fn prove(&self, stored: &Stored<'_>, scratch: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        prove::prove(&self.config.server, stored, scratch, surroundings)
    }
}

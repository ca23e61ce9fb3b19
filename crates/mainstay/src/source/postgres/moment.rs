//! One moment of a database: a transaction that stays open, whose view of the data dumps share.

use super::catalog::{self, Catalog, parsed};
use super::incomplete::Mark;
use super::properties::Properties;
use super::server::Server;
use super::session::Session;
use crate::engine::manifest::Facts;
use repository::{Error, Result};
use serde_json::Value;

/// Names of facts in the manifest.
pub const DATABASE: &str = "database";
/// See [`DATABASE`].
pub const CATALOG: &str = "catalog";

/// A transaction that only reads, as of one moment, and is not ended by the server for being idle.
const BEGIN: &str = "\
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN
    ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout');
SET lock_timeout = '60s';
SET row_security = off;
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;";

/// One moment of a database. It lasts until it is ended or dropped.
#[derive(Debug)]
pub struct Moment {
    session: Session,
    /// What dumps of this moment are told.
    pub snapshot: String,
    /// What is in the database.
    pub catalog: Catalog,
    /// What it has besides.
    pub properties: Properties,
    versions: [(String, String); 2],
}

impl Moment {
    /// Take it. From now on, tables stay as they are; rows may change, but not for whoever shares the moment.
    ///
    /// # Errors
    /// If the database is half restored; those of the session.
    pub fn begin(server: &Server, database: &str) -> Result<Self> {
        let mut session = Session::open(server, database)?;
        session.query(BEGIN)?;
        let snapshot = parsed::<String>(&mut session, "SELECT to_json(pg_catalog.pg_export_snapshot());")?;
        if let Some(mark) = Mark::read(&mut session)? {
            return Err(mark.refusal(database));
        }
        catalog::lock_tables(&mut session)?;
        // Sequences live outside transactions: read before the dump, they are never ahead of it.
        let catalog = Catalog::read(&mut session)?;
        let properties = Properties::read(&mut session)?;
        // The server counts while the dump is written; the answer is fetched at the end.
        catalog::ask_row_counts(&mut session)?;
        Ok(Self {
            session,
            snapshot: snapshot.into_iter().next().unwrap_or_default(),
            catalog,
            properties,
            versions: [
                ("server".to_owned(), server.version.clone()),
                ("pg_dump".to_owned(), server.clients.version.clone()),
            ],
        })
    }

    /// End it, when everything that shares it has ended, and note what is known.
    ///
    /// # Errors
    /// If it had ended before: then it was not the same moment for all.
    pub fn end(mut self, facts: &mut Facts) -> Result<()> {
        facts.rows = catalog::row_counts(&mut self.session)?;
        self.session.query("COMMIT;")?;
        self.session.close()?;
        facts.versions = self.versions.into();
        facts.more.insert(DATABASE.to_owned(), to_value(&self.properties)?);
        facts.more.insert(CATALOG.to_owned(), to_value(&self.catalog)?);
        Ok(())
    }
}

fn to_value(facts: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(facts).map_err(|error| Error::Verification(error.to_string()))
}

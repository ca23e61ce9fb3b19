//! MySQL and MariaDB: one family, two dialects. Each database is one file of SQL, as the dump program writes it.

mod accounts;
mod answers;
mod capture;
mod census;
mod connected;
mod dialect;
mod dump;
mod errors;
mod incomplete;
mod load;
mod prove;
mod put;
mod restore;
mod restore_accounts;
mod rewrite;
mod rights;
mod scratch;
mod server;
mod splitter;
mod statement;
mod survey;
mod version;

pub use dialect::Dialect;

use super::databases::in_path;
use super::{Piece, Plan, Probe, Proof, PutBack, Source, Stored, Surroundings};
use crate::config::Misuse;
use crate::config::model;
use connected::Connected;
use server::Server;
use std::path::{Path, PathBuf};

/// Where databases of both stand in a snapshot.
const ROOT: &str = "/mysql";

/// The file with the accounts and what they may do.
const ACCOUNTS: &str = "users.sql";

/// A MySQL or MariaDB server.
#[derive(Debug)]
pub struct MysqlSource {
    dialect: Dialect,
    config: model::Database,
}

impl MysqlSource {
    /// As it is configured.
    pub fn new(dialect: Dialect, config: model::Database) -> Self {
        Self { dialect, config }
    }

    fn root(&self) -> PathBuf {
        // The name may be the path of a socket.
        Path::new(ROOT).join(in_path(self.config.server.name.trim_start_matches('/')))
    }

    fn path_of(&self, database: &str) -> PathBuf {
        self.root().join(file_name(database))
    }

    fn connect(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Connected> {
        Server::of(&self.config.server, self.dialect, surroundings.secrets)?.connect(surroundings.cancel)
    }
}

impl Source for MysqlSource {
    fn kind(&self) -> &'static str {
        self.dialect.kind()
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
        if is_accounts(&stored.part.path) {
            self.plan_accounts(stored, options, surroundings)
        } else {
            self.plan(stored, options, surroundings)
        }
    }

    fn prove(&self, stored: &Stored<'_>, scratch: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        if is_accounts(&stored.part.path) {
            self.prove_accounts(stored, scratch, surroundings)
        } else {
            self.prove_database(stored, scratch, surroundings)
        }
    }
}

fn is_accounts(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ACCOUNTS)
}

/// The file of a database. The one that is called `users` makes room for the accounts.
fn file_name(database: &str) -> String {
    let name = format!("{}.sql", in_path(database));
    if name == ACCOUNTS {
        return name.replacen('u', "%75", 1);
    }
    name
}

/// A fact that is a text.
fn fact<'a>(stored: &'a Stored<'_>, name: &str) -> Result<&'a str, Misuse> {
    let value = stored.part.facts.more.get(name).and_then(serde_json::Value::as_str);
    value.ok_or_else(|| {
        let message = format!(
            "the manifest does not say the `{name}` of `{}`",
            stored.part.path.display()
        );
        Misuse::new(
            message,
            "Write it to a file with `mainstay dump`, and load it with the client program.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_database_is_a_name_of_a_file() {
        for (name, file) in [
            ("app", "app.sql"),
            ("a/b%\n", "a%2Fb%25%0A.sql"),
            ("users", "%75sers.sql"),
            ("Users", "Users.sql"),
            ("☕ a", "☕ a.sql"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }
}

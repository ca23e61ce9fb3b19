//! Roles and tablespaces, which all databases of a server share.

use super::catalog::parsed;
use super::dump::explain;
use super::script::{self, Mode};
use super::server::Server;
use super::session::Session;
use super::statements::{concerns, statements};
use crate::engine::manifest::{Facts, Grade, Part};
use crate::source::program::{CheckEnd, Output};
use crate::source::{Item, Piece, Plan, PutBack, Restored, Stored};
use anyhow::Context as _;
use parking_lot::Mutex;
use repository::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// Name of the file.
pub const FILE: &str = "globals.sql";
/// Name of the facts in the manifest.
const GLOBALS: &str = "globals";
/// What its last lines say.
const END: &str = "PostgreSQL database cluster dump complete";

/// What all databases of a server share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globals {
    /// Roles that the server did not bring.
    pub roles: BTreeSet<String>,
    /// Tablespaces that the server did not bring.
    pub tablespaces: BTreeSet<String>,
    /// The role that the server was made with.
    pub first_role: String,
    /// Whether the passwords of roles are there. Some hosted servers give them to nobody.
    pub passwords: bool,
}

impl Globals {
    /// Those of a server.
    ///
    /// # Errors
    /// Those of the session.
    pub fn read(server: &Server) -> Result<Self> {
        let mut session = Session::open(server, &server.maintenance)?;
        let names =
            |session: &mut Session, sql: &str| Ok::<_, Error>(parsed::<String>(session, sql)?.into_iter().collect());
        let roles = "SELECT to_json(rolname::text) FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_';";
        let tablespaces = "SELECT to_json(spcname::text) FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_';";
        let passwords = "SELECT to_json(pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'));";
        let first_role = "SELECT to_json(pg_catalog.pg_get_userbyid(10)::text);";
        let globals = Self {
            first_role: parsed::<String>(&mut session, first_role)?.concat(),
            roles: names(&mut session, roles)?,
            tablespaces: names(&mut session, tablespaces)?,
            passwords: parsed::<bool>(&mut session, passwords)?.first() == Some(&true),
        };
        session.close()?;
        Ok(globals)
    }

    /// What the manifest says.
    ///
    /// # Errors
    /// If it says nothing.
    pub fn of(facts: &Facts) -> anyhow::Result<Self> {
        let value = facts.more.get(GLOBALS).context("the manifest says nothing of roles")?;
        Ok(serde_json::from_value(value.clone())?)
    }
}

/// Whether a part holds roles and tablespaces.
pub fn is_globals(part: &Part) -> bool {
    part.facts.more.contains_key(GLOBALS)
}

/// Roles and tablespaces as a part below `root`.
///
/// # Errors
/// Those of the session.
pub fn piece(server: &Arc<Server>, root: &Path, instance: &str) -> Result<Piece> {
    let globals = Globals::read(server)?;
    let mut facts = Facts::default();
    facts.versions.insert("server".to_owned(), server.version.clone());
    facts
        .versions
        .insert("pg_dumpall".to_owned(), server.clients.version.clone());
    let value = serde_json::to_value(&globals).map_err(|error| Error::Verification(error.to_string()))?;
    facts.more.insert(GLOBALS.to_owned(), value);
    let facts = Arc::new(Mutex::new(facts));
    let mut words = vec![server.clients.program("pg_dumpall"), server.patience()];
    let database = format!("--database={}", server.maintenance);
    words.extend(["--globals-only", "-w", &database].map(OsString::from));
    if !globals.passwords {
        words.push("--no-role-passwords".into());
    }
    let output = Output {
        programs: server.clients.programs.clone(),
        words,
        surroundings: server.surroundings(&server.maintenance),
        cancel: server.cancel.clone(),
        facts: Some(Arc::clone(&facts)),
        check_end: Some(check_end as CheckEnd),
    };
    let path = root.join(FILE);
    Ok(Piece {
        path: path.clone(),
        name: format!("{instance} roles"),
        grade: Some(Grade::Transactional),
        items: vec![Item::Stream(output.into_stream_explained(path, explain(server)))],
        facts,
    })
}

fn check_end(tail: &[u8]) -> std::result::Result<(), String> {
    if String::from_utf8_lossy(tail).contains(END) {
        Ok(())
    } else {
        Err(format!("it does not end with `{END}`"))
    }
}

/// The statements that are stored; roles are few, so that they fit into memory.
///
/// # Errors
/// Those of the repository.
pub fn stored_statements(stored: &Stored<'_>) -> Result<Vec<String>> {
    let mut sql = Vec::new();
    stored.copy(&stored.part.path, &mut sql)?;
    Ok(statements(&String::from_utf8_lossy(&sql)))
}

/// Plan to put roles and tablespaces back. What is there stays as it is, unless it is to be replaced.
///
/// # Errors
/// Those of the server and of the repository.
pub fn restore<'a>(server: Server, stored: &'a Stored<'a>, options: &PutBack) -> anyhow::Result<Plan<'a>> {
    let wanted = Globals::of(&stored.part.facts)?;
    let there = Globals::read(&server)?;
    let kept = |wanted: &BTreeSet<String>, there: &BTreeSet<String>| wanted.intersection(there).cloned().collect();
    let (roles, tablespaces): (BTreeSet<String>, BTreeSet<String>) = (
        kept(&wanted.roles, &there.roles),
        kept(&wanted.tablespaces, &there.tablespaces),
    );
    let made: Vec<&str> = wanted.roles.difference(&there.roles).map(String::as_str).collect();
    let mut steps = Vec::new();
    if !made.is_empty() {
        steps.push(format!("create the roles {} on `{}`", made.join(", "), server.name()));
    }
    if !roles.is_empty() {
        let names: Vec<&str> = roles.iter().map(String::as_str).collect();
        let what = if options.overwrite {
            "change"
        } else {
            "leave as they are"
        };
        steps.push(format!("{what} the roles {}, which exist", names.join(", ")));
    }
    if !wanted.passwords {
        steps.push("leave roles without passwords: the server did not give them to this user".to_owned());
    }
    let overwrite = options.overwrite;
    let execute = move || {
        let left_out = |statement: &String| {
            let creates = statement.starts_with("CREATE ");
            concerns(statement, &roles, &tablespaces) && (creates || !overwrite)
        };
        let mut statements = stored_statements(stored)?;
        statements.retain(|statement| !left_out(statement));
        run(&server, &statements)?;
        Ok(Restored {
            entries: wanted.roles.len() as u64,
            bytes: stored.part.bytes,
            problems: 0,
        })
    };
    Ok(Plan {
        steps,
        execute: Box::new(execute),
    })
}

/// Run statements, all or none of them; tablespaces cannot be made that way, so that with them it is up to the first that fails.
///
/// # Errors
/// The server's.
pub fn run(server: &Server, statements: &[String]) -> anyhow::Result<()> {
    let has_tablespaces = statements
        .iter()
        .any(|statement| statement.starts_with("CREATE TABLESPACE "));
    let mode = if has_tablespaces {
        Mode::StepByStep
    } else {
        Mode::AllOrNothing
    };
    script::run(server, &server.maintenance, mode, |out| {
        // An error must not show the line with a password.
        let quiet = ["\\set VERBOSITY terse".to_owned()];
        quiet.iter().chain(statements).try_for_each(|statement| {
            let written = writeln!(out, "{statement}");
            written.map_err(Error::local("write to", "psql"))
        })
    })
}

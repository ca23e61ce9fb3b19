//! Putting a whole database back.

use super::catalog::has_user_objects;
use super::dumped::Dumped;
use super::fill::fill;
use super::fresh;
use super::incomplete::{self, Mark};
use super::names::literal;
use super::restore::check_roles;
use super::script;
use super::server::Server;
use super::session::Session;
use crate::config::Misuse;
use crate::source::{Plan, PutBack, Restored};
use repository::Result;

/// What is there under the name that a database is restored to.
pub struct Target {
    /// The name.
    pub name: String,
    /// What is there; nothing if there is no such database.
    pub there: Option<There>,
}

/// A database that is there.
pub struct There {
    /// Nothing is in it.
    pub is_empty: bool,
    /// So many are connected to it.
    pub connections: u64,
}

impl Target {
    /// Look at the server.
    ///
    /// # Errors
    /// The server's.
    pub fn look(server: &Server, name: &str) -> Result<Self> {
        let sql = format!(
            "SELECT to_json((SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a \
             WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid())) \
             FROM pg_catalog.pg_database d WHERE d.datname = {};",
            literal(name)
        );
        let found = server.query(&server.maintenance, &sql)?;
        let there = match found.first() {
            None => None,
            Some(connections) => {
                let mut session = Session::open(server, name)?;
                let is_empty = !has_user_objects(&mut session)?;
                session.close()?;
                let connections = connections.as_u64().unwrap_or_default();
                Some(There { is_empty, connections })
            }
        };
        let name = name.to_owned();
        Ok(Self { name, there })
    }
}

/// How a database gets its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// There is none of the name.
    Create,
    /// Into one without content.
    Fill,
    /// Instead of the one that is there.
    Replace,
}

/// Plan to put a database back.
///
/// # Errors
/// If one is there that must not be replaced.
pub fn plan<'a>(server: Server, dumped: Dumped<'a>, bytes: u64, options: &PutBack) -> anyhow::Result<Plan<'a>> {
    let name = options.rename.as_deref().unwrap_or(&dumped.properties.name);
    let target = Target::look(&server, name)?;
    let way = way(&target, options.overwrite)?;
    let (shown, name) = (server.name(), target.name);
    let steps = match way {
        Way::Create => vec![format!(
            "create the database `{name}` on `{shown}`, and restore into it"
        )],
        Way::Fill => vec![format!(
            "restore into the database `{name}` on `{shown}`, which is empty; its owner and settings stay"
        )],
        Way::Replace => vec![
            format!("restore into a new database beside `{name}` on `{shown}`"),
            format!("end all connections to `{name}`, drop it, and give the new one its name"),
        ],
    };
    let execute = move || {
        check_roles(&server, &dumped)?;
        match way {
            Way::Create | Way::Replace => {
                let fill = |fresh: &str| fill(&server, &dumped, fresh);
                fresh::make(&server, &dumped, &name, way == Way::Replace, fill)?;
            }
            Way::Fill => fill_empty(&server, &dumped, &name)?,
        }
        Ok(Restored {
            entries: dumped.tables().len() as u64,
            bytes,
            problems: 0,
        })
    };
    Ok(Plan {
        steps,
        execute: Box::new(execute),
    })
}

/// Restore into a database that is empty; what is left after an error is said.
fn fill_empty(server: &Server, dumped: &Dumped<'_>, name: &str) -> anyhow::Result<()> {
    let is_one_transaction = dumped.brings_transaction();
    if !is_one_transaction {
        Mark::Half.set(server, name)?;
    }
    let filled = script::run(server, name, dumped.mode(), |out| {
        dumped.write_at_once(&server.clients, out)
    });
    let filled = filled.and_then(|()| {
        if is_one_transaction {
            Ok(())
        } else {
            Ok(incomplete::unset(server, name)?)
        }
    });
    filled.map_err(|error| {
        let target = Target::look(server, name).ok().and_then(|target| target.there);
        let state = match target {
            Some(there) if there.is_empty => {
                // A mark that stays says more than there is.
                let _: Option<()> = incomplete::unset(server, name).ok();
                "is empty as it was"
            }
            _ => "is half restored: drop it, and make it again",
        };
        error.context(format!("the restore failed, and `{name}` {state}"))
    })
}

fn way(target: &Target, overwrite: bool) -> Result<Way, Misuse> {
    let name = &target.name;
    match &target.there {
        None => Ok(Way::Create),
        Some(_) if overwrite => Ok(Way::Replace),
        Some(there) if !there.is_empty => Err(Misuse::new(
            format!("the database `{name}` exists, and nothing was changed"),
            "Restore beside it with `--as NAME`, or replace it with `--overwrite`.",
        )),
        Some(there) if there.connections > 0 => Err(Misuse::new(
            format!("the database `{name}` is empty, but in use, and nothing was changed"),
            "Stop what is connected to it, or replace it with `--overwrite`.",
        )),
        Some(_) => Ok(Way::Fill),
    }
}

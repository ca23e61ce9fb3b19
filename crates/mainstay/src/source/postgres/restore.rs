//! Putting a part back: roles, a whole database, or the rows of some of its tables.

use super::clients::major_of;
use super::dumped::Dumped;
use super::server::Server;
use super::{globals, replace, rows};
use crate::config::Misuse;
use crate::config::model::Postgres;
use crate::source::{Plan, PutBack, Stored};
use repository::{Error, Result};
use std::collections::BTreeSet;

/// Plan to put a part back. Nothing is changed.
///
/// # Errors
/// What stands in the way.
pub fn plan<'a>(
    postgres: &Postgres,
    server: Server,
    stored: &'a Stored<'a>,
    options: &'a PutBack,
) -> anyhow::Result<Plan<'a>> {
    if globals::is_globals(stored.part) {
        if options.rename.is_some() || options.only.is_some() {
            let message = "roles are put back as a whole, under their own names";
            return Err(Misuse::new(message, "Leave out `--as`, and name the whole part.").into());
        }
        return globals::restore(server, stored, options);
    }
    let dumped = Dumped::of(stored, postgres, server.major())?;
    check_version(&server, &dumped)?;
    check_extensions(&server, &dumped)?;
    match &options.only {
        Some(only) => rows::plan(server, dumped, only, options),
        None => replace::plan(server, dumped, stored.part.bytes, options),
    }
}

/// An archive of a newer `pg_dump` cannot be read by the programs of an older server.
fn check_version(server: &Server, dumped: &Dumped<'_>) -> Result<()> {
    let is_newer = |version: &&String| major_of(version) > server.clients.major();
    let Some(by) = dumped.archive_of.as_ref().filter(is_newer) else {
        return Ok(());
    };
    Err(Error::Refused {
        message: format!(
            "the dump was made by `pg_dump` {by}, and the programs that fit PostgreSQL {} at `{}` are {}, which cannot read it; \
             nothing was changed",
            server.version,
            server.name(),
            server.clients.version
        ),
        hint: format!("Restore it into a server of version {} or newer.", major_of(by)),
    })
}

/// Extensions that are missing are named before anything is done.
fn check_extensions(server: &Server, dumped: &Dumped<'_>) -> Result<()> {
    let missing = missing_extensions(server, dumped)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        message: format!(
            "the server at `{}` does not have the extensions {}; nothing was changed",
            server.name(),
            missing.join(", ")
        ),
        hint: "Install their packages on the server.".to_owned(),
    })
}

/// Extensions of the database that the server does not know.
///
/// # Errors
/// The server's.
pub fn missing_extensions(server: &Server, dumped: &Dumped<'_>) -> Result<Vec<String>> {
    let sql = "SELECT to_json(name::text) FROM pg_catalog.pg_available_extensions;";
    let available = names(server, sql)?;
    let wanted = dumped.catalog.extensions.keys();
    Ok(wanted.filter(|name| !available.contains(*name)).cloned().collect())
}

/// Roles that a restored database would need and the server does not have.
///
/// # Errors
/// [`Error::Refused`] that names them, if there are any; the server's.
pub fn check_roles(server: &Server, dumped: &Dumped<'_>) -> Result<()> {
    if !dumped.with_owner && !dumped.with_privileges {
        return Ok(());
    }
    let there = names(server, "SELECT to_json(rolname::text) FROM pg_catalog.pg_roles;")?;
    let wanted = dumped.catalog.roles.iter();
    let missing: Vec<&str> = wanted
        .filter(|role| !there.contains(*role))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        message: format!(
            "the server at `{}` does not have the roles {}; nothing was changed",
            server.name(),
            missing.join(", ")
        ),
        hint: format!(
            "Restore the part `{}` first, create the roles, or set `options: [no-owner, no-privileges]`.",
            globals::FILE
        ),
    })
}

fn names(server: &Server, sql: &str) -> Result<BTreeSet<String>> {
    let rows = server.query(&server.maintenance, sql)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.as_str().map(str::to_owned))
        .collect())
}

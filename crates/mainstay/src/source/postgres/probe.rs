//! What a server has, and what stands in the way of capturing it.

use super::capture::chosen;
use super::catalog::{parsed, unreadable_tables};
use super::globals::Globals;
use super::incomplete::{self, Mark};
use super::server::Server;
use super::session::Session;
use crate::config::model::Postgres;
use crate::source::Probe;

/// Look at the server and at each database that is meant.
///
/// # Errors
/// If the server cannot be reached or has nothing of what is meant.
pub fn probe(server: &Server, postgres: &Postgres) -> anyhow::Result<Probe> {
    let mut probe = Probe::default();
    probe.versions.insert("server".to_owned(), server.version.clone());
    probe
        .versions
        .insert("pg_dump".to_owned(), server.clients.version.clone());
    let (found, missing) = chosen(server, postgres)?;
    probe.found = found;
    probe
        .missing
        .extend(missing.iter().map(|missing| missing.error().to_string()));
    let fresh = incomplete::fresh(server, probe.found.iter().map(|found| found.name.as_str()));
    probe.found.retain(|found| !fresh.contains(&found.name));
    probe.notes.extend(incomplete::note(&fresh));
    for database in &probe.found {
        let name = &database.name;
        if database.bytes.is_none() {
            probe
                .missing
                .push(format!("the user may not connect to the database `{name}`"));
            continue;
        }
        let mut session = Session::open(server, name)?;
        if let Some(mark) = Mark::read(&mut session)? {
            probe.missing.push(mark.refusal(name).to_string());
        }
        let unreadable = unreadable_tables(&mut session)?;
        let shown: Vec<String> = unreadable.iter().take(5).map(ToString::to_string).collect();
        if !unreadable.is_empty() {
            let n = unreadable.len();
            probe.missing.push(format!(
                "the user may not read {n} tables of `{name}`, such as {}",
                shown.join(", ")
            ));
        }
        let hidden = "SELECT to_json(pg_catalog.count(*)) FROM pg_catalog.pg_class c WHERE c.relrowsecurity AND \
                      pg_catalog.row_security_active(c.oid);";
        if parsed::<u64>(&mut session, hidden)?.iter().any(|hidden| *hidden > 0) {
            let message = format!("row security hides rows of tables of `{name}` from the user: it needs `BYPASSRLS`");
            probe.missing.push(message);
        }
        session.close()?;
    }
    if postgres.globals && !Globals::read(server)?.passwords {
        probe
            .notes
            .push("roles are stored without their passwords: only a superuser may read them".to_owned());
    }
    Ok(probe)
}

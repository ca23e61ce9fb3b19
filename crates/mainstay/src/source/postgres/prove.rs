//! A part restored into a server of its own, and compared with what was captured.

use super::catalog::{self, Catalog};
use super::clients::{Clients, major_of};
use super::compare;
use super::dumped::Dumped;
use super::fill::fill;
use super::globals::{self, Globals};
use super::names::{ident, literal};
use super::properties::Properties;
use super::restore::missing_extensions;
use super::scratch::{self, Scratch};
use super::server::Server;
use super::session::Session;
use super::statements::concerns;
use crate::config::model::Postgres;
use crate::explain;
use crate::source::program::Programs;
use crate::source::room::{Fit, Room};
use crate::source::{Hashed, Proof, Stored, Surroundings, Verdict};
use repository::restic::node::NodeKind;
use std::collections::BTreeSet;
use std::path::Path;

/// The first role of a server that databases are tested on.
const FIRST_ROLE: &str = "mainstay_drill";
/// The step without which nothing is proven.
const RESTORE: &str = "restore";

/// Restore a part into a server in `scratch`, or in a container of the image that it came from, and test it there.
///
/// # Errors
/// If it cannot be tested.
pub fn prove(
    postgres: &Postgres,
    stored: &Stored<'_>,
    scratch: &Path,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<Proof> {
    let needed = needed(stored);
    let fit = |clients: Clients| match clients.major() == needed {
        true => Fit::Exactly,
        false => Fit::Nearly,
    };
    let mut here = server_for(&Programs::Host, needed).map(fit);
    loop {
        let room = match Room::choose(&postgres.server, stored.part, here, scratch, &scratch::USERS)? {
            Ok(room) => room,
            Err(reason) => return only_read(postgres, stored, &reason),
        };
        let (is_container, mut lacking) = (room.is_container(), None);
        let proof = room.prove(RESTORE, surroundings, |room| {
            let tested = match server_for(room.programs(), needed) {
                Ok(clients) => prove_with(clients, room, postgres, stored, surroundings)?,
                Err(reason) => Err(reason),
            };
            Ok(tested.unwrap_or_else(|reason| {
                lacking = Some(reason);
                Proof::default()
            }))
        })?;
        match lacking {
            None => return Ok(proof),
            Some(reason) if is_container => return only_read(postgres, stored, &reason),
            // The image may have what is missing here.
            Some(reason) => here = Err(reason),
        }
    }
}

/// Restore into a server that these programs make in their room. A reason if it lacks something for that.
fn prove_with(
    clients: Clients,
    room: &Room,
    postgres: &Postgres,
    stored: &Stored<'_>,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<Result<Proof, String>> {
    let mut proof = Proof::on(format!("PostgreSQL {}", clients.version));
    let cancel = surroundings.cancel;
    if globals::is_globals(stored.part) {
        let wanted = Globals::of(&stored.part.facts)?;
        let scratch = Scratch::start(clients, room, &wanted.first_role, cancel)?;
        prove_globals(&wanted, &scratch, stored, &mut proof)?;
        return Ok(Ok(proof));
    }
    let dumped = Dumped::of(stored, postgres, clients.major())?;
    let scratch = Scratch::start(clients, room, FIRST_ROLE, cancel)?;
    let missing = missing_extensions(&scratch.server, &dumped)?;
    if !missing.is_empty() {
        let place = place(room.programs());
        return Ok(Err(format!(
            "the extensions {} are not installed {place}",
            missing.join(", ")
        )));
    }
    prove_database(postgres, &dumped, &scratch, stored, &mut proof)?;
    Ok(Ok(proof))
}

/// The version of the programs that made a dump; older ones do not understand it.
fn needed(stored: &Stored<'_>) -> u32 {
    let versions = &stored.part.facts.versions;
    let tool = versions.get("pg_dump").or_else(|| versions.get("pg_dumpall"));
    tool.map(|version| major_of(version)).unwrap_or_default()
}

/// The programs of a server that is new enough for the dump, or why there are none.
fn server_for(programs: &Programs, needed: u32) -> Result<Clients, String> {
    let (all, place) = (scratch::programs(programs), place(programs));
    let newest = match all.first() {
        Some(newest) => newest.version.clone(),
        None => {
            return Err(format!(
                "the programs of a server are not installed {place} (package `postgresql`)"
            ));
        }
    };
    Clients::nearest(all, needed).ok_or_else(|| {
        format!("the dump was made by version {needed}, and the newest server that is installed {place} is {newest}")
    })
}

fn place(programs: &Programs) -> String {
    match programs {
        Programs::Host => "on this host".to_owned(),
        Programs::Container(container) => format!("in the image `{}`", container.image),
    }
}

/// Where nothing can be restored to, everything is read at least. That is no proof, only the opposite can be proven.
fn only_read(postgres: &Postgres, stored: &Stored<'_>, reason: &str) -> anyhow::Result<Proof> {
    let mut hashed = Hashed::default();
    let facts = &stored.part.facts;
    if let (false, Some(clients)) = (globals::is_globals(stored.part), any_clients()) {
        Dumped::of(stored, postgres, clients.major())?.write_all(&clients, &mut Hashed::default())?;
    }
    for entry in stored.entries(&stored.part.path)? {
        if entry.node.kind == NodeKind::File {
            stored.copy(&entry.path, &mut hashed)?;
        }
    }
    let mut proof = Proof::default();
    let (bytes, found) = (hashed.bytes, hashed.finish());
    if bytes != stored.part.bytes || facts.sha256.is_some_and(|sha256| sha256 != found) {
        let message = format!("it is not what was captured: {bytes} bytes, SHA-256 {}", found.to_hex());
        proof.add(RESTORE, Verdict::Failed { message });
    } else {
        let reason = format!("{reason}; it was read and is as it was, but that is no proof");
        proof.lack(RESTORE, reason);
    }
    Ok(proof)
}

fn any_clients() -> Option<Clients> {
    Clients::all(&Programs::Host).ok()?.into_iter().next()
}

fn prove_globals(
    wanted: &Globals,
    scratch: &Scratch<'_>,
    stored: &Stored<'_>,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let first = BTreeSet::from([wanted.first_role.clone()]);
    make_tablespaces(scratch, &wanted.tablespaces)?;
    let mut statements = globals::stored_statements(stored)?;
    statements.retain(|statement| {
        let is_there = concerns(statement, &first, &wanted.tablespaces);
        !(is_there && statement.starts_with("CREATE "))
    });
    globals::run(&scratch.server, &statements)?;
    let found = Globals::read(&scratch.server)?;
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    proof.compare("roles", list(&wanted.roles), list(&found.roles));
    proof.compare("tablespaces", list(&wanted.tablespaces), list(&found.tablespaces));
    proof.counts.push((found.roles.len() as u64, "role".to_owned()));
    Ok(())
}

fn prove_database(
    postgres: &Postgres,
    dumped: &Dumped<'_>,
    scratch: &Scratch<'_>,
    stored: &Stored<'_>,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    make_tablespaces(scratch, &dumped.catalog.tablespaces.iter().cloned().collect())?;
    make_roles(&scratch.server, dumped)?;
    let database = make_database(&scratch.server, &dumped.properties, proof)?;
    if let Err(error) = fill(&scratch.server, dumped, &database) {
        let message = explain::chain(&error);
        proof.add(RESTORE, Verdict::Failed { message });
        return Ok(());
    }
    proof.add(RESTORE, Verdict::Passed);
    let mut session = Session::open(&scratch.server, &database)?;
    catalog::ask_row_counts(&mut session)?;
    let rows = catalog::row_counts(&mut session)?;
    let found = Catalog::read(&mut session)?;
    let properties = Properties::read(&mut session)?;
    // What the user's arguments left out is not there, and that is as it was meant.
    let is_partial = !postgres.arguments.is_empty();
    compare::rows(&stored.part.facts.rows, &rows, is_partial, proof);
    compare::catalogs(&dumped.catalog, &found, is_partial, proof);
    compare::properties(&dumped.properties, &properties, dumped.with_privileges, proof);
    session.close()?;
    for query in &postgres.assert {
        proof.add(query, asserted(&scratch.server, &database, query));
    }
    proof.counts.push((rows.len() as u64, "table".to_owned()));
    proof.counts.push((rows.values().sum(), "row".to_owned()));
    Ok(())
}

fn make_tablespaces(scratch: &Scratch<'_>, names: &BTreeSet<String>) -> anyhow::Result<()> {
    for (number, name) in names.iter().enumerate() {
        let directory = scratch.directory(&format!("tablespace-{number}"))?;
        let place = literal(&directory.display().to_string());
        let sql = format!("CREATE TABLESPACE {} LOCATION {place};", ident(name));
        scratch.server.execute(&scratch.server.maintenance, &sql)?;
    }
    Ok(())
}

/// Whoever owned something is there, with every right: a proof is about the data.
fn make_roles(server: &Server, dumped: &Dumped<'_>) -> anyhow::Result<()> {
    let roles = dumped.catalog.roles.iter().filter(|role| *role != FIRST_ROLE);
    let statements: Vec<String> = roles
        .map(|role| format!("CREATE ROLE {} SUPERUSER;", ident(role)))
        .collect();
    Ok(server.execute(&server.maintenance, &statements.join("\n"))?)
}

/// An empty database like the captured one; its name.
fn make_database(server: &Server, properties: &Properties, proof: &mut Proof) -> anyhow::Result<String> {
    let name = match properties.name.as_str() {
        "postgres" | "template0" | "template1" => FIRST_ROLE,
        name => name,
    };
    let make = |properties: &Properties| {
        let sql = properties.create(name, Some(&properties.owner), server.major());
        server.execute(&server.maintenance, &sql)
    };
    if let Err(error) = make(properties) {
        if !error.to_string().contains("locale") {
            return Err(error.into());
        }
        let reason = format!("the locale `{}` is not installed there", properties.collate);
        proof.add("locale", Verdict::Skipped { reason });
        make(&Properties {
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            provider: "c".to_owned(),
            locale: None,
            rules: None,
            ..properties.clone()
        })?;
    }
    server.execute(&server.maintenance, &properties.apply(name, true).join("\n"))?;
    Ok(name.to_owned())
}

/// What the user's question is answered with.
fn asserted(server: &Server, database: &str, query: &str) -> Verdict {
    match server.answer(database, query) {
        Ok(answer) if answer == "t" || answer == "true" => Verdict::Passed,
        Ok(answer) => Verdict::Failed {
            message: format!("expected one row that is true, found `{answer}`"),
        },
        Err(error) => Verdict::Failed {
            message: error.to_string(),
        },
    }
}

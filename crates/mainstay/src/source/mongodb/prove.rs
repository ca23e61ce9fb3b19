//! Archives read to their end, loaded into a server of our own, and compared with what was captured.

use super::census::{Census, Found};
use super::scratch::{self, MONGOD, Scratch};
use super::server::RESTORE;
use super::survey::{self, ADMIN};
use super::what::{What, comparable, database_of};
use crate::config::model::Reached;
use crate::explain;
use crate::source::program::Programs;
use crate::source::{Proof, Room, Stored, Surroundings, Verdict};
use std::path::Path;

/// The step that takes a server.
const LOAD: &str = "load into a server";

/// Read a part to its end, and load it if a server can be started.
pub fn prove(
    reached: &Reached,
    stored: &Stored<'_>,
    directory: &Path,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<Proof> {
    let mut proof = Proof::default();
    let Some(found) = read_through(&mut proof, stored)? else {
        return Ok(proof);
    };
    let rows = found.rows(database_of(stored));
    proof.counts.push((rows.values().sum(), "document".to_owned()));
    proof.counts.push((rows.len() as u64, "collection".to_owned()));
    let here = scratch::fit(&Programs::Host, &found.server);
    let room = match Room::choose(reached, stored.part, here, directory, &[])? {
        Ok(room) => room,
        Err(reason) => {
            proof.lack(LOAD, reason);
            return Ok(proof);
        }
    };
    room.prove(LOAD, surroundings, |room| {
        match scratch::start(room, &found.server, surroundings.cancel)? {
            Ok(scratch) => {
                let version = scratch.server.version_of(MONGOD)?;
                proof.server = Some(format!("MongoDB {}", version.trim_start_matches('v')));
                load(&mut proof, stored, &scratch)?;
            }
            Err(reason) => proof.lack(LOAD, reason),
        }
        Ok(proof)
    })
}

/// What the archive is now, and what it was when it was captured.
fn read_through(proof: &mut Proof, stored: &Stored<'_>) -> anyhow::Result<Option<Found>> {
    const STRUCTURE: &str = "structure, checksums and end of the archive";
    let mut census = Census::default();
    stored.copy(&stored.part.path, &mut census)?;
    let facts = &stored.part.facts;
    let (found, bytes) = match census.finish() {
        Ok(found) => found,
        Err(message) => {
            proof.add(STRUCTURE, Verdict::Failed { message });
            return Ok(None);
        }
    };
    proof.add(STRUCTURE, Verdict::Passed);
    proof.compare("bytes of the archive", facts.bytes.unwrap_or_default(), bytes);
    let difference = survey::difference(&facts.rows, &found.rows(database_of(stored)));
    proof.add("documents in the archive", verdict(difference));
    Ok(Some(found))
}

fn load(proof: &mut Proof, stored: &Stored<'_>, scratch: &Scratch) -> anyhow::Result<()> {
    let server = &scratch.server;
    let what = database_of(stored).map_or(What::All, |database| What::Database {
        from: database.to_owned(),
        to: database.to_owned(),
        only: None,
    });
    let words = server.tool(RESTORE, &what.arguments());
    if let Err(error) = server.feed(&words, |input| stored.copy(&stored.part.path, input)) {
        let message = explain::chain(&error);
        proof.add(LOAD, Verdict::Failed { message });
        return Ok(());
    }
    proof.add(LOAD, Verdict::Passed);
    match database_of(stored) {
        None => {
            let reason = "what the log adds and takes away is not counted".to_owned();
            proof.add("documents of each collection", Verdict::Skipped { reason });
        }
        Some(ADMIN) => {
            let users = "system.users";
            let expected = stored.part.facts.rows.get(users).copied().unwrap_or_default();
            let found = survey::count(server, ADMIN, &[users])?;
            proof.compare("users", expected, found.get(users).copied().unwrap_or_default());
        }
        Some(database) => {
            let expected = comparable(&stored.part.facts.rows);
            let names: Vec<&str> = expected.keys().map(String::as_str).collect();
            let found = survey::count(server, database, &names)?;
            let difference = survey::difference(&expected, &found);
            proof.add("documents of each collection", verdict(difference));
            let all = survey::collections(server, database)?;
            let views = all.iter().filter(|one| one.kind == "view").count() as u64;
            let expected = stored.part.facts.more.get("views").and_then(serde_json::Value::as_u64);
            proof.compare("views", expected.unwrap_or_default(), views);
        }
    }
    Ok(())
}

fn verdict(difference: Option<String>) -> Verdict {
    match difference {
        None => Verdict::Passed,
        Some(message) => Verdict::Failed { message },
    }
}

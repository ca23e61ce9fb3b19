//! Dumps loaded into a server of our own, and compared with what was captured.

use super::accounts::Block;
use super::census::Census;
use super::connected::Connected;
use super::errors::{self, Class};
use super::load::{load, read_back};
use super::restore::{create, definers};
use super::restore_accounts::{read, run};
use super::rewrite::{Rewrite, quoted};
use super::scratch;
use super::survey::{self, Database};
use super::version::Version;
use super::{MysqlSource, fact};
use crate::explain;
use crate::source::program::Programs;
use crate::source::{Proof, Room, Stored, Surroundings, Verdict};
use std::path::Path;

/// The steps without which nothing is proven.
const LOAD: &str = "load into a server";
const CREATE: &str = "create in a server";

impl MysqlSource {
    /// Load a database into a scratch server, and compare it.
    pub(super) fn prove_database(
        &self,
        stored: &Stored<'_>,
        scratch: &Path,
        surroundings: &Surroundings<'_>,
    ) -> anyhow::Result<Proof> {
        let names = fact(stored, "lower_case_table_names").unwrap_or_default();
        let proven = self.in_scratch(stored, scratch, surroundings, (LOAD, names), |server| {
            self.load_and_compare(stored, server)
        })?;
        proven.or_else(|reason| {
            let mut proof = Proof::default();
            compare_dump(&mut proof, stored, read_back(stored)?);
            proof.lack(LOAD, reason);
            Ok(proof)
        })
    }

    /// Test in a scratch server, where that is best. A reason if it can be started nowhere.
    fn in_scratch(
        &self,
        stored: &Stored<'_>,
        scratch: &Path,
        surroundings: &Surroundings<'_>,
        (step, names): (&str, &str),
        test: impl FnOnce(&Connected) -> anyhow::Result<Proof>,
    ) -> anyhow::Result<Result<Proof, String>> {
        let was = stored.part.facts.versions.get("server");
        let was = was.and_then(|text| Version::of_server(text));
        let here = scratch::fit(self.dialect, &Programs::Host, was);
        let room = match Room::choose(&self.config.server, stored.part, here, scratch, &scratch::USERS)? {
            Ok(room) => room,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut lacking = None;
        let proof = room.prove(step, surroundings, |room| {
            let scratch = match scratch::start(self.dialect, room, names, surroundings.cancel)? {
                Ok(scratch) => scratch,
                Err(reason) => {
                    lacking = Some(reason);
                    return Ok(Proof::default());
                }
            };
            let mut proof = test(&scratch.server)?;
            proof.server = Some(format!("{} {}", self.dialect.name(), scratch.server.version_text));
            Ok(proof)
        })?;
        Ok(lacking.map_or(Ok(proof), Err))
    }

    fn load_and_compare(&self, stored: &Stored<'_>, server: &Connected) -> anyhow::Result<Proof> {
        let mut proof = Proof::default();
        proof
            .counts
            .push((stored.part.facts.rows.values().sum(), "row".to_owned()));
        let database = Database {
            name: fact(stored, "database")?.to_owned(),
            character_set: fact(stored, "character_set")?.to_owned(),
            collation: fact(stored, "collation")?.to_owned(),
        };
        for definer in definers(stored).iter().filter(|definer| definer.contains('@')) {
            let make = format!("CREATE USER IF NOT EXISTS {definer}; GRANT ALL PRIVILEGES ON *.* TO {definer}");
            server.query(&make)?;
        }
        server.query(&create(&database))?;
        let rewrite = Rewrite {
            from: database.name.clone(),
            to: database.name.clone(),
            only: None,
        };
        let mut census = Census::default();
        let loaded = load(server, stored, &rewrite, &mut census);
        if let Err(error) = loaded {
            fail(&mut proof, LOAD, explain::chain(&error));
            return Ok(proof);
        }
        proof.add(LOAD, Verdict::Passed);
        compare_dump(&mut proof, stored, census);
        compare_database(&mut proof, stored, server, &database.name)?;
        check_tables(&mut proof, stored, server, &database.name)?;
        for query in &self.config.assert {
            proof.add(query, asserted(server, &database.name, query));
        }
        Ok(proof)
    }

    /// Create the accounts in a scratch server. What they may do there is nothing that could be granted: the databases are missing.
    pub(super) fn prove_accounts(
        &self,
        stored: &Stored<'_>,
        scratch: &Path,
        surroundings: &Surroundings<'_>,
    ) -> anyhow::Result<Proof> {
        let mut read_back = Proof::default();
        let blocks = read(stored)?;
        let expected = stored
            .part
            .facts
            .more
            .get("accounts")
            .and_then(serde_json::Value::as_u64);
        let granted = blocks.iter().filter(|block| !block.makes).count() as u64;
        read_back.compare("accounts", expected.unwrap_or_default(), granted);
        read_back.counts.push((granted, "account".to_owned()));
        let proven = self.in_scratch(stored, scratch, surroundings, (CREATE, ""), |server| {
            let mut proof = read_back.clone();
            for block in blocks.iter().filter(|block| block.makes) {
                create_account(&mut proof, server, block);
            }
            let reason = "the databases that they are for are not in the scratch server".to_owned();
            skip(&mut proof, "grants", reason);
            Ok(proof)
        })?;
        Ok(proven.unwrap_or_else(|reason| {
            read_back.lack(CREATE, reason);
            read_back
        }))
    }
}

fn create_account(proof: &mut Proof, server: &Connected, block: &Block) {
    let what = format!("create {}", block.name);
    match run(server, &block.statements) {
        Ok(()) => proof.add(what, Verdict::Passed),
        Err(error) => {
            let message = explain::chain(&error);
            match Class::of(&message) {
                Class::Plugin => skip(proof, what, message),
                _ => fail(proof, what, message),
            }
        }
    }
}

fn skip(proof: &mut Proof, what: impl Into<String>, reason: String) {
    proof.add(what, Verdict::Skipped { reason });
}

fn fail(proof: &mut Proof, what: impl Into<String>, message: String) {
    proof.add(what, Verdict::Failed { message });
}

/// What the file is now, and what it was when it was captured.
fn compare_dump(proof: &mut Proof, stored: &Stored<'_>, census: Census) {
    let facts = &stored.part.facts;
    match census.finish() {
        Ok((found, bytes)) => {
            proof.compare("bytes of the dump", facts.bytes.unwrap_or_default(), bytes);
            match survey::difference(&facts.rows, &found.rows) {
                None => proof.add("rows in the dump", Verdict::Passed),
                Some(difference) => fail(proof, "rows in the dump", difference),
            }
        }
        Err(reason) => fail(proof, "structure and end of the dump", reason),
    }
}

fn compare_database(proof: &mut Proof, stored: &Stored<'_>, server: &Connected, database: &str) -> anyhow::Result<()> {
    let facts = &stored.part.facts;
    for (what, found) in survey::counts(server, database)? {
        let expected = facts
            .more
            .get(what)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default();
        proof.compare(what, expected, found);
        if found > 0 && what == "tables" {
            proof.counts.push((found, "table".to_owned()));
        }
    }
    let found = survey::rows(server, database, &facts.rows.keys().collect::<Vec<_>>())?;
    match survey::difference(&facts.rows, &found) {
        None => proof.add("rows of each table", Verdict::Passed),
        Some(difference) => fail(proof, "rows of each table", difference),
    }
    let Some(schema) = facts.more.get("schema_sha256").and_then(serde_json::Value::as_str) else {
        skip(proof, "schema", "it changed while the dump was made".to_owned());
        return Ok(());
    };
    let was = facts.versions.get("server").and_then(|text| Version::of_server(text));
    if was == Some(server.version) {
        proof.compare(
            "schema",
            schema.to_owned(),
            survey::schema_hash(server, database)?.to_hex(),
        );
    } else {
        skip(
            proof,
            "schema",
            format!("the scratch server is of another version, {}", server.version),
        );
    }
    Ok(())
}

/// What the server itself says of the tables.
fn check_tables(proof: &mut Proof, stored: &Stored<'_>, server: &Connected, database: &str) -> anyhow::Result<()> {
    let tables: Vec<&String> = stored.part.facts.rows.keys().collect();
    let mut complaints = Vec::new();
    for tables in tables.chunks(100) {
        let names: Vec<String> = tables
            .iter()
            .map(|table| format!("{}.{}", quoted(database), quoted(table)))
            .collect();
        for row in server.query(&format!("CHECK TABLE {}", names.join(", ")))? {
            let [table, _, kind, text] = <[String; 4]>::try_from(row).unwrap_or_default();
            // Engines that cannot check say so in a note.
            if matches!(kind.as_str(), "error" | "Error" | "warning") || kind == "status" && text != "OK" {
                complaints.push(format!("{table}: {text}"));
            }
        }
    }
    match complaints.as_slice() {
        [] => proof.add("CHECK TABLE", Verdict::Passed),
        complaints => fail(proof, "CHECK TABLE", complaints.join(", ")),
    }
    Ok(())
}

/// A query that is about another database says nothing about this one.
fn asserted(server: &Connected, database: &str, query: &str) -> Verdict {
    match server.ask(query, Some(database)) {
        Ok(rows) => {
            let answer = rows.first().and_then(|row| row.first()).map(String::as_str);
            match answer {
                None => Verdict::Failed {
                    message: "it found nothing".to_owned(),
                },
                Some("" | "0" | "NULL" | "false") => Verdict::Failed {
                    message: format!("it says {}", answer.unwrap_or_default()),
                },
                Some(_) => Verdict::Passed,
            }
        }
        Err(error) => {
            let words = error.last_line();
            let is_about_another = match Class::of(words) {
                Class::NoDatabase => true,
                Class::NoTable => !words.contains(&format!("'{database}.")),
                _ => false,
            };
            if is_about_another {
                let reason = format!("it is not about `{database}`: {words}");
                return Verdict::Skipped { reason };
            }
            Verdict::Failed {
                message: errors::explained(&error, server.dialect()).to_string(),
            }
        }
    }
}

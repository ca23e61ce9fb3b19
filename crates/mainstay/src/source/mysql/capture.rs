//! From a server to parts: a dump of each database, and the accounts.

use super::connected::Connected;
use super::dialect::Dialect;
use super::dump::Dump;
use super::errors::Class;
use super::incomplete::Mark;
use super::rewrite::quoted;
use super::rights::Rights;
use super::survey::{self, Database, Inside};
use super::{ACCOUNTS, MysqlSource, accounts};
use crate::config::Misuse;
use crate::engine::manifest::{Facts, Grade};
use crate::source::databases::{Missing, choose};
use crate::source::program::Output;
use crate::source::{Found, Item, Piece, Probe, Stream, Surroundings};
use parking_lot::Mutex;
use repository::{Error, Event};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is going to be dumped.
struct Surveyed {
    server: Connected,
    databases: Vec<(Database, Inside)>,
    /// Databases that are half restored.
    marks: BTreeMap<String, Mark>,
    /// What is left of restores that did not end.
    leftovers: Vec<String>,
    rights: Rights,
    /// What is named and not there.
    missing: Vec<Missing>,
}

impl MysqlSource {
    /// All parts.
    pub(super) fn pieces(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        self.check_arguments()?;
        let surveyed = self.survey(surroundings)?;
        if let Some(missing) = missing(&surveyed).first() {
            return Err(Error::Refused {
                message: format!("a right is missing: {missing}"),
                hint: Class::Right.hint().to_owned(),
            }
            .into());
        }
        for note in notes(&surveyed) {
            surroundings.monitor.event(Event::Note(&note));
        }
        let mut pieces: Vec<Piece> = surveyed
            .databases
            .iter()
            .map(|(database, inside)| match surveyed.marks.get(&database.name) {
                Some(mark) => self.refused(&database.name, mark),
                None => self.piece(&surveyed.server, database, inside, surroundings),
            })
            .collect();
        pieces.extend(surveyed.missing.iter().map(|missing| {
            let name = format!("{}: {}", self.config.server.name, missing.name);
            missing.piece(name, self.path_of(&missing.name))
        }));
        let programs = surveyed.server.programs();
        if surveyed.rights.sees_accounts() {
            let facts = Arc::new(Mutex::new(facts_of(&surveyed.server)));
            let path = self.root().join(ACCOUNTS);
            let stream = accounts::stream(surveyed.server, path.clone(), Arc::clone(&facts));
            pieces.push(Piece {
                path,
                name: format!("{}: users", self.config.server.name),
                grade: Some(Grade::Transactional),
                items: vec![Item::Stream(stream)],
                facts,
            });
        }
        Ok(Piece::all_of_image(pieces, &programs))
    }

    /// What is there.
    pub(super) fn look(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let surveyed = self.survey(surroundings)?;
        let found = surveyed.databases.iter().map(|(database, inside)| Found {
            name: database.name.clone(),
            bytes: Some(inside.bytes),
        });
        Ok(Probe {
            versions: surveyed.server.versions().into_iter().collect(),
            found: found.collect(),
            missing: missing(&surveyed)
                .into_iter()
                .chain(half_restored(&surveyed))
                .chain(surveyed.missing.iter().map(|missing| missing.error().to_string()))
                .collect(),
            notes: notes(&surveyed),
        })
    }

    fn survey(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Surveyed> {
        let server = self.connect(surroundings)?;
        // In this order: whoever makes a database marks it next.
        let all = survey::databases(&server)?;
        let marks = Mark::all(&server)?;
        let is_leftover = |database: &Database| marks.get(&database.name).is_some_and(Mark::is_of_rehearsal);
        let (leftovers, all): (Vec<_>, Vec<_>) = all.into_iter().partition(is_leftover);
        let names: Vec<String> = all.iter().map(|database| database.name.clone()).collect();
        let chosen = choose(&names, &self.config.databases, &self.config.exclude_databases)?;
        if chosen.names.is_empty() && chosen.missing.is_empty() && !self.config.allow_empty {
            return Err(Error::Refused {
                message: format!("`{}` can see no database to back up", server.account),
                hint: "Check the user's rights and `databases`; if none is right, write `allow_empty: true`."
                    .to_owned(),
            }
            .into());
        }
        let mut databases = Vec::new();
        for database in all.into_iter().filter(|database| chosen.names.contains(&database.name)) {
            let inside = survey::inside(&server, &database.name)?;
            databases.push((database, inside));
        }
        let rights = survey::rights(&server)?;
        Ok(Surveyed {
            server,
            databases,
            marks,
            leftovers: leftovers.into_iter().map(|database| database.name).collect(),
            rights,
            missing: chosen.missing,
        })
    }

    /// Some arguments would send the dump to somewhere else, or make another one.
    fn check_arguments(&self) -> Result<(), Misuse> {
        const REFUSED: [&str; 14] = [
            "--all-databases",
            "-A",
            "--databases",
            "-B",
            "--result-file",
            "-r",
            "--tab",
            "-T",
            "--xml",
            "-X",
            "--password",
            "-p",
            "--compact",
            "--skip-comments",
        ];
        let is_refused = |argument: &&String| {
            let name = argument.split('=').next().unwrap_or_default();
            REFUSED.contains(&name)
                || ["-r", "-T", "-p"]
                    .iter()
                    .any(|short| !name.starts_with("--") && name.starts_with(short))
        };
        match self.config.arguments.iter().find(is_refused) {
            Some(argument) => {
                let name = argument.split('=').next().unwrap_or_default();
                let name = if name.starts_with("--") {
                    name
                } else {
                    name.get(..2).unwrap_or(name)
                };
                let message = format!("`arguments` has `{name}`, with which the dump would not be what is captured");
                Err(Misuse::new(
                    message,
                    "Take it out; `databases` and `password` are keys of the source.",
                ))
            }
            None => Ok(()),
        }
    }

    /// A part that says why it is not captured.
    fn refused(&self, database: &str, mark: &Mark) -> Piece {
        let path = self.path_of(database);
        Piece {
            name: format!("{}: {database}", self.config.server.name),
            grade: None,
            items: vec![Item::Stream(Stream::failing(path.clone(), mark.refusal(database)))],
            path,
            facts: Arc::default(),
        }
    }

    fn piece(
        &self,
        server: &Connected,
        database: &Database,
        inside: &Inside,
        surroundings: &Surroundings<'_>,
    ) -> Piece {
        let path = self.path_of(&database.name);
        let mut known = facts_of(server);
        let mut add = |name: &str, value: serde_json::Value| known.more.insert(name.to_owned(), value);
        add("database", database.name.clone().into());
        add("character_set", database.character_set.clone().into());
        add("collation", database.collation.clone().into());
        add("definers", inside.definers.clone().into());
        add("engines", serde_json::json!(inside.engines));
        add("lower_case_table_names", server.name_case.clone().into());
        add("as_of", "the moment at which the dump of this database began".into());
        if !inside.without_transactions.is_empty() {
            add("without_transactions", inside.without_transactions.clone().into());
        }
        let facts = Arc::new(Mutex::new(known));
        let (words, inner) = server.dump_command(&database.name, &self.config.arguments);
        let output = Output {
            programs: server.programs(),
            words,
            surroundings: inner,
            cancel: surroundings.cancel.clone(),
            facts: None,
            check_end: None,
        };
        let dump = Dump {
            server: server.clone(),
            database: database.name.clone(),
            header: header(database),
            facts: Arc::clone(&facts),
        };
        Piece {
            name: format!("{}: {}", self.config.server.name, database.name),
            grade: Some(if inside.without_transactions.is_empty() {
                Grade::Transactional
            } else {
                Grade::Live
            }),
            items: vec![Item::Stream(dump.stream(output, path.clone()))],
            path,
            facts,
        }
    }
}

fn facts_of(server: &Connected) -> Facts {
    Facts {
        versions: server.versions().into_iter().collect(),
        ..Facts::default()
    }
}

/// What whoever loads the file by hand has to know first. It stands in a line.
fn header(database: &Database) -> String {
    let Database {
        name,
        character_set,
        collation,
    } = database;
    let name = quoted(name).replace(char::is_control, " ");
    format!("-- For CREATE DATABASE {name} CHARACTER SET {character_set} COLLATE {collation}\n")
}

fn missing(surveyed: &Surveyed) -> Vec<String> {
    let account = &surveyed.server.account;
    let of = |database: &str| {
        let rights = surveyed.rights.missing_for(database);
        (!rights.is_empty()).then(|| format!("`{account}` lacks {} on `{database}`", rights.join(", ")))
    };
    surveyed
        .databases
        .iter()
        .filter_map(|(database, _)| of(&database.name))
        .collect()
}

fn half_restored(surveyed: &Surveyed) -> Vec<String> {
    let of = |(database, _): &(Database, Inside)| {
        let mark = surveyed.marks.get(&database.name)?;
        Some(mark.refusal(&database.name).to_string())
    };
    surveyed.databases.iter().filter_map(of).collect()
}

fn notes(surveyed: &Surveyed) -> Vec<String> {
    let account = &surveyed.server.account;
    let mut notes = Vec::new();
    if !surveyed.leftovers.is_empty() {
        notes.push(format!(
            "left out, because they are rehearsals of restores that have not ended; drop them if none is under way: {}",
            surveyed.leftovers.join(", ")
        ));
    }
    for (Database { name, .. }, inside) in &surveyed.databases {
        if !inside.without_transactions.is_empty() {
            notes.push(format!(
                "`{name}` has tables without transactions, which may change while they are dumped: {}",
                inside.without_transactions.join(", ")
            ));
        }
        if !inside.versioned.is_empty() {
            notes.push(format!(
                "of `{name}` the history of these tables is not dumped: {}",
                inside.versioned.join(", ")
            ));
        }
    }
    if !surveyed.rights.sees_routines() {
        let table = match surveyed.server.dialect() {
            Dialect::Mysql => "SHOW_ROUTINE",
            Dialect::Mariadb => "SELECT on mysql.proc",
        };
        notes.push(format!(
            "`{account}` sees no routines that others made: it lacks {table}"
        ));
    }
    if !surveyed.rights.sees_accounts() {
        notes.push(format!(
            "accounts and grants are left out: `{account}` lacks SELECT on mysql.*"
        ));
    }
    notes
}

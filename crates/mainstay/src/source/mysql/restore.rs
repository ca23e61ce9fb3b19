//! A database, or one table of it, back on its server.

use super::answers::literal;
use super::census::Census;
use super::connected::Connected;
use super::dialect::SYSTEM_SCHEMAS;
use super::rewrite::{Rewrite, Rewriter, quoted};
use super::survey::{self, Database};
use super::version::Version;
use super::{MysqlSource, accounts, fact};
use crate::config::Misuse;
use crate::explain;
use crate::source::{Plan, PutBack, Restored, Stored, Surroundings};
use repository::{Error, Result};
use std::io::{self, Write};

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// There is no such database.
    Missing,
    /// The database is there, and nothing in it that would be replaced.
    Free(Database),
    /// What is there has to go first.
    Occupied(Database),
}

/// A restore that was decided on.
struct Restore<'a> {
    server: Connected,
    stored: &'a Stored<'a>,
    /// As it was captured, under the name that it gets.
    database: Database,
    rewrite: Rewrite,
    target: Target,
}

impl MysqlSource {
    /// Plan to put a database or one of its tables back.
    pub(super) fn plan<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        let rewrite = rewrite_of(stored, options)?;
        let server = self.connect(surroundings)?;
        let database = Database {
            name: rewrite.to.clone(),
            character_set: fact(stored, "character_set")?.to_owned(),
            collation: fact(stored, "collation")?.to_owned(),
        };
        let target = target(&server, &rewrite)?;
        if matches!(target, Target::Occupied(_)) && !options.overwrite {
            let hint = match &rewrite.only {
                Some(_) => "Restore it into another database with `--as DATABASE`, or replace it with `--overwrite`.",
                None => "Restore beside it with `--as DATABASE`, or replace it with `--overwrite`.",
            };
            let message = format!("{} exists, and nothing was changed", what(&rewrite));
            return Err(Misuse::new(message, hint).into());
        }
        let restore = Restore {
            server,
            stored,
            database,
            rewrite,
            target,
        };
        Ok(Plan {
            steps: restore.steps(),
            execute: Box::new(move || restore.execute()),
        })
    }
}

fn rewrite_of(stored: &Stored<'_>, options: &PutBack) -> Result<Rewrite, Misuse> {
    let from = fact(stored, "database")?.to_owned();
    let only = options.only.as_ref().map(|only| only.to_string_lossy().into_owned());
    let rows = &stored.part.facts.rows;
    if let Some(table) = only.as_ref().filter(|table| !rows.contains_key(*table)) {
        let known: Vec<&str> = rows.keys().map(String::as_str).collect();
        let message = format!("there is no table `{table}` in `{}`", stored.part.path.display());
        return Err(Misuse::new(message, format!("The tables are {}.", known.join(", "))));
    }
    let to = options.rename.clone().unwrap_or_else(|| from.clone());
    if to.is_empty() || SYSTEM_SCHEMAS.contains(&to.to_ascii_lowercase().as_str()) {
        let message = format!("`{to}` belongs to the server, or is no name");
        return Err(Misuse::new(message, "Choose another name for the database."));
    }
    Ok(Rewrite { from, to, only })
}

fn target(server: &Connected, rewrite: &Rewrite) -> Result<Target> {
    let Some(there) = survey::databases(server)?
        .into_iter()
        .find(|database| database.name == rewrite.to)
    else {
        return Ok(Target::Missing);
    };
    let is_occupied = match &rewrite.only {
        Some(table) => {
            let (schema, table) = (literal(&rewrite.to), literal(table));
            let sql = format!(
                "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}"
            );
            !server.query(&sql)?.is_empty()
        }
        None => survey::counts(server, &rewrite.to)?.iter().any(|(_, count)| *count > 0),
    };
    Ok(if is_occupied {
        Target::Occupied(there)
    } else {
        Target::Free(there)
    })
}

/// What is restored, for people.
fn what(rewrite: &Rewrite) -> String {
    match &rewrite.only {
        Some(table) => format!("the table `{table}` of `{}`", rewrite.to),
        None => format!("the database `{}`", rewrite.to),
    }
}

impl Restore<'_> {
    fn steps(&self) -> Vec<String> {
        let (what, path) = (what(&self.rewrite), self.stored.part.path.display());
        let create = format!("create the database `{}`", self.rewrite.to);
        let load = format!("load {what} from {path}");
        let undo = "if that fails, remove what was loaded: then everything is as before".to_owned();
        let mut steps = match &self.target {
            Target::Missing => vec![create, load, undo],
            Target::Free(_) => vec![load, undo],
            Target::Occupied(_) => vec![
                format!(
                    "rehearse: load {what} into a database of its own, count its rows, and remove it; a failure changes nothing"
                ),
                format!("remove {what} with everything in it"),
                load,
                format!(
                    "if that fails in spite of the rehearsal, {what} is half restored, and the dump is still whole"
                ),
            ],
        };
        if self.rewrite.from != self.rewrite.to && self.rewrite.only.is_none() {
            steps.push("events of the copy are disabled; references to other databases stay as they are".to_owned());
        }
        steps.extend(self.notes());
        steps
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.missing_definers() {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => notes.push(format!(
                "note: these accounts do not exist, and what runs in their name does not work without them: {}",
                missing.join(", ")
            )),
            Err(_) => {
                notes.push("note: whether the accounts exist that views and routines run as cannot be seen".to_owned());
            }
        }
        let was = self.stored.part.facts.versions.get("server");
        if let Some(was) = was.filter(|was| Version::of_server(was) > Some(self.server.version)) {
            notes.push(format!(
                "note: the dump is from a newer server ({was}) than this one ({})",
                self.server.version_text
            ));
        }
        notes
    }

    fn missing_definers(&self) -> Result<Vec<String>> {
        let definers = definers(self.stored);
        if definers.is_empty() {
            return Ok(Vec::new());
        }
        let known = accounts::list(&self.server)?;
        let is_missing = |definer: &String| !known.iter().any(|account| account.name == *definer);
        Ok(definers.into_iter().filter(is_missing).collect())
    }

    fn execute(self) -> anyhow::Result<Restored> {
        match &self.target {
            Target::Missing => {
                self.server.query(&create(&self.database))?;
                self.load(&self.rewrite)
                    .inspect_err(|_| self.clean(&drop_database(&self.rewrite.to)))
            }
            Target::Free(before) => match &self.rewrite.only {
                Some(table) => {
                    let drop = format!("DROP TABLE IF EXISTS {}.{}", quoted(&self.rewrite.to), quoted(table));
                    let loaded = self.load(&self.rewrite).inspect_err(|_| self.clean(&drop));
                    // Around triggers, the dump sets what the database had then.
                    self.server.query(&alter(before))?;
                    loaded
                }
                None => {
                    self.server.query(&alter(&self.database))?;
                    self.load(&self.rewrite).inspect_err(|_| {
                        // As far as it can be: it was empty.
                        self.clean(&format!("{}; {}", drop_database(&before.name), create(before)));
                    })
                }
            },
            Target::Occupied(before) => self.exchange(before),
        }
    }

    /// What is there goes only after the dump has shown that it can be loaded. Tables could be moved, but triggers, views, routines and
    /// events cannot, so that it is loaded a second time.
    fn exchange(&self, before: &Database) -> anyhow::Result<Restored> {
        self.rehearse()?;
        if self.rewrite.only.is_none() {
            self.replace(&self.database)?;
        }
        let loaded = self.load(&self.rewrite);
        if self.rewrite.only.is_some() {
            self.server.query(&alter(before))?;
        }
        loaded.map_err(|error| {
            let refused = Error::Refused {
                message: format!("{} is half restored: {}", what(&self.rewrite), explain::chain(&error)),
                hint: "The dump is still whole: remove the cause, and repeat the restore with `--overwrite`."
                    .to_owned(),
            };
            refused.into()
        })
    }

    fn rehearse(&self) -> anyhow::Result<()> {
        let name = format!("mainstay_rehearsal_{:08x}", fastrand::u32(..));
        let rewrite = Rewrite {
            to: name.clone(),
            ..self.rewrite.clone()
        };
        let database = Database {
            name: name.clone(),
            ..self.database.clone()
        };
        self.server.query(&create(&database))?;
        let rehearsed = self.load(&rewrite).and_then(|_| self.check_rows(&name));
        self.clean(&drop_database(&name));
        rehearsed.map_err(|error| error.context("the dump cannot be loaded, and nothing was changed"))
    }

    fn check_rows(&self, database: &str) -> anyhow::Result<()> {
        let mut expected = self.stored.part.facts.rows.clone();
        if let Some(only) = &self.rewrite.only {
            expected.retain(|table, _| table == only);
        }
        let found = survey::rows(&self.server, database, &expected.keys().collect::<Vec<_>>())?;
        match survey::difference(&expected, &found) {
            None => Ok(()),
            Some(difference) => Err(Error::Refused {
                message: format!("what was loaded is not what was captured: {difference}"),
                hint: "Choose another restore point.".to_owned(),
            }
            .into()),
        }
    }

    fn load(&self, rewrite: &Rewrite) -> anyhow::Result<Restored> {
        let bytes = load(&self.server, self.stored, rewrite, &mut io::sink())?;
        let tables = if rewrite.only.is_some() {
            1
        } else {
            self.stored.part.facts.rows.len() as u64
        };
        Ok(Restored {
            entries: tables,
            bytes,
            problems: 0,
        })
    }

    /// An empty database in the place of one that may not be. What may be done in it is kept: grants name it, and do not go with it.
    fn replace(&self, database: &Database) -> Result<()> {
        let sql = format!("{}; {}", drop_database(&database.name), create(database));
        self.server.query(&sql).map(|_| ())
    }

    /// After a failure, which is what the user has to hear of.
    fn clean(&self, sql: &str) {
        let _: Option<super::answers::Rows> = self.server.query(sql).ok();
    }
}

/// Load a dump into its database, and pass what is read to `also`. How much it was, bytes.
pub fn load(server: &Connected, stored: &Stored<'_>, rewrite: &Rewrite, also: &mut dyn Write) -> anyhow::Result<u64> {
    let mut bytes = 0;
    server.execute(Some(&rewrite.to), |out| {
        let mut both = Both {
            rewriter: Rewriter::new(rewrite, out),
            also,
        };
        stored.copy(&stored.part.path, &mut both)?;
        bytes = both.rewriter.bytes();
        Ok(())
    })?;
    Ok(bytes)
}

/// Read a dump and count what is in it.
pub fn read_back(stored: &Stored<'_>) -> Result<Census> {
    let mut census = Census::default();
    stored.copy(&stored.part.path, &mut census)?;
    Ok(census)
}

struct Both<'a> {
    rewriter: Rewriter<'a>,
    also: &'a mut dyn Write,
}

impl Write for Both<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.also.write_all(buffer)?;
        self.rewriter.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.rewriter.flush()
    }
}

/// The statement that makes a database.
pub fn create(database: &Database) -> String {
    let Database {
        name,
        character_set,
        collation,
    } = database;
    format!(
        "CREATE DATABASE {} CHARACTER SET {character_set} COLLATE {collation}",
        quoted(name)
    )
}

fn alter(database: &Database) -> String {
    create(database).replacen("CREATE", "ALTER", 1)
}

fn drop_database(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {}", quoted(name))
}

/// In whose name things in a dump run, as statements name them.
pub fn definers(stored: &Stored<'_>) -> Vec<String> {
    let definers = stored
        .part
        .facts
        .more
        .get("definers")
        .and_then(serde_json::Value::as_array);
    let name = |definer: &serde_json::Value| {
        let definer = definer.as_str()?;
        Some(match definer.rsplit_once('@') {
            Some((role, "")) => quoted(role),
            Some((user, host)) => format!("{}@{}", quoted(user), quoted(host)),
            None => quoted(definer),
        })
    };
    definers.into_iter().flatten().filter_map(name).collect()
}

//! A database, or one table of it, back on its server.

use super::answers::literal;
use super::connected::Connected;
use super::dialect::SYSTEM_SCHEMAS;
use super::incomplete::{MARK, Mark};
use super::rewrite::{Rewrite, quoted};
use super::survey::{self, Database};
use super::version::Version;
use super::{MysqlSource, accounts, fact};
use crate::config::Misuse;
use crate::source::{Plan, PutBack, Stored, Surroundings};
use repository::Result;

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// There is no such database.
    Missing,
    /// The database is there, and nothing in it that would be replaced.
    Free(Database),
    /// What is there has to go first.
    Occupied(Database),
}

/// A restore that was decided on.
pub struct Restore<'a> {
    /// Where to.
    pub server: Connected,
    /// What.
    pub stored: &'a Stored<'a>,
    /// As it was captured, under the name that it gets.
    pub database: Database,
    /// What is changed in the dump.
    pub rewrite: Rewrite,
    /// What is in the way.
    pub target: Target,
    /// Told of what does not go well.
    pub surroundings: &'a Surroundings<'a>,
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
        check_mark(&server, &rewrite)?;
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
            surroundings,
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

/// One table does not make a database whole that is half restored.
fn check_mark(server: &Connected, rewrite: &Rewrite) -> anyhow::Result<()> {
    let Some(only) = &rewrite.only else { return Ok(()) };
    match Mark::read(server, &rewrite.to)? {
        Some(mark) if mark != Mark::of(Some(only)) => {
            let message = format!(
                "the database `{}` is half restored, and nothing was changed",
                rewrite.to
            );
            let hint = "Repeat the restore that has not ended first: the comment of the table";
            Err(Misuse::new(message, format!("{hint} `{MARK}` in it says which.")).into())
        }
        Some(_) | None => Ok(()),
    }
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
pub fn what(rewrite: &Rewrite) -> String {
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
        steps.push(format!(
            "until all of it is right, the table `{MARK}` in the database says that it is not"
        ));
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
        if matches!(self.target, Target::Occupied(_)) && self.rewrite.only.is_none() {
            let granted = "SELECT 1 FROM mysql.procs_priv LIMIT 1";
            if self.server.query(granted).is_err() {
                notes.push("note: what is granted on single routines cannot be seen, and is lost".to_owned());
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

/// The statement that gives a database its properties.
pub fn alter(database: &Database) -> String {
    create(database).replacen("CREATE", "ALTER", 1)
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

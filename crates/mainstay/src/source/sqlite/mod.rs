//! A SQLite database while it is in use.

mod facts;
mod image;
mod in_files;
mod open;
mod server;

use super::{Found, Item, Piece, Plan, Probe, Proof, PutBack, Restored, Source, Stored, Stream, Surroundings, Verdict};
use crate::config::Misuse;
use crate::config::model::Sqlite;
use crate::docker;
use crate::engine::manifest::{Facts, Grade};
use image::Image;
pub use in_files::{InFiles, logs};
use parking_lot::Mutex;
use repository::{Error, Result};
use rusqlite::backup::{Backup, StepResult};
use serde_json::json;
use server::{Database, failed};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Where databases stand in a snapshot.
const SQLITE: &str = "/sqlite";
/// Between attempts to get hold of a database.
const PAUSE: Duration = Duration::from_millis(100);
/// Names of facts: whose the file was, and its mode.
const OWNER: &str = "uid";
const GROUP: &str = "gid";
const MODE: &str = "mode";

/// A database file.
#[derive(Debug)]
pub struct SqliteSource {
    sqlite: Sqlite,
}

impl SqliteSource {
    /// As it is configured.
    pub fn new(sqlite: Sqlite) -> Self {
        Self { sqlite }
    }

    fn path(&self) -> PathBuf {
        let name = self
            .sqlite
            .name
            .clone()
            .unwrap_or_else(|| server::name_of(&self.sqlite.path));
        Path::new(SQLITE).join(format!("{name}.db"))
    }

    /// Its file on this host.
    fn database(&self) -> anyhow::Result<Database> {
        let path = match &self.sqlite.volume {
            Some(volume) => docker::volume_directory(None, volume)?.join(&self.sqlite.path),
            None => self.sqlite.path.clone(),
        };
        Ok(Database::new(path))
    }
}

impl Source for SqliteSource {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn name(&self) -> String {
        let path = self.sqlite.path.display();
        match &self.sqlite.volume {
            Some(volume) => format!("{path} in volume {volume}"),
            None => path.to_string(),
        }
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.path()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let database = self.database()?;
        let there = fs::metadata(&database.path).map_err(Error::local("open", &database.path))?;
        let read: Arc<Mutex<Facts>> = Arc::default();
        let facts: Arc<Mutex<Facts>> = Arc::default();
        let image = Image::new(database, surroundings.cancel.clone(), Arc::clone(&read));
        let known = Arc::clone(&facts);
        let stream = Stream {
            path: self.path(),
            reader: Box::new(image),
            finish: Box::new(move || {
                let mut found = std::mem::take(&mut *read.lock());
                for (name, value) in [
                    (OWNER, there.uid()),
                    (GROUP, there.gid()),
                    (MODE, there.mode() & 0o7777),
                ] {
                    found.more.insert(name.to_owned(), json!(value));
                }
                *known.lock() = found;
                Ok(())
            }),
        };
        Ok(vec![Piece {
            path: self.path(),
            name: self.name(),
            grade: Some(Grade::Transactional),
            items: vec![Item::Stream(stream)],
            facts,
        }])
    }

    fn probe(&self, _: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let database = self.database()?;
        let connection = database.open()?;
        let mut probe = Probe {
            found: vec![Found {
                name: database.path.display().to_string(),
                bytes: fs::metadata(&database.path).ok().map(|there| there.len()),
            }],
            ..Probe::default()
        };
        probe
            .versions
            .insert("sqlite".to_owned(), rusqlite::version().to_owned());
        if !database.has_write_ahead_log(&connection)? {
            let note =
                "it has no write-ahead log: it is copied to a temporary file first, and writers may have to wait";
            probe.notes.push(note.to_owned());
        }
        Ok(probe)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        _: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        if let Some(only) = &options.only {
            let message = format!(
                "a SQLite database is restored as a whole, not only `{}`",
                only.display()
            );
            let hint = "Restore it beside with `--as FILE`, and take from there what you need.";
            return Err(Misuse::new(message, hint).into());
        }
        let target = match &options.rename {
            Some(name) => Database::new(std::path::absolute(name)?),
            None => self.database()?,
        };
        let shown = target.path.display().to_string();
        let is_there = fs::symlink_metadata(&target.path).is_ok();
        if is_there && !options.overwrite {
            let message = format!("`{shown}` exists, and nothing was changed");
            let hint = "Restore beside it with `--as FILE`, or replace what is there with `--overwrite`.";
            return Err(Misuse::new(message, hint).into());
        }
        let mut steps = vec![format!(
            "write {} to a new file beside `{shown}`, and check it",
            stored.part.path.display()
        )];
        steps.push(if is_there {
            format!(
                "replace the content of `{shown}` in one transaction: programs that have it open see the old or the new"
            )
        } else {
            format!("call it `{shown}`")
        });
        let execute = move || Ok(put_back(stored, &target, is_there)?);
        Ok(Plan {
            steps,
            execute: Box::new(execute),
        })
    }

    fn prove(&self, stored: &Stored<'_>, scratch: &Path, _: &Surroundings<'_>) -> anyhow::Result<Proof> {
        let database = Database::new(scratch.join("restored.db"));
        let mut file = File::create_new(&database.path)?;
        stored.copy(&stored.part.path, &mut file)?;
        file.flush()?;
        drop(file);
        let mut proof = Proof::default();
        match check(&database) {
            Ok(()) => proof.add("integrity_check", Verdict::Passed),
            Err(error) => {
                let message = error.to_string();
                proof.add("integrity_check", Verdict::Failed { message });
                return Ok(proof);
            }
        }
        let (found, expected) = (facts::of(&*database.open()?, &database)?, &stored.part.facts);
        for (table, rows) in &expected.rows {
            proof.compare(
                format!("rows of `{table}`"),
                *rows,
                found.rows.get(table).copied().unwrap_or_default(),
            );
        }
        for name in [facts::SCHEMA, facts::ORPHANS].iter().chain(&facts::APPLICATION) {
            if let Some(expected) = expected.more.get(*name) {
                proof.compare(*name, expected, found.more.get(*name).unwrap_or(&json!(null)));
            }
        }
        proof.counts.push((expected.rows.len() as u64, "table".to_owned()));
        proof.counts.push((expected.rows.values().sum(), "row".to_owned()));
        Ok(proof)
    }
}

/// That a database is whole.
fn check(database: &Database) -> Result<()> {
    facts::check(&*database.open()?, database, "integrity_check")
}

fn put_back(stored: &Stored<'_>, target: &Database, is_there: bool) -> Result<Restored> {
    let directory = target.path.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::with_prefix_in(".mainstay-restore-", directory)
        .map_err(Error::local("create a file in", directory))?;
    stored.copy(&stored.part.path, &mut file)?;
    let written = file.as_file();
    let bytes = written
        .sync_all()
        .and_then(|()| written.metadata())
        .map_err(Error::local("write", file.path()))?
        .len();
    let restored = Database::new(file.path().to_owned());
    check(&restored)?;
    if is_there {
        replace(&restored, target)?;
    } else {
        set_owner(file.path(), &stored.part.facts)?;
        let persisted = file.persist_noclobber(&target.path);
        persisted.map_err(|error| Error::local("create", &target.path)(error.error))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::local("sync", directory))?;
    }
    Ok(Restored {
        entries: 1,
        bytes,
        problems: 0,
    })
}

/// By the library, in one transaction: whoever has the database open goes on with the new content, and a failure changes nothing.
fn replace(restored: &Database, target: &Database) -> Result<()> {
    let from = restored.open()?;
    let mut to = target.create()?;
    let wrong = failed(target, "replace");
    let backup = Backup::new(&from, &mut to).map_err(&wrong)?;
    let begin = Instant::now();
    loop {
        match backup.step(-1).map_err(&wrong)? {
            StepResult::Done => return Ok(()),
            _ if begin.elapsed() > target.patience => return Err(target.locked()),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

fn set_owner(path: &Path, facts: &Facts) -> Result<()> {
    let number = |name: &str| {
        facts
            .more
            .get(name)?
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
    };
    if let Some(mode) = number(MODE) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::local("set the mode of", path))?;
    }
    if rustix::process::geteuid().is_root() {
        chown(path, number(OWNER), number(GROUP)).map_err(Error::local("set the owner of", path))?;
    }
    Ok(())
}

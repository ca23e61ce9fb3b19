//! What is captured of a server, asked first and then copied.

use super::census::Census;
use super::errors::{self, Class};
use super::server::{DUMP, SHELL, Server};
use super::survey::{ADMIN, Surveyed};
use super::{ALL, MongodbSource};
use crate::config::Misuse;
use crate::engine::manifest::{Facts, Grade};
use crate::source::databases::{Chosen, choose};
use crate::source::program::Output;
use crate::source::{Found, Item, Piece, Probe, Stream, Surroundings};
use parking_lot::Mutex;
use repository::{Error, Result};
use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

/// What is wanted of a server, and whether it can be had.
struct Wanted {
    server: Server,
    surveyed: Surveyed,
    /// One by one.
    databases: Chosen,
    /// Versions of the programs.
    versions: Vec<(String, String)>,
    missing: Vec<String>,
    notes: Vec<String>,
}

impl MongodbSource {
    /// Everything that is captured.
    pub(super) fn pieces(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let wanted = self.wanted(surroundings)?;
        if !wanted.missing.is_empty() {
            let user = wanted.server.user();
            return Err(Class::Right
                .error(&format!("`{user}` lacks {}", wanted.missing.join(", ")))
                .into());
        }
        for note in &wanted.notes {
            surroundings.monitor.note(note);
        }
        if self.config.oplog {
            let piece = self.piece(&wanted, None, surroundings);
            return Ok(Piece::all_of_image(vec![piece], &wanted.server.programs));
        }
        let databases = wanted.databases.names.iter();
        let mut pieces: Vec<Piece> = databases
            .map(|database| self.piece(&wanted, Some(database), surroundings))
            .collect();
        pieces.extend(wanted.databases.missing.iter().map(|missing| {
            let name = format!("{}/{}", self.config.server.name, missing.name);
            missing.piece(name, self.path_of(&missing.name))
        }));
        Ok(Piece::all_of_image(pieces, &wanted.server.programs))
    }

    /// What is there.
    pub(super) fn look(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let wanted = self.wanted(surroundings)?;
        let missing = wanted
            .databases
            .missing
            .iter()
            .map(|missing| missing.error().to_string());
        let found = wanted.databases.names.iter().map(|name| Found {
            name: name.clone(),
            bytes: wanted.surveyed.bytes_of(name),
        });
        Ok(Probe {
            found: found.collect(),
            missing: wanted.missing.into_iter().chain(missing).collect(),
            versions: wanted.versions.into_iter().collect(),
            notes: wanted.notes,
        })
    }

    fn wanted(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Wanted> {
        self.check_arguments()?;
        let server = self.server(surroundings)?;
        let surveyed = Surveyed::of(&server)?;
        if self.config.oplog {
            self.check_oplog(&surveyed)?;
        }
        let versions = vec![
            ("server".to_owned(), surveyed.version.clone()),
            (DUMP.to_owned(), server.fitting(DUMP, &surveyed.version)?),
            (SHELL.to_owned(), server.version_of(SHELL)?),
        ];
        let mut wanted = Wanted {
            databases: self.chosen(&surveyed)?,
            server,
            surveyed,
            versions,
            missing: Vec::new(),
            notes: Vec::new(),
        };
        wanted.check_rights(&self.config.databases, self.config.oplog);
        if wanted.surveyed.is_sharded {
            let note = "of a sharded cluster, the copy is not of one moment, and its configuration is not captured";
            wanted.notes.push(format!("{}: {note}", self.config.server.name));
        }
        Ok(wanted)
    }

    /// Names of databases; users and roles come with all of them, or when `admin` is named.
    fn chosen(&self, surveyed: &Surveyed) -> anyhow::Result<Chosen> {
        let mut all: Vec<String> = surveyed.databases().map(|database| database.name.clone()).collect();
        if all.is_empty() && !self.config.allow_empty {
            return Err(Error::Refused {
                message: format!("the server `{}` shows no database to back up", self.config.server.name),
                hint: "Check the user's rights and `databases`; if there really is none, write `allow_empty: true`."
                    .to_owned(),
            }
            .into());
        }
        all.push(ADMIN.to_owned());
        Ok(choose(&all, &self.config.databases, &[])?)
    }

    /// The log of a replica set can only be used with all databases.
    fn check_oplog(&self, surveyed: &Surveyed) -> Result<(), Misuse> {
        let reason = if !self.config.databases.is_empty() {
            "`oplog` takes all databases, and `databases` names some"
        } else if surveyed.is_sharded {
            "`oplog` does not work through the router of a sharded cluster"
        } else if surveyed.set.is_none() {
            "`oplog` needs a replica set, and the server is in none"
        } else {
            return Ok(());
        };
        Err(Misuse::new(reason, "Take out `oplog`, or `databases`."))
    }

    /// Some arguments would send the dump to somewhere else, or make another one.
    fn check_arguments(&self) -> Result<(), Misuse> {
        const REFUSED: [&str; 16] = [
            "--archive",
            "--collection",
            "--config",
            "--db",
            "--dumpDbUsersAndRoles",
            "--gzip",
            "--host",
            "--oplog",
            "--out",
            "--password",
            "--port",
            "--query",
            "--queryFile",
            "--uri",
            "--username",
            "--viewsAsCollections",
        ];
        let is_refused = |argument: &&String| {
            let name = argument.split('=').next().unwrap_or_default();
            let is_short = !name.starts_with("--") && name.len() > 1 && "cdhopqu".contains(&name[1..2]);
            REFUSED.contains(&name) || name.starts_with('-') && name.is_char_boundary(2) && is_short
        };
        match self.config.arguments.iter().find(is_refused) {
            Some(argument) => {
                let name = argument.split('=').next().unwrap_or_default();
                let name = if name.starts_with("--") { name } else { &name[..2] };
                let message = format!("`arguments` has `{name}`, with which the dump would not be what is captured");
                let hint = "Take it out; `databases`, `oplog`, `user` and `password` are keys of the source.";
                Err(Misuse::new(message, hint))
            }
            None => Ok(()),
        }
    }

    /// A database, or all of them.
    fn piece(&self, wanted: &Wanted, database: Option<&String>, surroundings: &Surroundings<'_>) -> Piece {
        let path = self.path_of(database.map_or(ALL, String::as_str));
        let mut known = Facts {
            versions: wanted.versions.iter().cloned().collect(),
            // What the log adds or takes away is not counted.
            approximate: database.is_none(),
            ..Facts::default()
        };
        let mut arguments = vec![OsString::from("--archive")];
        match database {
            Some(name) => {
                known.more.insert("database".to_owned(), name.clone().into());
                arguments.push(format!("--db={name}").into());
            }
            None => {
                known.more.insert("oplog".to_owned(), true.into());
                arguments.push("--oplog".into());
            }
        }
        arguments.extend(self.config.arguments.iter().map(OsString::from));
        let facts = Arc::new(Mutex::new(known));
        let output = Output {
            programs: wanted.server.programs.clone(),
            words: wanted.server.tool(DUMP, &arguments),
            surroundings: wanted.server.surroundings(),
            cancel: surroundings.cancel.clone(),
            facts: None,
            check_end: None,
        };
        let what = database.map_or("all databases", String::as_str);
        Piece {
            name: format!("{}: {what}", self.config.server.name),
            grade: Some(if database.is_none() {
                Grade::Transactional
            } else {
                Grade::Live
            }),
            items: vec![Item::Stream(counted(
                output,
                path.clone(),
                database.cloned(),
                Arc::clone(&facts),
            ))],
            path,
            facts,
        }
    }
}

impl Wanted {
    /// Users and roles that nobody asked for by name are left out if they cannot be read, and that is told.
    fn check_rights(&mut self, named: &[String], oplog: bool) {
        let (surveyed, user) = (&self.surveyed, self.server.user());
        let lacks_admin = surveyed.missing_for(ADMIN);
        if !lacks_admin.is_empty() && named.is_empty() && !oplog {
            self.databases.names.retain(|name| name != ADMIN);
            self.notes.push(format!(
                "users and roles are left out: `{user}` lacks {}",
                lacks_admin.join(", ")
            ));
        }
        self.missing = self
            .databases
            .names
            .iter()
            .flat_map(|database| surveyed.missing_for(database))
            .collect();
        if oplog {
            self.missing.extend(surveyed.missing_for_oplog());
        }
    }
}

/// What a dump program prints as a file of the snapshot, counted as it passes.
fn counted(output: Output, path: PathBuf, database: Option<String>, facts: Arc<Mutex<Facts>>) -> Stream {
    let what = database.clone().unwrap_or_else(|| "all databases".to_owned());
    let explain = {
        let what = what.clone();
        move |error| match errors::explained(&error) {
            Error::Refused { message, hint } => Error::Refused {
                message: format!("the dump of {what} failed: {message}"),
                hint,
            },
            other => other,
        }
    };
    let Stream { path, reader, finish } = output.into_stream_explained(path, Arc::new(explain));
    let census: Arc<Mutex<Census>> = Arc::default();
    let reader = Reader {
        inner: reader,
        census: Arc::clone(&census),
    };
    let finish = move || {
        finish()?;
        let census = std::mem::take(&mut *census.lock());
        let (found, bytes) = census.finish().map_err(|reason| Error::Refused {
            message: format!("the dump of {what} is not whole: {reason}"),
            hint: "Run the job again; if it happens again, look at the server's log.".to_owned(),
        })?;
        let mut facts = facts.lock();
        found.record(database.as_deref(), &mut facts);
        facts.bytes = Some(bytes);
        Ok(())
    };
    Stream {
        path,
        reader: Box::new(reader),
        finish: Box::new(finish),
    }
}

/// Reads an archive and counts what is in it.
struct Reader {
    inner: Box<dyn Read + Send>,
    census: Arc<Mutex<Census>>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        // What is wrong is told at the end: a program that failed says itself why.
        self.census.lock().write_all(&buffer[..read])?;
        Ok(read)
    }
}

//! A database as one file.

use super::errors::explained;
use super::lazy::lazily;
use super::moment::Moment;
use super::server::Server;
use crate::config::model::{DumpFormat, Postgres};
use crate::engine::manifest::Facts;
use crate::source::Stream;
use crate::source::program::{CheckEnd, Explain, Output};
use parking_lot::Mutex;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// How long pg_dump waits for a table that somebody else changes, milliseconds. Others wait behind it.
const LOCK_WAIT: &str = "--lock-wait-timeout=60000";

/// What the last lines of each dump say.
const END: &str = "PostgreSQL database dump complete";

/// How a database is dumped.
#[derive(Clone, Debug)]
pub struct Form {
    format: DumpFormat,
    options: Vec<String>,
    arguments: Vec<String>,
}

impl Form {
    /// As it is configured.
    pub fn new(postgres: &Postgres) -> Self {
        Self {
            format: postgres.format,
            options: postgres.options.clone(),
            arguments: postgres.arguments.clone(),
        }
    }

    /// Without what only belongs into a dump that is one file: for parts of a dump.
    pub fn of_parts(&self) -> Self {
        Self {
            format: DumpFormat::Plain,
            options: self
                .options
                .iter()
                .filter(|option| !is_of_clean(option))
                .cloned()
                .collect(),
            arguments: self.arguments.clone(),
        }
    }

    /// The command that dumps what `moment` sees.
    pub fn words(&self, server: &Server, moment: &Moment, more: &[String]) -> Vec<OsString> {
        let snapshot = format!("--snapshot={}", moment.snapshot);
        let mut words = vec![server.clients.program("pg_dump"), server.patience()];
        words.extend(["-w", &snapshot, LOCK_WAIT].map(OsString::from));
        match self.format {
            // What is compressed does not deduplicate; the repository compresses.
            DumpFormat::Custom => words.extend(["-Fc", "-Z0"].map(OsString::from)),
            DumpFormat::Plain => words.push("-Fp".into()),
        }
        words.extend(self.dump_options().into_iter().map(OsString::from));
        words.extend(more.iter().chain(&self.arguments).map(OsString::from));
        words
    }

    /// `clean` alone makes a dump that an empty database refuses, so that `if-exists` always comes with it.
    fn dump_options(&self) -> Vec<String> {
        let is_plain = self.format == DumpFormat::Plain;
        let wanted = self.options.iter().filter(|option| is_plain || !is_of_clean(option));
        let mut options: Vec<String> = wanted.map(|option| format!("--{option}")).collect();
        let has = |name: &str, options: &[String]| options.iter().any(|option| option == name);
        if has("--clean", &options) && !has("--if-exists", &options) {
            options.push("--if-exists".to_owned());
        }
        options.retain(|option| option != "--if-exists" || self.options.iter().any(|option| option == "clean"));
        options
    }

    /// The output of a dump as a file of the snapshot.
    pub fn output(
        &self,
        server: &Arc<Server>,
        database: &str,
        words: Vec<OsString>,
        facts: Option<Arc<Mutex<Facts>>>,
    ) -> Output {
        Output {
            programs: server.clients.programs.clone(),
            words,
            surroundings: server.surroundings(database),
            cancel: server.cancel.clone(),
            facts,
            check_end: (self.format == DumpFormat::Plain).then_some(check_end as CheckEnd),
        }
    }
}

fn is_of_clean(option: &str) -> bool {
    option == "clean" || option == "if-exists"
}

/// What a failure of a program of this server means.
pub fn explain(server: &Arc<Server>) -> Explain {
    let name = server.name();
    Arc::new(move |error| explained(error, &name))
}

/// A dump of the database in one file, as of the moment when it is first read.
pub fn stream(server: &Arc<Server>, database: &str, form: &Form, facts: &Arc<Mutex<Facts>>, path: PathBuf) -> Stream {
    let (server, database, form, facts) = (Arc::clone(server), database.to_owned(), form.clone(), Arc::clone(facts));
    lazily(path.clone(), move || {
        let moment = Moment::begin(&server, &database)?;
        let words = form.words(&server, &moment, &[]);
        let output = form.output(&server, &database, words, Some(Arc::clone(&facts)));
        let dump = output.into_stream_explained(path, explain(&server));
        let finish = move || {
            (dump.finish)()?;
            moment.end(&mut facts.lock())
        };
        Ok(Stream {
            path: dump.path,
            reader: dump.reader,
            finish: Box::new(finish),
        })
    })
}

fn check_end(tail: &[u8]) -> Result<(), String> {
    if String::from_utf8_lossy(tail).contains(END) {
        Ok(())
    } else {
        Err(format!("it does not end with `{END}`"))
    }
}

//! A large database as a directory: a file for each table, dumped side by side as of one moment.

use super::ahead::ahead;
use super::dump::{Form, explain};
use super::lazy::lazily;
use super::moment::Moment;
use super::names::{TableName, ident};
use super::server::Server;
use crate::engine::manifest::Facts;
use crate::source::{Item, Stream};
use parking_lot::Mutex;
use repository::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the rows of tables stand.
pub const DATA: &str = "data";
/// The statement that makes the database.
pub const CREATE: &str = "create.sql";
/// What has to be there before rows are.
pub const BEFORE: &str = "pre-data.sql";
/// Sequences, large objects, settings of extensions, and tables that are younger than the list of tables.
pub const OTHERS: &str = "other-data.sql";
/// Indexes, constraints, triggers.
pub const AFTER: &str = "post-data.sql";
/// How it is put back without us.
const README: &str = "RESTORE.md";

/// A database whose files are read one after the other.
struct Together {
    server: Arc<Server>,
    database: String,
    form: Form,
    processes: usize,
    /// In the order of their files.
    tables: Vec<TableName>,
    facts: Arc<Mutex<Facts>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    moment: Option<Moment>,
    failed: Option<(String, String)>,
    unfinished: usize,
    begun: BTreeMap<usize, Stream>,
}

/// One of the files.
#[derive(Clone, Copy)]
enum File {
    Create,
    Section(&'static str),
    Table(usize),
    Others,
}

/// The files of a database below `directory`; the first one that is read takes the moment for all.
pub fn items(
    server: &Arc<Server>,
    database: &str,
    form: &Form,
    processes: usize,
    mut tables: Vec<TableName>,
    facts: &Arc<Mutex<Facts>>,
    directory: &Path,
) -> Vec<Item> {
    tables.sort_by_key(file_of);
    let mut files = vec![
        (directory.join(CREATE), File::Create),
        (directory.join(BEFORE), File::Section("pre-data")),
    ];
    let of_table = |(number, table)| (directory.join(DATA).join(file_of(table)), File::Table(number));
    files.extend(tables.iter().enumerate().map(of_table));
    files.push((directory.join(OTHERS), File::Others));
    files.push((directory.join(AFTER), File::Section("post-data")));
    let together = Arc::new(Together {
        server: Arc::clone(server),
        database: database.to_owned(),
        form: form.of_parts(),
        processes,
        tables,
        facts: Arc::clone(facts),
        state: Mutex::new(State {
            unfinished: files.len(),
            ..State::default()
        }),
    });
    let readme = Stream::of(directory.join(README), readme(database).into_bytes());
    let streams = files.into_iter().map(|(path, file)| {
        let together = Arc::clone(&together);
        lazily(path.clone(), move || together.begin(file, path))
    });
    streams.chain([readme]).map(Item::Stream).collect()
}

/// The name of a table's file.
pub fn file_of(table: &TableName) -> PathBuf {
    format!("{}.sql", table.in_path()).into()
}

impl Together {
    fn begin(self: Arc<Self>, file: File, path: PathBuf) -> Result<Stream> {
        let stream = {
            let state = &mut *self.state.lock();
            self.take_moment(state)?;
            match file {
                File::Table(number) => self.table(state, number)?,
                other => self.one(state, other, path)?,
            }
        };
        let finish = move || {
            (stream.finish)()?;
            self.finished()
        };
        Ok(Stream {
            path: stream.path,
            reader: stream.reader,
            finish: Box::new(finish),
        })
    }

    /// What failed once is not tried again for each file: there is no other moment.
    fn take_moment(&self, state: &mut State) -> Result<()> {
        if let Some((message, hint)) = state.failed.clone() {
            return Err(Error::Refused { message, hint });
        }
        if state.moment.is_none() {
            let begun = Moment::begin(&self.server, &self.database);
            let moment = begun.inspect_err(|error| {
                state.failed = Some((error.to_string(), error.hint().unwrap_or_default()));
            })?;
            state.moment = Some(moment);
        }
        Ok(())
    }

    /// A table's rows; those of the next tables are begun as well.
    fn table(&self, state: &mut State, number: usize) -> Result<Stream> {
        for next in (number..self.tables.len()).take(self.processes) {
            if !state.begun.contains_key(&next) {
                let stream = self.one(state, File::Table(next), PathBuf::new())?;
                state.begun.insert(next, ahead(stream));
            }
        }
        let missing = || Error::Verification("a table was not begun".to_owned());
        state.begun.remove(&number).ok_or_else(missing)
    }

    fn one(&self, state: &State, file: File, path: PathBuf) -> Result<Stream> {
        let Some(moment) = &state.moment else {
            return Err(Error::Verification("a dump has no moment".to_owned()));
        };
        let wanted = match file {
            File::Create => return Ok(Stream::of(path, create(&self.server, moment).into_bytes())),
            File::Table(number) if !moment.catalog.tables.contains(&self.tables[number]) => {
                let text = "-- The table was dropped before the moment of this dump.\n";
                return Ok(Stream::of(path, text.into()));
            }
            File::Table(number) => vec![
                "--section=data".to_owned(),
                format!("--table={}", self.tables[number].sql()),
            ],
            File::Section(section) => vec![format!("--section={section}")],
            File::Others => {
                let excluded = self
                    .tables
                    .iter()
                    .map(|table| format!("--exclude-table-data={}", table.sql()));
                let data = ["--section=data".to_owned(), "--blobs".to_owned()];
                data.into_iter().chain(excluded).collect()
            }
        };
        let words = self.form.words(&self.server, moment, &wanted);
        let output = self.form.output(&self.server, &self.database, words, None);
        Ok(output.into_stream_explained(path, explain(&self.server)))
    }

    /// With the last file, the moment ends.
    fn finished(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.unfinished = state.unfinished.saturating_sub(1);
        if state.unfinished > 0 {
            return Ok(());
        }
        match state.moment.take() {
            Some(moment) => moment.end(&mut self.facts.lock()),
            None => Ok(()),
        }
    }
}

fn create(server: &Server, moment: &Moment) -> String {
    let properties = &moment.properties;
    let name = &properties.name;
    let mut statements = vec![properties.create(name, Some(&properties.owner), server.major())];
    statements.extend(properties.apply(name, true));
    statements.join("\n") + "\n"
}

fn readme(database: &str) -> String {
    let name = ident(database);
    format!(
        "# The database {name}

Everything here is SQL, as of one moment. `psql` alone puts it back; the server needs the same extensions, and the roles, \
which are in `globals.sql` beside this directory:

    psql -X -v ON_ERROR_STOP=1 -d postgres -f {CREATE}
    cat {BEFORE} {DATA}/*.sql {OTHERS} {AFTER} | psql -X -v ON_ERROR_STOP=1 -d DATABASE

One table, into a database that has it without rows:

    psql -X -v ON_ERROR_STOP=1 -d DATABASE -f {DATA}/SCHEMA.TABLE.sql

| file | holds |
|---|---|
| `{CREATE}` | the database itself: encoding, locale, owner, settings, rights |
| `{BEFORE}` | schemas, types, functions, tables without rows |
| `{DATA}/SCHEMA.TABLE.sql` | rows of a table; characters that a file's name cannot hold are written as `%` and two digits |
| `{OTHERS}` | sequences and large objects |
| `{AFTER}` | indexes, constraints, triggers, materialized views |
"
    )
}

//! The dump of one database: a stream that is counted while it passes.

use super::census::Census;
use super::connected::Connected;
use super::errors::Class;
use super::incomplete::{MARK, Mark};
use super::survey;
use crate::engine::manifest::Facts;
use crate::source::Stream;
use crate::source::program::Output;
use parking_lot::Mutex;
use repository::{Error, Id, Result};
use std::io::{self, Cursor, Read, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

/// A dump of one database that has not begun.
pub struct Dump {
    /// Of what.
    pub server: Connected,
    /// Which.
    pub database: String,
    /// What stands before it.
    pub header: String,
    /// Gets what is in it.
    pub facts: Arc<Mutex<Facts>>,
}

impl Dump {
    /// As a file of the snapshot, of what the dump program prints.
    pub fn stream(self, output: Output, path: PathBuf) -> Stream {
        let Stream { path, reader, finish } = output.into_stream(path);
        let counted: Arc<Mutex<Counted>> = Arc::default();
        let reader = Reader {
            server: self.server.clone(),
            database: self.database.clone(),
            header: Cursor::new(self.header.clone().into_bytes()),
            begun: false,
            inner: reader,
            counted: Arc::clone(&counted),
        };
        let finish = move || {
            finish().map_err(|error| sorted(error, &self.database))?;
            self.conclude(std::mem::take(&mut *counted.lock()))
        };
        Stream {
            path,
            reader: Box::new(reader),
            finish: Box::new(finish),
        }
    }

    fn conclude(&self, counted: Counted) -> Result<()> {
        let (found, bytes) = counted.census.finish().map_err(|reason| Error::Refused {
            message: format!("the dump of `{}` is not whole: {reason}", self.database),
            hint: "Run the job again; if it happens again, look at the server's log.".to_owned(),
        })?;
        // A restore makes its database and marks it next: what was dumped in between is empty.
        let is_of_restore = || Mark::read(&self.server, &self.database).is_ok_and(|mark| mark.is_some());
        if found.rows.contains_key(MARK) || (found.rows.is_empty() && is_of_restore()) {
            return Err(half_restored(&self.server, &self.database));
        }
        // A schema that changed meanwhile may be the old or the new one.
        let schema = survey::schema_hash(&self.server, &self.database).ok();
        let mut facts = self.facts.lock();
        if let (Some(hash), true) = (schema, schema == counted.schema) {
            facts.more.insert("schema_sha256".to_owned(), hash.to_hex().into());
        }
        facts.bytes = Some(bytes);
        found.record(&mut facts);
        Ok(())
    }
}

/// A restore that began after the capture had looked.
fn half_restored(server: &Connected, database: &str) -> Error {
    let mark = Mark::read(server, database).ok().flatten();
    mark.unwrap_or_else(|| Mark::of(None)).refusal(database)
}

/// The dump program's complaint, with what to do about it.
fn sorted(error: Error, database: &str) -> Error {
    match error {
        Error::Refused { message, hint } => {
            let hint = match Class::of(&message) {
                Class::Other => hint,
                class => class.hint().to_owned(),
            };
            Error::Refused {
                message: format!("the dump of `{database}` failed: {message}"),
                hint,
            }
        }
        other => other,
    }
}

/// What is known while a dump passes.
#[derive(Default)]
struct Counted {
    census: Census,
    schema: Option<Id>,
}

/// Reads a dump and counts what is in it.
struct Reader {
    server: Connected,
    database: String,
    header: Cursor<Vec<u8>>,
    begun: bool,
    inner: Box<dyn Read + Send>,
    counted: Arc<Mutex<Counted>>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut counted = self.counted.lock();
        if !std::mem::replace(&mut self.begun, true) {
            // Without it less is compared later.
            counted.schema = survey::schema_hash(&self.server, &self.database).ok();
        }
        let read = match self.header.read(buffer)? {
            0 => self.inner.read(buffer)?,
            read => read,
        };
        counted.census.write_all(&buffer[..read])?;
        Ok(read)
    }
}

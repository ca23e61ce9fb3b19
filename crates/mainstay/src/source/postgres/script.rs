//! SQL that `psql` executes.

use super::clients::Clients;
use super::errors::explained;
use super::server::Server;
use crate::exec;
use crate::source::program;
use repository::{Error, Result};
use std::ffi::OsString;
use std::io::{self, Write};

/// What becomes of what was done before a statement fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is undone: all in one transaction.
    AllOrNothing,
    /// It stays.
    StepByStep,
}

/// Have `psql` execute what `write` writes, up to the first statement that fails.
///
/// # Errors
/// That of `write`; the server's, explained.
pub fn run(
    server: &Server,
    database: &str,
    mode: Mode,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
) -> anyhow::Result<()> {
    let mut words = server.psql();
    if mode == Mode::AllOrNothing {
        words.push("--single-transaction".into());
    }
    words.extend(["-f".into(), "-".into()]);
    let fed = program::feed(&server.clients.programs, &words, server.surroundings(database), write);
    fed.map_err(|error| explain(error, &server.name()))
}

/// Have a program of the client, which needs no server for it, turn what `write` writes into SQL, which goes to `out`.
///
/// # Errors
/// That of `write`; the program's, explained.
pub fn through(
    clients: &Clients,
    words: &[OsString],
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let filtered = program::filter(
        &clients.programs,
        words,
        exec::Surroundings::default(),
        |input| {
            write(&mut UntilEnough {
                input,
                is_enough: false,
            })
        },
        out,
    );
    filtered.map_err(|error| flat(explain(error, "this host")))
}

/// A program that has what it wants stops reading; whether that was well is for its exit code to say.
struct UntilEnough<'a> {
    input: &'a mut (dyn Write + Send),
    is_enough: bool,
}

impl Write for UntilEnough<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.is_enough {
            return Ok(buffer.len());
        }
        match self.input.write(buffer) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_enough = true;
                Ok(buffer.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

fn explain(error: anyhow::Error, server: &str) -> anyhow::Error {
    match error.downcast::<exec::Error>() {
        Ok(error) => explained(error, server).into(),
        Err(error) => error,
    }
}

/// The repository's error, which a chain of another kind becomes.
fn flat(error: anyhow::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|error| Error::Refused {
        message: crate::explain::chain(&error),
        hint: crate::explain::hint(&error).unwrap_or_default(),
    })
}

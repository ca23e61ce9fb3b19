//! A connection that stays open: `psql` that is asked and answers.

use super::errors::explained;
use super::server::Server;
use crate::exec::{Ending, Input, Surroundings};
use crate::source::Patient;
use repository::{Error, Result};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Write as _};

/// Printed after each answer.
const END: &str = "--mainstay: end of the answer--";

/// An open connection. Dropped before it is closed, it is cut, and what it had begun is undone.
#[derive(Debug)]
pub struct Session {
    stdin: Option<PipeWriter>,
    stdout: BufReader<Patient<PipeReader>>,
    ending: Option<Ending>,
    server: String,
}

impl Session {
    /// Connect to a database.
    ///
    /// # Errors
    /// If `psql` cannot be started. Everything else is found out by the first question.
    pub fn open(server: &Server, database: &str) -> Result<Self> {
        let mut surroundings = Surroundings {
            input: Input::Piped,
            ..server.surroundings(database)
        };
        surroundings.variables.push(("PGCLIENTENCODING".into(), "UTF8".into()));
        let mut words = server.psql();
        words.extend(["-f".into(), "-".into()]);
        let started = server.clients.programs.start(&words, &surroundings);
        let mut running = started.map_err(|error| explained(error, &server.name()))?;
        let stdin = running.stdin();
        let (stdout, ending) = running.split();
        let mut session = Self {
            stdin,
            stdout: BufReader::new(Patient::new(stdout, server.cancel.clone())),
            ending: Some(ending),
            server: server.name(),
        };
        session.send("SET client_min_messages = warning; SET search_path = '';")?;
        Ok(session)
    }

    /// Send SQL, and ask for what it answers; [`rows`](Self::rows) or [`lines`](Self::lines) has to follow.
    ///
    /// # Errors
    /// Why the connection ended, if it did.
    pub fn ask(&mut self, sql: &str) -> Result<()> {
        self.send(&format!("{sql}\n\\echo '{END}'"))
    }

    fn send(&mut self, text: &str) -> Result<()> {
        let written = match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{text}"),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        match written {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_it_ended()),
        }
    }

    /// The lines of the answer.
    ///
    /// # Errors
    /// Why the connection ended, if it did; an error of the server ends it.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = self.stdout.read_until(b'\n', &mut line);
            match read {
                Ok(0) => return Err(self.why_it_ended()),
                Ok(_) => {}
                Err(error) => return Err(interrupted_or(error)),
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            if line == END {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    /// The rows of the answer, of which each is one JSON value; lines that are empty are none.
    ///
    /// # Errors
    /// As [`lines`](Self::lines).
    pub fn rows(&mut self) -> Result<Vec<Value>> {
        let lines = self.lines()?;
        let parse = |line: &String| serde_json::from_str(line).map_err(|_| not_understood(line));
        lines.iter().filter(|line| !line.is_empty()).map(parse).collect()
    }

    /// Ask and wait for the answer.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn query(&mut self, sql: &str) -> Result<Vec<Value>> {
        self.ask(sql)?;
        self.rows()
    }

    /// End it well.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn close(mut self) -> Result<()> {
        drop(self.stdin.take());
        match self.ending.take() {
            Some(ending) => ending.finish().map_err(|error| explained(error, &self.server)),
            None => Ok(()),
        }
    }

    fn why_it_ended(&mut self) -> Error {
        drop(self.stdin.take());
        match self.ending.take().map(Ending::finish) {
            Some(Err(error)) => explained(error, &self.server),
            Some(Ok(())) | None => Error::Refused {
                message: format!("the connection to PostgreSQL at `{}` has ended", self.server),
                hint: "Look at the server's log, and run the job again.".to_owned(),
            },
        }
    }
}

fn not_understood(line: &str) -> Error {
    Error::Refused {
        message: format!("an answer of `psql` cannot be understood: `{line}`"),
        hint: "Look whether the server's version is supported: 12 to 18 are.".to_owned(),
    }
}

fn interrupted_or(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::local("read", "the output of psql")(error),
    }
}

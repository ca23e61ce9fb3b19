//! Everything that is printed.

mod progress;
mod retries;
mod table;
mod text;

pub use progress::{Progress, ProgressMode};
pub use retries::Retries;
pub use table::{table, trimmed};
pub use text::{bytes, count, duration};

use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Standard output. A reader that goes away is an [`io::ErrorKind::BrokenPipe`], which ends the program quietly.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// In which form.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether JSON was asked for.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// A line of the result.
    pub fn line(self, text: impl Display) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// A line that says what was done; not with `--quiet`, not with `--json`.
    pub fn info(self, text: impl Display) -> io::Result<()> {
        if self.quiet || self.json {
            Ok(())
        } else {
            self.line(text)
        }
    }

    /// A value as one line of JSON.
    pub fn json(self, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, value)?;
        writeln!(out)
    }

    /// A JSON value if JSON was asked for, else a line that says what was done.
    pub fn done(self, value: &impl Serialize, text: impl Display) -> io::Result<()> {
        if self.json { self.json(value) } else { self.info(text) }
    }

    /// For results of many lines; flush it at the end.
    pub fn writer(self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::with_capacity(64 << 10, io::stdout().lock())
    }
}

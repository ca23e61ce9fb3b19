//! The settings at the beginning of a dump, of which a server that is older than the dump's programs does not know all.

use repository::{Error, Result};
use std::io::{self, Write};

/// Settings that dumps begin with, and the version that brought them. All supported versions know the others.
const NEW: &[(&str, u32)] = &[("SET transaction_timeout ", 17)];

/// What stands before the first statement that does something.
const BEFORE: [&str; 5] = ["--", "\\restrict ", "BEGIN;", "SET ", "SELECT pg_catalog.set_config("];

/// The beginning of a dump is no longer than this.
const LONGEST_BYTES: usize = 64 << 10;

/// Passes SQL on, without the settings at its beginning that a server does not know.
pub struct Settings<'a> {
    out: &'a mut (dyn Write + Send),
    major: u32,
    /// What was not passed on yet; nothing, as soon as the beginning is over.
    held: Option<Vec<u8>>,
}

impl<'a> Settings<'a> {
    /// For a server of version `major`.
    pub fn new(out: &'a mut (dyn Write + Send), major: u32) -> Self {
        let knows_all = NEW.iter().all(|(_, since)| major >= *since);
        Self {
            out,
            major,
            held: (!knows_all).then(Vec::new),
        }
    }

    /// Pass on what is left.
    ///
    /// # Errors
    /// Those of what it is passed on to.
    pub fn finish(mut self) -> Result<()> {
        self.pass(true).map_err(Error::local("write to", "psql"))
    }

    /// Pass on the lines of the beginning that are whole, and everything if that is over.
    fn pass(&mut self, is_all: bool) -> io::Result<()> {
        let Some(mut held) = self.held.take() else {
            return Ok(());
        };
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            if !is_before(&held[..end]) {
                return self.out.write_all(&held);
            }
            if !self.is_unknown(&held[..end]) {
                self.out.write_all(&held[..=end])?;
            }
            held.drain(..=end);
        }
        if is_all || held.len() > LONGEST_BYTES {
            return self.out.write_all(&held);
        }
        self.held = Some(held);
        Ok(())
    }

    fn is_unknown(&self, line: &[u8]) -> bool {
        NEW.iter()
            .any(|(words, since)| self.major < *since && line.starts_with(words.as_bytes()))
    }
}

fn is_before(line: &[u8]) -> bool {
    line.is_empty() || BEFORE.iter().any(|words| line.starts_with(words.as_bytes()))
}

impl Write for Settings<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.held {
            None => self.out.write(buffer),
            Some(held) => {
                held.extend_from_slice(buffer);
                self.pass(false).map(|()| buffer.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_at_the_beginning_is_left_out() {
        let sql = "--\n-- Dump\n--\n\n\\restrict x\n\nBEGIN;\n\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n\
                   SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\n\
                   SET transaction_timeout = 0;\n\\.\n";
        let without = sql.replacen("SET transaction_timeout = 0;\n", "", 1);
        for (major, text, expected) in [(16, sql, without.as_str()), (17, sql, sql), (12, "SET a", "SET a")] {
            for piece in [1, 7, 1000] {
                let mut out = Vec::new();
                let mut settings = Settings::new(&mut out, major);
                text.as_bytes()
                    .chunks(piece)
                    .for_each(|bytes| settings.write_all(bytes).unwrap());
                settings.finish().unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{major}, {piece}");
            }
        }
    }
}

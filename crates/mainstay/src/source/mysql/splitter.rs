//! Dumps in SQL as they stream by: statement by statement, and rows without holding them.
//!
//! This reads what `mariadb-dump` and `mysqldump` write, not any SQL: their strings have backslashes, routines stand between two lines
//! with `DELIMITER`, and each statement of those ends a line.

use memchr::memchr2;
use std::io;

/// No statement but those with rows is longer: servers take no longer ones than 1 GiB, and nobody writes routines of this length.
const LONGEST_STATEMENT_BYTES: usize = 64 << 20;

/// A piece of a dump. Put together, all pieces are the dump.
#[derive(Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A whole statement with its end, a line with a comment, or one with `DELIMITER`; with the white space before it.
    Statement(&'a [u8]),
    /// Part of a statement that inserts rows.
    Rows {
        /// As it stands there.
        text: &'a [u8],
        /// It is the beginning, which reaches as far as `VALUES`.
        first: bool,
        /// How many rows begin here.
        begun: u64,
    },
}

/// Takes units.
pub type Each<'a> = &'a mut dyn FnMut(Unit<'_>) -> io::Result<()>;

/// Finds the units of a dump.
#[derive(Debug, Default)]
pub struct Splitter {
    /// What is known of the statement that is not complete.
    pending: Vec<u8>,
    /// White space at its beginning.
    leading: usize,
    /// In rows: they are not kept.
    in_rows: bool,
    /// In a string or name, the character that ends it.
    quote: Option<u8>,
    /// The next character is what it is.
    escaped: bool,
    /// Brackets that are open.
    depth: u32,
    /// Statements end with two semicolons at the end of a line.
    in_block: bool,
}

impl Splitter {
    /// Take more of the dump.
    ///
    /// # Errors
    /// Those of `each`, and when a statement is absurdly long.
    pub fn push(&mut self, bytes: &[u8], each: Each<'_>) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = if self.in_rows {
                self.push_rows(rest, each)?
            } else {
                self.push_statement(rest, each)?
            };
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// Whether nothing is incomplete: where a dump may end.
    pub fn is_between_statements(&self) -> bool {
        !self.in_rows && !self.in_block && self.pending.trim_ascii().is_empty()
    }

    fn push_rows(&mut self, bytes: &[u8], each: Each<'_>) -> io::Result<usize> {
        let (mut begun, mut next) = (0, 0);
        while next < bytes.len() {
            if let (Some(quote), false) = (self.quote, self.escaped) {
                // Most of a dump is text, in which nothing else matters.
                match memchr2(quote, b'\\', &bytes[next..]) {
                    Some(skipped) => next += skipped,
                    None => break,
                }
            }
            let at = next;
            next += 1;
            if self.is_quoted(bytes[at]) {
                continue;
            }
            match bytes[at] {
                b'(' => {
                    begun += u64::from(self.depth == 0);
                    self.depth += 1;
                }
                b')' => self.depth = self.depth.saturating_sub(1),
                b';' if self.depth == 0 => {
                    self.in_rows = false;
                    let text = &bytes[..=at];
                    each(Unit::Rows {
                        text,
                        first: false,
                        begun,
                    })?;
                    return Ok(at + 1);
                }
                _ => {}
            }
        }
        each(Unit::Rows {
            text: bytes,
            first: false,
            begun,
        })?;
        Ok(bytes.len())
    }

    fn push_statement(&mut self, bytes: &[u8], each: Each<'_>) -> io::Result<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.leading == self.pending.len() && byte.is_ascii_whitespace() {
                self.leading += 1;
            }
            self.pending.push(*byte);
            if self.begins_rows(*byte) {
                self.in_rows = true;
                each(Unit::Rows {
                    text: &self.pending,
                    first: true,
                    begun: 0,
                })?;
                self.begin_statement();
                return Ok(at + 1);
            }
            if self.ends_with(*byte) {
                self.enter_or_leave_block();
                each(Unit::Statement(&self.pending))?;
                self.begin_statement();
            } else if self.pending.len() > LONGEST_STATEMENT_BYTES {
                return Err(io::Error::other("a statement of the dump is absurdly long"));
            }
        }
        Ok(bytes.len())
    }

    fn begin_statement(&mut self) {
        self.pending.clear();
        (self.leading, self.depth, self.quote, self.escaped) = (0, 0, None, false);
    }

    /// `VALUES`: before it there are only names, in backquotes.
    fn begins_rows(&self, byte: u8) -> bool {
        let is_open = !self.in_block && byte == b'V' && self.quote.is_none() && self.depth == 0;
        is_open && (self.text().starts_with(b"INSERT ") || self.text().starts_with(b"REPLACE "))
    }

    /// Whether `byte`, which was just taken, is the last one of a unit.
    fn ends_with(&mut self, byte: u8) -> bool {
        if self.is_line() {
            return byte == b'\n';
        }
        if self.in_block {
            return byte == b'\n' && self.pending.trim_ascii_end().ends_with(b";;");
        }
        if self.is_quoted(byte) {
            return false;
        }
        match byte {
            b'(' => self.depth += 1,
            b')' => self.depth = self.depth.saturating_sub(1),
            b'\n' => return is_sandbox(self.text()),
            _ => {}
        }
        byte == b';'
    }

    /// Whether this unit is a line. A name in a comment may have quotes that nothing closes.
    fn is_line(&self) -> bool {
        let text = self.text();
        let is_comment = text.starts_with(b"--") && !self.in_block;
        is_comment || text.starts_with(b"DELIMITER ")
    }

    fn text(&self) -> &[u8] {
        &self.pending[self.leading..]
    }

    fn is_quoted(&mut self, byte: u8) -> bool {
        if std::mem::take(&mut self.escaped) {
            return true;
        }
        match self.quote {
            Some(quote) => {
                // A doubled quote closes and opens again.
                if byte == quote {
                    self.quote = None;
                } else if byte == b'\\' && quote != b'`' {
                    self.escaped = true;
                }
                true
            }
            None => {
                let opens = matches!(byte, b'\'' | b'"' | b'`');
                self.quote = opens.then_some(byte);
                opens
            }
        }
    }

    fn enter_or_leave_block(&mut self) {
        if let Some(delimiter) = self.text().strip_prefix(b"DELIMITER ") {
            self.in_block = delimiter.trim_ascii() != b";";
        }
    }
}

/// The first line of MariaDB's dumps, which older clients and those of MySQL stop at.
pub fn is_sandbox(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.ends_with(b"*/") && (text.starts_with(b"/*M!999999\\-") || text.starts_with(b"/*!999999\\-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "/*M!999999\\- enable the sandbox mode */ \n-- Database: it's\n\nDROP TABLE IF EXISTS `a;b`;\n\
        CREATE TABLE `a;b` (\n  `x``;` text DEFAULT 'it''s; \\'' COMMENT '('\n);\n\
        INSERT INTO `a;b` (`V`, `x``;`) VALUES\n(1,'),(;\\''),\n(2,_binary '\\\\');\nDELIMITER ;;\n\
        CREATE TRIGGER t\nBEGIN it's; END */ ;;\nSELECT 2 ;;\nDELIMITER ;\n/*!40103 SET X='V' */;\nREPLACE INTO `e` VALUES (1),(2);\n\
        -- Dump completed\n";

    fn units(step: usize) -> (Vec<String>, u64) {
        let (mut splitter, mut found, mut rows) = (Splitter::default(), Vec::new(), 0);
        for chunk in DUMP.as_bytes().chunks(step) {
            let mut each = |unit: Unit<'_>| {
                let (text, continues) = match unit {
                    Unit::Statement(text) => (text, false),
                    Unit::Rows { text, first, begun } => {
                        rows += begun;
                        (text, !first)
                    }
                };
                let text = String::from_utf8(text.to_vec()).unwrap();
                match found.last_mut() {
                    Some(last) if continues => String::push_str(last, &text),
                    _ => found.push(text),
                }
                Ok(())
            };
            splitter.push(chunk, &mut each).unwrap();
        }
        assert!(splitter.is_between_statements());
        (found, rows)
    }

    #[test]
    fn a_dump_falls_into_the_same_statements_however_it_arrives() {
        let (found, rows) = units(DUMP.len());
        assert_eq!(found.concat(), DUMP);
        let begins: Vec<&str> = found
            .iter()
            .map(|text| text.trim().get(..6).unwrap_or_default())
            .collect();
        assert_eq!(
            begins,
            [
                "/*M!99", "-- Dat", "DROP T", "CREATE", "INSERT", "DELIMI", "CREATE", "SELECT", "DELIMI", "/*!401",
                "REPLAC", "-- Dum"
            ],
            "{found:?}"
        );
        assert_eq!(rows, 4);
        for step in [1, 2, 3, 7] {
            assert_eq!(units(step), (found.clone(), rows), "{step}");
        }
    }

    #[test]
    fn a_dump_that_ends_in_the_middle_is_noticed() {
        for end in ["INSERT INTO `e` VALUES (1),(2", "DELIMITER ;;\n", "CREATE TABLE `x` ("] {
            let mut splitter = Splitter::default();
            splitter.push(end.as_bytes(), &mut |_| Ok(())).unwrap();
            assert!(!splitter.is_between_statements(), "{end}");
        }
    }
}

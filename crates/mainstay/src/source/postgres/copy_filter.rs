//! Rows of some tables, taken out of a dump in SQL.

use super::names::{TableName, first_name};
use std::io::{self, Write};

/// A line that is longer than this begins no table's rows.
const LONGEST_LINE: usize = 1 << 20;

/// Passes on the `COPY` statements of some tables with their rows, and the encoding that they are in; leaves out everything else.
pub struct CopyFilter<'a> {
    out: &'a mut (dyn Write + Send),
    wanted: &'a [TableName],
    /// What is known of the current line, up to its end or its limit.
    line: Vec<u8>,
    /// The line was so long that its beginning was dealt with.
    is_rest: bool,
    state: State,
    /// Tables that were passed on.
    pub tables: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Wanted,
    Unwanted,
}

impl<'a> CopyFilter<'a> {
    /// Pass the rows of `wanted` on to `out`.
    pub fn new(out: &'a mut (dyn Write + Send), wanted: &'a [TableName]) -> Self {
        Self {
            out,
            wanted,
            line: Vec::new(),
            is_rest: false,
            state: State::Outside,
            tables: 0,
        }
    }

    /// Whether a name goes on in the next line.
    fn is_open(&self) -> bool {
        let quotes = self.line.iter().filter(|byte| **byte == b'"').count();
        let is_copy = self.state == State::Outside && !self.is_rest && self.line.starts_with(b"COPY ");
        is_copy && quotes % 2 == 1 && self.line.len() <= LONGEST_LINE
    }

    /// A line, or a piece of one that is too long to be held.
    fn take_line(&mut self) -> io::Result<()> {
        if self.is_open() {
            return Ok(());
        }
        let is_begin = !self.is_rest;
        self.is_rest = self.line.last() != Some(&b'\n');
        if self.state == State::Outside {
            let text = String::from_utf8_lossy(&self.line);
            if is_begin && text.starts_with("SET client_encoding = ") {
                self.out.write_all(&self.line)?;
            } else if let Some(table) = table_of(&text).filter(|_| is_begin) {
                self.state = if self.wanted.contains(&table) {
                    self.tables += 1;
                    self.out.write_all(&self.line)?;
                    State::Wanted
                } else {
                    State::Unwanted
                };
            }
        } else {
            if self.state == State::Wanted {
                self.out.write_all(&self.line)?;
            }
            // In rows, a backslash is doubled.
            if is_begin && self.line == b"\\.\n" {
                self.state = State::Outside;
            }
        }
        self.line.clear();
        Ok(())
    }
}

/// The table of `COPY public.users (id, name) FROM stdin;`.
fn table_of(line: &str) -> Option<TableName> {
    let (schema, rest) = first_name(line.strip_prefix("COPY ")?)?;
    let (name, rest) = first_name(rest.strip_prefix('.')?)?;
    let is_copy = rest.starts_with(' ') && rest.trim_end().ends_with("FROM stdin;");
    is_copy.then(|| TableName::new(schema, name))
}

impl Write for CopyFilter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        for piece in buffer.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                self.take_line()?;
            }
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rows_of_wanted_tables_pass() {
        let long = "x".repeat(3 * LONGEST_LINE);
        let sql = format!(
            "SET client_encoding = 'UTF8';\nSET x = 1;\nCREATE TABLE public.a ();\n\
             COPY public.a (id) FROM stdin;\n1\nCOPY public.b (id) FROM stdin;\n\\\\.\n{long}\n\\.\n\n\
             COPY public.b (id) FROM stdin;\n2\n\\.\n\
             COPY \"S x\".\"a\n\"\"\" (\"i d\") FROM stdin;\n3\n\\.\nSELECT 1;\n"
        );
        let wanted = [TableName::new("public", "a"), TableName::new("S x", "a\n\"")];
        let expected = format!(
            "SET client_encoding = 'UTF8';\n\
             COPY public.a (id) FROM stdin;\n1\nCOPY public.b (id) FROM stdin;\n\\\\.\n{long}\n\\.\n\
             COPY \"S x\".\"a\n\"\"\" (\"i d\") FROM stdin;\n3\n\\.\n"
        );
        for size in [1000, 65_536, usize::MAX] {
            let mut passed = Vec::new();
            let mut filter = CopyFilter::new(&mut passed, &wanted);
            for piece in sql.as_bytes().chunks(size) {
                filter.write_all(piece).unwrap();
            }
            assert_eq!(filter.tables, 2);
            assert!(passed == expected.as_bytes());
        }
    }
}

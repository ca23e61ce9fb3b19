//! What a dump holds, counted while it passes: what is counted is exactly what a restore of it has to bring back.

use super::splitter::{Splitter, Unit};
use super::statement::{Statement, rows_of};
use crate::engine::manifest::Facts;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// The line at the end of every dump.
const COMPLETED: &str = "Dump completed";

/// Counts what is written to it.
#[derive(Debug, Default)]
pub struct Census {
    splitter: Splitter,
    found: Found,
    bytes: u64,
}

/// What was found in a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Names of views.
    pub views: BTreeSet<String>,
    /// Names of sequences.
    pub sequences: BTreeSet<String>,
    /// How many triggers.
    pub triggers: u64,
    /// How many procedures, functions and packages.
    pub routines: u64,
    /// How many events.
    pub events: u64,
    /// The last comment says that the dump is complete.
    completed: bool,
    /// The table that rows are for.
    current: String,
}

impl Census {
    /// What was found, when everything has been written.
    ///
    /// # Errors
    /// What is wrong with the end, as a phrase.
    pub fn finish(self) -> Result<(Found, u64), String> {
        if !self.splitter.is_between_statements() {
            return Err("it ends in the middle of a statement".to_owned());
        }
        if !self.found.completed {
            return Err(format!("the line `-- {COMPLETED}` is missing at its end"));
        }
        Ok((self.found, self.bytes))
    }
}

impl Write for Census {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let found = &mut self.found;
        self.splitter.push(bytes, &mut |unit| {
            found.take(unit);
            Ok(())
        })?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Found {
    /// Tables, views and the like, as names and numbers.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("tables", self.rows.len() as u64),
            ("views", self.views.len() as u64),
            ("sequences", self.sequences.len() as u64),
            ("triggers", self.triggers),
            ("routines", self.routines),
            ("events", self.events),
        ]
    }

    /// Write it down for the manifest.
    pub fn record(self, facts: &mut Facts) {
        for (name, count) in self.counts() {
            facts.more.insert(name.to_owned(), count.into());
        }
        facts.rows = self.rows;
    }

    fn take(&mut self, unit: Unit<'_>) {
        match unit {
            Unit::Rows { text, first, begun } => {
                if first {
                    self.current = rows_of(text);
                }
                *self.rows.entry(self.current.clone()).or_default() += begun;
            }
            Unit::Statement(text) => self.take_statement(Statement::of(text)),
        }
    }

    fn take_statement(&mut self, statement: Statement) {
        self.completed = false;
        match statement {
            Statement::Comment(text) => self.completed = text.starts_with(COMPLETED),
            Statement::Table(name) => {
                self.rows.entry(name).or_default();
            }
            // Before it is made, old dump programs put a table in its place.
            Statement::View(name) => {
                self.rows.remove(&name);
                self.views.insert(name);
            }
            Statement::Sequence(name) => {
                self.sequences.insert(name);
            }
            Statement::Trigger => self.triggers += 1,
            Statement::Routine { made } => self.routines += u64::from(made),
            Statement::Event { made } => self.events += u64::from(made),
            Statement::Set | Statement::Drop(_) | Statement::AlterDatabase | Statement::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_counted_and_its_end_is_looked_at() {
        let census = |text: &str| {
            let mut census = Census::default();
            census.write_all(text.as_bytes()).unwrap();
            census.finish()
        };
        let dump = "CREATE TABLE `e` (x int);\nCREATE TABLE `t` (x int);\nINSERT INTO `t` VALUES (1),\n(2);\nINSERT INTO `t` VALUES (3);\n\
                    /*!50001 CREATE TABLE `v` (x int) */;\n/*!50001 CREATE VIEW `v` AS SELECT 1 */;\n/*!50001 VIEW `v` AS SELECT 1 */;\n";
        let (found, bytes) = census(&format!("{dump}-- Dump completed\n")).unwrap();
        assert_eq!(found.rows, BTreeMap::from([("e".to_owned(), 0), ("t".to_owned(), 3)]));
        assert_eq!((found.views.len(), bytes), (1, dump.len() as u64 + 18));
        assert!(census(dump).unwrap_err().contains("is missing at its end"));
        assert!(census(&format!("-- Dump completed\n{dump}")).is_err());
        assert!(
            census("INSERT INTO `t` VALUES (1")
                .unwrap_err()
                .contains("in the middle")
        );
    }
}

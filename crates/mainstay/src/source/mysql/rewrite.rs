//! A dump on its way back: under another name, one table of it, or as it is.

use super::splitter::{Splitter, Unit, is_sandbox};
use super::statement::{Statement, rows_of};
use std::io::{self, Write};

/// What is changed in a dump.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// The database that it was made of.
    pub from: String,
    /// The one that it is restored as.
    pub to: String,
    /// Only this table, with its rows and triggers.
    pub only: Option<String>,
}

/// Passes a dump on, changed.
pub struct Rewriter<'a> {
    splitter: Splitter,
    state: State<'a>,
}

struct State<'a> {
    rewrite: &'a Rewrite,
    out: &'a mut dyn Write,
    /// The table that statements are about: triggers follow theirs without saying so in a way that can be relied on.
    section: Option<String>,
    in_block: bool,
    /// Rows that are passing are wanted.
    passes_rows: bool,
    bytes: u64,
}

impl<'a> Rewriter<'a> {
    /// Into `out`.
    pub fn new(rewrite: &'a Rewrite, out: &'a mut dyn Write) -> Self {
        let state = State {
            rewrite,
            out,
            section: None,
            in_block: false,
            passes_rows: false,
            bytes: 0,
        };
        Self {
            splitter: Splitter::default(),
            state,
        }
    }

    /// How much was passed on, bytes.
    pub fn bytes(&self) -> u64 {
        self.state.bytes
    }
}

impl Write for Rewriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut self.state;
        self.splitter.push(bytes, &mut |unit| state.take(unit))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.state.out.flush()
    }
}

impl State<'_> {
    fn take(&mut self, unit: Unit<'_>) -> io::Result<()> {
        match unit {
            Unit::Rows { text, first, .. } => {
                if first {
                    self.passes_rows = self.is_wanted(&rows_of(text));
                }
                if self.passes_rows { self.pass(text) } else { Ok(()) }
            }
            Unit::Statement(text) => self.take_statement(text),
        }
    }

    fn take_statement(&mut self, text: &[u8]) -> io::Result<()> {
        // It is asked of the client by an option instead, if it knows it.
        if is_sandbox(text) {
            return self.pass(b"\n");
        }
        if let Some(delimiter) = text.trim_ascii_start().strip_prefix(b"DELIMITER ") {
            self.in_block = delimiter.trim_ascii() != b";";
        }
        let statement = Statement::of(text);
        self.enter(&statement);
        let is_for_session = matches!(statement, Statement::Set | Statement::Comment(_)) && !self.in_block;
        let in_section = self.section.as_ref().is_some_and(|section| self.is_wanted(section));
        if self.rewrite.only.is_some() && !is_for_session && !in_section {
            // What follows has to begin a line, as it did.
            return self.pass(b"\n");
        }
        let is_renamed = self.rewrite.from != self.rewrite.to;
        match statement {
            _ if !is_renamed => self.pass(text),
            Statement::AlterDatabase => self.pass(&self.altered(text)),
            // One table goes without its sequences: it keeps using those that there are.
            _ if self.rewrite.only.is_some() => self.pass(text),
            Statement::Table(_) | Statement::View(_) => self.pass(&self.requalified(text)),
            Statement::Event { made: true } => self.pass(&disabled(text)),
            _ => self.pass(text),
        }
    }

    fn enter(&mut self, statement: &Statement) {
        match statement {
            Statement::Drop(name) | Statement::Table(name) | Statement::View(name) | Statement::Sequence(name) => {
                self.section = Some(name.clone());
            }
            Statement::Comment(text) if text.starts_with("Dumping events") || text.starts_with("Dumping routines") => {
                self.section = None;
            }
            Statement::Routine { .. } | Statement::Event { .. } => self.section = None,
            Statement::Comment(_)
            | Statement::Set
            | Statement::Trigger
            | Statement::AlterDatabase
            | Statement::Other => {}
        }
    }

    fn is_wanted(&self, table: &str) -> bool {
        self.rewrite.only.as_ref().is_none_or(|only| only == table)
    }

    fn pass(&mut self, text: &[u8]) -> io::Result<()> {
        self.bytes += text.len() as u64;
        self.out.write_all(text)
    }

    /// The database by its other name.
    fn altered(&self, text: &[u8]) -> Vec<u8> {
        replaced_once(
            text,
            quoted(&self.rewrite.from).as_bytes(),
            quoted(&self.rewrite.to).as_bytes(),
        )
    }

    /// Servers write the database before columns of views, before functions and before sequences, even where it is the one that is in use.
    /// An alias of a table that has the name of the database has no third name behind it, and stays.
    fn requalified(&self, text: &[u8]) -> Vec<u8> {
        let (from, to) = (quoted(&self.rewrite.from), quoted(&self.rewrite.to));
        let (mut changed, mut at) = (Vec::with_capacity(text.len()), 0);
        while at < text.len() {
            let end = at + length_of_token(&text[at..]);
            let token = &text[at..end];
            let is_database = token == from.as_bytes() && text.get(end) == Some(&b'.') && {
                let second = end + 1 + length_of_token(&text[end + 1..]);
                let follows = text.get(second);
                let is_sequence = changed.ends_with(b"val(");
                matches!(follows, Some(b'.' | b'(')) || is_sequence
            };
            changed.extend_from_slice(if is_database { to.as_bytes() } else { token });
            at = end;
        }
        changed
    }
}

/// How long the string, the name or the single character is that `text` begins with.
fn length_of_token(text: &[u8]) -> usize {
    let Some(quote @ (b'`' | b'\'' | b'"')) = text.first() else {
        return text.len().min(1);
    };
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += 1;
        if *byte == b'\\' && *quote != b'`' {
            at += 1;
        } else if byte == quote {
            if text.get(at) != Some(quote) {
                break;
            }
            at += 1;
        }
    }
    at.min(text.len())
}

/// An event of a copy does not run: the one that it was copied from may. What servers write before its body says whether it does.
fn disabled(text: &[u8]) -> Vec<u8> {
    let mut at = 0;
    while at < text.len() && !text[at..].starts_with(b"ON COMPLETION ") {
        at += length_of_token(&text[at..]);
    }
    let (before, rest) = text.split_at(at);
    for (enabled, disabled) in [
        (
            "ON COMPLETION NOT PRESERVE ENABLE",
            "ON COMPLETION NOT PRESERVE DISABLE",
        ),
        ("ON COMPLETION PRESERVE ENABLE", "ON COMPLETION PRESERVE DISABLE"),
    ] {
        if let Some(after) = rest.strip_prefix(enabled.as_bytes()) {
            return [before, disabled.as_bytes(), after].concat();
        }
    }
    text.to_vec()
}

fn replaced_once(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|window| window == from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// A name in backquotes.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(dump: &str, to: &str, only: Option<&str>) -> String {
        let rewrite = Rewrite {
            from: "app".to_owned(),
            to: to.to_owned(),
            only: only.map(str::to_owned),
        };
        let mut out = Vec::new();
        Rewriter::new(&rewrite, &mut out).write_all(dump.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_copy_refers_to_itself() {
        for (text, expected) in [
            (
                "ALTER DATABASE `app` CHARACTER SET x ;",
                "ALTER DATABASE `new``` CHARACTER SET x ;",
            ),
            (
                "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50001 VIEW `v` AS select `app`.`t`.`id`,'`app`.`t`.`id`',`app`.`f`(1),`app`.`id` from `t` `app` */;",
                "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50001 VIEW `v` AS select `new```.`t`.`id`,'`app`.`t`.`id`',`new```.`f`(1),`app`.`id` from `t` `app` */;",
            ),
            (
                "CREATE TABLE `app` (`x` int DEFAULT nextval(`app`.`s`) COMMENT 'nextval(`app`.`s`)');",
                "CREATE TABLE `app` (`x` int DEFAULT nextval(`new```.`s`) COMMENT 'nextval(`app`.`s`)');",
            ),
            (
                "/*!50106 CREATE*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO SELECT 1 */;",
                "/*!50106 CREATE*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE DISABLE DO SELECT 1 */;",
            ),
        ] {
            assert_eq!(rewritten(&format!("{text}\n"), "new`", None).trim(), expected);
            assert_eq!(rewritten(text, "app", None), text);
        }
    }

    #[test]
    fn one_table_comes_with_its_rows_and_triggers_and_nothing_else() {
        let dump = "/*M!999999\\- enable the sandbox mode */ \n/*!40101 SET A=1 */;\nDROP TABLE IF EXISTS `a`;\nCREATE TABLE `a` (x int);\n\
                    INSERT INTO `a` VALUES (1);\nDELIMITER ;;\nCREATE TRIGGER `ta` AFTER INSERT ON a DO x ;;\nDELIMITER ;\n\
                    DROP TABLE IF EXISTS `b`;\nCREATE TABLE `b` (x int);\nLOCK TABLES `b` WRITE;\nINSERT INTO `b` VALUES (2);\nUNLOCK TABLES;\n\
                    DELIMITER ;;\nCREATE TRIGGER `tb` AFTER INSERT ON b DO x ;;\nDELIMITER ;\n-- Dumping events for database 'app'\n\
                    DELIMITER ;;\n/*!50003 SET B=1 */ ;;\nCREATE EVENT `e` DO x ;;\nDELIMITER ;\n\
                    /*!50003 DROP PROCEDURE IF EXISTS `p` */;\n/*!40101 SET A=2 */;\n";
        let only_b = "/*!40101 SET A=1 */;\nDROP TABLE IF EXISTS `b`;\nCREATE TABLE `b` (x int);\nLOCK TABLES `b` WRITE;\n\
                      INSERT INTO `b` VALUES (2);\nUNLOCK TABLES;\nDELIMITER ;;\nCREATE TRIGGER `tb` AFTER INSERT ON b DO x ;;\n\
                      DELIMITER ;\n-- Dumping events for database 'app'\n/*!40101 SET A=2 */;";
        let passed = rewritten(dump, "app", Some("b"));
        let lines: Vec<&str> = passed.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.join("\n"), only_b);
    }
}

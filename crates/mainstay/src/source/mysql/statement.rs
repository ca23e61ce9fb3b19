//! What a statement of a dump is about.

/// What a statement does, as far as that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A comment in a line of its own: without the dashes.
    Comment(String),
    /// Sets something for the session.
    Set,
    /// Removes a table, a view or a sequence, before it is made.
    Drop(String),
    /// Makes a table.
    Table(String),
    /// Makes a view.
    View(String),
    /// Makes a sequence.
    Sequence(String),
    /// Makes a trigger.
    Trigger,
    /// Makes or removes a procedure, a function or a package.
    Routine {
        /// It makes one.
        made: bool,
    },
    /// Makes or removes an event.
    Event {
        /// It makes one.
        made: bool,
    },
    /// Changes the database itself.
    AlterDatabase,
    /// Something else.
    Other,
}

impl Statement {
    /// Of the statement's text.
    pub fn of(text: &[u8]) -> Self {
        let text = text.trim_ascii();
        if let Some(comment) = text.strip_prefix(b"--") {
            return Self::Comment(String::from_utf8_lossy(comment.trim_ascii()).into_owned());
        }
        let mut tokens = Tokens { rest: text };
        match tokens.word().as_deref() {
            Some("SET") => Self::Set,
            Some("ALTER") if tokens.word().as_deref() == Some("DATABASE") => Self::AlterDatabase,
            Some("CREATE") => Self::made(&mut tokens),
            Some("DROP") => Self::dropped(&mut tokens),
            _ => Self::Other,
        }
    }

    fn made(tokens: &mut Tokens<'_>) -> Self {
        while let Some(word) = tokens.word() {
            return match word.as_str() {
                "TABLE" => Self::Table(tokens.name()),
                "VIEW" => Self::View(tokens.name()),
                "SEQUENCE" => Self::Sequence(tokens.name()),
                "TRIGGER" => Self::Trigger,
                "PROCEDURE" | "FUNCTION" | "PACKAGE" => Self::Routine { made: true },
                "EVENT" => Self::Event { made: true },
                // The words before: DEFINER, ALGORITHM, SQL SECURITY.
                _ => continue,
            };
        }
        Self::Other
    }

    fn dropped(tokens: &mut Tokens<'_>) -> Self {
        match tokens.word().as_deref() {
            Some("TABLE" | "VIEW" | "SEQUENCE") => Self::Drop(tokens.name()),
            Some("PROCEDURE" | "FUNCTION" | "PACKAGE") => Self::Routine { made: false },
            Some("EVENT") => Self::Event { made: false },
            _ => Self::Other,
        }
    }
}

/// The table that a statement inserts rows into, of its beginning.
pub fn rows_of(head: &[u8]) -> String {
    Tokens { rest: head }.name()
}

/// Words and names at the beginning of a statement; marks of conditional comments are left out.
struct Tokens<'a> {
    rest: &'a [u8],
}

enum Token {
    Word(String),
    Name(String),
    Sign,
}

impl Tokens<'_> {
    /// The next word, names left out.
    fn word(&mut self) -> Option<String> {
        self.find_map(|token| match token {
            Token::Word(word) => Some(word),
            Token::Name(_) | Token::Sign => None,
        })
    }

    /// The next name; empty if there is none.
    fn name(&mut self) -> String {
        let name = self.find_map(|token| match token {
            Token::Name(name) => Some(name),
            Token::Word(_) | Token::Sign => None,
        });
        name.unwrap_or_default()
    }

    fn quoted(&mut self, quote: u8) -> String {
        let (mut name, mut at) = (Vec::new(), 1);
        while let Some(byte) = self.rest.get(at) {
            at += 1;
            if *byte == quote {
                if self.rest.get(at) != Some(&quote) {
                    break;
                }
                at += 1;
            }
            name.push(*byte);
        }
        self.rest = &self.rest[at..];
        String::from_utf8_lossy(&name).into_owned()
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.starts_with(b"/*") {
            // `/*!50001 `, `/*M!100203 `
            let is_mark = |byte: &u8| matches!(byte, b'/' | b'*' | b'!' | b'M' | b'0'..=b'9');
            let mark = self.rest.iter().take_while(|byte| is_mark(byte)).count();
            self.rest = &self.rest[mark..];
            return self.next();
        }
        let first = *self.rest.first()?;
        if matches!(first, b'`' | b'\'' | b'"') {
            return Some(Token::Name(self.quoted(first)));
        }
        let letters = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let (word, rest) = self.rest.split_at(letters.max(1));
        self.rest = rest;
        Some(match letters {
            0 => Token::Sign,
            _ => Token::Word(String::from_utf8_lossy(word).to_ascii_uppercase()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_both_dump_programs_are_understood() {
        let name = |name: &str| name.to_owned();
        for (text, expected) in [
            (
                "\n-- Dumping events for database 'a'\n",
                Statement::Comment(name("Dumping events for database 'a'")),
            ),
            ("/*!40101 SET NAMES utf8mb4 */;", Statement::Set),
            ("SET @saved_cs_client = 1;", Statement::Set),
            (
                "DROP TABLE IF EXISTS `odd ``name`` ☕`;",
                Statement::Drop(name("odd `name` ☕")),
            ),
            ("/*!50001 DROP VIEW IF EXISTS `v`*/;", Statement::Drop(name("v"))),
            ("CREATE TABLE `VIEW` (\n `x` int);", Statement::Table(name("VIEW"))),
            (
                "/*!50001 CREATE VIEW `v w` AS SELECT\n 1 AS `id`*/;",
                Statement::View(name("v w")),
            ),
            (
                "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`TABLE`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS \
                 select 1 */;",
                Statement::View(name("v")),
            ),
            ("CREATE SEQUENCE `s` start with 1;", Statement::Sequence(name("s"))),
            (
                "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER trg AFTER INSERT */;;",
                Statement::Trigger,
            ),
            (
                "CREATE DEFINER=`a`@`%` PROCEDURE `p`()\nBEGIN END ;;",
                Statement::Routine { made: true },
            ),
            (
                "/*!50003 DROP FUNCTION IF EXISTS `f` */;",
                Statement::Routine { made: false },
            ),
            (
                "/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`l`*/ /*!50106 EVENT `ev` ON SCHEDULE EVERY 1 DAY */ ;;",
                Statement::Event { made: true },
            ),
            (
                "/*!50106 DROP EVENT IF EXISTS `ev` */;",
                Statement::Event { made: false },
            ),
            ("ALTER DATABASE `app` CHARACTER SET utf8mb4 ;", Statement::AlterDatabase),
            ("/*!40000 ALTER TABLE `t` DISABLE KEYS */;", Statement::Other),
            ("LOCK TABLES `t` WRITE;", Statement::Other),
        ] {
            assert_eq!(Statement::of(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(rows_of(b"INSERT  IGNORE INTO `a``b` (`x`) V"), "a`b");
    }
}

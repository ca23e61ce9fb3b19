//! What the user may do, of what `SHOW GRANTS` says.

/// Rights that a dump needs on a database. Without the second and third, what they are for would be left out without a word.
const NEEDED: [&str; 4] = ["SELECT", "TRIGGER", "EVENT", "SHOW VIEW"];

/// What the user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    granted: Vec<Granted>,
    /// Roles give more, which is not listed.
    has_roles: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Granted {
    rights: Vec<String>,
    /// A pattern, or `*`.
    database: String,
    table: String,
}

impl Rights {
    /// Of the lines of `SHOW GRANTS`.
    pub fn of(lines: &[String]) -> Self {
        let is_role = |line: &&String| line.starts_with("GRANT ") && !line.contains(" ON ");
        Self {
            granted: lines.iter().filter_map(|line| granted(line)).collect(),
            has_roles: lines.iter().any(|line| is_role(&line)),
        }
    }

    /// What is missing to dump a database; only what is certain.
    pub fn missing_for(&self, database: &str) -> Vec<&'static str> {
        if self.has_roles {
            return Vec::new();
        }
        NEEDED
            .into_iter()
            .filter(|right| !self.has(right, database, "*"))
            .collect()
    }

    /// Whether routines of others can be seen, or whether that cannot be told.
    pub fn sees_routines(&self) -> bool {
        self.has_roles
            || ["SELECT", "SHOW_ROUTINE", "SHOW CREATE ROUTINE"]
                .iter()
                .any(|right| self.has(right, "*", "*"))
            || self.has("SELECT", "mysql", "proc")
    }

    /// Whether accounts can be read, or whether that cannot be told.
    pub fn sees_accounts(&self) -> bool {
        self.has_roles || self.has("SELECT", "mysql", "*")
    }

    fn has(&self, right: &str, database: &str, table: &str) -> bool {
        self.granted.iter().any(|granted| {
            let fits = granted.database == "*" || is_like(&granted.database, database);
            let fits_table = granted.table == "*" || granted.table == table;
            let gives = |given: &String| given == right || given.starts_with("ALL PRIVILEGES");
            fits && fits_table && granted.rights.iter().any(gives)
        })
    }
}

/// `GRANT SELECT, SHOW VIEW ON ``app``.* TO …`
fn granted(line: &str) -> Option<Granted> {
    let (rights, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (place, _) = rest.split_once(" TO ")?;
    let (database, table) = place.split_once('.')?;
    let name = |text: &str| text.trim_matches('`').replace("``", "`");
    Some(Granted {
        rights: rights.split(", ").map(str::to_owned).collect(),
        database: name(database),
        table: name(table),
    })
}

/// Names of databases in grants have wildcards: `_` and `%`, with a backslash where they are meant.
fn is_like(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('%') => {
            name.char_indices().any(|(at, _)| is_like(rest.as_str(), &name[at..])) || is_like(rest.as_str(), "")
        }
        Some(character) => {
            let meant = if character == '\\' {
                rest.next()
            } else {
                Some(character)
            };
            let mut name = name.chars();
            let next = name.next();
            let fits = next.is_some() && (character == '_' || next == meant);
            fits && is_like(rest.as_str(), name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(lines: &[&str]) -> Rights {
        Rights::of(&lines.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_missing_is_named_and_what_cannot_be_told_is_not() {
        let root = rights(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]);
        assert!(root.missing_for("app").is_empty() && root.sees_accounts() && root.sees_routines());
        let owner = rights(&[
            "GRANT USAGE ON *.* TO `a`@`%`",
            "GRANT ALL PRIVILEGES ON `my\\_app`.* TO `a`@`%`",
        ]);
        assert!(owner.missing_for("my_app").is_empty() && !owner.sees_accounts() && !owner.sees_routines());
        assert_eq!(owner.missing_for("myxapp"), NEEDED);
        let reader = rights(&[
            "GRANT SELECT, SHOW VIEW ON `app%`.* TO `a`@`%`",
            "GRANT EVENT ON *.* TO `a`@`%`",
        ]);
        assert_eq!(reader.missing_for("app2"), ["TRIGGER"]);
        let member = rights(&["GRANT `boss`@`%` TO `a`@`%`"]);
        assert!(member.missing_for("app").is_empty());
    }

    #[test]
    fn patterns_of_grants_are_those_of_the_server() {
        for (pattern, name, fits) in [
            ("app", "app", true),
            ("a_p", "app", true),
            ("a\\_p", "app", false),
            ("a\\_p", "a_p", true),
            ("%", "", true),
            ("a%p%", "app2", true),
            ("a%", "b", false),
        ] {
            assert_eq!(is_like(pattern, name), fits, "{pattern} {name}");
        }
    }
}

//! What of an archive is restored, and how the program is told.

use super::survey::ADMIN;
use crate::config::Misuse;
use crate::source::{PutBack, Stored};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Where documents of a time series are kept.
pub const BUCKETS: &str = "system.buckets.";

/// What of an archive is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// All databases, and what was written while they were copied.
    All,
    /// A database.
    Database {
        /// As it was captured.
        from: String,
        /// As it is now.
        to: String,
        /// Only this collection.
        only: Option<String>,
    },
}

impl What {
    /// Of a part and how it is put back.
    ///
    /// # Errors
    /// If that does not fit together.
    pub fn of(stored: &Stored<'_>, options: &PutBack) -> Result<Self, Misuse> {
        let path = stored.part.path.display();
        let only = options.only.as_ref().map(|only| only.to_string_lossy().into_owned());
        let Some(from) = database_of(stored) else {
            if only.is_some() || options.rename.is_some() {
                let message = format!("`{path}` can only be restored as a whole: the log is for all databases");
                return Err(Misuse::new(
                    message,
                    "Restore all of it, into another server if need be.",
                ));
            }
            return Ok(Self::All);
        };
        let rows = &stored.part.facts.rows;
        if let Some(only) = &only
            && !rows.contains_key(only)
            && !rows.contains_key(&format!("{BUCKETS}{only}"))
        {
            let known: Vec<&str> = rows
                .keys()
                .map(|name| name.strip_prefix(BUCKETS).unwrap_or(name))
                .collect();
            let message = format!("there is no collection `{only}` in `{path}`");
            return Err(Misuse::new(
                message,
                format!("The collections are {}.", known.join(", ")),
            ));
        }
        let to = options.rename.clone().unwrap_or_else(|| from.to_owned());
        if from == ADMIN && (to != from || only.is_some()) {
            let message = "users and roles can only be restored together, and as what they were";
            return Err(Misuse::new(message, "Leave out `--as`, and what follows the part."));
        }
        if to != from {
            check_name(&to)?;
        }
        Ok(Self::Database {
            from: from.to_owned(),
            to,
            only,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::All => "a database".to_owned(),
            Self::Database { to, only: None, .. } if to == ADMIN => "a user".to_owned(),
            Self::Database { to, only: None, .. } => format!("the database `{to}`"),
            Self::Database {
                to, only: Some(only), ..
            } => format!("the collection `{only}` of `{to}`"),
        }
    }

    /// Arguments of `mongorestore`. Without the first errors of single documents would only be counted.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec!["--stopOnError".to_owned(), "--archive".to_owned()];
        match self {
            Self::All => arguments.push("--oplogReplay".to_owned()),
            Self::Database { from, to, only } => {
                let names = match only {
                    None => vec!["*".to_owned()],
                    Some(only) => vec![escaped(only), format!("{BUCKETS}{}", escaped(only))],
                };
                for name in names {
                    arguments.push(format!("--nsInclude={}.{name}", escaped(from)));
                    if from != to {
                        arguments.push(format!("--nsFrom={}.{name}", escaped(from)));
                        arguments.push(format!("--nsTo={}.{name}", escaped(to)));
                    }
                }
            }
        }
        arguments.into_iter().map(OsString::from).collect()
    }
}

/// The database that a part is; nothing if it is all of them.
pub fn database_of<'a>(stored: &'a Stored<'_>) -> Option<&'a str> {
    stored
        .part
        .facts
        .more
        .get("database")
        .and_then(serde_json::Value::as_str)
}

/// A name in a pattern.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('*', "\\*")
}

fn check_name(name: &str) -> Result<(), Misuse> {
    const MOST_BYTES: usize = 63;
    let is_own = [ADMIN, "config", "local"].contains(&name);
    let has_wrong = name.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0']);
    if name.is_empty() || name.len() > MOST_BYTES || is_own || has_wrong {
        let message = format!("`{name}` belongs to the server, or is no name");
        return Err(Misuse::new(message, "Choose another name for the database."));
    }
    Ok(())
}

/// What can be counted on any server: documents of time series and what the server keeps itself can not.
pub fn comparable(rows: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let is_plain = |name: &str| !name.starts_with("system.");
    rows.iter()
        .filter(|(name, _)| is_plain(name))
        .map(|(name, count)| (name.clone(), *count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_is_asked_of_the_program() {
        let what = |to: &str, only: Option<&str>| What::Database {
            from: "app".to_owned(),
            to: to.to_owned(),
            only: only.map(str::to_owned),
        };
        assert_eq!(
            what("app", None).arguments(),
            ["--stopOnError", "--archive", "--nsInclude=app.*"]
        );
        assert_eq!(
            what("copy", Some("a*")).arguments(),
            [
                "--stopOnError",
                "--archive",
                "--nsInclude=app.a\\*",
                "--nsFrom=app.a\\*",
                "--nsTo=copy.a\\*",
                "--nsInclude=app.system.buckets.a\\*",
                "--nsFrom=app.system.buckets.a\\*",
                "--nsTo=copy.system.buckets.a\\*",
            ]
        );
        assert_eq!(What::All.arguments(), ["--stopOnError", "--archive", "--oplogReplay"]);
    }

    #[test]
    fn names_that_no_database_can_have_are_refused() {
        assert!(check_name("shop_2").is_ok());
        for wrong in ["", "a.b", "a/b", "admin", "local", &"x".repeat(64)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}

//! The client programs of PostgreSQL: which there are, and which fit the server.

use crate::exec;
use crate::source::program::Programs;
use repository::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian puts the programs, a directory for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs of one version.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Where they run.
    pub programs: Programs,
    /// Their directory; none if they are found on the search path.
    directory: Option<PathBuf>,
    /// Such as `15.4`.
    pub version: String,
}

impl Clients {
    /// Those that can be used, the newest first.
    ///
    /// # Errors
    /// [`Error::Refused`] if there are none.
    pub fn all(programs: &Programs) -> Result<Vec<Self>> {
        let mut directories: Vec<Option<PathBuf>> = match programs {
            Programs::Host => debian().into_iter().map(Some).collect(),
            // Its image has one version, on the search path.
            Programs::Container(_) => Vec::new(),
        };
        directories.push(None);
        let mut all: Vec<Self> = directories
            .into_iter()
            .filter_map(|directory| Self::at(programs.clone(), directory))
            .collect();
        // Of the same version, the first one stays the first.
        all.sort_by_key(|clients| std::cmp::Reverse(clients.major()));
        if all.is_empty() {
            return Err(Error::Refused {
                message: "the program `pg_dump` is not installed".to_owned(),
                hint: "Install the package `postgresql-client` of the server's version or newer.".to_owned(),
            });
        }
        Ok(all)
    }

    fn at(programs: Programs, directory: Option<PathBuf>) -> Option<Self> {
        let mut clients = Self {
            programs,
            directory,
            version: String::new(),
        };
        let words = [clients.program("pg_dump"), "--version".into()];
        // What does not start is not there.
        let printed = clients.programs.output(&words, &exec::Surroundings::default()).ok()?;
        clients.version = version_in(&String::from_utf8_lossy(&printed))?;
        Some(clients)
    }

    /// The version without what follows the first point.
    pub fn major(&self) -> u32 {
        major_of(&self.version)
    }

    /// The first word of a command.
    pub fn program(&self, name: &str) -> OsString {
        match &self.directory {
            Some(directory) => directory.join(name).into(),
            None => name.into(),
        }
    }

    /// Those of version `major`, or of the next one that is there. Newer ones write what older servers do not understand.
    pub fn nearest(all: Vec<Self>, major: u32) -> Option<Self> {
        let new_enough = all.into_iter().filter(|clients| clients.major() >= major);
        new_enough.min_by_key(Self::major)
    }

    /// Those that fit a server: not older, and no newer than need be.
    ///
    /// # Errors
    /// [`Error::Refused`] that names the versions and the package, if all are older.
    pub fn fitting(all: Vec<Self>, server_version: &str) -> Result<Self> {
        let major = major_of(server_version);
        let newest = all.first().map(|clients| clients.version.clone()).unwrap_or_default();
        Self::nearest(all, major).ok_or_else(|| Error::Refused {
            message: format!(
                "the server is PostgreSQL {server_version}, and the newest client programs here are {newest}, which are too old for it"
            ),
            hint: format!(
                "Install the package `postgresql-client-{major}` or newer, if need be from apt.postgresql.org, put the directory of \
                 such programs into `PATH`, or let those of the server's `container` be used."
            ),
        })
    }
}

/// The number before the first point.
pub fn major_of(version: &str) -> u32 {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

fn debian() -> Vec<PathBuf> {
    let found = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    found
        .map(|entry| entry.path().join("bin"))
        .filter(|directory| is_there(directory, "pg_dump") && is_there(directory, "psql"))
        .collect()
}

fn is_there(directory: &Path, program: &str) -> bool {
    directory.join(program).exists()
}

/// The version in a line such as `pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)`.
fn version_in(line: &str) -> Option<String> {
    let rest = line.split_once("(PostgreSQL) ")?.1;
    rest.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(version: &str) -> Clients {
        Clients {
            programs: Programs::Host,
            directory: None,
            version: version.to_owned(),
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            version_in("pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)\n").as_deref(),
            Some("15.4")
        );
        assert_eq!(version_in("pg_dump (PostgreSQL) 18beta1\n").as_deref(), Some("18beta1"));
        assert_eq!((major_of("9.6.24"), major_of("18beta1")), (9, 18));
        let fitting = |server| Clients::fitting(vec![clients("16.1"), clients("15.4"), clients("14.9")], server);
        for (server, expected) in [("16.0", "16.1"), ("15.1", "15.4"), ("12.22", "14.9")] {
            assert_eq!(fitting(server).unwrap().version, expected);
        }
        let error = fitting("17.2").unwrap_err();
        assert!(
            error.to_string().contains("17.2") && error.to_string().contains("16.1"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("`postgresql-client-17`"), "{error}");
    }
}

//! Versions of servers and of their client programs.

use std::fmt;

/// A version, as far as it is compared: the line that a release belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// Of what a server says: `10.11.19-MariaDB-0+deb12u1`, `8.0.36`.
    pub fn of_server(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Self {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
        })
    }

    /// Of what a program says with `--version`. The number behind `Ver` is the program's own, where another one follows.
    pub fn of_program(text: &str) -> Option<Self> {
        let after = |mark: &str| text.split_once(mark).and_then(|(_, rest)| Self::of_server(rest));
        after("Distrib ").or_else(|| after(" from ")).or_else(|| after("Ver "))
    }
}

/// Whether a version is one of MariaDB.
pub fn is_mariadb(text: &str) -> bool {
    text.to_ascii_lowercase().contains("mariadb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, major, minor) in [
            (
                "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)",
                10,
                11,
            ),
            (
                "mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)",
                11,
                4,
            ),
            (
                "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)",
                8,
                0,
            ),
            (
                "mysqldump  Ver 10.13 Distrib 5.7.44, for linux-glibc2.12 (x86_64)",
                5,
                7,
            ),
        ] {
            assert_eq!(Version::of_program(text), Some(Version { major, minor }), "{text}");
        }
        assert_eq!(Version::of_server("8.4.0"), Some(Version { major: 8, minor: 4 }));
        assert_eq!(Version::of_server("beta"), None);
        assert!(Version { major: 10, minor: 11 } < Version { major: 11, minor: 4 });
    }
}

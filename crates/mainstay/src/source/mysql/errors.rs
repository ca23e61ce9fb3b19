//! What clients and servers complain about, sorted by what has to be done.

use super::dialect::Dialect;
use crate::exec;
use repository::Error;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// What went wrong, as far as it matters for what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No server answers there.
    Unreachable,
    /// The name of the host is not known.
    UnknownHost,
    /// The server does not take connections from here, or no more of them.
    TurnedAway,
    /// User or password are wrong.
    Login,
    /// A right is missing.
    Right,
    /// A database is missing.
    NoDatabase,
    /// A table is missing.
    NoTable,
    /// Encryption failed.
    Tls,
    /// The connection broke.
    Lost,
    /// The server lacks a plugin.
    Plugin,
    /// An account is not in effect.
    NoAccount,
    /// Something else.
    Other,
}

impl Class {
    /// Of what a client program wrote.
    pub fn of(text: &str) -> Self {
        match number(text) {
            Some(2002 | 2003) => Self::Unreachable,
            Some(2005) => Self::UnknownHost,
            Some(1040 | 1129 | 1130 | 1203 | 1226) => Self::TurnedAway,
            Some(1045 | 1251 | 1698 | 2059 | 2061 | 4151) => Self::Login,
            Some(1044 | 1142 | 1143 | 1227 | 1370 | 1419) => Self::Right,
            Some(1049) => Self::NoDatabase,
            Some(1146) => Self::NoTable,
            Some(2026) => Self::Tls,
            Some(2006 | 2013) => Self::Lost,
            Some(1524) => Self::Plugin,
            Some(1133 | 1141) => Self::NoAccount,
            _ => Self::Other,
        }
    }

    /// What to do, as sentences.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => "Check that the server runs, and `host` and `port`.",
            Self::UnknownHost => "Check `host`.",
            Self::TurnedAway => {
                "Check for which hosts the user is created, and how many connections the server allows."
            }
            Self::Login => "Check `user` and `password`, and that the user may log in from this host.",
            Self::Right => "Grant the user what is missing; the guide's page `mysql.md` lists what is needed.",
            Self::NoDatabase | Self::NoTable => "Check the name, and that the user may see it.",
            Self::Tls => "Check `tls` and `ca_file`, and which certificate the server has.",
            Self::Lost => "Look at the server's log; a row may be larger than its `max_allowed_packet`.",
            Self::Plugin => "Install the plugin on the server.",
            Self::NoAccount => "Check the account, and whether the server resolves names of hosts.",
            Self::Other => "Look at the message, and at the server's log.",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Unreachable => "the server cannot be reached",
            Self::UnknownHost => "the host is not known",
            Self::TurnedAway => "the server does not accept the connection",
            Self::Login => "the server refuses the login",
            Self::Right => "a right is missing",
            Self::NoDatabase => "there is no such database",
            Self::NoTable => "there is no such table",
            Self::Tls => "the connection cannot be encrypted",
            Self::Lost => "the connection to the server was lost",
            Self::Plugin => "the server lacks a plugin",
            Self::NoAccount => "there is no such account",
            Self::Other => "the server refuses",
        }
    }
}

/// The number that servers and clients give an error: `ERROR 1045 (28000): …`, `Got error: 1045: …`, `… (1045)`.
fn number(text: &str) -> Option<u32> {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end]
            .parse()
            .ok()
            .filter(|number| (1000..10_000).contains(number))
    };
    let after = |mark: &str| text.split_once(mark).and_then(|(_, rest)| digits(rest));
    let in_brackets = || {
        text.trim_end()
            .strip_suffix(')')?
            .rsplit_once('(')
            .and_then(|(_, rest)| digits(rest))
    };
    after("ERROR ")
        .or_else(|| after("error: "))
        .or_else(|| after("Error "))
        .or_else(in_brackets)
}

/// What a failed client program means.
pub fn explained(error: &exec::Error, dialect: Dialect) -> Error {
    if error.is_missing() {
        return Error::Refused {
            message: error.to_string(),
            hint: dialect.package_hint().to_owned(),
        };
    }
    let words = error.last_line();
    if words.is_empty() {
        return Error::Refused {
            message: error.to_string(),
            hint: error.hint(),
        };
    }
    let class = Class::of(words);
    Error::Refused {
        message: format!("{}: {words}", class.phrase()),
        hint: class.hint().to_owned(),
    }
}

/// Why nobody answers there, which clients do not always say.
pub fn why_unreachable(host: &str, port: u16) -> Option<&'static str> {
    let address = (host, port).to_socket_addrs().ok()?.next()?;
    match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Some("nothing listens on this port"),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Some("the host does not answer"),
        Err(_) | Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_sorted() {
        for (text, class) in [
            (
                "ERROR 1045 (28000): Access denied for user 'a'@'b' (using password: YES)",
                Class::Login,
            ),
            (
                "ERROR 2002 (HY000): Can't connect to local server through socket '/nope' (2)",
                Class::Unreachable,
            ),
            (
                "ERROR 2003 (HY000): Can't connect to MySQL server on 'x' (111)",
                Class::Unreachable,
            ),
            ("ERROR 2005 (HY000): Unknown server host 'x' (-2)", Class::UnknownHost),
            (
                "mariadb-dump: Got error: 1049: \"Unknown database 'x'\" when selecting the database",
                Class::NoDatabase,
            ),
            (
                "mysqldump: Couldn't execute 'show events': Access denied for user 'a'@'b' to database 'x' (1044)",
                Class::Right,
            ),
            (
                "mysqldump: Error 2013: Lost connection to server during query when dumping table `t` at row: 3",
                Class::Lost,
            ),
            (
                "ERROR 2026 (HY000): TLS/SSL error: SSL is required, but the server does not support it",
                Class::Tls,
            ),
            ("something (0)", Class::Other),
        ] {
            assert_eq!(Class::of(text), class, "{text}");
        }
    }
}

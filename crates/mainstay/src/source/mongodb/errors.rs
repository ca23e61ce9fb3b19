//! What the server and its programs complain about, sorted by what has to be done.

use crate::exec;
use repository::Error;
use serde::Deserialize;

/// What went wrong, as far as it matters for what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No server answers there.
    Unreachable,
    /// The name of the host is not known.
    UnknownHost,
    /// User or password are wrong.
    Login,
    /// A right is missing.
    Right,
    /// Encryption failed.
    Tls,
    /// Something else.
    Other,
}

impl Class {
    /// Of a text, of a program or the server.
    pub fn of(text: &str) -> Self {
        let has = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
        if has(&["AuthenticationFailed", "Authentication failed", "auth error"]) {
            Self::Login
        } else if has(&["(Unauthorized)", "not authorized", "requires authentication"]) {
            Self::Right
        } else if has(&["ENOTFOUND", "EAI_AGAIN", "no such host"]) {
            Self::UnknownHost
        } else if has(&["x509", "tls:", "certificate", "SSL", "TLS"]) {
            Self::Tls
        } else if has(&[
            "ECONNREFUSED",
            "connection refused",
            "server selection",
            "Server selection",
            "no reachable servers",
            "ETIMEDOUT",
            "timed out",
        ]) {
            Self::Unreachable
        } else {
            Self::Other
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => "Check that the server runs, and `host`, `port` and `tls`.",
            Self::UnknownHost => "Check `host`.",
            Self::Login => "Check `user`, `password` and `auth_database`, the database that the user is created in.",
            Self::Right => "Give the user the role `backup`, and `restore` to restore.",
            Self::Tls => "Check `tls` and `ca_file`, and which certificate the server has.",
            Self::Other => "Look at the message, and at the server's log.",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Unreachable => "the server cannot be reached",
            Self::UnknownHost => "the host is not known",
            Self::Login => "the server refuses the login",
            Self::Right => "a right is missing",
            Self::Tls => "the connection cannot be encrypted",
            Self::Other => "the server refuses",
        }
    }

    /// An error that says so, in the server's words.
    pub fn error(self, words: &str) -> Error {
        Error::Refused {
            message: format!("{}: {words}", self.phrase()),
            hint: self.hint().to_owned(),
        }
    }
}

/// An error as the shell tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// Number of the server's error.
    #[serde(default)]
    code: i64,
    /// In words.
    #[serde(default)]
    message: String,
    /// Class of the error in the shell.
    #[serde(default)]
    name: String,
}

impl Told {
    /// What it means.
    pub fn class(&self) -> Class {
        const UNAUTHORIZED: i64 = 13;
        const AUTHENTICATION_FAILED: i64 = 18;
        match self.code {
            UNAUTHORIZED => Class::Right,
            AUTHENTICATION_FAILED => Class::Login,
            _ => match Class::of(&self.message) {
                Class::Other if self.name.starts_with("MongoNetwork") => Class::Unreachable,
                Class::Other if self.name == "MongoServerSelectionError" => Class::Unreachable,
                class => class,
            },
        }
    }

    /// The same for people.
    pub fn error(&self) -> Error {
        self.class().error(&self.message)
    }
}

/// What a failed program means.
pub fn explained(error: &exec::Error) -> Error {
    let words = complaint(error);
    if words.is_empty() || error.is_missing() {
        return Error::Refused {
            message: error.to_string(),
            hint: if error.is_missing() {
                "Install the package `mongodb-database-tools`, or name the server's container.".to_owned()
            } else {
                error.hint()
            },
        };
    }
    Class::of(words).error(words)
}

/// The line that says why: lines begin with the time, and how many documents were restored comes last.
fn complaint(error: &exec::Error) -> &str {
    let said = match error {
        exec::Error::Failed { said, .. } => said.as_str(),
        exec::Error::NotStarted { .. } | exec::Error::Unparsable { .. } => "",
    };
    let failed = said.lines().rev().find_map(|line| Some(line.split_once("Failed: ")?.1));
    failed.unwrap_or_else(|| error.last_line()).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_sorted() {
        for (text, class) in [
            (
                "can't create session: failed to connect to mongodb://a:1/: server selection error: server selection timeout, \
                 current topology: { Type: Single, Servers: [{ Addr: a:1, Type: Unknown, Last error: dial tcp: connect: connection refused }, ] }",
                Class::Unreachable,
            ),
            (
                "failed to connect to mongodb://a:1/: connection() error occurred during connection handshake: auth error: \
                 unable to authenticate using mechanism \"SCRAM-SHA-256\": (AuthenticationFailed) Authentication failed.",
                Class::Login,
            ),
            (
                "error creating intents to dump: (Unauthorized) not authorized on app to execute command { listCollections: 1 }",
                Class::Right,
            ),
            ("dial tcp: lookup nowhere: no such host", Class::UnknownHost),
            ("x509: certificate signed by unknown authority", Class::Tls),
            ("oplog overflow", Class::Other),
        ] {
            assert_eq!(Class::of(text), class, "{text}");
        }
        let told = |json: &str| serde_json::from_str::<Told>(json).unwrap().class();
        assert_eq!(told(r#"{"code": 18, "message": "no"}"#), Class::Login);
        assert_eq!(told(r#"{"code": 13, "message": "no"}"#), Class::Right);
        assert_eq!(
            told(r#"{"name": "MongoNetworkError", "message": "reset"}"#),
            Class::Unreachable
        );
        assert_eq!(told(r#"{"name": "MongoServerError", "message": "odd"}"#), Class::Other);
    }
}

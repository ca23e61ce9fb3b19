//! What a program of PostgreSQL complains about, said so that the user knows what to do.

use crate::exec;
use repository::Error;
use std::io;

/// What stands in a complaint, and what to do about it.
const KNOWN: &[(&[&str], &str, &str)] = &[
    (
        &["could not translate host name"],
        "is unknown",
        "Check `host`: its name cannot be resolved.",
    ),
    (
        &["Connection refused"],
        "refuses connections",
        "Check `host` and `port`, and that the server is started.",
    ),
    (
        &["on socket", "No such file or directory"],
        "is not there",
        "Check the directory of the socket in `host`, and that the server is started.",
    ),
    (
        &["timeout expired"],
        "does not answer",
        "Check `host` and `port`, and what is between: firewalls and networks.",
    ),
    (
        &["timed out"],
        "does not answer",
        "Check `host` and `port`, and what is between: firewalls and networks.",
    ),
    (
        &["is unreachable"],
        "cannot be reached",
        "Check `host`, and what is between: firewalls and networks.",
    ),
    (
        &["No route to host"],
        "cannot be reached",
        "Check `host`, and what is between: firewalls and networks.",
    ),
    (
        &["password authentication failed"],
        "does not accept the password",
        "Check `user` and `password`.",
    ),
    (
        &["no password supplied"],
        "wants a password",
        "Give the source a `password`.",
    ),
    (
        &["authentication failed for user"],
        "does not let this user in",
        "Check `user`; over a socket the server may want the system's user of the same name.",
    ),
    (
        &["no pg_hba.conf entry"],
        "does not let this user in from here",
        "Let the user in with a line in the server's `pg_hba.conf`; if it wants encryption, use `tls: require`.",
    ),
    (
        &["FATAL:  role ", "does not exist"],
        "does not know the user",
        "Check `user`.",
    ),
    (
        &["FATAL:  database ", "does not exist"],
        "does not have the database",
        "Check `databases`.",
    ),
    (
        &["certificate"],
        "is not trusted",
        "Check `tls` and `ca_file`; the name in the certificate has to be `host`.",
    ),
    (
        &["SSL"],
        "does not agree on encryption",
        "Check `tls`: `prefer` takes what the server can do.",
    ),
    (
        &["starting up"],
        "is still starting",
        "Run the job again when the server is ready.",
    ),
    (
        &["too many clients already"],
        "has no connection left",
        "Raise `max_connections` of the server, or close connections.",
    ),
    (
        &["connection slots are reserved"],
        "has no connection left",
        "Raise `max_connections` of the server, or close connections.",
    ),
    (
        &["server version mismatch"],
        "is newer than the client programs",
        "Install `postgresql-client` of the server's version or newer.",
    ),
    (
        &["must be superuser"],
        "does not give this user the right",
        "Use a superuser, or grant the right that is missing.",
    ),
    (
        &["ermission denied"],
        "does not give this user the right",
        "Grant the user `pg_read_all_data` (since PostgreSQL 14), or use the owner of the database or a superuser.",
    ),
    (
        &["must be owner"],
        "does not give this user the right",
        "Use the owner or a superuser.",
    ),
    (
        &["max_locks_per_transaction"],
        "has no room for so many locks",
        "Raise `max_locks_per_transaction` of the server.",
    ),
    (
        &["lock timeout"],
        "kept a table locked",
        "Run the job when nobody changes the definition of tables.",
    ),
    (
        &["invalid snapshot identifier"],
        "ended the connection that held the moment of the dump",
        "Look at the server's log, and run the job again.",
    ),
    (
        &["terminating connection"],
        "ended the connection",
        "Look at the server's log, and run the job again.",
    ),
    (
        &["server closed the connection"],
        "ended the connection",
        "Look at the server's log, and run the job again.",
    ),
    (
        &["connection to server was lost"],
        "ended the connection",
        "Look at the server's log, and run the job again.",
    ),
];

/// Why a program that works with `server` failed.
pub fn explained(error: exec::Error, server: &str) -> Error {
    match &error {
        exec::Error::NotStarted { program, source } if source.kind() == io::ErrorKind::NotFound => Error::Refused {
            message: format!("the program `{program}` is not installed"),
            hint: "Install the package `postgresql-client` of the server's version or newer.".to_owned(),
        },
        exec::Error::Failed { said, .. } => of_complaint(said, server).unwrap_or_else(|| plain(&error)),
        exec::Error::NotStarted { .. } | exec::Error::Unparsable { .. } => plain(&error),
    }
}

fn plain(error: &exec::Error) -> Error {
    let hint = match error {
        exec::Error::Failed { .. } => "Look at what it wrote above, and at the server's log.".to_owned(),
        exec::Error::NotStarted { .. } | exec::Error::Unparsable { .. } => error.hint(),
    };
    let message = match error {
        exec::Error::Failed { program, said, .. } if !complaint(said).is_empty() => {
            format!("`{program}` failed: {}", complaint(said))
        }
        _ => error.to_string(),
    };
    Error::Refused { message, hint }
}

fn of_complaint(said: &str, server: &str) -> Option<Error> {
    let is_meant = |needles: &[&str]| needles.iter().all(|needle| said.contains(needle));
    let (_, what, hint) = KNOWN.iter().find(|(needles, ..)| is_meant(needles))?;
    Some(Error::Refused {
        message: format!("PostgreSQL at `{server}` {what}: {}", complaint(said)),
        hint: (*hint).to_owned(),
    })
}

/// Whether it may go away by waiting.
pub fn is_starting(error: &exec::Error) -> bool {
    matches!(error, exec::Error::Failed { said, .. } if said.contains("the database system is starting up")
        || said.contains("the database system is not yet accepting connections"))
}

/// The line that says what is wrong, without those that explain it.
fn complaint(said: &str) -> &str {
    let is_it = |line: &&str| {
        ["FATAL:", "ERROR:", "error:", "PANIC:"]
            .iter()
            .any(|word| line.contains(word))
    };
    let line = said.lines().find(is_it).or_else(|| said.trim_end().lines().next_back());
    line.unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    fn explained(said: &str) -> (String, String) {
        let error = exec::Error::Failed {
            program: "psql".to_owned(),
            status: ExitStatus::from_raw(2 << 8),
            said: said.to_owned(),
        };
        let error = super::explained(error, "db:5432");
        (error.to_string(), error.hint().unwrap_or_default())
    }

    #[test]
    fn complaints_are_told_apart() {
        let refused = "psql: error: connection to server at \"db\", port 5432 failed: Connection refused\n\
                       \tIs the server running on that host and accepting TCP/IP connections?\n";
        let (message, hint) = explained(refused);
        assert!(
            message.starts_with("PostgreSQL at `db:5432` refuses connections: psql: error"),
            "{message}"
        );
        assert!(
            !message.contains("Is the server running") && hint.contains("`port`"),
            "{message} {hint}"
        );
        for (said, expected) in [
            (
                "FATAL:  password authentication failed for user \"x\"",
                "does not accept the password",
            ),
            (
                "FATAL:  Peer authentication failed for user \"x\"",
                "does not let this user in",
            ),
            ("FATAL:  database \"x\" does not exist", "does not have the database"),
            ("FATAL:  role \"x\" does not exist", "does not know the user"),
            (
                "ERROR:  permission denied for table t",
                "does not give this user the right",
            ),
            (
                "ERROR:  something else\nLINE 1: x",
                "`psql` failed: ERROR:  something else",
            ),
        ] {
            let (message, _) = explained(said);
            assert!(message.contains(expected), "{said}: {message}");
        }
    }
}

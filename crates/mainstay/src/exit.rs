//! Exit codes. They are part of the interface: scripts and monitoring rely on them.

use crate::config::Misuse;
use crate::config::problem::Problems;
use crate::source::api;
use crate::{docker, exec};
use anyhow::Error;
use std::fmt::Write as _;
use std::io;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// It failed.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// Done, but something is missing.
    Incomplete,
    /// There is no repository at the address.
    NoRepository,
    /// Somebody else holds a lock.
    Locked,
    /// The password opens no key.
    WrongKey,
    /// What was looked at is stale or damaged.
    Unhealthy,
    /// Ctrl-C or a request to end.
    Interrupted,
    /// Whoever read our output went away.
    OutputClosed,
}

/// Every code with its meaning; help and guide show this table.
pub const TABLE: [(Exit, u8, &str); 10] = [
    (Exit::Done, 0, "done"),
    (Exit::Failed, 1, "failed; a backup stored no snapshot"),
    (Exit::Usage, 2, "wrong usage or configuration"),
    (
        Exit::Incomplete,
        3,
        "done but incomplete: some files could not be read, restored or verified",
    ),
    (Exit::NoRepository, 10, "there is no repository at this address"),
    (Exit::Locked, 11, "the repository is locked by another process"),
    (Exit::WrongKey, 12, "no key of the repository opens with this password"),
    (
        Exit::Unhealthy,
        20,
        "stale or unhealthy: `check` found damage, or a drill failed or could prove nothing",
    ),
    (
        Exit::Interrupted,
        130,
        "interrupted (Ctrl-C, SIGTERM); locks are removed",
    ),
    (Exit::OutputClosed, 141, "the reader of standard output went away"),
];

impl Exit {
    /// The number that the system is told.
    pub fn code(self) -> u8 {
        TABLE
            .iter()
            .find(|(exit, ..)| *exit == self)
            .map_or(1, |(_, code, _)| *code)
    }

    /// `Done`, or `Incomplete` if there were problems.
    pub fn from_problems(problems: u64) -> Self {
        if problems == 0 { Self::Done } else { Self::Incomplete }
    }
}

/// The table as help shows it.
pub fn help() -> String {
    TABLE
        .iter()
        .fold("Exit codes:\n".to_owned(), |mut text, (_, code, meaning)| {
            let _ = writeln!(text, "  {code:>3}  {meaning}");
            text
        })
}

/// The exit code that fits an error: that of the outermost cause that has one of its own.
pub fn of(error: &Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Failed)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<repository::Error>() {
        return of_repository(error);
    }
    if let Some(error) = cause.downcast_ref::<storage::Error>() {
        return (error.kind == storage::ErrorKind::Misconfigured).then_some(Exit::Usage);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return (error.kind() == io::ErrorKind::BrokenPipe).then_some(Exit::OutputClosed);
    }
    if let Some(error) = cause.downcast_ref::<api::Error>() {
        let interrupted = matches!(error.why, api::Why::Interrupted);
        return Some(if interrupted { Exit::Interrupted } else { Exit::Failed });
    }
    if cause.is::<exec::Error>() || cause.is::<docker::Error>() {
        return Some(Exit::Failed);
    }
    (cause.is::<Misuse>() || cause.is::<Problems>()).then_some(Exit::Usage)
}

fn of_repository(error: &repository::Error) -> Option<Exit> {
    use repository::Error;
    match error {
        Error::NoRepository { .. } => Some(Exit::NoRepository),
        Error::Locked { .. } => Some(Exit::Locked),
        Error::WrongPassword { .. } | Error::WrongIdentity { .. } => Some(Exit::WrongKey),
        Error::Interrupted => Some(Exit::Interrupted),
        // A pipe that broke in the engine is a file or a store that failed, not our output.
        Error::Local { .. } => Some(Exit::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn codes_are_those_that_were_promised() {
        let codes: Vec<u8> = TABLE.iter().map(|(exit, ..)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 10, 11, 12, 20, 130, 141]);
    }

    #[test]
    fn the_cause_decides_not_what_was_said_around_it() {
        let locked = repository::Error::Locked {
            holder: "by a test".into(),
        };
        assert_eq!(
            of(&Err::<(), _>(locked).context("cannot prune").unwrap_err()),
            Exit::Locked
        );
        assert_eq!(of(&anyhow::anyhow!("anything")), Exit::Failed);
        assert_eq!(of(&Misuse::new("bad", "do better").into()), Exit::Usage);
    }

    #[test]
    fn an_address_that_makes_no_sense_is_wrong_usage() {
        let error = "s3:ftp://x/y".parse::<storage::Location>().unwrap_err();
        assert_eq!(of(&repository::Error::from(error).into()), Exit::Usage);
    }

    #[test]
    fn help_lists_every_code() {
        for (_, code, meaning) in TABLE {
            assert!(help().contains(&format!("{code:>3}  {meaning}\n")));
        }
    }
}

//! What rclone's answers mean. It passes on what the remote's library says, in words; the status is 404 or 500.

use std::io;
use std::path::PathBuf;

use crate::ErrorKind;

/// A failure of rclone, or of the remote behind it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The program is not there.
    #[error("cannot start `{program}`: {source}")]
    NotStarted { program: PathBuf, source: io::Error },
    /// The program ended, or did not begin to work.
    #[error("rclone ended: {0}")]
    Died(String),
    /// It was not reached.
    #[error("rclone does not answer: {0}")]
    Silent(String),
    /// It says no.
    #[error("rclone says: {message}")]
    Answered { status: u16, message: String },
    /// An answer that makes no sense.
    #[error("rclone's answer is not understood: {0}")]
    NotUnderstood(String),
    /// Less came than was asked for.
    #[error("asked for {asked} bytes, received {received}")]
    TooShort { asked: u64, received: u64 },
    /// A system call of our own.
    #[error(transparent)]
    Local(#[from] io::Error),
}

/// What is said of what kind of failure. The first that fits counts.
const WORDS: [(ErrorKind, &[&str]); 5] = [
    (
        ErrorKind::Misconfigured,
        &[
            "didn't find section in config file",
            "didn't find backend called",
            "couldn't decrypt configuration",
            "unknown flag",
            "invalid argument",
        ],
    ),
    (
        ErrorKind::Full,
        &[
            "no space left",
            "quota",
            "insufficient storage",
            "not enough space",
            "storage full",
            "disk full",
        ],
    ),
    (
        ErrorKind::PermissionDenied,
        &[
            "permission denied",
            "access denied",
            "accessdenied",
            "forbidden",
            "unauthorized",
            "invalid_grant",
            "token expired",
            "expired token",
            "read-only file system",
            "unable to authenticate",
        ],
    ),
    (ErrorKind::NotFound, &["object not found", "directory not found"]),
    (
        ErrorKind::Unavailable,
        &[
            "timeout",
            "timed out",
            "connection re",
            "connection was",
            "broken pipe",
            "unexpected eof",
            "dial tcp",
            "no such host",
            "rate limit",
            "ratelimit",
            "too many requests",
            "temporar",
            "try again",
            "server error",
            "bad gateway",
            "service unavailable",
        ],
    ),
];

fn kind_of(status: u16, message: &str) -> ErrorKind {
    let message = message.to_ascii_lowercase();
    let said = WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|word| message.contains(word)));
    match said {
        Some((kind, _)) => *kind,
        None if status == 404 => ErrorKind::NotFound,
        None if status == 401 || status == 403 => ErrorKind::PermissionDenied,
        None => ErrorKind::Other,
    }
}

impl Failure {
    /// What a caller can do about it.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotStarted { .. } => ErrorKind::Misconfigured,
            Self::Died(words) => match kind_of(0, words) {
                ErrorKind::Misconfigured => ErrorKind::Misconfigured,
                _ => ErrorKind::Unavailable,
            },
            Self::Silent(_) => ErrorKind::Unavailable,
            Self::Answered { status, message } => kind_of(*status, message),
            Self::TooShort { .. } => ErrorKind::Truncated,
            Self::NotUnderstood(_) | Self::Local(_) => ErrorKind::Other,
        }
    }

    /// What a user can do about it, where that is not plain from the kind.
    pub(super) fn hint(&self) -> Option<String> {
        let text = match (self, self.kind()) {
            (Self::NotStarted { .. }, _) => "Install rclone, or say where it is with `-o rclone.program=FILE`.",
            (_, ErrorKind::Misconfigured) => {
                "Check the remote: `rclone listremotes` shows those that there are, `rclone config` makes one. Its file is named by \
                 `RCLONE_CONFIG`, and its password by `RCLONE_CONFIG_PASS`."
            }
            (_, ErrorKind::PermissionDenied | ErrorKind::Other) => {
                "Try `rclone lsd REMOTE:` and `rclone touch REMOTE:PATH/file` to see what is wrong with the remote."
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_sorted() {
        for (status, message, kind) in [
            (404, "object not found", ErrorKind::NotFound),
            (404, "error in ListJSON: directory not found", ErrorKind::NotFound),
            (500, "didn't find section in config file", ErrorKind::Misconfigured),
            (500, "write /x: no space left on device", ErrorKind::Full),
            (500, "googleapi: storageQuotaExceeded", ErrorKind::Full),
            (500, "mkdir /x: permission denied", ErrorKind::PermissionDenied),
            (500, "AccessDenied: no\n\tstatus code: 403", ErrorKind::PermissionDenied),
            (500, "dial tcp 1.2.3.4:443: i/o timeout", ErrorKind::Unavailable),
            (500, "something else", ErrorKind::Other),
        ] {
            let message = message.to_owned();
            assert_eq!(
                Failure::Answered {
                    status,
                    message: message.clone()
                }
                .kind(),
                kind,
                "{message}"
            );
        }
    }
}

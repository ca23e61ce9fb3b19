//! What can go wrong on the way to an SFTP server and back, what a caller can do about it, and what a user can.

use std::io;
use std::time::Duration;

use russh::Error as SshError;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::StatusCode;

use crate::ErrorKind;

/// A failure of a server, of the connection to it, or of who logs in there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no connection.
    #[error("cannot connect to `{server}`: {source}")]
    Unreachable { server: String, source: io::Error },
    /// The connection broke, or never became one.
    #[error("the SSH connection failed: {0}")]
    Ssh(SshError),
    /// The server does not do what it is asked to do.
    #[error("the server answered: {}", describe(.0))]
    Sftp(SftpError),
    /// The server's key is not known, or is another than the known one.
    #[error("{message}")]
    HostKey { message: String, hint: String },
    /// The server lets nobody in with what there is.
    #[error("{message}")]
    Refused { message: String, hint: String },
    /// Something that was given makes no sense.
    #[error("{message}")]
    Misconfigured { message: String, hint: String },
    /// An answer did not come.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// What was asked for is not there as a file.
    #[error("there is something else than a file in its place")]
    NotAFile,
    /// A file ended before it should.
    #[error("the file is shorter: {0} bytes")]
    TooShort(u64),
    /// The file system of the server is full.
    #[error("the server's file system has {0} bytes left")]
    Full(u64),
}

impl From<SshError> for Failure {
    fn from(error: SshError) -> Self {
        Self::Ssh(error)
    }
}

impl From<SftpError> for Failure {
    fn from(error: SftpError) -> Self {
        Self::Sftp(error)
    }
}

/// A status, in the server's own words if it has some.
fn describe(error: &SftpError) -> String {
    match error {
        SftpError::Status(status) if status.error_message.is_empty() => status.status_code.to_string(),
        SftpError::Status(status) => status.error_message.clone(),
        SftpError::Timeout => "nothing, for too long".to_owned(),
        // The library's word for an answer that is waited for when the connection goes.
        SftpError::UnexpectedBehavior(_) => format!("nothing, and the connection is gone ({error})"),
        other => other.to_string(),
    }
}

impl Failure {
    /// What a caller can do about it.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Ssh(error) => kind_of_ssh(error),
            Self::Sftp(error) => kind_of_sftp(error),
            Self::HostKey { .. } | Self::Misconfigured { .. } => ErrorKind::Misconfigured,
            Self::Refused { .. } => ErrorKind::PermissionDenied,
            Self::TooSlow(_) => ErrorKind::TimedOut,
            Self::NotAFile => ErrorKind::NotFound,
            Self::TooShort(_) => ErrorKind::Truncated,
            Self::Full(_) => ErrorKind::Full,
        }
    }

    /// What a user can do about it, where that is not plain from the kind.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::HostKey { hint, .. } | Self::Refused { hint, .. } | Self::Misconfigured { hint, .. } => {
                Some(hint.clone())
            }
            Self::Sftp(_) => match self.kind() {
                ErrorKind::PermissionDenied => Some(PERMISSIONS.to_owned()),
                ErrorKind::Other => Some(UNCLEAR.to_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the server answered with this status.
    pub(super) fn is_status(&self, code: StatusCode) -> bool {
        matches!(self, Self::Sftp(SftpError::Status(status)) if status.status_code == code)
    }
}

const PERMISSIONS: &str = "Check on the server that the directory belongs to the user who logs in. A path that begins with `/` \
                           is one of the whole server; without it, it is below the user's own directory.";

const UNCLEAR: &str = "SFTP servers do not say more: check the server's log, its free space and quota, and that nothing else has \
                       the name.";

/// What is wrong with a connection may be right after the next one was made.
fn kind_of_ssh(error: &SshError) -> ErrorKind {
    match error {
        SshError::ConnectionTimeout | SshError::KeepaliveTimeout | SshError::InactivityTimeout => ErrorKind::TimedOut,
        SshError::NoCommonAlgo { .. } | SshError::Version | SshError::UnknownAlgo => ErrorKind::Misconfigured,
        SshError::Keys(_) | SshError::SshKey(_) | SshError::InvalidConfig(_) => ErrorKind::Other,
        _ => ErrorKind::Unavailable,
    }
}

fn kind_of_sftp(error: &SftpError) -> ErrorKind {
    match error {
        SftpError::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => ErrorKind::NotFound,
            StatusCode::PermissionDenied => ErrorKind::PermissionDenied,
            StatusCode::NoConnection | StatusCode::ConnectionLost => ErrorKind::Unavailable,
            _ if tells_of_space(&status.error_message) => ErrorKind::Full,
            _ => ErrorKind::Other,
        },
        SftpError::Timeout => ErrorKind::TimedOut,
        // What the library says when the connection below it is gone.
        SftpError::IO(_) | SftpError::UnexpectedBehavior(_) => ErrorKind::Unavailable,
        SftpError::Limited(_) | SftpError::UnexpectedPacket => ErrorKind::Other,
    }
}

/// The protocol has no status for a full disk; some servers say it in words.
fn tells_of_space(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["no space left", "quota", "disk full", "not enough space"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh_sftp::protocol::Status;

    fn status(status_code: StatusCode, message: &str) -> Failure {
        Failure::Sftp(SftpError::Status(Status {
            id: 1,
            status_code,
            error_message: message.to_owned(),
            language_tag: String::new(),
        }))
    }

    #[test]
    fn answers_are_sorted_by_what_can_be_done() {
        for (failure, kind) in [
            (status(StatusCode::NoSuchFile, "No such file"), ErrorKind::NotFound),
            (
                status(StatusCode::PermissionDenied, "Permission denied"),
                ErrorKind::PermissionDenied,
            ),
            (status(StatusCode::Failure, "Failure"), ErrorKind::Other),
            (
                status(StatusCode::Failure, "write x: no space left on device"),
                ErrorKind::Full,
            ),
            (status(StatusCode::Failure, "Disk quota exceeded"), ErrorKind::Full),
            (status(StatusCode::ConnectionLost, ""), ErrorKind::Unavailable),
            (Failure::Sftp(SftpError::Timeout), ErrorKind::TimedOut),
            (
                Failure::Sftp(SftpError::UnexpectedBehavior("session closed".into())),
                ErrorKind::Unavailable,
            ),
            (Failure::Ssh(SshError::Disconnect), ErrorKind::Unavailable),
            (Failure::Ssh(SshError::KeepaliveTimeout), ErrorKind::TimedOut),
            (Failure::Full(0), ErrorKind::Full),
        ] {
            assert_eq!(failure.kind(), kind, "{failure}");
        }
    }

    #[test]
    fn a_connection_that_is_gone_is_called_so() {
        let gone = Failure::Sftp(SftpError::UnexpectedBehavior("sender dropped".into()));
        assert!(gone.to_string().contains("the connection is gone"), "{gone}");
    }

    #[test]
    fn what_is_not_plain_has_a_hint() {
        assert!(
            status(StatusCode::PermissionDenied, "")
                .hint()
                .unwrap()
                .contains("on the server")
        );
        assert!(status(StatusCode::Failure, "").hint().unwrap().contains("quota"));
        assert_eq!(status(StatusCode::NoSuchFile, "").hint(), None);
    }
}

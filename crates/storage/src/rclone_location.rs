//! Addresses of rclone's remotes.

use std::fmt;

use crate::Error;
use crate::location::refuse;

/// A directory of a remote of rclone, as rclone writes it: `REMOTE:PATH`.
///
/// The remote is one of rclone's configuration, or says everything itself (`:sftp,host=nas:backups`). The text form leaves out
/// what such a one says, because there may be a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct RcloneLocation {
    /// What rclone is given.
    pub remote: String,
}

/// Understand what follows `rclone:` in the address `text`.
pub(crate) fn parse(text: &str, rest: &str) -> Result<RcloneLocation, Error> {
    let hidden = || shown(text);
    // An own backend begins with a colon, which does not end its name.
    let Some((name, _)) = rest.strip_prefix(':').unwrap_or(rest).split_once(':') else {
        return Err(refuse(&hidden(), "write it as `rclone:REMOTE:PATH`".to_owned()));
    };
    if name.is_empty() {
        return Err(refuse(&hidden(), "the name of the remote is missing".to_owned()));
    }
    if rest.contains(']') {
        return Err(refuse(&hidden(), "it cannot hold a `]`".to_owned()));
    }
    Ok(RcloneLocation {
        remote: rest.trim_end_matches('/').to_owned(),
    })
}

/// Without the parameters that stand between the first comma and the last colon.
fn shown(text: &str) -> String {
    match (text.find(','), text.rfind(':')) {
        (Some(comma), Some(colon)) if comma < colon => format!("{},***{}", &text[..comma], &text[colon..]),
        (Some(comma), _) => format!("{},***", &text[..comma]),
        _ => text.to_owned(),
    }
}

impl fmt::Display for RcloneLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rclone:{}", shown(&self.remote))
    }
}

impl fmt::Debug for RcloneLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Location};

    #[test]
    fn remotes_are_what_rclone_takes() {
        for (text, remote, shown) in [
            ("rclone:nas:backups/x", "nas:backups/x", "rclone:nas:backups/x"),
            ("rclone:nas:", "nas:", "rclone:nas:"),
            ("rclone:nas:/srv/x/", "nas:/srv/x", "rclone:nas:/srv/x"),
            ("rclone::memory:bucket", ":memory:bucket", "rclone::memory:bucket"),
            (
                "rclone::sftp,host=a,pass=hush:x",
                ":sftp,host=a,pass=hush:x",
                "rclone::sftp,***:x",
            ),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(
                (location.to_string().as_str(), format!("{location:?}").contains("hush")),
                (shown, false)
            );
            let Location::Rclone(rclone) = location else {
                panic!("{text}")
            };
            assert_eq!(rclone.remote, remote);
        }
    }

    #[test]
    fn nonsense_is_refused_and_no_secret_shown() {
        for text in [
            "rclone:",
            "rclone:nas",
            "rclone::x",
            "rclone:::x",
            "rclone:a]:x",
            "rclone:sftp,pass=hush",
        ] {
            let error = text.parse::<Location>().expect_err(text);
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{text}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }
}

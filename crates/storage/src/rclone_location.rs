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
pub(crate) fn parse(rest: &str) -> Result<RcloneLocation, Error> {
    let refused = |why: &str| refuse(&format!("rclone:{}", shown(rest)), why.to_owned());
    let (name, _) = split_name(rest);
    if !rest[name.len()..].contains(':') {
        return Err(refused("write it as `rclone:REMOTE:PATH`"));
    }
    if name.is_empty() || name == ":" {
        return Err(refused("the name of the remote is missing"));
    }
    if rest.contains(']') {
        return Err(refused("it cannot hold a `]`"));
    }
    let remote = rest.trim_end_matches('/');
    // The root is not the directory in which the remote begins.
    let is_root = remote.ends_with(':') && remote.len() < rest.len();
    Ok(RcloneLocation {
        remote: if is_root {
            format!("{remote}/")
        } else {
            remote.to_owned()
        },
    })
}

/// The name of the remote, with the colon before it that marks an own backend, and the parameters behind it, if there are any.
///
/// Which colon ends the parameters depends on rclone's rules for quotes. Here it is the last of all: too much is hidden rather than
/// too little.
fn split_name(remote: &str) -> (&str, Option<&str>) {
    let own = usize::from(remote.starts_with(':'));
    let end = remote[own..].find([',', ':']).map_or(remote.len(), |at| own + at);
    let (name, rest) = remote.split_at(end);
    let parameters = rest
        .starts_with(',')
        .then(|| &rest[..rest.rfind(':').unwrap_or(rest.len())]);
    (name, parameters)
}

/// Without the parameters, in which there may be a password.
fn shown(remote: &str) -> String {
    let (name, parameters) = split_name(remote);
    match parameters {
        Some(parameters) => format!("{name},***{}", &remote[name.len() + parameters.len()..]),
        None => remote.to_owned(),
    }
}

impl RcloneLocation {
    /// Whether the text form leaves something out.
    pub fn has_parameters(&self) -> bool {
        split_name(&self.remote).1.is_some()
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
            ("rclone:nas:/", "nas:/", "rclone:nas:/"),
            ("rclone:nas:a,b:c", "nas:a,b:c", "rclone:nas:a,b:c"),
            ("rclone::memory:bucket", ":memory:bucket", "rclone::memory:bucket"),
            (
                "rclone::sftp,host=a,pass=hush:x",
                ":sftp,host=a,pass=hush:x",
                "rclone::sftp,***:x",
            ),
            (
                "rclone:nas,pass=\"hu:sh\":x,y",
                "nas,pass=\"hu:sh\":x,y",
                "rclone:nas,***:x,y",
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
            if !rclone.has_parameters() {
                assert_eq!(shown.parse::<Location>().unwrap(), Location::Rclone(rclone));
            }
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
            "rclone:,pass=hush:x",
            "rclone::,pass=hush:x",
        ] {
            let error = text.parse::<Location>().expect_err(text);
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{text}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }
}

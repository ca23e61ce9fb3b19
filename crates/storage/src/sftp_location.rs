//! Addresses of directories on SSH servers.

use std::fmt;

use crate::Error;
use crate::location::refuse;

/// A directory of an SSH server.
///
/// A path is relative to the directory in which the server puts the user, unless it begins with `/`. Both forms of restic
/// are understood, with restic's meaning:
///
/// | written | path |
/// |---|---|
/// | `sftp:user@host:backups/web1`, `sftp://user@host:23/backups/web1` | `backups/web1` below the user's directory |
/// | `sftp:user@host:/srv/backups`, `sftp://user@host:23//srv/backups` | `/srv/backups` |
///
/// Nothing in it is percent-encoded, and it never holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct SftpLocation {
    /// Who logs in, if the address says so.
    pub user: Option<String>,
    /// Name or number of the server, without brackets.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// The directory, without `/` at its end; `.` for the one in which the server puts the user.
    pub path: String,
}

/// Where SSH servers listen.
const PORT: u16 = 22;

/// Understand what follows `sftp:` in the address `text`.
pub(crate) fn parse(text: &str, rest: &str) -> Result<SftpLocation, Error> {
    understand(rest).map_err(|why| refuse(text, why.to_owned()))
}

fn understand(rest: &str) -> Result<SftpLocation, &'static str> {
    let url = rest.strip_prefix("//");
    let (user, rest) = split_user(url.unwrap_or(rest))?;
    let (host, rest) = split_host(rest)?;
    let (port, path) = match (url, rest.strip_prefix(':')) {
        (Some(_), Some(rest)) => {
            let (port, path) = rest.split_once('/').ok_or(PATH_IS_MISSING)?;
            (port.parse().map_err(|_| "the port is no number")?, path)
        }
        (Some(_), None) => (PORT, rest.strip_prefix('/').ok_or(PATH_IS_MISSING)?),
        (None, path) => (PORT, path.ok_or(PATH_IS_MISSING)?),
    };
    Ok(SftpLocation {
        user: user.map(ToOwned::to_owned),
        host: host.to_ascii_lowercase(),
        port,
        path: normalise(path)?,
    })
}

const PATH_IS_MISSING: &str = "the path is missing";

/// The user stands before the last `@` of what is before the path.
fn split_user(text: &str) -> Result<(Option<&str>, &str), &'static str> {
    let end = text.find('/').unwrap_or(text.len());
    let Some(at) = text[..end].rfind('@') else {
        return Ok((None, text));
    };
    match &text[..at] {
        "" => Err("the user is missing before the `@`"),
        user if user.contains(':') => Err("an address cannot hold a password"),
        user => Ok((Some(user), &text[at + 1..])),
    }
}

/// The host, with or without brackets, ends before a colon or a slash.
fn split_host(text: &str) -> Result<(&str, &str), &'static str> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or("a bracket is not closed")?,
        None => text.split_at(text.find([':', '/']).unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    // A host that looks like an option, or holds blanks, slashes or brackets, is none, and nothing good comes of trying.
    if host.starts_with('-') || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']')) {
        return Err("the host is no name");
    }
    Ok((host, rest))
}

fn normalise(path: &str) -> Result<String, &'static str> {
    if path.is_empty() {
        return Err(PATH_IS_MISSING);
    }
    if path.starts_with('~') {
        return Err("a path cannot begin with `~`: one that does not begin with `/` is below the user's directory");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok(match (path.starts_with('/'), parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    })
}

impl SftpLocation {
    /// Host and port, as messages and `known_hosts` show them: the port only if it is not the usual one.
    pub fn server(&self) -> String {
        match self.port {
            PORT => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

impl fmt::Display for SftpLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sftp://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != PORT {
            write!(f, ":{}", self.port)?;
        }
        // What begins with `~` would be taken for a home directory, which is refused.
        let here = if self.path.starts_with('~') { "./" } else { "" };
        write!(f, "/{here}{}", self.path)
    }
}

impl fmt::Debug for SftpLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, ErrorKind, Location};

    fn parse(text: &str) -> Result<super::SftpLocation, Error> {
        match text.parse()? {
            Location::Sftp(sftp) => Ok(sftp),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_forms_have_restics_meaning() {
        for (text, user, host, port, path) in [
            ("sftp:host:backups", None, "host", 22, "backups"),
            ("sftp:u@host:/srv/backups/", Some("u"), "host", 22, "/srv/backups"),
            ("sftp:u@Host:a/./b//c", Some("u"), "host", 22, "a/b/c"),
            ("sftp:u@d.org@host:x:y", Some("u@d.org"), "host", 22, "x:y"),
            ("sftp:u@[::1]:x", Some("u"), "::1", 22, "x"),
            ("sftp:host:.", None, "host", 22, "."),
            ("sftp:host:/", None, "host", 22, "/"),
            ("sftp://host/backups", None, "host", 22, "backups"),
            ("sftp://u@host:23/backups", Some("u"), "host", 23, "backups"),
            ("sftp://u@host:23//srv/backups", Some("u"), "host", 23, "/srv/backups"),
            ("sftp://u@[fe80::1]:2222//x", Some("u"), "fe80::1", 2222, "/x"),
            ("sftp://host/./", None, "host", 22, "."),
            ("sftp:host:./~x", None, "host", 22, "~x"),
        ] {
            let sftp = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found = (sftp.user.as_deref(), sftp.host.as_str(), sftp.port, sftp.path.as_str());
            assert_eq!(found, (user, host, port, path), "{text}");
            // What is shown means the same.
            assert_eq!(parse(&sftp.to_string()).unwrap(), sftp, "{text}");
        }
        assert_eq!(parse("sftp:u@host:x").unwrap().to_string(), "sftp://u@host/x");
        assert_eq!(parse("sftp://h:23/x").unwrap().server(), "[h]:23");
    }

    #[test]
    fn nonsense_is_refused_and_no_password_shown() {
        for (text, why) in [
            ("sftp:host", "path is missing"),
            ("sftp:host:", "path is missing"),
            ("sftp://host", "path is missing"),
            ("sftp://host/", "path is missing"),
            ("sftp://host:22", "path is missing"),
            ("sftp://host:x/path", "port is no number"),
            ("sftp://host:99999/path", "port is no number"),
            ("sftp:///path", "host is missing"),
            ("sftp::path", "host is missing"),
            ("sftp:-oProxyCommand=x:path", "host is no name"),
            ("sftp://ho st/path", "host is no name"),
            ("sftp://[[a]/path", "host is no name"),
            ("sftp://[a/b]/path", "host is no name"),
            ("sftp://@host/path", "user is missing"),
            ("sftp://[::1/path", "bracket"),
            ("sftp:host:~/path", "cannot begin with `~`"),
            ("sftp://u:hush@host/path", "cannot hold a password"),
            ("sftp:u:hush@host:/path", "cannot hold a password"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{text}");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(why) && !shown.contains("hush"), "{text}: {shown}");
        }
    }
}

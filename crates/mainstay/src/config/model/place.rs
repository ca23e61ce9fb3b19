//! Where a repository is.

use crate::config::tree::Origin;
use std::fmt;
use storage::Location;

/// The address of a repository, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub Location);

/// Kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A directory.
    Local,
    /// S3 and what speaks it.
    S3,
    /// SFTP.
    Sftp,
    /// WebDAV, over TLS or not.
    Webdav,
    /// Azure Blob Storage.
    Azblob,
    /// Google Cloud Storage.
    Gcs,
    /// Backblaze B2.
    B2,
    /// Dropbox.
    Dropbox,
    /// A server for restic's REST protocol.
    Rest,
    /// A remote of rclone.
    Rclone,
}

/// What an address looks like.
const FORMS: [(Scheme, &str, &str, &str); 12] = [
    (Scheme::S3, "s3", "s3:", "s3://BUCKET/PREFIX"),
    (Scheme::Sftp, "sftp", "sftp://", "sftp://USER@HOST/PATH"),
    (Scheme::Sftp, "sftp", "sftp:", "sftp:USER@HOST:PATH"),
    (Scheme::Webdav, "webdav", "webdav+https://", "webdav+https://HOST/PATH"),
    (Scheme::Webdav, "webdav", "webdav+http://", "webdav+http://HOST/PATH"),
    (Scheme::Azblob, "azblob", "azblob://", "azblob://CONTAINER/PREFIX"),
    (Scheme::Gcs, "gcs", "gcs://", "gcs://BUCKET/PREFIX"),
    (Scheme::B2, "b2", "b2://", "b2://BUCKET/PREFIX"),
    (Scheme::Dropbox, "dropbox", "dropbox:", "dropbox:PATH"),
    (Scheme::Rest, "rest", "rest:https://", "rest:https://HOST/PATH"),
    (Scheme::Rest, "rest", "rest:http://", "rest:http://HOST/PATH"),
    (Scheme::Rclone, "rclone", "rclone:", "rclone:REMOTE:PATH"),
];

impl Scheme {
    /// As the tables name it.
    pub fn name(self) -> &'static str {
        FORMS
            .iter()
            .find(|(scheme, ..)| *scheme == self)
            .map_or("local", |(_, name, ..)| name)
    }
}

impl Place {
    /// Understand an address that is written at `origin`.
    ///
    /// # Errors
    /// What is wrong with it, and the way out.
    pub fn parse(address: &str, origin: &Origin) -> Result<Self, (String, String)> {
        if holds_password(address) {
            let hint = "Write `access_key`, `secret_key`, `user` or `login_password` beside `url`, as secrets.";
            return Err(("`url` holds a password".to_owned(), hint.to_owned()));
        }
        let form = FORMS.iter().find(|(_, _, prefix, _)| address.starts_with(prefix));
        match form {
            Some((Scheme::S3, ..)) => store(
                address,
                "Write `s3://BUCKET/PREFIX` and the store's address as `endpoint`.",
            ),
            Some((Scheme::Sftp, ..)) => store(address, SFTP_HINT),
            Some((Scheme::Rclone, .., form)) => store(address, &format!("Write it like this: `{form}`.")),
            Some((scheme, _, prefix, form)) => {
                let rest = &address[prefix.len()..];
                let hint = format!("Write it like this: `{form}`.");
                if is_complete(*scheme, rest) {
                    store(address, &hint)
                } else {
                    Err((format!("`url` is `{address}`, in which something is missing"), hint))
                }
            }
            None => local(address, origin),
        }
    }

    /// What kind of store it is.
    pub fn scheme(&self) -> Scheme {
        match &self.0 {
            Location::S3(_) => Scheme::S3,
            Location::Sftp(_) => Scheme::Sftp,
            Location::Rclone(_) => Scheme::Rclone,
            Location::Webdav(_) => Scheme::Webdav,
            Location::Rest(_) => Scheme::Rest,
            Location::Azblob(_) => Scheme::Azblob,
            Location::Gcs(_) => Scheme::Gcs,
            Location::B2(_) => Scheme::B2,
            Location::Dropbox(_) => Scheme::Dropbox,
            Location::Local(_) | Location::Memory(_) => Scheme::Local,
        }
    }

    /// The location to open.
    pub fn location(&self) -> &Location {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `scheme://user:password@host`, `sftp:user:password@host:`
fn holds_password(address: &str) -> bool {
    let rest = address
        .strip_prefix("sftp:")
        .or_else(|| address.split_once("//").map(|(_, rest)| rest));
    let rest = rest.unwrap_or_default().trim_start_matches('/');
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Where a path begins is what everybody asks.
const SFTP_HINT: &str = "Write `sftp://USER@HOST/PATH`, with `:PORT` after the host if it is not 22; PATH is below the user's directory, \
                         and one that begins with a second slash is absolute.";

fn store(address: &str, hint: &str) -> Result<Place, (String, String)> {
    address.parse().map(Place).map_err(|error: storage::Error| {
        let why = error
            .source
            .as_ref()
            .map_or_else(|| error.to_string(), ToString::to_string);
        (format!("`url` is `{address}`: {why}"), hint.to_owned())
    })
}

/// A path; what looks like an address of a kind that nobody knows is not taken for one.
fn local(address: &str, origin: &Origin) -> Result<Place, (String, String)> {
    let path = address.strip_prefix("file://").unwrap_or(address);
    let scheme = path.split(['/', '.']).next().unwrap_or_default();
    if let Some((scheme, _)) = scheme.split_once(':') {
        if scheme == "archive" {
            let hint = "Write the address of the place, and `format: archive` beside it in a file; `mainstay config init` writes the first one.";
            return Err((
                format!("`url` is `{address}`, but how archives are made is not said by an address"),
                hint.to_owned(),
            ));
        }
        let mut known: Vec<&str> = FORMS.iter().map(|(.., form)| *form).collect();
        known.insert(0, "/PATH");
        let hint = format!(
            "Write one of {}; a path with a colon begins with `./`.",
            known.join(", ")
        );
        return Err((
            format!("`url` is `{address}`, but there are no stores of kind `{scheme}:`"),
            hint,
        ));
    }
    Ok(Place(Location::Local(origin.resolve(path))))
}

/// Whether host, bucket or remote are there.
fn is_complete(scheme: Scheme, rest: &str) -> bool {
    let first = rest.split('/').next().unwrap_or_default();
    match scheme {
        Scheme::Local | Scheme::S3 | Scheme::Sftp | Scheme::Rclone | Scheme::Dropbox => true,
        Scheme::Webdav | Scheme::Rest | Scheme::Azblob | Scheme::Gcs | Scheme::B2 => !first.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn origin() -> Origin {
        Origin::File {
            file: Path::new("/etc/mainstay/mainstay.yaml").into(),
            line: 1,
            column: 1,
        }
    }

    #[test]
    fn addresses_of_every_kind() {
        for (address, scheme, shown) in [
            ("/srv/backup", "local", "/srv/backup"),
            ("./backups", "local", "/etc/mainstay/backups"),
            ("file:///srv/backup", "local", "/srv/backup"),
            ("./odd:name", "local", "/etc/mainstay/odd:name"),
            ("s3://bucket/prefix", "s3", "s3://bucket/prefix"),
            (
                "s3:https://s3.example.org/bucket",
                "s3",
                "s3:https://s3.example.org/bucket",
            ),
            ("sftp://u@host:2222/path", "sftp", "sftp://u@host:2222/path"),
            ("sftp:u@host:/path", "sftp", "sftp://u@host//path"),
            ("webdav+https://host/x", "webdav", "webdav+https://host/x"),
            ("azblob://container", "azblob", "azblob://container"),
            ("gcs://bucket/p", "gcs", "gcs://bucket/p"),
            ("b2://bucket/p", "b2", "b2://bucket/p"),
            ("dropbox:", "dropbox", "dropbox:"),
            ("rest:https://host/x", "rest", "rest:https://host/x"),
            ("rclone:nas:backups/x", "rclone", "rclone:nas:backups/x"),
        ] {
            let place = Place::parse(address, &origin()).unwrap();
            assert_eq!((place.scheme().name(), place.to_string().as_str()), (scheme, shown));
        }
    }

    #[test]
    fn what_is_not_understood_is_no_path() {
        for (address, message) in [
            ("swift:container:/x", "there are no stores of kind `swift:`"),
            ("https://host/x", "there are no stores of kind `https:`"),
            ("archive:/x", "not said by an address"),
            ("sftp://host", "the path is missing"),
            ("sftp://host:port/x", "the port is no number"),
            ("b2://", "something is missing"),
            ("rclone:remote", "`rclone:REMOTE:PATH`"),
            ("s3://", "the bucket is missing"),
            ("rest:ftp://x", "there are no stores of kind `rest:`"),
            ("s3:https://KEY:SECRET@host/bucket", "holds a password"),
            ("sftp://u:pw@host/x", "holds a password"),
            ("sftp:u:pw@host:/x", "holds a password"),
        ] {
            let (error, hint) = Place::parse(address, &origin()).unwrap_err();
            assert!(error.contains(message) && !hint.is_empty(), "{address}: {error}");
            assert!(!error.contains("SECRET") && !error.contains("pw"), "{error}");
        }
    }
}

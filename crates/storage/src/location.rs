//! Addresses of stores, as users of restic write them.

mod bucket;
mod web;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, ErrorKind, RcloneLocation, SftpLocation, rclone_location, sftp_location};
pub use bucket::BucketLocation;
pub use web::WebLocation;

/// The address of a store.
///
/// | written | means |
/// |---|---|
/// | `/srv/backup`, `relative/path`, `local:PATH`, `file:///PATH` | a directory |
/// | `s3:https://host[:port]/bucket[/prefix]`, `s3:host/bucket[/prefix]` | a bucket of the S3 store at that host |
/// | `s3://bucket[/prefix]` | a bucket of Amazon S3, or of the endpoint given in the options |
/// | `sftp://[USER@]HOST[:PORT]/PATH`, `sftp:[USER@]HOST:PATH` | a directory of an SSH server, see [`SftpLocation`] |
/// | `rclone:REMOTE:PATH` | a directory of a remote of rclone |
/// | `webdav+https://host[:port]/path`, `webdav+http://…` | a folder of a WebDAV server |
/// | `rest:https://host[:port]/path`, `rest:http://…` | a repository of a server for restic's REST protocol |
/// | `azblob://container[/prefix]`, `azure:container:/prefix` | a container of Azure Blob Storage |
/// | `gcs://bucket[/prefix]`, `gs:bucket:/prefix` | a bucket of Google Cloud Storage |
/// | `b2://bucket[/prefix]`, `b2:bucket:prefix` | a bucket of Backblaze B2 |
/// | `dropbox:path` | a folder of Dropbox |
/// | `memory:NAME` | a store of this process, for tests and trials |
///
/// Restic's kind `swift:` is recognised and refused.
/// The text form never shows a secret, and where the address holds none, it means the same when it is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Local(PathBuf),
    /// A named store in the memory of this process.
    Memory(String),
    /// A bucket of an S3 store.
    S3(S3Location),
    /// A directory of an SSH server.
    Sftp(SftpLocation),
    /// A directory of a remote of rclone.
    Rclone(RcloneLocation),
    /// A folder of a WebDAV server.
    Webdav(WebLocation),
    /// A repository of a server for restic's REST protocol.
    Rest(WebLocation),
    /// A container of Azure Blob Storage.
    Azblob(BucketLocation),
    /// A bucket of Google Cloud Storage.
    Gcs(BucketLocation),
    /// A bucket of Backblaze B2.
    B2(BucketLocation),
    /// A folder of Dropbox, without slashes at either end; may be empty.
    Dropbox(String),
}

impl Location {
    /// Whether its objects are far away, so that looking twice costs time.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Self::Local(_) | Self::Memory(_))
    }
}

/// The address of a bucket, and of the objects in it that are ours.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Location {
    /// Scheme, host and port, without a slash at the end; none for Amazon's own.
    pub endpoint: Option<String>,
    /// Name of the bucket.
    pub bucket: String,
    /// What every object name begins with; without slashes at either end, may be empty.
    pub prefix: String,
    /// Access key and secret key, where the address was written as `https://KEY:SECRET@host/…`.
    pub credentials: Option<(String, String)>,
}

/// Restic's schemes that we have no backend for.
const UNSUPPORTED: [&str; 1] = ["swift"];

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        match scheme {
            "local" => local(text, rest),
            "file" => local(text, rest.strip_prefix("//").unwrap_or(rest)),
            "memory" => Ok(Self::Memory(rest.to_owned())),
            "s3" => s3(text, rest).map(Self::S3),
            "rclone" => rclone_location::parse(rest).map(Self::Rclone),
            "sftp" => sftp_location::parse(text, rest).map(Self::Sftp),
            "webdav+https" | "webdav+http" => web::parse(text, &text["webdav+".len()..]).map(Self::Webdav),
            "rest" => web::parse(text, rest).map(Self::Rest),
            "azblob" | "azure" => bucket::parse(text, rest).map(Self::Azblob),
            "gcs" | "gs" => bucket::parse(text, rest).map(Self::Gcs),
            "b2" => bucket::parse(text, rest).map(Self::B2),
            "dropbox" => prefix(text, rest).map(Self::Dropbox),
            known if UNSUPPORTED.contains(&known) => {
                Err(refuse(text, format!("stores of kind `{known}:` are not supported yet")))
            }
            _ => local(text, text),
        }
    }
}

fn local(text: &str, path: &str) -> Result<Location, Error> {
    if path.is_empty() {
        return Err(refuse(text, "the path is empty".to_owned()));
    }
    Ok(Location::Local(PathBuf::from(path)))
}

fn s3(text: &str, rest: &str) -> Result<S3Location, Error> {
    if let Some(path) = rest.strip_prefix("//") {
        return bucket(text, None, None, path);
    }
    let (scheme, rest) = rest.split_once("://").unwrap_or(("https", rest));
    if !matches!(scheme, "http" | "https") {
        return Err(refuse(text, format!("`{scheme}` is neither `http` nor `https`")));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, host) = authority_of(text, authority, "an access key and a secret key")?;
    bucket(text, Some(format!("{scheme}://{host}")), credentials, path)
}

/// A name and a password, or two keys.
type Credentials = Option<(String, String)>;

/// Name and password before the `@`, if there is one, and what stands behind it.
fn authority_of<'a>(text: &str, authority: &'a str, both: &str) -> Result<(Credentials, &'a str), Error> {
    let (user, host) = authority
        .rsplit_once('@')
        .map_or((None, authority), |(user, host)| (Some(user), host));
    if host.is_empty() {
        return Err(refuse(text, "the host is missing".to_owned()));
    }
    if host.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#' | '\\')) {
        return Err(refuse(text, "the host is no name, or is followed by no `/`".to_owned()));
    }
    let credentials = user
        .and_then(|user| user.split_once(':'))
        .map(|(name, secret)| (decode(name), decode(secret)));
    if user.is_some() && credentials.is_none() {
        return Err(refuse(text, format!("before the `@` both {both} are needed")));
    }
    Ok((credentials, host))
}

fn bucket(
    text: &str,
    endpoint: Option<String>,
    credentials: Option<(String, String)>,
    path: &str,
) -> Result<S3Location, Error> {
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err(refuse(text, "the bucket is missing".to_owned()));
    }
    Ok(S3Location {
        endpoint,
        bucket: bucket.to_owned(),
        prefix: self::prefix(text, prefix)?,
        credentials,
    })
}

/// A prefix without empty parts, because a store takes `a//b` and `a/b` for different names.
fn prefix(text: &str, prefix: &str) -> Result<String, Error> {
    let parts: Vec<_> = prefix.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(refuse(text, "a path in a store cannot contain `.` or `..`".to_owned()));
    }
    Ok(parts.join("/"))
}

/// Undo percent encoding; what is not valid encoding stands for itself.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let digits = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (decoded.push(byte), at += 3).1,
            None => (decoded.push(bytes[at]), at += 1).1,
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

pub(crate) fn refuse(text: &str, why: String) -> Error {
    Error::new(ErrorKind::Misconfigured, "open", "", masked(text)).because(why)
}

/// `text` without what stands between `//` and `@`.
fn masked(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match before.find("//") {
        Some(at) => format!("{}***@{after}", &before[..at + 2]),
        None => match before.split_once(':') {
            Some((scheme, _)) => format!("{scheme}:***@{after}"),
            None => text.to_owned(),
        },
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A path that looks like an address of another kind.
            Self::Local(path)
                if path
                    .to_str()
                    .is_some_and(|text| text.parse().ok().as_ref() != Some(self)) =>
            {
                write!(f, "local:{}", path.display())
            }
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Memory(name) => write!(f, "memory:{name}"),
            Self::S3(s3) => write!(f, "{s3}"),
            Self::Sftp(sftp) => write!(f, "{sftp}"),
            Self::Rclone(rclone) => write!(f, "{rclone}"),
            Self::Webdav(web) => write!(f, "webdav+{web}"),
            Self::Rest(web) => write!(f, "rest:{web}"),
            Self::Azblob(bucket) => write!(f, "azblob://{bucket}"),
            Self::Gcs(bucket) => write!(f, "gcs://{bucket}"),
            Self::B2(bucket) => write!(f, "b2://{bucket}"),
            Self::Dropbox(path) => write!(f, "dropbox:{path}"),
        }
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "s3:{endpoint}/{}", self.bucket)?,
            None => write!(f, "s3://{}", self.bucket)?,
        }
        if self.prefix.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.prefix)
        }
    }
}

impl fmt::Debug for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Location {
        text.parse()
            .unwrap_or_else(|error: Error| panic!("{text}: {error}: {:?}", error.source))
    }

    fn s3(text: &str) -> (Option<String>, String, String) {
        match parse(text) {
            Location::S3(s3) => (s3.endpoint, s3.bucket, s3.prefix),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths() {
        for (text, path) in [
            ("/srv/backup", "/srv/backup"),
            ("relative/path", "relative/path"),
            ("local:/srv/backup", "/srv/backup"),
            ("local:relative", "relative"),
            ("file:///srv/back up", "/srv/back up"),
            ("/srv/with:colon", "/srv/with:colon"),
            ("local:s3:odd", "s3:odd"),
        ] {
            assert_eq!(parse(text), Location::Local(path.into()), "{text}");
            assert_eq!(parse(&parse(text).to_string()), parse(text), "{text}");
        }
        for (text, shown) in [
            ("local:/srv/backup", "/srv/backup"),
            ("local:s3:odd", "local:s3:odd"),
            ("local:local:x", "local:local:x"),
            ("local:swift:x", "local:swift:x"),
            ("/srv/with:colon", "/srv/with:colon"),
        ] {
            assert_eq!(parse(text).to_string(), shown);
        }
        assert_eq!(parse("memory:abc"), Location::Memory("abc".into()));
        assert_eq!(parse("memory:abc").to_string(), "memory:abc");
    }

    #[test]
    fn buckets() {
        let expected = |endpoint: &str, bucket: &str, prefix: &str| {
            (
                (!endpoint.is_empty()).then(|| endpoint.to_owned()),
                bucket.to_owned(),
                prefix.to_owned(),
            )
        };
        for (text, endpoint, bucket, prefix) in [
            ("s3:https://host:9000/bucket", "https://host:9000", "bucket", ""),
            (
                "s3:http://127.0.0.1:9000/bucket/a/b",
                "http://127.0.0.1:9000",
                "bucket",
                "a/b",
            ),
            (
                "s3:s3.amazonaws.com/bucket/prefix",
                "https://s3.amazonaws.com",
                "bucket",
                "prefix",
            ),
            ("s3:host/bucket//a///b/", "https://host", "bucket", "a/b"),
            ("s3://bucket", "", "bucket", ""),
            ("s3://bucket/a/b", "", "bucket", "a/b"),
            ("s3:http://[::1]:9000/bucket", "http://[::1]:9000", "bucket", ""),
        ] {
            assert_eq!(s3(text), expected(endpoint, bucket, prefix), "{text}");
        }
        for text in [
            "s3://bucket/a/b",
            "s3:http://host:9000/bucket",
            "s3:https://host/bucket/a",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn keys_in_addresses_are_used_and_hidden() {
        let location = parse("s3:https://KEY:hu%2Fsh@host/bucket");
        let Location::S3(s3) = &location else {
            panic!("{location:?}")
        };
        assert_eq!(s3.credentials, Some(("KEY".into(), "hu/sh".into())));
        assert_eq!(s3.endpoint.as_deref(), Some("https://host"));
        for shown in [location.to_string(), format!("{location:?}")] {
            assert!(!shown.contains("sh@") && !shown.contains("hu"), "{shown}");
        }
    }

    #[test]
    fn nonsense_is_refused_without_showing_secrets() {
        for text in [
            "",
            "local:",
            "s3:",
            "s3://",
            "s3:host",
            "s3:host/",
            "s3:https:///bucket",
            "s3:https://u:hush@host?x/bucket",
            "s3:ftp://u:hush@host/bucket",
            "s3://bucket/../other",
            "s3:https://hush@host/bucket",
            "s3:k:hush@host",
            "sftp:u:hush@host:/path",
            "rclone:remote",
            "rest:u:hush@host/",
            "rest:https://hush@host/",
            "rest:https:///path",
            "rest:ftp://u:hush@host/",
            "webdav+https://u:hush@/path",
            "webdav+https://host/../path",
            "webdav+https://host/path?query",
            "b2:",
            "azblob://",
            "azure::/prefix",
            "gs:bucket:/a/../b",
            "dropbox:../other",
            "swift:container",
        ] {
            let error = text.parse::<Location>().expect_err(text);
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{text}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        let swift = "swift:container".parse::<Location>().unwrap_err();
        assert!(
            swift
                .source
                .unwrap()
                .to_string()
                .contains("`swift:` are not supported yet")
        );
    }
}

//! `rclone serve`, as a server for WebDAV and for restic's REST protocol.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use storage::{Location, Login, Options, RestOptions, WebdavOptions};

use crate::server_process::ServerProcess;

/// The user that the servers know.
pub const USER: &str = "someone";
/// The user's password.
pub const PASSWORD: &str = "pass/word @ 1";

/// A running `rclone serve`, in front of a directory or of rclone's memory.
pub struct RcloneServer {
    process: ServerProcess,
    scheme: &'static str,
    certificate: Option<String>,
}

impl RcloneServer {
    /// A WebDAV server in front of a directory.
    pub fn webdav() -> Self {
        Self::start("webdav+http", |data, address| {
            arguments("webdav", data.join(DATA), address, &[])
        })
    }

    /// Another WebDAV server in front of the directory of `other`, which sees the changes that were made behind the back of that.
    pub fn webdav_at(other: &Self) -> Self {
        let files = other.files();
        Self::start("webdav+http", |_, address| arguments("webdav", &files, address, &[]))
    }

    /// A WebDAV server that speaks TLS with a certificate that nobody else knows.
    ///
    /// # Panics
    /// When no certificate can be made.
    pub fn webdav_tls() -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
        let mut server = Self::start("webdav+https", |data, address| {
            let (cert, key) = (data.join("cert.pem"), data.join("key.pem"));
            std::fs::write(&cert, own.cert.pem()).expect("the certificate can be written");
            std::fs::write(&key, own.signing_key.serialize_pem()).expect("the key can be written");
            let tls = ["--cert".into(), cert.into(), "--key".into(), key.into()];
            arguments("webdav", data.join(DATA), address, &tls)
        });
        server.certificate = Some(own.cert.pem());
        server
    }

    /// A REST server in front of a directory; `options` are more of its options, such as `--append-only`.
    pub fn rest(options: &[&str]) -> Self {
        let options: Vec<OsString> = options.iter().map(Into::into).collect();
        Self::start("rest:http", |data, address| {
            arguments("restic", data.join(DATA), address, &options)
        })
    }

    /// A REST server in front of rclone's memory, where objects appear as a whole. In front of a directory, rclone shows what has
    /// arrived of an object while it arrives.
    pub fn rest_in_memory() -> Self {
        Self::start("rest:http", |_, address| {
            arguments("restic", ":memory:bucket", address, &[])
        })
    }

    fn start(scheme: &'static str, arguments: impl Fn(&Path, SocketAddr) -> Vec<OsString>) -> Self {
        let process = ServerProcess::start("rclone", |data, address| {
            std::fs::create_dir_all(data.join(DATA)).expect("a directory can be made");
            arguments(data, address)
        });
        Self {
            process,
            scheme,
            certificate: None,
        }
    }

    /// The address of `path` at the server, as users write it.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.scheme, self.process.address())
    }

    /// The same, understood.
    ///
    /// # Panics
    /// When `path` makes no sense.
    pub fn location(&self, path: &str) -> Location {
        self.url(path).parse().expect("the address of a server")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Where the files of a server in front of a directory are.
    pub fn files(&self) -> PathBuf {
        self.process.directory().join(DATA)
    }

    /// The certificate of a server that speaks TLS, as PEM.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Options with the user that the server knows.
    pub fn options(&self) -> Options {
        let login = Login {
            user: Some(USER.to_owned()),
            password: Some(PASSWORD.into()),
        };
        Options {
            webdav: WebdavOptions {
                login: login.clone(),
                ..WebdavOptions::default()
            },
            rest: RestOptions { login },
            ..Options::default()
        }
    }
}

/// The directory with the files, in that of the server.
const DATA: &str = "data";

fn arguments(kind: &str, data: impl Into<OsString>, address: SocketAddr, more: &[OsString]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["serve", kind].map(Into::into).into();
    arguments.push(data.into());
    arguments.extend(["--addr".into(), address.to_string().into()]);
    arguments.extend(["--user", USER, "--pass", PASSWORD].map(Into::into));
    arguments.extend(more.iter().cloned());
    arguments
}

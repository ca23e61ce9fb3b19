//! An S3 server that knows versions and object lock, which `cargo xtask setup` installs below Cargo's target directory.
//!
//! Where it is not Amazon: it compares no signatures and knows no missing rights; deleting what was never there leaves no delete marker; and it
//! takes the checksum that object lock demands only if another header names its algorithm, which is set here.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use storage::{Location, Options, S3Location, S3Options};

use crate::emulators::directory;
use crate::server_process::ServerProcess;

/// A running server without buckets.
pub struct Moto {
    process: ServerProcess,
}

/// What a bucket does with what is replaced or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// It is gone.
    None,
    /// It stays as an old version.
    Versions,
    /// It stays as an old version, and each version cannot be deleted for so many days. What is deleted without naming a version is hidden at
    /// any time, as at Amazon.
    Locked(u32),
}

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The whole name in the bucket.
    pub key: String,
    /// The store's name of the version.
    pub id: String,
    /// It says only that the object was deleted.
    pub is_marker: bool,
}

const SERVER: &str = r#"
import sys
sys.path.insert(0, sys.argv.pop(1))
from moto.server import main
from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Application

serve = Application.__call__

def serve_checksums(self, environ, start_response):
    if "HTTP_X_AMZ_CHECKSUM_CRC32C" in environ:
        environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "CRC32C")
    return serve(self, environ, start_response)

Application.__call__ = serve_checksums
main()
"#;

/// Any key is good.
pub const KEY: &str = "testkit";

impl Moto {
    /// Start it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        let packages = directory().join("moto-5.2.5").display().to_string();
        let process = ServerProcess::start("python3", |_, address| {
            let port = address.port().to_string();
            let arguments = ["-c", SERVER, &packages, "--host", "127.0.0.1", "--port", &port];
            arguments.map(Into::into).into()
        });
        Self { process }
    }

    /// Start it with one bucket.
    ///
    /// # Panics
    /// When it cannot be started, or does not make the bucket.
    pub fn with_bucket(name: &str, rules: Rules) -> Self {
        let server = Self::start();
        server.make_bucket(name, rules);
        server
    }

    /// Make a bucket.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn make_bucket(&self, name: &str, rules: Rules) {
        let lock = matches!(rules, Rules::Locked(_));
        let header = format!("x-amz-bucket-object-lock-enabled: {lock}");
        self.ask("PUT", &format!("/{name}"), &header, "");
        match rules {
            Rules::None => {}
            Rules::Versions => {
                let content = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
                self.ask("PUT", &format!("/{name}?versioning"), "", content);
            }
            Rules::Locked(days) => {
                let content = format!(
                    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                     <Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
                );
                self.ask("PUT", &format!("/{name}?object-lock"), "", &content);
            }
        }
    }

    /// Have an object kept until somebody lifts the hold.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn hold(&self, bucket: &str, key: &str) {
        let content = "<LegalHold><Status>ON</Status></LegalHold>";
        let checksum = "x-amz-sdk-checksum-algorithm: CRC32C";
        self.ask("PUT", &format!("/{bucket}/{key}?legal-hold"), checksum, content);
    }

    /// Everything that a bucket keeps, in no order.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn versions(&self, bucket: &str) -> Vec<Version> {
        let answer = self.ask("GET", &format!("/{bucket}?versions&max-keys=1000000"), "", "");
        let versions = items(&answer, "Version").map(|item| version(item, false));
        let markers = items(&answer, "DeleteMarker").map(|item| version(item, true));
        versions.chain(markers).collect()
    }

    /// Bring back what was deleted, as somebody does who may delete versions.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn remove_markers(&self, bucket: &str) {
        for marker in self.versions(bucket).into_iter().filter(|version| version.is_marker) {
            let target = format!("/{bucket}/{}?versionId={}", marker.key, marker.id);
            self.ask("DELETE", &target, "", "");
        }
    }

    /// The address of `prefix` in a bucket.
    pub fn location(&self, bucket: &str, prefix: &str) -> Location {
        Location::S3(S3Location {
            endpoint: Some(self.endpoint()),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            credentials: None,
        })
    }

    /// Options to reach it.
    pub fn options(&self) -> Options {
        Options {
            s3: S3Options {
                access_key: Some(KEY.into()),
                secret_key: Some(KEY.into()),
                ..S3Options::default()
            },
            ..Options::default()
        }
    }

    /// Scheme, host and port.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.process.address())
    }

    /// Send a request, and return the content of the answer.
    ///
    /// # Panics
    /// When the server does not do it.
    fn ask(&self, method: &str, target: &str, header: &str, content: &str) -> String {
        let address = self.process.address();
        let header = if header.is_empty() {
            String::new()
        } else {
            format!("{header}\r\n")
        };
        // It takes from here which service and which account are meant.
        let authorization = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request");
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n{header}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{content}",
            content.len()
        );
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        let (head, content) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {target}: {answer}");
        content.to_owned()
    }
}

fn version(item: &str, is_marker: bool) -> Version {
    let field = |name| items(item, name).next().expect("a field of a version").to_owned();
    Version {
        key: field("Key"),
        id: field("VersionId"),
        is_marker,
    }
}

/// What stands in each element of this name. They are not nested, and have no attributes.
fn items<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&begin)?;
        let (item, after) = after.split_once(&end)?;
        rest = after;
        Some(item)
    })
}

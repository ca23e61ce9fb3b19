//! An S3 server inside the test process, and faults in front of it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use storage::{Location, Options, S3Location, S3Options};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, rustls};

/// The access key that the server knows.
pub const ACCESS_KEY: &str = "TESTKITACCESSKEY";
/// The secret key that the server knows.
pub const SECRET_KEY: &str = "testkit-secret-key";
/// The bucket that exists.
pub const BUCKET: &str = "mainstay-test";

/// One HTTP request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Its number, from 1.
    pub number: usize,
    /// `GET`, `PUT`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Whether the object that it names is there.
    pub exists: bool,
}

impl HttpCall {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What happens to an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// It is served.
    None,
    /// It is answered with this status, and not served.
    Status(u16),
    /// It is answered with this status and content, and not served.
    Content(u16, &'static str),
    /// It is served, and the answer has this header instead of its own.
    Header(&'static str, &'static str),
    /// The connection is closed at once.
    Reset,
    /// It is served, but the connection is closed instead of the answer.
    LoseAnswer,
    /// It is served after this time.
    Slow(Duration),
}

type Faults = Arc<dyn Fn(&HttpCall) -> HttpFault + Send + Sync>;

/// A running server. It stops, and its content is gone, when it is dropped.
pub struct S3Server {
    address: SocketAddr,
    certificate: Option<String>,
    calls: Arc<Mutex<Vec<HttpCall>>>,
    directory: TempDir,
    /// Dropped last of all would be too late: the tasks in it use the directory.
    runtime: Option<Runtime>,
}

impl S3Server {
    /// Start a server with an empty bucket.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        Self::start_with(|_| HttpFault::None)
    }

    /// Start a server that does to each request what `faults` says.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(faults: impl Fn(&HttpCall) -> HttpFault + Send + Sync + 'static) -> Self {
        Self::try_start(Arc::new(faults), None).expect("the S3 server could not be started")
    }

    /// Start a server that speaks TLS, with a certificate that nobody else knows.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_tls() -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
        Self::try_start(Arc::new(|_| HttpFault::None), Some(own)).expect("the S3 server could not be started")
    }

    /// The certificate of a server that speaks TLS, as PEM.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    fn try_start(faults: Faults, own: Option<CertifiedKey<KeyPair>>) -> io::Result<Self> {
        let certificate = own.as_ref().map(|own| own.cert.pem());
        let tls = own.map(acceptor).transpose()?;
        let directory = tempfile::tempdir()?;
        std::fs::create_dir(directory.path().join(BUCKET))?;
        let files = FileSystem::new(directory.path()).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let calls = Arc::default();
        let gate = Gate {
            service: builder.build(),
            faults,
            calls: Arc::clone(&calls),
            root: directory.path().to_owned(),
        };
        runtime.spawn(accept(listener, tls, gate));
        Ok(Self {
            address,
            certificate,
            calls,
            directory,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:PORT`, or `https://`
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The address of `prefix` in the bucket.
    pub fn location(&self, prefix: &str) -> Location {
        Location::S3(S3Location {
            endpoint: Some(self.endpoint()),
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            credentials: None,
        })
    }

    /// Options with the keys that the server knows.
    pub fn options(&self) -> Options {
        let s3 = S3Options {
            access_key: Some(ACCESS_KEY.to_owned()),
            secret_key: Some(SECRET_KEY.to_owned()),
            ..S3Options::default()
        };
        Options {
            s3,
            ..Options::default()
        }
    }

    /// All requests so far.
    pub fn calls(&self) -> Vec<HttpCall> {
        self.calls.lock().clone()
    }

    /// Where the objects of the bucket are as files.
    pub fn bucket_directory(&self) -> PathBuf {
        self.directory.path().join(BUCKET)
    }

    /// Number of multipart uploads that were neither completed nor aborted. (A part that arrives while its upload is
    /// aborted may stay as a file, as it may on Amazon's servers; it belongs to no upload.)
    ///
    /// # Panics
    /// When the server's directory cannot be read.
    pub fn unfinished_uploads(&self) -> usize {
        let entries = std::fs::read_dir(self.directory.path()).expect("the server's directory is there");
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(".upload-"))
            .count()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

#[derive(Clone)]
struct Gate {
    service: S3Service,
    faults: Faults,
    calls: Arc<Mutex<Vec<HttpCall>>>,
    /// Where the buckets are.
    root: PathBuf,
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset by the test")
    }
}

impl std::error::Error for Reset {}

impl Gate {
    fn note(&self, request: &Request<Incoming>) -> HttpCall {
        let mut calls = self.calls.lock();
        let call = HttpCall {
            number: calls.len() + 1,
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: request.headers().iter().map(header).collect(),
            exists: self.root.join(request.uri().path().trim_start_matches('/')).is_file(),
        };
        calls.push(call.clone());
        call
    }

    async fn handle(self, request: Request<Incoming>) -> Result<Response<s3s::Body>, Reset> {
        let call = self.note(&request);
        match (self.faults)(&call) {
            HttpFault::None => self.serve(request).await,
            HttpFault::Status(status) => Ok(failure(status)),
            HttpFault::Content(status, content) => Ok(answer(status, content.to_owned())),
            HttpFault::Header(name, value) => self.serve(request).await.map(|mut answer| {
                answer.headers_mut().insert(name, HeaderValue::from_static(value));
                answer
            }),
            HttpFault::Reset => Err(Reset),
            HttpFault::LoseAnswer => self.serve(request).await.and(Err(Reset)),
            HttpFault::Slow(time) => {
                tokio::time::sleep(time).await;
                self.serve(request).await
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<s3s::Body>, Reset> {
        Service::call(&self.service, request).await.map_err(|_| Reset)
    }
}

fn header((name, value): (&HeaderName, &HeaderValue)) -> (String, String) {
    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn failure(status: u16) -> Response<s3s::Body> {
    let code = match status {
        400 => "InvalidRequest",
        403 => "AccessDenied",
        429 => "TooManyRequests",
        503 => "SlowDown",
        _ => "InternalError",
    };
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>part of a test</Message></Error>");
    answer(status, body)
}

fn answer(status: u16, content: String) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::from(content));
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status");
    response
}

fn acceptor(own: CertifiedKey<KeyPair>) -> io::Result<TlsAcceptor> {
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![own.cert.der().clone()], key)
        })
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, gate: Gate) -> Infallible {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (gate, tls) = (gate.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve_connection(socket, gate).await,
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        serve_connection(socket, gate).await;
                    }
                }
            }
        });
    }
}

async fn serve_connection(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, gate: Gate) {
    let service = service_fn(move |request| gate.clone().handle(request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service);
    // Connections that break are part of the tests.
    let _ = connection.await;
}

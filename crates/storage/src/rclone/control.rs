//! Requests to the daemon: `rclone rcd` as its manual describes it under "Remote controlling rclone".

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_TYPE, RANGE};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::mpsc;

use super::errors::Failure;
use super::process::Daemon;

/// The longest time for an answer without content, and between two pieces of one with content. rclone itself tries again
/// what fails, and gives up on a remote that says nothing after five minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What separates the parts of an upload. It would have to stand on a line of its own in the content to be mistaken; half of
/// it is random for each upload.
const BOUNDARY: &str = "mainstay-part-";

/// A daemon, and a client that knows its password.
pub(super) struct Control {
    daemon: Daemon,
    client: Client,
}

/// What an upload sends; an error breaks it off.
pub(super) type Piece = io::Result<Bytes>;

impl Control {
    pub(super) fn new(daemon: Daemon) -> Result<Self, Failure> {
        // Over loopback: no proxy, and no certificates, which may be missing in a container.
        let client = Client::builder()
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .tls_certs_only([])
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(PATIENCE)
            .build()
            .map_err(|error| Failure::Silent(error.to_string()))?;
        Ok(Self { daemon, client })
    }

    /// Whether another call makes sense.
    pub(super) fn is_usable(&self) -> bool {
        !self.daemon.has_ended()
    }

    /// Run a command with its arguments; returns its answer.
    pub(super) async fn call(&self, command: &str, arguments: &Value) -> Result<Value, Failure> {
        let request = self.client.post(format!("{}{command}", self.daemon.url));
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(arguments.to_string());
        let answer = self.send(request).await?;
        let text = answer.bytes().await.map_err(|error| self.silent(&error))?;
        serde_json::from_slice(&text).map_err(|error| Failure::NotUnderstood(error.to_string()))
    }

    /// The content of an object, or a part of it that is not empty.
    pub(super) async fn get(&self, remote: &str, name: &str, range: Option<Range<u64>>) -> Result<Bytes, Failure> {
        let mut url = self.url("")?;
        // Percent signs stand for themselves; all else is encoded by the setter.
        url.set_path(&format!("/[{remote}]/{name}").replace('%', "%25"));
        let mut request = self.client.get(url);
        if let Some(range) = &range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        let answer = match self.send(request).await {
            Err(Failure::Answered { status: 416, .. }) => return Ok(Bytes::new()),
            other => other?,
        };
        if range.is_some() && answer.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Failure::NotUnderstood(
                "a range was asked for, and not answered".to_owned(),
            ));
        }
        answer.bytes().await.map_err(|error| self.silent(&error))
    }

    /// Store what comes out of `pieces` under `file` in `directory`.
    pub(super) async fn upload(
        &self,
        remote: &str,
        directory: &str,
        file: &str,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<(), Failure> {
        let mut url = self.url("operations/uploadfile")?;
        url.query_pairs_mut()
            .append_pair("fs", remote)
            .append_pair("remote", directory);
        let boundary = format!("{BOUNDARY}{:016x}", fastrand::u64(..));
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .body(body(head.into(), pieces, tail.into()));
        self.send(request).await.map(drop)
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        Url::parse(&format!("{}{path}", self.daemon.url)).map_err(|error| Failure::NotUnderstood(error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request.basic_auth(&self.daemon.user, Some(&self.daemon.password));
        let answer = request.send().await.map_err(|error| self.silent(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let text = answer.bytes().await.map_err(|error| self.silent(&error))?;
        let message = match serde_json::from_slice::<Value>(&text) {
            Ok(Value::Object(fields)) => fields.get("error").and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned());
        Err(Failure::Answered { status, message })
    }

    /// A request that failed below HTTP: if the daemon is gone, its last words say more.
    fn silent(&self, error: &reqwest::Error) -> Failure {
        if self.daemon.has_ended() {
            return Failure::Died(self.daemon.last_words());
        }
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        Failure::Silent(causes.last().map_or_else(|| error.to_string(), ToString::to_string))
    }
}

/// What is sent, piece by piece. Without the tail the daemon has no whole file, and refuses it.
fn body(head: Bytes, pieces: mpsc::Receiver<Piece>, tail: Bytes) -> Body {
    let head = stream::iter([Ok(head)]);
    let pieces = stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
    let tail = stream::iter([Ok(tail)]);
    let all = futures_util::StreamExt::chain(futures_util::StreamExt::chain(head, pieces), tail);
    Body::wrap_stream(all)
}

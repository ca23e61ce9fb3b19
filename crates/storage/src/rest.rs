//! A store behind a server for restic's REST protocol, such as restic's `rest-server` and `rclone serve restic`.
//!
//! <https://restic.readthedocs.io/en/stable/REST_backend.html>, version 2. The protocol knows repositories of restic's format only,
//! see `layout`. How an object becomes visible is the server's affair: restic's writes beside it and renames; rclone's shows what
//! has arrived while it arrives, and removes it when the connection breaks.

mod answer;
mod layout;

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RANGE};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::name::{check_name, check_prefix, is_under};
use crate::remote::Connection;
use crate::remote::errors::Tell;
use crate::retry::Retry;
use crate::whole::{LARGEST_STREAM, WholeWriter};
use crate::{ErrorKind, HttpOptions, ObjectInfo, ObjectWriter, Options, Result, Secret, Store, WebLocation, range};
use answer::{Failure, accepted};

/// The version of the protocol in which lists hold sizes.
const VERSION_2: &str = "application/vnd.x.restic.rest.v2";

/// Objects of a repository at a server.
#[derive(Clone)]
pub(crate) struct RestStore {
    client: Client,
    runtime: Handle,
    tell: Tell,
    retry: Retry,
    http: HttpOptions,
    /// Of the repository, without a slash at the end.
    url: Url,
    login: Option<(String, Secret)>,
}

/// The store at `location`. Nothing is sent.
pub(crate) fn open(location: &WebLocation, options: &Options) -> Result<RestStore> {
    let connection = Connection::new(&format!("rest:{location}"), options)?;
    let Connection {
        client,
        runtime,
        tell,
        retry,
        http,
    } = connection;
    let login = options.rest.login.at(location).map_err(|why| tell.misconfigured(why))?;
    let url = Url::parse(&location.endpoint).map_err(|error| tell.misconfigured(error.to_string()))?;
    let url = below(url, location.path.split('/').filter(|part| !part.is_empty()));
    Ok(RestStore {
        client,
        runtime,
        tell,
        retry,
        http,
        url,
        login,
    })
}

/// `url` with more parts at its end.
fn below<'a>(mut url: Url, parts: impl IntoIterator<Item = &'a str>) -> Url {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}

impl RestStore {
    /// Where the object is at the server.
    fn object(&self, operation: &'static str, name: &str) -> Result<Url> {
        check_name(operation, name, self.tell.location())?;
        let parts = layout::path(name).ok_or_else(|| {
            self.tell
                .error(ErrorKind::InvalidName, operation, name)
                .because("a REST server keeps repositories of restic's format, and nothing else")
        })?;
        Ok(below(self.url.clone(), parts))
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password.reveal())),
            None => request,
        }
    }

    /// Send a request with `sent` bytes, and do with its answer what `receive` says; both within their time.
    fn call<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        (operation, name): (&'static str, &str),
        (request, sent): (RequestBuilder, usize),
        receive: impl FnOnce(Response) -> F,
    ) -> Result<T> {
        let exchange = async {
            let answer = within(self.http.patience(sent as u64), async {
                accepted(request.send().await?).await
            });
            let answer = answer.await?;
            let patience = self.http.patience(answer.content_length().unwrap_or_default());
            within(patience, receive(answer)).await
        };
        self.runtime
            .block_on(exchange)
            .map_err(|Failure { kind, why }| self.tell.error(kind, operation, name).because(why))
    }

    fn list_kind(&self, kind: &'static str) -> Result<Vec<ObjectInfo>> {
        // The slash at the end makes it a list.
        let request = self.request(Method::GET, below(self.url.clone(), [kind, ""]));
        let listed = self.call(("list", kind), (request.header(ACCEPT, VERSION_2), 0), listed);
        match listed {
            // Nobody has made the repository yet.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
            listed => Ok(listed?
                .into_iter()
                .filter_map(|file| layout::object(kind, &file.name, file.size))
                .collect()),
        }
    }

    /// The first object of a repository is a key. Servers want to be told that there will be a repository; who must not be told
    /// refuses the key as well.
    fn create(&self) -> Result<()> {
        let mut url = below(self.url.clone(), [""]);
        url.set_query(Some("create=true"));
        let created = self.call(("create", ""), (self.request(Method::POST, url), 0), ignored);
        match created {
            Err(error) if error.kind.is_transient() => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the object is there already. Servers refuse to replace one, but its writing may have been repeated because an answer
    /// was lost.
    fn holds(&self, name: &str, content: &Bytes) -> bool {
        self.stat(name).is_ok_and(|size| size == content.len() as u64)
            && self.read(name).is_ok_and(|stored| stored == content)
    }
}

/// One file of a list.
#[derive(Deserialize)]
struct File {
    name: String,
    size: u64,
}

async fn listed(answer: Response) -> Result<Vec<File>, Failure> {
    let other = |why: String| Failure {
        kind: ErrorKind::Other,
        why,
    };
    let version = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if version != Some(VERSION_2) {
        return Err(other(
            "the server does not speak version 2 of restic's REST protocol".to_owned(),
        ));
    }
    let content = answer::content(answer).await?;
    // Restic's server says `null` where there is nothing.
    let files: Option<Vec<File>> =
        serde_json::from_slice(&content).map_err(|error| other(format!("the list makes no sense: {error}")))?;
    Ok(files.unwrap_or_default())
}

async fn ignored(_: Response) -> Result<(), Failure> {
    Ok(())
}

async fn within<T>(patience: Duration, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(patience, future).await.unwrap_or_else(|_| {
        Err(Failure {
            kind: ErrorKind::TimedOut,
            why: format!("no answer within {patience:?}"),
        })
    })
}

impl std::fmt::Debug for RestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestStore")
            .field("location", &self.tell.location())
            .finish_non_exhaustive()
    }
}

impl Store for RestStore {
    fn location(&self) -> String {
        self.tell.location().to_owned()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix, self.tell.location())?;
        let mut objects = Vec::new();
        for kind in layout::kinds_under(prefix) {
            objects.extend(self.list_kind(kind)?);
        }
        objects.retain(|object| is_under(&object.name, prefix));
        if prefix.is_empty() {
            match self.stat("config") {
                Ok(size) => objects.push(ObjectInfo {
                    name: "config".to_owned(),
                    size,
                }),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(objects)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        let request = self.request(Method::HEAD, self.object("stat", name)?);
        self.call(
            ("stat", name),
            (request, 0),
            |answer| async move { answer::length(&answer) },
        )
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        let request = self.request(Method::GET, self.object("read", name)?);
        self.call(("read", name), (request, 0), answer::content)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let url = self.object("read", name)?;
        if let Some(answer) = range::without_asking(self, name, &range) {
            return answer;
        }
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.request(Method::GET, url).header(RANGE, header);
        let content = self.call(("read", name), (request, 0), answer::content)?;
        range::exactly(self, name, &range, content)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        let url = self.object("write", name)?;
        if name.starts_with("keys/") {
            self.create()?;
        }
        let request = self.request(Method::POST, url).body(content.clone());
        match self.call(("write", name), (request, content.len()), ignored) {
            Err(error) if error.kind == ErrorKind::PermissionDenied && self.holds(name, &content) => Ok(()),
            other => other,
        }
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.object("write", name)?;
        Ok(Box::new(WholeWriter::new(self.clone(), name, self.retry.clone())))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let request = self.request(Method::DELETE, self.object("delete", name)?);
        match self.call(("delete", name), (request, 0), ignored) {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn concurrency(&self) -> usize {
        8
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        Some(LARGEST_STREAM)
    }
}

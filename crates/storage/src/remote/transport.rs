//! The HTTP client of one store, and its patience.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::{Certificate, Client, ClientBuilder};
use tokio::time::Sleep;

use super::clock::StoreClock;
use super::errors::{NoSpace, TooSlow, text_of};
use crate::HttpOptions;

/// A client for one store; the error is the reason why there can be none.
pub(crate) fn client(options: &HttpOptions) -> std::result::Result<Client, String> {
    let built = client_builder(options)?.build();
    built.map_err(|error| format!("the HTTP client cannot be set up: {}", text_of(&error)))
}

/// What every client of ours has in common: whom it trusts, and how long it waits for a connection.
///
/// HTTP/1.1 only: with HTTP/2 all parts of all uploads would share one TCP connection.
///
/// # Errors
/// The reason why the certificates of `options` cannot be used.
pub fn client_builder(options: &HttpOptions) -> std::result::Result<ClientBuilder, String> {
    let builder = Client::builder()
        .http1_only()
        .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(50))
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .tls_certs_merge(certificates(options)?);
    Ok(builder)
}

fn certificates(options: &HttpOptions) -> std::result::Result<Vec<Certificate>, String> {
    let Some(path) = &options.ca_file else {
        return Ok(Vec::new());
    };
    let pem = std::fs::read(path)
        .map_err(|error| format!("certificates cannot be read from `{}`: {error}", path.display()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(format!("no certificate in `{}`", path.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!(
            "certificates in `{}` are not valid: {}",
            path.display(),
            text_of(&error)
        )),
    }
}

/// Sends requests, and gives up on those that take too long. OpenDAL by itself would wait for ever.
pub(crate) struct Transport {
    inner: ReqwestTransport,
    options: HttpOptions,
    /// Where all requests go, whatever their addresses say.
    instead: Option<(Scheme, Authority)>,
    clock: StoreClock,
}

impl Transport {
    pub(crate) fn new(client: Client, options: &HttpOptions) -> Self {
        Self {
            inner: ReqwestTransport::new(client),
            options: options.clone(),
            instead: None,
            clock: StoreClock::default(),
        }
    }

    /// The clock of the store, as answers show it.
    pub(super) fn clock(&self) -> StoreClock {
        self.clock.clone()
    }

    /// Send everything to `endpoint` (scheme, host and port), for services that know their own hosts only. The error is the reason
    /// why it is none.
    pub(crate) fn instead(mut self, endpoint: &str) -> std::result::Result<Self, String> {
        let uri: Uri = endpoint
            .parse()
            .map_err(|error| format!("`{endpoint}` is no address: {error}"))?;
        let parts = uri.into_parts();
        self.instead = parts.scheme.zip(parts.authority);
        match self.instead {
            Some(_) => Ok(self),
            None => Err(format!("`{endpoint}` has no scheme or no host")),
        }
    }

    fn redirect(&self, request: &mut Request<Buffer>) -> Result<()> {
        if let Some((scheme, authority)) = &self.instead {
            let mut parts = request.uri().clone().into_parts();
            (parts.scheme, parts.authority) = (Some(scheme.clone()), Some(authority.clone()));
            *request.uri_mut() = Uri::from_parts(parts).map_err(|error| {
                Error::new(ErrorKind::Unexpected, "change the address of a request").set_source(error)
            })?;
        }
        Ok(())
    }

    async fn send(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        let patience = self.options.patience(request.body().len() as u64);
        match tokio::time::timeout(patience, self.inner.fetch(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(too_slow(patience)),
        }
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, mut request: Request<Buffer>) -> Result<Response<HttpBody>> {
        self.redirect(&mut request)?;
        let answer = self.send(request).await?;
        self.clock.note(answer.headers());
        let length = opendal::raw::parse_content_length(answer.headers())?;
        refuse(answer.status(), length)?;
        let patience = self.options.patience(length.unwrap_or(0));
        Ok(answer.map(|body| body.map_inner(|inner| Box::new(Patient::new(inner, patience)))))
    }
}

fn too_slow(patience: Duration) -> Error {
    Error::new(ErrorKind::Unexpected, "the store is too slow")
        .set_temporary()
        .set_source(TooSlow(patience))
}

/// The answers which OpenDAL would pass on in a form that cannot be told from others.
fn refuse(status: StatusCode, length: Option<u64>) -> Result<()> {
    // No range that is asked for is empty: some servers answer so behind the end of an object.
    let is_empty_range = status == StatusCode::PARTIAL_CONTENT && length == Some(0);
    match status {
        _ if is_empty_range || status == StatusCode::RANGE_NOT_SATISFIABLE => Err(Error::new(
            ErrorKind::RangeNotSatisfied,
            "the object ends before the range",
        )),
        StatusCode::INSUFFICIENT_STORAGE => {
            Err(Error::new(ErrorKind::Unexpected, "the store is full").set_source(NoSpace))
        }
        _ => Ok(()),
    }
}

type Content = Box<dyn Stream<Item = Result<Buffer>> + Send + Sync + Unpin>;

/// The content of an answer, as long as it arrives in time.
struct Patient {
    inner: Content,
    patience: Duration,
    end: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(inner: Content, patience: Duration) -> Self {
        Self {
            inner,
            patience,
            end: Box::pin(tokio::time::sleep(patience)),
        }
    }
}

impl Stream for Patient {
    type Item = Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(next) = Pin::new(&mut self.inner).poll_next(cx) {
            return Poll::Ready(next);
        }
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(too_slow(self.patience)))),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_file_without_certificates_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let options = HttpOptions {
            ca_file: Some(path.clone()),
            ..HttpOptions::default()
        };
        assert!(client(&options).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "nothing here").unwrap();
        assert!(client(&options).unwrap_err().contains("no certificate"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(client(&options).is_err());
    }
}

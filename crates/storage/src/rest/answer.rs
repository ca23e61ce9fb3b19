//! What a server says, sorted by what a caller can do.

use bytes::Bytes;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Response, StatusCode};

use crate::ErrorKind;
use crate::remote::errors::{kind_of_http, text_of};

/// A request that failed: its kind, and what happened in one line.
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) why: String,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The address is said already, and might hold a password.
        let error = error.without_url();
        Self {
            kind: kind_of_http(&error).unwrap_or(ErrorKind::Unavailable),
            why: text_of(&error),
        }
    }
}

/// The answer, if the server did what it was asked for.
pub(super) async fn accepted(answer: Response) -> Result<Response, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    // What a server adds is short; of a page made for browsers, the beginning is enough.
    let text = answer.text().await.unwrap_or_default();
    let text: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(200)
        .collect();
    Err(Failure {
        kind: kind_of(status),
        why: format!("the server answered with status {status}: {text}"),
    })
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ErrorKind::PermissionDenied
        }
        StatusCode::RANGE_NOT_SATISFIABLE => ErrorKind::Truncated,
        // Restic's own server says the first one when a quota is used up.
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE => ErrorKind::Full,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorKind::Unavailable,
        StatusCode::NOT_IMPLEMENTED => ErrorKind::Other,
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// The length in the header, which is all that there is after a HEAD request.
pub(super) fn length(answer: &Response) -> Result<u64, Failure> {
    let header = answer.headers().get(CONTENT_LENGTH);
    header
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .ok_or_else(|| Failure {
            kind: ErrorKind::Other,
            why: "the server did not say how long the object is".to_owned(),
        })
}

/// The whole content; an answer that ends early is an error.
pub(super) async fn content(answer: Response) -> Result<Bytes, Failure> {
    Ok(answer.bytes().await?)
}

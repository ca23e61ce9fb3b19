//! Why an application did not answer as it should, and what to do about it.

use super::{Method, Url};
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

/// A request that got no answer, or not the one that was asked for. No secret is in it.
#[derive(Debug, thiserror::Error)]
#[error("`{request}` at `{host}`: {why}")]
pub struct Error {
    /// Method and path, without the query.
    request: String,
    /// The server.
    host: String,
    /// What went wrong.
    #[source]
    pub why: Why,
}

/// What went wrong. The texts are what the server or the system says of it.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// There is no connection.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// It is not the server that is meant, as far as can be told.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer breaks off.
    #[error("the answer breaks off: {0}")]
    Cut(String),
    /// 401.
    #[error("the server does not accept the key or password (401){}", after_colon(.0))]
    Unauthorized(String),
    /// 403.
    #[error("the key or user may not do that (403){}", after_colon(.0))]
    Forbidden(String),
    /// 404.
    #[error("there is no such thing (404){}", after_colon(.0))]
    NotFound(String),
    /// 429 and 503, for longer than there was patience.
    #[error("the server is too busy ({status}){}", after_colon(.said))]
    Busy {
        /// Which.
        status: u16,
        /// Its answer.
        said: String,
    },
    /// Any other status that is no success.
    #[error("the server answers {status}{}", after_colon(.said))]
    Status {
        /// Which.
        status: u16,
        /// Its answer.
        said: String,
    },
    /// Another place, which would get the secrets.
    #[error("the server redirects {0}")]
    Redirected(String),
    /// More than fits.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// Something else than was asked for.
    #[error("the answer is not the JSON that was expected: {0}")]
    NotJson(String),
    /// The user asks to stop.
    #[error("interrupted")]
    Interrupted,
}

fn after_colon(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl Error {
    pub(super) fn new(why: Why, method: &Method, url: &Url) -> Self {
        Self {
            request: format!("{method} {}", url.path()),
            host: url.origin().ascii_serialization(),
            why,
        }
    }

    /// What to do next, as a sentence.
    pub fn hint(&self) -> String {
        match &self.why {
            Why::Unreachable(_) => "Check `url`, that the server runs, and that this host reaches it.",
            Why::Certificate(_) => {
                "Name the file of the authority that signed it with `ca_file`, and check the name in `url`."
            }
            Why::TimedOut(_) => "Look at the server's log, and run it again when it is less busy.",
            Why::Cut(_) => {
                "Run it again; if it happens again, look at the log of the server, and of the proxy before it."
            }
            Why::Unauthorized(_) => "Check the key, token or password, and whether it has expired.",
            Why::Forbidden(_) => "Give the key or user the right to read this; for a restore, also to write.",
            Why::NotFound(_) => "Check `url` and the path; some servers say this also of what a key may not see.",
            Why::Busy { .. } => "Run it at another time, or raise the limit of requests at the server.",
            Why::Status { .. } => "Look at the server's log.",
            Why::Redirected(_) => "Set `url` to the address that the server itself uses, with `https://` if it does.",
            Why::TooLarge(_) => "Ask for less at a time, with `paging` or a parameter of the request.",
            Why::NotJson(_) => "Check that `url` leads to the API and not to a web page.",
            Why::Interrupted => "Run it again.",
        }
        .to_owned()
    }
}

impl Why {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let text = text_of(error);
        if text.contains("certificate") {
            Self::Certificate(text)
        } else if error.is_connect() {
            Self::Unreachable(text)
        } else {
            Self::Cut(text)
        }
    }

    pub(super) fn of_content(error: &reqwest::Error) -> Self {
        Self::Cut(text_of(error))
    }

    /// Of an answer that was read whole.
    pub fn no_json(answer: &[u8], error: &serde_json::Error) -> Self {
        let is_page = answer.trim_ascii_start().first() == Some(&b'<');
        Self::NotJson(if is_page {
            "it is a web page".to_owned()
        } else {
            error.to_string()
        })
    }
}

impl From<Error> for repository::Error {
    fn from(error: Error) -> Self {
        match error.why {
            Why::Interrupted => Self::Interrupted,
            _ => Self::Refused {
                message: error.to_string(),
                hint: error.hint(),
            },
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(repository::Error::from(error))
    }
}

/// An error in a stream: it keeps its message and its hint.
pub fn as_io(error: anyhow::Error) -> io::Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return error.into(),
        Err(error) => error,
    };
    match error.downcast::<repository::Error>() {
        Ok(error) => io::Error::other(error),
        Err(error) => io::Error::other(error),
    }
}

/// The causes only: the error itself repeats the address, with its query.
fn text_of(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

/// What an error's answer says: the usual fields, else a text that is no web page.
pub fn said(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(answer) else {
        let is_page = text.trim_start().starts_with('<');
        return if is_page { String::new() } else { text.into_owned() };
    };
    let fields = ["/message", "/error/message", "/error", "/detail", "/title"];
    let found = fields.iter().find_map(|field| json.pointer(field)?.as_str());
    found.unwrap_or_default().to_owned()
}

/// One line that is not too long.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// An address for a message: a password may stand before the host.
pub fn without_login(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((before, host)) => format!("{}***@{host}", before.split_inclusive("//").next().unwrap_or_default()),
        None => address.to_owned(),
    }
}

//! Applications that are asked through a JSON API over HTTP.
//!
//! What it does that a bare client would not: it waits when the server says that it is busy, ends when the user asks, holds no more of
//! an answer than it is told, follows no redirection to another host, which would get the secrets, and says what an error means.

mod answer;
mod error;
mod wait;

pub use answer::Answer;
pub use error::{Error, Why, as_io};
pub use reqwest::{Method, Url};

use crate::config::Misuse;
use crate::config::secret::Secret;
use repository::Cancel;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::HttpOptions;
use tokio::runtime::Runtime;
use wait::Patience;

/// Largest answer that is held in memory, bytes.
pub const LARGEST_ANSWER: u64 = 64 << 20;
/// How much of an answer that is an error is looked at, bytes.
const LARGEST_ERROR: u64 = 64 << 10;
/// How often it is looked whether the user asks to stop.
const TICK: Duration = Duration::from_millis(200);
const MOST_REDIRECTIONS: usize = 5;
/// What is shorter stands in any text, and is the value of some harmless header.
const SHORTEST_SECRET: usize = 4;

/// How an application is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its address, to which the paths of requests are appended.
    pub url: String,
    /// Headers of every request. Their values are secret.
    pub headers: Vec<(String, Secret)>,
    /// File with certificates to trust, beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The longest time to wait for the answer to a request, and then for more of it.
    pub timeout: Duration,
    /// How long to try again while the server says that it is busy.
    pub patience: Duration,
}

impl Options {
    /// With the usual patience, and nothing but an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            ca_file: None,
            timeout: Duration::from_secs(60),
            patience: Duration::from_secs(300),
        }
    }
}

/// An application that is asked.
#[derive(Clone, Debug)]
pub struct Api {
    base: Url,
    client: Client,
    /// Values that no message may show.
    secrets: Vec<Secret>,
    runtime: Arc<Runtime>,
    timeout: Duration,
    patience: Duration,
    cancel: Cancel,
}

impl Api {
    /// The application that these options reach. Nothing is sent.
    ///
    /// # Errors
    /// [`Misuse`] if the address, a header or the certificates make no sense.
    pub fn new(options: &Options, cancel: &Cancel) -> anyhow::Result<Self> {
        let http = HttpOptions {
            ca_file: options.ca_file.clone(),
            ..HttpOptions::default()
        };
        let builder = storage::client_builder(&http)
            .map_err(|why| Misuse::new(why, "Check the file that `ca_file` names."))?
            .default_headers(headers(&options.headers)?)
            .redirect(Policy::none());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        Ok(Self {
            base: base(&options.url)?,
            client: builder.build()?,
            secrets: options.headers.iter().map(|(_, value)| value.clone()).collect(),
            runtime: Arc::new(runtime),
            timeout: options.timeout,
            patience: options.patience,
            cancel: cancel.clone(),
        })
    }

    /// The address of what stands at `path`, which begins with a slash and may have a query.
    ///
    /// # Errors
    /// [`Misuse`] if it is no path, or leads out of the application's address.
    pub fn at(&self, path: &str) -> Result<Url, Misuse> {
        let base = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{path}")).ok();
        let (segments, _) = path.split_once('?').unwrap_or((path, ""));
        let leads_up = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
        let is_below = path.starts_with('/') && !segments.split(['/', '\\']).any(leads_up);
        url.filter(|_| is_below).ok_or_else(|| {
            let hint = "A path begins with a slash, and has no `..` in it.";
            Misuse::new(format!("`{path}` is no path of an API"), hint)
        })
    }

    /// The address of what stands below `path` under `name`, which may hold any character.
    ///
    /// # Errors
    /// As [`Api::at`]; and if `name` would not name anything below.
    pub fn below(&self, path: &str, name: &str) -> Result<Url, Misuse> {
        let mut url = self.at(path)?;
        if matches!(name, "" | "." | "..") {
            let message = format!("`{name}` names nothing below `{path}`");
            return Err(Misuse::new(message, "Look at what the application answers."));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(name);
        }
        Ok(url)
    }

    /// Ask for what stands at `url`; the answer is a success, and read by the caller.
    ///
    /// # Errors
    /// Why there is no such answer.
    pub fn get(&self, url: &Url) -> Result<Answer, Error> {
        self.send(Method::GET, url, None)
    }

    /// The JSON that stands at `url`, of at most [`LARGEST_ANSWER`].
    ///
    /// # Errors
    /// Why there is none, or that it has another shape.
    pub fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, Error> {
        self.get(url)?.json(LARGEST_ANSWER)
    }

    /// Send JSON, and get JSON, of at most [`LARGEST_ANSWER`]; an empty answer is `null`.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub fn send_json(&self, method: Method, url: &Url, body: &serde_json::Value) -> Result<serde_json::Value, Error> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.send(method, url, Some(body))?.json_or_null(LARGEST_ANSWER)
    }

    /// Send a request, with JSON if there is a body; the answer is a success, and read by the caller.
    ///
    /// A server that is busy is asked again for as long as its patience lasts, and one that is not reached a few times. What may have
    /// been done already is not sent again.
    ///
    /// # Errors
    /// Why there is no such answer.
    pub fn send(&self, method: Method, url: &Url, body: Option<Vec<u8>>) -> Result<Answer, Error> {
        let mut patience = Patience::new(self.patience);
        let mut url = url.clone();
        let mut redirections = 0;
        loop {
            let mut request = Request::new(method.clone(), url.clone());
            if let Some(body) = &body {
                let json = HeaderValue::from_static("application/json");
                request.headers_mut().insert(CONTENT_TYPE, json);
                *request.body_mut() = Some(body.clone().into());
            }
            let failed = |why| Error::new(why, &method, &url);
            let pause = match self.wait(self.client.execute(request)) {
                Ok(Ok(answer)) => match self.sort(answer) {
                    Sorted::Success(answer) => {
                        let name = (method.clone(), url.clone());
                        return Ok(Answer::new(answer, self.clone(), name));
                    }
                    Sorted::Elsewhere(to) if method == Method::GET && redirections < MOST_REDIRECTIONS => {
                        redirections += 1;
                        url = self.followed(&url, &to).map_err(failed)?;
                        continue;
                    }
                    Sorted::Elsewhere(_) => return Err(failed(Why::Redirected("again and again".to_owned()))),
                    Sorted::Busy(after, why) => patience.when_busy(after).ok_or_else(|| failed(why))?,
                    Sorted::Refused(why) => return Err(failed(why)),
                },
                Ok(Err(error)) => {
                    let was_sent = method != Method::GET && !error.is_connect();
                    let why = Why::of(&error);
                    let pause = if was_sent {
                        None
                    } else {
                        patience.when_unreachable(&why)
                    };
                    pause.ok_or_else(|| failed(why))?
                }
                Err(why) => return Err(failed(why)),
            };
            self.wait_for(pause).map_err(|why| Error::new(why, &method, &url))?;
        }
    }

    /// The application's address, for people.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Wait for what comes, but no longer than the timeout, and not after the user has asked to stop.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Why> {
        self.runtime.block_on(async {
            let mut future = pin!(future);
            let begin = tokio::time::Instant::now();
            loop {
                self.cancel.check().map_err(|_| Why::Interrupted)?;
                match tokio::time::timeout(TICK, &mut future).await {
                    Ok(come) => return Ok(come),
                    Err(_) if begin.elapsed() > self.timeout => return Err(Why::TimedOut(self.timeout)),
                    Err(_) => {}
                }
            }
        })
    }

    fn wait_for(&self, pause: Duration) -> Result<(), Why> {
        self.runtime.block_on(async {
            let end = tokio::time::Instant::now() + pause;
            while tokio::time::Instant::now() < end {
                self.cancel.check().map_err(|_| Why::Interrupted)?;
                tokio::time::sleep_until(end.min(tokio::time::Instant::now() + TICK)).await;
            }
            Ok(())
        })
    }

    /// What an answer means.
    fn sort(&self, answer: Response) -> Sorted {
        let status = answer.status();
        if status.is_success() {
            return Sorted::Success(answer);
        }
        let text = |name| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        if status.is_redirection() {
            return Sorted::Elsewhere(text(LOCATION).unwrap_or_default());
        }
        let after = text(RETRY_AFTER).and_then(|text| wait::retry_after(&text));
        let said = self.said(answer);
        let number = status.as_u16();
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Sorted::Busy(after, Why::Busy { status: number, said })
            }
            StatusCode::UNAUTHORIZED => Sorted::Refused(Why::Unauthorized(said)),
            StatusCode::FORBIDDEN => Sorted::Refused(Why::Forbidden(said)),
            StatusCode::NOT_FOUND => Sorted::Refused(Why::NotFound(said)),
            _ => Sorted::Refused(Why::Status { status: number, said }),
        }
    }

    /// What the server says of its error, without our secrets: some repeat what they were sent.
    fn said(&self, answer: Response) -> String {
        let name = (Method::GET, self.base.clone());
        let body = Answer::new(answer, self.clone(), name).bytes(LARGEST_ERROR);
        let mut text = error::said(&body.unwrap_or_default());
        for secret in self.secrets.iter().filter_map(Secret::text) {
            // `Bearer TOKEN` and the like.
            let token = secret.split_once(' ').map_or(secret, |(_, token)| token);
            for hidden in [secret, token]
                .into_iter()
                .filter(|hidden| hidden.len() >= SHORTEST_SECRET)
            {
                text = text.replace(hidden, "***");
            }
        }
        error::shortened(&text)
    }

    /// Where a redirection leads, if that is the same server.
    fn followed(&self, from: &Url, to: &str) -> Result<Url, Why> {
        let origin = |url: &Url| url.origin().ascii_serialization();
        match from.join(to) {
            Ok(url) if url.origin() == self.base.origin() => Ok(url),
            // What stands behind the host may be secret.
            Ok(url) => Err(Why::Redirected(format!("to `{}`", origin(&url)))),
            Err(_) => Err(Why::Redirected("to no address".to_owned())),
        }
    }
}

/// What an answer means.
enum Sorted {
    Success(Response),
    Elsewhere(String),
    Busy(Option<Duration>, Why),
    Refused(Why),
}

fn base(text: &str) -> Result<Url, Misuse> {
    let wrong = |hint: &str| {
        Misuse::new(
            format!("`{}` is no address of an API", error::without_login(text)),
            hint,
        )
    };
    let url = Url::parse(text).map_err(|error| wrong("It looks like `https://host:port`.").because(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("It begins with `https://` or `http://`, and names a host."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("Take the password out of it: there are other keys for that."));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("Take what follows the path out of it."));
    }
    Ok(url)
}

fn headers(wanted: &[(String, Secret)]) -> Result<HeaderMap, Misuse> {
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.ok().zip(HeaderValue::from_bytes(value.bytes()).ok());
        let Some((parsed, mut value)) = parsed else {
            let hint = "A header's name is letters and dashes; its value is one line of text.";
            return Err(Misuse::new(format!("the header `{name}` cannot be sent"), hint));
        };
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;

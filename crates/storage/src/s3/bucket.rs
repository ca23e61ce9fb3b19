//! What an S3 store says of a bucket and of how it protects objects: requests that OpenDAL has no words for, signed as its are.

use std::time::SystemTime;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use opendal::{Buffer, HttpTransporter};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, OsEnv, ProvideCredentialChain, Signer};
use reqsign_file_read_tokio::TokioFileRead;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::address;
use crate::remote::errors::{Tell, text_of};
use crate::{Error, ErrorKind, Hold, ObjectLock, Result, S3Location, S3Options, Versioning};

/// A bucket, and who asks.
#[derive(Clone)]
pub(super) struct Bucket {
    transport: HttpTransporter,
    /// `None` where requests are not signed.
    signer: Option<Signer<Credential>>,
    /// Scheme, host and, unless it is part of the host, the bucket; without a slash at the end.
    url: String,
    /// What every object name begins with, with a slash at its end unless it is empty.
    prefix: String,
    tell: Tell,
}

impl Bucket {
    /// The bucket at `location`. Nothing is sent.
    pub(super) fn new(
        transport: HttpTransporter,
        tell: Tell,
        location: &S3Location,
        options: &S3Options,
        region: &str,
    ) -> Result<Self> {
        let url = address::bucket_url(location, options).map_err(|why| tell.misconfigured(why))?;
        let context = Context::new()
            .with_file_read(TokioFileRead)
            .with_env(OsEnv)
            .with_http_send(transport.clone());
        let signer = |provider| Signer::new(context, provider, RequestSigner::new("s3", region));
        let prefix = match location.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self {
            transport,
            signer: (!options.anonymous).then(|| signer(provider(location, options))),
            url,
            prefix,
            tell,
        })
    }

    /// `GetBucketVersioning`.
    pub(super) async fn versioning(&self) -> Result<Versioning> {
        #[derive(Deserialize)]
        struct Configuration {
            #[serde(rename = "Status")]
            status: Option<String>,
        }
        let operation = "ask for the versioning of";
        let answer = self.send(Method::GET, operation, "", "versioning").await?;
        let found: Configuration = self.understand(operation, answer)?;
        match found.status.as_deref() {
            None | Some("") => Ok(Versioning::Off),
            Some("Enabled") => Ok(Versioning::On),
            Some("Suspended") => Ok(Versioning::Suspended),
            Some(other) => Err(self
                .tell
                .error(ErrorKind::Other, operation, "")
                .because(format!("the store answered `{other}`"))),
        }
    }

    /// `GetObjectLockConfiguration`.
    pub(super) async fn object_lock(&self) -> Result<ObjectLock> {
        let operation = "ask for the object lock of";
        match self.send(Method::GET, operation, "", "object-lock").await {
            Ok(answer) => Ok(self.understand::<LockConfiguration>(operation, answer)?.into()),
            Err(error) if says(&error, "ObjectLockConfigurationNotFoundError") => Ok(ObjectLock::Off),
            Err(error) => Err(error),
        }
    }

    /// What the headers of `HeadObject` say. They are missing as well where the credentials lack the right `s3:GetObjectRetention`.
    pub(super) async fn held(&self, name: &str, now: SystemTime) -> Result<Option<Hold>> {
        let operation = "ask for the retention of";
        let answer = self.send(Method::HEAD, operation, name, "").await?;
        Ok(hold_in(answer.headers(), now))
    }

    /// `DeleteObject` of what is not there; then, where that has left a delete marker, of the marker.
    pub(super) async fn try_deletion(&self, name: &str) -> Result<()> {
        let operation = "delete";
        let answer = self.send(Method::DELETE, operation, name, "").await?;
        if let Some(version) = marker_in(answer.headers()) {
            let query = format!("versionId={}", opendal::raw::percent_encode_path(version));
            // It takes another right than the one in question.
            let _ = self.send(Method::DELETE, operation, name, &query).await;
        }
        Ok(())
    }

    async fn send(&self, method: Method, operation: &'static str, name: &str, query: &str) -> Result<Response<Buffer>> {
        let failed = |why: String| self.tell.error(ErrorKind::Other, operation, name).because(why);
        let object = match name {
            "" => String::new(),
            name => opendal::raw::percent_encode_path(&format!("{}{name}", self.prefix)),
        };
        let query = if query.is_empty() {
            query.to_owned()
        } else {
            format!("?{query}")
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{object}{query}", self.url))
            .body(Buffer::new())
            .map_err(|error| failed(text_of(&error)))?;
        let (mut parts, body) = request.into_parts();
        if let Some(signer) = &self.signer {
            signer
                .sign(&mut parts, None)
                .await
                .map_err(|error| failed(text_of(&error)))?;
        }
        // The client sets it itself.
        parts.headers.remove(http::header::HOST);
        let answer = self.transport.send(Request::from_parts(parts, body)).await;
        let answer = answer.map_err(|error| self.tell.opendal(operation, name, error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refused(operation, name, &answer))
    }

    fn refused(&self, operation: &'static str, name: &str, answer: &Response<Buffer>) -> Error {
        let kind = match answer.status() {
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::PermissionDenied,
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::Unavailable,
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        let content = answer.body().to_bytes();
        let refusal = quick_xml::de::from_reader::<_, Refusal>(&*content);
        let code = refusal.map_or_else(|_| answer.status().to_string(), |refusal| refusal.code);
        self.tell
            .error(kind, operation, name)
            .because(format!("the store answered `{code}`"))
    }

    fn understand<T: DeserializeOwned>(&self, operation: &'static str, answer: Response<Buffer>) -> Result<T> {
        let content = answer.into_body().to_bytes();
        quick_xml::de::from_reader(&*content).map_err(|error| {
            let why = format!("the answer makes no sense: {error}");
            self.tell.error(ErrorKind::Other, operation, "").because(why)
        })
    }
}

/// Where keys come from, as for all other requests.
fn provider(location: &S3Location, options: &S3Options) -> ProvideCredentialChain<Credential> {
    let chain = ProvideCredentialChain::new();
    if let Some((key, secret)) = address::keys(location, options) {
        let given = StaticCredentialProvider::new(key, secret);
        return chain.push(match &options.session_token {
            Some(token) => given.with_session_token(token),
            None => given,
        });
    }
    let standard = DefaultCredentialProvider::builder();
    chain.push(match &options.profile {
        Some(profile) => standard.with_profile(profile).build(),
        None => standard.build(),
    })
}

/// Whether the store's answer was this code.
fn says(error: &Error, code: &str) -> bool {
    let source = error.source.as_ref().map(ToString::to_string);
    source.is_some_and(|source| source.contains(&format!("`{code}`")))
}

/// The part of a refusal that matters.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Code")]
    code: String,
}

#[derive(Deserialize)]
struct LockConfiguration {
    #[serde(rename = "ObjectLockEnabled")]
    enabled: Option<String>,
    #[serde(rename = "Rule")]
    rule: Option<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "DefaultRetention")]
    default: Option<DefaultRetention>,
}

#[derive(Deserialize)]
struct DefaultRetention {
    #[serde(rename = "Mode")]
    mode: String,
    #[serde(rename = "Days")]
    days: Option<u32>,
    #[serde(rename = "Years")]
    years: Option<u32>,
}

impl From<LockConfiguration> for ObjectLock {
    fn from(found: LockConfiguration) -> Self {
        if found.enabled.as_deref() != Some("Enabled") {
            return Self::Off;
        }
        let Some(default) = found.rule.and_then(|rule| rule.default) else {
            return Self::OnRequest;
        };
        let (count, unit) = match (default.days, default.years) {
            (Some(days), _) => (days, "day"),
            (None, Some(years)) => (years, "year"),
            (None, None) => return Self::OnRequest,
        };
        let plural = if count == 1 { "" } else { "s" };
        Self::Default {
            mode: default.mode,
            time: format!("{count} {unit}{plural}"),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The version of the delete marker that a deletion with this answer has made.
fn marker_in(headers: &HeaderMap) -> Option<&str> {
    let is_marker = text(headers, "x-amz-delete-marker") == Some("true");
    text(headers, "x-amz-version-id").filter(|_| is_marker)
}

/// What protects the object with these headers after `now`.
fn hold_in(headers: &HeaderMap, now: SystemTime) -> Option<Hold> {
    let value = |name| text(headers, name);
    if value("x-amz-object-lock-legal-hold") == Some("ON") {
        return Some(Hold::UntilLifted);
    }
    let until: Timestamp = value("x-amz-object-lock-retain-until-date")?.parse().ok()?;
    let until = SystemTime::from(until);
    (until > now).then_some(Hold::Until(until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn lock(xml: &str) -> ObjectLock {
        quick_xml::de::from_str::<LockConfiguration>(xml).unwrap().into()
    }

    #[test]
    fn configurations_of_object_locks() {
        let with = |rule: &str| {
            lock(&format!(
                "<?xml version=\"1.0\"?><ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
            ))
        };
        assert_eq!(with(""), ObjectLock::OnRequest);
        for (time, shown) in [("<Days>30</Days>", "30 days"), ("<Years>1</Years>", "1 year")] {
            let rule = format!("<Rule><DefaultRetention><Mode>COMPLIANCE</Mode>{time}</DefaultRetention></Rule>");
            let expected = ObjectLock::Default {
                mode: "COMPLIANCE".to_owned(),
                time: shown.to_owned(),
            };
            assert_eq!(with(&rule), expected);
        }
        assert_eq!(lock("<ObjectLockConfiguration/>"), ObjectLock::Off);
    }

    #[test]
    fn headers_say_what_protects_an_object() {
        let time = |text: &str| SystemTime::from(text.parse::<Timestamp>().unwrap());
        let now = time("2026-11-01T00:00:00Z");
        let held = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            hold_in(&headers, now)
        };
        let until = "x-amz-object-lock-retain-until-date";
        let later = Hold::Until(time("2026-12-01T00:00:00Z"));
        assert_eq!(held(until, "2026-12-01T00:00:00.000Z"), Some(later));
        assert_eq!(held(until, "2026-10-01T00:00:00Z"), None);
        assert_eq!(held(until, "tomorrow"), None);
        assert_eq!(held("x-amz-object-lock-legal-hold", "ON"), Some(Hold::UntilLifted));
        assert_eq!(held("x-amz-object-lock-legal-hold", "OFF"), None);
    }
}

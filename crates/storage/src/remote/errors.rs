//! What a caller can do about an error of OpenDAL, of the HTTP client, or of the store behind them.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ErrorKind};

/// A request took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct TooSlow(pub Duration);

/// The store answered `507 Insufficient Storage`.
#[derive(Debug, thiserror::Error)]
#[error("the store has no space left")]
pub(crate) struct NoSpace;

/// Makes errors that name the store.
#[derive(Clone, Debug)]
pub(crate) struct Tell(Arc<str>);

impl Tell {
    pub(crate) fn new(location: String) -> Self {
        Self(location.into())
    }

    pub(crate) fn location(&self) -> &str {
        &self.0
    }

    pub(crate) fn error(&self, kind: ErrorKind, operation: &'static str, name: &str) -> Error {
        Error::new(kind, operation, name, self.location())
    }

    pub(crate) fn opendal(&self, operation: &'static str, name: &str, source: opendal::Error) -> Error {
        self.error(kind_of(&source), operation, name)
            .with_hint(hint_of(&source))
            .because(describe(&source))
    }

    pub(crate) fn misconfigured(&self, why: String) -> Error {
        self.error(ErrorKind::Misconfigured, "open", "").because(why)
    }
}

/// Sort an error. What the store itself said comes first, then what OpenDAL made of it.
pub(crate) fn kind_of(error: &opendal::Error) -> ErrorKind {
    kind_of_http(error)
        .or_else(|| is_held(error).then_some(ErrorKind::Held))
        .or_else(|| code_of(error).and_then(kind_of_code))
        .unwrap_or_else(|| kind_of_opendal(error))
}

/// By the errors below: those of our transport, of the HTTP client, and of the TLS library.
pub(crate) fn kind_of_http(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    chain(error).find_map(|error| {
        if error.is::<TooSlow>()
            || error
                .downcast_ref::<reqwest::Error>()
                .is_some_and(reqwest::Error::is_timeout)
        {
            return Some(ErrorKind::TimedOut);
        }
        if error.is::<NoSpace>() {
            return Some(ErrorKind::Full);
        }
        // A certificate that is not trusted now is not trusted in a minute either.
        error
            .to_string()
            .starts_with("invalid peer certificate")
            .then_some(ErrorKind::Misconfigured)
    })
}

/// An error and what caused it, in one line.
pub(crate) fn text_of(error: &(dyn StdError + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The code in the answer of S3 or Azure, such as `NoSuchBucket`.
fn code_of(error: &opendal::Error) -> Option<&str> {
    field(error, "code").filter(|code| !code.is_empty())
}

/// Whether the store itself protects the object, from whomever. S3 has no code of its own for that, but most stores say it in words;
/// of those that do not, [`S3Store`](crate::s3::S3Store) asks what protects the object.
fn is_held(error: &opendal::Error) -> bool {
    let of_s3 = ["ObjectLocked", "ObjectLockedByBucketPolicy"];
    let of_azure = ["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"];
    let of_google = ["retentionPolicyNotMet", "objectUnderActiveHold"];
    code_of(error).is_some_and(|code| of_s3.contains(&code) || of_azure.contains(&code))
        || field(error, "reason").is_some_and(|reason| of_google.contains(&reason))
        || field(error, "message").is_some_and(|message| message.contains("object protected by object lock"))
}

/// The way out where the code of the store says more than the kind.
fn hint_of(error: &opendal::Error) -> Option<String> {
    let hint = "Set this host's clock, such as with `timedatectl set-ntp true`: stores refuse what is signed at another time than theirs.";
    (code_of(error)? == "RequestTimeTooSkewed").then(|| hint.to_owned())
}

/// A field of the answer. OpenDAL keeps the answer only as a part of its message, in the form for debugging.
fn field<'a>(error: &'a opendal::Error, name: &str) -> Option<&'a str> {
    let (_, fields) = error.message().split_once("Error {")?;
    let (_, value) = fields.split_once(&format!("{name}: \""))?;
    value.split('"').next()
}

/// OpenDAL's message when there are no keys anywhere.
const UNSIGNED: &str = "signing http request";

/// What happened, in one line. OpenDAL's own text repeats the call and shows pages of headers.
fn describe(error: &opendal::Error) -> String {
    if error.message() == UNSIGNED {
        return "no keys for the store were found".to_owned();
    }
    if let Some(code) = code_of(error) {
        let part = |name, before, after| match field(error, name) {
            Some(text) if !text.is_empty() => format!("{before}{text}{after}"),
            _ => String::new(),
        };
        let (message, request) = (part("message", ": ", ""), part("request_id", " (request `", "`)"));
        return format!("the store answered `{code}`{message}{request}");
    }
    if let Some(status) = status_of(error) {
        let text = field(error, "message").unwrap_or(error.message());
        // Of a page made for browsers, the beginning is enough.
        let text: String = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(200)
            .collect();
        let text = if text.is_empty() { text } else { format!(": {text}") };
        return format!("the store answered with status {status}{text}");
    }
    match error.source() {
        Some(cause) => format!("{}: {}", error.message(), text_of(cause)),
        None => error.message().to_owned(),
    }
}

/// The HTTP status of the answer, which is all there is after a HEAD request.
fn status_of(error: &opendal::Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("response: Parts { status: ")?;
    Some(rest.chars().take_while(char::is_ascii_digit).collect())
}

fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "NoSuchBucket" => ErrorKind::NotFound,
        "QuotaExceeded" | "InsufficientCapacity" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" => {
            ErrorKind::Full
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            ErrorKind::PermissionDenied
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "InvalidBucketName" | "InvalidRegionName" => {
            ErrorKind::Misconfigured
        }
        "RequestTimeTooSkewed" => ErrorKind::Misconfigured,
        "InvalidRange" => ErrorKind::Truncated,
        _ => return None,
    })
}

fn kind_of_opendal(error: &opendal::Error) -> ErrorKind {
    match error.kind() {
        opendal::ErrorKind::NotFound => ErrorKind::NotFound,
        opendal::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        opendal::ErrorKind::ConfigInvalid => ErrorKind::Misconfigured,
        opendal::ErrorKind::RangeNotSatisfied => ErrorKind::Truncated,
        opendal::ErrorKind::RateLimited => ErrorKind::Unavailable,
        // The answer was whole, but shorter than the range: OpenDAL's check has no kind of its own.
        opendal::ErrorKind::Unexpected if error.message() == "reader got too little data" => ErrorKind::Truncated,
        _ if error.is_temporary() => ErrorKind::Unavailable,
        // OpenDAL knows no kind for it.
        _ if status_of(error).is_some_and(|status| status == "401") => ErrorKind::PermissionDenied,
        // No keys were found anywhere.
        _ if error.message() == UNSIGNED => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opendal::ErrorKind as Kind;

    fn error(kind: Kind, message: &str) -> opendal::Error {
        opendal::Error::new(kind, message)
    }

    #[test]
    fn the_code_of_the_store_comes_first() {
        let bucket = error(
            Kind::ConfigInvalid,
            r#"S3Error { code: "NoSuchBucket", message: "no", resource: "", request_id: "" }"#,
        );
        assert_eq!(code_of(&bucket), Some("NoSuchBucket"));
        assert_eq!(kind_of(&bucket), ErrorKind::NotFound);
        let token = error(Kind::Unexpected, r#"S3Error { code: "ExpiredToken", message: "" }"#);
        assert_eq!(kind_of(&token), ErrorKind::PermissionDenied);
    }

    #[test]
    fn failures_are_described_in_one_line() {
        let message =
            r#"S3Error { code: "NoSuchBucket", message: "There is none.", resource: "/b", request_id: "4711" }"#;
        let answered = "the store answered `NoSuchBucket`: There is none. (request `4711`)";
        assert_eq!(describe(&error(Kind::NotFound, message)), answered);
        let short = r#"S3Error { code: "NoSuchKey", message: "", resource: "", request_id: "" }"#;
        assert_eq!(
            describe(&error(Kind::NotFound, short)),
            "the store answered `NoSuchKey`"
        );
        let head =
            error(Kind::PermissionDenied, "").with_context("response", "Parts { status: 403, version: HTTP/1.1 }");
        assert_eq!(describe(&head), "the store answered with status 403");
        let page =
            error(Kind::Unexpected, "<html>\n  wrong password").with_context("response", "Parts { status: 401, v: 1 }");
        assert_eq!(
            describe(&page),
            "the store answered with status 401: <html> wrong password"
        );
        assert_eq!(kind_of(&page), ErrorKind::PermissionDenied);
        let google = r#"GcsErrorResponse { error: GcsError { code: 404, message: "no bucket", errors: [] } }"#;
        let google = error(Kind::NotFound, google).with_context("response", "Parts { status: 404, v: 1 }");
        assert_eq!(describe(&google), "the store answered with status 404: no bucket");
        let slow = error(Kind::Unexpected, "the store is too slow").set_source(TooSlow(Duration::from_secs(1)));
        assert_eq!(describe(&slow), "the store is too slow: no answer within 1s");
    }

    #[test]
    fn objects_that_nobody_may_delete_are_told_from_missing_rights() {
        for message in [
            r#"S3Error { code: "ObjectLockedByBucketPolicy", message: "The object is locked by the bucket policy." }"#,
            r#"S3Error { code: "AccessDenied", message: "Access Denied because object protected by object lock." }"#,
            r#"AzblobError { code: "BlobImmutableDueToPolicy", message: "" }"#,
            r#"GcsErrorResponse { error: GcsError { code: 403, message: "", errors: [GcsErrorDetail { reason: "retentionPolicyNotMet" }] } }"#,
        ] {
            let denied = error(Kind::PermissionDenied, message);
            assert_eq!(kind_of(&denied), ErrorKind::Held, "{message}");
        }
        for message in [
            r#"S3Error { code: "AccessDenied", message: "Access Denied" }"#,
            r#"GcsErrorResponse { error: GcsError { code: 403, message: "", errors: [GcsErrorDetail { reason: "forbidden" }] } }"#,
        ] {
            let denied = error(Kind::PermissionDenied, message);
            assert_eq!(kind_of(&denied), ErrorKind::PermissionDenied, "{message}");
        }
    }

    #[test]
    fn a_wrong_clock_has_its_own_way_out() {
        let skewed = error(
            Kind::PermissionDenied,
            r#"S3Error { code: "RequestTimeTooSkewed", message: "" }"#,
        );
        let told = Tell::new("s3:x".to_owned()).opendal("list", "", skewed);
        assert_eq!(told.kind, ErrorKind::Misconfigured);
        assert!(told.hint.is_some_and(|hint| hint.contains("clock")));
    }

    #[test]
    fn causes_are_found_below() {
        let slow = error(Kind::Unexpected, "send")
            .set_temporary()
            .set_source(TooSlow(Duration::from_secs(1)));
        assert_eq!(kind_of(&slow), ErrorKind::TimedOut);
        let full = error(Kind::Unexpected, "send").set_source(NoSpace);
        assert_eq!(kind_of(&full), ErrorKind::Full);
    }

    #[test]
    fn kinds_of_the_library_are_sorted() {
        for (kind, expected) in [
            (Kind::NotFound, ErrorKind::NotFound),
            (Kind::PermissionDenied, ErrorKind::PermissionDenied),
            (Kind::ConfigInvalid, ErrorKind::Misconfigured),
            (Kind::RangeNotSatisfied, ErrorKind::Truncated),
            (Kind::RateLimited, ErrorKind::Unavailable),
            (Kind::Unexpected, ErrorKind::Other),
        ] {
            assert_eq!(kind_of(&error(kind, "")), expected);
        }
        assert_eq!(
            kind_of(&error(Kind::Unexpected, "").set_temporary()),
            ErrorKind::Unavailable
        );
    }
}

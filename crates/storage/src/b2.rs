//! A store in a bucket of Backblaze B2.
//!
//! Backblaze keeps the same buckets behind an interface of its own and behind that of S3. The second is used here: Backblaze and
//! restic recommend it, and it is tested against real servers. Where it is, depends on the account, and Backblaze says it to whoever
//! has a key.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::remote::Connection;
use crate::remote::errors::{kind_of_http, text_of};
use crate::s3::S3Store;
use crate::{Addressing, B2Options, BucketLocation, ErrorKind, Options, Result, S3Location, S3Options, Secret, s3};

/// Where keys are authorized.
const BACKBLAZE: &str = "https://api.backblazeb2.com";

/// The store at `location`. Asks Backblaze where the account's buckets are.
pub(crate) fn open(location: &BucketLocation, options: &Options) -> Result<S3Store> {
    let connection = Connection::new(&format!("b2://{location}"), options)?;
    let tell = &connection.tell;
    let (id, key) = options.b2.keys().map_err(|why| tell.misconfigured(why))?;
    let endpoint = connection.retry.run(|| {
        let asked = connection.runtime.block_on(endpoint(&connection, &options.b2, id, key));
        asked.map_err(|(kind, why)| tell.error(kind, "open", "").because(why))
    })?;
    let region = region_in(&endpoint).map(str::to_owned);
    let bucket = S3Location {
        endpoint: Some(endpoint),
        bucket: location.bucket.clone(),
        prefix: location.prefix.clone(),
        credentials: None,
    };
    let s3 = S3Options {
        access_key: Some(id.to_owned()),
        secret_key: Some(key.reveal().to_owned()),
        region,
        addressing: Addressing::Path,
        // Backblaze refuses checksums that it does not know.
        checksums: false,
        ..S3Options::default()
    };
    s3::open_as(connection, &bucket, &s3)
}

/// The part of the answer that matters.
#[derive(Deserialize)]
struct Account {
    #[serde(rename = "s3ApiUrl")]
    s3_api_url: String,
}

/// Where the account's buckets are.
async fn endpoint(
    connection: &Connection,
    options: &B2Options,
    id: &str,
    key: &Secret,
) -> Result<String, (ErrorKind, String)> {
    let host = options.endpoint.as_deref().unwrap_or(BACKBLAZE).trim_end_matches('/');
    let request = connection
        .client
        .get(format!("{host}/b2api/v2/b2_authorize_account"))
        .basic_auth(id, Some(key.reveal()))
        .timeout(connection.http.timeout);
    let failed = |error: reqwest::Error| {
        let kind = kind_of_http(&error).unwrap_or(ErrorKind::Unavailable);
        (kind, text_of(&error))
    };
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let content = answer.bytes().await.map_err(failed)?;
    if !status.is_success() {
        return Err((kind_of(status), format!("Backblaze answered with status {status}")));
    }
    let account: Account = serde_json::from_slice(&content)
        .map_err(|error| (ErrorKind::Other, format!("Backblaze's answer makes no sense: {error}")))?;
    Ok(account.s3_api_url)
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::PermissionDenied,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorKind::Unavailable,
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// `us-west-004` of `https://s3.us-west-004.backblazeb2.com`.
fn region_in(endpoint: &str) -> Option<&str> {
    endpoint.strip_prefix("https://s3.")?.strip_suffix(".backblazeb2.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_host_name() {
        assert_eq!(region_in("https://s3.us-west-004.backblazeb2.com"), Some("us-west-004"));
        assert_eq!(region_in("http://127.0.0.1:1"), None);
    }
}

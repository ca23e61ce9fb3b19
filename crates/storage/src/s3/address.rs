//! Where a bucket is: endpoint, region, and the place of the bucket's name.

use std::time::Duration;

use opendal::services::S3;
use opendal::{Error, ErrorKind};

use crate::S3Location;
use crate::s3_options::{Addressing, S3Options};

const AMAZON: &str = "https://s3.amazonaws.com";

/// OpenDAL's settings for the bucket; the error is the reason why they make no sense.
pub(super) fn builder(location: &S3Location, options: &S3Options, region: &str) -> Result<S3, String> {
    let endpoint = endpoint(location, options);
    let mut builder = S3::default()
        .bucket(&location.bucket)
        .root(&format!("/{}", location.prefix))
        .region(region);
    if is_virtual(&endpoint, &location.bucket, options.addressing)? {
        builder = builder.enable_virtual_host_style();
    }
    builder = builder.endpoint(&endpoint);
    if let Some(class) = &options.storage_class {
        builder = builder.default_storage_class(class);
    }
    if options.checksums {
        builder = builder.checksum_algorithm("crc32c");
    }
    Ok(credentials(builder, location, options))
}

fn credentials(builder: S3, location: &S3Location, options: &S3Options) -> S3 {
    if options.anonymous {
        return builder.skip_signature();
    }
    let Some((key, secret)) = keys(location, options) else {
        return builder.profile(options.profile.as_deref().unwrap_or_default());
    };
    let builder = builder.access_key_id(key).secret_access_key(secret);
    // Keys that were given are the only ones to use: never fall back to those of somebody else.
    builder
        .session_token(options.session_token.as_deref().unwrap_or_default())
        .disable_config_load()
        .disable_ec2_metadata()
}

/// The keys that were given, if any; those in the options win over those in the address.
pub(super) fn keys<'a>(location: &'a S3Location, options: &'a S3Options) -> Option<(&'a str, &'a str)> {
    let given = options.access_key.as_deref().zip(options.secret_key.as_deref());
    let in_address = location.credentials.as_ref();
    given.or(in_address.map(|(key, secret)| (key.as_str(), secret.as_str())))
}

/// The address of the bucket itself, without a slash at the end; the error is the reason why there can be none.
pub(super) fn bucket_url(location: &S3Location, options: &S3Options) -> Result<String, String> {
    let (endpoint, bucket) = (endpoint(location, options), &location.bucket);
    Ok(match endpoint.split_once("://") {
        Some((scheme, host)) if is_virtual(&endpoint, bucket, options.addressing)? => {
            format!("{scheme}://{bucket}.{host}")
        }
        _ => format!("{endpoint}/{bucket}"),
    })
}

/// Always an explicit one, so that no variable of the environment sends the data elsewhere.
fn endpoint(location: &S3Location, options: &S3Options) -> String {
    let written = location
        .endpoint
        .as_deref()
        .or(options.endpoint.as_deref())
        .unwrap_or(AMAZON);
    let written = written.trim_end_matches('/');
    if written.contains("://") {
        written.to_owned()
    } else {
        format!("https://{written}")
    }
}

fn host(endpoint: &str) -> &str {
    endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest)
        .split(['/', ':'])
        .next()
        .unwrap_or_default()
}

fn is_amazon(endpoint: &str) -> bool {
    let host = host(endpoint);
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

/// Only Amazon is sure to answer under `bucket.host`; and its certificate covers one label, so that a name with dots
/// has to go into the path.
fn is_virtual(endpoint: &str, bucket: &str, addressing: Addressing) -> Result<bool, String> {
    match addressing {
        Addressing::Path => Ok(false),
        Addressing::Auto => Ok(is_amazon(endpoint) && !bucket.contains('.')),
        Addressing::Virtual if bucket.contains('.') => Err(format!(
            "bucket `{bucket}` has a dot and cannot be part of the host name"
        )),
        Addressing::Virtual => Ok(true),
    }
}

/// The region to sign for.
pub(super) async fn region(
    client: &reqwest::Client,
    location: &S3Location,
    options: &S3Options,
    timeout: Duration,
) -> opendal::Result<String> {
    if let Some(region) = &options.region {
        return Ok(region.clone());
    }
    let endpoint = endpoint(location, options);
    if !is_amazon(&endpoint) {
        return Ok("us-east-1".to_owned());
    }
    match region_in_host(host(&endpoint)) {
        Some(region) => Ok(region.to_owned()),
        None => ask_for_region(client, &endpoint, &location.bucket, timeout).await,
    }
}

/// `eu-central-1` of `s3.eu-central-1.amazonaws.com`, and of the older `s3-eu-central-1.amazonaws.com`.
fn region_in_host(host: &str) -> Option<&str> {
    let before = host
        .strip_suffix(".cn")
        .unwrap_or(host)
        .strip_suffix(".amazonaws.com")?;
    let last = before.rsplit('.').next()?;
    let last = last.strip_prefix("s3-").unwrap_or(last);
    (last.contains('-') && !last.starts_with("s3")).then_some(last)
}

/// Amazon names the region in the answer to anybody, also where it refuses.
async fn ask_for_region(
    client: &reqwest::Client,
    endpoint: &str,
    bucket: &str,
    timeout: Duration,
) -> opendal::Result<String> {
    let request = client.head(format!("{endpoint}/{bucket}")).timeout(timeout).send();
    let answer = request.await.map_err(|error| {
        Error::new(ErrorKind::Unexpected, "ask for the region of the bucket")
            .set_temporary()
            .set_source(error)
    })?;
    let region = answer
        .headers()
        .get("x-amz-bucket-region")
        .and_then(|value| value.to_str().ok());
    Ok(region.unwrap_or("us-east-1").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(endpoint: Option<&str>) -> S3Location {
        S3Location {
            endpoint: endpoint.map(str::to_owned),
            bucket: "b".into(),
            prefix: String::new(),
            credentials: None,
        }
    }

    #[test]
    fn the_address_wins_over_the_option() {
        let mut options = S3Options::default();
        assert_eq!(endpoint(&location(None), &options), AMAZON);
        options.endpoint = Some("minio.example:9000/".into());
        assert_eq!(endpoint(&location(None), &options), "https://minio.example:9000");
        assert_eq!(
            endpoint(&location(Some("http://127.0.0.1:9000")), &options),
            "http://127.0.0.1:9000"
        );
    }

    #[test]
    fn the_bucket_goes_into_the_host_name_at_amazon_only() {
        let auto = |endpoint, bucket| is_virtual(endpoint, bucket, Addressing::Auto).unwrap();
        assert!(auto(AMAZON, "b") && auto("https://s3.eu-central-1.amazonaws.com", "b"));
        assert!(!auto(AMAZON, "a.b"));
        for other in [
            "http://127.0.0.1:9000",
            "http://localhost",
            "https://minio.example",
            "https://amazonaws.com.evil.example",
        ] {
            assert!(!auto(other, "b"), "{other}");
        }
        assert!(is_virtual("https://minio.example", "b", Addressing::Virtual).unwrap());
        assert!(!is_virtual(AMAZON, "b", Addressing::Path).unwrap());
        assert!(is_virtual(AMAZON, "a.b", Addressing::Virtual).is_err());
    }

    #[test]
    fn the_bucket_is_asked_where_its_objects_are() {
        let url = |endpoint, addressing| {
            let options = S3Options {
                addressing,
                ..S3Options::default()
            };
            bucket_url(&location(endpoint), &options).unwrap()
        };
        assert_eq!(url(None, Addressing::Auto), "https://b.s3.amazonaws.com");
        assert_eq!(url(Some("http://h:9000/"), Addressing::Auto), "http://h:9000/b");
        assert_eq!(url(Some("http://h:9000"), Addressing::Virtual), "http://b.h:9000");
    }

    #[test]
    fn amazon_host_names_hold_the_region() {
        assert_eq!(region_in_host("s3.eu-central-1.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(region_in_host("s3-us-west-2.amazonaws.com"), Some("us-west-2"));
        assert_eq!(
            region_in_host("s3.dualstack.eu-west-1.amazonaws.com"),
            Some("eu-west-1")
        );
        assert_eq!(region_in_host("s3.cn-north-1.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!(region_in_host("s3.amazonaws.com"), None);
        assert_eq!(region_in_host("minio.example"), None);
    }
}

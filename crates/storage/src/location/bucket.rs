//! Addresses of buckets at services that have one host for all: `SCHEME://BUCKET/PREFIX`, or `SCHEME:BUCKET:/PREFIX` as restic
//! writes it.

use std::fmt;

use super::{prefix, refuse};
use crate::Error;

/// A bucket (Azure calls it a container), and where in it our objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketLocation {
    /// Name of the bucket.
    pub bucket: String,
    /// What every object name begins with; without slashes at either end, may be empty.
    pub prefix: String,
}

/// `rest` is what follows the scheme and its colon.
pub(super) fn parse(text: &str, rest: &str) -> Result<BucketLocation, Error> {
    let (bucket, rest) = match rest.strip_prefix("//") {
        Some(ours) => ours.split_once('/').unwrap_or((ours, "")),
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    if bucket.is_empty() || bucket.contains(['/', '@', ':']) {
        return Err(refuse(
            text,
            "the bucket is missing, or its name makes no sense".to_owned(),
        ));
    }
    Ok(BucketLocation {
        bucket: bucket.to_owned(),
        prefix: prefix(text, rest)?,
    })
}

impl fmt::Display for BucketLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix.is_empty() {
            write!(f, "{}", self.bucket)
        } else {
            write!(f, "{}/{}", self.bucket, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Location;

    #[test]
    fn both_forms_mean_the_same() {
        for (ours, restics) in [
            ("azblob://container/a/b", "azure:container:/a/b"),
            ("azblob://container", "azure:container:/"),
            ("gcs://bucket/a", "gs:bucket:/a/"),
            ("b2://bucket/a/b", "b2:bucket:a/b"),
            ("b2://bucket", "b2:bucket"),
        ] {
            let location: Location = ours.parse().unwrap();
            assert_eq!(location.to_string(), ours);
            assert_eq!(restics.parse::<Location>().unwrap(), location, "{restics}");
            assert!(location.is_remote());
        }
        let Location::Azblob(container) = "azblob://container//a//b/".parse().unwrap() else {
            panic!("not a container")
        };
        assert_eq!(
            (container.bucket.as_str(), container.prefix.as_str()),
            ("container", "a/b")
        );
    }

    #[test]
    fn folders_of_dropbox() {
        for (text, path) in [("dropbox:", ""), ("dropbox:/a//b/", "a/b"), ("dropbox:a b", "a b")] {
            assert_eq!(text.parse::<Location>().unwrap(), Location::Dropbox(path.to_owned()));
        }
    }
}

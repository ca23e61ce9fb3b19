//! What an S3 store needs to know beside its address.

use std::fmt;

/// Options of S3 stores.
#[derive(Clone)]
pub struct S3Options {
    /// Scheme, host and port of the store for addresses without one (`s3://bucket/…`); none for Amazon.
    pub endpoint: Option<String>,
    /// The region that requests are signed for. Without it: the one named in an Amazon host name, what Amazon says
    /// of the bucket, and `us-east-1` for all others.
    pub region: Option<String>,
    /// Access key; together with `secret_key`. Without both: the standard chain of environment, profile files,
    /// web identity, container and instance roles.
    pub access_key: Option<String>,
    /// Secret key; together with `access_key`.
    pub secret_key: Option<String>,
    /// Session token of temporary keys.
    pub session_token: Option<String>,
    /// Profile to take from the profile files.
    pub profile: Option<String>,
    /// Do not sign requests, for buckets that everybody may read.
    pub anonymous: bool,
    /// Where the bucket's name goes.
    pub addressing: Addressing,
    /// Storage class of new objects, such as `STANDARD_IA`. Classes that cannot be read at once are refused.
    pub storage_class: Option<String>,
    /// Send a CRC-32C with each upload, which the store compares. Some stores reject it.
    pub checksums: bool,
    /// Size in bytes of the parts of a streamed object, between 5 MiB and 5 GiB. An object has at most 10 000 parts:
    /// the default of 16 MiB is enough for 156 GiB, 512 MiB for the largest object there is (5 TiB). All parts but the
    /// last are equal, as Cloudflare R2 demands. Up to six parts are held in memory, of parts above 32 MiB two.
    pub part_size: u64,
}

/// Where the name of the bucket goes in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// In the host name for Amazon, if the bucket's name has no dot; else in the path.
    #[default]
    Auto,
    /// In the path: `https://host/bucket/object`.
    Path,
    /// In the host name: `https://bucket.host/object`.
    Virtual,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
            session_token: None,
            profile: None,
            anonymous: false,
            addressing: Addressing::Auto,
            storage_class: None,
            checksums: true,
            part_size: 16 * MIB,
        }
    }
}

const MIB: u64 = 1024 * 1024;

/// Storage classes whose objects must be ordered back, for hours, before they can be read.
#[cfg(feature = "s3")]
const OFFLINE_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

#[cfg(feature = "s3")]
impl S3Options {
    /// Refuse what cannot work; the answer is the reason.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.access_key.is_some() != self.secret_key.is_some() {
            return Err("an access key and a secret key are needed together".to_owned());
        }
        if !(5 * MIB..=5 * 1024 * MIB).contains(&self.part_size) {
            return Err(format!(
                "a part size of {} bytes is not between 5 MiB and 5 GiB",
                self.part_size
            ));
        }
        match &self.storage_class {
            Some(class) if OFFLINE_CLASSES.contains(&class.as_str()) => Err(format!(
                "objects of storage class `{class}` cannot be read when they are needed"
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("has_keys", &self.access_key.is_some())
            .field("anonymous", &self.anonymous)
            .field("part_size", &self.part_size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_accepted() {
        assert_eq!(S3Options::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let half = S3Options {
            access_key: Some("a".into()),
            ..S3Options::default()
        };
        assert!(half.check().unwrap_err().contains("together"));
        for part_size in [0, 5 * MIB - 1, 5 * 1024 * MIB + 1] {
            let parts = S3Options {
                part_size,
                ..S3Options::default()
            };
            assert!(parts.check().unwrap_err().contains("part size"));
        }
        let glacier = S3Options {
            storage_class: Some("DEEP_ARCHIVE".into()),
            ..S3Options::default()
        };
        assert!(glacier.check().unwrap_err().contains("DEEP_ARCHIVE"));
    }

    #[test]
    fn no_secret_is_shown() {
        let options = S3Options {
            access_key: Some("id".into()),
            secret_key: Some("hush".into()),
            session_token: Some("hush".into()),
            ..S3Options::default()
        };
        assert!(!format!("{options:?}").contains("hush"));
    }
}

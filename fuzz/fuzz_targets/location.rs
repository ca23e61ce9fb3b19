//! Addresses of stores. What is shown of one must not hold its secret, and must mean the same when it holds none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use storage::Location;

fuzz_target!(|text: &str| {
    let Ok(location) = text.parse::<Location>() else { return };
    let shown = location.to_string();
    match &location {
        Location::S3(s3) => {
            if let Some((_, secret)) = s3.credentials.as_ref().filter(|(_, secret)| secret.len() > 12) {
                let elsewhere = [s3.endpoint.as_deref().unwrap_or_default(), &s3.bucket, &s3.prefix];
                let coincidence = elsewhere.iter().any(|part| part.contains(secret.as_str()));
                assert!(coincidence || !shown.contains(secret.as_str()), "{shown}");
            }
            assert!(!s3.bucket.is_empty());
        }
        Location::Memory(_) => assert_eq!(shown.parse::<Location>().ok(), Some(location)),
        Location::Local(path) => assert!(!path.as_os_str().is_empty()),
    }
});

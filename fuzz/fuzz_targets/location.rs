//! Addresses of stores. What is shown of one must not hold its secret, and must mean the same when it holds none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use storage::{Location, S3Location};

fuzz_target!(|text: &str| {
    let Ok(location) = text.parse::<Location>() else { return };
    let shown = location.to_string();
    match &location {
        Location::S3(s3) => {
            assert!(!s3.bucket.is_empty());
            let without = S3Location { credentials: None, ..s3.clone() };
            assert_eq!(shown.parse::<Location>().ok(), Some(Location::S3(without)), "{shown}");
        }
        Location::Memory(_) => assert_eq!(shown.parse::<Location>().ok().as_ref(), Some(&location)),
        // What these look like is tested with examples.
        Location::Sftp(_)
        | Location::Rclone(_)
        | Location::Webdav(_)
        | Location::Rest(_)
        | Location::Azblob(_)
        | Location::Gcs(_)
        | Location::B2(_)
        | Location::Dropbox(_) => drop(shown.parse::<Location>()),
        Location::Local(path) => assert!(!path.as_os_str().is_empty()),
    }
});

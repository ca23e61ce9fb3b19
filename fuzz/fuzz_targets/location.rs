//! Addresses of stores. What is shown of one must not hold its secret, and must mean the same when it holds none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use storage::{Location, S3Location, WebLocation};

fuzz_target!(|text: &str| {
    let Ok(location) = text.parse::<Location>() else { return };
    let shown = location.to_string();
    let web = |web: &WebLocation| WebLocation { credentials: None, ..web.clone() };
    let without_secrets = match &location {
        Location::S3(s3) => Location::S3(S3Location { credentials: None, ..s3.clone() }),
        Location::Webdav(place) => Location::Webdav(web(place)),
        Location::Rest(place) => Location::Rest(web(place)),
        // Any parameter may be a secret, so that none of them is shown.
        Location::Rclone(rclone) if rclone.has_parameters() => return,
        Location::Local(_)
        | Location::Memory(_)
        | Location::Sftp(_)
        | Location::Rclone(_)
        | Location::Azblob(_)
        | Location::Gcs(_)
        | Location::B2(_)
        | Location::Dropbox(_) => location,
    };
    assert_eq!(shown.parse::<Location>().ok(), Some(without_secrets), "{shown}");
});

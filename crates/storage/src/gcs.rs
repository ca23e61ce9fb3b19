//! A store in a bucket of Google Cloud Storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opendal::services::Gcs;

use crate::remote::{Connection, Folders, PART_BYTES, RemoteStore, Traits, Writing};
use crate::{BucketLocation, Options, Result};

/// The store at `location`. Nothing is sent.
pub(crate) fn open(location: &BucketLocation, options: &Options) -> Result<RemoteStore> {
    let connection = Connection::new(&format!("gcs://{location}"), options)?;
    let options = &options.gcs;
    let key = options.key().map_err(|why| connection.tell.misconfigured(why))?;
    let mut service = Gcs::default()
        .bucket(&location.bucket)
        .root(&format!("/{}", location.prefix))
        .endpoint(options.endpoint.as_deref().unwrap_or_default());
    if options.anonymous {
        service = service.skip_signature();
    } else if let Some(key) = key {
        // Credentials that were given are the only ones to use: never fall back to those of somebody else.
        service = service
            .credential(&STANDARD.encode(key.reveal()))
            .disable_config_load()
            .disable_vm_metadata();
    }
    let traits = Traits {
        writing: Writing::InParts(PART_BYTES),
        folders: Folders::None,
    };
    connection.store(service, traits)
}

//! A store in a container of Azure Blob Storage.

use opendal::services::Azblob;

use crate::remote::{Connection, Folders, PART_BYTES, RemoteStore, Traits, Writing};
use crate::{BucketLocation, Options, Result};

/// The store at `location`. Nothing is sent.
pub(crate) fn open(location: &BucketLocation, options: &Options) -> Result<RemoteStore> {
    let connection = Connection::new(&format!("azblob://{location}"), options)?;
    let options = &options.azblob;
    options.check().map_err(|why| connection.tell.misconfigured(why))?;
    let mut service = Azblob::default()
        .endpoint(&options.endpoint())
        .container(&location.bucket)
        .root(&format!("/{}", location.prefix))
        .account_name(options.account.as_deref().unwrap_or_default());
    if let Some(key) = &options.account_key {
        service = service.account_key(key.reveal());
    }
    if let Some(token) = &options.sas_token {
        service = service.sas_token(token.reveal().trim_start_matches('?'));
    }
    let traits = Traits {
        writing: Writing::InParts(PART_BYTES),
        folders: Folders::None,
    };
    connection.store(service, traits)
}

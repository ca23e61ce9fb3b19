//! A store in a folder of Dropbox.

use opendal::services::Dropbox;

use crate::remote::transport::Transport;
use crate::remote::{Connection, Folders, RemoteStore, Traits, Writing};
use crate::{Options, Result};

/// The most that Dropbox takes in one request, bytes: 150 MB, of whichever kind.
const MOST: u64 = 150_000_000;

/// The store in the folder `path`. Nothing is sent.
pub(crate) fn open(path: &str, options: &Options) -> Result<RemoteStore> {
    let connection = Connection::new(&format!("dropbox:{path}"), options)?;
    let tell = connection.tell.clone();
    let options = &options.dropbox;
    options.check().map_err(|why| tell.misconfigured(why))?;
    let mut service = Dropbox::default().root(&format!("/{path}"));
    if let Some(token) = &options.token {
        service = service.access_token(token.reveal());
    }
    if let (Some(token), Some(key), Some(secret)) = (&options.refresh_token, &options.app_key, &options.app_secret) {
        service = service
            .refresh_token(token.reveal())
            .client_id(key)
            .client_secret(secret.reveal());
    }
    let mut transport = Transport::new(connection.client.clone(), &connection.http);
    if let Some(endpoint) = &options.endpoint {
        transport = transport.instead(endpoint).map_err(|why| tell.misconfigured(why))?;
    }
    let traits = Traits {
        writing: Writing::Whole(MOST),
        folders: Folders::ListedByName,
    };
    connection.store_through(transport, service, traits)
}

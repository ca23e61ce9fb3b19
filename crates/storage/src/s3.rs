//! A store in a bucket of Amazon S3, or of anything that speaks its protocol.

mod address;
mod bucket;
mod store;

use crate::remote::{Connection, Folders, Traits, Writing};
use crate::{Options, Result, S3Location, S3Options};
use bucket::Bucket;
pub(crate) use store::S3Store;

/// The store at `location`. Asks Amazon for the bucket's region if nobody told; nothing else is sent.
pub(crate) fn open(location: &S3Location, options: &Options) -> Result<S3Store> {
    open_as(Connection::new(location, options)?, location, &options.s3)
}

/// The same, under the name of `connection`.
pub(crate) fn open_as(connection: Connection, location: &S3Location, options: &S3Options) -> Result<S3Store> {
    let tell = &connection.tell;
    options.check().map_err(|why| tell.misconfigured(why))?;
    let region = connection.retry.run(|| {
        let asked = address::region(&connection.client, location, options, connection.http.timeout);
        let asked = connection.runtime.block_on(asked);
        asked.map_err(|why| tell.opendal("open", "", why))
    })?;
    let service = address::builder(location, options, &region).map_err(|why| tell.misconfigured(why))?;
    let traits = Traits {
        writing: Writing::InParts(options.part_size as usize),
        folders: Folders::None,
    };
    let remote = connection.store(service, traits)?;
    let transport = remote.operator.context().http_transport().clone();
    let bucket = Bucket::new(transport, remote.tell.clone(), location, options, &region)?;
    Ok(S3Store { remote, bucket })
}

//! A store in a bucket of Amazon S3, or of anything that speaks its protocol.
//!
//! OpenDAL builds and signs the requests. What it leaves to its callers is done here: a client for each store, limits
//! of time for each request, parts of equal size, and errors sorted by what a caller can do.

mod address;
mod errors;
mod transport;
mod upload;

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use opendal::{Buffer, HttpTransporter, OperationContext, Operator};
use tokio::runtime::Handle;

use crate::name::{check_name, check_prefix, is_valid};
use crate::retry::Retry;
use crate::{ErrorKind, ObjectInfo, ObjectWriter, Result, S3Location, S3Options, Store, runtime};
use errors::Tell;
use transport::Transport;
use upload::{S3Writer, Upload};

/// Objects in a bucket, under a prefix.
pub(crate) struct S3Store {
    operator: Operator,
    runtime: Handle,
    tell: Tell,
    retry: Retry,
    part_size: usize,
}

/// Up to this size an object is sent in one request.
const ONE_REQUEST: usize = 16 * 1024 * 1024;

/// No object is larger than this, the largest number that stores read in a header.
const LARGEST: u64 = i64::MAX as u64;

impl S3Store {
    /// The store at `location`. Asks Amazon for the bucket's region if nobody told; nothing else is sent.
    pub(crate) fn new(location: &S3Location, options: &S3Options, retry: &Retry) -> Result<Self> {
        let tell = Tell::new(location.to_string());
        options.check().map_err(|why| tell.misconfigured(why))?;
        let runtime = runtime::handle().map_err(|error| tell.error(ErrorKind::Other, "open", "").because(error))?;
        let client = transport::client(options).map_err(|why| tell.misconfigured(why))?;
        let region = retry.run(|| {
            runtime
                .block_on(address::region(&client, location, options))
                .map_err(|why| tell.opendal("open", "", why))
        })?;
        let operator =
            Operator::new(address::builder(location, options, &region).map_err(|why| tell.misconfigured(why))?);
        let operator = operator.map_err(|error| tell.opendal("open", "", error))?;
        let transport = HttpTransporter::new(Transport::new(client, options));
        let operator = operator.with_context(OperationContext::new().with_http_transport(transport));
        Ok(Self {
            operator,
            runtime,
            tell,
            retry: retry.clone(),
            part_size: options.part_size as usize,
        })
    }

    /// Run one call to its end on the caller's thread.
    fn call<T>(
        &self,
        operation: &'static str,
        name: &str,
        future: impl Future<Output = opendal::Result<T>>,
    ) -> Result<T> {
        self.runtime
            .block_on(future)
            .map_err(|error| self.tell.opendal(operation, name, error))
    }

    fn upload(&self, name: &str, retry: Retry) -> Result<Upload> {
        Upload::begin(self, name, retry).map_err(|error| self.tell.opendal("write", name, error))
    }

    /// Send a large object in parts, several at a time. It is the caller who tries again, with all of it.
    fn write_in_parts(&self, name: &str, mut content: Bytes) -> Result<()> {
        let mut upload = self.upload(name, Retry::never())?;
        while !content.is_empty() {
            let part = content.split_to(content.len().min(self.part_size.max(ONE_REQUEST)));
            upload.send(part)?;
        }
        upload.complete().map(drop)
    }
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store")
            .field("location", &self.tell.location())
            .finish_non_exhaustive()
    }
}

impl Store for S3Store {
    fn location(&self) -> String {
        self.tell.location().to_owned()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix, self.tell.location())?;
        let directory = if prefix.is_empty() {
            "/".to_owned()
        } else {
            format!("{prefix}/")
        };
        let entries = self.call("list", prefix, async {
            self.operator.list_with(&directory).recursive(true).await
        })?;
        // Others may keep things in the bucket as well, such as the empty objects that stand for folders.
        let objects = entries
            .into_iter()
            .filter(|entry| entry.metadata().is_file() && is_valid(entry.path()));
        Ok(objects
            .map(|entry| ObjectInfo {
                size: entry.metadata().content_length(),
                name: entry.path().to_owned(),
            })
            .collect())
    }

    fn stat(&self, name: &str) -> Result<u64> {
        check_name("stat", name, self.tell.location())?;
        Ok(self.call("stat", name, self.operator.stat(name))?.content_length())
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        check_name("read", name, self.tell.location())?;
        Ok(self.call("read", name, self.operator.read(name))?.to_bytes())
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        check_name("read", name, self.tell.location())?;
        if range.start >= range.end || range.end > LARGEST {
            // Nothing that can be put in a header, but the object must exist and be long enough.
            let size = self.stat(name)?;
            let fits = range.start == range.end && range.end <= size;
            return if fits {
                Ok(Bytes::new())
            } else {
                Err(self.tell.error(ErrorKind::Truncated, "read", name))
            };
        }
        let asked = range.end - range.start;
        let content = self.call("read", name, async { self.operator.read_with(name).range(range).await })?;
        let received = content.len() as u64;
        if received == asked {
            return Ok(content.to_bytes());
        }
        // With more than asked for, the store has ignored the range.
        let kind = if received < asked {
            ErrorKind::Truncated
        } else {
            ErrorKind::Other
        };
        let why = format!("asked for {asked} bytes, received {received}");
        Err(self.tell.error(kind, "read", name).because(why))
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        check_name("write", name, self.tell.location())?;
        if content.len() > ONE_REQUEST {
            return self.write_in_parts(name, content);
        }
        self.call("write", name, self.operator.write(name, Buffer::from(content)))
            .map(drop)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        check_name("write", name, self.tell.location())?;
        Ok(Box::new(S3Writer::new(
            self.upload(name, self.retry.clone())?,
            self.part_size,
        )))
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name("delete", name, self.tell.location())?;
        self.call("delete", name, self.operator.delete(name))
    }

    fn concurrency(&self) -> usize {
        8
    }
}

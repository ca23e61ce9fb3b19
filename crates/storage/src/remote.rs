//! An operator of OpenDAL as a store.
//!
//! OpenDAL builds and signs the requests. What it leaves to its callers is done here: a client for each store, limits
//! of time for each request, parts of equal size, and errors sorted by what a caller can do.

mod clock;
pub(crate) mod errors;
mod folders;
pub(crate) mod transport;
mod upload;

use std::fmt::Display;
use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use opendal::options::WriteOptions;
use opendal::raw::{OpWrite, Service};
use opendal::{Buffer, Builder, HttpTransporter, OperationContext, Operator};
use tokio::runtime::Handle;

use crate::name::{check_name, check_prefix, is_valid};
use crate::range::{self, LARGEST};
use crate::retry::Retry;
use crate::whole::{LARGEST_STREAM, WholeWriter};
use crate::{ErrorKind, HttpOptions, Inspect, ObjectInfo, ObjectWriter, Options, Result, Store, runtime};
use clock::StoreClock;
use errors::Tell;
use transport::Transport;
use upload::{PartsWriter, Upload};

/// What every store that is reached over HTTP begins with.
pub(crate) struct Connection {
    pub(crate) client: reqwest::Client,
    pub(crate) runtime: Handle,
    pub(crate) tell: Tell,
    pub(crate) retry: Retry,
    pub(crate) http: HttpOptions,
}

impl Connection {
    /// For the store at `location`. Nothing is sent.
    pub(crate) fn new(location: &impl Display, options: &Options) -> Result<Self> {
        let tell = Tell::new(location.to_string());
        let runtime = runtime::handle().map_err(|error| tell.error(ErrorKind::Other, "open", "").because(error))?;
        options.http.check().map_err(|why| tell.misconfigured(why))?;
        let client = transport::client(&options.http).map_err(|why| tell.misconfigured(why))?;
        Ok(Self {
            client,
            runtime,
            tell,
            retry: Retry::new(options),
            http: options.http.clone(),
        })
    }

    /// The store that `service` speaks with over this connection.
    pub(crate) fn store(self, service: impl Builder, traits: Traits) -> Result<RemoteStore> {
        let transport = Transport::new(self.client.clone(), &self.http);
        self.store_through(transport, service, traits)
    }

    /// The same, with a transport that the caller has prepared.
    pub(crate) fn store_through(
        self,
        transport: Transport,
        service: impl Builder,
        traits: Traits,
    ) -> Result<RemoteStore> {
        let operator = Operator::new(service).map_err(|error| self.tell.opendal("open", "", error))?;
        let clock = transport.clock();
        let context = OperationContext::new().with_http_transport(HttpTransporter::new(transport));
        Ok(RemoteStore {
            operator: operator.with_context(context),
            runtime: self.runtime,
            tell: self.tell,
            retry: self.retry,
            traits,
            clock,
        })
    }
}

/// In what the services differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// How large objects are sent.
    pub(crate) writing: Writing,
    /// What it knows of folders.
    pub(crate) folders: Folders,
}

/// Where there are folders, a listing is of one folder, and the calls that ask for an object or delete it take a folder as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folders {
    /// A slash in a name is a character as any other.
    None,
    /// What is in a folder is listed by its whole path.
    ListedByPath,
    /// What is in a folder is listed by its name there.
    ListedByName,
}

/// How large objects are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writing {
    /// In parts of so many bytes.
    InParts(usize),
    /// Each in one request, which may have at most so many bytes.
    Whole(u64),
}

/// The usual size of parts, bytes.
pub(crate) const PART_BYTES: usize = 16 * 1024 * 1024;

/// Objects that a service of OpenDAL keeps.
#[derive(Clone)]
pub(crate) struct RemoteStore {
    pub(crate) operator: Operator,
    pub(crate) runtime: Handle,
    pub(crate) tell: Tell,
    pub(crate) retry: Retry,
    traits: Traits,
    clock: StoreClock,
}

/// Up to this size an object is sent in one request.
const ONE_REQUEST: usize = 16 * 1024 * 1024;

impl RemoteStore {
    /// Run one call to its end on the caller's thread.
    pub(crate) fn call<T>(
        &self,
        operation: &'static str,
        name: &str,
        future: impl Future<Output = opendal::Result<T>>,
    ) -> Result<T> {
        self.runtime
            .block_on(future)
            .map_err(|error| self.tell.opendal(operation, name, error))
    }

    fn upload(&self, name: &str, part_size: usize, retry: Retry) -> Result<Upload> {
        Upload::begin(self, name, part_size, retry).map_err(|error| self.tell.opendal("write", name, error))
    }

    /// Send a large object in parts, several at a time. It is the caller who tries again, with all of it.
    fn write_in_parts(&self, name: &str, mut content: Bytes, part_size: usize) -> Result<()> {
        let mut upload = self.upload(name, part_size, Retry::never())?;
        while !content.is_empty() {
            let part = content.split_to(content.len().min(part_size.max(ONE_REQUEST)));
            upload.send(part)?;
        }
        upload.complete().map(drop)
    }

    /// Send the object `name` in one request, to the place `target`.
    pub(crate) fn write_whole(&self, name: &str, target: &str, content: Bytes, most: u64) -> Result<()> {
        let size = content.len();
        if size as u64 > most {
            let why = format!("{size} bytes are more than the {most} that the store takes in one request");
            return Err(self.tell.error(ErrorKind::Misconfigured, "write", name).because(why));
        }
        self.call("write", name, self.put(target, content, write_options()))
    }

    /// With OpenDAL's inner writer: the outer one refuses empty objects for some stores that take them.
    async fn put(&self, target: &str, content: Bytes, options: WriteOptions) -> opendal::Result<()> {
        let service = self.operator.service();
        let (arguments, _) = OpWrite::from_options(&service.capability(), options)?;
        let mut writer = service.write(self.operator.context(), target, arguments)?;
        writer.write_dyn(Buffer::from(content)).await?;
        writer.close_dyn().await.map(drop)
    }

    /// Whether there is an object of this name; a folder is none.
    pub(crate) fn is_object(&self, operation: &'static str, name: &str) -> Result<bool> {
        match self.call(operation, name, self.operator.stat(name)) {
            Ok(found) => Ok(found.is_file()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// How every object is written. Without a type, what some servers say of an object makes no sense.
fn write_options() -> WriteOptions {
    WriteOptions {
        content_type: Some("application/octet-stream".to_owned()),
        ..WriteOptions::default()
    }
}

impl std::fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteStore")
            .field("location", &self.tell.location())
            .finish_non_exhaustive()
    }
}

impl Store for RemoteStore {
    fn location(&self) -> String {
        self.tell.location().to_owned()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix, self.tell.location())?;
        if self.traits.folders != Folders::None {
            let listing = folders::list(&self.operator, self.traits.folders, prefix);
            return self.call("list", prefix, listing);
        }
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
        let found = self.call("stat", name, self.operator.stat(name))?;
        if found.is_file() {
            Ok(found.content_length())
        } else {
            Err(self.tell.error(ErrorKind::NotFound, "stat", name))
        }
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        check_name("read", name, self.tell.location())?;
        Ok(self.call("read", name, self.operator.read(name))?.to_bytes())
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        check_name("read", name, self.tell.location())?;
        if let Some(answer) = range::without_asking(self, name, &range) {
            return answer;
        }
        let asked = self.operator.read_with(name).range(range.clone());
        let content = self.call("read", name, async { asked.await })?;
        range::exactly(self, name, &range, content.to_bytes())
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        check_name("write", name, self.tell.location())?;
        match self.traits.writing {
            Writing::Whole(most) => self.write_whole(name, name, content, most),
            Writing::InParts(part_size) if content.len() > ONE_REQUEST => self.write_in_parts(name, content, part_size),
            Writing::InParts(_) => self.write_whole(name, name, content, LARGEST),
        }
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        check_name("write", name, self.tell.location())?;
        Ok(match self.traits.writing {
            Writing::InParts(part_size) => {
                let upload = self.upload(name, part_size, self.retry.clone())?;
                Box::new(PartsWriter::new(upload, part_size))
            }
            Writing::Whole(_) => Box::new(WholeWriter::new(self.clone(), name, self.retry.clone())),
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name("delete", name, self.tell.location())?;
        // The call that deletes an object would delete a folder of that name with everything in it.
        if self.traits.folders != Folders::None && !self.is_object("delete", name)? {
            return Ok(());
        }
        self.call("delete", name, self.operator.delete(name))
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        match self.traits.writing {
            Writing::InParts(_) => None,
            Writing::Whole(most) => Some(most.min(LARGEST_STREAM)),
        }
    }

    fn concurrency(&self) -> usize {
        8
    }
    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
    }
}

impl Inspect for RemoteStore {
    fn clock_ahead_seconds(&self) -> Option<i64> {
        self.clock.seconds_ahead()
    }

    fn create(&self, name: &str, content: Bytes) -> Option<Result<bool>> {
        if !self.operator.info().capability().write_with_if_not_exists {
            return None;
        }
        let options = WriteOptions {
            if_not_exists: true,
            ..write_options()
        };
        let created = check_name("write", name, self.tell.location())
            .map(|()| self.runtime.block_on(self.put(name, content, options)));
        Some(created.and_then(|created| match created {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == opendal::ErrorKind::ConditionNotMatch => Ok(false),
            Err(error) => Err(self.tell.opendal("write", name, error)),
        }))
    }
}

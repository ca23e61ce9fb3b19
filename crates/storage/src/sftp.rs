//! A store in a directory of an SSH server.
//!
//! The protocol is spoken in this process, with the libraries `russh` and `russh-sftp`: no `ssh` program has to be installed, and
//! a password can be used without one that types it. Everything that costs time on a network is done many at once: requests of
//! a file, directories of a listing, and calls, which share a few connections.
//!
//! A connection that breaks fails the calls that use it with a kind that is worth another try; the next try makes a new one.

mod connection;
mod errors;
mod host_key;
mod known_hosts;
mod list;
mod login;
mod pool;
mod read;
mod upload;

use std::ops::Range;

use bytes::Bytes;
use russh_sftp::protocol::StatusCode;
use tokio::runtime::Handle;

use crate::name::{check_name, check_prefix};
use crate::{Error, ErrorKind, ObjectInfo, ObjectWriter, Result, SftpLocation, SftpOptions, Store, runtime};
use connection::{Connection, Connector};
use errors::Failure;
use pool::Pool;
use upload::Upload;

/// Objects as files of an SSH server.
pub(crate) struct SftpStore {
    pool: Pool,
    root: String,
    location: String,
    runtime: Handle,
}

impl SftpStore {
    /// The store at `location`. The first call connects.
    pub(crate) fn new(location: &SftpLocation, options: &SftpOptions) -> Result<Self> {
        let shown = location.to_string();
        let runtime =
            runtime::handle().map_err(|error| Error::new(ErrorKind::Other, "open", "", &shown).because(error))?;
        let connector = Connector::new(location, options).map_err(|failure| tell(failure, "open", "", &shown))?;
        Ok(Self {
            pool: Pool::new(connector),
            root: location.path.clone(),
            location: shown,
            runtime,
        })
    }

    fn path(&self, operation: &'static str, name: &str) -> Result<String> {
        check_name(operation, name, &self.location)?;
        Ok(match self.root.as_str() {
            "." => name.to_owned(),
            root => format!("{}/{name}", root.trim_end_matches('/')),
        })
    }

    /// Run one call to its end on the caller's thread.
    fn call<T>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl AsyncFnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        let answer = self.runtime.block_on(async {
            let lease = self.pool.lease().await?;
            let answer = work(&lease).await;
            retire_if_broken(&lease, answer.as_ref().err());
            answer
        });
        answer.map_err(|failure| tell(failure, operation, name, &self.location))
    }

    fn upload(&self, path: &str) -> Result<Upload, Failure> {
        self.runtime
            .block_on(async { Upload::begin(self.pool.lease().await?, path).await })
    }

    fn begin(&self, name: &str) -> Result<SftpWriter> {
        let path = self.path("write", name)?;
        let upload = self
            .upload(&path)
            .map_err(|failure| tell(failure, "write", name, &self.location))?;
        Ok(SftpWriter {
            upload: Some(upload),
            name: name.to_owned(),
            location: self.location.clone(),
            runtime: self.runtime.clone(),
        })
    }
}

fn tell(failure: Failure, operation: &'static str, name: &str, location: &str) -> Error {
    let hint = failure.hint();
    Error::new(failure.kind(), operation, name, location)
        .with_hint(hint)
        .because(failure)
}

/// What broke once, or does not answer, is not used by the next call.
fn retire_if_broken(connection: &Connection, failure: Option<&Failure>) {
    if failure.is_some_and(|failure| failure.kind().is_transient()) {
        connection.retire();
    }
}

impl std::fmt::Debug for SftpStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SftpStore")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl Store for SftpStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix, &self.location)?;
        self.call("list", prefix, async |connection| {
            list::list(connection, &self.root, prefix).await
        })
    }

    fn stat(&self, name: &str) -> Result<u64> {
        let path = self.path("stat", name)?;
        self.call("stat", name, async |connection| read::size(connection, &path).await)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        let path = self.path("read", name)?;
        self.call("read", name, async |connection| {
            read::read(connection, &path, None).await
        })
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.path("read", name)?;
        self.call("read", name, async |connection| {
            read::read(connection, &path, Some(range)).await
        })
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        let mut writer = Box::new(self.begin(name)?);
        writer.write(content)?;
        writer.finish().map(drop)
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(self.begin(name)?))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path("delete", name)?;
        self.call("delete", name, async |connection| {
            match connection.sftp.remove(path).await.map_err(Failure::from) {
                Err(failure) if !failure.is_status(StatusCode::NoSuchFile) => Err(failure),
                _ => Ok(()),
            }
        })
    }

    fn concurrency(&self) -> usize {
        8
    }
}

/// An object that is being sent.
struct SftpWriter {
    /// Taken when it is over, one way or the other.
    upload: Option<Upload>,
    name: String,
    location: String,
    runtime: Handle,
}

impl SftpWriter {
    fn run<T>(&mut self, work: impl AsyncFnOnce(&mut Upload) -> Result<T, Failure>) -> Result<T> {
        let Some(upload) = &mut self.upload else {
            let error = Error::new(ErrorKind::Other, "write", &self.name, &self.location);
            return Err(error.because("the upload has failed before"));
        };
        let answer = self.runtime.block_on(work(upload));
        if let Err(failure) = &answer {
            retire_if_broken(upload.connection(), Some(failure));
            // Over a broken connection nothing can be removed, and waiting for it would take minutes.
            match failure.kind().is_transient() {
                true => self.upload = None,
                false => self.abandon(),
            }
        }
        answer.map_err(|failure| tell(failure, "write", &self.name, &self.location))
    }

    fn abandon(&mut self) {
        if let Some(upload) = self.upload.take() {
            runtime::finish_anywhere(&self.runtime, upload.abandon());
        }
    }
}

impl ObjectWriter for SftpWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        self.run(async |upload| upload.send(content).await)
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        let size = self.run(async |upload| upload.publish().await)?;
        self.upload = None;
        Ok(size)
    }
}

impl Drop for SftpWriter {
    fn drop(&mut self) {
        self.abandon();
    }
}

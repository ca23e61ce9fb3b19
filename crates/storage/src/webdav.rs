//! A store in a folder of a WebDAV server.
//!
//! Nothing says that a server stores an object that it is sent as a whole or not at all: rclone's keeps what came before the
//! connection broke, and hands it out as if it were everything. So an object is sent under a temporary name, and moved when the
//! server has confirmed all of it.

use std::ops::Range;

use bytes::Bytes;
use opendal::services::Webdav;

use crate::name::check_name;
use crate::remote::{Connection, Folders, RemoteStore, Traits, Writing};
use crate::temporary;
use crate::whole::WholeWriter;
use crate::{Inspect, ObjectInfo, ObjectWriter, Options, Result, Store, WebLocation};

/// Objects as files in the folders of a server.
#[derive(Clone, Debug)]
pub(crate) struct WebdavStore {
    remote: RemoteStore,
}

/// The store at `location`. Nothing is sent.
pub(crate) fn open(location: &WebLocation, options: &Options) -> Result<WebdavStore> {
    let connection = Connection::new(&format!("webdav+{location}"), options)?;
    let misconfigured = |why| connection.tell.misconfigured(why);
    options.webdav.check().map_err(misconfigured)?;
    let mut service = Webdav::default()
        .endpoint(&location.endpoint)
        .root(&format!("/{}", location.path));
    if let Some(token) = &options.webdav.token {
        service = service.token(token.reveal());
    } else if let Some((user, password)) = options.webdav.login.at(location).map_err(misconfigured)? {
        service = service.username(&user).password(password.reveal());
    }
    let traits = Traits {
        writing: Writing::Whole(u64::MAX),
        folders: Folders::ListedByPath,
    };
    let remote = connection.store(service, traits)?;
    Ok(WebdavStore { remote })
}

impl WebdavStore {
    fn publish(&self, name: &str, temporary: &str, content: Bytes) -> Result<()> {
        self.remote.write_whole(name, temporary, content, u64::MAX)?;
        let operator = &self.remote.operator;
        self.remote.call("write", name, operator.rename(temporary, name))
    }
}

impl Store for WebdavStore {
    fn location(&self) -> String {
        self.remote.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.remote.list(prefix)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.remote.stat(name)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.remote.read(name)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.remote.read_range(name, range)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        check_name("write", name, self.remote.tell.location())?;
        let temporary = format!("{name}{}", temporary::suffix());
        let written = self.publish(name, &temporary, content);
        if written.is_err() {
            // Best effort: a listing removes it tomorrow.
            let operator = &self.remote.operator;
            let _ = self.remote.call("delete", name, operator.delete(&temporary));
        }
        written
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        check_name("write", name, self.remote.tell.location())?;
        Ok(Box::new(WholeWriter::new(
            self.clone(),
            name,
            self.remote.retry.clone(),
        )))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.remote.delete(name)
    }

    fn concurrency(&self) -> usize {
        self.remote.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.remote.max_stream_bytes()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.remote.inspect()
    }
}

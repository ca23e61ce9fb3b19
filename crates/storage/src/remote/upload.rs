//! Objects that are sent in parts.
//!
//! OpenDAL's own `Writer` keeps a buffer, whose content it forgets when sending it fails: a repeated call would then
//! leave a hole. The writer of its service layer, used here, is made to be called again with the same part.

use bytes::{Bytes, BytesMut};
use opendal::options::WriteOptions;
use opendal::raw::oio::Writer;
use opendal::raw::{OpWrite, Service};
use opendal::{Buffer, Operator};
use tokio::runtime::Handle;

use super::RemoteStore;
use super::errors::Tell;
use crate::retry::Retry;
use crate::{Error, ErrorKind, ObjectWriter, Result, runtime};

/// The most parts that an object may have.
const MOST_PARTS: u64 = 10_000;

/// The most parts that are sent at the same time.
const MOST_AT_ONCE: usize = 4;

/// The bytes that parts under way may hold in memory, as long as one part is not larger.
const IN_FLIGHT: usize = 64 * 1024 * 1024;

/// An upload under way. Dropping it before it is complete removes what was sent.
///
/// An object that fits into its first part is sent in one request, when the upload is completed.
pub(super) struct Upload {
    /// Taken when the upload is over, one way or the other.
    writer: Option<Writer>,
    operator: Operator,
    runtime: Handle,
    tell: Tell,
    retry: Retry,
    name: String,
    parts: u64,
    size: u64,
}

impl Upload {
    /// Begin, without sending anything yet. `retry` is for each part alone.
    pub(super) fn begin(store: &RemoteStore, name: &str, part_size: usize, retry: Retry) -> opendal::Result<Self> {
        let at_once = (IN_FLIGHT / part_size).clamp(1, MOST_AT_ONCE);
        let operator = store.operator.clone();
        let options = WriteOptions {
            concurrent: at_once,
            ..super::write_options()
        };
        let (arguments, _) = OpWrite::from_options(&operator.service().capability(), options)?;
        let writer = operator.service().write(operator.context(), name, arguments)?;
        Ok(Self {
            writer: Some(writer),
            operator,
            runtime: store.runtime.clone(),
            tell: store.tell.clone(),
            retry,
            name: name.to_owned(),
            parts: 0,
            size: 0,
        })
    }

    /// Send the next part. All but the last must be of equal size. After an error nothing more can be sent.
    pub(super) fn send(&mut self, part: Bytes) -> Result<()> {
        if self.parts == MOST_PARTS {
            self.abandon();
            let why = format!("more than {MOST_PARTS} parts are needed: set a larger part size");
            return Err(self.error(ErrorKind::Misconfigured).because(why));
        }
        let size = part.len() as u64;
        let part = Buffer::from(part);
        let retry = self.retry.clone();
        retry
            .run(|| self.send_once(part.clone()))
            .inspect_err(|_| self.abandon())?;
        self.parts += 1;
        self.size += size;
        Ok(())
    }

    fn send_once(&mut self, part: Buffer) -> Result<()> {
        let Some(writer) = &mut self.writer else {
            return Err(self.error(ErrorKind::Other).because("the upload has failed before"));
        };
        self.runtime
            .block_on(writer.write_dyn(part))
            .map_err(|error| self.tell.opendal("write", &self.name, error))
    }

    /// Make the object visible; returns its size.
    pub(super) fn complete(mut self) -> Result<u64> {
        let retry = self.retry.clone();
        let mut answer_was_lost = false;
        retry.run(|| match self.complete_once() {
            // The store does not know the upload any more, if it had completed it when its answer was lost.
            Err(error) if answer_was_lost && !error.kind.is_transient() && self.is_there() => Ok(()),
            other => other.inspect_err(|error| answer_was_lost |= error.kind.is_transient()),
        })?;
        self.writer = None;
        Ok(self.size)
    }

    fn complete_once(&mut self) -> Result<()> {
        let Some(writer) = &mut self.writer else {
            return Err(self.error(ErrorKind::Other).because("the upload has failed before"));
        };
        let closed = self.runtime.block_on(writer.close_dyn());
        closed
            .map(drop)
            .map_err(|error| self.tell.opendal("write", &self.name, error))
    }

    fn is_there(&self) -> bool {
        self.runtime
            .block_on(self.operator.stat(&self.name))
            .is_ok_and(|found| found.content_length() == self.size)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        self.tell.error(kind, "write", &self.name)
    }

    /// Have the store remove the parts. Best effort: what stays is invisible, and removed by a rule of the bucket.
    fn abandon(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        runtime::finish_anywhere(&self.runtime, async move {
            for _ in 0..3 {
                if writer.abort_dyn().await.is_ok() {
                    break;
                }
            }
        });
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Cuts what it is given into parts of equal size.
pub(super) struct PartsWriter {
    upload: Upload,
    part_size: usize,
    part: BytesMut,
}

impl PartsWriter {
    pub(super) fn new(upload: Upload, part_size: usize) -> Self {
        Self {
            upload,
            part_size,
            part: BytesMut::new(),
        }
    }

    fn send(&mut self) -> Result<()> {
        let part = std::mem::take(&mut self.part);
        self.upload.send(part.freeze())
    }
}

impl ObjectWriter for PartsWriter {
    fn write(&mut self, mut content: Bytes) -> Result<()> {
        while !content.is_empty() {
            if self.part.is_empty() {
                self.part.reserve(self.part_size);
            }
            let room = self.part_size - self.part.len();
            self.part.extend_from_slice(&content.split_to(room.min(content.len())));
            if self.part.len() == self.part_size {
                self.send()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        if !self.part.is_empty() {
            self.send()?;
        }
        self.upload.complete()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Location, Options, s3};

    /// A store at a place where nobody listens; nothing is sent to it.
    fn store() -> RemoteStore {
        let Location::S3(location) = "s3:http://127.0.0.1:1/bucket".parse().unwrap() else {
            panic!("not an S3 address")
        };
        let mut options = Options::default();
        options.s3.anonymous = true;
        s3::open(&location, &options).unwrap().remote
    }

    #[test]
    fn more_parts_than_a_store_takes_are_refused() {
        let store = store();
        let mut upload = Upload::begin(&store, "object", 16 << 20, Retry::never()).unwrap();
        upload.parts = MOST_PARTS;
        let error = upload.send(Bytes::from_static(b"one too many")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        assert!(error.source.unwrap().to_string().contains("larger part size"));
        assert!(
            upload.complete().is_err(),
            "an upload with a missing part was completed"
        );
    }
}

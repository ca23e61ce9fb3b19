//! Objects for stores that take each in one request.

use bytes::{Bytes, BytesMut};

use crate::retry::Retry;
use crate::{Error, ErrorKind, ObjectWriter, Result, Store};

/// The most that is collected in memory for one object, bytes. Who writes more has to cut it.
pub(crate) const LARGEST_STREAM: u64 = 64 * 1024 * 1024;

/// Collects an object in memory, and sends it when it is finished. Until then the store knows nothing of it.
pub(crate) struct WholeWriter<S> {
    store: S,
    name: String,
    retry: Retry,
    content: BytesMut,
}

impl<S: Store> WholeWriter<S> {
    pub(crate) fn new(store: S, name: &str, retry: Retry) -> Self {
        Self {
            store,
            name: name.to_owned(),
            retry,
            content: BytesMut::new(),
        }
    }
}

impl<S: Store> ObjectWriter for WholeWriter<S> {
    fn write(&mut self, content: Bytes) -> Result<()> {
        let most = self.store.max_stream_bytes().unwrap_or(LARGEST_STREAM);
        if (self.content.len() + content.len()) as u64 > most {
            let why = format!("the store takes an object in one request, and more than {most} bytes are not collected");
            let error = Error::new(ErrorKind::Misconfigured, "write", &self.name, self.store.location());
            return Err(error.because(why));
        }
        self.content.extend_from_slice(&content);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let content = self.content.freeze();
        let size = content.len() as u64;
        self.retry.run(|| self.store.write(&self.name, content.clone()))?;
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn no_more_is_collected_than_may_be() {
        let mut writer = WholeWriter::new(MemoryStore::new(), "a", Retry::never());
        writer.write(Bytes::from(vec![0; LARGEST_STREAM as usize])).unwrap();
        let error = writer.write(Bytes::from_static(b"1")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
    }
}

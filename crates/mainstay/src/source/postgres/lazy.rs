//! Streams that begin when somebody reads them.

use crate::source::Stream;
use parking_lot::Mutex;
use repository::{Error, Result};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

type Begin = Box<dyn FnOnce() -> Result<Stream> + Send>;
type Finish = Box<dyn FnOnce() -> Result<()> + Send>;

/// The stream that `begin` makes, called by the first read.
pub fn lazily(path: PathBuf, begin: impl FnOnce() -> Result<Stream> + Send + 'static) -> Stream {
    let finish: Arc<Mutex<Option<Finish>>> = Arc::default();
    let reader = Lazy {
        begin: Some(Box::new(begin)),
        reader: None,
        finish: Arc::clone(&finish),
    };
    let finish = move || match finish.lock().take() {
        Some(finish) => finish(),
        None => Err(Error::Verification("a stream ended before it was begun".to_owned())),
    };
    Stream {
        path,
        reader: Box::new(reader),
        finish: Box::new(finish),
    }
}

struct Lazy {
    begin: Option<Begin>,
    reader: Option<Box<dyn Read + Send>>,
    finish: Arc<Mutex<Option<Finish>>>,
}

impl Read for Lazy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(begin) = self.begin.take() {
            let stream = begin().map_err(io::Error::other)?;
            *self.finish.lock() = Some(stream.finish);
            self.reader = Some(stream.reader);
        }
        match &mut self.reader {
            Some(reader) => reader.read(buffer),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

//! Ranges of objects that are asked for over HTTP.

use std::ops::Range;

use bytes::Bytes;

use crate::{Error, ErrorKind, Result, Store};

/// No object is larger than this, the largest number that stores read in a header.
pub(crate) const LARGEST: u64 = i64::MAX as u64;

/// The answer for a range that cannot be put in a header; the object must exist and be long enough. Nothing for all others.
pub(crate) fn without_asking(store: &dyn Store, name: &str, range: &Range<u64>) -> Option<Result<Bytes>> {
    if range.start < range.end && range.end <= LARGEST {
        return None;
    }
    Some(store.stat(name).and_then(|size| {
        if range.start == range.end && range.end <= size {
            Ok(Bytes::new())
        } else {
            Err(Error::new(ErrorKind::Truncated, "read", name, store.location()))
        }
    }))
}

/// `content`, if it is as long as the range that was asked for.
pub(crate) fn exactly(store: &dyn Store, name: &str, range: &Range<u64>, content: Bytes) -> Result<Bytes> {
    let (asked, received) = (range.end - range.start, content.len() as u64);
    if received == asked {
        return Ok(content);
    }
    // With more than asked for, the store has ignored the range.
    let kind = if received < asked {
        ErrorKind::Truncated
    } else {
        ErrorKind::Other
    };
    let why = format!("asked for {asked} bytes, received {received}");
    Err(Error::new(kind, "read", name, store.location()).because(why))
}

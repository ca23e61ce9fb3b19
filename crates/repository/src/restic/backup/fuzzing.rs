//! What only fuzzers reach into.

use super::scan_cache::ScanCache;
use crate::Id;
use std::path::Path;

/// Whether `bytes` are a scan cache of this repository and snapshot; if they are, it is searched.
pub fn open_scan_cache(bytes: Vec<u8>, id: &Id) -> bool {
    let Some(cache) = ScanCache::parse(bytes, id, id, |_| true) else {
        return false;
    };
    for path in ["/", "/a", "/a/b"] {
        std::hint::black_box(cache.find(Path::new(path)));
    }
    true
}

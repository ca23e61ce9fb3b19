//! The scan cache on this host: as it lies there, and with a checksum that fits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::OBJECT;
use repository::restic::backup::fuzzing::open_scan_cache;

fuzz_target!(|data: &[u8]| {
    assert!(!open_scan_cache(data.to_vec(), &OBJECT));

    let mut content = b"MSSCAN01".to_vec();
    content.extend_from_slice(&OBJECT.0);
    content.extend_from_slice(&OBJECT.0);
    content.extend_from_slice(data);
    let checksum = blake3::hash(&content);
    content.extend_from_slice(checksum.as_bytes());
    open_scan_cache(content, &OBJECT);
});

//! What stands around and in a plain archive: manifests, seek tables, indexes, maps of sparse files, members of a tar stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::archive::fuzzing;

fuzz_target!(|data: &[u8]| {
    fuzzing::manifest(data);
    fuzzing::index(data);
    fuzzing::tar(data);
});

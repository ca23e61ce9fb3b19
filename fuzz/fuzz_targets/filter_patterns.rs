//! Patterns of what to leave out, and paths that they are compared with. The first line is the path, each other line a pattern.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::Filter;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

fuzz_target!(|data: &[u8]| {
    let mut lines = data
        .split(|byte| *byte == b'\n')
        .map(|line| OsString::from_vec(line.to_vec()));
    let Some(path) = lines.next().map(PathBuf::from) else {
        return;
    };
    let patterns: Vec<OsString> = lines.collect();
    let filters = [
        patterns
            .iter()
            .fold(Filter::builder(), |builder, pattern| builder.exclude(pattern)),
        patterns
            .iter()
            .fold(Filter::builder(), |builder, pattern| builder.exclude_any_case(pattern)),
        patterns
            .iter()
            .fold(Filter::builder(), |builder, pattern| builder.include(pattern)),
    ];
    for filter in filters {
        let Ok(filter) = filter.build() else { continue };
        filter.excludes(&path, false);
        if filter.includes(&path) {
            let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
            above.for_each(|above| assert!(filter.may_include_below(above), "{}", above.display()));
        }
    }
});

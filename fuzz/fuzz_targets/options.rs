//! Values that people write on the command line: sizes, spans of time, counts, parts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::restic::check::ReadSubset;
use repository::restic::compress::Compression;
use repository::restic::prune::MaxUnused;
use repository::retention::{Count, Duration, GroupBy};

fuzz_target!(|text: &str| {
    if let Ok(size) = repository::parse_size(text) {
        assert_eq!(repository::parse_size(&size.to_string()), Ok(size));
    }
    if let Ok(duration) = text.parse::<Duration>() {
        assert_eq!(duration.to_string().parse::<Duration>().ok(), Some(duration));
    }
    if let Ok(max) = text.parse::<MaxUnused>() {
        max.limit(u64::MAX);
        max.limit(0);
    }
    if let Ok(ReadSubset::Percent(percent)) = text.parse() {
        assert!(percent > 0.0 && percent <= 100.0);
    }
    let _: Result<Count, _> = text.parse();
    let _: Result<GroupBy, _> = text.parse();
    let _: Result<Compression, _> = text.parse();
});

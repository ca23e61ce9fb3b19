//! The config: with its polynomial, files are then cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::restic::chunker::{Chunker, MAX_SIZE, MIN_SIZE};
use repository::restic::config::Config;
use std::sync::OnceLock;

fuzz_target!(|data: &[u8]| {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    let Ok(config) = Config::parse(data) else { return };
    let json = serde_json::to_vec(&config).expect("a config can be written");
    let again = Config::parse(&json).expect("what was written can be read");
    assert_eq!((again.id, again.chunker()), (config.id, config.chunker()));

    let content = CONTENT.get_or_init(|| {
        (0..MIN_SIZE as u32 + 4096)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    });
    let length = Chunker::new(&config).cut(content);
    assert!((MIN_SIZE..=MAX_SIZE.min(content.len())).contains(&length));
});

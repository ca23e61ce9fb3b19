//! Names of entries in Go's quoting: any bytes survive it, and what it accepts means one name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::restic::gojson::{push_string, quote, unquote};

fuzz_target!(|data: &[u8]| {
    let quoted = quote(data);
    assert_eq!(unquote(&quoted).as_deref(), Some(data));

    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(name) = unquote(text) {
        assert_eq!(unquote(&quote(&name)), Some(name.clone()));
    }
    let mut json = Vec::new();
    push_string(&mut json, text);
    assert_eq!(serde_json::from_slice::<String>(&json).expect("it is JSON"), text);
});

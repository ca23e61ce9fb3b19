//! Key files. They are not authenticated: whoever can write to the store can put one there, and every `open` tries it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::OBJECT;
use repository::restic::crypto::Key;
use repository::restic::key::KeyFile;
use serde_json::Value;
use std::sync::OnceLock;

fuzz_target!(|data: &[u8]| {
    open_within_bounds(data);
    open_with_the_password(data);
});

/// The file as the store has it.
fn open_within_bounds(stored: &[u8]) {
    let Ok(file) = KeyFile::parse(&OBJECT, stored) else {
        return;
    };
    let Ok(json) = serde_json::from_slice::<Value>(stored) else {
        return;
    };
    let number = |name: &str| u128::from(json[name].as_u64().unwrap_or(0));
    let cost = number("N").max(1) * number("r").max(1) * number("p").max(1);
    let memory = 128 * number("r") * (number("N") + number("p"));
    // What lies between is allowed and takes seconds: not for a fuzzer.
    if memory > 64 << 30 {
        assert!(file.open(b"secret").is_err());
    } else if cost < 1 << 10 {
        let _: Result<Option<Key>, _> = file.open(b"secret");
    }
}

/// The master key within, as somebody who knows the password may have written it.
fn open_with_the_password(data: &[u8]) {
    static KEY: OnceLock<Key> = OnceLock::new();
    let sealed = KEY.get_or_init(password_key).seal(data);
    let stored = serde_json::json!({
        "created": "2026-01-02T03:04:05Z", "kdf": "scrypt", "N": 2, "r": 1, "p": 1, "salt": "", "data": base64(&sealed),
    });
    let file = KeyFile::parse(&OBJECT, stored.to_string().as_bytes()).expect("a key file");
    if let Ok(master) = file.open(b"secret") {
        let master = master.expect("it was sealed for this password");
        assert_eq!(master.open(&master.seal(data)).as_deref(), Ok(data));
    }
}

fn password_key() -> Key {
    let mut derived = [0; 64];
    let params = scrypt::Params::new(1, 1, 1).expect("valid parameters");
    scrypt::scrypt(b"secret", b"", &params, &mut derived).expect("a valid length");
    Key::from_bytes(&derived)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |three: &[u8]| {
        let bits = three
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let digit = |n: usize| {
            if n <= three.len() {
                DIGITS[(bits >> (18 - 6 * n)) as usize & 63]
            } else {
                b'='
            }
        };
        [0, 1, 2, 3].map(|n| char::from(digit(n)))
    };
    bytes.chunks(3).flat_map(digits).collect()
}

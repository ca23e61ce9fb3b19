//! Headers of packs: as they lie in the store, and (sealed first) as somebody with the key may have written them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::{OBJECT, key};
use repository::restic::pack::{self, PackedBlob};

fuzz_target!(|data: &[u8]| {
    let key = key();
    // Not sealed with the key, so nothing can be in it.
    assert!(pack::parse(&key, &OBJECT, data).is_err());

    // Entries are 37 or 41 bytes; the blobs end where the sum of their lengths says.
    let lengths = plain_lengths(data);
    let sealed = key.seal(data);
    let parsed = pack::parse_header(&key, &OBJECT, &sealed, lengths);
    let Ok(blobs) = parsed else { return };
    assert_eq!(written(&blobs), data);
});

/// Where the header begins in a pack with the blobs that `header` lists, as far as it is valid.
fn plain_lengths(mut header: &[u8]) -> u64 {
    let mut sum = 0;
    while let [kind, l0, l1, l2, l3, ..] = *header {
        sum += u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        let entry = if kind < 2 { 37 } else { 41 };
        header = header.get(entry..).unwrap_or_default();
    }
    sum
}

fn written(blobs: &[PackedBlob]) -> Vec<u8> {
    let trailer = pack::trailer(&key(), blobs);
    let sealed = &trailer[..trailer.len() - 4];
    key().open(sealed).expect("it was sealed with this key")
}

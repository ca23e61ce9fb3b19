//! Blobs: sealed with the key, but with whatever length an index claims, and compressed or not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::{key, take_number};
use repository::Id;
use repository::restic::compress::Opener;
use repository::restic::pack::{BlobKind, PackedBlob};

fuzz_target!(|data: &[u8]| {
    let Some((claimed, content)) = take_number(data) else {
        return;
    };
    let sealed = key().seal(content);
    let mut opener = Opener::new().expect("a context");
    let mut plain = Vec::new();
    let blob = |uncompressed_length| PackedBlob {
        id: Id::hash(content),
        kind: BlobKind::Data,
        offset: 0,
        length: sealed.len() as u32,
        uncompressed_length,
    };
    opener
        .open(&key(), &blob(None), &sealed, &mut plain)
        .expect("it is what its name says");
    assert_eq!(plain, content);

    let length = claimed as u32 >> (claimed >> 32 & 31);
    if opener.open(&key(), &blob(Some(length)), &sealed, &mut plain).is_ok() {
        assert_eq!(Id::hash(&plain), Id::hash(content));
    }
    // As it lies in the store: not sealed with the key.
    assert!(
        opener
            .open(
                &key(),
                &PackedBlob {
                    length: content.len() as u32,
                    ..blob(None)
                },
                content,
                &mut plain
            )
            .is_err()
    );
});

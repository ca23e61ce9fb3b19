//! Index files, and the table that is made from what they say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::OBJECT;
use repository::restic::index::Index;
use repository::restic::index::file::IndexFile;
use repository::restic::pack::PackedBlob;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = IndexFile::parse(&OBJECT, data) else {
        return;
    };
    let json = file.to_json();
    let again = IndexFile::parse(&OBJECT, &json).expect("what was written can be read");
    assert_eq!(again.to_json(), json);

    let index = Index::load(&OBJECT, &[OBJECT], None, |_| Ok(file.clone())).expect("an index in memory");
    for pack in &file.packs {
        for blob in pack.blobs.iter().map(|blob| PackedBlob::from(*blob)) {
            let mut places = index.find_all(blob.kind, &blob.id);
            let known = places.any(|place| place.pack == pack.id && place.blob == blob);
            // Of a pack that is listed twice in the same length, the first description counts.
            assert!(
                known || file.packs.iter().filter(|other| other.id == pack.id).count() > 1,
                "{blob:?}"
            );
        }
    }
    assert_eq!(index.iter().count(), index.len());
});

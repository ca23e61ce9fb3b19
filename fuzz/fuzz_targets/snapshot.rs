//! Snapshots. Rewriting one (its tags, its tree) must keep what other programs wrote into it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::restic::snapshot::Snapshot;

fuzz_target!(|data: &[u8]| {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else {
        return;
    };
    assert!(snapshot.is_incomplete() == snapshot.mainstay_problems.is_some_and(|problems| problems > 0));
    let json = serde_json::to_vec(&snapshot).expect("a snapshot can be written");
    let again: Snapshot = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(again.time, snapshot.time);
    assert_eq!(again.tree, snapshot.tree);
    assert_eq!(again.tags(), snapshot.tags());
    assert_eq!(serde_json::to_vec(&again).expect("a snapshot can be written"), json);
});

//! Locks.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repository::restic::lock::LockFile;

fuzz_target!(|data: &[u8]| {
    let Ok(lock) = serde_json::from_slice::<LockFile>(data) else {
        return;
    };
    assert!(!lock.holder().is_empty());
    lock.is_stale();
    let json = serde_json::to_vec(&lock).expect("a lock can be written");
    let again: LockFile = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(
        (again.time, again.exclusive, again.pid),
        (lock.time, lock.exclusive, lock.pid)
    );
});

//! Directories. What was parsed and written must be the same when it is parsed and written again, and no name may lead out of its
//! directory.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::OBJECT;
use repository::restic::tree::Tree;
use std::os::unix::ffi::OsStrExt;

fuzz_target!(|data: &[u8]| {
    let Ok(tree) = Tree::parse(&OBJECT, data) else { return };
    for node in &tree.nodes {
        let name = node.name.as_bytes();
        assert!(!name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0));
        assert!(tree.find(&node.name).is_some());
    }
    let json = tree.to_json();
    let again = Tree::parse(&OBJECT, &json).expect("what was written can be read");
    assert_eq!(again.nodes.len(), tree.nodes.len());
    assert_eq!(again.to_json(), json);
});

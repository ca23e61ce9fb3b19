//! SHA-256 of several contents at the same time.
//!
//! A processor with instructions for SHA-256 spends most of the time waiting for the result of the last one. While it waits, it can work on
//! another content: two take little longer than one.

mod lanes;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use lanes::{Block, Running};

use crate::Id;

/// The ids of `contents`, in their order.
pub fn hash_each(contents: &[&[u8]]) -> Vec<Id> {
    lanes::side_by_side(contents, update_both)
}

/// Work the next blocks into two hashes, as many into each.
pub fn update_both(running: [&mut Running; 2], blocks: [&[Block]; 2]) {
    debug_assert_eq!(blocks[0].len(), blocks[1].len());
    #[cfg(target_arch = "x86_64")]
    if let Some(two) = x86::Two::detect() {
        let [first, second] = running;
        two.compress([&mut first.state, &mut second.state], blocks);
        first.count(blocks[0]);
        second.count(blocks[1]);
        return;
    }
    for (running, blocks) in running.into_iter().zip(blocks) {
        running.update(blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::lanes::side_by_side;
    use super::*;

    #[test]
    fn several_together_are_what_each_is_alone() {
        let mut random = fastrand::Rng::with_seed(1);
        let lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 100_000];
        for count in [0, 1, 2, 3, 50] {
            let contents: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let length = lengths[random.usize(..lengths.len())];
                    (0..length).map(|_| random.u8(..)).collect()
                })
                .collect();
            let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
            let alone: Vec<Id> = contents.iter().map(|content| Id::hash(content)).collect();
            assert_eq!(hash_each(&contents), alone);
        }
    }

    /// Also where the instructions are missing.
    #[test]
    fn lanes_of_one_kind_take_over_from_each_other() {
        let work_in = |running: [&mut Running; 2], blocks: [&[Block]; 2]| {
            assert_eq!(blocks[0].len(), blocks[1].len());
            for (running, blocks) in running.into_iter().zip(blocks) {
                running.update(blocks);
            }
        };
        let contents: Vec<Vec<u8>> = (0..200_usize).map(|length| vec![length as u8; length * 3]).collect();
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let alone: Vec<Id> = contents.iter().map(|content| Id::hash(content)).collect();
        assert_eq!(side_by_side(&contents, work_in), alone);
    }
}

//! Contents that take turns in two places.

use crate::Id;

pub(super) type Block = [u8; 64];
pub(super) type State = [u32; 8];

/// FIPS 180-4, 5.3.3.
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A content under way.
struct Lane<'a> {
    number: usize,
    content: &'a [u8],
    state: State,
    /// Whole blocks that are left.
    blocks: &'a [Block],
}

impl<'a> Lane<'a> {
    fn begin((number, content): (usize, &&'a [u8])) -> Self {
        Self {
            number,
            content,
            state: INITIAL,
            blocks: content.as_chunks().0,
        }
    }

    /// What is left is done alone, with the padding of FIPS 180-4, 5.1.1.
    fn finish(mut self, ids: &mut [Id]) {
        sha2::block_api::compress256(&mut self.state, self.blocks);
        let (_, rest) = self.content.as_chunks::<64>();
        let mut last = [0; 128];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        let length = if rest.len() < 56 { 64 } else { 128 };
        let bits = 8 * self.content.len() as u64;
        last[length - 8..length].copy_from_slice(&bits.to_be_bytes());
        sha2::block_api::compress256(&mut self.state, last[..length].as_chunks().0);
        for (bytes, word) in ids[self.number].0.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
    }
}

/// Two at a time; whichever ends makes room for the next.
pub(super) fn side_by_side(contents: &[&[u8]], compress: impl Fn([&mut State; 2], [&[Block]; 2])) -> Vec<Id> {
    let mut ids = vec![Id::default(); contents.len()];
    let mut waiting = contents.iter().enumerate().map(Lane::begin);
    let mut alone = waiting.next();
    while let Some(mut first) = alone.take() {
        let Some(mut second) = waiting.next() else {
            first.finish(&mut ids);
            break;
        };
        let common = first.blocks.len().min(second.blocks.len());
        let (firsts, seconds) = (first.blocks.split_at(common), second.blocks.split_at(common));
        compress([&mut first.state, &mut second.state], [firsts.0, seconds.0]);
        (first.blocks, second.blocks) = (firsts.1, seconds.1);
        let (ended, other) = if first.blocks.is_empty() {
            (first, second)
        } else {
            (second, first)
        };
        ended.finish(&mut ids);
        alone = Some(other);
    }
    ids
}

//! Contents that take turns in two places.

use crate::Id;

/// What SHA-256 works in at once.
pub type Block = [u8; 64];
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

/// The hash of a content of which some whole blocks are worked in.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    pub(super) state: State,
    /// Bytes worked in.
    pub(super) length: u64,
}

impl Default for Running {
    fn default() -> Self {
        Self {
            state: INITIAL,
            length: 0,
        }
    }
}

impl Running {
    /// The hash of the content, of which `rest` is what has not been worked in.
    pub fn finish(mut self, rest: &[u8]) -> Id {
        let (blocks, rest) = rest.as_chunks();
        self.update(blocks);
        // The padding of FIPS 180-4, 5.1.1.
        let mut last = [0; 128];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        let length = if rest.len() < 56 { 64 } else { 128 };
        let bits = 8 * (self.length + rest.len() as u64);
        last[length - 8..length].copy_from_slice(&bits.to_be_bytes());
        sha2::block_api::compress256(&mut self.state, last[..length].as_chunks().0);
        let mut id = Id::default();
        for (bytes, word) in id.0.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        id
    }

    /// Work in the next blocks.
    pub fn update(&mut self, blocks: &[Block]) {
        sha2::block_api::compress256(&mut self.state, blocks);
        self.count(blocks);
    }

    pub(super) fn count(&mut self, blocks: &[Block]) {
        self.length += size_of_val(blocks) as u64;
    }
}

/// A content under way.
struct Lane<'a> {
    number: usize,
    running: Running,
    /// What is left of it.
    rest: &'a [u8],
}

impl<'a> Lane<'a> {
    fn begin((number, content): (usize, &&'a [u8])) -> Self {
        Self {
            number,
            running: Running::default(),
            rest: content,
        }
    }

    fn blocks(&self) -> usize {
        self.rest.len() / size_of::<Block>()
    }

    /// Take the next `count` blocks.
    fn take(&mut self, count: usize) -> &'a [Block] {
        let (blocks, rest) = self.rest.split_at(count * size_of::<Block>());
        self.rest = rest;
        blocks.as_chunks().0
    }

    /// What is left is done alone.
    fn finish(self, ids: &mut [Id]) {
        ids[self.number] = self.running.finish(self.rest);
    }
}

/// Two at a time; whichever ends makes room for the next.
pub(super) fn side_by_side(contents: &[&[u8]], work_in: impl Fn([&mut Running; 2], [&[Block]; 2])) -> Vec<Id> {
    let mut ids = vec![Id::default(); contents.len()];
    let mut waiting = contents.iter().enumerate().map(Lane::begin);
    let mut alone = waiting.next();
    while let Some(mut first) = alone.take() {
        let Some(mut second) = waiting.next() else {
            first.finish(&mut ids);
            break;
        };
        let common = first.blocks().min(second.blocks());
        let blocks = [first.take(common), second.take(common)];
        work_in([&mut first.running, &mut second.running], blocks);
        let (ended, other) = if first.blocks() == 0 {
            (first, second)
        } else {
            (second, first)
        };
        ended.finish(&mut ids);
        alone = Some(other);
    }
    ids
}

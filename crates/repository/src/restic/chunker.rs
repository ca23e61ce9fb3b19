//! Cutting content into blobs at places that the content itself chooses.

use super::config::{ChunkerKind, Config};
use super::polynomial::Polynomial;
use fastcdc::v2020::{Normalization, get_gear_with_seed, select_masks};

/// Files shorter than this are one blob.
pub const MIN_SIZE: usize = 512 << 10;
/// What the expected length of a blob is made from: a cut is found every 2^20 bytes on average behind the minimum.
const AVERAGE_SIZE: usize = 1 << 20;
/// No blob is longer.
pub const MAX_SIZE: usize = 8 << 20;

/// Finds where the next blob ends.
pub enum Chunker {
    /// For repositories that Mainstay made.
    FastCdc(Box<FastCdc>),
    /// For repositories that restic made.
    Rabin(Box<Rabin>),
}

/// How far the search for the end of one blob has come.
#[derive(Default)]
pub struct Search {
    /// Where it goes on; before the minimum if it has not begun.
    at: usize,
    hash: u64,
}

impl Chunker {
    /// The one that `config` asks for.
    pub fn new(config: &Config) -> Self {
        match config.chunker() {
            ChunkerKind::FastCdc => Self::FastCdc(Box::default()),
            ChunkerKind::Rabin => Self::Rabin(Box::new(Rabin::new(config.chunker_polynomial))),
        }
    }

    /// Length of the blob that `content` begins with, or `None` if that lies behind what is there of it.
    ///
    /// A search goes on where it stopped when there is more content.
    pub fn find(&self, search: &mut Search, content: &[u8]) -> Option<usize> {
        if content.len() <= MIN_SIZE {
            return None;
        }
        let within = &content[..content.len().min(MAX_SIZE)];
        let found = match self {
            Self::FastCdc(gear) => gear.find(search, within),
            Self::Rabin(rabin) => rabin.find(search, within),
        };
        found.or((within.len() == MAX_SIZE).then_some(MAX_SIZE))
    }

    /// Length of the blob that `content` begins with if nothing follows it.
    pub fn cut(&self, content: &[u8]) -> usize {
        self.find(&mut Search::default(), content).unwrap_or(content.len())
    }
}

/// FastCDC as the crate `fastcdc` cuts, in its version of 2020, with normalization 1; the test compares.
///
/// The crate waits for one sum after the other, and begins anew whenever there is more content.
pub struct FastCdc {
    gear: [u64; 256],
    /// Up to the average length, and behind it.
    masks: [u64; 2],
}

/// Places that are searched side by side.
const LANES: usize = 4;
/// Bytes of each.
const LANE: usize = 4 << 10;
/// What lies further back than this does not change the hash: it has been shifted out.
const MEMORY: usize = 64;

impl Default for FastCdc {
    fn default() -> Self {
        let (gear, _) = get_gear_with_seed(0);
        let (strict, relaxed) = select_masks(AVERAGE_SIZE, Normalization::Level1);
        Self {
            gear: std::array::from_fn(|byte| gear[byte]),
            masks: [strict, relaxed],
        }
    }
}

impl FastCdc {
    fn append(&self, hash: u64, byte: u8) -> u64 {
        (hash << 1).wrapping_add(self.gear[usize::from(byte)])
    }

    fn find(&self, search: &mut Search, content: &[u8]) -> Option<usize> {
        search.at = search.at.max(MIN_SIZE);
        // The crate looks at whole pairs of bytes.
        let end = content.len() & !1;
        let stretches = [AVERAGE_SIZE, MAX_SIZE].map(|limit| &content[..end.min(limit)]);
        let mut stretches = stretches.into_iter().zip(self.masks);
        stretches.find_map(|(content, mask)| self.scan(search, content, mask))
    }

    fn scan(&self, search: &mut Search, content: &[u8], mask: u64) -> Option<usize> {
        while let Some(rest) = content.get(search.at..).filter(|rest| !rest.is_empty()) {
            let (lanes, _) = rest.as_chunks::<LANE>();
            if let Some(lanes) = lanes.first_chunk::<LANES>()
                && let Some(hash) = self.pass(search.hash, lanes, mask)
            {
                search.hash = hash;
                search.at += LANES * LANE;
                continue;
            }
            for byte in &rest[..rest.len().min(LANES * LANE)] {
                search.hash = self.append(search.hash, *byte);
                if search.hash & mask == 0 {
                    return Some(search.at);
                }
                search.at += 1;
            }
        }
        None
    }

    /// The hash behind all lanes, or `None` if there is a cut in one of them.
    fn pass(&self, hash: u64, lanes: &[[u8; LANE]; LANES], mask: u64) -> Option<u64> {
        let before = |lane: &[u8; LANE]| {
            lane[LANE - MEMORY..]
                .iter()
                .fold(0, |hash, byte| self.append(hash, *byte))
        };
        let [first, second, third, fourth] = lanes;
        let mut hashes = [hash, before(first), before(second), before(third)];
        for at in 0..LANE {
            for (hash, byte) in hashes.iter_mut().zip([first[at], second[at], third[at], fourth[at]]) {
                *hash = self.append(*hash, byte);
                if *hash & mask == 0 {
                    return None;
                }
            }
        }
        Some(hashes[LANES - 1])
    }
}

/// restic's chunker: the Rabin fingerprint of the last 64 bytes decides.
///
/// Source: the package `github.com/restic/chunker`; the test compares with a real restic.
pub struct Rabin {
    /// What a byte contributed when it entered the window 64 bytes ago.
    out: [u64; 256],
    /// Reduction of the fingerprint by its eight highest bits.
    reduce: [u64; 256],
    shift: u32,
}

const WINDOW: usize = 64;
const SPLIT_MASK: u64 = AVERAGE_SIZE as u64 - 1;

impl Rabin {
    /// Tables for a polynomial; 256 × 2 entries, some microseconds.
    pub fn new(polynomial: Polynomial) -> Self {
        let degree = polynomial.degree();
        let append = |hash: u64, byte: u64| Polynomial(hash << 8 | byte).modulo(polynomial).0;
        let mut out = [0; 256];
        let mut reduce = [0; 256];
        for byte in 0..256_u64 {
            out[byte as usize] = (1..WINDOW).fold(append(0, byte), |hash, _| append(hash, 0));
            let high = byte << degree;
            reduce[byte as usize] = Polynomial(high).modulo(polynomial).0 | high;
        }
        // restic draws polynomials of degree 53. One of a degree below 8 cuts badly, but that is no reason not to read a repository.
        let shift = degree.saturating_sub(8);
        Self { out, reduce, shift }
    }

    fn find(&self, search: &mut Search, content: &[u8]) -> Option<usize> {
        let append = |digest: u64, byte: u8| {
            let high = (digest >> self.shift) as usize & 0xff;
            (digest << 8 | u64::from(byte)) ^ self.reduce[high]
        };
        if search.at < MIN_SIZE {
            let before = &content[MIN_SIZE - WINDOW..MIN_SIZE];
            search.at = MIN_SIZE;
            search.hash = before.iter().fold(0, |digest, byte| append(digest, *byte));
            if search.hash & SPLIT_MASK == 0 {
                return Some(MIN_SIZE);
            }
        }
        let leaving = &content[search.at - WINDOW..content.len() - WINDOW];
        for (leaving, entering) in leaving.iter().zip(&content[search.at..]) {
            search.hash = append(search.hash ^ self.out[usize::from(*leaving)], *entering);
            search.at += 1;
            if search.hash & SPLIT_MASK == 0 {
                return Some(search.at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(chunker: &Chunker, mut content: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !content.is_empty() {
            let (blob, rest) = content.split_at(chunker.cut(content));
            lengths.push(blob.len());
            content = rest;
        }
        lengths
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(23);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    }

    fn chunkers() -> [Chunker; 2] {
        [
            Chunker::FastCdc(Box::default()),
            Chunker::Rabin(Box::new(Rabin::new(Polynomial(0x3da3358b4dc173)))),
        ]
    }

    #[test]
    fn lengths_stay_within_bounds() {
        for chunker in chunkers() {
            for content in [noise(40 << 20), vec![0; 20 << 20]] {
                let lengths = lengths(&chunker, &content);
                let (last, others) = lengths.split_last().unwrap();
                assert!(others.iter().all(|length| (MIN_SIZE..=MAX_SIZE).contains(length)));
                assert!(*last <= MAX_SIZE);
                assert_eq!(lengths.iter().sum::<usize>(), content.len());
            }
        }
    }

    #[test]
    fn short_content_is_one_blob() {
        for chunker in chunkers() {
            for length in [0, 1, MIN_SIZE - 1, MIN_SIZE] {
                assert_eq!(chunker.cut(&noise(length)), length);
            }
        }
    }

    /// Text in which cuts are rare, noise, and runs of one byte.
    fn mixed(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(5);
        let mut content = Vec::new();
        while content.len() < length {
            let stretch = random.usize(1..3 << 20);
            match random.u8(..3) {
                0 => content.resize(content.len() + stretch, random.u8(..)),
                1 => content.extend((0..stretch).map(|_| random.u8(b'a'..=b'f'))),
                _ => content.extend((0..stretch).map(|_| random.u8(..))),
            }
        }
        content.truncate(length);
        content
    }

    #[test]
    fn cuts_where_the_crate_cuts() {
        let chunker = Chunker::FastCdc(Box::default());
        let content = mixed((60 << 20) + 1);
        let (mut start, mut cuts) = (0, 0);
        while start < content.len() {
            // Also contents that end within a pair of bytes.
            for rest in [
                &content[start..],
                &content[start..content.len().min(start + (700 << 10) + cuts % 2)],
            ] {
                let theirs = fastcdc::v2020::FastCDC::new(rest, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE);
                assert_eq!(chunker.cut(rest), theirs.cut(0, rest.len()).1, "{start}");
            }
            start += chunker.cut(&content[start..]);
            cuts += 1;
        }
        assert!(cuts > 20);
    }

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        let mut random = fastrand::Rng::with_seed(7);
        let content = mixed(40 << 20);
        for chunker in chunkers() {
            let mut start = 0;
            while start < content.len() {
                let rest = &content[start..];
                let (mut search, mut known) = (Search::default(), 0);
                let found = loop {
                    match chunker.find(&mut search, &rest[..known]) {
                        None if known < rest.len() => known = rest.len().min(known + random.usize(1..400_000)),
                        found => break found.unwrap_or(known),
                    }
                };
                assert_eq!(found, chunker.cut(rest), "{start}");
                start += found;
            }
        }
    }

    #[test]
    fn an_insertion_changes_blobs_near_it_only() {
        for chunker in chunkers() {
            let before = noise(40 << 20);
            let mut after = before.clone();
            after.splice(20 << 20..20 << 20, [1; 1000]);
            let ends = |content: &[u8]| {
                lengths(&chunker, content)
                    .into_iter()
                    .scan(0, |end, length| {
                        *end += length;
                        Some(*end)
                    })
                    .collect::<Vec<_>>()
            };
            let (before_ends, after_ends) = (ends(&before), ends(&after));
            let common = before_ends
                .iter()
                .filter(|end| after_ends.contains(&(**end + 1000)))
                .count();
            let late = before_ends.iter().filter(|end| **end > 30 << 20).count();
            assert!(common >= late && late > 0, "{common} {late}");
        }
    }

    /// Where restic's chunker cuts the test data of its own test suite, with the polynomial of that suite.
    #[test]
    fn rabin_of_zeros_cuts_at_the_minimum() {
        let [_, rabin] = chunkers();
        assert_eq!(rabin.cut(&vec![0; 32 << 20]), MIN_SIZE);
    }

    #[test]
    fn odd_polynomials_cut_somewhere() {
        for polynomial in [0b111, 0b1011, 0x11b, 1 << 62 | 1] {
            let content = noise(MIN_SIZE + 1000);
            let chunker = Chunker::Rabin(Box::new(Rabin::new(Polynomial(polynomial))));
            assert!((MIN_SIZE..=content.len()).contains(&chunker.cut(&content)));
        }
    }
}

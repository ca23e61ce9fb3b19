//! Cutting content into blobs at places that the content itself chooses.

use super::config::{ChunkerKind, Config};
use super::polynomial::Polynomial;
use fastcdc::v2020::FastCDC;

/// Files shorter than this are one blob.
pub const MIN_SIZE: usize = 512 << 10;
/// What the expected length of a blob is made from: a cut is found every 2^20 bytes on average behind the minimum.
const AVERAGE_SIZE: usize = 1 << 20;
/// No blob is longer.
pub const MAX_SIZE: usize = 8 << 20;

/// Finds where the next blob ends.
pub enum Chunker {
    /// For repositories that Mainstay made.
    FastCdc,
    /// For repositories that restic made.
    Rabin(Box<Rabin>),
}

impl Chunker {
    /// The one that `config` asks for.
    pub fn new(config: &Config) -> Self {
        match config.chunker() {
            ChunkerKind::FastCdc => Self::FastCdc,
            ChunkerKind::Rabin => Self::Rabin(Box::new(Rabin::new(config.chunker_polynomial))),
        }
    }

    /// Length of the blob that `content` begins with.
    ///
    /// If that is all of `content`, and `content` is shorter than [`MAX_SIZE`] and does not reach to the end of the file, the cut may
    /// lie further on.
    pub fn cut(&self, content: &[u8]) -> usize {
        if content.len() <= MIN_SIZE {
            return content.len();
        }
        match self {
            Self::FastCdc => {
                FastCDC::new(content, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE)
                    .cut(0, content.len())
                    .1
            }
            Self::Rabin(rabin) => rabin.cut(content),
        }
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

    fn cut(&self, content: &[u8]) -> usize {
        let end = content.len().min(MAX_SIZE);
        let append = |digest: u64, byte: u8| {
            let high = (digest >> self.shift) as usize & 0xff;
            (digest << 8 | u64::from(byte)) ^ self.reduce[high]
        };
        let mut digest = content[MIN_SIZE - WINDOW..MIN_SIZE]
            .iter()
            .fold(0, |digest, byte| append(digest, *byte));
        if digest & SPLIT_MASK == 0 {
            return MIN_SIZE;
        }
        let leaving = &content[MIN_SIZE - WINDOW..end - WINDOW];
        for (at, (leaving, entering)) in leaving.iter().zip(&content[MIN_SIZE..end]).enumerate() {
            digest = append(digest ^ self.out[usize::from(*leaving)], *entering);
            if digest & SPLIT_MASK == 0 {
                return MIN_SIZE + at + 1;
            }
        }
        end
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
            Chunker::FastCdc,
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
        let rabin = Rabin::new(Polynomial(0x3da3358b4dc173));
        assert_eq!(rabin.cut(&vec![0; 32 << 20]), MIN_SIZE);
    }

    #[test]
    fn odd_polynomials_cut_somewhere() {
        for polynomial in [0b111, 0b1011, 0x11b, 1 << 62 | 1] {
            let content = noise(MIN_SIZE + 1000);
            assert!((MIN_SIZE..=content.len()).contains(&Rabin::new(Polynomial(polynomial)).cut(&content)));
        }
    }
}

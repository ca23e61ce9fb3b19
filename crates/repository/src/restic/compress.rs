//! Compression of blobs: contexts that are reused, a level that adapts, and data that does not compress.

use super::crypto::{Key, OVERHEAD};
use super::pack::{BlobKind, PackedBlob};
use crate::{Error, Id, Result};
use std::sync::atomic::{AtomicI32, Ordering};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, Strategy};

/// How much effort goes into compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// None.
    Off,
    /// The quickest level.
    Fast,
    /// Between 2 and 6, whichever keeps both the processor and the store busy.
    #[default]
    Auto,
    /// The highest level that is still reasonable.
    Max,
    /// A zstd level from 1 to 19.
    Level(i32),
}

/// The text is not a compression.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not one of off, fast, auto, max, or a zstd level from 1 to 19")]
pub struct UnknownCompression(String);

impl std::str::FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, UnknownCompression> {
        Ok(match text {
            "off" => Self::Off,
            "fast" | "fastest" => Self::Fast,
            "auto" => Self::Auto,
            "max" | "better" => Self::Max,
            other => match other.parse() {
                Ok(level @ 1..=19) => Self::Level(level),
                _ => return Err(UnknownCompression(other.to_owned())),
            },
        })
    }
}

/// The level in use, shared by all workers of a backup.
#[derive(Debug)]
pub struct Level {
    compression: Compression,
    current: AtomicI32,
}

/// Level 1 would store 4 to 8 % more and save a tenth of the time.
const AUTO_LEVELS: std::ops::RangeInclusive<i32> = 2..=6;

impl Level {
    /// Where `compression` starts.
    pub fn new(compression: Compression) -> Self {
        let start = match compression {
            Compression::Off => 0,
            Compression::Fast => 1,
            Compression::Auto => *AUTO_LEVELS.start(),
            Compression::Max => 15,
            Compression::Level(level) => level,
        };
        Self {
            compression,
            current: AtomicI32::new(start),
        }
    }

    /// `None` if nothing is to be compressed.
    fn get(&self) -> Option<i32> {
        (self.compression != Compression::Off).then(|| self.current.load(Ordering::Relaxed))
    }

    /// `waiting` is the part of their time, from 0 to 1, that workers have lately waited for the store. A store that is slower than they are
    /// makes time for more effort; one that only sometimes keeps them waiting does not.
    pub fn adapt(&self, waiting: f64) {
        let step = match waiting {
            _ if self.compression != Compression::Auto => return,
            idle if idle > MUCH_WAITING => 1,
            busy if busy < LITTLE_WAITING => -1,
            _ => return,
        };
        let next = (self.current.load(Ordering::Relaxed) + step).clamp(*AUTO_LEVELS.start(), *AUTO_LEVELS.end());
        self.current.store(next, Ordering::Relaxed);
    }
}

/// Between these nothing changes: a level more takes about half as long again.
const LITTLE_WAITING: f64 = 0.1;
const MUCH_WAITING: f64 = 0.4;

/// A compressor for content of about one length; it is made anew when the level changes.
#[derive(Default)]
struct Tuned(Option<(i32, Compressor<'static>)>);

/// From this length on zstd itself counts content as large, bytes.
const LARGE: usize = 256 << 10;

impl Tuned {
    fn at(&mut self, level: i32, is_large: bool) -> Result<&mut Compressor<'static>> {
        let fits = self.0.take().filter(|(of, _)| *of == level);
        let kept = match fits {
            Some(kept) => kept,
            None => (level, compressor(level, is_large).map_err(zstd_error)?),
        };
        Ok(&mut self.0.insert(kept).1)
    }
}

/// At level 2, only longer matches, from a window that fits the processor's cache, and always the quickest way to find them: a tenth to
/// a quarter of the time less, to compress and to decompress, for 1 % more. See `docs/decisions/0005-compression-levels.md`.
fn compressor(level: i32, is_large: bool) -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    if level == 2 {
        compressor.set_parameter(CParameter::Strategy(Strategy::ZSTD_fast))?;
        compressor.set_parameter(CParameter::MinMatch(if is_large { 7 } else { 6 }))?;
        // 0 leaves it to zstd.
        compressor.set_parameter(CParameter::WindowLog(if is_large { 18 } else { 0 }))?;
    }
    Ok(compressor)
}

/// Compresses, seals and verifies blobs; each thread has one.
pub struct Sealer<'a> {
    level: &'a Level,
    /// For small content and for large.
    compressors: [Tuned; 2],
    prober: Compressor<'static>,
    decompressor: Decompressor<'static>,
    compressed: Vec<u8>,
    check: Vec<u8>,
}

/// More memory than this is given back when a blob is done, bytes: one in fifty needs more.
pub const KEPT: usize = 3 << 20;
/// Shorter than this, the zstd frame costs more than it saves.
const WORTH_COMPRESSING: usize = 64;
/// Content from this length on is probed before it is compressed.
const WORTH_PROBING: usize = 64 << 10;
/// Bytes of each probe.
const PROBE: usize = 4 << 10;
/// There are three probes, and one more for as many bytes each: content may be of several kinds.
const PROBE_INTERVAL: usize = 128 << 10;

impl<'a> Sealer<'a> {
    /// With fresh contexts.
    pub fn new(level: &'a Level) -> Result<Self> {
        Ok(Self {
            level,
            compressors: Default::default(),
            prober: Compressor::new(1).map_err(zstd_error)?,
            decompressor: Decompressor::new().map_err(zstd_error)?,
            compressed: Vec::new(),
            check: Vec::new(),
        })
    }

    /// Whether what one compressed can be taken for what the other would.
    pub fn compresses_like(&self, other: &Self) -> bool {
        self.level.compression == other.level.compression
    }

    /// Replace `sealed` by the sealed form of `plain`. Returns the plain text's length if it was compressed.
    ///
    /// What was sealed is opened and decompressed again and compared, so that neither faulty memory nor a defect in the compressor can
    /// store something else than it was given.
    pub fn seal(&mut self, key: &Key, kind: BlobKind, plain: &[u8], sealed: &mut Vec<u8>) -> Result<Option<u32>> {
        let uncompressed_length = self.prepare(kind, plain)?;
        self.seal_prepared(key, plain, uncompressed_length, sealed)?;
        Ok(uncompressed_length)
    }

    /// The first half of [`seal`](Self::seal), which is the same for every key: compress, and compare what decompresses.
    pub fn prepare(&mut self, kind: BlobKind, plain: &[u8]) -> Result<Option<u32>> {
        if !self.compress(kind, plain)? {
            return Ok(None);
        }
        self.check.reserve(plain.len());
        let decompressed = self
            .decompressor
            .decompress_to_buffer(&self.compressed, &mut self.check);
        let is_same = decompressed.is_ok() && self.check == plain;
        self.check.clear();
        self.check.shrink_to(KEPT);
        if is_same {
            Ok(Some(plain.len() as u32))
        } else {
            Err(reads_back_differently())
        }
    }

    /// The second half: seal what was prepared, and compare what opens.
    pub fn seal_prepared(
        &mut self,
        key: &Key,
        plain: &[u8],
        prepared: Option<u32>,
        sealed: &mut Vec<u8>,
    ) -> Result<()> {
        let content = if prepared.is_some() { &self.compressed } else { plain };
        sealed.clear();
        key.seal_into(content, sealed);
        if key.opens_to(sealed, content) {
            Ok(())
        } else {
            Err(reads_back_differently())
        }
    }

    /// Fill `self.compressed`; `false` if it is better left alone.
    fn compress(&mut self, kind: BlobKind, plain: &[u8]) -> Result<bool> {
        let Some(level) = self.level.get() else {
            return Ok(false);
        };
        if plain.len() < WORTH_COMPRESSING || (kind == BlobKind::Data && self.is_incompressible(plain)?) {
            return Ok(false);
        }
        let level = if kind == BlobKind::Tree { level.max(2) } else { level };
        let is_large = plain.len() > LARGE;
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.compressors[usize::from(is_large)]
            .at(level, is_large)?
            .compress_to_buffer(plain, &mut self.compressed)
            .map_err(zstd_error)?;
        Ok(self.compressed.len() < plain.len())
    }

    /// Samples at the quickest level: if none gets smaller, the whole will not either.
    fn is_incompressible(&mut self, plain: &[u8]) -> Result<bool> {
        if plain.len() < WORTH_PROBING {
            return Ok(false);
        }
        let probes = 3 + plain.len() / PROBE_INTERVAL;
        for at in (0..probes).map(|n| (plain.len() - PROBE) * n / (probes - 1)) {
            self.compressed.clear();
            self.compressed.reserve(zstd::zstd_safe::compress_bound(PROBE));
            let length = self
                .prober
                .compress_to_buffer(&plain[at..at + PROBE], &mut self.compressed)
                .map_err(zstd_error)?;
            if length < PROBE - PROBE / 32 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn reads_back_differently() -> Error {
    Error::Verification("a blob reads back differently than it was written".to_owned())
}

fn zstd_error(error: std::io::Error) -> Error {
    Error::Verification(format!("the compressor failed: {error}"))
}

/// Longest plain text that is accepted from an index or a pack's header, bytes: a tree of some million entries.
const MAX_PLAIN: usize = 2 << 30;

/// zstd turns 128 KiB into a block of three bytes at least. Source: RFC 8878, 3.1.1.2.
const MAX_RATIO: usize = (128 << 10) / 3;

/// Opens sealed blobs with contexts that are reused; each thread has one.
pub struct Opener {
    decompressor: Decompressor<'static>,
    opened: Vec<u8>,
}

impl Opener {
    /// With a fresh context.
    pub fn new() -> Result<Self> {
        Ok(Self {
            decompressor: Decompressor::new().map_err(zstd_error)?,
            opened: Vec::new(),
        })
    }

    /// Replace `plain` by the blob's plain text; its hash is compared. The error says what is wrong with the blob.
    pub fn open(&mut self, key: &Key, blob: &PackedBlob, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
        if sealed.len() != blob.length as usize || sealed.len() < OVERHEAD {
            return Err(format!("it is {} bytes long instead of {}", sealed.len(), blob.length));
        }
        match blob.uncompressed_length {
            None => key.open_into(sealed, plain).map_err(|error| error.to_string())?,
            Some(length) => {
                // Memory is set aside for it, so it has to be possible.
                if length as usize > MAX_PLAIN.min((sealed.len() - OVERHEAD) * MAX_RATIO) {
                    return Err(format!("its plain text should be {length} bytes long, which is absurd"));
                }
                key.open_into(sealed, &mut self.opened)
                    .map_err(|error| error.to_string())?;
                plain.clear();
                plain.reserve(length as usize);
                self.decompressor
                    .decompress_to_buffer(&self.opened, plain)
                    .map_err(|error| format!("it cannot be decompressed: {error}"))?;
            }
        }
        if Id::hash(plain) == blob.id {
            Ok(())
        } else {
            Err("its content does not fit its id".to_owned())
        }
    }
}

/// The plain text of one blob.
pub fn open_blob(key: &Key, blob: &PackedBlob, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    Opener::new()
        .map_err(|error| error.to_string())?
        .open(key, blob, sealed, &mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(compression: Compression, plain: &[u8]) -> Option<u32> {
        let (key, level) = (Key::random(), Level::new(compression));
        let mut sealer = Sealer::new(&level).unwrap();
        let mut sealed = Vec::new();
        let uncompressed_length = sealer.seal(&key, BlobKind::Data, plain, &mut sealed).unwrap();
        let blob = PackedBlob {
            id: Id::hash(plain),
            kind: BlobKind::Data,
            offset: 0,
            length: sealed.len() as u32,
            uncompressed_length,
        };
        assert_eq!(open_blob(&key, &blob, &sealed).unwrap(), plain);
        let wrong = PackedBlob {
            id: Id::hash(b"other"),
            ..blob
        };
        assert!(open_blob(&key, &wrong, &sealed).is_err());
        uncompressed_length
    }

    #[test]
    fn text_is_compressed_and_noise_is_not() {
        let text = "all work and no play ".repeat(20_000).into_bytes();
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1 << 20).collect();
        for compression in [
            Compression::Fast,
            Compression::Auto,
            Compression::Max,
            Compression::Level(7),
        ] {
            assert_eq!(round_trip(compression, &text), Some(text.len() as u32));
            assert_eq!(round_trip(compression, &noise), None);
            assert_eq!(round_trip(compression, b""), None);
        }
        assert_eq!(round_trip(Compression::Off, &text), None);
    }

    #[test]
    fn auto_stays_within_its_levels() {
        let level = Level::new(Compression::Auto);
        (0..20).for_each(|_| level.adapt(0.7));
        assert_eq!(level.get(), Some(6));
        level.adapt(0.2);
        assert_eq!(level.get(), Some(6), "there is room for it");
        (0..20).for_each(|_| level.adapt(0.0));
        assert_eq!(level.get(), Some(2));
        level.adapt(0.2);
        assert_eq!(level.get(), Some(2), "the store is not what is slow");
    }

    #[test]
    fn parses_what_users_write() {
        assert_eq!("auto".parse::<Compression>().unwrap(), Compression::Auto);
        assert_eq!("19".parse::<Compression>().unwrap(), Compression::Level(19));
        for text in ["", "0", "20", "best"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }

    #[test]
    fn absurd_lengths_are_refused_before_memory_is_taken() {
        let key = Key::random();
        let sealed = key.seal(b"short");
        let blob = PackedBlob {
            id: Id::hash(b""),
            kind: BlobKind::Data,
            offset: 0,
            length: sealed.len() as u32,
            uncompressed_length: Some(1 << 30),
        };
        assert!(open_blob(&key, &blob, &sealed).unwrap_err().contains("absurd"));
        assert_eq!(round_trip(Compression::Max, &vec![0; 64 << 20]), Some(64 << 20));
    }
}

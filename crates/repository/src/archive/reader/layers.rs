//! From stored bytes to the tar stream: decrypted, then decompressed.

use super::parts::PartsReader;
use crate::archive::encryption::{Keys, missing};
use crate::archive::manifest::Manifest;
use crate::{Error, Result};
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Greatest window of a zstd frame that is decompressed, as a power of two: 128 MiB. Bounds the memory that a forged archive takes.
const MAX_WINDOW_LOG: u32 = 27;

const BUFFER_BYTES: usize = 1 << 20;

/// The compressed stream.
pub enum Opened<'a> {
    /// It was not encrypted.
    Plain(PartsReader<'a>),
    Age(Box<age::stream::StreamReader<PartsReader<'a>>>),
    OpenPgp(Box<pgp::composed::Message<'a>>),
}

impl<'a> Opened<'a> {
    /// # Errors
    /// [`Error::WrongIdentity`] if no key opens it.
    pub fn new(manifest: &Manifest, parts: PartsReader<'a>, keys: &Keys) -> Result<Self> {
        let method = manifest.encryption.method.as_str();
        if !keys.fit(method) {
            return Err(missing(manifest));
        }
        match method {
            "none" => Ok(Self::Plain(parts)),
            "age" | "age-passphrase" => Ok(Self::Age(Box::new(keys.open_age(manifest, parts)?))),
            "openpgp" | "openpgp-passphrase" => {
                let sealed = BufReader::with_capacity(BUFFER_BYTES, parts);
                Ok(Self::OpenPgp(Box::new(keys.open_openpgp(manifest, sealed)?)))
            }
            other => Err(unknown(manifest, "encryption", other)),
        }
    }
}

impl Read for Opened<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(parts) => parts.read(out),
            Self::Age(stream) => stream.read(out),
            Self::OpenPgp(message) => message.read(out),
        }
    }
}

impl Seek for Opened<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Plain(parts) => parts.seek(to),
            Self::Age(stream) => stream.seek(to),
            Self::OpenPgp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Whether what is read may only be trusted once all of it was read: OpenPGP has one checksum, at the end, where age has one for each
/// 64 KiB.
pub fn is_trusted_at_end(manifest: &Manifest) -> bool {
    manifest.encryption.method.starts_with("openpgp")
}

/// The tar stream from its beginning.
pub fn decompress<'a>(manifest: &Manifest, opened: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    match manifest.compression.method.as_str() {
        "none" => Ok(Box::new(opened)),
        "gzip" => Ok(Box::new(flate2::read::MultiGzDecoder::new(opened))),
        "zstd" => {
            let unusable =
                |error: io::Error| Error::Verification(format!("the decompressor cannot be set up: {error}"));
            let mut decoder = zstd::stream::read::Decoder::new(opened).map_err(unusable)?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(unusable)?;
            Ok(Box::new(decoder))
        }
        other => Err(unknown(manifest, "compression", other)),
    }
}

fn unknown(manifest: &Manifest, what: &str, method: &str) -> Error {
    Error::Damaged {
        object: "archive",
        name: manifest.name.clone(),
        reason: format!("its {what} `{method}` is not known to this version"),
    }
}

//! What is read back, counted and hashed.

use repository::Id;
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};

/// Keeps nothing of what is written to it but its length and hash.
#[derive(Debug, Default)]
pub struct Hashed {
    /// Bytes so far.
    pub bytes: u64,
    hasher: Sha256,
}

impl Hashed {
    /// SHA-256 of everything.
    pub fn finish(self) -> Id {
        let digest: [u8; 32] = self.hasher.finalize().into();
        Id(digest)
    }
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.hasher.update(buffer);
        self.bytes += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

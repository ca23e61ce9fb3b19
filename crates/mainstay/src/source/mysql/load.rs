//! A dump on its way into a server, and read back without one.

use super::census::Census;
use super::connected::Connected;
use super::rewrite::{Rewrite, Rewriter};
use crate::source::Stored;
use repository::Result;
use std::io::{self, Write};

/// Load a dump into its database, and pass what is read to `also`. How much it was, bytes.
pub fn load(server: &Connected, stored: &Stored<'_>, rewrite: &Rewrite, also: &mut dyn Write) -> anyhow::Result<u64> {
    let mut bytes = 0;
    server.execute(Some(&rewrite.to), |out| {
        let mut both = Both {
            rewriter: Rewriter::new(rewrite, out),
            also,
        };
        stored.copy(&stored.part.path, &mut both)?;
        bytes = both.rewriter.bytes();
        Ok(())
    })?;
    Ok(bytes)
}

/// Read a dump and count what is in it.
pub fn read_back(stored: &Stored<'_>) -> Result<Census> {
    let mut census = Census::default();
    stored.copy(&stored.part.path, &mut census)?;
    Ok(census)
}

struct Both<'a> {
    rewriter: Rewriter<'a>,
    also: &'a mut dyn Write,
}

impl Write for Both<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.also.write_all(buffer)?;
        self.rewriter.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.rewriter.flush()
    }
}

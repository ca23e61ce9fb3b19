//! Writing large objects past the page cache.
//!
//! A pack is written once and synced at once, so a copy of it in the page cache is of no use to anybody: it takes the memory of what the
//! host is there for, and on ext4 making that copy costs six times the processor time of handing the pack to the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Write the whole `content` of a new file.
pub(super) fn write(file: &File, content: &[u8]) -> io::Result<()> {
    let written = write_directly(file, content)?;
    file.write_all_at(&content[written..], written as u64)
}

#[cfg(not(target_os = "linux"))]
fn write_directly(_: &File, _: &[u8]) -> io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
use linux::write_directly;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstatfs};

    /// Less than this is not worth the calls, bytes.
    const WORTH: usize = 1 << 20;
    /// What addresses, positions and lengths have to be multiples of, for every disk there is.
    const ALIGNMENT: usize = 4096;
    /// Bytes of each write: few waits, and what is copied stays in the cache of the processor.
    const STEP: usize = 1 << 20;
    /// ext2 to ext4, and XFS. Elsewhere it is refused, or slower (network file systems wait for the server each time).
    const GOOD_AT_IT: [u64; 2] = [0xef53, 0x5846_5342];

    /// Write the beginning of `content`, as much as can be written directly; returns its length.
    pub(super) fn write_directly(file: &File, content: &[u8]) -> io::Result<usize> {
        if content.len() < WORTH || !fstatfs(file).is_ok_and(|system| GOOD_AT_IT.contains(&(system.f_type as u64))) {
            return Ok(0);
        }
        let flags = fcntl_getfl(file)?;
        if fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
            return Ok(0);
        }
        let written = write_aligned(file, content);
        fcntl_setfl(file, flags)?;
        written
    }

    fn write_aligned(file: &File, content: &[u8]) -> io::Result<usize> {
        let mut room = vec![0; STEP + ALIGNMENT];
        let start = room.as_ptr().align_offset(ALIGNMENT);
        let buffer = &mut room[start..start + STEP];
        let mut written = 0_usize;
        // What a disk or file system declines is left to the page cache, and so is the rest behind the last full block.
        while written.is_multiple_of(ALIGNMENT) && content.len() - written >= ALIGNMENT {
            let length = (content.len() - written).min(STEP) / ALIGNMENT * ALIGNMENT;
            buffer[..length].copy_from_slice(&content[written..written + length]);
            match file.write_at(&buffer[..length], written as u64) {
                Ok(0) => break,
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around every boundary; where there is usually a disk.
    #[test]
    fn what_is_written_is_what_is_read() {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        for length in [
            0,
            1,
            4096,
            (1 << 20) - 1,
            1 << 20,
            (1 << 20) + 1,
            (8 << 20) + 4095,
            9 << 20,
        ] {
            let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
            let path = directory.path().join("file");
            write(&File::create(&path).unwrap(), &content).unwrap();
            assert!(std::fs::read(&path).unwrap() == content, "{length}");
        }
    }
}

//! Writing large objects past the page cache.
//!
//! A pack is written once and synced at once, so a copy of it in the page cache is of no use to anybody: it takes the memory of what the
//! host is there for, and on ext4 making that copy costs six times the processor time of handing the pack to the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

/// Write the whole content of a new file: `pieces`, one behind the other.
pub(super) fn write(file: &File, pieces: &[Bytes]) -> io::Result<()> {
    let written = write_directly(file, pieces)?;
    let mut start = 0;
    for piece in pieces {
        let done = written.saturating_sub(start).min(piece.len());
        file.write_all_at(&piece[done..], (start + done) as u64)?;
        start += piece.len();
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn write_directly(_: &File, _: &[Bytes]) -> io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
use linux::write_directly;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    use bytes::Bytes;
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstatfs};

    /// Less than this is not worth the calls, bytes.
    const WORTH: usize = 1 << 20;
    /// What addresses, positions and lengths have to be multiples of, for every disk there is.
    const ALIGNMENT: usize = 4096;
    /// Bytes of each write: few waits, and what is copied stays in the cache of the processor.
    const STEP: usize = 1 << 20;
    /// ext2 to ext4, and XFS. Elsewhere it is refused, or slower (network file systems wait for the server each time).
    const GOOD_AT_IT: [u64; 2] = [0xef53, 0x5846_5342];

    /// Write the beginning of `pieces`, as much as can be written directly; returns its length.
    pub(super) fn write_directly(file: &File, pieces: &[Bytes]) -> io::Result<usize> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if length < WORTH || !fstatfs(file).is_ok_and(|system| GOOD_AT_IT.contains(&(system.f_type as u64))) {
            return Ok(0);
        }
        let flags = fcntl_getfl(file)?;
        if fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
            return Ok(0);
        }
        let written = write_whole_blocks(file, pieces);
        fcntl_setfl(file, flags)?;
        written
    }

    fn write_whole_blocks(file: &File, pieces: &[Bytes]) -> io::Result<usize> {
        let mut written = 0;
        for piece in pieces {
            let length = write_blocks(file, piece, written)?;
            written += length;
            if length < piece.len() {
                break;
            }
        }
        Ok(written)
    }

    /// Write the blocks of `content` at `start`; returns their length.
    fn write_blocks(file: &File, content: &[u8], start: usize) -> io::Result<usize> {
        let is_aligned = content.as_ptr().align_offset(ALIGNMENT) == 0;
        let mut room = vec![0; if is_aligned { 0 } else { STEP + ALIGNMENT }];
        let first = room.as_ptr().align_offset(ALIGNMENT).min(room.len());
        let buffer = &mut room[first..];
        let mut written = 0_usize;
        // What a disk or file system declines is left to the page cache, and so is the rest behind the last full block.
        while written.is_multiple_of(ALIGNMENT) && content.len() - written >= ALIGNMENT {
            let length = (content.len() - written).min(STEP) / ALIGNMENT * ALIGNMENT;
            let mut blocks = &content[written..written + length];
            if !is_aligned {
                buffer[..length].copy_from_slice(blocks);
                blocks = &buffer[..length];
            }
            match file.write_at(blocks, (start + written) as u64) {
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
            let room: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
                .take(length + 4097)
                .collect();
            let aligned = room.as_ptr().align_offset(4096);
            let room = Bytes::from(room);
            for start in [aligned, aligned + 1] {
                let content = room.slice(start..start + length);
                for step in [usize::MAX, 2 << 20, 1_000_001] {
                    let pieces: Vec<Bytes> = content.chunks(step).map(|piece| room.slice_ref(piece)).collect();
                    let path = directory.path().join("file");
                    write(&File::create(&path).unwrap(), &pieces).unwrap();
                    assert!(std::fs::read(&path).unwrap() == content, "{length} in steps of {step}");
                }
            }
        }
    }
}

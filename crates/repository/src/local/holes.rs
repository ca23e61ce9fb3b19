//! Which parts of a sparse file hold data.

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::io;
use std::iter::FusedIterator;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

/// The parts of a file that may hold something else than zeros, in order, as ranges of bytes.
///
/// Where the file system cannot tell, the whole file is one part. Moves the file's position: read with `pread` meanwhile.
#[derive(Debug)]
pub struct DataSegments<'a> {
    fd: BorrowedFd<'a>,
    position: u64,
    size: u64,
}

impl<'a> DataSegments<'a> {
    /// Of the first `size` bytes of the regular file `fd`.
    pub fn new(fd: &'a impl AsFd, size: u64) -> Self {
        Self {
            fd: fd.as_fd(),
            position: 0,
            size,
        }
    }

    fn next_segment(&self) -> io::Result<Option<Range<u64>>> {
        let start = match seek(self.fd, SeekFrom::Data(self.position)) {
            Ok(start) => start,
            // No more data up to the end.
            Err(Errno::NXIO) => return Ok(None),
            Err(error) if is_unsupported(error) => return Ok(Some(self.position..self.size)),
            Err(error) => return Err(error.into()),
        };
        let end = match seek(self.fd, SeekFrom::Hole(start)) {
            Ok(end) => end,
            // The file shrank; whoever reads this part will notice.
            Err(Errno::NXIO) => self.size,
            Err(error) if is_unsupported(error) => self.size,
            Err(error) => return Err(error.into()),
        };
        Ok((start < self.size).then_some(start..end.min(self.size)))
    }
}

fn is_unsupported(error: Errno) -> bool {
    [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS, Errno::NOTTY].contains(&error)
}

impl Iterator for DataSegments<'_> {
    type Item = io::Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.size {
            return None;
        }
        let found = self.next_segment().transpose();
        self.position = match &found {
            Some(Ok(range)) => range.end,
            _ => self.size,
        };
        found
    }
}

impl FusedIterator for DataSegments<'_> {}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one segment is meant")]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const MIB: u64 = 1 << 20;

    fn segments(file: &std::fs::File, size: u64) -> Vec<Range<u64>> {
        DataSegments::new(file, size).map(Result::unwrap).collect()
    }

    #[test]
    fn finds_data_between_holes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 * MIB).unwrap();
        assert_eq!(segments(&file, 10 * MIB), []);
        file.write_all_at(&[1; 4096], 2 * MIB).unwrap();
        file.write_all_at(&[1; 4096], 9 * MIB).unwrap();
        assert_eq!(
            segments(&file, 10 * MIB),
            [2 * MIB..2 * MIB + 4096, 9 * MIB..9 * MIB + 4096]
        );
        assert_eq!(segments(&file, 2 * MIB + 10), [2 * MIB..2 * MIB + 10]);
        assert_eq!(segments(&file, 0), []);
    }

    #[test]
    fn a_full_file_is_one_segment() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 10_000], 0).unwrap();
        assert_eq!(segments(&file, 10_000), [0..10_000]);
    }

    #[test]
    fn what_cannot_seek_for_data_is_one_segment() {
        let device = std::fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(segments(&device, 7), [0..7]);
    }
}

//! The end of what a server sends to a replica.
//!
//! The data ends with `0xff` and a checksum of eight bytes. A server that does not know the length beforehand sends forty hexadecimal
//! digits after it, which the client leaves there when it writes to standard output.

use std::io::{self, Read};

const CHECKSUM_BYTES: usize = 8;
const MARK_BYTES: usize = 40;
const BUFFER_BYTES: usize = 64 << 10;

/// That the end of the data is there.
pub fn check(tail: &[u8]) -> Result<(), String> {
    let data = &tail[..tail.len() - mark_length(tail)];
    let is_end = |at: usize| data[at] == 0xff;
    match data.len().checked_sub(CHECKSUM_BYTES + 1) {
        Some(at) if is_end(at) => Ok(()),
        _ => Err("its end is missing".to_owned()),
    }
}

/// How many bytes at the end are not data. A checksum is no digit, so that one is never taken for the other.
fn mark_length(tail: &[u8]) -> usize {
    let Some(at) = tail.len().checked_sub(MARK_BYTES) else {
        return 0;
    };
    let is_mark = tail[at..].iter().all(u8::is_ascii_hexdigit)
        && at.checked_sub(CHECKSUM_BYTES + 1).is_some_and(|end| tail[end] == 0xff);
    if is_mark { MARK_BYTES } else { 0 }
}

/// The data without what follows it.
pub struct WithoutMark<R> {
    inner: R,
    held: Vec<u8>,
    taken: usize,
    at_end: bool,
}

impl<R: Read> WithoutMark<R> {
    /// Of what `inner` reads.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            held: Vec::new(),
            taken: 0,
            at_end: false,
        }
    }

    /// Read on until more is there than could be the mark.
    fn fill(&mut self) -> io::Result<()> {
        const KEEP: usize = MARK_BYTES + CHECKSUM_BYTES + 1;
        while !self.at_end && self.held.len() - self.taken <= KEEP {
            self.held.drain(..self.taken);
            self.taken = 0;
            let start = self.held.len();
            self.held.resize(start + BUFFER_BYTES, 0);
            let read = self.inner.read(&mut self.held[start..]);
            self.held.truncate(start + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                self.at_end = true;
                let mark = mark_length(&self.held);
                self.held.truncate(self.held.len() - mark);
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for WithoutMark<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let keep = if self.at_end {
            0
        } else {
            MARK_BYTES + CHECKSUM_BYTES + 1
        };
        let length = (self.held.len() - self.taken - keep).min(buffer.len());
        buffer[..length].copy_from_slice(&self.held[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(sent: &[u8], step: usize) -> Vec<u8> {
        struct Slowly<'a>(&'a [u8], usize);
        impl Read for Slowly<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let length = self.1.min(buffer.len());
                self.0.read(&mut buffer[..length])
            }
        }
        let mut read = Vec::new();
        WithoutMark::new(Slowly(sent, step)).read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn the_mark_behind_the_data_goes_and_nothing_else() {
        let mark = [b'a'; 40];
        let data = [&b"REDIS"[..], &[b'f'; 100_000], &[0xff], b"checksum"].concat();
        for step in [1, 7, 49, 1 << 20] {
            assert_eq!(without(&data, step), data);
            assert_eq!(without(&[&data[..], &mark].concat(), step), data);
        }
        assert!(check(&data).is_ok() && check(&[&data[..], &mark].concat()).is_ok());
        assert!(check(&data[..data.len() - 1]).is_err() && check(&mark).is_err() && check(b"").is_err());
        assert_eq!(without(b"", 9), b"");
        assert_eq!(without(&mark, 9), mark);
    }
}

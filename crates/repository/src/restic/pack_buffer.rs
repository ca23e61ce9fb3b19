//! Memory in which packs are put together, and which the next packs take over.
//!
//! The system clears memory that it gives out, which takes longer than to fill it with a pack. So what one pack needed is kept for the
//! next, in segments: a pack that has just been begun shall not take the memory of a full one.

use crate::Id;
use crate::sha256::{Running, update_both};
use bytes::Bytes;
use memmap2::MmapMut;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Bytes of each segment. It begins at a page, so that a disk can take it without a copy.
const SEGMENT: usize = 1 << 20;
/// Segments that wait for the next pack; more are given back to the system.
const SPARE: usize = 16;

/// Segments that no pack needs now.
#[derive(Default)]
pub struct Segments(Mutex<Vec<MmapMut>>);

impl Segments {
    fn take(&self) -> io::Result<MmapMut> {
        let spare = self.0.lock().pop();
        spare.map_or_else(|| MmapMut::map_anon(SEGMENT), Ok)
    }

    fn put(&self, segment: MmapMut) {
        let mut spare = self.0.lock();
        if spare.len() < SPARE {
            spare.push(segment);
        }
    }
}

/// Bytes that are appended to.
pub struct PackBuffer {
    home: Arc<Segments>,
    /// Full ones, and a last one that may not be.
    segments: Vec<Segment>,
    length: usize,
    hash: Running,
    /// Segments that are worked into the hash.
    hashed: usize,
}

impl PackBuffer {
    /// Empty, with memory of `home`.
    pub fn new(home: &Arc<Segments>) -> Self {
        Self {
            home: Arc::clone(home),
            segments: Vec::new(),
            length: 0,
            hash: Running::default(),
            hashed: 0,
        }
    }

    /// Bytes that it holds.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Append `bytes`.
    ///
    /// # Errors
    ///
    /// The system has no memory for them.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let filled = self.length % SEGMENT;
            if filled == 0 {
                self.segments.push(Segment {
                    memory: Some(self.home.take()?),
                    length: 0,
                    home: Arc::clone(&self.home),
                });
            }
            let (now, later) = bytes.split_at(bytes.len().min(SEGMENT - filled));
            if let Some(Segment {
                memory: Some(memory),
                length,
                ..
            }) = self.segments.last_mut()
            {
                memory[filled..filled + now.len()].copy_from_slice(now);
                *length += now.len();
            }
            self.length += now.len();
            bytes = later;
        }
        Ok(())
    }

    /// Work into the hash of each what both have more of: two are hashed in little more time than one.
    pub fn hash_together(one: &mut Self, other: &mut Self) {
        while let (Some(first), Some(second)) = (one.full(), other.full()) {
            let blocks = [first, second].map(|segment| segment.as_chunks().0);
            let (mut ones, mut others) = (one.hash, other.hash);
            update_both([&mut ones, &mut others], blocks);
            (one.hash, other.hash) = (ones, others);
            one.hashed += 1;
            other.hashed += 1;
        }
    }

    /// The next segment for the hash, if it is full.
    fn full(&self) -> Option<&[u8]> {
        let next = self.segments.get(self.hashed)?.as_ref();
        (next.len() == SEGMENT).then_some(next)
    }

    /// The hash of what it holds, and that, one piece behind the other. The memory of a piece is taken over when nobody needs it any
    /// more.
    pub fn finish(mut self) -> (Id, Vec<Bytes>) {
        let mut hash = self.hash;
        while let Some(next) = self.full() {
            hash.update(next.as_chunks().0);
            self.hashed += 1;
        }
        let last = self.segments.get(self.hashed).map_or(&[][..], Segment::as_ref);
        let id = hash.finish(last);
        (id, self.segments.into_iter().map(Bytes::from_owner).collect())
    }
}

struct Segment {
    /// Taken at the end.
    memory: Option<MmapMut>,
    length: usize,
    home: Arc<Segments>,
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory[..self.length])
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.put(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_what_was_appended() {
        let home = Arc::default();
        for length in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT + 5] {
            let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
            for step in [300_001, SEGMENT, 2 * SEGMENT + 1] {
                let mut buffer = PackBuffer::new(&home);
                for part in content.chunks(step) {
                    buffer.append(part).unwrap();
                }
                assert_eq!(buffer.len(), length);
                let (id, pieces) = buffer.finish();
                assert_eq!(id, Id::hash(&content));
                assert_eq!(pieces.len(), length.div_ceil(SEGMENT));
                assert!(pieces.concat() == content, "{length} in steps of {step}");
            }
        }
    }

    #[test]
    fn hashed_together_is_hashed_alone() {
        let home = Arc::default();
        let mut buffers = [PackBuffer::new(&home), PackBuffer::new(&home)];
        let mut contents = [Vec::new(), Vec::new()];
        for number in 0..40 {
            let at = usize::from(number % 3 == 0);
            let piece = vec![number as u8; 100_000 + number * 7_000];
            buffers[at].append(&piece).unwrap();
            contents[at].extend(piece);
            let [one, other] = &mut buffers;
            PackBuffer::hash_together(one, other);
        }
        assert!(
            buffers.iter().all(|buffer| buffer.hashed > 2),
            "nothing was hashed together"
        );
        for (buffer, content) in buffers.into_iter().zip(&contents) {
            assert_eq!(buffer.finish().0, Id::hash(content));
        }
    }

    #[test]
    fn memory_is_taken_over_when_nobody_reads_it_any_more() {
        let home = Arc::default();
        let mut buffer = PackBuffer::new(&home);
        buffer.append(b"some bytes").unwrap();
        let (_, pieces) = buffer.finish();
        let place = pieces[0].as_ptr();
        let part = pieces[0].slice(5..);
        drop(pieces);
        assert!(home.0.lock().is_empty(), "somebody still reads it");
        assert_eq!(part, b"bytes".as_slice());
        drop(part);
        let mut next = PackBuffer::new(&home);
        next.append(b"x").unwrap();
        let (_, pieces) = next.finish();
        assert_eq!((pieces[0].as_ptr(), pieces[0].as_ref()), (place, b"x".as_slice()));
    }
}

//! Reading ahead: a stream is read by a thread of its own before somebody wants it, up to a limit.

use crate::source::Stream;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of one piece.
const PIECE_BYTES: usize = 128 << 10;
/// So many pieces are held.
const PIECES: usize = 32;

/// The same stream, which is begun now.
pub fn ahead(stream: Stream) -> Stream {
    let (sender, receiver) = sync_channel(PIECES);
    let reader = stream.reader;
    std::thread::spawn(move || pump(reader, &sender));
    let reader = Ahead {
        receiver,
        piece: io::Cursor::new(Vec::new()),
        at_end: false,
    };
    Stream {
        path: PathBuf::new(),
        reader: Box::new(reader),
        finish: stream.finish,
    }
}

/// Read until the end, which is a piece without bytes, an error, or nobody listening.
fn pump(mut reader: Box<dyn Read + Send>, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        let is_last = !matches!(read, Ok(1..));
        if sender.send(read.map(|_| piece)).is_err() || is_last {
            return;
        }
    }
}

struct Ahead {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    at_end: bool,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || self.at_end || buffer.is_empty() {
                return Ok(read);
            }
            let piece = self.receiver.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
            self.at_end = piece.is_empty();
            self.piece = io::Cursor::new(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_in_order_and_errors_are_no_end() {
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut read = Vec::new();
        ahead(Stream::of("/x".into(), bytes.clone()))
            .reader
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == bytes);
        let failing = Stream {
            reader: Box::new(io::Cursor::new(bytes).chain(Failing)),
            ..Stream::of("/x".into(), Vec::new())
        };
        let error = ahead(failing).reader.read_to_end(&mut read).unwrap_err();
        assert_eq!(error.to_string(), "it broke");
    }

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("it broke"))
        }
    }
}

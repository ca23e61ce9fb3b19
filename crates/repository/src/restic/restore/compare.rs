//! Comparing files with blobs.

use super::files::FileItem;
use super::session::{Session, count};
use super::window::{Piece, Window};
use crate::local::scan;
use crate::restic::index::Index;
use crate::restic::pack::BlobKind;
use crate::restic::parallel;
use crate::{Id, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Which blobs of a piece are in the file already, which is `size` bytes long.
pub fn identical_blobs(session: &Session<'_>, window: &Window, piece: &Piece, size: u64) -> Vec<bool> {
    let uses = &window.uses[piece.uses.clone()];
    let compare = || -> io::Result<Vec<bool>> {
        let file = open(session, &piece.file)?;
        let mut buffer = Vec::new();
        let is_identical = |one: &super::reads::Use| {
            let length = u64::from(one.blob.plain_length());
            !session.cancel.is_cancelled()
                && one.offset + length <= size
                && has_blob(&file, one.offset, length as usize, &one.blob.id, &mut buffer).unwrap_or(false)
        };
        Ok(uses.iter().map(is_identical).collect())
    };
    // What cannot be read is written again.
    compare().unwrap_or_else(|_| vec![false; uses.len()])
}

/// Whether a file has exactly this content.
pub fn is_identical(session: &Session<'_>, file: &FileItem) -> io::Result<bool> {
    let open = open(session, file)?;
    let has_size = open.metadata()?.len() == file.size;
    Ok(has_size && first_difference(session.index, &open, file.node.blobs())?.is_none())
}

fn open(session: &Session<'_>, file: &FileItem) -> io::Result<File> {
    Ok(scan::open_file(&*session.dirs.get(&file.dir)?, &file.node.name)?.0)
}

fn has_blob(file: &File, offset: u64, length: usize, id: &Id, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.resize(length, 0);
    file.read_exact_at(buffer, offset)?;
    Ok(Id::hash(buffer) == *id)
}

/// The offset of the first blob that is not in the file.
fn first_difference(index: &Index, file: &File, blobs: &[Id]) -> io::Result<Option<u64>> {
    let (mut offset, mut buffer) = (0, Vec::new());
    for id in blobs {
        let length = index
            .find(BlobKind::Data, id)
            .map_or(0, |found| found.blob.plain_length());
        if !has_blob(file, offset, length as usize, id, &mut buffer)? {
            return Ok(Some(offset));
        }
        offset += u64::from(length);
    }
    Ok(None)
}

/// Read the files again that this window completed.
pub fn verify(session: &Session<'_>, window: &Window) -> Result<()> {
    let is_last = |piece: &&Piece| piece.first_blob + piece.uses.len() == piece.file.node.blobs().len();
    let written: Vec<&FileItem> = window
        .pieces
        .iter()
        .filter(is_last)
        .map(|piece| &*piece.file)
        .filter(|file| file.is_written())
        .collect();
    parallel::map(&written, session.threads, |file| verify_file(session, file))
        .into_iter()
        .collect()
}

fn verify_file(session: &Session<'_>, file: &FileItem) -> Result<()> {
    session.cancel.check()?;
    count(&session.tally.verified_files, 1);
    let compared = open(session, file).and_then(|open| {
        let size = open.metadata()?.len();
        Ok((size, first_difference(session.index, &open, file.node.blobs())?))
    });
    let problem = match compared {
        Ok((size, None)) if size == file.size => return Ok(()),
        Ok((_, Some(offset))) => format!("it reads back differently from byte {offset} on"),
        Ok((size, None)) => format!("it is {size} bytes long instead of {}", file.size),
        Err(error) => format!("it cannot be read back: {error}"),
    };
    session.tally.problem(&file.path(), problem);
    Ok(())
}

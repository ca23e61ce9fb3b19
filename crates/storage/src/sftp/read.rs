//! Reading files, many requests at a time.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};

use super::connection::{Connection, WINDOW};
use super::errors::Failure;

/// The size of the file at `path`.
pub(super) async fn size(connection: &Connection, path: &str) -> Result<u64, Failure> {
    let found = connection.sftp.lstat(path).await?;
    size_of(&found.attrs)
}

/// A server that does not tell the type of what is there is believed to mean a file.
fn size_of(attributes: &FileAttributes) -> Result<u64, Failure> {
    let is_file = attributes.permissions.is_none() || attributes.file_type().is_file();
    attributes.size.filter(|_| is_file).ok_or(Failure::NotAFile)
}

/// The content of the file at `path`, or a part of it.
pub(super) async fn read(connection: &Connection, path: &str, range: Option<Range<u64>>) -> Result<Bytes, Failure> {
    let file = connection
        .sftp
        .open(path, OpenFlags::READ, FileAttributes::empty())
        .await?;
    let content = read_open(connection, &file.handle, range).await;
    // The answer says nothing that matters after reading; it is awaited so that a server is not left with open files.
    let closed = connection.sftp.close(file.handle).await;
    let content = content?;
    closed?;
    Ok(content)
}

async fn read_open(connection: &Connection, handle: &str, range: Option<Range<u64>>) -> Result<Bytes, Failure> {
    let size = size_of(&connection.sftp.fstat(handle).await?.attrs)?;
    let range = range.unwrap_or(0..size);
    if range.start > range.end || range.end > size {
        return Err(Failure::TooShort(size));
    }
    let step = connection.read_size as usize;
    let pieces = range
        .clone()
        .step_by(step)
        .map(|start| start..range.end.min(start + step as u64));
    let content = Vec::with_capacity((range.end - range.start) as usize);
    let content = stream::iter(pieces)
        .map(|piece| read_piece(connection, handle, piece))
        .buffered((WINDOW / step).max(1))
        .try_fold(content, async |mut content, piece| {
            content.extend_from_slice(&piece);
            Ok(content)
        })
        .await?;
    Ok(content.into())
}

/// A server may answer with less than was asked for; then the rest is asked for.
async fn read_piece(connection: &Connection, handle: &str, piece: Range<u64>) -> Result<Vec<u8>, Failure> {
    let wanted = (piece.end - piece.start) as usize;
    let mut content = Vec::new();
    while content.len() < wanted {
        let at = piece.start + content.len() as u64;
        let answer = connection.sftp.read(handle, at, (wanted - content.len()) as u32).await;
        let more = match answer.map_err(Failure::from) {
            Ok(answer) => answer.data,
            Err(failure) if failure.is_status(StatusCode::Eof) => Vec::new(),
            Err(failure) => return Err(failure),
        };
        if more.is_empty() {
            return Err(Failure::TooShort(at));
        }
        if content.is_empty() {
            content = more;
        } else {
            content.extend_from_slice(&more);
        }
    }
    content.truncate(wanted);
    Ok(content)
}

//! Files that become objects when they are complete.
//!
//! A file is written under a temporary name beside its final one, made durable where the server can, closed, and renamed. What
//! a server without `fsync@openssh.com` has answered may be lost when its power fails.

use bytes::Bytes;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::extensions::HardlinkExtension;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use tokio::task::JoinSet;

use super::connection::{Connection, WINDOW};
use super::errors::Failure;
use super::pool::Lease;
use crate::temporary;

/// Nobody but the user reads or changes what is stored.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A file that is not complete yet.
pub(super) struct Upload {
    lease: Lease,
    path: String,
    temporary: String,
    /// Taken when the file is closed.
    handle: Option<String>,
    size: u64,
    requests: JoinSet<Result<(), Failure>>,
}

impl Upload {
    /// Begin a file that will be called `path`, in directories that are made if they are not there.
    pub(super) async fn begin(lease: Lease, path: &str) -> Result<Self, Failure> {
        let temporary = format!("{path}{}", temporary::suffix());
        let handle = match create(&lease, &temporary).await {
            Err(failure) if failure.is_status(StatusCode::NoSuchFile) => {
                make_directory(&lease, parent_of(path)).await?;
                create(&lease, &temporary).await
            }
            other => other,
        };
        let handle = match handle {
            Ok(handle) => handle,
            Err(failure) => return Err(explain(&lease, path, failure).await),
        };
        Ok(Self {
            lease,
            path: path.to_owned(),
            temporary,
            handle: Some(handle),
            size: 0,
            requests: JoinSet::new(),
        })
    }

    /// Append `content`. Returns when at most a window of it is still under way.
    pub(super) async fn send(&mut self, mut content: Bytes) -> Result<(), Failure> {
        let step = self.lease.write_size;
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(step));
            while self.requests.len() * step >= WINDOW {
                self.next_answer().await?;
            }
            self.request(piece);
        }
        Ok(())
    }

    fn request(&mut self, piece: Bytes) {
        let (at, handle) = (self.size, self.handle.clone().unwrap_or_default());
        self.size += piece.len() as u64;
        let connection = self.lease.clone();
        self.requests.spawn(async move {
            connection.sftp.write(handle, at, piece.into()).await?;
            Ok(())
        });
    }

    async fn next_answer(&mut self) -> Result<(), Failure> {
        let answer = match self.requests.join_next().await {
            None => return Ok(()),
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(SftpError::UnexpectedBehavior("a request was given up".to_owned()).into()),
        };
        match answer {
            Ok(()) => Ok(()),
            Err(failure) => Err(explain(&self.lease, &self.path, failure).await),
        }
    }

    /// Give the file its name; returns its size.
    pub(super) async fn publish(&mut self) -> Result<u64, Failure> {
        while !self.requests.is_empty() {
            self.next_answer().await?;
        }
        match self.finish_file().await {
            Ok(()) => rename(&self.lease, &self.temporary, &self.path).await?,
            Err(failure) => return Err(explain(&self.lease, &self.path, failure).await),
        }
        Ok(self.size)
    }

    async fn finish_file(&mut self) -> Result<(), Failure> {
        let Some(handle) = self.handle.take() else {
            return Err(SftpError::UnexpectedBehavior("the file is closed".to_owned()).into());
        };
        if self.lease.extensions.fsync {
            let synced = self.lease.sftp.fsync(handle.as_str()).await;
            if let Err(failure) = synced {
                self.handle = Some(handle);
                return Err(failure.into());
            }
        }
        self.lease.sftp.close(handle).await?;
        Ok(())
    }

    /// Remove what was written. Best effort: what cannot be removed now is removed by a listing tomorrow.
    pub(super) async fn abandon(mut self) {
        self.requests.shutdown().await;
        if let Some(handle) = self.handle.take() {
            let _ = self.lease.sftp.close(handle).await;
        }
        let _ = self.lease.sftp.remove(self.temporary.as_str()).await;
    }

    /// The connection that it uses.
    pub(super) fn connection(&self) -> &Connection {
        &self.lease
    }
}

async fn create(connection: &Connection, path: &str) -> Result<String, Failure> {
    let flags = OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::WRITE;
    let file = connection.sftp.open(path, flags, with_mode(FILE_MODE)).await?;
    Ok(file.handle)
}

fn with_mode(mode: u32) -> FileAttributes {
    let mut attributes = FileAttributes::empty();
    attributes.permissions = Some(mode);
    attributes
}

fn parent_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None => ".",
    }
}

/// Make a directory and those above it. One that is there is no error: another thread or program made it.
async fn make_directory(connection: &Connection, path: &str) -> Result<(), Failure> {
    let mut missing = vec![path];
    while let Some(path) = missing.last() {
        let made = connection
            .sftp
            .mkdir(*path, with_mode(DIRECTORY_MODE))
            .await
            .map_err(Failure::from);
        match made {
            Err(failure) if failure.is_status(StatusCode::NoSuchFile) && parent_of(path) != *path => {
                missing.push(parent_of(path));
            }
            Err(failure) if !is_there(connection, path).await? => return Err(explain(connection, path, failure).await),
            _ => drop(missing.pop()),
        }
    }
    Ok(())
}

/// Whether anything has the name.
async fn is_there(connection: &Connection, path: &str) -> Result<bool, Failure> {
    match connection.sftp.stat(path).await.map_err(Failure::from) {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_status(StatusCode::NoSuchFile) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Rename a file over what has the name already.
async fn rename(connection: &Connection, from: &str, to: &str) -> Result<(), Failure> {
    if connection.extensions.posix_rename {
        return posix_rename(connection, from, to).await;
    }
    let mut renamed = plain_rename(connection, from, to).await;
    for _ in 0..MOST_RIVALS {
        match &renamed {
            Err(failure) if failure.is_status(StatusCode::Failure) => {}
            _ => return renamed,
        }
        // The protocol's own call refuses to replace anything. What is in the way goes aside first, so that it comes back if ours
        // cannot take its place. Others may do the same just now: then theirs is in the way, or nothing any more.
        let aside = format!("{to}{}", temporary::suffix());
        let is_aside = match plain_rename(connection, to, &aside).await {
            Err(failure) if !failure.is_status(StatusCode::NoSuchFile) => return Err(failure),
            moved => moved.is_ok(),
        };
        renamed = plain_rename(connection, from, to).await;
        if is_aside {
            if renamed.is_err() {
                let _ = plain_rename(connection, &aside, to).await;
            }
            // If it is there still, another one has its place. A listing removes it tomorrow if this cannot.
            let _ = connection.sftp.remove(aside).await;
        }
    }
    renamed
}

/// How many others may store the same object at the same time.
const MOST_RIVALS: usize = 30;

async fn plain_rename(connection: &Connection, from: &str, to: &str) -> Result<(), Failure> {
    Ok(connection.sftp.rename(from, to).await.map(drop)?)
}

async fn posix_rename(connection: &Connection, from: &str, to: &str) -> Result<(), Failure> {
    // Two paths, as for a hard link.
    let paths = HardlinkExtension {
        oldpath: from.to_owned(),
        newpath: to.to_owned(),
    };
    let paths: Vec<u8> = paths.try_into().map_err(SftpError::from)?;
    match connection.sftp.extended("posix-rename@openssh.com", paths).await? {
        Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
        Packet::Status(status) => Err(SftpError::Status(status).into()),
        _ => Err(SftpError::UnexpectedPacket.into()),
    }
}

/// Less space than this is none: a file system keeps something back.
const NO_SPACE: u64 = 1 << 20;

/// A server says no more than "failure" when its disk is full, so it is asked for the space that it has.
async fn explain(connection: &Connection, path: &str, failure: Failure) -> Failure {
    if !failure.is_status(StatusCode::Failure) || !connection.extensions.statvfs {
        return failure;
    }
    let mut place = parent_of(path);
    loop {
        match connection.sftp.statvfs(place).await {
            Ok(space) => {
                let left = space.blocks_avail.saturating_mul(space.fragment_size);
                let is_full = left < NO_SPACE || (space.inodes > 0 && space.inodes_avail == 0);
                return if is_full { Failure::Full(left) } else { failure };
            }
            // The directory could not be made.
            Err(_) if parent_of(place) != place => place = parent_of(place),
            Err(_) => return failure,
        }
    }
}

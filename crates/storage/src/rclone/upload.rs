//! Objects on their way to the remote.
//!
//! An upload goes to a temporary name beside the final one, and is moved when it is complete: where the remote is a disk or a
//! share, what is half written would be visible, and rclone takes an upload for complete that ends too early in some ways.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::control::{Control, Piece};
use super::errors::Failure;
use crate::{ErrorKind, temporary};

/// Bytes that are handed over at once, and pieces that wait.
const PIECE: usize = 1 << 20;
const WAITING: usize = 4;
/// Tries to put an upload in its place. Each one that fails lost against another that replaces the same object.
const MOVES: usize = 20;

/// An upload under way.
pub(super) struct Upload {
    control: Arc<Control>,
    remote: String,
    name: String,
    temporary: String,
    pieces: Option<mpsc::Sender<Piece>>,
    request: Option<JoinHandle<Result<(), Failure>>>,
    size: u64,
}

impl Upload {
    /// Begin; nothing has been sent when this returns.
    pub(super) fn begin(control: Arc<Control>, remote: &str, name: &str, runtime: &Handle) -> Self {
        let temporary = format!("{name}{}", temporary::suffix());
        let (sender, receiver) = mpsc::channel(WAITING);
        let (own, to, path) = (Arc::clone(&control), remote.to_owned(), temporary.clone());
        let request = runtime.spawn(async move {
            let (directory, file) = path.rsplit_once('/').unwrap_or(("", &path));
            own.upload(&to, directory, file, receiver).await
        });
        Self {
            control,
            remote: remote.to_owned(),
            name: name.to_owned(),
            temporary,
            pieces: Some(sender),
            request: Some(request),
            size: 0,
        }
    }

    /// Append `content`. Returns when little of it is still waiting.
    pub(super) async fn send(&mut self, mut content: Bytes) -> Result<(), Failure> {
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(PIECE));
            self.size += piece.len() as u64;
            let Some(pieces) = &self.pieces else {
                return Err(Failure::Silent("the upload has failed before".to_owned()));
            };
            if pieces.send(Ok(piece)).await.is_err() {
                // Nobody takes pieces any more: the request has ended, and says why.
                self.pieces = None;
                self.answer().await?;
                return Err(Failure::NotUnderstood("an upload ended before its end".to_owned()));
            }
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<(), Failure> {
        match self.request.take() {
            None => Err(Failure::Silent("the upload has failed before".to_owned())),
            Some(request) => request.await.map_err(|error| Failure::Local(io::Error::other(error)))?,
        }
    }

    /// Make the object visible; returns its size.
    pub(super) async fn publish(&mut self) -> Result<u64, Failure> {
        self.pieces = None;
        self.answer().await?;
        let mut moves = 1;
        while let Err(failure) = self.move_into_place().await {
            let raced = matches!(failure.kind(), ErrorKind::Other | ErrorKind::NotFound);
            if !raced || moves == MOVES {
                return Err(failure);
            }
            // It was moved, and before rclone looked at it, the other one had taken its place.
            let is_moved = self.size_of(&self.temporary).await?.is_none();
            if is_moved && self.size_of(&self.name).await? == Some(self.size) {
                break;
            }
            moves += 1;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
        }
        Ok(self.size)
    }

    /// What stands at the place is removed by rclone before the move, in a step of its own: of two that replace the same object,
    /// one may find nothing to remove, and fails.
    async fn move_into_place(&self) -> Result<(), Failure> {
        let arguments = json!({
            "srcFs": self.remote, "srcRemote": self.temporary,
            "dstFs": self.remote, "dstRemote": self.name,
        });
        self.control.call("operations/movefile", &arguments).await.map(drop)
    }

    /// The size of an object of the remote, if it is there.
    async fn size_of(&self, name: &str) -> Result<Option<u64>, Failure> {
        let arguments = json!({"fs": self.remote, "remote": name});
        let answer = self.control.call("operations/stat", &arguments).await?;
        Ok(answer
            .get("item")
            .and_then(|item| item.get("Size"))
            .and_then(Value::as_u64))
    }

    /// Remove what was sent. Best effort: what stays is removed by a listing tomorrow.
    pub(super) async fn abandon(mut self) {
        if let Some(pieces) = self.pieces.take() {
            let _ = pieces.send(Err(io::Error::other("given up"))).await;
        }
        let _ = self.answer().await;
        let arguments = json!({"fs": self.remote, "remote": self.temporary});
        let _ = self.control.call("operations/deletefile", &arguments).await;
    }
}

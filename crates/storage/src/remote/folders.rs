//! Listing folders within folders.
//!
//! A WebDAV server need not answer for a whole tree at once (RFC 4918, 9.1), and many do not; what OpenDAL makes of Dropbox's answer
//! for a tree has lost the folders. Asking for one folder after the other would take 256 times as long as one answer for the packs of
//! a repository, so several are asked for at the same time.

use std::time::{Duration, SystemTime};

use opendal::{Entry, ErrorKind, Metadata, Operator, Result};
use tokio::task::JoinSet;

use super::Folders;
use crate::name::is_valid;
use crate::temporary::MARK;
use crate::{ObjectInfo, clock};

/// The most folders that are asked for at the same time.
const AT_ONCE: usize = 8;

/// A temporary object of this age belongs to a program that is gone.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Something in a folder: its whole name, with a slash at the end if it is a folder, and what is known of it.
struct Found {
    name: String,
    metadata: Metadata,
}

/// Every object under `prefix`. Temporary ones are left out, and removed if they are old.
pub(super) async fn list(operator: &Operator, folders: Folders, prefix: &str) -> Result<Vec<ObjectInfo>> {
    let mut waiting = vec![if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    }];
    let mut running = JoinSet::new();
    let mut objects = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(folder) = waiting.pop()
        {
            let operator = operator.clone();
            running.spawn(async move { list_one(&operator, folders, &folder).await });
        }
        let Some(done) = running.join_next().await else {
            return Ok(objects);
        };
        let found =
            done.map_err(|error| opendal::Error::new(ErrorKind::Unexpected, "a listing broke off").set_source(error))?;
        for found in found? {
            sort(operator, found, &mut waiting, &mut objects).await;
        }
    }
}

/// What is in a folder itself. If it is no folder, or not there, that is nothing.
async fn list_one(operator: &Operator, folders: Folders, folder: &str) -> Result<Vec<Found>> {
    let path = if folder.is_empty() { "/" } else { folder };
    let entries = match operator.list(path).await {
        // So Dropbox calls an object that is asked for as a folder.
        Err(error) if error.message().contains("path/not_folder") => Vec::new(),
        entries => entries?,
    };
    // A WebDAV server lists the folder itself as well, and an object of that name as what is in it.
    let is_itself = |entry: &Entry| {
        entry.path() == "/"
            || folders == Folders::ListedByPath && entry.path().trim_end_matches('/') == folder.trim_end_matches('/')
    };
    let inside = entries.into_iter().filter(|entry| !is_itself(entry));
    Ok(inside
        .map(|entry| Found {
            name: format!("{folder}{}", entry.name()),
            metadata: entry.metadata().clone(),
        })
        .collect())
}

async fn sort(operator: &Operator, found: Found, waiting: &mut Vec<String>, objects: &mut Vec<ObjectInfo>) {
    let Found { name, metadata } = found;
    if metadata.is_dir() && is_valid(name.trim_end_matches('/')) {
        waiting.push(name);
    } else if metadata.is_file() && is_valid(&name) {
        let size = metadata.content_length();
        objects.push(ObjectInfo { name, size });
    } else if metadata.is_file() && is_abandoned(&name, &metadata) {
        // Best effort: the next listing tries it again.
        let _ = operator.delete(&name).await;
    }
}

/// Whether it is a temporary object of a store, written so long ago that nobody finishes it.
fn is_abandoned(name: &str, metadata: &Metadata) -> bool {
    let is_ours = name
        .rsplit_once(MARK)
        .is_some_and(|(name, random)| is_valid(name) && random.len() == 16);
    let modified = metadata.last_modified().map(SystemTime::from);
    is_ours && modified.and_then(clock::age).is_some_and(|age| age > ABANDONED)
}

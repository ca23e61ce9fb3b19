//! Listing folders within folders.
//!
//! A server need not answer for a whole tree at once (RFC 4918, 9.1), and many do not. Asking for one folder after the other would
//! take 256 times as long as one answer for the packs of a repository, so several are asked for at the same time.

use std::time::{Duration, SystemTime};

use opendal::{Entry, ErrorKind, Operator, Result};
use tokio::task::JoinSet;

use crate::name::{TEMPORARY, is_valid};
use crate::{ObjectInfo, clock};

/// The most folders that are asked for at the same time.
const AT_ONCE: usize = 8;

/// A temporary object of this age belongs to a program that is gone.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Every object under `prefix`. Temporary ones are left out, and removed if they are old.
pub(super) async fn list(operator: &Operator, prefix: &str) -> Result<Vec<ObjectInfo>> {
    let mut folders = vec![format!("{prefix}/")];
    let mut running = JoinSet::new();
    let mut objects = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(folder) = folders.pop()
        {
            let operator = operator.clone();
            running.spawn(async move { list_one(&operator, &folder).await });
        }
        let Some(done) = running.join_next().await else {
            return Ok(objects);
        };
        let entries =
            done.map_err(|error| opendal::Error::new(ErrorKind::Unexpected, "a listing broke off").set_source(error))?;
        for entry in entries? {
            sort(operator, entry, &mut folders, &mut objects).await;
        }
    }
}

/// What is in a folder itself, without the folder, and without the object of that name that a server may answer with.
async fn list_one(operator: &Operator, folder: &str) -> Result<Vec<Entry>> {
    let mut entries = operator.list(folder).await?;
    let is_inside = |path: &str| path != folder && path != "/" && (folder == "/" || path.starts_with(folder));
    entries.retain(|entry| is_inside(entry.path()));
    Ok(entries)
}

async fn sort(operator: &Operator, entry: Entry, folders: &mut Vec<String>, objects: &mut Vec<ObjectInfo>) {
    let metadata = entry.metadata();
    if metadata.is_dir() && is_valid(entry.path().trim_end_matches('/')) {
        folders.push(entry.path().to_owned());
    } else if metadata.is_file() && is_valid(entry.path()) {
        objects.push(ObjectInfo {
            name: entry.path().to_owned(),
            size: metadata.content_length(),
        });
    } else if metadata.is_file() && is_abandoned(&entry) {
        // Best effort: the next listing tries it again.
        let _ = operator.delete(entry.path()).await;
    }
}

/// Whether it is a temporary object of a store, written so long ago that nobody finishes it.
fn is_abandoned(entry: &Entry) -> bool {
    let is_ours = entry
        .path()
        .rsplit_once(TEMPORARY)
        .is_some_and(|(name, random)| is_valid(name) && random.len() == 16);
    let modified = entry.metadata().last_modified().map(SystemTime::from);
    is_ours && modified.and_then(clock::age).is_some_and(|age| age > ABANDONED)
}

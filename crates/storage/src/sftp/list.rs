//! Listing a directory tree, many directories at a time.

use std::time::{Duration, SystemTime};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};
use russh_sftp::protocol::{File, FileAttributes, FileType, StatusCode};

use super::connection::Connection;
use super::errors::Failure;
use crate::ObjectInfo;
use crate::name::is_valid_part;
use crate::temporary::{is_abandoned, is_temporary};

/// Requests for more entries of a directory that are under way; OpenSSH answers each with a hundred.
const PAGES: usize = 4;

/// Every object under `prefix` in the directory `root`.
pub(super) async fn list(connection: &Connection, root: &str, prefix: &str) -> Result<Vec<ObjectInfo>, Failure> {
    let walk = Walk { connection, root };
    let first = Directory {
        name: prefix.to_owned(),
        is_linked: false,
    };
    let mut found = Vec::new();
    let mut running = FuturesUnordered::new();
    running.push(walk.read(first));
    while let Some(content) = running.next().await {
        let Content { objects, directories } = content?;
        found.extend(objects);
        running.extend(directories.into_iter().map(|directory| walk.read(directory)));
    }
    Ok(found)
}

struct Walk<'a> {
    connection: &'a Connection,
    root: &'a str,
}

struct Directory {
    /// From the root of the store; empty for the root.
    name: String,
    /// There is a symbolic link on the way to it.
    is_linked: bool,
}

#[derive(Default)]
struct Content {
    objects: Vec<ObjectInfo>,
    directories: Vec<Directory>,
}

impl Walk<'_> {
    fn path(&self, name: &str) -> String {
        if name.is_empty() {
            self.root.to_owned()
        } else {
            format!("{}/{name}", self.root.trim_end_matches('/'))
        }
    }

    async fn read(&self, directory: Directory) -> Result<Content, Failure> {
        let Ok(_turn) = self.connection.directories.acquire().await else {
            return Ok(Content::default());
        };
        let path = self.path(&directory.name);
        let entries = match entries(self.connection, &path).await {
            Ok(entries) => entries,
            // The root has to be there: a disk that is not mounted must not look like an empty store. Anything else may have
            // gone since it was seen.
            Err(failure) if failure.is_status(StatusCode::NoSuchFile) && !directory.name.is_empty() => {
                return self.is_no_directory().await;
            }
            Err(failure) => return self.unless_a_file(&path, failure).await,
        };
        self.sort(&directory, &path, entries).await
    }

    /// What has no directory of that name holds nothing, as long as there is a store.
    async fn is_no_directory(&self) -> Result<Content, Failure> {
        self.connection.sftp.stat(self.root).await?;
        Ok(Content::default())
    }

    /// A file is no directory, and holds nothing.
    async fn unless_a_file(&self, path: &str, failure: Failure) -> Result<Content, Failure> {
        match self.connection.sftp.stat(path).await {
            Ok(found)
                if found.attrs.permissions.is_some() && !found.attrs.file_type().is_dir() && path != self.root =>
            {
                Ok(Content::default())
            }
            _ => Err(failure),
        }
    }

    async fn sort(&self, directory: &Directory, path: &str, entries: Vec<File>) -> Result<Content, Failure> {
        let mut content = Content::default();
        for File { filename, attrs, .. } in entries {
            if is_temporary(&filename) {
                self.remove_if_abandoned(&format!("{path}/{filename}"), &attrs).await;
            }
            if !is_valid_part(&filename) {
                continue;
            }
            let name = match directory.name.as_str() {
                "" => filename,
                above => format!("{above}/{filename}"),
            };
            self.entry(directory, name, &attrs, &mut content).await?;
        }
        Ok(content)
    }

    async fn entry(
        &self,
        directory: &Directory,
        name: String,
        attributes: &FileAttributes,
        content: &mut Content,
    ) -> Result<(), Failure> {
        let is_linked = directory.is_linked;
        // The library's `is_regular` and its like also say yes to links.
        match attributes.file_type() {
            FileType::File => {
                let size = attributes.size.unwrap_or_default();
                content.objects.push(ObjectInfo { name, size });
            }
            FileType::Dir => content.directories.push(Directory { name, is_linked }),
            FileType::Symlink if !is_linked && self.leads_out(&name).await? => {
                content.directories.push(Directory { name, is_linked: true });
            }
            FileType::Symlink | FileType::Other => {}
        }
        Ok(())
    }

    /// Whether a symbolic link leads to a directory elsewhere: a user may have moved `data` to another disk. One link on the
    /// way, and none into the store or to what is above it, is what can be followed without going round in circles.
    async fn leads_out(&self, name: &str) -> Result<bool, Failure> {
        let sftp = &self.connection.sftp;
        let path = self.path(name);
        match sftp.stat(path.as_str()).await {
            Ok(found) if found.attrs.file_type().is_dir() => {}
            _ => return Ok(false),
        }
        let (there, here) = (sftp.realpath(path).await?, sftp.realpath(self.root).await?);
        let (Some(there), Some(here)) = (there.files.first(), here.files.first()) else {
            return Ok(false);
        };
        let within =
            |inner: &str, outer: &str| format!("{inner}/").starts_with(&format!("{}/", outer.trim_end_matches('/')));
        Ok(!within(&there.filename, &here.filename) && !within(&here.filename, &there.filename))
    }

    /// Best effort: a left-over costs space, and nothing else.
    async fn remove_if_abandoned(&self, path: &str, attributes: &FileAttributes) {
        let modified = attributes
            .mtime
            .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()));
        if attributes.file_type().is_file() && modified.is_some_and(is_abandoned) {
            let _ = self.connection.sftp.remove(path).await;
        }
    }
}

async fn entries(connection: &Connection, path: &str) -> Result<Vec<File>, Failure> {
    let handle = connection.sftp.opendir(path).await?.handle;
    let entries = pages(connection, &handle).await;
    let closed = connection.sftp.close(handle).await;
    let entries = entries?;
    closed?;
    Ok(entries)
}

async fn pages(connection: &Connection, handle: &str) -> Result<Vec<File>, Failure> {
    let mut pages = stream::repeat(())
        .map(|()| connection.sftp.readdir(handle))
        .buffered(PAGES);
    let mut entries = Vec::new();
    while let Some(page) = pages.next().await {
        match page.map_err(Failure::from) {
            Ok(page) => entries.extend(page.files),
            Err(failure) if failure.is_status(StatusCode::Eof) => break,
            Err(failure) => return Err(failure),
        }
    }
    Ok(entries)
}

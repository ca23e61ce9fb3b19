//! Databases that are open through the library, and what must not be closed meanwhile.
//!
//! Locks of POSIX belong to a process and a file: closing any descriptor of the file gives all of them up, also those that the library took
//! through another one, and a writer of another process could then change what is being read. The library knows and keeps its own
//! descriptors open as long as it has to; ours are kept here.

use parking_lot::Mutex;
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::LazyLock;

/// Device and inode.
type FileId = (u64, u64);

/// Files that are open through the library.
static OPEN: LazyLock<Mutex<HashMap<FileId, Users>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Users {
    connections: usize,
    /// Descriptors of ours that are closed after the last of them.
    waiting: Vec<File>,
}

fn id(file: &Metadata) -> FileId {
    (file.dev(), file.ino())
}

/// Close a file as soon as no lock of the library depends on it.
pub fn close(file: File) {
    let mut open = OPEN.lock();
    if let Ok(there) = file.metadata()
        && let Some(users) = open.get_mut(&id(&there))
    {
        users.waiting.push(file);
    }
}

/// A connection to a database.
pub struct Open {
    // Closed before the other field is dropped.
    connection: Connection,
    _held: Held,
}

impl Open {
    /// What `connect` opens at `path`.
    ///
    /// # Errors
    /// Those of `connect`.
    pub fn new<E>(path: &Path, connect: impl FnOnce() -> Result<Connection, E>) -> Result<Self, E> {
        let held = Held::new(path);
        Ok(Self {
            connection: connect()?,
            _held: held,
        })
    }
}

impl Deref for Open {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Keeps descriptors of a file open. One that does not exist yet has none.
struct Held(Option<FileId>);

impl Held {
    fn new(path: &Path) -> Self {
        let mut open = OPEN.lock();
        let id = fs::metadata(path).ok().map(|there| id(&there));
        if let Some(id) = id {
            open.entry(id).or_default().connections += 1;
        }
        Self(id)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(id) = self.0 else {
            return;
        };
        let mut open = OPEN.lock();
        if let Some(users) = open.get_mut(&id) {
            users.connections -= 1;
            if users.connections == 0 {
                open.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_files::InFiles;
    use super::super::server::Database;
    use super::*;
    use repository::{Cancel, Substitute as _};
    use std::io::Read as _;

    /// What the system knows of locks of this process.
    fn is_locked(path: &Path) -> bool {
        let inode = format!(":{} ", fs::metadata(path).unwrap().ino());
        let process = format!(" {} ", std::process::id());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks
            .lines()
            .any(|lock| lock.contains("POSIX") && lock.contains(&process) && lock.contains(&inode))
    }

    #[test]
    fn a_lock_outlasts_whatever_else_looks_into_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::new(directory.path().join("app.db"));
        let writer = database.create().unwrap();
        writer
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
            .unwrap();
        drop(writer);

        let reading = database.open().unwrap();
        reading.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        assert!(is_locked(&database.path));
        assert!(database.has_header().unwrap());
        let among_files = InFiles::new(Cancel::default());
        let file = File::open(&database.path).unwrap();
        let (mut image, length) = among_files.open(&database.path).unwrap();
        let mut content = Vec::new();
        image.read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, length);
        among_files.close(file);
        assert!(is_locked(&database.path), "the first reader still reads");

        reading.execute_batch("COMMIT").unwrap();
        assert!(!is_locked(&database.path));
        drop(reading);
        let id = id(&fs::metadata(&database.path).unwrap());
        assert!(!OPEN.lock().contains_key(&id), "and nothing stays open");
    }
}

//! A database file, opened by the library that it was written by.

use super::open::{self, Open};
use repository::{Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for whoever holds a database that was named.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for one that was met: it can be stored as it is.
const LITTLE_PATIENCE: Duration = Duration::from_secs(5);

/// What every database begins with.
pub const HEADER: &[u8] = b"SQLite format 3\0";

/// A database in a file.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where it is.
    pub path: PathBuf,
    /// How long to wait for whoever holds it.
    pub patience: Duration,
}

impl Database {
    /// In this file.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            patience: PATIENCE,
        }
    }

    /// In a file that was met.
    pub fn met(path: PathBuf) -> Self {
        Self {
            path,
            patience: LITTLE_PATIENCE,
        }
    }

    /// To read it. Nothing of it is changed: not even its log is written back.
    ///
    /// # Errors
    /// If there is no such file, or it is none of SQLite's.
    pub fn open(&self) -> Result<Open> {
        // An empty file is an empty database to the library: for a backup it is one that is gone.
        if !self.has_header().map_err(Error::local("open", &self.path))? {
            return Err(Error::Refused {
                message: format!("`{}` is no SQLite database", self.path.display()),
                hint: "Check `path`; databases that are encrypted are captured as `files`.".to_owned(),
            });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.connect(flags)
    }

    /// Whether the file begins as every database does.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn has_header(&self) -> io::Result<bool> {
        let mut header = Vec::new();
        let file = File::open(&self.path)?;
        let read = (&file).take(HEADER.len() as u64).read_to_end(&mut header);
        open::close(file);
        read?;
        Ok(header == HEADER)
    }

    /// To write a new one, or into one that is there.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(&self) -> Result<Open> {
        self.connect(
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
    }

    fn connect(&self, flags: OpenFlags) -> Result<Open> {
        let wrong = failed(self, "open");
        let connect = || Connection::open_with_flags(&self.path, flags);
        let connection = Open::new(&self.path, connect).map_err(&wrong)?;
        connection.busy_timeout(self.patience).map_err(&wrong)?;
        Ok(connection)
    }

    /// Whether writers write to a log of their own, so that readers do not hold them up.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn has_write_ahead_log(&self, connection: &Connection) -> Result<bool> {
        let mode: String = connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .map_err(failed(self, "read"))?;
        Ok(mode == "wal")
    }

    /// The error that it is held by somebody.
    pub fn locked(&self) -> Error {
        Error::Refused {
            message: format!("the database `{}` is locked by another program", self.path.display()),
            hint: format!(
                "It did not let go for {} seconds. Find who holds it with `fuser {}`.",
                self.patience.as_secs(),
                self.path.display()
            ),
        }
    }

    /// The error that it is not whole.
    pub fn damaged(&self, reason: &str) -> Error {
        Error::Refused {
            message: format!("the database `{}` is damaged: {reason}", self.path.display()),
            hint: "Repair it with `sqlite3 DATABASE .recover`, or restore it from a backup.".to_owned(),
        }
    }
}

/// Makes an error of the library one that says what to do.
pub fn failed(database: &Database, operation: &'static str) -> impl Fn(rusqlite::Error) -> Error + use<> {
    let database = database.clone();
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => database.locked(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => database.damaged(&error.to_string()),
        _ => Error::Refused {
            message: format!("cannot {operation} the database `{}`: {error}", database.path.display()),
            hint: "Check that this user may read it, and write to the directory that it lies in.".to_owned(),
        },
    }
}

/// The name of a database in paths of a snapshot: that of its file, without an ending.
pub fn name_of(path: &Path) -> String {
    path.file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

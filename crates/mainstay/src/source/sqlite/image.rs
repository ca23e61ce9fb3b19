//! A database while it is in use, as the bytes of a file.
//!
//! With a write-ahead log, which most applications choose, the pages are read in one transaction: they are as of one moment, and
//! writers are not held up. With a rollback journal every reader holds up writers, for as long as a slow store takes; so there the
//! database is first copied to a temporary file, at the speed of the disk and in small steps between which writers have their turn.

use super::server::{Database, failed};
use super::{facts, in_files, open};
use crate::engine::manifest::Facts;
use parking_lot::Mutex;
use repository::{Cancel, Error, Result};
use rusqlite::{Connection, ffi};
use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much is handed over at once, bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that wait for whoever reads.
const BATCHES: usize = 4;
/// How much is copied before it is seen whether writers shall have their turn.
const STEP_BYTES: u64 = 8 << 20;
/// How long writers have to wait then.
const HELD: Duration = Duration::from_millis(40);
const PAUSE: Duration = Duration::from_millis(10);
/// What the name of a rollback journal ends with.
const JOURNAL: &str = "-journal";
/// How often a copy begins anew because somebody wrote, before writers have to wait for it.
const RESTARTS: u32 = 3;

/// The bytes of a database. It is opened by the first call.
pub struct Image {
    database: Database,
    cancel: Cancel,
    facts: Arc<Mutex<Facts>>,
    pages: Option<Pages>,
}

impl Image {
    /// Of `database`; what is known of it goes into `facts`.
    pub fn new(database: Database, cancel: Cancel, facts: Arc<Mutex<Facts>>) -> Self {
        Self {
            database,
            cancel,
            facts,
            pages: None,
        }
    }
}

impl Read for Image {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pages = match &mut self.pages {
            Some(pages) => pages,
            None => {
                let facts = Some(Arc::clone(&self.facts));
                let pages = Pages::open(&self.database, &self.cancel, facts).map_err(io::Error::other)?;
                self.pages.insert(pages)
            }
        };
        pages.read(buffer)
    }
}

/// The same, opened.
pub struct Pages {
    /// Its length in bytes.
    pub length: u64,
    batches: Receiver<Sent>,
    batch: Vec<u8>,
    taken: usize,
    reader: Option<JoinHandle<()>>,
}

/// What the thread that reads has to say.
enum Sent {
    Opened(u64),
    Batch(Vec<u8>),
    Failed(Error),
}

impl Pages {
    /// Open `database`, look whether it is whole, and fix the moment. What is known of it then goes into `facts`.
    ///
    /// # Errors
    /// If it cannot be opened, is locked, or is damaged.
    pub fn open(database: &Database, cancel: &Cancel, facts: Option<Arc<Mutex<Facts>>>) -> Result<Self> {
        let (sender, batches) = sync_channel(BATCHES);
        let (database, cancel) = (database.clone(), cancel.clone());
        let reader = std::thread::spawn(move || {
            if let Err(error) = send_all(&database, &cancel, facts.as_deref(), &sender) {
                // Nobody is left to tell if nobody reads.
                let _: Option<()> = sender.send(Sent::Failed(error)).ok();
            }
        });
        match batches.recv() {
            Ok(Sent::Opened(length)) => Ok(Self {
                length,
                batches,
                batch: Vec::new(),
                taken: 0,
                reader: Some(reader),
            }),
            Ok(Sent::Failed(error)) => Err(error),
            Ok(Sent::Batch(_)) | Err(_) => Err(Error::Interrupted),
        }
    }
}

impl Read for Pages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.batch.len() {
            match self.batches.recv() {
                Ok(Sent::Batch(batch)) => (self.batch, self.taken) = (batch, 0),
                Ok(Sent::Failed(error)) => return Err(io::Error::other(error)),
                // The end, unless the thread has fallen over.
                Ok(Sent::Opened(_)) | Err(_) => {
                    return match self.reader.take().map(JoinHandle::join) {
                        Some(Err(_)) => Err(io::Error::other("reading the database failed unexpectedly")),
                        _ => Ok(0),
                    };
                }
            }
        }
        let length = buffer.len().min(self.batch.len() - self.taken);
        buffer[..length].copy_from_slice(&self.batch[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

type Batches = SyncSender<Sent>;

fn send_all(database: &Database, cancel: &Cancel, facts: Option<&Mutex<Facts>>, out: &Batches) -> Result<()> {
    let connection = database.open()?;
    let was_left = is_left_in_a_transaction(&connection);
    if !was_left && database.has_write_ahead_log(&connection)? {
        return send_pages(database, &connection, cancel, facts, out);
    }
    let scratch = tempfile::tempdir().map_err(Error::local("create a directory in", std::env::temp_dir()))?;
    let copied = Database::new(scratch.path().join("copy.db"));
    let unreadable = || Error::local("copy a database to", &copied.path);
    let copy = File::create_new(&copied.path).map_err(unreadable())?;
    if was_left {
        copy_recovered(database, &copied)?;
    } else {
        copy_to(database, &connection, &copy, cancel)?;
    }
    drop((connection, copy));
    learn(&*copied.open()?, database, facts)?;
    let copy = File::open(&copied.path).map_err(unreadable())?;
    let length = copy.metadata().map_err(unreadable())?.len();
    if out.send(Sent::Opened(length)).is_ok() {
        send_file(&copy, cancel, out)?;
    }
    Ok(())
}

/// Whether its application ended in the middle of a transaction, and has not been back to undo it.
fn is_left_in_a_transaction(connection: &Connection) -> bool {
    let read = facts::number(connection, "SELECT count(*) FROM sqlite_schema");
    let code = read
        .err()
        .as_ref()
        .and_then(rusqlite::Error::sqlite_error)
        .map(|error| error.extended_code);
    code == Some(ffi::SQLITE_READONLY_ROLLBACK)
}

/// That it is whole, and what there is to know if somebody wants to.
fn learn(connection: &Connection, database: &Database, facts: Option<&Mutex<Facts>>) -> Result<()> {
    facts::check(connection, database, "quick_check")?;
    if let Some(facts) = facts {
        *facts.lock() = facts::of(connection, database)?;
    }
    Ok(())
}

/// Page after page, in one transaction.
fn send_pages(
    database: &Database,
    connection: &Connection,
    cancel: &Cancel,
    facts: Option<&Mutex<Facts>>,
    out: &Batches,
) -> Result<()> {
    let wrong = failed(database, "read");
    // The first statement fixes the moment.
    connection.execute_batch("BEGIN").map_err(&wrong)?;
    learn(connection, database, facts)?;
    let pages = facts::number(connection, "PRAGMA page_count").map_err(&wrong)?;
    let page_bytes = facts::number(connection, "PRAGMA page_size").map_err(&wrong)?;
    if out.send(Sent::Opened(pages * page_bytes)).is_err() {
        return Ok(());
    }
    let mut statement = connection
        .prepare("SELECT data FROM sqlite_dbpage ORDER BY pgno")
        .map_err(&wrong)?;
    let mut rows = statement.query([]).map_err(&wrong)?;
    let (mut batch, mut sent) = (Vec::with_capacity(BATCH_BYTES), 0);
    while let Some(row) = rows.next().map_err(&wrong)? {
        cancel.check()?;
        let page = row.get_ref(0).and_then(|page| Ok(page.as_blob()?)).map_err(&wrong)?;
        batch.extend_from_slice(page);
        sent += 1;
        if batch.len() >= BATCH_BYTES && !send(out, &mut batch) {
            return Ok(());
        }
    }
    if sent != pages {
        return Err(database.damaged(&format!("{sent} of {pages} pages can be read")));
    }
    send(out, &mut batch);
    Ok(())
}

/// Whether somebody still reads.
fn send(out: &Batches, batch: &mut Vec<u8>) -> bool {
    let full = std::mem::replace(batch, Vec::with_capacity(BATCH_BYTES));
    out.send(Sent::Batch(full)).is_ok()
}

fn send_file(file: &File, cancel: &Cancel, out: &Batches) -> Result<()> {
    let mut offset = 0;
    loop {
        cancel.check()?;
        let mut batch = vec![0; BATCH_BYTES];
        let read = file
            .read_at(&mut batch, offset)
            .map_err(Error::local("read", "the copy of a database"))?;
        batch.truncate(read);
        offset += read as u64;
        if read == 0 || !send(out, &mut batch) {
            return Ok(());
        }
    }
}

/// Copy the bytes of a database with a rollback journal. Writers wait while a lock is held: it is held for moments, between which they have
/// their turn, and for as long as all of it takes only if somebody wrote each time. To copy bytes takes a third of the time that the library's
/// own copy takes, which goes page by page.
fn copy_to(database: &Database, connection: &Connection, copy: &File, cancel: &Cancel) -> Result<()> {
    let file = File::open(&database.path).map_err(Error::local("open", &database.path))?;
    let copied = copy_locked(database, connection, (&file, copy), cancel);
    open::close(file);
    copied
}

fn copy_locked(
    database: &Database,
    connection: &Connection,
    (file, copy): (&File, &File),
    cancel: &Cancel,
) -> Result<()> {
    let wrong = failed(database, "copy");
    let wrong_bytes = || Error::local("copy", &database.path);
    let (mut begun, mut version) = (0, None);
    loop {
        cancel.check()?;
        // The lock is taken by the first statement that reads.
        connection
            .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            .map_err(&wrong)?;
        let now = facts::number(connection, "PRAGMA data_version").map_err(&wrong)?;
        if version.replace(now) != Some(now) {
            begun += 1;
            // Somebody has just given it a write-ahead log: not all of it is in its file now.
            if database.has_write_ahead_log(connection)? {
                return Err(database.locked());
            }
            start_again(file, copy).map_err(wrong_bytes())?;
        }
        let end = (begun <= RESTARTS).then(|| Instant::now() + HELD);
        let is_done = copy_until(end, (file, copy), cancel).map_err(wrong_bytes())?;
        connection.execute_batch("COMMIT").map_err(&wrong)?;
        if is_done {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is there already is written over: to make room for it anew takes longer.
fn start_again(mut file: &File, mut copy: &File) -> io::Result<()> {
    file.rewind()?;
    copy.rewind()
}

/// Whether all of it is copied.
fn copy_until(end: Option<Instant>, (file, mut copy): (&File, &File), cancel: &Cancel) -> io::Result<bool> {
    loop {
        if io::copy(&mut file.take(STEP_BYTES), &mut copy)? == 0 {
            copy.set_len(copy.stream_position()?)?;
            return Ok(true);
        }
        if cancel.check().is_err() || end.is_some_and(|end| Instant::now() >= end) {
            return Ok(false);
        }
    }
}

/// Copy a database that its application left in the middle of a transaction, together with its journal, and undo the transaction in the copy, as
/// the application will do with the original.
fn copy_recovered(database: &Database, copy: &Database) -> Result<()> {
    let journal = |database: &Database| in_files::with_ending(&database.path, JOURNAL);
    let state =
        |path: &Path| fs::metadata(path).map(|there| (there.ino(), there.len(), there.mtime(), there.mtime_nsec()));
    let both = || Ok::<_, io::Error>((state(&database.path)?, state(&journal(database))?));
    let copied = (|| {
        let before = both()?;
        let file = File::open(&database.path)?;
        let copied = io::copy(&mut &file, &mut File::create(&copy.path)?);
        open::close(file);
        copied?;
        fs::copy(journal(database), journal(copy))?;
        Ok(before == both()?)
    })();
    if !copied.map_err(Error::local("copy", &database.path))? {
        // The application is back.
        return Err(database.locked());
    }
    let connection = copy.create()?;
    facts::number(&connection, "SELECT count(*) FROM sqlite_schema").map_err(failed(database, "recover"))?;
    Ok(())
}

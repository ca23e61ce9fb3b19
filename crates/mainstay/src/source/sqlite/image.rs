//! A database while it is in use, as the bytes of a file.
//!
//! With a write-ahead log, which most applications choose, the pages are read in one transaction: they are as of one moment, and
//! writers are not held up. With a rollback journal every reader holds up writers, for as long as a slow store takes; so there the
//! database is first copied to a temporary file, at the speed of the disk and in small steps between which writers have their turn.

use super::facts;
use super::server::{Database, failed};
use crate::engine::manifest::Facts;
use parking_lot::Mutex;
use repository::{Cancel, Error, Result};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much is handed over at once, bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that wait for whoever reads.
const BATCHES: usize = 4;
/// How much is copied before writers have their turn.
const STEP_BYTES: u64 = 8 << 20;
const PAUSE: Duration = Duration::from_millis(10);
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
    if database.has_write_ahead_log(&connection)? {
        return send_pages(database, &connection, cancel, facts, out);
    }
    let copy = tempfile::NamedTempFile::new().map_err(Error::local("create", std::env::temp_dir()))?;
    let copied = Database::new(copy.path().to_owned());
    copy_to(database, &connection, &copied, cancel)?;
    drop(connection);
    learn(&*copied.open()?, database, facts)?;
    let length = copy
        .as_file()
        .metadata()
        .map_err(Error::local("read", copy.path()))?
        .len();
    if out.send(Sent::Opened(length)).is_ok() {
        send_file(copy.as_file(), cancel, out)?;
    }
    Ok(())
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

fn copy_to(database: &Database, from: &Connection, copy: &Database, cancel: &Cancel) -> Result<()> {
    let wrong = failed(database, "copy");
    let mut to = copy.create()?;
    let backup = Backup::new(from, &mut to).map_err(&wrong)?;
    let page_bytes = facts::number(from, "PRAGMA page_size").map_err(&wrong)?;
    let pages = i32::try_from(STEP_BYTES / page_bytes.max(1)).unwrap_or(i32::MAX);
    let (mut restarts, mut left, mut waited) = (0, i32::MAX, Instant::now());
    loop {
        cancel.check()?;
        let step = if restarts < RESTARTS { pages } else { -1 };
        match backup.step(step).map_err(&wrong)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {
                let now = backup.progress().remaining;
                // What does not get less has begun anew.
                restarts += u32::from(now >= left);
                left = now;
                waited = Instant::now();
            }
            // Somebody writes.
            _ if waited.elapsed() > database.patience => return Err(database.locked()),
            _ => {}
        }
        std::thread::sleep(PAUSE);
    }
}

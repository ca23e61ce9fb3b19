//! Locks: objects in the repository that say who is at work, exactly as restic uses them.
//!
//! Whoever adds to a repository holds a shared lock; whoever removes from it holds an exclusive one. A lock is refreshed every five
//! minutes and is stale when it is half an hour old, or when its process on this host is dead.

use super::object::ObjectKind;
use super::repository::Repository;
use crate::local::users::{Identity, identity};
use crate::{Cancel, Error, Held, Id, Monitor, Result, clock};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::ErrorKind;

/// What a lock forbids to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Others may add, nobody may remove.
    Shared,
    /// Nobody else may do anything that takes a lock.
    Exclusive,
}

/// A lock as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockFile {
    /// When it was last refreshed.
    pub time: Timestamp,
    /// Whether nobody else may work.
    pub exclusive: bool,
    /// Who holds it.
    #[serde(default)]
    pub hostname: String,
    /// Who holds it.
    #[serde(default)]
    pub username: String,
    /// Who holds it.
    #[serde(default)]
    pub pid: i32,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);
/// A lock that was not refreshed for this long is not relied on any more: others may soon take it for stale.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_mins(25);
/// Time for a lock to become visible to others in a store that is far away.
const SETTLE: Duration = Duration::from_millis(200);
const RETRY_EVERY: Duration = Duration::from_secs(5);

impl LockFile {
    fn new(kind: LockKind) -> Self {
        let Identity {
            hostname,
            username,
            uid,
            gid,
        } = identity();
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self {
            time: clock::now(),
            exclusive: kind == LockKind::Exclusive,
            hostname,
            username,
            pid,
            uid,
            gid,
        }
    }

    /// Whether its holder is gone, as restic defines it.
    pub fn is_stale(&self) -> bool {
        if clock::now().duration_since(self.time) > STALE_AFTER {
            return true;
        }
        self.hostname == identity().hostname && !is_running(self.pid)
    }

    /// `exclusively by PID 12 on host by user since …`
    pub fn holder(&self) -> String {
        let how = if self.exclusive {
            "exclusively"
        } else {
            "for reading or adding"
        };
        format!(
            "{how} by process {} of {} on {}, last seen {}",
            self.pid, self.username, self.hostname, self.time
        )
    }
}

fn is_running(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else {
        return false;
    };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// How to take a lock.
#[derive(Clone, Debug, Default)]
pub struct LockOptions {
    /// Go on trying for this long.
    pub retry: Duration,
    /// Stop trying when this is set.
    pub cancel: Cancel,
}

/// A lock that is held; dropping it removes it.
#[derive(Debug)]
pub struct Lock {
    shared: Arc<Shared>,
    stop: Option<crossbeam_channel::Sender<()>>,
    refresher: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    repository: Repository,
    kind: LockKind,
    state: Mutex<(Id, Timestamp)>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.kind, self.state.lock().0)
    }
}

impl Lock {
    /// Take a lock. Stale locks of others are removed on the way.
    pub fn acquire(
        repository: &Repository,
        kind: LockKind,
        options: &LockOptions,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let deadline = Instant::now() + options.retry;
        loop {
            match Self::try_acquire(repository, kind, monitor) {
                Err(Error::Locked { holder }) if Instant::now() < deadline => {
                    monitor.note(&format!("waiting: the repository is locked {holder}"));
                    wait(RETRY_EVERY.min(deadline - Instant::now()), &options.cancel)?;
                }
                other => return other,
            }
        }
    }

    fn try_acquire(repository: &Repository, kind: LockKind, monitor: &dyn Monitor) -> Result<Self> {
        check_others(repository, kind, None, Some(monitor))?;
        let file = LockFile::new(kind);
        let id = repository.write_json(ObjectKind::Lock, &file)?;
        let shared = Arc::new(Shared {
            repository: repository.clone(),
            kind,
            state: Mutex::new((id, file.time)),
        });
        let (stop, stopped) = crossbeam_channel::bounded(1);
        let refreshing = Arc::clone(&shared);
        let refresh = move || {
            while stopped.recv_timeout(REFRESH_EVERY) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                // A failed refresh is tried again in five minutes; `Lock::check` notices when that is too late.
                let _: Option<()> = refreshing.refresh().ok();
            }
        };
        let lock = Self {
            shared,
            stop: Some(stop),
            refresher: Some(std::thread::spawn(refresh)),
        };
        if repository.is_remote() {
            std::thread::sleep(SETTLE);
        }
        // Two that wrote their locks at the same time both see the other here, and both step back.
        check_others(repository, kind, Some(id), None)?;
        Ok(lock)
    }

    /// What it forbids to others.
    pub fn kind(&self) -> LockKind {
        self.shared.kind
    }

    /// Whether the lock is still there and fresh. Called before anything that relies on it becomes final: somebody may have removed it;
    /// or this process was suspended, or the store out of reach, for longer than others wait.
    pub fn check(&self) -> Result<()> {
        loop {
            let (id, refreshed) = *self.shared.state.lock();
            if self.shared.is_there(&id)? {
                let is_fresh = clock::now().duration_since(refreshed) < GIVE_UP_AFTER;
                return if is_fresh { Ok(()) } else { self.shared.refresh() };
            }
            // It may have been refreshed in this moment: then there is another.
            if self.shared.state.lock().0 == id {
                return Err(Error::LockLost);
            }
        }
    }
}

impl Shared {
    fn is_there(&self, id: &Id) -> Result<bool> {
        match self.repository.store().stat(&ObjectKind::Lock.object_name(id)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Remove a lock of ours. One that the store keeps for a time holds up nobody in this process; others wait until it is stale.
    fn release(&self, id: &Id) -> Result<()> {
        let deleted = self.repository.delete(ObjectKind::Lock, id);
        if !Held::default().count(deleted)? {
            self.repository.note_released(*id);
        }
        Ok(())
    }

    /// Write a new lock, then remove the old one, so that there is one at every moment. A lock that somebody removed is not written
    /// again: what it protected may be gone.
    fn refresh(&self) -> Result<()> {
        let current = self.state.lock().0;
        if !self.is_there(&current)? {
            return Err(Error::LockLost);
        }
        let file = LockFile::new(self.kind);
        let new = self.repository.write_json(ObjectKind::Lock, &file)?;
        let (old, _) = std::mem::replace(&mut *self.state.lock(), (new, file.time));
        self.release(&old)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(refresher) = self.refresher.take() {
            // A panic there has been printed; the lock is removed all the same.
            let _: Option<()> = refresher.join().ok();
        }
        let (id, _) = *self.shared.state.lock();
        // If it cannot be removed, it is stale as soon as this process has ended.
        let _: Option<()> = self.shared.release(&id).ok();
    }
}

fn wait(duration: Duration, cancel: &Cancel) -> Result<()> {
    let until = Instant::now() + duration;
    while Instant::now() < until {
        cancel.check()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    cancel.check()
}

/// Every lock but `own`, with what is known of it. Locks that vanish while they are read were released.
pub fn list_locks(repository: &Repository, own: Option<Id>) -> Result<Vec<(Id, Result<LockFile>)>> {
    let mut locks = Vec::new();
    for (id, size) in repository.list(ObjectKind::Lock)? {
        // An empty lock was left by a store that is not atomic; its writer never got to work.
        if Some(id) == own || size == 0 {
            continue;
        }
        match repository.read_json::<LockFile>(ObjectKind::Lock, &id) {
            Err(Error::Storage(error)) if error.kind == ErrorKind::NotFound => {}
            other => locks.push((id, other)),
        }
    }
    Ok(locks)
}

fn check_others(
    repository: &Repository,
    kind: LockKind,
    own: Option<Id>,
    remove_stale: Option<&dyn Monitor>,
) -> Result<()> {
    for (id, lock) in list_locks(repository, own)? {
        if repository.has_released(&id) {
            continue;
        }
        let lock = lock.map_err(|_| Error::Locked {
            holder: format!("by lock `{}`, which cannot be read", id.short()),
        })?;
        if lock.is_stale() {
            if let Some(monitor) = remove_stale {
                monitor.note(&format!("removing a stale lock, held {}", lock.holder()));
                match repository.delete(ObjectKind::Lock, &id) {
                    // Whoever only adds may have credentials for no more than that, and is not kept from it by a stale lock.
                    Err(Error::Storage(error))
                        if error.kind == ErrorKind::PermissionDenied && kind == LockKind::Shared =>
                    {
                        monitor.note("it stays: these credentials cannot delete; run `mainstay unlock` with others");
                    }
                    Err(Error::Storage(error)) if error.kind == ErrorKind::Held => {
                        monitor.note("it stays: the store keeps it for a time");
                    }
                    other => other?,
                }
            }
        } else if lock.exclusive || kind == LockKind::Exclusive {
            return Err(Error::Locked { holder: lock.holder() });
        }
    }
    Ok(())
}

/// Remove stale locks, or all of them; returns how many.
pub fn unlock(repository: &Repository, all: bool) -> Result<usize> {
    let stale = |lock: &Result<LockFile>| lock.as_ref().is_ok_and(LockFile::is_stale);
    let locks = list_locks(repository, None)?;
    let remove = locks.iter().filter(|(_, lock)| all || stale(lock));
    remove
        .map(|(id, _)| repository.delete(ObjectKind::Lock, id))
        .try_fold(0, |n, result| result.map(|()| n + 1))
}

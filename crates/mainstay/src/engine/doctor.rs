//! Tries out what a store is needed for, and cleans up.

mod findings;

use crate::explain;
use bytes::Bytes;
use repository::{Cancel, Id};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use storage::{ErrorKind, Hold, Inspect, ObjectInfo, Store};

pub use findings::{Finding, Severity};

/// What was found out about a store.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Where it is.
    pub location: String,
    /// What was tried, in order.
    pub probes: Vec<Probe>,
    /// What it says of itself, as far as stores of its kind can be asked.
    pub findings: Vec<Finding>,
    /// Worth knowing.
    pub notes: Vec<String>,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub struct Probe {
    /// What, as a verb.
    pub name: &'static str,
    /// Seconds that it took.
    pub seconds: f64,
    /// Why it did not work.
    pub error: Option<String>,
    /// What cannot be done without it.
    pub costs: &'static str,
    /// The next action.
    pub hint: Option<String>,
    /// Nothing that this repository is configured for needs it.
    pub is_optional: bool,
}

/// Bytes of the small object, and of the large one, which takes several requests where a store has a limit.
const SMALL: usize = 1 << 10;
const LARGE: usize = 24 << 20;
/// What the large object is handed over in, bytes.
const PIECE: usize = 1 << 20;
/// A store that takes small requests at once and large ones not at all loses packets of full size on the way.
const STALLED: Duration = Duration::from_secs(20);
/// Less free space than this is told, bytes.
const LITTLE_SPACE: u64 = 1 << 30;

impl Diagnosis {
    /// Whether everything that is needed works.
    pub fn is_healthy(&self) -> bool {
        let works = |probe: &Probe| probe.error.is_none() || probe.is_optional;
        let is_fit = |finding: &Finding| finding.severity != Severity::Error;
        self.probes.iter().all(works) && self.findings.iter().all(is_fit)
    }
}

/// Try `store` out. `append_only`: it need not delete. Objects are named so that every store takes them, and so that a prune removes
/// them where they cannot be deleted now.
pub fn examine(store: &dyn Store, append_only: bool, cancel: &Cancel) -> Diagnosis {
    let (small, large) = (noise(SMALL), noise(LARGE));
    let mut doctor = Doctor {
        store,
        cancel,
        probes: Vec::new(),
        findings: Vec::new(),
    };
    let is_reached = doctor.probe("list", "everything: nothing can be found", false, |store| {
        let listed = store.list("snapshots");
        match listed {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    });
    if is_reached {
        let name = object_name(&small);
        let is_stored = doctor.probe("write", "backups", false, |store| store.write(&name, small.clone()));
        if is_stored {
            doctor.read_back(&name, &small);
        }
        let large_name = object_name(&large);
        let is_streamed = doctor.probe(
            "write a large object",
            "backups of more than a few megabytes",
            false,
            |store| {
                let mut writer = store.writer(&large_name)?;
                for piece in (0..LARGE).step_by(PIECE) {
                    writer.write(large.slice(piece..piece + PIECE))?;
                }
                writer.finish().map(drop)
            },
        );
        doctor.ask(is_stored.then_some((name.as_str(), &small)));
        let names = [(is_stored, name), (is_streamed, large_name)];
        let written: Vec<String> = names
            .into_iter()
            .filter_map(|(is_there, name)| is_there.then_some(name))
            .collect();
        doctor.delete(&written, append_only);
    }
    doctor.findings.extend(store.inspect().and_then(findings::clock));
    let mut notes = Vec::new();
    notes.extend(stall(&doctor.probes));
    Diagnosis {
        location: store.location(),
        probes: doctor.probes,
        findings: doctor.findings,
        notes,
    }
}

/// What is worth knowing of the disk that a local repository is on.
pub fn free_space(directory: &Path) -> Option<String> {
    let existing = directory.ancestors().find(|path| path.exists())?;
    let space = rustix::fs::statvfs(existing).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    (free < LITTLE_SPACE).then(|| format!("only {} MiB are free in `{}`", free >> 20, existing.display()))
}

struct Doctor<'a> {
    store: &'a dyn Store,
    cancel: &'a Cancel,
    probes: Vec<Probe>,
    findings: Vec<Finding>,
}

impl Doctor<'_> {
    fn read_back(&mut self, name: &str, content: &Bytes) {
        self.probe("read", "restores, and the next backup", false, |store| {
            same(store, name, &store.read(name)?, content)
        });
        self.probe("read a part", "restores of single files", false, |store| {
            same(store, name, &store.read_range(name, 100..200)?, &content[100..200])
        });
        let costs = "locks: two programs at work would not see each other";
        self.probe("find", costs, false, |store| {
            let listed = store.list("data")?;
            let is_there = |object: &ObjectInfo| object.name == name && object.size == content.len() as u64;
            if listed.iter().any(is_there) {
                Ok(())
            } else {
                Err(lost(store, name, "is not listed after it was written"))
            }
        });
    }

    /// What can be asked, once it works.
    fn ask(&mut self, written: Option<(&str, &Bytes)>) {
        let Some(store) = self.store.inspect().filter(|_| !self.cancel.is_cancelled()) else {
            return;
        };
        let replace = |(name, content)| findings::conditional_write(store, name, content);
        self.findings.extend(written.and_then(replace));
        self.findings.extend(findings::rules(store));
    }

    /// Delete what was written. What the store keeps for a time is no failure: it keeps everything so.
    fn delete(&mut self, names: &[String], append_only: bool) {
        let hold = names.first().and_then(|name| self.hold(name));
        if names.is_empty() {
            return;
        }
        let mut kept = None;
        let costs = "`forget`, `prune`, and removing locks";
        let are_gone = self.probe("delete", costs, append_only, |store| {
            // All of them, whatever becomes of the first.
            let deleted: Vec<_> = names.iter().map(|name| delete(store, name, &mut kept)).collect();
            deleted.into_iter().collect()
        });
        if kept.is_some() {
            // It neither works nor fails.
            self.probes
                .retain(|probe| probe.name != "delete" || probe.error.is_some());
        }
        let hidden = hold.filter(|_| are_gone).map(findings::hidden);
        self.findings.extend(kept.or(hidden));
    }

    /// What protects an object, if the store says so.
    fn hold(&self, name: &str) -> Option<Hold> {
        let inspect: &dyn Inspect = self.store.inspect()?;
        inspect.held(name)?.ok()?
    }

    /// Whether it worked.
    fn probe(
        &mut self,
        name: &'static str,
        costs: &'static str,
        is_optional: bool,
        attempt: impl FnOnce(&dyn Store) -> storage::Result<()>,
    ) -> bool {
        if self.cancel.is_cancelled() {
            return false;
        }
        let begin = Instant::now();
        let failed = attempt(self.store).err().map(|error| {
            let error = anyhow::Error::from(repository::Error::from(error));
            (explain::chain(&error), explain::hint(&error))
        });
        let worked = failed.is_none();
        let (error, hint) = failed.map_or((None, None), |(error, hint)| (Some(error), hint));
        self.probes.push(Probe {
            name,
            seconds: begin.elapsed().as_secs_f64(),
            error,
            costs,
            hint,
            is_optional,
        });
        worked
    }
}

/// Content that compresses nowhere on the way.
fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::fill(&mut bytes);
    bytes.into()
}

/// As a pack is named, which some servers check: by its content.
fn object_name(content: &[u8]) -> String {
    let id = Id::hash(content).to_hex();
    format!("data/{}/{id}", &id[..2])
}

/// Delete an object and see that it is gone; `kept` says so if the store keeps it for a time.
fn delete(store: &dyn Store, name: &str, kept: &mut Option<Finding>) -> storage::Result<()> {
    match store.delete(name) {
        Err(error) if error.kind == ErrorKind::Held => {
            *kept = Some(findings::kept(error.held_until.as_deref().copied()));
            return Ok(());
        }
        other => other?,
    }
    match store.stat(name) {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(lost(store, name, "is still there after it was deleted")),
        Err(error) => Err(error),
    }
}

fn same(store: &dyn Store, name: &str, read: &[u8], expected: &[u8]) -> storage::Result<()> {
    if read == expected {
        Ok(())
    } else {
        Err(lost(store, name, "reads back differently than it was written"))
    }
}

fn lost(store: &dyn Store, name: &str, how: &str) -> storage::Error {
    storage::Error::new(ErrorKind::Other, "examine", name, store.location()).because(how.to_owned())
}

/// What it looks like when only large packets are lost.
fn stall(probes: &[Probe]) -> Option<String> {
    let find = |name: &str| probes.iter().find(|probe| probe.name == name);
    let (small, large) = (find("write")?, find("write a large object")?);
    let is_stalled = small.error.is_none() && small.seconds < 5.0 && large.seconds > STALLED.as_secs_f64();
    let text = "small objects are stored at once and large ones hang: packets of full size may be lost on the way; try a smaller MTU on this \
                host's interface, such as 1400";
    is_stalled.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use storage::MemoryStore;
    use testkit::faults::{Fault, FaultyStore};
    use testkit::recording::Operation;

    fn examined(plan: impl Fn(&FaultyStore), append_only: bool) -> (Diagnosis, usize) {
        let memory = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(memory.clone());
        plan(&store);
        let diagnosis = examine(&store, append_only, &Cancel::default());
        (diagnosis, memory.list("").unwrap().len())
    }

    fn failed(diagnosis: &Diagnosis) -> Vec<&str> {
        let failed = diagnosis.probes.iter().filter(|probe| probe.error.is_some());
        failed.map(|probe| probe.name).collect()
    }

    #[test]
    fn a_good_store_is_healthy_and_clean_afterwards() {
        let (diagnosis, left) = examined(|_| {}, false);
        assert!(diagnosis.is_healthy(), "{diagnosis:?}");
        assert_eq!((diagnosis.probes.len(), left), (7, 0));
    }

    #[test]
    fn each_permission_that_is_missing_is_named() {
        let denied = Fault::Fail(ErrorKind::PermissionDenied);
        let deny = |wanted: Operation| {
            move |store: &FaultyStore| store.always(move |operation, _| operation == wanted, denied)
        };
        let (listing, left) = examined(deny(Operation::List), false);
        assert_eq!((failed(&listing), left), (vec!["list"], 0));
        let (writing, _) = examined(deny(Operation::Write), false);
        assert_eq!(failed(&writing), ["write"]);
        let (reading, left) = examined(deny(Operation::Read), false);
        assert_eq!((failed(&reading), left), (vec!["read"], 0));
        let (deleting, left) = examined(deny(Operation::Delete), false);
        assert_eq!(
            (failed(&deleting), left, deleting.is_healthy()),
            (vec!["delete"], 2, false)
        );
        let (append_only, _) = examined(deny(Operation::Delete), true);
        assert!(append_only.is_healthy());
    }

    #[test]
    fn a_store_that_loses_or_changes_things_is_found_out() {
        let (lying, _) = examined(
            |store| store.always(|operation, _| operation == Operation::Write, Fault::Lie),
            false,
        );
        assert!(
            failed(&lying).contains(&"read") && failed(&lying).contains(&"find"),
            "{lying:?}"
        );
        let (corrupt, left) = examined(|store| store.always(|_, _| true, Fault::Corrupt), false);
        assert!(failed(&corrupt).contains(&"read"), "{corrupt:?}");
        assert_eq!(left, 0);
    }
}

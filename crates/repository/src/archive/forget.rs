//! Removing archives by a policy: first a plan, which can be shown, then its execution.

use super::latest;
use super::manifest::Manifest;
use super::marker::{Marker, State};
use crate::retention::{Candidate, Policy, apply};
use crate::{Cancel, Error, Held, Id, Monitor, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use storage::Store;

/// What becomes of the archives of one job.
#[derive(Clone, Debug)]
pub struct ForgetPlan {
    /// Those that stay, newest first, and why.
    pub keep: Vec<(Manifest, Vec<String>)>,
    /// Those that go, oldest first.
    pub remove: Vec<Manifest>,
}

/// Decide about `manifests`, those of one host and job.
///
/// The newest archive without problems always stays, whatever the policy says; so does the newest of all.
///
/// # Errors
/// [`Error::Refused`] if the policy is empty, or if the archives belong to several jobs.
pub fn plan_forget(
    manifests: Vec<Manifest>,
    policy: &Policy,
    timezone: &TimeZone,
    now: Timestamp,
) -> Result<ForgetPlan> {
    policy.check()?;
    check_one_job(&manifests)?;
    let candidates: Vec<Candidate> = manifests.iter().map(candidate).collect();
    let mut left: HashMap<Id, Manifest> = manifests
        .into_iter()
        .map(|manifest| (id(&manifest), manifest))
        .collect();
    let mut plan = ForgetPlan {
        keep: Vec::new(),
        remove: Vec::new(),
    };
    let mut has_good = false;
    for decision in apply(policy, &candidates, timezone, now) {
        let Some(manifest) = left.remove(&decision.id) else {
            continue;
        };
        let mut reasons = decision.reasons;
        if plan.keep.is_empty() && plan.remove.is_empty() && reasons.is_empty() {
            reasons.push("newest archive".to_owned());
        }
        let is_newest_good = !has_good && manifest.counts.problems == 0;
        has_good |= is_newest_good;
        if is_newest_good && reasons.is_empty() {
            reasons.push("newest complete archive".to_owned());
        }
        if reasons.is_empty() {
            plan.remove.push(manifest);
        } else {
            plan.keep.push((manifest, reasons));
        }
    }
    plan.remove.reverse();
    Ok(plan)
}

/// Decide that the archives with these names go; `manifests` are those of one host and job.
///
/// # Errors
/// [`Error::Refused`] if the newest, or the newest without problems, is named, or if the archives belong to several jobs.
pub fn plan_forget_named(manifests: Vec<Manifest>, names: &[String]) -> Result<ForgetPlan> {
    check_one_job(&manifests)?;
    let newest = |good: bool| {
        let fitting = manifests
            .iter()
            .filter(|manifest| !good || manifest.counts.problems == 0);
        fitting.max_by_key(|manifest| (manifest.start, &manifest.name))
    };
    for manifest in [newest(false), newest(true)].into_iter().flatten() {
        if names.contains(&manifest.name) {
            return Err(Error::Refused {
                message: format!(
                    "`{}` is the newest complete archive of the job `{}` on `{}`, or the newest at all",
                    manifest.name, manifest.job, manifest.host
                ),
                hint: "Make a new archive first; the newest is never removed.".to_owned(),
            });
        }
    }
    let mut plan = ForgetPlan {
        keep: Vec::new(),
        remove: Vec::new(),
    };
    for manifest in manifests {
        if names.contains(&manifest.name) {
            plan.remove.push(manifest);
        } else {
            plan.keep.push((manifest, vec!["not named".to_owned()]));
        }
    }
    plan.keep
        .sort_by(|(a, _), (b, _)| (b.start, &b.name).cmp(&(a.start, &a.name)));
    plan.remove.sort_by(|a, b| (a.start, &a.name).cmp(&(b.start, &b.name)));
    Ok(plan)
}

fn candidate(manifest: &Manifest) -> Candidate {
    Candidate {
        id: id(manifest),
        time: manifest.start,
        tags: Vec::new(),
    }
}

/// Names are unique in a store.
fn id(manifest: &Manifest) -> Id {
    Id::hash(manifest.name.as_bytes())
}

fn check_one_job(manifests: &[Manifest]) -> Result<()> {
    let job = |manifest: &Manifest| (manifest.host.clone(), manifest.job.clone());
    match manifests.iter().find(|manifest| job(manifest) != job(&manifests[0])) {
        None => Ok(()),
        Some(other) => Err(Error::Refused {
            message: format!(
                "archives of several jobs cannot be decided about together: `{}` on `{}`, `{}` on `{}`",
                manifests[0].job, manifests[0].host, other.job, other.host
            ),
            hint: "Decide about the archives of each host and job by themselves.".to_owned(),
        }),
    }
}

/// Remove what the plan says.
///
/// An archive's manifest goes before its parts, so that what is listed is always complete. A marker stands beside it meanwhile, by which
/// [`clean`](super::clean()) finds what is left if this is interrupted.
///
/// # Errors
/// Those of the store. Whatever was not reached stays as it was.
pub fn forget(
    store: &dyn Store,
    plan: &ForgetPlan,
    now: Timestamp,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Forgotten> {
    let mut forgotten = Forgotten::default();
    for manifest in &plan.remove {
        cancel.check()?;
        if remove(store, manifest, now, &mut forgotten.held, cancel, monitor)? {
            monitor.note(&format!("the archive `{}` is removed", manifest.name));
            forgotten.removed.push(manifest.name.clone());
        }
    }
    Ok(forgotten)
}

/// What became of archives that were to go.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// Names of those that are gone.
    pub removed: Vec<String>,
    /// What stays because the store keeps it for a time. An archive whose manifest is kept stays whole.
    pub held: Held,
}

/// Whether it is gone.
fn remove(
    store: &dyn Store,
    manifest: &Manifest,
    now: Timestamp,
    held: &mut Held,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<bool> {
    latest::leave(store, manifest, cancel, monitor)?;
    let marker = Marker::new(&manifest.name, &manifest.host, &manifest.job, now, State::Deleting);
    // One that cannot be replaced is there already.
    Held::default().count(marker.write(store))?;
    let is_gone = held.delete(store, &manifest.object_name())?;
    let mut parts = Held::default();
    if is_gone {
        for part in &manifest.parts {
            parts.delete(store, &part.name)?;
        }
    }
    // What stays of an archive is found by its marker.
    if parts.is_empty() {
        Held::default().delete(store, &marker.object_name())?;
    }
    held.add(parts);
    Ok(is_gone)
}

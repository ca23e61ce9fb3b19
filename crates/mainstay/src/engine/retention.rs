//! What is kept of a job, in each repository by itself.

use super::destination::{Destination, Opened};
use super::report::{Expired, Removed, Retention};
use super::{Host, Naming, job_tag};
use crate::config::model::{Job, Keep};
use repository::Held;
use repository::restic::forget::{self, ForgetOptions, Forgotten};
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::object::ObjectKind;
use repository::restic::packer::PackOptions;
use repository::restic::prune::{self, PruneOptions};
use repository::restic::repository::Repository;
use repository::restic::select::SnapshotFilter;
use repository::retention::{Duration, GroupBy, Policy};

/// Remove what no rule keeps; with `dry_run`, only say what that is. Only snapshots and archives of this job and host are looked at.
pub fn expire(host: &Host<'_>, job: &Job, naming: &Naming, destination: &Destination<'_>, dry_run: bool) -> Retention {
    let Some(keep) = &job.keep else {
        return Retention::KeepsEverything;
    };
    if destination.config.append_only {
        return Retention::AppendOnly;
    }
    let policy = policy(keep);
    let expired = match &destination.opened {
        Ok(Opened::Restic(repository, packs)) => {
            expire_snapshots(host, job, naming, repository, packs, policy, dry_run)
        }
        Ok(Opened::Archive(place)) => place.expire(naming, &policy, &job.timezone, dry_run, host.cancel, host.monitor),
        Err(_) => return Retention::NotReached,
    };
    match expired {
        Ok(expired) => Retention::Done(expired),
        Err(error) => Retention::Failed(error.into()),
    }
}

/// Days count from the newest restore point back, and an hour more: runs are not made at the same second every day.
fn policy(keep: &Keep) -> Policy {
    let mut policy = keep.policy.clone();
    if let Some(days) = keep.days {
        policy.within = Duration {
            days,
            hours: 1,
            ..Duration::default()
        };
    }
    policy
}

fn expire_snapshots(
    host: &Host<'_>,
    job: &Job,
    naming: &Naming,
    repository: &Repository,
    packs: &PackOptions,
    policy: Policy,
    dry_run: bool,
) -> repository::Result<Expired> {
    let options = ForgetOptions {
        policy,
        group_by: GroupBy {
            host: true,
            paths: false,
            tags: false,
        },
        filter: of_job(naming),
        allow_empty: false,
        timezone: job.timezone.clone(),
    };
    let kind = if dry_run { LockKind::Shared } else { LockKind::Exclusive };
    let lock_options = LockOptions {
        retry: host.retry_lock,
        cancel: host.cancel.clone(),
    };
    if !dry_run {
        // A lock that nobody could remove would keep everybody out.
        repository.demand_deletion(&[ObjectKind::Lock])?;
    }
    let lock = Lock::acquire(repository, kind, &lock_options, host.monitor)?;
    let plan = forget::plan(repository, &options, host.monitor)?;
    let decisions = || plan.groups.iter().flat_map(|group| &group.decisions);
    let forgotten = if dry_run || plan.remove.is_empty() {
        Forgotten {
            removed: plan.remove.clone(),
            held: Held::default(),
        }
    } else {
        forget::execute(repository, &plan, &lock, host.cancel, host.monitor)?
    };
    let removed = decisions().filter(|decision| forgotten.removed.contains(&decision.id));
    let mut expired = Expired {
        kept: decisions().filter(|decision| decision.keep).count(),
        removed: removed
            .map(|decision| Removed {
                name: decision.id.to_string(),
                time: decision.time,
            })
            .collect(),
        freed_bytes: 0,
        held: forgotten.held,
    };
    if dry_run || forgotten.removed.is_empty() {
        return Ok(expired);
    }
    let options = PruneOptions {
        pack_size: packs.pack_size,
        ..PruneOptions::default()
    };
    let prepared = prune::prepare(repository, &lock, &options, host.cancel, host.monitor)?;
    let pruned = prune::execute(repository, &prepared, &options, &lock, host.cancel, host.monitor)?;
    expired.freed_bytes = pruned.deleted_bytes.saturating_sub(pruned.copied_bytes);
    expired.held.add(pruned.held);
    Ok(expired)
}

/// The snapshots of a job on this host.
pub fn of_job(naming: &Naming) -> SnapshotFilter {
    SnapshotFilter {
        hosts: vec![naming.host.clone()],
        paths: Vec::new(),
        tags: vec![vec![job_tag(&naming.job)]],
    }
}

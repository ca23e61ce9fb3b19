//! Removes snapshots that no rule keeps, or that the user names.

use super::lock::Lock;
use super::object::ObjectKind;
use super::prune::execute::{delete_unless_held, demand_exclusive};
use super::repository::Repository;
use super::select::SnapshotFilter;
use super::snapshot::Snapshot;
use crate::retention::{self, Candidate, GroupBy, GroupKey, Policy};
use crate::{Cancel, Error, Held, Id, Monitor, Result, clock};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// Which snapshots are decided about, and how.
#[derive(Clone, Debug)]
pub struct ForgetOptions {
    /// What is kept.
    pub policy: Policy,
    /// Snapshots that are decided about together.
    pub group_by: GroupBy,
    /// Only these are decided about; all others stay.
    pub filter: SnapshotFilter,
    /// A group may be left empty.
    pub allow_empty: bool,
    /// Whose days and weeks the rules mean.
    pub timezone: TimeZone,
}

/// What becomes of the snapshots.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ForgetPlan {
    /// Every group with every decision.
    pub groups: Vec<GroupPlan>,
    /// Snapshots to remove.
    pub remove: Vec<Id>,
    /// Snapshots that cannot be read; they stay.
    pub unreadable: usize,
    /// Those of the snapshots to remove that cannot be read. Nothing is known of them, so they are in no group.
    pub remove_unreadable: Vec<Id>,
}

/// One group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupPlan {
    /// The host, if groups differ by it.
    pub host: Option<String>,
    /// The paths, if groups differ by them.
    pub paths: Option<Vec<String>>,
    /// The labels, if groups differ by them.
    pub tags: Option<Vec<String>>,
    /// The newest first.
    pub decisions: Vec<ForgetDecision>,
}

/// What becomes of one snapshot, and why.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetDecision {
    /// Which.
    pub id: Id,
    /// When it was begun.
    pub time: Timestamp,
    /// Where.
    pub hostname: String,
    /// Of what.
    pub paths: Vec<String>,
    /// Its labels.
    pub tags: Vec<String>,
    /// Entries are missing from it.
    pub incomplete: bool,
    /// Whether it stays.
    pub keep: bool,
    /// Why it stays or goes.
    pub reasons: Vec<String>,
}

/// Decide by rules. Nothing is changed.
///
/// Refuses an empty policy, and rules that would leave a group empty. The newest complete snapshot of a group stays whatever the rules
/// say: an incomplete one, however new, does not take its place.
pub fn plan(repository: &Repository, options: &ForgetOptions, monitor: &dyn Monitor) -> Result<ForgetPlan> {
    options.policy.check()?;
    let (snapshots, unreadable) = readable(repository, monitor)?;
    let chosen: Vec<_> = snapshots
        .into_iter()
        .filter(|(_, snapshot)| options.filter.matches(snapshot))
        .collect();
    let groups = retention::group(chosen, options.group_by)
        .into_iter()
        .map(|(key, group)| decide(&key, group, options));
    Ok(assemble(groups.collect::<Result<_>>()?, unreadable))
}

/// Decide that these go. Nothing is changed.
///
/// Refuses to take the last complete snapshot of a group of host and paths, or the last at all. What cannot be read is no snapshot in this
/// sense, and may be named: otherwise nobody could be rid of it.
pub fn plan_ids(repository: &Repository, ids: &[Id], allow_empty: bool, monitor: &dyn Monitor) -> Result<ForgetPlan> {
    let (snapshots, unreadable) = readable(repository, monitor)?;
    let remove_unreadable = named_unreadable(repository, ids, &snapshots)?;
    let mut groups = Vec::new();
    for (key, group) in retention::group(snapshots, GroupBy::default()) {
        let goes = |id: &Id| ids.contains(id);
        if !group.iter().any(|(id, _)| goes(id)) {
            continue;
        }
        let loses_all = |those: &[&(Id, Snapshot)]| !those.is_empty() && those.iter().all(|(id, _)| goes(id));
        let complete: Vec<&(Id, Snapshot)> = group.iter().filter(|(_, snapshot)| !snapshot.is_incomplete()).collect();
        if !allow_empty && (loses_all(&complete) || loses_all(&group.iter().collect::<Vec<_>>())) {
            return Err(last_of(&key));
        }
        let reason = |goes: bool| if goes { "named" } else { "not named" }.to_owned();
        let decide = |(id, snapshot)| decision(id, &snapshot, !goes(&id), vec![reason(goes(&id))]);
        groups.push(group_plan(&key, group.into_iter().map(decide).collect()));
    }
    let mut plan = assemble(groups, unreadable.saturating_sub(remove_unreadable.len()));
    plan.remove.extend(&remove_unreadable);
    plan.remove_unreadable = remove_unreadable;
    Ok(plan)
}

/// Those of `ids` that are not in `snapshots` although they are there.
fn named_unreadable(repository: &Repository, ids: &[Id], snapshots: &[(Id, Snapshot)]) -> Result<Vec<Id>> {
    let is_readable = |id: &Id| snapshots.iter().any(|(there, _)| there == id);
    let mut others: Vec<Id> = ids.iter().filter(|id| !is_readable(id)).copied().collect();
    others.sort_unstable();
    others.dedup();
    if others.is_empty() {
        return Ok(others);
    }
    let stored = repository.list(ObjectKind::Snapshot)?;
    match others.iter().find(|id| !stored.iter().any(|(there, _)| there == *id)) {
        Some(id) => Err(Error::NotFound {
            what: "snapshot",
            name: id.to_string(),
        }),
        None => Ok(others),
    }
}

fn last_of(key: &GroupKey) -> Error {
    let paths = key.paths.as_deref().unwrap_or_default().join(", ");
    let host = key.host.as_deref().unwrap_or_default();
    Error::Refused {
        message: format!("no complete snapshot of `{paths}` on `{host}` would be left"),
        hint: "Make a new backup first, or repeat the command with `--allow-empty`.".to_owned(),
    }
}

/// What became of snapshots that were to go.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// Those that are gone.
    pub removed: Vec<Id>,
    /// What stays because the store keeps it for a time.
    pub held: Held,
}

/// Remove what the plan says, oldest first. Needs the exclusive lock. Those that the store keeps for a time stay.
pub fn execute(
    repository: &Repository,
    plan: &ForgetPlan,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Forgotten> {
    demand_exclusive(lock)?;
    monitor.phase("removing snapshots");
    let deleted = delete_unless_held(repository, ObjectKind::Snapshot, &plan.remove, lock, cancel)?;
    Ok(Forgotten {
        removed: deleted.gone,
        held: deleted.held,
    })
}

fn readable(repository: &Repository, monitor: &dyn Monitor) -> Result<(Vec<(Id, Snapshot)>, usize)> {
    monitor.phase("reading snapshots");
    let (mut snapshots, mut unreadable) = (Vec::new(), 0);
    for snapshot in repository.snapshots()? {
        match snapshot {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) if error.is_damage() => {
                unreadable += 1;
                monitor.note(&format!("a snapshot was passed over: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((snapshots, unreadable))
}

fn decide(key: &GroupKey, group: Vec<(Id, Snapshot)>, options: &ForgetOptions) -> Result<GroupPlan> {
    let candidates: Vec<Candidate> = group
        .iter()
        .map(|(id, snapshot)| Candidate::new(*id, snapshot))
        .collect();
    let decisions = retention::apply(&options.policy, &candidates, &options.timezone, clock::now());
    if !options.allow_empty {
        retention::check_not_all_removed(key, &decisions)?;
    }
    let snapshot_of = |id: &Id| {
        group
            .iter()
            .find(|(there, _)| there == id)
            .map(|(_, snapshot)| snapshot)
    };
    let describe = |one: retention::Decision| {
        snapshot_of(&one.id).map(|snapshot| decision(one.id, snapshot, one.keep, one.reasons))
    };
    let mut decisions: Vec<ForgetDecision> = decisions.into_iter().filter_map(describe).collect();
    keep_newest_complete(&mut decisions);
    Ok(group_plan(key, decisions))
}

/// Decisions come newest first. Where nothing at all is kept, the user has allowed it.
fn keep_newest_complete(decisions: &mut [ForgetDecision]) {
    let keeps_any = decisions.iter().any(|decision| decision.keep);
    if let Some(newest) = decisions.iter_mut().find(|decision| !decision.incomplete)
        && keeps_any
        && !newest.keep
    {
        newest.keep = true;
        newest.reasons = vec!["newest complete snapshot".to_owned()];
    }
}

fn decision(id: Id, snapshot: &Snapshot, keep: bool, mut reasons: Vec<String>) -> ForgetDecision {
    if !keep && reasons.is_empty() {
        reasons.push("no rule keeps it".to_owned());
    }
    ForgetDecision {
        id,
        time: snapshot.time.timestamp(),
        hostname: snapshot.hostname.clone(),
        paths: snapshot.paths.clone(),
        tags: snapshot.tags().to_vec(),
        incomplete: snapshot.is_incomplete(),
        keep,
        reasons,
    }
}

fn group_plan(key: &GroupKey, decisions: Vec<ForgetDecision>) -> GroupPlan {
    GroupPlan {
        host: key.host.clone(),
        paths: key.paths.clone(),
        tags: key.tags.clone(),
        decisions,
    }
}

fn assemble(groups: Vec<GroupPlan>, unreadable: usize) -> ForgetPlan {
    let mut going: Vec<&ForgetDecision> = groups
        .iter()
        .flat_map(|group| &group.decisions)
        .filter(|decision| !decision.keep)
        .collect();
    going.sort_by_key(|decision| decision.time);
    let remove = going.iter().map(|decision| decision.id).collect();
    ForgetPlan {
        groups,
        remove,
        unreadable,
        remove_unreadable: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(day: i8, incomplete: bool, keep: bool) -> ForgetDecision {
        let time = jiff::civil::date(2026, 1, day)
            .to_zoned(TimeZone::UTC)
            .map(|zoned| zoned.timestamp())
            .unwrap();
        let id = Id::hash(&[day as u8]);
        ForgetDecision {
            id,
            time,
            hostname: String::new(),
            paths: Vec::new(),
            tags: Vec::new(),
            incomplete,
            keep,
            reasons: Vec::new(),
        }
    }

    #[test]
    fn an_incomplete_snapshot_does_not_take_the_place_of_a_complete_one() {
        let mut decisions = [one(3, true, true), one(2, false, false), one(1, false, false)];
        keep_newest_complete(&mut decisions);
        assert_eq!(decisions.each_ref().map(|decision| decision.keep), [true, true, false]);
        let mut nothing = [one(2, false, false), one(1, true, false)];
        keep_newest_complete(&mut nothing);
        assert!(nothing.iter().all(|decision| !decision.keep));
    }
}

//! Which snapshots are kept: `forget`'s decisions as a pure function.
//!
//! Source of the rules: restic 0.14, `internal/restic/snapshot_policy.go`. Since version 0.16 restic also keeps the oldest snapshot
//! of a group while a rule's number is not used up; here, as in 0.14, it goes when no rule keeps it.

mod calendar;
mod duration;
mod group;
mod policy;

#[cfg(test)]
mod properties_test;
#[cfg(test)]
mod restic_test;

pub use duration::Duration;
pub use group::{GroupBy, GroupKey, group};
pub use policy::{Count, Policy};

use crate::restic::snapshot::Snapshot;
use crate::{Error, Id, Result};
use calendar::{Period, before};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::cmp::Reverse;

/// A snapshot that is decided about.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its id.
    pub id: Id,
    /// When it was begun.
    pub time: Timestamp,
    /// Its labels.
    pub tags: Vec<String>,
}

impl Candidate {
    /// What matters of a snapshot.
    pub fn new(id: Id, snapshot: &Snapshot) -> Self {
        Self {
            id,
            time: snapshot.time.timestamp(),
            tags: snapshot.tags().to_vec(),
        }
    }
}

/// What becomes of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub id: Id,
    /// Whether it stays.
    pub keep: bool,
    /// Why it stays, in restic's words, such as `daily snapshot` or `within 1y`; empty if it goes.
    pub reasons: Vec<String>,
}

/// Decide about the snapshots of one group; the answer begins with the newest.
///
/// Hours, days and so on are those of `timezone`; restic uses the offset from UTC that each snapshot was made with, which is the same
/// as long as all were made where this runs. `within` counts back from the newest snapshot that is not later than `now`. An
/// empty policy keeps everything, see [`Policy::check`].
pub fn apply(policy: &Policy, snapshots: &[Candidate], timezone: &TimeZone, now: Timestamp) -> Vec<Decision> {
    let mut newest_first: Vec<&Candidate> = snapshots.iter().collect();
    newest_first.sort_by_key(|snapshot| Reverse((snapshot.time, snapshot.id)));
    let latest = newest_first
        .iter()
        .map(|snapshot| snapshot.time)
        .find(|time| *time < now);
    let mut rules = Rules::new(policy, latest, timezone);
    let decide = |(number, snapshot): (usize, &&Candidate)| {
        let reasons = rules.reasons(number, snapshot);
        Decision {
            id: snapshot.id,
            keep: !reasons.is_empty(),
            reasons,
        }
    };
    newest_first.iter().enumerate().map(decide).collect()
}

/// That something is left of a group.
///
/// # Errors
/// [`Error::Refused`] if all of its snapshots would go.
pub fn check_not_all_removed(group: &GroupKey, decisions: &[Decision]) -> Result<()> {
    if decisions.is_empty() || decisions.iter().any(|decision| decision.keep) {
        return Ok(());
    }
    Err(Error::Refused {
        message: format!(
            "the policy would remove every snapshot of {group} ({})",
            decisions.len()
        ),
        hint: "Change the policy so that it keeps some, or allow it with `--allow-empty`.".to_owned(),
    })
}

/// A policy at work: what is left to keep, and the periods that were met already.
struct Rules<'a> {
    policy: &'a Policy,
    timezone: &'a TimeZone,
    counted: Vec<Counted>,
    within: Option<Limit>,
    periods_within: Vec<PeriodWithin>,
}

/// The newest of each period, so many times.
struct Counted {
    period: Period,
    left: Count,
    met: Option<i64>,
    reason: String,
}

/// Everything after a moment; everything at all if there is none.
struct Limit {
    after: Option<Timestamp>,
    reason: String,
}

/// The newest of each period, after a moment.
struct PeriodWithin {
    period: Period,
    limit: Limit,
    met: Option<i64>,
}

impl<'a> Rules<'a> {
    fn new(policy: &'a Policy, latest: Option<Timestamp>, timezone: &'a TimeZone) -> Self {
        let limit = |name: &str, duration: &Duration| Limit {
            after: latest.and_then(|latest| before(latest, duration, timezone)),
            reason: format!("{name} {duration}"),
        };
        let counted = policy.counts().into_iter().filter(|(_, count)| *count != Count::None);
        let within = Some(&policy.within).filter(|duration| !duration.is_zero());
        let periods_within = policy
            .periods_within()
            .into_iter()
            .filter(|(_, duration)| !duration.is_zero());
        Self {
            policy,
            timezone,
            counted: counted.map(|(period, left)| Counted::new(period, left)).collect(),
            within: within.map(|duration| limit("within", duration)),
            periods_within: periods_within
                .map(|(period, duration)| PeriodWithin {
                    period,
                    limit: limit(&format!("{} within", period.name()), duration),
                    met: None,
                })
                .collect(),
        }
    }

    /// Why this snapshot stays; they have to come newest first, `number` counts them.
    fn reasons(&mut self, number: usize, snapshot: &Candidate) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.policy.is_empty() {
            reasons.push("policy is empty".to_owned());
        }
        let tag_lists = self.policy.tags.iter().filter(|tags| has_tags(snapshot, tags));
        reasons.extend(tag_lists.map(|tags| format!("has tags [{}]", tags.join(", "))));
        reasons.extend(
            self.within
                .iter()
                .filter(|limit| limit.reaches(snapshot.time))
                .map(|limit| limit.reason.clone()),
        );
        let local = self.timezone.to_datetime(snapshot.time);
        reasons.extend(
            self.counted
                .iter_mut()
                .filter_map(|rule| rule.keeps(rule.period.number(local, number))),
        );
        let time = snapshot.time;
        reasons.extend(
            self.periods_within
                .iter_mut()
                .filter_map(|rule| rule.keeps(time, rule.period.number(local, number))),
        );
        reasons
    }
}

impl Counted {
    fn new(period: Period, left: Count) -> Self {
        Self {
            period,
            left,
            met: None,
            reason: format!("{} snapshot", period.name()),
        }
    }

    fn keeps(&mut self, period: i64) -> Option<String> {
        if self.left == Count::None || self.met == Some(period) {
            return None;
        }
        self.met = Some(period);
        self.left = self.left.one_less();
        Some(self.reason.clone())
    }
}

impl Limit {
    fn reaches(&self, time: Timestamp) -> bool {
        self.after.is_none_or(|after| time > after)
    }
}

impl PeriodWithin {
    fn keeps(&mut self, time: Timestamp, period: i64) -> Option<String> {
        if !self.limit.reaches(time) || self.met == Some(period) {
            return None;
        }
        self.met = Some(period);
        Some(self.limit.reason.clone())
    }
}

/// Whether it has all of these; the empty one is had by a snapshot without any.
fn has_tags(snapshot: &Candidate, tags: &[String]) -> bool {
    (snapshot.tags.is_empty() && tags.first().is_some_and(String::is_empty))
        || tags.iter().all(|tag| snapshot.tags.contains(tag))
}

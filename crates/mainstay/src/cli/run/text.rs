//! The report of a run as people read it.

use crate::cli::output::{bytes, count, duration};
use crate::clock;
use crate::engine::manifest::{Grade, Part};
use crate::engine::report::{DestinationReport, Expired, Failure, Outcome, Retention, RunReport};
use crate::source::FilesSource;
use std::fmt::Write as _;
use std::time::Duration;

/// The whole report.
pub fn to_text(report: &RunReport) -> String {
    let mut text = String::new();
    for part in &report.parts {
        line(&mut text, "captured", &part_text(part, report.dry_run));
    }
    for (n, what) in [
        (report.problems, "could not be read"),
        (report.vanished, "vanished before it was read"),
        (report.changed_while_read, "changed while it was read"),
    ] {
        if n > 0 {
            line(&mut text, "note", &format!("{} {what}", count(n, "entry")));
        }
    }
    for skipped in &report.skipped {
        line(&mut text, "skipped", &format!("{}: {}", skipped.name, skipped.reason));
    }
    for destination in &report.destinations {
        line(&mut text, "stored", &destination_text(destination, report));
        if let Some(hint) = destination.error.as_ref().and_then(|error| error.hint.as_ref()) {
            line(&mut text, "hint", hint);
        }
        if let Some(told) = retention_text(&destination.retention, report.dry_run) {
            line(&mut text, "kept", &format!("{}: {told}", destination.name));
        }
    }
    if let Some(error) = &report.error {
        line(&mut text, "error", &failure_text(error));
    }
    let phases = report.phases.iter().filter(|phase| phase.seconds >= 0.1);
    let phases: Vec<String> = phases
        .map(|phase| format!("{} {:.1} s", phase.name, phase.seconds))
        .collect();
    if !phases.is_empty() {
        line(&mut text, "took", &phases.join(", "));
    }
    let _ = write!(text, "{}", outcome_text(report));
    text
}

fn line(text: &mut String, title: &str, content: &str) {
    let _ = writeln!(text, "{title:<9} {content}");
}

fn part_text(part: &Part, dry_run: bool) -> String {
    let name = format!("{} {}", part.kind, part.name);
    if let Some(problem) = &part.problem {
        return format!("{name}: NOT WHOLE: {problem}");
    }
    if dry_run && part.kind != FilesSource::KIND {
        return format!("{name}: not run by a dry run");
    }
    let grade = match part.grade {
        Some(Grade::Transactional) => ", as of one moment",
        Some(Grade::Stopped) => ", stopped",
        Some(Grade::Paused) => ", paused",
        Some(Grade::Live) => ", live",
        None => "",
    };
    let (entries, size) = (count(part.entries, "entry"), bytes(part.bytes));
    format!("{name}: {entries}, {size}{grade}")
}

fn destination_text(destination: &DestinationReport, report: &RunReport) -> String {
    let place = format!("{} ({})", destination.name, destination.location);
    if let Some(error) = &destination.error {
        return format!("{place}: NOTHING: {}", error.message);
    }
    let copied = match destination.copied {
        0 => String::new(),
        n => format!(", {} copied from another repository", count(n as u64, "restore point")),
    };
    match &destination.stored {
        Some(stored) if report.dry_run => {
            let added = stored.added_bytes.unwrap_or_default();
            format!("{place}: {} of new content would be stored", bytes(added))
        }
        Some(stored) => {
            let what = if destination.format == "restic" {
                "snapshot"
            } else {
                "archive"
            };
            let short = if destination.format == "restic" {
                stored.id.get(..8)
            } else {
                None
            };
            let id = short.unwrap_or(&stored.id);
            match stored.added_bytes {
                Some(added) => {
                    let takes = bytes(stored.stored_bytes);
                    format!(
                        "{place}: {what} {id}, {} of new content in {takes}{copied}",
                        bytes(added)
                    )
                }
                None if stored.stored_bytes > 0 => {
                    format!("{place}: {what} {id}, {}{copied}", bytes(stored.stored_bytes))
                }
                None => format!("{place}: {what} {id}{copied}"),
            }
        }
        None if report.dry_run => format!("{place}: a new {} would be stored", destination.format),
        // Why is said below.
        None if report.error.is_some() => format!("{place}: nothing new{copied}"),
        None => format!("{place}: complete{copied}"),
    }
}

fn retention_text(retention: &Retention, dry_run: bool) -> Option<String> {
    match retention {
        Retention::NotReached | Retention::KeepsEverything => None,
        Retention::AppendOnly => Some("everything: the repository is append-only".to_owned()),
        Retention::Failed(error) => {
            let hint = error.hint.as_ref().map(|hint| format!(". {hint}"));
            Some(format!(
                "everything, because {}{}",
                error.message,
                hint.unwrap_or_default()
            ))
        }
        Retention::Done(expired) => Some(expired_text(expired, dry_run)),
    }
}

fn expired_text(expired: &Expired, dry_run: bool) -> String {
    let kept = count(expired.kept as u64, "restore point");
    let held = match &expired.held {
        held if held.is_empty() => String::new(),
        held => format!("; {held}"),
    };
    if expired.removed.is_empty() {
        return format!("{kept}{held}");
    }
    let times: Vec<String> = expired.removed.iter().map(|one| clock::local(one.time)).collect();
    let verb = if dry_run { "would be removed" } else { "removed" };
    let freed = match expired.freed_bytes {
        0 => String::new(),
        freed => format!(", {} given back", bytes(freed)),
    };
    format!("{kept}; no rule keeps {}, {verb}{freed}{held}", times.join(", "))
}

fn failure_text(error: &Failure) -> String {
    match &error.hint {
        Some(hint) => format!("{}\nhint: {hint}", error.message),
        None => error.message.clone(),
    }
}

fn outcome_text(report: &RunReport) -> String {
    let took = duration(Duration::try_from(report.end.duration_since(report.start)).unwrap_or_default());
    let job = &report.job;
    match report.outcome {
        _ if report.dry_run && report.outcome != Outcome::Failed => {
            format!("job {job}: nothing was stored or removed: this was a dry run")
        }
        Outcome::Done => format!("job {job}: done in {took}"),
        Outcome::Incomplete => format!("job {job}: INCOMPLETE after {took}"),
        Outcome::Degraded => {
            let lacking = report.destinations.iter().filter(|one| one.error.is_some()).count();
            format!(
                "job {job}: DEGRADED after {took}: {} of {} lack it",
                lacking,
                count(report.destinations.len() as u64, "repository")
            )
        }
        Outcome::Failed => format!("job {job}: FAILED after {took}"),
    }
}

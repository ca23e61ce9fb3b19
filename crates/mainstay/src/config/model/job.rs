//! A job: sources, schedule, destinations, retention.

use super::fields::{Fields, check_name, no_item_twice};
use super::keep::{self, Keep};
use super::schedule::Schedule;
use super::source::{self, Source};
use crate::config::file::nearest;
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use crate::config::tree::{Entry, Node, Origin};
use crate::config::units;
use jiff::tz::TimeZone;
use repository::{Filter, FilterBuilder};

/// What is protected, when, where, and for how long.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub origin: Origin,
    /// What is protected; at least one.
    pub sources: Vec<Source>,
    /// Names of repositories that exist; empty only if no source stores anything.
    pub to: Vec<String>,
    /// When; nothing means by hand.
    pub schedule: Option<Schedule>,
    /// For the schedule, and for what a day is in [`Keep`].
    pub timezone: TimeZone,
    /// Also when the daemon starts.
    pub run_at_start: bool,
    /// What is kept; nothing means everything.
    pub keep: Option<Keep>,
    /// What is left out.
    pub exclude: Excludes,
    /// Volumes that are left out on purpose, with the reason for each.
    pub skip: Vec<(String, String)>,
    /// What is stopped meanwhile.
    pub stop: Stop,
    /// Tags of the snapshots.
    pub tags: Vec<String>,
    /// Trying a restore.
    pub drill: Option<Drill>,
}

/// What is left out, in restic's patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excludes {
    /// Patterns.
    pub patterns: Vec<String>,
    /// Patterns for any case.
    pub any_case: Vec<String>,
    /// Regular expressions.
    pub expressions: Vec<String>,
    /// Files that mark a directory as not to be taken.
    pub if_present: Vec<String>,
    /// Directories with a CACHEDIR.TAG.
    pub caches: bool,
    /// Files of more bytes.
    pub larger_than_bytes: Option<u64>,
}

/// Containers that stand still while their volumes are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// None.
    Never,
    /// Those that use the volumes.
    Auto,
    /// These.
    These(Vec<String>),
}

/// Trying a restore on a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// How often.
    pub every: Every,
    /// The key that opens archives which the host cannot read by itself.
    pub identity: Option<SecretSource>,
    /// What the files of a source are called in the report, by source.
    pub nouns: Vec<(String, String)>,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Once a day.
    Day,
    /// Once a week.
    Week,
    /// Once a month.
    Month,
    /// Once in three months.
    Quarter,
    /// Once a year.
    Year,
}

impl Excludes {
    /// `filter` with all of it added.
    pub fn add_to(&self, filter: FilterBuilder) -> FilterBuilder {
        let add = |filter, texts: &[String], add: fn(FilterBuilder, String) -> FilterBuilder| {
            texts.iter().cloned().fold(filter, add)
        };
        let filter = add(filter, &self.patterns, FilterBuilder::exclude);
        let filter = add(filter, &self.any_case, FilterBuilder::exclude_any_case);
        let filter = add(filter, &self.expressions, FilterBuilder::exclude_expression);
        let filter = add(filter, &self.if_present, FilterBuilder::exclude_if_present);
        let filter = if self.caches { filter.exclude_caches() } else { filter };
        match self.larger_than_bytes {
            Some(bytes) => filter.exclude_larger_than(bytes),
            None => filter,
        }
    }
}

/// Read one entry of `jobs`; `repositories` are the names that `to` can name.
pub fn job(entry: &Entry, repositories: &[&str], problems: &mut Problems) -> Option<Job> {
    check_name(entry, problems);
    let fields = Fields::new(&entry.value);
    no_item_twice(fields.items("sources"), "source", problems);
    let sources: Vec<Option<Source>> = fields
        .items("sources")
        .iter()
        .map(|node| source::source(node, problems))
        .collect();
    check_destinations(fields, &entry.key, repositories, problems);
    check_patterns(fields, problems);
    let timezone = match fields.get("timezone") {
        Some(zone) => TimeZone::get(zone.text()?).ok(),
        None => Some(TimeZone::system()),
    };
    let keep = fields.get("keep").map(|node| keep::keep(node, problems));
    let drill = fields.table("drill").map(drill);
    Some(Job {
        name: entry.key.clone(),
        origin: entry.origin.clone(),
        sources: sources.into_iter().collect::<Option<_>>()?,
        to: fields.texts("to"),
        schedule: fields.with("schedule", Schedule::parse),
        timezone: timezone?,
        run_at_start: fields.flag("run_at_start")?,
        keep: keep.map_or(Some(None), |keep| keep.map(Some))?,
        exclude: excludes(fields),
        skip: fields.pairs("skip"),
        stop: stop(fields.get("stop")?),
        tags: fields.texts("tags"),
        drill: drill.map_or(Some(None), |drill| drill.map(Some))?,
    })
}

fn check_destinations(fields: Fields<'_>, name: &str, repositories: &[&str], problems: &mut Problems) {
    no_item_twice(fields.items("to"), "repository", problems);
    for node in fields.items("to") {
        let Some(to) = node.text() else { continue };
        if !repositories.contains(&to) {
            let message = format!("`to` names `{to}`, which is no repository");
            problems.add(&node.origin, message, nearest::hint(to, repositories));
        }
    }
    let stores = fields.get("sources").is_some_and(crate::config::file::stores_something);
    if stores && fields.get("to").is_none() && repositories.len() > 1 {
        let message = format!("`{name}` does not say where to store");
        let hint = format!("Add `to: [{}]`, or some of these.", repositories.join(", "));
        problems.add(&fields.node.origin, message, hint);
    }
}

/// Report every pattern that makes no sense, each by itself.
fn check_patterns(fields: Fields<'_>, problems: &mut Problems) {
    type Add = fn(FilterBuilder, String) -> FilterBuilder;
    let kinds: [(&str, Add); 4] = [
        ("exclude", FilterBuilder::exclude),
        ("exclude_any_case", FilterBuilder::exclude_any_case),
        ("exclude_regex", FilterBuilder::exclude_expression),
        ("exclude_if_present", FilterBuilder::exclude_if_present),
    ];
    for (key, add) in kinds {
        source::check_patterns(fields, key, add, problems);
    }
}

fn excludes(fields: Fields<'_>) -> Excludes {
    Excludes {
        patterns: fields.texts("exclude"),
        any_case: fields.texts("exclude_any_case"),
        expressions: fields.texts("exclude_regex"),
        if_present: fields.texts("exclude_if_present"),
        caches: fields.flag("exclude_caches").unwrap_or_default(),
        larger_than_bytes: fields.with("exclude_larger_than", units::size),
    }
}

fn stop(node: &Node) -> Stop {
    match node.text() {
        Some("auto") => Stop::Auto,
        Some(_) => Stop::Never,
        None => Stop::These(
            node.items()
                .iter()
                .filter_map(|node| node.text().map(str::to_owned))
                .collect(),
        ),
    }
}

fn drill(fields: Fields<'_>) -> Option<Drill> {
    let every = match fields.text("every")?.as_str() {
        "day" => Every::Day,
        "week" => Every::Week,
        "month" => Every::Month,
        "quarter" => Every::Quarter,
        "year" => Every::Year,
        _ => return None,
    };
    Some(Drill {
        every,
        identity: fields.secret("identity"),
        nouns: fields.pairs("nouns"),
    })
}

/// A filter of one text, to see whether it makes sense.
pub(super) fn built(add: fn(FilterBuilder, String) -> FilterBuilder, text: &str) -> repository::Result<Filter> {
    add(Filter::builder(), text.to_owned()).build()
}

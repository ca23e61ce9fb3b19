//! Which snapshots a command is about: options that many commands share.

use repository::restic::repository::Repository;
use repository::restic::select::{SnapshotFilter, select};
use repository::restic::snapshot::Snapshot;
use repository::{Id, Monitor};

/// What a shell offers for `--group-by`; other orders are taken too.
pub const GROUPINGS: [&str; 6] = ["host,paths", "host", "paths", "tags", "host,tags", "host,paths,tags"];

/// `--host`, `--tag`, `--path`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FilterArgs {
    /// Only snapshots of this host; may be repeated
    #[arg(short = 'H', long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Only snapshots with all of these tags, separated by commas; repeated: with the tags of one of the lists
    #[arg(long = "tag", value_name = "TAG[,TAG…]")]
    tags: Vec<String>,
    /// Only snapshots of this absolute path; repeated: of all of them
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
}

impl FilterArgs {
    /// As the engine wants it.
    pub fn filter(&self) -> SnapshotFilter {
        SnapshotFilter {
            hosts: self.hosts.clone(),
            paths: self.paths.clone(),
            tags: self.tags.iter().map(|list| tag_list(list)).collect(),
        }
    }
}

/// `a,b` → `a`, `b`.
pub fn tag_list(text: &str) -> Vec<String> {
    text.split(',').map(|tag| tag.trim().to_owned()).collect()
}

/// The snapshots that `names` name, or all that the filter lets through, oldest first. Damaged ones are problems of `monitor`.
pub fn snapshots(
    repository: &Repository,
    names: &[String],
    filter: &SnapshotFilter,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<(Id, Snapshot)>> {
    if !names.is_empty() {
        let named = |name: &String| select(repository, name, filter, monitor).map(|found| (found.id, found.snapshot));
        return Ok(names.iter().map(named).collect::<Result<_, _>>()?);
    }
    let mut chosen = Vec::new();
    for snapshot in repository.snapshots()? {
        match snapshot {
            Ok((id, snapshot)) if filter.matches(&snapshot) => chosen.push((id, snapshot)),
            Ok(_) => {}
            Err(error) if error.is_damage() => monitor.problem("snapshots", &error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if chosen.is_empty() {
        note_if_none_fits(filter, monitor);
    }
    Ok(chosen)
}

/// Nothing chosen because of a filter is nothing done: a misspelt name should not look like success.
pub fn note_if_none_fits(filter: &SnapshotFilter, monitor: &dyn Monitor) {
    let options = [
        ("--host", filter.hosts.is_empty()),
        ("--tag", filter.tags.is_empty()),
        ("--path", filter.paths.is_empty()),
    ];
    let given: Vec<String> = options
        .iter()
        .filter(|(_, is_empty)| !is_empty)
        .map(|(option, _)| format!("`{option}`"))
        .collect();
    if !given.is_empty() {
        monitor.note(&format!(
            "no snapshot fits {}; `mainstay snapshots` lists all there are",
            given.join(" and ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_split_at_commas() {
        let args = FilterArgs {
            tags: vec!["a, b".into(), "".into()],
            ..FilterArgs::default()
        };
        assert_eq!(
            args.filter().tags,
            [vec!["a".to_owned(), "b".to_owned()], vec![String::new()]]
        );
    }
}

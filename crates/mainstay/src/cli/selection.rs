//! Which snapshots a command is about: options that many commands share.

use super::names;
use crate::config::Misuse;
use crate::engine::job_tag;
use repository::points::PointFilter;
use repository::restic::repository::Repository;
use repository::restic::select::{SnapshotFilter, matching, select};
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
    /// Only what this job made; may be repeated
    #[arg(long = "job", value_name = "JOB", add = names::jobs())]
    jobs: Vec<String>,
}

impl FilterArgs {
    /// For snapshots in restic's format, which have the job as a label.
    pub fn filter(&self) -> SnapshotFilter {
        SnapshotFilter {
            hosts: self.hosts.clone(),
            paths: self.paths.clone(),
            tags: with_jobs(self.tags.iter().map(|list| tag_list(list)).collect(), &self.jobs),
        }
    }

    /// For archives, whose manifests have neither tags nor paths.
    pub fn of_archives(&self) -> Result<PointFilter, Misuse> {
        let hint = "Choose archives with `--host` and `--job`.";
        for (option, is_empty) in [("--tag", self.tags.is_empty()), ("--path", self.paths.is_empty())] {
            if !is_empty {
                return Err(Misuse::new(format!("`{option}` means nothing for archives"), hint));
            }
        }
        let snapshots = SnapshotFilter {
            hosts: self.hosts.clone(),
            ..SnapshotFilter::default()
        };
        Ok(PointFilter {
            snapshots,
            jobs: self.jobs.clone(),
        })
    }
}

/// Lists of labels, of which a snapshot has to have all of one, that also ask for the label of one of the jobs.
pub fn with_jobs(lists: Vec<Vec<String>>, jobs: &[String]) -> Vec<Vec<String>> {
    if jobs.is_empty() {
        return lists;
    }
    let lists = if lists.is_empty() { vec![Vec::new()] } else { lists };
    let of_job = |job: &String| {
        let tag = job_tag(job);
        lists
            .iter()
            .map(move |list| [list.as_slice(), std::slice::from_ref(&tag)].concat())
            .collect::<Vec<_>>()
    };
    jobs.iter().flat_map(of_job).collect()
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
    let chosen = matching(repository, filter, monitor)?;
    if chosen.is_empty() {
        note_if_none_fits(&filter.clone().into(), monitor);
    }
    Ok(chosen)
}

/// Nothing chosen because of a filter is nothing done: a misspelt name should not look like success.
pub fn note_if_none_fits(filter: &PointFilter, monitor: &dyn Monitor) {
    let (filter, jobs) = (&filter.snapshots, &filter.jobs);
    let options = [
        ("--job", jobs.is_empty()),
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

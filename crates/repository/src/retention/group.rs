//! Snapshots that are decided about together.

use crate::restic::snapshot::Snapshot;
use crate::{Error, Id, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What the snapshots of a group have in common. By default host and paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The host.
    pub host: bool,
    /// All paths.
    pub paths: bool,
    /// All labels.
    pub tags: bool,
}

impl Default for GroupBy {
    fn default() -> Self {
        Self {
            host: true,
            paths: true,
            tags: false,
        }
    }
}

impl FromStr for GroupBy {
    type Err = Error;

    /// `host`, `paths` and `tags` separated by commas; empty for one group of all.
    fn from_str(text: &str) -> Result<Self> {
        let mut by = Self {
            host: false,
            paths: false,
            tags: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part {
                "host" | "hosts" => by.host = true,
                "path" | "paths" => by.paths = true,
                "tag" | "tags" => by.tags = true,
                _ => return Err(unknown(part)),
            }
        }
        Ok(by)
    }
}

fn unknown(part: &str) -> Error {
    Error::Refused {
        message: format!("snapshots cannot be grouped by `{part}`"),
        hint: "Group by `host`, `paths`, `tags`, or several of them separated by commas.".to_owned(),
    }
}

/// What the snapshots of one group share; `None` where it does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The host.
    pub host: Option<String>,
    /// The paths, sorted.
    pub paths: Option<Vec<String>>,
    /// The labels, sorted.
    pub tags: Option<Vec<String>>,
}

impl GroupKey {
    fn of(snapshot: &Snapshot, by: GroupBy) -> Self {
        Self {
            host: by.host.then(|| snapshot.hostname.clone()),
            paths: by.paths.then(|| sorted(&snapshot.paths)),
            tags: by.tags.then(|| sorted(snapshot.tags())),
        }
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_ref().map(|host| format!("host `{host}`"));
        let paths = self.paths.as_ref().map(|paths| format!("paths `{}`", paths.join(", ")));
        let tags = self.tags.as_ref().map(|tags| format!("tags `{}`", tags.join(", ")));
        let parts: Vec<String> = [host, paths, tags].into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "the repository" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

fn sorted(texts: &[String]) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    texts
}

/// The snapshots in groups, in the order of their keys; within a group in the order given.
pub fn group(snapshots: Vec<(Id, Snapshot)>, by: GroupBy) -> Vec<(GroupKey, Vec<(Id, Snapshot)>)> {
    let mut groups: BTreeMap<GroupKey, Vec<_>> = BTreeMap::new();
    for (id, snapshot) in snapshots {
        groups
            .entry(GroupKey::of(&snapshot, by))
            .or_default()
            .push((id, snapshot));
    }
    groups.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(host: &str, paths: &[&str], tags: &[&str]) -> (Id, Snapshot) {
        let tree = Id::default();
        let json = serde_json::json!({
            "time": "2026-01-01T00:00:00Z", "tree": tree, "paths": paths, "hostname": host, "tags": tags,
        });
        (Id::random(), serde_json::from_value(json).unwrap())
    }

    fn sizes(by: &str) -> Vec<(String, usize)> {
        let snapshots = vec![
            snapshot("a", &["/x", "/y"], &["t", "s"]),
            snapshot("a", &["/y", "/x"], &["s", "t"]),
            snapshot("b", &["/x"], &[]),
            snapshot("b", &["/y"], &["t"]),
        ];
        let groups = group(snapshots, by.parse().unwrap());
        groups
            .into_iter()
            .map(|(key, members)| (key.to_string(), members.len()))
            .collect()
    }

    #[test]
    fn order_of_paths_and_tags_does_not_matter() {
        assert_eq!(sizes(""), [("the repository".into(), 4)]);
        assert_eq!(sizes("host"), [("host `a`".into(), 2), ("host `b`".into(), 2)]);
        assert_eq!(sizes("host,paths").len(), 3);
        assert_eq!(
            sizes("tags"),
            [("tags ``".into(), 1), ("tags `s, t`".into(), 2), ("tags `t`".into(), 1)]
        );
        assert_eq!("host,path".parse::<GroupBy>().unwrap(), GroupBy::default());
        assert!(matches!("owner".parse::<GroupBy>(), Err(Error::Refused { .. })));
    }
}

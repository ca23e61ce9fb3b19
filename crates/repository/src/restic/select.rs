//! Which snapshot, and what in it, a user means.

use super::index::Index;
use super::ls::Descend;
use super::node::Node;
use super::object::ObjectKind;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::{Error, Id, Monitor, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Which snapshots come into question; without any condition, all do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// Made on one of these hosts.
    pub hosts: Vec<String>,
    /// Made of all of these paths.
    pub paths: Vec<String>,
    /// With all labels of one of these lists; an empty label stands for having none.
    pub tags: Vec<Vec<String>>,
}

impl SnapshotFilter {
    /// Whether `snapshot` comes into question.
    pub fn matches(&self, snapshot: &Snapshot) -> bool {
        let has_tag = |tag: &String| snapshot.tags().contains(tag) || (tag.is_empty() && snapshot.tags().is_empty());
        (self.hosts.is_empty() || self.hosts.contains(&snapshot.hostname))
            && self.paths.iter().all(|path| snapshot.paths.contains(path))
            && (self.tags.is_empty() || self.tags.iter().any(|list| list.iter().all(has_tag)))
    }
}

/// A snapshot, and the directory in it that is meant instead of all.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The snapshot's id.
    pub id: Id,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What stood behind the colon.
    pub subfolder: Option<PathBuf>,
}

impl Selected {
    /// The tree that is meant: the snapshot's root or the one of the subfolder.
    pub fn tree(&self, repository: &Repository, index: &Index) -> Result<Id> {
        let Some(subfolder) = &self.subfolder else {
            return Ok(self.snapshot.tree);
        };
        match find_path(repository, index, &self.snapshot.tree, subfolder)? {
            Found::Root => Ok(self.snapshot.tree),
            Found::Node(node) => node.subtree.filter(|_| node.is_dir()).ok_or_else(|| Error::Refused {
                message: format!("`{}` is not a directory", subfolder.display()),
                hint: "Name the directory that it is in, and include only it.".to_owned(),
            }),
        }
    }
}

/// The snapshot that `text` names: `latest` or an id that may be shortened, either with `:` and a directory behind it.
///
/// `filter` counts for `latest` only, as with restic. Snapshots that are damaged are passed over with a note.
pub fn select(repository: &Repository, text: &str, filter: &SnapshotFilter, monitor: &dyn Monitor) -> Result<Selected> {
    let (name, subfolder) = match text.split_once(':') {
        Some((name, subfolder)) => (name, Some(PathBuf::from(subfolder))),
        None => (text, None),
    };
    let (id, snapshot) = if name == "latest" {
        latest(repository, filter, monitor)?.ok_or_else(|| not_found(text))?
    } else {
        let id = full_id(repository, name)?;
        (id, repository.read_json(ObjectKind::Snapshot, &id)?)
    };
    Ok(Selected {
        id,
        snapshot,
        subfolder,
    })
}

fn not_found(text: &str) -> Error {
    Error::NotFound {
        what: "snapshot",
        name: text.to_owned(),
    }
}

/// The newest snapshot that `filter` lets through.
pub fn latest(
    repository: &Repository,
    filter: &SnapshotFilter,
    monitor: &dyn Monitor,
) -> Result<Option<(Id, Snapshot)>> {
    let mut newest = None;
    for snapshot in repository.snapshots()? {
        match snapshot {
            Ok((id, snapshot)) if filter.matches(&snapshot) => newest = Some((id, snapshot)),
            Ok(_) => {}
            Err(error) if error.is_damage() => monitor.note(&format!("passed over a snapshot: {error}")),
            Err(error) => return Err(error),
        }
    }
    Ok(newest)
}

/// Every snapshot that `filter` lets through, oldest first. Damaged ones are problems of `monitor`.
pub fn matching(
    repository: &Repository,
    filter: &SnapshotFilter,
    monitor: &dyn Monitor,
) -> Result<Vec<(Id, Snapshot)>> {
    let mut chosen = Vec::new();
    for snapshot in repository.snapshots()? {
        match snapshot {
            Ok((id, snapshot)) if filter.matches(&snapshot) => chosen.push((id, snapshot)),
            Ok(_) => {}
            Err(error) if error.is_damage() => monitor.problem("snapshots", &error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(chosen)
}

/// The id of the only snapshot whose id begins with `prefix`.
pub fn full_id(repository: &Repository, prefix: &str) -> Result<Id> {
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(not_found(prefix));
    }
    let wanted = prefix.to_ascii_lowercase();
    let mut matching: Vec<Id> = repository
        .list(ObjectKind::Snapshot)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    matching.retain(|id| id.to_hex().starts_with(&wanted));
    match matching[..] {
        [] => Err(not_found(prefix)),
        [id] => Ok(id),
        _ => Err(Error::Ambiguous {
            prefix: prefix.to_owned(),
            count: matching.len(),
        }),
    }
}

/// What a path in a snapshot leads to.
#[derive(Clone, Debug)]
pub enum Found {
    /// The snapshot's root, which has no entry.
    Root,
    /// An entry.
    Node(Box<Node>),
}

/// The entry at `path` in the tree `root`; neither `..` nor symbolic links are followed.
pub fn find_path(repository: &Repository, index: &Index, root: &Id, path: &Path) -> Result<Found> {
    let not_found = || Error::NotFound {
        what: "path",
        name: path.display().to_string(),
    };
    let mut tree = Some(*root);
    let mut found = Found::Root;
    for component in path.components() {
        let name = match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::ParentDir | Component::Prefix(_) => return Err(not_found()),
        };
        let entries = repository.read_tree(index, &tree.ok_or_else(not_found)?)?;
        let node = entries.find(name).ok_or_else(not_found)?;
        tree = node.subtree.filter(|_| node.is_dir());
        found = Found::Node(Box::new(node.clone()));
    }
    Ok(found)
}

/// Whether a listing that is to show `wanted` has to look into the directory `path`, and whether it shows `path` itself.
///
/// For `ls SNAPSHOT DIR`: everything in the directory is shown, what leads there is not.
pub fn towards(path: &Path, wanted: &Path, recursive: bool) -> (bool, Descend) {
    let is_at_or_below = path.starts_with(wanted);
    let depth = |path: &Path| path.components().count();
    let descends = if is_at_or_below {
        recursive || path == wanted
    } else {
        wanted.starts_with(path)
    };
    let shown = is_at_or_below && (recursive || depth(path) <= depth(wanted) + 1);
    (shown, if descends { Descend::Yes } else { Descend::No })
}

/// Bytes of a name as text for people: what is not UTF-8 is replaced.
pub fn display_name(name: &OsStr) -> String {
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(host: &str, paths: &[&str], tags: &[&str]) -> Snapshot {
        let json = serde_json::json!({
            "time": "2026-01-02T03:04:05Z", "tree": Id::default(), "paths": paths, "hostname": host, "tags": tags,
        });
        serde_json::from_value(json).unwrap()
    }

    fn filter(hosts: &[&str], paths: &[&str], tags: &[&[&str]]) -> SnapshotFilter {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        SnapshotFilter {
            hosts: texts(hosts),
            paths: texts(paths),
            tags: tags.iter().map(|list| texts(list)).collect(),
        }
    }

    #[test]
    fn conditions_combine_as_in_restic() {
        let one = snapshot("h", &["/a", "/b"], &["x", "y"]);
        let untagged = snapshot("h", &["/a"], &[]);
        for (filter, with_tags, without) in [
            (filter(&[], &[], &[]), true, true),
            (filter(&["g", "h"], &[], &[]), true, true),
            (filter(&["g"], &[], &[]), false, false),
            (filter(&[], &["/a", "/b"], &[]), true, false),
            (filter(&[], &[], &[&["x", "y"]]), true, false),
            (filter(&[], &[], &[&["x", "z"], &["y"]]), true, false),
            (filter(&[], &[], &[&["x", "z"]]), false, false),
            (filter(&[], &[], &[&[""]]), false, true),
        ] {
            assert_eq!(
                (filter.matches(&one), filter.matches(&untagged)),
                (with_tags, without),
                "{filter:?}"
            );
        }
    }

    #[test]
    fn listings_go_towards_what_is_wanted() {
        let at = |path, wanted, recursive| {
            let (shown, descend) = towards(Path::new(path), Path::new(wanted), recursive);
            (shown, descend == Descend::Yes)
        };
        assert_eq!(at("/a", "/a/b", false), (false, true));
        assert_eq!(at("/a/b", "/a/b", false), (true, true));
        assert_eq!(at("/a/b/c", "/a/b", false), (true, false));
        assert_eq!(at("/a/b/c", "/a/b", true), (true, true));
        assert_eq!(at("/a/b/c/d", "/a/b", false), (false, false));
        assert_eq!(at("/x", "/a/b", true), (false, false));
        assert_eq!(at("/x", "/", false), (true, false));
    }
}

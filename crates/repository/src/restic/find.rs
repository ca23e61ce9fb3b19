//! Finding entries, blobs, trees and packs in snapshots.

use super::index::Index;
use super::ls::{self, Descend, Visitor};
use super::node::{Node, NodeKind};
use super::pack::BlobKind;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::{Cancel, Error, Filter, Id, Monitor, Result};
use hashbrown::HashSet;
use jiff::Timestamp;
use std::path::Path;

/// What is looked for.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one query")]
pub enum Query {
    /// Entries whose path the filter includes. As with restic, everything below a directory that matches is found too.
    Entries {
        /// Includes are what is looked for.
        filter: Filter,
        /// Changed at this moment or later.
        oldest: Option<Timestamp>,
        /// Changed at this moment or earlier.
        newest: Option<Timestamp>,
    },
    /// Files that have a blob whose id begins with one of these, in small hexadecimal digits.
    Blobs(Vec<String>),
    /// Directories whose tree's id begins with one of these.
    Trees(Vec<String>),
    /// Files and directories with anything in the packs whose ids begin with one of these.
    Packs(Vec<String>),
}

/// Something that was found.
#[derive(Debug)]
pub struct Match<'a> {
    /// The snapshot that it is in.
    pub snapshot: &'a Id,
    /// Its absolute path there; `/` for the snapshot's root directory, which has no node.
    pub path: &'a Path,
    /// Its entry.
    pub node: Option<&'a Node>,
    /// The blob or tree because of which it was found.
    pub object: Option<(BlobKind, Id)>,
}

/// Look through `snapshots` and call `each` for everything that is found.
///
/// Directories without a match are looked through once, however many snapshots have them. Those that cannot be read are problems.
pub fn find(
    repository: &Repository,
    index: &Index,
    snapshots: &[(Id, Snapshot)],
    query: &Query,
    each: &mut dyn FnMut(&Match<'_>) -> Result<()>,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<()> {
    let wanted = Wanted::new(index, query);
    let mut without_match = HashSet::new();
    for (id, snapshot) in snapshots {
        let mut finder = Finder {
            snapshot: id,
            wanted: &wanted,
            each,
            monitor,
            found: 0,
            open: Vec::new(),
            without_match,
        };
        finder.root(&snapshot.tree)?;
        ls::walk(repository, index, &snapshot.tree, &mut finder, cancel)?;
        without_match = finder.without_match;
    }
    Ok(())
}

/// A query that is ready to be compared with.
enum Wanted<'a> {
    Entries {
        filter: &'a Filter,
        oldest: Option<Timestamp>,
        newest: Option<Timestamp>,
    },
    Objects {
        data: Prefixes<'a>,
        trees: Prefixes<'a>,
        of_packs: HashSet<(BlobKind, Id)>,
    },
}

struct Prefixes<'a>(&'a [String]);

impl Prefixes<'_> {
    fn matches(&self, id: &Id) -> bool {
        let hex = if self.0.is_empty() { return false } else { id.to_hex() };
        self.0.iter().any(|prefix| hex.starts_with(prefix.as_str()))
    }
}

impl<'a> Wanted<'a> {
    fn new(index: &Index, query: &'a Query) -> Self {
        let objects = |data: &'a [String], trees: &'a [String]| Self::Objects {
            data: Prefixes(data),
            trees: Prefixes(trees),
            of_packs: HashSet::new(),
        };
        match query {
            Query::Entries { filter, oldest, newest } => Self::Entries {
                filter,
                oldest: *oldest,
                newest: *newest,
            },
            Query::Blobs(prefixes) => objects(prefixes, &[]),
            Query::Trees(prefixes) => objects(&[], prefixes),
            Query::Packs(prefixes) => {
                let packs: HashSet<Id> = index
                    .packs()
                    .into_iter()
                    .filter(|id| Prefixes(prefixes).matches(id))
                    .collect();
                let inside = index.iter().filter(|location| packs.contains(&location.pack));
                let of_packs = inside.map(|location| (location.blob.kind, location.blob.id)).collect();
                Self::Objects {
                    data: Prefixes(&[]),
                    trees: Prefixes(&[]),
                    of_packs,
                }
            }
        }
    }

    fn has_object(&self, kind: BlobKind, id: &Id) -> bool {
        match self {
            Self::Entries { .. } => false,
            Self::Objects { data, trees, of_packs } => {
                let prefixes = if kind == BlobKind::Data { data } else { trees };
                prefixes.matches(id) || (!of_packs.is_empty() && of_packs.contains(&(kind, *id)))
            }
        }
    }

    fn has_entry(&self, path: &Path, node: &Node) -> bool {
        match self {
            Self::Objects { .. } => false,
            Self::Entries { filter, oldest, newest } => {
                oldest.is_none_or(|oldest| node.mtime >= oldest)
                    && newest.is_none_or(|newest| node.mtime <= newest)
                    && !filter.excludes(path, node.is_dir())
                    && filter.includes(path)
            }
        }
    }

    fn looks_into(&self, path: &Path) -> bool {
        match self {
            Self::Objects { .. } => true,
            Self::Entries { filter, .. } => {
                !filter.excludes(path, true) && (filter.includes(path) || filter.may_include_below(path))
            }
        }
    }

    /// Whether what is found in a directory depends on where it is.
    fn depends_on_path(&self) -> bool {
        matches!(self, Self::Entries { .. })
    }
}

/// A directory, and its place where that matters (as a hash).
type Place = (Id, u64);

/// Directories remembered at most, so that memory stays bounded: about 100 MiB.
const MAX_REMEMBERED: usize = 1 << 21;

struct Finder<'a> {
    snapshot: &'a Id,
    wanted: &'a Wanted<'a>,
    each: &'a mut dyn FnMut(&Match<'_>) -> Result<()>,
    monitor: &'a dyn Monitor,
    found: u64,
    /// Directories that the walk is in, with what was found before each.
    open: Vec<(Place, u64)>,
    without_match: HashSet<Place>,
}

impl Finder<'_> {
    fn found(&mut self, path: &Path, node: Option<&Node>, object: Option<(BlobKind, Id)>) -> Result<()> {
        self.found += 1;
        (self.each)(&Match {
            snapshot: self.snapshot,
            path,
            node,
            object,
        })
    }

    fn root(&mut self, tree: &Id) -> Result<()> {
        if self.wanted.has_object(BlobKind::Tree, tree) {
            self.found(Path::new("/"), None, Some((BlobKind::Tree, *tree)))?;
        }
        Ok(())
    }

    fn place(&self, path: &Path, tree: Id) -> Place {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        if self.wanted.depends_on_path() {
            path.hash(&mut hasher);
        }
        (tree, hasher.finish())
    }

    fn objects(&mut self, path: &Path, node: &Node) -> Result<()> {
        if node.kind == NodeKind::File
            && let Some(id) = node
                .blobs()
                .iter()
                .find(|id| self.wanted.has_object(BlobKind::Data, id))
        {
            self.found(path, Some(node), Some((BlobKind::Data, *id)))?;
        }
        match node.subtree {
            Some(tree) if self.wanted.has_object(BlobKind::Tree, &tree) => {
                self.found(path, Some(node), Some((BlobKind::Tree, tree)))
            }
            _ => Ok(()),
        }
    }
}

impl Visitor for Finder<'_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        if self.wanted.has_entry(path, &node) {
            self.found(path, Some(&node), None)?;
        }
        self.objects(path, &node)?;
        let Some(tree) = node.subtree.filter(|_| node.is_dir() && self.wanted.looks_into(path)) else {
            return Ok(Descend::No);
        };
        let place = self.place(path, tree);
        if self.without_match.contains(&place) {
            return Ok(Descend::No);
        }
        self.open.push((place, self.found));
        Ok(Descend::Yes)
    }

    fn leave(&mut self, _: &Path) -> Result<()> {
        if let Some((place, before)) = self.open.pop()
            && before == self.found
            && self.without_match.len() < MAX_REMEMBERED
        {
            self.without_match.insert(place);
        }
        Ok(())
    }

    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()> {
        ls::report_unreadable(self.monitor, path, error)
    }
}

#[cfg(test)]
mod tests;

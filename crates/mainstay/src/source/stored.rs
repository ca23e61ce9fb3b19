//! A part in a snapshot or archive, for the source that it came from.

use crate::engine::manifest::Part;
use repository::points::{EachEntry, RestorePoints, Selected};
use repository::restic::ls::Descend;
use repository::restic::node::{Node, NodeKind};
use repository::restic::restore::{RestoreOptions, RestoreReport};
use repository::{Error, Monitor, Recorder, Result, literal_pattern};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A part that is stored.
pub struct Stored<'a> {
    /// What the manifest says of it.
    pub part: &'a Part,
    points: &'a dyn RestorePoints,
    selected: &'a Selected,
    monitor: &'a dyn Monitor,
}

/// An entry of a part.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands in the snapshot.
    pub path: PathBuf,
    /// What it is.
    pub node: Node,
}

impl<'a> Stored<'a> {
    /// `part` of a whole restore point.
    pub fn new(
        part: &'a Part,
        points: &'a dyn RestorePoints,
        selected: &'a Selected,
        monitor: &'a dyn Monitor,
    ) -> Self {
        Self {
            part,
            points,
            selected,
            monitor,
        }
    }

    /// Whether something was removed from the restore point on purpose since it was made.
    pub fn is_purged(&self) -> bool {
        self.selected.point.is_purged()
    }

    /// Everything at and below `path`, which is in the part: a directory before what is in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is nothing, and [`Error::Damaged`] if a directory cannot be read.
    pub fn entries(&self, path: &Path) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut each = |at: &Path, node: &Node| {
            if at.starts_with(path) {
                found.push(Entry {
                    path: at.to_owned(),
                    node: node.clone(),
                });
            }
            let is_on_the_way = at.starts_with(path) || path.starts_with(at);
            Ok(if is_on_the_way { Descend::Yes } else { Descend::No })
        };
        self.list(path, &mut each)?;
        if found.is_empty() {
            return Err(Error::NotFound {
                what: "path",
                name: path.display().to_string(),
            });
        }
        Ok(found)
    }

    /// Write the content of a file of the part to `out`.
    ///
    /// # Errors
    /// Damage, those of the store, and those of `out`.
    pub fn copy(&self, path: &Path, out: &mut dyn Write) -> Result<()> {
        let refuse_directory = || {
            Err(Error::Refused {
                message: format!("`{}` is a directory in the snapshot", path.display()),
                hint: "Name a file.".to_owned(),
            })
        };
        self.points
            .dump(self.selected, path, out, &refuse_directory, self.monitor)
    }

    /// Restore what stands at `path` in the part, a file or a directory with everything below, to `target` on this host.
    ///
    /// # Errors
    /// As [`RestorePoints::restore`].
    pub fn restore_files(&self, path: &Path, target: &Path, options: RestoreOptions) -> Result<RestoreReport> {
        let mut selected = self.selected.clone();
        let mut options = options;
        if self.is_directory(path)? {
            selected.subfolder = Some(path.to_owned());
            options.target = target.to_owned();
            return self.points.restore(&selected, &options, self.monitor);
        }
        // A file is restored out of the directory that it lies in, under its own name.
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Refused {
                message: format!("`{}` is no file", path.display()),
                hint: "Name a file or directory of the snapshot.".to_owned(),
            });
        };
        if target.file_name() != Some(name) {
            return Err(Error::Refused {
                message: format!(
                    "the file `{}` cannot be restored as `{}`",
                    path.display(),
                    target.display()
                ),
                hint: "Restore it under its own name, or use `mainstay dump`.".to_owned(),
            });
        }
        selected.subfolder = Some(parent.to_owned());
        options.target = target.parent().unwrap_or(Path::new("/")).to_owned();
        let only = literal_pattern(&Path::new("/").join(name));
        options.filter = repository::Filter::builder().include(only).build()?;
        self.points.restore(&selected, &options, self.monitor)
    }

    /// Whether there is anything at `path`.
    ///
    /// # Errors
    /// Those of the repository.
    pub fn has(&self, path: &Path) -> Result<bool> {
        match self.is_directory(path) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a directory stands at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nothing does, and [`Error::Damaged`] if that cannot be told because a directory above cannot be read.
    pub fn is_directory(&self, path: &Path) -> Result<bool> {
        let mut kind = None;
        let mut each = |at: &Path, node: &Node| {
            if at == path {
                kind = Some(node.kind);
            }
            // Archives have no entries for the directories above what was captured.
            if at.starts_with(path) && at != path {
                kind.get_or_insert(NodeKind::Dir);
            }
            let is_above = path.starts_with(at) && at != path;
            Ok(if is_above { Descend::Yes } else { Descend::No })
        };
        self.list(path, &mut each)?;
        match kind {
            Some(kind) => Ok(kind == NodeKind::Dir),
            None => Err(Error::NotFound {
                what: "path",
                name: path.display().to_string(),
            }),
        }
    }

    /// Call `each` for every entry on the way to `path` and below. What cannot be seen may be there: so it is an error.
    fn list(&self, path: &Path, each: &mut EachEntry<'_>) -> Result<()> {
        let recorder = Recorder::default();
        self.points.entries(self.selected, each, &recorder)?;
        match recorder.problems.into_inner().pop() {
            Some(reason) => Err(Error::Damaged {
                object: "path",
                name: path.display().to_string(),
                reason,
            }),
            None => Ok(()),
        }
    }
}
